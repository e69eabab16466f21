#![allow(clippy::unwrap_used)]
use super::*;
use proptest::prelude::*;

/// Builds a message byte by byte, as the documentation lays it out.
struct Build(Vec<u8>);

impl Build {
    fn new(tag: u8) -> Build {
        Build(vec![tag])
    }
    fn u8(mut self, v: u8) -> Build {
        self.0.push(v);
        self
    }
    fn i16(mut self, v: i16) -> Build {
        self.0.extend(v.to_be_bytes());
        self
    }
    fn u32(mut self, v: u32) -> Build {
        self.0.extend(v.to_be_bytes());
        self
    }
    fn u64(mut self, v: u64) -> Build {
        self.0.extend(v.to_be_bytes());
        self
    }
    fn text(mut self, v: &str) -> Build {
        self.0.extend(v.as_bytes());
        self.u8(0)
    }
    fn tuple(mut self, cells: &[Cell]) -> Build {
        self = self.i16(cells.len() as i16);
        for cell in cells {
            self = match cell {
                Cell::TextForm(b) => {
                    let mut next = self.u8(b't').u32(b.len() as u32);
                    next.0.extend_from_slice(b);
                    next
                }
                Cell::Unchanged => self.u8(b'u'),
                _ => self.u8(b'n'),
            };
        }
        self
    }
    fn bytes(self) -> Bytes {
        self.0.into()
    }
}

fn cell(text: &str) -> Cell {
    Cell::TextForm(Bytes::copy_from_slice(text.as_bytes()))
}

fn samples() -> Vec<(Bytes, Message)> {
    let new = vec![cell("1"), cell(""), Cell::Null, Cell::Unchanged];
    let key = vec![cell("1"), Cell::Null, Cell::Null, Cell::Null];
    let relation = Relation {
        oid: 16_384,
        schema: "Schéma".into(),
        name: "t".into(),
        replica_identity: b'd',
        columns: vec![
            RelationColumn {
                identity: true,
                name: "id".into(),
                type_oid: 20,
                type_modifier: -1,
            },
            RelationColumn {
                identity: false,
                name: "a b".into(),
                type_oid: 1043,
                type_modifier: 24,
            },
        ],
    };
    vec![
        (
            Build::new(b'B').u64(7).u64(0).u32(740).bytes(),
            Message::Begin {
                xid: 740,
                committed_at: EPOCH_SHIFT_MICROS,
            },
        ),
        (
            Build::new(b'C').u8(0).u64(7).u64(9).u64(0).bytes(),
            Message::Commit { end: 9 },
        ),
        (
            Build::new(b'R')
                .u32(16_384)
                .text("Schéma")
                .text("t")
                .u8(b'd')
                .i16(2)
                .u8(1)
                .text("id")
                .u32(20)
                .u32(u32::MAX)
                .u8(0)
                .text("a b")
                .u32(1043)
                .u32(24)
                .bytes(),
            Message::Relation(relation),
        ),
        (
            Build::new(b'I').u32(5).u8(b'N').tuple(&new).bytes(),
            Message::Insert {
                relation: 5,
                new: new.clone(),
            },
        ),
        (
            Build::new(b'U').u32(5).u8(b'N').tuple(&new).bytes(),
            Message::Update {
                relation: 5,
                old: None,
                new: new.clone(),
            },
        ),
        (
            Build::new(b'U')
                .u32(5)
                .u8(b'K')
                .tuple(&key)
                .u8(b'N')
                .tuple(&new)
                .bytes(),
            Message::Update {
                relation: 5,
                old: Some(OldTuple {
                    whole: false,
                    cells: key.clone(),
                }),
                new: new.clone(),
            },
        ),
        (
            Build::new(b'D').u32(5).u8(b'O').tuple(&new).bytes(),
            Message::Delete {
                relation: 5,
                old: OldTuple {
                    whole: true,
                    cells: new,
                },
            },
        ),
        (
            Build::new(b'T').u32(2).u8(3).u32(5).u32(6).bytes(),
            Message::Truncate {
                relations: vec![5, 6],
            },
        ),
        (
            Build::new(b'O').u64(1).text("origin").bytes(),
            Message::Other,
        ),
        (
            Build::new(b'Y').u32(9).text("public").text("mood").bytes(),
            Message::Other,
        ),
    ]
}

#[test]
fn every_kind_of_message_is_read() {
    for (bytes, message) in samples() {
        assert_eq!(parse(&bytes), Ok(message));
    }
}

#[test]
fn a_cell_is_a_slice_of_the_message() {
    let bytes = Build::new(b'I')
        .u32(5)
        .u8(b'N')
        .tuple(&[cell("abc")])
        .bytes();
    let Ok(Message::Insert { new, .. }) = parse(&bytes) else {
        panic!("not an insert");
    };
    let Cell::TextForm(slice) = &new[0] else {
        panic!("not text");
    };
    let at = bytes.len() - 3;
    assert!(std::ptr::eq(&raw const bytes[at], &raw const slice[0]));
}

#[test]
fn every_shorter_and_longer_message_is_refused() {
    for (bytes, _) in samples() {
        for length in 0..bytes.len() {
            assert!(parse(&bytes.slice(..length)).is_err(), "{bytes:?} {length}");
        }
        let longer: Bytes = [&bytes[..], &[0]].concat().into();
        assert!(parse(&longer).is_err(), "{bytes:?}");
    }
}

#[test]
fn binary_values_and_messages_that_were_not_asked_for_are_refused() {
    let binary = Build::new(b'I').u32(5).u8(b'N').i16(1).u8(b'b').u32(0);
    assert!(parse(&binary.bytes()).is_err());
    for tag in [b'M', b'S', b'E', b'c', b'A', b'b', b'P', b'K', b'r', b'p'] {
        assert!(parse(&Build::new(tag).u64(0).u64(0).u64(0).bytes()).is_err());
    }
}

proptest! {
    #[test]
    fn random_bytes_do_no_harm(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse(&bytes.into());
    }

    #[test]
    fn mutated_messages_do_no_harm(
        which in 0..10_usize,
        hits in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let mut bytes = samples().swap_remove(which).0.to_vec();
        for (at, value) in hits {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        let _ = parse(&bytes.into());
    }

    #[test]
    fn tuples_come_back_as_they_went(
        cells in proptest::collection::vec(
            prop_oneof![
                Just(Cell::Null),
                Just(Cell::Unchanged),
                proptest::collection::vec(any::<u8>(), 0..20).prop_map(|v| Cell::TextForm(v.into())),
            ],
            0..30,
        ),
    ) {
        let bytes = Build::new(b'I').u32(1).u8(b'N').tuple(&cells).bytes();
        prop_assert_eq!(parse(&bytes), Ok(Message::Insert { relation: 1, new: cells }));
    }
}
