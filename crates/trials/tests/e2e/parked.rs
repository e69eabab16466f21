//! Rows that the target refuses in the stream: whatever else is written meanwhile, and wherever the run dies, once the target takes them
//! both sides are equal.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use crossfade_trials::patience::{LONG, wait_until};
use crossfade_trials::seed::{generator, seed};
use crossfade_trials::{Database, Engine, Trial};
use rand::Rng as _;
use rand::rngs::StdRng;

/// Rows hold keys up to here.
const KEYS: u32 = 40;

/// The target refuses numbers from here on.
const LIMIT: u32 = 100;

fn make(database: &Database) {
    let text = match database {
        Database::Mysql(_) => "varchar(4000)",
        _ => "text",
    };
    database.run(&format!(
        "CREATE TABLE t (k integer NOT NULL PRIMARY KEY, u integer NOT NULL UNIQUE, n integer NOT NULL, big {text})"
    ));
    if let Database::Postgres(_) = database {
        database.run("ALTER TABLE t ALTER big SET STORAGE EXTERNAL");
    }
}

/// Narrows the target's table behind the run's back.
fn narrow(database: &Database) {
    database.run(&match database {
        // triggers are nothing to the applier, and a check cannot be added otherwise
        Database::Sqlite(_) => rewrite(&format!("rtrim(sql, ')') || ', CHECK (n < {LIMIT}))'")),
        _ => format!("ALTER TABLE t ADD CONSTRAINT narrow CHECK (n < {LIMIT})"),
    });
}

fn widen(database: &Database) {
    database.run(&match database {
        Database::Sqlite(_) => rewrite(&format!("replace(sql, ', CHECK (n < {LIMIT})', '')")),
        _ => "ALTER TABLE t DROP CONSTRAINT narrow".to_owned(),
    });
}

/// Changes the definition of a SQLite table in place, and tells other connections.
fn rewrite(sql: &str) -> String {
    format!(
        "PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = {sql} WHERE name = 't' AND type = 'table';
         PRAGMA writable_schema = RESET; CREATE TABLE told (x); DROP TABLE told"
    )
}

/// What the source holds: by key the unique value.
struct Rows {
    rows: BTreeMap<u32, u32>,
    next: u32,
    /// Numbers are below this.
    below: u32,
}

impl Rows {
    fn some(&self, random: &mut StdRng) -> Option<u32> {
        let at = random.random_range(0..self.rows.len().max(1));
        self.rows.keys().nth(at).copied()
    }

    fn fresh(&mut self) -> u32 {
        self.next += 1;
        self.next
    }

    /// The statements of one change.
    fn change(&mut self, random: &mut StdRng) -> String {
        let n = random.random_range(0..self.below);
        let key = random.random_range(1..=KEYS);
        let Some(one) = self.some(random) else {
            return self.insert(key, n);
        };
        match random.random_range(0..8) {
            0 | 1 if !self.rows.contains_key(&key) => self.insert(key, n),
            2 => {
                self.rows.remove(&one);
                format!("DELETE FROM t WHERE k = {one};")
            }
            3 if !self.rows.contains_key(&key) => {
                if let Some(u) = self.rows.remove(&one) {
                    self.rows.insert(key, u);
                }
                format!("UPDATE t SET k = {key}, n = {n} WHERE k = {one};")
            }
            4 => self.exchange(one, random),
            5 => {
                let u = self.fresh();
                self.rows.insert(one, u);
                format!("UPDATE t SET u = {u}, n = {n} WHERE k = {one};")
            }
            6 => format!("UPDATE t SET big = 'x{n}' WHERE k = {one};"),
            _ => format!("UPDATE t SET n = {n} WHERE k = {one};"),
        }
    }

    fn insert(&mut self, key: u32, n: u32) -> String {
        let u = self.fresh();
        self.rows.insert(key, u);
        let big = "b".repeat(3000);
        format!("INSERT INTO t VALUES ({key}, {u}, {n}, '{big}');")
    }

    /// Two rows exchange their unique values.
    fn exchange(&mut self, one: u32, random: &mut StdRng) -> String {
        let other = self.some(random).unwrap_or(one);
        let (a, b) = (self.rows[&one], self.rows[&other]);
        self.rows.insert(one, b);
        self.rows.insert(other, a);
        format!(
            "UPDATE t SET u = -1 WHERE k = {one}; UPDATE t SET u = {a} WHERE k = {other}; UPDATE t SET u = {b} WHERE k = {one};"
        )
    }

