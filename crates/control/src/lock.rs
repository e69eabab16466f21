//! The run lock: an exclusive lock of the operating system on a file beside the control store. The system frees it when the
//! process that holds it dies, however it dies. One that stands still keeps it, until somebody takes it over: the file is removed then,
//! and the next taker makes a new one.

pub(crate) mod stopped;

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
        for attempt in 0..TRIES {
            let file = open(path)?;
            match file.try_lock() {
                // of a file that was removed meanwhile it is nobody's lock
                Ok(()) if is_there(&file, path)? => {
                    stopped::write_down(&file)?;
                    return Ok(Some(RunLock { _file: file }));
                }
                Ok(()) => continue,
                Err(TryLockError::Error(e)) => return Err(e),
                Err(TryLockError::WouldBlock) if attempt + 1 < TRIES => std::thread::sleep(BETWEEN),
                Err(TryLockError::WouldBlock) => {}
            }
        }
        Ok(None)
    }
}

/// Takes the lock from whoever holds it, without giving it to anybody.
pub(crate) fn remove(path: &Path) -> std::io::Result<()> {
    match std::fs::remove_file(path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(()),
        removed => removed,
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

/// Whether the path still leads to this file.
#[cfg(unix)]
fn is_there(file: &File, path: &Path) -> std::io::Result<bool> {
    use std::os::unix::fs::MetadataExt as _;
    let own = file.metadata()?;
    match std::fs::metadata(path) {
        Ok(there) => Ok((own.dev(), own.ino()) == (there.dev(), there.ino())),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(e) => Err(e),
    }
}

/// An open file cannot be removed on other systems.
#[cfg(not(unix))]
fn is_there(_file: &File, _path: &Path) -> std::io::Result<bool> {
    Ok(true)
}
