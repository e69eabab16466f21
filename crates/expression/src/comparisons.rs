//! Conditions that are comparisons of columns with literals: a store can write them in its own SQL.

use crate::compiled::Op;
use crate::syntax::{Expression, Node, Operator};
use crate::value::Val;

/// How a column is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// `=`
    Equal,
    /// `<>`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterEqual,
}

/// A value that stands in the text. Texts are compared by their bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Literal {
    /// True or false.
    Boolean(bool),
    /// An integer.
    Integer(i64),
    /// A decimal, in digits.
    Decimal(String),
    /// A text.
    Text(String),
}

/// A condition on columns, by their places among the inputs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Comparisons {
    /// All of these.
    And(Vec<Comparisons>),
    /// One of these.
    Or(Vec<Comparisons>),
    /// Not this.
    Not(Box<Comparisons>),
    /// A column beside a literal.
    Compare {
        /// The column's place.
        column: usize,
        /// How.
        how: Comparison,
        /// With what.
        value: Literal,
    },
    /// A column is NULL.
    IsNull(usize),
}

impl Literal {
    /// As it is written in an expression.
    pub fn to_sql(&self) -> String {
        Expression::of(self.node()).text().to_owned()
    }

    fn node(&self) -> Node {
        match self {
            Literal::Boolean(b) => Node::Boolean(*b),
            Literal::Integer(i) => Node::Number(i.to_string()),
            Literal::Decimal(digits) => Node::Number(digits.clone()),
            Literal::Text(text) => Node::Text(text.clone()),
        }
    }
}

impl Comparisons {
    /// Whether it is `column = literal`, and no more.
    pub fn is_equality(&self) -> bool {
        let equal = Comparison::Equal;
        matches!(self, Comparisons::Compare { how, .. } if *how == equal)
    }

    /// The literal that a column is equal to wherever the condition is true.
    pub fn equal_to(&self, wanted: usize) -> Option<&Literal> {
        match self {
            Comparisons::And(parts) => parts.iter().find_map(|part| part.equal_to(wanted)),
            Comparisons::Compare { column, value, .. }
                if self.is_equality() && *column == wanted =>
            {
                Some(value)
            }
            _ => None,
        }
    }
}

/// A condition as comparisons; `None` where it is made of anything else.
pub(crate) fn of(op: &Op) -> Option<Comparisons> {
    Some(match op {
        Op::And(a, b) => Comparisons::And(joined(of(a)?, of(b)?, true)),
        Op::Or(a, b) => Comparisons::Or(joined(of(a)?, of(b)?, false)),
        Op::Not(inner) => Comparisons::Not(Box::new(of(inner)?)),
        Op::IsNull(inner) => match inner.as_ref() {
            Op::Column(at, _) => Comparisons::IsNull(*at),
            _ => return None,
        },
        Op::Column(at, crate::value::Kind::Boolean) => Comparisons::Compare {
            column: *at,
            how: Comparison::Equal,
            value: Literal::Boolean(true),
        },
        Op::Compare(operator, a, b) => match (a.as_ref(), b.as_ref()) {
            (Op::Column(at, _), other) => compared(*at, how(*operator)?, other)?,
            (other, Op::Column(at, _)) => compared(*at, turned(how(*operator)?), other)?,
            _ => return None,
        },
        Op::In(inner, list) => {
            let Op::Column(at, _) = inner.as_ref() else {
                return None;
            };
            let each = list
                .iter()
                .map(|item| compared(*at, Comparison::Equal, item));
            Comparisons::Or(each.collect::<Option<_>>()?)
        }
        _ => return None,
    })
}

fn joined(a: Comparisons, b: Comparisons, and: bool) -> Vec<Comparisons> {
    let mut out = Vec::new();
    for part in [a, b] {
        match part {
            Comparisons::And(parts) if and => out.extend(parts),
            Comparisons::Or(parts) if !and => out.extend(parts),
            part => out.push(part),
        }
    }
    out
}

fn how(operator: Operator) -> Option<Comparison> {
    Some(match operator {
        Operator::Equal => Comparison::Equal,
        Operator::NotEqual => Comparison::NotEqual,
        Operator::Less => Comparison::Less,
        Operator::LessEqual => Comparison::LessEqual,
        Operator::Greater => Comparison::Greater,
        Operator::GreaterEqual => Comparison::GreaterEqual,
        _ => return None,
    })
}

/// The same with its sides exchanged.
fn turned(how: Comparison) -> Comparison {
    match how {
        Comparison::Less => Comparison::Greater,
        Comparison::LessEqual => Comparison::GreaterEqual,
        Comparison::Greater => Comparison::Less,
        Comparison::GreaterEqual => Comparison::LessEqual,
        same => same,
    }
}

fn compared(column: usize, how: Comparison, other: &Op) -> Option<Comparisons> {
    let Op::Constant(constant) = other else {
        return None;
    };
    let value = match constant {
        Val::Boolean(b) => Literal::Boolean(*b),
        Val::Integer(i) => Literal::Integer(*i),
        Val::Decimal(d) => Literal::Decimal(d.to_plain_string()),
        Val::Text(text) => Literal::Text(text.clone().into_owned()),
        _ => return None,
    };
    Some(Comparisons::Compare { column, how, value })
}
