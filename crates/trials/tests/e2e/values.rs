//! Values that break careless tools.

use crossfade_trials::{Engine, Trial};

/// A type and values of it, as SQL.
pub(crate) const POSTGRES: &[(&str, &[&str])] = &[
    (
        "text",
        &[
            "''",
            "' '",
            "E'\\\\N'",
            "E'\\\\.'",
            "E'a\\tb\\nc\\rd\\\\e'",
            "'NULL'",
            "U&'\\+01F600'",
            "repeat('é', 3000)",
        ],
    ),
    ("varchar(5)", &["'ab   '", "'é日本'"]),
    ("integer", &["-2147483648", "2147483647", "0"]),
    ("bigint", &["-9223372036854775808", "9223372036854775807"]),
    (
        "numeric",
        &[
            "'NaN'",
            "0.000",
            "-0.10",
            "1e200 + 1e-200",
            "repeat('9', 200)::numeric",
            "('0.' || repeat('1', 150))::numeric",
        ],
    ),
    (
        "double precision",
        &[
            "'NaN'",
            "'Infinity'",
            "'-Infinity'",
            "'-0'",
            "0.1",
            "1.7976931348623157e308",
            "5e-324",
            "1e15",
            "123456789.123456789",
        ],
    ),
    (
        "real",
        &["'NaN'", "'Infinity'", "0.1", "3.4028235e38", "1e-45"],
    ),
    ("boolean", &["true", "false"]),
    (
        "bytea",
        &[
            "''",
            "'\\x00'",
            "'\\x00ff5c6e0a27'",
            "decode(repeat('00ff', 4000), 'hex')",
        ],
    ),
    (
        "date",
        &[
            "'0044-03-15 BC'",
            "'infinity'",
            "'-infinity'",
            "'9999-12-31'",
            "'0001-01-01'",
            "'2024-02-29'",
            "'5874897-12-31'",
        ],
    ),
    (
        "timestamp",
        &[
            "'0044-03-15 12:00 BC'",
            "'infinity'",
            "'2024-03-31 02:30:00.000001'",
            "'294276-12-31 23:59:59.999999'",
        ],
    ),
    (
        "timestamptz",
        &[
            "'0044-03-15 12:00+00 BC'",
            "'-infinity'",
            "'2024-10-27 02:30:00.5+02'",
            "'2024-10-27 02:30:00.5+01'",
            "'1883-11-18 12:00:00+00'",
        ],
    ),
    ("time", &["'00:00'", "'24:00'", "'23:59:59.999999'"]),
    (
        "uuid",
        &[
            "'00000000-0000-0000-0000-000000000000'",
            "'FFFFFFFF-ffff-ffff-ffff-ffffffffffff'",
        ],
    ),
    (
        "jsonb",
        &[
            "'null'",
            "'{}'",
            "'{\"a\": [1, 1.0, 1e400, \"\\u00e9\\n\", null, {\"b\": \"\"}]}'",
            "'\"x\"'",
        ],
    ),
    (
        "interval",
        &[
            "'1 year -2 mons +3 days 04:05:06.789'",
            "'-00:00:00.000001'",
            "'0'",
        ],
    ),
    (
        "integer[]",
        &["'{}'", "'{1,NULL,-3}'", "'[2:3][0:1]={{1,2},{3,4}}'"],
    ),
    ("numrange", &["'empty'", "'[1.0,2.50)'", "'(,)'"]),
    ("inet", &["'::1'", "'10.0.0.1/8'"]),
];

/// What only PostgreSQL has, and every other engine keeps as text.
pub(crate) const POSTGRES_TEXTS: &[(&str, &[&str])] = &[
    ("char(5)", &["'ab'", "''"]),
    ("json", &["'{\"b\":1,  \"a\":2, \"a\":3}'", "'[]'"]),
    (
        "text[]",
        &[
            "ARRAY['', 'NULL', NULL, 'a,b', '{}', '\"', E'\\\\', ' ']",
            "'{{a,b},{c,d}}'",
        ],
    ),
    ("tstzrange", &["'[2024-01-01 00:00+00,infinity]'"]),
    ("bit(5)", &["B'10110'"]),
    ("varbit", &["B''", "B'1'"]),
    ("money", &["'-1234.56'"]),
    ("xml", &["'<a b=\"c\">x &amp; y</a>'"]),
    ("point", &["'(0.1,-1e300)'"]),
    ("tsvector", &["'a:1 b''c:2A'"]),
    ("mood", &["'so so'", "'Ünhappy'"]),
    ("positive", &["1"]),
    ("pair", &["ROW(1, 'a,b\"')", "ROW(NULL, NULL)"]),
    ("mood[]", &["'{}'", "'{\"so so\",Ünhappy}'"]),
    ("hstore", &["''", "'a=>1, \"b c\"=>NULL, \"\"=>\"x\\\"y\"'"]),
];

