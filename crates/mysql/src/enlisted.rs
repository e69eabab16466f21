//! The sessions that write for a migration. Each holds one of a number of locks by name, which go with their sessions: whoever takes the right
//! to write finds and ends exactly those, with no right but to see and end a user's own (MySQL documentation, "Locking Functions";
//! MariaDB knowledge base, "GET_LOCK").

use crossfade_store::Result;

use crate::connect::Client;
use crate::fence::blockers::kill;
use crate::names::literal;

/// Sessions that can be enlisted at one time. One more writes all the same, and only ends by itself.
const MOST: usize = 128;

/// Names that are tried at once: a session finds a free one at the first try where few write.
const TRIED: usize = 8;

fn names(lock: &str) -> Vec<String> {
    let name = |number| literal(&format!("{lock}.{number}"));
    (0..MOST).map(name).collect()
}

/// Enlists a session for a migration whose right to write has this lock.
///
/// # Errors
/// The connection's.
pub(crate) async fn enlist(client: &mut Client, lock: &str) -> Result<()> {
    for names in names(lock).chunks(TRIED) {
        // the first that is free; those behind it are not tried
        let tries = names.iter().map(|name| format!("GET_LOCK({name}, 0) = 1"));
        let any = tries.collect::<Vec<_>>().join(" OR ");
        let taken = client
            .text_row("setting up the session", &format!("SELECT {any}"))
            .await?;
        if taken.is_some_and(|row| row.is_true(0)) {
            return Ok(());
        }
    }
    tracing::info!("more sessions write than can be enlisted");
    Ok(())
}

/// Ends the sessions that are enlisted, with what they have not committed.
///
/// # Errors
/// The connection's; a session that this user may not end.
pub(crate) async fn end(client: &mut Client, lock: &str) -> Result<()> {
    let holders = names(lock)
        .iter()
        .map(|name| format!("IS_USED_LOCK({name})"))
        .collect::<Vec<_>>()
        .join(", ");
    let row = client
        .text_row(
            "looking for who writes",
            &format!("SELECT CONCAT_WS(' ', {holders})"),
        )
        .await?;
    let found = row.map(|row| row.text(0).to_owned()).unwrap_or_default();
    for connection in found.split(' ').filter_map(|id| id.parse().ok()) {
        tracing::warn!(connection, "ending a session of a run before");
        kill(client, connection).await?;
    }
    Ok(())
}
