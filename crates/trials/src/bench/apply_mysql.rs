//! A backlog of writes that nobody has read yet, as sysbench's write-only load makes it in a minute: how soon a follower has all of it,
//! against a native replica of one worker and of four. Every run makes the tables and the backlog anew.

use std::cell::Cell;
use std::process::Command;
use std::time::{Duration, Instant};

use super::contest::{self, Contender, Figures, Goal};
use super::mysql::{MysqlPlace, Server};
use super::options::Options;
use super::product::Product;

const LIMIT: Duration = Duration::from_secs(900);
const TABLES: u32 = 4;
const THREADS: u32 = 4;
/// Sysbench draws the same numbers each time.
const RANDOM: u32 = 2_718;
/// The last transaction before the backlog, and its own last.
const MADE: &str = "CREATE TABLE made (id int PRIMARY KEY)";
const MARK: &str = "INSERT INTO mark VALUES (1)";
const MARK_IS_THERE: &str = "SELECT count(*) FROM mark";
const MADE_IS_THERE: &str = "SELECT count(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = 'bench' AND TABLE_NAME = 'made'";
const ERRORS: &str = "SELECT concat_ws(' ', last_error_message) FROM performance_schema.replication_applier_status_by_worker";
const ONE: &str = "replica, 1 worker";
const FOUR: &str = "replica, 4 workers";

struct Bench {
    source: MysqlPlace,
    target: MysqlPlace,
    /// Rows of each table.
    rows: u32,
    /// Of writing.
    seconds: u32,
    peak: Cell<f64>,
    /// Transactions of the backlogs, in the order in which they were made.
    transactions: Cell<Vec<u64>>,
}

pub fn run(options: &Options) {
    let bench = Bench {
        source: MysqlPlace::new(Server::Source, "bench"),
        target: MysqlPlace::new(Server::Target, "bench"),
        rows: options.size(250_000, 2_500),
        seconds: options.size(60, 2),
        peak: Cell::new(0.0),
        transactions: Cell::default(),
    };
    let mut contenders = [
        Contender::new(ONE, || bench.replica(ONE, 1)),
        Contender::new(FOUR, || bench.replica(FOUR, 4)),
        Contender::new("crossfade", || bench.crossfade()),
    ];
    let report = contest::hold("apply-mysql", "s", options, &mut contenders);
    drop(contenders);
    let mut made = bench.transactions.take();
    made.sort_unstable();
    report
        .fact("seconds of writing", bench.seconds)
        .fact("least transactions", made.first().copied())
        .fact("most transactions", made.last().copied())
        .fact("peak MB of crossfade", bench.peak.get().round())
        .print(&[goal(ONE, 0.5), goal(FOUR, 1.0)]);
    bench.target.drop();
    bench.source.drop();
}

fn goal(against: &'static str, at_most: f64) -> Goal {
    Goal {
        of: "crossfade",
        against: Some(against),
        at_most,
    }
}

impl Bench {
    /// One of sysbench's commands on the source; gives what it prints.
    fn sysbench(&self, word: &str) -> String {
        let to = self.source.address();
        let output = Command::new("sysbench")
            .arg("oltp_write_only")
            .args(["--mysql-host=127.0.0.1", "--mysql-ssl=off"])
            .arg(format!("--mysql-port={}", to.port))
            .arg(format!("--mysql-user={}", to.user))
            .arg(format!("--mysql-password={}", to.password))
            .arg(format!("--mysql-db={}", self.source.database()))
            .arg(format!("--tables={TABLES}"))
            .arg(format!("--table-size={}", self.rows))
            .arg(format!("--threads={THREADS}"))
            .arg(format!("--time={}", self.seconds))
            .arg(format!("--rand-seed={RANDOM}"))
            .arg(word)
            .output()
            .unwrap_or_else(|error| panic!("sysbench: {error}"));
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "sysbench {word}: {said}");
        said
    }

    /// Tables with rows.
    fn make(&self) {
        self.source.create();
        self.source.run("CREATE TABLE mark (id int PRIMARY KEY)");
        self.sysbench("prepare");
    }

    /// What a follower is to catch up with.
    fn write(&self) {
        let said = self.sysbench("run");
        let line = said.lines().find(|line| line.contains("transactions:"));
        let number = line.and_then(|line| line.split_whitespace().nth(1));
        let number = number.and_then(|number| number.parse().ok());
        let mut all = self.transactions.take();
        all.push(number.unwrap_or_else(|| panic!("no number of transactions: {said}")));
        self.transactions.set(all);
        self.source.run(MARK);
        self.source.settle();
        self.target.settle();
    }

    fn check(&self) {
        for table in 1..=TABLES {
            let sums = format!(
                "SELECT concat_ws(' ', count(*), sum(id), sum(k), sum(crc32(concat_ws(',', id, k, c, pad)))) FROM sbtest{table}"
            );
            assert_eq!(
                self.target.ask(&sums),
                self.source.ask(&sums),
                "the follower is not where the source is, in table {table}"
            );
        }
    }

    /// From the start of its threads until the last change is visible.
    fn replica(&self, name: &'static str, workers: u32) -> Figures {
        self.source.create();
        self.target.create();
        let status = self.source.session().rows("SHOW BINARY LOG STATUS");
        let status = status.unwrap_or_else(|error| panic!("the log's end: {error}"));
        let word = |at: usize| {
            let bytes = status[0][at].clone().expect("the log is on");
            String::from_utf8(bytes).expect("a name or a number")
        };
        let (file, place) = (word(0), word(1));
        let to = self.source.address();
        self.target.run(&format!(
            "CHANGE REPLICATION FILTER REPLICATE_DO_DB = (bench);
             CHANGE REPLICATION SOURCE TO SOURCE_HOST = '127.0.0.1', SOURCE_PORT = {}, SOURCE_USER = '{}', SOURCE_PASSWORD = '{}',
                 SOURCE_LOG_FILE = '{file}', SOURCE_LOG_POS = {place}, SOURCE_AUTO_POSITION = 0, GET_SOURCE_PUBLIC_KEY = 1;
             SET GLOBAL replica_parallel_workers = {workers}; START REPLICA",
            to.port, to.user, to.password
        ));
        // it has the tables as everything else: by the log
        self.make();
        self.source.run(MADE);
        let made = self.target.wait_until(MADE_IS_THERE, LIMIT, || false);
        assert!(made, "{name}: {}", self.target.ask(ERRORS));
        self.target.run("STOP REPLICA");
        self.write();
        let begun = Instant::now();
        self.target.run("START REPLICA");
        let came = self.target.wait_until(MARK_IS_THERE, LIMIT, || false);
        let took = begun.elapsed().as_secs_f64();
        assert!(came, "{name}: {}", self.target.ask(ERRORS));
        self.check();
        self.target.run("STOP REPLICA; RESET REPLICA ALL");
        vec![(name, took)]
    }

    /// From the start of the process until the last change is visible, which is after its durable commit.
    fn crossfade(&self) -> Figures {
        self.make();
        self.target.create();
        let product = Product::new(&self.source.url(), &self.target.url());
        product.run_until_followed();
        self.write();
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
