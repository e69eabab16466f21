//! What stands behind an operand: operators, tests and casts.

use super::parser::Parser;
use super::token::Token;
use super::tree::{Arithmetic, Form, Node, Test};
use crate::{Comparison, ExpressionError};

/// An operator that follows an operand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Infix {
    Or,
    And,
    Is,
    Compare(Comparison),
    /// BETWEEN, IN and LIKE, with or without NOT before them.
    Range,
    Concat,
    Arithmetic(Arithmetic),
    Cast,
}

/// How tightly what follows NOT binds.
pub(super) const NOT: u8 = 3;

/// How tightly what follows a sign binds.
pub(super) const SIGN: u8 = 10;

impl Infix {
    pub(super) fn binding(self) -> u8 {
        match self {
            Self::Or => 1,
            Self::And => 2,
            Self::Is => 4,
            Self::Compare(_) => 5,
            Self::Range => 6,
            Self::Concat => 7,
            Self::Arithmetic(Arithmetic::Add | Arithmetic::Subtract) => 8,
            Self::Arithmetic(_) => 9,
            Self::Cast => 11,
        }
    }

    /// Whether it may follow one that binds as tightly.
    pub(super) fn chains(self) -> bool {
        !matches!(self, Self::Compare(_) | Self::Range)
    }
}

impl Parser<'_> {
    /// The operator that comes next; it is not taken.
    pub(super) fn infix(&self) -> Option<Infix> {
        match self.peek() {
            Token::Sign(sign) => sign_operator(sign),
            Token::Word(word) => match word.to_ascii_lowercase().as_str() {
                "or" => Some(Infix::Or),
                "and" => Some(Infix::And),
                "is" => Some(Infix::Is),
                "between" | "in" | "like" => Some(Infix::Range),
                "not" if self.negates() => Some(Infix::Range),
                _ => None,
            },
            _ => None,
        }
    }

    /// The word behind this NOT is one that NOT may stand before.
    fn negates(&self) -> bool {
        let words = ["between", "in", "like"];
        matches!(self.peek_second(), Token::Word(word)
            if words.iter().any(|known| word.eq_ignore_ascii_case(known)))
    }

    /// Reads the operator and what follows it.
    pub(super) fn infix_node(
        &mut self,
        operator: Infix,
        left: Node,
        start: usize,
    ) -> Result<Node, ExpressionError> {
        match operator {
            Infix::Is => {
                self.next();
                self.is(left, start)
            }
            Infix::Range => self.range(left, start),
            Infix::Cast => {
                self.next();
                let target = self.target()?;
                self.node(Form::Cast(Box::new(left), target), start)
            }
            Infix::Or | Infix::And | Infix::Concat => self.chain(operator, left, start),
            Infix::Compare(comparison) => {
                let right = self.right(operator)?;
                self.node(Form::Compare(comparison, Box::new(left), right), start)
            }
            Infix::Arithmetic(arithmetic) => {
                let right = self.right(operator)?;
                self.node(Form::Arithmetic(arithmetic, Box::new(left), right), start)
            }
        }
    }

    fn right(&mut self, operator: Infix) -> Result<Box<Node>, ExpressionError> {
        self.next();
        Ok(Box::new(self.expression(operator.binding() + 1)?))
    }

    /// A chain of one operator is one part, so that its length is no depth.
    fn chain(
        &mut self,
        operator: Infix,
        left: Node,
        start: usize,
    ) -> Result<Node, ExpressionError> {
        let mut parts = vec![left];
        while self.infix() == Some(operator) {
            parts.push(*self.right(operator)?);
        }
        let form = match operator {
            Infix::Or => Form::Or(parts),
            Infix::And => Form::And(parts),
            _ => Form::Concat(parts),
        };
        self.node(form, start)
    }

    fn is(&mut self, left: Node, start: usize) -> Result<Node, ExpressionError> {
        let negated = self.accept_word("not");
        let node = Box::new(left);
        if self.accept_word("distinct") {
            self.expect_word("from")?;
            let right = Box::new(self.expression(5)?);
            let left = node;
            return self.node(
                Form::Distinct {
                    left,
                    right,
                    negated,
                },
                start,
            );
        }
        let test = if self.accept_word("null") {
            Test::Null
        } else if self.accept_word("true") {
            Test::True
        } else if self.accept_word("false") {
            Test::False
        } else {
            return Err(self.unexpected("NULL, TRUE, FALSE or DISTINCT FROM"));
        };
        self.node(
            Form::Is {
                node,
                test,
                negated,
            },
            start,
        )
    }

    fn range(&mut self, left: Node, start: usize) -> Result<Node, ExpressionError> {
        let negated = self.accept_word("not");
        let node = Box::new(left);
        if self.accept_word("between") {
            let low = Box::new(self.expression(7)?);
            self.expect_word("and")?;
            let high = Box::new(self.expression(7)?);
            let form = Form::Between {
                node,
                low,
                high,
                negated,
            };
            return self.node(form, start);
        }
        if self.accept_word("in") {
            self.expect_sign("(")?;
            let list = self.list()?;
            if list.is_empty() {
                return Err(self.unexpected("a list with at least one value"));
            }
            let form = Form::In {
                node,
                list,
                negated,
            };
            return self.node(form, start);
        }
        self.expect_word("like")?;
        let pattern = Box::new(self.expression(7)?);
        let escape = match self.accept_word("escape") {
            true => Some(Box::new(self.expression(7)?)),
            false => None,
        };
        let form = Form::Like {
            node,
            pattern,
            escape,
            negated,
        };
        self.node(form, start)
    }
}

fn sign_operator(sign: &str) -> Option<Infix> {
    Some(match sign {
        "=" => Infix::Compare(Comparison::Equal),
        "<>" | "!=" => Infix::Compare(Comparison::NotEqual),
        "<" => Infix::Compare(Comparison::Less),
        "<=" => Infix::Compare(Comparison::LessOrEqual),
        ">" => Infix::Compare(Comparison::Greater),
        ">=" => Infix::Compare(Comparison::GreaterOrEqual),
        "||" => Infix::Concat,
        "+" => Infix::Arithmetic(Arithmetic::Add),
        "-" => Infix::Arithmetic(Arithmetic::Subtract),
        "*" => Infix::Arithmetic(Arithmetic::Multiply),
        "/" => Infix::Arithmetic(Arithmetic::Divide),
        "%" => Infix::Arithmetic(Arithmetic::Remainder),
        "::" => Infix::Cast,
        _ => return None,
    })
}
