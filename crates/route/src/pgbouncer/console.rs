//! PgBouncer's admin console: simple queries on the database `pgbouncer` (pgbouncer(1), "Admin console").

use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_postgres::{Client, Config, NoTls, SimpleQueryMessage};

use crate::{RouteError, RouteErrorKind};

/// How long a connection or a command that waits for nobody may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// A connection to the console. Dropped, it is closed; a database that it has paused stays paused.
pub(crate) struct Console {
    client: Client,
    connection: JoinHandle<()>,
    label: String,
}

impl Drop for Console {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

impl Console {
    pub(crate) async fn connect(config: &Config, label: &str) -> Result<Console, RouteError> {
        let connecting = tokio::time::timeout(PATIENCE, config.connect(NoTls));
        let (client, connection) = match connecting.await {
            Ok(Ok(made)) => made,
            Ok(Err(error)) => return Err(failure(label, "the console cannot be reached", error)),
            Err(_) => return Err(silent(label, "the console was not reached")),
        };
        let connection = tokio::spawn(async move {
            // its end shows at the next query
            let _ = connection.await;
        });
        Ok(Console {
            client,
            connection,
            label: label.to_owned(),
        })
    }

    /// Runs a command that waits for nobody.
    pub(crate) async fn run(&self, command: &str) -> Result<Vec<Row>, RouteError> {
        match tokio::time::timeout(PATIENCE, self.wait(command)).await {
            Ok(done) => done,
            Err(_) => Err(silent(&self.label, "the console did not answer")),
        }
    }

    /// Runs a command for as long as it takes; the caller bounds it.
    pub(crate) async fn wait(&self, command: &str) -> Result<Vec<Row>, RouteError> {
        let messages = self.client.simple_query(command).await;
        let messages = messages.map_err(|error| {
            let word = command.split_whitespace().next().unwrap_or_default();
            failure(&self.label, &format!("{word} failed"), error)
        })?;
        let rows = messages.into_iter().filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(Row::new(&row)),
            _ => None,
        });
        Ok(rows.collect())
    }
}

/// One row that the console shows, its values by the columns' names: which columns there are depends on the version.
#[derive(Debug, Clone)]
pub(crate) struct Row(Vec<(String, String)>);

impl Row {
    fn new(row: &tokio_postgres::SimpleQueryRow) -> Row {
        let names = row.columns().iter().map(|column| column.name().to_owned());
        let values = (0..row.len()).map(|i| row.try_get(i).ok().flatten().unwrap_or_default());
        Row(names.zip(values.map(str::to_owned)).collect())
    }

    /// A value; empty where it is null or there is no such column.
    pub(crate) fn get(&self, column: &str) -> &str {
        let found = self.0.iter().find(|(name, _)| name == column);
        found.map_or("", |(_, value)| value)
    }

    /// The sum of numbers in the columns that `chosen` says.
    pub(crate) fn sum(&self, chosen: impl Fn(&str) -> bool) -> u64 {
        let values = self.0.iter().filter(|(name, _)| chosen(name));
        values
            .filter_map(|(_, value)| value.parse::<u64>().ok())
            .sum()
    }
}

/// A name as the console takes it.
pub(crate) fn quoted(name: &str) -> String {
    if !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
        return name.to_owned();
    }
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn silent(label: &str, what: &str) -> RouteError {
    let what = format!("{what} within {} s", PATIENCE.as_secs());
    RouteError::new(
        RouteErrorKind::Unreachable,
        "route.pgbouncer_unreachable",
        label,
        what,
    )
}

fn failure(label: &str, what: &str, error: tokio_postgres::Error) -> RouteError {
    let Some(said) = error.as_db_error() else {
        return RouteError::new(
            RouteErrorKind::Unreachable,
            "route.pgbouncer_unreachable",
            label,
            what,
        )
        .cause(error);
    };
    let (kind, code) = match said.message() {
        text if text.contains("admin access needed") => {
            (RouteErrorKind::Permission, "route.pgbouncer_admin")
        }
        _ => (RouteErrorKind::Failed, "route.pgbouncer_refused"),
    };
    RouteError::new(kind, code, label, format!("{what}: {}", said.message()))
}
