//! Opens stores by their URLs.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crossfade_engine::Sides;
use crossfade_mapping::MappedSource;
use crossfade_mysql::MysqlStore;
use crossfade_plan::{Scheme, StoreUrl};
use crossfade_postgres::PostgresStore;
use crossfade_sqlite::{Role, SqliteStore};
use crossfade_store::{Source, Store, StoreError, Target};

/// Opens a source. `folder` is where relative paths begin.
///
/// # Errors
/// A URL that its store cannot read, a file that is not there.
pub fn source(url: &StoreUrl, folder: &Path) -> Result<Arc<dyn Source>, StoreError> {
    Ok(MappedSource::over(store(url, folder, Role::Source)?))
}

/// Opens both.
///
/// # Errors
/// As [`source`].
pub fn sides(source: &StoreUrl, target: &StoreUrl, folder: &Path) -> Result<Sides, StoreError> {
    Ok(Sides {
        source: store(source, folder, Role::Source)?,
        target: store(target, folder, Role::Target)?,
    })
}

/// Opens a store by the part that it plays first.
///
/// # Errors
/// As [`source`].
fn store(url: &StoreUrl, folder: &Path, role: Role) -> Result<Arc<dyn Store>, StoreError> {
    Ok(match url.scheme() {
        Scheme::Postgres => Arc::new(PostgresStore::open(url.expose())?),
        Scheme::Mysql => Arc::new(MysqlStore::open(url.expose())?),
        Scheme::Sqlite => Arc::new(SqliteStore::open(&located(url, folder), role)?),
    })
}

/// Opens a store as where rows come from.
///
/// # Errors
/// As [`source`].
pub fn store_as_source(url: &StoreUrl, folder: &Path) -> Result<Arc<dyn Store>, StoreError> {
    store(url, folder, Role::Source)
}

/// Opens a store as where rows go to.
///
/// # Errors
/// As [`source`], but for a file that is not there.
pub fn store_as_target(url: &StoreUrl, folder: &Path) -> Result<Arc<dyn Store>, StoreError> {
    store(url, folder, Role::Target)
}

/// Opens a target. `folder` is where relative paths begin.
///
/// # Errors
/// As [`source`].
pub fn target(url: &StoreUrl, folder: &Path) -> Result<Arc<dyn Target>, StoreError> {
    Ok(store(url, folder, Role::Target)?)
}

/// A SQLite URL whose path is joined to `folder` where it is relative.
pub fn located(url: &StoreUrl, folder: &Path) -> String {
    match url.sqlite_path() {
        Some(path) => format!("sqlite:{}", folder.join(path).display()),
        None => url.expose().to_owned(),
    }
}

/// The folder of a file.
pub fn folder_of(file: &Path) -> PathBuf {
    match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_path_buf(),
        _ => PathBuf::from("."),
    }
}
