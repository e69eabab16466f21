//! The functions, by name, and how many arguments they take.

/// A function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Function {
    Coalesce,
    NullIf,
    Greatest,
    Least,
    Lower,
    Upper,
    Trim,
    LeftTrim,
    RightTrim,
    Length,
    OctetLength,
    Substring,
    Left,
    Right,
    Replace,
    Concat,
    LeftPad,
    RightPad,
    Repeat,
    Reverse,
    Position,
    StartsWith,
    SplitPart,
    StripPrefix,
    StripSuffix,
    Absolute,
    Sign,
    Round,
    Truncate,
    Floor,
    Ceiling,
    Modulo,
    Quotient,
    Date,
    Extract,
    DateTruncate,
    FromEpoch,
    ToHex,
    Encode,
    Decode,
    Sha256,
    Fail,
}

/// A function's entry: its name, itself, and its arguments at least and at most.
pub(crate) type Entry = (&'static str, Function, usize, usize);

/// Arguments of a function that takes any number.
const MANY: usize = 1_000;

/// All functions. Several names may stand for one.
pub(super) const ALL: [Entry; 56] = [
    ("coalesce", Function::Coalesce, 1, MANY),
    ("ifnull", Function::Coalesce, 2, 2),
    ("nvl", Function::Coalesce, 2, 2),
    ("nullif", Function::NullIf, 2, 2),
    ("greatest", Function::Greatest, 1, MANY),
    ("least", Function::Least, 1, MANY),
    ("lower", Function::Lower, 1, 1),
    ("lcase", Function::Lower, 1, 1),
    ("upper", Function::Upper, 1, 1),
    ("ucase", Function::Upper, 1, 1),
    ("trim", Function::Trim, 1, 2),
    ("btrim", Function::Trim, 1, 2),
    ("ltrim", Function::LeftTrim, 1, 2),
    ("rtrim", Function::RightTrim, 1, 2),
    ("length", Function::Length, 1, 1),
    ("char_length", Function::Length, 1, 1),
    ("character_length", Function::Length, 1, 1),
    ("octet_length", Function::OctetLength, 1, 1),
    ("substring", Function::Substring, 2, 3),
    ("substr", Function::Substring, 2, 3),
    ("mid", Function::Substring, 3, 3),
    ("left", Function::Left, 2, 2),
    ("right", Function::Right, 2, 2),
    ("replace", Function::Replace, 3, 3),
    ("concat", Function::Concat, 1, MANY),
    ("lpad", Function::LeftPad, 2, 3),
    ("rpad", Function::RightPad, 2, 3),
    ("repeat", Function::Repeat, 2, 2),
    ("reverse", Function::Reverse, 1, 1),
    ("strpos", Function::Position, 2, 2),
    ("instr", Function::Position, 2, 2),
    ("starts_with", Function::StartsWith, 2, 2),
    ("split_part", Function::SplitPart, 3, 3),
    ("strip_prefix", Function::StripPrefix, 2, 2),
    ("strip_suffix", Function::StripSuffix, 2, 2),
    ("abs", Function::Absolute, 1, 1),
    ("sign", Function::Sign, 1, 1),
    ("round", Function::Round, 1, 2),
    ("trunc", Function::Truncate, 1, 2),
    ("truncate", Function::Truncate, 1, 2),
    ("floor", Function::Floor, 1, 1),
    ("ceil", Function::Ceiling, 1, 1),
    ("ceiling", Function::Ceiling, 1, 1),
    ("mod", Function::Modulo, 2, 2),
    ("div", Function::Quotient, 2, 2),
    ("date", Function::Date, 1, 1),
    ("date_part", Function::Extract, 2, 2),
    ("date_trunc", Function::DateTruncate, 2, 2),
    ("to_timestamp", Function::FromEpoch, 1, 1),
    ("to_hex", Function::ToHex, 1, 1),
    ("encode", Function::Encode, 2, 2),
    ("decode", Function::Decode, 2, 2),
    ("sha256", Function::Sha256, 1, 1),
    ("fail", Function::Fail, 1, 1),
    // read by rules of their own: here for the names alone
    ("extract", Function::Extract, 2, 2),
    ("position", Function::Position, 2, 2),
];

/// Functions whose result depends on the moment, the session or chance, and not on the row alone.
const UNDETERMINED: [&str; 66] = [
    "now",
    "current_timestamp",
    "current_date",
    "current_time",
    "localtime",
    "localtimestamp",
    "clock_timestamp",
    "statement_timestamp",
    "transaction_timestamp",
    "timeofday",
    "getdate",
    "sysdate",
    "curdate",
    "curtime",
    "utc_date",
    "utc_time",
    "utc_timestamp",
    "unix_timestamp",
    "julianday",
    "datetime",
    "random",
    "random_normal",
    "rand",
    "setseed",
    "uuid",
    "uuid_short",
    "sys_guid",
    "newid",
    "gen_random_uuid",
    "uuid_generate_v1",
    "uuid_generate_v1mc",
    "uuid_generate_v4",
    "uuidv4",
    "uuidv7",
    "uuid_v4",
    "uuid_v7",
    "gen_random_bytes",
    "random_bytes",
    "randomblob",
    "nextval",
    "currval",
    "lastval",
    "setval",
    "last_insert_id",
    "last_insert_rowid",
    "changes",
    "total_changes",
    "row_count",
    "found_rows",
    "current_user",
    "session_user",
    "system_user",
    "user",
    "database",
    "schema",
    "current_database",
    "current_schema",
    "current_setting",
    "connection_id",
    "version",
    "txid_current",
    "pg_current_xact_id",
    "pg_backend_pid",
    "sleep",
    "pg_sleep",
    "benchmark",
];

/// What a name before a bracket is.
pub(crate) enum Named {
    /// A function.
    Known(Entry),
    /// One whose result the row does not determine.
    Undetermined,
    /// None.
    Unknown,
}

/// The function of a lower-case name.
pub(crate) fn find(name: &str) -> Named {
    match ALL.iter().find(|(known, ..)| *known == name) {
        Some(entry) => Named::Known(*entry),
        None if UNDETERMINED.contains(&name) => Named::Undetermined,
        None => Named::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_for_users_has_every_function() {
        let page = include_str!("../../../../docs/expressions.md").to_lowercase();
        for (name, ..) in ALL {
            assert!(page.contains(&format!("{name}(")), "{name}");
        }
        let names: std::collections::BTreeSet<_> = ALL.iter().map(|(name, ..)| name).collect();
        assert_eq!(names.len(), ALL.len());
        assert!(UNDETERMINED.iter().all(|name| !names.contains(name)));
    }
}
