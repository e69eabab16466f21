//! The command line.

mod switch;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub use switch::{Complete, Gates, Log, Rehearse, Rollback, Switch, TakeOver};

/// Moves live data from one database to another while production keeps writing, and proves that both are equal.
#[derive(Debug, Parser)]
#[command(
    name = "crossfade",
    version,
    max_term_width = 100,
    propagate_version = true
)]
#[command(
    after_help = "Exit codes: 0 done, 1 failed, 2 refused by a finding, a gate or a difference, 3 bad usage or file.\n\
                        RUST_LOG sets what is logged to standard error, such as RUST_LOG=info."
)]
pub struct Arguments {
    /// Print JSON to standard output instead of text (fields: docs/json.md).
    #[arg(long, global = true)]
    pub json: bool,

    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Look at both databases and write a commented migration file.
    Init(Init),
    /// Check everything and show what would be done. Makes nothing.
    Plan(Plan),
    /// Copy and follow, going on from whatever was there. Ctrl-C stops after the current batch.
    Run(Run),
    /// Where truth is, what shows the follower equal, the way back; then phase, lag and ledger.
    Status(Status),
    /// Compare both sides at one position, while writes go on.
    Verify(Verify),
    /// Rows that did not match: list them, say what they are, try them again.
    #[command(subcommand)]
    Quarantine(Quarantine),
    /// Stop copying and applying until `resume`, also over restarts.
    Pause(File),
    /// Go on after `pause`.
    Resume(File),
    /// End the migration and remove everything it made on the source.
    Abort(Abort),
    /// Give traffic to the target: reads, or authority for writes.
    #[command(subcommand)]
    Switch(Switch),
    /// Give authority back to the source. Nothing that was written on the target is lost.
    Rollback(Rollback),
    /// End the migration where the target has authority: stop the way back, remove what was made, leave old tables read-only.
    Complete(Complete),
    /// Take the migration from a run that stands still: stopped, hung, on a machine that does not answer. Refused while it lives.
    TakeOver(TakeOver),
    /// What a switch asks for, and how each gate stands: evidence, trend, what to do.
    Gates(Gates),
    /// Switch and roll back on a copy, with writes and a proof, and time each step.
    Rehearse(Rehearse),
    /// Every step, order, override and person, in an append-only log; `--check` shows it whole.
    Log(Log),
    /// Make keys that sign certificates, and check certificates. Needs no database, unless one is to be read again.
    #[command(subcommand)]
    Certificate(Certificate),
    /// Watch a migration of a small shop, with an application that writes all the time.
    Demo(Demo),
    #[command(hide = true)]
    DemoApp,
}

/// The migration that a command is about.
#[derive(Debug, Clone, Args)]
pub struct File {
    /// The migration file.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Where phase, commands and reports are kept [default: FILE.control].
    #[arg(long, value_name = "PATH")]
    pub control: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct Init {
    /// Where rows come from: `postgres://USER@HOST/DATABASE` or `sqlite:PATH`.
    #[arg(long, value_name = "URL")]
    pub source: String,
    /// Where rows go to.
    #[arg(long, value_name = "URL")]
    pub target: String,
    /// The file to write; never overwritten.
    #[arg(short, long, value_name = "FILE", default_value = "migration.toml")]
    pub output: PathBuf,
    /// The migration's name [default: from the source's database].
    #[arg(long)]
    pub name: Option<String>,
    /// Names that are proposed for a target of another engine, where it finds those of the source only in quotes.
    #[arg(long, value_enum, default_value_t = Names::Snake, value_name = "NAMES")]
    pub names: Names,
}

/// What becomes of names with capitals on a target that reads names in lower case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Names {
    /// `OrderDetails` becomes `order_details`.
    Snake,
    /// `OrderDetails` becomes `orderdetails`: what statements that do not quote it ask for.
    Lower,
    /// As they are; statements must quote them.
    Keep,
}

