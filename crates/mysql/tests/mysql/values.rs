//! Every type's values: from a database to its like, to the byte, and from other stores' forms.

use bytes::Bytes;
use crossfade_model::{Cell, Digester, LogicalType, Row, Schema, TableMapping};
use crossfade_mysql::ENGINE;
use crossfade_store::{ChunkRange, ReadForm, Source, SumPlace, Target};

use crate::kit::{Database, all, described, load, mapping, named, row, t};
use crate::on_each_server;

/// Column types that both have, and literals for them.
const TYPES: &[(&str, &[&str])] = &[
    ("TINYINT", &["-128", "127"]),
    ("TINYINT(1)", &["0", "1", "-5"]),
    ("TINYINT UNSIGNED", &["0", "255"]),
    ("SMALLINT UNSIGNED ZEROFILL", &["7", "65535"]),
    ("MEDIUMINT", &["-8388608", "8388607"]),
    ("INT UNSIGNED", &["4294967295"]),
    ("BIGINT", &["-9223372036854775808", "9223372036854775807"]),
    (
        "BIGINT UNSIGNED",
        &["18446744073709551615", "9223372036854775808"],
    ),
    (
        "DECIMAL(65,30)",
        &[
            "12345678901234567890123456789012345.123456789012345678901234567890",
            "-0.000000000000000000000000000001",
        ],
    ),
    ("DECIMAL(5,2) UNSIGNED", &["999.99", "0"]),
    (
        "FLOAT",
        &[
            "0.1",
            "-0.0",
            "16777216",
            "3.4028235e38",
            "1.1754944e-38",
            "123456.789",
        ],
    ),
    (
        "DOUBLE",
        &[
            "0.1",
            "-0.0e0",
            "1.7976931348623157e308",
            "2.2250738585072014e-308",
            "123456789.123456789",
        ],
    ),
    ("BIT(1)", &["b'0'", "b'1'"]),
    ("BIT(12)", &["b'101'", "b'111111111111'"]),
    (
        "BIT(64)",
        &["b'1000000000000000000000000000000000000000000000000000000000000001'"],
    ),
    ("YEAR", &["1901", "2155", "0"]),
    (
        "DATE",
        &[
            "'1000-01-01'",
            "'9999-12-31'",
            "'0000-00-00'",
            "'2024-02-00'",
        ],
    ),
    (
        "DATETIME",
        &["'2024-02-29 23:59:59'", "'0000-00-00 00:00:00'"],
    ),
    (
        "DATETIME(6)",
        &[
            "'9999-12-31 23:59:59.999999'",
            "'1000-01-01 00:00:00.000001'",
        ],
    ),
    (
        "TIMESTAMP(3) NULL",
        &[
            "'1970-01-01 00:00:01'",
            "'2038-01-19 03:14:07.999'",
            "'0000-00-00 00:00:00'",
        ],
    ),
    (
        "TIME(6)",
        &["'838:59:58.999999'", "'-838:59:59'", "'00:00:00.000001'"],
    ),
    ("CHAR(5)", &["''", "'a'", "'é😀'"]),
    (
        "VARCHAR(50) CHARACTER SET latin1",
        &["'café'", "'a '", "'it''s'"],
    ),
    (
        "VARCHAR(50) COLLATE utf8mb4_bin",
        &["'😀\t\n\\\\'", "''", "'NULL'", "'\\\\N'"],
    ),
    ("LONGTEXT", &["'x'", "REPEAT('é', 40000)"]),
    ("BINARY(4)", &["x'00'", "x'00ff0001'"]),
    ("VARBINARY(10)", &["x''", "x'00ff'", "x'272700'"]),
    ("LONGBLOB", &["x'00'", "REPEAT(x'ff', 70000)"]),
    ("ENUM('a', 'b,''c', '')", &["'a'", "'b,''c'", "''"]),
    ("SET('x', 'y', 'z')", &["''", "'x,z'"]),
    (
        "JSON",
        &[
            "'{\"b\": [1, 2.50, null, \"é\"], \"a\": {}}'",
            "'\"x\"'",
            "'1e400'",
            "'null'",
        ],
    ),
    ("POINT", &["POINT(1, -2.5)"]),
    (
        "GEOMETRY",
        &[
            "ST_GeomFromText('LINESTRING(0 0, 1 1)', 4326)",
            "ST_GeomFromText('POLYGON((0 0,0 1,1 1,0 0))')",
        ],
    ),
];

const MARIADB_TYPES: &[(&str, &[&str])] = &[
    ("UUID", &["'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'"]),
    ("INET6", &["'::1'", "'2001:db8::ff00:42:8329'"]),
];

