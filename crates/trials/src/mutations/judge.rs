//! What the program said of a planted corruption, against what it must say.

use std::collections::BTreeSet;

use serde_json::Value;

use super::case::{Case, Expected};
use super::scene::{array, bare, text};
use crate::binary::Outcome;

/// How a case ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Exactly the planted rows were named; with the causes that were given.
    Found(BTreeSet<String>),
    /// No difference under what the column claims.
    Same(String),
    /// Nothing differs, and nothing was said to.
    Equal,
    /// The target cannot hold the corrupt value: it holds what it held before.
    NotHeld,
    /// Not found, or not as it was planted.
    Failed(String),
}

impl Verdict {
    /// A cell of the table.
    pub fn word(&self) -> String {
        match self {
            Self::Found(causes) if causes.is_empty() => "found".to_owned(),
            Self::Found(causes) => {
                let causes: Vec<&str> = causes.iter().map(String::as_str).collect();
                format!("found: {}", causes.join(", "))
            }
            Self::Same(claim) => format!("equivalent by claim: {claim}"),
            Self::Equal => "equal".to_owned(),
            Self::NotHeld => "cannot be held".to_owned(),
            Self::Failed(_) => "MISSED".to_owned(),
        }
    }
}

/// The report of a call of `verify`.
///
/// # Errors
/// What it said instead.
pub fn report(outcome: &Outcome) -> Result<Value, String> {
    outcome
        .stdout
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .find_map(|line| line.get("report").cloned())
        .ok_or_else(|| format!("no report: {}", outcome.text()))
}

/// Judges a comparison with a corruption in place.
pub fn judge(case: &Case, outcome: &Outcome) -> Verdict {
    let judged = match &case.expected {
        Expected::Named { rows, column } => {
            let wanted = rows
                .iter()
                .map(|(how, key)| {
                    let columns = column.filter(|_| how.word() == "changed");
                    named(case.table, how.word(), key, columns)
                })
                .collect();
            differences(outcome, column.is_some()).and_then(|found| found.must_be(wanted))
        }
        Expected::Same(claim) => equal(outcome).map(|()| Verdict::Same(claim.clone())),
        Expected::Equal => equal(outcome).map(|()| Verdict::Equal),
        Expected::Sequence(problem) => sequence(outcome, problem),
    };
    judged.unwrap_or_else(|why| Verdict::Failed(format!("{}: {why}", case.sql)))
}

/// Both sides must have been found equal.
///
/// # Errors
/// What was said instead.
pub fn equal(outcome: &Outcome) -> Result<(), String> {
    let found = differences(outcome, false)?;
    if outcome.code == Some(0) && found.rows.is_empty() {
        return Ok(());
    }
    Err(format!(
        "exit code {:?} where nothing differs, named {:?}",
        outcome.code, found.rows
    ))
}

/// No row may differ, and of the sequences exactly one, in this way.
fn sequence(outcome: &Outcome, problem: &str) -> Result<Verdict, String> {
    let found = differences(outcome, false)?;
    let report = report(outcome)?;
    let wrong: Vec<&Value> = array(&report["sequences"])
        .iter()
        .filter(|s| s["equal"] != true)
        .collect();
    let [one] = wrong.as_slice() else {
        return Err(format!("{} sequences differ, one was planted", wrong.len()));
    };
    let named = found.rows.is_empty() && one["problem"] == problem;
    if outcome.code != Some(2) || !named {
        return Err(format!(
            "exit code {:?}, rows {:?}, sequence {one}: planted {problem}",
            outcome.code, found.rows
        ));
    }
    Ok(Verdict::Found(BTreeSet::from([problem.to_owned()])))
}

/// What a report names.
struct Found {
    code: Option<i32>,
    rows: Vec<String>,
    causes: BTreeSet<String>,
    more: bool,
}

impl Found {
    fn must_be(mut self, mut wanted: Vec<String>) -> Result<Verdict, String> {
        if self.code != Some(2) {
            return Err(format!("exit code {:?}, not 2", self.code));
        }
        self.rows.sort();
        wanted.sort();
        if self.rows != wanted {
            return Err(format!("named {:?}, planted {wanted:?}", self.rows));
        }
        if self.more {
            return Err("says that more rows differ than were planted".to_owned());
        }
        Ok(Verdict::Found(self.causes))
    }
}

fn differences(outcome: &Outcome, with_columns: bool) -> Result<Found, String> {
    let report = report(outcome)?;
    let mut found = Found {
        code: outcome.code,
        rows: Vec::new(),
        causes: BTreeSet::new(),
        more: false,
    };
    for table in array(&report["tables"]) {
        found.more |= table["more"] == true;
        for difference in array(&table["differences"]) {
            let columns: Vec<&str> = array(&difference["columns"]).iter().map(text).collect();
            let columns =
                Some(columns.join(", ")).filter(|names| with_columns && !names.is_empty());
            found.rows.push(named(
                bare(text(&table["name"])),
                text(&difference["kind"]),
                text(&difference["key"]),
                columns.as_deref(),
            ));
            if let Some(cause) = difference.get("cause").filter(|cause| !cause.is_null()) {
                found.causes.insert(cause_of(cause)?);
            }
        }
    }
    Ok(found)
}

