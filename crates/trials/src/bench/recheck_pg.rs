//! The check that a cutover makes inside its fence: a thousand keys that changed since everything was proven, read on both
//! sides. What counts is that it does not grow with the table.

use std::time::Duration;

use super::contest::{self, Contender, Figures, Goal};
use super::options::Options;
use super::pgbench;
use super::product::{Product, Running};
use super::server::{self, Place};

/// Keys that change before each check.
const KEYS: u64 = 1_000;
const LIMIT: Duration = Duration::from_secs(600);

struct Bench {
    source: Place,
    target: Place,
    product: Product,
    running: Option<Running>,
    round: u64,
}

pub fn run(options: &Options) {
    measure("recheck-pg", options.size(20, 1), options);
    measure("recheck-pg-big", options.size(200, 2), options);
}

fn measure(name: &'static str, scale: u32, options: &Options) {
    let mut bench = Bench::prepare(scale);
    let mut contenders = [Contender::new("crossfade", || bench.check())];
    let report = contest::hold(name, "ms", options, &mut contenders);
    drop(contenders);
    report
        .fact("rows", pgbench::rows(scale))
        .fact("keys that changed", KEYS)
        .print(&[Goal {
            of: "crossfade",
            against: None,
            at_most: 500.0,
        }]);
    bench.clean();
}

impl Bench {
    /// Followed and proven whole.
    fn prepare(scale: u32) -> Self {
        let (source, target) = (Place::source("bench"), Place::target("bench"));
        pgbench::make_source(&source, scale);
        target.create(None);
        // nothing is read again but what is asked for
        let still = "[run]\nreconcile_percent = 0\n";
        let product = Product::with(&source.url(), &target.url(), still);
        product.run_until_followed();
        target.run(&["VACUUM ANALYZE"]);
        let running = product.start("run", &[]);
        std::thread::sleep(Duration::from_secs(1));
        product.start("verify", &[]).wait();
        Self {
            source,
            target,
            product,
            running: Some(running),
            round: 0,
        }
    }

    /// What the program itself says that the check took, from the request to the verdict.
    fn check(&mut self) -> Figures {
        self.round += 1;
        let round = self.round;
        let rows: u64 = self
            .source
            .ask("SELECT count(*) FROM pgbench_accounts")
            .parse()
            .expect("a count");
        let step = rows / KEYS;
        self.source.run(&[&format!(
            "UPDATE pgbench_accounts SET abalance = {round} WHERE aid % {step} = 1"
        )]);
        let there =
            format!("SELECT count(*) = {KEYS} FROM pgbench_accounts WHERE abalance = {round}");
        self.target.wait_until(&there, LIMIT);
        server::settle();
        let ended = self.product.start("verify", &["--touched"]).wait();
        let report = ended.report();
        let tables = report["tables"].as_array().expect("tables");
        let read: u64 = tables.iter().filter_map(|t| t["rows"].as_u64()).sum();
        assert_eq!(read, KEYS, "{report}");
        let at = |field: &str| report[field].as_i64().expect("a time");
        // a number of milliseconds far below 2^53
        vec![("crossfade", (at("finished") - at("started")) as f64)]
    }

    fn clean(mut self) {
        if let Some(running) = self.running.take() {
            running.stop();
        }
        self.product.abort();
        self.source.drop();
        self.target.drop();
    }
}
