//! One migration in a folder of its own: source, target, migration file.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use tempfile::TempDir;

use crate::binary::{Outcome, Running};
use crate::compare;
use crate::database::{Database, Engine};
use crate::patience::{LONG, wait_until};
use crate::workload::{Options, Writers};

/// A migration that a test works with.
#[derive(Debug)]
pub struct Trial {
    folder: Option<TempDir>,
    /// The migration's name: unique, since slots of all databases of a server share one space of names.
    pub name: String,
    /// Where rows come from.
    pub source: Database,
    /// Where rows go to.
    pub target: Database,
    /// What the file's `[run]` says. Small chunks, so that a small table has many.
    pub options: Vec<(String, u64)>,
    /// What the file's `[gates]` says: nothing was rehearsed, and the lag's window is short.
    pub gates: String,
    /// Further text of the file: `[[table]]` and such.
    pub tables: String,
    /// Roles are made by the SQL that `plan --grants` prints, and used. Else everything runs with all rights.
    pub least_privileges: bool,
    urls: OnceLock<(String, String)>,
}

/// The password of the roles that trials make.
const PASSWORD: &str = "not-a-secret";

impl Trial {
    /// Makes both databases, empty.
    ///
    /// # Panics
    /// When they cannot be made.
    #[must_use]
    pub fn new(source: Engine, target: Engine) -> Self {
        let folder = TempDir::with_prefix("crossfade-trial-").expect("a temporary folder");
        let source = Database::create(source, folder.path(), "source");
        let target = Database::create(target, folder.path(), "target");
        Self::between(folder, source, target)
    }

