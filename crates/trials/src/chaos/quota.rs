//! A small file system whose free space can be taken away and given back.

use std::fs::File;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// Its size in megabytes: ample for a trial's target.
const MEGABYTES: u32 = 200;

/// A mounted file system in memory; unmounted with this value.
#[derive(Debug)]
pub struct SmallDisk {
    folder: Option<TempDir>,
}

impl SmallDisk {
    /// Mounts one, owned by whoever owns `like`; says why not where the machine does not permit it.
    ///
    /// # Errors
    /// Why it cannot be mounted.
    pub fn mount(like: &Path) -> Result<Self, String> {
        let folder = TempDir::with_prefix_in("crossfade-disk-", "/var/tmp")
            .map_err(|error| error.to_string())?;
        let owner = std::fs::metadata(like).map_err(|error| error.to_string())?;
        let options = format!(
            "size={MEGABYTES}m,mode=0700,uid={},gid={}",
            owner.uid(),
            owner.gid()
        );
        as_root(
            &["mount", "-t", "tmpfs", "-o", &options, "crossfade-disk"],
            folder.path(),
        )?;
        Ok(Self {
            folder: Some(folder),
        })
    }

    /// Where it is.
    ///
    /// # Panics
    /// Never: the folder goes with the disk.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.folder.as_ref().expect("there until dropped").path()
    }

    fn ballast(&self) -> PathBuf {
        self.path().join("ballast")
    }

    /// Takes all free space.
    ///
    /// # Panics
    /// When it fails in another way than by lack of space.
    pub fn fill(&self) {
        let mut file = File::create(self.ballast()).expect("a file can be made");
        let block = vec![0_u8; 1 << 16];
        for size in [block.len(), 4096] {
            loop {
                match file.write_all(&block[..size]) {
                    Ok(()) => {}
                    Err(error) if error.kind() == ErrorKind::StorageFull => break,
                    Err(error) => panic!("filling a disk: {error}"),
                }
            }
        }
    }

    /// Gives the space back.
    pub fn free(&self) {
        // not there where it was never filled
        let _ = std::fs::remove_file(self.ballast());
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        self.free();
        if let Err(error) = as_root(&["umount"], self.path()) {
            eprintln!("{error}");
            // what is mounted must not be removed file by file
            let left = self.folder.take().map(TempDir::keep);
            eprintln!("still mounted: {left:?}");
        }
    }
}

/// Runs a command on a folder, by sudo where this is not root.
fn as_root(words: &[&str], folder: &Path) -> Result<(), String> {
    let is_root = std::fs::metadata("/proc/self").is_ok_and(|me| me.uid() == 0);
    let mut command = if is_root {
        Command::new(words[0])
    } else {
        let mut sudo = Command::new("sudo");
        sudo.args(["-n", words[0]]);
        sudo
    };
    let output = command
        .args(&words[1..])
        .arg(folder)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("{}: {error}", words[0]))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(format!("{}: {}", words[0], said.trim()))
}
