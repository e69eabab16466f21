//! COPY's text format (PostgreSQL documentation, `COPY`, "Text Format"): written for staging, read into cells.

use bytes::{Buf as _, Bytes, BytesMut};
use crossfade_model::canonical::Canonical;
use crossfade_model::{Cell, Row};

use crate::cell_text::{self, Refused};

/// A value that could not be written: its place in the list of columns, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadCell {
    /// Place among the columns that were written.
    pub column: usize,
    /// Why.
    pub why: Refused,
}

/// Appends one value, without a separator.
///
/// # Errors
/// [`Refused`].
pub fn write_cell(
    class: Canonical,
    cell: &Cell,
    scratch: &mut String,
    out: &mut BytesMut,
) -> Result<(), Refused> {
    match cell_text::of(class, cell, scratch)? {
        None => out.extend_from_slice(b"\\N"),
        Some(text) => escape(text, out),
    }
    Ok(())
}

/// Appends a text with backslashes before what would end the value or the line.
pub fn escape(mut text: &[u8], out: &mut BytesMut) {
    let special = |b: &u8| matches!(b, b'\\' | b'\n' | b'\r' | b'\t');
    // most have none: many bytes are looked at in one instruction where none ends the search
    if !text.iter().fold(false, |found, b| found | special(b)) {
        out.extend_from_slice(text);
        return;
    }
    while let Some(at) = text.iter().position(special) {
        out.extend_from_slice(&text[..at]);
        let letter = match text[at] {
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            other => other,
        };
        out.extend_from_slice(&[b'\\', letter]);
        text = &text[at + 1..];
    }
    out.extend_from_slice(text);
}

/// Appends a row of these cells and the end of its line.
///
/// # Errors
/// The first value that has no text; the line is then incomplete.
pub fn write_row<'a>(
    cells: impl IntoIterator<Item = (Canonical, &'a Cell)>,
    scratch: &mut String,
    out: &mut BytesMut,
) -> Result<(), BadCell> {
    for (column, (class, cell)) in cells.into_iter().enumerate() {
        if column > 0 {
            out.extend_from_slice(b"\t");
        }
        write_cell(class, cell, scratch, out).map_err(|why| BadCell { column, why })?;
    }
    out.extend_from_slice(b"\n");
    Ok(())
}

/// Takes blocks that are split anywhere, gives rows.
#[derive(Debug, Default)]
pub struct RowReader {
    /// The start of a line whose end has not come.
    rest: BytesMut,
}

/// COPY data that is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the server's COPY data cannot be read")]
pub struct Malformed;

impl RowReader {
    /// Reads all rows that end in `block`. Cells are slices of it, except values with escapes and a line that began in an
    /// earlier block.
    ///
    /// # Errors
    /// A line with another number of columns, or a malformed escape.
    pub fn read(
        &mut self,
        mut block: Bytes,
        columns: usize,
        rows: &mut Vec<Row>,
    ) -> Result<(), Malformed> {
        while let Some(at) = block.iter().position(|b| *b == b'\n') {
            let mut line = block.split_to(at);
            block.advance(1);
            if !self.rest.is_empty() {
                self.rest.extend_from_slice(&line);
                line = self.rest.split().freeze();
            }
            rows.push(read_row(&line, columns)?);
        }
        self.rest.extend_from_slice(&block);
        Ok(())
    }

    /// Requires that the last line has ended.
    ///
    /// # Errors
    /// A line without an end.
    pub fn finish(&self) -> Result<(), Malformed> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(Malformed)
        }
    }
}

/// Reads a line without its end.
fn read_row(line: &Bytes, columns: usize) -> Result<Row, Malformed> {
    let mut cells = Vec::with_capacity(columns);
    if columns == 0 {
        return if line.is_empty() {
            Ok(Row(cells))
        } else {
            Err(Malformed)
        };
    }
    let mut from = 0;
    let mut escaped = false;
    // a tab inside a value is written as backslash and t: a plain tab always separates
    for (at, byte) in line.iter().enumerate() {
        match byte {
            b'\t' => {
                cells.push(read_cell(line, from, at, escaped)?);
                from = at + 1;
                escaped = false;
            }
            b'\\' => escaped = true,
            _ => {}
        }
    }
    cells.push(read_cell(line, from, line.len(), escaped)?);
    if cells.len() == columns {
        Ok(Row(cells))
    } else {
        Err(Malformed)
    }
}

