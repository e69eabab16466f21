//! The applier task: takes batches, decides them, reads again what must be, writes, moves the checkpoint.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crossfade_model::{Change, Key, KeyEncoder, Position, TableId, TransactionId};
use crossfade_rules::ledger::LedgerCounts;
use crossfade_store::Applier;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use crate::apply::ahead::Next;
use crate::apply::big::tables_of;
use crate::apply::decide::{Decided, PendingTransaction, Rereads, Sight, Verdict, decide};
use crate::apply::gather::Gathered;
use crate::apply::reread::Reread;
use crate::apply::waiting::{self, Look};
use crate::apply::write::{self, frontier_records, ledger_records};
use crate::capture::altered;
use crate::durable::{self, Anew};
use crate::error::EngineError;
use crate::kill;
use crate::refused;
use crate::session::{Altered, Keying, Session, State};
use crate::verify::collect::{Collector, VerifyRequest};
use crate::verify::meet::Meeting;

/// How often an empty checkpoint is written while the stream is idle.
const IDLE_CHECKPOINT: Duration = Duration::from_millis(1000);
/// The same while horizons are still ahead, so that "followed" is not kept waiting.
const IDLE_CHECKPOINT_COPYING: Duration = Duration::from_millis(50);
/// Applied transactions remembered before a probe is asked which of them readers see.
const MOST_RECENT: usize = 4096;

/// The applier and what it keeps between batches.
pub(crate) struct ApplierTask {
    pub(super) session: Arc<Session>,
    pub(super) applier: Box<dyn Applier>,
    pub(super) next: mpsc::Receiver<Next>,
    pub(super) encoders: Vec<KeyEncoder>,
    pub(super) confirmed: watch::Sender<Position>,
    pub(super) requests: mpsc::Receiver<VerifyRequest>,
    pub(super) collector: Option<Collector>,
    pub(super) meeting: Option<Meeting>,
    pub(super) expired: Vec<(TableId, Key)>,
    pub(super) last_idle: Instant,
    /// A position that the stream has passed without a change, and that is not the checkpoint yet.
    pub(super) idle_end: Option<Position>,
}

impl ApplierTask {
    pub fn new(
        session: Arc<Session>,
        applier: Box<dyn Applier>,
        next: mpsc::Receiver<Next>,
        confirmed: watch::Sender<Position>,
        requests: mpsc::Receiver<VerifyRequest>,
    ) -> ApplierTask {
        let encoders = session.tables().iter().map(|t| t.key_encoder()).collect();
        ApplierTask {
            session,
            applier,
            next,
            encoders,
            confirmed,
            requests,
            collector: None,
            meeting: None,
            expired: Vec::new(),
            last_idle: Instant::now(),
            idle_end: None,
        }
    }

    /// Applies until the attempt stops.
    pub async fn run(mut self) -> Result<(), EngineError> {
        let session = Arc::clone(&self.session);
        let mut stop = session.stop.clone();
        loop {
            if session
                .wait_for(|state| (!state.paused).then_some(()))
                .await
                .is_none()
            {
                return Ok(());
            }
            let idle_at = self.last_idle + self.idle_pause();
            let hold = self.meeting.as_ref().and_then(Meeting::hold);
            let next = tokio::select! {
                biased;
                _ = stop.changed() => return Ok(()),
                altered = session.wait_for(|state| waiting::altered_is_due(state)) => match altered {
                    Some(altered) => return Err(self.schema_changed(altered).await?),
                    None => return Ok(()),
                },
                Some(request) = self.requests.recv() => {
                    self.verify_request(request).await?;
                    continue;
                }
                () = tokio::time::sleep_until(hold.unwrap_or(idle_at)), if hold.is_some() => {
                    self.meeting.iter_mut().for_each(Meeting::go_on);
                    continue;
                }
                () = tokio::time::sleep_until(idle_at), if hold.is_none() && self.idle_end.is_some() => {
                    Next::from(Gathered::Batch { transactions: Vec::new(), end: self.idle_end.take() })
                }
                next = self.next.recv(), if hold.is_none() => next.unwrap_or(Next::from(Gathered::Ended)),
            };
            // the order to pause may have come while there was nothing to apply
            if session
                .wait_for(|state| (!state.paused).then_some(()))
                .await
                .is_none()
            {
                return Ok(());
            }
            match next.gathered {
                Gathered::Batch { transactions, end } => {
                    match self.meeting_batch(transactions, next.decided, end).await {
                        Err(EngineError::Ending) => return Ok(()),
                        other => other?,
                    }
                }
                Gathered::Big(big) => {
                    self.meeting_big(big.id, big.end).await?;
                    match self.big(big).await {
                        Err(EngineError::Ending) => return Ok(()),
                        other => other?,
                    }
                }
                Gathered::SchemaChanged { table, what, moved } => {
                    let name = |table| Ok(session.table(table)?.source.name.to_string());
                    let altered = Altered {
                        table: name(table)?,
                        what,
                        moved: moved
                            .into_iter()
                            .map(name)
                            .collect::<Result<_, EngineError>>()?,
                        seen_at: session.lock().checkpoint,
                    };
                    return Err(self.schema_changed(altered).await?);
                }
                Gathered::Ended => return Ok(()),
            }
        }
    }