/// Each value stands in `times` rows: few go in by statements, many as a file.
pub async fn fill(database: &Database, times: u32) {
    let mut statements = vec!["SET SESSION sql_mode = 'NO_ENGINE_SUBSTITUTION'".to_owned()];
    let more = if database.is_mysql() {
        &[][..]
    } else {
        MARIADB_TYPES
    };
    for (n, (declared, values)) in TYPES.iter().chain(more).enumerate() {
        statements.push(format!(
            "CREATE TABLE v{n:02} (id INT PRIMARY KEY, v {declared}{})",
            if declared.ends_with("NULL") {
                ""
            } else {
                " NULL"
            }
        ));
        statements.push(format!("INSERT INTO v{n:02} VALUES (0, NULL)"));
        for (id, value) in values.iter().enumerate() {
            // what this server does not take is no value of its type
            statements.push(format!("INSERT INTO v{n:02} VALUES ({}, {value})", id + 1));
        }
    }
    let mut conn = database.conn().await;
    for n in 0..TYPES.len() + more.len() {
        for copy in 1..times {
            statements.push(format!(
                "INSERT INTO v{n:02} SELECT id + {}, v FROM v{n:02} WHERE id < 1000",
                copy * 1000
            ));
        }
    }
    use mysql_async::prelude::Queryable;
    for statement in statements {
        if let Err(e) = conn.query_drop(&statement).await {
            assert!(
                statement.contains("1e400"),
                "{}: {e}\nin: {}",
                database.server,
                statement.chars().take(200).collect::<String>()
            );
        }
    }
    conn.disconnect().await.unwrap();
}

/// Copies all tables to another database of the same server, as an engine would.
async fn copy(source: &Database, target: &Database) -> (Schema, Vec<TableMapping>) {
    let (from, to) = (source.store(), target.store());
    let schema = described(&from).await;
    let mappings = crate::kit::mappings(&*to, ENGINE, &schema);
    let tenure = to.acquire("m").await.unwrap();
    to.create_tables(&[], &[], &mappings).await.unwrap();
    let mut loader = tenure.open_loader().await.unwrap();
    for mapping in &mappings {
        let mut snapshot = from.open_snapshot(&[&mapping.source]).await.unwrap();
        let rows = all(snapshot
            .read(mapping, &ChunkRange::All, ReadForm::Rows)
            .await
            .unwrap())
        .await;
        load(&mut *loader, mapping, rows).await;
        snapshot.close().await.unwrap();
    }
    (schema, mappings)
}

#[tokio::test]
async fn every_types_values_come_to_their_like_to_the_byte() {
    on_each_server!(source, {
        fill(&source, 1).await;
        come_to_their_like(&source).await;
    });
}

#[tokio::test]
async fn every_types_values_come_to_their_like_in_bulk() {
    on_each_server!(source, {
        fill(&source, 40).await;
        come_to_their_like(&source).await;
    });
}

async fn come_to_their_like(source: &Database) {
    let target = Database::create(source.server).await;
    let (_, mappings) = copy(source, &target).await;
    // a comparison that shares nothing with the store: the server's own bytes
    for mapping in &mappings {
        let name = &mapping.source.name.name;
        let both = format!(
                "SELECT COUNT(*), COALESCE(SUM(NOT (s.v <=> t.v AND HEX(s.v) <=> HEX(t.v))), 0), (SELECT COUNT(*) FROM {0}.{name})
                 FROM {0}.{name} s JOIN {1}.{name} t USING (id)",
                source.name, target.name
            );
        let found = source.rows(&both).await;
        let declared = &mapping.source.columns[1].declared;
        assert_eq!(
            found[0][0], found[0][2],
            "rows of {declared} on {}",
            source.server
        );
        assert_eq!(
            found[0][1].as_deref(),
            Some("0"),
            "values of {declared} on {}",
            source.server
        );
    }
    // and the program's own sums
    let reader_store = target.store();
    let mut reader = reader_store.open_reader("m").await.unwrap();
    let from = source.store();
    let digester = Digester::new(&[7; 32]);
    for mapping in &mappings {
        let mut snapshot = from.open_snapshot(&[&mapping.source]).await.unwrap();
        let left = snapshot
            .sum(mapping, &ChunkRange::All, &digester, SumPlace::Program)
            .await
            .unwrap();
        let right = reader
            .sum(mapping, &ChunkRange::All, &digester, SumPlace::Program)
            .await
            .unwrap();
        assert_eq!(
            left.total(),
            right.total(),
            "{}",
            mapping.source.columns[1].declared
        );
        assert_ne!(left.total().rows, 0);
        assert_eq!(
            snapshot.aggregates(mapping).await.unwrap(),
            reader.aggregates(mapping).await.unwrap()
        );
        snapshot.close().await.unwrap();
    }
    reader.close().await.unwrap();
    target.drop().await;
}

