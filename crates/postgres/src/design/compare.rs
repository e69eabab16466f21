//! Whether a column that is there can hold another's values, and in which form both are compared.

use crossfade_model::{Canonical, Column, LogicalType};

use crate::types::{Declared, parse_declared};

/// The form in which both columns are compared, or why `target` cannot hold `source`'s values unchanged.
pub fn compare(source_engine: &str, source: &Column, target: &Column) -> Result<Canonical, String> {
    if target.generated.is_some() {
        return Err("it is generated on the target, so no value can be written".into());
    }
    if source.nullable && !target.nullable {
        return Err("it is NOT NULL on the target and may be NULL on the source".into());
    }
    if source_engine == super::ENGINE {
        same_engine(source, target)
    } else {
        other_engine(super::binds(source_engine), source, target)
    }
}

fn refused(source: &Column, target: &Column, why: &str) -> String {
    format!(
        "{} on the source, {} on the target: {why}",
        source.declared, target.declared
    )
}

fn same_engine(source: &Column, target: &Column) -> Result<Canonical, String> {
    if source.declared == target.declared {
        return Ok(Canonical::Exact);
    }
    let (from, to) = (
        parse_declared(&source.declared),
        parse_declared(&target.declared),
    );
    if from.rest.is_empty() && to.rest.is_empty() {
        // every type's text form can be kept as text; a column of text that is shorter than that cannot
        if to.name == "text" {
            return Ok(Canonical::Text);
        }
        if let Some(result) = system_types(&from, &to) {
            return result.map_err(|why| refused(source, target, why));
        }
    }
    Err(refused(
        source,
        target,
        "it is not known that every value fits unchanged",
    ))
}

/// Digits of an integer type.
fn integer_digits(name: &str) -> Option<i32> {
    Some(match name {
        "smallint" => 5,
        "integer" => 10,
        "bigint" => 19,
        _ => return None,
    })
}

const NARROW: &str = "too narrow";

/// `None` where the pair is not one of the system's types that are known to fit in some cases.
fn system_types(from: &Declared<'_>, to: &Declared<'_>) -> Option<Result<Canonical, &'static str>> {
    if let Some(digits) = integer_digits(&from.name) {
        return Some(match (integer_digits(&to.name), to.name.as_str()) {
            (Some(room), _) if room >= digits => Ok(Canonical::Integer),
            (Some(_), _) => Err(NARROW),
            (None, "numeric") => match to.modifiers.as_slice() {
                [] => Ok(Canonical::Decimal),
                [precision, scale] if *scale >= 0 && precision - scale >= digits => {
                    Ok(Canonical::Decimal)
                }
                _ => Err(NARROW),
            },
            _ => Err("integers are not kept as such"),
        });
    }
    Some(match (from.name.as_str(), to.name.as_str()) {
        ("real", "double precision") => Ok(Canonical::Float32),
        ("double precision", "real") => Err(NARROW),
        ("numeric", "numeric") => decimals(&from.modifiers, &to.modifiers),
        ("numeric", "smallint" | "integer" | "bigint" | "real" | "double precision") => {
            Err("decimals would be rounded")
        }
        ("text" | "character varying", "character varying") => {
            lengths(&from.modifiers, &to.modifiers, Canonical::Text)
        }
        ("character", "character varying") => {
            lengths(&from.modifiers, &to.modifiers, Canonical::Text)
        }
        ("text" | "character varying" | "character", "character") => {
            Err("type character adds blanks and holds trailing blanks for nothing")
        }
        ("bit varying", "bit varying") => lengths(&from.modifiers, &to.modifiers, Canonical::Exact),
        ("bit", "bit varying") => lengths(&from.modifiers, &to.modifiers, Canonical::Exact),
        ("timestamp without time zone", "timestamp without time zone") => {
            seconds(from, to, Canonical::Timestamp)
        }
        ("timestamp with time zone", "timestamp with time zone") => {
            seconds(from, to, Canonical::TimestampWithZone)
        }
        ("time without time zone", "time without time zone") => seconds(from, to, Canonical::Time),
        ("timestamp without time zone", "timestamp with time zone")
        | ("timestamp with time zone", "timestamp without time zone") => {
            Err("a local time is no instant, and an instant no local time")
        }
        ("json", "jsonb") => Err("jsonb changes the text: key order, spaces, duplicate keys"),
        ("jsonb", "json") => Ok(Canonical::Text),
        _ => return None,
    })
}

