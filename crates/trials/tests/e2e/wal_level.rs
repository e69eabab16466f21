//! A target whose log does not hold rows' changes: a way back cannot be laid there, which is told long before the switch.

use crossfade_trials::database::Database;
use crossfade_trials::postgres::PostgresDatabase;
use crossfade_trials::{Engine, Trial};
use tempfile::TempDir;
use xtask::servers::fleet::Fleet;
use xtask::servers::server::{Access, Durability, Spec};
use xtask::servers::version::Version;

use crate::switch::{arrives, followed, refuses, switch};

#[test]
fn a_target_without_a_logical_log_is_told_by_the_plan_and_refuses_the_switch() {
    let installed = xtask::servers::install().unwrap();
    let spec = Spec {
        name: "replica".to_owned(),
        version: Version::V15,
        durability: Durability::Fast,
        access: Access::Trust,
        settings: vec!["wal_level = replica".to_owned()],
    };
    let fleet = Fleet::start(&installed, &[spec]).unwrap();
    let folder = TempDir::with_prefix("crossfade-trial-").unwrap();
    let source = Database::create(Engine::Sqlite, folder.path(), "source");
    let server = fleet.server("replica").unwrap().url();
    let target = Database::Postgres(PostgresDatabase::create_at(&server));
    let trial = Trial::between(folder, source, target).as_superuser();
    trial
        .source
        .run("CREATE TABLE t (id integer PRIMARY KEY, a text); INSERT INTO t VALUES (1, 'a')");
    // before anything is made, and once it follows
    for _ in 0..2 {
        trial
            .call(&["plan"])
            .expect(0)
            .says(&["the switch will be refused: wal_level is replica"]);
        trial.follow();
    }
    let running = followed(&trial);
    switch(&trial).expect(2).says(&["postgres.wal_level"]);
    trial.source.run("INSERT INTO t VALUES (2, 'still')");
    arrives(&trial.target, 2, "still");
    refuses(&trial.target, "INSERT INTO t VALUES (3, 'x')");
    running.ended();
    drop(trial);
    fleet.stop().unwrap();
}
