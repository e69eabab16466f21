//! `docs/types.md` says what the stores themselves say of every pair of types.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fmt::Write as _;
use std::path::Path;

use crossfade_model::{Column, KeyOrder, Table, TableKey, TableName};
use crossfade_mysql::MysqlStore;
use crossfade_postgres::PostgresStore;
use crossfade_sqlite::{Role, SqliteStore};
use crossfade_store::{DeclaredColumn, Target};

/// Set by `cargo xtask types`: the page is written, not compared.
const WRITE: &str = "CROSSFADE_WRITE_TYPES";

const HEAD: &str = "\
# Types

What a column of each type becomes on each kind of target, and what is known of its values there. Written by `cargo xtask types` from
the very functions that make tables and compare columns; a test fails where this page says something else.

- **Target's type**: what `run` declares where it makes the table. A table that is there already may have other types; `plan` refuses those that
  cannot hold every value.
- **Values**: *exact* is bit-equal in the same engine; otherwise the equivalence under which both sides are compared, as a certificate states it.
  **lossy** columns are refused by `plan` with the reason, until the loss is declared ([mappings](mappings.md)).
- **Not held**: values that the source's type has and the target's has not. Nothing is cut or rounded: the row waits
  in quarantine, named with its column, and no run ends as followed and no switch begins before it was mended.