/// Precision and scale; the scale is 0 where only the precision is given.
fn decimals(from: &[i32], to: &[i32]) -> Result<Canonical, &'static str> {
    let split = |m: &[i32]| match m {
        [precision, scale] => Some((precision - scale, *scale)),
        [precision] => Some((*precision, 0)),
        _ => None,
    };
    match (split(from), split(to)) {
        (_, None) => Ok(Canonical::Decimal),
        (Some((whole, scale)), Some((room, target_scale)))
            if room >= whole && target_scale >= scale =>
        {
            Ok(Canonical::Decimal)
        }
        _ => Err("decimals would be rounded or would not fit"),
    }
}

fn lengths(from: &[i32], to: &[i32], canonical: Canonical) -> Result<Canonical, &'static str> {
    match (from, to) {
        (_, []) => Ok(canonical),
        ([length], [room]) if room >= length => Ok(canonical),
        _ => Err(NARROW),
    }
}

/// Digits of the seconds: six where none are given.
fn seconds(
    from: &Declared<'_>,
    to: &Declared<'_>,
    canonical: Canonical,
) -> Result<Canonical, &'static str> {
    let digits = |d: &Declared<'_>| d.modifiers.first().copied().unwrap_or(6);
    if digits(to) >= digits(from) {
        Ok(canonical)
    } else {
        Err("fractions of seconds would be rounded")
    }
}

/// A source that keeps to its declared types needs no wider ones; of one whose types bind nobody, only the widest hold all that
/// may be there.
fn other_engine(binds: bool, source: &Column, target: &Column) -> Result<Canonical, String> {
    let to = parse_declared(&target.declared);
    if binds
        && to.rest.is_empty()
        && let Some(held) = bound(source, &to)
    {
        return held.map_err(|why| refused(source, target, why));
    }
    let unlimited = to.modifiers.is_empty() && to.rest.is_empty();
    let fail = |why: &str| Err(refused(source, target, why));
    let any_length = "the source does not keep to declared lengths and precisions; only an unlimited type holds every value";
    if !to.rest.is_empty() {
        return fail("an array cannot hold a plain value");
    }
    match (source.logical, to.name.as_str()) {
        (LogicalType::Any, _) => fail("the source's column may hold values of every class"),
        (LogicalType::Boolean, "boolean") => Ok(Canonical::Boolean),
        (LogicalType::Integer { .. }, "bigint") => Ok(Canonical::Integer),
        (LogicalType::Integer { .. }, "integer" | "smallint") => {
            fail("too narrow: the source's integers have 64 bits; make it bigint")
        }
        (LogicalType::Integer { .. } | LogicalType::Decimal, "numeric") if unlimited => {
            Ok(Canonical::Decimal)
        }
        (LogicalType::Integer { .. }, "numeric") => match to.modifiers.as_slice() {
            [precision, scale] if *scale >= 0 && precision - scale >= 19 => Ok(Canonical::Decimal),
            _ => fail(NARROW),
        },
        (LogicalType::Float { .. }, "double precision") => Ok(Canonical::Float64),
        (
            LogicalType::Text
            | LogicalType::Json
            | LogicalType::Date
            | LogicalType::Time
            | LogicalType::Timestamp
            | LogicalType::TimestampWithZone
            | LogicalType::Uuid
            | LogicalType::Other,
            "text",
        ) => Ok(Canonical::Text),
        (
            LogicalType::Text
            | LogicalType::Json
            | LogicalType::Date
            | LogicalType::Time
            | LogicalType::Timestamp
            | LogicalType::TimestampWithZone
            | LogicalType::Uuid
            | LogicalType::Other,
            "character varying",
        ) if unlimited => Ok(Canonical::Text),
        (LogicalType::Bytes, "bytea") => Ok(Canonical::Bytes),
        (LogicalType::Date, "date") => Ok(Canonical::Date),
        (LogicalType::Uuid, "uuid") => Ok(Canonical::Uuid),
        (LogicalType::Json, "json") => Ok(Canonical::Text),
        (LogicalType::Json, "jsonb") => {
            fail("jsonb changes the text: key order, spaces, duplicate keys; make it json")
        }
        (LogicalType::Time, "time without time zone") if unlimited => Ok(Canonical::Time),
        (LogicalType::Timestamp, "timestamp without time zone") if unlimited => {
            Ok(Canonical::Timestamp)
        }
        (LogicalType::TimestampWithZone, "timestamp with time zone") if unlimited => {
            Ok(Canonical::TimestampWithZone)
        }
        (LogicalType::Timestamp, "timestamp with time zone") => {
            fail("the source's times have no zone: they are no instants")
        }
        _ if !unlimited => fail(any_length),
        _ => fail("it is not known that every value fits unchanged"),
    }
}

