//! Copy of a SQLite table to another file: against `ATTACH` and one `INSERT … SELECT` in SQLite's shell.
//!
//! Both write in WAL mode and make their commits durable; the shell is given the target's table beforehand.

use std::path::Path;

use super::contest::{self, Contender, Figures, Goal, seconds};
use super::options::Options;
use super::orders;
use super::product::Product;

pub fn run(options: &Options) {
    let folder = tempfile::tempdir_in("/var/tmp").expect("a folder can be made in /var/tmp");
    let rows = orders::rows(options);
    let file = orders::make(folder.path(), rows);
    let expected = orders::sums(&file);
    let mut contenders = [
        Contender::new("attach", || attach(&file, &expected)),
        Contender::new("crossfade", || crossfade(&file, &expected)),
    ];
    let report = contest::hold("copy-sqlite", "s", options, &mut contenders);
    report.fact("rows", rows).print(&[Goal {
        of: "crossfade",
        against: Some("attach"),
        // half of its rate
        at_most: 2.0,
    }]);
}

fn attach(file: &Path, expected: &str) -> Figures {
    let source = orders::fresh_copy(file, "source.db");
    let target = file.with_file_name("target.db");
    orders::remove(&target);
    orders::shell(
        &target,
        &format!("PRAGMA journal_mode = WAL; {};", orders::TABLE),
    );
    let sql = format!(
        "PRAGMA synchronous = FULL; ATTACH '{}' AS source; INSERT INTO orders SELECT * FROM source.orders;",
        source.display()
    );
    let took = seconds(|| orders::shell(&target, &sql));
    assert_eq!(orders::sums(&target), expected, "the copy differs");
    vec![("attach", took)]
}

fn crossfade(file: &Path, expected: &str) -> Figures {
    let source = orders::fresh_copy(file, "source.db");
    let target = file.with_file_name("target.db");
    orders::remove(&target);
    let product = Product::new(
        &format!("sqlite:{}", source.display()),
        &format!("sqlite:{}", target.display()),
    );
    let ended = product.run_until_followed();
    assert_eq!(orders::sums(&target), expected, "the copy differs");
    vec![
        ("crossfade", ended.seconds),
        ("crossfade until followed", ended.event("followed")),
    ]
}
