//! Losses that the file declares: what is cut, rounded or turned into text on the way is on the target as declared, in the copy and in
//! the stream, and nothing else is lost.

use std::sync::atomic::{AtomicBool, Ordering};

use crossfade_trials::seed::{generator, seed};
use crossfade_trials::{Database, Engine, Trial};
use rand::Rng as _;
use rand::rngs::StdRng;

use crate::certificate::{certified, make_key, stated};
use crate::mappings::{Stop, arrives, rows};
use crate::switch::{followed, report, switch};

/// Texts of many lengths, of characters of one to four bytes, some of which belong together.
fn note(random: &mut StdRng) -> String {
    let pieces = ["a", "é", "e\u{301}", "日本", "😀", " ", "it''s"];
    let count = random.random_range(0..12);
    let text: String = (0..count)
        .map(|_| pieces[random.random_range(0..pieces.len())])
        .collect();
    format!("'{text}'")
}

/// Decimals, many of which are in the middle between two.
fn amount(random: &mut StdRng) -> String {
    let sign = ["", "-"][random.random_range(0..2)];
    let whole = random.random_range(0..1_000_000);
    let fraction = ["", ".005", ".015", ".995", ".4449999", ".12"][random.random_range(0..6)];
    format!("{sign}{whole}{fraction}")
}

/// What one column takes that has no type.
fn anything(random: &mut StdRng) -> String {
    match random.random_range(0..5) {
        0 => random.random::<i64>().to_string(),
        1 => format!("{}.5", random.random_range(-999..999)),
        2 => format!("x'{:08x}'", random.random::<u32>()),
        3 => "NULL".to_owned(),
        _ => note(random),
    }
}

/// Writes at random until told to stop: rows come, go, change their values and their keys.
fn write(source: &Database, seed: u64, values: fn(&mut StdRng) -> Vec<String>, stop: &AtomicBool) {
    let mut random = generator(seed, 1);
    let mut next = 10_000;
    while !stop.load(Ordering::Relaxed) {
        let id = random.random_range(1..=ROWS);
        let row = values(&mut random);
        next += 1;
        let sql = match random.random_range(0..4) {
            0 => format!("INSERT INTO t VALUES ({next}, {})", row.join(", ")),
            1 => format!("DELETE FROM t WHERE id = {id}"),
            2 => format!("UPDATE t SET id = {next} WHERE id = {id}"),
            _ => format!(
                "UPDATE t SET a = {}, b = {} WHERE id = {id}",
                row[0], row[1]
            ),
        };
        // whoever is in the way of another has not written
        let _ = source.try_run(&sql);
    }
}

/// Rows at the beginning.
const ROWS: u32 = 500;

/// Runs until followed under writes, makes a certificate, and checks that the target has exactly the rows that `expected` makes of
/// the source.
fn lost_as_declared(
    trial: &Trial,
    values: fn(&mut StdRng) -> Vec<String>,
    expected: &str,
    found: &str,
) {
    let seed = seed(&format!("losses to {:?}", trial.target.dialect()));
    let mut random = generator(seed, 0);
    let first: Vec<String> = (1..=ROWS)
        .map(|id| format!("({id}, {})", values(&mut random).join(", ")))
        .collect();
    trial
        .source
        .run(&format!("INSERT INTO t VALUES {}", first.join(", ")));
    trial.urls();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let _stop = Stop(&stop);
        scope.spawn(|| write(&trial.source, seed, values, &stop));
        trial.verify().says(&["equal"]);
        trial.verify().says(&["equal"]);
    });
    trial.follow();
    let (expected, found) = (rows(&trial.source, expected), rows(&trial.target, found));
    let wrong: Vec<_> = expected
        .iter()
        .zip(&found)
        .filter(|(expected, found)| expected != found)
        .take(5)
        .collect();
    assert!(wrong.is_empty(), "seed {seed}: (expected, found) {wrong:?}");
    assert_eq!(expected.len(), found.len(), "seed {seed}");
    assert!(expected.len() > 100, "{}", expected.len());
}

