//! Seeded values of every type: any that the source's type has and the target's holds (`docs/types.md`), not only its edges.

mod mysql;
mod postgres;
mod sqlite;

use crossfade_trials::Engine;
use crossfade_trials::database::Dialect;
use rand::Rng as _;
use rand::rngs::StdRng;

/// A value that can be written on any engine.
pub(crate) enum Value {
    Text(String),
    Bytes(Vec<u8>),
    /// What every engine reads alike, or what is for its own alone.
    Words(String),
}

impl Value {
    /// As a literal.
    pub(crate) fn sql(&self, dialect: Dialect) -> String {
        let hexadecimal = |bytes: &[u8]| -> String {
            let digits = bytes.iter().map(|byte| format!("{byte:02x}"));
            digits.collect()
        };
        match (self, dialect) {
            (Self::Words(words), _) => words.clone(),
            // no literal has a character NUL
            (Self::Text(text), Dialect::Mysql) if text.contains('\0') => {
                format!("CONVERT(x'{}' USING utf8mb4)", hexadecimal(text.as_bytes()))
            }
            (Self::Text(text), Dialect::Sqlite) if text.contains('\0') => {
                format!("CAST(x'{}' AS TEXT)", hexadecimal(text.as_bytes()))
            }
            // the sessions' backslashes are characters like others
            (Self::Text(text), _) => format!("'{}'", text.replace('\'', "''")),
            (Self::Bytes(bytes), Dialect::Postgres) => format!("'\\x{}'", hexadecimal(bytes)),
            (Self::Bytes(bytes), _) => format!("x'{}'", hexadecimal(bytes)),
        }
    }
}

fn words(text: impl std::fmt::Display) -> Value {
    Value::Words(text.to_string())
}

/// A text's literal that is for its own engine alone.
fn quoted(text: &str) -> Value {
    Value::Words(format!("'{}'", text.replace('\'', "''")))
}

/// Between which engines.
#[derive(Clone, Copy)]
pub(crate) struct Ends {
    pub(crate) source: Engine,
    pub(crate) target: Engine,
}

impl Ends {
    fn to_mysql(self) -> bool {
        self.target.is_mysql()
    }

    fn to_postgres(self) -> bool {
        !self.target.is_mysql() && !self.target.is_sqlite()
    }

    fn begins_in_postgres(self) -> bool {
        !self.source.is_mysql() && !self.source.is_sqlite()
    }
}

/// A value of the source's type.
///
/// # Panics
/// When the type is not known: each has a generator.
pub(crate) fn generated(kind: &str, ends: Ends, random: &mut StdRng) -> Value {
    let value = if ends.source.is_mysql() {
        mysql::value(kind, ends, random)
    } else if ends.source.is_sqlite() {
        sqlite::value(kind, ends, random)
    } else {
        postgres::value(kind, ends, random)
    };
    value.unwrap_or_else(|| panic!("no values are generated for {kind}"))
}

/// Whether the literals of a type mean the same on both sides, in the very form that comes back: else only what was moved
/// there is written anew.
pub(crate) fn is_written_alike(kind: &str, ends: Ends) -> bool {
    if ends.begins_in_postgres() && ends.to_postgres()
        || ends.source.is_sqlite() && ends.target.is_sqlite()
    {
        return true;
    }
    if kind.ends_with("[]") {
        return kind == "integer[]";
    }
    let base = base(kind);
    let upper = kind == kind.to_uppercase();
    match base.as_str() {
        "tinyint" | "smallint" | "mediumint" | "int" | "integer" | "bigint" | "year" | "text"
        | "tinytext" | "mediumtext" | "longtext" | "clob" | "varchar" | "blob" | "tinyblob"
        | "mediumblob" | "longblob" | "varbinary" | "bytea" | "date" | "boolean" | "uuid"
        | "datetime" | "mood" | "positive" | "int4range" | "enum" => true,
        "character" => kind.starts_with("character varying"),
        // what a store makes of a literal with a point is its own
        "decimal" | "numeric" => !ends.source.is_sqlite() && !ends.target.is_sqlite(),
        "time" => upper || kind.contains("without") || ends.source.is_mysql() || kind == "time",
        "timestamp" => {
            kind == "TIMESTAMP" || ends.begins_in_postgres() && !kind.contains("with time")
        }
        _ => false,
    }
}

