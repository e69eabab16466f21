//! An exact sum of decimals, and their order, for stores that have neither.

use std::cmp::Ordering;
use std::collections::BTreeMap;

/// Digits of one limb.
const LIMB: usize = 9;
/// One more than the greatest limb.
const BASE: i128 = 1_000_000_000;

/// A sum of decimals of any length, exact.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExactSum {
    /// By place: limb `n` counts in `10^(9 n)`. Not carried: 2^64 limbs fit each.
    limbs: BTreeMap<i32, i128>,
    not_a_number: bool,
    infinite: [bool; 2],
}

impl ExactSum {
    /// Adds an integer.
    pub fn add_integer(&mut self, value: i64) {
        *self.limbs.entry(0).or_default() += i128::from(value);
    }

    /// Adds a decimal in the form that [`crossfade_model::canonical::decimal`] gives: digits, perhaps a point and a sign, or
    /// `NaN`, `Infinity`, `-Infinity`.
    pub fn add(&mut self, decimal: &str) {
        match decimal {
            "NaN" => self.not_a_number = true,
            "Infinity" => self.infinite[0] = true,
            "-Infinity" => self.infinite[1] = true,
            _ => self.add_digits(decimal),
        }
    }

    fn add_digits(&mut self, decimal: &str) {
        let (sign, digits) = match decimal.strip_prefix('-') {
            Some(digits) => (-1, digits),
            None => (1, decimal),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let mut place = 0;
        let mut rest = whole;
        while !rest.is_empty() {
            let (higher, limb) = rest.split_at(rest.len().saturating_sub(LIMB));
            self.add_limb(place, sign, limb, 0);
            rest = higher;
            place += 1;
        }
        place = -1;
        let mut rest = fraction;
        while !rest.is_empty() {
            let (limb, lower) = rest.split_at(rest.len().min(LIMB));
            self.add_limb(place, sign, limb, LIMB - limb.len());
            rest = lower;
            place -= 1;
        }
    }

    fn add_limb(&mut self, place: i32, sign: i128, digits: &str, zeros: usize) {
        let value = digits
            .bytes()
            .fold(0i128, |value, digit| value * 10 + i128::from(digit & 15));
        let scale = 10i128.pow(zeros as u32);
        *self.limbs.entry(place).or_default() += sign * value * scale;
    }

    /// The sum in its shortest form; 0 of nothing.
    pub fn text(&self) -> String {
        match (self.not_a_number, self.infinite) {
            (true, _) | (_, [true, true]) => return "NaN".to_owned(),
            (_, [true, false]) => return "Infinity".to_owned(),
            (_, [false, true]) => return "-Infinity".to_owned(),
            (false, [false, false]) => {}
        }
        let negative = self.carried(1).is_none();
        let limbs = self
            .carried(if negative { -1 } else { 1 })
            .unwrap_or_default();
        let mut whole = String::new();
        let mut fraction = String::new();
        let highest = limbs.keys().next_back().copied().unwrap_or(0).max(0);
        let lowest = limbs.keys().next().copied().unwrap_or(0).min(0);
        for place in (lowest..=highest).rev() {
            let limb = limbs.get(&place).copied().unwrap_or(0);
            let part = if place < 0 { &mut fraction } else { &mut whole };
            part.push_str(&format!("{limb:09}"));
        }
        let whole = whole.trim_start_matches('0');
        let fraction = fraction.trim_end_matches('0');
        let sign = if negative { "-" } else { "" };
        let whole = if whole.is_empty() { "0" } else { whole };
        match fraction {
            "" => format!("{sign}{whole}"),
            _ => format!("{sign}{whole}.{fraction}"),
        }
    }

    /// Limbs of 0 to 999,999,999 each; `None` where the sum times `sign` is below zero.
    fn carried(&self, sign: i128) -> Option<BTreeMap<i32, i128>> {
        let mut out = BTreeMap::new();
        let mut carry = 0i128;
        let mut place = self.limbs.keys().next().copied().unwrap_or(0);
        let last = self.limbs.keys().next_back().copied().unwrap_or(0);
        while place <= last || carry > 0 {
            let sum = carry + sign * self.limbs.get(&place).copied().unwrap_or(0);
            out.insert(place, sum.rem_euclid(BASE));
            carry = sum.div_euclid(BASE);
            place += 1;
        }
        (carry == 0).then_some(out)
    }
}

/// The order of two decimals in the form that [`ExactSum::add`] takes; `NaN` is above all.
pub fn compare_decimals(one: &str, other: &str) -> Ordering {
    let rank = |text: &str| match text {
        "-Infinity" => 0,
        "Infinity" => 2,
        "NaN" => 3,
        _ => 1,
    };
    let ranks = rank(one).cmp(&rank(other));
    if ranks != Ordering::Equal || rank(one) != 1 {
        return ranks;
    }
    match (one.strip_prefix('-'), other.strip_prefix('-')) {
        (None, None) => magnitude(one, other),
        (Some(one), Some(other)) => magnitude(other, one),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
    }
}

fn magnitude(one: &str, other: &str) -> Ordering {
    let parts = |text: &str| {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        (whole.len(), whole.to_owned(), fraction.to_owned())
    };
    parts(one).cmp(&parts(other))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(decimals: &[&str]) -> String {
        let mut sum = ExactSum::default();
        for decimal in decimals {
            sum.add(decimal);
        }
        sum.text()
    }

    #[test]
    fn sums_are_exact_whatever_their_length() {
        assert_eq!(sum(&[]), "0");
        assert_eq!(sum(&["0.1", "0.2"]), "0.3");
        assert_eq!(sum(&["1", "-1"]), "0");
        assert_eq!(sum(&["-0.5", "0.25"]), "-0.25");
        assert_eq!(sum(&["999999999", "1"]), "1000000000");
        assert_eq!(sum(&["1000000000", "-0.000000001"]), "999999999.999999999");
        assert_eq!(
            sum(&["-1000000000", "0.0000000001"]),
            "-999999999.9999999999"
        );
        let long = "12345678901234567890123456789012345678901234567890.5";
        assert_eq!(sum(&[long]), long);
        assert_eq!(
            sum(&[long, long]),
            "24691357802469135780246913578024691357802469135781"
        );
        assert_eq!(sum(&["NaN", "1"]), "NaN");
        assert_eq!(sum(&["Infinity", "1"]), "Infinity");
        assert_eq!(sum(&["Infinity", "-Infinity"]), "NaN");
    }

    #[test]
    fn integers_beyond_64_bits_are_summed() {
        let mut sum = ExactSum::default();
        for _ in 0..10 {
            sum.add_integer(i64::MIN);
        }
        sum.add("0.5");
        assert_eq!(sum.text(), "-92233720368547758079.5");
    }

    #[test]
    fn decimals_are_ordered_by_value() {
        let ascending = [
            "-Infinity",
            "-10",
            "-9.5",
            "-0.01",
            "0",
            "0.009",
            "0.01",
            "2",
            "10",
            "Infinity",
            "NaN",
        ];
        for (at, one) in ascending.iter().enumerate() {
            for (other_at, other) in ascending.iter().enumerate() {
                assert_eq!(
                    compare_decimals(one, other),
                    at.cmp(&other_at),
                    "{one} {other}"
                );
            }
        }
    }
}
