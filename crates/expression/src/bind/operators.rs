//! Arithmetic: which numbers go together, and what comes out.

use super::unify::coerce;
use super::{Binder, Result, mistyped};
use crate::ExpressionError;
use crate::datum::Datum;
use crate::kind::Kind;
use crate::syntax::{Arithmetic, Form, Node};
use crate::term::{Operation, Term};

impl Binder<'_> {
    pub(super) fn negate(&mut self, node: &Node) -> Result<Term> {
        let term = self.number(node)?;
        let (kind, nullable) = (computed(term.kind), term.nullable);
        Ok(Term::new(Operation::Negate(Box::new(term)), kind, nullable))
    }

    /// Binds what must be a number that can be computed with.
    pub(super) fn number(&mut self, node: &Node) -> Result<Term> {
        let term = self.bind(node)?;
        match term.kind {
            Kind::Integer { .. } | Kind::Decimal | Kind::Double => Ok(term),
            Kind::Null => Ok(term.of(Kind::INTEGER)),
            Kind::Float { .. } => Err(float(node)),
            kind => Err(mistyped(node, kind, "a number", "cast it to a number")),
        }
    }

    /// Binds what must be an integer or a decimal.
    pub(super) fn exact(&mut self, node: &Node) -> Result<Term> {
        let term = self.number(node)?;
        match term.kind {
            Kind::Double => Err(mistyped(
                node,
                term.kind,
                "an exact number",
                "cast it to decimal",
            )),
            _ => Ok(term),
        }
    }

    /// Binds what must be an integer.
    pub(super) fn integer(&mut self, node: &Node) -> Result<Term> {
        let term = self.number(node)?;
        match term.kind.is_integer() {
            true => Ok(term),
            false => Err(mistyped(node, term.kind, "an integer", "cast it to bigint")),
        }
    }

    pub(super) fn arithmetic(
        &mut self,
        operator: Arithmetic,
        left_node: &Node,
        right_node: &Node,
        node: &Node,
    ) -> Result<Term> {
        let (left, right) = (self.bind(left_node)?, self.bind(right_node)?);
        if left.kind == Kind::Date || right.kind == Kind::Date {
            return dates(operator, left, right, node);
        }
        let doubled = left.kind == Kind::Double || right.kind == Kind::Double;
        for (part, term) in [(left_node, &left), (right_node, &right)] {
            match term.kind {
                Kind::Integer { .. } | Kind::Decimal | Kind::Double | Kind::Null => {}
                Kind::Float { .. } if doubled => {}
                Kind::Float { .. } => return Err(float(part)),
                kind => return Err(mistyped(part, kind, "a number", "cast it to a number")),
            }
        }
        if doubled {
            let sides = [(left_node, left), (right_node, right)];
            return doubles(operator, sides);
        }
        if operator == Arithmetic::Divide {
            integers_divided(&left, &right, node)?;
        }
        exact(operator, left_node, left, right_node, right)
    }
}

fn exact(
    operator: Arithmetic,
    left_node: &Node,
    left: Term,
    right_node: &Node,
    right: Term,
) -> Result<Term> {
    let integers = [&left, &right]
        .iter()
        .all(|term| term.kind.is_integer() || term.kind == Kind::Null);
    let kind = match integers && operator != Arithmetic::Divide {
        true => Kind::INTEGER,
        false => Kind::Decimal,
    };
    let left = coerce(left_node, left, kind)?;
    let right = coerce(right_node, right, kind)?;
    Ok(binary(operator, left, right, kind))
}

fn doubles(operator: Arithmetic, sides: [(&Node, Term); 2]) -> Result<Term> {
    let [left, right] = sides.map(|(_, term)| {
        let nullable = term.nullable;
        match term.kind.is_exact() {
            true => Term::new(
                Operation::Cast(Box::new(term), crate::syntax::Target::Double),
                Kind::Double,
                nullable,
            ),
            false => term,
        }
    });
    Ok(binary(operator, left, right, Kind::Double))
}

fn binary(operator: Arithmetic, left: Term, right: Term, kind: Kind) -> Term {
    let nullable = left.nullable || right.nullable;
    let operation = Operation::Arithmetic(operator, Box::new(left), Box::new(right));
    Term::new(operation, kind, nullable)
}

/// Engines disagree on a quotient of integers: it must be said which is meant where that can be seen.
fn integers_divided(left: &Term, right: &Term, node: &Node) -> Result<()> {
    let (Some(Datum::Integer(a)), Some(Datum::Integer(b))) =
        (left.as_constant(), right.as_constant())
    else {
        return Ok(());
    };
    match b.checked_rem(*b).is_some() && a % b != 0 {
        true => Err(ExpressionError::new(
            node.span.clone(),
            "engines disagree on this quotient of integers",
            "write div(a, b) for the whole part, round(a / b, n), or a decimal such as 1.0",
        )),
        false => Ok(()),
    }
}

fn dates(operator: Arithmetic, left: Term, right: Term, node: &Node) -> Result<Term> {
    let nullable = left.nullable || right.nullable;
    let whole = |term: &Term| term.kind.is_integer() || term.kind == Kind::Null;
    let (operation, kind) = match operator {
        Arithmetic::Subtract if left.kind == Kind::Date && right.kind == Kind::Date => (
            Operation::Days(Box::new(left), Box::new(right)),
            Kind::INTEGER,
        ),
        Arithmetic::Add if left.kind == Kind::Date && whole(&right) => {
            (shift(left, right, false), Kind::Date)
        }
        Arithmetic::Add if whole(&left) => (shift(right, left, false), Kind::Date),
        Arithmetic::Subtract if left.kind == Kind::Date && whole(&right) => {
            (shift(left, right, true), Kind::Date)
        }
        _ => {
            return Err(ExpressionError::new(
                node.span.clone(),
                "dates are not computed with like this",
                "add or subtract whole days, or subtract a date from a date",
            ));
        }
    };
    Ok(Term::new(operation, kind, nullable))
}

fn shift(date: Term, days: Term, back: bool) -> Operation {
    Operation::Shift {
        date: Box::new(date),
        days: Box::new(days),
        back,
    }
}

/// Results of arithmetic are of the widest type.
fn computed(kind: Kind) -> Kind {
    match kind.is_integer() {
        true => Kind::INTEGER,
        false => kind,
    }
}

fn float(node: &Node) -> ExpressionError {
    ExpressionError::new(
        node.span.clone(),
        "a float is not computed with: its results are rounded",
        "cast it as double, where binary rounding is wanted, or as decimal for its shortest decimal digits",
    )
}

/// The two sides of a quotient.
pub(super) fn quotient(node: &Node) -> Option<(&Node, &Node)> {
    match &node.form {
        Form::Arithmetic(Arithmetic::Divide, above, below) => Some((above, below)),
        _ => None,
    }
}
