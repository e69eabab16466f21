//! A synchronous standby that does not answer: commits are in the log, and no reader of the source sees them.

use crossfade_trials::database::Database;
use crossfade_trials::patience::{LONG, wait_until};
use crossfade_trials::postgres::{PostgresDatabase, connect};
use crossfade_trials::{Engine, Trial};
use std::time::Duration;
use tempfile::TempDir;
use xtask::servers::fleet::Fleet;
use xtask::servers::server::{Access, Durability, Spec};
use xtask::servers::version::Version;

const MAKE: &str = "
    CREATE TABLE t (k integer NOT NULL, v text, PRIMARY KEY (k)) PARTITION BY RANGE (k);
    CREATE TABLE t_1 PARTITION OF t FOR VALUES FROM (0) TO (500);
    CREATE TABLE t_2 PARTITION OF t FOR VALUES FROM (500) TO (100000);
    INSERT INTO t SELECT i, 'before' FROM generate_series(1, 900) i;";

/// A server of the test's own, and a session that changes settings of it.
struct Server {
    fleet: Fleet,
    url: String,
}

impl Server {
    fn start() -> Server {
        let installed = xtask::servers::install().unwrap();
        let spec = Spec {
            name: "standby".to_owned(),
            version: Version::V15,
            durability: Durability::Fast,
            access: Access::Trust,
            settings: Vec::new(),
        };
        let fleet = Fleet::start(&installed, &[spec]).unwrap();
        let url = fleet.server("standby").unwrap().url();
        Server { fleet, url }
    }

    /// Commits wait for this standby from now on; for none where it is empty, also those that wait already.
    fn wait_for(&self, standby: &str) {
        let mut client = connect(&self.url, None).unwrap();
        let sql = format!("ALTER SYSTEM SET synchronous_standby_names = '{standby}'");
        client.batch_execute(&sql).unwrap();
        client.batch_execute("SELECT pg_reload_conf()").unwrap();
        wait_until("the setting holds", LONG, || {
            let mut client = connect(&self.url, None).unwrap();
            let row = client.query_one("SHOW synchronous_standby_names", &[]);
            row.unwrap().get::<_, String>(0) == standby
        });
    }
}

/// Leaves a transaction that the log has and readers do not see, applies it, and runs again after `meanwhile`. The standby is
/// given up only once the second run had time to be wrong.
fn seen_late(meanwhile: &str) {
    let server = Server::start();
    let folder = TempDir::with_prefix("crossfade-trial-").unwrap();
    let source = Database::Postgres(PostgresDatabase::create_at(&server.url));
    let target = Database::create(Engine::Pg17, folder.path(), "target");
    let trial = Trial::between(folder, source, target).option("chunk_rows", 100);
    trial.source.run(MAKE);
    trial.follow();
    server.wait_for("missing");
    let url = trial.source.url();
    let hung = std::thread::spawn(move || {
        let mut client = connect(&url, None).unwrap();
        client.batch_execute("UPDATE t SET v = 'late' WHERE k > 800")
    });
    wait_until("the commit waits", LONG, || {
        let waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'";
        trial.source.number(waiting) == 1
    });
    trial.follow();
    let late = "SELECT count(*) FROM t WHERE v = 'late'";
    assert_eq!(
        (trial.target.number(late), trial.source.number(late)),
        (100, 0)
    );
    trial
        .source
        .run(&format!("SET synchronous_commit = local; {meanwhile}"));
    let mut running = trial.start(&["run", "--until", "verified"]);
    for _ in 0..100 {
        if !running.is_running() {
            break;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    server.wait_for("");
    hung.join().unwrap().unwrap();
    running.wait(LONG).expect(0);
    assert_eq!(trial.source.number(late), 100);
    trial.assert_equal();
    drop(trial);
    server.fleet.stop().unwrap();
}

#[test]
fn what_a_run_before_has_applied_is_no_difference_before_readers_see_it() {
    seen_late("SELECT 1");
}

#[test]
fn a_new_copy_has_what_the_old_one_had_before_readers_see_it() {
    seen_late("TRUNCATE t_1");
}
