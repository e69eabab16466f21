#![allow(clippy::unwrap_used)]

use crossfade_model::{ForeignKey, Index};
use crossfade_mysql::MysqlStore;
use crossfade_postgres::PostgresStore;
use crossfade_sqlite::{Role, SqliteStore};

use super::*;
use crate::commands::init::testkit::{column, table};

fn integers(name: &str, columns: &[&str]) -> Table {
    let integer = |c: &&str| column(c, "int", LogicalType::Integer { bits: 32 });
    table(name, columns.iter().map(integer).collect())
}

fn of(tables: Vec<Table>) -> Schema {
    Schema {
        tables,
        ..Schema::default()
    }
}

fn truth(column: &str, holds_only_truths: Option<bool>) -> Truths {
    Truths {
        column: column.to_owned(),
        holds_only_truths,
    }
}

fn postgres() -> PostgresStore {
    PostgresStore::open("postgres://u@localhost/d").unwrap()
}

/// What is written of each table, without comments at the lines' ends: offered lines have a `#` before them.
fn proposed(
    source_engine: &str,
    source: &Schema,
    target: &dyn Target,
    there: &Schema,
    names: Names,
    truths: Vec<Truths>,
) -> Vec<(Vec<String>, Vec<String>)> {
    let truths = BTreeMap::from([(source.tables[0].name.clone(), truths)]);
    let sides = Sides {
        source_engine,
        source,
        target,
        there,
        names,
        truths: &truths,
    };
    let text = |line: Line| match line.is_offered {
        true => format!("# {}", line.text),
        false => line.text,
    };
    let each = propose(&sides).into_iter().map(|p| {
        let lines = p.to.into_iter().chain(p.drop).chain(p.columns);
        (lines.map(text).collect(), p.remarks)
    });
    each.collect()
}

#[test]
fn names_are_in_the_custom_of_each_target() {
    let source = of(vec![
        integers("OrderDetails", &["Id", "CustomerID", "with space", "plain"]),
        integers("plain", &["id"]),
    ]);
    let lines = |target: &dyn Target, names| {
        let all = proposed(
            "other",
            &source,
            target,
            &Schema::default(),
            names,
            Vec::new(),
        );
        all.into_iter().map(|(lines, _)| lines).collect::<Vec<_>>()
    };
    assert_eq!(
        lines(&postgres(), Names::Snake),
        [
            vec![
                "to = \"order_details\"",
                "id = \"Id\"",
                "customer_id = \"CustomerID\"",
                "with_space = { from = \"with space\" }",
            ],
            vec![],
        ]
    );
    assert_eq!(
        lines(&postgres(), Names::Lower)[0],
        [
            "to = \"orderdetails\"",
            "id = \"Id\"",
            "customerid = \"CustomerID\""
        ]
    );
    assert!(lines(&postgres(), Names::Keep)[0].is_empty());
    // columns are found in any case there
    let mysql = MysqlStore::open("mysql://u@localhost/d").unwrap();
    assert_eq!(lines(&mysql, Names::Snake)[0], ["to = \"order_details\""]);
    let file = std::env::temp_dir().join("crossfade-no-such-file.db");
    let sqlite = SqliteStore::open(&format!("sqlite:{}", file.display()), Role::Target).unwrap();
    assert!(lines(&sqlite, Names::Snake)[0].is_empty());
}

#[test]
fn one_engine_keeps_everything() {
    let source = of(vec![integers("Users", &["Id"])]);
    let all = proposed(
        "postgres",
        &source,
        &postgres(),
        &Schema::default(),
        Names::Snake,
        Vec::new(),
    );
    assert_eq!(all, [(Vec::new(), Vec::new())]);
}

#[test]
fn clashes_and_words_of_the_language_are_told() {
    let source = of(vec![
        integers("T", &["id", "UserId", "user_id", "Order"]),
        integers("User", &["id"]),
    ]);
    let all = proposed(
        "mysql",
        &source,
        &postgres(),
        &Schema::default(),
        Names::Snake,
        Vec::new(),
    );
    assert_eq!(all[0].0, ["to = \"t\"", "order = \"Order\""]);
    assert_eq!(all[1].0, ["to = \"user\""]);
    let said = |at: usize, part: &str| all[at].1.iter().any(|r| r.contains(part));
    assert!(said(0, "\"UserId\": keeps its name"), "{all:#?}");
    assert!(said(0, "\"order\" is a word"), "{all:#?}");
    assert!(said(1, "\"user\" is a word"), "{all:#?}");
}

