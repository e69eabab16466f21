//! Division that is exact, or rounded as it was asked for.

use super::{Digits, FINEST, Number, Rounding};
use crate::EvaluationError;

/// Digits that rounding may be asked for, before or behind the point, at most.
const DIGITS: i128 = 1_000;

/// How many factors are taken out of a long number at once.
const POWERS: [u32; 4] = [4_096, 256, 16, 1];

impl Number {
    /// The quotient, if it has an end.
    ///
    /// # Errors
    /// A division by zero; a quotient whose digits have no end, or too many.
    pub(crate) fn divide(&self, by: &Self) -> Result<Self, EvaluationError> {
        if by.digits.is_zero() {
            return Err(EvaluationError::Division);
        }
        // what is left of the divisor without its twos and fives must go into the dividend
        let (rest, twos) = without(by.digits.absolute(), 2)?;
        let (rest, fives) = without(rest, 5)?;
        let (quotient, remainder) = self.digits.divide(&rest)?;
        if !remainder.is_zero() {
            return Err(EvaluationError::NotExact);
        }
        let power = twos.max(fives);
        let mut digits = quotient
            .multiply(&power_of(2, power - twos))
            .multiply(&power_of(5, power - fives));
        if by.signum() < 0 {
            digits = digits.negated();
        }
        // digits / 10^power, times 10^by.scale, divided by 10^self.scale
        let scale = i64::from(self.scale) + i64::from(power) - i64::from(by.scale);
        match u32::try_from(scale) {
            Ok(scale) => Self::checked(digits, scale).map(Self::shortened),
            Err(_) => {
                let more = u32::try_from(-scale).map_err(|_| EvaluationError::Overflow)?;
                Self::checked(digits.multiply(&Digits::ten_to(more)), 0)
            }
        }
    }

    /// The quotient with `places` digits behind the point (before it, where they are negative).
    ///
    /// # Errors
    /// A division by zero, or more than 1000 places.
    pub(crate) fn divide_rounded(
        &self,
        by: &Self,
        places: i128,
        rounding: Rounding,
    ) -> Result<Self, EvaluationError> {
        if !(-DIGITS..=DIGITS).contains(&places) {
            return Err(EvaluationError::Argument);
        }
        // bounded above
        let places = places as i64;
        let shift = places + i64::from(by.scale) - i64::from(self.scale);
        let power = Digits::ten_to(u32::try_from(shift.abs()).unwrap_or(FINEST));
        let (above, below) = match shift >= 0 {
            true => (self.digits.multiply(&power), by.digits.clone()),
            false => (self.digits.clone(), by.digits.multiply(&power)),
        };
        let digits = rounded(&above, &below, rounding)?;
        match u32::try_from(places) {
            Ok(scale) => Self::checked(digits, scale),
            Err(_) => {
                let zeros = Digits::ten_to(u32::try_from(-places).unwrap_or(0));
                Self::checked(digits.multiply(&zeros), 0)
            }
        }
    }

    /// The number with `places` digits behind the point.
    ///
    /// # Errors
    /// More than 1000 places.
    pub(crate) fn rounded(
        &self,
        places: i128,
        rounding: Rounding,
    ) -> Result<Self, EvaluationError> {
        if places >= i128::from(self.scale) && places <= DIGITS {
            return Ok(self.clone());
        }
        self.divide_rounded(&Self::from(1), places, rounding)
    }

    /// Has at most `digits` digits before the point.
    pub(crate) fn fits(&self, digits: u32) -> bool {
        self.digits.absolute() < Digits::ten_to(digits.saturating_add(self.scale))
    }

    /// Keeps long quotients from growing with every further step.
    fn shortened(self) -> Self {
        match self.digits {
            Digits::Big(_) => self.without_zeros(),
            Digits::Small(_) => self,
        }
    }
}

fn rounded(above: &Digits, below: &Digits, rounding: Rounding) -> Result<Digits, EvaluationError> {
    let (quotient, remainder) = above.divide(below)?;
    if remainder.is_zero() {
        return Ok(quotient);
    }
    let sign = above.signum() * below.signum();
    let away = match rounding {
        Rounding::Truncate => false,
        Rounding::Floor => sign < 0,
        Rounding::Ceiling => sign > 0,
        Rounding::HalfAway => {
            let remainder = remainder.absolute();
            remainder.add(&remainder) >= below.absolute()
        }
    };
    Ok(match away {
        true => quotient.add(&Digits::Small(sign)),
        false => quotient,
    })
}

/// The number without a factor, and how often it had it.
fn without(mut number: Digits, factor: i128) -> Result<(Digits, u32), EvaluationError> {
    let mut count = 0;
    for power in POWERS {
        // a small number has few factors
        if power > 1 && number.to_small().is_some() {
            continue;
        }
        let divisor = power_of(factor, power);
        loop {
            let (quotient, remainder) = number.divide(&divisor)?;
            if !remainder.is_zero() {
                break;
            }
            number = quotient;
            count += power;
        }
    }
    Ok((number, count))
}

fn power_of(base: i128, power: u32) -> Digits {
    match base.checked_pow(power) {
        Some(small) => Digits::Small(small),
        None => Digits::from(num_bigint::BigInt::from(base).pow(power)),
    }
}
