//! Dates and times: moved, taken apart, cut.

use super::Result;
use crate::EvaluationError;
use crate::calendar::{Civil, DAY, EPOCH, civil, days as count, is_day, parts};
use crate::datum::Datum;
use crate::decimal::{Decimal, Number};
use crate::term::Field;

type Counted<T> = std::result::Result<T, EvaluationError>;

fn finite(count: i64) -> Counted<i64> {
    match count {
        i64::MIN | i64::MAX => Err(EvaluationError::NotFinite),
        count => Ok(count),
    }
}

/// A date some days later, or earlier.
pub(super) fn shift<'a>(date: Datum<'a>, days: Datum<'a>, back: bool) -> Result<Datum<'a>> {
    match (date, days) {
        (Datum::Null, _) | (_, Datum::Null) => Ok(Datum::Null),
        (Datum::Date(date), Datum::Integer(days)) => {
            let date = i128::from(finite(date)?);
            let moved = match back {
                true => date.checked_sub(days),
                false => date.checked_add(days),
            };
            let moved = moved.and_then(|moved| i64::try_from(moved).ok());
            let moved = moved.filter(|moved| is_day(*moved));
            Ok(Datum::Date(moved.ok_or(EvaluationError::Overflow)?))
        }
        _ => Err(EvaluationError::NotOfType.into()),
    }
}

/// Days from the second date to the first.
pub(super) fn days<'a>(left: Datum<'a>, right: Datum<'a>) -> Result<Datum<'a>> {
    match (left, right) {
        (Datum::Null, _) | (_, Datum::Null) => Ok(Datum::Null),
        (Datum::Date(left), Datum::Date(right)) => Ok(Datum::Integer(
            i128::from(finite(left)?) - i128::from(finite(right)?),
        )),
        _ => Err(EvaluationError::NotOfType.into()),
    }
}

/// Days from 1970-01-01, microseconds of the day, microseconds from 1970-01-01.
fn taken_apart(datum: &Datum<'_>) -> Counted<(i64, i64, i128)> {
    match datum {
        Datum::Date(days) => {
            let days = finite(*days)?;
            Ok((days, 0, i128::from(days) * i128::from(DAY)))
        }
        Datum::Time(micros) => Ok((0, *micros, i128::from(*micros))),
        Datum::Timestamp(micros) | Datum::Instant(micros) => {
            let micros = finite(*micros)?;
            let (days, clock) = parts(micros);
            let epoch = i128::from(micros) + i128::from(EPOCH) * i128::from(DAY);
            Ok((days, clock, epoch))
        }
        _ => Err(EvaluationError::NotOfType),
    }
}

/// A field of a date or a time.
pub(super) fn extract<'a>(field: Field, datum: Datum<'a>) -> Result<Datum<'a>> {
    if datum.is_null() {
        return Ok(Datum::Null);
    }
    let (days, clock, epoch) = taken_apart(&datum)?;
    let Civil { year, month, day } = civil(days);
    let fraction = |micros| Datum::Decimal(Decimal::Number(Number::scaled(micros, 6)));
    let whole = match field {
        Field::Second => return Ok(fraction(i128::from(clock % 60_000_000))),
        Field::Epoch => return Ok(fraction(epoch)),
        // no year 0: before 1 comes -1
        Field::Year => year - i64::from(year < 1),
        Field::Quarter => (month + 2) / 3,
        Field::Month => month,
        Field::Day => day,
        Field::Hour => clock / 3_600_000_000,
        Field::Minute => clock / 60_000_000 % 60,
        Field::WeekDay => (days + 4).rem_euclid(7),
        Field::IsoWeekDay => from_monday(days) + 1,
        Field::YearDay => {
            let first = count(Civil {
                year,
                month: 1,
                day: 1,
            });
            days - first + 1
        }
        Field::Week => return Err(EvaluationError::Argument.into()),
    };
    Ok(Datum::Integer(i128::from(whole)))
}

fn from_monday(days: i64) -> i64 {
    (days + 3).rem_euclid(7)
}

/// The beginning of the year, the month … that a date or a time lies in. Infinities stay.
pub(super) fn truncate(field: Field, datum: Datum<'_>) -> Result<Datum<'_>> {
    Ok(match datum {
        Datum::Date(i64::MIN | i64::MAX)
        | Datum::Timestamp(i64::MIN | i64::MAX)
        | Datum::Instant(i64::MIN | i64::MAX)
        | Datum::Null => datum,
        Datum::Date(days) => Datum::Date(cut_day(field, days)),
        Datum::Timestamp(micros) => Datum::Timestamp(cut(field, micros)?),
        Datum::Instant(micros) => Datum::Instant(cut(field, micros)?),
        _ => return Err(EvaluationError::NotOfType.into()),
    })
}

fn cut_day(field: Field, days: i64) -> i64 {
    let Civil { year, month, .. } = civil(days);
    let first = |month| {
        count(Civil {
            year,
            month,
            day: 1,
        })
    };
    match field {
        Field::Year => first(1),
        Field::Quarter => first((month - 1) / 3 * 3 + 1),
        Field::Month => first(month),
        Field::Week => days - from_monday(days),
        _ => days,
    }
}

fn cut(field: Field, micros: i64) -> Counted<i64> {
    let (days, clock) = parts(micros);
    let clock = match field {
        Field::Hour => clock - clock % 3_600_000_000,
        Field::Minute => clock - clock % 60_000_000,
        Field::Second => clock - clock % 1_000_000,
        _ => 0,
    };
    (cut_day(field, days) - EPOCH)
        .checked_mul(DAY)
        .and_then(|start| start.checked_add(clock))
        .ok_or(EvaluationError::Overflow)
}
