//! Packets: three bytes of length, one of sequence, at most 2^24 - 1 bytes; longer ones are continued in the next (MySQL
//! internals, "Protocol Basics").

use bytes::{Buf as _, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use crate::error::{Error, Result};

/// A byte stream in both directions.
pub(crate) trait Wire: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Wire for T {}

const HEADER: usize = 4;
const WHOLE: usize = (1 << 24) - 1;
/// Read at a time.
const BUFFER: usize = 256 * 1024;

/// Sends and receives packets.
pub(crate) struct Packets {
    wire: Box<dyn Wire>,
    buffer: BytesMut,
    /// The beginning of a packet that is continued.
    partial: BytesMut,
    sequence: u8,
    most: usize,
}

impl Packets {
    pub fn new(wire: Box<dyn Wire>, most: usize) -> Packets {
        Packets {
            wire,
            buffer: BytesMut::new(),
            partial: BytesMut::new(),
            sequence: 0,
            most,
        }
    }

    /// The byte stream, to be encrypted; nothing was received beyond the last packet.
    ///
    /// # Errors
    /// Bytes that came too early: somebody else's.
    pub fn into_wire(self) -> Result<Box<dyn Wire>> {
        match self.buffer.is_empty() {
            true => Ok(self.wire),
            false => Err(Error::protocol(
                "the server went on before the encryption began",
            )),
        }
    }

    /// The number that the next packet must have.
    pub fn sequence(&self) -> u8 {
        self.sequence
    }

    /// A new exchange begins with 0.
    pub fn begin(&mut self, sequence: u8) {
        self.sequence = sequence;
    }

    /// A packet that is here already.
    ///
    /// # Errors
    /// A packet out of turn, or one that is too long.
    pub fn ready(&mut self) -> Result<Option<Bytes>> {
        loop {
            let Some([a, b, c, sequence]) = self.buffer.first_chunk::<HEADER>().copied() else {
                return Ok(None);
            };
            let length = usize::from(a) | usize::from(b) << 8 | usize::from(c) << 16;
            if self.partial.len() + length > self.most {
                return Err(Error::protocol(format!(
                    "the server sends a packet of more than {} bytes",
                    self.most
                )));
            }
            if self.buffer.len() < HEADER + length {
                return Ok(None);
            }
            if sequence != self.sequence {
                return Err(Error::protocol("the server's packets are out of order"));
            }
            self.sequence = self.sequence.wrapping_add(1);
            self.buffer.advance(HEADER);
            let body = self.buffer.split_to(length);
            if length == WHOLE {
                self.partial.extend_from_slice(&body);
            } else if self.partial.is_empty() {
                return Ok(Some(body.freeze()));
            } else {
                self.partial.extend_from_slice(&body);
                return Ok(Some(std::mem::take(&mut self.partial).freeze()));
            }
        }
    }

    /// Waits for more bytes. Cancel-safe.
    ///
    /// # Errors
    /// A lost connection.
    pub async fn fill(&mut self) -> Result<()> {
        self.buffer.reserve(BUFFER);
        match self.wire.read_buf(&mut self.buffer).await {
            Ok(0) => Err(Error::connection("the server closed the connection")),
            Ok(_) => Ok(()),
            Err(e) => Err(Error::connection(format!("the connection was lost: {e}"))),
        }
    }

    /// The next packet.
    ///
    /// # Errors
    /// As [`Packets::ready`] and [`Packets::fill`].
    pub async fn receive(&mut self) -> Result<Bytes> {
        loop {
            if let Some(packet) = self.ready()? {
                return Ok(packet);
            }
            self.fill().await?;
        }
    }

    /// Sends one packet.
    ///
    /// # Errors
    /// A lost connection.
    pub async fn send(&mut self, body: &[u8]) -> Result<()> {
        let mut out = Vec::with_capacity(HEADER + body.len());
        let mut chunks = body.chunks(WHOLE).peekable();
        loop {
            let chunk = chunks.next().unwrap_or_default();
            // at most 2^24 - 1
            let length = (chunk.len() as u32).to_le_bytes();
            out.extend_from_slice(length.get(..3).unwrap_or_default());
            out.push(self.sequence);
            out.extend_from_slice(chunk);
            self.sequence = self.sequence.wrapping_add(1);
            if chunk.len() < WHOLE {
                break;
            }
        }
        let lost = |e: std::io::Error| Error::connection(format!("the connection was lost: {e}"));
        self.wire.write_all(&out).await.map_err(lost)?;
        self.wire.flush().await.map_err(lost)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[tokio::test]
    async fn long_packets_are_parted_and_joined() {
        for length in [0, 1, WHOLE - 1, WHOLE, WHOLE + 1, 2 * WHOLE] {
            let (one, other) = tokio::io::duplex(1 << 20);
            let body: Vec<u8> = (0..length).map(|i| (i % 251) as u8).collect();
            let sent = body.clone();
            let sender = tokio::spawn(async move {
                let mut packets = Packets::new(Box::new(one), usize::MAX);
                packets.send(&sent).await.unwrap();
            });
            let mut packets = Packets::new(Box::new(other), 2 * WHOLE);
            assert!(packets.receive().await.unwrap() == body, "{length}");
            sender.await.unwrap();
        }
    }

    #[tokio::test]
    async fn a_packet_out_of_turn_or_too_long_is_refused() {
        for (bytes, most) in [([1, 0, 0, 1, 9], 10), ([11, 0, 0, 0, 9], 10)] {
            let (mut one, other) = tokio::io::duplex(64);
            one.write_all(&bytes).await.unwrap();
            let refused = Packets::new(Box::new(other), most).receive().await;
            assert_eq!(refused.unwrap_err().code, "mysql.protocol");
        }
    }
}
