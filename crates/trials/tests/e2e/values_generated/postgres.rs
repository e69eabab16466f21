//! Values of PostgreSQL's types.

use rand::Rng as _;
use rand::rngs::StdRng;

use super::{
    Ends, Value, address, arguments, bytes, clock, date, decimal, digits, double, json, one,
    quoted, single, text, uuid, words,
};

/// A number in a geometric type.
fn coordinate(random: &mut StdRng) -> String {
    match random.random_range(0..3) {
        0 => random.random_range(-9..=9).to_string(),
        1 => format!("{:e}", double(random)),
        _ => format!("{}.{}", random.random_range(-99..=99), digits(3, random)),
    }
}

fn point(random: &mut StdRng) -> String {
    format!("({},{})", coordinate(random), coordinate(random))
}

fn points(random: &mut StdRng) -> String {
    let count = random.random_range(1..5);
    let points: Vec<String> = (0..count).map(|_| point(random)).collect();
    points.join(",")
}

/// A day; before our era too where the target has such.
fn day(ends: Ends, last: i32, random: &mut StdRng) -> String {
    if ends.to_mysql() {
        return date(1..=9999, random);
    }
    match random.random_range(0..4) {
        0 => format!("{} BC", date(1..=4712, random)),
        1 => date(10_000..=last, random),
        _ => date(1..=9999, random),
    }
}

fn moment(ends: Ends, digits: usize, zone: &str, random: &mut StdRng) -> String {
    let day = day(ends, 294_275, random);
    let (day, era) = day
        .split_once(' ')
        .map_or((day.as_str(), ""), |(day, _)| (day, " BC"));
    format!("{day} {}{zone}{era}", clock(digits, random))
}

/// Two numbers in order, with brackets.
fn range(random: &mut StdRng, from: i32) -> (String, i32) {
    let to = from + random.random_range(1..1000);
    (format!("[{from},{to})"), to)
}

/// An element of an array or a composite, quoted.
fn element(random: &mut StdRng) -> String {
    if random.random_range(0..6) == 0 {
        return "NULL".to_owned();
    }
    let text = text(8, random).replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{text}\"")
}

/// A list in braces, now and then of lists, now and then counted from elsewhere.
fn array(mut element: impl FnMut(&mut StdRng) -> String, random: &mut StdRng) -> String {
    let mut row = |count: usize, random: &mut StdRng| {
        let elements: Vec<String> = (0..count).map(|_| element(random)).collect();
        format!("{{{}}}", elements.join(","))
    };
    let count = random.random_range(0..4);
    match random.random_range(0..5) {
        0 => format!("{{{},{}}}", row(count + 1, random), row(count + 1, random)),
        1 => format!("[{}:{}]={}", -2, count as i32 - 2, row(count + 1, random)),
        _ => row(count, random),
    }
}

