//! Every type: what the stream brings of a value is what SELECT shows.

use crossfade_model::Cell;
use crossfade_mysql_binlog::{Item, RowChange, Start, value};

use crate::common::{Server, Session, alone, inserted, mariadbs, mysql, servers};
use crate::samples::{Numbers, common_types, json_documents};

/// Writes every value, and compares.
async fn round_trip(server: &Server, session: &mut Session, types: &[(String, Vec<String>)]) {
    session
        .run("SET SESSION character_set_results = NULL")
        .await;
    let start = server.end().await;
    for (index, (kind, values)) in types.iter().enumerate() {
        session
            .run(&format!("CREATE TABLE v{index} (id int PRIMARY KEY AUTO_INCREMENT, v {kind}, w {kind}, x int) CHARACTER SET utf8mb4"))
            .await;
        for value in values {
            session
                .run(&format!(
                    "INSERT INTO v{index} (v, w, x) VALUES ({value}, NULL, -5)"
                ))
                .await;
        }
    }
    let items = server.items(&start, "bl_values").await.unwrap();
    for (index, (kind, values)) in types.iter().enumerate() {
        let name = format!("v{index}");
        let ours: Vec<Item> = items
            .iter()
            .filter(|item| matches!(item, Item::Change(change) if change.table.name == name))
            .cloned()
            .collect();
        let shown = session
            .bytes(&format!("SELECT v, w, x FROM {name} ORDER BY id"))
            .await;
        let streamed = inserted(&ours);
        assert_eq!(
            (streamed.len(), shown.len()),
            (values.len(), values.len()),
            "{kind}"
        );
        let zerofill = kind.contains("ZEROFILL");
        for ((cells, row), value) in streamed.iter().zip(&shown).zip(values) {
            let what = format!(
                "{} {} {value:.80}",
                server.name,
                kind.get(..60).unwrap_or(kind)
            );
            let expected = row[0].as_ref().unwrap();
            match &cells[1] {
                Cell::TextForm(bytes) if zerofill => {
                    assert_eq!(bytes, &expected[expected.len() - bytes.len()..], "{what}");
                }
                Cell::TextForm(bytes) | Cell::Blob(bytes) => {
                    if bytes != expected {
                        let at = bytes
                            .iter()
                            .zip(expected)
                            .take_while(|(a, b)| a == b)
                            .count();
                        let around = |bytes: &[u8]| {
                            let from = at.saturating_sub(30);
                            let to = (at + 30).min(bytes.len());
                            String::from_utf8_lossy(&bytes[from..to]).into_owned()
                        };
                        panic!(
                            "{what}: at {at}: {:?} and not {:?}",
                            around(bytes),
                            around(expected)
                        );
                    }
                }
                other => panic!("{what}: {other:?}"),
            }
            let binary = ["BINARY", "BLOB", "BIT", "GEOMETRY", "POINT"];
            let is_binary = binary.iter().any(|word| kind.contains(word));
            assert_eq!(matches!(cells[1], Cell::Blob(_)), is_binary, "{what}");
            assert_eq!(cells[2], Cell::Null, "{what}");
            assert_eq!(cells[3], Cell::TextForm("-5".into()), "{what}");
        }
    }
}

#[tokio::test]
async fn every_type_comes_as_select_shows_it() {
    let _alone = alone().await;
    for server in servers() {
        let mut session = server.database("bl_values").await;
        round_trip(&server, &mut session, &common_types()).await;
    }
}

#[tokio::test]
async fn compressed_transactions_bring_the_same() {
    let _alone = alone().await;
    for server in servers() {
        let mut session = server.database("bl_values").await;
        let (on, off) = match server.is_mariadb() {
            true => (
                "SET GLOBAL log_bin_compress = ON, GLOBAL log_bin_compress_min_len = 10",
                "SET GLOBAL log_bin_compress = OFF, GLOBAL log_bin_compress_min_len = 256",
            ),
            false => (
                "SET SESSION binlog_transaction_compression = ON",
                "SET SESSION binlog_transaction_compression = OFF",
            ),
        };
        session.run(on).await;
        round_trip(&server, &mut session, &common_types()).await;
        session.run(off).await;
    }
}

