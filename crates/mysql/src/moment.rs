//! Dates and times as the server writes them: years 0 to 9999.

/// Days from 1970-01-01 to 2000-01-01.
const EPOCH: i64 = 10_957;
const DAY: i64 = 86_400_000_000;

/// A date from days since 1970-01-01.
pub(crate) fn date(days: i64) -> Option<String> {
    // far beyond all dates that the server knows
    if !(-1_000_000..=4_000_000).contains(&days) {
        return None;
    }
    let (year, month, day) = civil(days);
    (0..=9999)
        .contains(&year)
        .then(|| format!("{year:04}-{month:02}-{day:02}"))
}

/// Year, month and day of a number of days since 1970-01-01 in the proleptic Gregorian calendar.
fn civil(days: i64) -> (i64, i64, i64) {
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let doe = z.rem_euclid(146_097);
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    let year = yoe + era * 400 + i64::from(month <= 2);
    (year, month, doy - (153 * mp + 2) / 5 + 1)
}

/// Whether microseconds have no more than these digits behind the seconds' point.
pub(crate) fn fits(micros: i64, digits: u32) -> bool {
    micros.rem_euclid(10_i64.pow(6 - digits.min(6))) == 0
}

/// A date and time from microseconds since 2000-01-01, with so many digits of the fraction.
pub(crate) fn timestamp(micros: i64, digits: u32) -> Option<String> {
    let day = date(micros.div_euclid(DAY) + EPOCH)?;
    Some(format!("{day} {}", clock(micros.rem_euclid(DAY), digits)))
}

/// A time from microseconds since midnight.
pub(crate) fn clock(micros: i64, digits: u32) -> String {
    let seconds = micros / 1_000_000;
    let mut out = format!(
        "{:02}:{:02}:{:02}",
        seconds / 3600,
        seconds / 60 % 60,
        seconds % 60
    );
    if digits > 0 {
        let fraction = format!("{:06}", micros % 1_000_000);
        out.push('.');
        out.push_str(&fraction[..digits.min(6) as usize]);
    }
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crossfade_model::text_form;
    use proptest::prelude::*;

    #[test]
    fn the_ends_of_the_range_are_written_and_no_more() {
        let at = |text: &str| text_form::timestamp(text.as_bytes()).unwrap();
        for text in ["0000-01-01 00:00:00.000000", "9999-12-31 23:59:59.999999"] {
            // a year 0 is no text form of the model's
            if !text.starts_with("0000") {
                assert_eq!(timestamp(at(text), 6).as_deref(), Some(text));
            }
        }
        assert_eq!(timestamp(at("10000-01-01 00:00:00"), 6), None);
        assert_eq!(timestamp(i64::MAX, 6), None);
        assert_eq!(timestamp(i64::MIN, 6), None);
        assert_eq!(date(i64::MAX), None);
    }

    proptest! {
        #[test]
        fn moments_read_back(micros in -63_082_281_600_000_000_i64..252_455_615_999_999_999) {
            let text = timestamp(micros, 6).unwrap();
            prop_assert_eq!(text_form::timestamp(text.as_bytes()), Some(micros));
        }

        #[test]
        fn no_number_panics(micros in any::<i64>(), digits in 0_u32..9) {
            let _any = (timestamp(micros, digits), date(micros), fits(micros, digits));
        }
    }
}
