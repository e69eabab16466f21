//! Values that break copies.

use bytes::Bytes;
use crossfade_model::{
    Cell, Column, ColumnMapping, Digester, KeyOrder, LogicalType, Row, Table, TableId, TableKey,
    TableMapping, TableName,
};
use crossfade_store::{
    Bound, ChunkRange, Effect, ErrorKind, MergeMode, ReadForm, RowBlock, Target, Upsert,
};

use crate::common::{Copy, MIGRATION, World, assert_equal, dump, rows_of};

const STRANGE: &str = "
    CREATE TABLE t(id INTEGER PRIMARY KEY, i INTEGER, r REAL, n NUMERIC, s TEXT, b BLOB, x);
    INSERT INTO t VALUES (1, 9223372036854775807, 1e308, 12345678901234567890, 'plain', x'00ff', NULL);
    INSERT INTO t VALUES (2, -9223372036854775808, 9e999, -9e999, 'nul' || char(0) || 'inside', zeroblob(70000), -0.0);
    INSERT INTO t VALUES (3, 'text in an integer', 'NaN', '1.10', CAST(x'ff00fe' AS TEXT), 'text in a blob', 2.0);
    INSERT INTO t VALUES (4, 1.5, 3, 'x', '', x'', 2);
    INSERT INTO t VALUES (5, x'01', 5e-324, 0.1, '12', 12, '12');
    INSERT INTO t VALUES (-6, NULL, NULL, NULL, NULL, NULL, CAST(x'f0' AS TEXT));";

#[tokio::test]
async fn every_storage_class_in_every_column_is_copied_to_the_bit() {
    let world = World::new(STRANGE);
    let mut copy = Copy::begin(&world).await;
    assert_equal(&world, &["t"]);
    world.run("UPDATE t SET x = r, r = i, s = b WHERE id < 4; INSERT INTO t SELECT id + 100, i, r, n, s, b, x FROM t");
    copy.catch_up(&world).await;
    assert_equal(&world, &["t"]);
}

#[tokio::test]
async fn strange_values_are_keys_too() {
    let world = World::new(
        "CREATE TABLE t(k NOT NULL PRIMARY KEY, v) WITHOUT ROWID;
         INSERT INTO t VALUES (1, 1), (2.5, 1), ('a' || char(0) || 'b', 1), (CAST(x'ff' AS TEXT), 1), (x'ff', 1), (x'', 1), ('', 1),
            (9e999, 1), (-9223372036854775808, 1), ('1', 1)",
    );
    let mut copy = Copy::begin(&world).await;
    assert_equal(&world, &["t"]);
    world.run("UPDATE t SET v = 2; DELETE FROM t WHERE k IN ('1', x'ff', 9e999); UPDATE t SET k = 1.0 WHERE k = 1; UPDATE t SET k = x'00' WHERE k = ''");
    copy.catch_up(&world).await;
    assert_equal(&world, &["t"]);
    world.run("DELETE FROM t WHERE typeof(k) <> 'text'");
    copy.catch_up(&world).await;
    assert_equal(&world, &["t"]);
}

fn column(name: &str, logical: LogicalType, declared: &str) -> Column {
    Column {
        name: name.into(),
        logical,
        declared: declared.into(),
        nullable: name != "id",
        default: None,
        generated: None,
        identity: None,
        collation: None,
    }
}

fn postgres_table(columns: Vec<Column>, key: bool) -> Table {
    Table {
        name: TableName {
            schema: Some("public".into()),
            name: "t".into(),
        },
        columns,
        key: key.then(|| TableKey {
            name: "t_pkey".into(),
            columns: vec![0],
            primary: true,
            order: KeyOrder::Ordered,
        }),
        full_before_images: !key,
        indexes: vec![],
        foreign_keys: vec![],
        checks: vec![],
        partition_by: None,
        partitions: vec![],
        estimated_rows: 0,
        estimated_bytes: 0,
        definition: None,
    }
}

/// A table of another engine, mapped to what this one designs for it.
fn mapping(world: &World, source: Table) -> TableMapping {
    let name = world.target.default_name(&source.name);
    let (target, omissions) = world.target.design("postgres", &source, &name, &|_| None);
    assert!(omissions.is_empty(), "{omissions:?}");
    let columns = source
        .captured()
        .map(|c| {
            let declared = world.target.declare("postgres", &source, c);
            assert_eq!(
                world.target.compare("postgres", c, &declared.column),
                Ok(declared.canonical)
            );
            ColumnMapping {
                source: c.name.clone(),
                target: c.name.clone(),
                canonical: declared.canonical,
            }
        })
        .collect();
    TableMapping {
        id: TableId(0),
        source,
        target,
        columns,
        same_shape: false,
        origin: None,
        back: None,
        slice: None,
        shares_source: false,
    }
}