fn lexeme(random: &mut StdRng) -> String {
    let text: String = text(6, random);
    format!("'x{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

fn bits(count: usize, random: &mut StdRng) -> String {
    (0..count)
        .map(|_| if random.random() { '1' } else { '0' })
        .collect()
}

fn number(kind: &str, ends: Ends, random: &mut StdRng) -> String {
    match arguments(kind).as_slice() {
        [precision, scale] if *scale < 0 => {
            let whole = decimal((*precision).unsigned_abs() as usize, 0, random);
            format!("{whole}{}", "0".repeat(scale.unsigned_abs() as usize))
        }
        [precision, scale] => {
            let (whole, scale) = ((precision - scale) as usize, *scale as usize);
            match ends.to_mysql() {
                true => decimal(whole.min(35), scale.min(30), random),
                false => decimal(whole, scale, random),
            }
        }
        _ if ends.to_mysql() => decimal(35, 30, random),
        _ => decimal(60, 60, random),
    }
}

fn interval(random: &mut StdRng) -> String {
    format!(
        "{} years {} mons {} days {}{}:{}",
        random.random_range(-3000..3000),
        random.random_range(-11..12),
        random.random_range(-40..40),
        one(&["", "-"], random),
        random.random_range(0..400),
        clock(random.random_range(0..=6), random)
            .split_once(':')
            .map_or("", |(_, rest)| rest)
    )
}

/// Text and marks that stand in an XML document as they are.
fn xml(random: &mut StdRng) -> String {
    let inner = one(
        &[
            "",
            "x &amp; y",
            "é😀",
            "<![CDATA[<&>]]>",
            "<b/>",
            " \n\t",
            "&#233;",
            "<!-- c -->",
        ],
        random,
    );
    format!(
        "<a b=\"{}\">{inner}</a>",
        one(&["", "1", "&lt;", "'"], random)
    )
}

fn path(random: &mut StdRng) -> String {
    let inner = one(
        &[
            "$",
            "$.a",
            "$.\"b c\"[*]",
            "$.a[0 to 2].**{2}",
            "strict $.x",
        ],
        random,
    );
    match random.random_range(0..2) {
        0 => inner.to_owned(),
        _ => format!(
            "{inner} ? (@ > {} && @.n like_regex \"^x\\\\d\")",
            random.random_range(0..99)
        ),
    }
}

fn hstore(random: &mut StdRng) -> String {
    let count = random.random_range(0..4);
    let pairs: Vec<String> = (0..count)
        .map(|at| {
            let key = text(6, random).replace('\\', "\\\\").replace('"', "\\\"");
            format!("\"{at}{key}\"=>{}", element(random))
        })
        .collect();
    pairs.join(", ")
}

fn network(kind: &str, random: &mut StdRng) -> String {
    let six = random.random();
    let masked = random.random_range(0..=if six { 128 } else { 32 });
    let whole = format!("set_masklen('{}'::inet, {masked})", address(six, random));
    match kind {
        "cidr" => format!("network({whole})"),
        _ => whole,
    }
}

fn hexadecimal(count: usize, random: &mut StdRng) -> String {
    let pairs: Vec<String> = (0..count)
        .map(|_| format!("{:02x}", random.random::<u8>()))
        .collect();
    pairs.join(":")
}

pub(super) fn value(kind: &str, ends: Ends, random: &mut StdRng) -> Option<Value> {
    let given = arguments(kind).first().map(|n| n.unsigned_abs() as usize);
    let fraction = random.random_range(0..=given.unwrap_or(6));
    let integer = |random: &mut StdRng| match random.random_range(0..5) {
        0 => "NULL".to_owned(),
        _ => random.random::<i32>().to_string(),
    };
    Some(match kind {
        "boolean" => words(if random.random() { "true" } else { "false" }),
        "smallint" => words(random.random::<i16>()),
        "integer" => words(random.random::<i32>()),
        "bigint" => words(random.random::<i64>()),
        "real" => words(format!("{:e}", single(random))),
        "double precision" => words(format!("{:e}", double(random))),
        "money" => words(format!(
            "'{}.{}'",
            random.random_range(-92_233_720_368_547_757i64..92_233_720_368_547_757),
            digits(2, random)
        )),
        "text" | "character varying" => Value::Text(text(24, random)),
        "name" => Value::Text(text(15, random)),
        "\"char\"" => quoted(&char::from(random.random_range(1..128u8)).to_string()),
        "bytea" => Value::Bytes(bytes(40, random)),
        "date" => words(format!("'{}'", day(ends, 5_874_896, random))),
        "uuid" => Value::Text(uuid(random)),
        "json" => Value::Text(json(3, random)),
        "jsonb" => quoted(&json(3, random)),
        "jsonpath" => quoted(&path(random)),
        "xml" => quoted(&xml(random)),
        "interval" => quoted(&interval(random)),
        "time with time zone" => words(format!(
            "'{}{:+03}:{:02}'",
            clock(fraction, random),
            random.random_range(-15..=15),
            random.random_range(0..60)
        )),
        "varbit" | "bit varying" => {
            words(format!("B'{}'", bits(random.random_range(0..70), random)))
        }
        "inet" | "cidr" => words(network(kind, random)),
        "macaddr" => quoted(&hexadecimal(6, random)),
        "macaddr8" => quoted(&hexadecimal(8, random)),
        "point" => quoted(&point(random)),
        "line" => quoted(&format!(
            "{{{},{},{}}}",
            random.random_range(1..9),
            coordinate(random),
            coordinate(random)
        )),
        "lseg" => quoted(&format!("[{},{}]", point(random), point(random))),
        "box" => quoted(&format!("{},{}", point(random), point(random))),
        "path" if random.random() => quoted(&format!("[{}]", points(random))),
        "path" | "polygon" => quoted(&format!("({})", points(random))),
        "circle" => quoted(&format!(
            "<{},{}.{}>",
            point(random),
            random.random_range(0..99),
            digits(2, random)
        )),
        "tsvector" => quoted(&format!(
            "{}:1A,3 {}:2 {}",
            lexeme(random),
            lexeme(random),
            lexeme(random)
        )),
        "tsquery" => quoted(&format!(
            "{} & !({}:*AB | {}) <2> {}",
            lexeme(random),
            lexeme(random),
            lexeme(random),
            lexeme(random)
        )),
        "int4range" => {
            let from = random.random_range(-1_000_000..1_000_000);
            Value::Text(range(random, from).0)
        }
        "int4multirange" | "nummultirange" => {
            let from = random.random_range(-1_000_000..1_000_000);
            let (one, to) = range(random, from);
            let (other, _) = range(random, to + 1);
            quoted(&format!("{{{one},{other}}}"))
        }
        "numrange" => {
            let (whole, scale) = (random.random_range(-99..99), random.random_range(0..5));
            let low = format!("{whole}.{}", digits(scale + 1, random));
            let (open, close) = (one(&["[", "("], random), one(&["]", ")"], random));
            quoted(&format!(
                "{open}{low},{}{close}",
                one(&["", "1e9", "100.00"], random)
            ))
        }
        "tstzrange" => {
            let from = format!(
                "{} {}+00",
                date(1000..=1999, random),
                clock(fraction, random)
            );
            let to = format!(
                "{} {}+05:45",
                date(2000..=2999, random),
                clock(fraction, random)
            );
            quoted(&format!(
                "[\"{from}\",{})",
                one(&[&format!("\"{to}\""), "", "infinity"], random)
            ))
        }
        "integer[]" => {
            let count = random.random_range(0..5);
            let numbers: Vec<String> = (0..count).map(|_| integer(random)).collect();
            Value::Text(format!("{{{}}}", numbers.join(",")))
        }
        "bigint[]" => quoted(&array(integer, random)),
        "text[]" => quoted(&array(element, random)),
        "numeric(10,2)[]" => quoted(&array(|random| decimal(8, 2, random), random)),
        "mood[]" => quoted(&array(
            |random| (one(&["\"so so\"", "Ünhappy", "NULL", "it's"], random)).to_owned(),
            random,
        )),
        "oid" => words(random.random::<u32>()),
        "xid8" => words(format!("'{}'", random.random::<u64>())),
        "pg_lsn" => words(format!(
            "'{:X}/{:X}'",
            random.random::<u32>(),
            random.random::<u32>()
        )),
        "mood" => quoted(one(&["so so", "Ünhappy", "it's"], random)),
        "positive" => words(random.random_range(1..=i32::MAX)),
        "pair" => {
            let text = element(random);
            let text = if text == "NULL" { "" } else { &text };
            quoted(&format!("({},{text})", integer(random).replace("NULL", "")))
        }
        "pair[]" => {
            let inner = |random: &mut StdRng| {
                let text = text(5, random).replace('\\', "\\\\").replace('"', "\\\"");
                let composite = format!("({},\"{text}\")", integer(random).replace("NULL", ""));
                format!(
                    "\"{}\"",
                    composite.replace('\\', "\\\\").replace('"', "\\\"")
                )
            };
            quoted(&array(inner, random))
        }
        "hstore" => quoted(&hstore(random)),
        _ if kind.starts_with("numeric") => words(number(kind, ends, random)),
        // blanks at its end are no part of a character(n)
        _ if kind.starts_with("char(") || kind.starts_with("character(") => {
            Value::Text(text(given?, random).trim_end_matches(' ').to_owned())
        }
        _ if kind.starts_with("varchar(") || kind.starts_with("character varying(") => {
            Value::Text(text(given?, random))
        }
        _ if kind.starts_with("bit(") => words(format!("B'{}'", bits(given?, random))),
        _ if kind.starts_with("timestamptz") || kind.contains("with time zone") => {
            let zone = one(&["+00", "+02", "-09:30", "+14"], random);
            quoted(&moment(ends, fraction, zone, random))
        }
        _ if kind.starts_with("timestamp") => {
            words(format!("'{}'", moment(ends, fraction, "", random)))
        }
        _ if kind.starts_with("time") => words(format!("'{}'", clock(fraction, random))),
        _ => return None,
    })
}
