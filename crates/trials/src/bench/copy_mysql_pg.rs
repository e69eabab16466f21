//! Copy of a table of MySQL's and of MariaDB's to PostgreSQL: against pgloader, where that comes to the server.

use std::cell::Cell;
use std::process::Command;

use super::contest::{self, Contender, Figures, Goal};
use super::mysql::{self, MysqlPlace, Server};
use super::options::Options;
use super::product::Product;
use super::server::{self, Place};

struct Bench {
    source: MysqlPlace,
    target: Place,
    expected: String,
    peak: Cell<f64>,
}

pub fn mysql(options: &Options) {
    run("copy-mysql-pg", Server::Source, options);
}

pub fn mariadb(options: &Options) {
    run("copy-mariadb-pg", Server::Mariadb, options);
}

fn run(name: &'static str, server: Server, options: &Options) {
    let rows = mysql::rows(options);
    let source = MysqlPlace::new(server, "bench");
    mysql::make(&source, rows);
    let bench = Bench {
        expected: source.ask(mysql::SUMS),
        source,
        target: Place::target("bench"),
        peak: Cell::new(0.0),
    };
    let mut contenders = Vec::new();
    match bench.load() {
        Ok(_) => contenders.push(Contender::new("pgloader", || bench.pgloader())),
        Err(why) => println!("  pgloader cannot take part: {why}"),
    }
    contenders.push(Contender::new("crossfade", || bench.crossfade()));
    let report = contest::hold(name, "s", options, &mut contenders);
    drop(contenders);
    report
        .fact("rows", rows)
        .fact("peak MB of crossfade", bench.peak.get().round())
        .print(&[Goal {
            of: "crossfade",
            against: Some("pgloader"),
            at_most: 0.5,
        }]);
    bench.target.drop();
    bench.source.drop();
}

impl Bench {
    fn fresh_target(&self) {
        self.target.create(None);
        server::settle();
        self.source.settle();
    }

    /// `schema`: where the copy is; pgloader makes one with the database's name.
    fn check(&self, schema: &str) -> Result<(), String> {
        let sums = mysql::SUMS.replace("FROM sbtest", &format!("FROM {schema}.sbtest"));
        let found = self.target.ask(&sums);
        let keys = format!(
            "SELECT count(*) FROM pg_index WHERE indrelid = '{schema}.sbtest'::regclass AND indisvalid"
        );
        let keys = self.target.ask(&keys);
        if found == self.expected && keys == "2" {
            return Ok(());
        }
        Err(format!(
            "the copy differs: {found} and {keys} indexes, not {} and 2",
            self.expected
        ))
    }

    fn load(&self) -> Result<f64, String> {
        self.fresh_target();
        let mut command = Command::new("pgloader");
        // with the 100,000 that it reads ahead otherwise its heap overflows on rows of this width
        command.args(["--with", "prefetch rows = 10000"]);
        command.arg(self.source.url()).arg(self.target.url());
        let (took, _) = mysql::watched(&mut command)?;
        let there = "SELECT count(*) FROM information_schema.tables WHERE table_schema = 'bench' AND table_name = 'sbtest'";
        if self.target.ask(there) != "1" {
            return Err("it ended well and has made no table".to_owned());
        }
        self.check("bench").map(|()| took)
    }

    fn pgloader(&self) -> Figures {
        let took = self.load().unwrap_or_else(|why| panic!("pgloader: {why}"));
        vec![("pgloader", took)]
    }

    fn crossfade(&self) -> Figures {
        self.fresh_target();
        let product = Product::new(&self.source.url(), &self.target.url());
        let ended = product.run_until_followed();
        self.check("public").unwrap_or_else(|why| panic!("{why}"));
        product.abort();
        self.peak.set(self.peak.get().max(ended.peak));
        vec![
            ("crossfade", ended.seconds),
            ("crossfade until followed", ended.event("followed")),
        ]
    }
}
