//! The benchmarks: durable servers, an optimized build, and the program that lets crossfade and its rivals take turns.

use std::process::Command;

use crate::failure::Result;
use crate::process::run;
use crate::rivals;
use crate::servers::flavor::Flavor;
use crate::servers::fleet::Fleet;
use crate::servers::mysql::MysqlSpec;
use crate::servers::server::{Access, Durability, Server, Spec};
use crate::servers::version::Version;
use crate::servers::{self, system};
use crate::workspace::{cargo, target};

/// The same for both servers, and so for every contender. Vacuuming is left to the benchmarks, since it would come in the
/// middle of some measurements and not of others.
const SETTINGS: [&str; 3] = [
    "shared_buffers = 256MB",
    "max_wal_size = 4GB",
    "autovacuum = off",
];

/// The same for all of MySQL and MariaDB.
const MYSQL_SETTINGS: [&str; 2] = ["--innodb-buffer-pool-size=256M", "--max-binlog-size=1G"];

/// Builds, starts the servers, and measures; `arguments` go to the measuring program.
///
/// # Errors
/// When something cannot be built, installed or measured.
pub fn bench(arguments: &[String]) -> Result<()> {
    for package in ["crossfade", "crossfade-trials"] {
        // one by one, so that the product is built with its own features only
        run(cargo().args(["build", "--release", "--bins", "-p", package]))?;
    }
    system::install_rivals()?;
    system::install_mysql_rivals();
    let installed = servers::install()?;
    servers::install_mysql(&installed)?;
    let specs = ["source", "target"].map(|name| Spec {
        name: name.to_owned(),
        version: Version::V15,
        durability: Durability::Durable,
        access: Access::Trust,
        settings: SETTINGS.map(str::to_owned).to_vec(),
    });
    let mut fleet = Fleet::start(&installed, &specs)?;
    fleet.add_mysql(&installed, &mysql_specs(), Durability::Durable)?;
    let mut rivals = rivals::measured(&installed);
    for server in fleet.mysql() {
        let name = server.name().to_uppercase();
        rivals.push((format!("CROSSFADE_BENCH_{name}"), server.url()));
        let client = server.flavor().client(&installed.cache);
        rivals.push((
            format!("CROSSFADE_BENCH_{name}_CLIENT"),
            client.display().to_string(),
        ));
    }
    let (source, target) = (fleet.server("source")?, fleet.server("target")?);
    let measured = measure(source, target, rivals, arguments);
    let stopped = fleet.stop();
    measured.and(stopped)
}

/// Two of MySQL, and one of MariaDB, which older programs can still come to.
fn mysql_specs() -> Vec<MysqlSpec> {
    let servers = [
        ("mysql_source", Flavor::Mysql97),
        ("mysql_target", Flavor::Mysql97),
        ("mariadb_source", Flavor::Mariadb118),
    ];
    let specs = servers.into_iter().zip(1..);
    specs
        .map(|((name, flavor), id)| {
            let mut settings = MYSQL_SETTINGS.map(str::to_owned).to_vec();
            settings.push(format!("--server-id={id}"));
            settings.push(if flavor.is_mysql() {
                "--innodb-redo-log-capacity=1G".to_owned()
            } else {
                "--innodb-log-file-size=512M".to_owned()
            });
            MysqlSpec {
                name: name.to_owned(),
                flavor,
                number: 1,
                settings,
            }
        })
        .collect()
}

fn measure(
    source: &Server,
    target_server: &Server,
    rivals: Vec<(String, String)>,
    arguments: &[String],
) -> Result<()> {
    let built = target().join("release");
    let mut command = Command::new(built.join("bench"));
    command
        .args(arguments)
        .env("CROSSFADE_BINARY", built.join("crossfade"))
        .env("CROSSFADE_BENCH_SOURCE", source.url())
        .env("CROSSFADE_BENCH_TARGET", target_server.url())
        .env("CROSSFADE_BENCH_PROGRAMS", source.bin())
        .env("CROSSFADE_BENCH_PGBOUNCER", system::PGBOUNCER)
        .envs(rivals);
    run(&mut command)
}