Two tables apply to MySQL and MariaDB alike, which have one dialect here; what only one of them has (`uuid`, `inet4`, `inet6`, newer `vector`), `plan` refuses where the
other would make the table. Values of a type that has no like on the target (arrays, ranges, intervals,
enums, sets, bit fields, addresses, MySQL's `time`, which goes to 838 hours) are kept as the text that their server prints. Geometry is kept as the server's own bytes: the
reference system's number in four bytes, then WKB.
Generated columns are made by the same engine alone and never copied; from another engine `plan` lists them as not carried.
A domain is kept as the type that it is over; between PostgreSQL servers it is made as it is, with its checks.
In a key or unique index a MySQL target gives texts and bytes only the room that an index has.
";

const COLLATIONS: &str = "
## Collations

A collation says in which order texts come and which are equal; it changes no text. Both sides are compared byte by byte under every collation, so `a` and `A`, or `a` and `a` with
a blank behind it, are two values, also where a server's index holds them equal. Rows are found by exactly their key. A target's key that may hold two of the source's values equal is refused by `plan`, unless the source's own collation
is the same, and so is a collation that the target's server has not; where another unique index of the target's holds two rows equal all the same, the second of them waits in quarantine.
A text that identifies rows is read in ranges of keys where the source orders it by its bytes; under another collation its table is copied in physical parts.

| source | to | target's type | values | what `plan` lists |
| --- | --- | --- | --- | --- |
";

/// Texts with a collation of their own, as the catalogs describe them.
fn collated() -> Vec<(&'static str, &'static str, Column)> {
    let column = |declared: &str, collation: &str| Column {
        name: "v".to_owned(),
        logical: crossfade_model::LogicalType::Text,
        declared: declared.to_owned(),
        nullable: true,
        default: None,
        generated: None,
        identity: None,
        collation: Some(collation.to_owned()),
    };
    vec![
        (
            "PostgreSQL",
            "postgres",
            column("text", "pg_catalog.\"de-x-icu\""),
        ),
        (
            "MySQL",
            crossfade_mysql::ENGINE,
            column("varchar(255)", "utf8mb4_0900_ai_ci"),
        ),
        (
            "MySQL, MariaDB",
            crossfade_mysql::ENGINE,
            column("varchar(255)", "utf8mb4_bin"),
        ),
        (
            "MariaDB",
            crossfade_mysql::ENGINE,
            column("varchar(255)", "utf8mb4_uca1400_ai_ci"),
        ),
        ("SQLite", crossfade_sqlite::ENGINE, column("TEXT", "NOCASE")),
    ]
}

fn collations(out: &mut String) {
    out.push_str(COLLATIONS);
    for (source_name, engine, column) in collated() {
        for (target_name, target) in targets() {
            let declared = target.declare(engine, &table(&column), &column);
            let collation = |column: &Column| {
                let name = column.collation.as_deref();
                name.map_or_else(String::new, |name| format!(" COLLATE {name}"))
            };
            let listed = declared.omissions.iter().map(|o| o.why.as_str());
            writeln!(
                out,
                "| {source_name} `{}{}` | {target_name} | `{}{}` | {} | {} |",
                column.declared,
                collation(&column),
                declared.column.declared,
                collation(&declared.column),
                values(&declared),
                listed.collect::<Vec<_>>().join("; ")
            )
            .unwrap();
        }
    }
}

fn targets() -> Vec<(&'static str, Box<dyn Target>)> {
    let folder = std::env::temp_dir();
    let file = folder.join("crossfade-no-such-file.db");
    vec![
        (
            "PostgreSQL",
            Box::new(PostgresStore::open("postgres://u@localhost/d").unwrap()),
        ),
        (
            "MySQL, MariaDB",
            Box::new(MysqlStore::open("mysql://u@localhost/d").unwrap()),
        ),
        (
            "SQLite",
            Box::new(
                SqliteStore::open(&format!("sqlite:{}", file.display()), Role::Target).unwrap(),
            ),
        ),
    ]
}

fn sources() -> Vec<(&'static str, &'static str, Vec<Column>)> {
    vec![
        ("PostgreSQL", "postgres", crossfade_postgres::known_types()),
        (
            "MySQL, MariaDB",
            crossfade_mysql::ENGINE,
            crossfade_mysql::known_types(),
        ),
        (
            "SQLite",
            crossfade_sqlite::ENGINE,
            crossfade_sqlite::known_types(),
        ),
    ]
}

/// A table with an integer as its key beside the column.
fn table(column: &Column) -> Table {
    let key = Column {
        name: "id".to_owned(),
        logical: crossfade_model::LogicalType::Integer { bits: 64 },
        declared: "bigint".to_owned(),
        nullable: false,
        ..column.clone()
    };
    Table {
        name: TableName {
            schema: None,
            name: "t".to_owned(),
        },
        columns: vec![key, column.clone()],
        key: Some(TableKey {
            name: "k".to_owned(),
            columns: vec![0],
            primary: true,
            order: KeyOrder::Ordered,
        }),
        full_before_images: false,
        indexes: Vec::new(),
        foreign_keys: Vec::new(),
        checks: Vec::new(),
        partition_by: None,
        partitions: Vec::new(),
        estimated_rows: 0,
        estimated_bytes: 0,
        definition: None,
    }
}

fn code(text: &str) -> String {
    if text.is_empty() {
        "(no type)".to_owned()
    } else {
        format!("`{text}`")
    }
}

fn values(declared: &DeclaredColumn) -> String {
    match (&declared.lossy, declared.canonical) {
        (Some(why), _) => format!("**lossy**: {why}"),
        (None, crossfade_model::Canonical::Exact) => "exact".to_owned(),
        (None, class) => class.claim().to_owned(),
    }
}

fn page() -> String {
    let mut out = HEAD.to_owned();
    for (source_name, engine, columns) in sources() {
        for (target_name, target) in targets() {
            writeln!(out, "\n## {source_name} to {target_name}\n").unwrap();
            out.push_str(
                "| source | target's type | values | not held |\n| --- | --- | --- | --- |\n",
            );
            for column in &columns {
                let declared = target.declare(engine, &table(column), column);
                writeln!(
                    out,
                    "| {} | {} | {} | {} |",
                    code(&column.declared),
                    code(&declared.column.declared),
                    values(&declared),
                    declared.refuses.as_deref().unwrap_or_default()
                )
                .unwrap();
            }
        }
    }
    collations(&mut out);
    out
}

#[test]
fn the_page_says_what_the_code_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/types.md");
    let page = page();
    if std::env::var_os(WRITE).is_some() {
        std::fs::write(&path, page).unwrap();
        return;
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    for (said, is) in written.lines().zip(page.lines()) {
        assert_eq!(said, is, "run `cargo xtask types`");
    }
    assert_eq!(written.len(), page.len(), "run `cargo xtask types`");
}

/// What is declared for a column must be accepted where it is there already, in the same form.
#[test]
fn a_declared_column_is_one_that_holds_its_source() {
    let mut wrong = Vec::new();
    for (source_name, engine, columns) in sources() {
        for (target_name, target) in targets() {
            for column in &columns {
                let declared = target.declare(engine, &table(column), column);
                let compared = target.compare(engine, column, &declared.column);
                if declared.lossy.is_none() && compared != Ok(declared.canonical) {
                    wrong.push(format!(
                        "{source_name} {} to {target_name} {}: {compared:?}",
                        column.declared, declared.column.declared
                    ));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
