//! A filter as a plain tree of comparisons, which a store can write in its own SQL.

use crossfade_model::{LogicalType, hex};

use crate::calendar::{date_text, time_text, timestamp_text};
use crate::datum::Datum;
use crate::decimal::Decimal;
use crate::term::{Operation, Term};
use crate::write::uuid_text;

/// What is the same in every engine: comparisons of columns with literals.
#[derive(Debug, Clone, PartialEq)]
pub enum Comparisons {
    /// All hold; of none it is true.
    And(Vec<Comparisons>),
    /// One holds; of none it is false.
    Or(Vec<Comparisons>),
    /// It does not hold (unknown stays unknown).
    Not(Box<Comparisons>),
    /// A column compared with a literal; unknown if the column is NULL.
    Compare {
        /// The index of the input.
        column: usize,
        /// How.
        op: Comparison,
        /// With what; never [`Literal::Null`].
        value: Literal,
    },
    /// The column is NULL.
    IsNull(usize),
}

/// How two values are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// `=`
    Equal,
    /// `<>`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
}

/// A literal, in the class of the column that it is compared with.
#[derive(Debug, Clone, PartialEq)]
pub enum Literal {
    /// NULL.
    Null,
    /// A boolean.
    Boolean(bool),
    /// An integer.
    Integer(i128),
    /// A decimal in its shortest form, without an exponent.
    Decimal(String),
    /// A text, compared by its bytes: case, accents and trailing blanks count, whatever the column's collation or type says.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
    /// A UUID.
    Uuid([u8; 16]),
    /// A date, ISO, or `infinity` and `-infinity`.
    Date(String),
    /// A time of day, ISO.
    Time(String),
    /// A local date and time, ISO with a blank.
    Timestamp(String),
    /// An instant, ISO with a blank, in UTC and so marked (`+00`).
    TimestampWithZone(String),
}

impl Comparisons {
    /// It is `column = literal`, and no more.
    pub fn is_equality(&self) -> bool {
        matches!(
            self,
            Self::Compare {
                op: Comparison::Equal,
                ..
            }
        )
    }

    /// Whether every literal is an integer, a decimal, a boolean or a text: those are written alike in every store.
    pub fn is_plain(&self) -> bool {
        match self {
            Self::And(parts) | Self::Or(parts) => parts.iter().all(Self::is_plain),
            Self::Not(inner) => inner.is_plain(),
            Self::IsNull(_) => true,
            Self::Compare { value, .. } => matches!(
                value,
                Literal::Integer(_) | Literal::Decimal(_) | Literal::Boolean(_) | Literal::Text(_)
            ),
        }
    }

    /// The literal that a column is equal to in every row for which it is true; none where it does not say so.
    pub fn equal_to(&self, wanted: usize) -> Option<&Literal> {
        match self {
            Self::And(parts) => parts.iter().find_map(|part| part.equal_to(wanted)),
            Self::Compare { column, op, value } => {
                (*column == wanted && *op == Comparison::Equal).then_some(value)
            }
            _ => None,
        }
    }
}

impl Literal {
    /// As it is written in an expression.
    pub fn to_sql(&self) -> String {
        let string = |text: &str| format!("'{}'", text.replace('\'', "''"));
        match self {
            Self::Null => "NULL".to_owned(),
            Self::Boolean(true) => "TRUE".to_owned(),
            Self::Boolean(false) => "FALSE".to_owned(),
            Self::Integer(value) => value.to_string(),
            Self::Decimal(digits) => digits.clone(),
            Self::Text(text) => string(text),
            Self::Bytes(bytes) => format!("X'{}'", hex::encode(bytes)),
            Self::Uuid(uuid) => format!("CAST('{}' AS uuid)", uuid_text(*uuid)),
            Self::Date(text) => format!("DATE {}", string(text)),
            Self::Time(text) => format!("TIME {}", string(text)),
            Self::Timestamp(text) => format!("TIMESTAMP {}", string(text)),
            Self::TimestampWithZone(text) => format!("TIMESTAMPTZ {}", string(text)),
        }
    }
}

/// Types by the index of their input.
type Types<'a> = dyn Fn(usize) -> Option<LogicalType> + 'a;

