//! What gives an expression's only input back from its result.

use crate::compiled::Op;
use crate::syntax::{Expression, Node, Operator, Type};
use crate::value::{Kind, Val};

/// An expression over the result that gives the input back.
#[derive(Debug, Clone, PartialEq)]
pub struct Inverse {
    /// The expression.
    pub expression: Expression,
    /// Every value of the result's type comes from some input; where not, a value that comes from none is refused or comes back as
    /// another one.
    pub total: bool,
}

/// Undoes an expression, from the outside in.
pub(crate) fn inverse(op: &Op, column: &str) -> Option<Inverse> {
    let mut total = true;
    let node = undo(op, Node::Column(column.to_owned()), &mut total)?;
    Some(Inverse {
        expression: Expression::of(node),
        total,
    })
}

/// `result` is what stands for the value of `op`.
fn undo(op: &Op, result: Node, total: &mut bool) -> Option<Node> {
    match op {
        Op::Column(..) => Some(result),
        Op::Negate(inner) => undo(inner, Node::Negate(Box::new(result)), total),
        Op::Not(inner) => undo(inner, Node::Not(Box::new(result)), total),
        Op::Arithmetic(operator, a, b) => arithmetic(*operator, a, b, result, total),
        Op::Concatenate(a, b) => concatenated(a, b, result, total),
        Op::Cast(inner, from, to) => undo(inner, uncast(*from, *to, result, total)?, total),
        Op::Case(arms, otherwise) => {
            let (inner, node) = branches(arms, otherwise, result)?;
            *total = false;
            undo(inner, node, total)
        }
        _ => None,
    }
}

fn binary(operator: Operator, a: Node, b: Node) -> Node {
    Node::Binary(operator, Box::new(a), Box::new(b))
}

/// A number that stands in the text.
fn number(op: &Op) -> Option<Node> {
    match op {
        Op::Constant(Val::Integer(i)) => Some(Node::Number(i.to_string())),
        Op::Constant(Val::Decimal(d)) => Some(Node::Number(d.to_plain_string())),
        _ => None,
    }
}

fn arithmetic(operator: Operator, a: &Op, b: &Op, result: Node, total: &mut bool) -> Option<Node> {
    let (inner, constant, first) = match (number(a), number(b)) {
        (None, Some(constant)) => (a, constant, true),
        (Some(constant), None) => (b, constant, false),
        _ => return None,
    };
    let undone = match (operator, first) {
        (Operator::Add, _) => binary(Operator::Subtract, result, constant),
        (Operator::Subtract, true) => binary(Operator::Add, result, constant),
        (Operator::Subtract, false) => binary(Operator::Subtract, constant, result),
        (Operator::Multiply, _) => {
            if is_zero(&constant) {
                return None;
            }
            // exact, or refused
            *total = false;
            let decimal = Node::Cast(Box::new(result), Type::Decimal(None));
            binary(Operator::Divide, decimal, constant)
        }
        _ => return None,
    };
    // the wider type of a result is narrowed again
    let narrow = match kind_of(inner) {
        Some(Kind::Integer) => {
            *total = false;
            exact_integer(undone)
        }
        _ => undone,
    };
    undo(inner, narrow, total)
}

/// A decimal as an integer, where it is one; of another one nothing is made but an error.
fn exact_integer(node: Node) -> Node {
    let decimal = |node: Node| Node::Cast(Box::new(node), Type::Decimal(None));
    let integer = Node::Cast(Box::new(node.clone()), Type::Integer(64));
    let nothing = Node::IsNull(Box::new(node.clone()));
    let whole = binary(Operator::Equal, decimal(integer.clone()), decimal(node));
    Node::Case {
        arms: vec![(nothing, Node::Null), (whole, integer)],
        otherwise: Box::new(refuse()),
    }
}

/// What has no value for any row, and is only evaluated where a result comes from no input.
fn refuse() -> Node {
    Node::Cast(
        Box::new(Node::Text("comes from no value".to_owned())),
        Type::Integer(64),
    )
}

fn is_zero(node: &Node) -> bool {
    matches!(node, Node::Number(text) if text.chars().all(|c| matches!(c, '0' | '.' | '-')))
}

