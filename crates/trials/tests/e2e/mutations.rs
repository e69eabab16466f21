//! A few kinds of corruption, chosen by the seed, which `verify` must name: the whole suite is `cargo xtask mutations`.

use crossfade_trials::mutations::{pair::Pair, some};
use crossfade_trials::seed::seed;

/// How many kinds of each pair.
const KINDS: usize = 8;

fn verify_names_what_is_planted(pair: &str) {
    let missed = some(Pair::named(pair), KINDS, seed(pair));
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}

#[test]
fn postgres_to_postgres() {
    verify_names_what_is_planted("pg17-pg18");
}

#[test]
fn sqlite_to_sqlite() {
    verify_names_what_is_planted("sqlite-sqlite");
}

#[test]
fn mysql_to_mysql() {
    verify_names_what_is_planted("mysql97-mysql97");
}

#[test]
fn postgres_to_mysql() {
    verify_names_what_is_planted("pg18-mysql97");
}

#[test]
fn mariadb_to_postgres() {
    verify_names_what_is_planted("mariadb1011-pg17");
}
