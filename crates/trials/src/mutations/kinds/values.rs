//! One value of one row becomes another. Each has a row of its own in the table `rich`, in the order of this list.

use super::{Sql, both, each, postgres, sqlite};

/// A value, and what it becomes behind the program's back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Value {
    /// What kind of corruption it is.
    pub kind: &'static str,
    /// The column.
    pub column: &'static str,
    /// What the source holds, in the source's dialect.
    pub from: Sql,
    /// What is put into the target, in the target's dialect.
    pub to: Sql,
    /// Claims, as `plan` prints them of the column, under which both are the same value.
    pub same_under: &'static [&'static str],
}

const fn value(kind: &'static str, column: &'static str, from: Sql, to: Sql) -> Value {
    Value {
        kind,
        column,
        from,
        to,
        same_under: &[],
    }
}

const fn same(
    kind: &'static str,
    column: &'static str,
    from: Sql,
    to: Sql,
    same_under: &'static [&'static str],
) -> Value {
    Value {
        kind,
        column,
        from,
        to,
        same_under,
    }
}

const ZEROS: &[&str] = &[
    "bit-equal single, both zeros one",
    "bit-equal double, both zeros one",
];
const DECIMAL: &[&str] = &["equal as decimal"];

/// All of them.
pub const VALUES: &[Value] = &[
    // numbers
    value("integer off by one", "whole", both("41"), both("42")),
    value("sign flipped", "whole", both("7"), both("-7")),
    value("NULL against zero", "whole", both("NULL"), both("0")),
    value("zero against NULL", "whole", both("0"), both("NULL")),
    value(
        "bigint off by one beyond 2^53",
        "big",
        both("9007199254740993"),
        both("9007199254740992"),
    ),
    value(
        "greatest bigint off by one",
        "big",
        both("9223372036854775807"),
        both("9223372036854775806"),
    ),
    value("wrong parent", "parent", both("1"), both("2")),
    same(
        "numeric scale",
        "plain",
        both("1.0"),
        each("1.00", "'1.00'"),
        DECIMAL,
    ),
    value(
        "numeric, last of 29 digits",
        "plain",
        both("12345678901234567890.123456789"),
        each(
            "12345678901234567890.123456788",
            "'12345678901234567890.123456788'",
        ),
    ),
    value(
        "numeric of two places, last digit",
        "scaled",
        both("1234.56"),
        each("1234.57", "'1234.57'"),
    ),
    value(
        "numeric rounded",
        "plain",
        both("0.125"),
        each("0.13", "'0.13'"),
    ),
    value(
        "numeric NaN against NULL",
        "plain",
        postgres("'NaN'"),
        both("NULL"),
    ),
    // floating point
    same(
        "-0 against 0 in a double",
        "precise",
        each("'0'", "0.0"),
        each("'-0'", "-0.0"),
        ZEROS,
    ),
    same(
        "-0 against 0 in a single",
        "single",
        each("'0'", "0.0"),
        each("'-0'", "-0.0"),
        ZEROS,
    ),
    value(
        "last bit of a double",
        "precise",
        both("0.1"),
        both("0.10000000000000002"),
    ),
    value(
        "last bit of a single",
        "single",
        both("0.1"),
        both("0.10000000894069672"),
    ),
    value(
        "single read as a double",
        "single",
        postgres("0.1"),
        sqlite("0.1"),
    ),
    value(
        "smallest double against 0",
        "precise",
        both("5e-324"),
        both("0.0"),
    ),
    value(
        "infinity against the greatest double",
        "precise",
        each("'Infinity'", "9e999"),
        both("1.7976931348623157e308"),
    ),
    value(
        "NaN against NULL",
        "precise",
        postgres("'NaN'"),
        both("NULL"),
    ),
    // text
    value("trailing space", "words", both("'word'"), both("'word '")),
    value("leading space", "words", both("'word'"), both("' word'")),
    value("case", "words", both("'Word'"), both("'word'")),
    value(
        "case under a collation blind to it",
        "folded",
        both("'Word'"),
        both("'word'"),
    ),
    value("NULL against empty", "words", both("NULL"), both("''")),
    value("empty against NULL", "words", both("''"), both("NULL")),
    value(
        "NULL against the word NULL",
        "words",
        both("NULL"),
        both("'NULL'"),
    ),
    value(
        "composed against decomposed",
        "words",
        both("'caf\u{e9}'"),
        both("'cafe\u{301}'"),
    ),
    value(
        "text cut at 255",
        "short",
        each(
            "repeat('xy', 150)",
            "replace(hex(zeroblob(150)), '00', 'xy')",
        ),
        each(
            "left(repeat('xy', 150), 255)",
            "substr(replace(hex(zeroblob(150)), '00', 'xy'), 1, 255)",
        ),
    ),
    value(
        "UTF-8 read as Latin-1",
        "words",
        both("'\u{e9}'"),
        both("'\u{c3}\u{a9}'"),
    ),
    value(
        "characters lost to question marks",
        "words",
        both("'\u{65e5}\u{672c}'"),
        both("'??'"),
    ),
    value(
        "look-alike letter",
        "words",
        both("'bank'"),
        both("'b\u{430}nk'"),
    ),
    value("no-break space", "words", both("'a b'"), both("'a\u{a0}b'")),
    value(
        "line ends",
        "words",
        each("E'a\\nb'", "'a' || char(10) || 'b'"),
        each("E'a\\r\\nb'", "'a' || char(13, 10) || 'b'"),
    ),
    value(
        "text kept as bytes",
        "words",
        both("'abc'"),
        sqlite("x'616263'"),
    ),
    value(
        "text in an integer column",
        "whole",
        both("5"),
        sqlite("'five'"),
    ),
    value("number kept as text", "loose", sqlite("5"), sqlite("'5'")),
    // bytes
    value(
        "padded bytes",
        "bytes",
        each("'\\x01ff'", "x'01ff'"),
        each("'\\x01ff00'", "x'01ff00'"),
    ),
    value(
        "leading zero byte lost",
        "bytes",
        each("'\\x0001'", "x'0001'"),
        each("'\\x01'", "x'01'"),
    ),
    value(
        "no bytes against NULL",
        "bytes",
        each("'\\x'", "x''"),
        both("NULL"),
    ),
    value(
        "bytes kept as their digits",
        "bytes",
        each("'\\x01ff'", "x'01ff'"),
        each("'01ff'", "'01ff'"),
    ),
    value(
        "boolean flipped",
        "flag",
        each("true", "1"),
        each("false", "0"),
    ),
    value(
        "NULL against false",
        "flag",
        both("NULL"),
        each("false", "0"),
    ),
    // dates and times
    value("a day", "day", both("'2024-02-29'"), both("'2024-03-01'")),
    value(
        "NULL against the epoch",
        "day",
        both("NULL"),
        both("'1970-01-01'"),
    ),
    value(
        "date before Christ",
        "day",
        postgres("'0044-03-15 BC'"),
        both("'0044-03-15'"),
    ),
    value(
        "zero date",
        "day",
        both("'2024-01-01'"),
        sqlite("'0000-00-00'"),
    ),
    value(
        "a microsecond",
        "moment",
        both("'2024-03-31 02:30:00.000001'"),
        both("'2024-03-31 02:30:00.000002'"),
    ),
    value(
        "microseconds cut to milliseconds",
        "moment",
        both("'2024-01-02 03:04:05.123456'"),
        both("'2024-01-02 03:04:05.123'"),
    ),
    value(
        "the hour that comes twice",
        "instant",
        both("'2024-10-27 00:30:00+00'"),
        both("'2024-10-27 01:30:00+00'"),
    ),
    value(
        "instant read in another zone",
        "instant",
        both("'2024-07-01 12:00:00+00'"),
        both("'2024-07-01 12:00:00+02'"),
    ),
    same(
        "instant written in another zone",
        "instant",
        both("'2024-07-01 12:00:00+00'"),
        both("'2024-07-01 14:00:00+02'"),
        &["equal as instant, microseconds"],
    ),
    value(
        "infinity against the last timestamp",
        "moment",
        postgres("'infinity'"),
        both("'294276-12-31 23:59:59.999999'"),
    ),
    value(
        "midnight at the day's end",
        "clock",
        postgres("'24:00:00'"),
        both("'00:00:00'"),
    ),
    value("interval form", "span", both("'1 day'"), both("'24:00:00'")),
    // JSON
    value(
        "JSON number form",
        "doc",
        both("'{\"n\": 1.0}'"),
        both("'{\"n\": 1.00}'"),
    ),
    value(
        "JSON key order",
        "doc",
        both("'{\"a\": 1, \"b\": 2}'"),
        both("'{\"b\": 2, \"a\": 1}'"),
    ),
    value(
        "JSON duplicate keys",
        "doc",
        both("'{\"a\": 1, \"a\": 2}'"),
        both("'{\"a\": 2}'"),
    ),
    value(
        "JSON white space",
        "doc",
        both("'{\"a\":1}'"),
        both("'{\"a\": 1}'"),
    ),
    value(
        "jsonb number form",
        "docb",
        both("'{\"n\": 1.0}'"),
        both("'{\"n\": 1.00}'"),
    ),
    value(
        "jsonb number as string",
        "docb",
        both("'{\"n\": 1}'"),
        both("'{\"n\": \"1\"}'"),
    ),
    value(
        "JSON null against NULL",
        "docb",
        both("'null'"),
        both("NULL"),
    ),
    // identities and arrays
    value(
        "UUID, one digit",
        "ident",
        both("'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'"),
        both("'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a12'"),
    ),
    same(
        "UUID in capitals",
        "ident",
        both("'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'"),
        both("'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'"),
        &["equal as UUID"],
    ),
    value(
        "array order",
        "numbers",
        postgres("'{1,2,3}'"),
        both("'{3,2,1}'"),
    ),
    value(
        "array bounds",
        "numbers",
        postgres("'[0:1]={1,2}'"),
        both("'{1,2}'"),
    ),
    value(
        "array dimensions",
        "numbers",
        postgres("'{1,2}'"),
        both("'{{1,2}}'"),
    ),
    value(
        "empty array against NULL",
        "numbers",
        postgres("'{}'"),
        both("NULL"),
    ),
    value(
        "array's NULL against the word NULL",
        "labels",
        postgres("'{a,NULL}'"),
        both("'{a,\"NULL\"}'"),
    ),
];
