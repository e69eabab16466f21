//! Checks an expression against the columns that it is over: names, and types that go together.

use std::collections::BTreeSet;

use crossfade_model::{LogicalType, Row};

use crate::cast;
use crate::compiled::{Bound, Op};
use crate::decimals;
use crate::evaluate::{self, comparable};
use crate::function::Function;
use crate::like::Pattern;
use crate::syntax::{ExpressionError, Node, Operator, Type};
use crate::value::{Kind, Val};

/// A column that an expression may name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    /// Its name.
    pub name: String,
    /// What its values mean.
    pub logical: LogicalType,
    /// NULL is among them.
    pub nullable: bool,
}

/// A checked part.
struct Part {
    op: Op,
    kind: Kind,
    nullable: bool,
}

type Checked = Result<Part, ExpressionError>;

/// Checks a whole expression.
///
/// # Errors
/// A column that is not there, operands that do not go together.
pub(crate) fn bind(root: &Node, inputs: &[Input]) -> Result<Bound, ExpressionError> {
    let part = check(root, inputs)?;
    let mut reads = BTreeSet::new();
    collect(&part.op, &mut reads);
    let logical = match part.op {
        Op::Column(at, _) => inputs[at].logical,
        _ => logical(&part),
    };
    let op = match reads.is_empty() {
        true => constant(part.op)?,
        false => part.op,
    };
    Ok(Bound {
        op,
        logical,
        nullable: part.nullable,
        reads: reads.into_iter().collect(),
    })
}

/// What reads nothing is evaluated once.
fn constant(op: Op) -> Result<Op, ExpressionError> {
    let row = Row::default();
    let value = evaluate::value(&op, &row).map(Val::into_owned);
    value.map(Op::Constant).map_err(|error| {
        ExpressionError::new(
            format!("the constant has no value: {error}"),
            "write another one",
        )
    })
}

fn logical(part: &Part) -> LogicalType {
    match part.kind {
        Kind::Boolean => LogicalType::Boolean,
        Kind::Integer => match &part.op {
            Op::Cast(_, _, Type::Integer(bits)) => LogicalType::Integer { bits: *bits },
            _ => LogicalType::Integer { bits: 64 },
        },
        Kind::Decimal => LogicalType::Decimal,
        Kind::Double => LogicalType::Float { bits: 64 },
        Kind::Text | Kind::Null => LogicalType::Text,
        Kind::Bytes => LogicalType::Bytes,
        Kind::Date => LogicalType::Date,
        Kind::Time => LogicalType::Time,
        Kind::Timestamp => LogicalType::Timestamp,
        Kind::Instant => LogicalType::TimestampWithZone,
        Kind::Uuid => LogicalType::Uuid,
        Kind::Other => match &part.op {
            Op::Cast(_, _, Type::Json) => LogicalType::Json,
            _ => LogicalType::Text,
        },
    }
}

fn collect(op: &Op, reads: &mut BTreeSet<usize>) {
    match op {
        Op::Column(at, _) => {
            reads.insert(*at);
        }
        Op::Constant(_) => {}
        Op::Negate(a)
        | Op::Not(a)
        | Op::IsNull(a)
        | Op::Is(a, _)
        | Op::Like(a, _)
        | Op::Cast(a, _, _) => {
            collect(a, reads);
        }
        Op::And(a, b)
        | Op::Or(a, b)
        | Op::Arithmetic(_, a, b)
        | Op::Concatenate(a, b)
        | Op::Compare(_, a, b)
        | Op::Distinct(a, b)
        | Op::RoundedQuotient(a, b, _) => {
            collect(a, reads);
            collect(b, reads);
        }
        Op::In(a, list) => {
            collect(a, reads);
            list.iter().for_each(|op| collect(op, reads));
        }
        Op::Case(arms, otherwise) => {
            for (when, then) in arms {
                collect(when, reads);
                collect(then, reads);
            }
            collect(otherwise, reads);
        }
        Op::Call(_, list) => list.iter().for_each(|op| collect(op, reads)),
    }
}

