//! Commits that wait for a replica which answers late or not at all: transactions are in the log before readers see them. No row is lost
//! by a snapshot that does not see what the log has shown, and no comparison finds a difference that is none.

use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use crossfade_trials::database::Database;
use crossfade_trials::mysql::{MysqlDatabase, Session};
use crossfade_trials::patience::LONG;
use crossfade_trials::seed::seed;
use crossfade_trials::semi_sync::{Pair, Replica};
use crossfade_trials::shop::{self, Tables};
use crossfade_trials::workload::Options;
use crossfade_trials::{Engine, Trial};
use tempfile::TempDir;
use xtask::servers::flavor::Flavor;
use xtask::servers::fleet::Fleet;

/// A source whose commits wait for its replica, after they are in the log.
struct Scene {
    trial: Option<Trial>,
    fleet: Fleet,
    replica: Replica,
}

impl Scene {
    fn begin(flavor: Flavor) -> Scene {
        let installed = xtask::servers::install().unwrap();
        xtask::servers::install_mysql(&installed).unwrap();
        let mut fleet = Fleet::start(&installed, &[]).unwrap();
        // small files: a new one is begun by many a commit
        let small = "--max-binlog-size=16384";
        for (name, number) in [("primary", 1), ("replica", 2)] {
            fleet
                .add_further_mysql(&installed, flavor, (name, number), &[small])
                .unwrap();
        }
        let (primary, replica) = (&fleet.mysql()[0], &fleet.mysql()[1]);
        let pair = Pair {
            primary: primary.url(),
            replica: replica.url(),
            pid: replica.pid().unwrap(),
            replicate: replica.replicate(primary),
            is_mysql: flavor.is_mysql(),
        };
        let replica = pair.begin();
        let folder = TempDir::with_prefix("crossfade-trial-").unwrap();
        let source = Database::Mysql(MysqlDatabase::create_at(pair.primary));
        let target = Database::create(Engine::Sqlite, folder.path(), "target");
        Scene {
            trial: Some(Trial::between(folder, source, target)),
            fleet,
            replica,
        }
    }

    fn trial(&self) -> &Trial {
        self.trial.as_ref().unwrap()
    }

    fn end(mut self) {
        drop(self.trial.take());
        self.fleet.stop().unwrap();
    }
}

/// The commit that makes the server begin a new file of its log is in the old one, and readers do not see it.
fn a_commit_at_a_files_end(flavor: Flavor) {
    let scene = Scene::begin(flavor);
    let trial = scene.trial();
    let source = &trial.source;
    source.run("CREATE TABLE t (id integer PRIMARY KEY, a longtext)");
    source.run("INSERT INTO t VALUES (1, 'one')");
    trial.die_at("capture.recorded", 1);
    let hung = scene.replica.hung();
    let url = source.url();
    let writer = thread::spawn(move || {
        let mut session = Session::open(&url).unwrap();
        session
            .run("INSERT INTO t VALUES (2, REPEAT('x', 20000))")
            .unwrap();
    });
    let status = match flavor.is_mysql() {
        true => "SHOW BINARY LOG STATUS",
        false => "SHOW MASTER STATUS",
    };
    let Database::Mysql(mysql) = source else {
        unreachable!("the source is no file")
    };
    let file = |session: &mut Session| session.rows(status).unwrap()[0][0].clone();
    let mut session = mysql.session();
    sleep(Duration::from_secs(1));
    let at = file(&mut session);
    assert!(!writer.is_finished(), "the commit does not wait");
    assert_eq!(mysql.rows("SELECT id FROM t").len(), 1, "readers see it");
    let running = trial.start(&["run", "--until", "followed"]);
    sleep(Duration::from_secs(4));
    eprintln!("the log's file: {:?}", at.map(String::from_utf8));
    drop(hung);
    writer.join().unwrap();
    running.wait(LONG).expect(0);
    trial.assert_equal();
    scene.end();
}

#[test]
fn mysql_loses_no_commit_at_the_end_of_a_log_file() {
    a_commit_at_a_files_end(Flavor::Mysql97);
}

#[test]
fn mariadb_1011_loses_no_commit_at_the_end_of_a_log_file() {
    a_commit_at_a_files_end(Flavor::Mariadb1011);
}

#[test]
fn mariadb_118_loses_no_commit_at_the_end_of_a_log_file() {
    a_commit_at_a_files_end(Flavor::Mariadb118);
}

/// Copied, followed and compared while the replica hangs and writers write.
fn nothing_is_lost_behind_a_replica_that_hangs(what: &str, flavor: Flavor) {
    let scene = Scene::begin(flavor);
    let trial = scene.trial();
    let seed = seed(what);
    shop::make(&trial.source, Tables::Common, 1_000, seed);
    let hanging = scene.replica.hanging(seed);
    let writers = trial.writers(
        Options {
            big: 300,
            ..Options::new(Tables::Common, 1_000)
        },
        seed,
    );
    let running = trial.following(&[]);
    let (mut equal, mut busy) = (0, 0);
    let until = Instant::now() + Duration::from_secs(20);
    while Instant::now() < until || equal == 0 {
        let outcome = trial.call(&["verify", "--json"]);
        match outcome.code {
            Some(0) => equal += 1,
            Some(2) => panic!("a false alarm:\n{}", outcome.text()),
            _ => busy += 1,
        }
        assert!(
            Instant::now() < until + LONG,
            "no comparison came to its end"
        );
    }
    let hung = hanging.stop();
    let work = writers.stop();
    running.interrupt();
    running.wait(LONG).expect(0);
    eprintln!(
        "{} transactions, {hung} hangs, {equal} comparisons, {busy} without an end",
        work.done
    );
    // a server that believes a session to wait for its replica is believed: while it is idle, only its next commit shows where it is
    trial
        .source
        .run("UPDATE counters SET n = n + 1 WHERE id = 1");
    trial.verify();
    trial.assert_equal();
    scene.end();
}

#[test]
fn mysql_loses_nothing_behind_a_replica_that_hangs() {
    nothing_is_lost_behind_a_replica_that_hangs("MySQL, hanging", Flavor::Mysql97);
}

#[test]
fn mariadb_1011_loses_nothing_behind_a_replica_that_hangs() {
    nothing_is_lost_behind_a_replica_that_hangs("10.11, hanging", Flavor::Mariadb1011);
}

#[test]
fn mariadb_118_loses_nothing_behind_a_replica_that_hangs() {
    nothing_is_lost_behind_a_replica_that_hangs("11.8, hanging", Flavor::Mariadb118);
}
