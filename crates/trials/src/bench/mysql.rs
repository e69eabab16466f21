//! The servers of MySQL and MariaDB of the benchmarks, databases on them, and a table of the usual kinds of columns.

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::options::Options;
use super::product::watch_peak;
use super::server;
use crate::mysql::Session;

/// A server, by the variable that names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Server {
    /// MySQL, where rows come from.
    Source,
    /// MySQL, where they go to.
    Target,
    /// MariaDB, where rows come from.
    Mariadb,
}

impl Server {
    fn variable(self) -> &'static str {
        match self {
            Self::Source => "CROSSFADE_BENCH_MYSQL_SOURCE",
            Self::Target => "CROSSFADE_BENCH_MYSQL_TARGET",
            Self::Mariadb => "CROSSFADE_BENCH_MARIADB_SOURCE",
        }
    }
}

/// One database of a server.
#[derive(Debug, Clone)]
pub struct MysqlPlace {
    server: Server,
    database: &'static str,
}

/// How to come to a server.
#[derive(Debug, Clone)]
pub struct Address {
    pub user: String,
    pub password: String,
    pub port: String,
}

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: `cargo xtask bench` sets it"))
}

impl MysqlPlace {
    /// A database of a server.
    pub fn new(server: Server, database: &'static str) -> Self {
        Self { server, database }
    }

    fn on(&self, database: &str) -> String {
        let url = variable(self.server.variable());
        let (head, _) = url.rsplit_once('/').expect("a URL has a path");
        format!("{head}/{database}")
    }

    pub fn url(&self) -> String {
        self.on(self.database)
    }

