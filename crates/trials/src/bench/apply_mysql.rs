//! A backlog of writes that nobody has read yet: how soon a follower has all of it, against a native replica of one worker and of
//! four. Every run makes the same backlog anew, on a table that both sides have.

use std::cell::Cell;
use std::time::{Duration, Instant};

use rand::Rng;

use super::contest::{self, Contender, Figures, Goal};
use super::mysql::{self, MysqlPlace, Server};
use super::options::Options;
use super::product::Product;
use crate::seed::{generator, seed};

const LIMIT: Duration = Duration::from_secs(900);
/// Sessions that write the backlog.
const WRITERS: u32 = 4;
/// Applied with the last transaction of the backlog.
const MARK: &str = "UPDATE sbtest SET note = 'the last change' WHERE id = 1";
const MARK_IS_THERE: &str = "SELECT note = 'the last change' FROM sbtest WHERE id = 1";
const ONE: &str = "replica, 1 worker";
const FOUR: &str = "replica, 4 workers";

struct Bench {
    backlog: Backlog,
    source: MysqlPlace,
    target: MysqlPlace,
    peak: Cell<f64>,
}

/// What is written before a follower begins.
struct Backlog {
    source: MysqlPlace,
    rows: u32,
    /// Of each writer.
    transactions: u32,
    seed: u64,
}

pub fn run(options: &Options) {
    let source = MysqlPlace::new(Server::Source, "bench");
    let bench = Bench {
        backlog: Backlog {
            source: source.clone(),
            rows: options.size(200_000, 5_000),
            transactions: options.size(10_000, 250),
            seed: seed("apply-mysql"),
        },
        source,
        target: MysqlPlace::new(Server::Target, "bench"),
        peak: Cell::new(0.0),
    };
    let mut contenders = [
        Contender::new(ONE, || bench.replica(ONE, 1)),
        Contender::new(FOUR, || bench.replica(FOUR, 4)),
        Contender::new("crossfade", || bench.crossfade()),
    ];
    let report = contest::hold("apply-mysql", "s", options, &mut contenders);
    drop(contenders);
    let transactions = bench.backlog.transactions * WRITERS;
    report
        .fact("transactions", transactions)
        .fact("changes", transactions * 4)
        .fact("peak MB of crossfade", bench.peak.get().round())
        .print(&[goal(ONE), goal(FOUR)]);
    bench.target.drop();
    bench.source.drop();
}

fn goal(against: &'static str) -> Goal {
    Goal {
        of: "crossfade",
        against: Some(against),
        at_most: 1.0,
    }
}

impl Backlog {
    /// Writes as sysbench does: a counter, a text, a row that goes and comes again.
    fn make(&self) {
        std::thread::scope(|scope| {
            for part in 0..WRITERS {
                scope.spawn(move || self.write(part));
            }
        });
        self.source.run(MARK);
    }

    fn write(&self, part: u32) {
        let mut session = self.source.session();
        let mut random = generator(self.seed, 7_000 + u64::from(part));
        // each has rows of its own, so that no deadlock leaves one out; the first is the mark's
        let mut row = || part + WRITERS * random.random_range(1..self.rows / WRITERS - 1);
        for _ in 0..self.transactions {
            let (one, other, again) = (row(), row(), row());
            mysql::run(
                &mut session,
                &format!(
                    "BEGIN; UPDATE sbtest SET k = k + 1 WHERE id = {one};
                     UPDATE sbtest SET c = reverse(c) WHERE id = {other};
                     DELETE FROM sbtest WHERE id = {again};
                     INSERT INTO sbtest VALUES ({again}, {one}, 'again', '', 1, 1, now(6), NULL, 'new', NULL); COMMIT"
                ),
            );
        }
    }
}

impl Bench {
    fn settle(&self) {
        self.source.settle();
        self.target.settle();
    }

    fn check(&self) {
        assert_eq!(
            self.target.ask(mysql::SUMS),
            self.source.ask(mysql::SUMS),
            "the follower is not where the source is"
        );
    }

    /// From the start of its threads until the last change is visible.
    fn replica(&self, name: &'static str, workers: u32) -> Figures {
        mysql::make(&self.source, self.backlog.rows);
        self.target.create();
        self.target.run(mysql::TABLE);
        mysql::pipe(&self.source, &self.target);
        let status = self.source.session().rows("SHOW BINARY LOG STATUS");
        let status = status.unwrap_or_else(|error| panic!("the log's end: {error}"));
        let word = |at: usize| {
            let bytes = status[0][at].clone().expect("the log is on");
            String::from_utf8(bytes).expect("a name or a number")
        };
        let (file, place) = (word(0), word(1));
        self.backlog.make();
        self.settle();
        let to = self.source.address();
        self.target.run(&format!(
            "CHANGE REPLICATION FILTER REPLICATE_DO_DB = (bench);
             CHANGE REPLICATION SOURCE TO SOURCE_HOST = '127.0.0.1', SOURCE_PORT = {}, SOURCE_USER = '{}', SOURCE_PASSWORD = '{}',
                 SOURCE_LOG_FILE = '{file}', SOURCE_LOG_POS = {place}, SOURCE_AUTO_POSITION = 0, GET_SOURCE_PUBLIC_KEY = 1;
             SET GLOBAL replica_parallel_workers = {workers}",
            to.port, to.user, to.password
        ));
        let begun = Instant::now();
        self.target.run("START REPLICA");
        let came = self.target.wait_until(MARK_IS_THERE, LIMIT, || false);
        let took = begun.elapsed().as_secs_f64();
        let errors = "SELECT concat_ws(' ', last_error_message) FROM performance_schema.replication_applier_status_by_worker";
        assert!(came, "{name}: {}", self.target.ask(errors));
        self.check();
        self.target.run("STOP REPLICA; RESET REPLICA ALL");
        vec![(name, took)]
    }

    /// From the start of the process until the last change is visible, which is after its durable commit.
    fn crossfade(&self) -> Figures {
        mysql::make(&self.source, self.backlog.rows);
        self.target.create();
        let product = Product::new(&self.source.url(), &self.target.url());
        product.run_until_followed();
        self.backlog.make();
        self.settle();
        let begun = Instant::now();
        let mut running = product.start("run", &[]);
        let came = self
            .target
            .wait_until(MARK_IS_THERE, LIMIT, || running.has_ended());
        let took = begun.elapsed().as_secs_f64();
        let ended = running.stop();
        assert!(came, "crossfade has not brought the last change");
        self.check();
        product.abort();
        self.peak.set(self.peak.get().max(ended.peak));
        vec![
            ("crossfade", took),
            ("crossfade until it had begun", ended.event("started")),
        ]
    }
}
