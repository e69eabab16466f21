//! A value that the target cannot hold, met in the copy or in the stream: its row waits in quarantine, and everything else goes on. Once
//! it was mended the row is taken, and a comparison resolves the entry.

use std::time::Duration;

use crossfade_trials::binary::{Outcome, Running};
use crossfade_trials::patience::{LONG, wait_until};
use crossfade_trials::{Engine, Trial};
use serde_json::Value;

/// A table `t` with key `id` and a value that the target cannot hold.
struct Case {
    source: Engine,
    target: Engine,
    columns: &'static str,
    good: &'static str,
    bad: &'static str,
    column: &'static str,
}

fn quarantine(trial: &Trial, words: &[&str]) -> Outcome {
    let mut arguments = vec!["quarantine", words[0], "migration.toml", "--json"];
    arguments.extend(&words[1..]);
    Running::start(trial.folder(), &arguments, &[]).wait(Duration::from_secs(120))
}

fn only_entry(trial: &Trial) -> Value {
    let listed = quarantine(trial, &["list"]).expect(0).json();
    let entries = listed["entries"].as_array().unwrap();
    assert_eq!(entries.len(), 1, "{listed}");
    entries[0].clone()
}

impl Case {
    fn begun(&self, rows: &[(i32, &str)]) -> Trial {
        let trial = Trial::new(self.source, self.target);
        trial.source.run(&format!(
            "CREATE TABLE t (id integer PRIMARY KEY, {}, note varchar(20))",
            self.columns
        ));
        for row in rows {
            self.insert(&trial, *row);
        }
        trial
    }

    fn insert(&self, trial: &Trial, (id, value): (i32, &str)) {
        trial.source.run(&format!(
            "INSERT INTO t (id, {}, note) VALUES ({id}, {value}, 'secret word')",
            self.column
        ));
    }

    /// The run that is to follow ends, names the row and shows no value; again when tried again; mended, it goes on.
    fn stops_and_goes_on(&self, trial: &Trial, key: &str) {
        for times in 1..=2 {
            let ended = trial.call(&["run", "--until", "followed"]).expect(1);
            let text = ended.says(&["apply.rows_parked"]).text();
            assert!(
                times > 1 || text.contains("waits in quarantine as entry"),
                "{text}"
            );
            assert!(!text.contains("secret word"), "{text}");
            assert_eq!(trial.target.number("SELECT count(*) FROM t"), 2);
            let entry = only_entry(trial);
            assert_eq!(entry["key"], key, "{entry}");
            assert_eq!(entry["kind"], "refused", "{entry}");
            assert_eq!(
                entry["columns"],
                serde_json::json!([self.column]),
                "{entry}"
            );
            assert_eq!(entry["state"], "open", "{entry}");
            // the same words of one run are entered once
            assert!(entry["times_seen"].as_u64() >= Some(times), "{entry}");
        }
        let id = only_entry(trial)["id"].to_string();
        quarantine(trial, &["show", &id]).expect(0);
        trial.source.run(&format!(
            "UPDATE t SET {} = {} WHERE id = {key}",
            self.column, self.good
        ));
        quarantine(trial, &["retry", "--all"]).expect(0);
        trial.verify();
        assert_eq!(only_entry(trial)["state"], "resolved");
        trial.assert_equal();
    }

    fn in_the_load(&self) {
        let trial = self.begun(&[(1, self.good), (2, self.bad), (3, self.good)]);
        self.stops_and_goes_on(&trial, "2");
    }

