//! Things made on a store, for people.

use crossfade_store::Made;

use super::number::of;

/// Things of one kind that are listed by name; more are counted.
const LISTED: usize = 4;

/// One text for each thing; for many of a kind one text for all: `23 triggers: a, …, z`.
pub fn texts(made: &[Made]) -> Vec<String> {
    let mut kinds: Vec<&str> = Vec::new();
    for thing in made {
        if !kinds.contains(&thing.kind.as_str()) {
            kinds.push(&thing.kind);
        }
    }
    let mut texts = Vec::new();
    for kind in kinds {
        let of_kind: Vec<&Made> = made.iter().filter(|m| m.kind == kind).collect();
        match of_kind.as_slice() {
            [first, .., last] if of_kind.len() > LISTED => texts.push(format!(
                "{}: {}, …, {}",
                of(of_kind.len() as u64, kind, &format!("{kind}s")),
                first.name,
                last.name
            )),
            several => texts.extend(several.iter().map(|m| one(m))),
        }
    }
    texts
}

fn one(made: &Made) -> String {
    if made.detail.is_empty() {
        format!("{} {}", made.kind, made.name)
    } else {
        format!("{} {} ({})", made.kind, made.name, made.detail)
    }
}

/// Indented lines.
pub fn lines(made: &[Made]) -> String {
    texts(made)
        .iter()
        .map(|t| format!("  {t}"))
        .collect::<Vec<_>>()
        .join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_of_a_kind_are_counted() {
        let thing = |kind: &str, name: String| Made {
            kind: kind.to_owned(),
            name,
            detail: String::new(),
        };
        let mut made: Vec<Made> = (0..9).map(|i| thing("trigger", format!("t{i}"))).collect();
        made.push(thing("table", "log".to_owned()));
        assert_eq!(texts(&made), ["9 triggers: t0, …, t8", "table log"]);
        assert_eq!(texts(&made[8..]), ["trigger t8", "table log"]);
    }
}