fn check(node: &Node, inputs: &[Input]) -> Checked {
    let go = |inner: &Node| check(inner, inputs);
    Ok(match node {
        Node::Column(name) => column(name, inputs)?,
        Node::Null => literal(Val::Null, Kind::Null),
        Node::Boolean(b) => literal(Val::Boolean(*b), Kind::Boolean),
        Node::Number(text) => number(text)?,
        Node::Text(text) => literal(Val::Text(text.clone().into()), Kind::Text),
        Node::Bytes(bytes) => literal(Val::Bytes(bytes.clone().into()), Kind::Bytes),
        Node::Typed(kind, text) => typed(*kind, text)?,
        Node::Negate(inner) => {
            let inner = go(inner)?;
            wanted(
                inner.kind.is_number() || matches!(inner.kind, Kind::Double | Kind::Null),
                node,
                "a number",
            )?;
            Part {
                op: Op::Negate(Box::new(inner.op)),
                ..inner
            }
        }
        Node::Not(inner) => {
            let inner = condition(go(inner)?, node)?;
            Part {
                op: Op::Not(Box::new(inner.op)),
                ..inner
            }
        }
        Node::Binary(operator, a, b) => binary(*operator, go(a)?, go(b)?, node)?,
        Node::IsNull(inner) => boolean(Op::IsNull(Box::new(go(inner)?.op)), false),
        Node::Is(inner, value) => {
            let inner = condition(go(inner)?, node)?;
            boolean(Op::Is(Box::new(inner.op), *value), false)
        }
        Node::Distinct(a, b) => {
            let (a, b) = together(go(a)?, go(b)?, node)?;
            boolean(Op::Distinct(Box::new(a.op), Box::new(b.op)), false)
        }
        Node::In(inner, list) => within(go(inner)?, list, inputs, node)?,
        Node::Like {
            text,
            pattern,
            escape,
        } => {
            let inner = go(text)?;
            wanted(is_text(inner.kind), node, "a text")?;
            let pattern = Pattern::new(pattern, *escape).ok_or_else(|| {
                ExpressionError::new(
                    "the pattern of LIKE ends with its escape",
                    "escape a character",
                )
            })?;
            boolean(Op::Like(Box::new(inner.op), pattern), inner.nullable)
        }
        Node::Case { arms, otherwise } => case(arms, otherwise, inputs, node)?,
        Node::Cast(inner, kind) => cast_of(go(inner)?, *kind, node)?,
        Node::Call(function, arguments) => call(*function, arguments, inputs, node)?,
    })
}

fn literal(value: Val<'static>, kind: Kind) -> Part {
    Part {
        op: Op::Constant(value),
        kind,
        nullable: kind == Kind::Null,
    }
}

fn boolean(op: Op, nullable: bool) -> Part {
    Part {
        op,
        kind: Kind::Boolean,
        nullable,
    }
}

/// The column of that name; of a name that differs in case only where it is the one there is.
fn column(name: &str, inputs: &[Input]) -> Checked {
    let exact = inputs.iter().position(|i| i.name == name);
    let mut folded =
        (0..inputs.len()).filter(|at| inputs[*at].name.to_lowercase() == name.to_lowercase());
    let one = folded.next().filter(|_| folded.next().is_none());
    let Some(at) = exact.or(one) else {
        let near = nearest(name, inputs);
        return Err(ExpressionError::new(
            format!("there is no column `{name}`"),
            match near {
                Some(near) => format!("did you mean {near}?"),
                None => {
                    let names: Vec<&str> =
                        inputs.iter().take(12).map(|i| i.name.as_str()).collect();
                    format!(
                        "the columns are {}; a text stands in single quotes",
                        names.join(", ")
                    )
                }
            },
        ));
    };
    let kind = Kind::of(inputs[at].logical);
    Ok(Part {
        op: Op::Column(at, kind),
        kind,
        nullable: inputs[at].nullable,
    })
}

/// The name that shares most with the wanted one.
fn nearest<'i>(name: &str, inputs: &'i [Input]) -> Option<&'i str> {
    let wanted = name.to_lowercase();
    let shared = |other: &str| {
        let other = other.to_lowercase();
        let begins = wanted
            .chars()
            .zip(other.chars())
            .take_while(|(a, b)| a == b)
            .count();
        let ends = wanted
            .chars()
            .rev()
            .zip(other.chars().rev())
            .take_while(|(a, b)| a == b)
            .count();
        begins.max(ends)
    };
    let best = inputs.iter().max_by_key(|i| shared(&i.name))?;
    (shared(&best.name) * 2 > wanted.chars().count()).then_some(best.name.as_str())
}

