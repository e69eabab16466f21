#![allow(clippy::unwrap_used)]

use clap::Parser as _;

use super::*;
use crate::args::{Arguments, Command};

fn parse(line: &str) -> Result<Command, clap::Error> {
    let words = std::iter::once("crossfade").chain(line.split_whitespace());
    Arguments::try_parse_from(words).map(|arguments| arguments.command)
}

fn order(line: &str) -> Result<SwitchOrder, Failure> {
    match parse(line).unwrap_or_else(|e| panic!("{line}: {e}")) {
        Command::Switch(Switch::Reads(reads)) => reads.order(),
        Command::Switch(Switch::Writes(writes)) => writes.order(),
        Command::Rollback(rollback) => rollback.order(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_order_is_what_was_written() {
    let whole = order(
        "switch writes m.toml --owner ada --within 90s --dry-run --kill-blockers --override lag=known --override proof --reason manual",
    )
    .unwrap();
    assert_eq!(whole.what, Traffic::Writes);
    assert_eq!((whole.owner.as_str(), whole.within_ms), ("ada", 90_000));
    assert!(whole.dry_run && whole.kill_blockers);
    let overrides: Vec<(&str, &str)> = whole
        .overrides
        .iter()
        .map(|o| (o.gate.as_str(), o.reason.as_str()))
        .collect();
    assert_eq!(overrides, [("lag", "known"), ("proof", "manual")]);

    let least = order("rollback m.toml --owner ada").unwrap();
    assert_eq!((least.what, least.within_ms), (Traffic::Writes, 30_000));
    assert!(!least.dry_run && !least.kill_blockers && least.overrides.is_empty());

    let reads = |percent, tenant: Option<&str>| Traffic::Reads {
        percent,
        tenant: tenant.map(str::to_owned),
    };
    for (line, what) in [
        ("", reads(None, None)),
        (" --percent 0", reads(Some(0), None)),
        (" --tenant 42", reads(None, Some("42"))),
    ] {
        let line = format!("switch reads m.toml --owner ada{line}");
        assert_eq!(order(&line).unwrap().what, what, "{line}");
    }
}

#[test]
fn what_is_missing_or_wrong_is_refused_before_anything_is_done() {
    for line in [
        "switch m.toml --owner ada",
        "switch writes m.toml",
        "switch writes m.toml --owner=",
        "switch reads m.toml",
        "rollback m.toml",
        "complete m.toml",
        "switch writes m.toml --owner ada --percent 5",
        "switch reads m.toml --owner ada --kill-blockers",
        "switch reads m.toml --owner ada --percent 101",
        "switch reads m.toml --owner ada --percent 5 --tenant 1",
        "switch writes m.toml --owner ada --within 30",
        "switch writes m.toml --owner ada --reason why",
        "rollback m.toml --owner ada --target-destroyed",
        "rollback m.toml --owner ada --accept-loss-after 0/1",
        "log m.toml --since 4 --check",
    ] {
        let error = parse(line).map(|c| panic!("{line}: {c:?}")).unwrap_err();
        // these end with exit code 3
        assert!(error.use_stderr(), "{line}: {error}");
    }
    let nameless = parse("rollback m.toml").unwrap_err().to_string();
    assert!(nameless.contains("--owner <NAME>"), "{nameless}");
}

#[test]
fn a_destroyed_target_is_attested_with_a_position() {
    let line = "rollback m.toml --owner ada --target-destroyed --accept-loss-after 0/16B3748";
    let Command::Rollback(rollback) = parse(line).unwrap() else {
        panic!("another command")
    };
    assert!(rollback.target_destroyed);
    assert_eq!(rollback.accept_loss_after.as_deref(), Some("0/16B3748"));
}

#[test]
fn an_override_needs_a_gate_and_a_reason() {
    for (more, what) in [
        ("--override lag", "without a reason"),
        ("--override lag=", "without a reason"),
        ("--override lagg=known", "no gate `lagg`"),
        ("--override lag=a --override lag=b", "twice"),
        ("--override lag=a --reason b", "more reasons"),
        ("--override lag --reason a --reason b", "more reasons"),
    ] {
        let line = format!("switch writes m.toml --owner ada {more}");
        let failure = order(&line).unwrap_err();
        assert_eq!(failure.exit, USAGE, "{more}");
        assert_eq!(failure.code, "usage.override");
        assert!(failure.what.contains(what), "{more}: {}", failure.what);
        assert!(failure.fix.is_some());
    }
    let failure = order("switch writes m.toml --owner ada --override lagg=known").unwrap_err();
    assert!(failure.fix.unwrap().contains("did you mean `lag`?"));
}

#[test]
fn times_have_units_and_bounds() {
    for (text, ms) in [
        ("1ms", 1),
        ("500ms", 500),
        ("30s", 30_000),
        (" 30 s ", 30_000),
        ("2m", 120_000),
        ("60min", 3_600_000),
    ] {
        assert_eq!(time_box(text), Ok(Duration::from_millis(ms)), "{text}");
    }
    for text in [
        "",
        "s",
        "30",
        "0s",
        "-1s",
        "1.5s",
        "61m",
        "3601s",
        "1h",
        "99999999999999999999s",
        "18446744073709551615m",
        "٣s",
        "3é",
    ] {
        assert!(time_box(text).is_err(), "{text}");
    }
}
