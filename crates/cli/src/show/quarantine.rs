//! Rows in quarantine for people.

use crossfade_control::quarantine::Page;
use crossfade_control::{Entry, EntryState, QuarantineCounts};
use crossfade_engine::{Retried, Revealed};

use super::number::{ago, count, of};
use super::table::{self, Side};

/// Characters of a key that a list shows.
const KEY_WIDTH: usize = 40;

/// How many there are, and what is to be done about it.
pub fn counts(counts: &QuarantineCounts) -> String {
    let bugs = match counts.bugs {
        0 => String::new(),
        bugs => format!(" ({} held to be a bug)", count(bugs)),
    };
    let mut text = format!(
        "Quarantine: {} open, {} classified{bugs}, {} retrying, {} resolved",
        count(counts.open),
        count(counts.classified),
        count(counts.retrying),
        count(counts.resolved)
    );
    if counts.not_kept > 0 {
        text.push_str(&format!(
            "\n  full: {} that differ found no room",
            of(counts.not_kept, "more row", "more rows")
        ));
    }
    if counts.unlisted_tables > 0 {
        text.push_str(&format!(
            "\n  {} more rows that differ than a comparison names",
            of(counts.unlisted_tables, "table has", "tables have")
        ));
    }
    if counts.open > 0 {
        text.push_str("\n  `crossfade quarantine list` shows them, `classify` says what they are");
    }
    text
}

/// A list, and how it goes on.
pub fn page(page: &Page) -> String {
    if page.entries.is_empty() {
        return "No rows in quarantine that were asked for.".to_owned();
    }
    let rows: Vec<Vec<String>> = page.entries.iter().map(line).collect();
    let heading = [
        ("id", Side::Right),
        ("table", Side::Left),
        ("key", Side::Left),
        ("differs", Side::Left),
        ("likely cause", Side::Left),
        ("state", Side::Left),
        ("seen", Side::Right),
    ];
    let list = table::text(&heading, &rows);
    match page.next {
        Some(next) => format!("{list}\n  … and more: `--after {next}`"),
        None => list,
    }
}

fn line(entry: &Entry) -> Vec<String> {
    let mut key = plain(&entry.key.text);
    if key.chars().count() > KEY_WIDTH {
        key = key.chars().take(KEY_WIDTH - 1).collect();
        key.push('…');
    }
    vec![
        entry.id.to_string(),
        plain(&entry.table),
        key,
        entry.kind.clone(),
        entry.cause.clone(),
        state(entry),
        count(entry.times_seen),
    ]
}

fn state(entry: &Entry) -> String {
    match (&entry.classification, entry.state) {
        (Some(said), EntryState::Classified) => {
            format!("{}: {}", entry.state.word(), said.verdict.word())
        }
        _ => entry.state.word().to_owned(),
    }
}

/// All that is kept of an entry.
pub fn entry(entry: &Entry) -> String {
    let differs = match entry.kind.as_str() {
        "missing" => "on the source only".to_owned(),
        "extra" => "on the target only".to_owned(),
        "refused" if entry.columns.is_empty() => "refused by the target".to_owned(),
        "refused" => format!(
            "refused by the target for {}",
            plain(&entry.columns.join(", "))
        ),
        _ => format!("differs in {}", plain(&entry.columns.join(", "))),
    };
    let mut lines = vec![
        format!(
            "Entry {}: table {}, key {}",
            entry.id,
            plain(&entry.table),
            plain(&entry.key.text)
        ),
        format!("  {differs}, as of position {}", entry.position),
        format!("  likely cause  {} ({})", entry.cause, plain(&entry.why)),
        format!(
            "  seen          {}, first {}, last {}",
            of(entry.times_seen, "time", "times"),
            ago(entry.first_seen),
            ago(entry.last_seen)
        ),
        format!("  state         {}", state(entry)),
    ];
    if let Some(said) = &entry.classification {
        let counts = match entry.state {
            EntryState::Open => "; it differs in another way since",
            _ => "",
        };
        lines.push(format!(
            "  held to be    {} by {}, {}: {}{counts}",
            said.verdict.word(),
            plain(&said.by),
            ago(said.at),
            plain(&said.reason)
        ));
    }
    if let Some(resolution) = &entry.resolution {
        lines.push(format!(
            "  resolved      {}: not there any more at position {}",
            ago(resolution.at),
            resolution.position
        ));
    }
    lines.join("\n")
}

/// The row as both sides have it now.
pub fn revealed(revealed: &Revealed) -> String {
    let mut lines = vec![if revealed.equal {
        "Now, read on one side after the other: equal".to_owned()
    } else {
        "Now, read on one side after the other:".to_owned()
    }];
    for (side, rows) in [("source", &revealed.source), ("target", &revealed.target)] {
        if rows.is_empty() {
            lines.push(format!("  {side}: no such row"));
        }
        for row in rows {
            let cells = revealed.columns.iter().zip(row).map(|(name, cell)| {
                let differs = if revealed.differ.contains(name) {
                    "*"
                } else {
                    ""
                };
                let value = cell.as_deref().map_or("NULL".to_owned(), plain);
                format!("{}{differs}={value}", plain(name))
            });
            lines.push(format!(
                "  {side}: {}",
                cells.collect::<Vec<_>>().join(", ")
            ));
        }
    }
    lines.join("\n")
}

/// What a retry has brought.
pub fn retried(retried: &Retried) -> String {
    let ids = |ids: &[crossfade_control::EntryId]| {
        let named: Vec<String> = ids.iter().take(20).map(ToString::to_string).collect();
        let more = if ids.len() > 20 { ", …" } else { "" };
        format!("{}{more}", named.join(", "))
    };
    let mut lines = vec![format!(
        "Compared anew at position {}; nothing was written.",
        retried.position
    )];
    if !retried.resolved.is_empty() {
        lines.push(format!("  resolved: {}", ids(&retried.resolved)));
    }
    if !retried.remaining.is_empty() {
        lines.push(format!("  still there: {}", ids(&retried.remaining)));
    }
    lines.join("\n")
}

/// A text on one line, without what would move the cursor or hide text.
fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_moves_the_cursor_is_written_out() {
        assert_eq!(plain("é 1\n\u{1b}[2J\u{9b}"), "é 1\\n\\u{1b}[2J\\u{9b}");
    }
}
