//! An expression as text, and its tree.

use std::collections::BTreeSet;
use std::ops::Range;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sqlparser::dialect::GenericDialect;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::Token;

use crate::bind::{self, Input};
use crate::compiled::Bound;
use crate::function::Function;
use crate::lower;

/// Bytes of an expression at most.
const LONGEST: usize = 16 << 10;
/// Levels of it at most, so that neither reading nor evaluating one can exhaust the stack.
const DEEPEST: usize = 40;

/// Why a text is no expression, or none over these columns.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct ExpressionError {
    /// The place in the text, in bytes.
    pub span: Range<usize>,
    /// What is wrong.
    pub what: String,
    /// What to do.
    pub fix: String,
}

impl ExpressionError {
    pub(crate) fn new(what: impl Into<String>, fix: impl Into<String>) -> ExpressionError {
        ExpressionError {
            span: 0..0,
            what: what.into(),
            fix: fix.into(),
        }
    }
}

/// A part of an expression.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Node {
    Column(String),
    Null,
    Boolean(bool),
    /// A number, as it is written.
    Number(String),
    Text(String),
    Bytes(Vec<u8>),
    /// `DATE '…'` and the like.
    Typed(Type, String),
    Negate(Box<Node>),
    Not(Box<Node>),
    Binary(Operator, Box<Node>, Box<Node>),
    IsNull(Box<Node>),
    /// `IS TRUE`, `IS FALSE`.
    Is(Box<Node>, bool),
    /// `IS DISTINCT FROM`.
    Distinct(Box<Node>, Box<Node>),
    In(Box<Node>, Vec<Node>),
    Like {
        text: Box<Node>,
        pattern: String,
        escape: Option<char>,
    },
    Case {
        arms: Vec<(Node, Node)>,
        otherwise: Box<Node>,
    },
    Cast(Box<Node>, Type),
    Call(Function, Vec<Node>),
}

/// An operator between two parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
    Concatenate,
    And,
    Or,
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
}

/// A type that a value can be cast to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Type {
    Boolean,
    /// Of so many bits.
    Integer(u8),
    /// Precision and scale.
    Decimal(Option<(u32, u32)>),
    Double,
    /// At most so many characters.
    Text(Option<u32>),
    Bytes,
    Date,
    Time,
    Timestamp,
    Instant,
    Uuid,
    Json,
}

/// A parsed expression. Durable as its text.
#[derive(Debug, Clone)]
pub struct Expression {
    text: String,
    root: Node,
}

/// Two texts that are read alike are one expression.
impl PartialEq for Expression {
    fn eq(&self, other: &Self) -> bool {
        self.root == other.root
    }
}

impl Expression {
    /// Reads an expression.
    ///
    /// # Errors
    /// A text that is none, that calls what is not known or not determined by the row, or that is too long or too deep.
    pub fn parse(text: &str) -> Result<Expression, ExpressionError> {
        if text.len() > LONGEST {
            return Err(ExpressionError::new(
                format!("the expression is longer than {LONGEST} bytes"),
                "write a shorter one",
            ));
        }
        let parsed = (|| {
            let mut parser = Parser::new(&GenericDialect {})
                .with_recursion_limit(DEEPEST)
                .try_with_sql(text)?;
            let expression = parser.parse_expr()?;
            match parser.peek_token().token {
                Token::EOF => Ok(expression),
                other => Err(ParserError::ParserError(format!(
                    "{other} is not expected here{}",
                    parser.peek_token().span.start
                ))),
            }
        })();
        let parsed = parsed.map_err(|error| not_read(text, &error))?;
        let root = lower::lower(&parsed, 0).map_err(|error| placed(text, error))?;
        Ok(Expression {
            text: text.to_owned(),
            root,
        })
    }

    /// A column by itself.
    pub fn column(name: &str) -> Expression {
        Expression {
            text: quoted(name),
            root: Node::Column(name.to_owned()),
        }
    }

    /// As it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The columns that it names.
    pub fn columns(&self) -> BTreeSet<String> {
        let mut out = BTreeSet::new();
        self.root.visit(&mut |node| {
            if let Node::Column(name) = node {
                out.insert(name.clone());
            }
        });
        out
    }

    /// The column that it is by itself.
    pub fn as_column(&self) -> Option<&str> {
        match &self.root {
            Node::Column(name) => Some(name),
            _ => None,
        }
    }

