//! Dates and times, JSON, identities, arrays.

use super::super::{both, postgres, sqlite};
use super::{Value, same, value};

pub(super) const OTHERS: &[Value] = &[
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
        "date kept with a time",
        "day",
        both("'2024-01-01'"),
        sqlite("'2024-01-01 00:00:01'"),
    ),
    same(
        "timestamp kept as its day",
        "moment",
        both("'2024-01-02 00:00:00'"),
        sqlite("'2024-01-02'"),
        &["equal as local time, microseconds"],
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
