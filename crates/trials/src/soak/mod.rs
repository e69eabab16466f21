//! The soak: comparisons one after another while an application writes as fast as it can. Nothing is ever planted, so that
//! every difference that `verify` reports is a false alarm.

mod lane;
mod load;
mod standby;

use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use crate::database::Engine;
use crate::postgres::variable;
use crate::seed::seed;
use crate::semi_sync::Pair;
use lane::{Lane, Tally};
use load::{HotRows, Pgbench, Shop};
use standby::Standby;

/// How long a whole run is.
const MINUTES: u64 = 60;

/// How the program is called.
const HELP: &str = "soak [--minutes N | --seconds N]";

/// Compares until the time is over. Exit code 1 after a false alarm or anything else that went wrong, 3 for arguments that
/// it does not know.
pub fn main(arguments: impl Iterator<Item = String>) -> ExitCode {
    let words: Vec<String> = arguments.collect();
    let Some(length) = length(&words) else {
        eprintln!("{HELP}");
        return ExitCode::from(3);
    };
    let seed = seed("soak");
    let until = Instant::now() + length;
    let ended: Vec<(&str, thread::Result<Tally>)> = thread::scope(|scope| {
        let lanes = [
            ("hot rows", scope.spawn(move || hot_rows(until))),
            (
                "late visibility",
                scope.spawn(move || late_visibility(until, seed)),
            ),
            ("SQLite", scope.spawn(move || sqlite(until, seed))),
            (
                "MySQL",
                scope.spawn(move || {
                    hot_mysql("MySQL", Engine::Mysql97, Engine::Maria118, until, seed)
                }),
            ),
            (
                "MySQL, late visibility",
                scope.spawn(move || late_mysql("MySQL, late visibility", "MYSQL", until, seed)),
            ),
            (
                "MariaDB, late visibility",
                scope.spawn(move || late_mysql("MariaDB, late visibility", "MARIADB", until, seed)),
            ),
            (
                "MariaDB",
                scope.spawn(move || {
                    hot_mysql("MariaDB", Engine::Maria1011, Engine::Mysql97, until, seed)
                }),
            ),
        ];
        lanes.map(|(name, lane)| (name, lane.join())).into()
    });
    let mut good = true;
    for (name, ended) in ended {
        match ended {
            Ok(tally) => {
                println!("{name}: {}", tally.summary());
                for alarm in &tally.alarms {
                    println!("FALSE ALARM, {name}:\n{alarm}");
                }
                good &= tally.alarms.is_empty() && tally.rounds > 0;
            }
            // the panic's own message was printed where it arose
            Err(_) => {
                println!("{name}: FAILED");
                good = false;
            }
        }
    }
    if good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn length(words: &[String]) -> Option<Duration> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        [] => Some(Duration::from_secs(60 * MINUTES)),
        ["--minutes", number] => Some(Duration::from_secs(60 * number.parse::<u64>().ok()?)),
        ["--seconds", number] => Some(Duration::from_secs(number.parse().ok()?)),
        _ => None,
    }
}

/// pgbench on its smallest database: four sessions that queue for one row.
fn hot_rows(until: Instant) -> Tally {
    let lane = Lane::new("hot rows", Engine::Pg15, Engine::Pg17);
    Pgbench::make_tables(&lane.trial.source);
    let running = lane.follow();
    let mut load = Pgbench::start(&lane.trial.source, Engine::Pg15);
    let mut tally = lane.compare(running, until, || load.between_rounds());
    tally.transactions = load.stop();
    lane.end();
    tally
}

/// The same where a transaction is in the log for a while before readers see it, since it waits for a standby that
/// hangs now and then.
fn late_visibility(until: Instant, seed: u64) -> Tally {
    let lane = Lane::new("late visibility", Engine::Pg15b, Engine::Pg18);
    Pgbench::make_tables(&lane.trial.source);
    let running = lane.follow();
    let standby = Standby::start(&lane.trial, Engine::Pg15b, seed);
    let mut load = Pgbench::start(&lane.trial.source, Engine::Pg15b);
    let mut tally = lane.compare(running, until, || load.between_rounds());
    tally.transactions = load.stop();
    println!("late visibility: the standby hung {} times", standby.stop());
    lane.end();
    tally
}

/// Sessions that queue for one row on MySQL or MariaDB.
fn hot_mysql(
    name: &'static str,
    source: Engine,
    target: Engine,
    until: Instant,
    seed: u64,
) -> Tally {
    let lane = Lane::new(name, source, target);
    HotRows::make_tables(&lane.trial.source);
    let running = lane.follow();
    let mut load = HotRows::start(&lane.trial.source, seed);
    let mut tally = lane.compare(running, until, || load.between_rounds());
    tally.transactions = load.stop();
    lane.end();
    tally
}

/// Where commits wait for a replica that hangs now and then; `flavor` as the servers' variables name it.
fn late_mysql(name: &'static str, flavor: &str, until: Instant, seed: u64) -> Tally {
    let of = |what: &str| variable(&format!("CROSSFADE_SOAK_{flavor}_{what}"));
    let pair = Pair {
        primary: of("PRIMARY"),
        replica: of("REPLICA"),
        pid: of("PID").parse().expect("the number of a process"),
        replicate: of("REPLICATE").split(';').map(str::to_owned).collect(),
        is_mysql: flavor == "MYSQL",
    };
    let replica = pair.begin();
    let lane = Lane::from(name, pair.primary, Engine::Pg17);
    HotRows::make_tables(&lane.trial.source);
    let running = lane.follow();
    let hanging = replica.hanging(seed);
    let mut load = HotRows::start(&lane.trial.source, seed);
    let mut tally = lane.compare(running, until, || load.between_rounds());
    tally.transactions = load.stop();
    println!("{name}: the replica hung {} times", hanging.stop());
    lane.end();
    tally
}

/// The shop's writer on a file.
fn sqlite(until: Instant, seed: u64) -> Tally {
    let lane = Lane::new("SQLite", Engine::Sqlite, Engine::Sqlite);
    Shop::make_tables(&lane.trial.source, seed);
    let running = lane.follow();
    let load = Shop::start(&lane.trial, seed);
    let mut tally = lane.compare(running, until, || ());
    tally.transactions = load.stop();
    lane.end();
    tally
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Option<Duration> {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        length(&words)
    }

    #[test]
    fn reads_what_help_promises() {
        assert_eq!(parse(&[]), Some(Duration::from_secs(3_600)));
        assert_eq!(parse(&["--minutes", "2"]), Some(Duration::from_secs(120)));
        assert_eq!(parse(&["--seconds", "30"]), Some(Duration::from_secs(30)));
        assert_eq!(parse(&["--seconds"]), None);
        assert_eq!(parse(&["--hours", "1"]), None);
    }
}
