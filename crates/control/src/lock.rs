//! The run lock: an exclusive lock of the operating system on a file beside the control store. The system frees it when the
//! process that holds it dies, however it dies.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A held lock. Dropping it frees it.
#[derive(Debug)]
pub(crate) struct RunLock {
    _file: File,
}

/// The lock's file of a control store.
pub(crate) fn path_beside(control: &Path) -> PathBuf {
    let mut name = control.as_os_str().to_owned();
    name.push(".lock");
    PathBuf::from(name)
}

/// How often and how far apart a taker tries: [`is_held`] of another process takes the lock for a moment.
const TRIES: u32 = 10;
const BETWEEN: Duration = Duration::from_millis(20);

impl RunLock {
    /// Takes the lock, or `None` where another living process has it. Waits up to 200 ms.
    pub(crate) fn take(path: &Path) -> std::io::Result<Option<RunLock>> {
        let file = open(path)?;
        for attempt in 0..TRIES {
            match file.try_lock() {
                Ok(()) => return Ok(Some(RunLock { _file: file })),
                Err(TryLockError::Error(e)) => return Err(e),
                Err(TryLockError::WouldBlock) if attempt + 1 < TRIES => std::thread::sleep(BETWEEN),
                Err(TryLockError::WouldBlock) => {}
            }
        }
        Ok(None)
    }
}

/// True where a living process holds the lock.
pub(crate) fn is_held(path: &Path) -> std::io::Result<bool> {
    // a shared lock: two that look do not see each other
    match File::open(path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(e) => Err(e),
        Ok(file) => match file.try_lock_shared() {
            Ok(()) => Ok(false),
            Err(TryLockError::WouldBlock) => Ok(true),
            Err(TryLockError::Error(e)) => Err(e),
        },
    }
}

fn open(path: &Path) -> std::io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
}
