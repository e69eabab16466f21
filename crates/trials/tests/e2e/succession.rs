//! A source whose address leads to a promoted replica, or whose log was begun anew. The run goes on exactly where it was, or stops and
//! says why; nothing is lost, and nothing applied that the source does not have.

use crate::switch::{followed, report, rollback, switch};
use crossfade_trials::binary::Outcome;
use crossfade_trials::compare;
use crossfade_trials::database::Database;
use crossfade_trials::forward::Forward;
use crossfade_trials::mysql::{MysqlDatabase, Session};
use crossfade_trials::patience::{LONG, wait_until};
use crossfade_trials::{Engine, Trial};
use tempfile::TempDir;
use xtask::servers::Installed;
use xtask::servers::flavor::Flavor;
use xtask::servers::fleet::Fleet;

const ROWS: u32 = 2000;

/// A server with replicas of its own, reached by an address that can be moved, and a file: source and target, or the other way round.
struct Scene {
    flavor: Flavor,
    is_target: bool,
    /// The database on the primary; forgotten once that is dead.
    trial: Option<Trial>,
    address: Forward,
    fleet: Fleet,
    installed: Installed,
}

impl Scene {
    fn begin(flavor: Flavor) -> Scene {
        Scene::made(flavor, false)
    }

    fn made(flavor: Flavor, is_target: bool) -> Scene {
        let installed = xtask::servers::install().unwrap();
        xtask::servers::install_mysql(&installed).unwrap();
        let mut fleet = Fleet::start(&installed, &[]).unwrap();
        fleet
            .add_further_mysql(&installed, flavor, ("primary", 1), &[])
            .unwrap();
        let server = fleet.mysql_server("primary").unwrap().url();
        let folder = TempDir::with_prefix("crossfade-trial-").unwrap();
        let moved = Database::Mysql(MysqlDatabase::create_at(server));
        let file = Database::create(Engine::Sqlite, folder.path(), "file");
        let (address, url) = Forward::to(&moved.url());
        let there = file.url();
        let trial = if is_target {
            let trial = Trial::between(folder, file, moved).by_way_of(there, url);
            trial.as_superuser()
        } else {
            Trial::between(folder, moved, file).by_way_of(url, there)
        };
        let trial = trial.option("retry_seconds", 20);
        trial.source.run(
            "CREATE TABLE t (id integer PRIMARY KEY, a text);
             CREATE TABLE u (id integer PRIMARY KEY, n integer)",
        );
        let mut scene = Scene {
            flavor,
            is_target,
            trial: Some(trial),
            address,
            fleet,
            installed,
        };
        scene.insert(1, ROWS);
        scene.add_replica("replica", 2, "primary");
        scene
    }

    fn trial(&self) -> &Trial {
        self.trial.as_ref().unwrap()
    }

    fn insert(&self, from: u32, to: u32) {
        let rows: Vec<String> = (from..=to).map(|i| format!("({i}, 'a{i}')")).collect();
        let sql = format!("INSERT INTO t VALUES {}", rows.join(", "));
        self.trial().source.run(&sql);
    }

    fn add_replica(&mut self, name: &str, number: u32, from: &str) {
        self.fleet
            .add_further_mysql(&self.installed, self.flavor, (name, number), &[])
            .unwrap();
        let port = self.fleet.mysql_server(from).unwrap().url();
        let primary = self
            .fleet
            .mysql()
            .iter()
            .find(|s| s.name() == from)
            .unwrap();
        let replica = self
            .fleet
            .mysql()
            .iter()
            .find(|s| s.name() == name)
            .unwrap();
        assert_eq!(port, primary.url());
        for statement in replica.replicate(primary) {
            self.session(name).run(&statement).unwrap();
        }
    }

    fn session(&self, server: &str) -> Session {
        let servers = self.fleet.mysql();
        let server = servers.iter().find(|s| s.name() == server).unwrap();
        Session::open(&server.url()).unwrap()
    }

    fn says(&self, server: &str, sql: &str) -> String {
        let rows = self.session(server).rows(sql).unwrap();
        String::from_utf8(rows[0][0].clone().unwrap_or_default()).unwrap()
    }

    /// What a server has executed.
    fn executed(&self, server: &str) -> String {
        let variable = match self.flavor.is_mysql() {
            true => "@@GLOBAL.gtid_executed",
            false => "@@GLOBAL.gtid_binlog_pos",
        };
        self.says(server, &format!("SELECT {variable}"))
    }

