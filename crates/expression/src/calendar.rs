//! Days and microseconds as text, in the proleptic Gregorian calendar (ISO 8601 with a blank).

use crate::evaluate::EvaluationError;
use crate::function::Part;

/// Microseconds of a day.
pub(crate) const DAY: i64 = 86_400_000_000;
/// Days from 1970-01-01 to 2000-01-01, from where timestamps count.
pub(crate) const EPOCH: i64 = 10_957;

/// Year, month and day of days from 1970-01-01 (H. Hinnant, "chrono-Compatible Low-Level Date Algorithms").
pub(crate) fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 {
        from_march + 3
    } else {
        from_march - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

/// A date; years of four digits or more.
pub(crate) fn date(days: i64) -> Result<String, EvaluationError> {
    let (year, month, day) = civil(days);
    if !(1..=294_276).contains(&year) {
        return Err(EvaluationError::Overflow);
    }
    Ok(format!("{year:04}-{month:02}-{day:02}"))
}

/// A time of day; fractions where there are any.
pub(crate) fn time(micros: i64) -> String {
    let (seconds, fraction) = (micros / 1_000_000, micros % 1_000_000);
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match fraction {
        0 => format!("{hours:02}:{minutes:02}:{seconds:02}"),
        fraction => {
            let digits = format!("{fraction:06}");
            format!(
                "{hours:02}:{minutes:02}:{seconds:02}.{}",
                digits.trim_end_matches('0')
            )
        }
    }
}

/// A date and time.
pub(crate) fn timestamp(micros: i64) -> Result<String, EvaluationError> {
    let days = micros.div_euclid(DAY) + EPOCH;
    Ok(format!("{} {}", date(days)?, time(micros.rem_euclid(DAY))))
}

/// A part of days and microseconds of the day; seconds without fractions.
pub(crate) fn part(part: Part, days: i64, micros: i64) -> i64 {
    let (year, month, day) = civil(days);
    let seconds = micros / 1_000_000;
    match part {
        Part::Year => year,
        Part::Month => month,
        Part::Day => day,
        Part::Hour => seconds / 3600,
        Part::Minute => seconds / 60 % 60,
        Part::Second => seconds % 60,
        Part::Epoch => days * 86_400 + seconds,
    }
}
