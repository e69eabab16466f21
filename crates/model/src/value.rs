//! A value as its store handed it over, borrowed: what a cell holds, or what is still in a network buffer.

use crate::cell::Cell;
use crate::text_form;

/// A value that is not NULL, in the form of a [`Cell`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value<'a> {
    /// As [`Cell::TextForm`].
    TextForm(&'a [u8]),
    /// As [`Cell::Integer`].
    Integer(i64),
    /// As [`Cell::Real`].
    Real(f64),
    /// As [`Cell::Text`].
    Text(&'a [u8]),
    /// As [`Cell::Blob`].
    Blob(&'a [u8]),
    /// As [`Cell::Unfit`]: it is of no type.
    Unfit(&'a [u8]),
}

impl Cell {
    /// The value; `None` for NULL and for a column that is not in the image.
    pub fn value(&self) -> Option<Value<'_>> {
        Some(match self {
            Cell::Null | Cell::Unchanged => return None,
            Cell::TextForm(b) => Value::TextForm(b),
            Cell::Integer(i) => Value::Integer(*i),
            Cell::Real(r) => Value::Real(*r),
            Cell::Text(b) => Value::Text(b),
            Cell::Blob(b) => Value::Blob(b),
            Cell::Unfit(b) => Value::Unfit(b),
        })
    }
}

impl<'a> Value<'a> {
    /// The text of a text value or text form.
    pub fn text(self) -> Option<&'a [u8]> {
        match self {
            Value::TextForm(b) | Value::Text(b) => Some(b),
            _ => None,
        }
    }

    /// The boolean that it is.
    pub fn boolean(self) -> Option<bool> {
        match self {
            Value::Integer(0) => Some(false),
            Value::Integer(1) => Some(true),
            _ => self.text().and_then(text_form::boolean),
        }
    }

    /// The integer that it is; an integral double counts.
    pub fn integer(self) -> Option<i64> {
        match self {
            Value::Integer(i) => Some(i),
            // exact below 2^53; beyond, the double may stand for several integers
            Value::Real(r) if r.fract() == 0.0 && r.abs() < 9_007_199_254_740_992.0 => {
                Some(r as i64)
            }
            _ => self.text().and_then(text_form::integer),
        }
    }

    /// The single that it is. A double counts where it is a single widened.
    pub fn single(self) -> Option<f32> {
        match self {
            Value::Real(r) => {
                let narrow = r as f32;
                (r.is_nan() || f64::from(narrow).to_bits() == r.to_bits()).then_some(narrow)
            }
            Value::Integer(i) => {
                let single = i as f32;
                (single as i128 == i128::from(i)).then_some(single)
            }
            _ => self.text().and_then(text_form::single),
        }
    }

    /// The double that it is.
    pub fn double(self) -> Option<f64> {
        match self {
            Value::Real(r) => Some(r),
            // exact below 2^53; a wider integer is no double
            Value::Integer(i) if i.unsigned_abs() <= 1 << 53 => Some(i as f64),
            _ => self.text().and_then(text_form::double),
        }
    }

    /// The decimal that it is, in its shortest equal form.
    pub fn decimal(self) -> Option<String> {
        let mut out = Vec::new();
        self.write_decimal(&mut out)?;
        String::from_utf8(out).ok()
    }

    /// Appends the decimal that it is, in its shortest equal form. A double is read by its shortest decimal text, which is
    /// how SQLite shows it.
    pub fn write_decimal(self, out: &mut Vec<u8>) -> Option<()> {
        match self {
            Value::Integer(i) => out.extend_from_slice(i.to_string().as_bytes()),
            Value::Real(r) if r.is_finite() => {
                return text_form::write_decimal(format!("{r:?}").as_bytes(), out);
            }
            _ => return text_form::write_decimal(self.text()?, out),
        }
        Some(())
    }
}
