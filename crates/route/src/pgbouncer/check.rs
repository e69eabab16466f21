//! What speaks against a PgBouncer as a route, found before anything begins.

use crate::file::io_error;
use crate::file::replace::{self, Staged};
use crate::pgbouncer::console::{Console, Row};
use crate::pgbouncer::state::{self, Shown};
use crate::pgbouncer::{PgBouncerRoute, ini};
use crate::{RouteError, RouteErrorKind, RouteFinding};
use crossfade_model::Severity;

pub(crate) const SESSION_FIX: &str =
    "set `pool_mode = transaction`, or say `end_clients = true` to have clients ended";

/// No database is called that; asking to resume it changes nothing and tells whether the console obeys this user.
const NOBODY: &str = "crossfade_checks_whether_it_may";

pub(crate) async fn check(route: &PgBouncerRoute) -> Result<Vec<RouteFinding>, RouteError> {
    let mut findings = file(route).await?;
    match Box::pin(running(route, &mut findings)).await {
        Ok(()) => {}
        Err(error) => findings.push(finding(Severity::Blocks, error.code, error.to_string())),
    }
    Ok(findings)
}

fn finding(severity: Severity, code: &str, what: impl Into<String>) -> RouteFinding {
    RouteFinding::new(code, severity, "route", what)
}

/// The file: there, with the entries, and ours to replace.
async fn file(route: &PgBouncerRoute) -> Result<Vec<RouteFinding>, RouteError> {
    route
        .beside(|route| {
            let tried = (|| {
                let text = route.text()?;
                for name in names(route) {
                    ini::read(&text, name).map_err(|problem| route.bad_entry(name, &problem))?;
                }
                let io = |error| io_error(&route.label, "its file cannot be replaced", error);
                let _lock = replace::lock(&route.config).map_err(io)?;
                Staged::prepare(&route.config, text.as_bytes(), 0o640)
                    .and_then(Staged::discard)
                    .map_err(io)
            })();
            Ok(match tried {
                Ok(()) => Vec::new(),
                Err(error) => vec![finding(Severity::Blocks, error.code, error.to_string())],
            })
        })
        .await
}

fn names(route: &PgBouncerRoute) -> impl Iterator<Item = &str> {
    std::iter::once(route.database.as_str()).chain(route.reads_database.as_deref())
}

async fn running(
    route: &PgBouncerRoute,
    findings: &mut Vec<RouteFinding>,
) -> Result<(), RouteError> {
    let console = route.console().await?;
    findings.extend(permission(&console).await);
    findings.extend(prepared_statements(&console).await?);
    findings.extend(waiting(&console).await?);
    for name in names(route) {
        let shown = state::expected(&console, name, &route.label).await?;
        findings.extend(database(route, name, &shown));
    }
    if session_pooling(&console, &route.database).await? {
        let severity = match route.end_clients {
            true => Severity::Warning,
            false => Severity::Blocks,
        };
        let what = format!(
            "{} pools sessions: a pause waits until every client has disconnected{}",
            route.label,
            if route.end_clients {
                "; they will be ended"
            } else {
                ""
            }
        );
        findings.push(finding(severity, "route.pgbouncer_session", what).fix(SESSION_FIX));
    }
    let rows = console.run("SHOW DATABASES").await?;
    findings.extend(beside(route, &rows));
    Ok(())
}

async fn permission(console: &Console) -> Option<RouteFinding> {
    match console.run(&format!("RESUME {NOBODY}")).await {
        Err(error) if error.kind == RouteErrorKind::Permission => {
            let what = format!("{}: this user may look and change nothing", error.route);
            let fix = "add the user of `admin` to `admin_users` in PgBouncer's file";
            Some(finding(Severity::Blocks, error.code, what).fix(fix))
        }
        _ => None,
    }
}

/// Since 1.21 PgBouncer carries prepared statements of the protocol over to other server connections (`max_prepared_statements`).
async fn prepared_statements(console: &Console) -> Result<Option<RouteFinding>, RouteError> {
    let rows = console.run("SHOW VERSION").await?;
    let version = rows.first().map_or("", |row| row.get("version"));
    let Some(number) = version_of(version) else {
        let what = format!("the console does not say a version that is known: {version}");
        return Ok(Some(finding(
            Severity::Warning,
            "route.pgbouncer_version",
            what,
        )));
    };
    let kept = setting(console, "max_prepared_statements").await?;
    let what = if number < (1, 21) {
        format!("{version} keeps no prepared statements of the protocol in transaction pooling")
    } else if kept.as_deref() == Some("0") {
        format!("{version} is set to keep no prepared statements (max_prepared_statements = 0)")
    } else {
        return Ok(None);
    };
    let fix = "where applications prepare statements: PgBouncer 1.21 or later, and `max_prepared_statements` above 0";
    Ok(Some(
        finding(Severity::Note, "route.pgbouncer_prepared", what).fix(fix),
    ))
}