/// The kind of a part, as far as it is needed to undo it.
fn kind_of(op: &Op) -> Option<Kind> {
    match op {
        Op::Column(_, kind) => Some(*kind),
        Op::Cast(_, _, to) => Some(crate::cast::kind(*to)),
        Op::Negate(inner) => kind_of(inner),
        Op::Arithmetic(_, a, b) => match (kind_of(a), kind_of(b)) {
            (Some(Kind::Integer), Some(Kind::Integer)) => Some(Kind::Integer),
            _ => Some(Kind::Decimal),
        },
        Op::Constant(Val::Integer(_)) => Some(Kind::Integer),
        Op::Constant(Val::Decimal(_)) => Some(Kind::Decimal),
        _ => None,
    }
}

/// Undoes a cast that loses nothing.
fn uncast(from: Kind, to: Type, result: Node, total: &mut bool) -> Option<Node> {
    let back = |kind: Type| Some(Node::Cast(Box::new(result.clone()), kind));
    match (from, to) {
        (Kind::Integer, Type::Integer(_)) | (Kind::Text | Kind::Other, Type::Text(_)) => {
            Some(result)
        }
        (Kind::Decimal, Type::Decimal(None)) => Some(result),
        (Kind::Integer, Type::Decimal(_)) => {
            *total = false;
            Some(exact_integer(result))
        }
        // what is cast must have been whole: the way there would have rounded it
        (Kind::Decimal, Type::Integer(_)) => back(Type::Decimal(None)),
        (Kind::Integer, Type::Text(_)) => {
            *total = false;
            back(Type::Integer(64))
        }
        (Kind::Decimal, Type::Text(_)) => {
            *total = false;
            back(Type::Decimal(None))
        }
        (Kind::Boolean, Type::Integer(_)) => {
            *total = false;
            back(Type::Boolean)
        }
        (Kind::Uuid, Type::Text(_)) => {
            *total = false;
            back(Type::Uuid)
        }
        (Kind::Date, Type::Text(_)) => {
            *total = false;
            back(Type::Date)
        }
        (Kind::Timestamp, Type::Text(_)) => {
            *total = false;
            back(Type::Timestamp)
        }
        (Kind::Instant, Type::Timestamp) => back(Type::Instant),
        (Kind::Timestamp, Type::Instant) => back(Type::Timestamp),
        (Kind::Date, Type::Timestamp | Type::Instant) => {
            *total = false;
            back(Type::Date)
        }
        _ => None,
    }
}

/// A text before or behind is taken off again.
fn concatenated(a: &Op, b: &Op, result: Node, total: &mut bool) -> Option<Node> {
    *total = false;
    let integer = |n: usize| Node::Number(n.to_string());
    match (a, b) {
        (Op::Constant(Val::Text(prefix)), inner) => {
            let at = integer(prefix.chars().count() + 1);
            let rest = Node::Call(crate::function::Function::Substring, vec![result, at]);
            undo(inner, rest, total)
        }
        (inner, Op::Constant(Val::Text(suffix))) => {
            let left_out = Node::Number(format!("-{}", suffix.chars().count()));
            let rest = match suffix.is_empty() {
                true => result,
                false => Node::Call(crate::function::Function::Left, vec![result, left_out]),
            };
            undo(inner, rest, total)
        }
        _ => None,
    }
}

/// `CASE WHEN x THEN a ELSE b` of a boolean: it has two values, and both are told apart.
fn branches<'o>(arms: &'o [(Op, Op)], otherwise: &Op, result: Node) -> Option<(&'o Op, Node)> {
    let [(Op::Column(..), Op::Constant(yes))] = arms else {
        return None;
    };
    let Op::Constant(no) = otherwise else {
        return None;
    };
    if yes == no || *yes == Val::Null || *no == Val::Null {
        return None;
    }
    let given = |value: &Val<'static>, meant: bool| {
        Some((
            binary(Operator::Equal, result.clone(), written(value)?),
            Node::Boolean(meant),
        ))
    };
    let node = Node::Case {
        arms: vec![given(yes, true)?, given(no, false)?],
        otherwise: Box::new(Node::Null),
    };
    arms.first().map(|(tested, _)| (tested, node))
}

fn written(value: &Val<'_>) -> Option<Node> {
    Some(match value {
        Val::Boolean(b) => Node::Boolean(*b),
        Val::Integer(i) => Node::Number(i.to_string()),
        Val::Decimal(d) => Node::Number(d.to_plain_string()),
        Val::Text(text) => Node::Text(text.clone().into_owned()),
        _ => return None,
    })
}
