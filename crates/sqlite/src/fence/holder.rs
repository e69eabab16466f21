//! Processes that hold a file's write lock: naming them, and ending the one that fired.
//!
//! A file's lock goes with its process and not before, however long it is stopped. Everything here is what Linux tells in `/proc`
//! (proc(5)); elsewhere nothing is known, and nobody is ended.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::conn::Place;

/// The write lock of the write-ahead log: this byte of the `-shm` file (SQLite documentation, "WAL-mode File Format", 2.3.1).
const WAL_WRITE_BYTE: u64 = 120;

/// `RESERVED` in the other journal modes: this byte of the database file (SQLite's os.h, `RESERVED_BYTE`).
const RESERVED_BYTE: u64 = 0x4000_0001;

/// Bounds of a look through `/proc`.
const MOST_PROCESSES: usize = 4096;
const MOST_FILES: usize = 1024;
const MOST_NAMED: usize = 5;

/// A process of one machine, from its start to its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Process {
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
    pub fn this() -> Option<Process> {
        let number = std::process::id();
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
        let space = std::fs::read_link("/proc/self/ns/pid").ok()?;
        Some(Process {
            boot: boot.trim().to_owned(),
            space: space.display().to_string(),
            number,
            started: started(number)?,
        })
    }

    /// The same place's process, alive, and not this one.
    fn is_other_and_alive(&self) -> bool {
        Process::this().is_some_and(|this| {
            *self != this
                && self.boot == this.boot
                && self.space == this.space
                && started(self.number) == Some(self.started)
        })
    }

    /// Its name, where it is another one that lives.
    pub fn name_if_alive(&self) -> Option<String> {
        self.is_other_and_alive().then(|| named(self.number))
    }

    /// Ends this process if it holds the file's write lock, is the very one that was written down, and not we. Returns its name.
    pub fn end_if_holding(&self, place: &Place) -> Option<String> {
        if !self.is_other_and_alive() || !lock_holders(place).contains(&self.number) {
            return None;
        }
        let who = named(self.number);
        self.kill().then_some(who)
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
        self.is_other_and_alive() && pidfd_send_signal(&handle, Signal::KILL).is_ok()
    }

    #[cfg(not(target_os = "linux"))]
    fn kill(&self) -> bool {
        false
    }
}

/// The process's start: the 22nd field of its `stat` (proc(5)), counted behind its name, which may hold anything.
fn started(number: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{number}/stat")).ok()?;
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_ascii_whitespace().nth(19)?.parse().ok()
}

/// A process, for people.
fn named(number: u32) -> String {
    if number == std::process::id() {
        return format!("this process ({number})");
    }
    let name = std::fs::read_to_string(format!("/proc/{number}/comm")).unwrap_or_default();
    match name.trim() {
        "" => format!("process {number}"),
        name => format!("process {number} ({name})"),
    }
}

/// The processes that hold the file's write lock, as far as the kernel tells.
fn lock_holders(place: &Place) -> Vec<u32> {
    let locks = std::fs::read_to_string("/proc/locks").unwrap_or_default();
    let database = place.inode();
    let index = inode_of(&place.beside("-shm"));
    let mut out: Vec<u32> = locks
        .lines()
        .filter_map(Lock::parse)
        .filter(|lock| {
            (Some(lock.inode) == index && lock.covers(WAL_WRITE_BYTE))
                || (Some(lock.inode) == database && lock.covers(RESERVED_BYTE))
        })
        .map(|lock| lock.process)
        .collect();
    out.sort_unstable();
    out.dedup();
    out
}

/// A lock for writing that is held, of a line of `/proc/locks` (proc_locks(5)).
struct Lock {
    process: u32,
    inode: u64,
    first: u64,
    last: u64,
}

impl Lock {
    fn parse(line: &str) -> Option<Lock> {
        let mut words = line.split_ascii_whitespace().skip(1);
        // one that waits has an arrow here
        if words.next()? != "POSIX" || words.next().is_none() || words.next()? != "WRITE" {
            return None;
        }
        let process = words.next()?.parse().ok()?;
        let inode = words.next()?.rsplit(':').next()?.parse().ok()?;
        let first = words.next()?.parse().ok()?;
        let last = match words.next()? {
            "EOF" => u64::MAX,
            last => last.parse().ok()?,
        };
        Some(Lock {
            process,
            inode,
            first,
            last,
        })
    }

    fn covers(&self, byte: u64) -> bool {
        (self.first..=self.last).contains(&byte)
    }
}

fn inode_of(path: &Path) -> Option<u64> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        std::fs::metadata(path).ok().map(|m| m.ino())
    }
    #[cfg(not(unix))]
    {
        let _ = path;
        None
    }
}

/// Other processes that have the file open, as far as this user may see.
fn openers(place: &Place) -> Vec<u32> {
    let Ok(processes) = std::fs::read_dir("/proc") else {
        return Vec::new();
    };
    processes
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok())
        .take(MOST_PROCESSES)
        .filter(|number| *number != std::process::id())
        .filter(|number| {
            std::fs::read_dir(format!("/proc/{number}/fd")).is_ok_and(|files| {
                files
                    .take(MOST_FILES)
                    .filter_map(|file| std::fs::read_link(file.ok()?.path()).ok())
                    .any(|path| *path == *place.path)
            })
        })
        .take(MOST_NAMED)
        .collect()
}

/// Who holds the write lock, in words, one each.
pub(crate) fn holders_named(place: &Place) -> Vec<String> {
    lock_holders(place)
        .into_iter()
        .take(MOST_NAMED)
        .map(named)
        .collect()
}

/// Who holds the write lock, in words; where that is not told, who has the file open.
pub(crate) fn in_the_way(place: &Place) -> String {
    let holders = holders_named(place);
    if !holders.is_empty() {
        return format!("{} holds the write lock", holders.join(", "));
    }
    format!("somebody holds the write lock; {}", open_in(place))
}

/// Which other processes have the file open, in words.
pub(crate) fn open_in(place: &Place) -> String {
    let openers: Vec<String> = openers(place).into_iter().map(named).collect();
    if openers.is_empty() {
        "which processes have the file open is not told".to_owned()
    } else {
        format!("the file is open in {}", openers.join(", "))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn locks_are_read_as_the_kernel_writes_them() {
        let lock = Lock::parse("12: POSIX  ADVISORY  WRITE 4711 fe:01:123456 120 120").unwrap();
        assert_eq!((lock.process, lock.inode), (4711, 123_456));
        assert!(lock.covers(WAL_WRITE_BYTE) && !lock.covers(121));
        let whole = Lock::parse("1: POSIX  ADVISORY  WRITE 1 00:35:7 1073741824 EOF").unwrap();
        assert!(whole.covers(RESERVED_BYTE));
        for line in [
            "",
            "12: -> POSIX  ADVISORY  WRITE 4711 fe:01:123456 120 120",
            "12: POSIX  ADVISORY  READ  4711 fe:01:123456 120 120",
            "12: FLOCK  ADVISORY  WRITE 4711 fe:01:123456 0 EOF",
            "12: POSIX  ADVISORY  WRITE -1 fe:01:123456 0 EOF",
            "12: POSIX  ADVISORY  WRITE 4711",
        ] {
            assert!(Lock::parse(line).is_none(), "{line}");
        }
    }

    #[test]
    fn a_process_is_known_by_its_start() {
        let Some(this) = Process::this() else { return };
        assert!(!this.is_other_and_alive(), "never ourselves");
        let mut later = this.clone();
        later.started += 1;
        assert!(!later.is_other_and_alive(), "the number was used again");
    }
}
