//! The pause that applications see when authority changes hands: pgbench at full speed through a PgBouncer, switched and rolled back again and
//! again. Beside it what a careful script does with the server's own logical replication and the same PgBouncer.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::options::Options;
use super::pauses::{Log, Pauses, measured, now, print};
use super::pgbench;
use super::product::Product;
use super::server::{self, Place};
use crate::pgbouncer::PgBouncer;

/// Clients at full speed.
const CLIENTS: u32 = 4;
/// Between two switches: the follower comes close again, and pgbench runs undisturbed.
const BETWEEN: Duration = Duration::from_secs(3);
const LIMIT: Duration = Duration::from_secs(600);
/// The careful script begins anew each time, and needs fewer rounds to be seen.
const SCRIPTS: usize = 5;

pub fn run(options: &Options) {
    product("switch-pg", options.size(20, 1), options);
    script(options.size(20, 1), options);
    product("switch-pg-big", options.size(200, 2), &options.once());
}

fn product(name: &str, scale: u32, options: &Options) {
    let (source, target) = (Place::source("bench"), Place::target("bench"));
    make_source(&source, scale);
    target.create(None);
    let bouncer = bouncer(&source);
    let more = format!(
        "{}\n[gates]\nrehearsal = \"off\"\nlag_window_seconds = 5\n",
        bouncer.route()
    );
    let product = Product::with(&source.url(), &target.url(), &more);
    product.run_until_followed();
    target.run(&["VACUUM ANALYZE"]);
    let running = product.start("run", &[]);
    std::thread::sleep(Duration::from_secs(1));
    product.start("verify", &[]).wait();
    let clients = Clients::start(&bouncer.url(), scale);
    std::thread::sleep(BETWEEN);
    let mut windows = Vec::new();
    let mut pauses = Pauses::default();
    for round in 0..options.rounds * 2 {
        product.start("verify", &[]).wait();
        let words = if round % 2 == 0 {
            "switch writes"
        } else {
            "rollback"
        };
        let from = now();
        let ended = product
            .start(words, &["--owner", "bench", "--within", "10s"])
            .wait();
        windows.push((from, now()));
        pauses.told.push(measured(ended.report()));
        pauses.note_steps(ended.report());
        std::thread::sleep(BETWEEN);
    }
    let log = clients.stop();
    running.stop();
    pauses.seen = windows.iter().map(|window| log.longest(*window)).collect();
    print(
        name,
        pgbench::rows(scale),
        CLIENTS,
        &pauses,
        log.transactions(),
    );
    source.drop();
    target.drop();
}

fn make_source(source: &Place, scale: u32) {
    pgbench::make_source(source, scale);
    // a table without a key cannot be proven while it is written to
    source.run(&[
        "ALTER TABLE pgbench_history ADD COLUMN id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY",
    ]);
}

fn bouncer(source: &Place) -> PgBouncer {
    let program = std::env::var(server::PGBOUNCER_VARIABLE).unwrap_or_else(|_| {
        panic!(
            "{} is not set: `cargo xtask bench` sets it",
            server::PGBOUNCER_VARIABLE
        )
    });
    PgBouncer::start(&program, source.port(), "bench")
}

/// What a careful script does: the source read-only for new transactions behind a paused PgBouncer, the subscription caught up, sequences set,
/// PgBouncer pointed to the target. One way only: it has no way back.
fn script(scale: u32, options: &Options) {
    let mut seen = Vec::new();
    let mut transactions = 0;
    for _ in 0..options.rounds.min(SCRIPTS) {
        let (source, target) = (Place::source("bench"), Place::target("bench"));
        make_source(&source, scale);
        target.create(None);
        let bouncer = bouncer(&source);
        subscribe(&source, &target);
        let clients = Clients::start(&bouncer.url(), scale);
        std::thread::sleep(BETWEEN);
        let from = now();
        hand_over(&source, &target, &bouncer);
        let until = now();
        std::thread::sleep(BETWEEN);
        let log = clients.stop();
        transactions += log.transactions();
        seen.push(log.longest((from, until)));
        target.run(&[
            "ALTER SUBSCRIPTION bench DISABLE",
            "ALTER SUBSCRIPTION bench SET (slot_name = NONE)",
            "DROP SUBSCRIPTION bench",
        ]);
        source.run(&["SELECT pg_drop_replication_slot('bench')"]);
        source.drop();
        target.drop();
    }
    let pauses = Pauses {
        seen,
        ..Pauses::default()
    };
    print(
        "careful script",
        pgbench::rows(scale),
        CLIENTS,
        &pauses,
        transactions,
    );
}

fn subscribe(source: &Place, target: &Place) {
    let mut client = target.connect();
    for sql in [
        "CREATE TABLE pgbench_accounts (aid int PRIMARY KEY, bid int, abalance int, filler char(84))",
        "CREATE TABLE pgbench_branches (bid int PRIMARY KEY, bbalance int, filler char(88))",
        "CREATE TABLE pgbench_tellers (tid int PRIMARY KEY, bid int, tbalance int, filler char(84))",
        "CREATE TABLE pgbench_history (tid int, bid int, aid int, delta int, mtime timestamp, filler char(22), \
         id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY)",
    ] {
        server::execute(&mut client, sql);
    }
    source.run(&[
        "CREATE PUBLICATION bench FOR ALL TABLES",
        "SELECT pg_create_logical_replication_slot('bench', 'pgoutput')",
    ]);
    target.run(&[&format!(
        "CREATE SUBSCRIPTION bench CONNECTION '{}' PUBLICATION bench WITH (create_slot = false, slot_name = 'bench')",
        source.url()
    )]);
    let ready = "SELECT count(*) = 4 FROM pg_subscription_rel WHERE srsubstate = 'r'";
    target.wait_until(ready, LIMIT);
}

