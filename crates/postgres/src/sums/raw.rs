//! Rows that COPY hands over, read from a socket of our own and summed where they lie. The driver takes every row's message
//! out of its buffer and passes it between two tasks, which costs more than the row's digest.
//!
//! The session is a second one beside the snapshot's. It sees what the snapshot sees, by export and import; the tables'
//! locks are those of the snapshot's own transaction, which stays open.

use std::time::Duration;

use bytes::Buf as _;
use crossfade_store::pace::{Pace, Rests};
use crossfade_store::{Result, StoreError};
use tokio::time::Instant;

use crate::connect::Client;
use crate::copy_out::malformed;
use crate::copy_text::Malformed;
use crate::names::quote_literal;
use crate::replication::session::{REPLY_TIMEOUT, ReplicationSession, server_error};
use crate::session::Purpose;
use crate::store::PostgresStore;

const DOING: &str = "reading rows";

/// Room for one read.
const READ_BUFFER: usize = 256 << 10;

/// The same where a pace is kept: what is read at once is what is worked at once.
const SLOW_READ_BUFFER: usize = 32 << 10;

/// Bytes after which other tasks have their turn.
const TURN: usize = 1 << 20;

/// No row's text is longer: the server makes it in one allocation.
const LONGEST_MESSAGE: usize = 1 << 30;

/// How often the snapshot's own transaction is given something to do, which else would be ended as idle.
const SIGN_EVERY: Duration = Duration::from_secs(60);

/// What two sessions agree in that see the same rows of the same server. An address may lead to several servers, and an
/// exported snapshot's name is not unique among them.
const SEEN: &str = "txid_current_snapshot()::text, pg_postmaster_start_time()::text, \
    (SELECT oid::text FROM pg_database WHERE datname = current_database())";

/// The second session of a snapshot: opened when it is needed first.
pub struct RawReads {
    store: PostgresStore,
    purpose: Purpose,
    pace: Option<Pace>,
    state: State,
}

enum State {
    Untried,
    /// Between reads: no transaction is open.
    Ready(ReplicationSession, Exported),
    /// Its reading was cut off, or no session is to be had: the driver reads.
    Gone,
}

/// The snapshot's name, what it sees, and a setting of its transaction.
#[derive(Clone)]
struct Exported {
    name: String,
    sees: Vec<Option<String>>,
    workers: String,
}

impl RawReads {
    /// For a snapshot that a client of `store` holds.
    #[must_use]
    pub fn new(store: &PostgresStore, purpose: Purpose) -> RawReads {
        RawReads {
            store: store.clone(),
            purpose,
            pace: None,
            state: State::Untried,
        }
    }

    /// Keeps to a pace from now on.
    pub fn set_pace(&mut self, pace: Pace) {
        self.pace = Some(pace);
    }

    /// For a reading by whichever session.
    pub fn rests(&self) -> Rests {
        Rests::new(self.pace.as_ref())
    }

    /// A session in a transaction that sees what the client's does; `None` where none is to be had.
    pub async fn begin(&mut self, client: &Client) -> Option<RawRead<'_>> {
        // what is dropped amid its way leaves none
        let (mut session, exported) = match std::mem::replace(&mut self.state, State::Gone) {
            State::Ready(session, exported) => (session, exported),
            State::Untried => {
                let exported = export(client).await.ok()?;
                let target = self.store.connect_target();
                let opening = ReplicationSession::open_for_sql(target, self.purpose);
                (opening.await.ok()?, exported)
            }
            State::Gone => return None,
        };
        let sql = format!(
            "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET TRANSACTION SNAPSHOT {}; \
             SET LOCAL max_parallel_workers_per_gather = {}; SET LOCAL lock_timeout = '100ms'; SELECT {SEEN}",
            quote_literal(&exported.name),
            quote_literal(&exported.workers),
        );
        let rows = session.query("importing a snapshot", &sql, REPLY_TIMEOUT);
        (rows.await.ok()? == [exported.sees.clone()]).then_some(RawRead {
            session,
            exported,
            rests: Rests::new(self.pace.as_ref()),
            room: match self.pace {
                Some(_) => SLOW_READ_BUFFER,
                None => READ_BUFFER,
            },
            state: &mut self.state,
        })
    }
}