fn form(text: &str) -> Cell {
    Cell::TextForm(Bytes::copy_from_slice(text.as_bytes()))
}

fn row(cells: &[&str]) -> Row {
    Row(cells
        .iter()
        .map(|c| if *c == "NULL" { Cell::Null } else { form(c) })
        .collect())
}

fn upsert(row: Row) -> Upsert {
    Upsert {
        row,
        base: None,
        fresh: false,
    }
}

/// Every type of another engine: what is read back has the digest of what was written.
#[tokio::test]
async fn other_engines_values_are_kept_exactly() {
    use LogicalType as L;
    let world = World::new("CREATE TABLE unused(id INTEGER PRIMARY KEY)");
    let types = [
        ("id", L::Integer { bits: 64 }, "bigint"),
        ("ok", L::Boolean, "boolean"),
        ("single", L::Float { bits: 32 }, "real"),
        ("double", L::Float { bits: 64 }, "double precision"),
        ("money", L::Decimal, "numeric"),
        ("txt", L::Text, "text"),
        ("bin", L::Bytes, "bytea"),
        ("day", L::Date, "date"),
        ("clock", L::Time, "time"),
        ("local", L::Timestamp, "timestamp"),
        ("at", L::TimestampWithZone, "timestamptz"),
        ("uid", L::Uuid, "uuid"),
        ("doc", L::Json, "json"),
        ("arr", L::Other, "integer[]"),
    ];
    let columns = types.iter().map(|(n, l, d)| column(n, *l, d)).collect();
    let mapping = mapping(&world, postgres_table(columns, true));
    let rows: Vec<Row> = [
        "1 t 0.1 0.1 1.10 1.10 \\x00ff 2024-02-29 24:00:00 2024-01-01_00:00:00.000001 2024-01-01_00:00:00+00 a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11 1.0 {1,2}",
        "-9223372036854775808 f NaN NaN NaN 007 \\x infinity 00:00:00 infinity -infinity 11111111-1111-1111-1111-111111111111 {\"a\":1.10} {}",
        "9223372036854775807 NULL -0 -0 123456789012345678901234567890.123456789 NULL NULL 0044-03-15_BC 12:34:56.789 10000-01-01_00:00:00 NULL NULL \"x\" NULL",
        "4 t Infinity -Infinity -0.000 1e5 \\x31 2024-01-01 01:02:03 2024-01-01_00:00:00 0044-03-15_00:00:00+00_BC 00000000-0000-0000-0000-000000000000 12 {NULL}",
        "5 t 3.4028235e+38 5e-324 1000000000000000000000 -inf \\x 2024-01-01 01:02:03 2024-01-01_00:00:00 2024-01-01_00:00:00+00 NULL 1e400 1",
    ]
    .iter()
    .map(|line| row(&line.split(' ').map(|w| w.replace('_', " ")).collect::<Vec<_>>().iter().map(String::as_str).collect::<Vec<_>>()))
    .collect();
    let tenure = world.target.acquire(MIGRATION).await.unwrap();
    let tables = [mapping.clone()];
    world.target.create_tables(&[], &[], &tables).await.unwrap();
    let mut loader = tenure.open_loader().await.unwrap();
    loader.begin().await.unwrap();
    let block = RowBlock::Rows(rows.clone());
    loader
        .write(&mapping, block, &ReadForm::Rows, false)
        .await
        .unwrap();
    assert_eq!(loader.finish().await.unwrap(), 5);
    loader.commit().await.unwrap();

    let mut reader = world.target.open_reader(MIGRATION).await.unwrap();
    let mut stream = reader
        .read(&mapping, &crossfade_store::ChunkRange::All)
        .await
        .unwrap();
    let read = rows_of(stream.as_mut()).await;
    drop(stream);
    let mut digester = Digester::new(&[7; 32]);
    let mut digests = |rows: &[Row]| {
        let mut out: Vec<_> = rows
            .iter()
            .map(|r| digester.row(&mapping.columns, r).unwrap())
            .collect();
        out.sort();
        out
    };
    assert_eq!(digests(&rows), digests(&read));
    let mut changed = rows.clone();
    changed[0].0[3] = form("0.10000000000000002");
    assert_ne!(digests(&changed), digests(&read));
    let classes: Vec<String> = rusqlite::Connection::open(world.path("target.db"))
        .unwrap()
        .prepare("SELECT DISTINCT typeof(id) || typeof(money) || typeof(txt) || typeof(doc) FROM t ORDER BY 1")
        .unwrap()
        .query_map([], |r| r.get(0))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    assert_eq!(classes, ["integertextnulltext", "integertexttexttext"]);
}

