//! A plain or encrypted socket to a server, for a transport that speaks the protocol by itself.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use crossfade_store::Result;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::connect::ConnectTarget;
use crate::error::from_io;
use crate::tls;
use crate::url::Host;

/// SSLRequest (PostgreSQL documentation, section 55.7): length 8, code 80877103.
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];

/// A socket on which the startup message can be sent.
pub enum Wire {
    /// TCP.
    Tcp(TcpStream),
    /// A Unix-domain socket.
    Unix(UnixStream),
    /// TLS over TCP.
    Tls(Box<TlsStream<TcpStream>>),
}

impl ConnectTarget {
    /// Opens a socket, encrypted or not; bounded by `connect_timeout`. Which to try and when to try the other:
    /// [`ConnectTarget::attempts`], [`ConnectTarget::falls_back`].
    ///
    /// # Errors
    /// The network's; a server without TLS; a certificate that is not trusted.
    pub async fn dial(&self, encrypted: bool) -> Result<Wire> {
        let dialing = async {
            let failed = |e: io::Error| from_io(&self.label, "connecting", &e);
            match &self.host {
                Host::Unix(folder) => {
                    let path = folder.join(format!(".s.PGSQL.{}", self.port));
                    UnixStream::connect(path)
                        .await
                        .map(Wire::Unix)
                        .map_err(failed)
                }
                Host::Tcp(name) => {
                    let tcp = match self.hostaddr {
                        Some(address) => TcpStream::connect((address, self.port)).await,
                        None => TcpStream::connect((name.as_str(), self.port)).await,
                    }
                    .map_err(failed)?;
                    tcp.set_nodelay(true).map_err(failed)?;
                    if encrypted {
                        self.encrypt(name, tcp).await
                    } else {
                        Ok(Wire::Tcp(tcp))
                    }
                }
            }
        };
        tokio::time::timeout(self.connect_timeout, dialing)
            .await
            .map_err(|_| self.timed_out())?
    }

    async fn encrypt(&self, name: &str, mut tcp: TcpStream) -> Result<Wire> {
        let failed = |e: io::Error| from_io(&self.label, "starting TLS", &e);
        let Some(config) = &self.tls else {
            return Err(tls::not_offered(&self.label));
        };
        tcp.write_all(&SSL_REQUEST).await.map_err(failed)?;
        let mut reply = [0];
        // exactly one byte is read: whatever somebody sent behind it goes into the handshake, which then fails
        tcp.read_exact(&mut reply).await.map_err(failed)?;
        if reply != *b"S" {
            return Err(tls::not_offered(&self.label));
        }
        let name = ServerName::try_from(name.to_owned())
            .map_err(|e| failed(io::Error::new(io::ErrorKind::InvalidInput, e)))?;
        let stream = TlsConnector::from(Arc::clone(config))
            .connect(name, tcp)
            .await
            .map_err(failed)?;
        Ok(Wire::Tls(Box::new(stream)))
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Wire::Tcp(s) => Pin::new(s).poll_read(cx, buf),
            Wire::Unix(s) => Pin::new(s).poll_read(cx, buf),
            Wire::Tls(s) => Pin::new(s).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Wire::Tcp(s) => Pin::new(s).poll_write(cx, buf),
            Wire::Unix(s) => Pin::new(s).poll_write(cx, buf),
            Wire::Tls(s) => Pin::new(s).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Wire::Tcp(s) => Pin::new(s).poll_flush(cx),
            Wire::Unix(s) => Pin::new(s).poll_flush(cx),
            Wire::Tls(s) => Pin::new(s).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Wire::Tcp(s) => Pin::new(s).poll_shutdown(cx),
            Wire::Unix(s) => Pin::new(s).poll_shutdown(cx),
            Wire::Tls(s) => Pin::new(s).poll_shutdown(cx),
        }
    }
}
