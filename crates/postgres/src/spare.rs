//! Connections that a finished piece of work left in order, kept a moment for the next piece: a new connection costs the
//! server a process, and that process its caches of the catalog.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::connect::Client;

/// How long a connection is kept. Short: a firewall that forgets idle connections takes minutes, and a role may have few.
const KEPT_FOR: Duration = Duration::from_secs(5);

/// Connections kept at once.
const MOST: usize = 8;

/// The kept connections. None has a transaction open, nor settings that differ from a new one's but for its purpose.
#[derive(Debug, Default)]
pub struct Spares(Mutex<Vec<(Instant, Client)>>);

impl Spares {
    fn lock(&self) -> MutexGuard<'_, Vec<(Instant, Client)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a connection; it is closed where many are kept already, and when its time is over.
    pub fn put(self: &Arc<Self>, client: Client) {
        {
            let mut kept = self.lock();
            if client.is_closed() || kept.len() >= MOST {
                return;
            }
            kept.push((Instant::now(), client));
        }
        let spares = Arc::downgrade(self);
        tokio::spawn(async move {
            tokio::time::sleep(KEPT_FOR).await;
            if let Some(spares) = spares.upgrade() {
                spares
                    .lock()
                    .retain(|(since, _)| since.elapsed() < KEPT_FOR);
            }
        });
    }

    /// The connection that was kept last: its server process has the freshest caches.
    pub fn take(&self) -> Option<Client> {
        let mut kept = self.lock();
        kept.retain(|(since, client)| since.elapsed() < KEPT_FOR && !client.is_closed());
        kept.pop().map(|(_, client)| client)
    }
}
