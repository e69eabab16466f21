//! A row that the target refuses in the stream is parked: everything else goes on without it.
//!
//! Its key waits in quarantine with what the target said, and, durably, in the frontier: from there on its changes are left to the reading
//! that will take it up again ([`crate::parked`]). No image of it is kept, so none can be written over a newer one.

use std::collections::HashSet;
use std::sync::Arc;

use crossfade_control::EntryId;
use crossfade_model::{Column, Key, KeyOrder, LogicalType, Row, TableId, TableMapping};
use crossfade_store::{Effect, ErrorKind, MergeMode};

use crate::apply::applier::ApplierTask;
use crate::apply::keeping;
use crate::error::EngineError;
use crate::kill;
use crate::parked::{self, MOST_PARKED};
use crate::refused::{self, Refused};
use crate::session::{Keying, Session};

/// Which rows are out of the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Which {
    /// All that are not of the checkpoint.
    All,
    /// What is left of parked ones.
    Parked,
}

/// A table's rows on the target that are not of the checkpoint.
struct Uneven {
    mapping: TableMapping,
    /// The keys of those that are to go.
    gone: Vec<Row>,
    /// Those that are newer, and are parked with it.
    ahead: Vec<Key>,
}

impl ApplierTask {
    /// Parks the rows that a batch failed at, in a target transaction of its own that leaves the checkpoint where it is. True where that
    /// was done: the batch is to be decided again. False where the error has to end the attempt.
    pub(super) async fn park(&mut self, error: &EngineError) -> Result<bool, EngineError> {
        let session = Arc::clone(&self.session);
        if refused::is_of(error, ErrorKind::UniqueViolation) {
            return self.conflicting_out_of_the_way(error, Which::All).await;
        }
        let found = std::mem::take(&mut *session.refused());
        let room = MOST_PARKED.saturating_sub(session.lock().waiting());
        let mut keys = Vec::with_capacity(found.len());
        for refused in &found {
            keys.extend(parked::key_of(&session, refused)?);
        }
        let may = !found.is_empty() && keys.len() == found.len() && keys.len() <= room;
        if may && self.park_keys(keys, &found).await? {
            return Ok(true);
        }
        *session.refused() = found;
        Ok(false)
    }

    async fn park_keys(&mut self, keys: Vec<Key>, found: &[Refused]) -> Result<bool, EngineError> {
        let session = Arc::clone(&self.session);
        let mut entries: Vec<EntryId> = Vec::with_capacity(found.len());
        for refused in found {
            // before it is parked: a row that waits and is not named would be nobody's to look after
            let Some(entry) = refused::enter(&session, refused).await? else {
                return Ok(false);
            };
            entries.push(entry);
        }
        kill::point("park.entered");
        let checkpoint = session.lock().checkpoint;
        let records = parked::records(&session, &keys, found)?;
        self.applier.rollback().await?;
        self.applier.begin().await?;
        self.applier.records(&records).await?;
        self.applier.commit(Some(checkpoint), checkpoint).await?;
        for ((key, refused), entry) in keys.into_iter().zip(found).zip(entries) {
            parked::note(&session, key, refused, entry);
        }
        kill::point("park.durable");
        Ok(true)
    }

    /// As [`Self::out_of_the_way`], for the table at which a unique conflict was met; for all where the store does not name it.
    pub(super) async fn conflicting_out_of_the_way(
        &mut self,
        error: &EngineError,
        which: Which,
    ) -> Result<bool, EngineError> {
        let table = match error {
            EngineError::Store(error) => error.table.clone(),
            _ => None,
        };
        let named =
            |mapping: &TableMapping| table.as_ref() == Some(&mapping.target.name.to_string());
        let any = self.session.tables().iter().any(named);
        // what others have of a row would go with it, and would not come again
        let of =
            |mapping: &TableMapping| (!any || named(mapping)) && !keeping::keeps_columns(mapping);
        self.out_of_the_way(which, of).await
    }

    /// Before changes of these tables are applied: where keys that differ may be equal, a row that was read by itself, newer than the
    /// checkpoint, could be taken for another's that has an equal key there, and be written over.
    pub(super) async fn equal_keys_out_of_the_way(
        &mut self,
        touched: impl FnOnce() -> HashSet<TableId>,
    ) -> Result<(), EngineError> {
        if !self.session.source.capabilities().differing_keys_are_equal {
            return Ok(());
        }
        let mut meet: HashSet<TableId> = {
            let state = self.session.lock();
            let tables = self.session.tables().iter().zip(&state.tables);
            let meet = tables.filter(|(mapping, at)| {
                may_be_equal(mapping) && !at.frontier.ahead_of(&state.checkpoint).is_empty()
            });
            meet.map(|(mapping, _)| mapping.id).collect()
        };
        if meet.is_empty() {
            return Ok(());
        }
        let touched = touched();
        meet.retain(|table| touched.contains(table));
        let of = |mapping: &TableMapping| meet.contains(&mapping.id);
        self.out_of_the_way(Which::All, of).await.map(drop)
    }

