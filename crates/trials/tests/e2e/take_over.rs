//! A process that stands still under the same control store: another takes over without ending it by hand, and what the first does when
//! it goes on changes nothing.

use crossfade_trials::binary::{Outcome, Running};
use crossfade_trials::database::Database;
use crossfade_trials::patience::{LONG, wait_until};
use crossfade_trials::{Engine, Trial};

use crate::switch::{arrives, made, refuses, switch};

fn take_over(trial: &Trial) -> Outcome {
    trial.call(&["take-over", "--owner", "grace", "--json"])
}

fn stands_still(process: &mut Running) {
    wait_until("it stands still", LONG, || {
        assert!(process.is_running(), "{}", process.stderr_so_far());
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", process.id()));
        let stat = stat.unwrap_or_default();
        let state = stat.rsplit(')').next().unwrap_or_default();
        state.trim_start().starts_with('T')
    });
}

/// Both registers, and all rows: what a process that was taken over must leave as it is.
fn everything(trial: &Trial) -> Vec<Vec<Option<String>>> {
    let both = [&trial.source, &trial.target];
    let registers = both.iter().flat_map(|d| d.rows(register(d)));
    let rows = both
        .iter()
        .flat_map(|d| d.rows("SELECT id, a FROM t ORDER BY id"));
    registers.chain(rows).collect()
}

fn register(database: &Database) -> &'static str {
    match database.dialect() {
        crossfade_trials::database::Dialect::Sqlite
        | crossfade_trials::database::Dialect::Mysql => {
            "SELECT mode, epoch FROM _crossfade_register"
        }
        crossfade_trials::database::Dialect::Postgres => {
            "SELECT mode, epoch FROM crossfade.register"
        }
    }
}

/// A switch stands still at the point; another operator takes over and switches.
fn a_switch_is_taken_over(source: Engine, target: Engine, point: &str) {
    let trial = made(source, target);
    trial.follow();
    let armed = format!("{point}:1:stop");
    let words = [
        "switch", "writes", "--owner", "ada", "--within", "30s", "--json",
    ];
    let mut first = trial.start_with(&words, &[("CROSSFADE_KILL", &armed)]);
    stands_still(&mut first);
    take_over(&trial).expect(0).says(&["\"process\""]);
    // what was beyond the point of no return is finished by the command that comes first
    let second = switch(&trial);
    let found_done = second.code == Some(2) && second.text().contains("switch.authority");
    assert!(second.code == Some(0) || found_done, "{}", second.text());
    assert_eq!(trial.status()["writes"], "target");
    trial
        .target
        .run("INSERT INTO t (id, a) VALUES (90001, 'there')");
    refuses(&trial.source, "INSERT INTO t (id, a) VALUES (90002, 'x')");
    let before = everything(&trial);
    if first.is_running() {
        first.go_on();
    }
    let ended = first.wait(LONG);
    assert!(!ended.stderr.contains("panicked"), "{}", ended.text());
    assert_eq!(everything(&trial), before, "{}", ended.text());
    refuses(&trial.source, "INSERT INTO t (id, a) VALUES (90002, 'x')");
    trial
        .call(&["run", "--until", "verified", "--json"])
        .expect(0);
    arrives(&trial.source, 90001, "there");
    let log = trial.call(&["log", "--json"]).expect(0);
    log.says(&["lease.taken_over", "grace"]);
    trial.call(&["log", "--check"]).expect(0);
    trial.assert_equal();
}

#[test]
fn a_switch_that_stands_still_before_the_fence_is_taken_over() {
    a_switch_is_taken_over(Engine::Pg15, Engine::Pg17, "switch.armed");
}

#[test]
fn a_switch_that_stands_still_under_the_fence_is_taken_over() {
    a_switch_is_taken_over(Engine::Pg17, Engine::Pg15, "switch.drained");
    a_switch_is_taken_over(Engine::Sqlite, Engine::Sqlite, "switch.drained");
}

#[test]
fn a_switch_of_mysql_and_mariadb_that_stands_still_under_the_fence_is_taken_over() {
    a_switch_is_taken_over(Engine::Mysql97, Engine::Maria118, "switch.drained");
}

#[test]
fn a_switch_that_stands_still_after_given_is_taken_over() {
    a_switch_is_taken_over(Engine::Pg15, Engine::Pg18, "switch.given");
}

/// Rows are written until it is stopped, wherever it is just then; it wakes beside its successor.
fn a_run_is_taken_over(source: Engine, target: Engine) {
    let trial = made(source, target);
    let mut first = trial.following(&[]);
    trial.source.run("UPDATE t SET a = 'before' WHERE id < 900");
    first.freeze();
    stands_still(&mut first);
    trial.source.run("UPDATE t SET a = 'after' WHERE id < 500");
    take_over(&trial).expect(0);
    let second = trial.following(&[]);
    arrives(&trial.target, 499, "after");
    // a living one keeps it
    take_over(&trial).expect(2).says(&["take_over.alive"]);
    if first.is_running() {
        first.go_on();
        let ended = first.wait(LONG);
        assert_ne!(ended.code, Some(0), "{}", ended.text());
        let said = ended.text();
        assert!(
            said.contains("taken over") || said.contains("took over"),
            "{said}"
        );
    }
    trial
        .source
        .run("INSERT INTO t (id, a) VALUES (90001, 'on')");
    arrives(&trial.target, 90001, "on");
    second.ended();
    trial.assert_equal();
}

#[test]
fn a_run_that_stands_still_is_taken_over_from_postgres_to_postgres() {
    a_run_is_taken_over(Engine::Pg15, Engine::Pg17);
}

#[test]
fn a_run_that_stands_still_is_taken_over_from_sqlite_to_sqlite() {
    a_run_is_taken_over(Engine::Sqlite, Engine::Sqlite);
}

#[test]
fn a_run_that_stands_still_is_taken_over_from_mariadb_to_mysql() {
    a_run_is_taken_over(Engine::Maria1011, Engine::Mysql97);
}
