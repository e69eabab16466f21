//! Texts, by characters; every result is bounded.

use std::borrow::Cow;

use crossfade_model::Row;

use super::{LARGEST, Result, value};
use crate::EvaluationError;
use crate::datum::Datum;
use crate::term::Term;

type Made<T> = std::result::Result<T, EvaluationError>;

/// The text as characters.
pub(super) fn utf8(text: &[u8]) -> Made<&str> {
    std::str::from_utf8(text).map_err(|_| EvaluationError::NotOfType)
}

fn append(out: &mut Vec<u8>, more: &[u8]) -> Made<()> {
    match out.len().saturating_add(more.len()) > LARGEST {
        true => Err(EvaluationError::TooLarge),
        false => {
            out.extend_from_slice(more);
            Ok(())
        }
    }
}

/// `||`: NULL if a part is NULL.
pub(super) fn concat<'a>(parts: &'a [Term], row: &'a Row) -> Result<Datum<'a>> {
    let (mut out, mut bytes) = (Vec::new(), false);
    for part in parts {
        match value(part, row)? {
            Datum::Text(text) => append(&mut out, &text)?,
            Datum::Bytes(text) => {
                bytes = true;
                append(&mut out, &text)?;
            }
            Datum::Null => return Ok(Datum::Null),
            _ => return Err(EvaluationError::NotOfType.into()),
        }
    }
    Ok(match bytes {
        true => Datum::Bytes(Cow::Owned(out)),
        false => Datum::Text(Cow::Owned(out)),
    })
}

/// `concat`: parts that are NULL are left out.
pub(super) fn join<'a>(parts: &'a [Term], row: &'a Row) -> Result<Datum<'a>> {
    let mut out = Vec::new();
    for part in parts {
        match value(part, row)? {
            Datum::Text(text) => append(&mut out, &text)?,
            Datum::Null => {}
            _ => return Err(EvaluationError::NotOfType.into()),
        }
    }
    Ok(Datum::Text(Cow::Owned(out)))
}

/// Where the character `index` begins; the end where there are not so many.
fn offset(text: &str, index: usize) -> usize {
    text.char_indices()
        .nth(index)
        .map_or(text.len(), |(at, _)| at)
}

/// A count that a text can have; what is beyond is as good as the longest.
fn bounded(count: i128) -> usize {
    usize::try_from(count.max(0)).unwrap_or(usize::MAX)
}

/// The part from the character `from`, counted from 1, of `count` characters; what lies before the text counts too.
pub(super) fn substring(text: &str, from: i128, count: Option<i128>) -> Made<&str> {
    let start = offset(text, bounded(from.saturating_sub(1)));
    let rest = text.get(start..).unwrap_or_default();
    match count {
        None => Ok(rest),
        Some(count) if count < 0 => Err(EvaluationError::Argument),
        Some(count) => {
            let end = from.saturating_add(count);
            let taken = end.saturating_sub(from.max(1));
            Ok(rest.get(..offset(rest, bounded(taken))).unwrap_or_default())
        }
    }
}

/// The first characters; of a negative count, all but so many of the last.
pub(super) fn left(text: &str, count: i128) -> &str {
    let count = match count < 0 {
        true => text.chars().count() as i128 + count,
        false => count,
    };
    text.get(..offset(text, bounded(count))).unwrap_or_default()
}

/// The last characters; of a negative count, all but so many of the first.
pub(super) fn right(text: &str, count: i128) -> &str {
    let skipped = match count < 0 {
        true => count.saturating_neg(),
        false => text.chars().count() as i128 - count,
    };
    text.get(offset(text, bounded(skipped))..)
        .unwrap_or_default()
}

/// Every occurrence replaced, from the left; an empty one is none.
pub(super) fn replace(text: &str, from: &str, to: &str) -> Made<Vec<u8>> {
    if from.is_empty() {
        return Ok(text.as_bytes().to_vec());
    }
    let mut out = Vec::with_capacity(text.len());
    for (index, piece) in text.split(from).enumerate() {
        if index > 0 {
            append(&mut out, to.as_bytes())?;
        }
        append(&mut out, piece.as_bytes())?;
    }
    Ok(out)
}

/// The text brought to a count of characters: filled up before or behind it, or cut at its end.
pub(super) fn pad(text: &str, count: i128, fill: &str, before: bool) -> Made<Vec<u8>> {
    let length = text.chars().count();
    let wanted = bounded(count);
    if length >= wanted || fill.is_empty() {
        return Ok(left(text, count.max(0)).as_bytes().to_vec());
    }
    let missing = wanted - length;
    if missing > LARGEST {
        return Err(EvaluationError::TooLarge);
    }
    let mut filling = Vec::new();
    let mut letter = [0; 4];
    for c in fill.chars().cycle().take(missing) {
        append(&mut filling, c.encode_utf8(&mut letter).as_bytes())?;
    }
    let (mut out, more) = match before {
        true => (filling, text.as_bytes().to_vec()),
        false => (text.as_bytes().to_vec(), filling),
    };
    append(&mut out, &more)?;
    Ok(out)
}

/// The text so many times.
pub(super) fn repeat(text: &str, count: i128) -> Made<Vec<u8>> {
    let count = bounded(count);
    match text.len().saturating_mul(count) > LARGEST {
        true => Err(EvaluationError::TooLarge),
        false => Ok(text
            .as_bytes()
            .repeat(if text.is_empty() { 0 } else { count })),
    }
}

/// Where `part` begins, in characters from 1; 0 where it does not occur.
pub(super) fn position(text: &str, part: &str) -> i128 {
    text.find(part).map_or(0, |at| {
        let before = text.get(..at).unwrap_or_default();
        before.chars().count() as i128 + 1
    })
}

/// The piece `number` between separators, from 1, or from the end where it is negative; empty where there are not so many.
pub(super) fn split_part<'t>(text: &'t str, separator: &str, number: i128) -> Made<&'t str> {
    if number == 0 {
        return Err(EvaluationError::Argument);
    }
    let index = bounded(number.saturating_abs() - 1);
    if separator.is_empty() {
        return Ok(if index == 0 { text } else { "" });
    }
    let piece = match number > 0 {
        true => text.split(separator).nth(index),
        false => text.rsplit(separator).nth(index),
    };
    Ok(piece.unwrap_or_default())
}
