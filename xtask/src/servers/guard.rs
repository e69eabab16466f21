//! A small process that outlives this one: if this one dies in whatever way (a panic, Ctrl-C, a kill
//! that cannot be caught), its end of a pipe closes and the guard stops the servers left behind.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::failure::{Context, Result};

/// Only servers whose own command line names the folder are stopped: a stale lock file's number
/// may belong to another process by now. Two rounds, because one may just have been starting.
const SCRIPT: &str = r#"
trap '' INT TERM HUP QUIT
folder=$1
if read -r word; then exit 0; fi
ours() { grep -aqF "$folder/" "/proc/$1/cmdline" 2>/dev/null; }
for round in 1 2; do
    for lock in "$folder"/*/data/postmaster.pid "$folder"/*/data/mysqld.pid; do
        [ -r "$lock" ] || continue
        read -r pid <"$lock" || continue
        ours "$pid" || continue
        kill -QUIT "$pid"
        tries=100
        while ours "$pid" && [ "$tries" -gt 0 ]; do sleep 0.1; tries=$((tries - 1)); done
        if ours "$pid"; then kill -KILL "$pid"; fi
    done
    sleep 1
done
rm -rf "$folder"
"#;

/// The guard of one folder of servers.
#[derive(Debug)]
pub struct Guard {
    process: Child,
}

impl Guard {
    /// Starts guarding `folder`.
    ///
    /// # Errors
    /// When the process cannot be started.
    pub fn watch(folder: &Path) -> Result<Self> {
        let process = Command::new("sh")
            .args(["-c", SCRIPT, "crossfade-servers-guard"])
            .arg(folder)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // Out of the terminal's group: Ctrl-C must not end the guard before its work.
            .process_group(0)
            .spawn()
            .context(|| "cannot start the servers' guard")?;
        Ok(Self { process })
    }

    /// Ends the guard without touching the servers.
    pub fn dismiss(mut self) {
        if let Some(mut pipe) = self.process.stdin.take() {
            // If the guard is gone already there is nothing left to dismiss.
            let _ = pipe.write_all(b"dismissed\n");
        }
        let _ = self.process.wait();
    }

    /// Lets the guard do its work now, as if this process had died, and waits for it.
    pub fn release(mut self) {
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}