pub(crate) const TYPES: &str = "
    CREATE TYPE mood AS ENUM ('so so', 'Ünhappy', 'it''s');
    CREATE DOMAIN positive AS integer CHECK (VALUE > 0);
    CREATE TYPE pair AS (a integer, b text);";

/// A table for each type: NULL and each value, inserted before, between and after, and put in the place of others.
fn all_values(trial: &Trial, types: &[(&str, &[&str])]) {
    for (number, (kind, values)) in types.iter().enumerate() {
        let rows: Vec<String> = (0..120)
            .map(|i| format!("({i}, {})", value(values, i)))
            .collect();
        trial.source.run(&format!(
            "CREATE TABLE v{number} (k integer PRIMARY KEY, v {kind});
             INSERT INTO v{number} VALUES {}",
            rows.join(", ")
        ));
    }
    trial.change_at_every_stage(|stage| {
        let mut sql = String::new();
        for (number, (_, values)) in types.iter().enumerate() {
            for (i, value) in values.iter().enumerate() {
                let k = 1000 + stage as usize * 100 + i;
                sql.push_str(&format!(
                    "INSERT INTO v{number} VALUES ({k}, {value}); UPDATE v{number} SET v = {value} WHERE k % 40 = {i} + {stage} * 12;"
                ));
            }
            sql.push_str(&format!(
                "UPDATE v{number} SET v = NULL WHERE k % 40 = 11 + {stage} * 12;
                 UPDATE v{number} SET k = k + 5000 WHERE k % 40 = {stage} * 12;"
            ));
        }
        sql
    });
}

/// Every value in turn, and NULL.
fn value<'a>(values: &[&'a str], i: usize) -> &'a str {
    values
        .get(i % (values.len() + 1))
        .copied()
        .unwrap_or("NULL")
}

#[test]
fn every_type_of_postgres_is_carried_to_the_bit() {
    let trial = Trial::new(Engine::Pg15, Engine::Pg18).option("chunk_rows", 100);
    for database in [&trial.source, &trial.target] {
        database.run("CREATE EXTENSION hstore");
    }
    trial.source.run(TYPES);
    all_values(&trial, &[POSTGRES, POSTGRES_TEXTS].concat());
}

#[test]
fn every_type_of_postgres_goes_to_sqlite_by_its_meaning_or_its_text() {
    let trial = Trial::new(Engine::Pg17, Engine::Sqlite).option("chunk_rows", 100);
    trial.source.run("CREATE EXTENSION hstore");
    trial.source.run(TYPES);
    all_values(&trial, &[POSTGRES, POSTGRES_TEXTS].concat());
}

#[test]
fn tables_of_no_rows_one_column_and_many_columns() {
    let many: Vec<String> = (0..300).map(|i| format!("c{i} integer")).collect();
    let sql = format!(
        "CREATE TABLE empty (k integer PRIMARY KEY, v text);
         CREATE TABLE one (k integer PRIMARY KEY);
         INSERT INTO one VALUES (1), (2), (3);
         CREATE TABLE wide (k integer PRIMARY KEY, {});
         INSERT INTO wide (k, c299) VALUES (1, 5), (2, NULL);",
        many.join(", ")
    );
    for (source, target) in [
        (Engine::Pg15, Engine::Pg17),
        (Engine::Sqlite, Engine::Sqlite),
        (Engine::Sqlite, Engine::Pg18),
        (Engine::Pg18, Engine::Sqlite),
    ] {
        let trial = Trial::new(source, target);
        trial.source.run(&sql);
        trial.follow();
        trial.source.run(
            "INSERT INTO empty VALUES (1, 'x'); DELETE FROM one WHERE k = 2; UPDATE one SET k = 9 WHERE k = 3;
             UPDATE wide SET c0 = 1, c298 = 7",
        );
        trial.verify();
        trial.assert_equal();
    }
}

