//! The log of a server as items: registered as a replica, one connection, no state beyond it.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crossfade_store::ErrorKind;
use tokio::time::{Instant, timeout_at};

use crate::error::{Error, Result};
use crate::gtid::{GtidSet, MariadbPosition};
use crate::interest::Wanted;
use crate::item::Item;
use crate::position::{LogFile, LogPosition};
use crate::replay::Replay;
use crate::wire::{Address, Connection, Credentials, Flavour, Tls, server_error};

/// Where a stream begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    /// At a place of this server's own log: an [`crate::End`]'s position, or `SHOW BINARY LOG STATUS`.
    Place {
        /// The base of the files' names.
        base: String,
        /// The place.
        position: LogPosition,
    },
    /// With everything that is not in this set (MySQL with `gtid_mode = ON`).
    Mysql(GtidSet),
    /// Behind these transactions (MariaDB).
    Mariadb(MariadbPosition),
}

/// How to follow.
pub struct StreamOptions {
    /// The number by which the server knows this replica; no other replica of it may have it. See [`replica_id`].
    pub replica: u32,
    /// Which tables' rows are wanted, and which columns must be in them.
    pub wanted: Wanted,
    /// Changes of a transaction are held back until its end was read, up to this many bytes; a bigger one comes in pieces.
    pub hold_bytes: usize,
    /// Who must answer; `None`: anybody.
    pub server: Option<ServerIs>,
}

/// A server by the value of one of its global variables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerIs {
    /// The variable's name.
    pub variable: &'static str,
    /// Its value.
    pub value: String,
}

/// What one call brings at most, about.
const BATCH_BYTES: usize = 4 << 20;
const BATCH_ITEMS: usize = 4096;

/// How long [`BinlogStream::next`] waits when nothing comes; also the server's heartbeat.
const PATIENCE: Duration = Duration::from_secs(1);

/// A connection that brings not even a heartbeat for so long is lost.
const SILENCE: Duration = Duration::from_secs(30);

/// A number for a replica, from 2^31 upwards, where servers' own numbers hardly ever are. Another one for each call in a process,
/// and by time, process and chance for each process.
pub fn replica_id() -> u32 {
    static CALLS: AtomicU32 = AtomicU32::new(0);
    let nanos = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |time| time.as_nanos() as u64);
    let mixed =
        (nanos ^ (u64::from(std::process::id()) << 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33;
    let call = CALLS.fetch_add(1, Ordering::Relaxed);
    // 2^32 - 1 is reserved
    (1 << 31) | ((mixed as u32).wrapping_add(call) % ((1 << 31) - 1))
}

/// A server's log, item by item.
pub struct BinlogStream {
    connection: Connection,
    replay: Replay,
    heard: Instant,
    files: Vec<(u64, u32)>,
    /// What stopped it: told again to whoever asks on.
    failed: Option<Error>,
}

impl BinlogStream {
    /// Connects, registers and asks for the log. Returns when the server has begun to send it.
    ///
    /// Semi-synchronous replication is not joined: no commit of the source waits for this stream.
    ///
    /// # Errors
    /// `binlog.purged` ([`ErrorKind::LogLost`]) where the server no longer has the log from there on; `binlog.server`
    /// ([`ErrorKind::WrongStore`]) for another server than the expected one; what a connection can meet.
    pub async fn open(
        address: &Address,
        credentials: &Credentials,
        tls: &Tls,
        start: &Start,
        options: StreamOptions,
    ) -> Result<BinlogStream> {
        let mut connection = Connection::open(address, credentials, tls).await?;
        let mariadb = connection.flavour() == Flavour::Mariadb;
        if let Some(expected) = &options.server {
            identify(&mut connection, expected).await?;
        }
        let crc32 = prepare(&mut connection, start).await?;
        connection.register(options.replica).await?;
        request(&mut connection, start, options.replica).await?;
        let mut stream = BinlogStream {
            connection,
            replay: Replay::new(options.wanted, mariadb, crc32, options.hold_bytes),
            heard: Instant::now(),
            files: Vec::new(),
            failed: None,
        };
        let limit = Instant::now() + SILENCE;
        loop {
            stream.drain()?;
            if stream.replay.base().is_some() && !stream.files.is_empty() {
                return Ok(stream);
            }
            stream.wait(limit).await?;
        }
    }

    /// Some next items; empty after about a second without any. Cancel-safe. After an error always the same error.
    ///
    /// # Errors
    /// A lost connection ([`ErrorKind::Connection`], [`ErrorKind::Unavailable`]): open another stream at the last end. What
    /// cannot be followed: see the crate's description.
    pub async fn next(&mut self) -> Result<Vec<Item>> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let limit = Instant::now() + PATIENCE;
        loop {
            let drained = self.drain();
            let items = self.replay.items();
            match drained {
                // what came before the failure is handed over first
                Err(error) => {
                    self.failed = Some(error.clone());
                    return if items.is_empty() {
                        Err(error)
                    } else {
                        Ok(items)
                    };
                }
                Ok(()) if !items.is_empty() => return Ok(items),
                Ok(()) => {}
            }
            match self.wait(limit).await {
                Ok(true) => {}
                Ok(false) => return Ok(Vec::new()),
                Err(error) => {
                    self.failed = Some(error.clone());
                    return Err(error);
                }
            }
        }
    }

    /// Behind the last event that was read.
    pub fn position(&self) -> LogPosition {
        self.replay.position()
    }

    /// Whether something was read that [`BinlogStream::next`] has not brought yet.
    pub fn has_items(&self) -> bool {
        self.replay.count() > 0
    }

    /// The base of the log files' names.
    pub fn base(&self) -> &str {
        self.replay.base().unwrap_or_default()
    }

    /// The log files that were begun to be read since this was asked last, by their numbers, and when each was begun, in seconds since the
    /// Unix epoch by the server's clock: a file of the same name that was begun at another time is another file. The first is known
    /// once the stream is open.
    pub fn files(&mut self) -> Vec<(u64, u32)> {
        std::mem::take(&mut self.files)
    }

    /// Where the first transaction begins that came, whether its tables are wanted or not; `None` before.
    pub fn first_transaction(&self) -> Option<LogPosition> {
        self.replay.first_transaction()
    }

    /// The connection's number on the server, for `KILL`.
    pub fn connection_id(&self) -> u32 {
        self.connection.id()
    }

    /// The server's version.
    pub fn version(&self) -> &str {
        self.connection.version()
    }

    /// Takes what is here already, up to the bounds of one call.
    fn drain(&mut self) -> Result<()> {
        let drained = self.take_ready();
        self.files.extend(self.replay.files());
        drained
    }

    fn take_ready(&mut self) -> Result<()> {
        while self.replay.weight() < BATCH_BYTES && self.replay.count() < BATCH_ITEMS {
            if self.replay.step()? {
                continue;
            }
            let Some(packet) = self.connection.ready()? else {
                return Ok(());
            };
            self.heard = Instant::now();
            match packet.first() {
                Some(0) => self.replay.take(packet.slice(1..))?,
                Some(0xff) => return Err(server_error(packet)),
                Some(0xfe) => return Err(Error::connection("the server ended the log's stream")),
                _ => return Err(Error::protocol("the server sends what is no event")),
            }
        }
        Ok(())
    }

    /// Waits for bytes; false at the limit.
    async fn wait(&mut self, limit: Instant) -> Result<bool> {
        match timeout_at(limit, self.connection.fill()).await {
            Ok(filled) => filled.map(|()| true),
            Err(_) if self.heard.elapsed() > SILENCE => {
                Err(Error::connection("the server has gone silent"))
            }
            Err(_) => Ok(false),
        }
    }
}

