//! What the built program says to bad input: clear errors with a place, the documented exit codes, nothing left behind. No server.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

const FILE: &str = "[migration]\nname = \"m\"\n[source]\nurl = \"sqlite:source.db\"\n[target]\nurl = \"sqlite:target.db\"\n";

struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Place {
        Place(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn file(&self, text: &str) -> PathBuf {
        let path = self.path("m.toml");
        std::fs::write(&path, text).unwrap();
        path
    }

    fn source(&self) {
        let connection = rusqlite::Connection::open(self.path("source.db")).unwrap();
        connection
            .pragma_update(None, "journal_mode", "wal")
            .unwrap();
        connection
            .execute_batch("CREATE TABLE t (id INTEGER NOT NULL PRIMARY KEY, v TEXT); INSERT INTO t VALUES (1, 'a')")
            .unwrap();
    }

    fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.0.path()).unwrap();
        let mut names: Vec<String> = entries
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    fn run(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_crossfade"))
            .args(arguments)
            .current_dir(self.0.path())
            .env_remove("RUST_LOG")
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }
}

fn error(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn json(output: &Output) -> serde_json::Value {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    serde_json::from_str(text.lines().last().unwrap_or_default())
        .unwrap_or_else(|e| panic!("{e}: {text}"))
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

#[test]
fn broken_toml_is_shown_at_its_line_and_column() {
    let place = Place::new();
    place.file("[migration]\nname = shop\n");
    for command in [
        "plan", "run", "status", "verify", "pause", "resume", "abort",
    ] {
        let output = place.run(&[command, "m.toml"]);
        assert_eq!(code(&output), 3, "{command}");
        assert!(
            error(&output).contains("m.toml:2:8"),
            "{command}: {}",
            error(&output)
        );
        assert!(error(&output).contains("name = shop"), "the line is shown");
        assert!(output.stdout.is_empty());
    }
    assert_eq!(place.names(), ["m.toml"], "nothing is left behind");
}

#[test]
fn json_failures_are_one_object_on_standard_output() {
    let place = Place::new();
    place.file(&FILE.replace("url = \"sqlite:target.db\"", "uri = \"x\""));
    let output = place.run(&["plan", "m.toml", "--json"]);
    assert_eq!(code(&output), 3);
    assert!(output.stderr.is_empty(), "{}", error(&output));
    let failure = &json(&output)["error"];
    assert_eq!(failure["exit"], 3);
    let problems = failure["problems"].as_array().unwrap();
    assert_eq!(
        (problems[0]["line"].as_u64(), problems[0]["column"].as_u64()),
        (Some(5), Some(1))
    );
    assert_eq!(
        (problems[1]["line"].as_u64(), problems[1]["column"].as_u64()),
        (Some(6), Some(1))
    );
    assert!(
        problems[1]["fix"].as_str().unwrap().contains("`url`"),
        "{problems:?}"
    );
}

#[test]
fn unknown_keys_list_the_known_ones() {
    let place = Place::new();
    place.file(&format!("{FILE}[run]\nworkers = 3\n"));
    let output = place.run(&["plan", "m.toml"]);
    assert_eq!(code(&output), 3);
    let text = error(&output);
    assert!(
        text.contains("unknown key `workers`") && text.contains("`loaders`"),
        "{text}"
    );
}

#[test]
fn wrong_urls_are_told_without_their_passwords() {
    let place = Place::new();
    place.source();
    for wrong in [
        "mysql://app:geheim@new",
        "mysql://app:geheim@new:port/shop",
        "postgres://app:geheim@new:port/shop",
        "shop://app:geheim@new/shop",
        "geheim",
        "postgres://app:geheim@127.0.0.1:1/shop?unknown=geheim",
    ] {
        place.file(&FILE.replace("sqlite:target.db", wrong));
        let output = place.run(&["plan", "m.toml"]);
        assert_eq!(code(&output), 3, "{wrong}: {}", error(&output));
        if wrong != "geheim" {
            assert!(!error(&output).contains("geheim"), "{}", error(&output));
        }
        let output = place.run(&[
            "init",
            "--source",
            "sqlite:source.db",
            "--target",
            wrong,
            "-o",
            "new.toml",
        ]);
        assert_eq!(code(&output), 3, "{wrong}: {}", error(&output));
        assert!(!error(&output).contains("geheim"), "{}", error(&output));
        assert!(!place.path("new.toml").exists());
    }
}

#[test]
fn a_missing_variable_is_named() {
    let place = Place::new();
    place.file(&FILE.replace(
        "sqlite:source.db",
        "postgres://app:${CROSSFADE_NO_SUCH}@h/d",
    ));
    let output = place.run(&["plan", "m.toml"]);
    assert_eq!(code(&output), 3);
    assert!(
        error(&output).contains("CROSSFADE_NO_SUCH is not set"),
        "{}",
        error(&output)
    );
    assert!(error(&output).contains("m.toml:4:"), "{}", error(&output));
}

#[test]
fn files_that_are_none() {
    let place = Place::new();
    let output = place.run(&["plan", "absent.toml"]);
    assert_eq!(code(&output), 3);
    assert!(error(&output).contains("absent.toml"), "{}", error(&output));
    std::fs::write(place.path("binary.toml"), [0xFF, 0xFE, 0x00]).unwrap();
    let output = place.run(&["plan", "binary.toml"]);
    assert_eq!(code(&output), 3);
    assert!(error(&output).contains("UTF-8"), "{}", error(&output));
    let output = place.run(&["plan", "."]);
    assert_eq!(code(&output), 3);
}

#[test]
fn wrong_usage_is_exit_code_3_and_help_is_0() {
    let place = Place::new();
    for wrong in [
        &["plan"][..],
        &["fly"],
        &[],
        &["plan", "m.toml", "--frobnicate"],
        &["run", "m.toml", "--until", "noon"],
        &["certificate"],
        &["certificate", "check"],
        &["certificate", "keygen"],
    ] {
        assert_eq!(code(&place.run(wrong)), 3, "{wrong:?}");
    }
    let help = place.run(&["--help"]);
    assert_eq!(code(&help), 0);
    let text = String::from_utf8(help.stdout).unwrap();
    for command in [
        "init",
        "plan",
        "run",
        "status",
        "verify",
        "quarantine",
        "pause",
        "resume",
        "abort",
        "gates",
        "log",
        "certificate",
        "demo",
    ] {
        assert!(text.contains(&format!("  {command} ")), "{command}");
    }
    assert!(!text.contains("demo-app"), "{text}");
    assert_eq!(code(&place.run(&["--version"])), 0);
}

#[test]
fn a_source_that_is_not_there_and_a_file_that_is_no_database() {
    let place = Place::new();
    place.file(FILE);
    let output = place.run(&["plan", "m.toml"]);
    assert_eq!(code(&output), 2, "{}", error(&output));
    assert!(error(&output).contains("source.db"), "{}", error(&output));
    std::fs::write(
        place.path("source.db"),
        "this is a text and no database at all".repeat(50),
    )
    .unwrap();
    let output = place.run(&["plan", "m.toml"]);
    assert_eq!(code(&output), 3, "{}", error(&output));
    assert_eq!(place.names(), ["m.toml", "source.db"]);
}

#[test]
fn a_control_store_of_a_newer_version_is_refused() {
    let place = Place::new();
    place.file(FILE);
    place.source();
    assert_eq!(code(&place.run(&["pause", "m.toml"])), 0);
    let control = place.path("m.toml.control");
    let connection = rusqlite::Connection::open(&control).unwrap();
    connection.pragma_update(None, "user_version", 42).unwrap();
    drop(connection);
    for command in ["run", "status", "verify", "pause", "resume", "abort"] {
        let output = place.run(&[command, "m.toml"]);
        assert_eq!(code(&output), 3, "{command}: {}", error(&output));
        assert!(
            error(&output).contains("format 42"),
            "{command}: {}",
            error(&output)
        );
    }
}

#[test]
fn a_control_store_of_another_migration_is_refused() {
    let place = Place::new();
    place.file(FILE);
    place.source();
    assert_eq!(code(&place.run(&["pause", "m.toml"])), 0);
    place.file(&FILE.replace("\"m\"", "\"other\""));
    let output = place.run(&["run", "m.toml"]);
    assert_eq!(code(&output), 3);
    assert!(
        error(&output).contains("belongs to the migration `m`"),
        "{}",
        error(&output)
    );
}

/// Holds the run lock of a control store, as a living run does.
fn hold(control: &Path) -> std::fs::File {
    let mut name = control.as_os_str().to_owned();
    name.push(".lock");
    let lock = std::fs::File::create(PathBuf::from(name)).unwrap();
    lock.lock().unwrap();
    lock
}

#[test]
fn a_second_run_is_refused() {
    let place = Place::new();
    place.file(FILE);
    place.source();
    assert_eq!(code(&place.run(&["pause", "m.toml"])), 0);
    let lock = hold(&place.path("m.toml.control"));
    let output = place.run(&["run", "m.toml"]);
    assert_eq!(code(&output), 2, "{}", error(&output));
    assert!(
        error(&output).contains("run by another process"),
        "{}",
        error(&output)
    );
    let output = place.run(&["run", "m.toml", "--json"]);
    assert_eq!(json(&output)["error"]["code"], "control.held");
    drop(lock);
}

#[test]
fn pause_and_resume_are_durable_without_a_run() {
    let place = Place::new();
    place.file(FILE);
    place.source();
    let paused =
        |place: &Place| json(&place.run(&["status", "m.toml", "--json"]))["paused"].clone();
    assert_eq!(paused(&place), false);
    let output = place.run(&["pause", "m.toml", "--json"]);
    assert_eq!(
        json(&output),
        serde_json::json!({ "state": "paused", "running": false })
    );
    assert_eq!(paused(&place), true);
    assert_eq!(
        code(&place.run(&["verify", "m.toml"])),
        2,
        "a paused migration is not compared"
    );
    assert_eq!(code(&place.run(&["resume", "m.toml"])), 0);
    assert_eq!(paused(&place), false);
}

#[test]
fn status_of_what_has_not_begun_answers_and_makes_nothing() {
    let place = Place::new();
    place.file(FILE);
    place.source();
    let before = place.names();
    let output = place.run(&["status", "m.toml"]);
    assert_eq!(code(&output), 0, "{}", error(&output));
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert!(
        lines[0].starts_with("Truth") && lines[0].contains("source.db"),
        "{text}"
    );
    assert!(lines[1].starts_with("Equal"), "{text}");
    assert!(
        lines[2].starts_with("Way back") && lines[2].contains("Nothing to undo."),
        "{text}"
    );
    assert_eq!(place.names(), before);
    let output = place.run(&["verify", "m.toml"]);
    assert_eq!(code(&output), 2, "nothing to compare: {}", error(&output));
}

#[test]
fn a_finding_that_blocks_is_exit_code_2_and_makes_nothing() {
    let place = Place::new();
    place.file(&format!("{FILE}[[table]]\nfrom = \"tt\"\n"));
    place.source();
    let output = place.run(&["plan", "m.toml"]);
    assert_eq!(code(&output), 2);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.contains("no table `tt`") && text.contains("did you mean t?"),
        "{text}"
    );
    assert!(text.contains("line 8"), "{text}");
    let output = place.run(&["run", "m.toml"]);
    assert_eq!(code(&output), 2);
    assert!(
        error(&output).contains("plan.no_such_table"),
        "{}",
        error(&output)
    );
    assert!(!place.path("target.db").exists());
}

#[test]
fn init_writes_a_file_that_plan_reads_and_never_overwrites_one() {
    let place = Place::new();
    place.source();
    let arguments = [
        "init",
        "--source",
        "sqlite:source.db",
        "--target",
        "sqlite:target.db",
        "-o",
        "m.toml",
    ];
    let output = place.run(&arguments);
    assert_eq!(code(&output), 0, "{}", error(&output));
    let text = std::fs::read_to_string(place.path("m.toml")).unwrap();
    assert!(
        text.contains("name = \"source\"") && text.contains("# from = \"t\"  # about 1 row"),
        "{text}"
    );
    let output = place.run(&["plan", "m.toml", "--json"]);
    assert_eq!(
        code(&output),
        0,
        "{}",
        String::from_utf8_lossy(&output.stdout)
    );
    let plan = json(&output);
    assert_eq!(plan["tables"][0]["source"], "t");
    assert_eq!(plan["blocked"], false);
    let again = place.run(&arguments);
    assert_eq!(code(&again), 3);
    assert_eq!(std::fs::read_to_string(place.path("m.toml")).unwrap(), text);
}

#[test]
fn the_demo_leaves_a_folder_alone_that_is_not_its_own() {
    let place = Place::new();
    std::fs::create_dir(place.path("mine")).unwrap();
    std::fs::write(place.path("mine/shop.db"), "precious").unwrap();
    let output = place.run(&["demo", "--dir", "mine"]);
    assert_eq!(code(&output), 2, "{}", error(&output));
    assert_eq!(
        std::fs::read_to_string(place.path("mine/shop.db")).unwrap(),
        "precious"
    );
}
