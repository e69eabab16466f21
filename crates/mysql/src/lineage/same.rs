//! The same server: its log must be the one that was read before.

use crossfade_store::{ErrorKind, Result, StoreError};

use super::applied::{Applied, Executed};
use crate::connect::Client;

/// The server must know all that was applied.
///
/// # Errors
/// [`ErrorKind::LogLost`] where it does not.
pub(super) async fn knows_all(client: &mut Client, applied: &Applied) -> Result<()> {
    let lacking = Executed::read_logged(client).await?.lacks(applied);
    if lacking.is_empty() {
        return Ok(());
    }
    Err(begun_anew(
        &client.label,
        format!(
            "the server does not know transactions of its own any more that were applied to the target: {}",
            shortened(&lacking)
        ),
    ))
}

/// A log that is not the one that was read.
pub(super) fn begun_anew(label: &str, what: String) -> StoreError {
    StoreError::new(
        ErrorKind::LogLost,
        "mysql.log_begun_anew",
        label,
        format!("{what}. Its log was begun anew (RESET MASTER, RESET BINARY LOGS AND GTIDS), or the server was restored"),
    )
    .fix("Nothing was applied from it. What was changed in between is in no log: `abort` and begin again")
}

/// A list of transactions that a message can hold.
pub(super) fn shortened(list: &str) -> String {
    const MOST: usize = 400;
    match list.char_indices().nth(MOST) {
        Some((end, _)) => format!("{} …", list.get(..end).unwrap_or_default()),
        None => list.to_owned(),
    }
}
