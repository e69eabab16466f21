//! Names: which words cannot be bare, and which known name was probably meant.

/// Words with a meaning of their own: a column that is called so is quoted.
const RESERVED: [&str; 25] = [
    "and", "or", "not", "is", "in", "like", "between", "case", "when", "then", "else", "end",
    "null", "true", "false", "cast", "distinct", "from", "for", "escape", "select", "interval",
    "exists", "array", "collate",
];

/// Words that stand for the time or the user, without brackets.
const MOMENTS: [&str; 9] = [
    "current_timestamp",
    "current_date",
    "current_time",
    "localtime",
    "localtimestamp",
    "current_user",
    "session_user",
    "current_role",
    "current_schema",
];

/// Whether the lower-case `word` has a meaning of its own.
pub(super) fn is_reserved(word: &str) -> bool {
    RESERVED.contains(&word)
}

/// Whether the lower-case `word` stands for the moment or the session.
pub(super) fn is_moment(word: &str) -> bool {
    MOMENTS.contains(&word)
}

/// A column's name as it can stand in an expression: always in quotation marks, so that a stored text still names the column
/// when a word has got a meaning of its own.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// The known names that are most like `name`, the nearest first; none where all are far from it.
pub(crate) fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let name: Vec<char> = name.to_lowercase().chars().take(64).collect();
    let allowed = (name.len() / 3).max(1) + 1;
    let mut near: Vec<(usize, &str)> = known
        .map(|other| (distance(&name, other), other))
        .filter(|(distance, _)| *distance <= allowed)
        .collect();
    near.sort_unstable();
    near.dedup();
    near.into_iter().take(3).map(|(_, other)| other).collect()
}

/// The names in a sentence: `a, b or c`.
pub(crate) fn listed(names: &[&str]) -> String {
    match names {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [head @ .., last] => format!("{} or {last}", head.join(", ")),
    }
}

/// Letters to add, remove or change until one is the other; what begins like the other is near.
fn distance(name: &[char], other: &str) -> usize {
    let other: Vec<char> = other.to_lowercase().chars().take(64).collect();
    let mut last: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in name.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, b) in other.iter().enumerate() {
            let changed = last[j] + usize::from(a != b);
            row.push(changed.min(last[j + 1] + 1).min(row[j] + 1));
        }
        last = row;
    }
    last.last().copied().unwrap_or_default()
}