    /// The same over other columns; `None` where `name` knows none for one of them.
    pub fn renamed(&self, name: &dyn Fn(&str) -> Option<String>) -> Option<Expression> {
        let mut root = self.root.clone();
        let mut known = true;
        root.visit_mut(&mut |node| {
            if let Node::Column(column) = node {
                match name(column) {
                    Some(other) => *column = other,
                    None => known = false,
                }
            }
        });
        known.then(|| Expression::of(root))
    }

    pub(crate) fn of(root: Node) -> Expression {
        Expression {
            text: root.to_string(),
            root,
        }
    }

    /// Checks the expression over these columns.
    ///
    /// # Errors
    /// A column that is not there, operands whose types do not go together.
    pub fn bind(&self, columns: &[Input]) -> Result<Bound, ExpressionError> {
        bind::bind(&self.root, columns).map_err(|error| placed(&self.text, error))
    }
}

/// A name as a text of its own: quoted where it is not a plain word.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn not_read(text: &str, error: &ParserError) -> ExpressionError {
    let said = match error {
        ParserError::TokenizerError(said) | ParserError::ParserError(said) => said.as_str(),
        ParserError::RecursionLimitExceeded => "it is too deep",
    };
    let (what, at) = match said.rfind(" at Line: ") {
        Some(place) => (&said[..place], offset(text, &said[place..])),
        None => (said, None),
    };
    let start = at.unwrap_or(text.len().saturating_sub(1)).min(text.len());
    ExpressionError {
        span: start..next(text, start),
        what: format!("this is no expression: {what}"),
        fix: "write an SQL expression over the source's columns; texts stand in single quotes, names in double quotes or bare".to_owned(),
    }
}

/// The byte at which a message places an error (` at Line: 1, Column: 7`).
fn offset(text: &str, place: &str) -> Option<usize> {
    let mut numbers = place
        .split(|c: char| !c.is_ascii_digit())
        .filter_map(|n| n.parse::<usize>().ok());
    let (line, column) = (numbers.next()?, numbers.next()?);
    let before: usize = text
        .split_inclusive('\n')
        .take(line.checked_sub(1)?)
        .map(str::len)
        .sum();
    let rest = text.get(before..)?;
    let within: usize = rest
        .chars()
        .take(column.checked_sub(1)?)
        .map(char::len_utf8)
        .sum();
    Some(before + within)
}

fn next(text: &str, start: usize) -> usize {
    let length = text
        .get(start..)
        .and_then(|rest| rest.chars().next())
        .map_or(0, char::len_utf8);
    start + length
}

/// The place of what an error is about, where its words quote it.
fn placed(text: &str, mut error: ExpressionError) -> ExpressionError {
    let named = error.what.split('`').nth(1).unwrap_or_default();
    let lower = text.to_lowercase();
    // lowering keeps the offsets of ASCII, and others are only shown
    error.span = match lower.find(&named.to_lowercase()) {
        Some(at) if !named.is_empty() && lower.len() == text.len() => at..at + named.len(),
        _ => 0..text.len(),
    };
    error
}

impl Serialize for Expression {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Expression {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Expression, D::Error> {
        let text = String::deserialize(deserializer)?;
        Expression::parse(&text).map_err(serde::de::Error::custom)
    }
}

impl Node {
    fn parts(&self) -> Vec<&Node> {
        match self {
            Node::Negate(a)
            | Node::Not(a)
            | Node::IsNull(a)
            | Node::Is(a, _)
            | Node::Cast(a, _) => vec![a],
            Node::Like { text, .. } => vec![text],
            Node::Binary(_, a, b) | Node::Distinct(a, b) => vec![a, b],
            Node::In(a, list) => std::iter::once(a.as_ref()).chain(list).collect(),
            Node::Case { arms, otherwise } => arms
                .iter()
                .flat_map(|(when, then)| [when, then])
                .chain(std::iter::once(otherwise.as_ref()))
                .collect(),
            Node::Call(_, list) => list.iter().collect(),
            _ => Vec::new(),
        }
    }

    pub(crate) fn visit(&self, look: &mut dyn FnMut(&Node)) {
        look(self);
        for part in self.parts() {
            part.visit(look);
        }
    }

