//! Copy of a table of MySQL's with its key and index: against the server's own client on both sides, and mydumper with myloader.

use std::cell::Cell;
use std::path::Path;
use std::process::Command;

use super::contest::{self, Contender, Figures, Goal, seconds};
use super::mysql::{self, Address, MysqlPlace, Server};
use super::options::Options;
use super::product::Product;

const PIPE: &str = "client and LOAD DATA";
const MYDUMPER: &str = "mydumper and myloader";

struct Bench {
    source: MysqlPlace,
    target: MysqlPlace,
    expected: String,
    /// Greatest resident memory of crossfade, and of mydumper or myloader, MB.
    peaks: [Cell<f64>; 2],
}

pub fn run(options: &Options) {
    let rows = mysql::rows(options);
    let source = MysqlPlace::new(Server::Source, "bench");
    mysql::make(&source, rows);
    let bench = Bench {
        expected: source.ask(mysql::SUMS),
        source,
        target: MysqlPlace::new(Server::Target, "bench"),
        peaks: [Cell::new(0.0), Cell::new(0.0)],
    };
    let mut contenders = vec![Contender::new(PIPE, || bench.pipe())];
    match bench.dump_and_load() {
        Ok(_) => contenders.push(Contender::new(MYDUMPER, || bench.mydumper())),
        Err(why) => println!("  {MYDUMPER} cannot take part: {why}"),
    }
    contenders.push(Contender::new("crossfade", || bench.crossfade()));
    let report = contest::hold("copy-mysql", "s", options, &mut contenders);
    drop(contenders);
    let [own, theirs] = bench.peaks.each_ref().map(|peak| peak.get().round());
    report
        .fact("rows", rows)
        .fact("peak MB of crossfade", own)
        .fact("peak MB of mydumper or myloader", theirs)
        .print(&[goal(PIPE, 1.25), goal(MYDUMPER, 1.0)]);
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
    fn check(&self) {
        assert_eq!(
            self.target.ask(mysql::SUMS),
            self.expected,
            "the copy is not what was to be copied"
        );
    }

    /// Its table, with key and index, is made before the clock starts.
    fn pipe(&self) -> Figures {
        self.target.create();
        self.target.run(mysql::TABLE);
        self.settle();
        let took = seconds(|| mysql::pipe(&self.source, &self.target));
        self.check();
        vec![(PIPE, took)]
    }

    fn settle(&self) {
        self.source.settle();
        self.target.settle();
    }

    fn mydumper(&self) -> Figures {
        let [dumped, loaded] = self
            .dump_and_load()
            .unwrap_or_else(|why| panic!("{MYDUMPER}: {why}"));
        self.check();
        vec![(MYDUMPER, dumped + loaded), ("mydumper alone", dumped)]
    }

    /// Seconds of either program.
    fn dump_and_load(&self) -> Result<[f64; 2], String> {
        self.target.create();
        self.settle();
        let folder = tempfile::tempdir_in("/var/tmp").expect("a folder can be made in /var/tmp");
        let dump = folder.path().join("dump");
        let (dumped, _) = self.program("mydumper", &self.source, &["--outputdir"], &dump)?;
        let words = ["--overwrite-tables", "--directory"];
        let (loaded, _) = self.program("myloader", &self.target, &words, &dump)?;
        Ok([dumped, loaded])
    }

    fn program(
        &self,
        name: &str,
        place: &MysqlPlace,
        words: &[&str],
        folder: &Path,
    ) -> Result<(f64, f64), String> {
        let Address {
            user,
            password,
            port,
        } = place.address();
        let mut command = Command::new(name);
        command
            .args(["--host", "127.0.0.1", "--port", &port, "--user", &user])
            .args(["--password", &password, "--database", place.database()])
            .args(["--threads", "2"])
            .args(words)
            .arg(folder);
        if name == "mydumper" {
            command.args(["--rows", "100000"]);
        }
        let watched = mysql::watched(&mut command).map_err(|why| format!("{name}: {why}"))?;
        self.peaks[1].set(self.peaks[1].get().max(watched.1));
        Ok(watched)
    }

    fn crossfade(&self) -> Figures {
        self.target.create();
        self.settle();
        let product = Product::new(&self.source.url(), &self.target.url());
        let ended = product.run_until_followed();
        self.check();
        product.abort();
        self.peaks[0].set(self.peaks[0].get().max(ended.peak));
        vec![
            ("crossfade", ended.seconds),
            ("crossfade until followed", ended.event("followed")),
        ]
    }
}
