#![allow(clippy::unwrap_used)]
use super::super::pgoutput::{Relation, RelationColumn};
use super::super::tables::{Resolved, TypeNames};
use super::*;
use bytes::Bytes;
use crossfade_model::{
    Canonical, Column, ColumnMapping, KeyOrder, LogicalType, Partition, Table, TableKey,
    TableMapping, TableName,
};

const INT8: u32 = 20;
const TEXT: u32 = 25;

fn name(name: &str) -> TableName {
    TableName {
        schema: Some("public".into()),
        name: name.into(),
    }
}

fn column(name: &str, declared: &str, logical: LogicalType) -> Column {
    Column {
        name: name.into(),
        logical,
        declared: declared.into(),
        nullable: true,
        default: None,
        generated: None,
        identity: None,
        collation: None,
    }
}

fn mapping(id: u32, table: &str, partitions: &[&str]) -> TableMapping {
    let columns = vec![
        column("id", "bigint", LogicalType::Integer { bits: 64 }),
        column("note", "text", LogicalType::Text),
        column("more", "text", LogicalType::Text),
    ];
    let source = Table {
        name: name(table),
        columns,
        key: Some(TableKey {
            name: format!("{table}_pkey"),
            columns: vec![0],
            primary: true,
            order: KeyOrder::Ordered,
        }),
        full_before_images: false,
        indexes: Vec::new(),
        foreign_keys: Vec::new(),
        checks: Vec::new(),
        partition_by: (!partitions.is_empty()).then(|| "PARTITION BY RANGE (id)".into()),
        partitions: partitions
            .iter()
            .map(|p| Partition {
                name: name(p),
                parent: name(table),
                bound: "DEFAULT".into(),
                partition_by: None,
            })
            .collect(),
        estimated_rows: 0,
        estimated_bytes: 0,
        definition: None,
    };
    TableMapping {
        id: TableId(id),
        target: source.clone(),
        columns: ["id", "note", "more"]
            .map(|c| ColumnMapping {
                source: c.into(),
                target: c.into(),
                canonical: Canonical::Exact,
            })
            .into(),
        source,
        same_shape: true,
        origin: None,
        back: None,
        slice: None,
        shares_source: false,
    }
}

fn relation(oid: u32, table: &str) -> Relation {
    let column = |name: &str, identity, type_oid| RelationColumn {
        identity,
        name: name.into(),
        type_oid,
        type_modifier: -1,
    };
    Relation {
        oid,
        schema: "public".into(),
        name: table.into(),
        replica_identity: b'd',
        columns: vec![
            column("id", true, INT8),
            column("note", false, TEXT),
            column("more", false, TEXT),
        ],
    }
}

fn types() -> TypeNames {
    [((INT8, -1), "bigint".into()), ((TEXT, -1), "text".into())].into()
}

fn tables() -> Tables {
    let oids = [("t", 10), ("p", 20), ("p1", 21), ("p2", 22)]
        .map(|(n, oid)| (("public".to_owned(), n.to_owned()), oid));
    Tables::new(
        vec![mapping(0, "t", &[]), mapping(1, "p", &["p1", "p2"])],
        &oids.into(),
    )
}

fn assembler() -> Assembler {
    let mut assembler = Assembler::new(tables(), Position(30), 1000);
    for (oid, name) in [(10, "t"), (21, "p1"), (22, "p2")] {
        match assembler.tables().resolve(&relation(oid, name), &types()) {
            Resolved::Known(known) => assembler.learn(oid, known),
            other => panic!("{other:?}"),
        }
    }
    assembler
}

fn t(text: &str) -> Cell {
    Cell::TextForm(Bytes::copy_from_slice(text.as_bytes()))
}

fn run(messages: Vec<Message>) -> Vec<StreamEvent> {
    let mut assembler = assembler();
    let mut out = Vec::new();
    for message in messages {
        assembler.take(message, &mut out).unwrap();
    }
    out
}

fn in_transaction(message: Message) -> Vec<StreamEvent> {
    let begin = Message::Begin {
        xid: 999,
        committed_at: 5,
    };
    let mut events = run(vec![begin, message, Message::Commit { end: 70 }]);
    assert_eq!(
        events.remove(0),
        StreamEvent::Begin(Transaction {
            id: TransactionId(999),
            committed_at: 5
        })
    );
    assert_eq!(
        events.pop(),
        Some(StreamEvent::Commit { end: Position(70) })
    );
    events
}

#[test]
fn a_key_image_keeps_the_key_alone() {
    let events = in_transaction(Message::Update {
        relation: 10,
        old: Some(OldTuple {
            whole: false,
            cells: vec![t("1"), Cell::Null, Cell::Null],
        }),
        new: vec![t("2"), t("a"), Cell::Unchanged],
    });
    assert_eq!(
        events,
        [StreamEvent::Change(Change::Update {
            table: TableId(0),
            before: Some(Row(vec![t("1"), Cell::Null, Cell::Null])),
            row: Row(vec![t("2"), t("a"), Cell::Unchanged]),
        })]
    );
}

