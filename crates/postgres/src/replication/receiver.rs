//! Reads the replication socket beside the consumer, and answers the server in time.
//!
//! The server ends a connection that is silent for `wal_sender_timeout`, also while its consumer is busy. So a task of
//! its own owns the socket: it fills a queue that is bounded by bytes, stops reading when the queue is full (the server
//! then waits), and sends the confirmed position at least every few seconds whatever happens. It never confirms by itself.
//!
//! The task has a thread of its own. A server sends every change as a packet of its own (`walsender.c`, `WalSndWriteData`), and a thread
//! that waits for the socket is woken by each of them, at the cost of the server's process, which decodes on one core and is the limit of every
//! follower. Where the stream flows, this one sleeps for a moment between two reads and waits for nothing meanwhile.

use std::time::Duration;

use bytes::{Buf as _, Bytes, BytesMut};
use crossfade_model::Position;
use crossfade_store::{ErrorKind, Result, StoreError};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, MissedTickBehavior};

use super::backlog;
use super::confirming::Confirming;
use super::queue::{Frames, Handed, Queue};
use super::session::{ReplicationSession, closed, log_error};
use super::wire::{self, ServerMessage};
use crate::connect::ConnectTarget;
use crate::error::from_io;
use crate::lsn;
use crate::names::{quote_ident, quote_literal};
use crate::session::Purpose;
use crate::wire::Wire;

/// Bytes read from the socket at once. Cells are slices of this buffer: one row that is kept keeps so much alive.
const READ_BUFFER: usize = 128 << 10;

/// A read that brings less than this, so soon after the one before it, is followed by a rest: what comes meanwhile is read at once.
const ENOUGH: usize = 64 << 10;
const FLOWING: Duration = Duration::from_millis(3);
const REST: Duration = Duration::from_millis(1);

/// A message longer than what the server can make (1 GB of row text, and headers) is no message.
const LONGEST_MESSAGE: usize = (1 << 31) - 1;

/// Status updates caused by new confirmations come at least this far apart.
const CONFIRM_PAUSE: Duration = Duration::from_millis(50);

/// A server that says nothing for so long, though it is asked at every status update, is gone. (A walsender that reads a large
/// transaction from disk may be silent for minutes.)
const SILENCE: Duration = Duration::from_secs(600);

/// Time for sending a status update of a few bytes.
const SEND_TIMEOUT: Duration = Duration::from_secs(60);

/// Time for taking leave.
const GOODBYE: Duration = Duration::from_secs(1);

const DOING: &str = "reading the change stream";

/// The consumer's end.
pub struct Receiver {
    frames: Handed,
    /// What is being taken apart.
    current: Option<Frames>,
    /// Dropped, it lets the task say goodbye: the last confirmation, and the stream's end.
    confirmed: watch::Sender<u64>,
    label: String,
}

impl Receiver {
    /// Begins the stream of a slot after `from`, in a session of its own. Everything up to `from` is durable on the target already;
    /// `answer_every` is how long the server may wait for a status update.
    ///
    /// # Errors
    /// The connection's and the server's; [`ErrorKind::Internal`] where there can be no thread.
    pub async fn open(
        target: &ConnectTarget,
        slot: String,
        from: u64,
        answer_every: Duration,
    ) -> Result<Receiver> {
        let (queue, frames) = Queue::new();
        let (confirm, confirmed) = watch::channel(from);
        let (begun, beginning) = oneshot::channel();
        let stream = Stream {
            target: target.clone(),
            slot,
            from,
            confirmed,
            answer_every,
        };
        // ends by itself: with the connection, or soon after this receiver is dropped
        std::thread::Builder::new()
            .name("change-stream".to_owned())
            .spawn(move || stream.run(begun, &queue))
            .map_err(|e| no_thread(&target.label, &e))?;
        beginning
            .await
            .unwrap_or_else(|_| Err(closed(&target.label, DOING)))?;
        Ok(Receiver {
            frames,
            current: None,
            confirmed: confirm,
            label: target.label.clone(),
        })
    }

