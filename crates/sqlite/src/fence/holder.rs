//! Processes that hold a file's write lock: naming them, and ending the one that fired.
//!
//! A file's lock goes with its process and not before, however long it is stopped. Everything here is what Linux tells in `/proc`
//! (proc(5)); elsewhere nothing is known, and nobody is ended.

use std::path::Path;

use crossfade_process::Process;

use crate::conn::Place;

/// The write lock of the write-ahead log: this byte of the `-shm` file (SQLite documentation, "WAL-mode File Format", 2.3.1).
const WAL_WRITE_BYTE: u64 = 120;

/// `RESERVED` in the other journal modes: this byte of the database file (SQLite's os.h, `RESERVED_BYTE`).
const RESERVED_BYTE: u64 = 0x4000_0001;

/// Bounds of a look through `/proc`.
const MOST_PROCESSES: usize = 4096;
const MOST_FILES: usize = 1024;
const MOST_NAMED: usize = 5;

/// Its name, where it is another one that lives.
pub(crate) fn name_if_alive(process: &Process) -> Option<String> {
    process
        .is_other_and_alive()
        .then(|| named(process.number()))
}

/// Ends the process if it holds the file's write lock, is the very one that was written down, and not we. Returns its name.
pub(crate) fn end_if_holding(process: &Process, place: &Place) -> Option<String> {
    if !process.is_other_and_alive() || !lock_holders(place).contains(&process.number()) {
        return None;
    }
    let who = named(process.number());
    process.end_if(Process::is_other_and_alive).then_some(who)
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
}
