//! The functions that an expression may call.

/// A function whose result is determined by its arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Function {
    Abs,
    Ceil,
    Coalesce,
    Concat,
    Date,
    Div,
    Floor,
    Greatest,
    Hex,
    Least,
    Left,
    Length,
    Lower,
    Ltrim,
    Mod,
    Nullif,
    OctetLength,
    Part(Part),
    Position,
    Replace,
    Right,
    Round,
    Rtrim,
    Sha256,
    Sign,
    Substring,
    Trim,
    Trunc,
    Upper,
}

/// A part of a date or time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Year,
    Month,
    Day,
    Hour,
    Minute,
    Second,
    Epoch,
}

/// Names, with the least and the greatest number of arguments.
const KNOWN: [(&str, Function, usize, usize); 42] = [
    ("abs", Function::Abs, 1, 1),
    ("ceil", Function::Ceil, 1, 1),
    ("ceiling", Function::Ceil, 1, 1),
    ("char_length", Function::Length, 1, 1),
    ("character_length", Function::Length, 1, 1),
    ("coalesce", Function::Coalesce, 1, MOST),
    ("concat", Function::Concat, 1, MOST),
    ("date", Function::Date, 1, 1),
    ("div", Function::Div, 2, 2),
    ("floor", Function::Floor, 1, 1),
    ("greatest", Function::Greatest, 1, MOST),
    ("hex", Function::Hex, 1, 1),
    ("ifnull", Function::Coalesce, 2, 2),
    ("least", Function::Least, 1, MOST),
    ("left", Function::Left, 2, 2),
    ("length", Function::Length, 1, 1),
    ("lower", Function::Lower, 1, 1),
    ("ltrim", Function::Ltrim, 1, 2),
    ("mod", Function::Mod, 2, 2),
    ("nullif", Function::Nullif, 2, 2),
    ("octet_length", Function::OctetLength, 1, 1),
    ("part_day", Function::Part(Part::Day), 1, 1),
    ("part_epoch", Function::Part(Part::Epoch), 1, 1),
    ("part_hour", Function::Part(Part::Hour), 1, 1),
    ("part_minute", Function::Part(Part::Minute), 1, 1),
    ("part_month", Function::Part(Part::Month), 1, 1),
    ("part_second", Function::Part(Part::Second), 1, 1),
    ("part_year", Function::Part(Part::Year), 1, 1),
    ("position", Function::Position, 2, 2),
    ("replace", Function::Replace, 3, 3),
    ("right", Function::Right, 2, 2),
    ("round", Function::Round, 1, 2),
    ("rtrim", Function::Rtrim, 1, 2),
    ("sha256", Function::Sha256, 1, 1),
    ("sign", Function::Sign, 1, 1),
    ("strpos", Function::Position, 2, 2),
    ("substr", Function::Substring, 2, 3),
    ("substring", Function::Substring, 2, 3),
    ("trim", Function::Trim, 1, 2),
    ("trunc", Function::Trunc, 1, 2),
    ("truncate", Function::Trunc, 2, 2),
    ("upper", Function::Upper, 1, 1),
];

/// Arguments at most.
const MOST: usize = 100;

/// Functions whose results are not determined by the row: they would give one value in the copy and another in the stream.
const UNDETERMINED: [&str; 26] = [
    "clock_timestamp",
    "connection_id",
    "current_date",
    "current_time",
    "current_timestamp",
    "current_user",
    "curdate",
    "curtime",
    "database",
    "gen_random_uuid",
    "last_insert_id",
    "localtime",
    "localtimestamp",
    "nextval",
    "now",
    "pg_backend_pid",
    "rand",
    "random",
    "randomblob",
    "session_user",
    "statement_timestamp",
    "sysdate",
    "txid_current",
    "unix_timestamp",
    "user",
    "uuid",
];

/// What a name stands for.
pub(crate) enum Named {
    /// A function, and how many arguments it takes.
    Known(Function, usize, usize),
    /// One whose result the row does not determine.
    Undetermined,
    /// None; the nearest name, where one is near.
    Unknown(Option<&'static str>),
}

/// The function of a name, in whatever case.
pub(crate) fn named(name: &str) -> Named {
    let name = name.to_lowercase();
    if let Some((_, function, least, most)) = KNOWN.iter().find(|(known, ..)| *known == name) {
        return Named::Known(*function, *least, *most);
    }
    if is_undetermined(&name) {
        return Named::Undetermined;
    }
    let start = name.get(..3).unwrap_or(&name);
    let near = KNOWN.iter().find(|(known, ..)| known.starts_with(start));
    Named::Unknown(near.map(|(known, ..)| *known))
}

/// Whether the name, in lower case, is one of a function that asks the clock, chance or the session.
pub(crate) fn is_undetermined(name: &str) -> bool {
    UNDETERMINED.contains(&name)
        || name.starts_with("uuid_generate")
        || name.starts_with("uuid_short")
}

impl Function {
    /// The name by which it is written.
    pub(crate) fn name(self) -> &'static str {
        let own = KNOWN.iter().find(|(_, function, ..)| *function == self);
        own.map_or("", |(name, ..)| name)
    }
}

impl Part {
    /// The part of that name.
    pub(crate) fn named(name: &str) -> Option<Part> {
        Some(match name.to_lowercase().as_str() {
            "year" => Part::Year,
            "month" => Part::Month,
            "day" => Part::Day,
            "hour" => Part::Hour,
            "minute" => Part::Minute,
            "second" => Part::Second,
            "epoch" => Part::Epoch,
            _ => return None,
        })
    }
}
