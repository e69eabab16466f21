//! Who takes writes: the register, the fence and its latch.
//!
//! Every write on a fenced table takes its store's *latch* shared and reads a value. *Arming* puts that into the tables;
//! *firing* takes the latch exclusively, so that writers wait and see no error; *committing* a new register makes the value say
//! whether they may go on. The value changes, triggers stay: taking them off waits behind any reader.
//!
//! All calls name the migration, not one of its lanes: a store has one register a migration, whichever way rows go.

use std::time::Duration;

use async_trait::async_trait;
use crossfade_model::{Beginning, Finding, Position, Register, Sequence, Table, TableName};

use crate::{Made, Rehearsing, Result, Source, Target};

/// What a store holds of its authority over a migration's tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The register.
    pub register: Register,
    /// Where its own changes begin, if it was ever given authority.
    pub beginning: Option<Beginning>,
}

/// What keeps a latch from being taken, or would.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blocker {
    /// Who, from where, since when, what it is (an open transaction, a prepared one); for people, without statements' texts.
    pub who: String,
    /// For how long it has been open.
    pub age: Duration,
    /// It can be ended by [`Fence::fire`] with `end_blockers` (a prepared transaction cannot).
    pub can_end: bool,
}

/// How a fence is fired.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fire {
    /// How long to wait for the latch. After that nothing has changed.
    pub within: Duration,
    /// End transactions that keep the latch once half of `within` is over. Otherwise they are waited for.
    pub end_blockers: bool,
    /// The server itself gives the latch up if nothing is heard from the holder for so long (a cut network, a stopped process).
    pub hold: Duration,
}

/// A fired fence: no write on the fenced tables is under way, and none begins, until this is released, committed or lost.
#[async_trait]
pub trait Latch: Send {
    /// What the register said when the latch was taken.
    fn standing(&self) -> &Standing;

    /// Writes a mark into the log and makes the log durable up to it. Everything that was committed on the fenced tables before the
    /// fence fired lies at or before the position returned, and the stream soon brings something at or after it.
    async fn barrier(&mut self) -> Result<Position>;

    /// Looks once more, under the latch, at what the fence rests on: triggers that are off or missing (also on partitions that
    /// came since), prepared transactions, tables of the closure that are not fenced. In words; empty where all holds.
    async fn recheck(&mut self) -> Result<Vec<String>>;

    /// Changes the register by compare-and-swap, durably, and what writers read with it. The latch stays held. After an error of kind
    /// [`crate::ErrorKind::Connection`] the outcome is unknown: read it again by [`Fence::standing`], which waits for this holder to be gone.
    async fn commit(&mut self, from: Register, to: Register) -> Result<()>;

    /// Those of the named standbys that durably hold the register as this latch has committed it last: promoted, they would know of it.
    /// Where a store has none, none.
    async fn standbys_holding(&mut self, _named: &[String]) -> Result<Vec<String>> {
        Ok(Vec::new())
    }

    /// Shows that the holder lives; the server's own timeout begins anew.
    async fn keep(&mut self) -> Result<()>;

    /// Lets writers go on as the register says. Dropping the latch does the same, later.
    async fn release(self: Box<Self>) -> Result<()>;
}

/// Writes as an application writes, through an ordinary connection and under the same fence, into a table of crossfade's own: so it is
/// seen for how long writes were blocked.
#[async_trait]
pub trait WriteProbe: Send + Sync {
    /// Writes once, and returns once that is committed. Waits at the fence as an application does, for a bounded time; an error where the
    /// store refuses or somebody is in the way. Can be tried again, unless the error is of kind [`crate::ErrorKind::Connection`].
    async fn write(&mut self) -> Result<()>;
}

/// The authority of a store over a migration's tables.
#[async_trait]
pub trait Fence: Send + Sync {
    /// What speaks against fencing these tables here, and what the fence cannot stop (findings of the plan). `tables` are this
    /// store's own. Makes nothing.
    async fn fence_findings(&self, migration: &str, tables: &[Table]) -> Result<Vec<Finding>>;

    /// What speaks against waiting for these standbys of this store, by the names under which they are connected; as a warning, others
    /// that are connected and not named. Makes nothing. A store without standbys refuses those that are named.
    async fn standby_findings(&self, named: &[String]) -> Result<Vec<Finding>> {
        let what = "this store has no standbys that could be waited for, and [standbys] names some for this side";
        let refused = (!named.is_empty()).then(|| {
            Finding::blocks("store.standbys", "store", what)
                .fix("Take them out of [standbys], or name them for the other side")
        });
        Ok(refused.into_iter().collect())
    }

    /// Those of the named standbys that durably hold this store's log up to `position`.
    async fn standbys_holding(
        &self,
        _named: &[String],
        _position: Position,
    ) -> Result<Vec<String>> {
        Ok(Vec::new())
    }

