//! Servers of MySQL and MariaDB whose log cannot be followed, and targets that cannot be filled: refused before anything is made, with what, where
//! and the statement that helps.

use crossfade_trials::binary::Outcome;
use crossfade_trials::compare;
use crossfade_trials::database::Database;
use crossfade_trials::mysql::{MysqlDatabase, Session};
use crossfade_trials::patience::{LONG, wait_until};
use crossfade_trials::{Engine, Trial};
use tempfile::TempDir;
use xtask::servers::Installed;
use xtask::servers::flavor::Flavor;
use xtask::servers::fleet::Fleet;
use xtask::servers::server::Durability;

fn installed() -> Installed {
    let installed = xtask::servers::install().unwrap();
    xtask::servers::install_mysql(&installed).unwrap();
    installed
}

fn trial(source: Database, folder: TempDir) -> Trial {
    source.run("CREATE TABLE t (id integer PRIMARY KEY, a text)");
    source.run("INSERT INTO t VALUES (1, 'one')");
    let target = Database::create(Engine::Sqlite, folder.path(), "target");
    Trial::between(folder, source, target).as_superuser()
}

/// Both commands refuse with these words, and nothing is left on either side.
fn refused(trial: &Trial, words: &[&str]) {
    let tables = |database: &Database| compare::tables(database);
    let before = tables(&trial.source);
    let said = |outcome: Outcome| outcome.expect(2).says(words);
    said(trial.call(&["plan", "--json"]));
    said(trial.call(&["run", "--until", "followed", "--json"]));
    assert_eq!(tables(&trial.source), before);
    assert!(tables(&trial.target).is_empty());
}

/// A setting, how it is undone, and what is said of it.
type Setting = (
    &'static [&'static str],
    &'static [&'static str],
    [&'static str; 2],
);

const BOTH: [Setting; 5] = [
    (
        &["SET GLOBAL binlog_format = 'STATEMENT'"],
        &["SET GLOBAL binlog_format = 'ROW'"],
        ["mysql.binlog_format", "SET GLOBAL binlog_format = 'ROW'"],
    ),
    (
        &["SET GLOBAL binlog_format = 'MIXED'"],
        &["SET GLOBAL binlog_format = 'ROW'"],
        ["mysql.binlog_format", "SET GLOBAL binlog_format = 'ROW'"],
    ),
    (
        &["SET GLOBAL binlog_row_image = 'MINIMAL'"],
        &["SET GLOBAL binlog_row_image = 'FULL'"],
        [
            "mysql.binlog_row_image",
            "SET GLOBAL binlog_row_image = 'FULL'",
        ],
    ),
    (
        &["SET GLOBAL binlog_row_image = 'NOBLOB'"],
        &["SET GLOBAL binlog_row_image = 'FULL'"],
        [
            "mysql.binlog_row_image",
            "SET GLOBAL binlog_row_image = 'FULL'",
        ],
    ),
    (
        &["SET GLOBAL binlog_row_metadata = 'MINIMAL'"],
        &["SET GLOBAL binlog_row_metadata = 'FULL'"],
        [
            "mysql.binlog_row_metadata",
            "SET GLOBAL binlog_row_metadata = 'FULL'",
        ],
    ),
];

const MYSQL: [Setting; 2] = [
    (
        &["SET GLOBAL binlog_row_value_options = 'PARTIAL_JSON'"],
        &["SET GLOBAL binlog_row_value_options = ''"],
        [
            "mysql.binlog_row_value_options",
            "SET GLOBAL binlog_row_value_options = ''",
        ],
    ),
    (
        &[
            "SET GLOBAL gtid_mode = ON_PERMISSIVE",
            "SET GLOBAL gtid_mode = OFF_PERMISSIVE",
            "SET GLOBAL gtid_mode = OFF",
        ],
        &[
            "SET GLOBAL gtid_mode = OFF_PERMISSIVE",
            "SET GLOBAL gtid_mode = ON_PERMISSIVE",
            "SET GLOBAL gtid_mode = ON",
        ],
        ["mysql.gtid_mode", "gtid_mode = OFF_PERMISSIVE"],
    ),
];

fn settings_are_refused(flavor: Flavor) {
    let mut fleet = Fleet::start(&installed(), &[]).unwrap();
    fleet
        .add_further_mysql(&installed(), flavor, ("one", 1), &[])
        .unwrap();
    let url = fleet.mysql_server("one").unwrap().url();
    let folder = TempDir::with_prefix("crossfade-trial-").unwrap();
    let trial = trial(
        Database::Mysql(MysqlDatabase::create_at(url.clone())),
        folder,
    );
    let own: &[Setting] = if flavor.is_mysql() { &MYSQL } else { &[] };
    for (set, undo, words) in BOTH.iter().chain(own) {
        let mut session = Session::open(&url).unwrap();
        set.iter().for_each(|sql| session.run(sql).unwrap());
        refused(&trial, words);
        undo.iter().for_each(|sql| session.run(sql).unwrap());
    }
    trial.follow();
    trial.assert_equal();
    if flavor.is_mysql() {
        // in mid-run: from then on there may be transactions that no list of the server names
        let running = trial.following(&[]);
        let mut session = Session::open(&url).unwrap();
        session.run("SET GLOBAL gtid_mode = ON_PERMISSIVE").unwrap();
        running.wait(LONG).expect(2).says(&["mysql.gtid_mode"]);
        session.run("SET GLOBAL gtid_mode = ON").unwrap();
        trial.follow();
    }
    drop(trial);
    fleet.stop().unwrap();
}