fn number(text: &str) -> Checked {
    if let Ok(integer) = text.parse::<i64>() {
        return Ok(literal(Val::Integer(integer), Kind::Integer));
    }
    let plain = crossfade_model::text_form::decimal(text.as_bytes());
    match plain.and_then(|plain| decimals::read(&plain).ok()) {
        Some(decimal) => Ok(literal(Val::Decimal(decimal), Kind::Decimal)),
        None => Err(ExpressionError::new(
            format!("`{text}` is no number"),
            "write it in digits",
        )),
    }
}

fn typed(kind: Type, text: &str) -> Checked {
    match cast::cast(Val::Text(text.to_owned().into()), kind) {
        Ok(value) => Ok(literal(value.into_owned(), cast::kind(kind))),
        Err(_) => Err(ExpressionError::new(
            format!("`{text}` cannot be read as {kind}"),
            "write dates as 2026-11-27 and times as 12:30:00",
        )),
    }
}

fn is_text(kind: Kind) -> bool {
    matches!(kind, Kind::Text | Kind::Other | Kind::Null)
}

fn wanted(fits: bool, node: &Node, what: &str) -> Result<(), ExpressionError> {
    match fits {
        true => Ok(()),
        false => Err(ExpressionError::new(
            format!("{} needs {what}", words(node)),
            "cast what is there, where that is meant",
        )),
    }
}

/// The beginning of a part's text.
fn words(node: &Node) -> String {
    let text = node.to_string();
    match text.chars().count() > 60 {
        true => format!("{}…", text.chars().take(60).collect::<String>()),
        false => text,
    }
}

fn condition(part: Part, node: &Node) -> Checked {
    wanted(
        matches!(part.kind, Kind::Boolean | Kind::Null),
        node,
        "a condition",
    )?;
    Ok(part)
}

/// Two operands that are compared: a literal text is read as what the other one is.
fn together(a: Part, b: Part, node: &Node) -> Result<(Part, Part), ExpressionError> {
    let (a, b) = (as_the_other(a, b.kind), b);
    let b = as_the_other(b, a.kind);
    if comparable(a.kind, b.kind) {
        return Ok((a, b));
    }
    Err(ExpressionError::new(
        format!(
            "{} compares {} with {}",
            words(node),
            a.kind.word(),
            b.kind.word()
        ),
        "cast one of the two",
    ))
}

fn as_the_other(part: Part, kind: Kind) -> Part {
    let read = match &part.op {
        Op::Constant(Val::Text(text)) => cast::literal(text, kind),
        _ => None,
    };
    match read {
        Some(value) => literal(value, kind),
        None => part,
    }
}

fn binary(operator: Operator, a: Part, b: Part, node: &Node) -> Checked {
    let nullable = a.nullable || b.nullable;
    match operator {
        Operator::And | Operator::Or => {
            let (a, b) = (condition(a, node)?, condition(b, node)?);
            let (a, b) = (Box::new(a.op), Box::new(b.op));
            let op = match operator {
                Operator::And => Op::And(a, b),
                _ => Op::Or(a, b),
            };
            Ok(boolean(op, nullable))
        }
        Operator::Concatenate => {
            wanted(is_text(a.kind) && is_text(b.kind), node, "two texts")?;
            Ok(Part {
                op: Op::Concatenate(Box::new(a.op), Box::new(b.op)),
                kind: Kind::Text,
                nullable,
            })
        }
        Operator::Add
        | Operator::Subtract
        | Operator::Multiply
        | Operator::Divide
        | Operator::Remainder => {
            let kind = arithmetic_kind(operator, a.kind, b.kind, node)?;
            Ok(Part {
                op: Op::Arithmetic(operator, Box::new(a.op), Box::new(b.op)),
                kind,
                nullable,
            })
        }
        _ => {
            let (a, b) = together(a, b, node)?;
            Ok(boolean(
                Op::Compare(operator, Box::new(a.op), Box::new(b.op)),
                nullable,
            ))
        }
    }
}

