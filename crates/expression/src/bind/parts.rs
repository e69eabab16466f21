//! Tests and conditions: what is true, false or NULL.

use super::unify::{Mixed, unify};
use super::{Binder, Result, mistyped};
use crate::datum::Datum;
use crate::evaluate::compare;
use crate::kind::Kind;
use crate::syntax::{Node, Test};
use crate::term::{Operation, Term};
use crate::{Comparison, ExpressionError};

fn truth(operation: Operation, nullable: bool) -> Term {
    Term::new(operation, Kind::Boolean, nullable)
}

fn negated_if(negated: bool, term: Term) -> Term {
    match negated {
        true => {
            let nullable = term.nullable;
            truth(Operation::Not(Box::new(term)), nullable)
        }
        false => term,
    }
}

impl Binder<'_> {
    /// Binds what must be a boolean.
    pub(super) fn condition(&mut self, node: &Node) -> Result<Term> {
        let term = self.bind(node)?;
        match term.kind {
            Kind::Boolean => Ok(term),
            Kind::Null => Ok(term.of(Kind::Boolean)),
            kind if kind.is_exact() => Err(mistyped(node, kind, "a condition", "write … <> 0")),
            kind => Err(mistyped(
                node,
                kind,
                "a condition",
                "compare it with a value",
            )),
        }
    }

    pub(super) fn not(&mut self, node: &Node) -> Result<Term> {
        let term = self.condition(node)?;
        Ok(negated_if(true, term))
    }

    pub(super) fn all(&mut self, nodes: &[Node], join: fn(Vec<Term>) -> Operation) -> Result<Term> {
        let terms: Vec<_> = nodes
            .iter()
            .map(|node| self.condition(node))
            .collect::<Result<_>>()?;
        let nullable = terms.iter().any(|term| term.nullable);
        Ok(truth(join(terms), nullable))
    }

    pub(super) fn compare(
        &mut self,
        operator: Comparison,
        left: &Node,
        right: &Node,
        node: &Node,
    ) -> Result<Term> {
        let (left, right) = self.comparable(left, right, node)?;
        let nullable = left.nullable || right.nullable;
        let operation = Operation::Compare(operator, Box::new(left), Box::new(right));
        Ok(truth(operation, nullable))
    }

    /// Binds two parts that are compared with one another.
    pub(super) fn comparable(
        &mut self,
        left: &Node,
        right: &Node,
        node: &Node,
    ) -> Result<(Term, Term)> {
        let (kind, mut terms) = self.unified(&[left, right], Mixed::Stay)?;
        must_compare(kind, node)?;
        match (terms.pop(), terms.pop()) {
            (Some(right), Some(left)) => Ok((left, right)),
            // two parts went in
            _ => Err(mistyped(node, kind, "a pair", "compare two values")),
        }
    }

    pub(super) fn is(&mut self, node: &Node, test: Test, negated: bool) -> Result<Term> {
        let operation = match test {
            Test::Null => Operation::IsNull(Box::new(self.bind(node)?)),
            Test::True => Operation::Is(Box::new(self.condition(node)?), true),
            Test::False => Operation::Is(Box::new(self.condition(node)?), false),
        };
        Ok(negated_if(negated, truth(operation, false)))
    }

    pub(super) fn distinct(
        &mut self,
        left: &Node,
        right: &Node,
        negated: bool,
        node: &Node,
    ) -> Result<Term> {
        let (left, right) = self.comparable(left, right, node)?;
        let operation = Operation::Distinct(Box::new(left), Box::new(right));
        Ok(negated_if(negated, truth(operation, false)))
    }

    pub(super) fn between(
        &mut self,
        parts: [&Node; 3],
        negated: bool,
        node: &Node,
    ) -> Result<Term> {
        let (kind, terms) = self.unified(&parts, Mixed::Stay)?;
        must_compare(kind, node)?;
        let nullable = terms.iter().any(|term| term.nullable);
        let mut terms = terms.into_iter().map(Box::new);
        match (terms.next(), terms.next(), terms.next()) {
            (Some(operand), Some(low), Some(high)) => {
                let operation = Operation::Between(operand, low, high);
                Ok(negated_if(negated, truth(operation, nullable)))
            }
            // three parts went in
            _ => Err(mistyped(node, kind, "a range", "name two bounds")),
        }
    }

    pub(super) fn within(
        &mut self,
        operand: &Node,
        list: &[Node],
        negated: bool,
        node: &Node,
    ) -> Result<Term> {
        let nodes: Vec<_> = std::iter::once(operand).chain(list).collect();
        let (kind, mut terms) = self.unified(&nodes, Mixed::Stay)?;
        must_compare(kind, node)?;
        let nullable = terms.iter().any(|term| term.nullable);
        let list = terms.split_off(1);
        let Some(operand) = terms.pop().map(Box::new) else {
            return Err(mistyped(node, kind, "a list", "name a value"));
        };
        let operation = match constants(&list) {
            Some(constants) => Operation::Among(operand, constants),
            None => Operation::In(operand, list),
        };
        Ok(negated_if(negated, truth(operation, nullable)))
    }

    pub(super) fn case(
        &mut self,
        operand: Option<&Node>,
        arms: &[(Node, Node)],
        otherwise: Option<&Node>,
        node: &Node,
    ) -> Result<Term> {
        let nodes: Vec<_> = arms.iter().map(|(_, then)| then).chain(otherwise).collect();
        let results: Vec<_> = nodes
            .iter()
            .map(|node| self.bind(node))
            .collect::<Result<_>>()?;
        let (kind, mut results) = unify(&nodes, results, Mixed::Convert)?;
        let nullable = otherwise.is_none() || results.iter().any(|term| term.nullable);
        let otherwise = otherwise.and_then(|_| results.pop()).map(Box::new);
        let operation = match operand {
            None => {
                let conditions = arms
                    .iter()
                    .map(|(when, _)| self.condition(when))
                    .collect::<Result<Vec<_>>>()?;
                Operation::Choose(conditions.into_iter().zip(results).collect(), otherwise)
            }
            Some(operand) => {
                let nodes: Vec<_> = std::iter::once(operand)
                    .chain(arms.iter().map(|(when, _)| when))
                    .collect();
                let (compared, mut values) = self.unified(&nodes, Mixed::Stay)?;
                must_compare(compared, node)?;
                let values_of_arms = values.split_off(1);
                let Some(operand) = values.pop().map(Box::new) else {
                    return Err(mistyped(node, kind, "a choice", "name a value"));
                };
                let arms = values_of_arms.into_iter().zip(results).collect();
                Operation::Switch(operand, arms, otherwise)
            }
        };
        Ok(Term::new(operation, kind, nullable))
    }
}

/// Values of the type have an equality that is the same in every engine.
pub(super) fn must_compare(kind: Kind, node: &Node) -> Result<()> {
    match kind {
        Kind::Json => Err(ExpressionError::new(
            node.span.clone(),
            "JSON values are not compared: engines write one value in several ways",
            "compare another column, or test with IS NULL",
        )),
        Kind::Any => Err(ExpressionError::new(
            node.span.clone(),
            "a column without a type may hold anything, and has no order",
            "cast it to the type that it holds",
        )),
        _ => Ok(()),
    }
}

/// The constants in order, if all are constants and none is NULL.
fn constants(list: &[Term]) -> Option<Vec<Datum<'static>>> {
    let mut constants: Vec<_> = list
        .iter()
        .map(|term| term.as_constant().filter(|datum| !datum.is_null()).cloned())
        .collect::<Option<_>>()?;
    // of one type, so that all have an order
    constants.sort_by(|a, b| compare(a, b).unwrap_or(std::cmp::Ordering::Equal));
    Some(constants)
}