#[test]
fn mysql_settings_of_the_log_are_refused() {
    settings_are_refused(Flavor::Mysql97);
}

#[test]
fn mariadb_1011_settings_of_the_log_are_refused() {
    settings_are_refused(Flavor::Mariadb1011);
}

#[test]
fn mariadb_118_settings_of_the_log_are_refused() {
    settings_are_refused(Flavor::Mariadb118);
}

fn no_log_is_refused(flavor: Flavor) {
    let mut fleet = Fleet::start(&installed(), &[]).unwrap();
    let options = match flavor.is_mysql() {
        true => ["--skip-log-bin", "--skip-log-replica-updates"].as_slice(),
        false => ["--skip-log-bin"].as_slice(),
    };
    fleet
        .add_further_mysql(&installed(), flavor, ("one", 1), options)
        .unwrap();
    let url = fleet.mysql_server("one").unwrap().url();
    let folder = TempDir::with_prefix("crossfade-trial-").unwrap();
    let trial = trial(Database::Mysql(MysqlDatabase::create_at(url)), folder);
    refused(&trial, &["mysql.log_bin", "Set log_bin"]);
    drop(trial);
    fleet.stop().unwrap();
}

#[test]
fn a_mysql_server_without_a_log_is_refused() {
    no_log_is_refused(Flavor::Mysql97);
}

#[test]
fn a_mariadb_server_without_a_log_is_refused() {
    no_log_is_refused(Flavor::Mariadb118);
}

/// A node by its own word; that it is the only one changes nothing.
#[test]
fn a_node_of_a_cluster_is_refused() {
    let mut fleet = Fleet::start(&installed(), &[]).unwrap();
    let flavor = Flavor::Mariadb118;
    fleet
        .add_further_mysql(&installed(), flavor, ("node", 1), &["--wsrep-on=ON"])
        .unwrap();
    let url = fleet.mysql_server("node").unwrap().url();
    let folder = TempDir::with_prefix("crossfade-trial-").unwrap();
    let trial = trial(Database::Mysql(MysqlDatabase::create_at(url)), folder);
    refused(&trial, &["mysql.galera", "Follow a replica of the cluster"]);
    drop(trial);
    fleet.stop().unwrap();
}

/// Zero dates are told before anything is made; one that comes later stops the run, and its row is named by its key.
#[test]
fn zero_dates_are_told_before_and_stop_the_run_after() {
    let installed = installed();
    for flavor in Flavor::ALL {
        let mut fleet = Fleet::start(&installed, &[]).unwrap();
        fleet
            .add_further_mysql(&installed, flavor, ("one", 1), &["--sql-mode="])
            .unwrap();
        let url = fleet.mysql_server("one").unwrap().url();
        let folder = TempDir::with_prefix("crossfade-trial-").unwrap();
        let source = MysqlDatabase::create_at(url.clone());
        let name = source.name().to_owned();
        let mut lax = Session::open(&url).unwrap();
        lax.run("SET SESSION sql_mode = ''").unwrap();
        lax.run(&format!("USE {name}")).unwrap();
        let trial = trial(Database::Mysql(source), folder);
        lax.run("CREATE TABLE d (id integer PRIMARY KEY, at date)")
            .unwrap();
        lax.run("INSERT INTO d VALUES (7, '0000-00-00')").unwrap();
        refused(&trial, &["mysql.zero_date", "\"table\":\"d\""]);
        lax.run("UPDATE d SET at = '2024-02-29' WHERE id = 7")
            .unwrap();
        trial.follow();
        lax.run("INSERT INTO d VALUES (8, '0000-00-00')").unwrap();
        let outcome = trial.call(&["run", "--until", "followed", "--json"]);
        assert!(outcome.code != Some(0), "{}", outcome.text());
        outcome.says(&["\"table\":\"d\""]);
        lax.run("DELETE FROM d WHERE id = 8").unwrap();
        drop(trial);
        fleet.stop().unwrap();
    }
}