    /// Everything before `position` is durable on the target.
    pub fn confirm(&self, position: u64) {
        self.confirmed.send_if_modified(|confirmed| {
            let newer = position > *confirmed;
            *confirmed = position.max(*confirmed);
            newer
        });
    }

    /// The next message that is here already.
    ///
    /// # Errors
    /// A broken frame.
    pub fn ready(&mut self) -> Result<Option<ServerMessage>> {
        loop {
            if let Some(message) = self.next_of_current()? {
                return Ok(Some(message));
            }
            match self.frames.try_recv() {
                Ok(frames) => self.current = Some(frames?),
                Err(_) => return Ok(None),
            }
        }
    }

    /// Waits until [`Receiver::ready`] has something. Cancel-safe.
    ///
    /// # Errors
    /// The server's or the connection's end.
    pub async fn wait(&mut self) -> Result<()> {
        if self.current.as_ref().is_some_and(|f| !f.bytes.is_empty()) {
            return Ok(());
        }
        match self.frames.recv().await {
            Some(frames) => {
                self.current = Some(frames?);
                Ok(())
            }
            None => Err(closed(&self.label, DOING)),
        }
    }

    fn next_of_current(&mut self) -> Result<Option<ServerMessage>> {
        let Some(current) = &mut self.current else {
            return Ok(None);
        };
        // the reader hands over whole frames only
        let Some(header) = current.bytes.first_chunk::<5>() else {
            self.current = None;
            return Ok(None);
        };
        let [_, length @ ..] = *header;
        let end = u32::from_be_bytes(length) as usize + 1;
        if end < 5 || end > current.bytes.len() {
            return Err(broken(&self.label, "a message is cut off"));
        }
        let mut payload = current.bytes.split_to(end);
        payload.advance(5);
        wire::parse(payload)
            .map(Some)
            .ok_or_else(|| broken(&self.label, "an unknown message in the stream"))
    }
}

fn broken(label: &str, what: &str) -> StoreError {
    StoreError::new(ErrorKind::Corrupt, "postgres.protocol", label, what)
}

fn no_thread(label: &str, e: &std::io::Error) -> StoreError {
    let what = format!("a thread for the change stream could not be started: {e}");
    StoreError::new(ErrorKind::Internal, "postgres.thread", label, what)
}

/// What the thread is given.
struct Stream {
    target: ConnectTarget,
    slot: String,
    from: u64,
    confirmed: watch::Receiver<u64>,
    answer_every: Duration,
}

impl Stream {
    /// Says through `begun` how it began, and reads on unless nobody waits for that any more.
    fn run(self, begun: oneshot::Sender<Result<()>>, queue: &Queue) {
        let label = self.target.label.clone();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        let runtime = match runtime {
            Ok(runtime) => runtime,
            // nobody to tell: then nobody waits
            Err(e) => return drop(begun.send(Err(no_thread(&label, &e)))),
        };
        let mut begun = Some(begun);
        runtime.block_on(async {
            let opened = tokio::select! {
                opened = self.begin(queue, &mut begun) => opened,
                () = queue.closed() => return,
            };
            match (opened, begun) {
                (Err(e), Some(begun)) => drop(begun.send(Err(e))),
                (Err(e), None) => queue.fail(e),
                (Ok(None), _) => {}
                (Ok(Some(reader)), begun) => {
                    let wanted = begun.is_none_or(|begun| begun.send(Ok(())).is_ok());
                    if wanted {
                        reader.run(queue).await;
                    }
                }
            }
        });
    }

    /// Reads what lies behind, then begins the stream; `None` where nobody wants it any more.
    async fn begin(
        mut self,
        queue: &Queue,
        begun: &mut Option<oneshot::Sender<Result<()>>>,
    ) -> Result<Option<Reader>> {
        let reading = backlog::read(
            &self.target,
            &self.slot,
            self.from,
            &mut self.confirmed,
            queue,
            begun,
        );
        let Some(rest) = reading.await? else {
            return Ok(None);
        };
        let session = match rest.session {
            Some(session) => session,
            None => ReplicationSession::open(&self.target, Purpose::Stream).await?,
        };
        let start = format!(
            "START_REPLICATION SLOT {} LOGICAL {} (proto_version '1', publication_names {})",
            quote_ident(&self.slot),
            lsn::show(Position(rest.from)),
            quote_literal(&quote_ident(&self.slot)),
        );
        let (wire, buffer) = session.start("starting the change stream", &start).await?;
        Ok(Some(Reader {
            wire,
            buffer,
            label: self.target.label,
            confirmed: self.confirmed,
            answer_every: self.answer_every,
            out: BytesMut::new(),
            heard: Instant::now(),
            confirming: Confirming::default(),
        }))
    }
}

