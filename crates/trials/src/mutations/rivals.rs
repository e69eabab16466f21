//! Other programs that compare two databases of one kind, given the same corruption. They compare nothing that is written
//! to meanwhile, so the writer is held, and the target has caught up.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::case::{Case, Expected};
use super::scene::Scene;
use super::schema::{FIRST_VALUE, Table};
use crate::database::{Database, Dialect};

/// How long a rival may take for one comparison.
const SECONDS: &str = "60";
/// What `timeout` ends with then.
const GIVEN_UP: i32 = 124;

/// A program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rival {
    /// `pgcopydb compare data`: checksums of whole tables.
    Pgcopydb,
    /// `data-diff`: checksums of key ranges.
    DataDiff,
    /// `reladiff`, which data-diff came from and went on without.
    Reladiff,
    /// `pt-table-sync --print`: checksums of key ranges, as `pt-table-checksum` makes them, of which the latter compares only replicas.
    PtTableSync,
}

/// All of them.
pub const RIVALS: [Rival; 4] = [
    Rival::Pgcopydb,
    Rival::DataDiff,
    Rival::Reladiff,
    Rival::PtTableSync,
];

/// What a rival said of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// Something differs.
    Differs {
        /// The exit code it said it with.
        exit: i32,
    },
    /// Nothing does.
    Equal,
    /// It cannot compare this.
    Cannot(String),
}

impl Rival {
    /// The program's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pgcopydb => "pgcopydb",
            Self::DataDiff => "data-diff",
            Self::Reladiff => "reladiff",
            Self::PtTableSync => "pt-table-sync",
        }
    }

    /// Where it is, if it could be had.
    pub fn program(self) -> Option<PathBuf> {
        let variable = match self {
            Self::Pgcopydb => "CROSSFADE_RIVAL_PGCOPYDB",
            Self::DataDiff => "CROSSFADE_RIVAL_DATA_DIFF",
            Self::Reladiff => "CROSSFADE_RIVAL_RELADIFF",
            Self::PtTableSync => "CROSSFADE_RIVAL_PT_TABLE_SYNC",
        };
        std::env::var_os(variable).map(PathBuf::from)
    }

    /// What it can compare.
    fn dialect(self) -> Dialect {
        match self {
            Self::Pgcopydb | Self::DataDiff | Self::Reladiff => Dialect::Postgres,
            Self::PtTableSync => Dialect::Mysql,
        }
    }

    fn compare(self, scene: &Scene<'_>, table: &Table, share: &Share) -> Said {
        let Some(program) = self.program() else {
            return Said::Cannot("not installed".to_owned());
        };
        if self != Self::Pgcopydb && table.key.is_empty() {
            return Said::Cannot("no key".to_owned());
        }
        // one of them does not come to an end over a long text
        let mut command = Command::new("timeout");
        command.args(["--kill-after=5", SECONDS]).arg(program);
        let folder = tempfile::tempdir_in(scene.trial().folder());
        let folder = folder.expect("a folder in the trial's");
        match self {
            Self::Pgcopydb => whole(&mut command, scene, folder.path()),
            Self::DataDiff | Self::Reladiff => by_key(&mut command, scene, table, share),
            Self::PtTableSync => by_table(&mut command, scene, table),
        }
        let output = command
            .stdin(Stdio::null())
            .output()
            .unwrap_or_else(|error| panic!("{} cannot be started: {error}", self.name()));
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        let exit = output.status.code().unwrap_or(-1);
        // one of them ends with 0 after an error
        let failed = exit != 0 || errors.contains("ERROR");
        match self.differs(&said, table) {
            Some(true) => Said::Differs { exit },
            Some(false) if !failed => Said::Equal,
            _ if exit == GIVEN_UP => Said::Cannot(format!("no answer in {SECONDS} s")),
            _ => {
                eprintln!("{}: exit code {exit}\n{said}\n{errors}", self.name());
                Said::Cannot(shortened(&errors))
            }
        }
    }

    /// Whether the output names a difference in the table; `None` where it does not speak of the table.
    fn differs(self, said: &str, table: &Table) -> Option<bool> {
        match self {
            Self::Pgcopydb => {
                let name = format!("public.{}", table.name);
                let mut lines = said.lines().map(|line| line.split('|').map(str::trim));
                let mut line = lines.find(|line| line.clone().next() == Some(&name))?;
                line.nth(1).map(|mark| mark == "!")
            }
            // one line for each row, of which each side has one
            Self::DataDiff | Self::Reladiff => {
                Some(said.lines().any(|line| line.starts_with(['+', '-'])))
            }
            // the statements that would make both equal
            Self::PtTableSync => {
                let words = ["INSERT", "REPLACE", "UPDATE", "DELETE"];
                let is_statement = |line: &str| words.iter().any(|word| line.starts_with(word));
                Some(said.lines().any(is_statement))
            }
        }
    }
}