/// A target that a replica's applier writes to, and one that takes two of the source's tables for one.
#[test]
fn mariadb_targets_that_cannot_be_filled_are_refused() {
    let installed = installed();
    let mut fleet = Fleet::start(&installed, &[]).unwrap();
    for (name, number, option) in [
        ("source", 1, "--skip-slave-start"),
        ("folding", 2, "--lower-case-table-names=1"),
        ("replica", 3, "--skip-slave-start"),
    ] {
        fleet
            .add_further_mysql(&installed, Flavor::Mariadb118, (name, number), &[option])
            .unwrap();
    }
    let url = |fleet: &Fleet, at: usize| fleet.mysql()[at].url();
    let source = || {
        let source = Database::Mysql(MysqlDatabase::create_at(url(&fleet, 0)));
        source.run("CREATE TABLE Goods (id integer PRIMARY KEY)");
        source
    };
    let folder = || TempDir::with_prefix("crossfade-trial-").unwrap();

    let both = source();
    both.run("CREATE TABLE goods (id integer PRIMARY KEY)");
    let folding = Database::Mysql(MysqlDatabase::create_at(url(&fleet, 1)));
    let clash = Trial::between(folder(), both, folding).as_superuser();
    refused(&clash, &["mysql.name_clash", "Goods", "goods"]);
    drop(clash);

    let replica = Database::Mysql(MysqlDatabase::create_at(url(&fleet, 2)));
    let mut session = Session::open(&url(&fleet, 2)).unwrap();
    let begin = fleet.mysql()[2].replicate(&fleet.mysql()[0]);
    // from now on only: the databases of before are no part of this
    let now = {
        let mut there = Session::open(&url(&fleet, 0)).unwrap();
        let rows = there.rows("SELECT @@GLOBAL.gtid_binlog_pos").unwrap();
        String::from_utf8(rows[0][0].clone().unwrap()).unwrap()
    };
    for sql in &begin {
        let sql = match sql.starts_with("SET GLOBAL gtid_slave_pos") {
            true => format!("SET GLOBAL gtid_slave_pos = '{now}'"),
            false => sql.clone(),
        };
        session.run(&sql).unwrap();
    }
    let trial = Trial::between(folder(), source(), replica).as_superuser();
    refused(&trial, &["mysql.target_replica", "STOP ALL SLAVES"]);
    session.run("STOP ALL SLAVES").unwrap();
    session.run("RESET SLAVE ALL").unwrap();
    wait_until("the migration follows", LONG, || {
        trial.call(&["run", "--until", "followed"]).code == Some(0)
    });
    drop(trial);
    fleet.stop().unwrap();
}

/// What the target's user may not do is told, with the statement that lets him.
#[test]
fn a_target_whose_user_has_too_few_rights_is_refused() {
    for engine in [Engine::Mysql97, Engine::Maria118] {
        let folder = TempDir::with_prefix("crossfade-trial-").unwrap();
        let source = Database::create(Engine::Sqlite, folder.path(), "source");
        source.run("CREATE TABLE t (id integer PRIMARY KEY, a text)");
        let target = Database::create(engine, folder.path(), "target");
        let name = target.mysql().name().to_owned();
        let user = format!("few_{name}");
        target.mysql().make_user(
            &user,
            &format!("CREATE USER '{user}'@'%' IDENTIFIED BY 'few'; GRANT SELECT, INSERT, CREATE ON `{name}`.* TO '{user}'@'%'"),
        );
        let urls = (source.url(), target.mysql().url_of(&user, "few"));
        let trial = Trial::between(folder, source, target).by_way_of(urls.0, urls.1);
        let lacks = "UPDATE, DELETE, DROP, ALTER, TRIGGER";
        let granting = format!("GRANT {lacks} ON `{name}`.* TO '{user}'@'%'");
        refused(&trial, &["mysql.target_rights", &granting]);
        trial.target.run(&granting);
        refused(&trial, &["mysql.trigger_right"]);
        trial
            .target
            .run(&format!("GRANT SUPER ON *.* TO '{user}'@'%'"));
        trial.follow();
        trial.assert_equal();
    }
}

/// A server that is started again writes a new file of the same log.
#[test]
fn a_server_that_comes_back_is_no_other_one() {
    let installed = installed();
    for flavor in Flavor::ALL {
        let mut fleet = Fleet::start(&installed, &[]).unwrap();
        fleet
            .add_further_mysql(&installed, flavor, ("one", 1), &[])
            .unwrap();
        let url = fleet.mysql_server("one").unwrap().url();
        let folder = TempDir::with_prefix("crossfade-trial-").unwrap();
        let trial = trial(Database::Mysql(MysqlDatabase::create_at(url)), folder);
        trial.follow();
        let server = fleet.mysql_server("one").unwrap();
        server.stop().unwrap();
        server.start(Durability::Fast).unwrap();
        trial.source.run("INSERT INTO t VALUES (2, 'two')");
        trial.follow();
        trial.assert_equal();
        drop(trial);
        fleet.stop().unwrap();
    }
}
