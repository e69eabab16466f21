//! A session in which the server speaks the replication protocol (a walsender).
//!
//! The driver for SQL has no replication mode, and the replication clients that exist as libraries either decode the
//! stream themselves, answer the server by their own clock, or take no TLS configuration from outside. What is needed
//! beside the socket is little: the startup message, authentication, simple queries, and the switch to CopyBoth
//! (PostgreSQL documentation, "Frontend/Backend Protocol"). Outgoing messages, SCRAM and MD5 come from
//! `postgres-protocol`, which the SQL driver uses too.

use std::time::Duration;

use bytes::{Buf as _, Bytes, BytesMut};
use crossfade_store::{ErrorKind, Result, StoreError};
use postgres_protocol::authentication::md5_hash;
use postgres_protocol::authentication::sasl::{self, ChannelBinding, ScramSha256};
use postgres_protocol::message::frontend;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::connect::ConnectTarget;
use crate::error::{ServerReport, from_io};
use crate::session::{self as settings, Purpose};
use crate::wire::Wire;

/// No message before the stream is longer; a longer one is not PostgreSQL's.
const LONGEST_MESSAGE: usize = 1 << 20;

/// A row longer than what the server can make (1 GB of text, and headers) is no row.
const LONGEST_ROW: usize = (1 << 31) - 1;

/// Rows of a reply that are kept; commands of replication answer with one.
const MOST_ROWS: usize = 1000;

/// Time for one command's reply. Making a slot waits for the transactions that are running then, so the caller may allow
/// more.
pub const REPLY_TIMEOUT: Duration = Duration::from_secs(30);

/// A row of a reply: text or NULL.
pub type ReplyRow = Vec<Option<String>>;

/// An authenticated session, between commands.
pub struct ReplicationSession {
    wire: Wire,
    buffer: BytesMut,
    label: String,
}

/// Tags of messages, as far as they matter here.
mod tag {
    pub const AUTHENTICATION: u8 = b'R';
    pub const COPY_BOTH_RESPONSE: u8 = b'W';
    pub const DATA_ROW: u8 = b'D';
    pub const ERROR_RESPONSE: u8 = b'E';
    pub const NEGOTIATE_PROTOCOL_VERSION: u8 = b'v';
    pub const PARAMETER_STATUS: u8 = b'S';
    pub const READY_FOR_QUERY: u8 = b'Z';
}

/// What AuthenticationXXX asks for.
mod request {
    pub const OK: u32 = 0;
    pub const CLEARTEXT: u32 = 3;
    pub const MD5: u32 = 5;
    pub const SASL: u32 = 10;
    pub const SASL_CONTINUE: u32 = 11;
    pub const SASL_FINAL: u32 = 12;
}

impl ReplicationSession {
    /// Connects with `replication=database`.
    ///
    /// # Errors
    /// As a connection for SQL; also [`ErrorKind::Permission`] where the role lacks REPLICATION.
    pub async fn open(target: &ConnectTarget, purpose: Purpose) -> Result<ReplicationSession> {
        ReplicationSession::open_as(target, purpose, true).await
    }

    /// Connects for SQL alone: for reads in which every copy of a row counts.
    ///
    /// # Errors
    /// As a connection for SQL.
    pub async fn open_for_sql(
        target: &ConnectTarget,
        purpose: Purpose,
    ) -> Result<ReplicationSession> {
        ReplicationSession::open_as(target, purpose, false).await
    }

    async fn open_as(
        target: &ConnectTarget,
        purpose: Purpose,
        replication: bool,
    ) -> Result<ReplicationSession> {
        let mut last = None;
        for &encrypted in target.attempts() {
            let opening = ReplicationSession::open_once(target, purpose, replication, encrypted);
            let opened = tokio::time::timeout(target.connect_timeout, opening)
                .await
                .unwrap_or_else(|_| Err(target.timed_out()));
            match opened {
                Ok(session) => return Ok(session),
                Err(e) if ConnectTarget::falls_back(&e) => last = Some(e),
                Err(e) => return Err(target.annotate(e)),
            }
        }
        Err(match last {
            Some(e) => target.annotate(e),
            None => target.timed_out(),
        })
    }

    async fn open_once(
        target: &ConnectTarget,
        purpose: Purpose,
        replication: bool,
        encrypted: bool,
    ) -> Result<ReplicationSession> {
        let mut session = ReplicationSession {
            wire: target.dial(encrypted).await?,
            buffer: BytesMut::with_capacity(8 << 10),
            label: target.label.clone(),
        };
        session.startup(target, purpose, replication).await?;
        session.authenticate(target).await?;
        let version = session.ready().await?;
        session
            .query(
                "setting up the session",
                &settings::settings_sql(purpose, version),
                REPLY_TIMEOUT,
            )
            .await?;
        Ok(session)
    }

