//! Whole numbers of any size: 128 bits where they suffice.

use std::cmp::Ordering;
use std::fmt;

use num_bigint::BigInt;

use crate::EvaluationError;

/// A whole number.
#[derive(Debug, Clone)]
pub(crate) enum Digits {
    /// It fits 128 bits.
    Small(i128),
    /// It does not.
    Big(BigInt),
}

/// Ten to this power fits 128 bits.
const SMALL_POWER: u32 = 38;

impl Digits {
    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        BigInt::parse_bytes(text, 10).map(Self::from)
    }

    pub(super) fn ten_to(power: u32) -> Self {
        match power <= SMALL_POWER {
            true => Self::Small(10_i128.pow(power)),
            false => Self::Big(BigInt::from(10).pow(power)),
        }
    }

    pub(super) fn big(&self) -> BigInt {
        match self {
            Self::Small(small) => BigInt::from(*small),
            Self::Big(big) => big.clone(),
        }
    }

    pub(super) fn to_small(&self) -> Option<i128> {
        match self {
            Self::Small(small) => Some(*small),
            // what fits is small
            Self::Big(_) => None,
        }
    }

    pub(super) fn is_zero(&self) -> bool {
        matches!(self, Self::Small(0))
    }

    pub(super) fn signum(&self) -> i128 {
        match self {
            Self::Small(small) => small.signum(),
            Self::Big(big) => match big.sign() {
                num_bigint::Sign::Minus => -1,
                num_bigint::Sign::NoSign => 0,
                num_bigint::Sign::Plus => 1,
            },
        }
    }

    pub(super) fn negated(&self) -> Self {
        match self {
            Self::Small(small) if *small != i128::MIN => Self::Small(-small),
            _ => Self::from(-self.big()),
        }
    }

    pub(super) fn absolute(&self) -> Self {
        match self.signum() < 0 {
            true => self.negated(),
            false => self.clone(),
        }
    }

    pub(super) fn add(&self, other: &Self) -> Self {
        if let (Self::Small(a), Self::Small(b)) = (self, other)
            && let Some(sum) = a.checked_add(*b)
        {
            return Self::Small(sum);
        }
        Self::from(self.big() + other.big())
    }

    pub(super) fn multiply(&self, other: &Self) -> Self {
        if let (Self::Small(a), Self::Small(b)) = (self, other)
            && let Some(product) = a.checked_mul(*b)
        {
            return Self::Small(product);
        }
        Self::from(self.big() * other.big())
    }

    /// Quotient, cut towards zero, and remainder.
    pub(super) fn divide(&self, other: &Self) -> Result<(Self, Self), EvaluationError> {
        if other.is_zero() {
            return Err(EvaluationError::Division);
        }
        if let (Self::Small(a), Self::Small(b)) = (self, other)
            && let Some(quotient) = a.checked_div(*b)
        {
            // the quotient fits, so the remainder does
            return Ok((Self::Small(quotient), Self::Small(a % b)));
        }
        let (a, b) = (self.big(), other.big());
        let quotient = &a / &b;
        let remainder = a - &quotient * b;
        Ok((Self::from(quotient), Self::from(remainder)))
    }

    /// More decimal digits than `count`, give or take one.
    pub(super) fn is_longer_than(&self, count: usize) -> bool {
        match self {
            Self::Small(_) => false,
            // 10^n has a little more than 3.3219 n bits
            Self::Big(big) => big.bits() > (count as u64) * 33_220 / 10_000,
        }
    }
}

impl From<BigInt> for Digits {
    fn from(big: BigInt) -> Self {
        match i128::try_from(&big) {
            Ok(small) => Self::Small(small),
            Err(_) => Self::Big(big),
        }
    }
}

impl fmt::Display for Digits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Small(small) => small.fmt(f),
            Self::Big(big) => big.fmt(f),
        }
    }
}

impl PartialEq for Digits {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Digits {}

impl PartialOrd for Digits {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Digits {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Small(a), Self::Small(b)) => a.cmp(b),
            (Self::Big(a), Self::Big(b)) => a.cmp(b),
            // what is big lies beyond all that is small
            (Self::Big(a), Self::Small(_)) => match a.sign() {
                num_bigint::Sign::Minus => Ordering::Less,
                _ => Ordering::Greater,
            },
            (Self::Small(_), Self::Big(_)) => other.cmp(self).reverse(),
        }
    }
}
