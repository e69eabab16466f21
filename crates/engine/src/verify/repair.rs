//! Repair: rows that differ are read again on the source, each as a chunk of one key that goes through the stream.
//!
//! Nothing is taken from a comparison but the keys. A repaired row is unverified until both sides are read again.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use crossfade_control::quarantine::{KeySide, RowKey};
use crossfade_model::{Cell, Position, Row, Snapshot, TableId, TableMapping, TransactionId};
use crossfade_rules::proof::{self, Repair as Rule};
use crossfade_store::{Recovery, Source};
use tokio::sync::{mpsc, oneshot};

use crate::apply::park;
use crate::error::EngineError;
use crate::progress::{Repair, VerifyReport};
use crate::session::Session;
use crate::verify::collect::VerifyRequest;
use crate::verify::differ::key_digest;
use crate::verify::pair::{ask, seeing_snapshot};

/// Keys in one target transaction at most.
const KEYS_AT_ONCE: usize = 200;
/// Readings of a row that is changed meanwhile at most.
const MOST_TRIES: u32 = 40;
/// How long the stream may take to what was read.
const MOST_BEHIND: Duration = Duration::from_secs(10);
/// Pause between them.
const AGAIN: Duration = Duration::from_millis(50);

/// A row to be read again: the key's cells at their places, in the source's form.
pub(crate) type RepairKey = (TableId, Row);

/// Repairs what a report lists, if it is no more than `cap` rows. The flag says that something was written, so that it is to
/// be compared again.
pub(crate) async fn of_report(
    session: &Arc<Session>,
    requests: &mpsc::Sender<VerifyRequest>,
    report: &VerifyReport,
    cap: u64,
) -> Result<(Repair, bool), EngineError> {
    let found: u64 = report
        .tables
        .iter()
        .map(|t| t.differences.len() as u64)
        .sum();
    let more = report.tables.iter().any(|t| t.more);
    if more || proof::may_repair(found, cap) == Rule::Refuse {
        let refused = Some(refusal(report, found, more, cap));
        return Ok((Repair { rows: 0, refused }, false));
    }
    let mut keys = Vec::new();
    let mut without = 0;
    for table in &report.tables {
        // by name: a report of touched keys leaves tables out
        let mut mappings = session.tables().iter();
        let Some(mapping) = mappings.find(|m| m.called() == table.name) else {
            continue;
        };
        for difference in &table.differences {
            let key = difference.row_key.as_ref();
            match key.and_then(|key| source_key(session.source.as_ref(), mapping, key)) {
                Some(cells) => keys.push((mapping.id, cells)),
                None => without += 1,
            }
        }
    }
    let repaired = repair(session, requests, keys).await?;
    let rows = repaired.rows;
    Ok((
        Repair {
            rows,
            refused: left_out(without, repaired.refused),
        },
        rows > 0,
    ))
}

fn left_out(without: u64, refused: u64) -> Option<String> {
    let mut why = Vec::new();
    if without > 0 {
        why.push(format!(
            "{without} rows have no key by which they could be read again on the source"
        ));
    }
    if refused > 0 {
        why.push(format!(
            "{refused} rows were refused by one of the stores (by a unique value that another row has, by a type that does not hold the key), or never stood still"
        ));
    }
    (!why.is_empty()).then(|| why.join("; "))
}

/// Names what most of the rows have in common: so many are no accident.
fn refusal(report: &VerifyReport, found: u64, more: bool, cap: u64) -> String {
    let mut causes: BTreeMap<&str, usize> = BTreeMap::new();
    for difference in report.tables.iter().flat_map(|t| &t.differences) {
        *causes.entry(difference.cause.word()).or_default() += 1;
    }
    let most = causes.into_iter().max_by_key(|(_, count)| *count);
    let cause = most.map_or_else(String::new, |(word, count)| {
        format!("; the likely cause of {count} of them: {word}")
    });
    let or_more = if more { " or more" } else { "" };
    let again = match cap {
        0 => " (an order that was interrupted while it repaired has no cap left: give it again)",
        _ => "",
    };
    format!("{found}{or_more} rows differ, {cap} may be repaired: nothing was{again}{cause}")
}

