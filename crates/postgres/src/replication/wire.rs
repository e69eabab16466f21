//! Messages inside the replication connection's CopyBoth stream (PostgreSQL documentation, "Streaming Replication
//! Protocol"): what the server sends, and the status update that it is answered with.

use bytes::{Buf as _, BufMut, Bytes, BytesMut};

use super::pgoutput::EPOCH_SHIFT_MICROS;

/// A message of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerMessage {
    /// A piece of the stream: one message of the output plugin.
    Data(Bytes),
    /// Where the server is.
    Keepalive {
        /// Everything before was sent.
        end: u64,
        /// The server wants an answer now, or ends the connection.
        reply: bool,
    },
}

const DATA_HEADER: usize = 25;
const KEEPALIVE_LENGTH: usize = 18;

/// Reads the payload of one CopyData; `None` for anything that is not a whole message.
#[must_use]
pub fn parse(mut payload: Bytes) -> Option<ServerMessage> {
    match payload.first()? {
        b'w' if payload.len() >= DATA_HEADER => {
            payload.advance(DATA_HEADER);
            Some(ServerMessage::Data(payload))
        }
        b'k' if payload.len() == KEEPALIVE_LENGTH => Some(ServerMessage::Keepalive {
            end: u64::from_be_bytes(*payload.get(1..9)?.first_chunk()?),
            reply: *payload.get(17)? == 1,
        }),
        _ => None,
    }
}

/// How far the server has read for this stream, as the payload of one CopyData says; 0 where it does not. Both kinds of
/// message begin with it: a change's own place, and what everything before was sent of.
#[must_use]
pub fn place(payload: &[u8]) -> u64 {
    match payload.split_first() {
        Some((b'w' | b'k', rest)) => rest
            .first_chunk()
            .map_or(0, |place| u64::from_be_bytes(*place)),
        _ => 0,
    }
}

/// Appends a message of the output plugin as the server would frame it, but without its places and time, which nobody reads.
pub fn frame_data(message: &[u8], out: &mut BytesMut) {
    out.put_u8(b'd');
    // a message is shorter than 1 GiB
    out.put_u32((4 + DATA_HEADER + message.len()) as u32);
    out.put_u8(b'w');
    out.put_bytes(0, DATA_HEADER - 1);
    out.put_slice(message);
}

/// Appends a keepalive that wants no answer: everything before `end` was sent.
pub fn frame_keepalive(end: u64, out: &mut BytesMut) {
    out.put_u8(b'd');
    out.put_u32(4 + KEEPALIVE_LENGTH as u32);
    out.put_u8(b'k');
    out.put_u64(end);
    out.put_bytes(0, KEEPALIVE_LENGTH - 9);
}

/// Appends a status update, framed as CopyData. `confirmed` is all that the server may forget before; `now` in
/// microseconds since the Unix epoch.
///
/// Write and flush position are the same: a written position ahead of the flushed one would make an idle server keep
/// its end to itself (it sends a keepalive by itself only while both are behind).
pub fn status_update(confirmed: u64, now: i64, reply: bool, out: &mut BytesMut) {
    out.put_u8(b'd');
    out.put_i32(4 + 34);
    out.put_u8(b'r');
    out.put_u64(confirmed);
    out.put_u64(confirmed);
    // nothing is applied as a standby would: never let a synchronous_commit = remote_apply wait end by us
    out.put_u64(0);
    out.put_i64(now.saturating_sub(EPOCH_SHIFT_MICROS));
    out.put_u8(u8::from(reply));
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn both_kinds_are_read() {
        let mut keepalive = vec![b'k'];
        keepalive.extend(77_u64.to_be_bytes());
        keepalive.extend([0; 8]);
        keepalive.push(1);
        assert_eq!(
            parse(keepalive.clone().into()),
            Some(ServerMessage::Keepalive {
                end: 77,
                reply: true
            })
        );
        assert_eq!(place(&keepalive), 77);
        let mut data = vec![b'w'];
        data.extend(78_u64.to_be_bytes());
        data.extend([0; 16]);
        data.extend(b"payload");
        assert_eq!(place(&data), 78);
        assert_eq!(
            parse(data.into()),
            Some(ServerMessage::Data(Bytes::from_static(b"payload")))
        );
    }

    #[test]
    fn what_is_framed_here_is_read_as_what_the_server_frames() {
        let mut out = BytesMut::new();
        frame_data(b"payload", &mut out);
        frame_keepalive(77, &mut out);
        let mut bytes = out.freeze();
        let mut next = || {
            let length = u32::from_be_bytes(*bytes[1..5].first_chunk().unwrap()) as usize;
            let mut frame = bytes.split_to(1 + length);
            frame.advance(5);
            parse(frame)
        };
        assert_eq!(
            next(),
            Some(ServerMessage::Data(Bytes::from_static(b"payload")))
        );
        assert_eq!(
            next(),
            Some(ServerMessage::Keepalive {
                end: 77,
                reply: false
            })
        );
    }

    #[test]
    fn a_status_update_is_laid_out_as_documented() {
        let mut out = BytesMut::new();
        status_update(0x0102, EPOCH_SHIFT_MICROS + 5, true, &mut out);
        let mut expected = vec![b'd', 0, 0, 0, 38, b'r'];
        for _ in 0..2 {
            expected.extend(0x0102_u64.to_be_bytes());
        }
        expected.extend(0_u64.to_be_bytes());
        expected.extend(5_u64.to_be_bytes());
        expected.push(1);
        assert_eq!(out, expected);
    }

    proptest! {
        #[test]
        fn random_bytes_do_no_harm(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            let _ = place(&bytes);
            let _ = parse(bytes.into());
        }
    }
}
