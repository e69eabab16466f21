//! A fired fence: an open writing transaction.

use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use crossfade_model::{Position, Register};
use crossfade_store::{ErrorKind, Fire, Latch, Result, Standing, StoreError};
use rusqlite::Connection;

use crate::conn::{PATIENCE, Place, Shared};
use crate::fence::{lock, register, triggers};

/// How long a committed latch tries to be held anew at once. What it was committed to holds writers off meanwhile.
const AGAIN: Duration = Duration::from_millis(50);

/// The transaction, and what became of it.
struct Held {
    connection: Connection,
    place: Place,
    migration: String,
    inode: Option<u64>,
    heard: Instant,
    /// The register was committed, and the lock is not taken again yet.
    between: bool,
    lost: bool,
}

impl Held {
    fn lost_error(&self) -> StoreError {
        self.place
            .error(
                ErrorKind::Connection,
                "sqlite.latch_lost",
                "the fence was given up: its transaction has ended",
            )
            .fix("Read the register again and begin again from there")
    }

    /// The transaction must be open, and its holder lives.
    fn check(&mut self) -> Result<()> {
        if self.lost {
            return Err(self.lost_error());
        }
        if self.between {
            self.again(PATIENCE)?;
            self.between = false;
        }
        if self.connection.is_autocommit() {
            self.lost = true;
            return Err(self.lost_error());
        }
        self.heard = Instant::now();
        Ok(())
    }

    /// Takes the lock anew; whoever had it in between may have written itself down.
    fn again(&self, within: Duration) -> Result<()> {
        lock::begin_written_down(&self.connection, &self.place, &self.migration, within)
    }

    fn give_up(&mut self) {
        lock::rollback(&self.connection);
        self.lost = true;
    }

    fn barrier(&self) -> Result<Position> {
        let lane = register::lane_here(&self.connection, &self.place, &self.migration)?;
        let end = register::log_end(&self.connection, &self.place, &lane)?;
        self.place.sync_log()?;
        Ok(Position(end))
    }

    fn recheck(&self) -> Result<Vec<String>> {
        let mut out = triggers::missing(&self.connection, &self.migration).map_err(
            self.place
                .failed("cannot look at the fence's triggers again"),
        )?;
        if self.place.inode() != self.inode {
            out.push(
                "the database file was replaced by another one, which is not fenced".to_owned(),
            );
        }
        Ok(out)
    }

    /// The lock is free for a moment between the commit and the next begin. Whoever gets it reads the new register: where that says
    /// open he writes rightly, otherwise he is refused.
    fn commit(&mut self, from: Register, to: Register) -> Result<()> {
        register::swap(&self.connection, &self.place, &self.migration, from, to)?;
        if let Err(error) = lock::commit(&self.connection, &self.place, PATIENCE) {
            self.lost = true;
            return Err(error);
        }
        self.between = self.again(AGAIN).is_err();
        self.heard = Instant::now();
        Ok(())
    }
}

/// A fired fence.
pub(crate) struct SqliteLatch {
    standing: Standing,
    held: Shared<Held>,
    /// Ends the watching thread when dropped.
    _watch: Sender<()>,
}

/// Takes the lock, once who does it is written down.
pub(crate) fn fire(place: &Place, migration: &str, fire: &Fire) -> Result<SqliteLatch> {
    let inode = place.inode();
    let connection = lock::open(place)?;
    lock::begin_written_down(&connection, place, migration, fire.within)?;
    let standing = register::expect(&connection, place, migration)?;
    let held = Shared::new(
        place.clone(),
        Held {
            connection,
            place: place.clone(),
            migration: migration.to_owned(),
            inode,
            heard: Instant::now(),
            between: false,
            lost: false,
        },
    );
    let watch = watch(place, held.handle(), fire.hold)?;
    Ok(SqliteLatch {
        standing,
        held,
        _watch: watch,
    })
}

/// Gives the lock up if nothing is heard from the holder for `hold`: a task that hangs in a process that lives. (A process that is
/// stopped keeps it, see [`crossfade_store::Fence::end_holder`].)
fn watch(place: &Place, held: Arc<Mutex<Held>>, hold: Duration) -> Result<Sender<()>> {
    let (sender, receiver) = channel::<()>();
    let watching = move || {
        let mut wait = hold;
        while receiver.recv_timeout(wait) == Err(RecvTimeoutError::Timeout) {
            let mut held = held.lock().unwrap_or_else(PoisonError::into_inner);
            match hold.checked_sub(held.heard.elapsed()) {
                Some(left) if !left.is_zero() => wait = left,
                _ => return held.give_up(),
            }
        }
    };
    std::thread::Builder::new()
        .name("sqlite-latch".to_owned())
        .spawn(watching)
        .map_err(|e| {
            place
                .error(
                    ErrorKind::Unavailable,
                    "sqlite.thread",
                    "cannot start the latch's thread",
                )
                .cause(e)
        })?;
    Ok(sender)
}

#[async_trait]
impl Latch for SqliteLatch {
    fn standing(&self) -> &Standing {
        &self.standing
    }

    /// The change table's end. No mark is written: a transaction's own row would be seen by nobody before it is committed, and
    /// committing it would let writers in. Where the stream has passed this end already, it brings nothing more.
    async fn barrier(&mut self) -> Result<Position> {
        self.held
            .run(|held| {
                held.check()?;
                held.barrier()
            })
            .await
    }

    async fn recheck(&mut self) -> Result<Vec<String>> {
        self.held
            .run(|held| {
                held.check()?;
                held.recheck()
            })
            .await
    }

    async fn commit(&mut self, from: Register, to: Register) -> Result<()> {
        self.held
            .run(move |held| {
                held.check()?;
                held.commit(from, to)
            })
            .await
    }

    async fn keep(&mut self) -> Result<()> {
        self.held.run(Held::check).await
    }

    async fn release(self: Box<Self>) -> Result<()> {
        self.held
            .run(|held| {
                held.give_up();
                Ok(())
            })
            .await
    }
}