/// A column of a source that keeps to its declared types; `None` where that makes no difference.
fn bound(source: &Column, to: &Declared<'_>) -> Option<Result<Canonical, &'static str>> {
    let from = parse_declared(&source.declared);
    let fits = |yes: bool, canonical| if yes { Ok(canonical) } else { Err(NARROW) };
    Some(match (source.logical, to.name.as_str()) {
        (LogicalType::Integer { bits }, "smallint" | "integer" | "bigint") => {
            let room = match to.name.as_str() {
                "smallint" => 16,
                "integer" => 32,
                _ => 64,
            };
            fits(room >= bits, Canonical::Integer)
        }
        (LogicalType::Integer { bits }, "numeric") => {
            let digits = match bits {
                16 => 5,
                32 => 10,
                _ => 19,
            };
            decimals(&[digits, 0], &to.modifiers)
        }
        (LogicalType::Float { bits: 32 }, "real") => Ok(Canonical::Float32),
        (LogicalType::Float { bits: 32 }, "double precision") => Ok(Canonical::Float32),
        (LogicalType::Decimal, "numeric") => match from.modifiers.as_slice() {
            [_, _] => decimals(&from.modifiers, &to.modifiers),
            // an integer of 64 bits without a sign
            _ => decimals(&[20, 0], &to.modifiers),
        },
        (LogicalType::Text, "character varying") => {
            // the longest text has no length of its own
            lengths(&from.modifiers, &to.modifiers, Canonical::Text)
        }
        (LogicalType::Timestamp, "timestamp without time zone") => {
            fits(seconds_held(&from, to), Canonical::Timestamp)
        }
        (LogicalType::TimestampWithZone, "timestamp with time zone") => {
            fits(seconds_held(&from, to), Canonical::TimestampWithZone)
        }
        _ => return None,
    })
}

/// Digits of the seconds' fraction: none where the source says none, six where the target does.
fn seconds_held(from: &Declared<'_>, to: &Declared<'_>) -> bool {
    to.modifiers.first().copied().unwrap_or(6) >= from.modifiers.first().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(declared: &str, nullable: bool) -> Column {
        Column {
            name: "c".into(),
            logical: LogicalType::Other,
            declared: declared.into(),
            nullable,
            default: None,
            generated: None,
            identity: None,
            collation: None,
        }
    }

    #[test]
    fn what_fits_without_loss_is_allowed_and_nothing_else() {
        use Canonical::*;
        for (from, to, expected) in [
            ("integer", "bigint", Some(Integer)),
            ("bigint", "integer", None),
            ("bigint", "numeric", Some(Decimal)),
            ("bigint", "numeric(20,2)", None),
            ("bigint", "numeric(21,2)", Some(Decimal)),
            ("numeric(10,2)", "numeric(12,3)", Some(Decimal)),
            ("numeric(10,2)", "numeric(12,5)", None),
            ("numeric", "numeric(10,2)", None),
            ("numeric(5)", "numeric(5,0)", Some(Decimal)),
            ("character varying(10)", "character varying(20)", Some(Text)),
            ("character varying(20)", "character varying(10)", None),
            ("text", "character varying(10)", None),
            ("character varying(20)", "text", Some(Text)),
            ("character(3)", "character(4)", None),
            (
                "timestamp(3) without time zone",
                "timestamp without time zone",
                Some(Timestamp),
            ),
            (
                "timestamp without time zone",
                "timestamp(3) without time zone",
                None,
            ),
            (
                "timestamp without time zone",
                "timestamp with time zone",
                None,
            ),
            ("json", "jsonb", None),
            ("jsonb", "jsonb", Some(Exact)),
            ("real", "double precision", Some(Float32)),
            ("double precision", "real", None),
            ("integer[]", "bigint[]", None),
            ("integer[]", "integer[]", Some(Exact)),
            ("public.mood", "text", Some(Text)),
            ("public.mood", "public.other", None),
        ] {
            let result = compare("postgres", &column(from, false), &column(to, false));
            assert_eq!(result.clone().ok(), expected, "{from} to {to}: {result:?}");
        }
    }

    #[test]
    fn null_goes_nowhere_where_it_may_not_be() {
        let (loose, strict) = (column("text", true), column("text", false));
        assert!(compare("postgres", &loose, &strict).is_err());
        assert!(compare("postgres", &strict, &loose).is_ok());
    }

    #[test]
    fn a_store_that_keeps_to_its_types_needs_no_wider_ones() {
        use LogicalType::*;
        for (logical, from, to, expected) in [
            (
                Integer { bits: 16 },
                "tinyint",
                "smallint",
                Some(Canonical::Integer),
            ),
            (
                Integer { bits: 32 },
                "int",
                "integer",
                Some(Canonical::Integer),
            ),
            (Integer { bits: 32 }, "int", "smallint", None),
            (Integer { bits: 64 }, "int unsigned", "integer", None),
            (
                Integer { bits: 64 },
                "int(10) unsigned",
                "bigint",
                Some(Canonical::Integer),
            ),
            (
                Integer { bits: 32 },
                "int",
                "numeric(10,0)",
                Some(Canonical::Decimal),
            ),
            (Integer { bits: 32 }, "int", "numeric(10,1)", None),
            (
                Decimal,
                "bigint unsigned",
                "numeric(20,0)",
                Some(Canonical::Decimal),
            ),
            (Decimal, "bigint(20) unsigned", "numeric(19,0)", None),
            (
                Decimal,
                "decimal(10,2)",
                "numeric(10,2)",
                Some(Canonical::Decimal),
            ),
            (Decimal, "decimal(10,2)", "numeric(10,1)", None),
            (
                Float { bits: 32 },
                "float",
                "real",
                Some(Canonical::Float32),
            ),
            (Float { bits: 64 }, "double", "real", None),
            (
                Text,
                "varchar(20)",
                "character varying(20)",
                Some(Canonical::Text),
            ),
            (Text, "varchar(20)", "character varying(19)", None),
            (Text, "longtext", "character varying(19)", None),
            (
                Timestamp,
                "datetime",
                "timestamp(0) without time zone",
                Some(Canonical::Timestamp),
            ),
            (
                Timestamp,
                "datetime(3)",
                "timestamp(0) without time zone",
                None,
            ),
        ] {
            let source = Column {
                logical,
                ..column(from, false)
            };
            let result = compare("mysql", &source, &column(to, false));
            assert_eq!(result.ok(), expected, "{from} to {to}");
        }
    }

    #[test]
    fn a_store_that_binds_nobody_needs_the_widest_types() {
        use LogicalType::*;
        for (logical, to, expected) in [
            (Integer { bits: 64 }, "bigint", Some(Canonical::Integer)),
            (Integer { bits: 64 }, "integer", None),
            (Text, "character varying(10)", None),
            (Text, "character varying", Some(Canonical::Text)),
            (Decimal, "numeric(10,2)", None),
            (Decimal, "numeric", Some(Canonical::Decimal)),
            (Json, "jsonb", None),
            (Timestamp, "timestamp(0) without time zone", None),
            (Any, "text", None),
        ] {
            let source = Column {
                logical,
                ..column("X", false)
            };
            let result = compare("sqlite", &source, &column(to, false));
            assert_eq!(result.ok(), expected, "{logical:?} to {to}");
        }
    }
}
