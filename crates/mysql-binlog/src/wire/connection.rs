//! A connection: reaching the server, encryption, who we are.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use crossfade_store::ErrorKind;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::auth;
use super::handshake::{Greeting, SSL, answer, answer_head, server_error};
use super::packet::{Packets, Wire};
use crate::cursor::{Cursor, text};
use crate::error::{Error, Result};
use crate::replay::MOST_BYTES;

/// Where the server is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// Host name or address, and port.
    Tcp(String, u16),
    /// A socket's path.
    Socket(PathBuf),
}

/// Who connects.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The user; needs REPLICATION SLAVE.
    pub user: String,
    /// The password.
    pub password: String,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials")
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

/// How the connection is encrypted. A socket never is.
#[derive(Clone, Default)]
pub enum Tls {
    /// Not at all. A password that the server has not cached is sent encrypted by the server's own key, which is taken on trust.
    #[default]
    Off,
    /// Where the server can.
    Prefer(Arc<ClientConfig>),
    /// Always. What is verified, the configuration says; its server name is the address's host.
    Require(Arc<ClientConfig>),
}

/// Whose server it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flavour {
    /// MySQL, Percona Server.
    Mysql,
    /// MariaDB.
    Mariadb,
}

/// How long one answer may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// A connection that sent its password and waits for commands. Meant for the log and the few settings around it.
pub struct Connection {
    pub(super) packets: Packets,
    version: String,
    flavour: Flavour,
    id: u32,
}

impl Connection {
    /// Connects and authenticates.
    ///
    /// # Errors
    /// A server that cannot be reached, cannot encrypt, or does not let the user in.
    pub async fn open(
        address: &Address,
        credentials: &Credentials,
        tls: &Tls,
    ) -> Result<Connection> {
        timeout(PATIENCE, Connection::connect(address, credentials, tls))
            .await
            .map_err(|_| Error::connection("the server did not answer in time"))?
    }

    async fn connect(
        address: &Address,
        credentials: &Credentials,
        tls: &Tls,
    ) -> Result<Connection> {
        let unreachable = |e: std::io::Error| Error::connection(format!("cannot connect: {e}"));
        let wire: Box<dyn Wire> = match address {
            Address::Tcp(host, port) => {
                let stream = TcpStream::connect((host.as_str(), *port))
                    .await
                    .map_err(unreachable)?;
                stream.set_nodelay(true).map_err(unreachable)?;
                Box::new(stream)
            }
            Address::Socket(path) => {
                Box::new(UnixStream::connect(path).await.map_err(unreachable)?)
            }
        };
        let mut packets = Packets::new(wire, MOST_BYTES);
        let greeting = Greeting::read(packets.receive().await?)?;
        let config = match address {
            Address::Tcp(..) => encryption(tls, &greeting)?,
            Address::Socket(_) => None,
        };
        let encrypted = match (address, config) {
            (Address::Tcp(host, _), Some(config)) => {
                packets = encrypt(packets, config, host).await?;
                true
            }
            _ => false,
        };
        let safe = encrypted || matches!(address, Address::Socket(_));
        authenticate(&mut packets, &greeting, credentials, encrypted, safe).await?;
        Ok(Connection {
            packets,
            flavour: greeting.flavour(),
            version: greeting.version,
            id: greeting.connection,
        })
    }

    /// A packet of the log that is here already.
    pub(crate) fn ready(&mut self) -> Result<Option<Bytes>> {
        self.packets.ready()
    }

    /// Waits for more of the log. Cancel-safe.
    pub(crate) async fn fill(&mut self) -> Result<()> {
        self.packets.fill().await
    }

    /// The server's version, as it says.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The connection's number, for `KILL`.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Whose server it is.
    pub fn flavour(&self) -> Flavour {
        self.flavour
    }
}

fn encryption(tls: &Tls, greeting: &Greeting) -> Result<Option<Arc<ClientConfig>>> {
    let able = greeting.capabilities & SSL != 0;
    match tls {
        Tls::Off => Ok(None),
        Tls::Prefer(config) => Ok(able.then(|| Arc::clone(config))),
        Tls::Require(config) if able => Ok(Some(Arc::clone(config))),
        Tls::Require(_) => Err(Error::new(
            ErrorKind::Setting,
            "mysql.tls",
            "the server does not encrypt connections",
        )
        .fix("Give the server a certificate (ssl_cert, ssl_key), or connect without encryption")),
    }
}

async fn encrypt(mut packets: Packets, config: Arc<ClientConfig>, host: &str) -> Result<Packets> {
    packets.send(&answer_head(true)).await?;
    let sequence = packets.sequence();
    let name = ServerName::try_from(host.to_owned())
        .map_err(|_| Error::connection("the host's name cannot be in a certificate"))?;
    let stream = TlsConnector::from(config)
        .connect(name, packets.into_wire()?)
        .await
        .map_err(|e| {
            Error::new(
                ErrorKind::Authentication,
                "mysql.tls",
                format!("the encryption failed: {e}"),
            )
        })?;
    let mut packets = Packets::new(Box::new(stream), MOST_BYTES);
    packets.begin(sequence);
    Ok(packets)
}

async fn authenticate(
    packets: &mut Packets,
    greeting: &Greeting,
    credentials: &Credentials,
    encrypted: bool,
    safe: bool,
) -> Result<()> {
    const WHAT: &str = "the server's answer to the password";
    let (mut plugin, mut nonce) = (greeting.plugin.clone(), greeting.nonce.clone());
    if !matches!(plugin.as_str(), auth::NATIVE | auth::CACHING) {
        // the server's default may be unknown here, and the user's own not
        plugin = auth::NATIVE.to_owned();
    }
    let first = auth::proof(&plugin, &credentials.password, &nonce)?;
    let whole = answer(encrypted, &credentials.user, &plugin, &first);
    packets.send(&whole).await?;
    // a server asks at most for another plugin, the whole password, and its key's use
    for _ in 0..6 {
        let packet = packets.receive().await?;
        let mut cursor = Cursor::new(packet.clone());
        match cursor.u8(WHAT)? {
            0x00 => return Ok(()),
            0xff => return Err(server_error(packet)),
            0xfe => {
                plugin = text(&cursor.nul_terminated(WHAT)?);
                nonce = cursor.rest().to_vec();
                nonce.truncate(20);
                let proof = auth::proof(&plugin, &credentials.password, &nonce)?;
                packets.send(&proof).await?;
            }
            0x01 => match cursor.u8(WHAT)? {
                // known by its digest: the server's OK follows
                3 => {}
                4 if safe => {
                    let password = [credentials.password.as_bytes(), &[0]].concat();
                    packets.send(&password).await?;
                }
                // the key is asked for
                4 => packets.send(&[2]).await?,
                _ => {
                    let key = packet.get(1..).unwrap_or_default();
                    let sealed = auth::sealed(&credentials.password, &nonce, key)?;
                    packets.send(&sealed).await?;
                }
            },
            _ => break,
        }
    }
    Err(Error::protocol(
        "the server does not come to an end with the password",
    ))
}

/// Waits for an answer, a bounded time.
pub(super) async fn patiently<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    timeout(PATIENCE, work)
        .await
        .map_err(|_| Error::connection("the server did not answer in time"))?
}