fn hand_over(source: &Place, target: &Place, bouncer: &PgBouncer) {
    bouncer.console("PAUSE shop");
    source.run(&["ALTER DATABASE bench SET default_transaction_read_only = on"]);
    let end = source.ask("SELECT pg_current_wal_flush_lsn()");
    let caught_up = format!(
        "SELECT replay_lsn >= '{end}' FROM pg_stat_replication WHERE application_name = 'bench'"
    );
    source.wait_until(&caught_up, LIMIT);
    let last = source.ask("SELECT coalesce(max(id), 1) FROM pgbench_history");
    target.run(&[&format!(
        "SELECT setval(pg_get_serial_sequence('pgbench_history', 'id'), {last} + 1000)"
    )]);
    let ini = fs::read_to_string(bouncer.ini()).expect("its file can be read");
    let old = format!("port={} ", source.port());
    let new = format!("port={} ", target.port());
    fs::write(bouncer.ini(), ini.replace(&old, &new)).expect("its file can be written");
    bouncer.console("RELOAD");
    bouncer.console("RESUME shop");
}

/// pgbench at work through the pooler.
struct Clients {
    child: Child,
    folder: tempfile::TempDir,
}

impl Clients {
    fn start(url: &str, scale: u32) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let child = Command::new(server::program("pgbench"))
            .args(["-n", "-c", &CLIENTS.to_string(), "-j", "2", "-T", "100000"])
            .args(["-D", &format!("scale={scale}")])
            .args(["-l", "--log-prefix", "log", "-f"])
            .arg(script_file(&folder))
            .arg(url)
            .current_dir(folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("pgbench can be started");
        let mut clients = Self { child, folder };
        std::thread::sleep(Duration::from_secs(1));
        assert!(
            clients
                .child
                .try_wait()
                .expect("a child can be asked")
                .is_none(),
            "pgbench has ended at once"
        );
        clients
    }

    /// Ends it. A client that met an error has ended before, and pgbench says so.
    fn stop(mut self) -> Log {
        let pid = rustix::process::Pid::from_child(&self.child);
        // not SIGINT, which a shell in the background lets its children ignore
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("it runs");
        let begun = Instant::now();
        while self
            .child
            .try_wait()
            .expect("a child can be asked")
            .is_none()
        {
            assert!(begun.elapsed() < LIMIT, "pgbench does not end");
            std::thread::sleep(Duration::from_millis(20));
        }
        let mut said = String::new();
        let mut stderr = self.child.stderr.take().expect("piped");
        std::io::Read::read_to_string(&mut stderr, &mut said).expect("pgbench's words can be read");
        assert!(
            !said.contains("aborted") && !said.contains("ERROR"),
            "clients met errors: {said}"
        );
        let mut log = Vec::new();
        for entry in fs::read_dir(self.folder.path()).expect("the folder can be read") {
            let path = entry.expect("the folder can be read").path();
            if path
                .file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with("log"))
            {
                let text = fs::read_to_string(path).expect("the log can be read");
                log.extend(text.lines().filter_map(line));
            }
        }
        Log(log)
    }
}

/// pgbench's own script (PostgreSQL documentation, pgbench, "TPC-B-like"), at the scale that the tables have.
fn script_file(folder: &tempfile::TempDir) -> std::path::PathBuf {
    let path = folder.path().join("tpcb.sql");
    fs::write(
        &path,
        "\\set aid random(1, 100000 * :scale)\n\\set bid random(1, 1 * :scale)\n\\set tid random(1, 10 * :scale)\n\
         \\set delta random(-5000, 5000)\nBEGIN;\n\
         UPDATE pgbench_accounts SET abalance = abalance + :delta WHERE aid = :aid;\n\
         SELECT abalance FROM pgbench_accounts WHERE aid = :aid;\n\
         UPDATE pgbench_tellers SET tbalance = tbalance + :delta WHERE tid = :tid;\n\
         UPDATE pgbench_branches SET bbalance = bbalance + :delta WHERE bid = :bid;\n\
         INSERT INTO pgbench_history (tid, bid, aid, delta, mtime) VALUES (:tid, :bid, :aid, :delta, CURRENT_TIMESTAMP);\nEND;\n",
    )
    .expect("the script can be written");
    path
}

/// `client transaction latency script epoch microseconds` (PostgreSQL documentation, pgbench, "Per-Transaction Logging").
fn line(text: &str) -> Option<(u64, u64)> {
    let mut words = text.split(' ');
    let took = words.nth(2)?.parse().ok()?;
    let seconds: u64 = words.nth(1)?.parse().ok()?;
    let rest: u64 = words.next()?.parse().ok()?;
    Some((seconds * 1_000_000 + rest, took))
}
