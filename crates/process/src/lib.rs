//! A process as it is written down beside what it holds: found again whatever became of its number, and ended as that very one or not at all.
//!
//! Everything here is what Linux tells in `/proc` (proc(5)); elsewhere nothing is known, and nobody is ended.

use serde::{Deserialize, Serialize};

/// A process of one machine, from its start to its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// The machine since its boot.
    boot: String,
    /// The name space of its process numbers.
    space: String,
    number: u32,
    /// When it started, in the kernel's ticks: numbers are used again.
    started: u64,
}

impl Process {
    /// This process; `None` where the system does not tell.
    #[must_use]
    pub fn this() -> Option<Process> {
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

    /// Its number, while it lives.
    #[must_use]
    pub fn number(&self) -> u32 {
        self.number
    }

    /// The same place's process, alive, and not this one.
    #[must_use]
    pub fn is_other_and_alive(&self) -> bool {
        self.state().is_some()
    }

    /// As [`Process::is_other_and_alive`], and it is stopped.
    #[must_use]
    pub fn is_other_and_stopped(&self) -> bool {
        self.state() == Some('T')
    }

    /// The state of the very one that was written down, where it lives and is not we.
    fn state(&self) -> Option<char> {
        let this = Process::this()?;
        let elsewhere = self.boot != this.boot || self.space != this.space;
        if elsewhere || *self == this {
            return None;
        }
        let (state, started) = stat(self.number)?;
        (started == self.started).then_some(state)
    }

    /// Ends it if the condition holds, which must say no of a process that is another one. By a handle of the process: between the look and the
    /// signal its number may pass to another.
    #[cfg(target_os = "linux")]
    #[must_use]
    pub fn end_if(&self, condition: impl FnOnce(&Process) -> bool) -> bool {
        use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
        let number = i32::try_from(self.number).ok().and_then(Pid::from_raw);
        let Some(handle) = number.and_then(|n| pidfd_open(n, PidfdFlags::empty()).ok()) else {
            return false;
        };
        // the handle's process, if it is still this one now
        condition(self) && pidfd_send_signal(&handle, Signal::KILL).is_ok()
    }

    /// Nobody is ended where nothing is known.
    #[cfg(not(target_os = "linux"))]
    #[must_use]
    pub fn end_if(&self, _condition: impl FnOnce(&Process) -> bool) -> bool {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_known_by_its_start() {
        let Some(this) = Process::this() else { return };
        assert!(!this.is_other_and_alive(), "never ourselves");
        let mut later = this.clone();
        later.started += 1;
        assert!(!later.is_other_and_alive(), "the number was used again");
    }
}
