//! Numbers.

use super::super::{all, both, each, postgres, sqlite};
use super::{Value, same, value};

const ZEROS: &[&str] = &[
    "bit-equal single, both zeros one",
    "bit-equal double, both zeros one",
];
const DECIMAL: &[&str] = &["equal as decimal"];

pub(super) const NUMBERS: &[Value] = &[
    value("integer off by one", "whole", all("41"), all("42")),
    value("sign flipped", "whole", all("7"), all("-7")),
    value("NULL against zero", "whole", all("NULL"), all("0")),
    value("zero against NULL", "whole", all("0"), all("NULL")),
    value(
        "bigint off by one beyond 2^53",
        "big",
        all("9007199254740993"),
        all("9007199254740992"),
    ),
    value(
        "greatest bigint off by one",
        "big",
        all("9223372036854775807"),
        all("9223372036854775806"),
    ),
    value("wrong parent", "parent", all("1"), all("2")),
    same(
        "numeric scale",
        "plain",
        all("1.0"),
        each("1.00", "'1.00'"),
        DECIMAL,
    ),
    value(
        "numeric, last of 29 digits",
        "plain",
        all("12345678901234567890.123456789"),
        each(
            "12345678901234567890.123456788",
            "'12345678901234567890.123456788'",
        )
        .on_mysql("12345678901234567890.123456788"),
    ),
    value(
        "numeric of two places, last digit",
        "scaled",
        all("1234.56"),
        each("1234.57", "'1234.57'").on_mysql("1234.57"),
    ),
    value(
        "numeric rounded",
        "plain",
        all("0.125"),
        each("0.13", "'0.13'").on_mysql("0.13"),
    ),
    value(
        "numeric NaN against NULL",
        "plain",
        postgres("'NaN'"),
        both("NULL"),
    ),
    same(
        "numeric with an exponent",
        "plain",
        all("100"),
        sqlite("'1e2'"),
        DECIMAL,
    ),
    // floating point
    same(
        "-0 against 0 in a double",
        "precise",
        each("'0'", "0.0").on_mysql("0e0"),
        each("'-0'", "-0.0").on_mysql("-0e0"),
        ZEROS,
    ),
    same(
        "-0 against 0 in a single",
        "single",
        each("'0'", "0.0").on_mysql("0e0"),
        each("'-0'", "-0.0").on_mysql("-0e0"),
        ZEROS,
    ),
    value(
        "last bit of a double",
        "precise",
        all("0.1"),
        all("0.10000000000000002"),
    ),
    value(
        "last bit of a single",
        "single",
        all("0.1"),
        all("0.10000000894069672"),
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
        all("5e-324"),
        all("0.0"),
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
];