#[tokio::test]
async fn other_stores_values_are_kept_or_refused() {
    use crossfade_model::{Column, KeyOrder, Table, TableKey};
    let column = |name: &str, logical, declared: &str| Column {
        name: name.to_owned(),
        logical,
        declared: declared.to_owned(),
        nullable: name != "id",
        default: None,
        generated: None,
        identity: None,
        collation: None,
    };
    let columns = vec![
        column("id", LogicalType::Integer { bits: 32 }, "integer"),
        column("truth", LogicalType::Boolean, "boolean"),
        column("amount", LogicalType::Decimal, "numeric(10,2)"),
        column("wide", LogicalType::Decimal, "numeric"),
        column("single", LogicalType::Float { bits: 32 }, "real"),
        column(
            "double",
            LogicalType::Float { bits: 64 },
            "double precision",
        ),
        column("words", LogicalType::Text, "text"),
        column("short", LogicalType::Text, "character varying(10)"),
        column("bytes", LogicalType::Bytes, "bytea"),
        column("day", LogicalType::Date, "date"),
        column("clock", LogicalType::Time, "time without time zone"),
        column(
            "local",
            LogicalType::Timestamp,
            "timestamp without time zone",
        ),
        column(
            "instant",
            LogicalType::TimestampWithZone,
            "timestamp with time zone",
        ),
        column("uuid", LogicalType::Uuid, "uuid"),
        column("json", LogicalType::Json, "jsonb"),
        column("array", LogicalType::Other, "integer[]"),
    ];
    let table = Table {
        name: named("t"),
        columns,
        key: Some(TableKey {
            name: "t_pkey".into(),
            columns: vec![0],
            primary: true,
            order: KeyOrder::Ordered,
        }),
        full_before_images: false,
        indexes: Vec::new(),
        foreign_keys: Vec::new(),
        checks: Vec::new(),
        partition_by: None,
        partitions: Vec::new(),
        estimated_rows: 0,
        estimated_bytes: 0,
        definition: None,
    };
    let kept = row(&[
        "1",
        "t",
        "12345678.90",
        "-0.000000000000000000000000000001",
        "0.1",
        "-0",
        "it's \\ 😀 ",
        "0123456789",
        "\\x0027ff",
        "0044-03-15",
        "24:00:00",
        "2024-02-29 12:00:00.000001",
        "2024-02-29 12:00:00.5+00",
        "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
        "{\"a\": 1.00}",
        "{1,2}",
    ]);
    // one column of an else empty row, and what refuses it
    let refused: &[(usize, &str)] = &[
        (2, "NaN"),
        (2, "100000000.00"),
        (3, "1e40"),
        (4, "NaN"),
        (5, "Infinity"),
        (7, "01234567890"),
        (9, "infinity"),
        (9, "0044-03-15 BC"),
        (11, "10000-01-01 00:00:00"),
        (12, "-infinity"),
    ];
    on_each_server!(database, {
        let store = database.store();
        let schema = Schema {
            tables: vec![table.clone()],
            ..Schema::default()
        };
        let mapping = mapping(&*store, "postgres", 0, &table, &schema);
        let tenure = store.acquire("m").await.unwrap();
        store
            .create_tables(&[], &[], std::slice::from_ref(&mapping))
            .await
            .unwrap();
        let mut loader = tenure.open_loader().await.unwrap();
        load(&mut *loader, &mapping, vec![kept.clone()]).await;

        let mut reader = store.open_reader("m").await.unwrap();
        let found = all(reader.read(&mapping, &ChunkRange::All).await.unwrap()).await;
        let mut digester = Digester::new(&[1; 32]);
        let digest = |digester: &mut Digester, row: &Row| {
            digester.begin();
            for (column, cell) in mapping.columns.iter().zip(&row.0) {
                digester.value(column.canonical, cell.value());
            }
            digester.end()
        };
        assert_eq!(found.len(), 1);
        for (column, (left, right)) in mapping.columns.iter().zip(kept.0.iter().zip(&found[0].0)) {
            let mut forms = (Vec::new(), Vec::new());
            crossfade_model::canonical::write_framed(column.canonical, left, &mut forms.0).unwrap();
            crossfade_model::canonical::write_framed(column.canonical, right, &mut forms.1)
                .unwrap_or_else(|e| panic!("{}: {e}", column.source));
            assert_eq!(forms.0, forms.1, "{} on {}", column.source, database.server);
        }
        assert_eq!(
            digest(&mut digester, &kept),
            digest(&mut digester, &found[0])
        );
        reader.close().await.unwrap();

        for (place, text) in refused {
            let mut cells = vec![Cell::Null; mapping.columns.len()];
            cells[0] = t("2");
            cells[*place] = Cell::TextForm(Bytes::copy_from_slice(text.as_bytes()));
            loader.begin().await.unwrap();
            let error = loader
                .write(
                    &mapping,
                    crossfade_store::RowBlock::Rows(vec![Row(cells)]),
                    &ReadForm::Rows,
                    false,
                )
                .await
                .expect_err(text);
            assert_eq!(
                error.kind,
                crossfade_store::ErrorKind::RowRefused,
                "{text}: {error}"
            );
            assert!(!error.to_string().contains(text), "{error}");
            loader.rollback().await.unwrap();
        }
        assert_eq!(database.value("SELECT COUNT(*) FROM t").await, "1");
    });
}