    /// Waits until a replica has all that its primary has.
    fn replicated(&self, from: &str, to: &str) {
        let all = self.executed(from);
        wait_until("the replica has applied everything", LONG, || {
            self.executed(to) == all
        });
    }

    fn stop_replication(&self, server: &str) {
        let sql = match self.flavor.is_mysql() {
            true => "STOP REPLICA",
            false => "STOP SLAVE",
        };
        self.session(server).run(sql).unwrap();
    }

    /// The primary is dead, and the address leads to the replica, which takes writes.
    fn fail_over(&mut self, from: &str, to: &str) {
        self.fleet.mysql_server(from).unwrap().kill().unwrap();
        self.promote(to);
    }

    fn promote(&mut self, to: &str) {
        self.stop_replication(to);
        if self.is_target {
            // a replica takes no part in a switch: what it applies passes the fence
            let sql = match self.flavor.is_mysql() {
                true => "RESET REPLICA ALL",
                false => "RESET SLAVE ALL",
            };
            self.session(to).run(sql).unwrap();
        }
        let url = self.fleet.mysql_server(to).unwrap().url();
        let mut trial = self.trial.take().unwrap();
        let moved = match self.is_target {
            true => &mut trial.target,
            false => &mut trial.source,
        };
        let Database::Mysql(old) = &*moved else {
            unreachable!("a file does not move")
        };
        let new = Database::Mysql(old.replicated(url));
        self.address.lead_to(&new.url());
        // its server may be dead: nothing is dropped there
        std::mem::forget(std::mem::replace(moved, new));
        self.trial = Some(trial);
    }

    fn equal(&self) {
        compare::assert_equal(&self.trial().source, &self.trial().target);
    }

    fn refused(&self, words: &[&str]) -> Outcome {
        let before = compare::contents(&self.trial().target);
        let outcome = self.trial().call(&["run", "--until", "followed", "--json"]);
        let outcome = outcome.expect(1).says(words);
        assert_eq!(compare::contents(&self.trial().target), before);
        outcome
    }

    fn end(mut self) {
        drop(self.trial.take());
        self.fleet.stop().unwrap();
    }
}

/// Down while the address moved, twice, and up: the second replica replicates from the first.
fn goes_on(flavor: Flavor) {
    let mut scene = Scene::begin(flavor);
    scene.trial().follow();
    scene.insert(10_001, 10_050);
    scene.trial().follow();
    // not applied yet: it must come from the replica
    let source = &scene.trial().source;
    source.run("INSERT INTO u SELECT id, id FROM t WHERE id % 3 = 0");
    source.run("UPDATE t SET a = 'changed' WHERE id % 5 = 0");
    source.run("DELETE FROM t WHERE id % 7 = 0");
    scene.replicated("primary", "replica");
    scene.fail_over("primary", "replica");
    scene.insert(20_001, 20_050);
    scene.trial().follow();
    scene.equal();
    scene.trial().verify();

    scene.add_replica("second", 3, "replica");
    let running = scene.trial().following(&[]);
    scene.insert(30_001, 30_050);
    scene.replicated("replica", "second");
    scene.fail_over("replica", "second");
    scene.insert(40_001, 40_050);
    scene
        .trial()
        .source
        .run("UPDATE t SET a = 'again' WHERE id < 100");
    wait_until("the run goes on", LONG, || {
        compare::differences(&scene.trial().source, &scene.trial().target).is_empty()
    });
    running.interrupt();
    running.wait(LONG).expect(0).says(&["succeeded"]);
    scene.trial().verify();
    scene.equal();
    scene.end();
}

#[test]
fn mysql_goes_on_with_a_promoted_replica() {
    goes_on(Flavor::Mysql97);
}

#[test]
fn mariadb_1011_goes_on_with_a_promoted_replica() {
    goes_on(Flavor::Mariadb1011);
}

#[test]
fn mariadb_118_goes_on_with_a_promoted_replica() {
    goes_on(Flavor::Mariadb118);
}