#[tokio::test]
async fn a_value_that_is_not_of_its_type_is_refused_by_name_and_not_shown() {
    let world = World::new("CREATE TABLE unused(id INTEGER PRIMARY KEY)");
    let source = postgres_table(
        vec![
            column("id", LogicalType::Integer { bits: 64 }, "bigint"),
            column("ok", LogicalType::Boolean, "boolean"),
        ],
        true,
    );
    let mapping = mapping(&world, source);
    let tenure = world.target.acquire(MIGRATION).await.unwrap();
    let tables = [mapping.clone()];
    world.target.create_tables(&[], &[], &tables).await.unwrap();
    let mut applier = tenure.open_applier().await.unwrap();
    applier.begin().await.unwrap();
    let effect = Effect::Keyed {
        upserts: vec![upsert(row(&["1", "perhaps"]))],
        deletes: vec![],
    };
    let error = applier
        .apply(&mapping, &effect, MergeMode::RowByRow)
        .await
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::RowRefused);
    assert_eq!(error.table.as_deref(), Some("t"));
    assert!(error.what.contains("ok") && !error.to_string().contains("perhaps"));
    applier.rollback().await.unwrap();
}

/// The image of an update may lack columns; they are those of the row before the batch, which the batch may delete.
#[tokio::test]
async fn unchanged_columns_come_from_the_row_before_the_batch() {
    let world = World::new("CREATE TABLE unused(id INTEGER PRIMARY KEY)");
    let source = postgres_table(
        vec![
            column("id", LogicalType::Integer { bits: 64 }, "bigint"),
            column("big", LogicalType::Text, "text"),
            column("v", LogicalType::Text, "text"),
        ],
        true,
    );
    let mapping = mapping(&world, source);
    let tenure = world.target.acquire(MIGRATION).await.unwrap();
    let tables = [mapping.clone()];
    world.target.create_tables(&[], &[], &tables).await.unwrap();
    let mut applier = tenure.open_applier().await.unwrap();
    let mut checkpoint = None;
    for (n, mode) in [
        MergeMode::Fast,
        MergeMode::DeleteThenInsert,
        MergeMode::RowByRow,
    ]
    .into_iter()
    .enumerate()
    {
        applier.begin().await.unwrap();
        let fill = Effect::Keyed {
            upserts: ["1", "2", "3"]
                .iter()
                .map(|id| upsert(row(&[id, &format!("big {id}"), "old"])))
                .collect(),
            deletes: vec![row(&["4", "NULL", "NULL"])],
        };
        applier.apply(&mapping, &fill, mode).await.unwrap();
        let mut partial = row(&["1", "NULL", "new"]);
        partial.0[1] = Cell::Unchanged;
        let mut moved = row(&["4", "NULL", "moved"]);
        moved.0[1] = Cell::Unchanged;
        let effect = Effect::Keyed {
            upserts: vec![
                upsert(partial),
                Upsert {
                    row: moved,
                    base: Some(row(&["2", "NULL", "NULL"])),
                    fresh: false,
                },
            ],
            deletes: vec![row(&["2", "NULL", "NULL"])],
        };
        applier.apply(&mapping, &effect, mode).await.unwrap();
        let to = crossfade_model::Position(n as u64 + 1);
        applier.commit(checkpoint, to).await.unwrap();
        checkpoint = Some(to);
        let rows = dump(&world.path("target.db"), "t");
        assert_eq!(rows.len(), 3, "{mode:?}");
        let shown = rows.join("\n");
        let bytes = |s: &str| format!("{:?}", s.as_bytes());
        assert!(
            shown.contains(&format!(
                "Integer(1)|Text({})|Text({})",
                bytes("big 1"),
                bytes("new")
            )),
            "{shown}"
        );
        assert!(
            shown.contains(&format!(
                "Integer(4)|Text({})|Text({})",
                bytes("big 2"),
                bytes("moved")
            )),
            "{shown}"
        );
    }
    let mut orphan = row(&["9", "NULL", "x"]);
    orphan.0[1] = Cell::Unchanged;
    let effect = Effect::Keyed {
        upserts: vec![upsert(orphan)],
        deletes: vec![],
    };
    applier.begin().await.unwrap();
    let error = applier
        .apply(&mapping, &effect, MergeMode::Fast)
        .await
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::RowAbsent);
}

