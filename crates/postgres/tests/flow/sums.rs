//! One sum, wherever it is computed: by the server, by the program from COPY's bytes, and over rows as cells.

use std::time::{SystemTime, UNIX_EPOCH};

use crossfade_model::{BucketSums, Canonical, Digester, LogicalType, TableMapping, text_form};
use crossfade_postgres::{reader, snapshot};
use crossfade_store::{
    ChunkRange, ErrorKind, ReadForm, RowBlock, SourceSnapshot, SumPlace, TargetSnapshot,
};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use crate::kit::{Db, mappings};
use crate::support::SERVERS;
use crate::values::{TYPES, VALUES};

const PLACES: [SumPlace; 2] = [SumPlace::Program, SumPlace::Server];

/// Rows of generated values.
const ROWS: usize = 400;

const GENERATED: &str = r#"
    CREATE TABLE g (
        id int PRIMARY KEY, i2 smallint, i8 bigint, f4 real, f8 double precision, n numeric, m numeric(12, 3), b boolean,
        s text, c char(7), vc varchar(300), nm name, by bytea, d date, tm time, ts timestamp, tstz timestamptz, u uuid,
        ta text[], ca char(3)[], q "char", iv interval, "odd "" name" text);"#;

fn quoted(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('\'', "\\'");
    format!("E'{escaped}'")
}

/// A literal of each of the generated columns, in their order.
fn literals() -> Vec<BoxedStrategy<String>> {
    let text = |longest: usize| {
        let piece = prop::sample::select(vec![
            "a", "é", "😀", "\\", "\t", "\n", "\r", "\\N", "'", " ", "\u{8}", "\u{b}",
        ]);
        let short = prop::collection::vec(piece, 0..6).prop_map(|pieces| pieces.concat());
        let long = (0..longest).prop_map(|n| "x".repeat(n));
        prop_oneof![short, long].prop_map(|t| quoted(&t)).boxed()
    };
    let word = |text: &'static str| Just(text.to_owned()).boxed();
    let or = |strategy: BoxedStrategy<String>, words: &[&'static str]| {
        let words: Vec<String> = words.iter().map(|w| (*w).to_owned()).collect();
        prop_oneof![4 => strategy, 1 => prop::sample::select(words)].boxed()
    };
    let digits = |longest: usize| prop::collection::vec(0..10_u8, 0..longest);
    let joined = |digits: Vec<u8>| digits.iter().map(u8::to_string).collect::<String>();
    let decimal = (any::<bool>(), digits(30), digits(30)).prop_map(move |(minus, whole, rest)| {
        let sign = if minus { "-" } else { "" };
        format!("{sign}{}.{}00", joined(whole) + "0", joined(rest))
    });
    let small = (-999_999_999_i64..1_000_000_000).prop_map(|n| format!("{}::numeric / 1000", n));
    let micros =
        |low: i64, high: i64| (low..high).prop_map(|n| format!("interval '{n} microseconds'"));
    let bytes = prop::collection::vec(any::<u8>(), 0..300).prop_map(|bytes| {
        let digits: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
        format!("'\\x{digits}'")
    });
    let instants = || micros(-200_000_000_000_000_000, 9_000_000_000_000_000_000).boxed();
    let infinities = [
        "'infinity'",
        "'-infinity'",
        "'0001-01-01 BC'",
        "'4714-11-24 BC'",
    ];
    vec![
        any::<i16>().prop_map(|n| format!("'{n}'")).boxed(),
        any::<i64>().prop_map(|n| format!("'{n}'")).boxed(),
        or(
            any::<f32>().prop_map(|n| format!("'{n:?}'")).boxed(),
            &["'NaN'", "'-Infinity'", "'-0'", "'0'", "'1e-45'"],
        ),
        or(
            any::<f64>().prop_map(|n| format!("'{n:?}'")).boxed(),
            &[
                "'NaN'",
                "'Infinity'",
                "'-0'",
                "'0'",
                "'5e-324'",
                "-('NaN'::float8)",
            ],
        ),
        or(
            decimal.boxed(),
            &[
                "'NaN'",
                "'Infinity'",
                "'-Infinity'",
                "'-0.000'",
                "'1e100'",
                "'100'",
                "'1e-100'",
            ],
        ),
        or(small.boxed(), &["'NaN'", "0", "'-0.001'"]),
        or(word("true"), &["false"]),
        text(600),
        prop::sample::select(vec!["'a  '", "''", "'\t'", "'  x'", "'é'"])
            .prop_map(str::to_owned)
            .boxed(),
        text(300),
        text(60),
        bytes.boxed(),
        or(
            (-2_400_000_i32..5_000_000)
                .prop_map(|n| format!("'2000-01-01'::date + {n}"))
                .boxed(),
            &[
                "'infinity'",
                "'-infinity'",
                "'4714-11-24 BC'",
                "'5874897-12-31'",
            ],
        ),
        or(
            micros(0, 86_399_999_999)
                .prop_map(|i| format!("time '00:00' + {i}"))
                .boxed(),
            &["'24:00'", "'00:00'"],
        ),
        or(
            instants()
                .prop_map(|i| format!("timestamp '2000-01-01' + {i}"))
                .boxed(),
            &infinities,
        ),
        or(
            instants()
                .prop_map(|i| format!("timestamptz '2000-01-01 00:00+00' + {i}"))
                .boxed(),
            &infinities,
        ),
        any::<u128>().prop_map(|n| format!("'{n:032x}'")).boxed(),
        text(9)
            .prop_map(|t| format!("ARRAY[{t}, NULL, {t}]"))
            .boxed(),
        or(word("ARRAY['a ', NULL]"), &["'{}'"]),
        or(word("'x'"), &["''"]),
        micros(i64::MIN / 2, i64::MAX / 2).boxed(),
        text(3),
    ]
}

