//! pgbench's tables: made on the source, made empty on a target, compared.

use std::process::Command;

use super::options::Options;
use super::server::{self, Place};

/// A table, its columns, and its key.
pub struct Table {
    pub name: &'static str,
    columns: &'static str,
    pub key: Option<&'static str>,
}

pub const TABLES: [Table; 4] = [
    Table {
        name: "pgbench_accounts",
        columns: "aid int NOT NULL, bid int, abalance int, filler char(84)",
        key: Some("aid"),
    },
    Table {
        name: "pgbench_branches",
        columns: "bid int NOT NULL, bbalance int, filler char(88)",
        key: Some("bid"),
    },
    Table {
        name: "pgbench_tellers",
        columns: "tid int NOT NULL, bid int, tbalance int, filler char(84)",
        key: Some("tid"),
    },
    Table {
        name: "pgbench_history",
        columns: "tid int, bid int, aid int, delta int, mtime timestamp, filler char(22)",
        key: None,
    },
];

/// Rows of all tables but the history, which is empty at first.
pub fn rows(scale: u32) -> u32 {
    scale * 100_011
}

/// The scale of the benchmarks.
pub fn scale(options: &Options) -> u32 {
    options.size(20, 2)
}

/// Makes the source's database.
pub fn make_source(place: &Place, scale: u32) {
    place.create(None);
    server::run(
        Command::new(server::program("pgbench"))
            .args(["-i", "-q", "-s", &scale.to_string()])
            .arg(place.url()),
    );
    place.run(&[
        "ALTER TABLE pgbench_history REPLICA IDENTITY FULL",
        "VACUUM ANALYZE",
    ]);
}

/// Makes empty tables, with keys or without.
pub fn make_tables(place: &Place, keys: bool) {
    let mut client = place.connect();
    for table in &TABLES {
        let sql = format!("CREATE TABLE {} ({})", table.name, table.columns);
        server::execute(&mut client, &sql);
    }
    if keys {
        server::execute(&mut client, &make_keys());
    }
}

/// The statements that add the keys.
pub fn make_keys() -> String {
    TABLES
        .iter()
        .filter_map(|table| {
            let key = table.key?;
            Some(format!(
                "ALTER TABLE {} ADD PRIMARY KEY ({key});",
                table.name
            ))
        })
        .collect()
}

/// The shell script that copies all rows by binary COPY through pipes and then adds the keys: the small tables beside
/// the big one.
pub fn pipe_script(from: &Place, to: &Place) -> String {
    let psql = server::program("psql");
    let psql = psql.display();
    let copy = |table: &str| {
        format!(
            "{psql} -Xqd {} -c 'COPY {table} TO STDOUT (FORMAT binary)' | \
             {psql} -Xqd {} -v ON_ERROR_STOP=1 -c 'COPY {table} FROM STDIN (FORMAT binary)'",
            from.url(),
            to.url()
        )
    };
    let (big, small) = TABLES.split_first().expect("there are tables");
    let small: Vec<String> = small.iter().map(|table| copy(table.name)).collect();
    format!(
        "set -e\n({}) &\n{}\nwait\n{psql} -Xqd {} -v ON_ERROR_STOP=1 -c '{}'",
        small.join("; "),
        copy(big.name),
        to.url(),
        make_keys()
    )
}

/// Copies everything and adds the keys.
pub fn pipe(from: &Place, to: &Place) {
    server::run(Command::new("bash").args(["-o", "pipefail", "-c", &pipe_script(from, to)]));
}

/// Rows and a sum over their contents, per table; where it has a key, that too.
pub fn contents(place: &Place) -> Vec<String> {
    TABLES
        .iter()
        .map(|table| {
            let name = table.name;
            place.ask(&format!(
                "SELECT '{name}: ' || count(*) || ' rows, sum ' || coalesce(sum(hashtext(t::text)), 0) || ', keys ' || \
                 (SELECT count(*) FROM pg_index WHERE indrelid = '{name}'::regclass AND indisprimary AND indisvalid) \
                 FROM {name} t"
            ))
        })
        .collect()
}