/// Major and minor number in a text such as `PgBouncer 1.18.0`.
fn version_of(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.split_whitespace().last()?.split('.');
    let mut next = || numbers.next()?.parse().ok();
    Some((next()?, next()?))
}

/// A client that waits longer gets an error, also in a pause.
async fn waiting(console: &Console) -> Result<Option<RouteFinding>, RouteError> {
    let seconds = setting(console, "query_wait_timeout").await?;
    let seconds: f64 = seconds.and_then(|text| text.parse().ok()).unwrap_or(0.0);
    if seconds == 0.0 || seconds >= 10.0 {
        return Ok(None);
    }
    let what = format!(
        "a client that waits longer than {seconds} s gets an error (query_wait_timeout), also in a pause"
    );
    Ok(Some(
        finding(Severity::Warning, "route.pgbouncer_wait", what)
            .fix("raise `query_wait_timeout`, or switch with a shorter `--within`"),
    ))
}

fn database(route: &PgBouncerRoute, name: &str, shown: &Shown) -> Vec<RouteFinding> {
    let mut findings = Vec::new();
    if shown.disabled {
        let what = format!("PgBouncer's database {name} is disabled");
        findings.push(finding(Severity::Blocks, "route.pgbouncer_disabled", what));
    }
    if shown.paused {
        let what = format!("PgBouncer's database {name} is paused already");
        findings.push(finding(Severity::Warning, "route.pgbouncer_paused", what));
    }
    if shown.address != route.source && shown.address != route.target {
        let what = format!(
            "PgBouncer's database {name} leads to {}, which is neither the source ({}) nor the target ({})",
            shown.address, route.source, route.target
        );
        findings.push(
            finding(Severity::Blocks, "route.pgbouncer_address", what)
                .fix("write how PgBouncer reaches each side in the route's `source` and `target`"),
        );
    }
    let written = route
        .text()
        .ok()
        .and_then(|text| ini::read(&text, name).ok());
    if let Some(written) = written.filter(|written| *written != shown.address) {
        let what = format!(
            "PgBouncer's database {name} leads to {}, its file says {written}",
            shown.address
        );
        findings.push(
            finding(Severity::Blocks, "route.pgbouncer_file", what)
                .fix("write the file that PgBouncer runs with as `config`, or have it loaded first: RELOAD takes all of it"),
        );
    }
    findings
}

/// Other entries that lead to one of the two: what comes through them is not held.
fn beside(route: &PgBouncerRoute, rows: &[Row]) -> Option<RouteFinding> {
    let others: Vec<&str> = rows
        .iter()
        .filter(|row| !names(route).any(|name| name == row.get("name")))
        .filter(|row| {
            [&route.source, &route.target].into_iter().any(|side| {
                row.get("host") == side.host
                    && row.get("port") == side.port.to_string()
                    && row.get("database") == side.dbname
            })
        })
        .map(|row| row.get("name"))
        .collect();
    if others.is_empty() {
        return None;
    }
    let what = format!(
        "other databases of this PgBouncer lead to the source or the target: {}; they are neither paused nor pointed",
        others.join(", ")
    );
    Some(
        finding(Severity::Warning, "route.pgbouncer_beside", what)
            .fix("give each that writes a route of its own"),
    )
}

/// Whether a database, or any of its pools by its user's own setting, pools sessions.
pub(crate) async fn session_pooling(console: &Console, name: &str) -> Result<bool, RouteError> {
    let rows = console.run("SHOW POOLS").await?;
    let mut pools = rows.iter().filter(|row| row.get("database") == name);
    if pools.any(|row| row.get("pool_mode") == "session") {
        return Ok(true);
    }
    let own = state::database(console, name).await?;
    let own = own
        .map(|shown| shown.pool_mode)
        .filter(|mode| !mode.is_empty());
    let mode = match own {
        Some(mode) => Some(mode),
        None => setting(console, "pool_mode").await?,
    };
    Ok(mode.as_deref() == Some("session"))
}

async fn setting(console: &Console, key: &str) -> Result<Option<String>, RouteError> {
    let rows = console.run("SHOW CONFIG").await?;
    let found = rows.iter().find(|row| row.get("key") == key);
    Ok(found.map(|row| row.get("value").to_owned()))
}
