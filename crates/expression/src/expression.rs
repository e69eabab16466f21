//! An expression as it was written.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::syntax::{Form, Node, parse, quoted};
use crate::{Bound, ExpressionError, Input};

/// A parsed expression that is not yet bound to a table's columns. Stored as its text; two are equal if their texts are.
#[derive(Debug, Clone)]
pub struct Expression {
    text: Arc<str>,
    root: Arc<Node>,
}

impl Expression {
    /// Reads an expression.
    ///
    /// # Errors
    /// What is no expression, or reads something that the row does not determine.
    pub fn parse(text: &str) -> Result<Self, ExpressionError> {
        let root = Arc::new(parse(text)?);
        let text = text.into();
        Ok(Self { text, root })
    }

    /// The text that it was read from.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// A reference to a column, in quotation marks.
    pub fn column(name: &str) -> Self {
        let text = quoted(name);
        let root = Node::new(Form::Column(name.to_owned()), 0..text.len());
        Self {
            text: text.into(),
            root: Arc::new(root),
        }
    }

    /// The names of the columns that it reads, as written.
    pub fn columns(&self) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        self.root.each_named(&mut |name, _| {
            names.insert(name.to_owned());
        });
        names
    }

    /// The column that it is, if it is nothing else.
    pub fn as_column(&self) -> Option<&str> {
        match &self.root.form {
            Form::Column(name) => Some(name),
            _ => None,
        }
    }

    /// The same over other columns; none where `name` knows none for one of them.
    pub fn renamed(&self, name: &dyn Fn(&str) -> Option<String>) -> Option<Self> {
        self.replaced(&|column| Some(Self::column(&name(column)?)))
    }

    /// The same with an expression in each column's place; none where `by` knows none for one of them.
    pub fn replaced(&self, by: &dyn Fn(&str) -> Option<Self>) -> Option<Self> {
        let mut places = Vec::new();
        self.root
            .each_named(&mut |column, span| places.push((span, column)));
        places.sort_unstable_by_key(|(span, _)| span.start);
        let (mut text, mut taken) = (String::new(), 0);
        for (span, column) in places {
            text.push_str(self.text.get(taken..span.start)?);
            let by = by(column)?;
            match by.as_column() {
                Some(name) => text.push_str(&quoted(name)),
                None => {
                    text.push('(');
                    text.push_str(by.text());
                    text.push(')');
                }
            }
            taken = span.end;
        }
        text.push_str(self.text.get(taken..)?);
        Self::parse(&text).ok()
    }

    /// The conditions that all hold where it is true; itself where it is no more than one.
    pub fn conjuncts(&self) -> Vec<Self> {
        let mut parts = Vec::new();
        let Form::And(nodes) = &self.root.form else {
            return vec![self.clone()];
        };
        for node in nodes {
            // its place is without brackets around it; anything else that cuts one is no expression
            let part = self.text.get(node.span.clone()).map(Self::parse);
            match part {
                Some(Ok(part)) => parts.extend(part.conjuncts()),
                _ => return vec![self.clone()],
            }
        }
        parts
    }

    /// Checks names and types against the columns of a table, and computes what is the same for every row.
    ///
    /// # Errors
    /// Unknown columns, operands of the wrong type, a constant part that has no value.
    pub fn bind(&self, columns: &[Input]) -> Result<Bound, ExpressionError> {
        Bound::new(self.text.clone(), self.root.clone(), columns)
    }
}

impl PartialEq for Expression {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Expression {}

impl Serialize for Expression {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Expression {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}
