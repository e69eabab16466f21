//! A query on each side that must give the same rows at the same position.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crossfade_model::canonical::framed;
use crossfade_model::{BucketSum, Cell, Row, Value, hex};
use crossfade_plan::Projection;
use crossfade_store::{ColumnClass, ErrorKind, Query, QueryColumn, StoreError};
use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc;

use crate::error::EngineError;
use crate::layer_report::ProjectionReport;
use crate::progress::{Difference, DifferenceKind};
use crate::session::Session;
use crate::verify::cause::Cause;
use crate::verify::collect::VerifyRequest;
use crate::verify::differ::{MOST_LISTED, cell_text};
use crate::verify::meet_pair::MeetPair;
use crate::verify::side::{own, rows_of};

/// Rows of a projection at most.
const MOST_ROWS: usize = 1_000_000;
/// Bytes of rows kept for the report at most.
const MOST_BYTES: usize = 16 << 20;
/// How long both queries may take.
const PATIENCE: Duration = Duration::from_secs(600);

/// Half a SHA-256: no two of a million rows have the same by chance.
type Short = [u8; 16];

/// Why a projection could not be compared: a stable code and words.
type Problem = (&'static str, String);

/// How one column's values are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// As decimals where they are numbers; booleans are 1 and 0.
    Number,
    /// By their text.
    Text,
}

/// One side: its columns' classes, and how they are compared.
struct Reading<'a> {
    classes: Vec<ColumnClass>,
    forms: &'a [Form],
    key: &'a [usize],
}

/// Rows by their keys.
#[derive(Default)]
struct Digests(HashMap<Short, Short>);

/// Compares a projection, both sides at one position.
pub(crate) async fn compare(
    session: &Arc<Session>,
    requests: &mpsc::Sender<VerifyRequest>,
    projection: &Projection,
) -> Result<ProjectionReport, EngineError> {
    let sources = session.source_tables();
    let mut pair = MeetPair::open(session, requests, &sources).await?;
    let position = session.source.show_position(pair.position);
    let compared = tokio::time::timeout(PATIENCE, both(&mut pair, projection)).await;
    let (found, problem) = match compared {
        Ok(Ok(Ok(found))) => (found, None),
        Ok(Ok(Err((code, what)))) => (Found::default(), Some(format!("[{code}] {what}"))),
        // the query's own error ends the comparison of this projection, not the run
        Ok(Err(EngineError::Store(e))) if e.kind != ErrorKind::Connection => {
            (Found::default(), Some(format!("[projection.query] {e}")))
        }
        Ok(Err(error)) => return Err(error),
        Err(_) => {
            let what = format!("the queries took more than {} s", PATIENCE.as_secs());
            (
                Found::default(),
                Some(format!("[projection.timeout] {what}")),
            )
        }
    };
    // a read that failed or was cut short ends with its connection
    if problem.is_none() {
        pair.close().await?;
    }
    Ok(ProjectionReport {
        name: projection.name.text.clone(),
        position,
        rows: found.rows,
        equal: problem.is_none() && found.differences.is_empty() && !found.more,
        differences: found.differences,
        more: found.more,
        problem,
    })
}

#[derive(Default)]
struct Found {
    rows: u64,
    differences: Vec<Difference>,
    more: bool,
}

async fn both(
    pair: &mut MeetPair,
    projection: &Projection,
) -> Result<Result<Found, Problem>, EngineError> {
    let mut theirs = pair.source.query(&projection.source.text).await?;
    let mut ours = pair.target.query(&projection.target.text).await?;
    let (forms, key) = match columns(projection, &theirs.columns, &ours.columns) {
        Ok(columns) => columns,
        Err(problem) => return Ok(Err(problem)),
    };
    let names: Vec<String> = theirs.columns.iter().map(|c| c.name.clone()).collect();
    let reading = |query: &Query<'_>| Reading {
        classes: query.columns.iter().map(|c| c.class).collect(),
        forms: &forms,
        key: &key,
    };
    let sides = (reading(&theirs), reading(&ours));
    let (source, target) =
        tokio::try_join!(digests(&sides.0, &mut theirs), digests(&sides.1, &mut ours))?;
    drop((theirs, ours));
    let (source, target) = match (named(source, "source"), named(target, "target")) {
        (Ok(source), Ok(target)) => (source, target),
        (Err(problem), _) | (_, Err(problem)) => return Ok(Err(problem)),
    };
    let mut found = Found {
        rows: source.0.len() as u64,
        ..Found::default()
    };
    let mut wanted = unequal(&source, &target);
    if wanted.is_empty() {
        return Ok(Ok(found));
    }
    found.more = wanted.len() > MOST_LISTED;
    wanted.truncate(MOST_LISTED);
    let mut theirs = pair.source.query(&projection.source.text).await?;
    let mut ours = pair.target.query(&projection.target.text).await?;
    let (their_rows, our_rows) = tokio::try_join!(
        again(&sides.0, &mut theirs, &source, &wanted),
        again(&sides.1, &mut ours, &target, &wanted)
    )?;
    for (rows, side) in [(&their_rows, "source"), (&our_rows, "target")] {
        if rows.is_none() {
            let what = format!("the query on the {side} gave other rows the second time");
            return Ok(Err(("projection.not_deterministic", what)));
        }
    }
    let (their_rows, our_rows) = (their_rows.unwrap_or_default(), our_rows.unwrap_or_default());
    for at in &wanted {
        let (one, other) = (their_rows.get(at), our_rows.get(at));
        found.more |= one.is_none() && other.is_none();
        found
            .differences
            .extend(difference(&names, &sides, one, other));
    }
    found.differences.sort_by(|a, b| a.key.cmp(&b.key));
    Ok(Ok(found))
}

