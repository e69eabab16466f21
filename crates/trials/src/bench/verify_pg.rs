//! Verify of a pgbench database between two PostgreSQL servers, while pgbench writes and the target follows. The limit is
//! two `COPY … TO STDOUT` at once into nowhere, which read the same rows and do nothing with them; the rivals are `pgcopydb
//! compare data` and reladiff, which cannot compare while anybody writes.

use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::contest::{self, Contender, Figures, Goal, seconds};
use super::options::Options;
use super::pgbench::{self, TABLES};
use super::product::{Product, Running};
use super::server::{self, Place};

/// The writers' rate, in transactions a second: what two processors do easily beside two readers of everything.
const RATE: u32 = 200;
/// How long the writers have been at work when a reading begins.
const WARM: Duration = Duration::from_secs(2);
/// How long the writers work alone to show their latency.
const ALONE: Duration = Duration::from_secs(8);
/// How long the writers go on beside a reading at full speed, and beside a slow one.
const SHORT: Duration = Duration::from_secs(10);
const SLOW: Duration = Duration::from_secs(60);
const LIMIT: Duration = Duration::from_secs(600);
/// The columns that reladiff and data-diff are told of, of the one table that counts.
const COLUMNS: [&str; 3] = ["bid", "abalance", "filler"];

struct Bench {
    source: Place,
    target: Place,
    product: Product,
    options: Options,
}

pub fn run(options: &Options) {
    let mut bench = Bench::prepare(options);
    let running = bench.follow();
    let mut live = [
        Contender::new("p95 alone", || bench.alone()),
        Contender::new("copy", || bench.copy()),
        Contender::new("crossfade", || bench.crossfade()),
        Contender::new("gentle", || bench.gentle()),
    ];
    let report = contest::hold("verify-pg", "ms", options, &mut live);
    drop(live);
    report
        .fact("rows", pgbench::rows(pgbench::scale(options)))
        .fact("transactions a second", RATE)
        .print(&[
            goal("crossfade", "copy", 1.5),
            goal("p95 beside gentle", "p95 alone", 1.3),
        ]);
    bench.settle();
    let reladiff = program(server::RELADIFF_VARIABLE);
    let data_diff = program(server::DATA_DIFF_VARIABLE);
    // not every version has `compare`: not the system's own, say
    let pgcopydb = program(server::PGCOPYDB_VARIABLE);
    let mut quiet = vec![Contender::new("crossfade, no writers", || bench.quiet())];
    let mut goals = Vec::new();
    if let Some(program) = &pgcopydb {
        quiet.push(Contender::new("pgcopydb", || bench.pgcopydb(program)));
        goals.push(goal("crossfade, no writers", "pgcopydb", 1.0));
    }
    if let Some(program) = &reladiff {
        quiet.push(Contender::new("reladiff", || {
            bench.table_differ("reladiff", program, &[])
        }));
        goals.push(goal("crossfade, no writers", "reladiff", 0.1));
    }
    if let Some(program) = &data_diff {
        quiet.push(Contender::new("data-diff", || {
            bench.table_differ("data-diff", program, &["--no-tracking"])
        }));
        goals.push(goal("crossfade, no writers", "data-diff", 0.1));
    }
    let report = contest::hold("verify-pg-rivals", "ms", options, &mut quiet);
    drop(quiet);
    let compares = |program: &Option<String>, what: &'static str| match program {
        Some(_) => what,
        None => "could not be installed",
    };
    report
        .fact("rows", pgbench::rows(pgbench::scale(options)))
        .fact(
            "reladiff",
            compares(&reladiff, "compares pgbench_accounts only"),
        )
        .fact(
            "data-diff",
            compares(&data_diff, "compares pgbench_accounts only"),
        )
        .fact("pgcopydb", compares(&pgcopydb, "compares all tables"))
        .print(&goals);
    running.stop();
    bench.clean();
}

