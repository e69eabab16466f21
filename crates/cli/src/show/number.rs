//! Numbers for people.

pub use crossfade_model::time::utc;

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
}
