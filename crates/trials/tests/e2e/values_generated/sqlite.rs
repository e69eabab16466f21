//! Values that SQLite's declared types are meant for.

use rand::Rng as _;
use rand::rngs::StdRng;

use super::{
    Ends, Value, arguments, base, bytes, clock, date, decimal, digits, double, json, one, text,
    uuid, words,
};

pub(super) fn value(kind: &str, ends: Ends, random: &mut StdRng) -> Option<Value> {
    let room = arguments(kind)
        .first()
        .map_or(40, |n| n.unsigned_abs() as usize);
    let years = if ends.to_mysql() || ends.to_postgres() {
        1..=9999
    } else {
        0..=9999
    };
    Some(match base(kind).as_str() {
        "integer" | "bigint" => words(random.random::<i64>() >> random.random_range(0..64)),
        "tinyint" => words(random.random::<i8>()),
        "boolean" => words(if random.random() { "TRUE" } else { "FALSE" }),
        "real" | "double" | "float" => words(format!("{:e}", double(random))),
        "decimal" | "numeric" => words(decimal(12, 4, random)),
        "text" | "varchar" | "clob" => Value::Text(text(room, random)),
        "blob" | "varbinary" => Value::Bytes(bytes(room, random)),
        "date" => words(format!("'{}'", date(years, random))),
        "time" => words(format!("'{}'", clock(0, random))),
        "timestamp" if kind.contains("ZONE") => words(format!(
            "'{} {}+00:00'",
            date(years, random),
            clock(0, random)
        )),
        "datetime" | "timestamp" => {
            words(format!("'{} {}'", date(years, random), clock(0, random)))
        }
        "uuid" => Value::Text(uuid(random)),
        // what looks like a number becomes one in a column of this type
        "json" => Value::Text(format!("[{}]", json(2, random))),
        "jsonb" => Value::Bytes(bytes(30, random)),
        "any" | "geometry" | "" => match random.random_range(0..5) {
            0 => words(random.random::<i64>()),
            1 => words(format!("{:e}", double(random))),
            2 => Value::Bytes(bytes(20, random)),
            3 => words(format!(
                "'{}'",
                digits(one(&[1, 5, 20, 30], random), random)
            )),
            _ => Value::Text(text(20, random)),
        },
        _ => return None,
    })
}
