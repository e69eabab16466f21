//! From a migration file's `[route]` to routes.

use std::path::Path;
use std::time::Duration;

use crossfade_engine::Lead;
use crossfade_plan::{MigrationFile, RouteAddress, RouteSection, Scheme, Secret, StoreUrl};
use crossfade_route::{
    End, Ends, ExecConfig, FileConfig, PgBouncerConfig, PgBouncerEntry, RouteConfig, RouteError,
    RouteKind, Routes, WebhookConfig,
};

/// Opens the routes of a migration file; connects to nothing. `folder` is where relative paths begin.
///
/// # Errors
/// Something that no route can use.
pub fn lead(file: &MigrationFile, folder: &Path) -> Result<Lead, RouteError> {
    let ends = ends(file, folder);
    let routes = Routes::open(&config(&file.routes, folder), &file.name, &ends)?;
    Ok(Lead::new(routes, ends))
}

/// The routes' own form of what a file says.
fn config(sections: &[RouteSection], folder: &Path) -> RouteConfig {
    RouteConfig {
        routes: sections
            .iter()
            .map(|section| kind(section, folder))
            .collect(),
    }
}

fn kind(section: &RouteSection, folder: &Path) -> RouteKind {
    let seconds = |seconds: &u32| Duration::from_secs(u64::from(*seconds));
    let exposed = |secret: &Secret| secret.expose().to_owned();
    match section {
        RouteSection::File { path } => RouteKind::File(FileConfig {
            path: folder.join(path),
        }),
        RouteSection::Exec {
            command,
            timeout_seconds,
            retries,
        } => RouteKind::Exec(ExecConfig {
            command: command.iter().map(exposed).collect(),
            timeout: seconds(timeout_seconds),
            retries: *retries,
        }),
        RouteSection::Webhook {
            url,
            headers,
            ca_file,
            timeout_seconds,
            retries,
        } => RouteKind::Webhook(WebhookConfig {
            url: exposed(url),
            headers: headers
                .iter()
                .map(|(name, value)| (name.clone(), exposed(value)))
                .collect(),
            ca_file: ca_file.as_ref().map(|file| folder.join(file)),
            timeout: seconds(timeout_seconds),
            retries: *retries,
        }),
        RouteSection::PgBouncer {
            admin,
            database,
            reads_database,
            config,
            end_clients,
            source,
            target,
        } => RouteKind::PgBouncer(PgBouncerConfig {
            admin: exposed(admin),
            database: database.clone(),
            reads_database: reads_database.clone(),
            config: folder.join(config),
            end_clients: *end_clients,
            source: entry(source),
            target: entry(target),
        }),
    }
}

fn entry(address: &RouteAddress) -> PgBouncerEntry {
    PgBouncerEntry {
        host: address.host.clone(),
        port: address.port,
        dbname: address.dbname.clone(),
    }
}

/// How both sides are reached, without secrets.
fn ends(file: &MigrationFile, folder: &Path) -> Ends {
    Ends {
        source: end(&file.source, folder),
        target: end(&file.target, folder),
    }
}

fn end(url: &StoreUrl, folder: &Path) -> End {
    let address = url.address();
    let database = match (url.scheme(), url.sqlite_path()) {
        (Scheme::Sqlite, Some(path)) => Some(folder.join(path).display().to_string()),
        _ => address.dbname,
    };
    End {
        url_label: url.to_string(),
        host: address.host,
        port: address.port,
        database,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn read(route: &str) -> MigrationFile {
        let text = format!(
            "[migration]\nname = \"shop\"\n[source]\nurl = \"postgres://app:geheim@old:5433/shop\"\n[target]\nurl = \"sqlite:new.db\"\n{route}"
        );
        crossfade_plan::file::parse("m.toml", &text, &|_| None).unwrap()
    }

    #[test]
    fn paths_begin_at_the_file_and_labels_hold_no_secret() {
        let file = read("[route]\nkind = \"file\"\npath = \"route.json\"\n");
        let routes = lead(&file, Path::new("/srv/m")).unwrap().routes;
        assert_eq!(routes.all()[0].label(), "file /srv/m/route.json");
        let ends = ends(&file, Path::new("/srv/m"));
        assert_eq!(ends.source.host.as_deref(), Some("old"));
        assert_eq!(
            (ends.source.port, ends.source.database.as_deref()),
            (Some(5433), Some("shop"))
        );
        assert_eq!(ends.target.database.as_deref(), Some("/srv/m/new.db"));
        assert!(!format!("{ends:?}").contains("geheim"));
    }

    #[test]
    fn a_pooler_needs_two_servers() {
        let file = read(
            "[route]\nkind = \"pgbouncer\"\nadmin = \"postgres://a@h/pgbouncer\"\ndatabase = \"shop\"\nconfig = \"a.ini\"\n",
        );
        let error = lead(&file, Path::new(".")).err().unwrap();
        assert!(error.what.contains("the target"), "{error}");
        let failure = crate::failure::Failure::from(error);
        assert_eq!(failure.exit, crate::failure::USAGE);
    }
}
