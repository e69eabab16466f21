//! Servers of MySQL and MariaDB whose defaults are unlike the usual: what a session does not set itself, it would take from them.

use crossfade_trials::Trial;
use crossfade_trials::database::{Database, Engine};
use crossfade_trials::mysql::{MysqlDatabase, Session};
use crossfade_trials::seed::seed;
use crossfade_trials::shop::{self, Tables};
use crossfade_trials::workload::Options;
use tempfile::TempDir;
use xtask::servers::flavor::Flavor;
use xtask::servers::fleet::Fleet;

/// Options of both.
const OPTIONS: [&str; 12] = [
    "--local-infile=OFF",
    "--max-allowed-packet=1M",
    "--default-time-zone=+05:30",
    "--character-set-server=latin1",
    "--transaction-isolation=SERIALIZABLE",
    "--autocommit=OFF",
    "--default-storage-engine=MyISAM",
    "--div-precision-increment=0",
    "--max-sort-length=64",
    "--group-concat-max-len=4",
    "--innodb-lock-wait-timeout=1",
    "--completion-type=CHAIN",
];

/// What no option sets, and a dynamic one of the log.
const GLOBALS: [&str; 7] = [
    "SET GLOBAL sql_select_limit = 7",
    "SET GLOBAL sql_safe_updates = ON",
    "SET GLOBAL sql_auto_is_null = ON",
    "SET GLOBAL sql_notes = OFF",
    "SET GLOBAL max_error_count = 0",
    "SET GLOBAL unique_checks = OFF",
    "SET GLOBAL foreign_key_checks = OFF",
];

/// Rows that are nearly as long as a packet may be.
const LONG: &str = "CREATE TABLE long_rows (id integer PRIMARY KEY, a mediumtext CHARACTER SET utf8mb4, b mediumblob, at timestamp(6) NULL, n decimal(20,10));
    INSERT INTO long_rows VALUES (1, repeat('ü', 440000), NULL, '2024-03-31 02:30:00.123456', 1.0123456789),
        (2, 'x', repeat(x'00ff5c27', 60000), '2038-01-19 03:14:07.999999', -0.0000000001), (3, repeat('😀', 100000), x'', NULL, NULL);";

#[test]
fn a_migration_takes_nothing_from_the_servers_defaults() {
    let installed = xtask::servers::install().unwrap();
    xtask::servers::install_mysql(&installed).unwrap();
    let seed = seed("odd servers");
    for (source, target) in [
        (Flavor::Mysql97, Flavor::Mariadb118),
        (Flavor::Mariadb1011, Flavor::Mysql97),
    ] {
        let mut fleet = Fleet::start(&installed, &[]).unwrap();
        for (name, number, flavor) in [("source", 1, source), ("target", 2, target)] {
            fleet
                .add_further_mysql(&installed, flavor, (name, number), &OPTIONS)
                .unwrap();
        }
        let databases = [0, 1].map(|at| {
            let url = fleet.mysql()[at].url();
            let mut session = Session::open(&url).unwrap();
            for sql in GLOBALS {
                session.run(sql).unwrap();
            }
            Database::Mysql(MysqlDatabase::create_at(url))
        });
        let [source, target] = databases;
        let folder = TempDir::with_prefix("crossfade-trial-").unwrap();
        let trial = Trial::between(folder, source, target).option("chunk_rows", 100);
        shop::make(&trial.source, Tables::Common, 500, seed);
        trial.source.run(LONG);
        let writers = trial.writers(Options::new(Tables::Common, 500), seed);
        let running = trial.following(&[]);
        trial.source.run(
            "UPDATE long_rows SET id = id + 10 WHERE id > 0; INSERT INTO long_rows SELECT id - 10, a, b, at, n FROM long_rows",
        );
        trial.call(&["verify", "--json"]).expect(0);
        writers.stop();
        trial.call(&["verify", "--json"]).expect(0);
        running.ended();
        trial.follow();
        trial.assert_equal();
        assert_eq!(trial.target.number("SELECT count(*) FROM long_rows"), 6);
        drop(trial);
        fleet.stop().unwrap();
    }
}

/// A text that is no UTF-8 stays where it is: its row waits with its key, and everything else goes on.
#[test]
fn a_text_that_is_no_text_is_told_with_its_row() {
    for target in [Engine::Pg17, Engine::Mysql97, Engine::Maria1011] {
        let trial = Trial::new(Engine::Sqlite, target);
        trial.source.run(
            "CREATE TABLE t (id integer PRIMARY KEY, a text); INSERT INTO t VALUES (1, 'one'), (7, CAST(x'ff41' AS TEXT)), (9, 'nine')",
        );
        let outcome = trial.call(&["run", "--until", "followed", "--json"]);
        assert_eq!(outcome.code, Some(1), "{}", outcome.text());
        outcome.says(&["table t, key 7", "not valid UTF-8"]);
        assert_eq!(trial.target.number("SELECT count(*) FROM t"), 2);
        trial.source.run(
            "UPDATE t SET a = 'seven' WHERE id = 7; INSERT INTO t VALUES (11, CAST(x'c3' AS TEXT))",
        );
        trial.call(&["run", "--until", "followed"]).expect(1);
        assert_eq!(
            trial.target.text("SELECT a FROM t WHERE id = 7").as_deref(),
            Some("seven")
        );
        trial.source.run("DELETE FROM t WHERE id = 11");
        trial.follow();
        trial.assert_equal();
    }
}