#[tokio::test]
async fn json_comes_as_the_servers_text() {
    let _alone = alone().await;
    let Some(server) = mysql() else { return };
    let mut numbers = Numbers::seeded();
    let mut session = server.database("bl_values").await;
    let types = [("JSON".to_owned(), json_documents(&mut numbers))];
    round_trip(&server, &mut session, &types).await;
}

#[tokio::test]
async fn singles_and_doubles_come_to_the_bit() {
    let _alone = alone().await;
    for server in servers() {
        let mut numbers = Numbers::seeded();
        let mut session = server.database("bl_float").await;
        session.run("CREATE TABLE t (id int PRIMARY KEY AUTO_INCREMENT, f FLOAT, d DOUBLE, u FLOAT UNSIGNED)").await;
        let start = server.end().await;
        for _ in 0..10 {
            let rows: Vec<String> = (0..100)
                .map(|_| {
                    let double = numbers.double();
                    let single = loop {
                        let single = f32::from_bits(numbers.next() as u32);
                        if single.is_finite() {
                            break single;
                        }
                    };
                    format!(
                        "({:?},{double:?},{:?})",
                        f64::from(single),
                        f64::from(single.abs())
                    )
                })
                .collect();
            session
                .run(&format!(
                    "INSERT INTO t (f, d, u) VALUES {}",
                    rows.join(",")
                ))
                .await;
        }
        session
            .run("INSERT INTO t (f, d, u) VALUES (-0e0, -0e0, 0.1), (16777217, 0.1, 3.4028234e38)")
            .await;
        let items = server.items(&start, "bl_float").await.unwrap();
        let shown = session
            .rows("SELECT f + 0e0, d, u + 0e0 FROM t ORDER BY id")
            .await;
        let streamed = inserted(&items);
        assert_eq!(streamed.len(), shown.len());
        for (cells, row) in streamed.iter().zip(&shown) {
            for (cell, text) in cells[1..].iter().zip(row) {
                let Cell::Real(real) = cell else {
                    panic!("{cell:?}")
                };
                // the zero's sign is lost by the sum above, and in no text
                let expected: f64 = text.parse().unwrap();
                assert!(
                    real.to_bits() == expected.to_bits() || (*real == 0.0 && expected == 0.0),
                    "{real:?} {text}"
                );
            }
        }
    }
}

#[tokio::test]
async fn what_the_log_says_of_a_table_is_what_was_created() {
    let _alone = alone().await;
    for server in servers() {
        let mut session = server.database("bl_meta").await;
        session
            .run(
                "CREATE TABLE `t é` (y YEAR, u INT UNSIGNED, f FLOAT, s BIGINT, d DECIMAL(5,2) UNSIGNED, t TINYINT,
                 c CHAR(3) CHARACTER SET latin1 COLLATE latin1_bin, b VARBINARY(3), e ENUM('x','y') CHARACTER SET latin1,
                 z SET('p','q'), v VARCHAR(9) NOT NULL, x TEXT CHARACTER SET ascii, i INT INVISIBLE, PRIMARY KEY (u, s))",
            )
            .await;
        let start = server.end().await;
        session.run("INSERT INTO `t é` (y, u, f, s, d, t, c, b, e, z, v, x) VALUES (2001, 4000000000, 1, -2, 3.5, -4, 'c', 'b', 'y', 'p,q', 'v', 'x')").await;
        let items = server.items(&start, "bl_meta").await.unwrap();
        let Some(Item::Change(change)) = items.iter().find(|i| matches!(i, Item::Change(_))) else {
            panic!()
        };
        let table = &change.table;
        assert_eq!(
            (table.database.as_str(), table.name.as_str()),
            ("bl_meta", "t é")
        );
        let names: Vec<&str> = table.columns.iter().map(|c| c.name.as_str()).collect();
        assert_eq!(
            names,
            [
                "y", "u", "f", "s", "d", "t", "c", "b", "e", "z", "v", "x", "i"
            ]
        );
        let unsigned: Vec<&str> = table
            .columns
            .iter()
            .filter(|c| c.unsigned)
            .map(|c| c.name.as_str())
            .collect();
        // MySQL counts a year among the unsigned
        let expected: Vec<&str> = ["y", "u", "d"]
            .into_iter()
            .filter(|n| *n != "y" || unsigned.contains(&"y"))
            .collect();
        assert_eq!(unsigned, expected);
        assert_eq!(table.primary_key, [1, 3]);
        let nullable: Vec<&str> = table
            .columns
            .iter()
            .filter(|c| !c.nullable)
            .map(|c| c.name.as_str())
            .collect();
        assert_eq!(nullable, ["u", "s", "v"]);
        for (column, collation) in [
            ("c", "latin1_bin"),
            ("b", "binary"),
            ("e", "latin1_swedish_ci"),
            ("x", "ascii_general_ci"),
        ] {
            let id = session.value(&format!("SELECT id FROM information_schema.collations WHERE collation_name = '{collation}'")).await;
            let column = table.columns.iter().find(|c| c.name == column).unwrap();
            assert_eq!(column.collation.unwrap().to_string(), id, "{}", column.name);
        }
        let RowChange::Insert { row } = &change.row else {
            panic!()
        };
        let cells = crate::common::texts(table, row);
        let shown: Vec<String> = cells.iter().map(crate::common::shown).collect();
        assert_eq!(
            shown,
            [
                "2001",
                "4000000000",
                "1",
                "-2",
                "3.50",
                "-4",
                "c",
                "b",
                "y",
                "p,q",
                "v",
                "x",
                "NULL"
            ]
        );
        if !server.is_mariadb() {
            let hidden: Vec<&str> = table
                .columns
                .iter()
                .filter(|c| !c.visible)
                .map(|c| c.name.as_str())
                .collect();
            assert_eq!(hidden, ["i"]);
        }
    }
}