fn read_cell(line: &Bytes, from: usize, to: usize, escaped: bool) -> Result<Cell, Malformed> {
    if !escaped {
        return Ok(Cell::TextForm(line.slice(from..to)));
    }
    let text = &line[from..to];
    if text == b"\\N" {
        return Ok(Cell::Null);
    }
    let mut plain = Vec::with_capacity(text.len());
    unescape(text, &mut plain)?;
    Ok(Cell::TextForm(plain.into()))
}

/// Appends a value without its escapes.
///
/// # Errors
/// [`Malformed`].
pub fn unescape(text: &[u8], out: &mut Vec<u8>) -> Result<(), Malformed> {
    let mut bytes = text.iter().copied();
    while let Some(byte) = bytes.next() {
        if byte != b'\\' {
            out.push(byte);
            continue;
        }
        // the server writes these and no octal or hexadecimal ones
        out.push(match bytes.next() {
            Some(b'b') => 8,
            Some(b'f') => 12,
            Some(b'n') => b'\n',
            Some(b'r') => b'\r',
            Some(b't') => b'\t',
            Some(b'v') => 11,
            Some(b'\\') => b'\\',
            _ => return Err(Malformed),
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn t(text: &'static [u8]) -> Cell {
        Cell::TextForm(Bytes::from_static(text))
    }

    #[test]
    fn null_and_empty_and_what_looks_like_null_are_three_things() {
        let mut reader = RowReader::default();
        let mut rows = Vec::new();
        let block = Bytes::from_static(b"\\N\t\t\\\\N\n\t\\N\ta\\tb\n");
        reader.read(block, 3, &mut rows).unwrap();
        reader.finish().unwrap();
        assert_eq!(
            rows,
            [
                Row(vec![Cell::Null, t(b""), t(b"\\N")]),
                Row(vec![t(b""), Cell::Null, t(b"a\tb")]),
            ]
        );
    }

    #[test]
    fn broken_data_is_refused() {
        for (block, columns) in [
            (&b"a\tb\n"[..], 1),
            (b"a\n", 2),
            (b"a\\\n", 1),
            (b"\\q\n", 1),
            (b"x\n", 0),
        ] {
            let mut reader = RowReader::default();
            let block = Bytes::from_static(block);
            assert_eq!(reader.read(block, columns, &mut Vec::new()), Err(Malformed));
        }
        let mut reader = RowReader::default();
        reader
            .read(Bytes::from_static(b"half"), 1, &mut Vec::new())
            .unwrap();
        assert_eq!(reader.finish(), Err(Malformed));
    }

    fn cells() -> impl Strategy<Value = Cell> {
        let bytes = prop_oneof![
            Just(b'\\'),
            Just(b'\n'),
            Just(b'\t'),
            Just(b'N'),
            1..=255_u8
        ];
        prop_oneof![
            Just(Cell::Null),
            proptest::collection::vec(bytes, 0..12).prop_map(|b| Cell::TextForm(b.into())),
        ]
    }

    proptest! {
        #[test]
        fn rows_come_back_however_they_are_split(
            rows in proptest::collection::vec(proptest::collection::vec(cells(), 3), 0..8),
            cut in 1..20_usize,
        ) {
            let rows: Vec<Row> = rows.into_iter().map(Row).collect();
            let mut out = BytesMut::new();
            let mut scratch = String::new();
            for row in &rows {
                let cells = row.0.iter().map(|c| (Canonical::Exact, c));
                write_row(cells, &mut scratch, &mut out).unwrap();
            }
            let mut reader = RowReader::default();
            let mut back = Vec::new();
            let mut out = out.freeze();
            while !out.is_empty() {
                let block = out.split_to(cut.min(out.len()));
                reader.read(block, 3, &mut back).unwrap();
            }
            reader.finish().unwrap();
            prop_assert_eq!(back, rows);
        }

        #[test]
        fn random_bytes_do_no_harm(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _ = RowReader::default().read(bytes.into(), 2, &mut Vec::new());
        }
    }
}