async fn export(client: &Client) -> Result<Exported> {
    let sql = format!(
        "SELECT pg_export_snapshot(), current_setting('max_parallel_workers_per_gather'), {SEEN}"
    );
    let row = client.query_one("exporting a snapshot", &sql, &[]).await?;
    Ok(Exported {
        name: row.get(0),
        workers: row.get(1),
        sees: (2..5).map(|at| row.get(at)).collect(),
    })
}

/// True where the tables' locks were not to be had at once.
pub fn waited_for_lock(error: &StoreError) -> bool {
    error.server_code.as_deref() == Some("55P03")
}

/// A session with its transaction; dropped before its end, it is closed.
pub struct RawRead<'a> {
    session: ReplicationSession,
    exported: Exported,
    rests: Rests,
    room: usize,
    state: &'a mut State,
}

impl RawRead<'_> {
    /// Hands over the payload of each message of `COPY source TO STDOUT`; returns how many rows the server counted.
    ///
    /// # Errors
    /// The server's; those of `each`; [`crossfade_store::ErrorKind::Corrupt`] for what is no COPY.
    pub async fn copy(
        mut self,
        client: &Client,
        source: &str,
        mut each: impl FnMut(&[u8]) -> Result<()>,
    ) -> Result<u64> {
        let label = client.label().to_owned();
        let sql = format!("COPY {source} TO STDOUT");
        self.session.send_query(&sql).await?;
        let mut reply = Reply::default();
        let mut sign = Instant::now();
        let mut bytes = 0;
        while !reply.ready {
            self.fill(client, &mut sign).await?;
            let buffer = self.session.unread();
            let mut used = 0;
            while let Some((tag, body)) = frame(&buffer[used..]).map_err(|_| malformed(&label))? {
                used += body.len() + 5;
                match tag {
                    b'd' if reply.copying => each(body)?,
                    b'E' => return Err(server_error(&label, DOING, body)),
                    _ => reply.take(tag, body).map_err(|_| malformed(&label))?,
                }
            }
            buffer.advance(used);
            // the server goes on until the socket's buffers are full, and then rests, too
            self.rests.take().await;
            bytes += used;
            if bytes > TURN {
                bytes = 0;
                tokio::task::yield_now().await;
            }
        }
        let rows = reply.rows.ok_or_else(|| malformed(&label))?;
        let ended = self.session.query("ending a read", "COMMIT", REPLY_TIMEOUT);
        if ended.await.is_ok() {
            *self.state = State::Ready(self.session, self.exported);
        }
        Ok(rows)
    }

    /// Reads once, and lets the client's transaction not be idle for long.
    async fn fill(&mut self, client: &Client, sign: &mut Instant) -> Result<()> {
        loop {
            let next = *sign + SIGN_EVERY;
            let reading = self.session.fill(DOING, self.room);
            let read = tokio::time::timeout_at(next, reading).await;
            if read.is_err() || Instant::now() >= next {
                client.batch("keeping the snapshot", "SELECT 1").await?;
                *sign = Instant::now();
            }
            if let Ok(read) = read {
                return read;
            }
        }
    }
}

/// The first whole message: its tag and body.
fn frame(buffer: &[u8]) -> std::result::Result<Option<(u8, &[u8])>, Malformed> {
    let Some((header, rest)) = buffer.split_first_chunk::<5>() else {
        return Ok(None);
    };
    let [tag, length @ ..] = *header;
    let length = u32::from_be_bytes(length) as usize;
    if !(4..=LONGEST_MESSAGE).contains(&length) {
        return Err(Malformed);
    }
    Ok(rest.get(..length - 4).map(|body| (tag, body)))
}