    /// The stream has come to a change of another shape, or to where the altered table was seen: everything before is
    /// applied. Leaves a durable mark, so that the next run plans anew from here, and ends the run.
    pub(super) async fn schema_changed(
        &mut self,
        altered: Altered,
    ) -> Result<EngineError, EngineError> {
        let checkpoint = self.session.lock().checkpoint;
        self.applier.begin().await?;
        self.applier
            .records(&[durable::altered_record(&altered)?])
            .await?;
        self.applier.commit(Some(checkpoint), checkpoint).await?;
        Ok(altered::stop(
            self.session.source.as_ref(),
            self.session.tables(),
            checkpoint,
            altered,
        ))
    }

    /// Leaves a durable mark that the table's copy is to be made again, by snapshots that see `owed` and what was applied. The next
    /// attempt does it: by then no loader of this one can write.
    async fn copy_anew(
        &mut self,
        table: TableId,
        mut owed: Vec<TransactionId>,
        what: &str,
        in_target_transaction: bool,
    ) -> Result<EngineError, EngineError> {
        if in_target_transaction {
            self.applier.rollback().await?;
        }
        self.forget_seen().await?;
        let checkpoint = {
            let state = self.session.lock();
            owed.extend(&state.recent);
            state.checkpoint
        };
        let anew = Anew {
            what: what.to_owned(),
            owed,
            begun: false,
        };
        let record = durable::anew_record(self.session.table(table)?, &anew)?;
        self.applier.begin().await?;
        self.applier.records(&[record]).await?;
        self.applier.commit(Some(checkpoint), checkpoint).await?;
        Ok(EngineError::Again)
    }

    pub(super) async fn batch(
        &mut self,
        transactions: Vec<PendingTransaction>,
        ahead: Option<Decided>,
        end: Option<Position>,
    ) -> Result<(), EngineError> {
        let Some(end) = end else { return Ok(()) };
        let from = self.session.lock().checkpoint;
        // the source sends again what a restart finds applied
        let transactions: Vec<_> = transactions
            .into_iter()
            .filter(|t| !crossfade_rules::checkpoint::already_applied(&t.end, Some(&from)))
            .collect();
        let end = end.max(from);
        let idle = transactions.iter().all(|t| t.changes.is_empty());
        if idle {
            if end <= from {
                return Ok(());
            }
            if self.last_idle.elapsed() < self.idle_pause() {
                // an idle source may not say it again for long
                self.idle_end = Some(end);
                return Ok(());
            }
            self.last_idle = Instant::now();
        }
        self.idle_end = None;
        let changes = transactions.iter().flat_map(|t| &t.changes);
        self.equal_keys_out_of_the_way(|| changes.flat_map(tables_of).collect())
            .await?;
        let mut ahead = ahead.filter(|_| self.session.lock().applies_all());
        let effects = loop {
            let decided = match ahead.take() {
                Some(decided) => decided,
                None => {
                    let changes = transactions.iter().map(|t| (t.id, t.changes.as_slice()));
                    self.decided(changes, false).await?
                }
            };
            kill::point("apply.decided");
            let effects = decided.effects.len();
            self.remember(transactions.iter().map(|t| t.id));
            match self.write(decided, (from, end), true).await {
                Ok(()) => break effects,
                // decided again, everything but these rows goes on
                Err(error) if self.park(&error).await? => {}
                Err(error) => return Err(error),
            }
        };
        if effects > 0 || !idle {
            self.note(&transactions);
        }
        self.touch(transactions.iter().map(|t| t.changes.as_slice()));
        if let Some(collector) = &mut self.collector {
            for t in &transactions {
                collector.collect(t.id, &t.changes)?;
            }
        }
        self.after_commit(transactions.len() as u64).await
    }

