//! A source's changes, presented by the mappings.

use std::collections::HashMap;

use async_trait::async_trait;
use crossfade_model::{Change, Position, StreamEvent, TableId};
use crossfade_store::{ChangeStream, Result};

use crate::changes;
use crate::table::MappedTable;

/// Presents a stream of tables as they are. One change may be one of several mappings, and none of some.
pub(crate) struct MappedStream {
    inner: Box<dyn ChangeStream>,
    label: String,
    /// By the number under which the store below knows a table: the mappings that its rows go into.
    tables: HashMap<TableId, Vec<MappedTable>>,
}

impl MappedStream {
    pub(crate) fn new(
        inner: Box<dyn ChangeStream>,
        label: String,
        tables: HashMap<TableId, Vec<MappedTable>>,
    ) -> MappedStream {
        MappedStream {
            inner,
            label,
            tables,
        }
    }

    fn change(&self, change: &Change, out: &mut Vec<Change>) -> Result<()> {
        for table in changes::tables_of(change) {
            for mapped in self.tables.get(table).into_iter().flatten() {
                changes::mapped(mapped, change, out)
                    .map_err(|e| e.at(&self.label, &mapped.raw.source))?;
            }
        }
        Ok(())
    }
}

#[async_trait]
impl ChangeStream for MappedStream {
    async fn next(&mut self) -> Result<Vec<StreamEvent>> {
        let events = self.inner.next().await?;
        let mut out = Vec::with_capacity(events.len());
        let mut changes = Vec::new();
        for event in events {
            match event {
                StreamEvent::Change(change) => {
                    self.change(&change, &mut changes)?;
                    out.extend(changes.drain(..).map(StreamEvent::Change));
                }
                other => out.push(other),
            }
        }
        Ok(out)
    }

    async fn confirm(&mut self, checkpoint: Position) -> Result<()> {
        self.inner.confirm(checkpoint).await
    }
}
