//! Servers and tables of PostgreSQL that a migration cannot work with: refused before anything is made, with what, where and what to do.

use crossfade_trials::database::Database;
use crossfade_trials::postgres::PostgresDatabase;
use crossfade_trials::{Engine, Trial, chaos, compare};
use tempfile::TempDir;
use xtask::servers::fleet::Fleet;
use xtask::servers::server::{Access, Durability, Spec};
use xtask::servers::version::Version;

const MAKE: &str =
    "CREATE TABLE t (id bigint PRIMARY KEY, a text); INSERT INTO t VALUES (1, 'one')";

/// Both commands refuse with these words, and nothing is left on either side.
#[track_caller]
fn refused(trial: &Trial, words: &[&str]) {
    let there = || {
        let of_source = chaos::capture::left(&trial.source);
        (of_source, compare::tables(&trial.target))
    };
    let before = there();
    for command in [&["plan"][..], &["run", "--until", "followed"]] {
        trial.call(command).expect(2).says(words);
    }
    assert_eq!(there(), before);
}

fn between(source: Database) -> Trial {
    let folder = TempDir::with_prefix("crossfade-trial-").unwrap();
    let target = Database::create(Engine::Pg17, folder.path(), "target");
    Trial::between(folder, source, target).as_superuser()
}

#[test]
fn servers_without_a_logical_log_or_a_free_slot_are_refused() {
    let installed = xtask::servers::install().unwrap();
    let spec = |name: &str, setting: &str| Spec {
        name: name.to_owned(),
        version: Version::V15,
        durability: Durability::Fast,
        access: Access::Trust,
        settings: vec![setting.to_owned()],
    };
    let fleet = Fleet::start(
        &installed,
        &[
            spec("replica", "wal_level = replica"),
            spec("narrow", "max_replication_slots = 1"),
        ],
    )
    .unwrap();
    let source = |name: &str| {
        let server = fleet.server(name).unwrap().url();
        let source = Database::Postgres(PostgresDatabase::create_at(&server));
        source.run(MAKE);
        source
    };
    let trial = between(source("replica"));
    refused(
        &trial,
        &[
            "postgres.wal_level",
            "ALTER SYSTEM SET wal_level = 'logical'",
        ],
    );
    drop(trial);

    let trial = between(source("narrow"));
    trial
        .source
        .run("SELECT pg_create_physical_replication_slot('somebody', true)");
    refused(&trial, &["postgres.no_free_slot", "max_replication_slots"]);
    trial
        .source
        .run("SELECT pg_drop_replication_slot('somebody')");
    trial.follow();
    trial.assert_equal();
    drop(trial);
    fleet.stop().unwrap();
}

/// A role that lacks something is told what, and the statement that gives it.
#[test]
fn a_role_without_privileges_is_refused_with_the_grant_that_helps() {
    let trial = Trial::new(Engine::Pg15, Engine::Pg17);
    trial.source.run(MAKE);
    // with all that `plan --grants` prints but one
    trial.urls();
    let role = format!("\"crossfade_{}\"", trial.name);
    for (take, give, words) in [
        (
            format!("REVOKE SELECT ON t FROM {role}"),
            format!("GRANT SELECT ON t TO {role}"),
            ["postgres.select", "GRANT SELECT ON"],
        ),
        (
            format!("ALTER ROLE {role} NOREPLICATION"),
            format!("ALTER ROLE {role} REPLICATION"),
            ["postgres.role_replication", "REPLICATION"],
        ),
    ] {
        trial.source.run(&take);
        refused(&trial, &words);
        trial.source.run(&give);
    }
    trial.follow();
    trial.assert_equal();
}

/// Tables of the target that cannot take the rows, and names that there are not.
#[test]
fn tables_that_do_not_fit_are_refused() {
    for (made, words) in [
        (
            "CREATE TABLE t (id bigint PRIMARY KEY, a text); INSERT INTO t VALUES (7, 'there')",
            &["postgres.not_empty", "TRUNCATE TABLE"][..],
        ),
        (
            "CREATE TABLE t (id bigint PRIMARY KEY)",
            &["column.missing", "has no column a"],
        ),
        (
            "CREATE TABLE t (id integer PRIMARY KEY, a text)",
            &["column.type", "id"],
        ),
        (
            "CREATE TABLE t (id bigint PRIMARY KEY, a varchar(3))",
            &["column.type", "column a"],
        ),
        (
            "CREATE TABLE t (id bigint PRIMARY KEY, a text, b integer NOT NULL)",
            &["column.unfilled", "column b"],
        ),
        (
            "CREATE TABLE t (id bigint, a text PRIMARY KEY)",
            &["key.different", "(id)"],
        ),
    ] {
        let trial = Trial::new(Engine::Pg15, Engine::Pg17).as_superuser();
        trial.source.run(MAKE);
        trial.target.run(made);
        refused(&trial, words);
    }
    let mut trial = Trial::new(Engine::Pg15, Engine::Pg17).as_superuser();
    trial.source.run(MAKE);
    trial.tables = "[[table]]\nfrom = \"tt\"\n".to_owned();
    refused(&trial, &["plan.no_such_table", "did you mean"]);
}