#[derive(Debug, Args)]
pub struct Plan {
    /// The migration file.
    #[arg(value_name = "FILE", required_unless_present = "phases")]
    pub file: Option<PathBuf>,
    /// Where phase, commands and reports are kept [default: FILE.control].
    #[arg(long, value_name = "PATH")]
    pub control: Option<PathBuf>,
    /// Print only the phases of every migration, what leads from one to another, and the steps of the switch. Needs no file.
    #[arg(long, conflicts_with_all = ["grants", "sql"])]
    pub phases: bool,
    /// Print SQL that makes least-privileged roles, for an administrator to read and run.
    #[arg(long)]
    pub grants: bool,
    /// Print the statements that would make the target's tables.
    #[arg(long)]
    pub sql: bool,
    /// Show so many rows of each table as they are and as they would be moved. Shows values.
    #[arg(long, value_name = "ROWS", value_parser = clap::value_parser!(u16).range(1..=1000), conflicts_with = "phases")]
    pub preview: Option<u16>,
}

#[derive(Debug, Args)]
pub struct Run {
    #[command(flatten)]
    pub file: File,
    /// End once this is reached, instead of when stopped.
    #[arg(long, value_enum)]
    pub until: Option<Until>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Until {
    /// The target follows and has caught up.
    Followed,
    /// The target follows and has been compared.
    Verified,
}

#[derive(Debug, Args)]
pub struct Status {
    #[command(flatten)]
    pub file: File,
    /// Show it again every second, until Ctrl-C.
    #[arg(long)]
    pub watch: bool,
}

#[derive(Debug, Args)]
pub struct Verify {
    #[command(flatten)]
    pub file: File,
    /// Show both sides' values of rows that differ.
    #[arg(long)]
    pub show_rows: bool,
    /// Read only keys that changed since they were last proven: what was proven stays so. Needs an active `run`. This is the
    /// check that a cutover makes.
    #[arg(long, group = "layer")]
    pub touched: bool,
    /// Read rows that differ again on the source, write them as they are there, and compare once more. The reading goes through
    /// the stream: no newer change is lost.
    #[arg(long)]
    pub repair: bool,
    /// With --repair: rows that may be repaired at most; if more differ, nothing is.
    #[arg(long, value_name = "N", default_value_t = 100, requires = "repair")]
    pub max_rows: u64,
    /// Compare counts, sums, least and greatest values of columns, which each database computes: seconds for millions of rows.
    #[arg(long, group = "layer")]
    pub aggregate: bool,
    /// Compare a share of the rows: `1%`, from 0.0001% to 100%.
    #[arg(long, value_name = "PERCENT", group = "layer")]
    pub sample: Option<String>,
    /// Compare only the projections of the migration file.
    #[arg(long, group = "layer")]
    pub projections: bool,
    /// Read slowly, one side after the other, and more slowly still when the source answers later than usual: for a full comparison
    /// beside an application that must not feel it. It takes ten times as long, or more.
    #[arg(long, conflicts_with = "layer")]
    pub gentle: bool,
    /// What chooses the rows of --sample [default: by chance; it is printed].
    #[arg(long, value_name = "NUMBER", requires = "sample")]
    pub seed: Option<u64>,
    /// Write a signed file that states what was found and can be checked offline. Never over a file that is there.
    #[arg(
        long,
        value_name = "OUT",
        requires = "signing_key",
        conflicts_with = "layer"
    )]
    pub certificate: Option<PathBuf>,
    /// With --certificate: the private key that signs it (`crossfade certificate keygen` makes one).
    #[arg(long, value_name = "KEY", requires = "certificate")]
    pub signing_key: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub enum Quarantine {
    /// The rows, by number.
    List(List),
    /// All that is kept of a row.
    Show(Show),
    /// Say whether a difference is expected or a bug, and why.
    Classify(Classify),
    /// Have a running `run`, or else the next one, look at rows again.
    Retry(Retry),
}

#[derive(Debug, Args)]
pub struct List {
    #[command(flatten)]
    pub file: File,
    /// Only rows of this state.
    #[arg(long, value_enum)]
    pub state: Option<EntryState>,
    /// Only rows of this table, by its name on the source.
    #[arg(long, value_name = "TABLE")]
    pub table: Option<String>,
    /// Only rows after this number: where the page before has ended.
    #[arg(long, value_name = "ID")]
    pub after: Option<i64>,
    /// So many rows at most.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub limit: u32,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum EntryState {
    /// Nobody has said what it is.
    Open,
    /// A person has.
    Classified,
    /// A retry is ordered or under way.
    Retrying,
    /// A later comparison has not shown it any more.
    Resolved,
}

