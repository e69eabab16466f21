//! A side that fails over to a standby in the middle of a switch. There are never two stores that take writes, and what has been given
//! stays given.

use crossfade_trials::binary::{Outcome, Running};
use crossfade_trials::database::Database;
use crossfade_trials::forward::Forward;
use crossfade_trials::patience::{LONG, wait_until};
use crossfade_trials::postgres::{PostgresDatabase, connect};
use crossfade_trials::{Engine, Trial};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use xtask::servers::fleet::Fleet;
use xtask::servers::server::{Access, Durability, Spec};
use xtask::servers::version::Version;

const NAMED: &str = "[standbys]\nsource = [\"replica\"]\n";

/// A source with a standby of its own, reached by an address that can be moved to the standby.
struct Scene {
    trial: Option<Trial>,
    address: Forward,
    fleet: Fleet,
}

impl Scene {
    /// With this further text in the migration file.
    fn begin(text: &str) -> Scene {
        let installed = xtask::servers::install().unwrap();
        let spec = Spec {
            name: "primary".to_owned(),
            version: Version::V15,
            durability: Durability::Fast,
            access: Access::Trust,
            settings: Vec::new(),
        };
        let mut fleet = Fleet::start(&installed, &[spec]).unwrap();
        fleet.add_standby("primary", "replica").unwrap();
        let server = fleet.server("primary").unwrap().url();
        let folder = TempDir::with_prefix("crossfade-trial-").unwrap();
        let source = Database::Postgres(PostgresDatabase::create_at(&server));
        let target = Database::create(Engine::Pg17, folder.path(), "target");
        let (address, url) = Forward::to(&source.url());
        let there = target.url();
        let mut trial = Trial::between(folder, source, target).by_way_of(url, there);
        text.clone_into(&mut trial.tables);
        trial.source.run(
            "CREATE TABLE t (id integer PRIMARY KEY, a text);
             INSERT INTO t SELECT i, 'a' || i FROM generate_series(1, 1000) i;",
        );
        trial.follow();
        Scene {
            trial: Some(trial),
            address,
            fleet,
        }
    }

    fn trial(&self) -> &Trial {
        self.trial.as_ref().unwrap()
    }

    /// Starts a switch that stands still at a point.
    fn stopped_at(&self, point: &str) -> Running {
        let armed = format!("{point}:1:stop");
        let words = order("30s");
        let switch = self
            .trial()
            .start_with(&words, &[("CROSSFADE_KILL", &armed)]);
        self.stands_still(&switch);
        switch
    }

    fn stands_still(&self, switch: &Running) {
        wait_until("the switch stands still", LONG, || {
            let stat = std::fs::read_to_string(format!("/proc/{}/stat", switch.id()));
            let state = stat.unwrap_or_default();
            let state = state.rsplit(')').next().unwrap_or_default().trim_start();
            assert!(!state.starts_with('Z'), "{}", switch.stderr_so_far());
            state.starts_with('T')
        });
    }

    fn standby(&self) -> String {
        let url = self.fleet.server("replica").unwrap().url();
        let (head, _) = url.rsplit_once('/').unwrap();
        let own = self.trial().source.url();
        format!("{head}/{}", own.rsplit_once('/').unwrap().1)
    }

    /// Makes the standby a primary, and moves the source's address there.
    fn fail_over(&self) {
        let mut client = connect(&self.standby(), None).unwrap();
        client.batch_execute("SELECT pg_promote()").unwrap();
        self.address.lead_to(&self.standby());
    }

    /// The standby receives nothing until this is dropped.
    fn frozen_receiver(&self) -> Frozen {
        let mut client = connect(&self.standby(), None).unwrap();
        let row = client.query_one("SELECT pid FROM pg_stat_wal_receiver", &[]);
        Frozen::new(row.unwrap().get(0))
    }

    /// What a write on the standby comes to.
    fn write_on_the_standby(&self, id: u32) -> Result<(), String> {
        let mut client = connect(&self.standby(), None).unwrap();
        let sql = format!("INSERT INTO t VALUES ({id}, 'there')");
        client.batch_execute(&sql).map_err(|e| format!("{e:?}"))
    }

    fn write_on_the_target(&self, id: u32) -> Result<(), String> {
        let sql = format!("INSERT INTO t VALUES ({id}, 'x')");
        self.trial().target.try_run(&sql)
    }

    fn end(mut self) {
        drop(self.trial.take());
        self.fleet.stop().unwrap();
    }
}

fn order(within: &str) -> [&str; 7] {
    [
        "switch", "writes", "--owner", "e2e", "--within", within, "--json",
    ]
}

fn refused(outcome: &Outcome, code: &str) {
    assert_eq!(outcome.code, Some(2), "{}", outcome.text());
    assert!(outcome.text().contains(code), "{}", outcome.text());
}

/// The promoted standby knows nothing of the fence, which the old primary holds for a tool that still has its old connections.
#[test]
fn a_source_that_failed_over_inside_the_window_gives_nothing_away() {
    let scene = Scene::begin("");
    let switch = scene.stopped_at("switch.proved");
    scene.fail_over();
    scene.write_on_the_standby(90_001).unwrap();
    switch.go_on();
    let outcome = switch.wait(LONG);
    let why = scene.write_on_the_target(90_002);
    assert!(why.is_err(), "two stores take writes\n{}", outcome.text());
    refused(&outcome, "switch.failed_over");
    scene.write_on_the_standby(90_003).unwrap();
    scene.end();
}

