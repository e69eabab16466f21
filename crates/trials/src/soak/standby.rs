//! A receiver of the log that a server's commits wait for, and that hangs now and then: a commit is in the log, and so in
//! the stream, while no reader sees it yet.

use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rand::Rng;
use rustix::process::{Pid, Signal, kill_process};

use super::load::programs;
use crate::database::{Database, Engine};
use crate::patience::{LONG, wait_until};
use crate::postgres::variable;
use crate::seed::generator;
use crate::trial::Trial;

/// The name by which the server knows it.
const NAME: &str = "soak_standby";

/// The receiver, and who stops and wakes it.
pub struct Standby<'a> {
    source: &'a Database,
    child: Child,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<u64>>,
}

impl<'a> Standby<'a> {
    /// Starts the receiver and makes the server of the trial's source wait for it.
    pub fn start(trial: &'a Trial, engine: Engine, seed: u64) -> Self {
        let folder = trial.folder().join("standby");
        std::fs::create_dir(&folder).expect("a folder in the trial's");
        let url = format!("{}?application_name={NAME}", variable(engine.variable()));
        let child = Command::new(programs(engine).join("pg_receivewal"))
            .args([
                "--synchronous",
                "--no-loop",
                "--dbname",
                &url,
                "--directory",
            ])
            .arg(&folder)
            .stdin(Stdio::null())
            .spawn()
            .expect("pg_receivewal can be started");
        let stop = Arc::new(AtomicBool::new(false));
        let mut standby = Self {
            source: &trial.source,
            child,
            stop,
            thread: None,
        };
        standby.wait_for("sync_state = 'async'");
        standby.configure(&format!("SET synchronous_standby_names = '{NAME}'"));
        standby.wait_for("sync_state = 'sync'");
        let (process, stopped) = (Pid::from_child(&standby.child), Arc::clone(&standby.stop));
        standby.thread = Some(thread::spawn(move || hang(process, seed, &stopped)));
        standby
    }

    fn wait_for(&self, state: &str) {
        let sql = format!(
            "SELECT count(*) FROM pg_stat_replication WHERE application_name = '{NAME}' AND {state}"
        );
        wait_until("the standby is connected", LONG, || {
            self.source.number(&sql) == 1
        });
    }

    fn configure(&self, what: &str) {
        // neither may be in a transaction
        self.source.run(&format!("ALTER SYSTEM {what}"));
        self.source.run("SELECT pg_reload_conf()");
    }

    /// Ends it, once the server no longer waits for it; gives how often it hung.
    pub fn stop(mut self) -> u64 {
        self.end()
    }

    fn end(&mut self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        let hung = self.thread.take().and_then(|thread| thread.join().ok());
        if hung.is_some() {
            self.configure("RESET synchronous_standby_names");
        }
        // both fail where it has ended, which is as well
        let _ = self.child.kill();
        let _ = self.child.wait();
        hung.unwrap_or(0)
    }
}

impl Drop for Standby<'_> {
    fn drop(&mut self) {
        self.end();
    }
}

/// Stops the process for a moment, again and again.
fn hang(process: Pid, seed: u64, stop: &AtomicBool) -> u64 {
    let mut random = generator(seed, 99);
    let mut hung = 0;
    while !stop.load(Ordering::Relaxed) {
        thread::sleep(Duration::from_millis(random.random_range(100..1_500)));
        kill_process(process, Signal::STOP).expect("the standby can be stopped");
        thread::sleep(Duration::from_millis(random.random_range(50..1_200)));
        kill_process(process, Signal::CONT).expect("the standby can go on");
        hung += 1;
    }
    hung
}
