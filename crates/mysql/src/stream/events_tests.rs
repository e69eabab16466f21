#![allow(clippy::unwrap_used)]
use super::*;
use crate::stream::testing::{map, tables};
use bytes::Bytes;
use crossfade_model::{Cell, Row, TableId};
use crossfade_mysql_binlog as log;

fn place(offset: u64) -> LogPosition {
    LogPosition { file: 3, offset }
}

fn packed(offset: u64) -> Position {
    place(offset).pack(0).unwrap()
}

fn begin(offset: u64) -> Begin {
    Begin {
        gtid: None,
        committed_at: 5,
        start: place(offset),
    }
}

fn end(offset: u64) -> End {
    End {
        position: place(offset),
        gtid: None,
    }
}

fn row(n: u32) -> Row {
    let text = |t: String| Cell::TextForm(Bytes::from(t));
    Row(vec![
        text(n.to_string()),
        text("b".to_owned()),
        text("2024-01-01 00:00:00".to_owned()),
    ])
}

fn insert(n: u32) -> Item {
    Item::Change(log::Change {
        table: Arc::new(map()),
        row: RowChange::Insert { row: row(n) },
    })
}

fn definition(sql: &str, from: u64, to: Option<u64>) -> Item {
    Item::Definition(Definition {
        begin: begin(from),
        database: "shop".to_owned(),
        sql: sql.to_owned(),
        is_utf8: true,
        sql_mode: None,
        end: to.map(end),
    })
}

fn events(fates: &Arc<Fates>) -> Events {
    Events::new(
        tables(false),
        Arc::clone(fates),
        Arc::default(),
        Arc::from("mysql://a@b/shop"),
    )
}

fn all(events: &mut Events, items: Vec<Item>) -> (Vec<StreamEvent>, Option<StoreError>) {
    let mut out = Vec::new();
    for item in items {
        if let Err(e) = events.take(item, &mut out) {
            return (out, Some(e));
        }
    }
    (out, None)
}

/// Keys of the rows that were told.
fn keys(events: &[StreamEvent]) -> Vec<String> {
    events
        .iter()
        .filter_map(|event| match event {
            StreamEvent::Change(Change::Insert { row, .. }) => match &row.0[0] {
                Cell::TextForm(text) => Some(String::from_utf8(text.to_vec()).unwrap()),
                _ => None,
            },
            _ => None,
        })
        .collect()
}

#[test]
fn a_transactions_id_lies_between_its_ends() {
    let mut events = events(&Arc::default());
    let items = vec![Item::Begin(begin(100)), insert(1), Item::Commit(end(200))];
    let (out, error) = all(&mut events, items);
    assert!(error.is_none());
    let StreamEvent::Begin(Transaction { id, committed_at }) = out[0] else {
        panic!("{out:?}")
    };
    assert_eq!(committed_at, 5);
    // a snapshot at its beginning does not see it, one at its end does
    assert!(packed(100).0 < id.0 && id.0 <= packed(200).0);
    assert_eq!(out.last(), Some(&StreamEvent::Commit { end: packed(200) }));
}

#[test]
fn what_was_taken_back_comes_again_without_it() {
    let fates = Arc::default();
    let items = || {
        vec![
            Item::Begin(begin(100)),
            insert(1),
            insert(2),
            Item::Rewind { kept: 1 },
            insert(3),
            Item::Commit(end(200)),
        ]
    };
    let (out, error) = all(&mut events(&fates), items());
    assert_eq!(error.unwrap().code, "mysql.taken_back");
    assert!(!out.iter().any(|e| matches!(e, StreamEvent::Commit { .. })));
    let (out, error) = all(&mut events(&fates), items());
    assert!(error.is_none());
    assert_eq!(keys(&out), ["1", "3"]);
    assert_eq!(out.last(), Some(&StreamEvent::Commit { end: packed(200) }));
}

#[test]
fn what_did_not_happen_comes_again_empty() {
    let fates = Arc::default();
    let items = || {
        vec![
            Item::Begin(begin(100)),
            insert(1),
            Item::Abort(end(200)),
            Item::Begin(begin(200)),
            insert(2),
            Item::Commit(end(300)),
        ]
    };
    assert!(all(&mut events(&fates), items()).1.is_some());
    let (out, error) = all(&mut events(&fates), items());
    assert!(error.is_none());
    assert_eq!(keys(&out), ["2"]);
}

