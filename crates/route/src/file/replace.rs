//! Replacing a file as a whole, and keeping two programs from doing it at once.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long to wait for another program that holds the lock.
const PATIENCE: Duration = Duration::from_secs(5);

/// A new content that lies beside the file, durable, and is not the file yet.
pub(crate) struct Staged {
    temporary: PathBuf,
    file: PathBuf,
}

impl Staged {
    /// Writes the content beside the file and makes it durable. Owner and mode are those of the file that will be replaced; a new file gets
    /// `mode`. To be called under [`lock`]: the temporary file's name is always the same, so that crashes leave one at most.
    pub(crate) fn prepare(file: &Path, content: &[u8], mode: u32) -> io::Result<Staged> {
        let temporary = beside(file, ".crossfade-new");
        let before = match fs::metadata(file) {
            Ok(found) => Some(found),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        match fs::remove_file(&temporary) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        // closed to others until it has its owner: the content may be one that not all may read
        let mut new = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&temporary)?;
        new.write_all(content)?;
        if let Some(before) = &before {
            let made = new.metadata()?;
            if (made.uid(), made.gid()) != (before.uid(), before.gid()) {
                fchown(&new, Some(before.uid()), Some(before.gid()))?;
            }
        }
        let mode = before.map_or(mode, |before| before.mode() & 0o7777);
        new.set_permissions(fs::Permissions::from_mode(mode))?;
        new.sync_all()?;
        Ok(Staged {
            temporary,
            file: file.to_path_buf(),
        })
    }

    /// Makes it the file, durably.
    pub(crate) fn publish(self) -> io::Result<()> {
        fs::rename(&self.temporary, &self.file)?;
        File::open(folder(&self.file))?.sync_all()
    }

    /// Where the new content lies.
    #[cfg(test)]
    pub(crate) fn temporary_file(&self) -> &Path {
        &self.temporary
    }

    /// Leaves the file as it is.
    pub(crate) fn discard(self) -> io::Result<()> {
        fs::remove_file(&self.temporary)
    }
}

/// Takes the lock that all programs take that replace this file; let go when dropped, also by a crash. The lock's file stays.
pub(crate) fn lock(file: &Path) -> io::Result<File> {
    let path = beside(file, ".crossfade-lock");
    let lock = OpenOptions::new()
        .create(true)
        .append(true)
        .read(true)
        .open(path)?;
    let end = Instant::now() + PATIENCE;
    loop {
        match lock.try_lock() {
            Ok(()) => return Ok(lock),
            Err(TryLockError::Error(error)) => return Err(error),
            Err(TryLockError::WouldBlock) if Instant::now() >= end => {
                return Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    "another program holds its lock",
                ));
            }
            Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}

/// `name` with a dot before and something after it, in the same folder.
pub(crate) fn beside(file: &Path, after: &str) -> PathBuf {
    let mut name = std::ffi::OsString::from(".");
    name.push(file.file_name().unwrap_or_default());
    name.push(after);
    folder(file).join(name)
}

pub(crate) fn folder(file: &Path) -> &Path {
    match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}