/// A cause's class: the text, or the field that names it.
fn cause_of(cause: &Value) -> Result<String, String> {
    let class = cause.as_str().or_else(|| cause["class"].as_str());
    match class {
        Some(class) if !class.is_empty() => Ok(class.to_owned()),
        _ => Err(format!("a cause without a class: {cause}")),
    }
}

fn named(table: &str, kind: &str, key: &str, columns: Option<&str>) -> String {
    let columns = columns.map(|names| format!(" ({names})"));
    format!("{table} {kind} {key}{}", columns.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::kinds::How;
    use super::super::kinds::rows::Side;
    use super::*;

    fn said(code: i32, differences: &str) -> Outcome {
        Outcome {
            call: String::new(),
            code: Some(code),
            stdout: format!(
                "{{\"event\":{{}}}}\n{{\"report\":{{\"tables\":[{{\"name\":\"public.t\",\"more\":false,\
                 \"differences\":[{differences}]}}]}}}}\n"
            ),
            stderr: String::new(),
            took: Duration::ZERO,
        }
    }

    fn case(expected: Expected) -> Case {
        Case {
            kind: "kind",
            side: Side::Target,
            table: "t",
            sql: String::new(),
            back: None,
            expected,
        }
    }

    const ONE: &str = r#"{"kind":"changed","key":"1","columns":["v"]}"#;

    #[test]
    fn exactly_what_was_planted_must_be_named() {
        let planted = case(Expected::Named {
            rows: vec![(How::Changed, "1".to_owned())],
            column: Some("v"),
        });
        let found = Verdict::Found(BTreeSet::new());
        assert_eq!(judge(&planted, &said(2, ONE)), found);
        for (code, differences) in [
            (0, String::new()),
            (0, ONE.to_owned()),
            (1, ONE.to_owned()),
            (2, String::new()),
            (2, ONE.replace("changed", "missing")),
            (2, ONE.replace("\"1\"", "\"2\"")),
            (2, ONE.replace("\"v\"", "\"w\"")),
            (2, format!("{ONE},{ONE}")),
        ] {
            let verdict = judge(&planted, &said(code, &differences));
            assert!(
                matches!(verdict, Verdict::Failed(_)),
                "{code} {differences}"
            );
        }
    }

    #[test]
    fn a_sequence_must_be_named_alone_and_for_what_it_is() {
        let planted = case(Expected::Sequence("behind"));
        let with = |code: i32, rows: &str, sequences: &str| {
            let mut outcome = said(code, rows);
            let list = format!("{{\"report\":{{\"sequences\":[{sequences}],");
            outcome.stdout = outcome.stdout.replace("{\"report\":{", &list);
            judge(&planted, &outcome)
        };
        const BEHIND: &str = r#"{"name":"s","equal":false,"problem":"behind"}"#;
        const RIGHT: &str = r#"{"name":"t","equal":true}"#;
        let found = with(2, "", &format!("{RIGHT},{BEHIND}"));
        assert_eq!(found.word(), "found: behind");
        for (code, rows, sequences) in [
            (0, "", BEHIND.to_owned()),
            (2, ONE, BEHIND.to_owned()),
            (2, "", RIGHT.to_owned()),
            (2, "", BEHIND.replace("behind", "missing")),
            (2, "", format!("{BEHIND},{BEHIND}")),
        ] {
            let verdict = with(code, rows, &sequences);
            assert!(
                matches!(verdict, Verdict::Failed(_)),
                "{code} {rows} {sequences}"
            );
        }
    }

    #[test]
    fn equal_means_that_nothing_is_named() {
        let control = case(Expected::Equal);
        assert_eq!(judge(&control, &said(0, "")), Verdict::Equal);
        assert!(matches!(judge(&control, &said(2, ONE)), Verdict::Failed(_)));
        assert!(equal(&said(2, "")).is_err());
    }

    #[test]
    fn a_cause_is_recorded_where_there_is_one() {
        let planted = case(Expected::Named {
            rows: vec![(How::Changed, "1".to_owned())],
            column: None,
        });
        let with = |cause: &str| ONE.replace("\"key\"", &format!("\"cause\":{cause},\"key\""));
        let found = judge(&planted, &said(2, &with("\"trailing_space\"")));
        assert_eq!(found.word(), "found: trailing_space");
        assert!(matches!(
            judge(&planted, &said(2, &with("\"\""))),
            Verdict::Failed(_)
        ));
    }
}