fn goal(of: &'static str, against: &'static str, at_most: f64) -> Goal {
    Goal {
        of,
        against: Some(against),
        at_most,
    }
}

/// Milliseconds that something takes.
fn milliseconds(work: impl FnOnce()) -> f64 {
    seconds(work) * 1000.0
}

/// A rival, where it is installed.
fn program(variable: &str) -> Option<String> {
    std::env::var(variable).ok()
}

impl Bench {
    fn prepare(options: &Options) -> Self {
        let source = Place::source("bench");
        let target = Place::target("bench");
        pgbench::make_source(&source, pgbench::scale(options));
        target.create(None);
        let product = Product::new(&source.url(), &target.url());
        product.run_until_followed();
        target.run(&["VACUUM ANALYZE"]);
        Self {
            source,
            target,
            product,
            options: options.clone(),
        }
    }

    /// The run that is asked to verify, once it answers.
    fn follow(&mut self) -> Running {
        let running = self.product.start("run", &[]);
        sleep(Duration::from_secs(1));
        self.product.start("verify", &[]).wait();
        running
    }

    /// What is measured beside writers: the milliseconds it took, and the writers' 95th percentile while it went on.
    fn beside_writers(&self, at_most: Duration, work: impl FnOnce()) -> (f64, f64) {
        server::settle();
        let writers = Writers::start(&self.source, WARM + at_most);
        sleep(WARM);
        let from = now();
        let took = milliseconds(work);
        let until = now();
        (took, writers.percentile(from, until))
    }

    fn alone(&self) -> Figures {
        let (_, latency) =
            self.beside_writers(SHORT, || sleep(self.options.size(ALONE, ALONE / 4)));
        vec![("p95 alone", latency)]
    }

    fn copy(&self) -> Figures {
        let (took, latency) = self.beside_writers(SHORT, || {
            let both = [&self.source, &self.target].map(|place| {
                let mut psql = Command::new(server::program("psql"));
                psql.args(["-Xq", "-d", &place.url()]);
                for table in &TABLES {
                    psql.args(["-c", &format!("COPY {} TO STDOUT", table.name)]);
                }
                psql.stdin(Stdio::null()).stdout(Stdio::null());
                psql.spawn().expect("psql can be started")
            });
            for mut child in both {
                let status = child.wait().expect("a child can be waited for");
                assert!(status.success(), "psql: {status}");
            }
        });
        vec![("copy", took), ("p95 beside copy", latency)]
    }

    fn crossfade(&self) -> Figures {
        let (took, latency) = self.beside_writers(SHORT, || {
            // equal, or it does not end well
            self.product.start("verify", &[]).wait();
        });
        vec![("crossfade", took), ("p95 beside crossfade", latency)]
    }

    /// As slowly as `--gentle` has it: what counts is what the writers feel.
    fn gentle(&self) -> Figures {
        let (took, latency) = self.beside_writers(SLOW, || {
            self.product.start("verify", &["--gentle"]).wait();
        });
        vec![("gentle", took), ("p95 beside gentle", latency)]
    }

    /// Waits until the target has all that was written.
    fn settle(&self) {
        let count = self.source.ask("SELECT count(*) FROM pgbench_history");
        let there = format!("SELECT count(*) = {count} FROM pgbench_history");
        self.target.wait_until(&there, LIMIT);
        for place in [&self.source, &self.target] {
            place.run(&["VACUUM ANALYZE"]);
        }
    }

    fn quiet(&self) -> Figures {
        server::settle();
        let took = milliseconds(|| {
            self.product.start("verify", &[]).wait();
        });
        vec![("crossfade, no writers", took)]
    }

    fn pgcopydb(&self, program: &str) -> Figures {
        server::settle();
        let folder = tempfile::tempdir().expect("a folder can be made");
        let took = milliseconds(|| {
            server::run(
                Command::new(program)
                    .args(["compare", "data", "--source", &self.source.url()])
                    .args(["--target", &self.target.url(), "--dir"])
                    .arg(folder.path()),
            );
        });
        vec![("pgcopydb", took)]
    }

