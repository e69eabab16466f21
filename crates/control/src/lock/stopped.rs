//! A process that was stopped in the middle of a transaction keeps the control store's own lock with it, and nobody can write any more,
//! not even that it was taken over. Such a lock goes with its process alone.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;

use crossfade_process::Process;

/// Who has the run lock, in its file.
pub(super) fn write_down(mut file: &File) -> std::io::Result<()> {
    let Some(this) = Process::this() else {
        return Ok(());
    };
    let json = serde_json::to_vec(&this).map_err(std::io::Error::other)?;
    file.set_len(0)?;
    file.write_all(&json)
}

/// Ends the process that has the run lock if it is stopped; gives its number.
pub(crate) fn end(lock: &Path) -> Option<u32> {
    let text = std::fs::read(lock).ok()?;
    let process: Process = serde_json::from_slice(&text).ok()?;
    let stopped = Process::is_other_and_stopped;
    (stopped(&process) && process.end_if(stopped)).then(|| process.number())
}
