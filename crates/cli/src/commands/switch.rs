//! `switch`, `rollback`, `complete`, `gates`, `rehearse`.

use crate::args;
use crate::failure::{FAILED, Failure};

/// Sends reads or gives writes to the target.
///
/// # Errors
/// An order that cannot be read.
pub async fn switch(asked: &args::Switch) -> Result<u8, Failure> {
    let _order = match asked {
        args::Switch::Reads(reads) => reads.order()?,
        args::Switch::Writes(writes) => writes.order()?,
    };
    Err(unavailable("switch"))
}

/// Gives authority back to the source.
///
/// # Errors
/// An order that cannot be read.
pub async fn rollback(asked: &args::Rollback) -> Result<u8, Failure> {
    let _order = asked.order()?;
    Err(unavailable("rollback"))
}

/// Ends a migration whose target has authority.
///
/// # Errors
/// It cannot be done.
pub async fn complete(_asked: &args::Complete) -> Result<u8, Failure> {
    Err(unavailable("complete"))
}

/// Shows the gates.
///
/// # Errors
/// They cannot be judged.
pub async fn gates(_asked: &args::Gates) -> Result<u8, Failure> {
    Err(unavailable("gates"))
}

/// Does it all on a copy.
///
/// # Errors
/// It cannot be done.
pub async fn rehearse(_asked: &args::Rehearse) -> Result<u8, Failure> {
    Err(unavailable("rehearse"))
}

fn unavailable(command: &str) -> Failure {
    Failure::new(
        FAILED,
        "switch.unavailable",
        format!("`{command}` is not in this version of crossfade; nothing was done"),
    )
}
