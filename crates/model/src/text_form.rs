//! Parsers of the text forms of typed values (PostgreSQL documentation, chapter 8, "Data Types"; ISO 8601 with a blank).
//!
//! They accept what a server prints under pinned settings (`DateStyle ISO`, `TimeZone UTC`, `bytea_output hex`) and what
//! SQLite applications store by its date functions. They return `None` for everything else, and never panic.

/// A boolean: `t`/`f`, `true`/`false`, `1`/`0`.
pub fn boolean(text: &[u8]) -> Option<bool> {
    match text {
        b"t" | b"true" | b"TRUE" | b"1" => Some(true),
        b"f" | b"false" | b"FALSE" | b"0" => Some(false),
        _ => None,
    }
}

/// A decimal integer that fits 64 bits.
pub fn integer(text: &[u8]) -> Option<i64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// A double: decimal, `NaN`, `Infinity`, `-Infinity`.
pub fn double(text: &[u8]) -> Option<f64> {
    match text {
        b"NaN" => Some(f64::NAN),
        b"Infinity" => Some(f64::INFINITY),
        b"-Infinity" => Some(f64::NEG_INFINITY),
        _ => number_like(text).and_then(|t| t.parse().ok()),
    }
}

/// A single: its text of up to nine significant digits, as a store of singles writes it, or the text of a double that is one
/// widened. Any other number is no single: it is not rounded to one.
///
/// Stores do not agree on the digits: PostgreSQL's shortest form is at times one digit longer than the shortest there is, or ends
/// in another digit (`float_to_shortest_decimal`). So a text stands for a single if it is that single rounded to as many digits.
pub fn single(text: &[u8]) -> Option<f32> {
    match text {
        b"NaN" => Some(f32::NAN),
        b"Infinity" => Some(f32::INFINITY),
        b"-Infinity" => Some(f32::NEG_INFINITY),
        _ => {
            let text = number_like(text)?;
            let (single, double): (f32, f64) = (text.parse().ok()?, text.parse().ok()?);
            let same = |other: f64| other.to_bits() == double.to_bits();
            let rounded =
                |digits: usize| format!("{single:.*e}", digits - 1).parse().is_ok_and(same);
            let shortest = || format!("{single:?}").parse().is_ok_and(same);
            let written = || match significant_digits(text) {
                0 => single == 0.0,
                digits @ 1..=SINGLE_DIGITS => rounded(digits),
                _ => false,
            };
            (same(f64::from(single)) || shortest() || written()).then_some(single)
        }
    }
}

/// The digits that tell any two singles apart.
const SINGLE_DIGITS: usize = 9;

/// The digits of a decimal number between its first and its last that is not zero; 0 of a zero.
fn significant_digits(text: &str) -> usize {
    let mantissa = text.split(['e', 'E']).next().unwrap_or_default();
    let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    digits.trim_matches('0').len()
}

fn number_like(text: &[u8]) -> Option<&str> {
    let first = *text.first()?;
    (first.is_ascii_digit() || matches!(first, b'-' | b'+' | b'.'))
        .then(|| std::str::from_utf8(text).ok())
        .flatten()
}

/// Bytes in hex form, `\x0aff`.
pub fn hex_bytes(text: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len() / 2);
    write_hex_bytes(text, &mut out)?;
    Some(out)
}

/// Appends what [`hex_bytes`] gives.
pub fn write_hex_bytes(text: &[u8], out: &mut Vec<u8>) -> Option<()> {
    crate::hex::write(text.strip_prefix(b"\\x")?, out)
}

/// A UUID in any of its usual spellings (with or without hyphens and braces).
pub fn uuid(text: &[u8]) -> Option<[u8; 16]> {
    let mut out = [0u8; 16];
    let mut digits = 0usize;
    for &c in text {
        if matches!(c, b'-' | b'{' | b'}') {
            continue;
        }
        let d = (c as char).to_digit(16)? as u8;
        let byte = out.get_mut(digits / 2)?;
        *byte = *byte << 4 | d;
        digits += 1;
    }
    (digits == 32).then_some(out)
}

