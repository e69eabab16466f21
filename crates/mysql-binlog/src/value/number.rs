//! Numbers as the servers write them.

/// Appends a decimal integer.
pub(super) fn write_integer(negative: bool, mut magnitude: u64, out: &mut Vec<u8>) {
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        if let Some(digit) = digits.get_mut(at) {
            *digit = b'0' + (magnitude % 10) as u8;
        }
        magnitude /= 10;
        if magnitude == 0 {
            break;
        }
    }
    if negative {
        out.push(b'-');
    }
    out.extend_from_slice(digits.get(at..).unwrap_or_default());
}

/// Appends a number with at least `width` digits.
pub(super) fn write_padded(mut number: u64, width: usize, out: &mut Vec<u8>) {
    let start = out.len();
    for _ in 0..width {
        out.push(b'0' + (number % 10) as u8);
        number /= 10;
    }
    while number > 0 {
        out.push(b'0' + (number % 10) as u8);
        number /= 10;
    }
    if let Some(digits) = out.get_mut(start..) {
        digits.reverse();
    }
}

/// Appends a double as MySQL does (`my_gcvt` in `strings/dtoa.cc`): the fewest digits that give it back; with an exponent
/// only beyond 15 digits either side of the point, and not where there are digits behind it.
pub(super) fn write_double(value: f64, out: &mut Vec<u8>) {
    let shortest = even(value, format!("{value:e}"));
    let Some((digits, exponent)) = shortest.split_once('e') else {
        out.extend_from_slice(shortest.as_bytes());
        return;
    };
    let digits = match digits.strip_prefix('-') {
        Some(digits) => {
            out.push(b'-');
            digits
        }
        None => digits,
    };
    let point = exponent.parse::<i32>().unwrap_or(0) + 1;
    let significant: Vec<u8> = digits.bytes().filter(u8::is_ascii_digit).collect();
    let has_fraction = point > 0 && significant.len() as i32 > point;
    match point {
        -14..=0 => {
            out.extend_from_slice(b"0.");
            out.extend((point..0).map(|_| b'0'));
            out.extend_from_slice(&significant);
        }
        point if has_fraction || matches!(point, 1..=15) => {
            // from 1 to 17
            let whole = point as usize;
            let (before, after) = significant.split_at(whole.min(significant.len()));
            out.extend_from_slice(before);
            out.extend((before.len()..whole).map(|_| b'0'));
            if !after.is_empty() {
                out.push(b'.');
                out.extend_from_slice(after);
            }
        }
        _ => {
            out.extend_from_slice(digits.as_bytes());
            out.extend_from_slice(format!("e{exponent}").as_bytes());
        }
    }
}

/// Of two shortest forms that are equally near the server takes the one whose last digit is even.
fn even(value: f64, shortest: String) -> String {
    let count = |text: &str| {
        let mantissa = text.split('e').next().unwrap_or_default();
        mantissa.bytes().filter(u8::is_ascii_digit).count()
    };
    let digits = count(&shortest);
    // two forms of fewer digits are never both near enough
    if digits < 15 {
        return shortest;
    }
    // with one digit more the number is written exactly, or it is no tie
    let exact = format!("{value:.digits$e}");
    let (Some((mantissa, exponent)), Ok(same)) = (exact.split_once('e'), exact.parse::<f64>())
    else {
        return shortest;
    };
    let further = format!("{value:.*e}", digits + 30);
    let rest = further
        .split('e')
        .next()
        .and_then(|m| m.get(mantissa.len()..));
    let is_tie = mantissa.ends_with('5')
        && same.to_bits() == value.to_bits()
        && rest.is_some_and(|rest| rest.bytes().all(|digit| digit == b'0'));
    let lower = mantissa.get(..mantissa.len() - 1).unwrap_or_default();
    let is_even = lower.bytes().last().is_some_and(|digit| digit % 2 == 0);
    let lower = format!("{lower}e{exponent}");
    let comes_back = lower
        .parse::<f64>()
        .is_ok_and(|back| back.to_bits() == value.to_bits());
    if is_tie && is_even && comes_back {
        lower
    } else {
        shortest
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    // the numbers stand as they are, not as they are written
    #[allow(clippy::excessive_precision)]
    #[test]
    fn doubles_are_written_as_the_server_does() {
        for (value, text) in [
            (0.0, "0"),
            (1.0, "1"),
            (-1.5, "-1.5"),
            (0.1, "0.1"),
            (123456789012345.0, "123456789012345"),
            (1e15, "1e15"),
            (4362244339170887.5, "4362244339170887.5"),
            (1e14, "100000000000000"),
            (1.25e300, "1.25e300"),
            (-1263631121512675.25, "-1263631121512675.2"),
            (-132007913591988.625, "-132007913591988.62"),
            (132007913591988.875, "132007913591988.88"),
            (1e-14, "0.00000000000001"),
            (1e-15, "0.000000000000001"),
            (1e-16, "1e-16"),
            (5e-324, "5e-324"),
        ] {
            let mut out = Vec::new();
            write_double(value, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), text);
        }
    }

    #[test]
    fn integers_have_all_their_digits() {
        for (negative, magnitude, text) in [
            (false, 0, "0"),
            (false, u64::MAX, "18446744073709551615"),
            (true, 1 << 63, "-9223372036854775808"),
        ] {
            let mut out = Vec::new();
            write_integer(negative, magnitude, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), text);
        }
        let mut out = Vec::new();
        write_padded(7, 3, &mut out);
        write_padded(1234, 2, &mut out);
        assert_eq!(out, b"0071234");
    }
}
