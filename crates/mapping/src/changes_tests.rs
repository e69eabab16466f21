#![allow(clippy::unwrap_used)]
use crossfade_model::{Canonical, Cell, Change, Held, Limits, Row, TableId, TableMapping};

use super::mapped;
use crate::table::{MappedTable, MappingError};
use crate::testkit::{mapping, row, words};

const RAW: TableId = TableId(0);

fn came(filter: Option<&str>, keyed: bool, change: Change) -> Vec<String> {
    let table = MappedTable::new(&mapping(filter, keyed), &|_, _| None).unwrap();
    let mut out = Vec::new();
    mapped(&table, &change, &mut out).unwrap();
    out.iter().map(shown).collect()
}

fn shown(change: &Change) -> String {
    match change {
        Change::Insert { row, .. } => format!("+ {}", words(row)),
        Change::Upsert { row, .. } => format!("= {}", words(row)),
        Change::Delete { before, .. } => format!("- {}", words(before)),
        Change::Update { before, row, .. } => match before {
            Some(before) => format!("{} => {}", words(before), words(row)),
            None => format!("=> {}", words(row)),
        },
        Change::Unclear { key, .. } => format!("? {}", words(key)),
        Change::Filtered { .. } => "filtered".to_owned(),
        other => format!("{other:?}"),
    }
}

fn insert(row: Row) -> Change {
    Change::Insert { table: RAW, row }
}

fn update(before: Option<Row>, row: Row) -> Change {
    Change::Update {
        table: RAW,
        before,
        row,
    }
}

fn delete(before: Row) -> Change {
    Change::Delete { table: RAW, before }
}

const SHOP: Option<&str> = Some("shop = 42");

#[test]
fn rows_that_are_inserted_come_where_the_filter_lets_them() {
    assert_eq!(
        came(SHOP, true, insert(row(["42", "1", "19.99", "a"]))),
        ["+ 1 1999 a old"]
    );
    assert_eq!(
        came(SHOP, true, insert(row(["7", "1", "19.99", "a"]))),
        ["filtered"]
    );
    assert_eq!(
        came(SHOP, true, insert(row(["-", "1", "19.99", "a"]))),
        ["filtered"]
    );
    let upsert = |row| Change::Upsert { table: RAW, row };
    assert_eq!(
        came(SHOP, true, upsert(row(["42", "1", "-", "-"]))),
        ["= 1 - - old"]
    );
    // it may have been there
    assert_eq!(
        came(SHOP, true, upsert(row(["7", "1", "-", "-"]))),
        ["- 1 - - -"]
    );
}

#[test]
fn a_row_that_leaves_the_filter_goes_also_where_its_old_image_is_unknown() {
    let leaves = row(["7", "1", "1.00", "a"]);
    assert_eq!(
        came(SHOP, true, update(None, leaves.clone())),
        ["- 1 - - -"]
    );
    let whole = row(["42", "1", "1.00", "a"]);
    assert_eq!(
        came(SHOP, true, update(Some(whole), leaves.clone())),
        ["- 1 - - -"]
    );
    // under its old key, which is the one that the target has
    let old_key = row(["-", "9", "-", "-"]);
    assert_eq!(
        came(SHOP, true, update(Some(old_key), leaves.clone())),
        ["- 9 - - -"]
    );
    let was_out = row(["8", "1", "1.00", "a"]);
    assert_eq!(
        came(SHOP, true, update(Some(was_out), leaves)),
        ["filtered"]
    );
}

#[test]
fn a_row_that_enters_the_filter_is_written_whole() {
    let enters = row(["42", "1", "1.00", "a"]);
    assert_eq!(
        came(SHOP, true, update(None, enters.clone())),
        ["= 1 100 a old"]
    );
    let was_out = row(["7", "1", "1.00", "a"]);
    assert_eq!(
        came(SHOP, true, update(Some(was_out), enters)),
        ["= 1 100 a old"]
    );
    // the target has no row whose columns could be carried over
    let partial = row(["42", "1", "1.00", "~"]);
    assert_eq!(came(SHOP, true, update(None, partial)), ["? 1 - - -"]);
}

#[test]
fn an_old_image_that_is_whole_gives_what_the_new_one_lacks() {
    let before = row(["42", "1", "1.00", "a"]);
    let after = row(["42", "1", "2.00", "~"]);
    assert_eq!(
        came(SHOP, true, update(Some(before), after)),
        ["=> 1 200 a old"]
    );
}