/// How the columns are compared, and which are the key.
fn columns(
    projection: &Projection,
    theirs: &[QueryColumn],
    ours: &[QueryColumn],
) -> Result<(Vec<Form>, Vec<usize>), Problem> {
    let key = key_places(&projection.key, theirs, ours)?;
    let number = |c: ColumnClass| matches!(c, ColumnClass::Number | ColumnClass::Boolean);
    let any = |c: ColumnClass| c == ColumnClass::Any;
    let forms = theirs.iter().zip(ours).map(|(one, other)| {
        let (one, other) = (one.class, other.class);
        // where neither side has a type, each value says whether it is a number
        if number(one) || number(other) || (any(one) && any(other)) {
            Form::Number
        } else {
            Form::Text
        }
    });
    Ok((forms.collect(), key))
}

/// The places of the key's columns, where both sides have the same columns.
///
/// # Errors
/// What differs, with a stable code.
pub(crate) fn key_places(
    key: &[String],
    theirs: &[QueryColumn],
    ours: &[QueryColumn],
) -> Result<Vec<usize>, Problem> {
    let names = |columns: &[QueryColumn]| {
        let names: Vec<&str> = columns.iter().map(|c| c.name.as_str()).collect();
        names.join(", ")
    };
    if names(theirs) != names(ours) {
        let what = format!(
            "the source's query gives the columns {}, the target's {}",
            names(theirs),
            names(ours)
        );
        return Err(("projection.columns", what));
    }
    let place = |name: &String| {
        let found = theirs.iter().position(|c| c.name == *name);
        found.ok_or_else(|| {
            let what = format!(
                "the queries give no column {name} of the key; they give {}",
                names(theirs)
            );
            ("projection.key", what)
        })
    };
    key.iter().map(place).collect()
}

fn named(read: Result<Digests, &'static str>, side: &str) -> Result<Digests, Problem> {
    read.map_err(|code| match code {
        "projection.key" => (
            "projection.key_not_unique",
            format!("two rows of the query on the {side} have the same key"),
        ),
        code => (
            code,
            format!("the query on the {side} gives more than {MOST_ROWS} rows"),
        ),
    })
}

async fn digests(
    reading: &Reading<'_>,
    query: &mut Query<'_>,
) -> Result<Result<Digests, &'static str>, StoreError> {
    let mut out = Digests::default();
    while let Some(block) = query.rows.next().await? {
        let crossfade_store::RowBlock::Rows(rows) = block else {
            continue;
        };
        for row in &rows {
            let (key, whole) = reading.digests(row);
            if out.0.insert(key, whole).is_some() {
                return Ok(Err("projection.key"));
            }
            if out.0.len() > MOST_ROWS {
                return Ok(Err("projection.too_many_rows"));
            }
        }
        tokio::task::yield_now().await;
    }
    Ok(Ok(out))
}

/// The keys whose rows are not the same.
fn unequal(source: &Digests, target: &Digests) -> Vec<Short> {
    let differs = source
        .0
        .iter()
        .filter(|(k, row)| target.0.get(*k) != Some(row));
    let absent = target.0.keys().filter(|k| !source.0.contains_key(*k));
    let mut out: Vec<Short> = differs
        .map(|(key, _)| *key)
        .chain(absent.copied())
        .collect();
    out.sort_unstable();
    out
}