    fn visit_mut(&mut self, change: &mut dyn FnMut(&mut Node)) {
        change(self);
        match self {
            Node::Negate(a)
            | Node::Not(a)
            | Node::IsNull(a)
            | Node::Is(a, _)
            | Node::Cast(a, _) => {
                a.visit_mut(change);
            }
            Node::Like { text, .. } => text.visit_mut(change),
            Node::Binary(_, a, b) | Node::Distinct(a, b) => {
                a.visit_mut(change);
                b.visit_mut(change);
            }
            Node::In(a, list) => {
                a.visit_mut(change);
                list.iter_mut().for_each(|n| n.visit_mut(change));
            }
            Node::Case { arms, otherwise } => {
                for (when, then) in arms {
                    when.visit_mut(change);
                    then.visit_mut(change);
                }
                otherwise.visit_mut(change);
            }
            Node::Call(_, list) => list.iter_mut().for_each(|n| n.visit_mut(change)),
            _ => {}
        }
    }
}

impl std::fmt::Display for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let list = |nodes: &[Node]| {
            nodes
                .iter()
                .map(Node::to_string)
                .collect::<Vec<_>>()
                .join(", ")
        };
        match self {
            Node::Column(name) => f.write_str(&quoted(name)),
            Node::Null => f.write_str("NULL"),
            Node::Boolean(b) => f.write_str(if *b { "TRUE" } else { "FALSE" }),
            Node::Number(text) => f.write_str(text),
            Node::Text(text) => write!(f, "'{}'", text.replace('\'', "''")),
            Node::Bytes(bytes) => write!(f, "X'{}'", crossfade_model::hex::encode(bytes)),
            Node::Typed(kind, text) => write!(f, "{kind} '{}'", text.replace('\'', "''")),
            Node::Negate(a) => write!(f, "(- {a})"),
            Node::Not(a) => write!(f, "(NOT {a})"),
            Node::Binary(operator, a, b) => write!(f, "({a} {operator} {b})"),
            Node::IsNull(a) => write!(f, "({a} IS NULL)"),
            Node::Is(a, true) => write!(f, "({a} IS TRUE)"),
            Node::Is(a, false) => write!(f, "({a} IS FALSE)"),
            Node::Distinct(a, b) => write!(f, "({a} IS DISTINCT FROM {b})"),
            Node::In(a, nodes) => write!(f, "({a} IN ({}))", list(nodes)),
            Node::Like {
                text,
                pattern,
                escape,
            } => {
                write!(f, "({text} LIKE '{}'", pattern.replace('\'', "''"))?;
                if let Some(escape) = escape {
                    write!(
                        f,
                        " ESCAPE '{}'",
                        if *escape == '\'' {
                            "''".to_owned()
                        } else {
                            escape.to_string()
                        }
                    )?;
                }
                f.write_str(")")
            }
            Node::Case { arms, otherwise } => {
                f.write_str("CASE")?;
                for (when, then) in arms {
                    write!(f, " WHEN {when} THEN {then}")?;
                }
                write!(f, " ELSE {otherwise} END")
            }
            Node::Cast(a, kind) => write!(f, "CAST({a} AS {kind})"),
            Node::Call(function, nodes) => write!(f, "{}({})", function.name(), list(nodes)),
        }
    }
}

impl std::fmt::Display for Operator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Operator::Add => "+",
            Operator::Subtract => "-",
            Operator::Multiply => "*",
            Operator::Divide => "/",
            Operator::Remainder => "%",
            Operator::Concatenate => "||",
            Operator::And => "AND",
            Operator::Or => "OR",
            Operator::Equal => "=",
            Operator::NotEqual => "<>",
            Operator::Less => "<",
            Operator::LessEqual => "<=",
            Operator::Greater => ">",
            Operator::GreaterEqual => ">=",
        })
    }
}

impl std::fmt::Display for Type {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Type::Boolean => f.write_str("BOOLEAN"),
            Type::Integer(16) => f.write_str("SMALLINT"),
            Type::Integer(32) => f.write_str("INTEGER"),
            Type::Integer(_) => f.write_str("BIGINT"),
            Type::Decimal(None) => f.write_str("DECIMAL"),
            Type::Decimal(Some((precision, scale))) => write!(f, "DECIMAL({precision}, {scale})"),
            Type::Double => f.write_str("DOUBLE"),
            Type::Text(None) => f.write_str("TEXT"),
            Type::Text(Some(most)) => write!(f, "VARCHAR({most})"),
            Type::Bytes => f.write_str("BYTEA"),
            Type::Date => f.write_str("DATE"),
            Type::Time => f.write_str("TIME"),
            Type::Timestamp => f.write_str("TIMESTAMP"),
            Type::Instant => f.write_str("TIMESTAMPTZ"),
            Type::Uuid => f.write_str("UUID"),
            Type::Json => f.write_str("JSON"),
        }
    }
}