/// The comparisons that a term is, if it is nothing else.
pub(crate) fn comparisons(term: &Term, types: &Types<'_>) -> Option<Comparisons> {
    let each = |terms: &[Term]| {
        let each = terms.iter().map(|term| comparisons(term, types));
        each.collect::<Option<Vec<_>>>()
    };
    Some(match &term.operation {
        Operation::And(parts) => Comparisons::And(each(parts)?),
        Operation::Or(parts) => Comparisons::Or(each(parts)?),
        Operation::Not(part) => Comparisons::Not(Box::new(comparisons(part, types)?)),
        Operation::IsNull(part) => Comparisons::IsNull(input(part)?),
        Operation::Compare(operator, left, right) => match right.as_constant() {
            Some(_) => compared(left, *operator, right, types)?,
            None => compared(right, operator.turned(), left, types)?,
        },
        Operation::Between(part, low, high) => Comparisons::And(vec![
            compared(part, Comparison::GreaterOrEqual, low, types)?,
            compared(part, Comparison::LessOrEqual, high, types)?,
        ]),
        Operation::Among(part, constants) => {
            let equal = |constant| one(part, Comparison::Equal, constant, types);
            Comparisons::Or(constants.iter().map(equal).collect::<Option<_>>()?)
        }
        Operation::Distinct(left, right) => distinct(left, right, types)?,
        Operation::Constant(Datum::Boolean(true)) => Comparisons::And(Vec::new()),
        Operation::Constant(Datum::Boolean(false)) => Comparisons::Or(Vec::new()),
        Operation::Column(..) => one(term, Comparison::Equal, &Datum::Boolean(true), types)?,
        _ => return None,
    })
}

fn input(term: &Term) -> Option<usize> {
    match term.operation {
        Operation::Column(index, _) => Some(index),
        _ => None,
    }
}

fn compared(
    column: &Term,
    operator: Comparison,
    constant: &Term,
    types: &Types<'_>,
) -> Option<Comparisons> {
    one(column, operator, constant.as_constant()?, types)
}

fn one(
    column: &Term,
    operator: Comparison,
    constant: &Datum<'static>,
    types: &Types<'_>,
) -> Option<Comparisons> {
    let index = input(column)?;
    let value = literal(constant)?;
    let ordered = match types(index)? {
        // a store compares floats with rounded numbers, and values without a type in its own order
        LogicalType::Float { .. } | LogicalType::Any | LogicalType::Json => return None,
        // what is known by its text form has an order of its own in its store
        LogicalType::Other => false,
        _ => true,
    };
    let equality = matches!(operator, Comparison::Equal | Comparison::NotEqual);
    (ordered || equality).then_some(Comparisons::Compare {
        column: index,
        op: operator,
        value,
    })
}

/// NULL is a value like others: the column differs from the literal, or is NULL.
fn distinct(left: &Term, right: &Term, types: &Types<'_>) -> Option<Comparisons> {
    let (column, constant) = match right.as_constant() {
        Some(constant) => (left, constant),
        None => (right, left.as_constant()?),
    };
    let null = Comparisons::IsNull(input(column)?);
    let not_null = Comparisons::Not(Box::new(null.clone()));
    if constant.is_null() {
        return Some(not_null);
    }
    // never unknown: NOT may stand before it
    let differs = one(column, Comparison::NotEqual, constant, types)?;
    Some(Comparisons::Or(vec![
        null,
        Comparisons::And(vec![not_null, differs]),
    ]))
}

/// The literal; none for NULL, and for numbers that not every store has.
fn literal(datum: &Datum<'static>) -> Option<Literal> {
    Some(match datum {
        Datum::Boolean(value) => Literal::Boolean(*value),
        Datum::Integer(value) => Literal::Integer(*value),
        Datum::Decimal(value @ Decimal::Number(_)) => Literal::Decimal(value.to_text()),
        Datum::Text(text) => Literal::Text(String::from_utf8(text.to_vec()).ok()?),
        Datum::Bytes(bytes) => Literal::Bytes(bytes.to_vec()),
        Datum::Uuid(uuid) => Literal::Uuid(*uuid),
        Datum::Date(days) => Literal::Date(date_text(*days)),
        Datum::Time(micros) => Literal::Time(time_text(*micros)),
        Datum::Timestamp(micros) => Literal::Timestamp(timestamp_text(*micros, "")),
        Datum::Instant(micros) => Literal::TimestampWithZone(timestamp_text(*micros, "+00")),
        Datum::Null | Datum::Decimal(_) | Datum::Double(_) | Datum::Json(_) => return None,
    })
}