/// The promoted standby has the fence, and its primary has given nothing: the next command opens it, and follows it no further.
#[test]
fn a_source_that_failed_over_with_the_fence_is_opened_by_the_next_command() {
    let scene = Scene::begin(NAMED);
    let switch = scene.stopped_at("switch.sequences");
    wait_until("the standby has replayed the fence", LONG, || {
        let mut client = connect(&scene.standby(), None).unwrap();
        let row = client.query_one("SELECT mode FROM crossfade.register", &[]);
        row.is_ok_and(|row| row.get::<_, String>(0) == "fenced")
    });
    scene.fail_over();
    scene.write_on_the_standby(90_001).unwrap_err();
    switch.go_on();
    let outcome = switch.wait(LONG);
    scene.write_on_the_target(90_002).unwrap_err();
    refused(&outcome, "switch.failed_over");
    scene
        .trial()
        .call(&["run", "--until", "followed", "--json"])
        .expect(1)
        .says(&["engine.resume"]);
    scene.write_on_the_standby(90_003).unwrap();
    scene.write_on_the_target(90_004).unwrap_err();
    scene.end();
}

/// A standby that has the fence refuses writes once it is promoted, whatever became of its primary; the switch comes to its end.
#[test]
fn a_named_standby_that_is_promoted_after_given_stays_closed() {
    let mut scene = Scene::begin(NAMED);
    let switch = scene.stopped_at("switch.given");
    scene.fleet.server_mut("primary").unwrap().kill().unwrap();
    scene.fail_over();
    switch.go_on();
    wait_until("the target has taken authority", LONG, || {
        scene.write_on_the_target(90_001).is_ok()
    });
    let why = scene.write_on_the_standby(90_002).unwrap_err();
    assert!(why.contains("crossfade"), "{why}");
    drop(switch);
    // its database is gone with it: nothing is left to be dropped there
    std::mem::forget(scene.trial.take());
    scene.fleet.stop().unwrap();
}

/// A standby that receives nothing keeps authority where it is; told to begin with where it is not even there.
#[test]
fn a_named_standby_that_hangs_releases_the_fence() {
    let scene = Scene::begin(NAMED);
    let trial = scene.trial();
    trial
        .call(&["plan", "--json"])
        .expect(0)
        .never_says("standby");
    let receiver = scene.frozen_receiver();
    let outcome = trial.call(&order("4s"));
    refused(&outcome, "switch.standbys");
    assert!(outcome.text().contains("replica"), "{}", outcome.text());
    trial.source.run("INSERT INTO t VALUES (90001, 'here')");
    scene.write_on_the_target(90_002).unwrap_err();
    drop(receiver);
    trial.call(&order("30s")).expect(0);
    let mut client = connect(&scene.standby(), None).unwrap();
    wait_until("the standby has replayed it", LONG, || {
        let row = client.query_one("SELECT mode FROM crossfade.register", &[]);
        row.is_ok_and(|row| row.get::<_, String>(0) == "given")
    });
    scene.write_on_the_target(90_003).unwrap();
    scene.end();
}

/// The commit of the fence itself waits for it, as every commit of the application does: once it is back, nothing has changed.
#[test]
fn a_synchronous_standby_that_hangs_in_the_window_releases_the_fence_once_it_is_back() {
    let scene = Scene::begin(NAMED);
    let trial = scene.trial();
    let armed = [("CROSSFADE_KILL", "switch.proved:1:stop")];
    let switch = trial.start_with(&order("10s"), &armed);
    scene.stands_still(&switch);
    trial
        .source
        .run("ALTER SYSTEM SET synchronous_standby_names = 'replica'");
    trial.source.run("SELECT pg_reload_conf()");
    wait_until("commits wait for it", LONG, || {
        let sql = "SELECT 1 FROM pg_stat_replication WHERE sync_state = 'sync'";
        trial.source.rows(sql).len() == 1
    });
    let receiver = scene.frozen_receiver();
    switch.go_on();
    wait_until("the fence's commit waits", LONG, || {
        let sql = "SELECT 1 FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND application_name LIKE 'crossfade%'";
        !trial.source.rows(sql).is_empty()
    });
    // the box is over by then
    std::thread::sleep(std::time::Duration::from_secs(12));
    scene.write_on_the_target(90_001).unwrap_err();
    drop(receiver);
    refused(&switch.wait(LONG), "switch.over_budget");
    trial.source.run("INSERT INTO t VALUES (90002, 'here')");
    scene.write_on_the_target(90_003).unwrap_err();
    scene.end();
}

#[test]
fn a_named_standby_that_is_not_there_is_told_by_the_plan_and_refuses_the_switch() {
    let mut trial = Trial::new(Engine::Pg15, Engine::Sqlite).as_superuser();
    trial.source.run("CREATE TABLE t (id integer PRIMARY KEY)");
    trial.follow();
    "[standbys]\nsource = [\"nobody\"]\ntarget = [\"a_file_has_none\"]\n"
        .clone_into(&mut trial.tables);
    trial.call(&["plan", "--json"]).expect(0).says(&[
        "postgres.standby_missing",
        "nobody",
        "store.standbys",
    ]);
    refused(&trial.call(&order("10s")), "postgres.standby_missing");
    trial.source.run("INSERT INTO t VALUES (1)");
    trial
        .target
        .try_run("INSERT INTO t VALUES (2)")
        .unwrap_err();
}

/// A process that stands still until this is dropped.
struct Frozen(Pid);

impl Frozen {
    fn new(process: i32) -> Frozen {
        let process = Pid::from_raw(process).unwrap();
        kill_process(process, Signal::STOP).unwrap();
        Frozen(process)
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        kill_process(self.0, Signal::CONT).unwrap();
    }
}