#[tokio::test]
async fn rows_without_a_key_come_and_go_by_number() {
    let world = World::new("CREATE TABLE unused(id INTEGER PRIMARY KEY)");
    let source = postgres_table(
        vec![
            column("a", LogicalType::Float { bits: 64 }, "double precision"),
            column("rowid", LogicalType::Text, "text"),
        ],
        false,
    );
    let mapping = mapping(&world, source);
    let tenure = world.target.acquire(MIGRATION).await.unwrap();
    let tables = [mapping.clone()];
    world.target.create_tables(&[], &[], &tables).await.unwrap();
    assert!(world.target.has_key(&mapping).await.unwrap());
    let mut applier = tenure.open_applier().await.unwrap();
    applier.begin().await.unwrap();
    let effect = Effect::Multiset {
        inserts: vec![row(&["NaN", "NULL"]); 3],
        deletes: vec![],
    };
    applier
        .apply(&mapping, &effect, MergeMode::Fast)
        .await
        .unwrap();
    let effect = Effect::Multiset {
        inserts: vec![row(&["1", "x"])],
        deletes: vec![(row(&["NaN", "NULL"]), 2)],
    };
    applier
        .apply(&mapping, &effect, MergeMode::Fast)
        .await
        .unwrap();
    applier
        .commit(None, crossfade_model::Position(1))
        .await
        .unwrap();
    assert_eq!(dump(&world.path("target.db"), "t").len(), 2);
    applier.begin().await.unwrap();
    let effect = Effect::Multiset {
        inserts: vec![],
        deletes: vec![(row(&["NaN", "NULL"]), 2)],
    };
    let error = applier
        .apply(&mapping, &effect, MergeMode::Fast)
        .await
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::RowAbsent);
    applier.rollback().await.unwrap();
    assert_eq!(dump(&world.path("target.db"), "t").len(), 2);
}

/// A key that is kept as text is not ordered here as on the source; the range is the source's.
#[tokio::test]
async fn a_range_is_cleared_in_the_sources_order() {
    let world = World::new("CREATE TABLE unused(id INTEGER PRIMARY KEY)");
    let dates = [
        "-infinity",
        "0044-03-15 BC",
        "0001-01-01",
        "2024-01-01",
        "10000-01-01",
        "infinity",
    ];
    let cases: [(LogicalType, &str, [&str; 6]); 3] = [
        (LogicalType::Date, "date", dates),
        (
            LogicalType::Integer { bits: 64 },
            "bigint",
            ["-5", "-1", "0", "3", "20", "100"],
        ),
        (
            LogicalType::Bytes,
            "bytea",
            ["\\x", "\\x00", "\\x0001", "\\x01", "\\xfe", "\\xff"],
        ),
    ];
    for (n, (logical, declared, keys)) in cases.into_iter().enumerate() {
        let mut source = postgres_table(vec![column("id", logical, declared)], true);
        source.name.name = format!("t{n}");
        let mut mapping = mapping(&world, source);
        mapping.id = TableId(n as u32);
        let tenure = world.target.acquire(MIGRATION).await.unwrap();
        let tables = [mapping.clone()];
        world.target.create_tables(&[], &[], &tables).await.unwrap();
        let mut loader = tenure.open_loader().await.unwrap();
        loader.begin().await.unwrap();
        let rows: Vec<Row> = keys.iter().map(|k| row(&[k])).collect();
        let block = RowBlock::Rows(rows.clone());
        loader
            .write(&mapping, block, &ReadForm::Rows, false)
            .await
            .unwrap();
        let bound = |n: usize| {
            Some(Bound {
                key: mapping.key_of(&rows[n]).unwrap(),
                cells: rows[n].0.clone(),
            })
        };
        let range = ChunkRange::Keys {
            low: bound(1),
            high: bound(4),
        };
        loader.clear(&mapping, &range).await.unwrap();
        loader.commit().await.unwrap();
        assert_eq!(
            dump(&world.path("target.db"), &format!("t{n}")).len(),
            3,
            "{declared}"
        );
        loader.begin().await.unwrap();
        let range = ChunkRange::Keys {
            low: None,
            high: bound(5),
        };
        loader.clear(&mapping, &range).await.unwrap();
        loader.commit().await.unwrap();
        assert_eq!(
            dump(&world.path("target.db"), &format!("t{n}")).len(),
            1,
            "{declared}"
        );
        loader.begin().await.unwrap();
        loader.clear(&mapping, &ChunkRange::All).await.unwrap();
        loader.commit().await.unwrap();
        assert!(dump(&world.path("target.db"), &format!("t{n}")).is_empty());
    }
}
