//! An expression's parts.

use std::ops::Range;

use super::functions::Function;
use crate::Comparison;
use crate::decimal::Decimal;

/// A part of an expression.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) form: Form,
    /// Where it stands in the text, without brackets around it.
    pub(crate) span: Range<usize>,
    /// One more than its deepest part's.
    pub(crate) depth: u16,
}

/// What a part is.
#[derive(Debug, Clone)]
pub(crate) enum Form {
    Column(String),
    Literal(Constant),
    Negate(Box<Node>),
    Not(Box<Node>),
    And(Vec<Node>),
    Or(Vec<Node>),
    Concat(Vec<Node>),
    Arithmetic(Arithmetic, Box<Node>, Box<Node>),
    Compare(Comparison, Box<Node>, Box<Node>),
    Is {
        node: Box<Node>,
        test: Test,
        negated: bool,
    },
    /// `IS DISTINCT FROM`.
    Distinct {
        left: Box<Node>,
        right: Box<Node>,
        negated: bool,
    },
    Between {
        node: Box<Node>,
        low: Box<Node>,
        high: Box<Node>,
        negated: bool,
    },
    In {
        node: Box<Node>,
        list: Vec<Node>,
        negated: bool,
    },
    Like {
        node: Box<Node>,
        pattern: Box<Node>,
        escape: Option<Box<Node>>,
        negated: bool,
    },
    Case {
        operand: Option<Box<Node>>,
        arms: Vec<(Node, Node)>,
        otherwise: Option<Box<Node>>,
    },
    Cast(Box<Node>, Target),
    Call(Function, Vec<Node>),
}

/// An operator between two numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arithmetic {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

/// What `IS` asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Test {
    Null,
    True,
    False,
}

/// A literal.
#[derive(Debug, Clone)]
pub(crate) enum Constant {
    Null,
    Boolean(bool),
    Integer(i64),
    Decimal(Decimal),
    Text(String),
    Bytes(Vec<u8>),
    Date(i64),
    Time(i64),
    Timestamp(i64),
    Instant(i64),
}

/// The type that a cast asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    Boolean,
    Integer {
        bits: u8,
    },
    /// Precision and scale, if they are given.
    Decimal(Option<(u32, u32)>),
    Double,
    /// Characters at most.
    Text(Option<u32>),
    Bytes,
    Date,
    Time,
    Timestamp,
    Instant,
    Uuid,
    Json,
}

impl Node {
    pub(crate) fn new(form: Form, span: Range<usize>) -> Self {
        let deepest = form.parts().map(|node| node.depth).max().unwrap_or(0);
        Self {
            form,
            span,
            depth: deepest.saturating_add(1),
        }
    }

    /// Calls `visit` with the name of each column that stands in it, as written, and with its place.
    pub(crate) fn each_named<'a>(&'a self, visit: &mut impl FnMut(&'a str, Range<usize>)) {
        if let Form::Column(name) = &self.form {
            visit(name, self.span.clone());
        }
        for part in self.form.parts() {
            part.each_named(visit);
        }
    }

    /// `fail` stands in it.
    pub(crate) fn fails(&self) -> bool {
        matches!(self.form, Form::Call(Function::Fail, _)) || self.form.parts().any(Node::fails)
    }

    /// It reads no column.
    pub(crate) fn is_constant(&self) -> bool {
        let mut constant = true;
        self.each_named(&mut |_, _| constant = false);
        constant
    }
}

impl Form {
    fn parts(&self) -> Box<dyn Iterator<Item = &Node> + '_> {
        match self {
            Form::Column(_) | Form::Literal(_) => Box::new(std::iter::empty()),
            Form::Negate(node) | Form::Not(node) | Form::Cast(node, _) | Form::Is { node, .. } => {
                Box::new(std::iter::once(&**node))
            }
            Form::And(nodes) | Form::Or(nodes) | Form::Concat(nodes) | Form::Call(_, nodes) => {
                Box::new(nodes.iter())
            }
            Form::Arithmetic(_, left, right)
            | Form::Compare(_, left, right)
            | Form::Distinct { left, right, .. } => Box::new([&**left, &**right].into_iter()),
            Form::Between {
                node, low, high, ..
            } => Box::new([&**node, &**low, &**high].into_iter()),
            Form::In { node, list, .. } => Box::new(std::iter::once(&**node).chain(list)),
            Form::Like {
                node,
                pattern,
                escape,
                ..
            } => Box::new([&**node, &**pattern].into_iter().chain(escape.as_deref())),
            Form::Case {
                operand,
                arms,
                otherwise,
            } => Box::new(
                operand
                    .as_deref()
                    .into_iter()
                    .chain(arms.iter().flat_map(|(when, then)| [when, then]))
                    .chain(otherwise.as_deref()),
            ),
        }
    }
}