/// pgcopydb's arguments: it compares all tables, and keeps notes in a folder.
fn whole(command: &mut Command, scene: &Scene<'_>, folder: &Path) {
    let (source, target) = (scene.trial().source.url(), scene.trial().target.url());
    command.args(["compare", "data", "--source", &source, "--target", &target]);
    command.arg("--dir").arg(folder.join("work"));
}

/// pt-table-sync's arguments: it only says what it would do.
fn by_table(command: &mut Command, scene: &Scene<'_>, table: &Table) {
    let place = |database: &Database| {
        let url = database.url();
        let parts = url.strip_prefix("mysql://").and_then(|rest| {
            let (account, rest) = rest.split_once('@')?;
            let (user, password) = account.split_once(':')?;
            let (address, name) = rest.split_once('/')?;
            let (host, port) = address.split_once(':')?;
            Some(format!(
                "h={host},P={port},u={user},p={password},D={name},t={}",
                table.name
            ))
        });
        parts.unwrap_or_else(|| panic!("not whole: {url}"))
    };
    command
        .args(["--print", "--no-check-triggers", "--charset", "utf8mb4"])
        .arg(place(&scene.trial().source))
        .arg(place(&scene.trial().target));
}

/// The arguments of data-diff and reladiff.
fn by_key(command: &mut Command, scene: &Scene<'_>, table: &Table, share: &Share) {
    let name = format!("public.{}", table.name);
    for database in [&scene.trial().source, &scene.trial().target] {
        command.args([&with_password(&database.url()), &name]);
    }
    for key in table.key {
        command.args(["-k", key]);
    }
    for column in &share.columns {
        command.args(["-c", column]);
    }
    if let Some(rows) = &share.rows {
        command.args(["-w", rows]);
    }
}

/// What of a table data-diff and reladiff are asked to compare: they end where a number is infinite or has no declared
/// scale, so that they are given the corrupt column, and rows without such values.
struct Share {
    columns: Vec<String>,
    rows: Option<String>,
}

/// What they are told beside the table.
pub const SHARE: &str = "data-diff and reladiff were given, of the table of many types, only columns and rows that they can \
    read, the corrupt ones among them; pgcopydb compares whole tables and names no rows; the exit code is the rival's own";

impl Share {
    fn of(table: &Table, expected: Option<&Expected>) -> Self {
        let names = |columns: &[&str]| columns.iter().map(|name| (*name).to_owned()).collect();
        let plain = format!("id < {FIRST_VALUE}");
        if let Some(Expected::Named { rows, column }) = expected
            && let (Some(column), [(_, key)]) = (column, rows.as_slice())
        {
            return Self {
                columns: names(&[column]),
                rows: Some(format!("({plain} OR id = {key})")),
            };
        }
        if table.name == "rich" {
            return Self {
                columns: names(&["whole", "words", "short"]),
                rows: Some(plain),
            };
        }
        Self {
            columns: names(&["%"]),
            rows: None,
        }
    }
}

