//! The likely cause of two cells' difference.

use crossfade_model::{Canonical, Cell, LogicalType, hex, text_form};

use super::json;
use super::text;
use super::{Cause, Pair};

/// Microseconds of a quarter of an hour.
const QUARTER: u64 = 15 * 60 * 1_000_000;
/// Time zones lie 14 hours from UTC at most.
const FARTHEST: u64 = 14 * 4 * QUARTER;
/// Microseconds of a day.
const DAY: u64 = 24 * 4 * QUARTER;

/// Names the cause of two cells' difference where it explains it.
type Rule = fn(&Pair<'_>, &Cell, &Cell) -> Option<Cause>;

/// Rules in the order in which they are asked: the first that explains the difference is its cause.
const RULES: [Rule; 5] = [form, times, numbers, documents, texts];

/// The likely cause of two cells that differ.
pub(crate) fn of_cells(pair: &Pair<'_>, theirs: &Cell, ours: &Cell) -> Cause {
    match (theirs, ours) {
        (Cell::Unchanged | Cell::Unfit(_), _) | (_, Cell::Unchanged | Cell::Unfit(_)) => {
            Cause::Unknown
        }
        (Cell::Null, value) | (value, Cell::Null) => match bytes(pair, value) {
            Some(bytes) if bytes.is_empty() => Cause::NullOrEmpty,
            _ => Cause::Unknown,
        },
        _ => RULES
            .iter()
            .find_map(|rule| rule(pair, theirs, ours))
            .unwrap_or(Cause::Unknown),
    }
}

/// The same value in another form.
fn form(pair: &Pair<'_>, a: &Cell, b: &Cell) -> Option<Cause> {
    let other_storage = storage(a) != storage(b);
    let discrete = |t| matches!(t, LogicalType::Boolean | LogicalType::Integer { .. });
    let counted = other_storage || pair.any(discrete);
    let truth_or_count = both(a, b, boolean) || both(a, b, integer);
    let same = (counted && truth_or_count)
        || (other_storage && both(a, b, decimal))
        || (pair.any(|t| t == LogicalType::Uuid) && both(a, b, uuid))
        || (other_storage && both(a, b, |cell| bytes(pair, cell)));
    same.then_some(Cause::Form)
}

fn both<T: PartialEq>(a: &Cell, b: &Cell, read: impl Fn(&Cell) -> Option<T>) -> bool {
    matches!((read(a), read(b)), (Some(a), Some(b)) if a == b)
}

fn uuid(cell: &Cell) -> Option<[u8; 16]> {
    match cell {
        Cell::Blob(bytes) => bytes.as_ref().try_into().ok(),
        _ => text(cell).and_then(text_form::uuid),
    }
}

/// How a cell is stored, as far as it says so.
fn storage(cell: &Cell) -> u8 {
    match cell {
        Cell::Null | Cell::Unchanged => 0,
        Cell::TextForm(_) | Cell::Text(_) => 1,
        Cell::Integer(_) => 2,
        Cell::Real(_) => 3,
        Cell::Blob(_) => 4,
        Cell::Unfit(_) => 5,
    }
}

/// A point in time or a time of day, in microseconds.
enum Time {
    Moment(i64),
    Clock(i64),
}

fn time(cell: &Cell) -> Option<Time> {
    let text = text(cell)?;
    text_form::timestamp_with_zone(text)
        .or_else(|| text_form::timestamp(text))
        .map(Time::Moment)
        .or_else(|| text_form::time(text).map(Time::Clock))
}

fn times(_: &Pair<'_>, a: &Cell, b: &Cell) -> Option<Cause> {
    let (a, b, apart) = match (time(a)?, time(b)?) {
        (Time::Moment(a), Time::Moment(b)) => (a, b, a.abs_diff(b)),
        // times of day lie round a clock
        (Time::Clock(a), Time::Clock(b)) => {
            let apart = a.abs_diff(b);
            (a, b, apart.min(DAY.saturating_sub(apart)))
        }
        _ => return None,
    };
    if a == b {
        return Some(Cause::Form);
    }
    if [1000, 1_000_000]
        .iter()
        .any(|&unit| is_cut(a, b, unit) || is_cut(b, a, unit))
    {
        return Some(Cause::FractionOfSecond);
    }
    (apart.is_multiple_of(QUARTER) && apart <= FARTHEST).then_some(Cause::TimeZone)
}

/// `cut` is `whole` cut or rounded to whole units.
fn is_cut(whole: i64, cut: i64, unit: i64) -> bool {
    let rest = whole.rem_euclid(unit);
    let down = whole.checked_sub(rest);
    let up = down.and_then(|d| d.checked_add(unit));
    rest != 0 && (down == Some(cut) || (rest * 2 >= unit && up == Some(cut)))
}

fn numbers(pair: &Pair<'_>, a: &Cell, b: &Cell) -> Option<Cause> {
    let numeric = |t| {
        matches!(
            t,
            LogicalType::Integer { .. } | LogicalType::Float { .. } | LogicalType::Decimal
        )
    };
    let stored = |cell: &Cell| matches!(cell, Cell::Integer(_) | Cell::Real(_));
    let are_numbers = pair.any(numeric) || (stored(a) && stored(b));
    if !are_numbers {
        return None;
    }
    if let (Some(x), Some(y)) = (double(a), double(b)) {
        if x == 0.0 && y == 0.0 && x.is_sign_negative() != y.is_sign_negative() {
            return Some(Cause::ZeroSign);
        }
        if float_width(pair, a, b, x, y) {
            return Some(Cause::FloatWidth);
        }
    }
    let (x, y) = (decimal(a)?, decimal(b)?);
    (x == y || rounded(&x, &y) || rounded(&y, &x)).then_some(Cause::Precision)
}

/// Equal in single precision, where one side holds a single.
fn float_width(pair: &Pair<'_>, a: &Cell, b: &Cell, x: f64, y: f64) -> bool {
    let floating = pair.any(|t| matches!(t, LogicalType::Float { .. }))
        || matches!((a, b), (Cell::Real(_), _) | (_, Cell::Real(_)));
    let single = |v: f64| f64::from(v as f32) == v;
    floating
        && x.is_finite()
        && y.is_finite()
        && x as f32 == y as f32
        && (single(x) || single(y) || pair.any(|t| matches!(t, LogicalType::Float { bits: 32 })))
}

/// `short` is the decimal `long` cut, or rounded half away from zero, to as many digits behind the point. Both in shortest form.
fn rounded(long: &str, short: &str) -> bool {
    fn parts(text: &str) -> (bool, &str, &str) {
        let (negative, text) = text.strip_prefix('-').map_or((false, text), |t| (true, t));
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        (negative, whole, fraction)
    }
    let ((long_sign, whole, fraction), (short_sign, short_whole, short_fraction)) =
        (parts(long), parts(short));
    let (Some(kept), Some(next)) = (
        fraction.get(..short_fraction.len()),
        fraction.as_bytes().get(short_fraction.len()),
    ) else {
        return false;
    };
    // a number that was rounded to zero has no sign
    if long_sign != short_sign && short != "0" {
        return false;
    }
    let wanted = format!("{short_whole}{short_fraction}");
    let cut = format!("{whole}{kept}");
    cut == wanted || (*next >= b'5' && raised(&cut) == wanted.trim_start_matches('0'))
}

/// The next number after one of decimal digits, without leading zeros.
fn raised(digits: &str) -> String {
    let mut out = digits.as_bytes().to_vec();
    for digit in out.iter_mut().rev() {
        if *digit == b'9' {
            *digit = b'0';
        } else {
            *digit = digit.saturating_add(1);
            let text = String::from_utf8_lossy(&out);
            return text.trim_start_matches('0').to_owned();
        }
    }
    format!("1{}", String::from_utf8_lossy(&out))
}

fn documents(pair: &Pair<'_>, a: &Cell, b: &Cell) -> Option<Cause> {
    let (a, b) = (text(a)?, text(b)?);
    let opens = |text: &[u8]| matches!(text.trim_ascii_start().first(), Some(b'{' | b'['));
    let json = pair.any(|t| t == LogicalType::Json) || (opens(a) && opens(b));
    (json && json::same(a, b)).then_some(Cause::JsonForm)
}

fn texts(pair: &Pair<'_>, a: &Cell, b: &Cell) -> Option<Cause> {
    text::of_bytes(&bytes(pair, a)?, &bytes(pair, b)?)
}

/// The bytes of a text or binary value.
fn bytes(pair: &Pair<'_>, cell: &Cell) -> Option<bytes::Bytes> {
    let binary = pair.canonical == Canonical::Bytes || pair.any(|t| t == LogicalType::Bytes);
    match cell {
        Cell::TextForm(text) if binary => {
            let digits = text.strip_prefix(b"\\x")?;
            hex::decode(std::str::from_utf8(digits).ok()?).map(Into::into)
        }
        Cell::TextForm(bytes) | Cell::Text(bytes) | Cell::Blob(bytes) => Some(bytes.clone()),
        Cell::Null | Cell::Unchanged | Cell::Unfit(_) | Cell::Integer(_) | Cell::Real(_) => None,
    }
}

fn boolean(cell: &Cell) -> Option<bool> {
    cell.value()?.boolean()
}

fn integer(cell: &Cell) -> Option<i64> {
    cell.value()?.integer()
}

fn double(cell: &Cell) -> Option<f64> {
    cell.value()?.double()
}

fn text(cell: &Cell) -> Option<&[u8]> {
    cell.value()?.text()
}

fn decimal(cell: &Cell) -> Option<String> {
    cell.value()?.decimal()
}