/// Fails unless the server is the expected one.
async fn identify(connection: &mut Connection, expected: &ServerIs) -> Result<()> {
    let rows = connection
        .query(&format!("SELECT @@global.{}", expected.variable))
        .await?;
    let found = rows.into_iter().flatten().next().flatten();
    if found.is_some_and(|found| found == expected.value.as_bytes()) {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::WrongStore,
        "binlog.server",
        "another server answers at this address than a moment ago",
    )
    .fix("Name one server's own address in the URL, not one behind which are several"))
}

/// Sets up the session; returns whether events will have checksums.
///
/// Variables as a replica of the server's own kind sets them, by their old and new names (MySQL: `rpl_replica.cc`; MariaDB knowledge
/// base, "Replica Protocol").
async fn prepare(connection: &mut Connection, start: &Start) -> Result<bool> {
    let nanos = PATIENCE.as_nanos();
    connection
        .query(&format!(
            "SET @master_heartbeat_period = {nanos}, @source_heartbeat_period = {nanos}, \
             @master_binlog_checksum = @@global.binlog_checksum, @source_binlog_checksum = @@global.binlog_checksum"
        ))
        .await?;
    // a reader that waits for its target must not be thrown out after a minute
    connection
        .query("SET SESSION net_write_timeout = 3600")
        .await?;
    if connection.flavour() == Flavour::Mariadb {
        connection
            .query("SET @mariadb_slave_capability = 4")
            .await?;
    }
    match (start, connection.flavour()) {
        (Start::Mariadb(position), Flavour::Mariadb) => {
            connection
                .query(&format!(
                    "SET @slave_connect_state = '{position}', @slave_gtid_strict_mode = 1, @slave_gtid_ignore_duplicates = 0"
                ))
                .await?;
        }
        (Start::Mariadb(_), Flavour::Mysql) | (Start::Mysql(_), Flavour::Mariadb) => {
            return Err(Error::new(
                ErrorKind::WrongStore,
                "binlog.flavour",
                "the stored position is one of MySQL's and the server is MariaDB, or the other way round",
            ));
        }
        _ => {}
    }
    let rows = connection.query("SELECT @@global.binlog_checksum").await?;
    let checksum = rows.into_iter().flatten().next().flatten();
    Ok(checksum.is_some_and(|checksum| checksum.eq_ignore_ascii_case(b"CRC32")))
}

async fn request(connection: &mut Connection, start: &Start, replica: u32) -> Result<()> {
    match start {
        Start::Place { base, position } => {
            let file = LogFile {
                base: base.clone(),
                number: position.file,
            };
            let offset = u32::try_from(position.offset).map_err(|_| {
                Error::new(
                    ErrorKind::Unsupported,
                    "binlog.position",
                    format!(
                        "a stream cannot begin at {position}: servers take offsets up to 4 GiB"
                    ),
                )
                .fix("Begin by GTID")
            })?;
            connection.dump(replica, &file.name(), offset).await
        }
        Start::Mysql(seen) => connection.dump_gtid(replica, seen).await,
        Start::Mariadb(_) => connection.dump(replica, "", 4).await,
    }
}
