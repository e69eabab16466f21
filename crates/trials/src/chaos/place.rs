//! Where a target lies: on an ordinary disk, or on a small one that can be filled.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use super::quota::SmallDisk;
use crate::database::{Database, Engine};
use crate::postgres::{PostgresDatabase, connect, describe, variable};
use crate::sqlite::SqliteDatabase;

/// A place for one target. Dropped after the target: a tablespace goes only when it is empty, and a disk only when
/// nothing is open on it.
#[derive(Debug)]
pub struct Place {
    tablespace: Option<(Engine, String)>,
    disk: Option<SmallDisk>,
}

impl Place {
    /// A place, on a small disk where that is wanted and the machine permits it.
    ///
    /// # Panics
    /// When the server cannot use the disk.
    #[must_use]
    pub fn new(engine: Engine, wants_disk: bool) -> Self {
        let mut place = Self {
            tablespace: None,
            disk: None,
        };
        if !wants_disk {
            return place;
        }
        match SmallDisk::mount(&owner(engine)) {
            Err(error) => eprintln!("no disk will be filled: {error}"),
            Ok(disk) => {
                if !engine.is_sqlite() {
                    place.tablespace = Some((engine, tablespace(engine, disk.path())));
                }
                place.disk = Some(disk);
            }
        }
        place
    }

    /// The small disk.
    #[must_use]
    pub fn disk(&self) -> Option<&SmallDisk> {
        self.disk.as_ref()
    }

    /// Makes the target here; `folder` is for files where there is no small disk.
    ///
    /// # Panics
    /// When it cannot be made.
    #[must_use]
    pub fn database(&self, engine: Engine, folder: &Path) -> Database {
        match (&self.tablespace, &self.disk) {
            (Some((_, name)), _) => Database::Postgres(PostgresDatabase::create_with(
                engine,
                &format!("TABLESPACE {name}"),
            )),
            (None, Some(disk)) => {
                Database::Sqlite(SqliteDatabase::create(&disk.path().join("target.db")))
            }
            (None, None) => Database::create(engine, folder, "target"),
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some((engine, name)) = &self.tablespace
            && let Err(error) = on_server(*engine, &format!("DROP TABLESPACE {name}"))
        {
            eprintln!("tablespace {name} is left behind: {error}");
        }
    }
}

/// A folder or file whose owner is to own the disk: the server's, or this process's own.
fn owner(engine: Engine) -> PathBuf {
    if engine.is_sqlite() {
        return PathBuf::from("/proc/self");
    }
    let name = engine
        .variable()
        .replace("CROSSFADE_TEST_", "CROSSFADE_SERVER_");
    PathBuf::from(variable(&format!("{name}_DATA")))
}

fn tablespace(engine: Engine, folder: &Path) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let name = format!(
        "small_{}_{}",
        std::process::id(),
        NEXT.fetch_add(1, Ordering::Relaxed)
    );
    let sql = format!("CREATE TABLESPACE {name} LOCATION '{}'", folder.display());
    on_server(engine, &sql).unwrap_or_else(|error| panic!("{error}"));
    name
}

fn on_server(engine: Engine, sql: &str) -> Result<(), String> {
    connect(&variable(engine.variable()), None)?
        .batch_execute(sql)
        .map_err(|error| describe(&error))
}
