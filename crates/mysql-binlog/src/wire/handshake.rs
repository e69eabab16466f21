//! The server's greeting, the client's answer, the server's errors (MySQL internals, "Connection Phase").

use bytes::Bytes;
use crossfade_store::ErrorKind;

use super::connection::Flavour;
use crate::cursor::{Cursor, text};
use crate::error::{Error, Result};

const LONG_PASSWORD: u32 = 1;
const LONG_FLAG: u32 = 1 << 2;
const PROTOCOL_41: u32 = 1 << 9;
pub(super) const SSL: u32 = 1 << 11;
const TRANSACTIONS: u32 = 1 << 13;
const SECURE_CONNECTION: u32 = 1 << 15;
const PLUGIN_AUTH: u32 = 1 << 19;

/// `utf8mb4_general_ci`, which every server knows.
const COLLATION: u8 = 45;

/// What the server says first.
#[derive(Debug, Clone)]
pub(super) struct Greeting {
    pub version: String,
    pub connection: u32,
    pub capabilities: u32,
    pub plugin: String,
    pub nonce: Vec<u8>,
}

impl Greeting {
    pub fn read(packet: Bytes) -> Result<Greeting> {
        const WHAT: &str = "the server's greeting";
        if packet.first() == Some(&0xff) {
            return Err(server_error(packet));
        }
        let mut cursor = Cursor::new(packet);
        if cursor.u8(WHAT)? != 10 {
            return Err(Error::protocol(
                "the server speaks another protocol than MySQL's",
            ));
        }
        let version = text(&cursor.nul_terminated(WHAT)?);
        let connection = cursor.u32(WHAT)?;
        let mut nonce = cursor.take(8, WHAT)?.to_vec();
        cursor.skip(1, WHAT)?;
        let low = u32::from(cursor.u16(WHAT)?);
        cursor.skip(3, WHAT)?;
        let capabilities = low | u32::from(cursor.u16(WHAT)?) << 16;
        let length = usize::from(cursor.u8(WHAT)?);
        cursor.skip(10, WHAT)?;
        nonce.extend_from_slice(&cursor.take(length.saturating_sub(8).max(13), WHAT)?);
        // the second part ends with a zero that is no part of it
        nonce.truncate(20);
        if capabilities & PROTOCOL_41 == 0 || capabilities & PLUGIN_AUTH == 0 {
            return Err(Error::protocol(format!("the server {version} is too old")));
        }
        Ok(Greeting {
            version,
            connection,
            capabilities,
            plugin: text(&cursor.nul_terminated(WHAT)?),
            nonce,
        })
    }
}

impl Greeting {
    /// Whose server it is: MariaDB's does not claim the first of MySQL's capabilities (MariaDB knowledge base,
    /// "Connecting", `CLIENT_MYSQL`); the version that it shows can be set to anything.
    pub fn flavour(&self) -> Flavour {
        let named = self.version.to_ascii_lowercase().contains("mariadb");
        match named || self.capabilities & LONG_PASSWORD == 0 {
            true => Flavour::Mariadb,
            false => Flavour::Mysql,
        }
    }
}

/// What the client is able to, and the part of its answer that comes before an encryption.
pub(super) fn answer_head(encrypted: bool) -> Vec<u8> {
    let mut capabilities =
        LONG_PASSWORD | LONG_FLAG | PROTOCOL_41 | TRANSACTIONS | SECURE_CONNECTION | PLUGIN_AUTH;
    if encrypted {
        capabilities |= SSL;
    }
    let mut out = capabilities.to_le_bytes().to_vec();
    out.extend_from_slice(&(1_u32 << 30).to_le_bytes());
    out.push(COLLATION);
    out.extend_from_slice(&[0; 23]);
    out
}

/// The whole answer.
pub(super) fn answer(encrypted: bool, user: &str, plugin: &str, proof: &[u8]) -> Vec<u8> {
    let mut out = answer_head(encrypted);
    out.extend_from_slice(user.as_bytes());
    out.push(0);
    // proofs have 0, 20 or 32 bytes
    out.push(proof.len() as u8);
    out.extend_from_slice(proof);
    out.extend_from_slice(plugin.as_bytes());
    out.push(0);
    out
}

/// An error packet as an error.
pub(crate) fn server_error(packet: Bytes) -> Error {
    match read_error(packet) {
        Ok((code, message)) => classify(code, &message),
        Err(broken) => broken,
    }
}

fn read_error(packet: Bytes) -> Result<(u16, String)> {
    const WHAT: &str = "the server's error";
    let mut cursor = Cursor::new(packet);
    cursor.skip(1, WHAT)?;
    let code = cursor.u16(WHAT)?;
    let mut message = text(&cursor.rest());
    if let Some(rest) = message.strip_prefix('#') {
        message = rest.get(5..).unwrap_or_default().to_owned();
    }
    Ok((code, message))
}

pub(super) const GRANT: &str = "GRANT REPLICATION SLAVE ON *.* TO the user";

/// Codes as in the reference manual's "Server Error Message Reference" and MariaDB's "Error Codes".
fn classify(code: u16, message: &str) -> Error {
    let mut error = match code {
        // access denied; unknown or wrong authentication plugin
        1044 | 1045 | 1251 | 1524 | 1698 | 3118 => {
            Error::new(ErrorKind::Authentication, "mysql.authentication", message)
        }
        1142 | 1227 => Error::new(ErrorKind::Permission, "mysql.permission", message).fix(GRANT),
        // too many connections; shutting down; killed; closed by an administrator
        1040 | 1053 | 1077 | 1152 | 1184 | 1203 | 1226 | 1317 | 1927 | 3169 | 4031 => {
            Error::new(ErrorKind::Unavailable, "mysql.unavailable", message)
        }
        1236 => return fatal_reading(message),
        // MariaDB: another replica has come by the same number
        4052 => Error::new(ErrorKind::Unavailable, "binlog.replica_id", message),
        _ => Error::new(ErrorKind::Unsupported, "mysql.server", message),
    };
    error.server_code = Some(code.to_string());
    error
}

/// Error 1236 stands for everything that keeps a server from sending its log; only the words tell what.
fn fatal_reading(message: &str) -> Error {
    let has = |part: &str| message.contains(part);
    // MySQL: missing file, purged GTIDs, position beyond the end, more transactions than the server; MariaDB: GTID not there
    let lost = has("purged")
        || has("first log file")
        || has("position > file size")
        || has("impossible position")
        || has("more GTIDs")
        || has("more transactions")
        || has("in the master's binlog");
    let twice = has("same server_uuid") || has("same server_id") || has("same 'server_id'");
    let mut error = if lost {
        Error::new(
            ErrorKind::LogLost,
            "binlog.purged",
            format!("the server no longer has the log from there on: {message}"),
        )
        .fix("Copy anew; let the server keep its log longer (binlog_expire_logs_seconds)")
    } else if twice {
        Error::new(ErrorKind::Unavailable, "binlog.replica_id", message)
    } else {
        Error::new(
            ErrorKind::Corrupt,
            "binlog.reading",
            format!("the server cannot read its log: {message}"),
        )
    };
    error.server_code = Some("1236".to_owned());
    error
}