fn arithmetic_kind(
    operator: Operator,
    a: Kind,
    b: Kind,
    node: &Node,
) -> Result<Kind, ExpressionError> {
    let number = |kind: Kind| kind.is_number() || kind == Kind::Null;
    let both_double =
        |a, b| matches!(a, Kind::Double | Kind::Null) && matches!(b, Kind::Double | Kind::Null);
    match (a, b) {
        (Kind::Integer, Kind::Integer) if operator == Operator::Divide => {
            Err(ExpressionError::new(
                format!(
                    "{} divides two integers, which is not the same in every engine",
                    words(node)
                ),
                "write div(a, b) for the whole part, or round(a / b, 2) with a decimal",
            ))
        }
        (Kind::Integer | Kind::Null, Kind::Integer | Kind::Null) => Ok(Kind::Integer),
        (a, b) if number(a) && number(b) => Ok(Kind::Decimal),
        (a, b) if both_double(a, b) => Ok(Kind::Double),
        (Kind::Double, b) | (b, Kind::Double) if number(b) => Err(ExpressionError::new(
            format!("{} mixes a double with an exact number", words(node)),
            "cast one of the two: to decimal for exact digits, or to double",
        )),
        (a, b) => Err(ExpressionError::new(
            format!(
                "{} calculates with {} and {}",
                words(node),
                a.word(),
                b.word()
            ),
            "calculate with numbers; cast what is a text",
        )),
    }
}

fn within(inner: Part, list: &[Node], inputs: &[Input], node: &Node) -> Checked {
    let mut items = Vec::with_capacity(list.len());
    let mut nullable = inner.nullable;
    for item in list {
        let item = as_the_other(check(item, inputs)?, inner.kind);
        if !comparable(inner.kind, item.kind) {
            return Err(ExpressionError::new(
                format!(
                    "{} compares {} with {}",
                    words(node),
                    inner.kind.word(),
                    item.kind.word()
                ),
                "write values of one type",
            ));
        }
        nullable |= item.nullable;
        items.push(item.op);
    }
    Ok(boolean(Op::In(Box::new(inner.op), items), nullable))
}

/// The kind that several results have in common.
fn common(kinds: &[Kind], node: &Node) -> Result<Kind, ExpressionError> {
    let mut out = Kind::Null;
    for &kind in kinds {
        out = match (out, kind) {
            (Kind::Null, kind) | (kind, Kind::Null) => kind,
            (a, b) if a == b => a,
            (a, b) if a.is_number() && b.is_number() => Kind::Decimal,
            (a, b) if is_text(a) && is_text(b) => Kind::Text,
            (a, b) => {
                return Err(ExpressionError::new(
                    format!("{} gives {} and {}", words(node), a.word(), b.word()),
                    "cast them to one type",
                ));
            }
        };
    }
    Ok(out)
}

fn case(arms: &[(Node, Node)], otherwise: &Node, inputs: &[Input], node: &Node) -> Checked {
    let mut checked = Vec::with_capacity(arms.len());
    let mut kinds = Vec::new();
    let otherwise = check(otherwise, inputs)?;
    let mut nullable = otherwise.nullable;
    kinds.push(otherwise.kind);
    for (when, then) in arms {
        let when = condition(check(when, inputs)?, node)?;
        let then = check(then, inputs)?;
        kinds.push(then.kind);
        nullable |= then.nullable;
        checked.push((when.op, then.op));
    }
    Ok(Part {
        kind: common(&kinds, node)?,
        op: Op::Case(checked, Box::new(otherwise.op)),
        nullable,
    })
}

fn cast_of(inner: Part, to: Type, node: &Node) -> Checked {
    if !cast::is_known(inner.kind, to) {
        return Err(ExpressionError::new(
            format!(
                "{}: {} cannot be cast to {to}",
                words(node),
                inner.kind.word()
            ),
            "cast to a type that holds such values, or to text first",
        ));
    }
    Ok(Part {
        op: Op::Cast(Box::new(inner.op), inner.kind, to),
        kind: cast::kind(to),
        nullable: inner.nullable,
    })
}

fn call(function: Function, arguments: &[Node], inputs: &[Input], node: &Node) -> Checked {
    if let Some(part) = rounded_quotient(function, arguments, inputs)? {
        return Ok(part);
    }
    let parts: Vec<Part> = arguments
        .iter()
        .map(|a| check(a, inputs))
        .collect::<Result<_, _>>()?;
    let kinds: Vec<Kind> = parts.iter().map(|p| p.kind).collect();
    let kind = result_kind(function, &kinds, node)?;
    let nullable = match function {
        Function::Coalesce | Function::Greatest | Function::Least => {
            parts.iter().all(|p| p.nullable)
        }
        Function::Concat => false,
        Function::Nullif => true,
        _ => parts.iter().any(|p| p.nullable),
    };
    Ok(Part {
        op: Op::Call(function, parts.into_iter().map(|p| p.op).collect()),
        kind,
        nullable,
    })
}