#[test]
fn without_a_filter_the_target_s_own_columns_are_carried_over() {
    let partial = row(["42", "1", "1.00", "~"]);
    assert_eq!(came(None, true, update(None, partial)), ["=> 1 100 ~ old"]);
    let other = row(["42", "1", "~", "b"]);
    assert_eq!(came(None, true, update(None, other)), ["=> 1 ~ b old"]);
}

#[test]
fn a_filter_over_a_column_that_is_not_in_the_image_has_the_row_read() {
    let filter = Some("note <> 'secret'");
    let partial = row(["42", "1", "1.00", "~"]);
    assert_eq!(
        came(filter, true, update(None, partial.clone())),
        ["? 1 - - -"]
    );
    let old_key = row(["-", "9", "-", "-"]);
    let moved = came(filter, true, update(Some(old_key), partial));
    assert_eq!(moved, ["- 9 - - -", "? 1 - - -"]);
    // what is false is false whatever the rest is
    let both = Some("shop = 42 AND note <> 'secret'");
    let out = row(["7", "1", "1.00", "~"]);
    assert_eq!(came(both, true, update(None, out)), ["- 1 - - -"]);
}

#[test]
fn a_change_of_key_names_the_older_key_where_the_row_may_have_been_there() {
    let old_key = row(["-", "9", "-", "-"]);
    let after = row(["42", "1", "1.00", "a"]);
    let moved = came(SHOP, true, update(Some(old_key.clone()), after.clone()));
    // the target may have more of the row than is moved
    assert_eq!(moved, ["9 - - - => 1 100 a old"]);
    let not_there = row(["7", "9", "1.00", "a"]);
    let entered = came(SHOP, true, update(Some(not_there), after.clone()));
    assert_eq!(entered, ["- 9 - - -", "= 1 100 a old"]);
    assert_eq!(
        came(None, true, update(Some(old_key), after)),
        ["9 - - - => 1 100 a old"]
    );
}

#[test]
fn deletes_go_through_unless_the_row_was_never_there() {
    assert_eq!(
        came(SHOP, true, delete(row(["-", "1", "-", "-"]))),
        ["- 1 - - -"]
    );
    assert_eq!(
        came(SHOP, true, delete(row(["42", "1", "1.00", "a"]))),
        ["- 1 - - -"]
    );
    assert_eq!(
        came(SHOP, true, delete(row(["7", "1", "1.00", "a"]))),
        ["filtered"]
    );
}

#[test]
fn a_table_without_key_counts_what_comes_and_goes() {
    let (own, other) = (row(["42", "1", "1.00", "a"]), row(["7", "1", "1.00", "a"]));
    let came = |change| came(SHOP, false, change);
    assert_eq!(came(delete(own.clone())), ["- 1 100 a old"]);
    assert_eq!(came(delete(other.clone())), ["filtered"]);
    assert_eq!(
        came(update(Some(own.clone()), other.clone())),
        ["- 1 100 a old"]
    );
    assert_eq!(
        came(update(Some(other.clone()), own.clone())),
        ["+ 1 100 a old"]
    );
    assert_eq!(came(update(Some(other.clone()), other)), ["filtered"]);
    let after = row(["42", "2", "~", "b"]);
    assert_eq!(
        came(update(Some(own), after)),
        ["1 100 a old => 2 100 b old"]
    );
}

#[test]
fn a_value_without_a_result_is_fit_for_no_store_and_says_why_without_a_value() {
    let table = MappedTable::new(&mapping(None, true), &|_, _| None).unwrap();
    let row = row(["42", "1", "92233720368547758.08", "a"]);
    let mut out = Vec::new();
    mapped(&table, &insert(row), &mut out).unwrap();
    let [Change::Insert { row, .. }] = out.as_slice() else {
        panic!("{out:?}");
    };
    let unfit: Vec<&Cell> = row
        .0
        .iter()
        .filter(|cell| matches!(cell, Cell::Unfit(_)))
        .collect();
    assert_eq!(
        unfit,
        [&Cell::Unfit("a result does not fit its type".into())]
    );
}

/// A key of two columns, of which the first is a constant: shop 42's rows of a table of many shops.
fn of_shop(limits: Option<Limits>) -> MappedTable {
    let mut mapping: TableMapping = mapping(SHOP, true);
    let origin = mapping.origin.as_mut().unwrap();
    let key = origin.table.key.as_mut().unwrap();
    key.columns = vec![0, 1];
    origin.limits = limits;
    MappedTable::new(&mapping, &|_, _| None).unwrap()
}

