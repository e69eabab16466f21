//! Types and values of them for every pair of engines, and the check that none is forgotten.

use std::collections::BTreeSet;

use crossfade_trials::Engine;

use crate::values::{POSTGRES, POSTGRES_TEXTS};
use crate::values_mysql::{MYSQL, POSTGRES as POSTGRES_HELD_BY_MYSQL};

/// Types and values of them, as SQL.
pub(crate) type Types = &'static [(&'static str, &'static [&'static str])];

/// What else PostgreSQL has, with values that every engine holds.
const MORE_POSTGRES: Types = &[
    ("smallint", &["-32768", "32767"]),
    ("numeric(10,2)", &["-99999999.99", "0.10"]),
    ("numeric(10,0)", &["9999999999"]),
    ("numeric(5,-2)", &["9999900", "-100"]),
    ("numeric(1000,500)", &["1e34", "1e-30"]),
    ("character varying", &["' '"]),
    ("character varying(255)", &["repeat('😀', 255)"]),
    ("character varying(1000)", &["repeat('é ', 500)"]),
    ("name", &["repeat('n', 63)"]),
    ("\"char\"", &["'\\'", "''"]),
    ("time(3) without time zone", &["'24:00'", "'23:59:59.999'"]),
    (
        "time with time zone",
        &["'24:00+15:59'", "'00:00:00.000001-15:59:59'"],
    ),
    (
        "timestamp(3) without time zone",
        &["'0001-01-01 BC'", "'9999-12-31 23:59:59.999'"],
    ),
    ("timestamp(3) with time zone", &["'0001-01-01 00:00+00 BC'"]),
    (
        "interval",
        &[
            "'178000000 years'",
            "'-2147483648 days -2562047788:00:54.775807'",
        ],
    ),
    ("jsonpath", &["'$'"]),
    ("cidr", &["'10.0.0.0/8'", "'::/0'"]),
    ("macaddr", &["'ff:ff:ff:00:00:01'"]),
    ("macaddr8", &["'ff:ff:ff:ff:fe:00:00:01'"]),
    ("line", &["'{0,1,-0}'"]),
    ("lseg", &["'[(0,0),(-0,Infinity)]'"]),
    ("box", &["'(1,2),(0,-1)'"]),
    ("path", &["'[(0,0)]'"]),
    ("polygon", &["'((0,0),(1,1),(NaN,0))'"]),
    ("circle", &["'<(0,0),0>'"]),
    ("tsquery", &["''"]),
    ("int4range", &["'empty'", "'(,)'", "'[2147483646,)'"]),
    ("int4multirange", &["'{}'", "'{(,)}'"]),
    ("nummultirange", &["'{[1.0,2.50)}'"]),
    ("bigint[]", &["'{}'"]),
    ("numeric(10,2)[]", &["'{1,NULL,0.10}'"]),
    ("oid", &["4294967295"]),
    ("xid8", &["'18446744073709551615'"]),
    ("pg_lsn", &["'0/0'", "'FFFFFFFF/FFFFFFFF'"]),
    (
        "pair[]",
        &[
            "'{}'",
            "ARRAY[ROW(1, 'a,b\"')::pair, NULL, ROW(NULL, '')::pair]",
        ],
    ),
];

/// What only PostgreSQL and SQLite hold of them.
const WIDE_POSTGRES: Types = &[
    ("numeric", &["'Infinity'", "'-Infinity'"]),
    ("timestamp", &["'-infinity'", "'4713-01-01 00:00 BC'"]),
    (
        "timestamptz",
        &["'infinity'", "'294276-12-31 23:59:59.999999+00'"],
    ),
    ("date", &["'4713-01-01 BC'"]),
];

/// Values that only MySQL's and MariaDB's own type has in that form.
const VECTORS: Types = &[("vector(3)", &["x'0000803f000000c00000003f'"])];

const OF_MARIADB: Types = &[
    (
        "uuid",
        &[
            "'00000000-0000-0000-0000-000000000000'",
            "'ffffffff-ffff-ffff-ffff-ffffffffffff'",
            // of the versions that the server stores in another order, and of one that it does not
            "'c232ab00-9414-11ec-b3c8-9f6bdeced846'",
            "'017f22e2-79b0-7cc3-98c4-dc0c0c07398f'",
        ],
    ),
    ("inet4", &["'0.0.0.0'", "'255.255.255.255'"]),
    (
        "inet6",
        &[
            "'::'",
            "'::ffff:1.2.3.4'",
            "'::1.2.3.4'",
            "'fe80::1'",
            "'1:0:0:2::3'",
        ],
    ),
];

/// Times of 11.8, which end in 2106.
const OF_MARIADB_118: Types = &[(
    "timestamp(6) NULL",
    &["'2106-02-07 06:28:15.999999'", "'2038-01-19 03:14:08'"],
)];

