//! Commands: statements with small results, and those that make a connection a replica's (MySQL internals, "Text Protocol",
//! "COM_REGISTER_SLAVE", "COM_BINLOG_DUMP", "COM_BINLOG_DUMP_GTID").

use bytes::Bytes;
use crossfade_store::ErrorKind;

use super::connection::{Connection, patiently};
use super::handshake::{GRANT, server_error};
use crate::cursor::Cursor;
use crate::error::{Error, Result};
use crate::gtid::GtidSet;

/// Rows of a result that are taken.
const MOST_ROWS: usize = 1_000_000;

/// The whole GTID set follows (`BINLOG_THROUGH_GTID`).
const THROUGH_GTID: u16 = 4;

impl Connection {
    /// Runs one statement and reads its whole result as text; `None` is NULL. For small results.
    ///
    /// # Errors
    /// The server's error, a lost connection, too many rows.
    pub async fn query(&mut self, sql: &str) -> Result<Vec<Vec<Option<Bytes>>>> {
        self.query_bytes(sql.as_bytes()).await
    }

    /// As [`Connection::query`], in whatever character set the session has.
    ///
    /// # Errors
    /// As [`Connection::query`].
    pub async fn query_bytes(&mut self, sql: &[u8]) -> Result<Vec<Vec<Option<Bytes>>>> {
        patiently(self.run(sql)).await
    }

    async fn run(&mut self, sql: &[u8]) -> Result<Vec<Vec<Option<Bytes>>>> {
        self.command(3, sql).await?;
        let first = self.packets.receive().await?;
        let columns = match first.first() {
            Some(0x00) => return Ok(Vec::new()),
            Some(0xff) => return Err(server_error(first)),
            _ => Cursor::new(first).length("a result's head")?,
        };
        for _ in 0..columns {
            self.packets.receive().await?;
        }
        end_of_columns(&self.packets.receive().await?)?;
        let mut rows = Vec::new();
        loop {
            let packet = self.packets.receive().await?;
            match packet.first() {
                Some(0xff) => return Err(server_error(packet)),
                Some(0xfe) if packet.len() < 9 => return Ok(rows),
                _ if rows.len() >= MOST_ROWS => {
                    return Err(Error::protocol("a result has too many rows"));
                }
                _ => rows.push(row(packet, columns)?),
            }
        }
    }

    async fn command(&mut self, number: u8, body: &[u8]) -> Result<()> {
        self.packets.begin(0);
        let mut packet = Vec::with_capacity(1 + body.len());
        packet.push(number);
        packet.extend_from_slice(body);
        self.packets.send(&packet).await
    }

    /// Tells the server that a replica is here, so that `SHOW REPLICAS` lists it.
    pub(crate) async fn register(&mut self, replica: u32) -> Result<()> {
        let mut body = replica.to_le_bytes().to_vec();
        // no host, user and password; port, rank, source
        body.extend_from_slice(&[0; 3 + 2 + 4 + 4]);
        patiently(async {
            self.command(0x15, &body).await?;
            let answer = self.packets.receive().await?;
            match answer.first() {
                Some(0) => Ok(()),
                _ => Err(not_allowed(server_error(answer))),
            }
        })
        .await
    }

    /// Asks for the log from a file's offset.
    pub(crate) async fn dump(&mut self, replica: u32, file: &str, offset: u32) -> Result<()> {
        let mut body = offset.to_le_bytes().to_vec();
        body.extend_from_slice(&0_u16.to_le_bytes());
        body.extend_from_slice(&replica.to_le_bytes());
        body.extend_from_slice(file.as_bytes());
        self.command(0x12, &body).await
    }

    /// Asks for every transaction that is not in the set.
    pub(crate) async fn dump_gtid(&mut self, replica: u32, seen: &GtidSet) -> Result<()> {
        let mut body = THROUGH_GTID.to_le_bytes().to_vec();
        body.extend_from_slice(&replica.to_le_bytes());
        body.extend_from_slice(&0_u32.to_le_bytes());
        body.extend_from_slice(&4_u64.to_le_bytes());
        let set = seen.encode();
        let length = u32::try_from(set.len())
            .map_err(|_| Error::protocol("a set of GTIDs is too long to be sent"))?;
        body.extend_from_slice(&length.to_le_bytes());
        body.extend_from_slice(&set);
        self.command(0x1e, &body).await
    }
}

/// MySQL says "access denied" also to a user that it let in, and that may not be a replica.
fn not_allowed(error: Error) -> Error {
    if error.kind != ErrorKind::Authentication {
        return error;
    }
    let server_code = error.server_code.clone();
    Error {
        server_code,
        ..Error::new(ErrorKind::Permission, "mysql.permission", error.what).fix(GRANT)
    }
}

fn end_of_columns(packet: &Bytes) -> Result<()> {
    match packet.first() {
        Some(0xfe) if packet.len() < 9 => Ok(()),
        _ => Err(Error::protocol("a result has no end of columns")),
    }
}

fn row(packet: Bytes, columns: usize) -> Result<Vec<Option<Bytes>>> {
    let null = |cursor: &Cursor| cursor.clone().rest().first() == Some(&0xfb);
    let mut cursor = Cursor::new(packet);
    (0..columns)
        .map(|_| match null(&cursor) {
            true => cursor.skip(1, "a result's row").map(|()| None),
            false => cursor.lenenc_bytes("a result's row").map(Some),
        })
        .collect()
}
