//! A backlog of pgbench transactions that nobody has read yet: how soon a follower has all of it. The limit is how fast
//! one walsender decodes, which `pg_recvlogical` into nowhere shows; the rival is a native subscription.
//!
//! Every contender's slot was made before the backlog. Rounds repeat the same backlog: each begins with a copy of the slot and a
//! copy of the target's database as they were before it, and only one slot is read at a time.

use std::process::Command;
use std::time::{Duration, Instant};

use super::contest::{self, Contender, Figures, Goal, seconds};
use super::options::Options;
use super::pgbench;
use super::product::Product;
use super::server::{self, Place};

const LIMIT: Duration = Duration::from_secs(600);
/// Applied with the last transaction of the backlog.
const MARK: &str = "UPDATE pgbench_accounts SET filler = 'the last change' WHERE aid = 1";
const MARK_IS_THERE: &str = "SELECT filler = 'the last change' FROM pgbench_accounts WHERE aid = 1";
/// The slot from which `pg_recvlogical` and the subscription begin.
const KEPT: &str = "kept";
/// A copy of crossfade's slot.
const KEPT_CROSSFADE: &str = "kept_crossfade";

struct Bench {
    source: Place,
    target: Place,
    native_base: Place,
    crossfade_base: Place,
    product: Product,
    /// crossfade's slot.
    slot: String,
    control: Vec<(std::ffi::OsString, Vec<u8>)>,
    expected: Vec<String>,
    end: String,
}

pub fn run(options: &Options) {
    let mut bench = Bench::prepare(pgbench::scale(options));
    let transactions = bench.make_backlog(options.size(45, 5));
    let bytes = bench.backlog_bytes();
    let mut contenders = [
        Contender::new("pg_recvlogical", || bench.recvlogical()),
        Contender::new("subscription", || bench.subscription()),
        Contender::new("crossfade", || bench.crossfade()),
    ];
    let report = contest::hold("apply-pg", "s", options, &mut contenders);
    drop(contenders);
    report
        .fact("transactions", transactions)
        .fact("changes", transactions * 4)
        .fact("log bytes", bytes)
        .print(&[goal("pg_recvlogical", 1.25), goal("subscription", 0.75)]);
    bench.clean();
}

fn goal(against: &'static str, at_most: f64) -> Goal {
    Goal {
        of: "crossfade",
        against: Some(against),
        at_most,
    }
}

impl Bench {
    /// Source, both targets at one state, and slots that begin there.
    fn prepare(scale: u32) -> Self {
        let source = Place::source("bench");
        let target = Place::target("bench");
        let native_base = Place::target("native_base");
        let crossfade_base = Place::target("crossfade_base");
        pgbench::make_source(&source, scale);
        native_base.create(None);
        pgbench::make_tables(&native_base, false);
        pgbench::pipe(&source, &native_base);
        source.run(&["CREATE PUBLICATION native FOR ALL TABLES"]);
        target.create(None);
        let product = Product::new(&source.url(), &target.url());
        product.run_until_followed();
        let slot = source.ask("SELECT slot_name FROM pg_replication_slots");
        source.run(&[
            &format!("SELECT pg_create_logical_replication_slot('{KEPT}', 'pgoutput')"),
            &format!("SELECT pg_copy_logical_replication_slot('{slot}', '{KEPT_CROSSFADE}')"),
        ]);
        target.rename(&crossfade_base);
        let control = product.control();
        Self {
            source,
            target,
            native_base,
            crossfade_base,
            product,
            slot,
            control,
            expected: Vec::new(),
            end: String::new(),
        }
    }

