//! Copy of a SQLite table to PostgreSQL: against pgloader on the same file.

use std::path::Path;
use std::process::Command;

use super::contest::{self, Contender, Figures, Goal, seconds};
use super::options::Options;
use super::orders;
use super::product::Product;
use super::server::{self, Place};

pub fn run(options: &Options) {
    let folder = tempfile::tempdir_in("/var/tmp").expect("a folder can be made in /var/tmp");
    let rows = orders::rows(options);
    let file = orders::make(folder.path(), rows);
    let target = Place::target("bench");
    let expected = orders::sums(&file);
    let mut contenders = [
        Contender::new("pgloader", || pgloader(&file, &target, &expected)),
        Contender::new("crossfade", || crossfade(&file, &target, &expected)),
    ];
    let report = contest::hold("copy-sqlite-pg", "s", options, &mut contenders);
    drop(contenders);
    report.fact("rows", rows).print(&[Goal {
        of: "crossfade",
        against: Some("pgloader"),
        at_most: 1.0,
    }]);
    target.drop();
}

fn fresh_target(target: &Place) {
    target.create(None);
    server::settle();
}

fn check(target: &Place, expected: &str) {
    assert_eq!(target.ask(orders::SUMS), expected, "the copy differs");
    let keys = "SELECT count(*) FROM pg_index WHERE indrelid = 'orders'::regclass AND indisprimary AND indisvalid";
    assert_eq!(target.ask(keys), "1", "the key is missing");
}

fn pgloader(file: &Path, target: &Place, expected: &str) -> Figures {
    let source = orders::fresh_copy(file, "source.db");
    fresh_target(target);
    let took = seconds(|| {
        server::run(
            Command::new("pgloader")
                .arg(format!("sqlite://{}", source.display()))
                .arg(target.url()),
        );
    });
    check(target, expected);
    vec![("pgloader", took)]
}

fn crossfade(file: &Path, target: &Place, expected: &str) -> Figures {
    let source = orders::fresh_copy(file, "source.db");
    fresh_target(target);
    let product = Product::new(&format!("sqlite:{}", source.display()), &target.url());
    let ended = product.run_until_followed();
    check(target, expected);
    vec![
        ("crossfade", ended.seconds),
        ("crossfade until followed", ended.event("followed")),
    ]
}
