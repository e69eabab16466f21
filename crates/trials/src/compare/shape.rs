//! What stands around the rows: columns, keys, indexes, constraints, sequences, as each engine's own catalog writes them.

use crate::database::{Database, Dialect};

const POSTGRES: &[(&str, &str)] = &[
    (
        "column",
        "SELECT format('%I.%I.%I %s%s%s%s%s', n.nspname, c.relname, a.attname,
                format_type(a.atttypid, a.atttypmod),
                CASE WHEN a.attnotnull THEN ' not null' ELSE '' END,
                CASE a.attidentity WHEN '' THEN '' ELSE ' identity ' || a.attidentity::text END,
                CASE a.attgenerated WHEN '' THEN '' ELSE ' generated ' || a.attgenerated::text END,
                coalesce(' default ' || pg_get_expr(d.adbin, d.adrelid), ''))
         FROM pg_attribute a
         JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
         LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
         WHERE c.relkind IN ('r', 'p') AND a.attnum > 0 AND NOT a.attisdropped",
    ),
    (
        "constraint",
        // not-null constraints have rows of their own only from version 18 on; the columns tell of them on all
        "SELECT format('%I.%I %I %s%s', n.nspname, c.relname, k.conname, pg_get_constraintdef(k.oid),
                CASE WHEN k.convalidated THEN '' ELSE ' (not validated)' END)
         FROM pg_constraint k
         JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE k.contype IN ('p', 'u', 'f', 'c', 'x') AND c.relkind IN ('r', 'p')",
    ),
    (
        "index",
        "SELECT pg_get_indexdef(i.indexrelid) || CASE WHEN i.indisvalid THEN '' ELSE ' (invalid)' END
         FROM pg_index i
         JOIN pg_class c ON c.oid = i.indrelid JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE c.relkind IN ('r', 'p')",
    ),
];

const NOT_OURS: &str =
    " AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'crossfade', 'pg_toast')";

/// The shape of all tables of a database, one line a fact, sorted.
#[must_use]
pub fn shape(database: &Database) -> Vec<String> {
    let mut facts = match database.dialect() {
        Dialect::Postgres => POSTGRES
            .iter()
            .flat_map(|(what, sql)| {
                database
                    .rows(&format!("{sql}{NOT_OURS}"))
                    .into_iter()
                    .map(move |row| format!("{what} {}", row[0].clone().unwrap_or_default()))
            })
            .collect(),
        Dialect::Mysql => mysql(database),
        Dialect::Sqlite => sqlite(database),
    };
    facts.sort();
    facts
}

fn mysql(database: &Database) -> Vec<String> {
    let facts = [
        (
            "column",
            "SELECT TABLE_NAME, COLUMN_NAME, COLUMN_TYPE, IS_NULLABLE, COLUMN_DEFAULT, EXTRA, COLLATION_NAME
             FROM information_schema.COLUMNS",
        ),
        (
            "index",
            "SELECT TABLE_NAME, INDEX_NAME, NON_UNIQUE, SEQ_IN_INDEX, COLUMN_NAME, SUB_PART, INDEX_TYPE
             FROM information_schema.STATISTICS",
        ),
        (
            "foreign key",
            "SELECT TABLE_NAME, CONSTRAINT_NAME, COLUMN_NAME, REFERENCED_TABLE_NAME, REFERENCED_COLUMN_NAME
             FROM information_schema.KEY_COLUMN_USAGE",
        ),
    ];
    let mut out = Vec::new();
    for (what, sql) in facts {
        let sql = format!(
            "{sql} WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME NOT LIKE '|_crossfade|_%' ESCAPE '|'"
        );
        for row in database.rows(&sql) {
            let cells: Vec<String> = row
                .into_iter()
                .map(|cell| cell.unwrap_or_else(|| "NULL".to_owned()))
                .collect();
            out.push(format!("{what} {}", cells.join(" ")));
        }
    }
    out
}

fn sqlite(database: &Database) -> Vec<String> {
    let mut facts = Vec::new();
    for table in super::tables(database) {
        let name = super::read::literal(&table.name);
        for (what, sql) in [
            (
                "column",
                format!("SELECT name, type, \"notnull\", dflt_value, pk, hidden FROM pragma_table_xinfo({name})"),
            ),
            (
                "index",
                format!(
                    "SELECT l.name, l.\"unique\", l.origin, l.partial, x.seqno, x.name, x.\"desc\", x.coll
                     FROM pragma_index_list({name}) l, pragma_index_xinfo(l.name) x WHERE x.key"
                ),
            ),
            (
                "foreign key",
                format!(
                    "SELECT \"table\", seq, \"from\", \"to\", on_update, on_delete
                     FROM pragma_foreign_key_list({name})"
                ),
            ),
        ] {
            for row in database.rows(&sql) {
                let cells: Vec<String> = row
                    .into_iter()
                    .map(|cell| cell.unwrap_or_else(|| "NULL".to_owned()))
                    .collect();
                facts.push(format!("{what} {} {}", table.name, cells.join(" ")));
            }
        }
    }
    facts
}

/// Checks that two databases of one engine have tables of the same shape.
///
/// # Panics
/// With the facts that one side lacks.
#[track_caller]
pub fn assert_same(source: &Database, target: &Database) {
    let (ours, theirs) = (shape(source), shape(target));
    let lacks = |from: &[String], facts: &[String]| -> String {
        facts
            .iter()
            .filter(|fact| !from.contains(fact))
            .map(|fact| format!("  {fact}\n"))
            .collect()
    };
    let (missing, extra) = (lacks(&theirs, &ours), lacks(&ours, &theirs));
    assert!(
        missing.is_empty() && extra.is_empty(),
        "only on the source:\n{missing}only on the target:\n{extra}"
    );
}
