//! Values of every kind, from a source to a target: by binary and text COPY, as cells, and through the stream. Compared by
//! the servers' own text output.

use crossfade_model::{Change, TableMapping};
use crossfade_postgres::{reader, snapshot, tenure};
use crossfade_store::{ChunkRange, CopyFormat, MergeMode, ReadForm, RowBlock};

use crate::kit::{Apply, Db, Follow, contents, keyed, mappings, upsert};
use crate::support::SERVERS;

/// Types of every kind.
pub const TYPES: &str = r#"
    CREATE EXTENSION hstore; CREATE EXTENSION citext;
    CREATE TYPE mood AS ENUM ('sad', 'it''s "ok"', 'grün');
    CREATE TYPE pair AS (a int, b text);
    CREATE DOMAIN positive AS int CHECK (VALUE > 0);
    CREATE TABLE v (
        id int PRIMARY KEY, i2 smallint, i8 bigint, f4 real, f8 double precision, n numeric, m numeric(10, 3),
        b boolean, s text, c char(5), vc varchar(20), by bytea, d date, tm time, tz timetz, ts timestamp,
        tstz timestamptz, iv interval, u uuid, j json, jb jsonb, ia int[], ta text[], ir int4range, tr tstzrange,
        e mood, ea mood[], dm positive, p pair, h hstore, ci citext, bt bit(5), vb varbit, ip inet, mac macaddr,
        x xml, pt point, cash money, l pg_lsn, rc regclass);"#;

pub const VALUES: &str = r#"
    INSERT INTO v (id) VALUES (1);
    INSERT INTO v VALUES (2, -32768, 9223372036854775807, 'NaN', '-Infinity', 'NaN', -0.001, true, '', '', '', '',
        '0044-03-15 BC', '24:00:00', '23:59:59.999999+15:59', '0001-01-01 00:00:00 BC', 'infinity', '-178000000 years',
        '00000000-0000-0000-0000-000000000000', '{"b": 1,  "a": [1.0, null]}', '{"b": 1,  "a": [1.0, null]}', '{}', '{NULL,"NULL",""}',
        'empty', '(,)', 'sad', '{}', 1, '(,)', '', '', B'10101', B'', '::1/128', '08:00:2b:01:02:03', '', '(1e300,-0)', '-92233720368547758.08', '0/0', 'v');
    INSERT INTO v VALUES (3, 0, -1, 1e-45, 5e-324, 'Infinity', 9999999.999, false, E'tab\t nl\n cr\r bs\\ nul\\N q" ''',
        'a', E'\\.', '\x00ff5c0a09', 'infinity', '00:00:00.000001', '00:00:00-12', '-infinity', '2024-02-29 12:00:00.123456+05:30',
        '1 year -2 mons +3 days -04:05:06.789', 'ffffffff-ffff-ffff-ffff-ffffffffffff', '"\u00e9"', '"é😀"',
        '{{1,2},{NULL,4}}', ARRAY[E'a\\b', 'c,d', '{e}', 'f"g'], '[1,10)', '["2024-01-01 00:00:00+00",)', 'it''s "ok"',
        ARRAY['grün', 'sad']::mood[], 2147483647, ROW(1, E'x"\\,)'), 'a=>1, "b c"=>NULL', 'MiXed', B'00000', B'1', '10.0.0.0/8',
        'ff:ff:ff:ff:ff:ff', '<a b="c">&amp;</a>', '(0.1,-1e-300)', '12.34', 'FFFFFFFF/FFFFFFFF', 'pg_class');
    INSERT INTO v (id, n, f8, s, j) SELECT 4, (repeat('1234567890', 20) || '.' || repeat('0987654321', 20))::numeric, 0.1::float8 + 0.2,
        repeat('é😀', 70000), to_json(repeat('x', 100000));"#;

async fn pair(server: &str) -> (Db, Db, TableMapping) {
    let source = Db::create(server).await;
    source.run(TYPES).await;
    source.run(VALUES).await;
    let target = Db::create(server).await;
    target.run(TYPES).await;
    let mapping = mappings(&source.store(), &["v"]).await.remove(0);
    (source, target, mapping)
}

async fn load(source: &Db, target: &Db, mapping: &TableMapping, form: ReadForm, upsert: bool) {
    let mut snapshot = snapshot::open_snapshot(&source.store(), &[&mapping.source])
        .await
        .unwrap();
    let tenure = tenure::acquire(&target.store(), "values").await.unwrap();
    let mut loader = tenure.open_loader().await.unwrap();
    loader.begin().await.unwrap();
    let mut rows = snapshot
        .read(mapping, &ChunkRange::All, form.clone())
        .await
        .unwrap();
    while let Some(block) = rows.next().await.unwrap() {
        loader.write(mapping, block, &form, upsert).await.unwrap();
    }
    assert_eq!(loader.finish().await.unwrap(), 4);
    loader.commit().await.unwrap();
}

