//! Values of every kind between MySQL or MariaDB and the other engines, in the load and in the stream: the edges of each type, and seeded
//! values between them.

use crossfade_trials::seed::seed;
use crossfade_trials::{Engine, Trial};

/// A type, and its edges as SQL.
pub(crate) const MYSQL: &[(&str, &[&str])] = &[
    ("tinyint", &["-128", "127"]),
    ("tinyint unsigned", &["0", "255"]),
    ("smallint", &["-32768", "32767"]),
    ("smallint unsigned", &["65535"]),
    ("mediumint unsigned", &["16777215"]),
    ("int", &["-2147483648", "2147483647"]),
    ("int unsigned", &["4294967295"]),
    ("bigint", &["-9223372036854775808", "9223372036854775807"]),
    ("bigint unsigned", &["0", "18446744073709551615"]),
    ("year", &["1901", "2155", "2000"]),
    ("decimal(10,2)", &["-99999999.99", "0.10", "0"]),
    (
        "decimal(65,30)",
        &[
            "99999999999999999999999999999999999.999999999999999999999999999999",
            "-0.000000000000000000000000000001",
        ],
    ),
    // the comparison reads what the server prints of a single: six digits
    ("float", &["0.1", "-1.5", "32768"]),
    (
        "double",
        &[
            "0.1",
            "1.7976931348623157e308",
            "5e-324",
            "123456789.123456789",
        ],
    ),
    ("varchar(20)", &["''", "' '", "'a   '", "'ü日本'", "'\\N'"]),
    ("text", &["''", "REPEAT('é', 3000)", "'a\tb\nc'"]),
    ("varbinary(20)", &["''", "x'00ff5c'", "x'6100'"]),
    ("blob", &["x'00'", "REPEAT(x'00ff', 4000)"]),
    ("binary(4)", &["x'61'", "x'00000000'", "x'61626364'"]),
    ("date", &["'1000-01-01'", "'9999-12-31'", "'2024-02-29'"]),
    (
        "datetime(6)",
        &["'1000-01-01 00:00:00'", "'9999-12-31 23:59:59.999999'"],
    ),
    ("datetime", &["'2024-03-31 02:30:00'"]),
    (
        "timestamp(6) NULL",
        &["'1970-01-01 00:00:01'", "'2038-01-19 03:14:07.999999'"],
    ),
    ("enum('a','it''s','ü')", &["'a'", "'it''s'", "'ü'"]),
    ("set('a','b','c')", &["''", "'a,c'"]),
];

pub(crate) const POSTGRES: &[(&str, &[&str])] = &[
    ("smallint", &["-32768", "32767"]),
    ("integer", &["-2147483648", "2147483647"]),
    ("bigint", &["-9223372036854775808", "9223372036854775807"]),
    ("numeric(10,2)", &["-99999999.99", "0.10"]),
    ("numeric", &["1e34", "1e-30", "0.000"]),
    ("real", &["0.1", "-1.5"]),
    (
        "double precision",
        &["0.1", "1.7976931348623157e308", "123456789.123456789"],
    ),
    ("boolean", &["true", "false"]),
    ("varchar(5)", &["'ab   '", "'é日本'"]),
    ("text", &["''", "E'a\\tb\\\\'", "repeat('é', 3000)"]),
    ("bytea", &["''", "'\\x00ff5c'"]),
    ("date", &["'0001-01-01'", "'9999-12-31'"]),
    (
        "timestamp",
        &["'0001-01-01 00:00'", "'9999-12-31 23:59:59.999999'"],
    ),
    (
        "timestamptz",
        &["'2024-10-27 02:30:00.5+02'", "'1883-11-18 12:00:00+00'"],
    ),
    ("time", &["'00:00'", "'23:59:59.999999'"]),
    ("uuid", &["'00000000-0000-0000-0000-000000000000'"]),
    ("jsonb", &["'{\"a\": [1, 1.0, null]}'"]),
    ("interval", &["'1 year -2 mons +3 days 04:05:06.789'"]),
    ("integer[]", &["'{}'", "'{1,NULL,-3}'"]),
    ("numrange", &["'empty'", "'[1.0,2.50)'"]),
    ("inet", &["'::1'", "'10.0.0.1/8'"]),
];

/// A small generator of numbers: the seed says all.
struct Numbers(u64);

impl Numbers {
    fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 ^ (self.0 >> 29)) >> 8
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

