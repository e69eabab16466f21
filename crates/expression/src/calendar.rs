//! Dates and times as people write them. Days count from 1970-01-01, microseconds from 2000-01-01, as in the model.

/// Microseconds of a day.
pub(crate) const DAY: i64 = 86_400_000_000;

/// Days from 1970-01-01 to 2000-01-01.
pub(crate) const EPOCH: i64 = 10_957;

/// The last day that can be written: PostgreSQL's last of a date, 5874897-12-31.
const LAST: i64 = 2_145_042_905;

/// The first: 4714-11-24 BC.
const FIRST: i64 = -2_451_545 + EPOCH;

/// A day of the Gregorian calendar; the year before 1 is 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Civil {
    pub(crate) year: i64,
    pub(crate) month: i64,
    pub(crate) day: i64,
}

/// Whether a count of days can be written.
pub(crate) fn is_day(days: i64) -> bool {
    (FIRST..=LAST).contains(&days)
}

/// The day of a count of days that [`is_day`].
pub(crate) fn civil(days: i64) -> Civil {
    // years begin in March here, so that a leap day is the last of its year
    let days = days + 719_468;
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let (year, month) = match shifted < 10 {
        true => (year, shifted + 3),
        false => (year + 1, shifted - 9),
    };
    Civil {
        year: era * 400 + year,
        month,
        day,
    }
}

/// The count of days of a day.
pub(crate) fn days(civil: Civil) -> i64 {
    let year = civil.year - i64::from(civil.month <= 2);
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * ((civil.month + 9) % 12) + 2) / 5 + civil.day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// Days from 1970-01-01 and microseconds of the day of microseconds from 2000-01-01.
pub(crate) fn parts(micros: i64) -> (i64, i64) {
    (micros.div_euclid(DAY) + EPOCH, micros.rem_euclid(DAY))
}

/// A date in ISO form; `infinity` and `-infinity` for the extremes.
pub(crate) fn date_text(days: i64) -> String {
    infinite(days).unwrap_or_else(|| {
        let (day, era) = day_text(days);
        format!("{day}{era}")
    })
}

/// A time of day in ISO form.
pub(crate) fn time_text(micros: i64) -> String {
    let seconds = micros / 1_000_000;
    let (hour, minute, second) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    let text = format!("{hour:02}:{minute:02}:{second:02}");
    match micros % 1_000_000 {
        0 => text,
        fraction => {
            let digits = format!("{fraction:06}");
            format!("{text}.{}", digits.trim_end_matches('0'))
        }
    }
}

/// A date and time in ISO form with `zone` behind it.
pub(crate) fn timestamp_text(micros: i64, zone: &str) -> String {
    infinite(micros).unwrap_or_else(|| {
        let (days, clock) = parts(micros);
        let (day, era) = day_text(days);
        format!("{day} {}{zone}{era}", time_text(clock))
    })
}

fn infinite(count: i64) -> Option<String> {
    match count {
        i64::MAX => Some("infinity".to_owned()),
        i64::MIN => Some("-infinity".to_owned()),
        _ => None,
    }
}

fn day_text(days: i64) -> (String, &'static str) {
    let Civil { year, month, day } = civil(days);
    match year < 1 {
        true => (format!("{:04}-{month:02}-{day:02}", 1 - year), " BC"),
        false => (format!("{year:04}-{month:02}-{day:02}"), ""),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crossfade_model::text_form;

    #[test]
    fn days_are_written_as_they_are_read() {
        for count in (FIRST..=LAST)
            .step_by(997_331)
            .chain([FIRST, LAST, 0, -719_163])
        {
            assert_eq!(days(civil(count)), count);
            let text = date_text(count);
            assert_eq!(text_form::date(text.as_bytes()), Some(count), "{text}");
        }
        assert_eq!(date_text(LAST), "5874897-12-31");
        assert_eq!(date_text(FIRST), "4714-11-24 BC");
        assert_eq!(date_text(19_782), "2024-02-29");
    }

    #[test]
    fn instants_are_written_as_they_are_read() {
        for text in [
            "2024-02-29 23:59:59.000001",
            "0001-01-01 00:00:00 BC",
            "294276-12-31 23:59:59.999999",
            "infinity",
        ] {
            let micros = text_form::timestamp(text.as_bytes()).unwrap();
            assert_eq!(timestamp_text(micros, ""), text);
        }
        assert_eq!(timestamp_text(0, "+00"), "2000-01-01 00:00:00+00");
        assert_eq!(time_text(DAY), "24:00:00");
    }
}