/// `varchar(20) COLLATE x` is `varchar`.
fn base(kind: &str) -> String {
    kind.split(['(', ' ']).next().unwrap_or(kind).to_lowercase()
}

/// The numbers in the parentheses.
fn arguments(kind: &str) -> Vec<i32> {
    let inside = kind.split_once('(').map_or("", |(_, rest)| rest);
    let inside = inside.split(')').next().unwrap_or_default();
    inside
        .split(',')
        .filter_map(|a| a.trim().parse().ok())
        .collect()
}

fn one<T: Clone>(of: &[T], random: &mut StdRng) -> T {
    of[random.random_range(0..of.len())].clone()
}

/// What breaks parsers, and what is more than a byte, more than two, or more than one character.
const PIECES: &[&str] = &[
    "a",
    "Z",
    "7",
    " ",
    "  ",
    "'",
    "\"",
    "`",
    "\\",
    "\\N",
    "\\.",
    "\\x41",
    "%",
    "_",
    ";",
    ",",
    "{",
    "}",
    "(",
    "[",
    "\t",
    "\n",
    "\r\n",
    "\r",
    "\u{1}",
    "\u{1a}",
    "\u{7f}",
    "\u{85}",
    "\u{a0}",
    "é",
    "e\u{301}",
    "ß",
    "İ",
    "日本",
    "\u{feff}",
    "\u{2028}",
    "\u{fffd}",
    "\u{e000}",
    "\u{10ffff}",
    "😀",
    "👨\u{200d}👩",
    "NULL",
    "--",
    "/*",
    "$1",
    "?",
    ":x",
    "true",
    "1e5",
    "الله",
];

/// A text of at most so many characters; one in four ends with blanks.
fn text(most: usize, random: &mut StdRng) -> String {
    let mut out = String::new();
    let length = random.random_range(0..=most.min(24));
    let mut left = length;
    while left > 0 {
        let piece = one(PIECES, random);
        let short: String = piece.chars().take(left).collect();
        left -= short.chars().count();
        out.push_str(&short);
    }
    if random.random_range(0..4) == 0 && length < most {
        out.push(' ');
    }
    out
}

/// At most so many bytes; some end with zeros or blanks.
fn bytes(most: usize, random: &mut StdRng) -> Vec<u8> {
    let length = random.random_range(0..=most.min(40));
    let mut out: Vec<u8> = (0..length).map(|_| random.random()).collect();
    if let (1..=2, Some(last)) = (random.random_range(0..6), out.last_mut()) {
        *last = one(&[0, b' ', b'\\', 0xff], random);
    }
    out
}

/// Finite, of any size, often no fraction of ten.
fn double(random: &mut StdRng) -> f64 {
    loop {
        let value = f64::from_bits(random.random());
        if value.is_finite() {
            return value;
        }
    }
}

fn single(random: &mut StdRng) -> f32 {
    loop {
        let value = f32::from_bits(random.random());
        if value.is_finite() {
            return value;
        }
    }
}

fn digits(count: usize, random: &mut StdRng) -> String {
    let digit = |_| char::from(b'0' + random.random_range(0..10u8));
    (0..count).map(digit).collect()
}

/// Digits before and behind the point, at most so many.
fn decimal(whole: usize, scale: usize, random: &mut StdRng) -> String {
    let (whole, scale) = (
        random.random_range(0..=whole),
        random.random_range(0..=scale),
    );
    let sign = if random.random() { "-" } else { "" };
    let whole = digits(whole, random);
    match digits(scale, random).as_str() {
        "" => format!("{sign}0{whole}"),
        fraction => format!("{sign}0{whole}.{fraction}"),
    }
}

