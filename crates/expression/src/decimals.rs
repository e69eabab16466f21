//! Exact decimals.

use std::str::FromStr;

use bigdecimal::num_bigint::BigInt;
use bigdecimal::{BigDecimal, RoundingMode, Signed as _, ToPrimitive as _, Zero as _};

use crate::evaluate::EvaluationError;

/// Digits of a result at most: everything is bounded.
const MOST_DIGITS: u64 = 2_000;

/// Reads a decimal in its plain form.
pub(crate) fn read(text: &str) -> Result<BigDecimal, EvaluationError> {
    match text {
        "NaN" | "Infinity" | "-Infinity" => Err(EvaluationError::NotFinite),
        _ => BigDecimal::from_str(text).map_err(|_| EvaluationError::NotOfType),
    }
}

/// A result whose size is bounded.
pub(crate) fn bounded(value: BigDecimal) -> Result<BigDecimal, EvaluationError> {
    let scale = value.fractional_digit_count();
    match value.digits() > MOST_DIGITS || scale.unsigned_abs() > MOST_DIGITS {
        true => Err(EvaluationError::Overflow),
        false => Ok(value),
    }
}

/// Rounded to so many places, halves away from zero.
pub(crate) fn round(value: &BigDecimal, places: i64) -> BigDecimal {
    value.with_scale_round(places, RoundingMode::HalfUp)
}

/// Cut off after so many places.
pub(crate) fn trunc(value: &BigDecimal, places: i64) -> BigDecimal {
    value.with_scale_round(places, RoundingMode::Down)
}

/// Rounded to a whole number that fits 64 bits.
pub(crate) fn to_integer(value: &BigDecimal) -> Result<i64, EvaluationError> {
    round(value, 0).to_i64().ok_or(EvaluationError::Overflow)
}

/// The exact quotient, where there is one.
pub(crate) fn divide(a: &BigDecimal, b: &BigDecimal) -> Result<BigDecimal, EvaluationError> {
    let (numerator, denominator) = fraction(a, b)?;
    // a fraction ends in decimals exactly where its denominator, in lowest terms, has no primes but 2 and 5
    let divisor = gcd(&numerator, &denominator);
    let mut rest = (&denominator / &divisor).abs();
    let mut places = 0i64;
    for prime in [2u32, 5] {
        let mut count = 0;
        while (&rest % prime).is_zero() {
            rest /= prime;
            count += 1;
        }
        places = places.max(count);
    }
    if rest != BigInt::from(1) || places > 1_000 {
        return Err(EvaluationError::NotExact);
    }
    let scaled = numerator * BigInt::from(10).pow(u32::try_from(places).unwrap_or(0));
    Ok(BigDecimal::new(scaled / denominator, places))
}

/// The quotient rounded to so many places, halves away from zero.
pub(crate) fn divide_rounded(
    a: &BigDecimal,
    b: &BigDecimal,
    places: i64,
) -> Result<BigDecimal, EvaluationError> {
    let (numerator, denominator) = fraction(a, b)?;
    let places = places.clamp(-100, 100);
    let (numerator, denominator) = match u32::try_from(places) {
        Ok(up) => (numerator * BigInt::from(10).pow(up), denominator),
        Err(_) => {
            let down = u32::try_from(-places).unwrap_or(0);
            (numerator, denominator * BigInt::from(10).pow(down))
        }
    };
    let twice = BigInt::from(2);
    let (dividend, divisor) = (numerator.abs(), denominator.abs());
    // half of the divisor more, and cut off, is rounding halves up
    let quotient = (dividend * &twice + &divisor) / (divisor * twice);
    let negative = numerator.is_negative() != denominator.is_negative();
    Ok(BigDecimal::new(
        if negative { -quotient } else { quotient },
        places,
    ))
}

/// Both as whole numbers of one scale.
fn fraction(a: &BigDecimal, b: &BigDecimal) -> Result<(BigInt, BigInt), EvaluationError> {
    if b.is_zero() {
        return Err(EvaluationError::DivisionByZero);
    }
    let scale = a
        .fractional_digit_count()
        .max(b.fractional_digit_count())
        .max(0);
    let whole = |value: &BigDecimal| value.with_scale(scale).into_bigint_and_exponent().0;
    Ok((whole(a), whole(b)))
}

fn gcd(a: &BigInt, b: &BigInt) -> BigInt {
    let (mut a, mut b) = (a.abs(), b.abs());
    while !b.is_zero() {
        (a, b) = (b.clone(), a % b);
    }
    if a.is_zero() { BigInt::from(1) } else { a }
}
