//! Orders to switch whose process ends before they do: orderings that went wrong once.

use crossfade_trials::bank::{self, Door, Options, Side};
use crossfade_trials::patience::{LONG, wait_until};
use crossfade_trials::{Engine, Running, Trial};

const SWITCH: [&str; 7] = [
    "switch", "writes", "--owner", "e2e", "--within", "30s", "--json",
];

fn made(source: Engine, target: Engine) -> Trial {
    let trial = Trial::new(source, target).as_superuser();
    bank::make(&trial.source, Options::default());
    trial
}

fn followed(trial: &Trial, environment: &[(&str, &str)]) -> Running {
    let running = trial.following(environment);
    trial.call(&["verify", "--json"]).expect(0);
    running
}

fn stands_still(running: &mut Running) {
    wait_until("the run stands still in the order", LONG, || {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", running.id())).unwrap();
        running.is_running() && stat.contains(") T ")
    });
}

#[track_caller]
fn assert_authority(trial: &Trial, side: Side) {
    let (found, doors) = bank::assert_one_at_most(&trial.source, &trial.target, "now");
    assert_eq!(found, Some(side), "{doors:?}");
    assert_eq!(doors[side.other() as usize], Door::Closed);
}

#[test]
fn a_switch_without_a_run_reads_both_sides_itself() {
    for (source, target) in [
        (Engine::Sqlite, Engine::Sqlite),
        (Engine::Pg15, Engine::Pg17),
    ] {
        let trial = made(source, target);
        trial.follow();
        trial.call(&SWITCH).expect(0);
        assert_authority(&trial, Side::Target);
    }
}

#[test]
fn a_run_begins_on_a_target_that_was_armed_before() {
    for target in [Engine::Pg18, Engine::Sqlite] {
        let trial = made(Engine::Pg17, target);
        trial.follow();
        let died = trial
            .start_with(&SWITCH, &[("CROSSFADE_KILL", "switch.laid:1")])
            .wait(LONG);
        assert_eq!(died.code, None, "{}", died.text());
        trial.follow();
        assert_authority(&trial, Side::Source);
        trial.call(&SWITCH).expect(0);
        assert_authority(&trial, Side::Target);
    }
}

/// Nobody waits for it any more: writes must not stop for it at some later time.
#[test]
fn an_order_whose_run_died_is_not_obeyed_by_the_next_one() {
    let trial = made(Engine::Sqlite, Engine::Pg17);
    let mut running = followed(&trial, &[("CROSSFADE_KILL", "switch.armed:1:stop")]);
    let ordered = trial.start(&SWITCH);
    stands_still(&mut running);
    // who gave it is gone, and so is the run
    ordered.kill();
    running.kill();
    let later = followed(&trial, &[]);
    assert_authority(&trial, Side::Source);
    trial.call(&SWITCH).expect(0);
    assert_authority(&trial, Side::Target);
    later.interrupt();
    later.wait(LONG).expect(0);
}

/// The application waits for it: whoever lost the fence lifts it, and not only the next command.
#[test]
fn a_fence_whose_session_ended_is_lifted_by_the_run_that_lost_it() {
    let trial = made(Engine::Pg17, Engine::Sqlite);
    let mut running = followed(&trial, &[("CROSSFADE_KILL", "switch.fenced:1:stop")]);
    let ordered = trial.start(&SWITCH);
    stands_still(&mut running);
    let ended = trial.source.rows(
        "SELECT pg_terminate_backend(pid) FROM pg_locks
         WHERE locktype = 'advisory' AND mode = 'ExclusiveLock' AND granted
           AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
    );
    assert_eq!(ended.len(), 1);
    running.go_on();
    let told = ordered.wait(LONG);
    assert_eq!(told.code, Some(1), "{}", told.text());
    wait_until("the source takes writes again", LONG, || {
        assert!(running.is_running(), "{}", running.stdout_so_far());
        bank::doors(&trial.source, &trial.target)[0] == Door::Open
    });
    trial.call(&["verify", "--json"]).expect(0);
    trial.call(&SWITCH).expect(0);
    assert_authority(&trial, Side::Target);
    running.interrupt();
    running.wait(LONG).expect(0);
}

/// Whoever applies loses the right to by the switch itself, and his sessions may end with it: the report tells the switch's figures all the same.
#[test]
fn a_switch_whose_attempt_loses_its_stream_after_the_point_of_no_return_knows_its_figures() {
    for point in ["switch.given", "switch.opened"] {
        let trial = made(Engine::Pg17, Engine::Pg15);
        let armed = format!("{point}:1:stop");
        let mut running = followed(&trial, &[("CROSSFADE_KILL", &armed)]);
        let ordered = trial.start(&SWITCH);
        stands_still(&mut running);
        let ended = trial.source.rows(
            "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots
             WHERE database = current_database() AND active",
        );
        assert_eq!(ended.len(), 1);
        let ended = trial.target.rows(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE datname = current_database() AND application_name LIKE 'crossfade%'",
        );
        assert!(!ended.is_empty());
        running.go_on();
        let told = ordered.wait(LONG).expect(0).json()["report"].clone();
        assert!(told["pause"]["predicted_ms"].is_u64(), "{point}: {told}");
        let steps = told["steps"].as_array().unwrap();
        assert!(
            steps.iter().any(|step| step["step"] == "opened"),
            "{point}: {told}"
        );
        assert_authority(&trial, Side::Target);
        running.interrupt();
        running.wait(LONG).expect(0);
    }
}
