//! A part whose names and types are settled: what is evaluated for every row.

use crate::Comparison;
use crate::datum::Datum;
use crate::decimal::Rounding;
use crate::kind::Kind;
use crate::like::Pattern;
use crate::syntax::{Arithmetic, Function, Target};

/// A part, its type and what is known of its results.
#[derive(Debug, Clone)]
pub(crate) struct Term {
    pub(crate) operation: Operation,
    pub(crate) kind: Kind,
    pub(crate) nullable: bool,
}

/// What is done. Operands are of the types that the operation takes; NULL gives NULL where nothing else is said.
#[derive(Debug, Clone)]
pub(crate) enum Operation {
    Column(usize, Kind),
    Constant(Datum<'static>),
    And(Vec<Term>),
    Or(Vec<Term>),
    Not(Box<Term>),
    Compare(Comparison, Box<Term>, Box<Term>),
    /// Never NULL.
    IsNull(Box<Term>),
    /// It is this boolean; never NULL.
    Is(Box<Term>, bool),
    /// NULL is a value like others; never NULL.
    Distinct(Box<Term>, Box<Term>),
    Between(Box<Term>, Box<Term>, Box<Term>),
    In(Box<Term>, Vec<Term>),
    /// One of constants, in order and none of them NULL.
    Among(Box<Term>, Vec<Datum<'static>>),
    Like(Box<Term>, Pattern),
    LikeAny(Box<Term>, Box<Term>, Option<char>),
    /// CASE without an operand.
    Choose(Vec<(Term, Term)>, Option<Box<Term>>),
    /// CASE with an operand.
    Switch(Box<Term>, Vec<(Term, Term)>, Option<Box<Term>>),
    Cast(Box<Term>, Target),
    Negate(Box<Term>),
    /// Two integers, two decimals or two doubles.
    Arithmetic(Arithmetic, Box<Term>, Box<Term>),
    /// A date some days later, or earlier.
    Shift {
        date: Box<Term>,
        days: Box<Term>,
        back: bool,
    },
    /// Days from the second date to the first.
    Days(Box<Term>, Box<Term>),
    /// A quotient of decimals that is rounded at once.
    Ratio {
        above: Box<Term>,
        below: Box<Term>,
        places: Box<Term>,
        rounding: Rounding,
    },
    Round {
        value: Box<Term>,
        places: Box<Term>,
        rounding: Rounding,
    },
    Concat(Vec<Term>),
    /// Texts joined, those that are NULL left out; never NULL.
    Join(Vec<Term>),
    Coalesce(Vec<Term>),
    NullIf(Box<Term>, Box<Term>),
    /// The greatest or the least of those that are not NULL.
    Extreme(Vec<Term>, bool),
    Extract(Field, Box<Term>),
    DateTruncate(Field, Box<Term>),
    /// Fails with the text that a person wrote.
    Fail(std::sync::Arc<str>),
    /// A function of values that are not NULL.
    Call(Function, Vec<Term>),
}

/// A part of a date or a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Field {
    Year,
    Quarter,
    Month,
    Week,
    Day,
    Hour,
    Minute,
    Second,
    Epoch,
    WeekDay,
    IsoWeekDay,
    YearDay,
}

impl Field {
    pub(crate) const NAMES: [(&'static str, Field); 12] = [
        ("year", Field::Year),
        ("quarter", Field::Quarter),
        ("month", Field::Month),
        ("week", Field::Week),
        ("day", Field::Day),
        ("hour", Field::Hour),
        ("minute", Field::Minute),
        ("second", Field::Second),
        ("epoch", Field::Epoch),
        ("dow", Field::WeekDay),
        ("isodow", Field::IsoWeekDay),
        ("doy", Field::YearDay),
    ];

    /// It is a part of a time of day.
    pub(crate) fn is_of_clock(self) -> bool {
        matches!(self, Self::Hour | Self::Minute | Self::Second)
    }
}

impl Term {
    pub(crate) fn new(operation: Operation, kind: Kind, nullable: bool) -> Self {
        Self {
            operation,
            kind,
            nullable,
        }
    }

    /// NULL, or what fails, as one of a type.
    pub(crate) fn of(self, kind: Kind) -> Self {
        Self { kind, ..self }
    }

    pub(crate) fn constant(datum: Datum<'static>, kind: Kind) -> Self {
        let nullable = datum.is_null();
        Self::new(Operation::Constant(datum), kind, nullable)
    }

    /// The value, if it is the same for every row.
    pub(crate) fn as_constant(&self) -> Option<&Datum<'static>> {
        match &self.operation {
            Operation::Constant(datum) => Some(datum),
            _ => None,
        }
    }
}
