//! Routes that do not do what they should while a run follows: it puts them right by itself, again and again until they are.

use crossfade_trials::binary::Running;
use crossfade_trials::patience::{LONG, wait_until};
use crossfade_trials::pgbouncer::{self, PgBouncer};
use crossfade_trials::postgres::{connect, variable};
use crossfade_trials::{Engine, Trial};
use serde_json::Value;

use crate::switch::{arrives, followed, made, switch};

fn document(trial: &Trial) -> Value {
    let text = std::fs::read_to_string(trial.folder().join("route.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// As a tool with an old word of the epoch leaves it: whole, or not at all.
fn write(trial: &Trial, document: &Value) {
    let new = trial.folder().join("route.json.new");
    std::fs::write(&new, document.to_string()).unwrap();
    std::fs::rename(new, trial.folder().join("route.json")).unwrap();
}

#[test]
fn a_file_that_is_left_paused_or_set_back_is_put_right_beside_the_run() {
    let mut trial = made(Engine::Sqlite, Engine::Sqlite);
    trial.tables = "[[route]]\nkind = \"file\"\npath = \"route.json\"\n".to_owned();
    let running = followed(&trial);
    switch(&trial).expect(0);
    wait_until("the way back works", LONG, || {
        trial.status()["progress"]["direction"] == "reverse"
    });
    let right = |document: &Value| document["writes"] == "target" && document["paused"] == false;
    assert!(right(&document(&trial)), "{}", document(&trial));
    for spoil in [
        |document: &mut Value| document["paused"] = true.into(),
        // as a backup of the time before the switch has it
        |document: &mut Value| {
            document["writes"] = "source".into();
            document["writes_epoch"] = 0.into();
            document["epoch"] = 0.into();
        },
    ] {
        let mut spoilt = document(&trial);
        spoil(&mut spoilt);
        write(&trial, &spoilt);
        wait_until("it is put right", LONG, || right(&document(&trial)));
    }
    // who works on a route by hand pauses the migration
    trial.call(&["pause"]).expect(0);
    let said = |running: &Running| running.stdout_so_far().matches("put right").count();
    let before = said(&running);
    let mut spoilt = document(&trial);
    spoilt["paused"] = true.into();
    write(&trial, &spoilt);
    trial.call(&["resume"]).expect(0);
    wait_until("it is put right", LONG, || right(&document(&trial)));
    assert!(said(&running) > before);
    running.ended();
}

fn stands_still(process: &Running) {
    wait_until("it stands still", LONG, || {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", process.id()));
        let stat = stat.unwrap_or_default();
        let state = stat.rsplit(')').next().unwrap_or_default();
        state.trim_start().starts_with('T')
    });
}

struct Pooled {
    trial: Trial,
    bouncer: PgBouncer,
    running: Running,
}

impl Pooled {
    fn begin(environment: &[(&str, &str)]) -> Pooled {
        let mut trial = made(Engine::Pg15, Engine::Pg17);
        let url = trial.source.url();
        let (_, address) = url.split_once('@').unwrap();
        let (server, database) = address.split_once('/').unwrap();
        let port = server.rsplit_once(':').unwrap().1.parse().unwrap();
        let bouncer = PgBouncer::start(&variable(pgbouncer::VARIABLE), port, database);
        trial.tables = bouncer.route();
        let running = trial.following(environment);
        trial.call(&["verify", "--json"]).expect(0);
        Pooled {
            trial,
            bouncer,
            running,
        }
    }

    /// Writes as an application behind the pooler; it waits for as long as the pooler holds it.
    fn write(&self, id: u32) -> Result<(), String> {
        let sql = format!("INSERT INTO t (id, a) VALUES ({id}, 'pooled')");
        let mut client = connect(&self.bouncer.url(), None)?;
        client.batch_execute(&sql).map_err(|e| format!("{e:?}"))
    }

    fn written(&self, id: u32) {
        let written = |database: &crossfade_trials::Database| {
            let sql = format!("SELECT 1 FROM t WHERE id = {id} AND a = 'pooled'");
            database.rows(&sql).len() == 1
        };
        wait_until("applications reach the authority", LONG, || {
            self.write(id).is_ok() || written(&self.trial.target)
        });
        arrives(&self.trial.source, id, "pooled");
    }
}

#[test]
fn a_pooler_that_was_paused_by_a_tool_that_is_gone_goes_on() {
    let pooled = Pooled::begin(&[]);
    switch(&pooled.trial).expect(0);
    pooled.written(90_001);
    pooled.bouncer.console("PAUSE shop");
    pooled.written(90_002);
    pooled.running.ended();
}

/// It is down when it is to be pointed, and comes back with what its file said before. The way back does not wait for it.
#[test]
fn a_pooler_that_was_down_when_authority_changed_hands_is_led_once_it_is_back() {
    let armed = [("CROSSFADE_KILL", "switch.given:1:stop")];
    let mut pooled = Pooled::begin(&armed);
    let ordered = pooled.trial.start(&[
        "switch", "writes", "--owner", "e2e", "--within", "30s", "--json",
    ]);
    stands_still(&pooled.running);
    pooled.bouncer.kill();
    pooled.running.go_on();
    ordered.wait(LONG).expect(0);
    pooled
        .trial
        .target
        .run("INSERT INTO t (id, a) VALUES (90001, 'there')");
    arrives(&pooled.trial.source, 90_001, "there");
    pooled.bouncer.start_again();
    pooled.written(90_002);
    pooled.running.ended();
}

/// It stands still while it is about to pause, and does so once the switch was given up and nobody is there any more who asked for it.
#[test]
fn a_pooler_that_pauses_late_goes_on_with_the_next_command() {
    let pooled = Pooled::begin(&[]);
    let Pooled {
        trial,
        bouncer,
        running,
    } = &pooled;
    running.interrupt();
    wait_until("the run has ended", LONG, || {
        !trial.status()["running"].as_bool().unwrap()
    });
    // whoever is there makes it wait
    let mut client = connect(&bouncer.url(), None).unwrap();
    client.batch_execute("BEGIN; SELECT 1").unwrap();
    let switch = trial.start(&[
        "switch", "writes", "--owner", "e2e", "--within", "10s", "--json",
    ]);
    wait_until("it is about to pause", LONG, || bouncer.is_paused());
    bouncer.freeze(true);
    let ended = switch.wait(LONG);
    bouncer.freeze(false);
    assert_eq!(ended.code, Some(2), "{}", ended.text());
    client.batch_execute("COMMIT").unwrap();
    drop(client);
    wait_until("it pauses late", LONG, || bouncer.is_paused());
    trial
        .call(&["run", "--until", "followed", "--json"])
        .expect(0);
    pooled.write(90_001).unwrap();
    arrives_when_run(trial, 90_001);
}

fn arrives_when_run(trial: &Trial, id: u32) {
    let running = trial.following(&[]);
    arrives(&trial.target, id, "pooled");
    running.ended();
}