/// How far the reply to a COPY has come.
#[derive(Debug, Default)]
struct Reply {
    copying: bool,
    done: bool,
    rows: Option<u64>,
    ready: bool,
}

impl Reply {
    /// A message that is neither data nor an error.
    fn take(&mut self, tag: u8, body: &[u8]) -> std::result::Result<(), Malformed> {
        match tag {
            // a notice, or a changed parameter: may come at any time
            b'N' | b'S' => {}
            // CopyOutResponse: text, not binary
            b'H' if !self.copying && !self.done && body.first() == Some(&0) => self.copying = true,
            b'c' if self.copying => {
                self.copying = false;
                self.done = true;
            }
            b'C' if self.done && self.rows.is_none() => {
                self.rows = Some(copied_rows(body).ok_or(Malformed)?);
            }
            b'Z' if self.rows.is_some() => self.ready = true,
            _ => return Err(Malformed),
        }
        Ok(())
    }
}

/// The count in `COPY 7`.
fn copied_rows(body: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(body).ok()?;
    text.strip_prefix("COPY ")?.strip_suffix('\0')?.parse().ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn message(tag: u8, body: &[u8]) -> Vec<u8> {
        let mut out = vec![tag];
        out.extend((body.len() as u32 + 4).to_be_bytes());
        out.extend(body);
        out
    }

    /// Reads a reply that comes in blocks, as [`RawRead::copy`] does.
    fn read(bytes: &[u8], cut: usize) -> std::result::Result<(Vec<u8>, Reply), Malformed> {
        let (mut buffer, mut data, mut reply) = (Vec::new(), Vec::new(), Reply::default());
        for block in bytes.chunks(cut) {
            buffer.extend_from_slice(block);
            let mut used = 0;
            while let Some((tag, body)) = frame(&buffer[used..])? {
                used += body.len() + 5;
                match tag {
                    b'd' if reply.copying => data.extend_from_slice(body),
                    _ => reply.take(tag, body)?,
                }
            }
            buffer.drain(..used);
        }
        Ok((data, reply))
    }

    proptest! {
        #[test]
        fn a_reply_is_read_wherever_it_is_split(
            rows in proptest::collection::vec("[a-z]{0,9}\n", 0..9),
            cut in 1..40_usize,
        ) {
            let mut bytes = message(b'H', &[0, 0, 0]);
            for row in &rows {
                bytes.extend(message(b'd', row.as_bytes()));
                bytes.extend(message(b'N', b"notice\0"));
            }
            bytes.extend(message(b'c', b""));
            bytes.extend(message(b'C', format!("COPY {}\0", rows.len()).as_bytes()));
            bytes.extend(message(b'Z', b"T"));
            let (data, reply) = read(&bytes, cut).unwrap();
            prop_assert_eq!(data, rows.concat().into_bytes());
            prop_assert_eq!((reply.rows, reply.ready), (Some(rows.len() as u64), true));
            // nothing but the whole is an end
            let (_, reply) = read(&bytes[..bytes.len() - 1], cut).unwrap();
            prop_assert!(!reply.ready);
        }

        #[test]
        fn random_bytes_do_no_harm(
            bytes in proptest::collection::vec(any::<u8>(), 0..80),
            cut in 1..40_usize,
        ) {
            let _ = read(&bytes, cut);
        }

        #[test]
        fn messages_out_of_turn_are_no_copy(tags in "[HdcCZ]{1,6}") {
            let bytes: Vec<u8> = tags.bytes().flat_map(|tag| match tag {
                b'C' => message(tag, b"COPY 0\0"),
                _ => message(tag, &[0]),
            }).collect();
            let ready = read(&bytes, 7).is_ok_and(|(_, reply)| reply.ready);
            if ready {
                prop_assert!(tags.starts_with('H') && tags.contains("cCZ"));
            }
        }
    }
}
