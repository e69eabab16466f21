//! docs/types.md is what the stores' own rules say. `CROSSFADE_WRITE_DOCS=1 cargo test -p crossfade --test types` writes it anew.
#![allow(clippy::unwrap_used)]

use crossfade_model::{Column, LogicalType, Table, TableName};
use crossfade_mysql::MysqlStore;
use crossfade_postgres::PostgresStore;
use crossfade_sqlite::{Role, SqliteStore};
use crossfade_store::Target;

const HEAD: &str = "# Types

Which type of each engine becomes which of another one, and what is claimed of its values. This page is written by the program's own rules.

- **exact**: the store's own form, bit by bit.
- *equal as …*, *bit-equal …*: the same value, in the form in which `verify` compares both sides and a certificate states it. A text form keeps whatever the source prints.
- **lossy**: the target's type would change values. `plan` refuses it until the table is made with another type, or the loss is declared with `lossy`
  ([mappings](mappings.md)).

Tables between stores of one engine keep their types, and are not listed; so do collations, defaults, checks and generated columns there. Between engines, generated columns are not
carried, and columns that compare texts otherwise than by their bytes lose their collation: `plan` lists them.

A value that the target's column cannot hold stops the run when it is met, with table and column, and is never bent: PostgreSQL's infinities and dates before the year 0 on MySQL and MariaDB,
NaN in their decimals, more than 35 digits before or 30 behind the point; zero dates, and texts with a NUL byte, on PostgreSQL. Columns in keys and unique indexes of MySQL and MariaDB are as long
as an index may be.
";

fn column(declared: &str, logical: LogicalType) -> Column {
    Column {
        name: "c".to_owned(),
        logical,
        declared: declared.to_owned(),
        nullable: true,
        default: None,
        generated: None,
        identity: None,
        collation: None,
    }
}

fn table(column: &Column) -> Table {
    Table {
        name: TableName {
            schema: None,
            name: "t".to_owned(),
        },
        columns: vec![column.clone()],
        key: None,
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

/// What a target makes of a source's column.
fn cell(target: &dyn Target, engine: &str, declared: &str, logical: LogicalType) -> String {
    let column = column(declared, logical);
    let kept = target.declare(engine, &table(&column), &column);
    let claim = match kept.canonical.claim() {
        "bit-equal" => "exact",
        claim => claim,
    };
    match kept.lossy {
        None => format!("`{}`, {claim}", kept.column.declared),
        Some(why) => format!("`{}`, **lossy**: {why}", kept.column.declared),
    }
}

fn page() -> String {
    let folder = tempfile::tempdir().unwrap();
    let file = format!("sqlite:{}", folder.path().join("t.db").display());
    let postgres = PostgresStore::open("postgres://u@localhost/d").unwrap();
    let mysql = MysqlStore::open("mysql://u@localhost/d").unwrap();
    let sqlite = SqliteStore::open(&file, Role::Target).unwrap();
    let stores: [(&str, &str, &dyn Target, Vec<(&str, LogicalType)>); 3] = [
        (
            "PostgreSQL",
            "postgres",
            &postgres,
            crossfade_postgres::types::documented(),
        ),
        (
            "MySQL, MariaDB",
            "mysql",
            &mysql,
            crossfade_mysql::documented_types(),
        ),
        (
            "SQLite",
            "sqlite",
            &sqlite,
            crossfade_sqlite::documented_types(),
        ),
    ];
    let mut out = HEAD.to_owned();
    for (name, engine, _, types) in &stores {
        let targets: Vec<_> = stores
            .iter()
            .filter(|(_, other, ..)| other != engine)
            .collect();
        out.push_str(&format!("\n## From {name}\n\n| type |"));
        for (target, ..) in &targets {
            out.push_str(&format!(" {target} |"));
        }
        out.push_str("\n| --- |");
        out.push_str(&" --- |".repeat(targets.len()));
        for (declared, logical) in types {
            let shown = if declared.is_empty() {
                "no type".to_owned()
            } else {
                format!("`{declared}`")
            };
            out.push_str(&format!("\n| {shown} |"));
            for (_, _, target, _) in &targets {
                out.push_str(&format!(" {} |", cell(*target, engine, declared, *logical)));
            }
        }
        out.push('\n');
    }
    out
}

#[test]
fn the_page_of_types_is_what_the_stores_say() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/types.md");
    let page = page();
    if std::env::var_os("CROSSFADE_WRITE_DOCS").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap();
    assert!(
        kept == page,
        "docs/types.md is not what the stores say: write it anew with CROSSFADE_WRITE_DOCS=1"
    );
    // a type that the rules know nothing of would be listed as one known by its text
    assert!(
        page.contains("| `bigint unsigned` | `numeric`, equal as decimal |"),
        "{page}"
    );
}
