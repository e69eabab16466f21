#![allow(clippy::unwrap_used)]

use crate::file::{FileError, MigrationFile, parse};

fn read(body: &str) -> Result<MigrationFile, FileError> {
    let head =
        "[migration]\nname = \"m\"\n[source]\nurl = \"sqlite:a\"\n[target]\nurl = \"sqlite:b\"\n";
    parse("m.toml", &format!("{head}{body}"), &|_| None)
}

const WHOLE: &str = "[[projection]]\nname = \"totals\"\nsource = \"\"\"\n-- by day\nselect 1 as day;\n\"\"\"\ntarget = \"WITH a AS (SELECT 1 AS day) SELECT * FROM a\"\nkey = [\"day\"]\n";

#[test]
fn a_projection_is_two_queries_and_a_key() {
    let file = read(WHOLE).unwrap();
    let [projection] = &file.projections[..] else {
        panic!("{file:?}");
    };
    assert_eq!(projection.name.text, "totals");
    assert_eq!(projection.source.text, "-- by day\nselect 1 as day");
    assert_eq!(projection.key, ["day"]);
    assert_eq!(read("").unwrap().projections, []);
}

#[test]
fn what_is_wrong_is_shown_in_its_place() {
    let twice = format!("{WHOLE}{WHOLE}");
    for (body, what, line) in [
        (twice.as_str(), "another projection has this name", 16),
        ("[projection]\nname = 1\n", "projections are a list", 7),
        ("[[projection]]\nname = \"a\"\n", "has no `source`", 7),
        (&WHOLE.replace("key =", "keys ="), "unknown key `keys`", 14),
        (
            &WHOLE.replace("[\"day\"]", "\"day\""),
            "list of strings",
            14,
        ),
        (&WHOLE.replace("[\"day\"]", "[]"), "names no column", 14),
        (
            &WHOLE.replace("[\"day\"]", "[\"day\", \"day\"]"),
            "twice",
            14,
        ),
        (
            &WHOLE.replace("\"WITH a", "\"DELETE"),
            "`target` is not a query",
            13,
        ),
        (
            &WHOLE.replace("select 1", "/* select"),
            "`source` is not a query",
            9,
        ),
    ] {
        let error = read(body).unwrap_err();
        let problem = error
            .problems
            .iter()
            .find(|p| error.to_string().contains(what) && p.line == line);
        assert!(problem.is_some(), "{what}, line {line}:\n{error}");
    }
}