/// Whatever SQLite's loose types let in.
const SQLITE: &str = "
    CREATE TABLE loose (k INTEGER PRIMARY KEY, i INTEGER, r REAL, t TEXT, b BLOB, n NUMERIC, x);
    CREATE TABLE strict (k INTEGER PRIMARY KEY, i INT, r REAL, t TEXT, b BLOB, a ANY) STRICT;";

const LOOSE: &[&str] = &[
    "NULL, NULL, NULL, NULL, NULL, NULL",
    "9223372036854775807, 1e308, '', x'', '1.50', 1",
    "-9223372036854775808, -0.0, ' ', x'00', 12345678901234567890, 1.0",
    "0, 9e999, 'a' || char(0) || 'b', x'00ff', -9e999, '1'",
    "'text', 'text', 5, 'text', 'text', x'31'",
    "x'ff', x'ff', x'ff', 7, x'ff', 'NULL'",
    "1.5, 3, CAST(x'ff41' AS TEXT), 0.1, 0.1, 0.1",
    "'12', '1e3', 0.1, 1e15, '0x10', ''",
    "1e18, 0.1, char(128512), zeroblob(5000), 1e15, 9007199254740993",
];

fn loose(stage: u32) -> String {
    let mut sql = "BEGIN;".to_owned();
    for (i, values) in LOOSE.iter().enumerate() {
        let k = 1000 * (stage + 1) + u32::try_from(i).unwrap();
        sql.push_str(&format!(
            "INSERT INTO loose VALUES ({k}, {values});
             UPDATE loose SET (i, r, t, b, n, x) = ({values}) WHERE k % 40 = {i} + {stage} * 12;"
        ));
    }
    sql.push_str(&format!(
        "INSERT INTO strict VALUES ({stage} + 1000, 1, 1, '1', x'31', 1), ({stage} + 2000, NULL, 2.5, '', x'', 'any'),
         ({stage} + 3000, 1, -0.0, 'x', x'00', x'00'); COMMIT;"
    ));
    sql
}

#[test]
fn whatever_sqlite_lets_in_comes_out_the_same() {
    let trial = Trial::new(Engine::Sqlite, Engine::Sqlite).option("chunk_rows", 100);
    trial.source.run(SQLITE);
    for i in 0..300 {
        let values = LOOSE[i % LOOSE.len()];
        trial
            .source
            .run(&format!("INSERT INTO loose VALUES ({i}, {values})"));
    }
    trial.change_at_every_stage(loose);
}

const DECLARED: &[&str] = &[
    "9223372036854775807, 1e308, '', x'', 1.5, 1, '2024-02-29', '2024-02-29 12:00:00.5', '00:00:01'",
    "-9223372036854775808, -1e-300, ' ', x'00', -0.001, 0, '0001-01-01', '1969-12-31 23:59:59', '23:59:59.999999'",
    "0, 9e999, 'it''s' || char(9, 10, 13, 92), x'00ff', 12345678901234, TRUE, '9999-12-31', '2024-03-31T02:30:00', '12:30'",
    "NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL",
    "1, -9e999, '日本語', zeroblob(5000), 0, FALSE, '2024-01-01', '2024-01-01', '12:30:00'",
];

#[test]
fn declared_types_of_sqlite_go_to_postgres_by_their_meaning() {
    let trial = Trial::new(Engine::Sqlite, Engine::Pg17).option("chunk_rows", 100);
    trial.source.run(
        "CREATE TABLE t (k INTEGER PRIMARY KEY, i BIGINT, r DOUBLE, t VARCHAR(50), b BLOB, n DECIMAL(20,4), f BOOLEAN,
                         d DATE, s DATETIME, c TIME);",
    );
    for i in 0..300 {
        let values = DECLARED[i % DECLARED.len()];
        trial
            .source
            .run(&format!("INSERT INTO t VALUES ({i}, {values})"));
    }
    trial.change_at_every_stage(|stage| {
        let mut sql = "BEGIN;".to_owned();
        for (i, values) in DECLARED.iter().enumerate() {
            sql.push_str(&format!(
                "INSERT INTO t VALUES (1000 * ({stage} + 1) + {i}, {values});
                 UPDATE t SET (i, r, t, b, n, f, d, s, c) = ({values}) WHERE k % 40 = {i} + {stage} * 12;"
            ));
        }
        sql + "COMMIT;"
    });
}
