//! Rows of a chunk that the target refuses are parked, and the chunk is read again without them.

use std::collections::HashSet;

use crossfade_model::{Key, KeyEncoder, TableId, TableMapping};
use crossfade_rules::frontier::ChunkId;
use crossfade_store::{Loader, ReadForm, RowBlock};

use crate::error::EngineError;
use crate::parked::{self, MOST_PARKED};
use crate::refused::{self, Refused};
use crate::session::Session;

/// Looks for the rows of a chunk that the target refuses, and parks them: each is entered in quarantine, then all become durable in one
/// target transaction. False where none was found or there are too many: the error has to end the attempt.
pub(super) async fn park(
    session: &Session,
    loader: &mut dyn Loader,
    table: TableId,
    chunk: ChunkId,
) -> Result<bool, EngineError> {
    let room = MOST_PARKED.saturating_sub(session.lock().parked());
    let mut found = match of_chunk(session, table, chunk, room + 1).await {
        Ok(found) => found,
        Err(error) => {
            tracing::warn!(%error, "the rows that are refused could not be looked for");
            return Ok(false);
        }
    };
    let mut rows = Vec::new();
    let fit = found.len() <= room;
    for refused in found.drain(..) {
        let key = parked::key_of(session, &refused)?;
        match (key, fit) {
            (Some(key), true) => {
                let Some(entry) = refused::enter(session, &refused).await? else {
                    return Ok(false);
                };
                rows.push((key, refused, entry));
            }
            _ => {
                *session.refused() = Some(refused);
                return Ok(false);
            }
        }
    }
    if rows.is_empty() {
        return Ok(false);
    }
    let mut records = Vec::with_capacity(rows.len());
    for (key, refused, _) in &rows {
        session.lock().tables[table.0 as usize]
            .one_key_cells
            .insert(key.clone(), refused.cells.clone());
        records.push(parked::record(session, table, key)?);
    }
    loader.begin().await?;
    loader.records(&records).await?;
    loader.commit().await?;
    for (key, refused, entry) in rows {
        parked::note(session, key, &refused, entry);
    }
    Ok(true)
}

/// Reads the chunk once more, by a snapshot of its own: a row that has changed since the first reading is seen as it is now, and the
/// chunk is read again whatever is found.
async fn of_chunk(
    session: &Session,
    table: TableId,
    chunk: ChunkId,
    most: usize,
) -> Result<Vec<Refused>, EngineError> {
    let mapping = session.table(table)?;
    let (range, mut without) = {
        let state = session.lock();
        let at = &state.tables[table.0 as usize];
        (at.range(chunk), Without::of(mapping, &at.frontier))
    };
    let mut applier = session.tenure.open_applier().await?;
    let mut snapshot = session
        .source
        .open_snapshot(&[mapping.source_table()])
        .await?;
    let mut stream = snapshot.read(mapping, &range, ReadForm::Rows).await?;
    let mut found = Vec::new();
    while let Some(block) = stream.next().await? {
        let RowBlock::Rows(rows) = without.block(block)? else {
            continue;
        };
        let more = most - found.len();
        found.extend(refused::of_rows(session, applier.as_mut(), mapping, &rows, more).await);
        if found.len() >= most || session.stopping() {
            break;
        }
    }
    drop(stream);
    snapshot.close().await?;
    Ok(found)
}

/// Takes parked rows out of what is read of their table.
pub(super) struct Without {
    encoder: KeyEncoder,
    keys: HashSet<Key>,
}

impl Without {
    /// All that are parked now.
    pub(super) fn of(mapping: &TableMapping, frontier: &crate::session::TableFrontier) -> Without {
        Without {
            encoder: mapping.key_encoder(),
            keys: frontier.parked_rows().map(|row| row.key).collect(),
        }
    }

    /// True where nothing is taken out.
    pub(super) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The block without them; it must be one of rows where anything is parked.
    pub(super) fn block(&mut self, mut block: RowBlock) -> Result<RowBlock, EngineError> {
        if let RowBlock::Rows(rows) = &mut block
            && !self.keys.is_empty()
        {
            let mut failed = None;
            rows.retain(|row| match self.encoder.key_of(row) {
                Ok(key) => !self.keys.contains(&key),
                Err(error) => {
                    failed = Some(error);
                    true
                }
            });
            if let Some(error) = failed {
                return Err(EngineError::internal(format!("a row of a copy: {error}")));
            }
        }
        Ok(block)
    }
}