/// A decimal in its shortest equal form: sign, digits without leading zeros, point and fraction without trailing zeros;
/// zero is `0`. `NaN`, `Infinity` and `-Infinity` stay. Exponents are resolved.
pub fn decimal(text: &[u8]) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    write_decimal(text, &mut out)?;
    String::from_utf8(out).ok()
}

/// Appends what [`decimal`] gives.
pub fn write_decimal(text: &[u8], out: &mut Vec<u8>) -> Option<()> {
    if matches!(text, b"NaN" | b"Infinity" | b"-Infinity") {
        out.extend_from_slice(text);
        return Some(());
    }
    let (negative, rest) = match text.first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let (mantissa, exponent) = match rest.iter().position(|c| matches!(c, b'e' | b'E')) {
        Some(at) => {
            let exponent = std::str::from_utf8(&rest[at + 1..]).ok()?;
            (&rest[..at], exponent.parse::<i32>().ok()?)
        }
        None => (rest, 0),
    };
    // a double's exponent at most: everything is bounded
    if !(-20_000..=140_000).contains(&exponent) {
        return None;
    }
    let (whole, fraction) = match mantissa.iter().position(|c| *c == b'.') {
        Some(at) => (&mantissa[..at], &mantissa[at + 1..]),
        None => (mantissa, &mantissa[..0]),
    };
    let mut digits = whole.iter().chain(fraction);
    if !digits.all(u8::is_ascii_digit) || (whole.is_empty() && fraction.is_empty()) {
        return None;
    }
    if exponent == 0 {
        write_shortest(negative, whole, fraction, out);
        return Some(());
    }
    let mut digits = [whole, fraction].concat();
    let point = whole.len() as i64 + i64::from(exponent);
    if point < 0 {
        let zeros = usize::try_from(-point).ok()?;
        digits.splice(..0, std::iter::repeat_n(b'0', zeros));
    }
    // bounded by the exponent
    let point = usize::try_from(point.max(0)).ok()?;
    digits.resize(digits.len().max(point), b'0');
    write_shortest(negative, &digits[..point], &digits[point..], out);
    Some(())
}

fn write_shortest(negative: bool, whole: &[u8], fraction: &[u8], out: &mut Vec<u8>) {
    let first = whole.iter().position(|c| *c != b'0');
    let whole = first.map_or(&[][..], |at| &whole[at..]);
    let last = fraction.iter().rposition(|c| *c != b'0');
    let fraction = last.map_or(&[][..], |at| &fraction[..=at]);
    if negative && !(whole.is_empty() && fraction.is_empty()) {
        out.push(b'-');
    }
    out.extend_from_slice(if whole.is_empty() { b"0" } else { whole });
    if !fraction.is_empty() {
        out.push(b'.');
        out.extend_from_slice(fraction);
    }
}

/// Days from 1970-01-01 in the proleptic Gregorian calendar; year 0 is 1 BC.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let y = if month <= 2 { year - 1 } else { year };
    let era = y.div_euclid(400);
    let yoe = y.rem_euclid(400);
    let mp = (month + 9) % 12;
    let doy = (153 * mp + 2) / 5 + day - 1;
    let doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
    era * 146_097 + doe - 719_468
}

fn is_leap(year: i64) -> bool {
    year.rem_euclid(4) == 0 && (year.rem_euclid(100) != 0 || year.rem_euclid(400) == 0)
}

fn small(text: &str, digits: std::ops::RangeInclusive<usize>) -> Option<i64> {
    (digits.contains(&text.len()) && text.bytes().all(|c| c.is_ascii_digit()))
        .then(|| text.parse().ok())
        .flatten()
}