    async fn startup(
        &mut self,
        target: &ConnectTarget,
        purpose: Purpose,
        replication: bool,
    ) -> Result<()> {
        let parameters = [
            ("user", target.user.as_str()),
            ("database", target.dbname.as_str()),
            ("client_encoding", "UTF8"),
            ("application_name", purpose.application_name()),
        ]
        .into_iter()
        .chain(replication.then_some(("replication", "database")));
        self.send(|out| frontend::startup_message(parameters, out))
            .await
    }

    async fn authenticate(&mut self, target: &ConnectTarget) -> Result<()> {
        let mut scram = None;
        loop {
            let (tag, mut body) = self.message("authenticating").await?;
            match tag {
                tag::AUTHENTICATION => {}
                tag::NEGOTIATE_PROTOCOL_VERSION => continue,
                _ => return Err(self.broken("an unexpected message while authenticating")),
            }
            let asked = body
                .try_get_u32()
                .map_err(|_| self.broken("a message is cut off"))?;
            match asked {
                // a server that does not finish the exchange has not shown that it knows the password
                request::OK if scram.is_some() => return Err(self.out_of_turn()),
                request::OK => return Ok(()),
                request::CLEARTEXT => {
                    let password = self.password(target)?;
                    self.send(|out| frontend::password_message(password, out))
                        .await?;
                }
                request::MD5 => {
                    let salt = *body
                        .first_chunk::<4>()
                        .ok_or_else(|| self.broken("a message is cut off"))?;
                    let hash = md5_hash(target.user.as_bytes(), self.password(target)?, salt);
                    self.send(|out| frontend::password_message(hash.as_bytes(), out))
                        .await?;
                }
                request::SASL => {
                    let offered = body.split(|b| *b == 0);
                    if !offered
                        .into_iter()
                        .any(|m| m == sasl::SCRAM_SHA_256.as_bytes())
                    {
                        return Err(self.refused("the server offers no SCRAM-SHA-256"));
                    }
                    let first =
                        ScramSha256::new(self.password(target)?, ChannelBinding::unsupported());
                    self.send(|out| {
                        frontend::sasl_initial_response(sasl::SCRAM_SHA_256, first.message(), out)
                    })
                    .await?;
                    scram = Some(first);
                }
                request::SASL_CONTINUE => {
                    let exchange = scram.as_mut().ok_or_else(|| self.out_of_turn())?;
                    exchange
                        .update(&body)
                        .map_err(|e| self.refused(&e.to_string()))?;
                    self.send(|out| frontend::sasl_response(exchange.message(), out))
                        .await?;
                }
                request::SASL_FINAL => {
                    let mut exchange = scram.take().ok_or_else(|| self.out_of_turn())?;
                    exchange
                        .finish(&body)
                        .map_err(|e| self.refused(&e.to_string()))?;
                }
                _ => {
                    return Err(self
                        .refused("the server asks for a way of authentication that is not known")
                        .fix(
                            "Let pg_hba.conf use scram-sha-256, md5, cert or trust for this role",
                        ));
                }
            }
        }
    }

    /// Reads up to the first prompt; returns the server's version.
    async fn ready(&mut self) -> Result<u32> {
        let mut version = None;
        loop {
            let (tag, body) = self.message("connecting").await?;
            match tag {
                tag::PARAMETER_STATUS => {
                    let mut words = body.split(|b| *b == 0);
                    if words.next() == Some(b"server_version") {
                        version = words
                            .next()
                            .and_then(|v| std::str::from_utf8(v).ok())
                            .and_then(settings::version_number);
                    }
                }
                tag::READY_FOR_QUERY => {
                    return version.ok_or_else(|| self.broken("the server says no version"));
                }
                _ => {}
            }
        }
    }

    /// Runs a command and returns its rows. At most `within`.
    ///
    /// # Errors
    /// The server's, or the connection's. After a timeout the session is of no use.
    pub async fn query(
        &mut self,
        doing: &str,
        sql: &str,
        within: Duration,
    ) -> Result<Vec<ReplyRow>> {
        self.send(|out| frontend::query(sql, out)).await?;
        let label = self.label.clone();
        tokio::time::timeout(within, self.rows(doing))
            .await
            .unwrap_or_else(|_| Err(no_reply(&label, doing, within)))
    }

    async fn rows(&mut self, doing: &str) -> Result<Vec<ReplyRow>> {
        let mut rows = Vec::new();
        let mut failed = None;
        loop {
            match self.any_message(doing).await? {
                (tag::DATA_ROW, body) => {
                    let row = data_row(&body).ok_or_else(|| self.broken("a malformed row"))?;
                    if rows.len() < MOST_ROWS {
                        rows.push(row);
                    }
                }
                (tag::ERROR_RESPONSE, body) => {
                    // the prompt still follows: the session stays in step
                    failed.get_or_insert_with(|| server_error(&self.label, doing, &body));
                }
                (tag::READY_FOR_QUERY, _) => return failed.map_or(Ok(rows), Err),
                (tag::COPY_BOTH_RESPONSE, _) => return Err(self.out_of_turn()),
                _ => {}
            }
        }
    }