/// A row as it was read again.
#[derive(Debug, Clone)]
pub(crate) struct ReadRow {
    pub key: RepairKey,
    /// `None`: the source has none.
    pub row: Option<Row>,
}

/// Rows for the applier to write.
pub(crate) struct Repairs {
    pub rows: Vec<ReadRow>,
    /// What the reading saw, and the source's log end after it was opened.
    pub view: Snapshot,
    pub horizon: Position,
    pub reply: oneshot::Sender<Answer>,
}

/// What became of them.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    pub written: u64,
    /// They were changed meanwhile.
    pub again: Vec<RepairKey>,
    /// The target refused them: another row has their unique value, say.
    pub refused: u64,
    /// How many of these by a row that is older than the reading, and may not have the value there any more.
    pub late: u64,
}

/// What a repair came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Repaired {
    /// Rows written as the source has them.
    pub rows: u64,
    /// Rows that one of the stores refused, or that were changed again and again.
    pub refused: u64,
    /// How many of these may be taken once the stream has passed what was read, or they stand still.
    pub late: u64,
}

/// Reads these rows again, and has them written.
pub(crate) async fn repair(
    session: &Arc<Session>,
    requests: &mpsc::Sender<VerifyRequest>,
    keys: Vec<RepairKey>,
) -> Result<Repaired, EngineError> {
    // no comparison is at work meanwhile: it would meet rows that no transaction changed
    let _turn = session.comparing.lock().await;
    let mut repaired = Repaired::default();
    let mut pending = keys;
    let mut at_once = KEYS_AT_ONCE;
    for _ in 0..MOST_TRIES {
        if pending.is_empty() {
            return Ok(repaired);
        }
        let mut again = Vec::new();
        let mut alone = false;
        for (table, keys) in by_table(std::mem::take(&mut pending)) {
            let mapping = session.table(table)?;
            for some in keys.chunks(at_once) {
                match some_of(session, requests, mapping, some).await? {
                    Some(Outcome::Answered(answer)) => {
                        repaired.rows += answer.written;
                        repaired.refused += answer.refused;
                        repaired.late += answer.late;
                        again.extend(answer.again);
                    }
                    // the stream is far behind: nobody is to wait for it here
                    Some(Outcome::Behind) => {
                        repaired.refused += some.len() as u64;
                        repaired.late += some.len() as u64;
                    }
                    // the source cannot read one of them
                    None if some.len() == 1 => repaired.refused += 1,
                    None => {
                        alone = true;
                        again.extend_from_slice(some);
                    }
                }
            }
        }
        if alone {
            at_once = 1;
        }
        pending = again;
        tokio::time::sleep(AGAIN).await;
    }
    repaired.refused += pending.len() as u64;
    repaired.late += pending.len() as u64;
    Ok(repaired)
}

fn by_table(keys: Vec<RepairKey>) -> BTreeMap<TableId, Vec<RepairKey>> {
    let mut tables: BTreeMap<TableId, Vec<RepairKey>> = BTreeMap::new();
    for key in keys {
        tables.entry(key.0).or_default().push(key);
    }
    tables
}

/// What became of rows that were read.
enum Outcome {
    Answered(Answer),
    /// The stream takes long to what was read.
    Behind,
}

