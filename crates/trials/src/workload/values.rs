//! Random values as SQL literals.

use rand::Rng;
use rand::rngs::StdRng;

use crate::compare::literal;
use crate::database::Dialect;
use crate::sqlite::hexadecimal;

/// An account's columns, as [`account`] fills them.
pub const ACCOUNT_COLUMNS: [&str; 9] = [
    "id", "email", "name", "balance", "active", "rating", "born", "seen", "avatar",
];
/// An order's columns, as [`order`] fills them.
pub const ORDER_COLUMNS: [&str; 6] = ["region", "no", "account_id", "state", "amount", "placed"];

/// An account.
#[must_use]
pub fn account(dialect: Dialect, id: u32, random: &mut StdRng) -> Vec<String> {
    vec![
        id.to_string(),
        email(id, random),
        nullable(random, text),
        decimal(random, 4),
        if random.random() { "TRUE" } else { "FALSE" }.to_owned(),
        nullable(random, double),
        nullable(random, date),
        nullable(random, |random| moment(dialect, random, true)),
        nullable(random, |random| bytes(dialect, random, 24)),
    ]
}

/// An address that is nearly always unique.
#[must_use]
pub fn email(id: u32, random: &mut StdRng) -> String {
    literal(&format!(
        "user{id}.{}@example.invalid",
        random.random_range(0..1_000_000)
    ))
}

/// An order.
#[must_use]
pub fn order(region: u32, no: u32, account: u32, random: &mut StdRng) -> Vec<String> {
    let state = ["new", "paid", "sent"][random.random_range(0..3)];
    vec![
        region.to_string(),
        no.to_string(),
        account.to_string(),
        literal(state),
        nullable(random, |random| decimal(random, 2)),
        nullable(random, |random| moment(Dialect::Sqlite, random, false)),
    ]
}

/// The identity of document `i`.
#[must_use]
pub fn document_id(i: u32) -> String {
    // neighbours in number are far apart in order
    let mixed = u128::from(i).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835);
    let digits = format!("{mixed:032x}");
    literal(&format!(
        "{}-{}-{}-{}-{}",
        &digits[..8],
        &digits[8..12],
        &digits[12..16],
        &digits[16..20],
        &digits[20..]
    ))
}

/// Word `i`: upper and lower case, accents and other scripts, which collations order in their own ways.
#[must_use]
pub fn word(i: u32) -> String {
    let starts = [
        "a", "B", "é", "Z", "ß", "ж", "中", "_", "ae", "Ä", "ǅ", "🦀", "a b", "-",
    ];
    let start = starts[(i as usize) % starts.len()];
    literal(&format!("{start}{}", i / 2))
}

/// Day `i`.
#[must_use]
pub fn day(i: u32) -> String {
    literal(&format!(
        "20{:02}-{:02}-{:02}",
        i % 37,
        1 + i % 12,
        1 + i % 28
    ))
}

/// A code of bytes; some are prefixes of others, some end in zeros.
#[must_use]
pub fn code(dialect: Dialect, i: u32) -> String {
    let mut code = (i / 3).to_le_bytes().to_vec();
    code.truncate(2 + (i % 3) as usize);
    blob(dialect, &code)
}

/// An event: few different ones, so that many are equal.
#[must_use]
pub fn event(random: &mut StdRng) -> Vec<String> {
    vec![
        nullable(random, |random| {
            literal(["seen", "sold", ""][random.random_range(0..3)])
        }),
        nullable(random, |random| random.random_range(0..6).to_string()),
        nullable(random, |random| {
            literal(&format!("{{\"n\": {}}}", random.random_range(0..3)))
        }),
    ]
}

/// A bill.
#[must_use]
pub fn bill(random: &mut StdRng) -> Vec<String> {
    vec![
        random.random_range(1..100).to_string(),
        decimal(random, 3),
        nullable(random, |random| {
            format!("ARRAY[{}, NULL, {}]::text[]", text(random), text(random))
        }),
    ]
}

/// A short text with what needs care.
#[must_use]
pub fn text(random: &mut StdRng) -> String {
    let parts = [
        "",
        " ",
        "plain",
        "it's",
        "\\N",
        "\\.",
        "tab\there",
        "line\nbreak",
        "Grüße",
        "日本語",
        "a,b;c",
        "\"quoted\"",
        "NULL",
        "{}",
        "%s",
        "trailing ",
    ];
    let count = random.random_range(0..4);
    let text: String = (0..count)
        .map(|_| parts[random.random_range(0..parts.len())])
        .collect();
    literal(&text)
}

/// A text that does not compress, large enough to be stored out of line.
#[must_use]
pub fn large_text(random: &mut StdRng) -> String {
    let length = random.random_range(2_500..6_000);
    let letters = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
    let text: String = (0..length)
        .map(|_| char::from(letters[random.random_range(0..letters.len())]))
        .collect();
    literal(&text)
}

/// Some bytes.
#[must_use]
pub fn bytes(dialect: Dialect, random: &mut StdRng, most: usize) -> String {
    let length = random.random_range(0..=most);
    let bytes: Vec<u8> = (0..length).map(|_| random.random()).collect();
    blob(dialect, &bytes)
}

fn blob(dialect: Dialect, bytes: &[u8]) -> String {
    match dialect {
        Dialect::Postgres => format!("'\\x{}'", hexadecimal(bytes)),
        Dialect::Sqlite | Dialect::Mysql => format!("x'{}'", hexadecimal(bytes)),
    }
}

/// A decimal of up to eleven digits, which a double holds exactly enough to be read back.
#[must_use]
pub fn decimal(random: &mut StdRng, scale: u32) -> String {
    let unit = 10_i64.pow(scale);
    let value: i64 = random.random_range(-9_999_999..9_999_999);
    let sign = if value < 0 { "-" } else { "" };
    let value = value.abs();
    format!(
        "{sign}{}.{:0width$}",
        value / unit,
        value % unit,
        width = scale as usize
    )
}

fn double(random: &mut StdRng) -> String {
    // seventeen digits bring back every double
    match random.random_range(0..4) {
        0 => format!("{:e}", random.random_range(-1.0e300..1.0e300_f64)),
        1 => format!("{:e}", random.random_range(-1.0..1.0_f64)),
        2 => format!(
            "{:.1}",
            f64::from(random.random_range(-1_000_000..1_000_000_i32))
        ),
        _ => "0.1".to_owned(),
    }
}

fn date(random: &mut StdRng) -> String {
    literal(&format!(
        "{:04}-{:02}-{:02}",
        random.random_range(1900..2100),
        random.random_range(1..=12),
        random.random_range(1..=28)
    ))
}

fn moment(dialect: Dialect, random: &mut StdRng, zone: bool) -> String {
    let fraction = ["", ".5", ".125", ".000001", ".999999"][random.random_range(0..5)];
    let zone = match (zone, dialect) {
        // the session's zone is UTC
        (false, _) | (true, Dialect::Mysql) => "",
        (true, Dialect::Postgres) => "+00",
        (true, Dialect::Sqlite) => "+00:00",
    };
    literal(&format!(
        "{:04}-{:02}-{:02} {:02}:{:02}:{:02}{fraction}{zone}",
        random.random_range(1970..2038),
        random.random_range(1..=12),
        random.random_range(1..=28),
        random.random_range(0..24),
        random.random_range(0..60),
        random.random_range(0..60)
    ))
}

fn nullable(random: &mut StdRng, value: impl FnOnce(&mut StdRng) -> String) -> String {
    if random.random_range(0..6) == 0 {
        "NULL".to_owned()
    } else {
        value(random)
    }
}
