//! To MySQL and MariaDB: copied and followed under writes, proven, and looked at through the servers' own client programs.

use std::path::Path;
use std::process::Command;

use crossfade_trials::binary::{Outcome, Running};
use crossfade_trials::patience::LONG;
use crossfade_trials::seed::seed;
use crossfade_trials::shop::{self, Tables};
use crossfade_trials::workload::{Options, Writers};
use crossfade_trials::{Database, Engine};
use tempfile::TempDir;

/// A database on one of the servers, dropped with this value.
struct Mysql {
    server: &'static str,
    name: String,
}

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run `cargo xtask test`"))
}

impl Mysql {
    fn create(server: &'static str) -> Mysql {
        let number: u64 = rand::random();
        let name = format!("trial_{number:016x}");
        let made = Mysql { server, name };
        made.client("", &format!("CREATE DATABASE {}", made.name));
        made
    }

    fn url(&self) -> String {
        let url = variable(&format!("CROSSFADE_TEST_{}", self.server));
        let (base, _) = url.rsplit_once('/').unwrap();
        format!("{base}/{}", self.name)
    }

    /// What the client program prints, a line a row.
    fn client(&self, database: &str, sql: &str) -> Vec<String> {
        let about = |what: &str| variable(&format!("CROSSFADE_SERVER_{}_{what}", self.server));
        let mut command = Command::new(about("CLIENT"));
        command.args(["--no-defaults", "-h127.0.0.1", "-ucrossfade", "-pcrossfade"]);
        command.arg(format!("-P{}", about("PORT")));
        if self.server.starts_with("MARIADB") {
            command.arg("--skip-ssl");
        }
        let printed = command
            .args([
                "--default-character-set=utf8mb4",
                "-N",
                "-B",
                "-e",
                sql,
                database,
            ])
            .output()
            .expect("the client runs");
        assert!(
            printed.status.success(),
            "{}\nin: {sql}",
            String::from_utf8_lossy(&printed.stderr)
        );
        String::from_utf8(printed.stdout)
            .expect("only digits are asked for")
            .lines()
            .map(str::to_owned)
            .collect()
    }
}

impl Drop for Mysql {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.client("", &format!("DROP DATABASE {}", self.name));
        }
    }
}

fn write_file(folder: &Path, source: &str, target: &str) {
    let text = format!(
        "[migration]\nname = \"to_mysql\"\n\n[source]\nurl = \"{source}\"\n\n[target]\nurl = \"{target}\"\n\n\
         [run]\nchunk_rows = 500\nretry_seconds = 60\n"
    );
    std::fs::write(folder.join("migration.toml"), text).unwrap();
}

fn call(folder: &Path, words: &[&str]) -> Outcome {
    let mut arguments = vec![words[0], "migration.toml"];
    arguments.extend(&words[1..]);
    let outcome = Running::start(folder, &arguments, &[]).wait(LONG);
    eprintln!("{:?}: {}", outcome.code, outcome.call);
    outcome
}

/// What a column's values are: how each side writes them so that equal ones have equal texts.
#[derive(Clone, Copy)]
enum Class {
    Whole,
    Decimal,
    Boolean,
    Double,
    Text,
    Bytes,
    Date,
    Local,
    Instant,
    Uuid,
}

use Class::{Boolean, Bytes, Date, Decimal, Double, Instant, Local, Text, Uuid, Whole};

const TABLES: [(&str, &[(&str, Class)]); 9] = [
    (
        "accounts",
        &[
            ("id", Whole),
            ("email", Text),
            ("name", Text),
            ("balance", Decimal),
            ("active", Boolean),
            ("rating", Double),
            ("born", Date),
            ("seen", Instant),
            ("avatar", Bytes),
        ],
    ),
    (
        "orders",
        &[
            ("region", Whole),
            ("no", Whole),
            ("account_id", Whole),
            ("state", Text),
            ("amount", Decimal),
            ("placed", Local),
        ],
    ),
    (
        "order_lines",
        &[
            ("region", Whole),
            ("no", Whole),
            ("line", Whole),
            ("sku", Text),
            ("quantity", Whole),
        ],
    ),
    (
        "documents",
        &[
            ("id", Uuid),
            ("title", Text),
            ("hits", Whole),
            ("body", Text),
            ("extra", Bytes),
        ],
    ),
    (
        "seats",
        &[("place", Whole), ("holder", Whole), ("note", Text)],
    ),
    ("words", &[("word", Text), ("n", Whole), ("tag", Text)]),
    ("days", &[("day", Date), ("code", Bytes), ("note", Text)]),
    ("counters", &[("id", Whole), ("n", Whole)]),
    ("scratch", &[("id", Whole), ("v", Text)]),
];