/// `round(a / b, n)`: the one place where a quotient need not be exact.
fn rounded_quotient(
    function: Function,
    arguments: &[Node],
    inputs: &[Input],
) -> Result<Option<Part>, ExpressionError> {
    let (Function::Round, [Node::Binary(Operator::Divide, a, b), rest @ ..]) =
        (function, arguments)
    else {
        return Ok(None);
    };
    let places = match rest {
        [] => 0,
        [Node::Number(text)] => match text.parse::<i64>() {
            Ok(places) => places,
            Err(_) => return Ok(None),
        },
        _ => return Ok(None),
    };
    let (a, b) = (check(a, inputs)?, check(b, inputs)?);
    if !a.kind.is_number() || !b.kind.is_number() {
        return Ok(None);
    }
    Ok(Some(Part {
        op: Op::RoundedQuotient(Box::new(a.op), Box::new(b.op), places),
        kind: Kind::Decimal,
        nullable: a.nullable || b.nullable,
    }))
}

fn result_kind(function: Function, kinds: &[Kind], node: &Node) -> Result<Kind, ExpressionError> {
    let first = kinds.first().copied().unwrap_or(Kind::Null);
    let number = |kind: Kind| kind.is_number() || kind == Kind::Null;
    let moment = |kind| {
        matches!(
            kind,
            Kind::Date | Kind::Time | Kind::Timestamp | Kind::Instant | Kind::Null
        )
    };
    let integers = |kinds: &[Kind]| {
        kinds
            .iter()
            .all(|k| matches!(k, Kind::Integer | Kind::Null))
    };
    match function {
        Function::Coalesce | Function::Greatest | Function::Least | Function::Nullif => {
            let all = common(kinds, node)?;
            Ok(if function == Function::Nullif {
                first
            } else {
                all
            })
        }
        Function::Concat => {
            wanted(
                kinds.iter().all(|k| cast::is_known(*k, Type::Text(None))),
                node,
                "texts",
            )?;
            Ok(Kind::Text)
        }
        Function::Abs | Function::Ceil | Function::Floor | Function::Sign => {
            wanted(number(first), node, "a number")?;
            Ok(first)
        }
        Function::Round | Function::Trunc => {
            wanted(
                number(first) && integers(&kinds[1..]),
                node,
                "a number, and a whole number of places",
            )?;
            Ok(first)
        }
        Function::Div | Function::Mod => {
            wanted(kinds.iter().all(|k| number(*k)), node, "two numbers")?;
            common(kinds, node).map(|kind| {
                if function == Function::Div {
                    first
                } else {
                    kind
                }
            })
        }
        Function::Date => {
            wanted(
                cast::is_known(first, Type::Date),
                node,
                "a date or timestamp",
            )?;
            Ok(Kind::Date)
        }
        Function::Part(_) => {
            wanted(moment(first), node, "a date or time")?;
            Ok(Kind::Integer)
        }
        Function::OctetLength | Function::Hex | Function::Sha256 => {
            wanted(
                is_text(first) || first == Kind::Bytes,
                node,
                "a text or bytes",
            )?;
            Ok(if function == Function::OctetLength {
                Kind::Integer
            } else {
                Kind::Text
            })
        }
        Function::Left | Function::Right | Function::Substring => {
            wanted(
                is_text(first) && integers(&kinds[1..]),
                node,
                "a text, and whole numbers",
            )?;
            Ok(Kind::Text)
        }
        Function::Length | Function::Position => {
            wanted(kinds.iter().all(|k| is_text(*k)), node, "texts")?;
            Ok(Kind::Integer)
        }
        Function::Lower
        | Function::Upper
        | Function::Trim
        | Function::Ltrim
        | Function::Rtrim
        | Function::Replace => {
            wanted(kinds.iter().all(|k| is_text(*k)), node, "texts")?;
            Ok(Kind::Text)
        }
    }
}