    /// Runs a command that begins the stream; returns the socket and what was read beyond the command's reply.
    ///
    /// # Errors
    /// As [`ReplicationSession::query`].
    pub async fn start(mut self, doing: &str, sql: &str) -> Result<(Wire, BytesMut)> {
        self.send(|out| frontend::query(sql, out)).await?;
        let reply = tokio::time::timeout(REPLY_TIMEOUT, self.message(doing))
            .await
            .unwrap_or_else(|_| Err(no_reply(&self.label, doing, REPLY_TIMEOUT)))?;
        match reply {
            (tag::COPY_BOTH_RESPONSE, _) => Ok((self.wire, self.buffer)),
            _ => Err(self.out_of_turn()),
        }
    }

    /// Sends a command whose reply the caller reads, with [`ReplicationSession::fill`].
    ///
    /// # Errors
    /// The connection's.
    pub async fn send_query(&mut self, sql: &str) -> Result<()> {
        self.send(|out| frontend::query(sql, out)).await
    }

    /// The next whole message that was read already: its tag and body.
    ///
    /// # Errors
    /// A length that cannot be.
    pub fn take(&mut self) -> Result<Option<(u8, Bytes)>> {
        take_message(&mut self.buffer, LONGEST_ROW).map_err(|what| self.broken(what))
    }

    /// The store, as errors name it.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// Something came that cannot be.
    pub fn malformed(&self) -> StoreError {
        self.broken("a malformed message")
    }

    /// Nothing came.
    pub fn silent(&self, doing: &str, within: Duration) -> StoreError {
        no_reply(&self.label, doing, within)
    }

    /// What was read and not consumed.
    pub fn unread(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    /// Reads once, with room for `room` bytes. Nothing is lost where it is dropped before its end.
    ///
    /// # Errors
    /// The connection's, also for its end.
    pub async fn fill(&mut self, doing: &str, room: usize) -> Result<()> {
        if self.buffer.capacity() - self.buffer.len() < room / 2 {
            // doubles for a long message: its stated length alone reserves nothing
            self.buffer.reserve(room.max(self.buffer.len()));
        }
        match self.wire.read_buf(&mut self.buffer).await {
            Ok(0) => Err(closed(&self.label, doing)),
            Ok(_) => Ok(()),
            Err(e) => Err(from_io(&self.label, doing, &e)),
        }
    }

    async fn send(
        &mut self,
        write: impl FnOnce(&mut BytesMut) -> std::io::Result<()>,
    ) -> Result<()> {
        let mut out = BytesMut::new();
        write(&mut out).map_err(|e| self.broken(&e.to_string()))?;
        let sent = async {
            self.wire.write_all(&out).await?;
            self.wire.flush().await
        };
        sent.await.map_err(|e| from_io(&self.label, "sending", &e))
    }

    /// The next message that is no error.
    async fn message(&mut self, doing: &str) -> Result<(u8, Bytes)> {
        match self.any_message(doing).await? {
            (tag::ERROR_RESPONSE, body) => Err(server_error(&self.label, doing, &body)),
            other => Ok(other),
        }
    }

    async fn any_message(&mut self, doing: &str) -> Result<(u8, Bytes)> {
        loop {
            if let Some(message) =
                take_message(&mut self.buffer, LONGEST_MESSAGE).map_err(|what| self.broken(what))?
            {
                return Ok(message);
            }
            let read = self
                .wire
                .read_buf(&mut self.buffer)
                .await
                .map_err(|e| from_io(&self.label, doing, &e))?;
            if read == 0 {
                return Err(closed(&self.label, doing));
            }
        }
    }

    fn password<'a>(&self, target: &'a ConnectTarget) -> Result<&'a [u8]> {
        match &target.password {
            Some(password) => Ok(password.expose().as_bytes()),
            None => Err(self
                .refused("the server asks for a password and there is none")
                .fix("Put it into PGPASSWORD or the password file (~/.pgpass)")),
        }
    }

    fn refused(&self, what: &str) -> StoreError {
        StoreError::new(
            ErrorKind::Authentication,
            "postgres.authentication",
            &self.label,
            what,
        )
    }

    fn broken(&self, what: &str) -> StoreError {
        StoreError::new(ErrorKind::Corrupt, "postgres.protocol", &self.label, what)
    }

    fn out_of_turn(&self) -> StoreError {
        self.broken("the server answered out of turn")
    }
}