    pub fn database(&self) -> &'static str {
        self.database
    }

    pub fn address(&self) -> Address {
        let url = self.url();
        let parts = || {
            let (account, rest) = url.strip_prefix("mysql://")?.split_once('@')?;
            let (user, password) = account.split_once(':')?;
            let (_, port) = rest.split_once('/')?.0.rsplit_once(':')?;
            Some([user, password, port].map(str::to_owned))
        };
        let [user, password, port] = parts().unwrap_or_else(|| panic!("not whole: {url}"));
        Address {
            user,
            password,
            port,
        }
    }

    /// A session of its own.
    pub fn session(&self) -> Session {
        Session::open(&self.url()).unwrap_or_else(|error| panic!("{}: {error}", self.url()))
    }

    /// Runs statements in one session.
    pub fn run(&self, sql: &str) {
        run(&mut self.session(), sql);
    }

    /// The first column of the first row, as text.
    pub fn ask(&self, sql: &str) -> String {
        ask(&mut self.session(), sql)
    }

    /// Makes the database anew.
    pub fn create(&self) {
        self.drop();
        let sql = format!("CREATE DATABASE {} CHARACTER SET utf8mb4", self.database);
        self.on_server(&sql);
    }

    /// Removes the database if it is there.
    pub fn drop(&self) {
        self.on_server(&format!("DROP DATABASE IF EXISTS {}", self.database));
    }

    fn on_server(&self, sql: &str) {
        let url = self.on("mysql");
        let mut session = Session::open(&url).unwrap_or_else(|error| panic!("{url}: {error}"));
        run(&mut session, sql);
    }

    /// Waits until `sql` gives 1; asks often, on one session. False once `vain` says that there is nothing left to wait for.
    pub fn wait_until(&self, sql: &str, limit: Duration, mut vain: impl FnMut() -> bool) -> bool {
        let mut session = self.session();
        let begun = Instant::now();
        while ask(&mut session, sql) != "1" {
            if begun.elapsed() > limit || vain() {
                return false;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        true
    }

    /// The server's own client on this database, as words of a shell.
    pub fn client(&self) -> String {
        let client = variable(&format!("{}_CLIENT", self.server.variable()));
        let Address {
            user,
            password,
            port,
        } = self.address();
        format!(
            "{client} --no-defaults --protocol=tcp -h127.0.0.1 -P{port} -u{user} -p{password} --local-infile=1 {}",
            self.database
        )
    }

    /// Has the server write out what it has in memory, so that no measurement pays for an earlier one.
    pub fn settle(&self) {
        let mut session = self.session();
        run(&mut session, "SET GLOBAL innodb_max_dirty_pages_pct = 0");
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(30) {
            let rows = session.rows("SHOW GLOBAL STATUS LIKE 'Innodb_buffer_pool_pages_dirty'");
            let rows = rows.unwrap_or_else(|error| panic!("the status: {error}"));
            let pages = rows[0][1].as_deref().map(String::from_utf8_lossy);
            if pages.is_some_and(|pages| pages.parse::<u64>().is_ok_and(|pages| pages < 20)) {
                break;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        run(&mut session, "SET GLOBAL innodb_max_dirty_pages_pct = 90");
    }
}

/// Runs statements.
pub fn run(session: &mut Session, sql: &str) {
    session
        .run(sql)
        .unwrap_or_else(|error| panic!("{sql}: {error}"));
}

fn ask(session: &mut Session, sql: &str) -> String {
    let rows = session
        .rows(sql)
        .unwrap_or_else(|error| panic!("{sql}: {error}"));
    let cell = rows.first().and_then(|row| row.first().cloned().flatten());
    cell.map_or_else(String::new, |bytes| {
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// The table, in sysbench's manner, with more kinds of columns.
pub const TABLE: &str = "CREATE TABLE sbtest (
    id int NOT NULL AUTO_INCREMENT PRIMARY KEY,
    k int NOT NULL,
    c char(120) NOT NULL,
    pad char(60) NOT NULL,
    amount decimal(12,2) NOT NULL,
    ratio double NOT NULL,
    made datetime(6) NOT NULL,
    seen timestamp NULL,
    state enum('new', 'paid', 'sent', 'done') NOT NULL,
    note varchar(100),
    KEY sbtest_k (k)
) COLLATE utf8mb4_general_ci";

/// Rows of the table.
pub fn rows(options: &Options) -> u32 {
    options.size(1_000_000, 20_000)
}

/// Makes the database and the table with so many rows.
pub fn make(place: &MysqlPlace, rows: u32) {
    place.create();
    place.run(TABLE);
    let mut session = place.session();
    for from in (1..=rows).step_by(50_000) {
        let to = rows.min(from + 49_999);
        let group = |factor: u64| format!("lpad(i * {factor} % 99999999977, 11, '0')");
        let groups = |factors: &[u64]| {
            let all: Vec<String> = factors.iter().copied().map(group).collect();
            format!("concat_ws('-', {})", all.join(", "))
        };
        let c = groups(&[
            7919,
            104729,
            1299709,
            15485863,
            179424673,
            2038074743,
            22801763489,
            32452843,
            49979687,
            67867967,
        ]);
        let pad = groups(&[86028121, 122949823, 141650939, 160481183, 198491317]);
        run(
            &mut session,
            &format!(
                "INSERT INTO sbtest SELECT i, i * 7919 % {rows}, {c}, {pad}, i * 31 % 1000000 / 100, i % 977 / 8,
                     timestamp '2023-11-14 22:13:20.123456' + INTERVAL i SECOND,
                     if(i % 3 = 0, NULL, timestamp '2023-11-14 22:13:20' + INTERVAL i SECOND),
                     elt(1 + i % 4, 'new', 'paid', 'sent', 'done'), if(i % 5 = 0, concat('please ring twice, order ', i), NULL)
                 FROM (WITH RECURSIVE n (i) AS (SELECT {from} UNION ALL SELECT i + 1 FROM n WHERE i < {to}) SELECT i FROM n) AS numbers"
            ),
        );
    }
    run(&mut session, "ANALYZE TABLE sbtest");
}

/// Sums over every column that read the same in MySQL, MariaDB and PostgreSQL.
pub const SUMS: &str = "SELECT concat_ws(' ', count(*), sum(id), sum(k), sum(length(c)), sum(cast(substring(c, 1, 11) as decimal(20))),
    sum(length(pad)), sum(cast(substring(pad, 1, 11) as decimal(20))), sum(amount), cast(sum(ratio * 8) as decimal(20)),
    min(cast(made as date)), max(cast(made as date)), count(seen), sum(length(cast(state as char(4)))), count(note),
    sum(length(note))) FROM sbtest";

/// Runs a program to its end, silently; gives the seconds that it took and its own peak of resident memory in MB. An error says why
/// it failed.
pub fn watched(command: &mut Command) -> Result<(f64, f64), String> {
    let begun = Instant::now();
    let child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("{command:?}: {error}"))?;
    let ended = Arc::new(AtomicBool::new(false));
    let (id, over) = (child.id(), Arc::clone(&ended));
    let watch = std::thread::spawn(move || watch_peak(id, &over));
    let output = child.wait_with_output();
    let took = begun.elapsed().as_secs_f64();
    ended.store(true, Ordering::Relaxed);
    let peak = watch.join().expect("the thread does not panic");
    let output = output.map_err(|error| error.to_string())?;
    if output.status.success() {
        return Ok((took, peak));
    }
    let said =
        [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    let [said, errors] =
        said.map(|text| text.lines().rev().take(5).collect::<Vec<_>>().join(" | "));
    Err(format!("{}: {said} {errors}", output.status))
}

/// Copies the table by the server's client on both sides: a query's rows, piped into LOAD DATA. The empty table is there.
pub fn pipe(from: &MysqlPlace, to: &MysqlPlace) {
    let load = "SET SESSION foreign_key_checks = 0, SESSION unique_checks = 0; LOAD DATA LOCAL INFILE '/dev/stdin' INTO TABLE sbtest \
                CHARACTER SET utf8mb4 (id, k, c, pad, amount, ratio, made, @seen, state, @note) \
                SET seen = nullif(@seen, 'NULL'), note = nullif(@note, 'NULL')";
    let script = format!(
        "{} --batch --quick --skip-column-names -e 'SELECT * FROM sbtest' 2>/dev/null | {} -e \"{load}\"",
        from.client(),
        to.client()
    );
    server::run(Command::new("bash").args(["-o", "pipefail", "-c", &script]));
}
