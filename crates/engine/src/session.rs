//! What the tasks of one attempt share: the frontiers behind one mutex, and who waits for what.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard};

use crossfade_model::{
    Cell, Key, Position, Row, Snapshot, StreamEvent, Table, TableId, TableMapping, TransactionId,
};
use crossfade_plan::RunOptions;
use crossfade_plan::verify_options::VerifyOptions;
use crossfade_rules::frontier::Frontier;
use crossfade_rules::ledger::LedgerCounts;
use crossfade_store::{Bound, CaptureSpec, ChunkRange, Source, Target, Tenure};
use tokio::sync::{Notify, mpsc, watch};

use crate::error::EngineError;
use crate::progress::{Observer, Places};
use crate::refused::{Refused, Waiting};
use crate::retry::Reached;
use crate::sequences::Raised;
use crate::strangers::Marks;
use crate::switch::gates::watch::Watch;
use crate::switch::incarnation::Incarnations;
use crate::verify::book::Proofs;

/// One table's frontier.
pub(crate) type TableFrontier = Frontier<Key, Snapshot, TransactionId, Position>;

/// Whether a target table has the key that the applier needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keying {
    /// It is filled without; its changes wait.
    Without,
    /// The stream has waited long enough: build it as soon as no chunk of the table is being loaded.
    Wanted,
    /// A loader builds it.
    Building,
    /// It is there, or the table needs none.
    Keyed,
}

/// Physical parts of a table whose keys the program cannot order.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Parts {
    /// Changes when all rows move at once.
    pub identity: String,
    /// The store's words for the parts.
    pub words: Vec<String>,
    /// Parts whose rows are in the target.
    pub done: BTreeSet<usize>,
}

/// One table's state.
pub(crate) struct TableState {
    pub frontier: TableFrontier,
    /// Cells of the chunks' bounds.
    pub bounds: HashMap<Key, Vec<Cell>>,
    pub keying: Keying,
    /// Loaders at chunks of this table now.
    pub loading: usize,
    pub parts: Option<Parts>,
    /// Cells of keys that have a frontier of their own.
    pub one_key_cells: HashMap<Key, Row>,
    /// What the target said of rows that are parked because it refused them; empty where they were parked by an earlier attempt.
    pub refusals: HashMap<Key, String>,
    /// The target has no row of a parked key any more.
    pub parked_cleared: bool,
    pub copied_rows: u64,
    pub ledger: LedgerCounts,
    /// A record of owed transactions is stored.
    pub owed_stored: bool,
}

impl TableState {
    /// The range of a chunk, with the cells that the store compares with.
    pub fn range(&self, chunk: crossfade_rules::frontier::ChunkId) -> ChunkRange {
        let bounds = self.frontier.bounds(chunk);
        if bounds.low.is_none() && bounds.high.is_none() {
            return ChunkRange::All;
        }
        let bound = |key: &Option<Key>| {
            key.as_ref().map(|key| Bound {
                key: key.clone(),
                cells: self.bounds.get(key).cloned().unwrap_or_default(),
            })
        };
        ChunkRange::Keys {
            low: bound(&bounds.low),
            high: bound(&bounds.high),
        }
    }
}

/// Everything behind the mutex.
pub(crate) struct State {
    pub tables: Vec<TableState>,
    /// The applier waits for a chunk: no loader starts another.
    pub stream_waits: bool,
    /// A big transaction is being applied: no loader starts.
    pub gate_closed: bool,
    /// An operator's pause.
    pub paused: bool,
    /// What the target durably holds.
    pub checkpoint: Position,
    /// The source's log end, as last seen.
    pub source_end: Position,
    /// Log that the source keeps back, as last seen; bytes, or rows of the change table.
    pub log_kept_bytes: u64,
    /// Where the transactions end that were read from the stream and are not durable.
    pub in_flight: VecDeque<Position>,
    /// Transactions applied in this attempt.
    pub transactions: u64,
    /// When the last applied transaction committed on the source, microseconds since the Unix epoch; 0: unknown.
    pub applied_commit_time: i64,
    /// Transactions applied that no probe has yet been known to see.
    pub recent: Vec<TransactionId>,
    /// Unique indexes and foreign keys are there.
    pub finished: bool,
    /// But for foreign keys that may come once no row is parked.
    pub keys_awaited: bool,
    /// How often rows were parked since the attempt began, and once more.
    pub parks: u64,
    /// That number when the rows that were parked then were read again for the last time.
    pub parked_tried: u64,
    /// A parked row was changed on the source since it was read last.
    pub parked_changed: bool,
    /// A table's shape on the source is no longer the planned one: nothing more is loaded, and the stream goes on by the
    /// plan up to the position at which that was seen, or to the first change of the new shape.
    pub altered: Option<Altered>,
}

