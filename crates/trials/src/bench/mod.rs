//! Benchmarks: crossfade and its rivals take turns on the same data and machine, each on a fresh target, and every result
//! is checked before its time counts.
//!
//! The servers are named by the variables in [`server`]; nothing else of the machine is assumed but the rivals' programs.

mod apply_mysql;
mod apply_pg;
mod contest;
mod copy_mysql;
mod copy_mysql_pg;
mod copy_pg;
mod copy_sqlite;
mod copy_sqlite_pg;
mod machine;
mod memory;
mod mysql;
mod options;
mod orders;
mod pauses;
mod pgbench;
mod product;
mod recheck_pg;
mod server;
mod statistics;
mod switch_mysql;
mod switch_pg;
mod verify_pg;

use std::process::ExitCode;

use options::Options;

/// Name, what it measures, and the function that does.
type Benchmark = (&'static str, &'static str, fn(&Options));

const BENCHMARKS: [Benchmark; 14] = [
    (
        "copy-pg",
        "copy of a pgbench database, PostgreSQL to PostgreSQL",
        copy_pg::run,
    ),
    (
        "apply-pg",
        "a backlog of pgbench transactions, PostgreSQL to PostgreSQL",
        apply_pg::run,
    ),
    (
        "verify-pg",
        "verify of a pgbench database beside its writers, PostgreSQL to PostgreSQL",
        verify_pg::run,
    ),
    (
        "memory",
        "peak resident memory for a big table and a big transaction",
        memory::run,
    ),
    (
        "recheck-pg",
        "reading again what changed since everything was proven, PostgreSQL to PostgreSQL",
        recheck_pg::run,
    ),
    (
        "switch-pg",
        "the pause of a switch and of a rollback under pgbench through PgBouncer, PostgreSQL to PostgreSQL",
        switch_pg::run,
    ),
    (
        "copy-sqlite",
        "copy of a table, SQLite to SQLite",
        copy_sqlite::run,
    ),
    (
        "copy-sqlite-pg",
        "copy of a table, SQLite to PostgreSQL",
        copy_sqlite_pg::run,
    ),
    (
        "copy-mysql",
        "copy of a table, MySQL to MySQL",
        copy_mysql::run,
    ),
    (
        "copy-mysql-pg",
        "copy of a table, MySQL to PostgreSQL",
        copy_mysql_pg::mysql,
    ),
    (
        "copy-mariadb-pg",
        "copy of a table, MariaDB to PostgreSQL",
        copy_mysql_pg::mariadb,
    ),
    (
        "apply-mysql",
        "a backlog of writes, MySQL to MySQL",
        apply_mysql::run,
    ),
    (
        "switch-mysql",
        "the pause of a switch and of a rollback under writers, MySQL to MySQL",
        switch_mysql::mysql,
    ),
    (
        "switch-mariadb",
        "the same, MariaDB to MySQL",
        switch_mysql::mariadb,
    ),
];

/// Runs the benchmarks that the arguments ask for. Exit code 3 for arguments that it does not know.
///
/// # Panics
/// When a benchmark cannot be run to its end, or a result is wrong.
pub fn main(arguments: impl Iterator<Item = String>) -> ExitCode {
    let names: Vec<&str> = BENCHMARKS.iter().map(|(name, _, _)| *name).collect();
    let options = match Options::parse(arguments, &names) {
        Ok(options) => options,
        Err(problem) => {
            eprintln!("error: {problem}\n{}", help());
            return ExitCode::from(3);
        }
    };
    if options.help {
        print!("{}", help());
        return ExitCode::SUCCESS;
    }
    println!("{}", machine::description());
    for (name, what, run) in BENCHMARKS {
        if options.wants(name) {
            println!("\n{name}: {what}");
            run(&options);
        }
    }
    ExitCode::SUCCESS
}

fn help() -> String {
    let list: String = BENCHMARKS
        .iter()
        .map(|(name, what, _)| format!("  {name:<15} {what}\n"))
        .collect();
    format!(
        "bench [--rounds N] [--only NAME]… [--contender NAME]… [--quick]\n{}\n{list}",
        "--rounds N        rounds of each benchmark, default 5\n\
         --only NAME       only this benchmark; may stand several times\n\
         --contender NAME  only this contender, without a comparison; may stand several times\n\
         --quick           little data and one round: shows that all of it works, measures nothing\n"
    )
}
