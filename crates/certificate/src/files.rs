//! Files that are whole or not there.

use std::io::{Read as _, Write as _};
use std::path::Path;

use crate::error::CertificateError;

fn unreadable(path: &Path, what: impl ToString) -> CertificateError {
    CertificateError::Unreadable {
        path: path.display().to_string(),
        what: what.to_string(),
    }
}

fn unwritable(path: &Path, what: impl ToString) -> CertificateError {
    CertificateError::Write {
        path: path.display().to_string(),
        what: what.to_string(),
    }
}

/// The folder of a file.
fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Makes a file's name durable.
fn sync_folder(path: &Path) -> std::io::Result<()> {
    std::fs::File::open(folder(path))?.sync_all()
}

/// Reads a file of at most this many bytes.
///
/// # Errors
/// A file that cannot be read or is longer.
pub fn read(path: &Path, longest: u64) -> Result<Vec<u8>, CertificateError> {
    let file = std::fs::File::open(path).map_err(|e| unreadable(path, e))?;
    let mut bytes = Vec::new();
    file.take(longest + 1)
        .read_to_end(&mut bytes)
        .map_err(|e| unreadable(path, e))?;
    if bytes.len() as u64 > longest {
        return Err(unreadable(
            path,
            format!("it is longer than {longest} bytes"),
        ));
    }
    Ok(bytes)
}

fn there(path: &Path) -> CertificateError {
    CertificateError::Exists {
        path: path.display().to_string(),
    }
}

/// A file beside the place of another one, gone when it is dropped.
fn beside(path: &Path) -> Result<tempfile::NamedTempFile, CertificateError> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".certificate-");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        // to be handed out; the umask takes from it
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    builder
        .tempfile_in(folder(path))
        .map_err(|e| unwritable(path, e))
}

/// Whether a file can be made at a place where none is; makes none.
///
/// # Errors
/// A file that is there, a folder that cannot be written.
pub fn is_free(path: &Path) -> Result<(), CertificateError> {
    if path.symlink_metadata().is_ok() {
        return Err(there(path));
    }
    beside(path).map(drop)
}

/// Writes a file beside its place, makes it durable and moves it there; never over one that is there.
///
/// # Errors
/// A file that is there, which stays; a folder that cannot be written, and then nothing is left behind.
pub fn place(path: &Path, bytes: &[u8]) -> Result<(), CertificateError> {
    let mut file = beside(path)?;
    file.write_all(bytes)
        .and_then(|()| file.as_file().sync_all())
        .map_err(|e| unwritable(path, e))?;
    file.persist_noclobber(path)
        .map_err(|e| match e.error.kind() {
            std::io::ErrorKind::AlreadyExists => there(path),
            _ => unwritable(path, e.error),
        })?;
    sync_folder(path).map_err(|e| unwritable(path, e))
}

/// Writes a new file; never over one that is there. `secret`: only its owner can read it.
///
/// # Errors
/// A file that is there, which stays as it is; a folder that cannot be written, and then no file is left.
pub fn create(path: &Path, bytes: &[u8], secret: bool) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(if secret { 0o600 } else { 0o644 });
    }
    #[cfg(not(unix))]
    let _ = secret;
    let mut file = options.open(path)?;
    let written = file
        .write_all(bytes)
        .and_then(|()| file.sync_all())
        .and_then(|()| sync_folder(path));
    if written.is_err() {
        // half a key is none
        let _ = std::fs::remove_file(path);
    }
    written
}