/// A table that was altered on the source.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Altered {
    /// Its name on the source.
    pub table: String,
    /// What differs, in words.
    pub what: String,
    /// Tables, by their names on the source, whose rows may be others than the log says, whatever columns they have.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub moved: Vec<String>,
    /// The source's log end when it was seen.
    pub seen_at: Position,
}

impl State {
    /// Whether every table is followed at the durable checkpoint.
    pub fn followed(&self) -> bool {
        self.tables
            .iter()
            .all(|t| t.keying == Keying::Keyed && t.frontier.followed(&self.checkpoint))
    }

    /// As [`Self::followed`], whatever is parked: no row is newer than the checkpoint, and only those of parked keys are older.
    pub fn followed_beside_parked(&self) -> bool {
        self.tables.iter().all(|t| {
            t.keying == Keying::Keyed && t.frontier.followed_beside_parked(&self.checkpoint)
        })
    }

    /// Rows that are parked: everything else goes on.
    pub fn parked(&self) -> usize {
        self.tables.iter().map(|t| t.frontier.parked_count()).sum()
    }

    /// Those of them that wait in quarantine, as the target refused them.
    pub fn waiting(&self) -> usize {
        let of = |table: &TableState| {
            let keys = table.refusals.keys();
            keys.filter(|key| table.frontier.is_parked(*key)).count()
        };
        self.tables.iter().map(of).sum()
    }

    /// Nothing but parked rows is between the target and the source, and these were tried.
    pub fn hangs(&self) -> bool {
        self.parked_tried == self.parks && self.parked() > 0 && self.followed_beside_parked()
    }

    /// The stream has brought these events.
    pub fn read(&mut self, events: &[StreamEvent]) {
        let checkpoint = self.checkpoint;
        let ends = events.iter().filter_map(|event| match event {
            // the source sends again what a restart finds applied
            StreamEvent::Commit { end } if *end > checkpoint => Some(*end),
            _ => None,
        });
        self.in_flight.extend(ends);
    }

    /// Everything up to here is durable.
    pub fn durable(&mut self, checkpoint: Position) {
        self.checkpoint = checkpoint;
        while self.in_flight.front().is_some_and(|end| *end <= checkpoint) {
            self.in_flight.pop_front();
        }
    }

    /// How far the work is.
    pub fn reached(&self) -> Reached {
        let loaded = |table: &TableState| {
            let progress = table.frontier.progress();
            let parts = table.parts.as_ref().map_or(0, |parts| parts.done.len());
            (progress.loaded + progress.settled + parts) as u64
        };
        Reached {
            checkpoint: self.checkpoint,
            loaded: self.tables.iter().map(loaded).sum(),
        }
    }

    /// Whether every change of every table will be applied, whatever it is: then a batch can be decided before the one in front
    /// of it is written.
    pub fn applies_all(&self) -> bool {
        let mut tables = self.tables.iter();
        tables.all(|t| t.keying == Keying::Keyed && t.frontier.applies_all())
    }

    /// Whether every chunk of every table is loaded.
    pub fn all_loaded(&self) -> bool {
        self.tables.iter().all(|t| {
            let progress = t.frontier.progress();
            progress.pending == 0 && progress.loading == 0
        })
    }
}

/// One attempt: from taking the target to the first error or the end.
pub(crate) struct Session {
    pub name: String,
    pub spec: CaptureSpec,
    pub source: Arc<dyn Source>,
    pub target: Arc<dyn Target>,
    pub tenure: Box<dyn Tenure>,
    /// Who answered under both addresses when the attempt began.
    pub incarnations: Incarnations,
    pub options: RunOptions,
    pub verify: VerifyOptions,
    pub observer: Arc<dyn Observer>,
    /// A big transaction met a unique conflict: it is written with care from now on. Outlives the attempt.
    pub careful: Arc<AtomicBool>,
    /// Where rows are entered in quarantine.
    pub quarantine: mpsc::Sender<Waiting>,
    /// Set when the attempt is to end.
    pub stop: watch::Receiver<bool>,
    /// Held by the comparison at work.
    pub comparing: tokio::sync::Mutex<()>,
    /// Where each table's digests are computed, once that was measured.
    pub places: Mutex<HashMap<usize, Places>>,
    /// A switch is at work: whatever can wait does.
    pub switch: AtomicBool,
    /// Writers wait: what is there is applied at once.
    pub drain: AtomicBool,
    /// The target is about to have authority of its own: nothing is applied to it any more.
    turned: AtomicBool,
    /// How far the target's sequences were raised.
    pub raised: tokio::sync::Mutex<Raised>,
    /// Writes on the target that are not this migration's.
    pub strangers: Marks,
    gates: Mutex<Watch>,
    /// The rows that a batch failed at, where they were found.
    refused: Mutex<Vec<Refused>>,
    state: Mutex<State>,
    proofs: Mutex<Option<Proofs>>,
    changed: Notify,
}

