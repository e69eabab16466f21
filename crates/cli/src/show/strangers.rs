//! Writes on the target that are not the migration's.

use crossfade_engine::{StrangerWrite, StrangersSeen};

use super::number::{ago, of};

/// One write, in a line.
pub fn line(write: &StrangerWrite) -> String {
    let key = match (&write.key, write.operation.as_str()) {
        (Some(key), _) => format!(" of the row with key {key}"),
        (None, "more") => " rows than are noted one by one".to_owned(),
        (None, _) => String::new(),
    };
    let who = if write.who.is_empty() {
        String::new()
    } else {
        format!(", by {}", write.who)
    };
    format!(
        "{}: {}{key}, {}{who}",
        write.table,
        write.operation,
        ago(write.at)
    )
}

/// How many, the latest, and where they can no longer be seen.
pub fn text(seen: &StrangersSeen) -> String {
    let mut lines = Vec::new();
    if seen.writes > 0 || seen.more {
        let more = if seen.more { " and more" } else { "" };
        lines.push(format!(
            "STRANGERS have written to the target: {}{more} noted; the latest:",
            of(seen.writes, "write", "writes")
        ));
        lines.extend(seen.latest.iter().map(|w| format!("  {}", line(w))));
        lines.push("`crossfade verify` shows what differs.".to_owned());
    }
    for table in &seen.unseen {
        lines.push(format!(
            "Strangers' writes on table {table} can no longer be seen: somebody has taken off or switched off its triggers, or its log cannot be read."
        ));
    }
    lines.join("\n")
}