/// Some chunks were loaded from the server that is dead, at snapshots that have seen more than was applied.
fn goes_on_in_the_middle_of_the_copy(flavor: Flavor) {
    let mut scene = Scene::begin(flavor);
    let source = &scene.trial().source;
    scene.trial().die_at("capture.recorded", 1);
    source.run("UPDATE t SET a = 'one' WHERE id % 2 = 0");
    source.run("DELETE FROM t WHERE id % 11 = 0");
    // nothing of the stream is applied before it dies
    scene.trial().die_at("chunk.after_commit", 2);
    source.run("UPDATE t SET a = 'two' WHERE id % 3 = 0");
    scene.replicated("primary", "replica");
    scene.fail_over("primary", "replica");
    scene.insert(20_001, 20_050);
    scene.trial().follow();
    scene.equal();
    scene
        .trial()
        .source
        .run("UPDATE t SET a = 'three' WHERE id % 4 = 0");
    scene.trial().verify();
    scene.equal();
    scene.end();
}

#[test]
fn mysql_goes_on_in_the_middle_of_the_copy() {
    goes_on_in_the_middle_of_the_copy(Flavor::Mysql97);
}

#[test]
fn mariadb_goes_on_in_the_middle_of_the_copy() {
    goes_on_in_the_middle_of_the_copy(Flavor::Mariadb118);
}

/// What was applied never reached the replica.
fn ahead(flavor: Flavor) {
    let mut scene = Scene::begin(flavor);
    scene.trial().follow();
    scene.replicated("primary", "replica");
    scene.stop_replication("replica");
    scene.insert(10_001, 10_001);
    let lost = scene.executed("primary");
    scene.trial().follow();
    scene.fail_over("primary", "replica");
    scene.insert(20_001, 20_010);
    let named = match flavor.is_mysql() {
        true => lost.rsplit('-').next().unwrap().to_owned(),
        false => lost,
    };
    scene.refused(&[
        "mysql.target_ahead",
        "the target is ahead of the source",
        &named,
    ]);
    scene.end();
}

#[test]
fn mysql_stops_where_the_target_is_ahead() {
    ahead(Flavor::Mysql97);
}

#[test]
fn mariadb_stops_where_the_target_is_ahead() {
    ahead(Flavor::Mariadb1011);
}

/// A chunk's snapshot saw it, and the stream had not come to it.
fn copied_ahead(flavor: Flavor) {
    let mut scene = Scene::begin(flavor);
    scene.trial().die_at("capture.recorded", 1);
    scene.replicated("primary", "replica");
    scene.stop_replication("replica");
    scene
        .trial()
        .source
        .run("UPDATE t SET a = 'lost' WHERE id = 1");
    scene.trial().die_at("chunk.after_commit", 1);
    scene.fail_over("primary", "replica");
    scene.insert(20_001, 20_010);
    scene.refused(&["mysql.target_ahead"]);
    scene.end();
}

#[test]
fn mysql_stops_where_a_copied_row_is_ahead() {
    copied_ahead(Flavor::Mysql97);
}

#[test]
fn mariadb_stops_where_a_copied_row_is_ahead() {
    copied_ahead(Flavor::Mariadb118);
}

/// The replica has given up the part of its log that is needed.
fn purged(flavor: Flavor) {
    let mut scene = Scene::begin(flavor);
    scene.trial().follow();
    scene.insert(10_001, 10_010);
    scene.replicated("primary", "replica");
    scene.session("replica").run("FLUSH BINARY LOGS").unwrap();
    scene.fail_over("primary", "replica");
    let mut session = scene.session("replica");
    let last = session.rows("SHOW BINARY LOGS").unwrap();
    let last = String::from_utf8(last.last().unwrap()[0].clone().unwrap()).unwrap();
    wait_until("the log is given up", LONG, || {
        session
            .run(&format!("PURGE BINARY LOGS TO '{last}'"))
            .unwrap();
        session.rows("SHOW BINARY LOGS").unwrap().len() == 1
    });
    drop(session);
    scene.insert(20_001, 20_010);
    scene.refused(&["purged"]);
    scene.end();
}

#[test]
fn mysql_stops_where_the_replicas_log_is_gone() {
    purged(Flavor::Mysql97);
}

#[test]
fn mariadb_stops_where_the_replicas_log_is_gone() {
    purged(Flavor::Mariadb118);
}

