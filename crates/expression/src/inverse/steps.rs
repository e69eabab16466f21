//! One step back: what an operand was, if it is known what became of it.

use super::{Context, Undone};
use crate::datum::Datum;
use crate::decimal::{Decimal, Number};
use crate::kind::Kind;
use crate::syntax::{Arithmetic, Form, Function, LONGEST, Node, Target};

impl Undone {
    /// A further step, which leaves some results without an input unless it is `total`.
    pub(super) fn then(self, text: String, kind: Kind, total: bool) -> Self {
        let total = self.total && total;
        Self { text, kind, total }
    }

    pub(super) fn cast(self, kind: Kind, total: bool) -> Self {
        let text = format!("cast({} as {})", self.text, kind.name());
        self.then(text, kind, total)
    }

    /// The same number as one of another exact type.
    fn brought_to(self, kind: Kind) -> Option<Self> {
        match self.kind == kind {
            true => Some(self),
            false if self.kind.is_exact() && kind.is_exact() => Some(self.cast(kind, true)),
            false => None,
        }
    }
}

impl Context<'_> {
    /// What the input was, if `undone` is what `node` was.
    pub(super) fn undo(&self, node: &Node, undone: Undone) -> Option<Undone> {
        if undone.text.len() > LONGEST {
            return None;
        }
        let kind = self.bind(node)?.kind;
        let undone = undone.brought_to(kind)?;
        match &node.form {
            Form::Column(_) => Some(undone),
            Form::Cast(operand, target) => self.uncast(operand, *target, undone),
            Form::Negate(operand) if kind.is_exact() => {
                let text = format!("-({})", undone.text);
                // the least integer has no opposite
                let total = kind == Kind::Decimal;
                self.undo(operand, undone.then(text, kind, total))
            }
            Form::Not(operand) => {
                let text = format!("NOT ({})", undone.text);
                self.undo(operand, undone.then(text, kind, true))
            }
            Form::Arithmetic(operator, left, right) => {
                self.uncompute(*operator, left, right, undone)
            }
            Form::Concat(parts) => self.unjoin(parts, undone),
            Form::Case {
                operand,
                arms,
                otherwise,
            } => self.unchoose(node, operand.as_deref(), arms, otherwise.as_deref(), undone),
            Form::Call(function, arguments) => self.uncall(*function, arguments, undone),
            _ => None,
        }
    }

    fn uncast(&self, operand: &Node, target: Target, undone: Undone) -> Option<Undone> {
        let from = self.bind(operand)?.kind;
        let undone = match (from, target) {
            (Kind::Text, Target::Text(_))
            | (Kind::Decimal, Target::Decimal(None))
            | (Kind::Boolean, Target::Boolean)
            | (Kind::Bytes, Target::Bytes)
            | (Kind::Date, Target::Date)
            | (Kind::Time, Target::Time)
            | (Kind::Timestamp, Target::Timestamp)
            | (Kind::Instant, Target::Instant)
            | (Kind::Uuid, Target::Uuid)
            | (Kind::Json, Target::Json) => undone,
            (Kind::Integer { bits: wide }, Target::Integer { bits }) => {
                undone.cast(from, wide >= bits)
            }
            (Kind::Decimal, Target::Integer { .. })
            | (Kind::Integer { .. }, Target::Boolean)
            | (Kind::Text, Target::Integer { .. } | Target::Uuid)
            | (Kind::Bytes, Target::Text(_) | Target::Uuid)
            | (Kind::Timestamp, Target::Instant)
            | (Kind::Instant, Target::Timestamp) => undone.cast(from, true),
            (Kind::Integer { .. }, Target::Decimal(_))
            | (Kind::Boolean, Target::Integer { .. })
            | (Kind::Text | Kind::Uuid, Target::Bytes)
            | (
                Kind::Integer { .. }
                | Kind::Decimal
                | Kind::Boolean
                | Kind::Uuid
                | Kind::Date
                | Kind::Time
                | Kind::Timestamp
                | Kind::Instant,
                Target::Text(_),
            ) => undone.cast(from, false),
            _ => return None,
        };
        self.undo(operand, undone)
    }

    fn uncompute(
        &self,
        operator: Arithmetic,
        left: &Node,
        right: &Node,
        undone: Undone,
    ) -> Option<Undone> {
        let (operand, constant, first) = match (left.is_constant(), right.is_constant()) {
            (false, true) => (left, right, true),
            (true, false) => (right, left, false),
            _ => return None,
        };
        let from = self.bind(operand)?.kind;
        let (value, written) = (self.bind(constant)?, self.source(constant)?);
        let number = number(value.as_constant()?);
        let known = from.is_exact() || from == Kind::Date;
        if !known || value.kind.is_float() || value.as_constant()?.is_null() {
            return None;
        }
        let result = &undone.text;
        let decimal = from == Kind::Decimal;
        let (text, kind, total) = match (operator, first) {
            (Arithmetic::Add, _) => (format!("({result}) - {written}"), undone.kind, decimal),
            (Arithmetic::Subtract, true) => {
                (format!("({result}) + {written}"), undone.kind, decimal)
            }
            (Arithmetic::Subtract, false) => {
                (format!("{written} - ({result})"), undone.kind, decimal)
            }
            (Arithmetic::Multiply, _) => {
                let number = number.filter(|number| number.signum() != 0)?;
                let total = decimal && Number::from(1).divide(&number).is_ok();
                (format!("({result}) / {written}"), Kind::Decimal, total)
            }
            (Arithmetic::Divide, true) => {
                number.filter(|number| number.signum() != 0)?;
                (format!("({result}) * {written}"), Kind::Decimal, decimal)
            }
            (Arithmetic::Divide, false) | (Arithmetic::Remainder, _) => return None,
        };
        // between dates and days the operand's type is what comes of it
        let dated = from == Kind::Date || value.kind == Kind::Date;
        let kind = if dated { from } else { kind };
        self.undo(operand, undone.then(text, kind, total))
    }

    /// Texts before and behind the one part that reads the input.
    fn unjoin(&self, parts: &[Node], undone: Undone) -> Option<Undone> {
        let at = parts.iter().position(|part| !part.is_constant())?;
        let operand = parts.get(at)?;
        let from = self.bind(operand)?.kind;
        if !matches!(from, Kind::Text | Kind::Integer { .. } | Kind::Uuid) {
            return None;
        }
        let mut undone = undone;
        let sides = [
            ("strip_prefix", parts.get(..at)?),
            ("strip_suffix", parts.get(at + 1..)?),
        ];
        for (function, side) in sides {
            if side.is_empty() {
                continue;
            }
            let fixed = self.joined(side)?;
            let text = format!("{function}({}, {fixed})", undone.text);
            undone = undone.then(text, Kind::Text, false);
        }
        if from != Kind::Text {
            undone = undone.cast(from, false);
        }
        self.undo(operand, undone)
    }

    /// Constant parts, joined.
    fn joined(&self, parts: &[Node]) -> Option<String> {
        let mut sources = Vec::with_capacity(parts.len());
        for part in parts {
            let value = self.bind(part)?;
            if value.as_constant()?.is_null() {
                return None;
            }
            sources.push(self.source(part)?);
        }
        // a number alone would be no text
        sources.push("''".to_owned());
        Some(sources.join(" || "))
    }

    fn uncall(&self, function: Function, arguments: &[Node], undone: Undone) -> Option<Undone> {
        match (function, arguments) {
            (Function::StripPrefix, [operand, prefix]) if prefix.is_constant() => {
                let text = format!(
                    "{} || ({})",
                    self.joined(std::slice::from_ref(prefix))?,
                    undone.text
                );
                self.undo(operand, undone.then(text, Kind::Text, true))
            }
            (Function::StripSuffix, [operand, suffix]) if suffix.is_constant() => {
                let text = format!(
                    "({}) || {}",
                    undone.text,
                    self.joined(std::slice::from_ref(suffix))?
                );
                self.undo(operand, undone.then(text, Kind::Text, true))
            }
            (Function::FromEpoch, [operand]) => {
                let text = format!("extract(epoch from {})", undone.text);
                let total = self.bind(operand)?.kind == Kind::Decimal;
                self.undo(operand, undone.then(text, Kind::Decimal, total))
            }
            (Function::Encode, [operand, _]) => {
                let text = format!("decode({}, 'hex')", undone.text);
                self.undo(operand, undone.then(text, Kind::Bytes, false))
            }
            (Function::Coalesce | Function::Greatest | Function::Least, [operand]) => {
                self.undo(operand, undone)
            }
            _ => None,
        }
    }
}

fn number(datum: &Datum<'_>) -> Option<Number> {
    match datum {
        Datum::Integer(value) => Some(Number::from(*value)),
        Datum::Decimal(Decimal::Number(number)) => Some(number.clone()),
        _ => None,
    }
}