    fn transaction(&mut self, random: &mut StdRng) -> String {
        let changes: String = (0..random.random_range(1..6))
            .map(|_| self.change(random))
            .collect();
        format!("BEGIN; {changes} COMMIT")
    }
}

fn parked(trial: &Trial) -> u64 {
    let status = trial.status();
    status["progress"]["parked"].as_u64().unwrap_or_default()
}

/// Writes at random through a narrow target, dying at some points, then widens it: without another write everything is there.
fn refused_at_random(source: Engine, target: Engine, batch_changes: u64) {
    let seed = seed("parked");
    let mut random = generator(seed, 1);
    let trial = Trial::new(source, target).option("batch_changes", batch_changes);
    make(&trial.source);
    let mut rows = Rows {
        rows: BTreeMap::new(),
        next: 0,
        below: LIMIT,
    };
    for _ in 0..20 {
        let sql = rows.transaction(&mut random);
        trial.source.run(&sql);
    }
    trial.follow();
    narrow(&trial.target);
    // one in ten is too large
    rows.below = LIMIT * 10 / 9;
    for point in ["park.entered", "park.durable", "apply.before_commit"] {
        let armed = format!("{point}:{}", random.random_range(1..4));
        let mut running = trial.start_with(&["run"], &[("CROSSFADE_KILL", &armed)]);
        for _ in 0..60 {
            let sql = rows.transaction(&mut random);
            trial.source.run(&sql);
        }
        // rows that are there already may be all that is refused
        for n in 0.. {
            if !running.is_running() || n > 200 {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        let ended = running.kill();
        eprintln!("{armed}: {:?}", ended.code);
    }
    let mut running = trial.start(&["run", "--json"]);
    trial.source.run(&format!(
        "DELETE FROM t WHERE k IN (1000, 1001);
         INSERT INTO t VALUES (1000, 1000000, {LIMIT}, NULL);
         INSERT INTO t VALUES (1001, 1000001, 1, NULL)"
    ));
    let last = "SELECT count(*) FROM t WHERE k > 999";
    wait_until("the last row", LONG, || {
        let said = || {
            let out = running.stdout_so_far();
            let last = out.lines().rev().find(|line| !line.contains("progress"));
            format!("{}\n{last:?}", running.stderr_so_far())
        };
        let said = said();
        assert!(running.is_running(), "{said}");
        trial.target.number(last) == 1
    });
    wait_until("status knows", LONG, || parked(&trial) > 0);
    eprintln!("{} rows are parked", parked(&trial));
    let too_large = format!("SELECT count(*) FROM t WHERE n >= {LIMIT}");
    assert_eq!(trial.target.number(&too_large), 0);
    widen(&trial.target);
    // or, somewhere, just wait
    if source != Engine::Pg15 {
        trial.call(&["quarantine", "retry", "--all"]).expect(0);
    }
    wait_until("nothing is parked", LONG, || parked(&trial) == 0);
    running.interrupt();
    running.wait(LONG).expect(0);
    trial.assert_equal();
    assert!(trial.source.number(&too_large) > 0);
    trial.verify();
}

#[test]
fn rows_refused_at_random_are_all_there_in_the_end_pg15_to_pg18() {
    refused_at_random(Engine::Pg15, Engine::Pg18, 500);
}

#[test]
fn rows_refused_at_random_in_transactions_of_several_batches() {
    refused_at_random(Engine::Pg17, Engine::Pg17, 3);
}

#[test]
fn rows_refused_at_random_are_all_there_in_the_end_mysql_to_pg17() {
    refused_at_random(Engine::Mysql97, Engine::Pg17, 500);
}

#[test]
fn rows_refused_at_random_are_all_there_in_the_end_pg18_to_mariadb() {
    refused_at_random(Engine::Pg18, Engine::Maria118, 500);
}

#[test]
fn rows_refused_at_random_are_all_there_in_the_end_sqlite_to_mysql() {
    refused_at_random(Engine::Sqlite, Engine::Mysql97, 500);
}

#[test]
fn rows_refused_at_random_are_all_there_in_the_end_mariadb_to_sqlite() {
    refused_at_random(Engine::Maria1011, Engine::Sqlite, 500);
}

/// A run that is to reach something says what keeps it from that, and a later one reaches it.
#[test]
fn a_run_that_is_to_follow_says_that_rows_wait() {
    let trial = Trial::new(Engine::Pg15, Engine::Pg17);
    make(&trial.source);
    trial.source.run("INSERT INTO t VALUES (1, 1, 1, NULL)");
    trial.follow();
    narrow(&trial.target);
    trial.source.run(&format!(
        "INSERT INTO t VALUES (2, 2, {LIMIT}, NULL); INSERT INTO t VALUES (3, 3, 3, NULL)"
    ));
    for _ in 0..2 {
        trial
            .call(&["run", "--until", "followed"])
            .expect(1)
            .says(&["apply.rows_parked", "quarantine list"]);
        assert_eq!(trial.target.number("SELECT count(*) FROM t"), 2);
    }
    trial.call(&["run", "--until", "verified"]).expect(2);
    widen(&trial.target);
    trial.follow();
    trial.verify();
    trial.assert_equal();
}

/// More rows than may wait end the run, and none of the rest is lost.
#[test]
fn more_refused_rows_than_may_wait_end_the_run() {
    let trial = Trial::new(Engine::Pg17, Engine::Pg18);
    make(&trial.source);
    trial.follow();
    narrow(&trial.target);
    trial.source.run(&format!(
        "INSERT INTO t SELECT i, i, {LIMIT}, NULL FROM generate_series(1, 130) i"
    ));
    trial
        .call(&["run", "--until", "followed"])
        .expect(1)
        .says(&["quarantine as entry"]);
    widen(&trial.target);
    trial.verify();
    trial.assert_equal();
}

/// A unique value that a parked row's image on the target still has, and that another row has by now on the source.
#[test]
fn a_unique_value_that_a_parked_row_has_given_up_does_not_stop_the_run() {
    for (source, target) in [
        (Engine::Pg15, Engine::Pg17),
        (Engine::Pg17, Engine::Mysql97),
    ] {
        let trial = Trial::new(source, target);
        make(&trial.source);
        trial
            .source
            .run("INSERT INTO t VALUES (1, 1, 1, NULL), (2, 2, 2, NULL)");
        trial.follow();
        narrow(&trial.target);
        let running = trial.following(&[]);
        trial
            .source
            .run(&format!("UPDATE t SET u = 10, n = {LIMIT} WHERE k = 1"));
        trial.source.run("UPDATE t SET u = 1 WHERE k = 2");
        trial.source.run("INSERT INTO t VALUES (3, 2, 3, NULL)");
        trial.source.run("INSERT INTO t VALUES (4, 4, 4, NULL)");
        let arrived = || trial.target.number("SELECT count(*) FROM t WHERE k = 4") == 1;
        wait_until("a later row", LONG, arrived);
        wait_until("status knows", LONG, || parked(&trial) == 1);
        trial.source.run("UPDATE t SET n = 5 WHERE k = 1");
        wait_until("nothing is parked", LONG, || parked(&trial) == 0);
        running.interrupt();
        running.wait(LONG).expect(0);
        trial.assert_equal();
        trial.verify();
    }
}

/// A table whose key holds 'a' and 'A' equal.
fn make_named(database: &Database) {
    let key = match database {
        Database::Sqlite(_) => "text COLLATE NOCASE",
        _ => "varchar(20) COLLATE utf8mb4_general_ci",
    };
    database.run(&format!(
        "CREATE TABLE t (k {key} NOT NULL PRIMARY KEY, n integer NOT NULL)"
    ));
}

/// A refused row that is renamed to a key which the stores hold equal is there under that key, and what was its old one takes nothing away.
#[test]
fn a_parked_row_that_is_renamed_to_an_equal_key_stays() {
    for engine in [Engine::Mysql97, Engine::Maria1011, Engine::Sqlite] {
        let trial = Trial::new(engine, engine);
        make_named(&trial.source);
        trial
            .source
            .run("INSERT INTO t VALUES ('A', 1), ('B', 1), ('C', 1)");
        trial.follow();
        narrow(&trial.target);
        let running = trial.following(&[]);
        trial.source.run(&format!("UPDATE t SET n = {LIMIT}"));
        wait_until("all are parked", LONG, || parked(&trial) == 3);
        trial
            .source
            .run("UPDATE t SET k = 'a', n = 2 WHERE k = 'A'");
        trial
            .source
            .run("DELETE FROM t WHERE k = 'B'; INSERT INTO t VALUES ('b', 3)");
        wait_until("one is parked", LONG, || parked(&trial) == 1);
        // another one is refused, so that what is left of parked rows is looked at once more
        trial
            .source
            .run(&format!("INSERT INTO t VALUES ('D', {LIMIT})"));
        wait_until("two are parked", LONG, || parked(&trial) == 2);
        assert_eq!(
            trial
                .target
                .number("SELECT count(*) FROM t WHERE n IN (2, 3)"),
            2
        );
        widen(&trial.target);
        trial.call(&["quarantine", "retry", "--all"]).expect(0);
        wait_until("nothing is parked", LONG, || parked(&trial) == 0);
        running.interrupt();
        running.wait(LONG).expect(0);
        trial.assert_equal();
        trial.verify();
    }
}

/// Many rows of one transaction are refused: they wait, beside those of it that are not.
#[test]
fn many_rows_of_one_transaction_wait_at_once() {
    for (source, target) in [
        (Engine::Pg17, Engine::Pg18),
        (Engine::Mysql97, Engine::Pg15),
    ] {
        let trial = Trial::new(source, target).option("batch_changes", 100);
        make(&trial.source);
        trial
            .source
            .run("INSERT INTO t VALUES (1000, 1000, 1, NULL)");
        trial.follow();
        narrow(&trial.target);
        let running = trial.following(&[]);
        // in one batch, and in a transaction of several
        for (low, high) in [(0, 50), (100, 500)] {
            let rows: Vec<String> = (low..high)
                .map(|i| format!("({i}, {i}, {}, NULL)", if i % 10 == 7 { LIMIT } else { 1 }))
                .collect();
            trial
                .source
                .run(&format!("INSERT INTO t VALUES {}", rows.join(", ")));
        }
        wait_until("they are parked", LONG, || parked(&trial) == 45);
        trial.source.run("UPDATE t SET n = 2 WHERE k = 1000");
        wait_until("a later change", LONG, || {
            trial.target.number("SELECT n FROM t WHERE k = 1000") == 2
        });
        assert_eq!(trial.target.number("SELECT count(*) FROM t"), 451 - 45);
        trial.source.run("UPDATE t SET n = 3");
        wait_until("nothing is parked", LONG, || parked(&trial) == 0);
        running.interrupt();
        running.wait(LONG).expect(0);
        trial.assert_equal();
        trial.verify();
    }
}

/// Rows that are refused before the target is complete keep neither a comparison nor a retry waiting for ever.
#[test]
fn a_target_that_waits_for_rows_is_compared_and_tried() {
    let trial = Trial::new(Engine::Pg15, Engine::Pg17);
    make(&trial.source);
    trial.source.run(&format!(
        "INSERT INTO t VALUES (1, 1, 1, NULL), (2, 2, {LIMIT}, NULL)"
    ));
    trial.die_at("chunk.rows", 1);
    narrow(&trial.target);
    let mut running = trial.start(&["run"]);
    wait_until("it is parked", LONG, || {
        assert!(running.is_running(), "{}", running.stderr_so_far());
        parked(&trial) == 1
    });
    trial
        .call(&["verify"])
        .expect(2)
        .says(&["key 2: on the source only"]);
    trial
        .call(&["switch", "writes", "--owner", "me", "--within", "30s"])
        .expect(2)
        .says(&["switch.not_followed"]);
    trial.call(&["quarantine", "retry", "--all"]).expect(2);
    widen(&trial.target);
    trial.call(&["quarantine", "retry", "--all"]).expect(0);
    wait_until("nothing is parked", LONG, || parked(&trial) == 0);
    running.interrupt();
    running.wait(LONG).expect(0);
    trial.verify();
    trial.assert_equal();
}

/// Where differing keys may be equal, a row that is taken up again is there to stay, however much is written beside it.
#[test]
fn a_mended_row_is_taken_beside_a_steady_writer() {
    for engine in [Engine::Mysql97, Engine::Sqlite] {
        let trial = Trial::new(engine, engine);
        make_named(&trial.source);
        trial
            .source
            .run("INSERT INTO t VALUES ('a', 1), ('busy', 1)");
        trial.follow();
        narrow(&trial.target);
        let running = trial.following(&[]);
        trial
            .source
            .run(&format!("UPDATE t SET n = {LIMIT} WHERE k = 'a'"));
        wait_until("it is parked", LONG, || parked(&trial) == 1);
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut n = 0;
                while !stop.load(Ordering::Relaxed) {
                    n += 1;
                    let n = n % LIMIT;
                    trial
                        .source
                        .run(&format!("UPDATE t SET n = {n} WHERE k = 'busy'"));
                    std::thread::sleep(std::time::Duration::from_millis(5));
                }
            });
            trial.source.run("UPDATE t SET n = 2 WHERE k = 'a'");
            wait_until("nothing is parked", LONG, || parked(&trial) == 0);
            std::thread::sleep(std::time::Duration::from_secs(3));
            assert_eq!(parked(&trial), 0);
            assert_eq!(trial.target.number("SELECT n FROM t WHERE k = 'a'"), 2);
            stop.store(true, Ordering::Relaxed);
        });
        running.interrupt();
        running.wait(LONG).expect(0);
        trial.verify();
        trial.assert_equal();
    }
}