/// What MySQL and MariaDB have besides: the comparison of other trials cannot write these alike.
const MORE_MYSQL: Types = &[
    ("time", &["'-838:59:59'", "'838:59:59'", "'00:00:00'"]),
    ("time(6)", &["'-00:00:00.000001'", "'100:00:00.5'"]),
    ("bit(1)", &["b'0'", "b'1'"]),
    ("bit(64)", &["b'0'", "18446744073709551615", "258"]),
    (
        "float",
        &["3.4028234663852886e38", "1e-45", "16777217", "-0.0"],
    ),
    ("double", &["-0.0", "1e15", "123456789012345678"]),
    ("char(5)", &["'ab'", "''", "'ü'"]),
    ("tinytext", &["''", "'x'"]),
    ("tinyint(1)", &["-128", "2", "127"]),
    ("mediumint", &["-8388608", "8388607"]),
    ("decimal(10,2) unsigned", &["99999999.99"]),
    ("bit(12)", &["b'0'", "b'111111111111'", "b'1'"]),
    ("varchar(255)", &["REPEAT('😀', 255)"]),
    ("varchar(1000)", &["REPEAT('é ', 500)"]),
    ("mediumtext", &["REPEAT('日', 6000)"]),
    ("longtext", &["'\\\\N'"]),
    ("binary(16)", &["x'00'", "'ends with blank '"]),
    ("varbinary(255)", &["x'0020'", "' '"]),
    ("mediumblob", &["REPEAT(x'5c00', 9000)"]),
    ("longblob", &["x'5c'"]),
    // the first is no year of the calendar, the second is not 1900
    ("year", &["0", "2155", "1901"]),
    // before the years that are promised
    ("date", &["'0001-01-01'", "'0000-05-06'"]),
    ("datetime(6)", &["'0000-01-01 00:00:00.000001'"]),
    ("timestamp NULL", &["'2038-01-19 03:14:07'"]),
    ("linestring", &[]),
    ("polygon", &[]),
    (
        "geometrycollection",
        &["ST_GeomFromText('GEOMETRYCOLLECTION EMPTY')"],
    ),
    ("tinyblob", &["''", "x'00ff'"]),
    (
        "json",
        &[
            "JSON_OBJECT('b', JSON_ARRAY(1.10, CAST(12345678901234567890123 AS DECIMAL(30,0)), 1.5, '2.50'), 'it''s', -0.00001)",
            "'{\"b\": 1, \"a\": [1, 1.5, null, \"é\"]}'",
            "'\"x\"'",
            "'null'",
        ],
    ),
    ("varchar(20) CHARACTER SET latin1", &["'ü'", "''", "'a '"]),
    ("varchar(20) COLLATE utf8mb4_bin", &["'A'", "'a'", "'a '"]),
    ("point", &["ST_GeomFromText('POINT(1 -2.5)')"]),
    (
        "geometry",
        &[
            "ST_GeomFromText('LINESTRING(0 0, 1 1.5)')",
            "ST_GeomFromText('POINT(1 2)', 4326)",
        ],
    ),
];

/// Declared types of SQLite, and values that they are meant for.
const SQLITE: Types = &[
    (
        "INTEGER",
        &["0", "9223372036854775807", "-9223372036854775808"],
    ),
    ("BIGINT", &["-1"]),
    ("TINYINT", &["-9223372036854775808"]),
    ("DOUBLE", &["0.1", "1e308", "-1e-300", "1e15"]),
    ("REAL", &["1.0", "-0.5"]),
    (
        "FLOAT",
        &["5e-324", "1.7976931348623157e308", "9007199254740993"],
    ),
    ("NUMERIC", &["0.1", "9223372036854775807", "1e-20"]),
    ("DECIMAL(10,2)", &["1.25"]),
    ("VARCHAR(255)", &["char(9)"]),
    ("CLOB", &["'1'"]),
    ("VARBINARY(16)", &["x'20'"]),
    (
        "VARCHAR(50)",
        &["''", "' '", "'ü日本'", "'it''s' || char(9, 10, 13, 92)"],
    ),
    ("TEXT", &["''", "'NULL'", "char(128512)"]),
    ("BLOB", &["x''", "x'00ff5c'", "zeroblob(5000)"]),
    ("DECIMAL(20,4)", &["1.5", "-0.001", "123456789012"]),
    ("BOOLEAN", &["TRUE", "FALSE"]),
    ("DATE", &["'2024-02-29'", "'1000-01-01'", "'9999-12-31'"]),
    (
        "DATETIME",
        &["'2024-02-29 12:00:00'", "'1969-12-31 23:59:59'"],
    ),
    ("TIME", &["'00:00:01'", "'23:59:59'"]),
    ("TIMESTAMP", &["'0001-01-01 00:00:00'"]),
    ("TIMESTAMP WITH TIME ZONE", &["'2024-02-29 12:00:00+00:00'"]),
    ("UUID", &["'00000000-0000-0000-0000-000000000000'"]),
    ("JSON", &["'{}'", "'{\"b\":1,  \"a\":2, \"a\":3}'"]),
    ("JSONB", &["x'0c'"]),
];

