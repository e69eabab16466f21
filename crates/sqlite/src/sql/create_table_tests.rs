#![allow(clippy::unwrap_used)]
use super::*;
use proptest::prelude::*;

proptest! {
    /// Statements come from files that anybody may have written.
    #[test]
    fn no_text_makes_it_panic(
        words in prop::collection::vec(
            prop_oneof![
                "[ -~é\\n]{0,6}",
                prop::sample::select(vec![
                    "CREATE", "TABLE", "t", "(", ")", ",", "UNIQUE", "CONSTRAINT", "REFERENCES", "CHECK", "AS", "FOREIGN", "KEY",
                    "ON", "CONFLICT", "DEFERRABLE", "NOT", "SET", "'", "\"", "[", "--", "/*",
                ]).prop_map(str::to_owned),
            ],
            0..40,
        )
    ) {
        for sql in [words.join(" "), format!("CREATE TABLE t({})", words.join(" "))] {
            let Some(table) = parse(&sql) else { continue };
            let _ = (table.checks(), table.references(), table.generated("t"), table.unique_with_conflict_clause());
            let _ = table.rewritten("n", &|p| (p.len() % 2 == 0).then(|| p.to_owned()));
            let _ = index_on(&sql, "x");
        }
    }
}

const FULL: &str = "CREATE TABLE \"old name\"(
    id INTEGER PRIMARY KEY AUTOINCREMENT, -- UNIQUE, in a comment
    [e mail] TEXT COLLATE NOCASE NOT NULL CONSTRAINT em UNIQUE ON CONFLICT REPLACE CHECK (length([e mail]) > 2),
    \"unique\" TEXT DEFAULT ('UNIQUE(') REFERENCES parent(x) ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
    total REAL GENERATED ALWAYS AS (id * (2 + 1)) STORED UNIQUE,
    CONSTRAINT two UNIQUE (id, \"unique\"),
    CONSTRAINT pos CHECK (id > 0) UNIQUE (id),
    FOREIGN KEY (id, [e mail]) REFERENCES 'parent'(a, b) NOT DEFERRABLE
) STRICT";

#[test]
fn clauses_are_found_outside_of_comments_texts_and_parentheses() {
    let table = parse(FULL).unwrap();
    assert!(table.unique_with_conflict_clause());
    assert_eq!(table.generated("TOTAL").unwrap(), "id * (2 + 1)");
    assert_eq!(table.generated("id"), None);
    let checks: Vec<_> = table.checks();
    assert_eq!(checks.len(), 2);
    assert_eq!(checks[0].definition, "CHECK (length([e mail]) > 2)");
    assert_eq!(checks[1].name.as_deref(), Some("pos"));
    assert_eq!(
        table.references(),
        [
            Reference {
                columns: vec!["unique".into()],
                deferrable: "DEFERRABLE INITIALLY DEFERRED".into()
            },
            Reference {
                columns: vec!["id".into(), "e mail".into()],
                deferrable: String::new()
            },
        ]
    );
}

#[test]
fn a_rewritten_table_has_no_unique_constraint_and_all_else() {
    let table = parse(FULL).unwrap();
    let text = table.rewritten("new\"name", &|p| (p == "parent").then(|| "p2".to_owned()));
    let again = parse(&text).unwrap();
    assert!(text.contains("CREATE TABLE \"new\"\"name\"("), "{text}");
    assert!(
        again
            .items
            .iter()
            .all(|i| again.clauses(i, "UNIQUE").next().is_none())
    );
    assert_eq!(again.checks(), table.checks());
    assert_eq!(again.references(), table.references());
    assert_eq!(text.matches("\"p2\"").count(), 2);
    assert!(text.ends_with("STRICT"));
    let db = rusqlite::Connection::open_in_memory().unwrap();
    db.execute_batch(&text).unwrap();
    let unique: i64 = db
        .query_row(
            "SELECT count(*) FROM pragma_index_list('new\"name')",
            [],
            |r| r.get(0),
        )
        .unwrap();
    assert_eq!(unique, 0);
}

#[test]
fn foreign_keys_to_absent_tables_are_left_out() {
    let sql = "CREATE TABLE c(a INT NOT NULL REFERENCES p ON DELETE SET NULL ON UPDATE NO ACTION DEFERRABLE INITIALLY DEFERRED CHECK (a > 0),
        b INT CONSTRAINT x REFERENCES q(i) MATCH FULL NOT DEFERRABLE NOT NULL DEFAULT 3,
        CONSTRAINT y FOREIGN KEY (a, b) REFERENCES p(a, b) ON DELETE CASCADE, CONSTRAINT z FOREIGN KEY (b) REFERENCES q(i))";
    let table = parse(sql).unwrap();
    let text = table.rewritten("c", &|p| (p == "q").then(|| "q".to_owned()));
    let again = parse(&text).unwrap();
    assert_eq!(
        again
            .references()
            .iter()
            .map(|r| r.columns.join("+"))
            .collect::<Vec<_>>(),
        ["b", "b"],
        "{text}"
    );
    assert_eq!(again.checks().len(), 1);
    let text = table.rewritten("c", &|_| None);
    assert!(parse(&text).unwrap().references().is_empty(), "{text}");
    let db = rusqlite::Connection::open_in_memory().unwrap();
    db.execute_batch(&text).unwrap();
    assert!(db.execute("INSERT INTO c(a) VALUES (NULL)", []).is_err());
    assert!(
        db.execute("INSERT INTO c(a, b) VALUES (1, NULL)", [])
            .is_err()
    );
    db.execute("INSERT INTO c(a) VALUES (1)", []).unwrap();
}

#[test]
fn texts_that_are_no_table_are_none() {
    for sql in [
        "",
        "CREATE VIEW v AS SELECT 1",
        "CREATE TABLE",
        "CREATE TABLE t",
        "CREATE TABLE t(a",
        "SELECT (1)",
    ] {
        assert!(parse(sql).is_none(), "{sql}");
    }
    assert!(parse("CREATE TABLE t()").is_some());
}

#[test]
fn an_index_moves_to_another_table() {
    assert_eq!(
        index_on("CREATE INDEX \"on\" ON 't'(a) WHERE a ON b", "x y"),
        "CREATE INDEX \"on\" ON \"x y\"(a) WHERE a ON b"
    );
}