    /// Enters the keys of applied changes as no longer proven. Before the next request is obeyed: nobody reads the target at
    /// this checkpoint before.
    pub(super) fn touch<'a>(&self, changes: impl Iterator<Item = &'a [Change]>) {
        if let Some(proofs) = self.session.proofs().as_mut() {
            changes.for_each(|changes| proofs.touch(changes));
        }
    }

    /// How long a checkpoint that no change moves may wait.
    fn idle_pause(&self) -> Duration {
        let waited_for = {
            let state = self.session.lock();
            !state.followed_beside_parked() || state.altered.is_some()
        } || self.collector.is_some()
            || self.meeting.is_some();
        if self.session.draining() {
            Duration::ZERO
        } else if waited_for {
            IDLE_CHECKPOINT_COPYING
        } else {
            IDLE_CHECKPOINT
        }
    }

    /// Decides, waiting for chunks and reading rows again as often as needed. No target transaction is open meanwhile.
    pub(super) async fn decided<'a>(
        &mut self,
        transactions: impl Iterator<Item = (TransactionId, &'a [Change])> + Clone,
        in_target_transaction: bool,
    ) -> Result<Decided, EngineError> {
        let decided = self.decide_all(transactions, in_target_transaction).await;
        // not before: a chunk that begins to load between two passes would be waited for again, and so on
        let waited = std::mem::take(&mut self.session.lock().stream_waits);
        if waited {
            self.session.notify();
        }
        decided
    }

    async fn decide_all<'a>(
        &mut self,
        transactions: impl Iterator<Item = (TransactionId, &'a [Change])> + Clone,
        in_target_transaction: bool,
    ) -> Result<Decided, EngineError> {
        let session = Arc::clone(&self.session);
        for table in &mut session.lock().tables {
            table.frontier.discard_staged();
        }
        let mut rereads = Rereads::new();
        loop {
            let verdict = {
                let mut state = session.lock();
                decide(
                    Sight::Shared(&mut state),
                    session.tables(),
                    &self.encoders,
                    transactions.clone(),
                    &rereads,
                )?
            };
            match verdict {
                Verdict::Decided(decided) => return Ok(decided),
                Verdict::Wait(_) if in_target_transaction => {
                    return Err(EngineError::internal(
                        "a change waits for a chunk with the target transaction open",
                    ));
                }
                Verdict::Wait(table) => self.wait_for_table(table).await?,
                Verdict::Reread(requests) => {
                    let wanted: Vec<_> = requests.iter().map(|r| r.transaction).collect();
                    match self.reread(requests, &mut rereads).await? {
                        Reread::Done => {}
                        Reread::Altered(table) => {
                            let why = "a row must be read again that the log has in part, and the table was altered since";
                            return Err(self
                                .copy_anew(table, wanted, why, in_target_transaction)
                                .await?);
                        }
                    }
                }
                Verdict::CopyAnew(table, t) => {
                    let why = "some of its partitions were truncated by themselves";
                    return Err(self
                        .copy_anew(table, vec![t], why, in_target_transaction)
                        .await?);
                }
            }
        }
    }

    /// Waits until the changes of this table can be decided: a chunk loaded, a key built.
    async fn wait_for_table(&mut self, table: TableId) -> Result<(), EngineError> {
        let session = Arc::clone(&self.session);
        let mapping = session.table(table)?;
        self.wait_minding_the_log(table, |state| waiting::held(state, mapping))
            .await
    }

    /// Waits until `look` says that the table is ready.
    pub(super) async fn wait_minding_the_log(
        &mut self,
        table: TableId,
        mut look: impl FnMut(&mut State) -> Look,
    ) -> Result<(), EngineError> {
        let session = Arc::clone(&self.session);
        loop {
            let looked = session.wait_for(|state| match look(state) {
                Look::Waiting => None,
                look => Some(look),
            });
            tokio::select! {
                looked = looked => return match looked {
                    Some(Look::Never(altered)) => Err(self.schema_changed(altered).await?),
                    Some(_) => Ok(()),
                    None => Err(EngineError::Ending),
                },
                () = tokio::time::sleep(Duration::from_secs(1)) => {}
            }
            self.mind_the_log(table).await?;
        }
    }

    /// While the stream waits for a bulk load the source keeps its log: beyond the budget the key is built early, and the
    /// rest of the table is loaded beside the stream; where that cannot be, the run stops.
    async fn mind_the_log(&mut self, table: TableId) -> Result<(), EngineError> {
        let session = &self.session;
        let mapping = session.table(table)?;
        if waiting::is_single(&session.lock().tables[table.0 as usize], mapping) {
            return Ok(());
        }
        let probe = session.source.probe(&session.name).await?;
        let budget = session.options.log_budget_bytes;
        if probe.log_kept_bytes <= budget {
            return Ok(());
        }
        if !mapping.source.is_ordered() {
            return Err(EngineError::Stopped {
                code: "capture.log_budget",
                table: Some(mapping.called()),
                key: None,
                what: format!(
                    "the source keeps {} bytes of log while the table is copied whole, more than the {budget} of log_budget_bytes",
                    probe.log_kept_bytes
                ),
                fix: "Raise log_budget_bytes if the source has room and run again, or `abort` to let the log go".to_owned(),
            });
        }
        let at = &mut session.lock().tables[table.0 as usize];
        if at.keying == Keying::Without {
            at.keying = Keying::Wanted;
            session.notify();
        }
        Ok(())
    }

    /// Writes what was decided. Where a row of it is refused, the session has it, if rows are to be looked for.
    pub(super) async fn write(
        &mut self,
        decided: Decided,
        (from, to): (Position, Position),
        looks_for_rows: bool,
    ) -> Result<(), EngineError> {
        let session = Arc::clone(&self.session);
        if decided.left {
            self.prune_owed().await?;
        }
        let expired = self.expired.clone();
        let (records, counts) = {
            let mut state = session.lock();
            let mut records = ledger_records(session.tables(), &state, &decided.ledger)?;
            records.extend(frontier_records(
                session.tables(),
                &mut state,
                &mut self.expired,
            )?);
            (records, decided.ledger)
        };
        let effects = &decided.effects;
        let applier = self.applier.as_mut();
        let written = write::write(&session, applier, effects, &records, from, to).await;
        if let Err(error) = written {
            self.expired = expired;
            if looks_for_rows {
                refused::note_batch(&session, self.applier.as_mut(), effects, &error).await?;
            }
            return Err(error);
        }
        self.committed(to, &counts);
        Ok(())
    }

    /// Forgets what is owed and already visible to every later snapshot; the rest becomes durable with the batch.
    pub(super) async fn prune_owed(&mut self) -> Result<(), EngineError> {
        let probe = self.session.source.probe(&self.session.name).await?;
        let mut state = self.session.lock();
        for table in &mut state.tables {
            table.frontier.prune_owed(&probe.snapshot);
        }
        state.source_end = state.source_end.max(probe.log_end);
        Ok(())
    }

    /// The batch is durable: memory follows.
    pub(super) fn committed(&mut self, to: Position, counts: &HashMap<TableId, LedgerCounts>) {
        let mut state = self.session.lock();
        state.durable(to);
        for (table, counts) in counts {
            state.tables[table.0 as usize].ledger.add(counts);
        }
        for (index, table) in state.tables.iter_mut().enumerate() {
            table.frontier.commit_staged();
            let keys = table.frontier.settle(&to);
            self.expired
                .extend(keys.into_iter().map(|key| (TableId(index as u32), key)));
        }
        drop(state);
        self.confirmed.send_replace(to);
        self.session.notify();
    }

    pub(super) fn note(&mut self, transactions: &[PendingTransaction]) {
        let last = transactions.iter().rev().find(|t| t.committed_at != 0);
        if let Some(last) = last {
            self.session.lock().applied_commit_time = last.committed_at;
        }
    }

    /// Transactions about to be written. Not after: a commit whose answer is lost may have happened.
    pub(super) fn remember(&self, ids: impl Iterator<Item = TransactionId>) {
        self.session.lock().recent.extend(ids);
    }

    pub(super) async fn after_commit(&mut self, count: u64) -> Result<(), EngineError> {
        let full = {
            let mut state = self.session.lock();
            state.transactions += count;
            state.recent.len() > MOST_RECENT
        };
        if full {
            self.forget_seen().await?;
        }
        self.meet_at_horizon().await?;
        self.hand_over_collected().await
    }

    /// Forgets applied transactions that readers of the source see.
    pub(super) async fn forget_seen(&mut self) -> Result<(), EngineError> {
        let probe = self.session.source.probe(&self.session.name).await?;
        let mut state = self.session.lock();
        state.recent.retain(|t| !probe.snapshot.sees(*t));
        state.source_end = state.source_end.max(probe.log_end);
        Ok(())
    }
}
