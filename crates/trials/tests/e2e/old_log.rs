//! A server that removes old log while a run begins to read it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossfade_trials::{Engine, Trial};

use crate::mappings::Stop;

/// What is read first moves the slot's position further than the stream behind it has read: the server must not take that as leave to
/// remove what that stream reads yet.
#[test]
fn a_backlog_that_was_confirmed_before_the_stream_had_read_it_again() {
    for source in [Engine::Pg15, Engine::Pg17, Engine::Pg18] {
        let trial = Trial::new(source, Engine::Sqlite);
        trial
            .source
            .run("CREATE TABLE t (k integer PRIMARY KEY, v integer); INSERT INTO t VALUES (0, 0)");
        trial.follow();
        let stop = AtomicBool::new(false);
        for round in 1..=2 {
            // much log, and behind it two places from which it can be read: the second lets the first be the slot's
            trial.source.run(
                "SELECT count(pg_logical_emit_message(false, 'filler', repeat('x', 1000000)))
                 FROM generate_series(1, 250)",
            );
            for part in 0..3 {
                trial.source.run(&format!(
                    "INSERT INTO t SELECT {round} * 10000 + {part} * 1000 + i, i FROM generate_series(1, 500) i"
                ));
                trial.source.run("CHECKPOINT");
            }
            stop.store(false, Ordering::SeqCst);
            std::thread::scope(|scope| {
                let _stop = Stop(&stop);
                scope.spawn(|| {
                    while !stop.load(Ordering::SeqCst) {
                        trial.source.run("CHECKPOINT");
                        std::thread::sleep(Duration::from_millis(2));
                    }
                });
                trial.verify();
            });
            trial.assert_equal();
        }
    }
}
