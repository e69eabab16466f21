//! Dates and times, JSON, identities, arrays.

use super::super::{all, both, postgres, sqlite};
use super::{Value, same, value};

pub(super) const OTHERS: &[Value] = &[
    // dates and times
    value("a day", "day", all("'2024-02-29'"), all("'2024-03-01'")),
    value(
        "NULL against the epoch",
        "day",
        all("NULL"),
        all("'1970-01-01'"),
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
        all("'2024-01-01'"),
        sqlite("'0000-00-00'").on_mysql("'0000-00-00'"),
    ),
    value(
        "date kept with a time",
        "day",
        all("'2024-01-01'"),
        sqlite("'2024-01-01 00:00:01'"),
    ),
    same(
        "timestamp kept as its day",
        "moment",
        all("'2024-01-02 00:00:00'"),
        sqlite("'2024-01-02'"),
        &["equal as local time, microseconds"],
    ),
    value(
        "a microsecond",
        "moment",
        all("'2024-03-31 02:30:00.000001'"),
        all("'2024-03-31 02:30:00.000002'"),
    ),
    value(
        "microseconds cut to milliseconds",
        "moment",
        all("'2024-01-02 03:04:05.123456'"),
        all("'2024-01-02 03:04:05.123'"),
    ),
    value(
        "the hour that comes twice",
        "instant",
        both("'2024-10-27 00:30:00+00'").on_mysql("'2024-10-27 00:30:00'"),
        both("'2024-10-27 01:30:00+00'").on_mysql("'2024-10-27 01:30:00'"),
    ),
    value(
        "instant read in another zone",
        "instant",
        both("'2024-07-01 12:00:00+00'").on_mysql("'2024-07-01 12:00:00'"),
        both("'2024-07-01 12:00:00+02'").on_mysql("'2024-07-01 10:00:00'"),
    ),
    same(
        "instant written in another zone",
        "instant",
        both("'2024-07-01 12:00:00+00'").on_mysql("'2024-07-01 12:00:00'"),
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
        postgres("'24:00:00'").on_mysql("'24:00:00'"),
        all("'00:00:00'"),
    ),
    value("interval form", "span", all("'1 day'"), all("'24:00:00'")),
    // JSON
    value(
        "JSON number form",
        "doc",
        all("'{\"n\": 1.0}'"),
        all("'{\"n\": 1.00}'"),
    ),
    value(
        "JSON integer against double",
        "doc",
        all("'{\"n\": 1}'"),
        all("'{\"n\": 1.0}'"),
    ),
    value(
        "last bit of a JSON number",
        "doc",
        all("'{\"n\": 0.1}'"),
        all("'{\"n\": 0.10000000000000002}'"),
    ),
    value(
        "JSON key order",
        "doc",
        all("'{\"a\": 1, \"b\": 2}'"),
        all("'{\"b\": 2, \"a\": 1}'"),
    ),
    value(
        "JSON duplicate keys",
        "doc",
        all("'{\"a\": 1, \"a\": 2}'"),
        all("'{\"a\": 2}'"),
    ),
    value(
        "JSON white space",
        "doc",
        all("'{\"a\":1}'"),
        all("'{\"a\": 1}'"),
    ),
    value(
        "jsonb number form",
        "docb",
        all("'{\"n\": 1.0}'"),
        all("'{\"n\": 1.00}'"),
    ),
    value(
        "jsonb number as string",
        "docb",
        all("'{\"n\": 1}'"),
        all("'{\"n\": \"1\"}'"),
    ),
    value("JSON null against NULL", "docb", all("'null'"), all("NULL")),
    // identities and arrays
    value(
        "UUID, one digit",
        "ident",
        all("'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'"),
        all("'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a12'"),
    ),
    same(
        "UUID in capitals",
        "ident",
        all("'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'"),
        all("'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'"),
        &["equal as UUID"],
    ),
    value(
        "array order",
        "numbers",
        postgres("'{1,2,3}'"),
        all("'{3,2,1}'"),
    ),
    value(
        "array bounds",
        "numbers",
        postgres("'[0:1]={1,2}'"),
        all("'{1,2}'"),
    ),
    value(
        "array dimensions",
        "numbers",
        postgres("'{1,2}'"),
        all("'{{1,2}}'"),
    ),
    value(
        "empty array against NULL",
        "numbers",
        postgres("'{}'"),
        all("NULL"),
    ),
    value(
        "array's NULL against the word NULL",
        "labels",
        postgres("'{a,NULL}'"),
        all("'{a,\"NULL\"}'"),
    ),
];