fn seed() -> u64 {
    let clock = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let seed = std::env::var("CROSSFADE_SEED").ok();
    let seed = seed.map_or(clock.as_nanos() as u64, |seed| seed.parse().unwrap());
    println!("CROSSFADE_SEED={seed}");
    seed
}

fn random(seed: u64) -> TestRng {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    TestRng::from_seed(RngAlgorithm::ChaCha, &bytes)
}

fn generated(seed: u64) -> String {
    let mut runner = TestRunner::new_with_rng(Config::default(), random(seed));
    let columns = literals();
    let mut sql = String::new();
    for id in 0..ROWS {
        let mut row = vec![id.to_string()];
        for column in &columns {
            let null = prop::bool::weighted(0.1)
                .new_tree(&mut runner)
                .unwrap()
                .current();
            let literal = column.new_tree(&mut runner).unwrap().current();
            row.push(if null { "NULL".to_owned() } else { literal });
        }
        sql.push_str(&format!("INSERT INTO g VALUES ({});\n", row.join(", ")));
    }
    sql
}

/// The forms in which columns are compared with another engine's; `zeros` where both are one.
fn typed(mapping: &TableMapping, zeros: bool) -> TableMapping {
    let mut mapping = mapping.clone();
    let logical: Vec<LogicalType> = mapping.source.captured().map(|c| c.logical).collect();
    for (column, logical) in mapping.columns.iter_mut().zip(logical) {
        column.canonical = match (logical, zeros) {
            (LogicalType::Boolean, _) => Canonical::Boolean,
            (LogicalType::Integer { .. }, false) => Canonical::Integer,
            (LogicalType::Float { bits: 32 }, false) => Canonical::Float32,
            (LogicalType::Float { .. }, false) => Canonical::Float64,
            (LogicalType::Float { bits: 32 }, true) => Canonical::Float32AnyZero,
            (LogicalType::Float { .. }, true) => Canonical::Float64AnyZero,
            (LogicalType::Decimal, _) | (LogicalType::Integer { .. }, true) => Canonical::Decimal,
            (LogicalType::Bytes, _) => Canonical::Bytes,
            (LogicalType::Date, _) => Canonical::Date,
            (LogicalType::Time, _) => Canonical::Time,
            (LogicalType::Timestamp, _) => Canonical::Timestamp,
            (LogicalType::TimestampWithZone, _) => Canonical::TimestampWithZone,
            (LogicalType::Uuid, _) => Canonical::Uuid,
            _ => Canonical::Text,
        };
    }
    mapping
}

async fn over_rows(
    snapshot: &mut dyn SourceSnapshot,
    mapping: &TableMapping,
    range: &ChunkRange,
    digester: &Digester,
) -> BucketSums {
    let mut sums = BucketSums::default();
    let mut digester = digester.clone();
    let mut rows = snapshot.read(mapping, range, ReadForm::Rows).await.unwrap();
    while let Some(RowBlock::Rows(block)) = rows.next().await.unwrap() {
        for row in block {
            sums.add(digester.row(&mapping.columns, &row).unwrap());
        }
    }
    sums
}

/// The parts of a table: all of it, ranges of keys, physical parts.
async fn ranges(snapshot: &mut dyn SourceSnapshot, mapping: &TableMapping) -> Vec<ChunkRange> {
    let bounds = snapshot.bounds(mapping, 3).await.unwrap();
    let mut ranges = vec![ChunkRange::All];
    ranges.extend((0..=bounds.len()).map(|at| ChunkRange::Keys {
        low: at.checked_sub(1).map(|before| bounds[before].clone()),
        high: bounds.get(at).cloned(),
    }));
    let parts = snapshot.parts(mapping, 2).await.unwrap();
    ranges.extend(parts.into_iter().map(ChunkRange::Part));
    ranges
}