/// A value of the type that is none of its edges, of which the comparison writes both sides alike; `None` where the edges are all there
/// is. `values_generated.rs` has others.
fn plain(kind: &str, numbers: &mut Numbers) -> Option<String> {
    let base = kind.split(['(', ' ']).next().unwrap_or(kind);
    let date = format!(
        "{:04}-{:02}-{:02}",
        1000 + numbers.below(9000),
        1 + numbers.below(12),
        1 + numbers.below(28)
    );
    let time = format!(
        "{:02}:{:02}:{:02}",
        numbers.below(24),
        numbers.below(60),
        numbers.below(60)
    );
    Some(match base {
        "tinyint" | "year" if kind == "year" => (1901 + numbers.below(255)).to_string(),
        "tinyint" => numbers.below(128).to_string(),
        "smallint" => numbers.below(32_768).to_string(),
        "mediumint" => numbers.below(8_388_608).to_string(),
        "int" | "integer" => numbers.below(2_147_483_648).to_string(),
        "bigint" => numbers.next().to_string(),
        "decimal" | "numeric" => {
            format!("-{}.{:02}", numbers.below(100_000_000), numbers.below(100))
        }
        "double" => format!("{:e}", f64::from_bits(numbers.next() | 0x3ff0 << 48)),
        "varchar" | "text" => format!("'{:x}'", numbers.below(0xfffff)),
        "date" => format!("'{date}'"),
        "datetime" if kind == "datetime" => format!("'{date} {time}'"),
        "datetime" | "timestamp" if !kind.ends_with("NULL") => {
            format!("'{date} {time}.{:06}'", numbers.below(1_000_000))
        }
        "time" => format!("'{time}.{:06}'", numbers.below(1_000_000)),
        _ => return None,
    })
}

/// A table for each type: NULL, each edge and generated values, loaded, inserted while the load goes on, and put in the place of others.
fn carried(what: &str, source: Engine, target: Engine, types: &[(&str, &[&str])]) {
    let trial = Trial::new(source, target).option("chunk_rows", 100);
    let mut numbers = Numbers::new(seed(what));
    let values: Vec<Vec<String>> = types
        .iter()
        .map(|(kind, edges)| {
            let edges = edges.iter().map(|e| (*e).to_owned());
            let more = (0..40).filter_map(|_| plain(kind, &mut numbers));
            edges.chain(more).chain(["NULL".to_owned()]).collect()
        })
        .collect();
    for (number, ((kind, _), values)) in types.iter().zip(&values).enumerate() {
        let rows: Vec<String> = (0..120)
            .map(|i| format!("({i}, {})", values[i % values.len()]))
            .collect();
        trial.source.run(&format!(
            "CREATE TABLE v{number} (k integer PRIMARY KEY, v {kind}); INSERT INTO v{number} VALUES {}",
            rows.join(", ")
        ));
    }
    trial.change_at_every_stage(|stage| {
        let mut sql = String::new();
        for (number, values) in values.iter().enumerate() {
            for (i, value) in values.iter().enumerate().take(12) {
                let k = 1000 + stage as usize * 100 + i;
                let at = i + stage as usize * 12;
                sql.push_str(&format!(
                    "INSERT INTO v{number} VALUES ({k}, {value}); UPDATE v{number} SET v = {value} WHERE k % 40 = {at};"
                ));
            }
        }
        sql
    });
}

#[test]
fn mysql_values_to_postgres() {
    carried(
        "values of MySQL to 18",
        Engine::Mysql97,
        Engine::Pg18,
        MYSQL,
    );
}

#[test]
fn mariadb_values_to_postgres() {
    carried(
        "values of 11.8 to 17",
        Engine::Maria118,
        Engine::Pg17,
        MYSQL,
    );
}

#[test]
fn mysql_values_to_sqlite() {
    // the comparison takes a MySQL integer for one on SQLite as well, where one of 64 bits without a sign is a text
    let types: Vec<_> = MYSQL
        .iter()
        .filter(|(kind, _)| *kind != "bigint unsigned")
        .copied()
        .collect();
    carried(
        "values of MySQL to SQLite",
        Engine::Mysql97,
        Engine::Sqlite,
        &types,
    );
}

#[test]
fn mysql_values_to_mariadb() {
    carried(
        "values of MySQL to 11.8",
        Engine::Mysql97,
        Engine::Maria118,
        MYSQL,
    );
}

#[test]
fn mariadb_values_to_mysql() {
    carried(
        "values of 10.11 to MySQL",
        Engine::Maria1011,
        Engine::Mysql97,
        MYSQL,
    );
}

#[test]
fn postgres_values_to_mysql() {
    carried(
        "values of 17 to MySQL",
        Engine::Pg17,
        Engine::Mysql97,
        POSTGRES,
    );
}

#[test]
fn postgres_values_to_mariadb() {
    carried(
        "values of 18 to 11.8",
        Engine::Pg18,
        Engine::Maria118,
        POSTGRES,
    );
}