/// What a certificate states that its only table's columns are made of.
fn made_of(trial: &Trial) -> Vec<String> {
    make_key(trial);
    certified(trial, "proof.json", &[], 0);
    let certificate = stated(trial, "proof.json");
    let made = certificate["mappings"][0]["origin"]["columns"].as_array();
    let made = made.unwrap_or_else(|| panic!("{certificate}"));
    made.iter()
        .map(|text| text.as_str().expect("an expression").to_owned())
        .collect()
}

/// Texts that are cut and decimals that are rounded, into a table whose columns have no room for more.
#[test]
fn texts_are_cut_and_decimals_rounded_as_declared() {
    let mut trial = Trial::new(Engine::Pg17, Engine::Mysql97)
        .as_superuser()
        .option("chunk_rows", 100);
    trial
        .source
        .run("CREATE TABLE t (id integer PRIMARY KEY, a text, b numeric)");
    trial.target.run("CREATE TABLE t (id int PRIMARY KEY, a varchar(7), b decimal(9, 2)) CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_bin");
    trial
        .call(&["plan"])
        .expect(2)
        .says(&["column.type", "column a", "column b"]);
    trial.tables = "[[table]]\nfrom = \"t\"\n[table.columns]\n\
         a = { from = \"a\", lossy = \"truncate 7\" }\nb = { from = \"b\", lossy = \"round 2\" }\n"
        .to_owned();
    lost_as_declared(
        &trial,
        |random| vec![note(random), amount(random)],
        "SELECT id, encode(convert_to(left(a, 7), 'UTF8'), 'hex'), round(b, 2) FROM t",
        "SELECT id, lower(hex(a)), b FROM t",
    );
    assert_eq!(
        made_of(&trial),
        ["\"id\"", "left(\"a\", 7)", "round(\"b\", 2)"]
    );
    // nothing gives back what was cut
    let running = followed(&trial);
    let refused = switch(&trial).expect(2);
    refused.says(&["gate.invertible", "a", "b"]);
    running.ended();
}

/// Values of every class in a column without a type become texts, where that is accepted; they go forward only.
#[test]
fn values_of_every_class_become_texts_as_accepted() {
    let mut trial = Trial::new(Engine::Sqlite, Engine::Pg18)
        .as_superuser()
        .option("chunk_rows", 100);
    trial
        .source
        .run("CREATE TABLE t (id INTEGER PRIMARY KEY, a, b TEXT)");
    trial.call(&["plan"]).expect(2).says(&["column.lossy"]);
    trial.tables = "[[table]]\nfrom = \"t\"\n[table.columns]\n\
         a = { from = \"a\", lossy = \"accept\", forward_only = true }\n\
         b = { from = \"b\", lossy = \"truncate 5\", forward_only = true }\n"
        .to_owned();
    trial.call(&["plan"]).expect(0).says(&["column.lossy"]);
    lost_as_declared(
        &trial,
        |random| vec![anything(random), note(random)],
        "SELECT id, CASE typeof(a) WHEN 'blob' THEN '\\x' || lower(hex(a)) ELSE CAST(a AS TEXT) END, substr(b, 1, 5) FROM t",
        "SELECT id, a, b FROM t",
    );
    assert_eq!(
        made_of(&trial),
        ["\"id\"", "cast(\"a\" as text)", "left(\"b\", 5)"]
    );
    let before = rows(&trial.source, "SELECT id, quote(a), b FROM t WHERE id < 20");
    let running = followed(&trial);
    report(switch(&trial));
    trial.target.run(
        "UPDATE t SET a = 'there', b = 'x' WHERE id < 20; INSERT INTO t VALUES (99999, 'new', 'y')",
    );
    arrives(
        &trial.source,
        "SELECT 1 FROM t WHERE id = 99999 AND a IS NULL AND b IS NULL",
    );
    // what nothing gives back stays as it is
    let after = rows(&trial.source, "SELECT id, quote(a), b FROM t WHERE id < 20");
    assert_eq!(after, before);
    running.ended();
}