#[tokio::test]
async fn a_file_that_the_server_would_bend_is_refused_and_leaves_nothing() {
    use crossfade_store::{ErrorKind, RowBlock};
    on_each_server!(database, {
        let source = Database::create(database.server).await;
        source
            .run(&["CREATE TABLE t (id INT PRIMARY KEY, a VARCHAR(5), e ENUM('x', 'y'))"])
            .await;
        let schema = described(&source.store()).await;
        let store = database.store();
        let mapping = mapping(&*store, ENGINE, 0, &schema.tables[0], &schema);
        let tenure = store.acquire("m").await.unwrap();
        store
            .create_tables(&[], &[], std::slice::from_ref(&mapping))
            .await
            .unwrap();
        let mut loader = tenure.open_loader().await.unwrap();
        let many = |first: u32, last: Row| {
            let mut rows: Vec<Row> = (first..first + 200)
                .map(|id| row(&[&id.to_string(), "ab\tc\\", "x"]))
                .collect();
            rows.push(last);
            rows
        };
        load(
            &mut *loader,
            &mapping,
            many(0, row(&["1000", "é😀\n'", "NULL"])),
        )
        .await;
        assert_eq!(database.value("SELECT COUNT(*) FROM t").await, "201");
        assert_eq!(
            database.value("SELECT HEX(a) FROM t WHERE id = 1000").await,
            "C3A9F09F98800A27"
        );
        assert_eq!(
            database
                .value(
                    "SELECT COUNT(DISTINCT a) FROM t WHERE a = CONCAT('ab', CHAR(9), 'c', CHAR(92))"
                )
                .await,
            "1"
        );
        for (last, kind) in [
            (row(&["5", "a", "x"]), ErrorKind::UniqueViolation),
            (row(&["3000", "too long", "x"]), ErrorKind::RowRefused),
            (row(&["3000", "a", "z"]), ErrorKind::RowRefused),
        ] {
            // taken back whole, then written in a way that names what is wrong
            loader.begin().await.unwrap();
            let block = RowBlock::Rows(many(2000, last.clone()));
            let error = loader
                .write(&mapping, block, &ReadForm::Rows, false)
                .await
                .unwrap_err();
            assert_eq!(error.kind, ErrorKind::Conflict, "{error}");
            loader.rollback().await.unwrap();
            loader.begin().await.unwrap();
            let block = RowBlock::Rows(many(2000, last));
            let error = loader
                .write(&mapping, block, &ReadForm::Rows, false)
                .await
                .unwrap_err();
            assert_eq!(error.kind, kind, "{error}");
            assert!(!error.to_string().contains("too long'"), "{error}");
            loader.rollback().await.unwrap();
            assert_eq!(database.value("SELECT COUNT(*) FROM t").await, "201");
            // a commit later files are taken again
            loader.begin().await.unwrap();
            loader.commit().await.unwrap();
        }
        source.drop().await;
    });
}

#[tokio::test]
async fn a_zero_that_the_server_counts_from_stays_a_zero() {
    on_each_server!(database, {
        let source = Database::create(database.server).await;
        source
            .run(&["CREATE TABLE t (id BIGINT AUTO_INCREMENT PRIMARY KEY, a INT)"])
            .await;
        let schema = described(&source.store()).await;
        let store = database.store();
        let mapping = mapping(&*store, ENGINE, 0, &schema.tables[0], &schema);
        let tenure = store.acquire("m").await.unwrap();
        store
            .create_tables(&[], &[], std::slice::from_ref(&mapping))
            .await
            .unwrap();
        let mut loader = tenure.open_loader().await.unwrap();
        let numbered = |ids: std::ops::Range<u32>| {
            ids.map(|id| row(&[&id.to_string(), &id.to_string()]))
                .collect()
        };
        load(&mut *loader, &mapping, numbered(1000..1200)).await;
        load(&mut *loader, &mapping, numbered(0..200)).await;
        let found = database
            .rows("SELECT COUNT(*), SUM(id = a), MIN(id), MAX(id) FROM t")
            .await;
        let found: Vec<&str> = found[0].iter().map(|c| c.as_deref().unwrap()).collect();
        assert_eq!(found, ["400", "400", "0", "1199"], "{}", database.server);
        source.drop().await;
    });
}
