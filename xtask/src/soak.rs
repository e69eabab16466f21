//! The soak: comparisons under full load, on servers that nobody else uses.

use crate::failure::Result;
use crate::servers::flavor::Flavor;
use crate::servers::fleet::Fleet;
use crate::servers::{self, Installed, version::Version};
use crate::trials;

/// Builds the debug programs, then soaks; `arguments` go to the program.
///
/// # Errors
/// When something cannot be built or started, or a comparison raised a false alarm.
pub fn soak(arguments: &[String]) -> Result<()> {
    trials::build()?;
    built(arguments)
}

/// Soaks with the debug programs that were built.
///
/// # Errors
/// When a server cannot be started, or a comparison raised a false alarm.
pub fn built(arguments: &[String]) -> Result<()> {
    let installed = servers::install()?;
    let servers = [
        ("pg15a", Version::V15),
        ("pg15b", Version::V15),
        ("pg17", Version::V17),
        ("pg18", Version::V18),
    ];
    trials::run_on(&installed, &servers, "soak", arguments, |fleet| {
        let mut variables = Vec::new();
        for (name, flavor) in [("MYSQL", Flavor::Mysql97), ("MARIADB", Flavor::Mariadb118)] {
            variables.extend(with_replica(fleet, &installed, name, flavor)?);
        }
        Ok(variables)
    })
}

/// A server and one that is to be its replica; what the program is told of them.
fn with_replica(
    fleet: &mut Fleet,
    installed: &Installed,
    name: &str,
    flavor: Flavor,
) -> Result<[(String, String); 4]> {
    // small files: a new one is begun by many a commit
    let small = "--max-binlog-size=65536";
    let names = ["primary", "replica"].map(|role| format!("{role}_of_{}", name.to_lowercase()));
    for (server, number) in names.iter().zip(1..) {
        fleet.add_further_mysql(installed, flavor, (server, number), &[small])?;
    }
    let primary = fleet.mysql_server(&names[0])?.url();
    let replicate = {
        let of = |wanted: &str| fleet.mysql().iter().find(|server| server.name() == wanted);
        let both = of(&names[0]).zip(of(&names[1]));
        both.map(|(primary, replica)| replica.replicate(primary).join(";"))
    };
    let replica = fleet.mysql_server(&names[1])?;
    let values = [
        ("PRIMARY", Some(primary)),
        ("REPLICA", Some(replica.url())),
        ("PID", replica.pid().map(|pid| pid.to_string())),
        ("REPLICATE", replicate),
    ];
    Ok(values.map(|(what, value)| {
        let variable = format!("CROSSFADE_SOAK_{name}_{what}");
        (variable, value.unwrap_or_default())
    }))
}