#[derive(Debug, Args)]
pub struct Show {
    #[command(flatten)]
    pub file: File,
    /// The row's number.
    #[arg(value_name = "ID")]
    pub id: i64,
    /// Read the row on both sides now, and show its values.
    #[arg(long)]
    pub reveal: bool,
}

#[derive(Debug, Args)]
pub struct Classify {
    #[command(flatten)]
    pub file: File,
    /// The row's number.
    #[arg(value_name = "ID")]
    pub id: i64,
    /// What the difference is.
    #[arg(long = "as", value_enum, value_name = "VERDICT")]
    pub verdict: Verdict,
    /// Who says so.
    #[arg(long, value_name = "NAME")]
    pub by: String,
    /// Why, for whoever relies on it.
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Verdict {
    /// It is as it should be.
    Expected,
    /// It is not.
    Bug,
}

#[derive(Debug, Args)]
pub struct Retry {
    #[command(flatten)]
    pub file: File,
    /// The rows' numbers.
    #[arg(
        value_name = "ID",
        required_unless_present = "all",
        conflicts_with = "all"
    )]
    pub ids: Vec<i64>,
    /// All rows that are open or held to be a bug.
    #[arg(long)]
    pub all: bool,
}

#[derive(Debug, Args)]
pub struct Abort {
    #[command(flatten)]
    pub file: File,
    /// Drop the tables that the migration made on the target, too. Tables that were there before stay.
    #[arg(long)]
    pub drop_target_tables: bool,
}

#[derive(Debug, Subcommand)]
pub enum Certificate {
    /// Make a pair of keys: FILE signs and stays secret, FILE.pub checks and is handed out.
    Keygen(Keygen),
    /// Check a certificate and show what it states.
    #[command(
        after_help = "Exit codes: 0 valid and equal, 2 valid and states differences (or the store of --against is not as stated), 1 not valid, 3 bad usage, or a file that is no file or no key."
    )]
    Check(Check),
}

#[derive(Debug, Args)]
pub struct Keygen {
    /// The private key's file; never overwritten.
    #[arg(short, long, value_name = "FILE")]
    pub output: PathBuf,
}

#[derive(Debug, Args)]
pub struct Check {
    /// The certificate.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// The public key of who must have signed it. Without it a valid certificate shows only that nobody changed it since somebody signed it.
    #[arg(long, value_name = "PUB")]
    pub key: Option<PathBuf>,
    /// The migration file that it must be about.
    #[arg(long, value_name = "FILE.toml")]
    pub migration: Option<PathBuf>,
    /// Read this database again, whole, and compare it with what the certificate states of its side. `${VARIABLE}` stands for a
    /// variable's value. The right to read the tables is enough.
    #[arg(long, value_name = "URL")]
    pub against: Option<String>,
    /// With --against: the side that the database stands for [default: the one whose store it is].
    #[arg(long, value_enum, requires = "against")]
    pub side: Option<Side>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Side {
    /// Where rows came from.
    Source,
    /// Where rows went to.
    Target,
}

impl From<Side> for crossfade_certificate::Side {
    fn from(side: Side) -> Self {
        match side {
            Side::Source => Self::Source,
            Side::Target => Self::Target,
        }
    }
}

#[derive(Debug, Args)]
pub struct Demo {
    /// Where the demo's files go.
    #[arg(long, value_name = "DIRECTORY", default_value = "crossfade-demo")]
    pub dir: PathBuf,
    /// A server to move from, instead of a SQLite file; the demo makes a schema `shop` there.
    #[arg(long, value_name = "URL", requires = "target")]
    pub source: Option<String>,
    /// A server to move to, instead of a SQLite file.
    #[arg(long, value_name = "URL", requires = "source")]
    pub target: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }
}