    /// A migration between databases that are there.
    #[must_use]
    pub fn between(folder: TempDir, source: Database, target: Database) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        Self {
            folder: Some(folder),
            name: format!("trial_{}_{number}", std::process::id()),
            source,
            target,
            options: vec![
                ("chunk_rows".to_owned(), 500),
                ("retry_seconds".to_owned(), 60),
            ],
            gates: "rehearsal = \"off\"\nlag_window_seconds = 2\n".to_owned(),
            tables: String::new(),
            least_privileges: true,
            urls: OnceLock::new(),
        }
    }

    /// With another option of `[run]`.
    #[must_use]
    pub fn option(mut self, name: &str, value: u64) -> Self {
        self.options.retain(|(known, _)| known != name);
        self.options.push((name.to_owned(), value));
        self
    }

    /// With these URLs in the migration file, whatever the databases' own are.
    ///
    /// # Panics
    /// When the file has others already.
    #[must_use]
    pub fn by_way_of(self, source: String, target: String) -> Self {
        self.urls
            .set((source, target))
            .expect("the file has not been written yet");
        self
    }

    /// With everything done by the superuser.
    #[must_use]
    pub fn as_superuser(mut self) -> Self {
        self.least_privileges = false;
        self
    }

    /// The trial's folder.
    ///
    /// # Panics
    /// Never: the folder goes with the trial.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.as_ref().expect("there until dropped").path()
    }

    /// The migration file.
    #[must_use]
    pub fn file(&self) -> PathBuf {
        self.folder().join("migration.toml")
    }

    /// The control store beside it.
    #[must_use]
    pub fn control(&self) -> PathBuf {
        self.folder().join("migration.toml.control")
    }

    /// The text of a migration file with these URLs.
    #[must_use]
    pub fn file_text(&self, source: &str, target: &str) -> String {
        let options: String = self
            .options
            .iter()
            .map(|(name, value)| format!("{name} = {value}\n"))
            .collect();
        format!(
            "[migration]\nname = \"{}\"\n\n[source]\nurl = \"{source}\"\n\n[target]\nurl = \"{target}\"\n\n\
             [run]\n{options}\n[gates]\n{}\n{}",
            self.name, self.gates, self.tables
        )
    }

    /// The URLs that the migration file has: of roles with the least privileges, made at the first call, so that the
    /// tables must be there by then.
    pub fn urls(&self) -> &(String, String) {
        self.urls.get_or_init(|| {
            let all_rights = (self.source.url(), self.target.url());
            if !self.least_privileges {
                return all_rights;
            }
            self.make_roles()
        })
    }

    /// Writes the migration file; done by every call anyway.
    pub fn write_file(&self) {
        let (source, target) = self.urls();
        self.write(&self.file_text(source, target));
    }

    fn write(&self, text: &str) {
        // whole or not at all: a program that was just started may be reading it
        let new = self.folder().join("migration.toml.new");
        std::fs::write(&new, text).expect("the trial's folder can be written");
        std::fs::rename(new, self.file()).expect("the trial's folder can be written");
    }

    /// Grants the roles once more what they need: an aborted migration has taken its publication along, which only an
    /// administrator can make.
    pub fn grant_again(&self) {
        if self.least_privileges {
            self.make_roles();
        }
    }

    /// The URLs of roles with the least privileges on both sides, made now; the tables must be there.
    #[must_use]
    pub fn roles(&self) -> [String; 2] {
        let (source, target) = self.make_roles();
        [source, target]
    }

    /// Runs the SQL of `plan --grants` on both sides and gives the roles' URLs.
    fn make_roles(&self) -> (String, String) {
        self.write(&self.file_text(&self.source.url(), &self.target.url()));
        let planned = Running::start(
            self.folder(),
            &["plan", "migration.toml", "--grants", "--json"],
            &[],
        )
        .wait(LONG);
        let grants = planned.json()["grants"].clone();
        let role = format!("crossfade_{}", self.name);
        let side = |database: &Database, side: &str| match database {
            Database::Sqlite(_) => database.url(),
            // triggers on the target need more than a user of a database has
            Database::Mysql(_) if side == "target" => database.url(),
            Database::Mysql(mysql) => {
                let sql = grants[side].as_str().unwrap_or_else(|| {
                    panic!("no grants for the {side}:\n{}", planned.text());
                });
                let user: String = role.chars().take(32).collect();
                mysql.make_user(&user, &sql.replace("CHANGE-ME", PASSWORD));
                mysql.url_of(&user, PASSWORD)
            }
            Database::Postgres(postgres) => {
                let sql = grants[side].as_str().unwrap_or_else(|| {
                    panic!("no grants for the {side}:\n{}", planned.text());
                });
                postgres.make_role(&role, &sql.replace("CHANGE-ME", PASSWORD));
                postgres.url_of(&role, PASSWORD)
            }
        };
        (side(&self.source, "source"), side(&self.target, "target"))
    }

    /// Lets writers work on the source. The roles are made before: a grant on a table that is truncated at the same time
    /// fails.
    ///
    /// # Panics
    /// When they cannot be started.
    #[must_use]
    pub fn writers(&self, options: Options, seed: u64) -> Writers {
        self.urls();
        Writers::start(&self.source, options, seed)
    }

    /// Starts a command on the migration: `start(&["run", "--until", "followed"])`.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn start(&self, words: &[&str]) -> Running {
        self.start_with(words, &[])
    }

    /// As [`Trial::start`], with environment variables.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn start_with(&self, words: &[&str], environment: &[(&str, &str)]) -> Running {
        self.write_file();
        // after the command's own words, before its options
        let own = words.iter().take_while(|w| !w.starts_with('-')).count();
        let mut arguments = words.to_vec();
        arguments.insert(own, "migration.toml");
        Running::start(self.folder(), &arguments, environment)
    }

    /// Starts `run --json`, and returns once it follows.
    ///
    /// # Panics
    /// When it ends before, or does not follow in time.
    #[must_use]
    pub fn following(&self, environment: &[(&str, &str)]) -> Running {
        let mut running = self.start_with(&["run", "--json"], environment);
        wait_until("the run follows", LONG, || {
            assert!(running.is_running(), "{}", running.stdout_so_far());
            running
                .stdout_so_far()
                .contains("\"followed\",\"position\"")
        });
        running
    }

    /// Runs a command on the migration to its end.
    ///
    /// # Panics
    /// When it does not end in time.
    #[track_caller]
    pub fn call(&self, words: &[&str]) -> Outcome {
        let outcome = self.start(words).wait(LONG);
        eprintln!(
            "{:?} after {:.1} s: {}",
            outcome.code,
            outcome.took.as_secs_f64(),
            outcome.call
        );
        outcome
    }

    /// Runs until the process has passed a named point `count` times, and dies there.
    ///
    /// # Panics
    /// When it ends otherwise.
    #[track_caller]
    pub fn die_at(&self, point: &str, count: u32) -> Outcome {
        let armed = format!("{point}:{count}");
        let words = ["run", "--until", "followed"];
        let outcome = self
            .start_with(&words, &[("CROSSFADE_KILL", &armed)])
            .wait(LONG);
        assert!(
            outcome.code.is_none(),
            "did not die at {point}:\n{}",
            outcome.text()
        );
        outcome
    }

    /// Makes changes before any chunk is loaded, again when some are, and again when all are; then checks that both sides
    /// are equal. `changes` gets the number of the stage, 0 to 2.
    ///
    /// # Panics
    /// When a run fails, or the sides differ.
    #[track_caller]
    pub fn change_at_every_stage(&self, changes: impl Fn(u32) -> String) {
        self.die_at("capture.recorded", 1);
        self.source.run(&changes(0));
        self.die_at("chunk.after_commit", 2);
        self.source.run(&changes(1));
        self.follow();
        self.assert_equal();
        self.source.run(&changes(2));
        self.verify();
        self.assert_equal();
    }

    /// `run --until followed`, which must succeed.
    ///
    /// # Panics
    /// When it does not.
    #[track_caller]
    pub fn follow(&self) -> Outcome {
        self.call(&["run", "--until", "followed"]).expect(0)
    }

    /// `run --until verified`, which must find both sides equal.
    ///
    /// # Panics
    /// When it does not.
    #[track_caller]
    pub fn verify(&self) -> Outcome {
        self.call(&["run", "--until", "verified"]).expect(0)
    }

    /// Checks by code of our own that both sides are equal.
    ///
    /// # Panics
    /// With the first rows that differ.
    #[track_caller]
    pub fn assert_equal(&self) {
        compare::assert_equal(&self.source, &self.target);
    }

    /// `status --json`.
    ///
    /// # Panics
    /// When it fails.
    #[track_caller]
    #[must_use]
    pub fn status(&self) -> serde_json::Value {
        self.call(&["status", "--json"]).expect(0).json()
    }
}

impl Drop for Trial {
    fn drop(&mut self) {
        if std::thread::panicking() && std::env::var_os("CROSSFADE_KEEP").is_some() {
            let folder = self.folder.take().map(TempDir::keep);
            eprintln!("kept: {folder:?}");
        }
    }
}
