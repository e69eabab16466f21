//! Texts, bytes, booleans, and values of another storage class.

use super::super::{Sql, all, each, sqlite};
use super::{Value, same, value};

/// For a boolean, or the number that stands for one.
const FLAG_UP: Sql = each("'1'", "1").on_mysql("1");
const FLAG_DOWN: Sql = each("'0'", "0").on_mysql("0");

pub(super) const TEXTS: &[Value] = &[
    value("trailing space", "words", all("'word'"), all("'word '")),
    value("leading space", "words", all("'word'"), all("' word'")),
    value("case", "words", all("'Word'"), all("'word'")),
    value(
        "case under a collation blind to it",
        "folded",
        all("'Word'"),
        all("'word'"),
    ),
    value("NULL against empty", "words", all("NULL"), all("''")),
    value("empty against NULL", "words", all("''"), all("NULL")),
    value(
        "NULL against the word NULL",
        "words",
        all("NULL"),
        all("'NULL'"),
    ),
    value(
        "composed against decomposed",
        "words",
        all("'caf\u{e9}'"),
        all("'cafe\u{301}'"),
    ),
    value(
        "text cut at 255",
        "short",
        each(
            "repeat('xy', 150)",
            "replace(hex(zeroblob(150)), '00', 'xy')",
        )
        .on_mysql("repeat('xy', 150)"),
        each(
            "left(repeat('xy', 150), 255)",
            "substr(replace(hex(zeroblob(150)), '00', 'xy'), 1, 255)",
        )
        .on_mysql("left(repeat('xy', 150), 255)"),
    ),
    value(
        "UTF-8 read as Latin-1",
        "words",
        all("'\u{e9}'"),
        all("'\u{c3}\u{a9}'"),
    ),
    value(
        "characters lost to question marks",
        "words",
        all("'\u{65e5}\u{672c}'"),
        all("'??'"),
    ),
    value(
        "look-alike letter",
        "words",
        all("'bank'"),
        all("'b\u{430}nk'"),
    ),
    value("no-break space", "words", all("'a b'"), all("'a\u{a0}b'")),
    value(
        "line ends",
        "words",
        each("E'a\\nb'", "'a' || char(10) || 'b'")
            .on_mysql("concat('a', char(10 using utf8mb4), 'b')"),
        each("E'a\\r\\nb'", "'a' || char(13, 10) || 'b'")
            .on_mysql("concat('a', char(13, 10 using utf8mb4), 'b')"),
    ),
    value(
        "last character of a long text",
        "words",
        each(
            "repeat('x', 100000) || 'a'",
            "replace(hex(zeroblob(50000)), '00', 'xx') || 'a'",
        )
        .on_mysql("repeat('x', 100000) || 'a'"),
        each(
            "repeat('x', 100000) || 'b'",
            "replace(hex(zeroblob(50000)), '00', 'xx') || 'b'",
        )
        .on_mysql("repeat('x', 100000) || 'b'"),
    ),
    value(
        "text behind a zero character",
        "loose",
        sqlite("'a' || char(0) || 'b'"),
        sqlite("'a' || char(0) || 'c'"),
    ),
    value(
        "text that is no UTF-8",
        "loose",
        sqlite("CAST(x'ff41' AS TEXT)"),
        sqlite("CAST(x'fe41' AS TEXT)"),
    ),
    value(
        "text kept as bytes",
        "words",
        all("'abc'"),
        sqlite("x'616263'"),
    ),
    value(
        "text in an integer column",
        "whole",
        all("5"),
        sqlite("'five'"),
    ),
    value("number kept as text", "loose", sqlite("5"), sqlite("'5'")),
    value(
        "integer kept as a double",
        "loose",
        sqlite("1"),
        sqlite("1.0"),
    ),
    // bytes
    value(
        "padded bytes",
        "bytes",
        each("'\\x01ff'", "x'01ff'").on_mysql("x'01ff'"),
        each("'\\x01ff00'", "x'01ff00'").on_mysql("x'01ff00'"),
    ),
    value(
        "leading zero byte lost",
        "bytes",
        each("'\\x0001'", "x'0001'").on_mysql("x'0001'"),
        each("'\\x01'", "x'01'").on_mysql("x'01'"),
    ),
    value(
        "no bytes against NULL",
        "bytes",
        each("'\\x'", "x''").on_mysql("x''"),
        all("NULL"),
    ),
    value(
        "bytes kept as their digits",
        "bytes",
        each("'\\x01ff'", "x'01ff'").on_mysql("x'01ff'"),
        all("'01ff'"),
    ),
    value("boolean flipped", "flag", FLAG_UP, FLAG_DOWN),
    value("NULL against false", "flag", all("NULL"), FLAG_DOWN),
    same(
        "boolean kept as a word",
        "flag",
        FLAG_UP,
        sqlite("'true'"),
        &["equal as boolean"],
    ),
];
