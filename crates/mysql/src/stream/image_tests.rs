#![allow(clippy::unwrap_used)]
use super::*;
use crate::stream::testing::{logged, map, tables};
use bytes::Bytes;
use crossfade_mysql_binlog::ColumnType as Log;

fn text(text: &str) -> Cell {
    Cell::TextForm(Bytes::copy_from_slice(text.as_bytes()))
}

fn row(cells: &[Cell]) -> Row {
    Row(cells.to_vec())
}

fn changed(map: TableMap, cells: &[Cell]) -> String {
    let mut tables = tables(false);
    match tables.read(&Arc::new(map), [row(cells)]) {
        Err((_, Unread::Changed(what))) => what,
        other => panic!("{other:?}"),
    }
}

#[test]
fn rows_are_put_in_the_planned_order_and_form() {
    let mut tables = tables(false);
    let mut other = map();
    other.columns.swap(0, 2);
    let cells = [text("2024-01-01 00:00:00"), text("é"), text("7")];
    let read = tables.read(&Arc::new(other), [row(&cells)]).unwrap();
    let (id, [read]) = read.unwrap();
    assert_eq!(id, TableId(0));
    assert_eq!(
        read,
        row(&[text("7"), text("é"), text("2024-01-01 00:00:00+00")])
    );
    let nulls = [Cell::Null, Cell::Null, Cell::Null];
    let read = tables.read(&Arc::new(map()), [row(&nulls)]).unwrap();
    assert_eq!(read.unwrap().1, [row(&nulls)]);
}

#[test]
fn a_definition_that_is_not_the_planned_one_is_told() {
    let cells = [text("7"), text("b"), text("2024-01-01 00:00:00")];
    let mut wider = map();
    wider.columns[0].kind = Log::Integer { bytes: 8 };
    assert!(changed(wider, &cells).contains("column a"));
    let mut signed = map();
    signed.columns[0].unsigned = false;
    assert!(changed(signed, &cells).contains("column a"));
    let mut renamed = map();
    renamed.columns[1].name = "x".to_owned();
    assert!(changed(renamed, &cells).contains("new column x"));
    let mut fewer = map();
    fewer.columns.pop();
    assert!(changed(fewer, &cells).contains("no column c"));
    let mut more = map();
    more.columns.push(logged("d", Log::Date));
    assert!(changed(more, &cells).contains("new column d"));
    let mut bytes = map();
    bytes.columns[1].collation = Some(BINARY);
    assert!(changed(bytes, &cells).contains("column b"));
    let mut foreign = map();
    foreign.columns[1].collation = Some(28);
    assert!(changed(foreign, &cells).contains("column b"));
    let mut nameless = map();
    nameless.has_names = false;
    assert!(changed(nameless, &cells).contains("names"));
}

#[test]
fn an_image_that_lacks_a_column_stops() {
    let mut tables = tables(false);
    let cells = [text("7"), Cell::Unchanged, Cell::Null];
    let read = tables.read(&Arc::new(map()), [row(&cells)]);
    match read {
        Err((_, Unread::Failed(error))) => {
            assert_eq!(error.code, "mysql.log_value");
            assert!(error.what.contains("column b"));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn only_mapped_tables_are_wanted() {
    let wanted = tables(false).wanted();
    assert!(wanted("shop", "t").unwrap().contains("b"));
    assert_eq!(wanted("other", "t"), None);
    assert_eq!(wanted("shop", "T"), None);
    assert!(tables(true).wanted()("SHOP", "T").is_some());
}

/// `SET('a','é','c')` in ucs2, whose comma takes two bytes: the words are read one by one.
#[test]
fn the_words_of_a_set_are_read_before_they_are_put_together() {
    let wide = Charset::Utf16 { low_first: false };
    let words = [&b"\0a"[..], &b"\0\xe9"[..], &b"\0c"[..]];
    let words: Option<Arc<[Bytes]>> = words
        .iter()
        .map(|word| wide.decode(&Bytes::copy_from_slice(word)))
        .collect();
    let members = Turn::Members(words.unwrap());
    let of = |bits| turned(&Cell::Integer(bits), &members);
    assert_eq!(of(0b110), Some(text("é,c")));
    assert_eq!(of(0b001), Some(text("a")));
    assert_eq!(of(0), Some(text("")));
}
