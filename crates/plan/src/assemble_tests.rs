#![allow(clippy::unwrap_used)]

use crossfade_model::{KeyOrder, LogicalType, TableKey};

use super::*;
use crate::file::parse;

/// A target of another engine: no schemas, integers and texts only.
pub(super) struct Plain;

impl Dialect for Plain {
    fn default_name(&self, source: &TableName) -> TableName {
        TableName {
            schema: None,
            name: source.name.clone(),
        }
    }

    fn design(
        &self,
        table: &Table,
        name: &TableName,
        rename: &dyn Fn(&TableName) -> Option<TableName>,
    ) -> (Table, Vec<Omission>) {
        assert_eq!(rename(&table.name).as_ref(), Some(name));
        let designed = Table {
            name: name.clone(),
            ..table.clone()
        };
        (designed, Vec::new())
    }

    fn design_mapped(
        &self,
        table: &Table,
        made: &BTreeSet<String>,
        name: &TableName,
        rename: &dyn Fn(&TableName) -> Option<TableName>,
    ) -> (Table, Vec<Omission>) {
        assert!(
            made.iter()
                .all(|name| table.columns.iter().any(|c| c.name == *name))
        );
        self.design(table, name, rename)
    }

    fn declare(&self, _: &Table, column: &Column, _: bool) -> Declared {
        Declared {
            name: column.name.clone(),
            canonical: canonical(column.logical),
            lossy: matches!(column.logical, LogicalType::Other | LogicalType::Any)
                .then(|| "no such type".to_owned()),
            omissions: Vec::new(),
        }
    }

    fn compare(&self, source: &Column, target: &Column, _: bool) -> Result<Canonical, String> {
        if source.logical == target.logical {
            Ok(canonical(source.logical))
        } else {
            Err("another type".to_owned())
        }
    }
}

fn canonical(logical: LogicalType) -> Canonical {
    match logical {
        LogicalType::Integer { .. } => Canonical::Integer,
        _ => Canonical::Exact,
    }
}

pub(super) fn column(name: &str, logical: LogicalType) -> Column {
    Column {
        name: name.to_owned(),
        logical,
        declared: format!("{logical:?}"),
        nullable: false,
        default: None,
        generated: None,
        identity: None,
        collation: None,
    }
}

const INT: LogicalType = LogicalType::Integer { bits: 64 };

pub(super) fn table(schema: Option<&str>, name: &str, columns: Vec<Column>) -> Table {
    Table {
        name: TableName {
            schema: schema.map(str::to_owned),
            name: name.to_owned(),
        },
        columns,
        key: Some(TableKey {
            name: "k".to_owned(),
            columns: vec![0],
            primary: true,
            order: KeyOrder::Ordered,
        }),
        full_before_images: false,
        indexes: vec![],
        foreign_keys: vec![],
        checks: vec![],
        partition_by: None,
        partitions: vec![],
        definition: None,
        estimated_rows: 5,
        estimated_bytes: 500,
    }
}

fn simple(schema: Option<&str>, name: &str) -> Table {
    let columns = vec![column("id", INT), column("note", LogicalType::Text)];
    table(schema, name, columns)
}

pub(super) fn schema(tables: Vec<Table>) -> Schema {
    Schema {
        tables,
        ..Schema::default()
    }
}

pub(super) fn plan_of(body: &str, source: &Schema, target: &Schema) -> Plan {
    assemble(&Inputs {
        file: &file(body),
        source_engine: "one",
        target_engine: "other",
        source,
        target,
        dialect: &Plain,
    })
}

pub(super) fn file(body: &str) -> MigrationFile {
    let (migration, tables) = body.split_once("---").unwrap_or(("", body));
    let text = format!(
        "[migration]\nname='m'\n{migration}\n[source]\nurl='sqlite:a'\n[target]\nurl='sqlite:b'\n{tables}"
    );
    parse("m.toml", &text, &|_| None).unwrap()
}