/// The replica was written to by itself before something that was applied.
#[test]
fn mysql_stops_where_the_replica_has_another_order() {
    let mut scene = Scene::begin(Flavor::Mysql97);
    scene.trial().follow();
    scene.replicated("primary", "replica");
    let name = scene.trial().source.url();
    let name = name.rsplit('/').next().unwrap();
    let own = format!("INSERT INTO {name}.u VALUES (1, 1)");
    scene.session("replica").run(&own).unwrap();
    scene.insert(10_001, 10_010);
    scene.trial().follow();
    wait_until("the replica has the row", LONG, || {
        scene.says("replica", &format!("SELECT COUNT(*) FROM {name}.t")) == "2010"
    });
    scene.fail_over("primary", "replica");
    scene.refused(&["mysql.failover_order"]);
    scene.end();
}

/// A server that has nothing of the first one's.
fn another(flavor: Flavor) {
    let mut scene = Scene::begin(flavor);
    scene.trial().follow();
    scene.stop_replication("replica");
    let reset = match flavor.is_mysql() {
        true => "RESET BINARY LOGS AND GTIDS",
        false => "RESET MASTER",
    };
    scene.session("replica").run(reset).unwrap();
    scene.promote("replica");
    scene.insert(20_001, 20_010);
    scene.refused(&["mysql.target_ahead"]);
    scene.end();
}

#[test]
fn mysql_stops_at_a_server_of_another_topology() {
    another(Flavor::Mysql97);
}

#[test]
fn mariadb_stops_at_a_server_of_another_topology() {
    another(Flavor::Mariadb1011);
}

/// The same server's log was begun anew while nobody looked; it is longer than the one that was read, and names as many transactions.
fn begun_anew(flavor: Flavor) {
    let scene = Scene::begin(flavor);
    let reset = match flavor.is_mysql() {
        true => "RESET BINARY LOGS AND GTIDS",
        false => "RESET MASTER",
    };
    scene.stop_replication("replica");
    scene.trial().follow();
    scene.insert(10_001, 10_010);
    scene.session("primary").run(reset).unwrap();
    let mut session = scene.session("primary");
    let name = scene.trial().source.url();
    let name = name.rsplit('/').next().unwrap();
    session
        .run(&format!(
            "CREATE TABLE {name}.other (id integer PRIMARY KEY, t longtext)"
        ))
        .unwrap();
    for id in 0..200 {
        let row = format!("INSERT INTO {name}.other VALUES ({id}, REPEAT('x', 2000))");
        session.run(&row).unwrap();
    }
    scene.refused(&["mysql.log_begun_anew"]);
    scene.end();
}

#[test]
fn mysql_stops_where_the_log_was_begun_anew() {
    begun_anew(Flavor::Mysql97);
}

#[test]
fn mariadb_stops_where_the_log_was_begun_anew() {
    begun_anew(Flavor::Mariadb118);
}

/// The target has authority, and its primary dies: what the way back has to bring comes from the replica, before and after.
fn goes_on_after_a_switch(flavor: Flavor) {
    let mut scene = Scene::made(flavor, true);
    let mut running = followed(scene.trial());
    report(switch(scene.trial()));
    let changed = |scene: &Scene, number: u32| {
        scene.trial().target.run(&format!(
            "INSERT INTO t VALUES ({number}, 'there'); UPDATE t SET a = 'n{number}' WHERE id % 5 = 0; DELETE FROM t WHERE id = {}",
            number % 1000
        ));
    };
    changed(&scene, 50_001);
    scene.replicated("primary", "replica");
    scene.fail_over("primary", "replica");
    changed(&scene, 50_002);
    wait_until("the way back goes on", LONG, || {
        assert!(running.is_running(), "{}", running.stdout_so_far());
        compare::differences(&scene.trial().source, &scene.trial().target).is_empty()
    });
    scene.trial().call(&["verify", "--json"]).expect(0);
    report(rollback(scene.trial()));
    let source = &scene.trial().source;
    source.run("INSERT INTO t VALUES (60001, 'back'); UPDATE t SET a = 'back' WHERE id % 11 = 0");
    wait_until("the target follows again", LONG, || {
        assert!(running.is_running(), "{}", running.stdout_so_far());
        compare::differences(&scene.trial().source, &scene.trial().target).is_empty()
    });
    scene.trial().call(&["verify", "--json"]).expect(0);
    running.ended();
    scene.end();
}

#[test]
fn mysql_goes_on_with_a_promoted_replica_after_a_switch() {
    goes_on_after_a_switch(Flavor::Mysql97);
}

#[test]
fn mariadb_goes_on_with_a_promoted_replica_after_a_switch() {
    goes_on_after_a_switch(Flavor::Mariadb118);
}