#[test]
fn a_whole_old_row_fills_what_did_not_change() {
    let old = vec![t("1"), t("x"), t("long")];
    let events = in_transaction(Message::Update {
        relation: 10,
        old: Some(OldTuple {
            whole: true,
            cells: old.clone(),
        }),
        new: vec![t("1"), t("a"), Cell::Unchanged],
    });
    assert_eq!(
        events,
        [StreamEvent::Change(Change::Update {
            table: TableId(0),
            before: Some(Row(old)),
            row: Row(vec![t("1"), t("a"), t("long")]),
        })]
    );
}

#[test]
fn a_transaction_without_our_changes_is_progress() {
    let begin = |xid| Message::Begin {
        xid,
        committed_at: 0,
    };
    let events = run(vec![
        begin(7),
        Message::Commit { end: 40 },
        begin(8),
        Message::Other,
        Message::Commit { end: 50 },
    ]);
    assert_eq!(events, [StreamEvent::Progress(Position(50))]);
}

#[test]
fn a_keepalive_inside_a_transaction_is_no_progress() {
    let mut assembler = assembler();
    let mut out = Vec::new();
    let begin = Message::Begin {
        xid: 7,
        committed_at: 0,
    };
    assembler.take(begin, &mut out).unwrap();
    assembler.idle_at(60, &mut out);
    assert_eq!(out, []);
    assembler
        .take(Message::Commit { end: 61 }, &mut out)
        .unwrap();
    assembler.idle_at(80, &mut out);
    assembler.idle_at(70, &mut out);
    assert_eq!(out, [StreamEvent::Progress(Position(80))]);
}

#[test]
fn positions_before_the_start_are_no_progress() {
    let mut assembler = assembler();
    let mut out = Vec::new();
    assembler.idle_at(29, &mut out);
    assembler.idle_at(30, &mut out);
    assert_eq!(out, []);
}

#[test]
fn truncating_every_partition_empties_the_table_and_one_alone_a_part_of_it() {
    let all = in_transaction(Message::Truncate {
        relations: vec![22, 10, 21],
    });
    assert_eq!(
        all,
        [StreamEvent::Change(Change::Truncate {
            tables: vec![TableId(0), TableId(1)]
        })]
    );
    let one = in_transaction(Message::Truncate {
        relations: vec![21],
    });
    assert_eq!(
        one,
        [StreamEvent::Change(Change::TruncatePartitions {
            table: TableId(1)
        })]
    );
}

#[test]
fn columns_in_another_order_are_put_in_place() {
    let mut swapped = relation(10, "t");
    swapped.columns.swap(0, 2);
    let Resolved::Known(known) = tables().resolve(&swapped, &types()) else {
        panic!("differs");
    };
    let mut assembler = Assembler::new(tables(), Position(30), 0);
    assembler.learn(10, known);
    let mut out = Vec::new();
    for message in [
        Message::Begin {
            xid: 3,
            committed_at: 0,
        },
        Message::Insert {
            relation: 10,
            new: vec![t("more"), t("note"), t("1")],
        },
    ] {
        assembler.take(message, &mut out).unwrap();
    }
    assert_eq!(
        out.pop(),
        Some(StreamEvent::Change(Change::Insert {
            table: TableId(0),
            row: Row(vec![t("1"), t("note"), t("more")]),
        }))
    );
}

fn difference(change: impl FnOnce(&mut Relation)) -> String {
    let mut changed = relation(10, "t");
    change(&mut changed);
    match tables().resolve(&changed, &types()) {
        Resolved::Differs(Differs { table, what }) => {
            assert_eq!(table, TableId(0));
            what
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_other_shape_is_noticed() {
    let added = difference(|r| {
        let mut extra = r.columns[2].clone();
        extra.name = "extra".into();
        r.columns.push(extra);
    });
    assert_eq!(added, "column extra was added or renamed");
    let removed = difference(|r| {
        r.columns.pop();
    });
    assert!(removed.contains("column more was removed"), "{removed}");
    let renamed = difference(|r| r.columns[1].name = "notiz".into());
    assert!(renamed.contains("column note was"), "{renamed}");
    let retyped = difference(|r| r.columns[1].type_oid = INT8);
    assert_eq!(retyped, "column note was text and is bigint");
    let identity = difference(|r| r.columns[0].identity = false);
    assert!(identity.contains("key column id"), "{identity}");
    let moved = difference(|r| r.name = "t_old".into());
    assert!(moved.contains("renamed to public.t_old"), "{moved}");
    let replaced = difference(|r| r.oid = 99);
    assert!(replaced.contains("another table"), "{replaced}");
    let unnamed = tables().resolve(&relation(98, "p3"), &types());
    assert_eq!(unnamed, Resolved::Unnamed);
}

#[test]
fn what_cannot_be_is_an_error_and_not_a_guess() {
    let begin = || Message::Begin {
        xid: 3,
        committed_at: 0,
    };
    let insert = |relation, cells: usize| Message::Insert {
        relation,
        new: vec![t("1"); cells],
    };
    for messages in [
        vec![begin(), begin()],
        vec![Message::Commit { end: 1 }],
        vec![insert(10, 3)],
        vec![begin(), insert(77, 3)],
        vec![begin(), insert(10, 2)],
        vec![
            begin(),
            Message::Insert {
                relation: 10,
                new: vec![t("1"), Cell::Unchanged, Cell::Null],
            },
        ],
    ] {
        let mut assembler = assembler();
        let mut out = Vec::new();
        let failed = messages
            .into_iter()
            .any(|m| assembler.take(m, &mut out).is_err());
        assert!(failed);
    }
}
