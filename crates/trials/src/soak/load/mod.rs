//! Applications that write as fast as they can.

mod hot;

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use crate::database::{Database, Engine};
use crate::patience::{LONG, wait_for};
use crate::postgres::{describe, variable};
use crate::shop::{self, Tables};
use crate::trial::Trial;
use crate::workload::{Options, Writers};
pub use hot::HotRows;

/// Rows of pgbench's history after which it is emptied, so that long runs do not end with one big table.
const MOST_HISTORY: i64 = 100_000;

/// The folder of PostgreSQL's programs of a server's version.
pub fn programs(engine: Engine) -> PathBuf {
    let name = engine.variable().replace("_TEST_", "_SERVER_");
    PathBuf::from(variable(&format!("{name}_BIN")))
}

/// pgbench at full speed.
pub struct Pgbench<'a> {
    source: &'a Database,
    child: Child,
}

impl<'a> Pgbench<'a> {
    /// pgbench's smallest database, made by itself.
    pub fn make_tables(source: &Database) {
        let mut command = Command::new(programs(Engine::Pg15).join("pgbench"));
        command.args(["-i", "-q", "-s", "1"]).arg(source.url());
        let output = command.output().expect("pgbench can be started");
        assert!(
            output.status.success(),
            "pgbench: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        source.run("ALTER TABLE pgbench_history REPLICA IDENTITY FULL");
    }

    /// Starts four sessions.
    pub fn start(source: &'a Database, engine: Engine) -> Self {
        let mut command = Command::new(programs(engine).join("pgbench"));
        let child = command
            .args(["-n", "-c", "4", "-j", "1", "-T", "1000000"])
            .arg(source.url())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::inherit())
            .spawn()
            .expect("pgbench can be started");
        Self { source, child }
    }

    /// Checks that it works, and empties the history where that has become long.
    pub fn between_rounds(&mut self) {
        let ended = self.child.try_wait().expect("a child can be asked");
        assert!(ended.is_none(), "pgbench has ended: {ended:?}");
        if self.source.number("SELECT count(*) FROM pgbench_history") < MOST_HISTORY {
            return;
        }
        let mut client = self.source.postgres().client();
        // a reader of the table must not hold up the writers behind this
        let emptied = client
            .batch_execute("SET lock_timeout = '2s'")
            .and_then(|()| client.batch_execute("TRUNCATE pgbench_history"));
        if let Err(error) = emptied {
            println!("the history is not emptied this time: {}", describe(&error));
        }
    }

    /// Ends it; gives the transactions that it has made: each updates one branch.
    ///
    /// # Panics
    /// When it has made none.
    pub fn stop(mut self) -> u64 {
        self.end();
        let made = "SELECT n_tup_upd FROM pg_stat_user_tables WHERE relname = 'pgbench_branches'";
        // a session's counts are added up when it ends
        wait_for("pgbench's transactions are counted", LONG, || {
            let made = u64::try_from(self.source.number(made)).ok();
            made.filter(|made| *made > 0)
        })
    }

    fn end(&mut self) {
        // both fail where it has ended, which is as well
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Pgbench<'_> {
    fn drop(&mut self) {
        self.end();
    }
}

/// The shop's writer on SQLite.
pub struct Shop(Writers);

impl Shop {
    const ROWS: u32 = 3_000;

    /// The tables and first rows.
    pub fn make_tables(source: &Database, seed: u64) {
        shop::make(source, Tables::Common, Self::ROWS, seed);
    }

    /// Starts it.
    pub fn start(trial: &Trial, seed: u64) -> Self {
        Self(trial.writers(Options::new(Tables::Common, Self::ROWS), seed))
    }

    /// Ends it; gives the transactions that it has made.
    pub fn stop(self) -> u64 {
        self.0.stop().done
    }
}
