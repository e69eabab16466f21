#![allow(clippy::unwrap_used)]

use crossfade_model::{LogicalType, Partition, TableName};

use super::*;
use crate::testkit::{Form, *};

fn plan(tables: Vec<TableMapping>) -> Plan {
    Plan {
        replanned: None,
        migration: "m".to_owned(),
        source_engine: "a".to_owned(),
        target_engine: "b".to_owned(),
        tables,
        present: Default::default(),
        types: Vec::new(),
        sequences: Vec::new(),
        omissions: Vec::new(),
        findings: Vec::new(),
        statements: Vec::new(),
    }
}

fn two() -> Vec<TableMapping> {
    vec![table(0, Form::Ordered), table(1, Form::Ordered)]
}

fn altered(table: &str) -> Altered {
    Altered {
        table: table.to_owned(),
        what: "something".to_owned(),
        moved: Vec::new(),
        seen_at: Position(7),
    }
}

fn name(name: &str) -> TableName {
    TableName {
        schema: None,
        name: name.to_owned(),
    }
}

fn anew(new: Vec<TableMapping>, named: &str) -> Result<Vec<TableId>, String> {
    to_copy_anew(&plan(two()), &plan(new), &altered(named)).map_err(|e| e.code().to_owned())
}

#[test]
fn a_column_that_both_sides_got_is_followed() {
    let mut new = two();
    let mut column = new[0].source.columns[1].clone();
    column.name = "c".to_owned();
    column.logical = LogicalType::Boolean;
    new[0].source.columns.push(column);
    assert_eq!(anew(new, "t0"), Ok(vec![]));
}

#[test]
fn rows_that_moved_past_the_log_are_copied_anew() {
    assert_eq!(anew(two(), "t0"), Ok(vec![TableId(0)]), "not logged");
    let mut new = two();
    let mut column = new[0].source.columns[1].clone();
    column.name = "c".to_owned();
    new[0].source.columns.push(column);
    new[1].source.partitions.push(Partition {
        name: name("p"),
        parent: name("t1"),
        bound: "DEFAULT".to_owned(),
        partition_by: None,
    });
    assert_eq!(anew(new.clone(), "t0"), Ok(vec![TableId(1)]), "attached");
    let detached = to_copy_anew(&plan(new), &plan(two()), &altered("t1")).unwrap();
    assert_eq!(detached, [TableId(1)]);
}

#[test]
fn an_altered_publication_is_a_gap_also_after_it_was_put_back() {
    assert_eq!(
        anew(two(), "publication crossfade_m"),
        Err("capture.gap".to_owned())
    );
}

/// `RENAME TABLE t TO old, n TO t`, where `n` has one column more: the rows are not those of before.
#[test]
fn a_table_that_took_anothers_name_is_copied_anew_whatever_columns_it_has() {
    let mut new = two();
    let mut column = new[0].source.columns[1].clone();
    column.name = "c".to_owned();
    new[0].source.columns.push(column);
    let swapped = Altered {
        moved: vec!["t0".to_owned(), "t1".to_owned()],
        ..altered("t0")
    };
    let anew = to_copy_anew(&plan(two()), &plan(new), &swapped).unwrap();
    assert_eq!(anew, [TableId(0), TableId(1)]);
}
