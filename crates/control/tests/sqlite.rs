//! The SQLite control store, on real files.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::PathBuf;

use crossfade_control::{
    Command, CommandState, ControlError, ControlStore, IntentState, SqliteControl, SwitchOrder,
    Traffic,
};
use crossfade_plan::Phase;
use serde_json::json;

fn place() -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = SqliteControl::path_beside(&directory.path().join("m.toml"));
    (directory, path)
}

#[tokio::test]
async fn only_one_run_holds_the_lease_and_a_dropped_one_frees_it() {
    let (_directory, path) = place();
    let one = SqliteControl::open(&path, "m").unwrap();
    let other = SqliteControl::open(&path, "m").unwrap();
    assert!(!other.state().await.unwrap().running);
    let first = one.acquire().await.unwrap();
    let state = other.state().await.unwrap();
    assert!(state.running);
    assert_eq!(state.holder.unwrap().process, std::process::id());
    match other.acquire().await.unwrap_err() {
        ControlError::Held { holder } => assert_eq!(holder.unwrap().process, std::process::id()),
        other => panic!("{other}"),
    }
    drop(first);
    let second = other.acquire().await.unwrap();
    assert_eq!(second.epoch, 2);
}

/// Of a process that stands still; one that has shown itself since it was looked at keeps the lease.
#[tokio::test]
async fn a_lease_is_taken_over_from_a_silent_process_only() {
    let (_directory, path) = place();
    let store = SqliteControl::open(&path, "m").unwrap();
    let silent = store.acquire().await.unwrap();
    let seen = store.state().await.unwrap().holder.unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(3)).await;
    store.heartbeat(&silent, None).await.unwrap();
    let alive = store.take_over("ada", &seen).await;
    assert!(matches!(alive, Err(ControlError::Held { .. })), "{alive:?}");
    assert!(store.take_over(" ", &seen).await.is_err());
    store.heartbeat(&silent, None).await.unwrap();

    let seen = store.state().await.unwrap().holder.unwrap();
    store.take_over("ada", &seen).await.unwrap();
    assert!(!store.state().await.unwrap().running);
    assert!(matches!(
        store.heartbeat(&silent, None).await,
        Err(ControlError::Superseded { held: 1, stored: 2 })
    ));
    let next = store.acquire().await.unwrap();
    assert_eq!(next.epoch, 3);
    // what the first still holds is nothing that anybody looks at
    drop(silent);
    assert!(store.state().await.unwrap().running);
    assert!(store.acquire().await.is_err());
    store.heartbeat(&next, None).await.unwrap();
    let log = store.audit_log(None, 10).await.unwrap();
    let taken: Vec<_> = log
        .iter()
        .filter(|r| r.kind == "lease.taken_over")
        .collect();
    assert_eq!(taken.len(), 1);
    assert_eq!(taken[0].who, "ada");
}

#[tokio::test]
async fn a_run_that_was_overtaken_writes_nothing() {
    let (_directory, path) = place();
    let store = SqliteControl::open(&path, "m").unwrap();
    let old = store.acquire().await.unwrap();
    // as after a lock file that somebody removed
    let lock = PathBuf::from(format!("{}.lock", path.display()));
    std::fs::remove_file(lock).unwrap();
    let new = store.acquire().await.unwrap();
    let refused = store.move_phase(&old, Phase::Planned, Phase::Copying).await;
    assert!(
        matches!(
            refused,
            Err(ControlError::Superseded { held: 1, stored: 2 })
        ),
        "{refused:?}"
    );
    assert!(store.heartbeat(&old, None).await.is_err());
    assert!(store.record_intent(&old, "abort", json!({})).await.is_err());
    store
        .move_phase(&new, Phase::Planned, Phase::Copying)
        .await
        .unwrap();
    let moved = store.move_phase(&new, Phase::Planned, Phase::Copying).await;
    assert!(matches!(
        moved,
        Err(ControlError::PhaseMoved {
            found: Phase::Copying,
            ..
        })
    ));
}

