//! Damaged logs: never a panic, never a row that was not there.

use bytes::Bytes;
use crossfade_mysql_binlog::{Interest, LogPosition, Replay, value};
use proptest::prelude::*;

use crate::golden::{events, files, replay};
use crate::samples::Numbers;

/// The same events without checksums, so that damage reaches the parsers.
fn unguarded(events: &[Bytes]) -> Vec<Bytes> {
    events
        .iter()
        .enumerate()
        .map(|(index, event)| {
            let mut bytes = event.to_vec();
            if index == 0 {
                // the format description: the algorithm stands before its own checksum
                let end = bytes.len() - 4;
                bytes[end - 1] = 0;
                let sum = crc32fast::hash(&bytes[..end]);
                bytes[end..].copy_from_slice(&sum.to_le_bytes());
            } else {
                bytes.truncate(bytes.len() - 4);
                let length = (bytes.len() as u32).to_le_bytes();
                bytes[9..13].copy_from_slice(&length);
            }
            bytes.into()
        })
        .collect()
}

#[test]
fn a_flipped_bit_is_found_by_the_checksum() {
    let mut numbers = Numbers::seeded();
    for (path, bytes, mariadb) in files() {
        let whole = events(&bytes);
        for _ in 0..300 {
            let mut damaged = whole.clone();
            let which = numbers.next() as usize % damaged.len();
            let mut event = damaged[which].to_vec();
            let bit = numbers.next() as usize % (event.len() * 8);
            event[bit / 8] ^= 1 << (bit % 8);
            // the mark of a file in use is not counted; a length is checked before the sum
            if bit == 17 * 8 && which == 0 {
                continue;
            }
            damaged[which] = event.into();
            let error = replay(&damaged, mariadb)
                .expect_err(&format!("{} event {which} bit {bit}", path.display()));
            assert!(
                matches!(
                    error.code,
                    "binlog.checksum"
                        | "binlog.corrupt"
                        | "binlog.version"
                        | "binlog.event_too_big"
                ),
                "{error:?}"
            );
        }
    }
}

#[test]
fn damage_without_checksums_never_panics() {
    let mut numbers = Numbers::seeded();
    let mut refused = 0;
    for (_, bytes, mariadb) in files() {
        let whole = unguarded(&events(&bytes));
        assert!(!replay(&whole, mariadb).unwrap().is_empty());
        for _ in 0..4000 {
            let mut damaged = whole.clone();
            for _ in 0..=numbers.next() % 3 {
                let which = numbers.next() as usize % damaged.len();
                let mut event = damaged[which].to_vec();
                match numbers.next() % 4 {
                    0 => event.truncate(numbers.next() as usize % (event.len() + 1)),
                    1 => {
                        let at = numbers.next() as usize % (event.len() + 1);
                        event.insert(at, numbers.next() as u8);
                    }
                    _ => {
                        let at = numbers.next() as usize % event.len().max(1);
                        if let Some(byte) = event.get_mut(at) {
                            *byte = numbers.next() as u8;
                        }
                    }
                }
                // mostly a length that is right, so that more than the frame is reached
                if !numbers.next().is_multiple_of(8) && event.len() >= 13 {
                    let length = (event.len() as u32).to_le_bytes();
                    event[9..13].copy_from_slice(&length);
                }
                damaged[which] = event.into();
            }
            refused += usize::from(replay(&damaged, mariadb).is_err());
        }
    }
    assert!(refused > 1000, "{refused}");
}

/// An event with a right frame and any body.
fn framed(kind: u8, flags: u16, body: &[u8]) -> Bytes {
    let mut event = vec![0; 19];
    event[4] = kind;
    event[13..17].copy_from_slice(&100_u32.to_le_bytes());
    event[17..19].copy_from_slice(&flags.to_le_bytes());
    event.extend_from_slice(body);
    let length = (event.len() as u32).to_le_bytes();
    event[9..13].copy_from_slice(&length);
    event.into()
}

fn empty(mariadb: bool) -> Replay {
    let start = LogPosition { file: 1, offset: 4 };
    Replay::new(Box::new(|_, _| Interest::Whole), mariadb, false, 100).at("binlog", start)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn any_bytes_are_an_event_or_an_error(event in proptest::collection::vec(any::<u8>(), 0..200)) {
        let mut replay = empty(false);
        let _ = replay.take(event.into());
    }

    #[test]
    fn any_body_of_any_type_is_read_or_refused(
        bodies in proptest::collection::vec((any::<u8>(), proptest::collection::vec(any::<u8>(), 0..120)), 1..6),
        mariadb: bool,
    ) {
        let mut replay = empty(mariadb);
        for (kind, body) in bodies {
            if replay.take(framed(kind, 0, &body)).is_err() {
                break;
            }
            while let Ok(true) = replay.step() {}
        }
    }

    #[test]
    fn any_table_and_rows_are_read_or_refused(
        codes in proptest::collection::vec(prop_oneof![0_u8..20, 140_u8..142, 242_u8..=255], 1..10),
        metadata in proptest::collection::vec(any::<u8>(), 0..40),
        optional in proptest::collection::vec(any::<u8>(), 0..60),
        rows in proptest::collection::vec(any::<u8>(), 0..200),
        kind in 23_u8..33,
    ) {
        let mut map = vec![1, 0, 0, 0, 0, 0, 0, 0, 1, b'd', 0, 1, b't', 0, codes.len() as u8];
        map.extend_from_slice(&codes);
        map.push(metadata.len() as u8);
        map.extend_from_slice(&metadata);
        map.extend(std::iter::repeat_n(0xff, codes.len().div_ceil(8)));
        // names, so that rows are read at all
        map.extend_from_slice(&[4, 2 * codes.len() as u8]);
        map.extend((0..codes.len()).flat_map(|_| [1, b'c']));
        map.extend_from_slice(&optional);
        let mut body = vec![1, 0, 0, 0, 0, 0, 0, 0];
        if (30..33).contains(&kind) {
            body.extend_from_slice(&[2, 0]);
        }
        body.push(codes.len() as u8);
        let images = if matches!(kind, 24 | 31) { 2 } else { 1 };
        body.extend(std::iter::repeat_n(0xff, images * codes.len().div_ceil(8)));
        body.extend_from_slice(&rows);
        let mut replay = empty(false);
        let mut begin = vec![0; 13];
        begin.extend_from_slice(b"\0BEGIN");
        replay.take(framed(2, 0, &begin)).unwrap();
        if replay.take(framed(19, 0, &map)).is_ok() {
            let _ = replay.take(framed(kind, 0, &body));
        }
    }

    #[test]
    fn any_bytes_are_a_json_document_or_an_error(document in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(text) = value::json_text(&document) {
            prop_assert!(text.len() <= document.len() * 16 + 200);
        }
    }
}

#[test]
fn an_unknown_event_stops_the_stream_unless_it_may_be_left_out() {
    let error = empty(false).take(framed(200, 0, &[])).unwrap_err();
    assert_eq!(error.code, "binlog.unknown_event");
    empty(false).take(framed(200, 0x80, &[])).unwrap();
    let error = empty(false).take(framed(26, 0, &[1, 0, 0])).unwrap_err();
    assert_eq!(
        (error.code, error.kind),
        ("binlog.incident", crossfade_store::ErrorKind::LogLost)
    );
    for kind in [9, 11, 17, 18] {
        assert_eq!(
            empty(false).take(framed(kind, 0, &[])).unwrap_err().code,
            "binlog.statement"
        );
    }
}