impl Session {
    #[allow(clippy::too_many_arguments)]
    pub fn new(
        spec: CaptureSpec,
        source: Arc<dyn Source>,
        target: Arc<dyn Target>,
        tenure: Box<dyn Tenure>,
        incarnations: Incarnations,
        options: RunOptions,
        verify: VerifyOptions,
        observer: Arc<dyn Observer>,
        careful: Arc<AtomicBool>,
        quarantine: mpsc::Sender<Waiting>,
        stop: watch::Receiver<bool>,
        state: State,
    ) -> Session {
        Session {
            name: spec.migration.clone(),
            spec,
            source,
            target,
            tenure,
            incarnations,
            options,
            verify,
            observer,
            careful,
            quarantine,
            stop,
            comparing: tokio::sync::Mutex::new(()),
            places: Mutex::default(),
            switch: AtomicBool::new(false),
            drain: AtomicBool::new(false),
            turned: AtomicBool::new(false),
            raised: tokio::sync::Mutex::default(),
            strangers: Marks::default(),
            gates: Mutex::default(),
            refused: Mutex::default(),
            state: Mutex::new(state),
            proofs: Mutex::new(None),
            changed: Notify::new(),
        }
    }

    /// The mapped tables, by [`TableId`].
    pub fn tables(&self) -> &[TableMapping] {
        &self.spec.tables
    }

    /// The source's tables as it has them, each once: several mappings may be made of one.
    pub fn source_tables(&self) -> Vec<&Table> {
        let mut out: Vec<&Table> = Vec::new();
        for table in self.tables().iter().map(TableMapping::source_table) {
            if !out.iter().any(|t| t.name == table.name) {
                out.push(table);
            }
        }
        out
    }

    /// The target's tables, each once: several mappings may go to one.
    pub fn target_tables(&self) -> Vec<&Table> {
        let mut out: Vec<&Table> = Vec::new();
        for table in self.tables().iter().map(|mapping| &mapping.target) {
            if !out.iter().any(|t| t.name == table.name) {
                out.push(table);
            }
        }
        out
    }

    /// A table by its id.
    pub fn table(&self, id: TableId) -> Result<&TableMapping, EngineError> {
        self.spec
            .tables
            .get(id.0 as usize)
            .ok_or_else(|| EngineError::internal("a change names a table that is not mapped"))
    }

    /// The shared state. Held for short computations only, never across an await.
    pub fn lock(&self) -> MutexGuard<'_, State> {
        // a panic while the lock was held ends the attempt anyway; what is shared is rebuilt from durable rows
        self.state
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// What is proven; `None` before anything was read for it. Held for short computations only, never together with the state.
    pub fn proofs(&self) -> MutexGuard<'_, Option<Proofs>> {
        // a panic while it was held ends the attempt, and the proofs with it
        self.proofs
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// What is watched for the gates. Held for short computations only, never together with the state or the proofs.
    pub fn gates(&self) -> MutexGuard<'_, Watch> {
        // a panic while it was held ends the attempt, and what was watched with it
        self.gates
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// The rows that the target refused. Held for short computations only.
    pub fn refused(&self) -> MutexGuard<'_, Vec<Refused>> {
        // a panic while it was held ends the attempt without naming the row
        self.refused
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Tells everyone that waits that something changed.
    pub fn notify(&self) {
        self.changed.notify_waiters();
    }

    /// Waits until `ready` says so (it may change the state), or the attempt is to stop (then `None`).
    pub async fn wait_for<T>(&self, mut ready: impl FnMut(&mut State) -> Option<T>) -> Option<T> {
        let mut stop = self.stop.clone();
        loop {
            let notified = self.changed.notified();
            tokio::pin!(notified);
            notified.as_mut().enable();
            if *stop.borrow() {
                return None;
            }
            if let Some(value) = ready(&mut self.lock()) {
                return Some(value);
            }
            tokio::select! {
                () = notified => {}
                _ = stop.changed() => {}
                // whoever forgot to notify costs half a second, not a hang
                () = tokio::time::sleep(std::time::Duration::from_millis(500)) => {}
            }
        }
    }

    /// True while a switch is at work.
    pub fn switching(&self) -> bool {
        self.switch.load(std::sync::atomic::Ordering::SeqCst)
    }

    /// Nothing more is applied to the target in this attempt.
    pub fn turn(&self) {
        self.turned.store(true, std::sync::atomic::Ordering::SeqCst);
        self.lock().paused = true;
        self.notify();
    }

    /// True once the target is about to have authority, or has it.
    pub fn turned(&self) -> bool {
        self.turned.load(std::sync::atomic::Ordering::SeqCst)
    }

    /// True while writers wait for the stream to run dry.
    pub fn draining(&self) -> bool {
        self.drain.load(std::sync::atomic::Ordering::SeqCst)
    }

    /// True once the attempt is to stop.
    pub fn stopping(&self) -> bool {
        *self.stop.borrow()
    }
}