pub(super) fn codes(plan: &Plan) -> Vec<&str> {
    plan.findings.iter().map(|f| f.code.as_str()).collect()
}

#[test]
fn all_tables_by_source_name_get_ids_in_that_order() {
    let source = schema(vec![
        simple(Some("b"), "x"),
        simple(Some("a"), "z"),
        simple(Some("a"), "y"),
    ]);
    let plan = plan_of("", &source, &Schema::default());
    assert_eq!(codes(&plan), Vec::<&str>::new());
    let names: Vec<String> = plan
        .tables
        .iter()
        .map(|t| t.source.name.to_string())
        .collect();
    assert_eq!(names, ["a.y", "a.z", "b.x"]);
    assert_eq!(plan.tables[2].id, TableId(2));
    assert!(plan.present.is_empty());
    let mut moved = source.clone();
    moved.tables.reverse();
    moved.tables[0].estimated_rows = 99;
    assert_eq!(plan_of("", &moved, &Schema::default()).hash(), plan.hash());
    moved.tables[0].columns[1].nullable = true;
    assert_ne!(plan_of("", &moved, &Schema::default()).hash(), plan.hash());
}

#[test]
fn two_tables_to_one_name_block_also_by_case() {
    let source = schema(vec![simple(Some("a"), "x"), simple(Some("b"), "X")]);
    let plan = plan_of("", &source, &Schema::default());
    assert_eq!(codes(&plan), ["plan.name_collision"]);
    let renamed = "[[table]]\nfrom='a.x'\n[[table]]\nfrom='b.X'\nto='x2'";
    assert_eq!(
        codes(&plan_of(renamed, &source, &Schema::default())),
        Vec::<&str>::new()
    );
    let there = schema(vec![simple(None, "X")]);
    assert_eq!(
        codes(&plan_of("exclude=['b.*']---", &source, &there)),
        ["plan.name_case"]
    );
}

#[test]
fn a_table_that_is_not_there_is_told_with_near_names() {
    let source = schema(vec![simple(Some("public"), "orders")]);
    let plan = plan_of(
        "[[table]]\nfrom='public.order'",
        &source,
        &Schema::default(),
    );
    assert_eq!(codes(&plan), ["plan.no_such_table"]);
    assert!(
        plan.findings[0].what.contains("line 9"),
        "{:?}",
        plan.findings[0]
    );
    assert!(
        plan.findings[0]
            .fix
            .as_ref()
            .unwrap()
            .contains("public.orders")
    );
    assert!(plan.is_blocked());
    // the bare name is enough where it is the only one
    let plan = plan_of("[[table]]\nfrom='orders'", &source, &Schema::default());
    assert_eq!(plan.tables.len(), 1);
    let two = schema(vec![
        simple(Some("a"), "orders"),
        simple(Some("b"), "orders"),
    ]);
    let plan = plan_of("[[table]]\nfrom='orders'", &two, &Schema::default());
    assert_eq!(codes(&plan), ["plan.ambiguous_table"]);
    let plan = plan_of(
        "[[table]]\nfrom='a.orders'\n[[table]]\nfrom='a.orders'",
        &two,
        &Schema::default(),
    );
    assert_eq!(codes(&plan), ["plan.table_twice"]);
    assert_eq!(
        codes(&plan_of("", &Schema::default(), &Schema::default())),
        ["plan.no_tables"]
    );
    let plan = plan_of("exclude=['ordes']---", &source, &Schema::default());
    assert_eq!(codes(&plan), ["plan.exclude_nothing"]);
    assert!(!plan.is_blocked());
}

