//! Texts, bytes, booleans, and values of another storage class.

use super::super::{both, each, sqlite};
use super::{Value, same, value};

pub(super) const TEXTS: &[Value] = &[
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
        "last character of a long text",
        "words",
        each(
            "repeat('x', 100000) || 'a'",
            "replace(hex(zeroblob(50000)), '00', 'xx') || 'a'",
        ),
        each(
            "repeat('x', 100000) || 'b'",
            "replace(hex(zeroblob(50000)), '00', 'xx') || 'b'",
        ),
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
    same(
        "boolean kept as a word",
        "flag",
        each("true", "1"),
        sqlite("'true'"),
        &["equal as boolean"],
    ),
];