/// The first column whose values give `place` another sum than the rows give.
async fn column_at_fault(
    source: &mut dyn SourceSnapshot,
    mapping: &TableMapping,
    place: SumPlace,
) -> Option<String> {
    let digester = Digester::new(&[9; 32]);
    for columns in 1..=mapping.columns.len() {
        let mut first = mapping.clone();
        first.columns.truncate(columns);
        let expected = over_rows(source, &first, &ChunkRange::All, &digester).await;
        let sums = source.sum(&first, &ChunkRange::All, &digester, place).await;
        if sums.unwrap() != expected {
            return first.columns.last().map(|column| format!("{column:?}"));
        }
    }
    None
}

async fn hold_together(
    source: &mut dyn SourceSnapshot,
    target: &mut dyn TargetSnapshot,
    mapping: &TableMapping,
) {
    let none: Vec<usize> = Vec::new();
    let digester = Digester::new(&[9; 32]);
    assert_eq!(source.sum_places(mapping), PLACES);
    assert_eq!(target.sum_places(mapping), PLACES);
    for range in ranges(source, mapping).await {
        let expected = over_rows(source, mapping, &range, &digester).await;
        assert!(range != ChunkRange::All || expected.total().rows > 0);
        for place in PLACES {
            let sums = source.sum(mapping, &range, &digester, place).await.unwrap();
            if differing(&sums, &expected) != none {
                panic!(
                    "{place:?} {range:?}: {:?}",
                    column_at_fault(source, mapping, place).await
                );
            }
            if matches!(range, ChunkRange::Part(_)) {
                continue;
            }
            let sums = target.sum(mapping, &range, &digester, place).await.unwrap();
            assert_eq!(differing(&sums, &expected), none, "{place:?} {range:?}");
        }
    }
}

fn differing(a: &BucketSums, b: &BucketSums) -> Vec<usize> {
    a.unequal(b).collect()
}

#[tokio::test]
async fn every_place_gives_one_sum_for_values_of_every_type() {
    let seed = seed();
    for server in SERVERS {
        let db = Db::create(server).await;
        for sql in [TYPES, VALUES, GENERATED, &generated(seed)] {
            db.run(sql).await;
        }
        for table in ["v", "g"] {
            let exact = mappings(&db.store(), &[table]).await.remove(0);
            let store = db.store();
            let mut source = snapshot::open_snapshot(&store, &[&exact.source])
                .await
                .unwrap();
            let mut target = reader::open_reader(&store, "none").await.unwrap();
            for mapping in [&exact, &typed(&exact, false), &typed(&exact, true)] {
                hold_together(source.as_mut(), target.as_mut(), mapping).await;
            }
            source.close().await.unwrap();
            target.close().await.unwrap();
        }
        db.drop().await;
    }
}

/// The server's shortest text of a single need not be the program's.
#[tokio::test]
async fn every_single_is_read_from_the_text_that_the_server_gives_it() {
    let seed = seed();
    let mut random = random(seed);
    let singles: Vec<f32> = (0..100_000)
        .map(|_| f32::from_bits(random.next_u32()))
        .filter(|single| !single.is_nan())
        .collect();
    for server in SERVERS {
        let db = Db::create(server).await;
        let given: Vec<String> = singles.iter().map(|s| format!("{s:e}")).collect();
        let sql = format!(
            "SELECT string_agg(x::text, ' ' ORDER BY n) FROM unnest('{{{}}}'::real[]) WITH ORDINALITY AS t (x, n)",
            given.join(",").replace("inf", "Infinity")
        );
        let texts = db.text(&sql).await.unwrap();
        assert_eq!(texts.split(' ').count(), singles.len());
        for (text, single) in texts.split(' ').zip(&singles) {
            let read = text_form::single(text.as_bytes()).map(f32::to_bits);
            assert_eq!(read, Some(single.to_bits()), "{text} {single:e} {server}");
        }
        db.drop().await;
    }
}

/// A form that its type does not have in SQL leaves the table to the program.
#[tokio::test]
async fn what_the_server_cannot_write_is_left_to_the_program() {
    let db = Db::create(SERVERS[0]).await;
    db.run("CREATE TABLE t (id int PRIMARY KEY, s text); INSERT INTO t VALUES (1, '2024-01-01')")
        .await;
    let mut mapping = mappings(&db.store(), &["t"]).await.remove(0);
    mapping.columns[1].canonical = Canonical::Date;
    let store = db.store();
    let mut source = snapshot::open_snapshot(&store, &[&mapping.source])
        .await
        .unwrap();
    assert_eq!(source.sum_places(&mapping), [SumPlace::Program]);
    let digester = Digester::new(&[9; 32]);
    let expected = over_rows(source.as_mut(), &mapping, &ChunkRange::All, &digester).await;
    let sums = source.sum(&mapping, &ChunkRange::All, &digester, SumPlace::Program);
    assert_eq!(sums.await.unwrap(), expected);
    let sums = source.sum(&mapping, &ChunkRange::All, &digester, SumPlace::Server);
    assert_eq!(sums.await.unwrap_err().kind, ErrorKind::Internal);
    source.close().await.unwrap();
    db.drop().await;
}
