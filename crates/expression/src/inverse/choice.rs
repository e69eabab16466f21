//! CASE undone: where each of its values stands for one value of the input.

use super::{Context, Undone};
use crate::datum::Datum;
use crate::evaluate::compare;
use crate::kind::Kind;
use crate::syntax::{Form, Function, Node};
use crate::term::{Operation, Term};

/// A value of the operand and the result that it has, as values and as they are written.
struct Pair {
    value: Datum<'static>,
    result: Datum<'static>,
    written_value: String,
    written_result: String,
}

impl Context<'_> {
    pub(super) fn unchoose(
        &self,
        node: &Node,
        operand: Option<&Node>,
        arms: &[(Node, Node)],
        otherwise: Option<&Node>,
        undone: Undone,
    ) -> Option<Undone> {
        let (operand, pairs, from) = match (self.bind(node)?.operation, operand) {
            (Operation::Switch(term, terms, rest), Some(operand)) => {
                let pairs = self.pairs(arms, &terms)?;
                let pairs = self.covered(&term, pairs, rest.as_deref(), otherwise)?;
                (operand, pairs, term.kind)
            }
            (Operation::Choose(terms, rest), None) => {
                let [(when, then)] = arms else { return None };
                let [(condition, result)] = terms.as_slice() else {
                    return None;
                };
                let pairs = vec![Pair {
                    value: Datum::Boolean(true),
                    result: result.as_constant()?.clone(),
                    written_value: "true".to_owned(),
                    written_result: self.source(then)?,
                }];
                let pairs = self.covered(condition, pairs, rest.as_deref(), otherwise)?;
                (when, pairs, Kind::Boolean)
            }
            _ => return None,
        };
        if operand.is_constant() || !one_to_one(&pairs) || !has_literals(from) {
            return None;
        }
        let total = undone.kind == Kind::Boolean && pairs.len() == 2;
        let text = looked_up(&undone.text, &pairs, from);
        self.undo(operand, undone.then(text, from, total))
    }

    fn pairs(&self, arms: &[(Node, Node)], terms: &[(Term, Term)]) -> Option<Vec<Pair>> {
        let mut pairs = Vec::with_capacity(arms.len());
        for ((when, then), (value, result)) in arms.iter().zip(terms) {
            pairs.push(Pair {
                value: value.as_constant()?.clone(),
                result: result.as_constant()?.clone(),
                written_value: self.source(when)?,
                written_result: self.source(then)?,
            });
        }
        Some(pairs)
    }

    /// The pairs, if no other value of the operand has a result.
    fn covered(
        &self,
        operand: &Term,
        mut pairs: Vec<Pair>,
        rest: Option<&Term>,
        otherwise: Option<&Node>,
    ) -> Option<Vec<Pair>> {
        if otherwise.is_some_and(|node| matches!(node.form, Form::Call(Function::Fail, _))) {
            return Some(pairs);
        }
        if operand.kind != Kind::Boolean {
            return None;
        }
        if let ([only], Some(rest), Some(otherwise), false) =
            (pairs.as_slice(), rest, otherwise, operand.nullable)
        {
            let Datum::Boolean(value) = only.value else {
                return None;
            };
            pairs.push(Pair {
                value: Datum::Boolean(!value),
                result: rest.as_constant()?.clone(),
                written_value: (!value).to_string(),
                written_result: self.source(otherwise)?,
            });
            return Some(pairs);
        }
        // both are named: what is left is NULL, which must stay NULL
        let null = rest.is_none_or(|term| term.as_constant().is_some_and(Datum::is_null));
        (pairs.len() == 2 && (null || !operand.nullable)).then_some(pairs)
    }
}

/// No value and no result twice, and none of them NULL.
fn one_to_one(pairs: &[Pair]) -> bool {
    let same = |a: &Datum<'_>, b: &Datum<'_>| compare(a, b).map_or(true, |order| order.is_eq());
    pairs.iter().enumerate().all(|(index, pair)| {
        let known = !pair.value.is_null() && !pair.result.is_null();
        let before = pairs.iter().take(index);
        known
            && before
                .into_iter()
                .all(|other| !same(&pair.value, &other.value) && !same(&pair.result, &other.result))
    })
}

fn has_literals(kind: Kind) -> bool {
    !kind.is_float() && !matches!(kind, Kind::Null | Kind::Json | Kind::Any)
}

fn looked_up(result: &str, pairs: &[Pair], kind: Kind) -> String {
    let arms: String = pairs
        .iter()
        .map(|pair| {
            let (written, value) = (&pair.written_result, &pair.written_value);
            format!(" WHEN {written} THEN cast({value} as {})", kind.name())
        })
        .collect();
    format!(
        "CASE WHEN ({result}) IS NULL THEN NULL ELSE CASE ({result}){arms} ELSE fail('no input gives this result') END END"
    )
}