/// A day that every calendar has.
fn date(years: std::ops::RangeInclusive<i32>, random: &mut StdRng) -> String {
    let year = random.random_range(years);
    let (month, day) = (random.random_range(1..=12), random.random_range(1..=28));
    format!("{year:04}-{month:02}-{day:02}")
}

/// A time of day with so many digits of its seconds.
fn clock(digits: usize, random: &mut StdRng) -> String {
    let (hour, minute, second) = (
        random.random_range(0..24),
        random.random_range(0..60),
        random.random_range(0..60),
    );
    let whole = format!("{hour:02}:{minute:02}:{second:02}");
    match self::digits(digits, random).as_str() {
        "" => whole,
        fraction => format!("{whole}.{fraction}"),
    }
}

fn uuid(random: &mut StdRng) -> String {
    let hexadecimal = format!("{:032x}", random.random::<u128>());
    let (a, b) = hexadecimal.split_at(12);
    format!(
        "{}-{}-{}-{}-{}",
        &a[..8],
        &a[8..],
        &b[..4],
        &b[4..8],
        &b[8..]
    )
}

/// Four numbers, or eight of sixteen bits of which some are zero, in the short form.
fn address(six: bool, random: &mut StdRng) -> String {
    if !six {
        return std::net::Ipv4Addr::from(random.random::<u32>()).to_string();
    }
    let mask = one(
        &[u128::MAX, 0xffff << 112 | 0xffff, 0xffff_0000_ffff, 0],
        random,
    );
    std::net::Ipv6Addr::from(random.random::<u128>() & mask).to_string()
}

/// What JSON has numbers of: some that are only another's other form, some beyond a double's exactness, and others beyond 64 bits.
const JSON_NUMBERS: &[&str] = &[
    "0",
    "-0",
    "1",
    "1.0",
    "-0.0",
    "1e2",
    "1E+2",
    "0.1",
    "1.10",
    "9007199254740993",
    "-9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "123456789012345678901234567890",
    "1.7976931348623157e308",
    "5e-324",
    "0.30000000000000004",
    "123456.789012345678901",
];

const JSON_PIECES: &[&str] = &[
    "a",
    " ",
    "\\n",
    "\\t",
    "\\\\",
    "\\\"",
    "\\/",
    "\\u00e9",
    "\\ud83d\\ude00",
    "\\u0001",
    "é",
    "e\u{301}",
    "😀",
    "'",
    "%",
    "<",
    "\u{2028}",
    "\u{7f}",
];

/// A JSON document; blanks between, and the numbers that are named.
fn json(depth: u32, random: &mut StdRng) -> String {
    let string = |random: &mut StdRng| {
        let length = random.random_range(0..5);
        let inner: String = (0..length).map(|_| one(JSON_PIECES, random)).collect();
        format!("\"{inner}\"")
    };
    let count = random.random_range(0..4);
    match random.random_range(0..if depth == 0 { 4 } else { 8 }) {
        0 => one(JSON_NUMBERS, random).to_owned(),
        1 => one(&["true", "false", "null"], random).to_owned(),
        2 | 3 => string(random),
        4 | 5 => {
            let items: Vec<String> = (0..count).map(|_| json(depth - 1, random)).collect();
            format!("[{}]", items.join(one(&[",", ", ", " ,\n"], random)))
        }
        _ => {
            // each key once: of two alike one store keeps the first and another the last
            let members: Vec<String> = (0..count)
                .map(|at| format!("\"{at}{}:{}", &string(random)[1..], json(depth - 1, random)))
                .collect();
            format!("{{{}}}", members.join(one(&[",", ", "], random)))
        }
    }
}
