//! A machine whose clock is set, back and forth, while authority changes hands: it is for people to read, and decides nothing.

use std::path::{Path, PathBuf};
use std::process::Command;

use crossfade_trials::patience::{LONG, wait_until};
use crossfade_trials::{Engine, Trial};

use crate::switch::{arrives, made, refuses};

/// The process's clock of the day runs by so many seconds more than the machine's as the file says; its other clocks are left alone.
const SHIM: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
static int (*real)(clockid_t, struct timespec *);
int clock_gettime(clockid_t clock, struct timespec *now) {
    if (!real) real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int done = real(clock, now);
    const char *path = getenv("TRIAL_CLOCK");
    FILE *file = clock == CLOCK_REALTIME && path ? fopen(path, "r") : NULL;
    long offset = 0;
    if (file) {
        if (fscanf(file, "%ld", &offset) == 1) now->tv_sec += offset;
        fclose(file);
    }
    return done;
}
"#;

fn shim(folder: &Path) -> PathBuf {
    let (source, library) = (folder.join("clock.c"), folder.join("clock.so"));
    std::fs::write(&source, SHIM).unwrap();
    let built = Command::new("cc")
        .args(["-shared", "-fPIC", "-O1", "-o"])
        .args([&library, &source])
        .status()
        .unwrap();
    assert!(built.success(), "the clock's shim could not be built");
    library
}

/// Written beside and renamed: it is read at any moment.
fn set(folder: &Path, seconds: i64) {
    let new = folder.join("clock.new");
    std::fs::write(&new, seconds.to_string()).unwrap();
    std::fs::rename(new, folder.join("clock")).unwrap();
}

fn order(trial: &Trial, words: &[&str], environment: &[(&str, &str)]) -> serde_json::Value {
    let mut all = words.to_vec();
    all.extend(["--owner", "e2e", "--within", "30s", "--json"]);
    let outcome = trial.start_with(&all, environment).wait(LONG);
    outcome.expect(0).json()["report"].clone()
}

fn a_clock_that_jumps(source: Engine, target: Engine) {
    let trial = made(source, target);
    let library = shim(trial.folder()).display().to_string();
    let clock = trial.folder().join("clock").display().to_string();
    let environment = [
        ("LD_PRELOAD", library.as_str()),
        ("TRIAL_CLOCK", clock.as_str()),
        ("CROSSFADE_KILL", "switch.drained:1:stop"),
    ];
    set(trial.folder(), 0);
    let running = trial.following(&environment);
    trial.call(&["verify", "--json"]).expect(0);
    // hours back, in the middle of the window
    let words = [
        "switch", "writes", "--owner", "e2e", "--within", "30s", "--json",
    ];
    let ordered = trial.start_with(&words, &environment[..2]);
    wait_until("the run stands still", LONG, || {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", running.id()));
        let stat = stat.unwrap_or_default();
        stat.rsplit(')')
            .next()
            .is_some_and(|rest| rest.trim_start().starts_with('T'))
    });
    set(trial.folder(), -7 * 3600);
    running.go_on();
    let report = ordered.wait(LONG).expect(0).json()["report"].clone();
    assert_eq!(report["outcome"], "done", "{report}");
    let moved = report["ended"].as_i64().unwrap() < report["began"].as_i64().unwrap();
    assert!(moved, "the clock did not jump: {report}");
    refuses(&trial.source, "INSERT INTO t (id, a) VALUES (90001, 'x')");
    trial
        .target
        .run("INSERT INTO t (id, a) VALUES (90002, 'there')");
    arrives(&trial.source, 90002, "there");
    // hours forth
    set(trial.folder(), 9 * 3600);
    trial.call(&["verify", "--json"]).expect(0);
    let report = order(&trial, &["rollback"], &environment[..2]);
    assert_eq!(report["outcome"], "done", "{report}");
    refuses(&trial.target, "INSERT INTO t (id, a) VALUES (90003, 'x')");
    trial
        .source
        .run("INSERT INTO t (id, a) VALUES (90004, 'back')");
    set(trial.folder(), -9 * 3600);
    arrives(&trial.target, 90004, "back");
    trial.call(&["verify", "--json"]).expect(0);
    running.ended();
    trial.assert_equal();
}

#[test]
fn a_clock_that_jumps_decides_nothing_from_postgres_to_postgres() {
    a_clock_that_jumps(Engine::Pg15, Engine::Pg17);
}

#[test]
fn a_clock_that_jumps_decides_nothing_from_sqlite_to_sqlite() {
    a_clock_that_jumps(Engine::Sqlite, Engine::Sqlite);
}