fn on_postgres(name: &str, class: Class) -> String {
    match class {
        Whole | Date | Uuid | Double => format!("{name}::text"),
        Decimal => format!("trim_scale({name})::text"),
        Boolean => format!("{name}::int::text"),
        Text => format!("upper(encode(convert_to({name}, 'UTF8'), 'hex'))"),
        Bytes => format!("upper(encode({name}, 'hex'))"),
        Local => format!("to_char({name}, 'YYYY-MM-DD HH24:MI:SS.US')"),
        Instant => format!("to_char({name} AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US')"),
    }
}

fn on_mysql(name: &str, class: Class) -> String {
    match class {
        Whole | Date | Uuid | Boolean | Double | Decimal => name.to_owned(),
        Text | Bytes => format!("HEX({name})"),
        Local | Instant => format!("DATE_FORMAT({name}, '%Y-%m-%d %H:%i:%s.%f')"),
    }
}

/// Numbers as the program reads them: stores print them with other zeros and exponents.
fn normal(text: &str, class: Class) -> String {
    match class {
        _ if text == "NULL" => "NULL".to_owned(),
        Double => format!("{:016x}", text.parse::<f64>().expect("a double").to_bits()),
        Decimal if text.contains('.') => {
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        }
        _ => text.to_owned(),
    }
}

/// All rows of a table, sorted, from the source or from the target.
fn sorted(rows: Vec<Vec<String>>, columns: &[(&str, Class)]) -> Vec<Vec<String>> {
    let mut rows: Vec<Vec<String>> = rows
        .into_iter()
        .map(|row| {
            assert_eq!(row.len(), columns.len());
            let cells = row.iter().zip(columns);
            cells
                .map(|(text, (_, class))| normal(text, *class))
                .collect()
        })
        .collect();
    rows.sort();
    rows
}

fn assert_equal(source: &Database, target: &Mysql) {
    for (table, columns) in TABLES {
        let list = |form: &dyn Fn(&str, Class) -> String| {
            let all: Vec<String> = columns
                .iter()
                .map(|(name, class)| form(name, *class))
                .collect();
            all.join(", ")
        };
        let left = source.rows(&format!("SELECT {} FROM {table}", list(&on_postgres)));
        let left = left
            .into_iter()
            .map(|row| {
                row.into_iter()
                    .map(|c| c.unwrap_or_else(|| "NULL".to_owned()))
                    .collect()
            })
            .collect();
        let right = target.client(
            &target.name,
            &format!("SELECT {} FROM {table}", list(&on_mysql)),
        );
        let right = right
            .iter()
            .map(|line| line.split('\t').map(str::to_owned).collect())
            .collect();
        let (left, right) = (sorted(left, columns), sorted(right, columns));
        assert_eq!(left.len(), right.len(), "rows of {table}");
        for (left, right) in left.iter().zip(&right) {
            assert_eq!(left, right, "in {table}");
        }
    }
}

/// Copied and followed under live writes, verified, followed to their end.
fn migrates_under_writes(what: &str, engine: Engine, server: &'static str) {
    let seed = seed(what);
    let folder = TempDir::with_prefix("crossfade-trial-").unwrap();
    let source = Database::create(engine, folder.path(), "source");
    let target = Mysql::create(server);
    write_file(folder.path(), &source.url(), &target.url());
    shop::make(&source, Tables::Common, 2_000, seed);
    let writers = Writers::start(&source, Options::new(Tables::Common, 2_000), seed);
    call(folder.path(), &["run", "--until", "verified"])
        .expect(0)
        .says(&["equal"]);
    writers.stop();
    call(folder.path(), &["run", "--until", "verified"])
        .expect(0)
        .says(&["equal"]);
    if engine == Engine::Sqlite {
        for (table, _) in TABLES {
            let count = format!("SELECT COUNT(*) FROM {table}");
            assert_eq!(
                target.client(&target.name, &count),
                [source.number(&count).to_string()],
                "{table}"
            );
        }
    } else {
        assert_equal(&source, &target);
    }
    call(folder.path(), &["abort", "--drop-target-tables"]).expect(0);
    assert!(target.client(&target.name, "SHOW TABLES").is_empty());
}

#[test]
fn postgres_15_to_mysql_under_writes() {
    migrates_under_writes("15 to MySQL", Engine::Pg15, "MYSQL97");
}

#[test]
fn postgres_18_to_mariadb_1011_under_writes() {
    migrates_under_writes("18 to MariaDB 10.11", Engine::Pg18, "MARIADB1011");
}

#[test]
fn postgres_17_to_mariadb_118_under_writes() {
    migrates_under_writes("17 to MariaDB 11.8", Engine::Pg17, "MARIADB118");
}

#[test]
fn sqlite_to_mysql_under_writes() {
    migrates_under_writes("SQLite to MySQL", Engine::Sqlite, "MYSQL97");
}