/// Reads once more, for the rows of these keys; `None` where the query gave something else than before.
async fn again(
    reading: &Reading<'_>,
    query: &mut Query<'_>,
    before: &Digests,
    wanted: &[Short],
) -> Result<Option<HashMap<Short, Row>>, EngineError> {
    let mut out = HashMap::new();
    let (mut count, mut bytes) = (0, 0);
    while let Some(block) = query.rows.next().await? {
        for row in rows_of(block)? {
            let (key, whole) = reading.digests(&row);
            count += 1;
            if before.0.get(&key) != Some(&whole) || count > before.0.len() {
                return Ok(None);
            }
            if bytes < MOST_BYTES && wanted.binary_search(&key).is_ok() {
                bytes += row.weight();
                out.insert(key, own(&row));
            }
        }
    }
    Ok((count == before.0.len()).then_some(out))
}

impl Reading<'_> {
    fn digests(&self, row: &Row) -> (Short, Short) {
        let (mut key, mut whole) = (Vec::new(), Vec::new());
        for at in self.key {
            self.write(*at, row, &mut key);
        }
        for at in 0..self.forms.len() {
            self.write(at, row, &mut whole);
        }
        (short(&key), short(&whole))
    }

    fn write(&self, at: usize, row: &Row, out: &mut Vec<u8>) {
        let Some(form) = row.0.get(at).and_then(|cell| self.form(at, cell)) else {
            out.push(0);
            return;
        };
        let written: Result<(), std::convert::Infallible> = framed(out, |out| {
            out.extend_from_slice(&form);
            Ok(())
        });
        match written {
            Ok(()) => {}
            Err(never) => match never {},
        }
    }

    /// A value as it is compared; `None` is NULL.
    fn form(&self, at: usize, cell: &Cell) -> Option<Vec<u8>> {
        let class = self.classes.get(at).copied().unwrap_or(ColumnClass::Any);
        if self.forms.get(at) == Some(&Form::Number) {
            let number = match (class, cell) {
                (_, Cell::Null) => None,
                (ColumnClass::Boolean, Cell::TextForm(text)) => match &text[..] {
                    b"t" => Some("1".to_owned()),
                    b"f" => Some("0".to_owned()),
                    _ => None,
                },
                _ => cell.value().and_then(Value::decimal),
            };
            if let Some(number) = number {
                return Some(number.into_bytes());
            }
        }
        match cell {
            Cell::Null | Cell::Unchanged | Cell::Unfit(_) => None,
            Cell::Text(b) | Cell::TextForm(b) => Some(b.to_vec()),
            Cell::Integer(i) => Some(i.to_string().into_bytes()),
            Cell::Real(r) => Some(format!("{r:?}").into_bytes()),
            Cell::Blob(b) => Some(format!("\\x{}", hex::encode(b)).into_bytes()),
        }
    }
}

fn short(bytes: &[u8]) -> Short {
    let whole = Sha256::digest(bytes);
    let mut out = [0; 16];
    out.copy_from_slice(&whole[..16]);
    out
}

fn difference(
    names: &[String],
    (theirs, ours): &(Reading<'_>, Reading<'_>),
    source: Option<&Row>,
    target: Option<&Row>,
) -> Option<Difference> {
    let either = source.or(target)?;
    let (kind, columns) = match (source, target) {
        (Some(one), Some(other)) => {
            let form = |side: &Reading<'_>, row: &Row, at| {
                row.0.get(at).and_then(|cell| side.form(at, cell))
            };
            let differs =
                (0..names.len()).filter(|at| form(theirs, one, *at) != form(ours, other, *at));
            (
                DifferenceKind::Changed,
                differs.map(|at| names[at].clone()).collect(),
            )
        }
        (Some(_), None) => (DifferenceKind::Missing, Vec::new()),
        (None, _) => (DifferenceKind::Extra, Vec::new()),
    };
    let text = |row: &Row| row.0.iter().map(cell_text).collect::<Vec<_>>();
    let key = theirs.key.iter().map(|at| {
        let cell = either.0.get(*at).and_then(cell_text);
        cell.unwrap_or_else(|| "NULL".to_owned())
    });
    Some(Difference {
        kind,
        key: key.collect::<Vec<_>>().join(", "),
        columns,
        cause: Cause::default(),
        why: String::new(),
        classification: None,
        row_key: None,
        source_row: source.map(text),
        target_row: target.map(text),
        source_digest: BucketSum::default(),
        target_digest: BucketSum::default(),
    })
}

#[cfg(test)]
#[path = "projection_tests.rs"]
mod tests;
