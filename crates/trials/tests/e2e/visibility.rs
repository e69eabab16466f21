//! Commits that wait for a replica which answers late or not at all: transactions are in the log before readers see them. No row is lost
//! by a snapshot that does not see what the log has shown, and no comparison finds a difference that is none.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle, sleep};
use std::time::{Duration, Instant};

use crossfade_trials::database::Database;
use crossfade_trials::mysql::{MysqlDatabase, Session};
use crossfade_trials::patience::{LONG, wait_until};
use crossfade_trials::seed::{generator, seed};
use crossfade_trials::shop::{self, Tables};
use crossfade_trials::workload::Options;
use crossfade_trials::{Engine, Trial};
use rand::Rng;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use xtask::servers::flavor::Flavor;
use xtask::servers::fleet::Fleet;

/// A source whose commits wait for its replica, after they are in the log.
struct Scene {
    trial: Option<Trial>,
    fleet: Fleet,
    replica: Pid,
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
        let session = |url: &str| Session::open(url).unwrap();
        let mut there = session(&replica.url());
        let mut here = session(&primary.url());
        let (on_replica, on_primary): (&[&str], &[&str]) = if flavor.is_mysql() {
            (
                &[
                    "INSTALL PLUGIN rpl_semi_sync_replica SONAME 'semisync_replica.so'",
                    "SET GLOBAL rpl_semi_sync_replica_enabled = ON",
                ],
                &[
                    "INSTALL PLUGIN rpl_semi_sync_source SONAME 'semisync_source.so'",
                    "SET GLOBAL rpl_semi_sync_source_timeout = 600000",
                    "SET GLOBAL rpl_semi_sync_source_wait_point = AFTER_SYNC",
                    "SET GLOBAL rpl_semi_sync_source_enabled = ON",
                ],
            )
        } else {
            (
                &["SET GLOBAL rpl_semi_sync_slave_enabled = ON"],
                &[
                    "SET GLOBAL rpl_semi_sync_master_timeout = 600000",
                    "SET GLOBAL rpl_semi_sync_master_wait_point = AFTER_SYNC",
                    "SET GLOBAL rpl_semi_sync_master_enabled = ON",
                ],
            )
        };
        on_replica.iter().for_each(|sql| there.run(sql).unwrap());
        // a replica that connects to a source without the plugin follows it as any other, for good
        on_primary.iter().for_each(|sql| here.run(sql).unwrap());
        let begin = replica.replicate(primary);
        begin.iter().for_each(|sql| there.run(sql).unwrap());
        wait_until("commits wait for the replica", LONG, || {
            let waits = here
                .rows("SHOW STATUS LIKE 'Rpl_semi_sync_%_clients'")
                .unwrap();
            waits[0][1].as_deref() == Some(b"1")
        });
        let replica = Pid::from_raw(replica.pid().unwrap() as i32).unwrap();
        let folder = TempDir::with_prefix("crossfade-trial-").unwrap();
        let source = Database::Mysql(MysqlDatabase::create_at(primary.url()));
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

/// A replica that does not answer until this is dropped.
struct Hung(Pid);

impl Hung {
    fn new(replica: Pid) -> Hung {
        kill_process(replica, Signal::STOP).unwrap();
        Hung(replica)
    }
}

impl Drop for Hung {
    fn drop(&mut self) {
        let _gone = kill_process(self.0, Signal::CONT);
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
    let hung = Hung::new(scene.replica);
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

/// Makes the replica hang for a moment, again and again; gives how often.
fn hang(replica: Pid, seed: u64, stop: Arc<AtomicBool>) -> JoinHandle<u64> {
    thread::spawn(move || {
        let mut random = generator(seed, 77);
        let mut times = 0;
        while !stop.load(Ordering::Relaxed) {
            sleep(Duration::from_millis(random.random_range(50..600)));
            let _hung = Hung::new(replica);
            sleep(Duration::from_millis(random.random_range(50..1_000)));
            times += 1;
        }
        times
    })
}

/// Copied, followed and compared while the replica hangs and writers write.
fn nothing_is_lost_behind_a_replica_that_hangs(what: &str, flavor: Flavor) {
    let scene = Scene::begin(flavor);
    let trial = scene.trial();
    let seed = seed(what);
    shop::make(&trial.source, Tables::Common, 1_000, seed);
    let stop = Arc::new(AtomicBool::new(false));
    let hanging = hang(scene.replica, seed, Arc::clone(&stop));
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
    stop.store(true, Ordering::Relaxed);
    let hung = hanging.join().unwrap();
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