fn limits(theirs: Option<&str>, held: &[(&str, &[&str])]) -> Limits {
    let held = held.iter().map(|(column, values)| Held {
        column: (*column).to_owned(),
        canonical: match *column {
            "shop" => Canonical::Integer,
            _ => Canonical::Decimal,
        },
        values: values.iter().map(|v| (*v).to_owned()).collect(),
    });
    Limits {
        theirs: theirs.map(str::to_owned),
        held: held.collect(),
    }
}

fn by(table: &MappedTable, change: &Change) -> Result<Vec<String>, MappingError> {
    let mut out = Vec::new();
    mapped(table, change, &mut out)?;
    Ok(out.iter().map(shown).collect())
}

#[test]
fn a_key_says_whose_a_row_was_where_the_log_says_no_more() {
    let table = of_shop(None);
    let key = |shop| row([shop, "1", "-", "-"]);
    // row 1 of shop 7 has the key of row 1 of shop 42, but for the constant
    assert_eq!(by(&table, &delete(key("7"))).unwrap(), ["filtered"]);
    assert_eq!(by(&table, &delete(key("42"))).unwrap(), ["- 1 - - -"]);
    let other = row(["7", "1", "1.00", "a"]);
    let changed = by(&table, &update(None, other.clone())).unwrap();
    assert_eq!(changed, ["filtered"]);
    let upsert = Change::Upsert {
        table: RAW,
        row: other.clone(),
    };
    assert_eq!(by(&table, &upsert).unwrap(), ["filtered"]);
    let left = by(&table, &update(Some(key("42")), other)).unwrap();
    assert_eq!(left, ["- 1 - - -"]);
    let own = row(["42", "1", "1.00", "a"]);
    let came = by(&table, &update(Some(key("7")), own)).unwrap();
    assert_eq!(came, ["= 1 100 a old"]);
}

#[test]
fn on_the_way_back_a_row_that_is_nobody_s_has_no_result_and_deletes_nothing() {
    let mut mapping = mapping(Some("shop = 42 AND note <> 'x'"), true);
    let origin = mapping.origin.as_mut().unwrap();
    origin.limits = Some(limits(Some("shop = 7"), &[("total", &["NULL", "5.00"])]));
    let table = MappedTable::new(&mapping, &|_, _| None).unwrap();
    let unfit = |words: [&str; 4]| {
        let changed = by(&table, &update(None, row(words))).unwrap().concat();
        changed.starts_with("= ") && changed.contains("Unfit")
    };
    let fits = by(&table, &update(None, row(["42", "1", "5.00", "a"]))).unwrap();
    assert_eq!(fits, ["= 1 500 a old"]);
    assert!(unfit(["42", "1", "5.00", "x"]));
    // NULL satisfies nothing
    assert!(unfit(["42", "1", "5.00", "-"]));
    assert!(unfit(["9", "1", "5.00", "a"]));
    // a value that nothing carries
    assert!(unfit(["42", "1", "6.00", "a"]));
    let inserted = by(&table, &insert(row(["9", "1", "5.00", "a"]))).unwrap();
    assert!(inserted.concat().contains("Unfit"), "{inserted:?}");
    // somebody else's
    let theirs = by(&table, &insert(row(["7", "1", "5.00", "a"]))).unwrap();
    assert_eq!(theirs, ["filtered"]);
    // it may have been there before
    let gone = by(&table, &delete(row(["42", "1", "5.00", "x"]))).unwrap();
    assert_eq!(gone, ["- 1 - - -"]);
    let lacking = by(&table, &update(None, row(["42", "1", "~", "a"]))).unwrap();
    assert_eq!(lacking, ["? 1 - - -"]);
}

#[test]
fn a_row_that_is_nobody_s_and_whose_key_is_another_s_stops() {
    let table = of_shop(Some(limits(Some("shop = 7"), &[("shop", &["42"])])));
    let stray = row(["9", "1", "1.00", "a"]);
    let refused = by(&table, &insert(stray.clone())).unwrap_err();
    assert!(
        matches!(refused, MappingError::Nobodys { .. }),
        "{refused:?}"
    );
    // it has gone since: what took it away comes later, and row 1 of shop 42 is another
    let passing = table.passing();
    assert_eq!(by(&passing, &insert(stray.clone())).unwrap(), ["filtered"]);
    assert_eq!(by(&table, &delete(stray.clone())).unwrap(), ["filtered"]);
    let own = row(["42", "1", "1.00", "a"]);
    let left = by(&passing, &update(Some(own.clone()), stray.clone())).unwrap();
    assert_eq!(left, ["- 1 - - -"]);
    let back = by(&table, &update(Some(stray), own)).unwrap();
    assert_eq!(back, ["= 1 100 a old"]);
}
