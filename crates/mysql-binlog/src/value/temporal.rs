//! Dates and times (MySQL internals, "Date and Time Data Type Representation"; `my_time.cc`).

use super::number::write_padded;
use crate::cursor::Cursor;
use crate::error::Result;

const WHAT: &str = "a date or time";

/// Bytes of a fraction of so many digits.
fn fraction_bytes(digits: u8) -> usize {
    usize::from(digits.div_ceil(2))
}

/// The microseconds of a fraction as it is stored: in units of 10^-2, 10^-4 or 10^-6 seconds.
fn fraction_micros(digits: u8, stored: u64) -> u64 {
    match digits {
        0 => 0,
        1 | 2 => stored * 10_000,
        3 | 4 => stored * 100,
        _ => stored,
    }
}

fn write_fraction(digits: u8, micros: u64, out: &mut Vec<u8>) {
    if digits > 0 {
        out.push(b'.');
        let unit = 10_u64.pow(6 - u32::from(digits.min(6)));
        write_padded(micros % 1_000_000 / unit, digits.into(), out);
    }
}

fn write_ymd(year: u64, month: u64, day: u64, out: &mut Vec<u8>) {
    write_padded(year, 4, out);
    out.push(b'-');
    write_padded(month, 2, out);
    out.push(b'-');
    write_padded(day, 2, out);
}

fn write_hms(hour: u64, minute: u64, second: u64, out: &mut Vec<u8>) {
    write_padded(hour, 2, out);
    out.push(b':');
    write_padded(minute, 2, out);
    out.push(b':');
    write_padded(second, 2, out);
}

/// Hours, minutes and seconds as they are packed: 10 or 5, 6 and 6 bits.
fn write_packed_hms(packed: u64, hours: u64, out: &mut Vec<u8>) {
    write_hms(packed >> 12 & hours, packed >> 6 & 63, packed & 63, out);
}

/// A year in one byte, from 1900 on; 0 is the year 0.
pub(super) fn write_year(from: &mut Cursor, out: &mut Vec<u8>) -> Result<()> {
    let year = match u64::from(from.u8(WHAT)?) {
        0 => 0,
        year => 1900 + year,
    };
    write_padded(year, 4, out);
    Ok(())
}

/// Three bytes: 15 bits of year, 4 of month, 5 of day.
pub(super) fn write_date(from: &mut Cursor, out: &mut Vec<u8>) -> Result<()> {
    let packed = from.uint(3, WHAT)?;
    write_ymd(packed >> 9, packed >> 5 & 15, packed & 31, out);
    Ok(())
}

/// Three bytes and the fraction, big-endian, as one number with an offset, so that bytes compare as times do.
pub(super) fn write_time(digits: u8, from: &mut Cursor, out: &mut Vec<u8>) -> Result<()> {
    let bytes = fraction_bytes(digits);
    let stored = from.uint_be(3 + bytes, WHAT)? as i64;
    let scale = 8 * bytes as u32;
    // seconds and fraction share a two's complement number
    let time = stored - (0x80_0000 << scale);
    let magnitude = time.unsigned_abs();
    let micros = fraction_micros(digits, magnitude & ((1 << scale) - 1));
    if time < 0 {
        out.push(b'-');
    }
    write_packed_hms(magnitude >> scale, 0x3ff, out);
    write_fraction(digits, micros, out);
    Ok(())
}

/// Five bytes and the fraction, big-endian: 17 bits of year × 13 + month, 5 of day, 17 of time.
pub(super) fn write_datetime(digits: u8, from: &mut Cursor, out: &mut Vec<u8>) -> Result<()> {
    let packed = from.uint_be(5, WHAT)? & 0x7f_ffff_ffff;
    let stored = from.uint_be(fraction_bytes(digits), WHAT)?;
    write_packed_datetime(packed, out);
    write_fraction(digits, fraction_micros(digits, stored), out);
    Ok(())
}

fn write_packed_datetime(packed: u64, out: &mut Vec<u8>) {
    write_packed_date(packed, out);
    out.push(b' ');
    write_packed_hms(packed & 0x1_ffff, 0x1f, out);
}

fn write_packed_date(packed: u64, out: &mut Vec<u8>) {
    let days = packed >> 17;
    let months = days >> 5;
    write_ymd(months / 13, months % 13, days & 31, out);
}

