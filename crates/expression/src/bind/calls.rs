//! Functions: what each takes and gives.

use super::operators::quotient;
use super::parts::must_compare;
use super::texts::{as_bytes, as_text};
use super::unify::{Mixed, coerce};
use super::{Binder, Result, mistyped};
use crate::ExpressionError;
use crate::datum::Datum;
use crate::decimal::Rounding;
use crate::kind::Kind;
use crate::syntax::{Arithmetic, Function, Node, listed};
use crate::term::{Field, Operation, Term};

impl Binder<'_> {
    pub(super) fn call(
        &mut self,
        function: Function,
        arguments: &[Node],
        node: &Node,
    ) -> Result<Term> {
        match (function, arguments) {
            (Function::Coalesce | Function::Greatest | Function::Least, _) => {
                self.choice(function, arguments, node)
            }
            (Function::NullIf, [left, right]) => self.null_if(left, right, node),
            (Function::Concat, _) => {
                let terms = self.joined(arguments)?;
                Ok(Term::new(Operation::Join(terms), Kind::Text, false))
            }
            (Function::Round, [value, places @ ..]) => {
                self.round(value, places.first(), Rounding::HalfAway)
            }
            (Function::Truncate, [value, places @ ..]) => {
                self.round(value, places.first(), Rounding::Truncate)
            }
            (Function::Floor, [value]) => self.round(value, None, Rounding::Floor),
            (Function::Ceiling, [value]) => self.round(value, None, Rounding::Ceiling),
            (Function::Modulo, [left, right]) => {
                self.arithmetic(Arithmetic::Remainder, left, right, node)
            }
            (Function::Quotient, [left, right]) => self.whole_quotient(left, right),
            (Function::Extract, [field, operand]) => self.extract(field, operand),
            (Function::DateTruncate, [field, operand]) => self.date_truncate(field, operand),
            (Function::Fail, [text]) => self.fail(text),
            (Function::Date, [operand]) => self.cast(operand, crate::syntax::Target::Date, node),
            _ => self.strict(function, arguments),
        }
    }

    fn choice(&mut self, function: Function, arguments: &[Node], node: &Node) -> Result<Term> {
        let nodes: Vec<_> = arguments.iter().collect();
        let (kind, terms) = self.unified(&nodes, Mixed::Convert)?;
        let nullable = terms.iter().all(|term| term.nullable);
        let operation = match function {
            Function::Coalesce => Operation::Coalesce(terms),
            _ => {
                must_compare(kind, node)?;
                Operation::Extreme(terms, function == Function::Greatest)
            }
        };
        Ok(Term::new(operation, kind, nullable))
    }

    fn null_if(&mut self, left: &Node, right: &Node, node: &Node) -> Result<Term> {
        let (left, right) = self.comparable(left, right, node)?;
        let kind = left.kind;
        let operation = Operation::NullIf(Box::new(left), Box::new(right));
        Ok(Term::new(operation, kind, true))
    }

    /// Rounding; a quotient inside it is computed and rounded at once.
    fn round(&mut self, value: &Node, places: Option<&Node>, rounding: Rounding) -> Result<Term> {
        let (places, wanted) = match places {
            Some(node) => (self.integer(node)?, true),
            None => (Term::constant(Datum::Integer(0), Kind::INTEGER), false),
        };
        let places = Box::new(places);
        if let Some((above, below)) = quotient(value) {
            let above = (above, self.exact(above)?);
            let below = (below, self.exact(below)?);
            return ratio(above, below, places, rounding);
        }
        let term = self.exact(value)?;
        if term.kind.is_integer() && !wanted {
            return Ok(term);
        }
        let term = coerce(value, term, Kind::Decimal)?;
        let nullable = term.nullable || places.nullable;
        let operation = Operation::Round {
            value: Box::new(term),
            places,
            rounding,
        };
        Ok(Term::new(operation, Kind::Decimal, nullable))
    }

    /// `div`: the quotient cut towards zero.
    fn whole_quotient(&mut self, left: &Node, right: &Node) -> Result<Term> {
        let (a, b) = (self.exact(left)?, self.exact(right)?);
        let nullable = a.nullable || b.nullable;
        if a.kind.is_integer() && b.kind.is_integer() {
            let operation = Operation::Call(Function::Quotient, vec![a, b]);
            return Ok(Term::new(operation, Kind::INTEGER, nullable));
        }
        let places = Box::new(Term::constant(Datum::Integer(0), Kind::INTEGER));
        ratio((left, a), (right, b), places, Rounding::Truncate)
    }

    fn extract(&mut self, field_node: &Node, node: &Node) -> Result<Term> {
        let field = self.field(field_node)?;
        let term = self.bind(node)?;
        let fits = match term.kind {
            Kind::Date => !field.is_of_clock(),
            Kind::Time => field.is_of_clock() || field == Field::Epoch,
            Kind::Timestamp | Kind::Instant | Kind::Null => true,
            kind => return Err(mistyped(node, kind, "a date or a time", "cast it to one")),
        };
        if !fits || field == Field::Week {
            return Err(ExpressionError::new(
                field_node.span.clone(),
                format!("a {} has no such field", term.kind.name()),
                "name a field that it has",
            ));
        }
        let kind = match field {
            Field::Second | Field::Epoch => Kind::Decimal,
            _ => Kind::INTEGER,
        };
        let nullable = term.nullable;
        Ok(Term::new(
            Operation::Extract(field, Box::new(term)),
            kind,
            nullable,
        ))
    }

    fn date_truncate(&mut self, field_node: &Node, node: &Node) -> Result<Term> {
        let field = self.field(field_node)?;
        let term = self.bind(node)?;
        match term.kind {
            Kind::Date | Kind::Timestamp | Kind::Instant | Kind::Null => {}
            kind => return Err(mistyped(node, kind, "a date", "cast it to timestamp")),
        }
        let usable = match field {
            Field::Epoch | Field::WeekDay | Field::IsoWeekDay | Field::YearDay => false,
            field => term.kind != Kind::Date || !field.is_of_clock(),
        };
        if !usable {
            return Err(ExpressionError::new(
                field_node.span.clone(),
                "nothing is cut to this field",
                "write year, quarter, month, week, day, or of a timestamp hour, minute or second",
            ));
        }
        let (kind, nullable) = (term.kind, term.nullable);
        let operation = Operation::DateTruncate(field, Box::new(term));
        Ok(Term::new(operation, kind, nullable))
    }

    fn field(&mut self, node: &Node) -> Result<Field> {
        let term = self.text(node)?;
        let name = match term.as_constant() {
            Some(Datum::Text(bytes)) => bytes.to_ascii_lowercase(),
            _ => Vec::new(),
        };
        let found = Field::NAMES
            .iter()
            .find(|(known, _)| known.as_bytes() == name);
        found.map(|(_, field)| *field).ok_or_else(|| {
            let names = Field::NAMES.map(|(known, _)| known);
            ExpressionError::new(
                node.span.clone(),
                "this is no field of a date or a time",
                format!("the fields are {}", listed(&names)),
            )
        })
    }

    fn fail(&mut self, node: &Node) -> Result<Term> {
        let term = self.text(node)?;
        match term.as_constant() {
            Some(Datum::Text(bytes)) => {
                let text = String::from_utf8_lossy(bytes).into_owned();
                Ok(Term::new(Operation::Fail(text.into()), Kind::Null, false))
            }
            _ => Err(ExpressionError::new(
                node.span.clone(),
                "fail takes a string: what a row holds is not shown",
                "write the reason as a string",
            )),
        }
    }

    /// A function that gives NULL if an argument is NULL.
    fn strict(&mut self, function: Function, arguments: &[Node]) -> Result<Term> {
        let mut terms = Vec::with_capacity(arguments.len());
        for (index, node) in arguments.iter().enumerate() {
            terms.push(self.argument(function, index, node)?);
        }
        let nullable = terms.iter().any(|term| term.nullable);
        let first = terms.first().map_or(Kind::Null, |term| term.kind);
        let kind = match function {
            Function::Length | Function::OctetLength | Function::Position => Kind::INTEGER,
            Function::StartsWith => Kind::Boolean,
            Function::Decode | Function::Sha256 => Kind::Bytes,
            Function::FromEpoch => Kind::Instant,
            Function::Absolute | Function::Sign if first.is_integer() => Kind::INTEGER,
            Function::Absolute | Function::Sign => first,
            _ => Kind::Text,
        };
        Ok(Term::new(Operation::Call(function, terms), kind, nullable))
    }

    fn argument(&mut self, function: Function, index: usize, node: &Node) -> Result<Term> {
        match (function, index) {
            (Function::Absolute | Function::Sign, 0) => self.exact(node),
            (Function::FromEpoch, 0) => {
                let term = self.exact(node)?;
                coerce(node, term, Kind::Decimal)
            }
            (Function::ToHex, 0)
            | (Function::Substring, 1 | 2)
            | (
                Function::Left
                | Function::Right
                | Function::LeftPad
                | Function::RightPad
                | Function::Repeat,
                1,
            )
            | (Function::SplitPart, 2) => self.integer(node),
            (Function::Encode, 0) => {
                let term = self.bind(node)?;
                as_bytes(node, term)
            }
            (Function::Encode | Function::Decode, 1) => self.hexadecimal(node),
            (Function::Length | Function::OctetLength | Function::Sha256, 0) => {
                let term = self.bind(node)?;
                match term.kind {
                    Kind::Bytes => Ok(term),
                    _ => as_text(node, term),
                }
            }
            _ => self.text(node),
        }
    }

    fn hexadecimal(&mut self, node: &Node) -> Result<Term> {
        let term = self.text(node)?;
        match term.as_constant() {
            Some(Datum::Text(name)) if name.eq_ignore_ascii_case(b"hex") => Ok(term),
            _ => Err(ExpressionError::new(
                node.span.clone(),
                "this encoding is not known",
                "write 'hex'",
            )),
        }
    }
}

/// A quotient that is rounded at once.
fn ratio(
    (above_node, above): (&Node, Term),
    (below_node, below): (&Node, Term),
    places: Box<Term>,
    rounding: Rounding,
) -> Result<Term> {
    let nullable = above.nullable || below.nullable || places.nullable;
    let operation = Operation::Ratio {
        above: Box::new(coerce(above_node, above, Kind::Decimal)?),
        below: Box::new(coerce(below_node, below, Kind::Decimal)?),
        places,
        rounding,
    };
    Ok(Term::new(operation, Kind::Decimal, nullable))
}