#[tokio::test]
async fn commands_outlive_the_run_that_took_them() {
    let (_directory, path) = place();
    let store = SqliteControl::open(&path, "m").unwrap();
    let pause = store.post(Command::Pause).await.unwrap();
    let verify = store
        .post(Command::Verify(crossfade_control::Comparison::default()))
        .await
        .unwrap();
    let lease = store.acquire().await.unwrap();
    let open = store.open_commands().await.unwrap();
    assert_eq!(
        open.iter().map(|c| c.id).collect::<Vec<_>>(),
        [pause, verify]
    );
    store.acknowledge(&lease, pause).await.unwrap();
    store.set_paused(&lease, true).await.unwrap();
    store
        .finish(&lease, pause, Ok(json!({"position": "7"})))
        .await
        .unwrap();
    store.acknowledge(&lease, verify).await.unwrap();
    assert!(!store.withdraw(verify).await.unwrap(), "a run works on it");
    drop(lease);

    let again = SqliteControl::open(&path, "m").unwrap();
    let lease = again.acquire().await.unwrap();
    assert!(again.state().await.unwrap().paused);
    let open = again.open_commands().await.unwrap();
    assert_eq!(open.len(), 1);
    assert_eq!(open[0].state, CommandState::Posted);
    assert_eq!(
        again.command(pause).await.unwrap().state,
        CommandState::Done(json!({"position": "7"}))
    );
    again
        .finish(&lease, verify, Err("no".to_owned()))
        .await
        .unwrap();
    assert_eq!(
        again.command(verify).await.unwrap().state,
        CommandState::Failed("no".to_owned())
    );
    assert!(
        again.finish(&lease, verify, Ok(json!(1))).await.is_err(),
        "it has ended"
    );
    let abort = again
        .post(Command::Abort {
            drop_target_tables: true,
        })
        .await
        .unwrap();
    assert!(again.withdraw(abort).await.unwrap());
    assert!(again.open_commands().await.unwrap().is_empty());
}

#[tokio::test]
async fn what_a_run_had_taken_that_is_gone_can_be_withdrawn_and_is_not_obeyed_by_the_next() {
    let (_directory, path) = place();
    let store = SqliteControl::open(&path, "m").unwrap();
    let lease = store.acquire().await.unwrap();
    let verify = store
        .post(Command::Verify(crossfade_control::Comparison::default()))
        .await
        .unwrap();
    store.acknowledge(&lease, verify).await.unwrap();
    assert!(!store.withdraw(verify).await.unwrap(), "a run works on it");
    drop(lease);
    assert!(store.withdraw(verify).await.unwrap());
    let _next = store.acquire().await.unwrap();
    assert!(store.open_commands().await.unwrap().is_empty());
}

#[tokio::test]
async fn an_intent_is_open_until_it_is_settled() {
    let (_directory, path) = place();
    let store = SqliteControl::open(&path, "m").unwrap();
    let lease = store.acquire().await.unwrap();
    let one = store
        .record_intent(&lease, "create_capture", json!({"tables": 3}))
        .await
        .unwrap();
    let two = store
        .record_intent(&lease, "create_tables", json!({}))
        .await
        .unwrap();
    store
        .settle_intent(&lease, one, IntentState::Done(json!([])))
        .await
        .unwrap();
    let open = store.state().await.unwrap().open_intents;
    assert_eq!(open.iter().map(|i| i.id).collect::<Vec<_>>(), [two]);
    let all = store.intents().await.unwrap();
    assert_eq!(all.len(), 2);
    assert_eq!(all[1].detail, json!({"tables": 3}));
}

#[tokio::test]
async fn progress_and_reports_are_kept_for_status() {
    let (_directory, path) = place();
    let store = SqliteControl::open(&path, "m").unwrap();
    let lease = store.acquire().await.unwrap();
    store
        .heartbeat(&lease, Some(json!({"rows": 5})))
        .await
        .unwrap();
    store.heartbeat(&lease, None).await.unwrap();
    store
        .store_report(&lease, json!({"equal": true}))
        .await
        .unwrap();
    let state = store.state().await.unwrap();
    assert_eq!(state.progress.unwrap().1, json!({"rows": 5}));
    assert_eq!(state.report, Some(json!({"equal": true})));
}

