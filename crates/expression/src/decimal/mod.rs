//! Exact decimals of any size that PostgreSQL's `numeric` can have.

mod digits;
mod divide;

use std::cmp::Ordering;

use crossfade_model::text_form;

use crate::EvaluationError;
pub(crate) use digits::Digits;

/// Digits behind the point, at most.
const FINEST: u32 = 16_383;

/// Digits of a number without its point, at most.
const LONGEST: usize = 131_072 + 16_383;

/// A decimal as a column may hold it.
#[derive(Debug, Clone)]
pub(crate) enum Decimal {
    /// A number.
    Number(Number),
    /// An infinity.
    Infinite {
        /// The one below all numbers.
        negative: bool,
    },
    /// Not a number; equal to itself, greater than everything, as in PostgreSQL.
    NotANumber,
}

/// `digits` divided by ten to the power of `scale`.
#[derive(Debug, Clone)]
pub(crate) struct Number {
    digits: Digits,
    scale: u32,
}

/// What becomes of digits that are given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rounding {
    /// To the nearest; from the middle away from zero.
    HalfAway,
    /// Towards zero.
    Truncate,
    /// Downwards.
    Floor,
    /// Upwards.
    Ceiling,
}

impl Decimal {
    /// Reads a decimal's text; `None` for anything else, and for what is too large or too fine.
    pub(crate) fn parse(text: &[u8]) -> Option<Self> {
        match text {
            b"NaN" => Some(Self::NotANumber),
            b"Infinity" => Some(Self::Infinite { negative: false }),
            b"-Infinity" => Some(Self::Infinite { negative: true }),
            _ => Number::parse(text).map(Self::Number),
        }
    }

    /// A double by its shortest decimal text.
    pub(crate) fn from_double(double: f64) -> Option<Self> {
        if double.is_nan() {
            return Some(Self::NotANumber);
        }
        if double.is_infinite() {
            let negative = double < 0.0;
            return Some(Self::Infinite { negative });
        }
        Self::parse(format!("{double:?}").as_bytes())
    }

    /// The nearest double.
    pub(crate) fn to_double(&self) -> f64 {
        match self {
            Self::NotANumber => f64::NAN,
            Self::Infinite { negative: false } => f64::INFINITY,
            Self::Infinite { negative: true } => f64::NEG_INFINITY,
            // digits with a point are a double's text
            Self::Number(number) => number.to_text().parse().unwrap_or(f64::NAN),
        }
    }

    /// The number.
    ///
    /// # Errors
    /// NaN and infinities.
    pub(crate) fn number(&self) -> Result<&Number, EvaluationError> {
        match self {
            Self::Number(number) => Ok(number),
            _ => Err(EvaluationError::NotFinite),
        }
    }

    /// The shortest equal text, without an exponent.
    pub(crate) fn to_text(&self) -> String {
        match self {
            Self::Number(number) => number.to_text(),
            Self::NotANumber => "NaN".to_owned(),
            Self::Infinite { negative: false } => "Infinity".to_owned(),
            Self::Infinite { negative: true } => "-Infinity".to_owned(),
        }
    }

    /// -Infinity, numbers, Infinity, NaN.
    pub(crate) fn compare(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Number(a), Self::Number(b)) => a.compare(b),
            _ => self.rank().cmp(&other.rank()),
        }
    }

    fn rank(&self) -> u8 {
        match self {
            Self::Infinite { negative: true } => 0,
            Self::Number(_) => 1,
            Self::Infinite { negative: false } => 2,
            Self::NotANumber => 3,
        }
    }
}

impl From<i128> for Number {
    fn from(integer: i128) -> Self {
        Self::scaled(integer, 0)
    }
}

impl Number {
    /// `digits` divided by ten to the power of `scale`.
    pub(crate) fn scaled(digits: i128, scale: u32) -> Self {
        let digits = Digits::Small(digits);
        Self { digits, scale }
    }

    fn parse(text: &[u8]) -> Option<Self> {
        if let Some(number) = Self::parse_short(text) {
            return Some(number);
        }
        let shortest = text_form::decimal(text)?;
        let (whole, fraction) = shortest.split_once('.').unwrap_or((&shortest, ""));
        let scale = u32::try_from(fraction.len()).ok()?;
        if scale > FINEST || shortest.len() > LONGEST {
            return None;
        }
        let digits = Digits::parse([whole, fraction].concat().as_bytes())?;
        Some(Self { digits, scale })
    }