    /// Takes every row off the target's tables that is not of the checkpoint, since a unique value that it has may be another row's there:
    /// what is left of parked rows, and rows that were read by themselves and are newer, which are parked with it and read again later. Then
    /// only rows of the checkpoint are in each other's way. False where there was none.
    pub(super) async fn out_of_the_way(
        &mut self,
        which: Which,
        of: impl Fn(&TableMapping) -> bool,
    ) -> Result<bool, EngineError> {
        let session = Arc::clone(&self.session);
        let mut uneven = uneven(&session, which, of);
        if uneven.is_empty() {
            return Ok(false);
        }
        for table in &mut uneven {
            self.keep_what_can_go(table).await?;
        }
        let checkpoint = session.lock().checkpoint;
        self.applier.rollback().await?;
        self.applier.begin().await?;
        let mut records = Vec::new();
        for table in &uneven {
            self.take_off(&table.mapping, &table.gone).await?;
            for key in &table.ahead {
                records.push(parked::record(&session, table.mapping.id, key, false)?);
            }
        }
        self.applier.records(&records).await?;
        self.applier.commit(Some(checkpoint), checkpoint).await?;
        if let Some(proofs) = session.proofs().as_mut() {
            for table in &uneven {
                for row in &table.gone {
                    proofs.repaired(table.mapping.id.0 as usize, row);
                }
            }
        }
        let mut state = session.lock();
        for Uneven { mapping, ahead, .. } in uneven {
            if !ahead.is_empty() {
                // at once: nothing is wrong with these rows
                state.parked_changed = true;
                state.parks += 1;
            }
            let at = &mut state.tables[mapping.id.0 as usize];
            at.parked_cleared = true;
            for key in ahead {
                at.frontier.park(key);
            }
        }
        Ok(true)
    }

    /// Leaves out keys that the target cannot even look for: it has no row of them.
    async fn keep_what_can_go(&mut self, table: &mut Uneven) -> Result<(), EngineError> {
        let all = self.can_go(&table.mapping, &table.gone).await;
        if !is_refused(&all) {
            return all;
        }
        let mut gone = Vec::with_capacity(table.gone.len());
        for row in std::mem::take(&mut table.gone) {
            let taken = self
                .can_go(&table.mapping, std::slice::from_ref(&row))
                .await;
            if !is_refused(&taken) {
                taken?;
                gone.push(row);
            } else if self.may_be_there(&table.mapping, &row).await? {
                return taken;
            }
        }
        table.gone = gone;
        Ok(())
    }

    async fn can_go(&mut self, mapping: &TableMapping, gone: &[Row]) -> Result<(), EngineError> {
        self.applier.rollback().await?;
        self.applier.begin().await?;
        let taken = self.take_off(mapping, gone).await;
        self.applier.rollback().await?;
        taken
    }

    /// Whether the target may hold a row of this key: not where it cannot even look for it.
    pub(super) async fn may_be_there(
        &mut self,
        mapping: &TableMapping,
        key: &Row,
    ) -> Result<bool, EngineError> {
        self.applier.rollback().await?;
        self.applier.begin().await?;
        let read = self
            .applier
            .read_keys(mapping, std::slice::from_ref(key))
            .await;
        self.applier.rollback().await?;
        match read {
            Ok(rows) => Ok(!rows.is_empty()),
            Err(error) if error.kind == ErrorKind::RowRefused => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    async fn take_off(&mut self, mapping: &TableMapping, gone: &[Row]) -> Result<(), EngineError> {
        if gone.is_empty() {
            return Ok(());
        }
        let effect = Effect::Keyed {
            upserts: Vec::new(),
            deletes: gone.to_vec(),
        };
        let session = Arc::clone(&self.session);
        let (applier, label) = (self.applier.as_mut(), session.target.label());
        keeping::apply(applier, label, mapping, &effect, MergeMode::Fast).await
    }
}

fn is_refused(taken: &Result<(), EngineError>) -> bool {
    matches!(taken, Err(error) if refused::is_of(error, ErrorKind::RowRefused))
}

/// Whether the source may hold keys of this table equal that differ.
pub(crate) fn may_be_equal(mapping: &TableMapping) -> bool {
    let columns: Vec<&Column> = mapping.source.captured().collect();
    mapping.source.key.as_ref().is_some_and(|key| {
        let mut key_columns = key.columns.iter().filter_map(|&at| columns.get(at));
        key.order == KeyOrder::Unordered && key_columns.any(|c| c.logical == LogicalType::Text)
    })
}

/// The tables with rows that are not of the checkpoint.
fn uneven(session: &Session, which: Which, of: impl Fn(&TableMapping) -> bool) -> Vec<Uneven> {
    let state = session.lock();
    let mut out = Vec::new();
    for (mapping, at) in session.tables().iter().zip(&state.tables) {
        if at.keying != Keying::Keyed || !of(mapping) {
            continue;
        }
        let ahead = match which {
            Which::All => at.frontier.ahead_of(&state.checkpoint),
            Which::Parked => Vec::new(),
        };
        if ahead.is_empty() && (at.parked_cleared || at.frontier.parked_count() == 0) {
            continue;
        }
        let parked = at.frontier.parked_rows().map(|row| row.key);
        let gone = parked
            .chain(ahead.iter().cloned())
            .filter_map(|key| at.one_key_cells.get(&key).cloned())
            .collect();
        out.push(Uneven {
            mapping: mapping.clone(),
            gone,
            ahead,
        });
    }
    out
}