/// Four bytes of seconds since the epoch, and the fraction, big-endian; all zero is the zero date.
pub(super) fn write_timestamp(digits: u8, from: &mut Cursor, out: &mut Vec<u8>) -> Result<()> {
    let seconds = from.uint_be(4, WHAT)?;
    let stored = from.uint_be(fraction_bytes(digits), WHAT)?;
    write_epoch(seconds, out);
    write_fraction(digits, fraction_micros(digits, stored), out);
    Ok(())
}

fn write_epoch(seconds: u64, out: &mut Vec<u8>) {
    if seconds == 0 {
        return out.extend_from_slice(b"0000-00-00 00:00:00");
    }
    let (year, month, day) = civil(seconds / 86_400);
    write_ymd(year, month, day, out);
    out.push(b' ');
    let second = seconds % 86_400;
    write_hms(second / 3600, second / 60 % 60, second % 60, out);
}

/// The date of so many days after 1970-01-01, by eras of 400 years that begin in March.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let era = days / 146_097;
    let of_era = days % 146_097;
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_based = (5 * of_year + 2) / 153;
    let day = of_year - (153 * march_based + 2) / 5 + 1;
    let month = if march_based < 10 {
        march_based + 3
    } else {
        march_based - 9
    };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    (year, month, day)
}

/// `TIMESTAMP` (7), `TIME` (11) and `DATETIME` (12) of before MySQL 5.6: seconds; decimal digits hhmmss; YYYYMMDDhhmmss.
pub(super) fn write_old(code: u8, from: &mut Cursor, out: &mut Vec<u8>) -> Result<()> {
    match code {
        7 => write_epoch(from.uint(4, WHAT)?, out),
        11 => {
            let stored = (from.uint(3, WHAT)? << 40) as i64 >> 40;
            if stored < 0 {
                out.push(b'-');
            }
            let digits = stored.unsigned_abs();
            write_hms(digits / 10_000, digits / 100 % 100, digits % 100, out);
        }
        _ => {
            let stored = from.u64(WHAT)?;
            let (date, time) = (stored / 1_000_000, stored % 1_000_000);
            write_ymd(date / 10_000, date / 100 % 100, date % 100, out);
            out.push(b' ');
            write_hms(time / 10_000, time / 100 % 100, time % 100, out);
        }
    }
    Ok(())
}

/// A date or time inside a JSON document, packed into 64 bits with six digits of a second.
pub(super) fn write_packed(code: u8, packed: i64, out: &mut Vec<u8>) {
    let magnitude = packed.unsigned_abs();
    let (whole, micros) = (magnitude >> 24, magnitude & 0xff_ffff);
    match code {
        10 => return write_packed_date(whole, out),
        11 => {
            if packed < 0 {
                out.push(b'-');
            }
            write_packed_hms(whole, 0x3ff, out);
        }
        _ => write_packed_datetime(whole, out),
    }
    write_fraction(6, micros, out);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use bytes::Bytes;

    fn shown(bytes: &[u8], write: impl Fn(&mut Cursor, &mut Vec<u8>) -> Result<()>) -> String {
        let mut out = Vec::new();
        let mut from = Cursor::new(Bytes::copy_from_slice(bytes));
        write(&mut from, &mut out).unwrap();
        assert!(from.is_empty());
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn times_go_below_zero_and_beyond_a_day() {
        let time = |digits, bytes: &[u8]| shown(bytes, |from, out| write_time(digits, from, out));
        assert_eq!(time(0, &[0x80, 0, 0]), "00:00:00");
        assert_eq!(time(0, &[0x80, 0, 1]), "00:00:01");
        assert_eq!(time(0, &[0xb4, 0x6e, 0xfb]), "838:59:59");
        assert_eq!(time(2, &[0x7f, 0xff, 0xff, 0xff]), "-00:00:00.01");
        assert_eq!(time(2, &[0x7f, 0xff, 0xff, 0]), "-00:00:01.00");
        assert_eq!(
            time(6, &[0x7f, 0xff, 0xfe, 0xff, 0xff, 0xff]),
            "-00:00:01.000001"
        );
    }

    #[test]
    fn the_calendar_has_leap_days() {
        for (days, date) in [
            (0, (1970, 1, 1)),
            (59, (1970, 3, 1)),
            (789, (1972, 2, 29)),
            (11_016, (2000, 2, 29)),
            (47_540, (2100, 2, 28)),
            (47_541, (2100, 3, 1)),
        ] {
            assert_eq!(civil(days), date);
        }
    }
}