#[test]
fn a_table_that_is_there_is_checked_column_by_column() {
    let mut from = simple(None, "t");
    from.columns.push(column("amount", INT));
    from.columns[1].nullable = true;
    let mut to = simple(None, "t");
    to.columns.remove(0);
    to.columns.insert(0, column("other", INT));
    to.columns.push(column("amount", LogicalType::Text));
    let plan = plan_of("", &schema(vec![from]), &schema(vec![to]));
    let mut found = codes(&plan);
    found.sort_unstable();
    assert_eq!(
        found,
        [
            "column.missing",
            "column.nullability",
            "column.type",
            "column.unfilled",
            "key.different"
        ]
    );
    assert!(plan.present.contains(&TableId(0)));
    assert!(plan.own_tables().is_empty());
}

#[test]
fn a_fitting_table_that_is_there_has_no_finding_and_its_own_column_names() {
    let from = simple(None, "t");
    let mut to = simple(None, "t");
    to.columns[1].name = "Note".to_owned();
    to.columns.push(Column {
        default: Some("now()".to_owned()),
        ..column("at", INT)
    });
    let plan = plan_of("", &schema(vec![from]), &schema(vec![to]));
    assert_eq!(codes(&plan), ["column.target_only"]);
    assert!(!plan.is_blocked());
    assert_eq!(plan.tables[0].columns[1].target, "Note");
}

#[test]
fn a_coarser_key_on_the_target_blocks() {
    let key = |collation: Option<&str>| Column {
        collation: collation.map(str::to_owned),
        ..column("id", LogicalType::Text)
    };
    let of = |c| schema(vec![table(None, "t", vec![key(c)])]);
    assert_eq!(
        codes(&plan_of("", &of(None), &of(Some("NOCASE")))),
        ["key.coarser"]
    );
    assert_eq!(
        codes(&plan_of("", &of(None), &of(Some("BINARY")))),
        Vec::<&str>::new()
    );
    assert_eq!(
        codes(&plan_of("", &of(Some("NOCASE")), &of(Some("NOCASE")))),
        Vec::<&str>::new()
    );
}

#[test]
fn a_lossy_column_blocks_and_a_generated_one_is_not_captured() {
    let mut from = simple(None, "t");
    from.columns.push(column("odd", LogicalType::Other));
    from.columns.push(Column {
        generated: Some(crossfade_model::Generated {
            expression: "id + 1".to_owned(),
            stored: true,
        }),
        ..column("sum", INT)
    });
    let plan = plan_of("", &schema(vec![from]), &Schema::default());
    assert_eq!(codes(&plan), ["column.lossy"]);
    assert_eq!(plan.tables[0].columns.len(), 3);
    assert!(!plan.tables[0].same_shape);
}

#[test]
fn a_begun_migration_notices_what_changed() {
    let source = schema(vec![simple(None, "a"), simple(None, "b")]);
    let plan = plan_of("", &source, &Schema::default());
    let drifted = |body: &str, now: &Schema| {
        drift(&plan, &file(body), now, &Plain)
            .into_iter()
            .map(|f| f.code)
            .collect::<Vec<_>>()
    };
    assert_eq!(drifted("", &source), Vec::<String>::new());
    let mut other = source.clone();
    other.tables[0].columns.push(column("more", INT));
    other.tables[1].columns[1].declared = "blob".to_owned();
    assert_eq!(drifted("", &other), ["drift.source", "drift.source"]);
    other = source.clone();
    other.tables.push(simple(None, "c"));
    assert_eq!(drifted("", &other), ["drift.new_table"]);
    assert_eq!(
        drifted("[[table]]\nfrom='a'\nto='z'", &source),
        ["drift.file", "drift.file"]
    );
    other.tables.remove(0);
    assert_eq!(drifted("exclude=['c']---", &other), ["drift.source"]);
}

#[test]
fn a_plan_survives_being_kept() {
    let plan = plan_of(
        "",
        &schema(vec![simple(Some("a"), "x")]),
        &Schema::default(),
    );
    let text = serde_json::to_string(&plan).unwrap();
    assert_eq!(serde_json::from_str::<Plan>(&text).unwrap(), plan);
}
