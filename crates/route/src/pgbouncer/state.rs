//! What PgBouncer shows of one database.

use std::net::IpAddr;

use crate::pgbouncer::console::{Console, Row};
use crate::pgbouncer::ini::Address;
use crate::{RouteError, RouteErrorKind};

/// One database as `SHOW DATABASES` and `SHOW POOLS` show it.
#[derive(Debug, Clone)]
pub(crate) struct Shown {
    /// Where new server connections go.
    pub(crate) address: Address,
    /// Server connections are handed to nobody.
    pub(crate) paused: bool,
    /// It was switched off (`DISABLE`).
    pub(crate) disabled: bool,
    /// The database's own pooling mode, where it has one.
    pub(crate) pool_mode: String,
}

/// What `SHOW DATABASES` says of a database; `None` where there is no such one.
pub(crate) async fn database(console: &Console, name: &str) -> Result<Option<Shown>, RouteError> {
    let rows = console.run("SHOW DATABASES").await?;
    Ok(rows.iter().find(|row| row.get("name") == name).map(shown))
}

fn shown(row: &Row) -> Shown {
    Shown {
        address: Address {
            host: row.get("host").to_owned(),
            port: row.get("port").parse().unwrap_or(0),
            dbname: row.get("database").to_owned(),
        },
        paused: row.get("paused") == "1",
        disabled: row.get("disabled") == "1",
        pool_mode: row.get("pool_mode").to_owned(),
    }
}

/// The same; that there is none is an error.
pub(crate) async fn expected(
    console: &Console,
    name: &str,
    label: &str,
) -> Result<Shown, RouteError> {
    database(console, name).await?.ok_or_else(|| {
        RouteError::new(
            RouteErrorKind::Unsupported,
            "route.pgbouncer_database",
            label,
            format!("has no database {name}"),
        )
        .fix("write the entry of [databases] that applications connect to as `database`")
    })
}

/// How many server connections of a database are in use: all but those that are idle, whether they are to be tested before use or not.
pub(crate) async fn in_use(console: &Console, name: &str) -> Result<u64, RouteError> {
    let rows = console.run("SHOW POOLS").await?;
    let pools = rows.iter().filter(|row| row.get("database") == name);
    Ok(pools
        .map(|row| row.sum(|c| c.starts_with("sv_") && c != "sv_idle" && c != "sv_used"))
        .sum())
}

/// How many server connections of a database still go where it led before.
pub(crate) async fn outdated(console: &Console, name: &str) -> Result<usize, RouteError> {
    let rows = console.run("SHOW SERVERS").await?;
    Ok(rows
        .iter()
        .filter(|row| row.get("database") == name && row.get("close_needed") == "1")
        .count())
}

/// Whether a server connection of a database goes elsewhere than it leads, and PgBouncer does not mean to close it. Addresses are shown as
/// numbers: a host's name is not compared.
pub(crate) async fn unmarked(
    console: &Console,
    name: &str,
    leads: &Address,
) -> Result<bool, RouteError> {
    let host: Option<IpAddr> = leads.host.parse().ok();
    let rows = console.run("SHOW SERVERS").await?;
    let mut kept = rows
        .iter()
        .filter(|row| row.get("database") == name && row.get("close_needed") != "1");
    Ok(kept.any(|row| {
        let address: Option<IpAddr> = row.get("addr").parse().ok();
        let elsewhere = host.is_some() && address.is_some() && host != address;
        elsewhere || row.get("port") != leads.port.to_string()
    }))
}

/// Who has a server connection of a database now: the first few, for people.
pub(crate) async fn holders(console: &Console, name: &str) -> Result<String, RouteError> {
    let rows = console.run("SHOW CLIENTS").await?;
    let linked: Vec<&Row> = rows
        .iter()
        .filter(|row| row.get("database") == name && !row.get("link").is_empty())
        .collect();
    let mut names: Vec<String> = linked
        .iter()
        .take(3)
        .map(|row| {
            let program = match row.get("application_name") {
                "" => String::new(),
                program => format!(" ({program})"),
            };
            format!(
                "{} from {}:{}{program}",
                row.get("user"),
                row.get("addr"),
                row.get("port")
            )
        })
        .collect();
    if linked.len() > names.len() {
        names.push(format!("{} more", linked.len() - names.len()));
    }
    Ok(names.join(", "))
}
