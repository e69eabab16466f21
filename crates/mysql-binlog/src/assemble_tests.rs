use std::sync::Arc;

use bytes::Bytes;

use super::*;
use crate::event::format::Format;
use crate::event::header::Checksum;
use crate::event::kind;

fn header(kind: u8, next: u32) -> Header {
    Header {
        timestamp: 1,
        kind,
        server_id: 1,
        size: 0,
        next,
        flags: 0,
    }
}

fn event(next: u32, said: Said) -> Decoded {
    Decoded {
        header: header(0, next),
        said,
        inner: false,
    }
}

fn query(next: u32, sql: &str) -> Decoded {
    event(
        next,
        Said::Query(Query {
            database: String::new(),
            sql: sql.to_owned(),
            is_utf8: true,
            sql_mode: None,
        }),
    )
}

fn rotate(file: &str, offset: u64) -> Decoded {
    let file = file.to_owned();
    event(0, Said::Rotate(Rotate { file, offset }))
}

fn started(server_started: u32) -> Decoded {
    let mut body = vec![0; 2 + 50 + 4 + 1 + 40 + 1];
    body[0] = 4;
    body[52] = server_started as u8;
    body[56] = 19;
    let format = Format::read(Bytes::from(body), Checksum::Crc32).unwrap();
    assert_eq!(format.server_started, server_started);
    event(120, Said::Format(Arc::new(format)))
}

fn take(assembler: &mut Assembler, events: Vec<Decoded>) -> Vec<Item> {
    let mut out = Batch::default();
    for event in events {
        assembler.take(event, &mut out).unwrap();
    }
    out.items
}

fn begun() -> Assembler {
    let mut assembler = Assembler::new(0);
    take(&mut assembler, vec![rotate("log.000007", 4), started(0)]);
    assembler
}

#[test]
fn what_a_crash_left_open_did_not_happen() {
    for ending in [
        vec![event(300, Said::Stop)],
        vec![rotate("log.000008", 4)],
        vec![started(9)],
    ] {
        let mut assembler = begun();
        // a definition inside shows the transaction
        let open = vec![query(200, "BEGIN"), query(250, "CREATE TABLE t (a int)")];
        let mut items = take(&mut assembler, open);
        items.extend(take(&mut assembler, ending));
        assert!(
            matches!(
                items[..],
                [Item::Begin(_), Item::Definition(_), Item::Abort(_)]
            ),
            "{items:?}"
        );
        take(&mut assembler, vec![rotate("log.000009", 4)]);
        let items = take(
            &mut assembler,
            vec![query(200, "BEGIN"), event(230, Said::Xid)],
        );
        assert!(matches!(items[..], [Item::Passed(_)]), "{items:?}");
    }
}

#[test]
fn positions_go_on_beyond_four_gigabytes() {
    let mut assembler = begun();
    let (one, two) = (2_000_000_000_u32, 4_000_000_000_u32);
    for next in [one, two] {
        take(
            &mut assembler,
            vec![query(next, "BEGIN"), event(next + 10, Said::Xid)],
        );
    }
    let items = take(
        &mut assembler,
        vec![query(100, "BEGIN"), event(200, Said::Xid)],
    );
    let [Item::Passed(end)] = &items[..] else {
        panic!("{items:?}")
    };
    let beyond = LogPosition {
        file: 7,
        offset: (1 << 32) + 200,
    };
    assert_eq!(end.position, beyond);
    // a position that cannot follow
    let mut out = Batch::default();
    let back = query(150, "BEGIN");
    assert_eq!(
        assembler.take(back, &mut out).unwrap_err().code,
        "binlog.corrupt"
    );
}

#[test]
fn a_log_that_is_begun_anew_stops() {
    for file in ["log.000006", "other.000008", "log.x"] {
        let mut out = Batch::default();
        let error = begun().take(rotate(file, 4), &mut out).unwrap_err();
        assert!(
            matches!(error.code, "binlog.reset" | "binlog.corrupt"),
            "{error:?}"
        );
    }
}

#[test]
fn an_order_that_cannot_be_is_refused() {
    let announced = || {
        event(
            150,
            Said::Announced(Announced {
                gtid: None,
                committed_at: 0,
                flags: 0,
                mariadb: false,
            }),
        )
    };
    for events in [
        vec![announced(), announced()],
        vec![query(200, "BEGIN"), announced()],
        vec![event(200, Said::Xid)],
        vec![query(200, "SAVEPOINT a")],
        vec![query(200, "BEGIN"), query(300, "ROLLBACK TO a")],
        vec![
            query(200, "BEGIN"),
            query(300, "CREATE TABLE t (a int)"),
            query(310, "BEGIN"),
        ],
    ] {
        let mut assembler = begun();
        let mut out = Batch::default();
        let error = events
            .into_iter()
            .try_for_each(|event| assembler.take(event, &mut out))
            .unwrap_err();
        assert_eq!(error.code, "binlog.corrupt");
    }
}

#[test]
fn heartbeats_and_old_positions_do_not_go_back() {
    let mut assembler = begun();
    take(
        &mut assembler,
        vec![query(500, "BEGIN"), event(600, Said::Xid)],
    );
    let items = take(
        &mut assembler,
        vec![event(600, Said::Heartbeat), event(300, Said::Heartbeat)],
    );
    let [Item::Passed(end)] = &items[..] else {
        panic!("{items:?}")
    };
    assert_eq!(end.position.offset, 600);
    let mut artificial = event(kind::HEARTBEAT.into(), Said::Nothing);
    artificial.header.flags = 0x20;
    take(&mut assembler, vec![artificial]);
    assert_eq!(assembler.position().offset, 600);
}
