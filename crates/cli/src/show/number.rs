//! Numbers for people.

/// `1234567` as `1,234,567`.
pub fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Bytes with a unit.
pub fn bytes(value: u64) -> String {
    const UNITS: [&str; 6] = ["bytes", "KiB", "MiB", "GiB", "TiB", "PiB"];
    let mut scaled = value as f64;
    let mut unit = 0;
    while scaled >= 1024.0 && unit + 1 < UNITS.len() {
        scaled /= 1024.0;
        unit += 1;
    }
    if unit == 0 {
        format!("{value} bytes")
    } else {
        format!("{scaled:.1} {}", UNITS[unit])
    }
}

/// Seconds: `0.4 s`, `12 s`, `3 min 5 s`, `2 h 4 min`, `3 d 4 h`.
pub fn seconds(value: f64) -> String {
    if !value.is_finite() || value < 0.0 {
        return "?".to_owned();
    }
    if value < 10.0 {
        return format!("{value:.1} s");
    }
    let whole = value.round() as u64;
    let (days, hours, minutes, seconds) = (
        whole / 86_400,
        whole % 86_400 / 3600,
        whole % 3600 / 60,
        whole % 60,
    );
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min {seconds} s"),
        (0, _, _) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

/// Per second, without a fraction where there is no use for one.
pub fn rate(value: f64) -> String {
    if value.is_finite() && value >= 10.0 {
        count(value.round() as u64)
    } else {
        format!("{value:.1}")
    }
}

/// How long ago a time in milliseconds since the Unix epoch is.
pub fn ago(then: i64) -> String {
    let age = (now() - then).max(0) as f64 / 1000.0;
    format!("{} ago", seconds(age))
}

/// A time in milliseconds since the Unix epoch: `2026-11-26 14:30:05 UTC`.
pub fn utc(time: i64) -> String {
    let seconds = time.div_euclid(1000);
    let (mut days, of_day) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    // the Gregorian calendar repeats every 146,097 days; years that begin in March end with the leap day
    days += 719_468;
    let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (year, month) = if month < 10 {
        (era * 400 + year, month + 3)
    } else {
        (era * 400 + year + 1, month - 9)
    };
    format!(
        "{year:04}-{month:02}-{day:02} {:02}:{:02}:{:02} UTC",
        of_day / 3600,
        of_day / 60 % 60,
        of_day % 60
    )
}

/// Milliseconds since the Unix epoch.
pub fn now() -> i64 {
    let since = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// `1 row`, `2 rows`.
pub fn of(value: u64, one: &str, many: &str) -> String {
    format!("{} {}", count(value), if value == 1 { one } else { many })
}

/// Lag: bytes where positions are bytes, transactions where some wait, seconds.
pub fn lag(lag: &crossfade_engine::Lag) -> String {
    let mut text = String::new();
    if let Some(behind) = lag.bytes {
        text.push_str(&format!("{}, ", bytes(behind)));
    }
    if lag.transactions > 0 {
        text.push_str(&format!(
            "{}, ",
            of(lag.transactions, "transaction", "transactions")
        ));
    }
    text.push_str(&seconds(lag.seconds));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!(count(0), "0");
        assert_eq!(count(999), "999");
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!(bytes(1023), "1023 bytes");
        assert_eq!(bytes(1536), "1.5 KiB");
        assert_eq!(bytes(u64::MAX), "16384.0 PiB");
        assert_eq!(seconds(0.44), "0.4 s");
        assert_eq!(seconds(185.0), "3 min 5 s");
        assert_eq!(seconds(7_440.0), "2 h 4 min");
        assert_eq!(seconds(274_000.0), "3 d 4 h");
        assert_eq!(seconds(f64::NAN), "?");
        assert_eq!(rate(12_345.6), "12,346");
        assert_eq!(of(1, "row", "rows"), "1 row");
    }

    #[test]
    fn times_are_dates() {
        assert_eq!(utc(0), "1970-01-01 00:00:00 UTC");
        assert_eq!(utc(-1), "1969-12-31 23:59:59 UTC");
        assert_eq!(utc(951_782_400_000), "2000-02-29 00:00:00 UTC");
        assert_eq!(utc(1_700_000_060_999), "2023-11-14 22:14:20 UTC");
        assert_eq!(utc(4_107_542_399_000), "2100-02-28 23:59:59 UTC");
        assert_eq!(utc(4_107_542_400_000), "2100-03-01 00:00:00 UTC");
        for extreme in [i64::MIN, i64::MAX] {
            assert!(utc(extreme).ends_with(" UTC"));
        }
    }
}
