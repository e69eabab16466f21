//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Moves live data from one database to another while production keeps writing, and proves that both are equal.
#[derive(Debug, Parser)]
#[command(
    name = "crossfade",
    version,
    max_term_width = 100,
    propagate_version = true
)]
#[command(
    after_help = "Exit codes: 0 done, 1 failed, 2 refused by a finding or a difference, 3 bad usage or file.\n\
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
    /// Stop copying and applying until `resume`, also over restarts.
    Pause(File),
    /// Go on after `pause`.
    Resume(File),
    /// End the migration and remove everything it made on the source.
    Abort(Abort),
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
}

#[derive(Debug, Args)]
pub struct Plan {
    #[command(flatten)]
    pub file: File,
    /// Print SQL that makes least-privileged roles, for an administrator to read and run.
    #[arg(long)]
    pub grants: bool,
    /// Print the statements that would make the target's tables.
    #[arg(long)]
    pub sql: bool,
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
    /// Compare counts, sums, least and greatest values of columns, which each database computes: seconds for millions of rows.
    #[arg(long, group = "layer")]
    pub aggregate: bool,
    /// Compare a share of the rows: `1%`, from 0.0001% to 100%.
    #[arg(long, value_name = "PERCENT", group = "layer")]
    pub sample: Option<String>,
    /// Compare only the projections of the migration file.
    #[arg(long, group = "layer")]
    pub projections: bool,
    /// What chooses the rows of --sample [default: by chance; it is printed].
    #[arg(long, value_name = "NUMBER", requires = "sample")]
    pub seed: Option<u64>,
}

#[derive(Debug, Args)]
pub struct Abort {
    #[command(flatten)]
    pub file: File,
    /// Drop the tables that the migration made on the target, too. Tables that were there before stay.
    #[arg(long)]
    pub drop_target_tables: bool,
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
