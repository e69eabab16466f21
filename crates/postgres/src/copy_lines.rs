//! COPY's text format read where it lies: values as slices of the message that brought them, no rows.

use memchr::memchr;

use crate::copy_text::{Malformed, unescape};

/// Takes blocks that are split anywhere, gives lines. The server sends a row in a message of its own: hardly a line is put
/// together from two.
#[derive(Debug, Default)]
pub struct Lines {
    /// The start of a line whose end has not come.
    rest: Vec<u8>,
}

impl Lines {
    /// Hands over every line that ends in `block`, without its end.
    ///
    /// # Errors
    /// Those of `each`.
    pub fn read<E>(
        &mut self,
        mut block: &[u8],
        mut each: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        while let Some(at) = memchr(b'\n', block) {
            let line = &block[..at];
            block = &block[at + 1..];
            if self.rest.is_empty() {
                each(line)?;
            } else {
                self.rest.extend_from_slice(line);
                each(&self.rest)?;
                self.rest.clear();
            }
        }
        self.rest.extend_from_slice(block);
        Ok(())
    }

    /// Requires that the last line has ended.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn finish(&self) -> Result<(), Malformed> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(Malformed)
        }
    }
}

/// Hands over the values of a line in order, NULL as `None`; returns how many they were. `scratch` holds a value that was
/// written with escapes.
///
/// # Errors
/// A malformed escape; those of `each`.
pub fn values<E: From<Malformed>>(
    line: &[u8],
    scratch: &mut Vec<u8>,
    mut each: impl FnMut(usize, Option<&[u8]>) -> Result<(), E>,
) -> Result<usize, E> {
    // most lines have no escape at all, which one look shows
    let escapes = memchr(b'\\', line).is_some();
    let mut rest = line;
    let mut count = 0;
    loop {
        // a tab inside a value is written as backslash and t: a plain tab always separates
        let end = memchr(b'\t', rest);
        let text = &rest[..end.unwrap_or(rest.len())];
        if !escapes || memchr(b'\\', text).is_none() {
            each(count, Some(text))?;
        } else if text == b"\\N" {
            each(count, None)?;
        } else {
            scratch.clear();
            unescape(text, scratch)?;
            each(count, Some(scratch))?;
        }
        count += 1;
        match end {
            Some(end) => rest = &rest[end + 1..],
            None => return Ok(count),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use bytes::Bytes;
    use crossfade_model::{Cell, Row};
    use proptest::prelude::*;

    use crate::copy_text::RowReader;

    fn read(bytes: &[u8], cut: usize) -> Result<Vec<Row>, Malformed> {
        let mut lines = Lines::default();
        let mut scratch = Vec::new();
        let mut rows = Vec::new();
        for block in bytes.chunks(cut) {
            lines.read(block, |line| {
                let mut row = Row(Vec::new());
                let count = values(line, &mut scratch, |at, text| {
                    assert_eq!(at, row.0.len());
                    row.0.push(match text {
                        None => Cell::Null,
                        Some(text) => Cell::TextForm(Bytes::copy_from_slice(text)),
                    });
                    Ok::<(), Malformed>(())
                })?;
                assert_eq!(count, row.0.len());
                rows.push(row);
                Ok::<(), Malformed>(())
            })?;
        }
        lines.finish()?;
        Ok(rows)
    }

    fn piece() -> impl Strategy<Value = &'static [u8]> {
        prop::sample::select(vec![
            &b"\\N"[..],
            b"\\\\N",
            b"\t",
            b"\t",
            b"\n",
            b"\\t",
            b"\\n",
            b"a",
            b"\xC3\xA9",
            b"\\q",
            b"\\",
        ])
    }

    proptest! {
        #[test]
        fn lines_read_in_place_are_the_rows_of_the_other_reader(
            pieces in proptest::collection::vec(piece(), 0..40),
            cut in 1..20_usize,
        ) {
            let bytes = pieces.concat();
            let read = read(&bytes, cut);
            // rows of different widths: each line by the reader that wants to know the width
            let mut expected = Ok(Vec::new());
            let mut rest = &bytes[..];
            while let (Ok(rows), Some(at)) = (&mut expected, memchr(b'\n', rest)) {
                let line = Bytes::copy_from_slice(&rest[..=at]);
                let width = line.iter().filter(|b| **b == b'\t').count() + 1;
                if let Err(e) = RowReader::default().read(line, width, rows) {
                    expected = Err(e);
                }
                rest = &rest[at + 1..];
            }
            if expected.is_ok() && !rest.is_empty() {
                expected = Err(Malformed);
            }
            prop_assert_eq!(read, expected);
        }
    }
}