#[test]
fn nothing_is_told_after_an_altered_table() {
    let mut events = events(&Arc::default());
    let items = vec![
        definition("CREATE INDEX i ON t (a)", 50, Some(100)),
        definition("ALTER TABLE t DROP COLUMN b", 100, Some(200)),
        Item::Begin(begin(200)),
        insert(1),
        Item::Commit(end(300)),
    ];
    let (out, error) = all(&mut events, items);
    assert!(error.is_none() && events.ended());
    assert_eq!(out.len(), 2);
    assert_eq!(out[0], StreamEvent::Progress(packed(100)));
    assert!(matches!(&out[1], StreamEvent::SchemaChanged { table, .. } if *table == TableId(0)));
}

fn replanned(log_end: u64, moved: bool) -> Replanned {
    Replanned {
        checkpoint: packed(100),
        log_end: packed(log_end),
        moved,
    }
}

/// The mark of an altered table may have been left by who looks at the source, who does not know how it was altered: its rows were not copied anew.
#[test]
fn a_definition_that_moves_rows_is_passed_only_where_the_plan_knew_of_that() {
    let swap = || definition("RENAME TABLE t TO old, n TO t", 100, Some(200));
    let mut known = events(&Arc::default());
    known.pass_one(replanned(500, true));
    let (out, _) = all(&mut known, vec![swap()]);
    assert_eq!(out, [StreamEvent::Progress(packed(200))]);
    let mut unknown = events(&Arc::default());
    unknown.pass_one(replanned(500, false));
    let (out, _) = all(&mut unknown, vec![swap()]);
    assert!(
        matches!(out.as_slice(), [StreamEvent::SchemaChanged { moved, .. }] if moved == &[TableId(0)])
    );
}

/// Under a plan that was made anew the definition that it was made for is passed: that one, no later one, and none behind a row.
#[test]
fn the_definition_that_a_plan_was_made_anew_for_is_passed_once() {
    let alter = |from, to| definition("ALTER TABLE t DROP COLUMN b", from, Some(to));
    let mut once = events(&Arc::default());
    once.pass_one(replanned(500, false));
    let (out, error) = all(&mut once, vec![alter(100, 200), alter(200, 300)]);
    assert!(error.is_none() && once.ended());
    assert_eq!(out[0], StreamEvent::Progress(packed(200)));
    assert!(matches!(&out[1], StreamEvent::SchemaChanged { .. }));

    let mut late = events(&Arc::default());
    late.pass_one(replanned(150, false));
    let (out, _) = all(&mut late, vec![alter(100, 200)]);
    assert!(matches!(
        out.as_slice(),
        [StreamEvent::SchemaChanged { .. }]
    ));

    let mut behind = events(&Arc::default());
    behind.pass_one(replanned(500, false));
    let items = vec![
        Item::Begin(begin(100)),
        insert(1),
        Item::Commit(end(200)),
        alter(200, 300),
    ];
    let (out, _) = all(&mut behind, items);
    assert!(matches!(
        out.last(),
        Some(StreamEvent::SchemaChanged { .. })
    ));
}

#[test]
fn a_truncate_is_a_transaction() {
    let mut events = events(&Arc::default());
    let (out, _) = all(&mut events, vec![definition("TRUNCATE t", 100, Some(200))]);
    assert_eq!(out.len(), 3);
    assert_eq!(
        out[1],
        StreamEvent::Change(Change::Truncate {
            tables: vec![TableId(0)]
        })
    );
    assert_eq!(out[2], StreamEvent::Commit { end: packed(200) });
}

#[test]
fn a_definition_that_cannot_be_read_stops_unless_it_is_elsewhere() {
    let unread = |sql: &str, database: &str| {
        let mut events = events(&Arc::default());
        let Item::Definition(read) = definition(sql, 1, Some(2)) else {
            panic!()
        };
        let unread = Item::Definition(Definition {
            is_utf8: false,
            database: database.to_owned(),
            ..read
        });
        all(&mut events, vec![unread]).1.map(|error| error.code)
    };
    let stops = Some("mysql.definition");
    assert_eq!(unread("TRUNCATE shop.caf\u{fffd}", "other"), stops);
    assert_eq!(unread("ALTER TABLE \u{fffd} ADD c INT", "shop"), stops);
    assert_eq!(unread("TRUNCATE caf\u{fffd}", "other"), None);
    assert_eq!(unread("CREATE VIEW v AS SELECT '\u{fffd}'", "shop"), None);
}