/// The last error that is named, else the last line; without its time, and not at length.
fn shortened(errors: &str) -> String {
    let lines = || {
        errors
            .lines()
            .rev()
            .map(str::trim)
            .filter(|line| !line.is_empty())
    };
    let mut named = lines().filter(|line| line.contains("ERROR - ") || line.contains("Error: "));
    let last = named.next().or_else(|| lines().next()).unwrap_or("no word");
    let (_, what) = last.split_once("ERROR - ").unwrap_or(("", last));
    what.chars().take(40).collect()
}

/// One of the rivals wants a password, which the servers do not ask for.
fn with_password(url: &str) -> String {
    url.replacen("postgres://postgres@", "postgresql://postgres:none@", 1)
}

/// The rivals of one pair.
#[derive(Debug, Default)]
pub struct Contest {
    /// Tables that a rival finds different where nothing differs.
    alarmed: BTreeSet<(Rival, &'static str)>,
    rivals: Vec<Rival>,
}

impl Contest {
    /// Lets every rival compare every table, nothing planted. `None` where rivals cannot take part.
    pub fn open(scene: &Scene<'_>) -> Option<Self> {
        let mut contest = Self {
            rivals: RIVALS
                .into_iter()
                .filter(|rival| scene.dialects() == (rival.dialect(), rival.dialect()))
                .collect(),
            ..Self::default()
        };
        if contest.rivals.is_empty() {
            return None;
        }
        let _held = scene.writer.hold();
        scene.settle();
        for rival in contest.rivals.clone() {
            for table in scene.tables() {
                if let Said::Differs { .. } = rival.compare(scene, table, &Share::of(table, None)) {
                    contest.alarmed.insert((rival, table.name));
                }
            }
        }
        Some(contest)
    }

    /// What each rival says of a table in which something was planted.
    pub fn ask(&self, scene: &Scene<'_>, table: &Table, case: &Case) -> Vec<(Rival, String)> {
        let share = Share::of(table, Some(&case.expected));
        let _held = scene.writer.hold();
        scene.settle();
        let said = |rival: Rival| {
            if self.alarmed.contains(&(rival, table.name)) {
                return "cannot: false alarm".to_owned();
            }
            match rival.compare(scene, table, &share) {
                Said::Differs { exit } => format!("found: exit {exit}"),
                Said::Equal => "missed".to_owned(),
                Said::Cannot(why) => format!("cannot: {why}"),
            }
        };
        let rivals = self.rivals.iter();
        rivals.map(|rival| (*rival, said(*rival))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::schema::TABLES;
    use super::*;

    #[test]
    fn outputs_are_read() {
        let few = &TABLES[3];
        let line = |mark: &str| {
            format!(
                "   Table Name | ! | Source\n---+---\n  public.few | {mark} |  19e72c41 |  0fb49ca3 \n"
            )
        };
        assert_eq!(Rival::Pgcopydb.differs(&line("!"), few), Some(true));
        assert_eq!(Rival::Pgcopydb.differs(&line(" "), few), Some(false));
        assert_eq!(Rival::Pgcopydb.differs("", few), None);
        assert_eq!(Rival::Reladiff.differs("- 1, x\n+ 1, y\n", few), Some(true));
        assert_eq!(Rival::DataDiff.differs("", few), Some(false));
        let sync = "REPLACE INTO `b`.`few`(`id`, `v`) VALUES ('1', 'x') /*percona-toolkit*/;\n";
        assert_eq!(Rival::PtTableSync.differs(sync, few), Some(true));
        assert_eq!(Rival::PtTableSync.differs("", few), Some(false));
        let failed = "[14:58:51] ERROR - '<' not supported\n\n  ^\n";
        assert_eq!(shortened(failed), "'<' not supported");
        assert_eq!(shortened("ValueError: empty\n"), "ValueError: empty");
        assert_eq!(shortened("word\n\n"), "word");
        assert_eq!(
            with_password("postgres://postgres@127.0.0.1:5/x"),
            "postgresql://postgres:none@127.0.0.1:5/x"
        );
    }
}
