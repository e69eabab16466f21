//! Rows of a chunk that the target refuses are parked, and the chunk is read again without them.

use std::collections::HashSet;

use crossfade_model::{Key, KeyEncoder, TableId, TableMapping};
use crossfade_rules::frontier::ChunkId;
use crossfade_store::{Loader, ReadForm, RowBlock};

use crate::commands::may_pass;
use crate::error::EngineError;
use crate::parked::{self, MOST_PARKED};
use crate::refused::{self, Form, Refused};
use crate::session::{Keying, Session};

/// What came of looking for the rows of a chunk that the target refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Looked {
    /// They are parked.
    Parked,
    /// None is refused now, or the stores could not be asked.
    NothingFound,
    /// They cannot be parked: the error has to end the attempt.
    Cannot,
}

/// Looks for the rows of a chunk that the target refuses, and parks them: each is entered in quarantine, then all become durable in one
/// target transaction.
pub(super) async fn park(
    session: &Session,
    loader: &mut dyn Loader,
    table: TableId,
    chunk: ChunkId,
) -> Result<Looked, EngineError> {
    let room = MOST_PARKED.saturating_sub(session.lock().waiting());
    let found = match of_chunk(session, table, chunk, room + 1).await {
        Ok(found) if !found.is_empty() => found,
        Ok(_) => return Ok(Looked::NothingFound),
        Err(error) if may_pass(&error) => return Err(error),
        Err(error) => {
            tracing::warn!(%error, "the rows that are refused could not be looked for");
            return Ok(Looked::NothingFound);
        }
    };
    let mut keys = Vec::with_capacity(found.len());
    for refused in &found {
        keys.extend(parked::key_of(session, refused)?);
    }
    if keys.len() != found.len() || keys.len() > room {
        *session.refused() = found;
        return Ok(Looked::Cannot);
    }
    let mut entries = Vec::with_capacity(found.len());
    for refused in &found {
        let Some(entry) = refused::enter(session, refused).await? else {
            return Ok(Looked::Cannot);
        };
        entries.push(entry);
    }
    let records = parked::records(session, &keys, &found)?;
    loader.begin().await?;
    loader.records(&records).await?;
    loader.commit().await?;
    for ((key, refused), entry) in keys.into_iter().zip(&found).zip(entries) {
        parked::note(session, key, refused, entry);
    }
    Ok(Looked::Parked)
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
    let (range, mut without, form) = {
        let state = session.lock();
        let at = &state.tables[table.0 as usize];
        // before its key is built a row would be looked for in the whole table
        let form = match at.keying {
            Keying::Keyed if mapping.source.key.is_some() => Form::Keyed,
            _ => Form::Added,
        };
        (at.range(chunk), Without::of(mapping, &at.frontier), form)
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
        found.extend(
            refused::of_rows(session, applier.as_mut(), mapping, (&rows, form), more).await?,
        );
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
