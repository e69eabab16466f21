//! Choosing TCP ports for servers.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::failure::{Failure, Result};

/// Below the range that the system takes for outgoing connections: while a server is down between two
/// starts, no client of another server can sit on its port.
const FIRST: u16 = 20_000;
const COUNT: u16 = 10_000;

static NEXT: AtomicU16 = AtomicU16::new(0);

/// A port on which nobody listens now, never the same twice in one process.
///
/// # Errors
/// When all of the range is taken.
pub fn free() -> Result<u16> {
    // Processes begin at different places, so that two started together seldom try the same port.
    let nanoseconds = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |time| time.subsec_nanos());
    let begin = u16::try_from((nanoseconds / 1000) % u32::from(COUNT)).unwrap_or(0);
    let _ = NEXT.compare_exchange(0, begin, Ordering::Relaxed, Ordering::Relaxed);
    for _ in 0..COUNT {
        let port = FIRST + NEXT.fetch_add(1, Ordering::Relaxed) % COUNT;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(port);
        }
    }
    Err(Failure::new(format!("no free port from {FIRST} on")))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn ports_differ_and_can_be_listened_on() {
        let ports: Vec<u16> = (0..20).map(|_| free().expect("a port")).collect();
        let listeners: Vec<TcpListener> = ports
            .iter()
            .map(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).expect("free"))
            .collect();
        assert_eq!(listeners.len(), 20);
        assert!(
            ports
                .iter()
                .all(|port| (FIRST..FIRST + COUNT).contains(port))
        );
    }
}