fn civil(text: &str, before_christ: bool) -> Option<i64> {
    let mut parts = text.splitn(3, '-');
    let year = small(parts.next()?, 4..=7)?;
    let month = small(parts.next()?, 2..=2)?;
    let day = small(parts.next()?, 2..=2)?;
    let year = if before_christ { 1 - year } else { year };
    let last = match month {
        4 | 6 | 9 | 11 => 30,
        2 if is_leap(year) => 29,
        2 => 28,
        1..=12 => 31,
        _ => return None,
    };
    (1..=last)
        .contains(&day)
        .then(|| days_from_civil(year, month, day))
}

/// Days from 1970-01-01; `infinity` is `i64::MAX`, `-infinity` is `i64::MIN`.
pub fn date(text: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(text).ok()?;
    match text {
        "infinity" => Some(i64::MAX),
        "-infinity" => Some(i64::MIN),
        _ => match text.strip_suffix(" BC") {
            Some(rest) => civil(rest, true),
            None => civil(text, false),
        },
    }
}

/// Microseconds from midnight, `HH:MM[:SS[.ffffff]]`; up to and including 24:00:00.
pub fn time(text: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(text).ok()?;
    let mut parts = text.splitn(3, ':');
    let hour = small(parts.next()?, 2..=2)?;
    let minute = small(parts.next()?, 2..=2)?;
    let (second, micros) = match parts.next() {
        None => (0, 0),
        Some(s) => {
            let (whole, fraction) = s.split_once('.').unwrap_or((s, ""));
            let micros = if fraction.is_empty() {
                0
            } else {
                // more than six digits only where the rest is zeros: nothing is rounded away
                let (head, tail) = fraction.split_at(fraction.len().min(6));
                if !tail.bytes().all(|c| c == b'0') {
                    return None;
                }
                small(head, 1..=6)? * 10_i64.pow(6 - head.len() as u32)
            };
            (small(whole, 2..=2)?, micros)
        }
    };
    let total = ((hour * 60 + minute) * 60 + second) * 1_000_000 + micros;
    (minute < 60 && second < 60 && total <= 86_400_000_000).then_some(total)
}

/// Days from 1970-01-01 to 2000-01-01.
const EPOCH: i64 = 10_957;

/// Microseconds from 2000-01-01 00:00 of a local date and time (`T` or a blank between; a date alone is its midnight). Counted
/// as PostgreSQL counts them, so that all that it can hold fits: from 4714 BC to the end of 294276.
pub fn timestamp(text: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(text).ok()?;
    match infinite(text) {
        None => {
            let (body, bc) = era(text);
            local(body, bc)
        }
        instant => instant,
    }
}

fn infinite(text: &str) -> Option<i64> {
    match text {
        "infinity" => Some(i64::MAX),
        "-infinity" => Some(i64::MIN),
        _ => None,
    }
}

/// Without the mark of the era, and whether it is the one before Christ.
fn era(text: &str) -> (&str, bool) {
    match text.strip_suffix(" BC") {
        Some(rest) => (rest, true),
        None => (text, false),
    }
}

fn local(body: &str, bc: bool) -> Option<i64> {
    let (day, clock) = match body.find([' ', 'T']) {
        Some(at) => (&body[..at], Some(&body[at + 1..])),
        None => (body, None),
    };
    let days = civil(day, bc)?;
    let micros = clock.map_or(Some(0), |c| time(c.as_bytes()))?;
    (days - EPOCH)
        .checked_mul(86_400_000_000)?
        .checked_add(micros)
}

