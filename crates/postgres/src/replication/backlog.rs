//! What lies in the log already when the stream begins, read by a query.
//!
//! A walsender sends every message of the output plugin as a packet of its own (`walsender.c`, `WalSndWriteData`), which costs it several
//! times what decoding does. The function that peeks at a slot gives the same messages of the same plugin as rows of a query, packed
//! (PostgreSQL documentation, "Replication Management Functions"). It takes nothing off the slot: what a process that dies had
//! read comes again. So a follower that is behind reads windows of the log by it, and asks for the stream where nothing is left.
//!
//! A window ends at a transaction's end. The next one begins where the slot is confirmed, so what came and is not durable on the target yet comes once more
//! and is passed over: by the place of its commit record, as the server passes over what lies before the start that a stream asks for.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::{Buf as _, BytesMut};
use crossfade_store::{ErrorKind, Result, StoreError};
use tokio::sync::{oneshot, watch};

use super::queue::{Queue, Spool};
use super::session::{ReplicationSession, log_error};
use super::wire;
use crate::connect::ConnectTarget;
use crate::lsn;
use crate::names::{quote_ident, quote_literal};
use crate::session::Purpose;
use crossfade_model::Position;

/// Bytes of log from which on a query is worth its while.
const LEAST: u64 = 1 << 20;

/// Bytes of log that one window covers at most: the server says nothing until it has read them.
const MOST_LOG: u64 = 1 << 30;

/// Bytes of log that the server reads for one window at most, with what it reads again: it begins where the oldest transaction that was open at the
/// slot's position began. The stream reads those only once.
const MOST_READ: u64 = 2 << 30;

/// New messages of a window: of the first, which is to bring something soon, and of the largest.
const FIRST_MESSAGES: u64 = 20_000;
const MOST_MESSAGES: u64 = 400_000;

/// Messages that may have come and not be confirmed: with more, most of a window would be what was read before.
const MOST_UNCONFIRMED: u64 = 2 * MOST_MESSAGES;

/// How long a window's end waits for the target. One that confirms nothing meanwhile is served by the stream.
const CONFIRMING: Duration = Duration::from_secs(10);

/// How often the slot is moved while the consumer takes what was read.
const ADVANCE_EVERY: Duration = Duration::from_secs(5);

/// Time for the server to read one window, or to advance a slot.
const SILENCE: Duration = Duration::from_secs(600);

/// Time for a small query.
const QUICK: Duration = Duration::from_secs(30);

/// Bytes handed over at once, about.
const BATCH: usize = 64 << 10;

const ROOM: usize = 256 << 10;

const DOING: &str = "reading the change stream's backlog";

/// Where the stream has to begin.
pub struct Rest {
    /// Everything that was committed before was handed over.
    pub from: u64,
    /// A session in which nothing was decoded yet.
    pub session: Option<ReplicationSession>,
}