/// Reads some rows of one table outside the applier, which goes on meanwhile, and has them written; `None` where the source
/// cannot read by one of these keys.
async fn some_of(
    session: &Arc<Session>,
    requests: &mpsc::Sender<VerifyRequest>,
    mapping: &TableMapping,
    some: &[RepairKey],
) -> Result<Option<Outcome>, EngineError> {
    let unseen = ask(requests, |reply| VerifyRequest::Begin { reply }).await?;
    let unseen = unseen.await.map_err(|_| EngineError::Ending)?;
    let read = read(session, mapping, some, &unseen).await;
    let Ok(Some((rows, view, horizon))) = read else {
        // the applier need not collect any longer; if it has ended, it does not
        let _ = requests.send(VerifyRequest::Cancel).await;
        return read.map(|_| None);
    };
    if session.source.capabilities().differing_keys_are_equal
        && park::may_be_equal(mapping)
        && !passed(session, horizon).await?
    {
        let _ = requests.send(VerifyRequest::Cancel).await;
        return Ok(Some(Outcome::Behind));
    }
    let answer = ask(requests, |reply| {
        VerifyRequest::Repair(Repairs {
            rows,
            view,
            horizon,
            reply,
        })
    });
    answer
        .await?
        .await
        .map(|answer| Some(Outcome::Answered(answer)))
        .map_err(|_| EngineError::Ending)
}

/// Waits until the stream has passed what was read, where a row that is newer than the checkpoint could be taken for another one's; false
/// where that takes too long.
async fn passed(session: &Session, horizon: Position) -> Result<bool, EngineError> {
    let passed = session.wait_for(|state| (state.checkpoint >= horizon).then_some(()));
    match tokio::time::timeout(MOST_BEHIND, passed).await {
        Ok(Some(())) => Ok(true),
        Ok(None) => Err(EngineError::Ending),
        Err(_) => Ok(false),
    }
}

type Read = (Vec<ReadRow>, Snapshot, Position);

async fn read(
    session: &Session,
    mapping: &TableMapping,
    some: &[RepairKey],
    unseen: &[TransactionId],
) -> Result<Option<Read>, EngineError> {
    let mut snapshot = seeing_snapshot(session, &[mapping.source_table()], unseen).await?;
    snapshot.wait_durable().await?;
    let keys: Vec<Row> = some.iter().map(|(_, cells)| cells.clone()).collect();
    let found = match snapshot.read_keys(mapping, &keys).await {
        Ok(found) => found,
        Err(error) if error.recovery() == Recovery::Retry => return Err(error.into()),
        Err(error) => {
            tracing::warn!(error = %error, "rows to repair cannot be read by their keys");
            return Ok(None);
        }
    };
    let mut rows = HashMap::with_capacity(found.len());
    for row in found {
        rows.insert(identity(mapping, &row)?, row);
    }
    let (view, horizon) = (snapshot.snapshot().clone(), snapshot.horizon());
    snapshot.close().await?;
    let mut out = Vec::with_capacity(some.len());
    for key in some {
        let row = rows.get(&identity(mapping, &key.1)?).cloned();
        out.push(ReadRow {
            key: key.clone(),
            row,
        });
    }
    Ok(Some((out, view, horizon)))
}

fn identity(mapping: &TableMapping, row: &Row) -> Result<Vec<u8>, EngineError> {
    let mut out = Vec::new();
    let identity = mapping.identity_of(row, &mut out);
    identity.map_err(|e| EngineError::internal(format!("a row to repair: {e}")))?;
    Ok(out)
}

/// The key of a row in the source's form, at its columns' places; `None` for a table without key, and for a key that the source
/// cannot hold.
pub(crate) fn source_key(source: &dyn Source, mapping: &TableMapping, key: &RowKey) -> Option<Row> {
    let columns = &mapping.source.key.as_ref()?.columns;
    if key.cells.len() != columns.len() {
        return None;
    }
    let captured: Vec<_> = mapping.source.captured().collect();
    let mut row = Row(vec![Cell::Null; mapping.columns.len()]);
    for (&place, cell) in columns.iter().zip(&key.cells) {
        *row.0.get_mut(place)? = match key.side {
            KeySide::Source => cell.clone(),
            KeySide::Target => source.own_form(captured.get(place)?, cell)?,
        };
    }
    // the same row by both forms, or none
    (key_digest(mapping, &row)? == key.digest).then_some(row)
}
