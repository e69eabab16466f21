//! Who holds a target: a process names itself in its session, so that a successor can tell a dead one from a living one.
//!
//! A server notices a closed socket at once, but a cut network only after a minute of unanswered probes. Until then the
//! session of a run that is no more seems to hold its target.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use sha2::{Digest as _, Sha256};

use crate::session::Purpose;

/// A process of one machine, from its start to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// The machine since its boot, and the name space of its process numbers.
    place: String,
    number: u32,
    /// When it started, in the kernel's ticks: numbers are used again.
    started: u64,
}

/// What is known of the process that holds a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Life {
    /// It is no more, or has let go of this session: whoever finds it may end the session.
    Ended,
    /// It lives, or nothing shows that it does not.
    PerhapsAlive,
}

impl Process {
    /// This process; `None` where the system does not tell (other systems than Linux).
    #[must_use]
    pub fn this() -> Option<Process> {
        let number = std::process::id();
        Some(Process {
            place: place()?,
            number,
            started: started(number)?,
        })
    }

    /// The session's name, at most 63 bytes.
    #[must_use]
    pub fn session_name(&self) -> String {
        format!(
            "{} {} {} {}",
            Purpose::Tenure.application_name(),
            self.place,
            self.number,
            self.started
        )
    }

    /// Reads a session's name.
    #[must_use]
    pub fn parse(session_name: &str) -> Option<Process> {
        let rest = session_name.strip_prefix(Purpose::Tenure.application_name())?;
        let mut words = rest.strip_prefix(' ')?.split(' ');
        let process = Process {
            place: words.next()?.to_owned(),
            number: words.next()?.parse().ok()?,
            started: words.next()?.parse().ok()?,
        };
        words.next().is_none().then_some(process)
    }

    /// Looks whether this process, which holds the session of server process `backend`, still does.
    #[must_use]
    pub fn life(&self, backend: i32) -> Life {
        let Some(this) = Process::this() else {
            return Life::PerhapsAlive;
        };
        if self.place != this.place {
            return Life::PerhapsAlive;
        }
        let ended = if *self == this {
            !held().contains(&backend)
        } else {
            started(self.number) != Some(self.started)
        };
        if ended {
            Life::Ended
        } else {
            Life::PerhapsAlive
        }
    }
}

/// Server processes of the sessions that this process holds targets by.
static HELD: Mutex<Option<HashSet<i32>>> = Mutex::new(None);

struct Held(MutexGuard<'static, Option<HashSet<i32>>>);

impl Held {
    fn contains(&self, backend: &i32) -> bool {
        self.0.as_ref().is_some_and(|held| held.contains(backend))
    }
}

fn held() -> Held {
    Held(HELD.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Marks a session as held until dropped.
#[derive(Debug)]
pub struct Mark(i32);

impl Mark {
    /// Of the session of this server process.
    #[must_use]
    pub fn new(backend: i32) -> Mark {
        held().0.get_or_insert_default().insert(backend);
        Mark(backend)
    }
}

impl Drop for Mark {
    fn drop(&mut self) {
        if let Some(held) = held().0.as_mut() {
            held.remove(&self.0);
        }
    }
}

fn place() -> Option<String> {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let numbers = std::fs::read_link("/proc/self/ns/pid").ok()?;
    let digest = Sha256::digest(format!("{} {}", boot.trim(), numbers.display()));
    Some(crossfade_model::hex::encode(&digest[..6]))
}

/// The process's start: the 22nd field of its `stat` (proc(5)), counted behind its name, which may hold anything.
fn started(number: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{number}/stat")).ok()?;
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_ascii_whitespace().nth(19)?.parse().ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_session_name_says_whose_it_is() {
        let this = Process::this().unwrap();
        assert!(this.session_name().len() <= 63);
        assert_eq!(Process::parse(&this.session_name()), Some(this));
        for name in [
            "",
            "psql",
            "crossfade:tenure",
            "crossfade:tenure a 1",
            "crossfade:tenure a 1 2 3",
        ] {
            assert_eq!(Process::parse(name), None, "{name}");
        }
    }

    #[test]
    fn only_what_is_known_to_be_over_is_over() {
        let this = Process::this().unwrap();
        let mark = Mark::new(-7);
        assert_eq!(this.life(-7), Life::PerhapsAlive);
        drop(mark);
        assert_eq!(this.life(-7), Life::Ended);
        let parent = std::os::unix::process::parent_id();
        let alive = Process {
            number: parent,
            started: started(parent).unwrap(),
            ..this.clone()
        };
        assert_eq!(alive.life(1), Life::PerhapsAlive);
        let mut reused = alive.clone();
        reused.started += 1;
        assert_eq!(reused.life(1), Life::Ended);
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let number = child.id();
        child.wait().unwrap();
        let gone = Process {
            number,
            started: 1,
            ..this.clone()
        };
        assert_eq!(gone.life(1), Life::Ended);
        let elsewhere = Process {
            place: "elsewhere".into(),
            ..gone
        };
        assert_eq!(elsewhere.life(1), Life::PerhapsAlive);
    }
}
