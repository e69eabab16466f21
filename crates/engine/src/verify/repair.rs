//! Repair: rows that differ are read again on the source, each as a chunk of one key that goes through the stream.
//!
//! Nothing is taken from a comparison but the keys. A repaired row is unverified until both sides are read again.

use std::collections::BTreeMap;
use std::sync::Arc;

use crossfade_control::quarantine::{KeySide, RowKey};
use crossfade_model::{Cell, Row, TableId, TableMapping};
use crossfade_rules::proof::{self, Repair as Rule};
use crossfade_store::Source;
use tokio::sync::{mpsc, oneshot};

use crate::error::EngineError;
use crate::progress::{Repair, VerifyReport};
use crate::session::Session;
use crate::verify::collect::VerifyRequest;
use crate::verify::differ::key_digest;

/// Keys in one target transaction at most.
const KEYS_AT_ONCE: usize = 200;

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
    for (mapping, table) in session.tables().iter().zip(&report.tables) {
        // a report of touched keys leaves tables out
        let named = session
            .tables()
            .iter()
            .find(|m| m.source.name.to_string() == table.name);
        let mapping = named.unwrap_or(mapping);
        for difference in &table.differences {
            let key = difference.row_key.as_ref();
            match key.and_then(|key| source_key(session.source.as_ref(), mapping, key)) {
                Some(cells) => keys.push((mapping.id, cells)),
                None => without += 1,
            }
        }
    }
    let rows = repair(session, requests, keys).await?;
    let refused = (without > 0).then(|| {
        format!("{without} rows have no key by which they could be read again on the source")
    });
    Ok((Repair { rows, refused }, rows > 0))
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
    format!("{found}{or_more} rows differ, {cap} may be repaired: nothing was{cause}")
}

/// Reads these rows again. Returns how many.
pub(crate) async fn repair(
    session: &Arc<Session>,
    requests: &mpsc::Sender<VerifyRequest>,
    keys: Vec<RepairKey>,
) -> Result<u64, EngineError> {
    // no comparison is at work meanwhile: it would meet rows that no transaction changed
    let _turn = session.comparing.lock().await;
    let mut rows = 0;
    for some in keys.chunks(KEYS_AT_ONCE) {
        let (reply, done) = oneshot::channel();
        let request = VerifyRequest::Repair {
            keys: some.to_vec(),
            reply,
        };
        requests
            .send(request)
            .await
            .map_err(|_| EngineError::Ending)?;
        rows += done.await.map_err(|_| EngineError::Ending)?;
    }
    Ok(rows)
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