#[test]
fn files_that_are_not_ours_are_refused_and_left_as_they_are() {
    let (_directory, path) = place();
    assert!(SqliteControl::open_existing(&path, "m").unwrap().is_none());
    assert!(!path.exists());

    std::fs::write(
        &path,
        "[migration] this is no database, only text that is long enough",
    )
    .unwrap();
    let before = std::fs::read(&path).unwrap();
    let refused = SqliteControl::open(&path, "m").err().unwrap();
    assert!(
        matches!(refused, ControlError::NotControl { .. }),
        "{refused}"
    );
    assert_eq!(refused.exit_code(), 3);
    assert_eq!(std::fs::read(&path).unwrap(), before);

    std::fs::remove_file(&path).unwrap();
    let other = rusqlite::Connection::open(&path).unwrap();
    other.execute_batch("CREATE TABLE theirs (x)").unwrap();
    drop(other);
    let before = std::fs::read(&path).unwrap();
    let refused = SqliteControl::open(&path, "m").err().unwrap();
    assert!(
        matches!(refused, ControlError::NotControl { .. }),
        "{refused}"
    );
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

#[test]
fn another_migration_and_a_newer_version_are_refused() {
    let (_directory, path) = place();
    drop(SqliteControl::open(&path, "m").unwrap());
    let refused = SqliteControl::open(&path, "other").err().unwrap();
    assert!(
        matches!(refused, ControlError::WrongMigration { .. }),
        "{refused}"
    );
    let connection = rusqlite::Connection::open(&path).unwrap();
    connection.pragma_update(None, "user_version", 99).unwrap();
    drop(connection);
    let refused = SqliteControl::open(&path, "m").err().unwrap();
    assert!(
        matches!(refused, ControlError::Newer { found: 99, .. }),
        "{refused}"
    );
    assert_eq!(refused.exit_code(), 3);
}

/// Who gave the order was told that its run had ended. A run that begins later must not stop writes for it, unasked.
#[tokio::test]
async fn a_switch_is_not_begun_by_a_run_that_it_was_not_given_to() {
    let (_directory, path) = place();
    let order = SwitchOrder {
        what: Traffic::Writes,
        owner: "ann".to_owned(),
        within_ms: 30_000,
        dry_run: false,
        kill_blockers: false,
        overrides: Vec::new(),
    };
    let store = SqliteControl::open(&path, "m").unwrap();
    let lease = store.acquire().await.unwrap();
    let taken = store.post(Command::Switch(order.clone())).await.unwrap();
    store.acknowledge(&lease, taken).await.unwrap();
    let late = store.post(Command::Rollback(order)).await.unwrap();
    drop(lease);

    let again = SqliteControl::open(&path, "m").unwrap();
    let _lease = again.acquire().await.unwrap();
    let open = again.open_commands().await.unwrap();
    assert_eq!(open.len(), 1, "{open:?}");
    assert_eq!(open[0].id, taken);
    assert_eq!(open[0].state, CommandState::Acknowledged);
    let state = again.command(late).await.unwrap().state;
    assert!(matches!(state, CommandState::Failed(_)), "{state:?}");
}

/// Where the process that this program starts of itself finds its control store.
const STORE: &str = "CROSSFADE_TEST_STOPPED_STORE";

/// Not a test: another process's part. Holds the lease, and the store's own lock.
#[tokio::test]
async fn other_process_in_a_transaction() {
    let Ok(path) = std::env::var(STORE) else {
        return;
    };
    let path = PathBuf::from(path);
    let store = SqliteControl::open(&path, "m").unwrap();
    let _lease = store.acquire().await.unwrap();
    let connection = rusqlite::Connection::open(&path).unwrap();
    connection.execute_batch("BEGIN IMMEDIATE").unwrap();
    println!("begun");
    std::io::stdin().lines().next();
}

/// Only one that is stopped: whoever lives gets to the end of his transaction.
#[cfg(target_os = "linux")]
#[test]
fn a_process_that_was_stopped_with_the_stores_lock_is_ended() {
    use std::io::BufRead as _;
    use std::os::unix::process::ExitStatusExt as _;
    use std::process::{Command as Program, Stdio};
    let (_directory, path) = place();
    let mut child = Program::new(std::env::current_exe().unwrap())
        .args(["--exact", "other_process_in_a_transaction", "--nocapture"])
        .arg("--quiet")
        .env(STORE, &path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let said = std::io::BufReader::new(child.stdout.take().unwrap());
    assert!(said.lines().any(|line| line.unwrap().trim() == "begun"));
    assert_eq!(SqliteControl::end_stopped(&path), None, "it lives");
    let stop = ["-STOP".to_owned(), child.id().to_string()];
    assert!(Program::new("kill").args(stop).status().unwrap().success());
    let stopped = || {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap();
        stat.rsplit(')')
            .next()
            .unwrap()
            .trim_start()
            .starts_with('T')
    };
    while !stopped() {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    assert_eq!(SqliteControl::end_stopped(&path), Some(child.id()));
    assert_eq!(child.wait().unwrap().signal(), Some(9));
    let free = SqliteControl::open(&path, "m").unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    assert!(!runtime.block_on(free.state()).unwrap().running);
}

/// A command that looks at the control store at the very moment in which a run makes it.
#[test]
fn a_store_that_is_being_made_is_never_taken_for_something_else() {
    for _ in 0..60 {
        let directory = tempfile::tempdir().unwrap();
        let path = SqliteControl::path_beside(&directory.path().join("m.toml"));
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    loop {
                        match SqliteControl::open_existing(&path, "m") {
                            Ok(None) => std::thread::yield_now(),
                            Ok(Some(_)) => break,
                            Err(error) => panic!("{error}"),
                        }
                    }
                });
            }
            SqliteControl::open(&path, "m").unwrap();
        });
    }
}
