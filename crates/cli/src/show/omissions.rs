//! What is not carried to the target, for people.

use crossfade_model::Omission;

/// Names that stand in one line for one reason.
const MOST_NAMES: usize = 3;

/// A line for each reason: a collation that another engine does not have is that of nearly every text.
pub fn lines(omissions: &[Omission]) -> Vec<String> {
    let mut reasons: Vec<(&str, &str, Vec<String>)> = Vec::new();
    for omission in omissions {
        // a column stands before its reason
        let (name, why) = match omission.why.split_once(": ") {
            Some((column, why)) if !column.contains(' ') => {
                (format!("{}.{column}", omission.name), why)
            }
            _ => (omission.name.clone(), omission.why.as_str()),
        };
        let kind = omission.kind.as_str();
        match reasons.iter_mut().find(|r| (r.0, r.1) == (kind, why)) {
            Some((_, _, names)) => names.push(name),
            None => reasons.push((kind, why, vec![name])),
        }
    }
    let line = |(kind, why, names): &(&str, &str, Vec<String>)| {
        let shown = names[..names.len().min(MOST_NAMES)].join(", ");
        let more = match names.len().saturating_sub(MOST_NAMES) {
            0 => String::new(),
            n => format!(" and {n} more (`--json` lists them)"),
        };
        format!("  {kind} {shown}{more}: {why}")
    };
    reasons.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_carried_for_one_reason_stands_in_one_line() {
        let omission = |kind: &str, name: &str, why: &str| Omission {
            kind: kind.to_owned(),
            name: name.to_owned(),
            why: why.to_owned(),
        };
        let mut all: Vec<Omission> = ["a", "b", "c", "d"]
            .iter()
            .map(|column| omission("collation", "t", &format!("{column}: not here")))
            .collect();
        all.insert(1, omission("view", "v", "make it by hand"));
        assert_eq!(
            lines(&all),
            [
                "  collation t.a, t.b, t.c and 1 more (`--json` lists them): not here",
                "  view v: make it by hand"
            ]
        );
    }
}
