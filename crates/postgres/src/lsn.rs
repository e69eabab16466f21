//! Positions of the write-ahead log as the server writes them.

use crossfade_model::Position;

/// `16/B374D848`.
#[must_use]
pub fn show(position: Position) -> String {
    format!("{:X}/{:X}", position.0 >> 32, position.0 & 0xFFFF_FFFF)
}

/// Reads a `pg_lsn`'s text.
#[must_use]
pub fn parse(text: &str) -> Option<Position> {
    let (high, low) = text.split_once('/')?;
    let half = |digits: &str| {
        let plain =
            (1..=8).contains(&digits.len()) && digits.bytes().all(|c| c.is_ascii_hexdigit());
        plain
            .then(|| u64::from_str_radix(digits, 16).ok())
            .flatten()
    };
    Some(Position(half(high)? << 32 | half(low)?))
}

/// Where the last record ends, given where the next one begins (`pg_current_wal_insert_lsn`).
///
/// A record never begins in a page's header (PostgreSQL's `xlog_internal.h`: 24 bytes, 40 on a segment's first page), so after
/// a record that fills its page the server names the place behind the next header. Nothing is ever sent from there until
/// another record is written: waiting for it on an idle server would not end.
#[must_use]
pub fn end_of_last_record(next: u64, page: u64, segment: u64) -> u64 {
    const HEADER: u64 = 24;
    const SEGMENT_HEADER: u64 = 40;
    if page == 0 || segment == 0 {
        return next;
    }
    if next % segment == SEGMENT_HEADER {
        next - SEGMENT_HEADER
    } else if next % page == HEADER && next % segment != HEADER {
        next - HEADER
    } else {
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_read_back_as_shown() {
        for position in [0, 1, 0x16_B374_D848, u64::MAX].map(Position) {
            assert_eq!(parse(&show(position)), Some(position));
        }
        assert_eq!(parse("16/0B374D48"), Some(Position(0x16_0B37_4D48)));
        for text in [
            "",
            "/",
            "1",
            "1/",
            "/1",
            "1/2/3",
            "g/1",
            "+1/1",
            "1/123456789",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_full_page_ends_before_the_next_header() {
        let (page, segment) = (8192, 16 << 20);
        assert_eq!(end_of_last_record(3 * page + 24, page, segment), 3 * page);
        assert_eq!(end_of_last_record(segment + 40, page, segment), segment);
        assert_eq!(
            end_of_last_record(3 * page + 40, page, segment),
            3 * page + 40
        );
        assert_eq!(
            end_of_last_record(3 * page + 32, page, segment),
            3 * page + 32
        );
        assert_eq!(end_of_last_record(3 * page, page, segment), 3 * page);
    }
}