#[tokio::test]
async fn every_value_is_loaded_as_it_is_in_every_form() {
    for server in SERVERS {
        let (source, target, mut mapping) = pair(server).await;
        let expected = contents(&source, "v").await;
        for form in [ReadForm::Rows, ReadForm::Copy(CopyFormat::PostgresText)] {
            for upsert in [false, true] {
                target.run("TRUNCATE v").await;
                load(&source, &target, &mapping, form.clone(), upsert).await;
                assert_eq!(contents(&target, "v").await, expected, "{form:?}");
            }
        }
        // the mapping has types whose binary form is not the same everywhere; without them binary is offered
        assert_eq!(snapshot::copy_formats(&mapping), [CopyFormat::PostgresText]);
        let drop_odd = "ALTER TABLE v DROP e, DROP ea, DROP dm, DROP p, DROP h, DROP ci, DROP x, DROP rc, DROP cash, DROP l";
        source.run(drop_odd).await;
        target.run(&format!("TRUNCATE v; {drop_odd}")).await;
        mapping = mappings(&source.store(), &["v"]).await.remove(0);
        assert_eq!(
            snapshot::copy_formats(&mapping)[0],
            CopyFormat::PostgresBinary
        );
        for upsert in [false, true] {
            target.run("TRUNCATE v").await;
            let form = ReadForm::Copy(CopyFormat::PostgresBinary);
            load(&source, &target, &mapping, form, upsert).await;
            assert_eq!(contents(&target, "v").await, contents(&source, "v").await);
        }
        source.drop().await;
        target.drop().await;
    }
}

#[tokio::test]
async fn every_value_comes_through_the_stream_as_it_is_read() {
    for server in SERVERS {
        let (source, target, mapping) = pair(server).await;
        let mut follow = Follow::begin(&source.store(), "values", &["v"]).await;
        // roles, databases and servers may say how values read: the stream's and the snapshot's sessions do not listen
        source
            .run(&format!(
                "ALTER DATABASE {0} SET datestyle = 'German'; ALTER DATABASE {0} SET intervalstyle = 'iso_8601';
                 ALTER DATABASE {0} SET timezone = 'Asia/Kathmandu'; ALTER DATABASE {0} SET extra_float_digits = 0;
                 ALTER DATABASE {0} SET bytea_output = 'escape'; ALTER DATABASE {0} SET lc_monetary = 'C.UTF-8'",
                source.name
            ))
            .await;
        follow.again(follow.at).await;
        source
            .run("CREATE TEMP TABLE w AS TABLE v; DELETE FROM v; INSERT INTO v TABLE w")
            .await;
        let changes = follow.changes().await;
        let inserted: Vec<_> = changes
            .into_iter()
            .filter_map(|change| match change {
                Change::Insert { row, .. } => Some(row),
                _ => None,
            })
            .collect();
        let mut snapshot = snapshot::open_snapshot(&source.store(), &[&mapping.source])
            .await
            .unwrap();
        let mut read = Vec::new();
        {
            let mut rows = snapshot
                .read(&mapping, &ChunkRange::All, ReadForm::Rows)
                .await
                .unwrap();
            while let Some(RowBlock::Rows(more)) = rows.next().await.unwrap() {
                read.extend(more);
            }
        }
        assert_eq!(inserted, read);
        let mut apply = Apply::begin(&target.store(), "values").await;
        for mode in [
            MergeMode::Fast,
            MergeMode::DeleteThenInsert,
            MergeMode::RowByRow,
        ] {
            let effect = keyed(inserted.iter().cloned().map(upsert).collect(), vec![]);
            apply.apply(&mapping, &effect, mode).await.unwrap();
        }
        // read back from the target: the same cells again
        let mut reader = reader::open_reader(&target.store(), "values")
            .await
            .unwrap();
        assert_eq!(reader.position(), apply.at);
        let mut back = Vec::new();
        {
            let mut rows = reader.read(&mapping, &ChunkRange::All).await.unwrap();
            while let Some(RowBlock::Rows(more)) = rows.next().await.unwrap() {
                back.extend(more);
            }
        }
        let by_id = |rows: &mut Vec<crossfade_model::Row>| {
            rows.sort_by_key(|row| format!("{:?}", row.0[0]));
        };
        by_id(&mut back);
        by_id(&mut read);
        assert_eq!(back, read);
        drop(apply);
        drop(snapshot);
        follow.end().await;
        source.drop().await;
        target.drop().await;
    }
}
