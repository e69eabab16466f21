//! Values of the types of MySQL and MariaDB.

use rand::Rng as _;
use rand::rngs::StdRng;

use super::{
    Ends, Value, address, arguments, base, bytes, clock, date, decimal, digits, double, json, one,
    single, text, uuid, words,
};

/// The words of an `enum` or a `set`, as they are declared, and so for SQL.
fn declared(kind: &str) -> Vec<String> {
    let inside = kind
        .split_once('(')
        .map_or("", |(_, rest)| rest.trim_end_matches(')'));
    let words = inside
        .split("',")
        .map(|word| word.trim_matches('\'').to_owned());
    words.collect()
}

fn coordinates(random: &mut StdRng) -> String {
    let coordinate = |random: &mut StdRng| match random.random_range(0..3) {
        0 => random.random_range(-180..=180).to_string(),
        1 => format!("{:e}", double(random)),
        _ => format!("{}.{}", random.random_range(-90..=90), digits(7, random)),
    };
    format!("{} {}", coordinate(random), coordinate(random))
}

fn shape(kind: &str, random: &mut StdRng) -> String {
    match kind {
        "point" => format!("POINT({})", coordinates(random)),
        "linestring" => {
            let count = random.random_range(2..5);
            let points: Vec<String> = (0..count).map(|_| coordinates(random)).collect();
            format!("LINESTRING({})", points.join(","))
        }
        "polygon" => {
            let (x, y) = (random.random_range(-99..99), random.random_range(-99..99));
            let (right, up) = (x + random.random_range(1..9), y + random.random_range(1..9));
            format!("POLYGON(({x} {y},{right} {y},{right}.5 {up},{x} {y}))")
        }
        "geometrycollection" => {
            let of = one(&["point", "linestring", "polygon"], random);
            format!(
                "GEOMETRYCOLLECTION({},{})",
                shape("point", random),
                shape(of, random)
            )
        }
        _ => shape(
            one(
                &["point", "linestring", "polygon", "geometrycollection"],
                random,
            ),
            random,
        ),
    }
}

fn integer(bits: u32, unsigned: bool, random: &mut StdRng) -> Value {
    let value: u64 = random.random::<u64>() >> random.random_range(0..bits);
    match unsigned {
        true => words(value >> (64 - bits)),
        false => words((value as i64) >> (64 - bits)),
    }
}

/// Bytes that a column takes of a text's, at most.
fn room(kind: &str, base: &str) -> usize {
    let given = arguments(kind).first().map(|n| n.unsigned_abs() as usize);
    match base {
        "tinytext" | "tinyblob" => 60,
        _ => given.unwrap_or(40),
    }
}

fn characters(kind: &str, ends: Ends, random: &mut StdRng) -> String {
    let base = base(kind);
    if kind.contains("latin1") {
        let length = random.random_range(0..20);
        return (0..length)
            .map(|_| one(&['a', ' ', '\'', '\\', '\n', 'ü', 'ÿ', '¡', '€'], random))
            .collect();
    }
    let mut text = text(room(kind, &base), random);
    if !ends.to_postgres() && text.starts_with(['a', 'Z']) {
        text.replace_range(..1, "\0");
    }
    match base.as_str() {
        // blanks at its end are no part of a char(n)
        "char" => text.trim_end_matches(' ').to_owned(),
        _ => text,
    }
}

pub(super) fn value(kind: &str, ends: Ends, random: &mut StdRng) -> Option<Value> {
    let base = base(kind);
    let unsigned = kind.contains("unsigned");
    let given = arguments(kind);
    // digits of a second's fraction
    let fraction = given.first().map_or(0, |n| n.unsigned_abs() as usize);
    Some(match base.as_str() {
        "tinyint" => integer(8, unsigned, random),
        "smallint" => integer(16, unsigned, random),
        "mediumint" => integer(24, unsigned, random),
        "int" => integer(32, unsigned, random),
        "bigint" => integer(64, unsigned, random),
        "year" => words(random.random_range(1901..=2155)),
        "decimal" => {
            let [precision, scale] = given.as_slice() else {
                return None;
            };
            let text = decimal((precision - scale) as usize, *scale as usize, random);
            words(if unsigned {
                text.trim_start_matches('-')
            } else {
                &text
            })
        }
        "float" => words(format!("{:e}", single(random))),
        "double" => words(format!("{:e}", double(random))),
        "bit" => {
            let bits = (0..fraction).map(|_| if random.random() { '1' } else { '0' });
            words(format!("b'{}'", bits.collect::<String>()))
        }
        "char" | "varchar" | "tinytext" | "text" | "mediumtext" | "longtext" => {
            Value::Text(characters(kind, ends, random))
        }
        "binary" | "varbinary" | "tinyblob" | "blob" | "mediumblob" | "longblob" => {
            Value::Bytes(bytes(room(kind, &base), random))
        }
        "enum" => words(format!("'{}'", one(&declared(kind), random))),
        "set" => {
            let mut chosen = declared(kind);
            chosen.retain(|_| random.random());
            words(format!("'{}'", chosen.join(",")))
        }
        "json" => Value::Text(json(3, random)),
        "date" => words(format!("'{}'", date(1..=9999, random))),
        "datetime" => words(format!(
            "'{} {}'",
            date(1..=9999, random),
            clock(fraction, random)
        )),
        "timestamp" => words(format!(
            "'{} {}'",
            date(1971..=2037, random),
            clock(fraction, random)
        )),
        "time" => {
            let (minus, hours) = (one(&["", "-"], random), random.random_range(0..838));
            let clock = clock(fraction, random);
            words(format!("'{minus}{hours:02}:{}'", &clock[3..]))
        }
        "point" | "linestring" | "polygon" | "geometrycollection" | "geometry" => {
            words(format!("ST_GeomFromText('{}')", shape(&base, random)))
        }
        "vector" => {
            // the square of its length is a single too
            let number = |_| random.random::<i32>() as f32 / 1024.0;
            let numbers = (0..fraction).map(number).flat_map(f32::to_le_bytes);
            Value::Bytes(numbers.collect())
        }
        "uuid" => {
            // servers refuse those that are of no variant and version, older ones also of versions that came later
            let mut text = uuid(random);
            text.replace_range(14..15, one(&["1", "3", "4", "5"], random));
            text.replace_range(19..20, one(&["8", "9", "a", "b"], random));
            Value::Text(text)
        }
        "inet4" => Value::Text(address(false, random)),
        "inet6" => Value::Text(address(true, random)),
        _ => return None,
    })
}