/// A row comes and goes in one transaction, and the target cannot even look for its key.
#[test]
fn a_key_that_the_target_cannot_hold_comes_and_goes() {
    let trial = Trial::new(Engine::Mysql97, Engine::Pg17);
    trial
        .source
        .run("CREATE TABLE t (k varchar(40) PRIMARY KEY, n integer NOT NULL)");
    trial.source.run("INSERT INTO t VALUES ('1', 1)");
    trial.follow();
    let running = trial.following(&[]);
    let bad = |word: &str| format!("CONCAT('{word}', CHAR(0))");
    trial.source.run(&format!(
        "BEGIN; INSERT INTO t VALUES ({word}, 2); DELETE FROM t WHERE k = {word}; INSERT INTO t VALUES ('5', 5); COMMIT",
        word = bad("word")
    ));
    trial
        .source
        .run(&format!("INSERT INTO t VALUES ({}, 3)", bad("other")));
    trial.source.run("INSERT INTO t VALUES ('6', 6)");
    let arrived = || {
        trial
            .target
            .number("SELECT count(*) FROM t WHERE n IN (5, 6)")
            == 2
    };
    wait_until("the rows beside it", LONG, arrived);
    wait_until("the other waits", LONG, || parked(&trial) == 1);
    trial
        .source
        .run(&format!("DELETE FROM t WHERE k = {}", bad("other")));
    wait_until("nothing is parked", LONG, || parked(&trial) == 0);
    running.interrupt();
    running.wait(LONG).expect(0);
    trial.verify();
    trial.assert_equal();
}