    /// Lets pgbench write for so many seconds; returns its transactions.
    fn make_backlog(&mut self, length: u32) -> u64 {
        server::settle();
        server::run(Command::new(server::program("pgbench")).args([
            "-c",
            "4",
            "-j",
            "2",
            "-T",
            &length.to_string(),
            &self.source.url(),
        ]));
        self.source.run(&[MARK]);
        self.end = self.source.ask("SELECT pg_current_wal_insert_lsn()");
        // something behind the end, so that a reader sees at once that it has come to it
        self.source
            .run(&["UPDATE pgbench_accounts SET filler = '' WHERE aid = 2"]);
        self.expected = pgbench::contents(&self.source);
        let transactions = self.source.ask("SELECT count(*) FROM pgbench_history");
        transactions.parse().expect("a count is a number")
    }

    fn backlog_bytes(&self) -> u64 {
        let bytes = self.source.ask(&format!(
            "SELECT ('{}'::pg_lsn - confirmed_flush_lsn)::bigint FROM pg_replication_slots WHERE slot_name = '{KEPT}'",
            self.end
        ));
        bytes.parse().expect("a difference is a number")
    }

    /// A slot that begins before the backlog.
    fn fresh_slot(&self, from: &str, name: &str) {
        self.drop_slot(name);
        self.source.run(&[&format!(
            "SELECT pg_copy_logical_replication_slot('{from}', '{name}')"
        )]);
    }

    fn drop_slot(&self, name: &str) {
        self.source.run(&[&format!(
            "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = '{name}'"
        )]);
    }

    fn check(&self) {
        // the change behind the end may be there already or not
        let last = "SELECT filler = '' FROM pgbench_accounts WHERE aid = 2";
        self.target.wait_until(last, LIMIT);
        assert_eq!(
            pgbench::contents(&self.target),
            self.expected,
            "the follower is not where the source is"
        );
    }

    fn recvlogical(&self) -> Figures {
        self.fresh_slot(KEPT, "nowhere");
        server::settle();
        let took = seconds(|| {
            server::run(
                Command::new(server::program("pg_recvlogical"))
                    .args([
                        "-d",
                        &self.source.url(),
                        "--slot",
                        "nowhere",
                        "--start",
                        "--no-loop",
                    ])
                    .args(["--endpos", &self.end, "-f", "/dev/null"])
                    .args(["-o", "proto_version=1", "-o", "publication_names=native"]),
            );
        });
        self.drop_slot("nowhere");
        vec![("pg_recvlogical", took)]
    }

    /// Its commits on the target are asynchronous, as a subscription's are by default.
    fn subscription(&self) -> Figures {
        self.target.create(Some(&self.native_base));
        self.fresh_slot(KEPT, "native");
        self.target.run(&[&format!(
            "CREATE SUBSCRIPTION native CONNECTION '{}' PUBLICATION native \
             WITH (create_slot = false, slot_name = 'native', copy_data = false, enabled = false)",
            self.source.url()
        )]);
        server::settle();
        let took = seconds(|| {
            self.target.run(&["ALTER SUBSCRIPTION native ENABLE"]);
            self.target.wait_until(MARK_IS_THERE, LIMIT);
        });
        self.check();
        self.target.run(&["DROP SUBSCRIPTION native"]);
        vec![("subscription", took)]
    }

    /// From the start of the process until the last change is visible, which is after its durable commit.
    fn crossfade(&self) -> Figures {
        self.target.create(Some(&self.crossfade_base));
        self.fresh_slot(KEPT_CROSSFADE, &self.slot);
        self.product.restore_control(&self.control);
        server::settle();
        let begun = Instant::now();
        let mut running = self.product.start("run", &[]);
        running.wait_until(&self.target, MARK_IS_THERE, LIMIT);
        let took = begun.elapsed().as_secs_f64();
        self.check();
        let ended = running.stop();
        vec![
            ("crossfade", took),
            ("crossfade until it had begun", ended.event("started")),
        ]
    }

    fn clean(self) {
        self.product.abort();
        for slot in [KEPT, KEPT_CROSSFADE] {
            self.drop_slot(slot);
        }
        for place in [
            &self.source,
            &self.target,
            &self.native_base,
            &self.crossfade_base,
        ] {
            place.drop();
        }
    }
}