    /// Which server or file answers under this address now, by a connection made for asking: one that was failed over, restored or replaced is
    /// another. To be compared within one process only. `None` where nothing is there yet.
    async fn incarnation(&self) -> Result<Option<String>>;

    /// The register and the beginning, read while holding the lock that their writer holds, so that the outcome of a lost reply is
    /// settled; `None` where none was made. Where what writers read does not agree with the register (the writer died in
    /// between), it is made to agree.
    async fn standing(&self, migration: &str) -> Result<Option<Standing>>;

    /// The same without waiting for anybody: for people to read.
    async fn peek_standing(&self, migration: &str) -> Result<Option<Standing>>;

    /// Makes the register where there is none: a source begins open, a target fenced. Present stays what it is.
    async fn make_register(&self, migration: &str, first: Register) -> Result<()>;

    /// Puts the fence into these tables and everything through which their rows can be written (partitions, parents, children):
    /// from its return on every write takes the latch. Table by table, patient with writers and never in their way for long;
    /// done before is no error; what was taken off or switched off is put back. A table that could not be armed within
    /// `within` is an error ([`crate::ErrorKind::Busy`]) that names who held it. Guards that a target had from its filling give
    /// way to the fence here. `migration`'s own appliers pass, of both lanes.
    async fn arm(&self, migration: &str, tables: &[Table], within: Duration) -> Result<()>;

    /// Ends others' transactions that keep these tables from being armed, where the store can; one that has written and stays open does.
    async fn end_writers(&self, _migration: &str, _tables: &[Table]) -> Result<()> {
        Ok(())
    }

    /// Takes the fence off tables where nobody is in the way just now (the register says open): afterwards writes cost nothing more.
    /// Returns the tables that are still armed.
    async fn disarm(&self, migration: &str, tables: &[Table]) -> Result<Vec<TableName>>;

    /// Opens a probe under this migration's fence; makes its table, fenced, where there is none. Needs the register. To be called
    /// before the fence is fired.
    async fn open_probe(&self, migration: &str) -> Result<Box<dyn WriteProbe>>;

    /// What the armed fence costs a statement that writes, by a short timed comparison on tables made for it, which nobody else uses and of which
    /// nothing stays. Needs an open register. `None` where that cannot be measured.
    async fn fence_cost(&self, _migration: &str) -> Result<Option<Duration>> {
        Ok(None)
    }

    /// Who would keep the latch from being taken at once: open writing transactions, prepared ones, a holder.
    async fn blockers(&self, migration: &str) -> Result<Vec<Blocker>>;

    /// Takes the latch exclusively: returns once no write is under way. [`crate::ErrorKind::Busy`], naming who was in the way, where
    /// that took too long; then nothing has changed.
    async fn fire(&self, migration: &str, fire: &Fire) -> Result<Box<dyn Latch>>;

    /// Ends the session that holds the latch, where there is one (its tool is dead or cut off); returns who it was.
    async fn end_holder(&self, migration: &str) -> Result<Option<String>>;

    /// Changes the register by compare-and-swap, taking the latch for it, durably. [`crate::ErrorKind::Conflict`] where it is not `from`.
    async fn swap(&self, migration: &str, from: Register, to: Register) -> Result<()>;

    /// Notes where this store's own changes will begin: the log's end and a snapshot now, under the latch. To be called while the store is closed
    /// and nothing more is applied to it. The last call before the store opens at `epoch` counts.
    async fn note_beginning(&self, migration: &str, epoch: u64) -> Result<Beginning>;

    /// Raises sequences and automatic keys of these tables to at least the given values plus what clients may have cached, only upwards.
    /// Idempotent for one switch: `sequences` are the other store's, read after it was fenced.
    async fn raise_for_switch(
        &self,
        sequences: &[Sequence],
        tables: &[crossfade_model::TableMapping],
    ) -> Result<()>;

    /// Gives up the log that a lane's capture here keeps, up to `position`: while the lane is at rest its changes are not needed, and the
    /// source must not fill up. The capture stays. `position` was read while this store was closed.
    async fn skip_log(&self, lane: &str, position: Position) -> Result<()>;

    /// Refuses, from now on, changes of these tables' shapes by others, with an error that names the migration; `false` lifts it. Returns
    /// whether the store can do that here. Done before is no error.
    async fn freeze_ddl(&self, migration: &str, tables: &[Table], frozen: bool) -> Result<bool>;

    /// What the fence has made here: register, triggers, functions, as found now.
    async fn fence_made(&self, migration: &str) -> Result<Vec<Made>>;

    /// Removes all of that; refuses while a register of the other store is not known to be open: the caller says so by calling.
    async fn remove_fence(&self, migration: &str) -> Result<Vec<Made>>;
}

/// A store that can be both sides of a migration, in turn.
pub trait Store: Source + Target + Fence + Rehearsing {}

impl<T: Source + Target + Fence + Rehearsing> Store for T {}