/// What is left of a parked row is in the way of a unique value; columns of the target that nobody fills stay as they are.
#[test]
fn a_column_that_is_not_the_migrations_outlives_a_parked_row() {
    let trial = Trial::new(Engine::Pg15, Engine::Pg17).as_superuser();
    make(&trial.source);
    trial.target.run(
        "CREATE TABLE t (k integer PRIMARY KEY, u integer NOT NULL, n integer NOT NULL, big text, legacy text)",
    );
    trial
        .source
        .run("INSERT INTO t VALUES (1, 1, 1, NULL), (2, 2, 2, NULL)");
    trial.follow();
    trial
        .target
        .run("CREATE UNIQUE INDEX ON t (u); SET session_replication_role = replica; UPDATE t SET legacy = 'mine' WHERE k = 1");
    narrow(&trial.target);
    let running = trial.start(&["run"]);
    trial
        .source
        .run(&format!("UPDATE t SET u = 10, n = {LIMIT} WHERE k = 1"));
    wait_until("it is parked", LONG, || parked(&trial) == 1);
    // the value that the parked row's image still has: nothing may be taken off for it
    trial.source.run("UPDATE t SET u = 1 WHERE k = 2");
    let ended = running.wait(LONG).expect(1);
    assert!(ended.text().contains("unique"), "{}", ended.text());
    widen(&trial.target);
    let legacy = "SELECT count(*) FROM t WHERE k = 1 AND legacy = 'mine'";
    assert_eq!(trial.target.number(legacy), 1);
}