/// The thread's end.
struct Reader {
    wire: Wire,
    buffer: BytesMut,
    label: String,
    confirmed: watch::Receiver<u64>,
    answer_every: Duration,
    out: BytesMut,
    /// When the server last sent anything.
    heard: Instant,
    confirming: Confirming,
}

impl Reader {
    async fn run(mut self, queue: &Queue) {
        match self.read_on(queue).await {
            Ok(()) => self.goodbye().await,
            Err(e) => queue.fail(e),
        }
    }

    /// Tells the server the last confirmed position and the stream's end, so that it frees the slot at once.
    async fn goodbye(&mut self) {
        let saying = async {
            self.answer(false).await?;
            // CopyDone, Terminate
            let sent = self.wire.write_all(b"c\0\0\0\x04X\0\0\0\x04").await;
            sent.map_err(|e| from_io(&self.label, DOING, &e))?;
            let flushed = self.wire.shutdown().await;
            flushed.map_err(|e| from_io(&self.label, DOING, &e))
        };
        // nobody waits for it: the socket closes in any case
        let _said_or_not = tokio::time::timeout(GOODBYE, saying).await;
    }

    async fn read_on(&mut self, queue: &Queue) -> Result<()> {
        let mut ticks = tokio::time::interval(self.answer_every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut last_sent = Instant::now();
        let mut pending = self.take_frames().await?;
        let mut flows = false;
        loop {
            let waiting = !pending.is_empty();
            if flows && !waiting {
                std::thread::sleep(REST);
                flows = false;
            }
            let room = self.buffer.capacity() - self.buffer.len();
            tokio::select! {
                _ = ticks.tick() => {
                    // while we do not read, a silent server is our own doing
                    if !waiting && self.heard.elapsed() > SILENCE {
                        return Err(closed(&self.label, "waiting for a sign of the server"));
                    }
                    self.answer(self.heard.elapsed() > self.answer_every).await?;
                    last_sent = Instant::now();
                }
                changed = self.confirmed.changed() => {
                    if changed.is_err() {
                        return Ok(());
                    }
                    // several confirmations within the pause become one update
                    if last_sent.elapsed() < CONFIRM_PAUSE {
                        ticks.reset_after(CONFIRM_PAUSE);
                    } else {
                        self.answer(false).await?;
                        last_sent = Instant::now();
                        ticks.reset();
                    }
                }
                sent = queue.put(pending.clone()), if waiting => {
                    if !sent {
                        return Ok(());
                    }
                    // nothing was read meanwhile
                    self.heard = Instant::now();
                    pending = self.take_frames().await?;
                }
                read = self.wire.read_buf(&mut self.buffer), if !waiting => {
                    let read = read.map_err(|e| from_io(&self.label, DOING, &e))?;
                    if read == 0 {
                        return Err(closed(&self.label, DOING));
                    }
                    let since = self.heard.elapsed();
                    self.heard = Instant::now();
                    flows = read < room.min(ENOUGH) && since < FLOWING;
                    pending = self.take_frames().await?;
                }
            }
        }
    }

    /// Splits whole CopyData frames off the buffer and answers where the server asks for it. What ends the stream is an
    /// error once all frames before it were taken.
    async fn take_frames(&mut self) -> Result<Bytes> {
        loop {
            let scan = scan(&self.buffer).map_err(|what| broken(&self.label, what))?;
            let (whole, reply, at) = (scan.whole, scan.reply, scan.at);
            if whole == 0 {
                match scan.other {
                    None => break,
                    Some((b'E', body)) => return Err(log_error(&self.label, DOING, body)),
                    // a notice, or a changed parameter: may come at any time
                    Some((b'N' | b'S', body)) => {
                        let length = body.len() + 5;
                        self.buffer.advance(length);
                        continue;
                    }
                    // CopyDone, CommandComplete: the server shuts down
                    Some(_) => return Err(closed(&self.label, DOING)),
                }
            }
            let free = self.confirming.read(at, *self.confirmed.borrow());
            if reply || free {
                self.answer(false).await?;
            }
            return Ok(self.buffer.split_to(whole).freeze());
        }
        if self.buffer.capacity() - self.buffer.len() < READ_BUFFER / 8 {
            // doubles for a long message: its stated length alone reserves nothing
            self.buffer.reserve(READ_BUFFER.max(self.buffer.len()));
        }
        Ok(Bytes::new())
    }

    /// Sends the confirmed position; with `reply`, the server is to answer at once.
    async fn answer(&mut self, reply: bool) -> Result<()> {
        let confirmed = *self.confirmed.borrow_and_update();
        let confirmed = self.confirming.tell(confirmed);
        let now = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .map_or(0, |d| d.as_micros() as i64);
        self.out.clear();
        wire::status_update(confirmed, now, reply, &mut self.out);
        let sending = async {
            self.wire.write_all(&self.out).await?;
            self.wire.flush().await
        };
        match tokio::time::timeout(SEND_TIMEOUT, sending).await {
            Ok(sent) => sent.map_err(|e| from_io(&self.label, DOING, &e)),
            Err(_) => Err(closed(
                &self.label,
                "telling the server the confirmed position",
            )),
        }
    }
}

/// What a buffer begins with.
#[derive(Debug, Default, PartialEq)]
struct Scan<'a> {
    /// Bytes of whole CopyData frames.
    whole: usize,
    /// One of them is a keepalive that wants an answer now.
    reply: bool,
    /// The furthest place that they name.
    at: u64,
    /// The whole message after them that is no CopyData: tag and body.
    other: Option<(u8, &'a [u8])>,
}

fn scan(buffer: &[u8]) -> std::result::Result<Scan<'_>, &'static str> {
    let mut scan = Scan::default();
    while let Some(header) = buffer[scan.whole..].first_chunk::<5>() {
        let [tag, length @ ..] = *header;
        let length = u32::from_be_bytes(length) as usize;
        if !(4..=LONGEST_MESSAGE).contains(&length) {
            return Err("a message has an impossible length");
        }
        let Some(body) = buffer.get(scan.whole + 5..scan.whole + 1 + length) else {
            break;
        };
        if tag != b'd' {
            scan.other = Some((tag, body));
            break;
        }
        if body.first() == Some(&b'k') && body.last() == Some(&1) {
            scan.reply = true;
        }
        scan.at = scan.at.max(wire::place(body));
        scan.whole += length + 1;
    }
    Ok(scan)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn frame(tag: u8, body: &[u8]) -> Vec<u8> {
        let mut out = vec![tag];
        out.extend((body.len() as u32 + 4).to_be_bytes());
        out.extend(body);
        out
    }

    #[test]
    fn whole_frames_come_before_what_ends_the_stream() {
        let data = frame(b'd', b"wxyz");
        let mut keepalive = vec![b'k'];
        keepalive.extend([0; 16]);
        keepalive.push(1);
        let bytes = [&data[..], &frame(b'd', &keepalive), &frame(b'E', b"oops")].concat();
        let found = scan(&bytes).unwrap();
        assert_eq!(found.whole, data.len() + 23);
        assert!(found.reply);
        assert_eq!(found.other, Some((b'E', &b"oops"[..])));
        assert_eq!(scan(&data[..6]).unwrap(), Scan::default());
        assert!(scan(b"d\0\0\0\x01").is_err());
    }

    proptest! {
        #[test]
        fn random_bytes_do_no_harm(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            if let Ok(found) = scan(&bytes) {
                prop_assert!(found.whole <= bytes.len());
            }
        }
    }
}
