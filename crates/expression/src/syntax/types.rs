//! The types that a cast may ask for.

use super::names::{listed, nearest};
use super::parser::Parser;
use super::token::Token;
use super::tree::Target;
use crate::ExpressionError;

/// Digits of a decimal, at most.
const PRECISION: u32 = 1_000;

/// Characters of a text, at most.
const CHARACTERS: u32 = 1_073_741_824;

const NAMES: [&str; 32] = [
    "boolean",
    "bool",
    "smallint",
    "int2",
    "int",
    "integer",
    "int4",
    "bigint",
    "int8",
    "decimal",
    "numeric",
    "dec",
    "double",
    "float8",
    "text",
    "varchar",
    "character",
    "bytes",
    "bytea",
    "blob",
    "date",
    "time",
    "timestamp",
    "datetime",
    "timestamptz",
    "uuid",
    "json",
    "jsonb",
    "double precision",
    "character varying",
    "timestamp with time zone",
    "timestamp without time zone",
];

impl Parser<'_> {
    /// Reads a type.
    pub(super) fn target(&mut self) -> Result<Target, ExpressionError> {
        let span = self.span();
        let Token::Word(word) = self.next() else {
            return Err(ExpressionError::new(
                span,
                "a type is missing here",
                "name a type, such as bigint or decimal(12,2)",
            ));
        };
        Ok(match word.to_ascii_lowercase().as_str() {
            "boolean" | "bool" => Target::Boolean,
            "smallint" | "int2" => Target::Integer { bits: 16 },
            "int" | "integer" | "int4" => Target::Integer { bits: 32 },
            "bigint" | "int8" => Target::Integer { bits: 64 },
            "decimal" | "numeric" | "dec" => Target::Decimal(self.precision()?),
            "double" => {
                self.accept_word("precision");
                Target::Double
            }
            "float8" => Target::Double,
            "text" => Target::Text(None),
            "varchar" => Target::Text(self.characters()?),
            "character" if self.accept_word("varying") => Target::Text(self.characters()?),
            "bytes" | "bytea" | "blob" => Target::Bytes,
            "date" => Target::Date,
            "time" => {
                self.without_zone()?;
                Target::Time
            }
            "timestamp" if self.accept_word("with") => {
                self.expect_word("time")?;
                self.expect_word("zone")?;
                Target::Instant
            }
            "timestamp" | "datetime" => {
                self.without_zone()?;
                Target::Timestamp
            }
            "timestamptz" => Target::Instant,
            "uuid" => Target::Uuid,
            "json" | "jsonb" => Target::Json,
            other => return Err(unknown(other, span)),
        })
    }

    fn without_zone(&mut self) -> Result<(), ExpressionError> {
        if self.accept_word("without") {
            self.expect_word("time")?;
            self.expect_word("zone")?;
        }
        Ok(())
    }

    fn precision(&mut self) -> Result<Option<(u32, u32)>, ExpressionError> {
        if !self.accept_sign("(") {
            return Ok(None);
        }
        let precision = self.count(1, PRECISION)?;
        let scale = match self.accept_sign(",") {
            true => self.count(0, precision)?,
            false => 0,
        };
        self.expect_sign(")")?;
        Ok(Some((precision, scale)))
    }

    fn characters(&mut self) -> Result<Option<u32>, ExpressionError> {
        if !self.accept_sign("(") {
            return Ok(None);
        }
        let count = self.count(1, CHARACTERS)?;
        self.expect_sign(")")?;
        Ok(Some(count))
    }

    fn count(&mut self, least: u32, most: u32) -> Result<u32, ExpressionError> {
        let span = self.span();
        let count = match self.next() {
            Token::Number(digits) => digits.parse().ok(),
            _ => None,
        };
        count
            .filter(|count| (least..=most).contains(count))
            .ok_or_else(|| {
                ExpressionError::new(
                    span,
                    "this is not a size that the type can have",
                    format!("write a number from {least} to {most}"),
                )
            })
    }
}

fn unknown(name: &str, span: std::ops::Range<usize>) -> ExpressionError {
    let fix = match name {
        "real" | "float" | "float4" => {
            "write double: a single is rounded differently from engine to engine".to_owned()
        }
        "char" | "bpchar" => "write varchar: engines differ in what they pad".to_owned(),
        "unsigned" | "signed" => "write bigint or decimal(20,0)".to_owned(),
        _ => match nearest(name, NAMES.into_iter()).as_slice() {
            [] => format!("the types are {}", listed(&NAMES[..28])),
            near => format!("did you mean {}?", listed(near)),
        },
    };
    ExpressionError::new(span, format!("there is no type {name}"), fix)
}