/// What SQLite's own columns have besides, and no other engine's.
const LOOSE: Types = &[
    ("ANY", &["9e999", "'a' || char(0)"]),
    ("GEOMETRY", &["'1.50'", "x''"]),
    ("", &["1.0", "1", "'1'", "x'31'"]),
];

/// A double that MySQL has not.
const INFINITE: Types = &[("REAL", &["9e999", "-9e999"])];

/// A character that PostgreSQL's texts have not.
const ZERO: Types = &[("TEXT", &["'a' || char(0) || 'b'"])];

/// Whether the server has the type.
fn has(engine: Engine, kind: &str) -> bool {
    match kind.split('(').next() {
        Some("uuid" | "inet4" | "inet6") => engine != Engine::Mysql97,
        // since 11.7
        Some("vector") => engine != Engine::Maria1011,
        _ => true,
    }
}

/// What goes from the one to the other and back.
pub(crate) fn lists(source: Engine, target: Engine) -> Vec<Types> {
    let own = |kind: &str| has(source, kind) && (!target.is_mysql() || has(target, kind));
    if source.is_mysql() {
        let mut out = vec![MYSQL, MORE_MYSQL];
        out.extend(own("vector(3)").then_some(VECTORS));
        out.extend(own("uuid").then_some(OF_MARIADB));
        out.extend(
            (source == Engine::Maria118 && target != Engine::Mysql97).then_some(OF_MARIADB_118),
        );
        return out;
    }
    match (source.is_sqlite(), target) {
        (true, Engine::Sqlite) => vec![SQLITE, LOOSE, INFINITE, ZERO],
        (true, target) if target.is_mysql() => vec![SQLITE, ZERO],
        (true, _) => vec![SQLITE, INFINITE],
        (false, target) if target.is_mysql() => {
            vec![POSTGRES_HELD_BY_MYSQL, POSTGRES_TEXTS, MORE_POSTGRES]
        }
        (false, _) => vec![POSTGRES, POSTGRES_TEXTS, MORE_POSTGRES, WIDE_POSTGRES],
    }
}

/// A type of the lists, as `docs/types.md` writes it.
fn documented(kind: &str, source: Engine) -> String {
    if source.is_sqlite() {
        return kind.to_owned();
    }
    if source.is_mysql() {
        // which words these have is theirs
        let own = kind
            .split('(')
            .next()
            .filter(|base| matches!(*base, "enum" | "set"));
        return own.unwrap_or(kind).trim_end_matches(" NULL").to_owned();
    }
    let long = match kind {
        "varbit" => "bit varying",
        "time" => "time without time zone",
        "timestamp" => "timestamp without time zone",
        "timestamptz" => "timestamp with time zone",
        "hstore" => "public.hstore",
        "mood" => "public.an_enum",
        "pair" => "public.a_composite",
        "positive" => "public.a_domain_over_integer",
        _ => kind,
    };
    match kind.strip_prefix("char(") {
        Some(length) => format!("character({length}"),
        None => long.to_owned(),
    }
}

/// The name that `docs/types.md` has for an engine.
fn title(engine: Engine) -> &'static str {
    match engine {
        _ if engine.is_mysql() => "MySQL, MariaDB",
        Engine::Sqlite => "SQLite",
        _ => "PostgreSQL",
    }
}

/// The types that `docs/types.md` has for a pair, but for those of which something is lost.
fn promised(source: Engine, target: Engine) -> Vec<String> {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/types.md");
    let page = std::fs::read_to_string(page).expect("the page of types");
    let heading = format!("\n## {} to {}\n", title(source), title(target));
    let (_, section) = page
        .split_once(&heading)
        .unwrap_or_else(|| panic!("no section{heading}"));
    let section = section.split("\n## ").next().unwrap_or_default();
    let rows = section
        .lines()
        .filter(|line| line.starts_with("| `") || line.starts_with("| (no type)"));
    rows.filter(|row| !row.contains("**lossy**"))
        .map(|row| match row.split('`').nth(1) {
            Some(kind) if row.starts_with("| `") => kind.to_owned(),
            _ => String::new(),
        })
        .collect()
}

/// Every type that `docs/types.md` promises to hold goes there and back, from every server that has it to every other.
#[test]
fn no_type_of_the_page_of_types_is_left_out() {
    let mut left_out = BTreeSet::new();
    for (source, target) in crate::there_and_back::PAIRS {
        let (source, target) = (*source, *target);
        let listed: BTreeSet<String> = lists(source, target)
            .into_iter()
            .flatten()
            .map(|(kind, _)| documented(kind, source))
            .collect();
        let promised = promised(source, target);
        assert!(
            promised.len() > 20,
            "{source:?} to {target:?}: {promised:?}"
        );
        for kind in promised {
            // a server that lacks it has no column of it, and `plan` refuses one that would be made (`flavors.rs`)
            let both = has(source, &kind)
                && (!target.is_mysql() || !source.is_mysql() || has(target, &kind));
            if both && !listed.contains(&documented(&kind, source)) {
                left_out.insert(format!("{source:?} to {target:?}: {kind}"));
            }
        }
    }
    assert!(left_out.is_empty(), "no list has {left_out:#?}");
}