/// Reads what lies behind, each window in a session of its own: one in which the output plugin was broken off, or ran several times, is
/// of no use for another run (servers before 2023-02 register its callbacks anew each time; some free what an error left behind a second time). `None`: nobody
/// wants it any more. `from` is where the consumer is, and `confirmed` what is durable on the target. `begun` is told before anything is handed over.
///
/// # Errors
/// The connection's, and the server's once it has begun to hand over; what it says before is left to the stream's own start.
pub async fn read(
    target: &ConnectTarget,
    slot: &str,
    from: u64,
    confirmed: &mut watch::Receiver<u64>,
    queue: &Queue,
    begun: &mut Option<oneshot::Sender<Result<()>>>,
) -> Result<Option<Rest>> {
    let mut backlog = Backlog {
        slot,
        confirmed,
        queue,
        received: from,
        advanced: 0,
        messages: 0,
        confirmed_messages: 0,
        marks: VecDeque::new(),
    };
    let mut new = FIRST_MESSAGES;
    // what lay behind when the log's end was last reached
    let mut last = u64::MAX;
    loop {
        if queue.is_closed() {
            return Ok(None);
        }
        let mut session = ReplicationSession::open(target, Purpose::Stream).await?;
        let behind = match backlog.behind(&mut session).await? {
            // who writes faster than this reads is followed by the stream
            Some(behind) if behind.left <= last / 2 && backlog.waited_for_target().await => behind,
            _ => {
                // what is confirmed now is held by the stream until its server has read that far once more
                if backlog.advanced > 0 {
                    match backlog.advance(&mut session).await {
                        Err(e) if e.kind == ErrorKind::Connection => return Err(e),
                        Err(_) => return Ok(Some(backlog.rest())),
                        Ok(()) => {}
                    }
                }
                return Ok(Some(Rest {
                    session: Some(session),
                    ..backlog.rest()
                }));
            }
        };
        if let Some(begun) = begun.take() {
            // nobody waits: the queue is closed
            drop(begun.send(Ok(())));
        }
        match backlog.advance(&mut session).await {
            Err(e) if e.kind == ErrorKind::Connection => return Err(e),
            Err(_) => return Ok(Some(backlog.rest())),
            Ok(()) => {}
        }
        let before = (backlog.received, backlog.messages);
        let window = Window::new(behind.upto, new + backlog.unconfirmed(backlog.advanced));
        let mut spool = match backlog.window(session, window).await? {
            Read::Whole(spool) => spool,
            Read::Unwanted => return Ok(None),
            // nothing was handed over that the stream would bring again
            Read::Refused(_) if (backlog.received, backlog.messages) == before => {
                return Ok(Some(backlog.rest()));
            }
            Read::Refused(e) => return Err(e),
        };
        match backlog.taken(target, &mut spool).await? {
            false => return Ok(None),
            true if backlog.received == before.0 => return Ok(Some(backlog.rest())),
            true => {}
        }
        if backlog.received >= behind.upto && !behind.clipped {
            last = behind.left;
        }
        new = (new * 4).min(MOST_MESSAGES);
    }
}

/// What lies behind.
struct Behind {
    /// Up to where the next window goes.
    upto: u64,
    /// More lies behind that.
    clipped: bool,
    /// Bytes of log.
    left: u64,
}

/// How a window ended.
enum Read {
    Whole(Spool),
    Refused(StoreError),
    Unwanted,
}

struct Backlog<'a> {
    slot: &'a str,
    confirmed: &'a mut watch::Receiver<u64>,
    queue: &'a Queue,
    /// Everything that was committed before was handed over.
    received: u64,
    /// Where the slot was moved to.
    advanced: u64,
    /// Messages that came and were new, and how many of them are durable on the target at least.
    messages: u64,
    confirmed_messages: u64,
    /// Ends of some transactions, and how many messages had come by then.
    marks: VecDeque<(u64, u64)>,
}

/// One query.
struct Window {
    upto: u64,
    most: u64,
    /// Rows that came, also those that came before.
    rows: u64,
    /// The signature of the COPY was read.
    begun: bool,
    /// The transaction that is being read was handed over before.
    known: bool,
    /// Its messages are part of what is being handed over now.
    open: bool,
}

impl Window {
    fn new(upto: u64, most: u64) -> Window {
        Window {
            upto,
            most,
            rows: 0,
            begun: false,
            known: false,
            open: false,
        }
    }
}

