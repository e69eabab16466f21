//! Whether a certificate is about a migration file's migration: its name, its stores, its tables. Asks no store.

use std::path::Path;

use crossfade_certificate::{Body, CertificateError, StoreIdentity};
use crossfade_plan::{MigrationFile, Scheme, StoreUrl};
use crossfade_postgres::url::{ConnectUrl, process_environment};

type Result = std::result::Result<(), CertificateError>;

/// Checks a certificate against a migration file. `folder` is the file's.
///
/// # Errors
/// What differs.
pub fn check(file: &MigrationFile, folder: &Path, body: &Body) -> Result {
    if file.name != body.migration {
        return other(format!(
            "it names `{}`, the file `{}`",
            body.migration, file.name
        ));
    }
    store("source", &file.source, folder, &body.source)?;
    store("target", &file.target, folder, &body.target)?;
    tables(file, body)
}

fn other(what: String) -> Result {
    Err(CertificateError::WrongMigration { what })
}

fn store(side: &str, url: &StoreUrl, folder: &Path, stated: &StoreIdentity) -> Result {
    let (engine, named) = match url.scheme() {
        Scheme::Postgres => (
            crossfade_postgres::design::ENGINE,
            ConnectUrl::parse(url.expose(), &process_environment)
                .map_or_else(|_| url.to_string(), |url| url.label()),
        ),
        Scheme::Mysql => (
            crossfade_mysql::ENGINE,
            crossfade_mysql::MysqlStore::open(url.expose()).map_or_else(
                |_| url.to_string(),
                |store| crossfade_store::Source::label(&store).to_owned(),
            ),
        ),
        Scheme::Sqlite => (
            crossfade_sqlite::ENGINE,
            crate::stores::located(url, folder),
        ),
    };
    let same = match url.scheme() {
        Scheme::Postgres | Scheme::Mysql => named == stated.label,
        // the same file reads otherwise from another folder, and on the checker's machine
        Scheme::Sqlite => last_part(&named) == last_part(&stated.label),
    };
    if engine == stated.engine && same {
        return Ok(());
    }
    other(format!(
        "its {side} is {} ({}), the file's {named} ({engine})",
        stated.label, stated.engine
    ))
}

/// The file's name in a SQLite store's label.
pub fn last_part(label: &str) -> &str {
    let path = label.strip_prefix("sqlite:").unwrap_or(label);
    path.rsplit('/').next().unwrap_or(path)
}

/// Where the file lists tables, the certificate has these and no others.
fn tables(file: &MigrationFile, body: &Body) -> Result {
    if file.tables.is_empty() {
        return Ok(());
    }
    for table in &body.tables {
        let listed = file.tables.iter().any(|entry| {
            is_named(&table.source_name, &entry.from.text)
                && entry
                    .to
                    .as_ref()
                    .is_none_or(|to| is_named(&table.target_name, &to.text))
        });
        if !listed {
            return other(format!(
                "the file does not list its table {} that goes to {}",
                table.source_name, table.target_name
            ));
        }
    }
    // an excluded table may be listed too
    if !file.exclude.is_empty() {
        return Ok(());
    }
    for entry in &file.tables {
        let stated =
            |t: &crossfade_certificate::TableProof| is_named(&t.source_name, &entry.from.text);
        if !body.tables.iter().any(stated) {
            return other(format!(
                "it says nothing about the file's table {}",
                entry.from.text
            ));
        }
    }
    Ok(())
}

/// A table's name as a file writes it: with or without schema and quotes.
fn is_named(name: &str, written: &str) -> bool {
    let (name, written) = (name.replace('"', ""), written.replace('"', ""));
    name == written
        || name
            .strip_suffix(&written)
            .is_some_and(|schema| schema.ends_with('.'))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const FILE: &str = "[migration]\nname = \"shop\"\n[source]\nurl = \"postgres://app:secret@old/shop\"\n[target]\nurl = \"sqlite:other/shop.db\"\n";

    fn body() -> Body {
        let bytes = include_bytes!("../../../certificate/tests/format-1.json");
        crossfade_certificate::Signed::parse(bytes)
            .unwrap()
            .body()
            .clone()
    }

    fn checked(text: &str) -> Result {
        let file = crossfade_plan::file::parse("m.toml", text, &|_| None).unwrap();
        check(&file, Path::new("/somewhere"), &body())
    }

    fn refused(what: &str, text: &str) {
        let error = checked(text).unwrap_err();
        assert_eq!(error.code(), "certificate.wrong_migration");
        assert!(error.to_string().contains(what), "{what}: {error}");
        assert!(!error.to_string().contains("secret"), "{error}");
    }

    #[test]
    fn name_and_stores_are_compared() {
        checked(FILE).unwrap();
        refused("the file `shop2`", &FILE.replace("\"shop\"", "\"shop2\""));
        refused("its source", &FILE.replace("@old", "@new"));
        refused(
            "its source",
            &FILE.replace("postgres://app:secret@old/shop", "sqlite:shop"),
        );
        refused("its target", &FILE.replace("shop.db", "shop2.db"));
    }

    #[test]
    fn listed_tables_are_the_ones_of_the_certificate() {
        let listed = |tables: &str| format!("{FILE}{tables}");
        let orders = "[[table]]\nfrom = \"public.orders\"\n";
        let people = "[[table]]\nfrom = \"people\"\nto = \"people\"\n";
        checked(&listed(&format!("{orders}{people}"))).unwrap();
        refused("does not list its table public.people", &listed(orders));
        let more = "[[table]]\nfrom = \"more\"\n";
        let all = listed(&format!("{orders}{people}{more}"));
        refused("nothing about the file's table more", &all);
        checked(&all.replace("[source]", "exclude = [\"more\"]\n[source]")).unwrap();
        let moved = people.replace("to = \"people\"", "to = \"persons\"");
        refused(
            "public.people that goes to",
            &listed(&format!("{orders}{moved}")),
        );
        refused(
            "does not list its table public.people",
            &listed(&format!("{orders}[[table]]\nfrom = \"ople\"\n")),
        );
    }
}
