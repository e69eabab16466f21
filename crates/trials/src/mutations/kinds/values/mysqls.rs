//! Types that MySQL and MariaDB alone have, and collations that call values one which are not.

use super::super::{all, both, each, mysql};
use super::{Value, value};

pub(super) const MYSQLS: &[Value] = &[
    value(
        "top bit of an unsigned number",
        "counted",
        mysql("18446744073709551615"),
        all("9223372036854775807"),
    ),
    value(
        "unsigned number read as signed",
        "counted",
        mysql("18446744073709551614"),
        both("-2"),
    ),
    value(
        "unsigned number rounded to a double",
        "counted",
        mysql("18446744073709551613"),
        all("18446744073709549568"),
    ),
    value(
        "padded binary, last byte",
        "fixed",
        mysql("x'0102'"),
        each("'\\x0102000000000001'", "x'0102000000000001'").on_mysql("x'0102000000000001'"),
    ),
    value(
        "padded binary without its padding",
        "fixed",
        mysql("x'0103'"),
        each("'\\x0103'", "x'0103'").on_mysql("x'0103'"),
    ),
    value(
        "padded binary, filled with blanks",
        "fixed",
        mysql("x'0104'"),
        each("'\\x0104202020202020'", "x'0104202020202020'").on_mysql("x'0104202020202020'"),
    ),
    value(
        "top bit of bit(64)",
        "mask",
        mysql("x'8000000000000001'"),
        each("repeat('0', 63) || '1'", "printf('%063d', 0) || '1'").on_mysql("x'0000000000000001'"),
    ),
    value(
        "lowest bit of bit(64)",
        "mask",
        mysql("x'ffffffffffffffff'"),
        each("repeat('1', 63) || '0'", "'1'").on_mysql("x'fffffffffffffffe'"),
    ),
    value(
        "the next word of an enum",
        "choice",
        mysql("'b'"),
        all("'c'"),
    ),
    value(
        "number of an enum's word",
        "choice",
        mysql("'c'"),
        all("'2'"),
    ),
    value(
        "one word of a set more",
        "several",
        mysql("'x'"),
        all("'x,z'"),
    ),
    value(
        "one bit of a set moved",
        "several",
        mysql("'x,y'"),
        all("'x,z'"),
    ),
    value(
        "empty set against NULL",
        "several",
        mysql("''"),
        all("NULL"),
    ),
    value("a year", "since", mysql("2024"), all("2025")),
    value("year zero against 2000", "since", mysql("0"), all("2000")),
    value(
        "zero date against NULL",
        "day",
        mysql("'0000-00-00'"),
        mysql("NULL"),
    ),
    value(
        "date without a month",
        "day",
        mysql("'2024-00-00'"),
        mysql("'2024-01-01'"),
    ),
    value(
        "zero date and time against midnight",
        "moment",
        mysql("'0000-00-00 00:00:00'"),
        mysql("'2000-01-01 00:00:00'"),
    ),
    value(
        "sign of a time",
        "clock",
        mysql("'-01:00:00.000001'"),
        all("'01:00:00.000001'"),
    ),
    value(
        "hours of a time beyond a day",
        "clock",
        mysql("'100:00:00'"),
        all("'04:00:00'"),
    ),
    value(
        "microsecond of an instant",
        "instant",
        both("'2024-07-01 12:00:00.000001+00'").on_mysql("'2024-07-01 12:00:00.000001'"),
        both("'2024-07-01 12:00:00.000002+00'").on_mysql("'2024-07-01 12:00:00.000002'"),
    ),
    value(
        "two against one in a flag",
        "flag",
        mysql("2"),
        each("'1'", "1").on_mysql("1"),
    ),
    value(
        "trailing space under a collation that pads",
        "folded",
        all("'padded'"),
        all("'padded '"),
    ),
    value(
        "accent under a collation blind to it",
        "folded",
        all("'resum\u{e9}'"),
        all("'resume'"),
    ),
    value(
        "decomposed under a collation blind to it",
        "folded",
        all("'caf\u{e9}'"),
        all("'cafe\u{301}'"),
    ),
    value(
        "character beyond the first plane lost",
        "words",
        all("'\u{1f600}'"),
        all("'?'"),
    ),
];
