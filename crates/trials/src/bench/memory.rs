//! The most memory that crossfade takes for a table and a transaction far bigger than it may hold.

use std::time::Duration;

use super::contest::{self, Contender, Figures, Goal};
use super::options::Options;
use super::product::Product;
use super::server::{self, Place};

const LIMIT: Duration = Duration::from_secs(1800);
/// MB of 1,000,000 bytes.
const MOST: f64 = 200.0;

pub fn run(options: &Options) {
    let rows = options.size(20_000_000, 500_000);
    let changes = options.size(5_000_000, 200_000);
    let source = Place::source("bench");
    let target = Place::target("bench");
    let mut contenders = [Contender::new("peak, big table", || {
        measure(&source, &target, rows, changes)
    })];
    let report = contest::hold("memory", "MB", &options.once(), &mut contenders);
    drop(contenders);
    let goal = |of| Goal {
        of,
        against: None,
        at_most: MOST,
    };
    report
        .fact("rows of the table", rows)
        .fact("changes of the transaction", changes)
        .print(&[goal("peak, big table"), goal("peak, big transaction")]);
    target.drop();
    source.drop();
}

fn measure(source: &Place, target: &Place, rows: u32, changes: u32) -> Figures {
    source.create(None);
    let shape = "(id bigint PRIMARY KEY, n int NOT NULL, note text NOT NULL)";
    let fill = |table: &str, rows: u32| {
        format!(
            "INSERT INTO {table} SELECT i, i % 1000, 'row ' || i FROM generate_series(1, {rows}) i"
        )
    };
    source.run(&[
        &format!("CREATE TABLE narrow {shape}"),
        &format!("CREATE TABLE sudden {shape}"),
        "CREATE TABLE mark (id int PRIMARY KEY)",
        &fill("narrow", rows),
        "VACUUM ANALYZE",
    ]);
    target.create(None);
    server::settle();
    let product = Product::new(&source.url(), &target.url());
    let copied = product.run_until_followed();
    check(source, target, "narrow");

    let mut running = product.start("run", &[]);
    source.run(&[&fill("sudden", changes), "INSERT INTO mark VALUES (1)"]);
    running.wait_until(target, "SELECT count(*) = 1 FROM mark", LIMIT);
    let applied = running.stop();
    check(source, target, "sudden");
    product.abort();
    vec![
        ("peak, big table", copied.peak),
        ("peak, big transaction", applied.peak),
    ]
}

fn check(source: &Place, target: &Place, table: &str) {
    let contents = |place: &Place| {
        place.ask(&format!(
            "SELECT count(*) || ' rows, sum ' || sum(hashtext(t::text)) FROM {table} t"
        ))
    };
    assert_eq!(contents(source), contents(target), "{table} differs");
}
