//! A server of MySQL or MariaDB whose commits wait for its replica when they are in the log already: until the replica answers, a
//! transaction is in the log and no reader sees it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle, sleep};
use std::time::Duration;

use rand::Rng;
use rustix::process::{Pid, Signal, kill_process};

use crate::mysql::Session;
use crate::patience::{LONG, wait_until};
use crate::seed::generator;

/// On the replica and on the server that waits for it, for at most 20 s: far longer than a replica hangs here (MySQL documentation, "Installing Semisynchronous Replication").
const MYSQL: (&[&str], &[&str]) = (
    &[
        "INSTALL PLUGIN rpl_semi_sync_replica SONAME 'semisync_replica.so'",
        "SET GLOBAL rpl_semi_sync_replica_enabled = ON",
    ],
    &[
        "INSTALL PLUGIN rpl_semi_sync_source SONAME 'semisync_source.so'",
        "SET GLOBAL rpl_semi_sync_source_timeout = 20000",
        "SET GLOBAL rpl_semi_sync_source_wait_point = AFTER_SYNC",
        "SET GLOBAL rpl_semi_sync_source_enabled = ON",
    ],
);

const MARIADB: (&[&str], &[&str]) = (
    &["SET GLOBAL rpl_semi_sync_slave_enabled = ON"],
    &[
        "SET GLOBAL rpl_semi_sync_master_timeout = 20000",
        "SET GLOBAL rpl_semi_sync_master_wait_point = AFTER_SYNC",
        "SET GLOBAL rpl_semi_sync_master_enabled = ON",
    ],
);

/// Two servers, by their administrators' URLs.
#[derive(Debug)]
pub struct Pair {
    /// Whose commits wait.
    pub primary: String,
    /// Whom they wait for.
    pub replica: String,
    /// The replica's process.
    pub pid: u32,
    /// The statements by which the replica begins to replicate.
    pub replicate: Vec<String>,
    /// MySQL, and not MariaDB.
    pub is_mysql: bool,
}

/// The replica that a server's commits wait for.
#[derive(Debug)]
pub struct Replica(Pid);

impl Pair {
    /// Begins to replicate, and returns once commits wait.
    ///
    /// # Panics
    /// When a server refuses.
    #[must_use]
    pub fn begin(&self) -> Replica {
        let session = |url: &str| Session::open(url).unwrap_or_else(|error| panic!("{error}"));
        let (mut there, mut here) = (session(&self.replica), session(&self.primary));
        let run = |session: &mut Session, sql: &str| {
            session
                .run(sql)
                .unwrap_or_else(|error| panic!("{sql}: {error}"));
        };
        let (on_replica, on_primary) = if self.is_mysql { MYSQL } else { MARIADB };
        on_replica.iter().for_each(|sql| run(&mut there, sql));
        // a replica that connects to a source without the plugin follows it as any other, for good
        on_primary.iter().for_each(|sql| run(&mut here, sql));
        self.replicate.iter().for_each(|sql| run(&mut there, sql));
        wait_until("commits wait for the replica", LONG, || {
            let waits = here.rows("SHOW STATUS LIKE 'Rpl_semi_sync_%_clients'");
            waits.is_ok_and(|rows| rows[0][1].as_deref() == Some(b"1"))
        });
        let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw);
        Replica(pid.expect("the number of a process"))
    }
}

impl Replica {
    /// It does not answer until what is returned is dropped.
    ///
    /// # Panics
    /// When the process is gone.
    #[must_use]
    pub fn hung(&self) -> Hung {
        Hung::new(self.0)
    }

    /// It hangs for a moment, again and again.
    #[must_use]
    pub fn hanging(&self, seed: u64) -> Hanging {
        let (replica, stop) = (self.0, Arc::new(AtomicBool::new(false)));
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            let mut random = generator(seed, 77);
            let mut times = 0;
            while !stopped.load(Ordering::Relaxed) {
                sleep(Duration::from_millis(random.random_range(50..600)));
                let _hung = Hung::new(replica);
                sleep(Duration::from_millis(random.random_range(50..1_000)));
                times += 1;
            }
            times
        });
        Hanging { stop, thread }
    }
}

/// A replica that does not answer until this is dropped.
#[derive(Debug)]
pub struct Hung(Pid);

impl Hung {
    fn new(replica: Pid) -> Self {
        kill_process(replica, Signal::STOP).expect("the replica can be stopped");
        Self(replica)
    }
}

impl Drop for Hung {
    fn drop(&mut self) {
        let _gone = kill_process(self.0, Signal::CONT);
    }
}

/// A replica that hangs now and then until [`Hanging::stop`].
#[derive(Debug)]
pub struct Hanging {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<u64>,
}

impl Hanging {
    /// Lets it work; gives how often it hung.
    ///
    /// # Panics
    /// When the process had gone.
    #[must_use]
    pub fn stop(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("the replica was there")
    }
}
