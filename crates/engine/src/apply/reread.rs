//! Rows read again by key, because the log's image of them is not whole.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crossfade_model::{TableId, TableMapping};
use crossfade_store::{ErrorKind, SourceSnapshot, StoreError};
use tokio::time::Instant;

use crate::apply::applier::ApplierTask;
use crate::apply::decide::{RereadRequest, Rereads};
use crate::error::EngineError;
use crate::kill;

/// How long a row that must be read again may take to become visible.
const REREAD_PATIENCE: Duration = Duration::from_secs(600);
/// Keys read under one snapshot.
const KEYS_AT_ONCE: usize = 200;

/// What reading rows again came to.
pub(crate) enum Reread {
    /// They were read.
    Done,
    /// A table has another shape on the source by now: no row of it can be read as the log's changes need it.
    Altered(TableId),
}

impl ApplierTask {
    /// Reads rows again by key, each at a snapshot that sees the transaction whose image was not whole.
    pub(super) async fn reread(
        &mut self,
        requests: Vec<RereadRequest>,
        rereads: &mut Rereads,
    ) -> Result<Reread, EngineError> {
        let session = Arc::clone(&self.session);
        let mut by_table: HashMap<TableId, Vec<RereadRequest>> = HashMap::new();
        for request in requests {
            by_table.entry(request.table).or_default().push(request);
        }
        for (table, requests) in by_table {
            let mapping = session.table(table)?;
            for some in requests.chunks(KEYS_AT_ONCE) {
                match self.reread_some(mapping, some, rereads).await {
                    Err(EngineError::Store(e))
                        if e.kind == ErrorKind::SchemaMismatch
                            && e.store == session.source.label() =>
                    {
                        return Ok(Reread::Altered(table));
                    }
                    read => read?,
                }
            }
        }
        Ok(Reread::Done)
    }

    async fn reread_some(
        &mut self,
        mapping: &TableMapping,
        some: &[RereadRequest],
        rereads: &mut Rereads,
    ) -> Result<(), EngineError> {
        let session = Arc::clone(&self.session);
        let index = mapping.id.0 as usize;
        let mut snapshot = self.seeing_all(mapping, some).await?;
        snapshot.wait_durable().await?;
        let keys: Vec<_> = some.iter().map(|r| r.key.cells(mapping)).collect();
        let rows = snapshot.read_keys(mapping, &keys).await?;
        kill::point("reread.read");
        let mut found = HashMap::new();
        for row in rows {
            let key = self.encoders[index]
                .key_of(&row)
                .map_err(|e| EngineError::internal(format!("a row read by key: {e}")))?;
            found.insert(key, row);
        }
        let (view, horizon) = (snapshot.snapshot().clone(), snapshot.horizon());
        {
            let mut state = session.lock();
            let at = &mut state.tables[index];
            for request in some {
                let key = request.key.key.clone();
                at.frontier
                    .stage_one_key(key.clone(), view.clone(), horizon);
                at.one_key_cells
                    .insert(key.clone(), request.key.cells(mapping));
                let row = found.get(&key).cloned();
                rereads.insert((mapping.id, key), (request.key.clone(), row));
            }
        }
        snapshot.close().await?;
        Ok(())
    }

    /// Opens snapshots until one sees the transactions of all requests.
    async fn seeing_all(
        &mut self,
        mapping: &TableMapping,
        some: &[RereadRequest],
    ) -> Result<Box<dyn SourceSnapshot>, EngineError> {
        let session = Arc::clone(&self.session);
        let begun = Instant::now();
        loop {
            let snapshot = session
                .source
                .open_snapshot(&[mapping.source_table()])
                .await?;
            let accepted = {
                let state = session.lock();
                let frontier = &state.tables[mapping.id.0 as usize].frontier;
                some.iter().all(|r| {
                    frontier
                        .accept_one_key(&r.key.key, snapshot.snapshot(), Some(&r.transaction))
                        .is_accepted()
                })
            };
            if accepted {
                return Ok(snapshot);
            }
            snapshot.close().await?;
            if begun.elapsed() > REREAD_PATIENCE {
                return Err(StoreError::new(
                    ErrorKind::Unavailable,
                    "engine.reread_patience",
                    session.source.label(),
                    "a committed transaction does not become visible to readers",
                )
                .table(&mapping.source.name)
                .fix("Look for a synchronous standby that does not answer")
                .into());
            }
            if session.stopping() {
                return Err(EngineError::Ending);
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}
