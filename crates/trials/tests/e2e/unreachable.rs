//! A store that cannot be reached any more in the middle of a comparison: it is waited for, or the comparison ends with an error; nothing is
//! written by halves, and a later one finds everything as it is.

use crossfade_trials::binary::Outcome;
use crossfade_trials::chaos::proxy::Proxy;
use crossfade_trials::patience::{LONG, wait_until};
use crossfade_trials::{Database, Engine, Running, Trial};
use serde_json::Value;
use tempfile::TempDir;

const VERIFY: [&str; 6] = [
    "verify",
    "--json",
    "--certificate",
    "c.json",
    "--signing-key",
    "team.key",
];

struct Scene {
    trial: Trial,
    /// To the source, and to the target.
    ways: [Proxy; 2],
}

/// Two tables, of which one can be locked while the other is read.
fn made(source: Engine, target: Engine, option: Option<(&str, u64)>) -> Scene {
    let folder = TempDir::with_prefix("crossfade-trial-").unwrap();
    let [from, to] = [(source, "source"), (target, "target")]
        .map(|(engine, name)| Database::create(engine, folder.path(), name));
    let ((here, from_url), (there, to_url)) = (Proxy::to(&from.url()), Proxy::to(&to.url()));
    let trial = Trial::between(folder, from, to).by_way_of(from_url, to_url);
    let trial = match option {
        Some((name, value)) => trial.option(name, value),
        None => trial,
    };
    for table in ["t", "u"] {
        trial.source.run(&format!(
            "CREATE TABLE {table} (id integer PRIMARY KEY, a varchar(20))"
        ));
        let rows: Vec<String> = (1..=500).map(|i| format!("({i}, 'a{i}')")).collect();
        trial
            .source
            .run(&format!("INSERT INTO {table} VALUES {}", rows.join(", ")));
    }
    Running::start(
        trial.folder(),
        &["certificate", "keygen", "-o", "team.key"],
        &[],
    )
    .wait(LONG)
    .expect(0);
    Scene {
        trial,
        ways: [here, there],
    }
}

impl Scene {
    /// Takes a side away from a comparison that waits for the rows of a table. `begin` starts it, and is called once the table is locked: what
    /// it gives is let go on where it stands still.
    fn taken_away(&self, side: usize, begin: impl FnOnce() -> Running) -> Running {
        let way = &self.ways[side];
        let waits = |is: &dyn Fn() -> bool| wait_until("the comparison reads", LONG, is);
        let away = || {
            way.refuse(true);
            assert!(way.drop_all() > 0);
        };
        match &self.trial.source {
            Database::Postgres(database) => {
                let mut client = database.client();
                client
                    .batch_execute("BEGIN; LOCK TABLE u IN ACCESS EXCLUSIVE MODE")
                    .unwrap();
                let verify = begin();
                waits(&|| {
                    let reads = "SELECT pid::text FROM pg_stat_activity WHERE datname = current_database()
                                 AND application_name = 'crossfade:snapshot' AND wait_event_type = 'Lock'";
                    !database.rows(reads).is_empty()
                });
                away();
                client.batch_execute("ROLLBACK").unwrap();
                verify
            }
            Database::Mysql(database) => {
                let mut session = database.session();
                session.run("LOCK TABLES u WRITE").unwrap();
                let verify = begin();
                waits(&|| {
                    let is = |at: usize, row: &[Option<String>], what: &str| {
                        row[at].as_deref().is_some_and(|text| text.contains(what))
                    };
                    let reads = database.sessions_where(|row| {
                        row[3].as_deref() == Some(database.name())
                            && is(6, row, "metadata lock")
                            && is(7, row, "SELECT")
                    });
                    !reads.is_empty()
                });
                away();
                session.run("UNLOCK TABLES").unwrap();
                verify
            }
            Database::Sqlite(_) => panic!("a file is not away"),
        }
    }

    /// A comparison without a run, which stands still before it reads: the tables' definitions could not be read while one is locked.
    fn begun_alone(&self) -> Running {
        let stop = [("CROSSFADE_KILL", "foreign_keys.after:1:stop")];
        let verify = self.trial.start_with(&VERIFY, &stop);
        wait_until("the comparison stands still", LONG, || {
            let stat = std::fs::read_to_string(format!("/proc/{}/stat", verify.id()));
            stat.unwrap_or_default().contains(") T ")
        });
        verify
    }

    /// Neither the certificate nor a piece of it.
    #[track_caller]
    fn assert_no_certificate(&self) {
        let files = std::fs::read_dir(self.trial.folder()).unwrap();
        let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
        let written: Vec<String> = names
            .filter(|n| n.contains("certificate") || n == "c.json")
            .collect();
        assert!(written.is_empty(), "{written:?}");
    }

    #[track_caller]
    fn assert_certified(&self, verified: &Outcome) {
        let last = verified.stdout.lines().last().unwrap();
        let last: Value = serde_json::from_str(last).unwrap();
        assert_eq!(last["equal_as_expected"], true, "{}", verified.text());
        let words = ["certificate", "check", "c.json", "--key", "team.key.pub"];
        Running::start(self.trial.folder(), &words, &[])
            .wait(LONG)
            .expect(0)
            .says(&["EQUAL at position"]);
    }
}

/// The run begins again, and its order to compare with it.
#[test]
fn a_comparison_that_a_run_makes_waits_for_a_store_and_is_made() {
    for (source, target) in [
        (Engine::Pg17, Engine::Mysql97),
        (Engine::Mysql97, Engine::Pg17),
    ] {
        let scene = made(source, target, None);
        let running = scene.trial.following(&[]);
        let verify = scene.taken_away(0, || scene.trial.start(&VERIFY));
        wait_until("the run waits for its source", LONG, || {
            running.stdout_so_far().contains("\"retrying\"")
        });
        scene.assert_no_certificate();
        scene.ways[0].refuse(false);
        let verified = verify.wait(LONG).expect(0);
        scene.assert_certified(&verified);
        running.ended().expect(0);
    }
}

/// Without a run, and with a store that stays away for longer than it is waited for.
#[test]
fn a_comparison_whose_store_stays_away_ends_with_an_error_and_the_next_one_is_made() {
    for (source, target) in [
        (Engine::Pg17, Engine::Mysql97),
        (Engine::Mysql97, Engine::Pg17),
    ] {
        let scene = made(source, target, Some(("retry_seconds", 1)));
        scene.trial.follow();
        let alone = scene.begun_alone();
        let failed = scene.taken_away(1, || {
            alone.go_on();
            alone
        });
        let failed = failed.wait(LONG);
        assert_eq!(failed.code, Some(1), "{}", failed.text());
        let last = failed.stdout.lines().last().unwrap();
        let error: Value = serde_json::from_str(last).unwrap();
        let text = |field: &str| {
            error["error"][field]
                .as_str()
                .unwrap_or_default()
                .to_owned()
        };
        assert!(text("code").ends_with(".connection"), "{error}");
        assert!(text("store").contains("@127.0.0.1:"), "{error}");
        assert!(text("fix").contains("can be reached"), "{error}");
        scene.assert_no_certificate();
        scene.ways[1].refuse(false);
        let verified = scene.trial.call(&VERIFY).expect(0);
        scene.assert_certified(&verified);
    }
}
