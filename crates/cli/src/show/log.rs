//! The audit log for people.

use crossfade_control::{AuditCheck, AuditRecord};
use serde_json::Value;

use super::number::{of, utc};
use super::text::visible;

/// Characters of a detail that a line shows; `--json` shows all.
const WIDTH: usize = 240;

/// A record on one line.
pub fn record(record: &AuditRecord) -> String {
    let mut detail = visible(&words(&record.detail));
    if detail.chars().count() > WIDTH {
        detail = detail.chars().take(WIDTH - 1).collect();
        detail.push('…');
    }
    let line = format!(
        "{:>6}  {}  {:<20}  {}  {detail}",
        record.id.0,
        utc(record.at),
        visible(&record.kind),
        visible(&record.who)
    );
    line.trim_end().to_owned()
}

/// `state done, step fence`: names and values; what is nested stays JSON and comes last, as a line may be cut.
fn words(detail: &Value) -> String {
    match detail {
        Value::Null => String::new(),
        Value::Object(fields) => {
            let (nested, flat): (Vec<_>, Vec<_>) = fields
                .iter()
                .partition(|(_, value)| value.is_object() || value.is_array());
            let parts: Vec<String> = flat
                .into_iter()
                .chain(nested)
                .map(|(name, value)| format!("{name} {}", plain(value)))
                .collect();
            parts.join(", ")
        }
        other => plain(other),
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// What following the chain has shown.
pub fn check(check: &AuditCheck) -> String {
    let records = of(check.records, "record", "records");
    match &check.broken {
        None => format!("The audit log is whole: {records}.\n  head  {}", check.head),
        Some(broken) => format!(
            "The audit log is broken at record {}: {}.\n  before it {records} hold; head {}\n  somebody has written to the control store \
             past crossfade: `docs/audit.md` says what the chain shows and what it cannot",
            broken.id, broken.what, check.head
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crossfade_control::{AuditId, Break};
    use serde_json::json;

    fn of_detail(detail: Value) -> AuditRecord {
        AuditRecord {
            id: AuditId(3),
            at: 0,
            kind: "intent.settled".to_owned(),
            who: "ada@old\u{1b}[2J".to_owned(),
            detail,
            previous: String::new(),
            hash: String::new(),
            record: String::new(),
        }
    }

    #[test]
    fn a_record_is_one_line_that_moves_no_cursor() {
        let detail =
            json!({ "step": "fence", "state": "done", "outcome": { "position": "0/1\n" } });
        assert_eq!(
            record(&of_detail(detail)),
            "     3  1970-01-01 00:00:00 UTC  intent.settled        ada@old\\u{1b}[2J  \
             state done, step fence, outcome {\"position\":\"0/1\\n\"}"
        );
        let long = record(&of_detail(json!("x".repeat(1000))));
        assert!(long.ends_with('…') && long.chars().count() < 320, "{long}");
        assert!(record(&of_detail(Value::Null)).ends_with("[2J"));
    }

    #[test]
    fn a_broken_chain_is_told_with_its_place() {
        let mut found = AuditCheck {
            records: 1,
            head: "ab".to_owned(),
            broken: None,
        };
        assert_eq!(
            check(&found),
            "The audit log is whole: 1 record.\n  head  ab"
        );
        found.broken = Some(Break {
            id: AuditId(2),
            what: "its hash is not that of what it says".to_owned(),
        });
        let text = check(&found);
        assert!(text.starts_with("The audit log is broken at record 2: its hash"));
    }
}