    /// Reladiff, or data-diff that it was made of. Whatever happens to it, it ends with 0: only what it says of rows shows that it has
    /// compared them.
    fn table_differ(&self, name: &'static str, program: &str, words: &[&str]) -> Figures {
        server::settle();
        let table = &TABLES[0];
        let mut command = Command::new(program);
        for place in [&self.source, &self.target] {
            // it knows one of the two schemes, and wants a password, which the servers do not ask for
            let url = place.url();
            let url = url.replacen("postgres://postgres@", "postgresql://postgres:none@", 1);
            command.args([&url, table.name]);
        }
        command.args(["--stats", "-k", "aid"]).args(words);
        for column in COLUMNS {
            command.args(["-c", column]);
        }
        let mut said = String::new();
        let took = milliseconds(|| {
            let output = command.output();
            let output = output.unwrap_or_else(|error| panic!("{name}: {error}"));
            said = [output.stdout, output.stderr]
                .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
                .concat();
        });
        let rows = self.source.ask("SELECT count(*) FROM pgbench_accounts");
        let all = format!("{rows} rows unchanged");
        assert!(
            said.contains(&all),
            "{name} has not compared all rows:\n{said}"
        );
        vec![(name, took)]
    }

    fn clean(self) {
        self.product.abort();
        self.source.drop();
        self.target.drop();
    }
}

/// Seconds since the Unix epoch.
fn now() -> f64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.expect("the clock is after 1970").as_secs_f64()
}

/// pgbench at a steady rate, with a line per transaction in its log.
struct Writers {
    child: Child,
    folder: tempfile::TempDir,
}

impl Writers {
    fn start(place: &Place, time: Duration) -> Self {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let child = Command::new(server::program("pgbench"))
            .args(["-n", "-c", "4", "-j", "1", "-l"])
            .args(["-T", &time.as_secs().to_string()])
            .args(["-R", &RATE.to_string()])
            .arg("--log-prefix")
            .arg(folder.path().join("log"))
            .arg(place.url())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("pgbench can be started");
        Self { child, folder }
    }

    /// The 95th percentile of the latency of the transactions that ended between two times, in milliseconds; from the time
    /// at which they were to begin.
    fn percentile(mut self, from: f64, until: f64) -> f64 {
        let status = self.child.wait().expect("a child can be waited for");
        assert!(status.success(), "pgbench: {status}");
        let mut latencies = Vec::new();
        for entry in std::fs::read_dir(self.folder.path()).expect("the folder can be read") {
            let path = entry.expect("the folder can be read").path();
            let text = std::fs::read_to_string(path).expect("the log can be read");
            latencies.extend(text.lines().filter_map(|line| latency(line, from, until)));
        }
        latencies.sort_by(f64::total_cmp);
        let at = latencies.len() * 95 / 100;
        latencies.get(at).copied().unwrap_or(f64::NAN)
    }
}

/// `client transaction latency script seconds microseconds …` (PostgreSQL documentation, pgbench, "Per-Transaction Logging").
fn latency(line: &str, from: f64, until: f64) -> Option<f64> {
    let mut fields = line.split(' ');
    let latency: f64 = fields.nth(2)?.parse().ok()?;
    let seconds: f64 = fields.nth(1)?.parse().ok()?;
    let micros: f64 = fields.next()?.parse().ok()?;
    let ended = seconds + micros / 1e6;
    (from..until).contains(&ended).then_some(latency / 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_log_counts_where_it_ended_within() {
        let line = "0 199 2241 0 1175850568 995598 12";
        assert_eq!(latency(line, 1_175_850_568.0, 1_175_850_569.0), Some(2.241));
        assert_eq!(latency(line, 1_175_850_569.0, 1_175_850_570.0), None);
        assert_eq!(latency("broken", 0.0, 1.0), None);
    }
}