#[tokio::test]
async fn mariadbs_own_types_are_bytes_with_a_text() {
    let _alone = alone().await;
    for server in mariadbs() {
        let mut session = server.database("bl_own").await;
        session.run("CREATE TABLE t (id int PRIMARY KEY AUTO_INCREMENT, u UUID, i INET6, j INET4, k JSON)").await;
        let start = server.end().await;
        session.run("INSERT INTO t (u, i, j, k) VALUES
            ('123e4567-e89b-12d3-a456-426655440000', '2001:db8::ff00:42:8329', '192.168.0.1', '{\"b\":  1}'),
            ('00000000-0000-0000-0000-000000000000', '::', '0.0.0.0', '[]'),
            ('ffffffff-ffff-ffff-ffff-ffffffffffff', '::ffff:192.0.2.128', '255.255.255.255', '1'),
            ('6ba7b810-9dad-41d1-80b4-00c04fd430c8', '::1.2.3.4', '1.2.3.4', '2'),
            ('1ec9414c-232a-6b00-b3c8-9e6bdeced846', 'fe80::1', '9.9.9.9', '3'),
            ('017f22e2-79b0-7cc3-98c4-dc0c0c07398f', '1::', '8.8.8.8', '4'),
            ('320c3d4d-cc00-875b-8ec9-32d5f69181c0', '::2:0:0:3', '7.7.7.7', '5')").await;
        session
            .run("INSERT INTO t (u) SELECT uuid() FROM seq_1_to_200")
            .await;
        let random = "lower(concat(hex(random_bytes(4)),'-',hex(random_bytes(2)),'-',hex(random_bytes(2)),'-',hex(random_bytes(2)),'-',hex(random_bytes(6))))";
        session
            .run(&format!(
                "INSERT INTO t (u) SELECT {random} FROM seq_1_to_2000"
            ))
            .await;
        // groups are often zero
        let group = "if(rand() < 0.6, '0', hex(floor(rand() * 65536)))";
        session
            .run(&format!(
                "INSERT INTO t (i) SELECT concat_ws(':', {}) FROM seq_1_to_2000",
                [group; 8].join(",")
            ))
            .await;
        let items = server.items(&start, "bl_own").await.unwrap();
        let shown = session.rows("SELECT u, i, j, k FROM t ORDER BY id").await;
        let streamed = inserted(&items);
        assert_eq!(streamed.len(), shown.len());
        for (cells, row) in streamed.iter().zip(&shown) {
            let text = |cell: &Cell, read: fn(&[u8]) -> Option<String>| match cell {
                Cell::Blob(bytes) => read(bytes).unwrap(),
                Cell::Null => "NULL".to_owned(),
                other => panic!("{other:?}"),
            };
            assert_eq!(
                text(&cells[1], value::mariadb::uuid_text),
                row[0],
                "{}",
                server.name
            );
            assert_eq!(text(&cells[2], value::mariadb::inet6_text), row[1]);
            assert_eq!(text(&cells[3], value::mariadb::inet4_text), row[2]);
            if let Cell::TextForm(bytes) = &cells[4] {
                assert_eq!(bytes, row[3].as_bytes());
            }
        }
    }
}

#[tokio::test]
async fn differences_of_json_give_the_whole_document() {
    let _alone = alone().await;
    let Some(server) = mysql() else { return };
    let mut numbers = Numbers::seeded();
    let mut session = server.database("bl_partial").await;
    session
        .run("CREATE TABLE t (id int PRIMARY KEY, a json, x int, b json, c json)")
        .await;
    session
        .run("SET SESSION binlog_row_value_options = 'PARTIAL_JSON'")
        .await;
    let long = "y".repeat(300);
    let document = format!(
        "{{\"k\": 1, \"list\": [1, [2, 3], {{\"deep\": \"{long}\"}}], \"a b.c\": {{\"q\\\\\"r\": true, \"é\\\\n\": 5}}, \"num\": 1.5}}"
    );
    for id in 0..5 {
        session
            .run(&format!(
                "INSERT INTO t VALUES ({id}, '{document}', 0, '{document}', NULL)"
            ))
            .await;
    }
    let start = server.end().await;
    let mut shown = Vec::new();
    let paths = [
        "$.k",
        "$.list[0]",
        "$.list[1]",
        "$.list[1][0]",
        "$.list[1][7]",
        "$.list[9]",
        "$.list[2].deep",
        "$.num",
        "$.\"a b.c\"",
        "$.\"a b.c\".\"q\\\\\"r\"",
        "$.\"a b.c\".\"é\\\\n\"",
        "$.fresh",
        "$.\"new one\"",
        "$.zz",
        "$.list",
        "$",
    ];
    let values = [
        "1",
        "-70000",
        "'text'",
        "NULL",
        "true",
        "1.25e0",
        "CAST('[1, {\"v\": 2}]' AS JSON)",
        "CAST('{}' AS JSON)",
        "CAST('2020-02-02' AS DATE)",
        "CAST(7.50 AS DECIMAL(5,2))",
    ];
    for _ in 0..600 {
        let mut any = |count: usize| numbers.next() as usize % count;
        let column = ["a", "b"][any(2)];
        let (path, value, id) = (
            paths[any(paths.len() - 1)],
            values[any(values.len())],
            any(5),
        );
        let change = match any(7) {
            0 => format!("JSON_REMOVE({column}, '{path}')"),
            1 => format!("JSON_REPLACE({column}, '{path}', {value})"),
            2 => {
                format!("JSON_SET(JSON_REMOVE({column}, '$.k'), '$.k', {value}, '{path}', {value})")
            }
            3 => format!("JSON_SET({column}, '{path}', {value}, '$.zz', {value})"),
            4 if any(4) == 0 => format!("CAST('{document}' AS JSON)"),
            _ => format!("JSON_SET({column}, '{path}', {value})"),
        };
        session
            .run(&format!(
                "UPDATE t SET x = x + 1, {column} = {change} WHERE id = {id}"
            ))
            .await;
        let row = session
            .rows(&format!("SELECT id, a, x, b, c FROM t WHERE id = {id}"))
            .await
            .remove(0);
        shown.push((change, row));
    }
    let Start::Place { base, position } = &start else {
        panic!()
    };
    let events = format!(
        "SHOW BINLOG EVENTS IN '{base}.{:06}' FROM {}",
        position.file, position.offset
    );
    let events = session.rows(&events).await;
    let partial = events
        .iter()
        .filter(|event| event[2] == "Update_rows_partial")
        .count();
    assert!(partial > 100, "the server wrote {partial} differences");
    let items = server.items(&start, "bl_partial").await.unwrap();
    let updates: Vec<Vec<String>> = items
        .iter()
        .filter_map(|item| match item {
            Item::Change(change) => match &change.row {
                RowChange::Update { after, .. } => {
                    Some(after.0.iter().map(crate::common::shown).collect())
                }
                other => panic!("{other:?}"),
            },
            _ => None,
        })
        .collect();
    assert_eq!(updates.len(), shown.len());
    for (update, (change, row)) in updates.iter().zip(&shown) {
        assert_eq!(update, row, "{change}");
    }
}
