//! The one type of several parts.

use crossfade_model::text_form;

use super::{Binder, Result, mistyped};
use crate::ExpressionError;
use crate::datum::Datum;
use crate::evaluate::{Stop, cast};
use crate::kind::Kind;
use crate::syntax::{Constant, Form, Node, Target};
use crate::term::{Operation, Term};

/// Whether integers beside decimals stay what they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mixed {
    /// Both are numbers, and are compared so.
    Stay,
    /// Results are of one type.
    Convert,
}

impl Binder<'_> {
    /// Binds parts and brings them to one type.
    ///
    /// # Errors
    /// No type suits all of them.
    pub(super) fn unified(&mut self, nodes: &[&Node], mixed: Mixed) -> Result<(Kind, Vec<Term>)> {
        let mut terms = Vec::with_capacity(nodes.len());
        for node in nodes {
            terms.push(self.bind(node)?);
        }
        unify(nodes, terms, mixed)
    }
}

/// Brings parts to one type.
///
/// # Errors
/// No type suits all of them.
pub(super) fn unify(nodes: &[&Node], terms: Vec<Term>, mixed: Mixed) -> Result<(Kind, Vec<Term>)> {
    let kind = common(nodes, &terms)?;
    let mut out = Vec::with_capacity(terms.len());
    for (node, term) in nodes.iter().zip(terms) {
        let stays = mixed == Mixed::Stay && kind.is_exact() && term.kind.is_exact();
        out.push(match stays {
            true => term,
            false => coerce(node, term, kind)?,
        });
    }
    Ok((kind, out))
}

fn common(nodes: &[&Node], terms: &[Term]) -> Result<Kind> {
    let mut kind = Kind::Null;
    // plain strings take the type of what stands beside them
    for literals in [false, true] {
        for (node, term) in nodes.iter().zip(terms) {
            if is_string(node) != literals || (literals && kind != Kind::Null) {
                continue;
            }
            kind = wider(kind, term, terms).ok_or_else(|| {
                mistyped(
                    node,
                    term.kind,
                    &format!("{}, as what stands beside it", kind.name()),
                    fix(kind, term.kind),
                )
            })?;
        }
    }
    Ok(kind)
}

fn fix(one: Kind, other: Kind) -> String {
    let floats = (one.is_float() && other.is_exact()) || (one.is_exact() && other.is_float());
    match floats {
        true => "cast one side: as double where rounding is wanted, else as decimal".to_owned(),
        false => format!("cast one side, for example as {}", one.name()),
    }
}

/// The type that holds values of both without losing any.
fn wider(one: Kind, term: &Term, all: &[Term]) -> Option<Kind> {
    let other = term.kind;
    Some(match (one, other) {
        _ if one == other => one,
        (Kind::Null, kind) | (kind, Kind::Null) => kind,
        (Kind::Integer { bits: a }, Kind::Integer { bits: b }) => Kind::Integer { bits: a.max(b) },
        (a, b) if a.is_exact() && b.is_exact() => Kind::Decimal,
        (a, b) if a.is_float() && b.is_float() => match (a, b) {
            (Kind::Double, _) | (_, Kind::Double) => Kind::Double,
            _ => Kind::Float { bits: 64 },
        },
        // a written number is rounded to a double, as everywhere; a column's is not
        (a, b) if a.is_float() && b.is_exact() && term.as_constant().is_some() => a,
        (a, b) if a.is_exact() && b.is_float() && exact_are_constants(all) => b,
        (Kind::Date, Kind::Timestamp) | (Kind::Timestamp, Kind::Date) => Kind::Timestamp,
        _ => return None,
    })
}

fn exact_are_constants(all: &[Term]) -> bool {
    all.iter()
        .filter(|term| term.kind.is_exact())
        .all(|term| term.as_constant().is_some())
}

/// A string as it stands in the text, without a cast.
pub(super) fn is_string(node: &Node) -> bool {
    matches!(node.form, Form::Literal(Constant::Text(_)))
}

/// Brings a part to a type that holds all its values.
///
/// # Errors
/// A string that is no value of the type.
pub(super) fn coerce(node: &Node, term: Term, kind: Kind) -> Result<Term> {
    if let Some(datum) = term.as_constant() {
        return constant(node, datum, kind);
    }
    let target = match (term.kind, kind) {
        (Kind::Integer { .. }, Kind::Decimal) => Target::Decimal(None),
        (Kind::Date, Kind::Timestamp) => Target::Timestamp,
        (Kind::Integer { .. } | Kind::Uuid, Kind::Text) => Target::Text(None),
        // floats of either width are read as doubles
        _ => return Ok(term),
    };
    let nullable = term.nullable;
    let operation = Operation::Cast(Box::new(term), target);
    Ok(Term::new(operation, kind, nullable))
}

fn constant(node: &Node, datum: &Datum<'static>, kind: Kind) -> Result<Term> {
    let Some(target) = target(kind) else {
        return Ok(Term::constant(datum.clone(), kind));
    };
    // a written UUID may be spelled in any usual way
    if let (Datum::Text(text), Kind::Uuid) = (datum, kind)
        && let Some(uuid) = text_form::uuid(text)
    {
        return Ok(Term::constant(Datum::Uuid(uuid), kind));
    }
    match cast(datum.borrowed(), target) {
        Ok(datum) => Ok(Term::constant(datum.owned(), kind)),
        Err(Stop::Error(_) | Stop::Unchanged) => Err(ExpressionError::new(
            node.span.clone(),
            format!("this cannot be read as {}", kind.name()),
            "write a value of that type, or cast what stands beside it",
        )),
    }
}

/// The cast to a type that loses nothing.
fn target(kind: Kind) -> Option<Target> {
    Some(match kind {
        Kind::Boolean => Target::Boolean,
        Kind::Integer { .. } => Target::Integer { bits: 64 },
        Kind::Decimal => Target::Decimal(None),
        Kind::Float { .. } | Kind::Double => Target::Double,
        Kind::Text => Target::Text(None),
        Kind::Bytes => Target::Bytes,
        Kind::Date => Target::Date,
        Kind::Time => Target::Time,
        Kind::Timestamp => Target::Timestamp,
        Kind::Instant => Target::Instant,
        Kind::Uuid => Target::Uuid,
        Kind::Json => Target::Json,
        Kind::Null | Kind::Any => return None,
    })
}
