#![allow(clippy::unwrap_used)]

use super::*;
use crate::file::{FileError, MigrationFile, parse};

fn read(body: &str) -> Result<MigrationFile, FileError> {
    let head =
        "[migration]\nname = \"m\"\n[source]\nurl = \"sqlite:a\"\n[target]\nurl = \"sqlite:b\"\n";
    parse("m.toml", &format!("{head}{body}"), &|_| None)
}

#[test]
fn what_is_not_written_has_its_default() {
    let file = read("").unwrap();
    assert_eq!(file.gates, GateLimits::default());
    assert_eq!(file.gates.rehearsal_days, Some(14));
    assert_eq!(file.abort_conditions, AbortConditions::default());
    assert_eq!(file.abort_conditions.drift, Reaction::Alarm);
    assert_eq!(read("[gates]\n[abort_conditions]\n").unwrap(), file);
}

#[test]
fn what_a_new_file_has_in_comments_is_right() {
    let active: Vec<&str> = COMMENTED
        .lines()
        .filter_map(|line| line.strip_prefix("# "))
        .filter(|line| line.starts_with('[') || line.contains(" = "))
        .collect();
    let file = read(&active.join("\n")).unwrap();
    assert_eq!(file.gates, GateLimits::default());
    let conditions = file.abort_conditions;
    assert_eq!(conditions.drift, AbortConditions::default().drift);
    assert_eq!(conditions.action, AbortConditions::default().action);
    let probe = conditions.probe.unwrap();
    assert_eq!((probe.every_seconds, probe.window_seconds), (5, 60));
}

#[test]
fn limits_are_read() {
    let body = "[gates]\nlag_seconds = 0.25\nlag_window_seconds = 120\nproof_age_seconds = 3_600\nrehearsal_days = 3\nrehearsal = \"required\"\n";
    assert_eq!(
        read(body).unwrap().gates,
        GateLimits {
            lag_ms: 250,
            lag_window_ms: 120_000,
            proof_age_ms: 3_600_000,
            rehearsal_days: Some(3),
            shadow: None,
        }
    );
    let off = read("[gates]\nlag_seconds = 2\nrehearsal = \"off\"\n").unwrap();
    assert_eq!((off.gates.lag_ms, off.gates.rehearsal_days), (2000, None));
}

#[test]
fn conditions_are_read() {
    let body = "[abort_conditions]\nreverse_lag_seconds = 30\ndrift = \"rollback\"\naction = \"rollback\"\n\
                [abort_conditions.probe]\nquery = \"SELECT count(*) FROM orders;\"\nevery_seconds = 2\nerror_percent = 5\nlatency_milliseconds = 200\n";
    let conditions = read(body).unwrap().abort_conditions;
    assert_eq!(conditions.reverse_lag_seconds, Some(30));
    assert_eq!(conditions.drift, Reaction::Rollback);
    assert_eq!(conditions.action, Reaction::Rollback);
    let probe = conditions.probe.unwrap();
    assert_eq!(probe.query.text, "SELECT count(*) FROM orders");
    assert_eq!((probe.every_seconds, probe.window_seconds), (2, 60));
    assert_eq!(probe.error_percent, Some(5));
    assert_eq!(probe.latency_milliseconds, Some(200));
    let off = read("[abort_conditions]\ndrift = \"off\"\n").unwrap();
    assert_eq!(off.abort_conditions.drift, Reaction::Off);
}

#[test]
fn what_is_wrong_is_shown_in_its_place() {
    for (body, line, what) in [
        (
            "[gates]\nlag_second = 1\n",
            8,
            "did you mean `lag_seconds`?",
        ),
        ("[gates]\nlag_seconds = 0\n", 8, "a number from 0.001"),
        ("[gates]\nlag_seconds = nan\n", 8, "a number from 0.001"),
        ("[gates]\nlag_seconds = -inf\n", 8, "a number from 0.001"),
        ("[gates]\nlag_seconds = \"1\"\n", 8, "a number from 0.001"),
        ("[gates]\nlag_window_seconds = 0\n", 8, "from 1 to 86400"),
        ("[gates]\nproof_age_seconds = 1.5\n", 8, "a whole number"),
        (
            "[gates]\nproof_age_seconds = 0xffffffffffffffff\n",
            8,
            "a whole number",
        ),
        ("[gates]\nrehearsal_days = -1\n", 8, "from 1 to 3650"),
        ("[gates]\nrehearsal = false\n", 8, "a string"),
        ("[gates]\nrehearsal = \"no\"\n", 8, "\"required\", \"off\""),
        (
            "[gates]\nrehearsal_days = 2\nrehearsal = \"off\"\n",
            8,
            "remove one of both",
        ),
        ("[[gates]]\n", 7, "a section"),
        (
            "[abort_conditions]\naction = \"off\"\n",
            8,
            "\"alarm\", \"rollback\"",
        ),
        (
            "[abort_conditions]\ndrift = \"panic\"\n",
            8,
            "cannot be \"panic\"",
        ),
        (
            "[abort_conditions]\nreverse_lag_second = 3\n",
            8,
            "did you mean `reverse_lag_seconds`?",
        ),
        ("[abort_conditions]\nprobe = \"SELECT 1\"\n", 8, "a section"),
        (
            "[abort_conditions.probe]\nerror_percent = 1\n",
            7,
            "has no `query`",
        ),
        (
            "[abort_conditions.probe]\nquery = \"SELECT 1\"\n",
            7,
            "has no limit",
        ),
        (
            "[abort_conditions.probe]\nquery = \"DELETE FROM t\"\nerror_percent = 1\n",
            8,
            "is not a query",
        ),
        (
            "[abort_conditions.probe]\nquery = \"SELECT 1\"\nerror_percent = 100\n",
            9,
            "from 0 to 99",
        ),
    ] {
        let error = read(body).unwrap_err();
        let [problem] = &error.problems[..] else {
            panic!("{body}: {error}");
        };
        assert_eq!(problem.line, line, "{body}: {error}");
        let said = format!(
            "{} {}",
            problem.what,
            problem.fix.clone().unwrap_or_default()
        );
        assert!(said.contains(what), "{body}: {said}");
    }
}
