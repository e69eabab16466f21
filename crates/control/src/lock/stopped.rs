//! A process that was stopped in the middle of a transaction keeps the control store's own lock with it, and nobody can write any more,
//! not even that it was taken over. Such a lock goes with its process alone.
//!
//! Everything here is what Linux tells in `/proc` (proc(5)); elsewhere nothing is known, and nobody is ended.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;

use serde::{Deserialize, Serialize};

/// A process of one machine, from its start to its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Process {
    /// The machine since its boot.
    boot: String,
    /// The name space of its process numbers.
    space: String,
    number: u32,
    /// When it started, in the kernel's ticks: numbers are used again.
    started: u64,
}

impl Process {
    fn this() -> Option<Process> {
        let number = std::process::id();
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
        let space = std::fs::read_link("/proc/self/ns/pid").ok()?;
        Some(Process {
            boot: boot.trim().to_owned(),
            space: space.display().to_string(),
            number,
            started: stat(number)?.1,
        })
    }

    /// This very process, and it is stopped.
    fn is_stopped(&self) -> bool {
        Process::this().is_some_and(|this| {
            *self != this
                && self.boot == this.boot
                && self.space == this.space
                && stat(self.number) == Some(('T', self.started))
        })
    }

    /// By a handle of the process: between the look and the signal its number may pass to another one.
    #[cfg(target_os = "linux")]
    fn kill(&self) -> bool {
        use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
        let number = i32::try_from(self.number).ok().and_then(Pid::from_raw);
        let Some(handle) = number.and_then(|n| pidfd_open(n, PidfdFlags::empty()).ok()) else {
            return false;
        };
        // the handle's process, if it is still this one now
        self.is_stopped() && pidfd_send_signal(&handle, Signal::KILL).is_ok()
    }

    #[cfg(not(target_os = "linux"))]
    fn kill(&self) -> bool {
        false
    }
}

/// The process's state and its start: the 3rd and the 22nd field of its `stat`, counted behind its name, which may hold anything.
fn stat(number: u32) -> Option<(char, u64)> {
    let stat = std::fs::read_to_string(format!("/proc/{number}/stat")).ok()?;
    let (_, fields) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = fields.split_ascii_whitespace().collect();
    let state = fields.first()?.chars().next()?;
    Some((state, fields.get(19)?.parse().ok()?))
}

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
    (process.is_stopped() && process.kill()).then_some(process.number)
}