impl Backlog<'_> {
    fn rest(&self) -> Rest {
        Rest {
            from: self.received,
            session: None,
        }
    }

    /// How far behind it is; `None` where that is too little, the server has no log of its own, or would have to read too much of it again.
    async fn behind(&self, session: &mut ReplicationSession) -> Result<Option<Behind>> {
        let sql = format!(
            "SELECT pg_current_wal_flush_lsn(), restart_lsn FROM pg_replication_slots
             WHERE slot_name = {} AND NOT pg_is_in_recovery()",
            quote_literal(self.slot)
        );
        let rows = session.query(DOING, &sql, QUICK).await?;
        let places: Vec<u64> = rows
            .iter()
            .flatten()
            .filter_map(|cell| cell.as_deref().and_then(lsn::parse))
            .map(|position| position.0)
            .collect();
        let [end, restart] = places[..] else {
            return Ok(None);
        };
        let upto = end.min(self.received + MOST_LOG).min(restart + MOST_READ);
        let left = end.saturating_sub(self.received);
        Ok(
            (upto.saturating_sub(self.received) >= LEAST).then_some(Behind {
                upto,
                clipped: upto < end,
                left,
            }),
        )
    }

    /// Messages that came after a position that is durable on the target. Asked for positions in their order.
    fn unconfirmed(&mut self, confirmed: u64) -> u64 {
        if confirmed >= self.received {
            self.marks.clear();
            self.confirmed_messages = self.messages;
        }
        while let Some((_, messages)) = self.marks.pop_front_if(|(end, _)| *end <= confirmed) {
            self.confirmed_messages = messages;
        }
        self.messages - self.confirmed_messages
    }

    /// False where the target has far to go, and goes no further.
    async fn waited_for_target(&mut self) -> bool {
        loop {
            let confirmed = *self.confirmed.borrow_and_update();
            if self.unconfirmed(confirmed) <= MOST_UNCONFIRMED {
                return true;
            }
            let changed = tokio::time::timeout(CONFIRMING, self.confirmed.changed());
            if !matches!(changed.await, Ok(Ok(()))) {
                return false;
            }
        }
    }

    /// Moves the slot to what is durable on the target: the next window begins there.
    async fn advance(&mut self, session: &mut ReplicationSession) -> Result<()> {
        let confirmed = *self.confirmed.borrow_and_update();
        if confirmed <= self.advanced {
            return Ok(());
        }
        let sql = format!(
            "SELECT pg_replication_slot_advance({}, {})",
            quote_literal(self.slot),
            quote_literal(&lsn::show(Position(confirmed)))
        );
        session.query(DOING, &sql, SILENCE).await?;
        self.advanced = confirmed;
        Ok(())
    }

    /// Hands over what waits, as slowly as the consumer takes it: a stream that was begun already could be told of nothing meanwhile, and the
    /// server would keep its log for as long. The slot is moved beside it. False where nobody takes it.
    async fn taken(&mut self, target: &ConnectTarget, spool: &mut Spool) -> Result<bool> {
        let draining = spool.drain(self.queue);
        tokio::pin!(draining);
        let drained = loop {
            tokio::select! {
                drained = &mut draining => break drained,
                () = tokio::time::sleep(ADVANCE_EVERY) => {}
            }
            let advancing = self.advanced_beside(target);
            tokio::pin!(advancing);
            tokio::select! {
                drained = &mut draining => {
                    // nobody else may read the slot while this session does
                    advancing.await?;
                    break drained;
                }
                advanced = &mut advancing => advanced?,
            }
        };
        drained.map_err(|e| spool_failed(&target.label, &e))
    }

    /// Moves the slot in a session of its own. A server that refuses keeps its log, and is asked again.
    async fn advanced_beside(&mut self, target: &ConnectTarget) -> Result<()> {
        if *self.confirmed.borrow() <= self.advanced {
            return Ok(());
        }
        let mut session = ReplicationSession::open(target, Purpose::Stream).await?;
        match self.advance(&mut session).await {
            Err(e) if e.kind != ErrorKind::Connection => Ok(()),
            advanced => advanced,
        }
    }

    /// Reads one window to its end.
    async fn window(
        &mut self,
        mut session: ReplicationSession,
        mut window: Window,
    ) -> Result<Read> {
        session.send_query(&self.statement(&window)).await?;
        let mut spool = Spool::default();
        let mut out = BytesMut::with_capacity(BATCH * 2);
        let mut failed = None;
        loop {
            let filled = tokio::select! {
                filled = tokio::time::timeout(SILENCE, session.fill(DOING, ROOM)) => filled,
                () = self.queue.closed() => return Ok(Read::Unwanted),
            };
            match filled.unwrap_or_else(|_| Err(session.silent(DOING, SILENCE))) {
                Ok(()) => {}
                // what it said before it went says more
                Err(e) => return failed.map_or(Err(e), |said| Ok(Read::Refused(said))),
            }
            let mut ready = false;
            while let Some((tag, body)) = session.take()? {
                match tag {
                    b'd' => self
                        .row(&mut window, &body, &mut out)
                        .ok_or_else(|| session.malformed())?,
                    b'E' => failed = Some(log_error(session.label(), DOING, &body)),
                    b'Z' => ready = true,
                    // how the COPY begins and ends; notices
                    _ => {}
                }
                if out.len() >= BATCH {
                    self.hand_over(&mut spool, &mut out, &session).await?;
                }
            }
            if !out.is_empty() {
                self.hand_over(&mut spool, &mut out, &session).await?;
            }
            if ready {
                break;
            }
        }
        if let Some(said) = failed {
            return Ok(Read::Refused(said));
        }
        if window.open {
            return Err(session.malformed());
        }
        if window.rows < window.most {
            // a commit record across the window's end was read with it
            self.received = self.received.max(window.upto);
            wire::frame_keepalive(self.received, &mut out);
            self.hand_over(&mut spool, &mut out, &session).await?;
        }
        Ok(Read::Whole(spool))
    }

    async fn hand_over(
        &self,
        spool: &mut Spool,
        out: &mut BytesMut,
        session: &ReplicationSession,
    ) -> Result<()> {
        let handed = spool.hand_over(out.split().freeze(), self.queue).await;
        handed.map_err(|e| spool_failed(session.label(), &e))
    }

    fn statement(&self, window: &Window) -> String {
        format!(
            "COPY (SELECT data FROM pg_logical_slot_peek_binary_changes({}, {}, {}, 'proto_version', '1', 'publication_names', {})) \
             TO STDOUT (FORMAT binary)",
            quote_literal(self.slot),
            quote_literal(&lsn::show(Position(window.upto))),
            window.most,
            quote_literal(&quote_ident(self.slot)),
        )
    }

    /// Takes one row of the COPY (PostgreSQL documentation, "COPY", "Binary Format"): a message, in the frame that the stream would have given it.
    fn row(&mut self, window: &mut Window, body: &[u8], out: &mut BytesMut) -> Option<()> {
        let mut body = body;
        if !window.begun {
            body = body.strip_prefix(b"PGCOPY\n\xff\r\n\0")?;
            let extension = body.get(4..8)?.first_chunk()?;
            body = body.get(8 + u32::from_be_bytes(*extension) as usize..)?;
            window.begun = true;
            if body.is_empty() {
                return Some(());
            }
        }
        if body == [0xff, 0xff] {
            return Some(());
        }
        let mut body = body.strip_prefix(&[0, 1])?;
        let length = body.try_get_i32().ok()?;
        if usize::try_from(length).ok()? != body.len() {
            return None;
        }
        window.rows += 1;
        let at = |from: usize| -> Option<u64> {
            Some(u64::from_be_bytes(
                *body.get(from..from + 8)?.first_chunk()?,
            ))
        };
        // pgoutput (PostgreSQL documentation, "Logical Replication Message Formats"): Begin has the place of the commit record,
        // Commit its end; definitions of tables and types come once a query, wherever they are first needed
        match body.first()? {
            b'B' => {
                window.known = at(1)? < self.received;
                window.open = !window.known;
            }
            b'R' | b'Y' => {
                wire::frame_data(body, out);
                return Some(());
            }
            _ => {}
        }
        if window.known {
            return Some(());
        }
        self.messages += 1;
        wire::frame_data(body, out);
        if body.first() == Some(&b'C') {
            self.received = at(10)?;
            window.open = false;
            self.mark();
        }
        Some(())
    }

    fn mark(&mut self) {
        let last = self
            .marks
            .back()
            .map_or(self.confirmed_messages, |(_, messages)| *messages);
        if self.messages - last >= 1000 {
            self.marks.push_back((self.received, self.messages));
        }
    }
}

/// A spool does not give back what it took.
pub fn spool_failed(label: &str, e: &std::io::Error) -> StoreError {
    let what = format!("a temporary file does not give back what was written to it: {e}");
    StoreError::new(ErrorKind::Internal, "postgres.spool", label, what)
}
