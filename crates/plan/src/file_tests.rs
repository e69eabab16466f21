#![allow(clippy::unwrap_used)]

use super::*;

const GOOD: &str = r#"
[migration]
name = "shop"
exclude = ["public.audit_*"]

[source]
url = "postgres://app:${PW}@old:5432/shop"

[target]
url = "sqlite:new.db"

[[table]]
from = "public.orders"
to = "orders"

[[table]]
from = "public.stock"

[run]
loaders = 4
chunk_bytes = 1_000_000
"#;

fn read(text: &str) -> Result<MigrationFile, FileError> {
    parse("m.toml", text, &|name| {
        (name == "PW").then(|| "geheim".to_owned())
    })
}

/// The places and words of the problems of a file.
fn problems(text: &str) -> Vec<(usize, usize, String)> {
    read(text)
        .unwrap_err()
        .problems
        .into_iter()
        .map(|p| {
            (
                p.line,
                p.column,
                format!("{} / {}", p.what, p.fix.unwrap_or_default()),
            )
        })
        .collect()
}

#[test]
fn a_good_file_is_read() {
    let file = read(GOOD).unwrap();
    assert_eq!(file.name, "shop");
    assert_eq!(file.exclude[0].text, "public.audit_*");
    assert_eq!(file.source.expose(), "postgres://app:geheim@old:5432/shop");
    assert_eq!(file.tables[0].from.text, "public.orders");
    assert_eq!(file.tables[0].from.line, 13);
    assert_eq!(file.tables[0].to.as_ref().unwrap().text, "orders");
    assert_eq!(file.tables[1].to, None);
    assert_eq!((file.run.loaders, file.run.chunk_bytes), (4, 1_000_000));
    assert_eq!(file.run.batch_changes, RunOptions::default().batch_changes);
}

#[test]
fn broken_toml_has_line_and_column() {
    let broken = GOOD.replace("name = \"shop\"", "name = shop");
    let error = read(&broken).unwrap_err();
    assert_eq!((error.problems[0].line, error.problems[0].column), (3, 8));
    assert!(error.to_string().contains("m.toml:3:8"), "{error}");
}

#[test]
fn an_unknown_key_lists_the_known_ones() {
    let text = GOOD.replace("loaders = 4", "loader = 4");
    let found = problems(&text);
    assert_eq!((found[0].0, found[0].1), (20, 1));
    assert!(found[0].2.contains("did you mean `loaders`?"), "{found:?}");
    assert!(found[0].2.contains("`log_budget_bytes`"));
    let found = problems(&GOOD.replace("[run]", "[running]"));
    assert!(
        found[0].2.contains("unknown key `running` in the file"),
        "{found:?}"
    );
}

#[test]
fn a_missing_variable_is_shown_at_its_place_and_no_secret_is() {
    let text = GOOD
        .replace("${PW}", "${NOPE}")
        .replace("sqlite:new.db", "oracle://app:hidden@new/shop");
    let error = read(&text).unwrap_err();
    assert_eq!((error.problems[0].line, error.problems[0].column), (7, 23));
    assert!(error.problems[0].what.contains("NOPE"));
    assert_eq!(error.problems[1].line, 10);
    assert!(!error.to_string().contains("hidden"), "{error}");
}

#[test]
fn all_problems_are_told_at_once_in_order() {
    let text = "[migration]\nname = \"Shop!\"\nexclude = \"x\"\n[source]\nurl = 3\n[[table]]\nto = \"x\"\n[run]\nloaders = 0\n";
    let lines: Vec<usize> = problems(text).into_iter().map(|p| p.0).collect();
    assert_eq!(lines, [2, 3, 5, 6, 9, 10]);
}

#[test]
fn nothing_that_is_not_a_file_makes_it_panic() {
    for text in [
        "",
        "\u{feff}",
        "[",
        "=",
        "[[table]]",
        "table = 1",
        "migration = 1\nsource = []\ntarget = 'x'",
        "\0",
        "ü",
    ] {
        assert!(read(text).is_err(), "{text:?}");
    }
    for end in (0..GOOD.len()).filter(|i| GOOD.is_char_boundary(*i)) {
        let _ = read(&GOOD[..end]).map_err(|e| e.to_string());
    }
}