fn no_reply(label: &str, doing: &str, within: Duration) -> StoreError {
    StoreError::new(
        ErrorKind::Connection,
        "postgres.no_reply",
        label,
        format!("while {doing}: no reply within {} s", within.as_secs()),
    )
}

/// The server ended the connection.
pub fn closed(label: &str, doing: &str) -> StoreError {
    StoreError::new(
        ErrorKind::Connection,
        "postgres.connection",
        label,
        format!("while {doing}: the server closed the connection"),
    )
}

/// The error in the body of an ErrorResponse.
pub fn server_error(label: &str, doing: &str, body: &[u8]) -> StoreError {
    let fields = body.split(|b| *b == 0).filter_map(|field| {
        let (kind, value) = field.split_first()?;
        Some((*kind, String::from_utf8_lossy(value)))
    });
    let fields: Vec<_> = fields.collect();
    ServerReport::from_fields(fields.iter().map(|(kind, value)| (*kind, value.as_ref())))
        .into_error(label, doing)
}

/// What a server said while it read its log for us. A file of it that is not there is told as 58P01, and as XX000 where the server finds that
/// out a moment later (`xlog.c`, `CheckXLogRemoved`): whether the log is lost the slot says when the next stream is opened, so it is asked again.
pub fn log_error(label: &str, doing: &str, body: &[u8]) -> StoreError {
    let mut error = server_error(label, doing, body);
    if matches!(error.server_code.as_deref(), Some("58P01" | "XX000")) {
        error.kind = ErrorKind::Unavailable;
        error.code = "postgres.log_unread";
    }
    error
}

/// Splits the first whole message off: its tag and body.
///
/// # Errors
/// A length that cannot be, or beyond `longest`.
pub fn take_message(
    buffer: &mut BytesMut,
    longest: usize,
) -> std::result::Result<Option<(u8, Bytes)>, &'static str> {
    let Some(header) = buffer.first_chunk::<5>() else {
        return Ok(None);
    };
    let [tag, length @ ..] = *header;
    let length = u32::from_be_bytes(length) as usize;
    if length < 4 || length > longest {
        return Err("a message has an impossible length");
    }
    if buffer.len() < length + 1 {
        return Ok(None);
    }
    let mut message = buffer.split_to(length + 1);
    message.advance(5);
    Ok(Some((tag, message.freeze())))
}

/// The columns of a DataRow; `None` for a malformed one.
fn data_row(body: &[u8]) -> Option<ReplyRow> {
    let (count, mut rest) = body.split_first_chunk::<2>()?;
    let mut row = Vec::new();
    for _ in 0..u16::from_be_bytes(*count) {
        let (length, after) = rest.split_first_chunk::<4>()?;
        rest = after;
        row.push(match usize::try_from(i32::from_be_bytes(*length)) {
            Ok(length) => {
                let (value, after) = rest.split_at_checked(length)?;
                rest = after;
                Some(String::from_utf8_lossy(value).into_owned())
            }
            Err(_) => None,
        });
    }
    rest.is_empty().then_some(row)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_file_of_the_log_that_is_not_there_is_asked_for_again_and_the_slot_says_whether_it_is_lost()
    {
        let said = |code: &str| log_error("s", "reading", format!("C{code}\0Mgone\0\0").as_bytes());
        for code in ["58P01", "XX000"] {
            assert_eq!(said(code).kind, ErrorKind::Unavailable, "{code}");
            assert_eq!(said(code).server_code.as_deref(), Some(code));
        }
        assert_eq!(said("XX001").kind, ErrorKind::Corrupt);
        assert_eq!(said("42501").kind, ErrorKind::Permission);
    }

    #[test]
    fn messages_are_split_where_they_end() {
        let mut buffer = BytesMut::from(&b"Z\0\0\0\x05IC\0\0"[..]);
        let first = take_message(&mut buffer, 100).unwrap();
        assert_eq!(first, Some((b'Z', Bytes::from_static(b"I"))));
        assert_eq!(take_message(&mut buffer, 100), Ok(None));
        assert!(take_message(&mut BytesMut::from(&b"Z\0\0\0\x03"[..]), 100).is_err());
        assert!(take_message(&mut BytesMut::from(&b"Z\x7f\0\0\x03"[..]), 100).is_err());
    }

    #[test]
    fn rows_hold_texts_and_nulls() {
        let body = b"\0\x02\0\0\0\x02ab\xff\xff\xff\xff";
        assert_eq!(data_row(body), Some(vec![Some("ab".into()), None]));
        assert_eq!(data_row(b"\0\x01\0\0\0\x05ab"), None);
    }

    proptest! {
        #[test]
        fn random_bytes_do_no_harm(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = data_row(&bytes);
            let _ = server_error("s", "testing", &bytes);
            let mut buffer = BytesMut::from(&bytes[..]);
            while let Ok(Some(_)) = take_message(&mut buffer, 50) {}
        }
    }
}