#[test]
fn booleans_are_proposed_where_they_can_be_carried() {
    let flags = ["id", "known", "others", "unknown", "Indexed", "referred"];
    let tiny = |c: &&str| column(c, "tinyint(1)", LogicalType::Integer { bits: 16 });
    let mut flagged = table("t", flags.iter().map(tiny).collect());
    flagged.indexes.push(Index {
        name: "of_flag".to_owned(),
        columns: vec!["Indexed".to_owned()],
        unique: false,
        constraint: false,
        primary: false,
        special: false,
        of_table: true,
        definition: String::new(),
    });
    let mut child = integers("child", &["id"]);
    child.foreign_keys.push(ForeignKey {
        name: "to_flag".to_owned(),
        columns: vec!["id".to_owned()],
        parent: flagged.name.clone(),
        parent_columns: vec!["referred".to_owned()],
        definition: String::new(),
        actions: String::new(),
    });
    let source = of(vec![flagged, child]);
    let truths = || {
        vec![
            truth("id", Some(true)),
            truth("known", Some(true)),
            truth("others", Some(false)),
            truth("unknown", None),
            truth("Indexed", Some(true)),
            truth("referred", Some(true)),
        ]
    };
    let all = proposed(
        "mysql",
        &source,
        &postgres(),
        &Schema::default(),
        Names::Snake,
        truths(),
    );
    assert_eq!(
        all[0].0,
        [
            "known = \"cast(known as boolean)\"",
            "# unknown = \"cast(unknown as boolean)\"",
            "indexed = \"Indexed\"",
        ]
    );
    let said = |part: &str| all[0].1.iter().any(|r| r.contains(part));
    assert!(
        said("\"id\": tinyint(1) stays a number: the key"),
        "{all:#?}"
    );
    assert!(
        said("\"Indexed\": tinyint(1) stays a number: index \"of_flag\""),
        "{all:#?}"
    );
    assert!(
        said("\"referred\": tinyint(1) stays a number: foreign key"),
        "{all:#?}"
    );
    assert!(
        said("\"others\": tinyint(1) stays a number: there are"),
        "{all:#?}"
    );
    // where there is no such type, a number is a number
    let file = std::env::temp_dir().join("crossfade-no-such-file.db");
    let sqlite = SqliteStore::open(&format!("sqlite:{}", file.display()), Role::Target).unwrap();
    let all = proposed(
        "mysql",
        &source,
        &sqlite,
        &Schema::default(),
        Names::Snake,
        truths(),
    );
    assert!(all[0].0.is_empty());
}

#[test]
fn a_table_that_is_there_says_the_names() {
    let source = of(vec![integers(
        "OrderDetails",
        &["Id", "CustomerId", "Flag", "Kept"],
    )]);
    let mut there = integers("order_details", &["id", "customer_id", "flag", "Kept"]);
    there.name.schema = Some("public".to_owned());
    there.columns[2].logical = LogicalType::Boolean;
    let truths = vec![truth("Flag", Some(true))];
    let all = proposed(
        "mysql",
        &source,
        &postgres(),
        &of(vec![there]),
        Names::Keep,
        truths,
    );
    assert_eq!(
        all[0].0,
        [
            "to = \"order_details\"",
            "drop = [\"Flag\"]",
            "id = \"Id\"",
            "customer_id = \"CustomerId\"",
            "flag = \"cast(Flag as boolean)\"",
        ]
    );
}

/// Whatever names a table has, what is written of them can be read, and says the same names.
#[test]
fn odd_names_are_written_so_that_they_are_read_again() {
    let odd = [
        "Id",
        "a\"B",
        "c.D",
        "back\\Slash",
        "tab\tName",
        "日本A",
        "it's A",
        "Select",
        "Null",
        "1A",
        "-A",
    ];
    let long = format!("{}A", "long".repeat(20));
    let mut names: Vec<&str> = odd.to_vec();
    names.push(&long);
    let source = of(names.iter().map(|name| integers(name, &names)).collect());
    let target = postgres();
    let truths = BTreeMap::new();
    let sides = Sides {
        source_engine: "mysql",
        source: &source,
        target: &target,
        there: &Schema::default(),
        names: Names::Snake,
        truths: &truths,
    };
    let proposed = propose(&sides);
    let text: String = source
        .tables
        .iter()
        .zip(&proposed)
        .map(|(table, p)| super::super::entry(table, p, ""))
        .collect();
    let text = format!(
        "[migration]\nname = \"m\"\n[source]\nurl = \"sqlite:a\"\n[target]\nurl = \"sqlite:b\"\n{text}"
    );
    let file = crossfade_plan::file::parse("m.toml", &text, &|_| None);
    let file = file.unwrap_or_else(|e| panic!("{e:?}\n{text}"));
    assert_eq!(file.tables.len(), names.len());
    for (entry, name) in file.tables.iter().zip(&names) {
        assert_eq!(&entry.from.text, name);
        let of: BTreeSet<&str> = entry
            .columns
            .iter()
            .filter_map(|c| c.made.expression.as_column())
            .collect();
        assert!(entry.columns.iter().all(|c| c.is_rename()), "{text}");
        assert!(of.contains("a\"B") && of.contains(long.as_str()), "{of:?}");
        let to = entry.to.as_ref().map_or("", |to| &to.text);
        assert!(to.len() <= 63 && to.to_lowercase() == *to, "{to}");
    }
}
