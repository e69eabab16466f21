//! Which type can be cast to which.

use super::{Binder, Result};
use crate::ExpressionError;
use crate::kind::Kind;
use crate::syntax::{Node, Target};
use crate::term::{Operation, Term};

impl Binder<'_> {
    pub(super) fn cast(&mut self, operand: &Node, target: Target, node: &Node) -> Result<Term> {
        let mut term = self.bind(operand)?;
        let kind = kind(target);
        if term.kind == Kind::Null {
            return Ok(term.of(kind));
        }
        if !allowed(term.kind, target) {
            let what = format!("{} is not cast to {}", term.kind.name(), kind.name());
            let fix = fix(term.kind, target);
            return Err(ExpressionError::new(node.span.clone(), what, fix));
        }
        if let (Kind::Any, Operation::Column(index, _)) = (term.kind, &term.operation)
            && kind != Kind::Text
        {
            // such a column's values are read as the type that is asked of them; a value of any class has a text
            term = Term::new(Operation::Column(*index, kind), kind, term.nullable);
        }
        let nullable = term.nullable;
        let operation = Operation::Cast(Box::new(term), target);
        Ok(Term::new(operation, kind, nullable))
    }
}

/// The type of a cast's results.
fn kind(target: Target) -> Kind {
    match target {
        Target::Boolean => Kind::Boolean,
        Target::Integer { bits } => Kind::Integer { bits },
        Target::Decimal(_) => Kind::Decimal,
        Target::Double => Kind::Double,
        Target::Text(_) => Kind::Text,
        Target::Bytes => Kind::Bytes,
        Target::Date => Kind::Date,
        Target::Time => Kind::Time,
        Target::Timestamp => Kind::Timestamp,
        Target::Instant => Kind::Instant,
        Target::Uuid => Kind::Uuid,
        Target::Json => Kind::Json,
    }
}

/// Whether there is such a cast.
fn allowed(from: Kind, to: Target) -> bool {
    match from {
        Kind::Null | Kind::Any | Kind::Text => true,
        Kind::Boolean => matches!(
            to,
            Target::Boolean | Target::Integer { .. } | Target::Text(_)
        ),
        Kind::Integer { .. } => matches!(
            to,
            Target::Boolean
                | Target::Integer { .. }
                | Target::Decimal(_)
                | Target::Double
                | Target::Text(_)
        ),
        Kind::Decimal | Kind::Float { .. } | Kind::Double => matches!(
            to,
            Target::Integer { .. } | Target::Decimal(_) | Target::Double | Target::Text(_)
        ),
        Kind::Bytes => matches!(to, Target::Bytes | Target::Text(_) | Target::Uuid),
        Kind::Date => matches!(to, Target::Date | Target::Timestamp | Target::Text(_)),
        Kind::Time => matches!(to, Target::Time | Target::Text(_)),
        Kind::Timestamp | Kind::Instant => matches!(
            to,
            Target::Date | Target::Time | Target::Timestamp | Target::Instant | Target::Text(_)
        ),
        Kind::Uuid => matches!(to, Target::Uuid | Target::Text(_) | Target::Bytes),
        Kind::Json => to == Target::Json,
    }
}

fn fix(from: Kind, to: Target) -> &'static str {
    match (from, to) {
        (Kind::Json, _) => "engines write one JSON value in several ways; move it as it is",
        (Kind::Date, Target::Instant) => {
            "cast it to timestamp first: its midnight is then one of UTC"
        }
        (_, Target::Boolean) => "compare it with a value",
        _ => "cast it to text, or to a type between the two",
    }
}
