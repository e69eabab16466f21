//! The folder that unpacked servers are kept in from one run to the next.

use std::env;
use std::fs::{self, File};
use std::path::PathBuf;

use super::account::Account;
use crate::failure::{Context, Failure, Result};

const FOLDER: &str = "crossfade-servers";

/// Where root keeps servers if its own cache is closed to the account that runs them.
const SYSTEM_CACHES: &str = "/var/cache";

/// The cache folder: `$XDG_CACHE_HOME` or `~/.cache`, except where the servers' account cannot enter
/// it (a root's home usually is closed): then the system's own caches.
///
/// # Errors
/// When neither variable is set.
pub fn folder(account: &Account) -> Result<PathBuf> {
    let own = env::var_os("XDG_CACHE_HOME")
        .filter(|value| !value.is_empty())
        .map(PathBuf::from)
        .or_else(|| env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache")))
        .ok_or_else(|| {
            Failure::new("neither XDG_CACHE_HOME nor HOME is set: no place for the servers")
        })?
        .join(FOLDER);
    if account.can_enter(&own) {
        Ok(own)
    } else {
        Ok(PathBuf::from(SYSTEM_CACHES).join(FOLDER))
    }
}

/// Makes the cache folder and waits until no other process installs into it. The lock ends with
/// the returned file.
///
/// # Errors
/// When the folder or its lock cannot be made.
pub fn lock(cache: &PathBuf) -> Result<File> {
    fs::create_dir_all(cache).context(|| format!("cannot make {}", cache.display()))?;
    let path = cache.join("install.lock");
    let file = File::create(&path).context(|| format!("cannot open {}", path.display()))?;
    file.lock()
        .context(|| format!("cannot lock {}", path.display()))?;
    Ok(file)
}