/// Microseconds from 2000-01-01 00:00 UTC of an instant with an offset (`Z`, `+HH`, `+HH:MM`, `+HH:MM:SS`).
pub fn timestamp_with_zone(text: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(text).ok()?;
    if let Some(instant) = infinite(text) {
        return Some(instant);
    }
    let (body, bc) = era(text);
    let clock_at = body.find([' ', 'T'])?;
    let zone_at = body[clock_at..].find(['+', '-', 'Z'])? + clock_at;
    let zone = &body[zone_at..];
    let offset = if zone == "Z" {
        0
    } else {
        let mut parts = zone[1..].splitn(3, ':');
        let hours = small(parts.next()?, 2..=2)?;
        let minutes = parts.next().map_or(Some(0), |p| small(p, 2..=2))?;
        let seconds = parts.next().map_or(Some(0), |p| small(p, 2..=2))?;
        let total = (hours * 60 + minutes) * 60 + seconds;
        if zone.starts_with('-') { -total } else { total }
    };
    local(&body[..zone_at], bc)?.checked_sub(offset * 1_000_000)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_number_finer_than_a_single_is_none() {
        assert_eq!(single(b"0.1"), Some(0.1));
        assert_eq!(single(b"0.10000000149011612"), Some(0.1));
        assert_eq!(single(b"0.100000000001"), None);
        assert_eq!(single(b"1e300"), None);
        assert_eq!(single(b"-0"), Some(-0.0));
        assert_eq!(single(b"16777216"), Some(16_777_216.0));
        assert_eq!(single(b"16777217"), None);
        assert_eq!(single(b"1e-45"), Some(f32::from_bits(1)));
        assert_eq!(single(b"3.4028235e+38"), Some(f32::MAX));
    }

    #[test]
    fn decimals_have_one_form_per_value() {
        for (text, form) in [
            ("1.10", "1.1"),
            ("-0.00", "0"),
            ("007", "7"),
            ("1e3", "1000"),
            ("1.5e-3", "0.0015"),
            (".5", "0.5"),
            ("5.", "5"),
            ("12.5e1", "125"),
            ("0.05e1", "0.5"),
            ("12e-2", "0.12"),
            ("-0e5", "0"),
            ("-12.340", "-12.34"),
            ("NaN", "NaN"),
            ("1E+2", "100"),
        ] {
            assert_eq!(decimal(text.as_bytes()).as_deref(), Some(form), "{text}");
        }
        for text in ["", ".", "-", "1.2.3", "1e", "e5", "1e999999999", "0x1", "١"] {
            assert_eq!(decimal(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn instants_are_read_with_offsets_eras_and_infinities() {
        assert_eq!(timestamp(b"2000-01-01 00:00:00"), Some(0));
        assert_eq!(timestamp(b"2000-01-02"), Some(86_400_000_000));
        assert_eq!(
            timestamp(b"1970-01-01"),
            Some(-EPOCH * 86_400_000_000),
            "the epoch is 2000"
        );
        // the greatest and the least that PostgreSQL can hold
        let greatest = timestamp(b"294276-12-31 23:59:59.999999").unwrap();
        let least = timestamp(b"4714-11-24 00:00:00 BC").unwrap();
        assert!(greatest < i64::MAX && least > i64::MIN);
        assert_eq!(timestamp(b"294277-01-01 00:00:00"), Some(greatest + 1));
        assert_eq!(
            timestamp_with_zone(b"2000-01-01 01:00:00.000001+01"),
            Some(1)
        );
        assert_eq!(timestamp_with_zone(b"2000-01-01T00:00:00Z"), Some(0));
        assert_eq!(date(b"0001-12-31 BC"), Some(-719_163));
        assert_eq!(date(b"0001-01-01"), Some(-719_162));
        assert_eq!(date(b"infinity"), Some(i64::MAX));
        assert_eq!(date(b"2023-02-29"), None);
        assert_eq!(date(b"2024-02-29"), Some(19_782));
        assert_eq!(time(b"24:00:00"), Some(86_400_000_000));
        assert_eq!(time(b"24:00:01"), None);
        assert_eq!(time(b"01:02:03.1234567"), None);
    }

    #[test]
    fn hex_and_uuid_refuse_what_is_not_whole() {
        assert_eq!(hex_bytes(b"\\x0aFF"), Some(vec![10, 255]));
        assert_eq!(hex_bytes(b"\\x0"), None);
        assert_eq!(hex_bytes(b"0a"), None);
        assert!(uuid(b"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11").is_some());
        assert!(uuid(b"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a1").is_none());
        assert!(uuid(b"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a112").is_none());
    }
}
