//! Which comparison `verify` is asked for.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hasher as _};

use crossfade_control::{Comparison, VerifyLayer};

use crate::args;
use crate::failure::{Failure, USAGE};

/// Of a million rows, all.
const WHOLE: u32 = 1_000_000;

/// What the arguments say.
///
/// # Errors
/// A share that is none.
pub fn asked(arguments: &args::Verify) -> Result<Comparison, Failure> {
    let layer = match &arguments.sample {
        Some(share) => VerifyLayer::Sample {
            millionths: millionths(share).ok_or_else(no_share)?,
            // short enough to be typed again, and for every reader of JSON
            seed: arguments.seed.unwrap_or_else(by_chance),
        },
        None if arguments.aggregate => VerifyLayer::Aggregate,
        None if arguments.projections => VerifyLayer::Projections,
        None if arguments.touched => VerifyLayer::Touched,
        None => VerifyLayer::Full,
    };
    Ok(Comparison {
        layer,
        show_rows: arguments.show_rows,
        repair_rows: arguments.repair.then_some(arguments.max_rows),
        evidence: arguments.certificate.is_some(),
        gentle: arguments.gentle,
    })
}

fn by_chance() -> u64 {
    RandomState::new().build_hasher().finish() & u64::from(u32::MAX)
}

fn no_share() -> Failure {
    Failure::new(
        USAGE,
        "verify.sample",
        "the share of --sample is not one that can be read",
    )
    .fix("give per cent from 0.0001 to 100, with at most four digits after the point, such as `--sample 1%`")
}

/// Of a million rows, so many.
fn millionths(text: &str) -> Option<u32> {
    let number = text.trim().strip_suffix('%').unwrap_or(text.trim()).trim();
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(fraction) || fraction.len() > 4 || whole.len() > 3 {
        return None;
    }
    let value = format!("{whole}{fraction:0<4}").parse().ok()?;
    (1..=WHOLE).contains(&value).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_per_cent_with_four_digits() {
        for (text, expected) in [
            ("1%", Some(10_000)),
            ("1", Some(10_000)),
            ("0.0001", Some(1)),
            ("0.5 %", Some(5_000)),
            ("100", Some(WHOLE)),
            ("33.3333%", Some(333_333)),
            ("0", None),
            ("0.00001", None),
            ("100.0001", None),
            ("101", None),
            ("-1", None),
            ("1e2", None),
            ("half", None),
            ("", None),
            ("%", None),
            (".5", None),
            ("99999999999", None),
        ] {
            assert_eq!(millionths(text), expected, "{text}");
        }
    }
}