    fn in_the_stream(&self) {
        let trial = self.begun(&[(1, self.good), (2, self.good)]);
        trial.verify();
        // a run that begins when the value is there may refuse to begin
        let following = trial.following(&[]);
        self.insert(&trial, (7, self.good));
        self.insert(&trial, (8, self.bad));
        self.insert(&trial, (9, self.good));
        let arrived = || trial.target.number("SELECT count(*) FROM t WHERE id > 6") == 2;
        wait_until("the rows around it", LONG, arrived);
        let entry = only_entry(&trial);
        assert_eq!(entry["key"], "8", "{entry}");
        assert_eq!(entry["kind"], "refused", "{entry}");
        assert_eq!(entry["columns"], serde_json::json!([self.column]));
        assert_eq!(entry["state"], "open", "{entry}");
        let told = following.stdout_so_far();
        assert!(told.contains("waits in quarantine as entry"), "{told}");
        assert!(!told.contains("secret word"), "{told}");
        let progress = || trial.status()["progress"].clone();
        wait_until("status knows", LONG, || progress()["parked"] == 1);
        assert_eq!(progress()["followed"], false);
        // for the moment in which the row is read once more, the target is not the source as of a position
        wait_until("nothing else is behind", LONG, || {
            progress()["phase"] == "following"
        });
        // whoever wants both sides equal is told, and the run goes on
        trial
            .call(&["switch", "writes", "--owner", "me", "--within", "5s"])
            .expect(2)
            .says(&["switch.rows_parked"]);
        trial.call(&["verify"]).expect(2).says(&["8"]);
        // a change that mends nothing
        trial.source.run("UPDATE t SET note = 'other' WHERE id = 8");
        self.insert(&trial, (10, self.good));
        let arrived = || trial.target.number("SELECT count(*) FROM t WHERE id = 10") == 1;
        wait_until("a later row", LONG, arrived);
        assert_eq!(progress()["parked"], 1);
        quarantine(&trial, &["show", &entry["id"].to_string()]).expect(0);
        trial.source.run(&format!(
            "UPDATE t SET {} = {} WHERE id = 8",
            self.column, self.good
        ));
        // without another word
        let taken = || trial.target.number("SELECT count(*) FROM t WHERE id = 8") == 1;
        wait_until("the mended row", LONG, taken);
        wait_until("status knows", LONG, || progress()["parked"] == 0);
        trial.call(&["verify"]).expect(0);
        assert_eq!(only_entry(&trial)["state"], "resolved");
        following.interrupt();
        following.wait(LONG).expect(0);
        trial.assert_equal();
    }
}

const ZERO_DATE: Case = Case {
    source: Engine::Mysql97,
    target: Engine::Pg18,
    columns: "d date",
    good: "'2024-02-29'",
    bad: "'0000-00-00'",
    column: "d",
};

const NUL: Case = Case {
    source: Engine::Maria118,
    target: Engine::Pg17,
    columns: "v varchar(20)",
    good: "'a'",
    bad: "CONCAT('a', CHAR(0), 'b')",
    column: "v",
};

const OVERFLOW: Case = Case {
    source: Engine::Pg17,
    target: Engine::Mysql97,
    columns: "n numeric",
    good: "1.5",
    bad: "1e40",
    column: "n",
};

const TOO_LONG: Case = Case {
    source: Engine::Pg15,
    target: Engine::Maria118,
    columns: "v text UNIQUE",
    good: "md5(random()::text)",
    bad: "repeat('x', 2000)",
    column: "v",
};

#[test]
fn a_zero_date_that_is_there_refuses_to_begin() {
    let trial = ZERO_DATE.begun(&[(1, ZERO_DATE.good), (2, ZERO_DATE.bad)]);
    trial
        .call(&["run", "--until", "followed"])
        .expect(2)
        .says(&["mysql.zero_date"]);
}

#[test]
fn a_zero_date_in_the_stream_to_postgres() {
    ZERO_DATE.in_the_stream();
}

#[test]
fn a_character_nul_in_the_load_of_postgres() {
    NUL.in_the_load();
}

#[test]
fn a_character_nul_in_the_stream_to_postgres() {
    NUL.in_the_stream();
}

#[test]
fn a_number_too_large_in_the_load_of_mysql() {
    OVERFLOW.in_the_load();
}

#[test]
fn a_number_too_large_in_the_stream_to_mysql() {
    OVERFLOW.in_the_stream();
}

#[test]
fn a_text_too_long_in_the_load_of_mariadb() {
    TOO_LONG.in_the_load();
}

#[test]
fn a_text_too_long_in_the_stream_to_mariadb() {
    TOO_LONG.in_the_stream();
}
