//! Rows before and after the mapping, for people and as JSON.

use crossfade_engine::{Preview, PreviewOutcome};
use serde_json::{Value, json};

use super::Output;
use super::table::{self, Side};

/// Characters of a value that are shown.
const MOST: usize = 40;

/// Shows them.
pub fn tell(previews: &[Preview], output: &Output) {
    for preview in previews {
        output.say(format!("\n{} -> {}", preview.source, preview.target));
        block(
            "before",
            &preview.before,
            preview.rows.iter().map(|r| cells(&r.before)),
            output,
        );
        let after = preview.rows.iter().map(|row| match &row.after {
            PreviewOutcome::Moved(values) => cells(values),
            PreviewOutcome::LeftOut => vec!["(not moved)".to_owned()],
            PreviewOutcome::Refused(why) => vec![format!("(refused: {why})")],
        });
        block("after", &preview.after, after, output);
    }
}

fn block(word: &str, columns: &[String], rows: impl Iterator<Item = Vec<String>>, output: &Output) {
    let mut head = vec![(word, Side::Left)];
    head.extend(columns.iter().map(|name| (name.as_str(), Side::Left)));
    let rows: Vec<Vec<String>> = rows
        .enumerate()
        .map(|(at, mut row)| {
            row.insert(0, (at + 1).to_string());
            row.resize(head.len(), String::new());
            row
        })
        .collect();
    output.say(table::text(&head, &rows));
}

fn cells(values: &[Option<String>]) -> Vec<String> {
    values
        .iter()
        .map(|v| v.as_deref().map_or("NULL".to_owned(), short))
        .collect()
}

/// The beginning of a value, on one line.
fn short(value: &str) -> String {
    let line: String = value
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(MOST + 1)
        .collect();
    match line.chars().count() > MOST {
        true => line
            .chars()
            .take(MOST - 1)
            .chain(std::iter::once('…'))
            .collect(),
        false => line,
    }
}

/// As JSON.
pub fn json(previews: &[Preview]) -> Value {
    let one = |preview: &Preview| {
        let rows = preview.rows.iter().map(|row| match &row.after {
            PreviewOutcome::Moved(after) => {
                json!({ "before": row.before, "outcome": "moved", "after": after })
            }
            PreviewOutcome::LeftOut => json!({ "before": row.before, "outcome": "left_out" }),
            PreviewOutcome::Refused(why) => {
                json!({ "before": row.before, "outcome": "refused", "why": why })
            }
        });
        json!({
            "source": preview.source,
            "target": preview.target,
            "before": preview.before,
            "after": preview.after,
            "rows": rows.collect::<Vec<_>>(),
        })
    };
    Value::Array(previews.iter().map(one).collect())
}
