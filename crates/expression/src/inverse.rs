//! What gives an input back from a result.

mod choice;
mod steps;

use crate::bind::Binder;
use crate::kind::Kind;
use crate::syntax::{Form, Node, quoted};
use crate::term::Term;
use crate::{Expression, Input};

/// How a result is undone.
#[derive(Debug, Clone, PartialEq)]
pub struct Inverse {
    /// Gives, of every result that comes from an input, that input. Of other results it fails, or gives the input whose result
    /// is another spelling of the same value.
    pub expression: Expression,
    /// Every value of the result's type comes from some input (NULL, NaN and infinities apart).
    pub total: bool,
}

/// What a part was, as a text over the result, and of which type the text is.
struct Undone {
    text: String,
    kind: Kind,
    total: bool,
}

/// What undoing needs to know.
struct Context<'a> {
    text: &'a str,
    input: &'a Input,
}

/// The inverse of an expression that reads one input.
pub(crate) fn inverse(text: &str, root: &Node, input: &Input, column: &str) -> Option<Inverse> {
    let context = Context { text, input };
    let result = Undone {
        text: quoted(column),
        kind: context.bind(root)?.kind,
        total: true,
    };
    let undone = context.undo(root, result)?;
    let carried = matches!(root.form, Form::Column(_));
    let Undone { text, total, .. } = match undone.kind {
        // the result may lie in a column that is wider than it: what is then no integer must not reach the input's
        kind if kind.is_integer() && !carried => undone.cast(kind, true),
        _ => undone,
    };
    let expression = Expression::parse(&text).ok()?;
    Some(Inverse { expression, total })
}

impl Context<'_> {
    /// The part of the text that a node was read from, as it can stand anywhere.
    fn source(&self, node: &Node) -> Option<String> {
        let text = self.text.get(node.span.clone())?;
        Some(format!("({text})"))
    }

    fn bind(&self, node: &Node) -> Option<Term> {
        Binder::new(std::slice::from_ref(self.input))
            .bind(node)
            .ok()
    }
}