    /// The usual case: few digits, no exponent, nothing to allocate.
    fn parse_short(text: &[u8]) -> Option<Self> {
        let (negative, rest) = match text.split_first()? {
            (b'-', rest) => (true, rest),
            _ => (false, text),
        };
        // 37 digits fit 128 bits in any case
        if rest.is_empty() || rest.len() > 37 {
            return None;
        }
        let (mut value, mut scale, mut point, mut any) = (0_i128, 0, false, false);
        for byte in rest {
            match byte {
                b'0'..=b'9' => {
                    value = value * 10 + i128::from(byte - b'0');
                    scale += u32::from(point);
                    any = true;
                }
                b'.' if !point => point = true,
                _ => return None,
            }
        }
        let value = if negative { -value } else { value };
        any.then_some(Self {
            digits: Digits::Small(value),
            scale,
        })
    }

    /// The shortest equal text, without an exponent.
    pub(crate) fn to_text(&self) -> String {
        let digits = self.digits.to_string();
        let (sign, digits) = match digits.strip_prefix('-') {
            Some(rest) => ("-", rest),
            None => ("", digits.as_str()),
        };
        let scale = self.scale as usize;
        if scale == 0 {
            return format!("{sign}{digits}");
        }
        let padded = format!("{digits:0>width$}", width = scale + 1);
        let (whole, fraction) = padded.split_at(padded.len() - scale);
        let fraction = fraction.trim_end_matches('0');
        match fraction {
            "" => format!("{}{whole}", if whole == "0" { "" } else { sign }),
            _ => format!("{sign}{whole}.{fraction}"),
        }
    }

    /// The integer that it is, if it is one and fits.
    ///
    /// # Errors
    /// It has a fraction, or it is too large.
    pub(crate) fn to_integer(&self) -> Result<i128, EvaluationError> {
        let (quotient, remainder) = self.digits.divide(&Digits::ten_to(self.scale))?;
        match remainder.is_zero() {
            true => quotient.to_small().ok_or(EvaluationError::Overflow),
            false => Err(EvaluationError::NotExact),
        }
    }

    /// -1, 0 or 1.
    pub(crate) fn signum(&self) -> i128 {
        self.digits.signum()
    }

    /// The number with the other sign.
    pub(crate) fn negated(&self) -> Self {
        Self {
            digits: self.digits.negated(),
            scale: self.scale,
        }
    }

    /// The sum.
    ///
    /// # Errors
    /// It is too large.
    pub(crate) fn add(&self, other: &Self) -> Result<Self, EvaluationError> {
        let (a, b, scale) = self.aligned(other);
        Self::checked(a.add(&b), scale)
    }

    /// The product.
    ///
    /// # Errors
    /// It is too large or too fine.
    pub(crate) fn multiply(&self, other: &Self) -> Result<Self, EvaluationError> {
        Self::checked(
            self.digits.multiply(&other.digits),
            self.scale + other.scale,
        )
    }

    /// What is left of a division whose quotient was cut to an integer; it has the dividend's sign.
    ///
    /// # Errors
    /// A division by zero.
    pub(crate) fn remainder(&self, other: &Self) -> Result<Self, EvaluationError> {
        let (a, b, scale) = self.aligned(other);
        let (_, digits) = a.divide(&b)?;
        Ok(Self { digits, scale })
    }

    /// The order.
    pub(crate) fn compare(&self, other: &Self) -> Ordering {
        if self.scale == other.scale {
            return self.digits.cmp(&other.digits);
        }
        let (a, b, _) = self.aligned(other);
        a.cmp(&b)
    }

    /// Both at the finer one's scale.
    fn aligned(&self, other: &Self) -> (Digits, Digits, u32) {
        let scale = self.scale.max(other.scale);
        (self.digits_at(scale), other.digits_at(scale), scale)
    }

    /// The digits at a scale that is at least as fine as its own.
    fn digits_at(&self, scale: u32) -> Digits {
        match scale - self.scale {
            0 => self.digits.clone(),
            more => self.digits.multiply(&Digits::ten_to(more)),
        }
    }

    /// Keeps numbers within what can be written, as `numeric` does; zeros at the end are no digits.
    fn checked(digits: Digits, scale: u32) -> Result<Self, EvaluationError> {
        let mut number = Self { digits, scale };
        if number.scale > FINEST {
            number = number.without_zeros();
        }
        match number.scale > FINEST || number.digits.is_longer_than(LONGEST) {
            true => Err(EvaluationError::Overflow),
            false => Ok(number),
        }
    }

    fn without_zeros(self) -> Self {
        let text = self.to_text();
        Self::parse_unchecked(&text).unwrap_or(self)
    }

    fn parse_unchecked(shortest: &str) -> Option<Self> {
        let (whole, fraction) = shortest.split_once('.').unwrap_or((shortest, ""));
        let digits = Digits::parse([whole, fraction].concat().as_bytes())?;
        let scale = u32::try_from(fraction.len()).ok()?;
        Some(Self { digits, scale })
    }
}
