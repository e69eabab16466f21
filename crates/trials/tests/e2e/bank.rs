//! Money under way while authority changes hands: nothing acknowledged is lost, nothing is there twice, on either side, ever.

use crossfade_trials::bank::{self, Bank, Options, Side};
use crossfade_trials::binary::Running;
use crossfade_trials::compare;
use crossfade_trials::patience::{LONG, wait_until};
use crossfade_trials::seed::seed;
use crossfade_trials::{Database, Engine, Trial};

/// Transfers in each part of a trial.
const SOME: usize = 60;

struct Scene {
    // before the trial, whose folder they work in
    bank: Bank,
    trial: Trial,
    options: Options,
}

impl Scene {
    fn new(source: Engine, target: Engine) -> Self {
        let trial = Trial::new(source, target).as_superuser();
        let options = Options::default();
        bank::make(&trial.source, options);
        let seed = seed("bank");
        let bank = Bank::open(trial.folder(), &trial.source, &trial.target, options, seed);
        Self {
            trial,
            bank,
            options,
        }
    }

    fn database(&self, side: Side) -> &Database {
        match side {
            Side::Source => &self.trial.source,
            Side::Target => &self.trial.target,
        }
    }

    /// The books of both, while tellers work at `authority`.
    fn audit(&mut self, authority: Side, when: &str) {
        self.bank.wait_for_work(SOME);
        let log = self.bank.log();
        bank::assert_holds(self.database(authority), &log, when);
        for side in [Side::Source, Side::Target] {
            bank::assert_balanced(self.database(side), self.options.accounts, when);
        }
    }

    fn switch(&self) {
        self.trial.call(&["verify", "--json"]).expect(0);
        let words = [
            "switch", "writes", "--owner", "bank", "--within", "30s", "--json",
        ];
        self.trial.call(&words).expect(0);
        self.bank.hint(Side::Target, false);
    }

    fn rollback(&self) {
        // a run that has just turned round has read nothing yet
        self.trial.call(&["verify", "--json"]).expect(0);
        let words = ["rollback", "--owner", "bank", "--within", "30s", "--json"];
        self.trial.call(&words).expect(0);
        self.bank.hint(Side::Source, false);
    }

    fn end(self, running: Running) {
        let Self {
            trial,
            bank,
            options,
        } = self;
        let log = bank.close();
        wait_until("both sides are equal", LONG, || {
            compare::differences(&trial.source, &trial.target).is_empty()
        });
        running.interrupt();
        let followed = running.wait(LONG).expect(0);
        // who wrote where authority was wrote by right, and nobody else wrote
        let told = followed.stdout.contains(r#""event":"stranger""#);
        assert!(!told, "{}", followed.stdout);
        for database in [&trial.source, &trial.target] {
            bank::assert_balanced(database, options.accounts, "at the end");
            bank::assert_is(database, &log, "at the end");
        }
        trial.assert_equal();
    }
}

fn there_and_back_and_there_again(source: Engine, target: Engine) {
    let (mut scene, running) = there_and_back_in(source, target);
    scene.switch();
    scene.audit(Side::Target, "after the second switch");
    scene.end(running);
}

fn there_and_back(source: Engine, target: Engine) {
    let (scene, running) = there_and_back_in(source, target);
    scene.trial.call(&["verify", "--json"]).expect(0);
    scene.end(running);
}

fn there_and_back_in(source: Engine, target: Engine) -> (Scene, Running) {
    let mut scene = Scene::new(source, target);
    let running = scene.trial.following(&[]);
    scene.audit(Side::Source, "followed");
    scene.switch();
    scene.audit(Side::Target, "after the switch");
    scene.rollback();
    scene.audit(Side::Source, "after the rollback");
    (scene, running)
}

#[test]
fn no_acknowledged_transfer_is_lost_from_postgres_to_postgres() {
    there_and_back_and_there_again(Engine::Pg15, Engine::Pg17);
}

#[test]
fn no_acknowledged_transfer_is_lost_from_sqlite_to_sqlite() {
    there_and_back_and_there_again(Engine::Sqlite, Engine::Sqlite);
}

#[test]
fn no_acknowledged_transfer_is_lost_from_postgres_to_sqlite() {
    there_and_back_and_there_again(Engine::Pg17, Engine::Sqlite);
}

#[test]
fn no_acknowledged_transfer_is_lost_from_mysql_to_mariadb() {
    there_and_back_and_there_again(Engine::Mysql97, Engine::Maria118);
}

#[test]
fn no_acknowledged_transfer_is_lost_from_mariadb_to_postgres() {
    there_and_back_and_there_again(Engine::Maria1011, Engine::Pg18);
}

#[test]
fn no_acknowledged_transfer_is_lost_from_postgres_to_mysql() {
    there_and_back_and_there_again(Engine::Pg15, Engine::Mysql97);
}

#[test]
fn no_acknowledged_transfer_is_lost_from_sqlite_to_postgres() {
    there_and_back_and_there_again(Engine::Sqlite, Engine::Pg18);
}

#[test]
fn no_acknowledged_transfer_is_lost_from_postgres_to_mariadb() {
    there_and_back(Engine::Pg17, Engine::Maria118);
}

#[test]
fn no_acknowledged_transfer_is_lost_from_mysql_to_postgres() {
    there_and_back(Engine::Mysql97, Engine::Pg18);
}

#[test]
fn no_acknowledged_transfer_is_lost_from_mysql_to_mysql() {
    there_and_back(Engine::Mysql97, Engine::Mysql97);
}

#[test]
fn no_acknowledged_transfer_is_lost_from_mysql_to_sqlite() {
    there_and_back(Engine::Mysql97, Engine::Sqlite);
}

#[test]
fn no_acknowledged_transfer_is_lost_from_mariadb_to_mysql() {
    there_and_back(Engine::Maria118, Engine::Mysql97);
}

#[test]
fn no_acknowledged_transfer_is_lost_from_mariadb_to_mariadb() {
    there_and_back(Engine::Maria1011, Engine::Maria118);
}

#[test]
fn no_acknowledged_transfer_is_lost_from_mariadb_to_sqlite() {
    there_and_back(Engine::Maria118, Engine::Sqlite);
}

#[test]
fn no_acknowledged_transfer_is_lost_from_sqlite_to_mysql() {
    there_and_back(Engine::Sqlite, Engine::Mysql97);
}

#[test]
fn no_acknowledged_transfer_is_lost_from_sqlite_to_mariadb() {
    there_and_back(Engine::Sqlite, Engine::Maria1011);
}
