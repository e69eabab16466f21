//! Copy of a pgbench database with its keys: against a pipe of binary COPY, a native subscription, and pgcopydb.

use std::process::Command;
use std::time::Duration;

use super::contest::{self, Contender, Figures, Goal, seconds};
use super::options::Options;
use super::pgbench;
use super::product::Product;
use super::server::{self, Place};

const LIMIT: Duration = Duration::from_secs(600);

struct Bench {
    source: Place,
    target: Place,
    expected: Vec<String>,
}

pub fn run(options: &Options) {
    let scale = pgbench::scale(options);
    let source = Place::source("bench");
    pgbench::make_source(&source, scale);
    let bench = Bench {
        expected: pgbench::contents(&source),
        source,
        target: Place::target("bench"),
    };
    let mut contenders = [
        Contender::new("pipe", || bench.pipe()),
        Contender::new("subscription", || bench.subscription()),
        Contender::new("pgcopydb", || bench.pgcopydb()),
        Contender::new("crossfade", || bench.crossfade()),
    ];
    let report = contest::hold("copy-pg", "s", options, &mut contenders);
    report.fact("rows", pgbench::rows(scale)).print(&[
        goal("pipe", 1.1),
        goal("subscription", 1.0),
        goal("pgcopydb", 1.0),
    ]);
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
    fn fresh_target(&self) {
        self.target.create(None);
        server::settle();
    }

    fn check(&self) {
        assert_eq!(
            pgbench::contents(&self.target),
            self.expected,
            "the copy is not what was to be copied"
        );
    }

    /// Its tables are made before the clock starts.
    fn pipe(&self) -> Figures {
        self.target.create(None);
        pgbench::make_tables(&self.target, false);
        server::settle();
        let took = seconds(|| pgbench::pipe(&self.source, &self.target));
        self.check();
        vec![("pipe", took)]
    }

    /// Its tables, with keys, are made before the clock starts.
    fn subscription(&self) -> Figures {
        self.source
            .run(&["CREATE PUBLICATION native FOR ALL TABLES"]);
        self.target.create(None);
        pgbench::make_tables(&self.target, true);
        server::settle();
        let create = format!(
            "CREATE SUBSCRIPTION native CONNECTION '{}' PUBLICATION native",
            self.source.url()
        );
        let took = seconds(|| {
            self.target.run(&[&create]);
            self.target.wait_until(
                "SELECT count(*) > 0 AND bool_and(srsubstate = 'r') FROM pg_subscription_rel",
                LIMIT,
            );
        });
        self.check();
        self.target.run(&["DROP SUBSCRIPTION native"]);
        self.source.run(&["DROP PUBLICATION native"]);
        vec![("subscription", took)]
    }

    fn pgcopydb(&self) -> Figures {
        self.fresh_target();
        let folder = tempfile::tempdir_in("/var/tmp").expect("a folder can be made in /var/tmp");
        let took = seconds(|| {
            server::run(
                Command::new("pgcopydb")
                    .args([
                        "clone",
                        "--source",
                        &self.source.url(),
                        "--target",
                        &self.target.url(),
                    ])
                    .arg("--dir")
                    .arg(folder.path().join("work")),
            );
        });
        self.check();
        vec![("pgcopydb", took)]
    }

    fn crossfade(&self) -> Figures {
        self.fresh_target();
        let product = Product::new(&self.source.url(), &self.target.url());
        let ended = product.run_until_followed();
        self.check();
        product.abort();
        vec![
            ("crossfade", ended.seconds),
            ("crossfade until followed", ended.event("followed")),
        ]
    }
}
