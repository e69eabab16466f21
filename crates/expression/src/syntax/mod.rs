//! From text to a tree whose every node knows its place.

mod functions;
mod infix;
mod names;
mod parser;
mod prefix;
mod token;
mod tree;
mod types;

pub(crate) use functions::Function;
pub(crate) use names::{listed, nearest, quoted};
pub(crate) use parser::parse;
pub(crate) use tree::{Arithmetic, Constant, Form, Node, Target, Test};

/// Bytes of an expression's text, at most.
pub(crate) const LONGEST: usize = 65_536;

/// How deep parts of an expression may be nested; what keeps every walk over a tree within its stack.
pub(crate) const DEEPEST: u16 = 100;
