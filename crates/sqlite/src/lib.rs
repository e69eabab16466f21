//! SQLite as a source and as a target.
//!
//! # Source
//! A file has no log that others may read, so triggers log the **keys** of changed rows into a change table, inside the
//! application's own transactions ([`capture`]). A poll reads the newly logged keys and the present rows of these keys in
//! one read transaction ([`poll`]): many source transactions become one, whose end is the change table's last sequence.
//! A snapshot is a read transaction together with that sequence ([`snapshot`]).
//!
//! # Target
//! One writer at a time: loaders and applier take turns ([`tenure`]). Crossfade's connections run no triggers, so triggers
//! that refuse every write keep others out at no cost ([`guard`]).
//!
//! # Authority
//! The write lock is the latch, and triggers that read the register are the fence ([`fence`]). Because our own connections run no
//! triggers, what crossfade applies to a file is neither refused by its fence nor logged by its capture: changes that
//! came from one side do not go back to it.

#![allow(rustdoc::private_intra_doc_links)]

mod affinity;
mod aggregates;
mod apply;
mod blocks;
mod capture;
mod cells;
mod clear;
mod conn;
mod custom;
mod ddl;
mod describe;
mod design;
mod error;
mod fence;
mod findings;
mod guard;
mod key_sql;
mod known_types;
mod load;
mod own_tables;
mod poll;
mod query;
mod reader;
mod scratch;
mod sink;
mod sizes;
mod snapshot;
mod source;
mod splits;
mod sql;
mod stream;
mod sums;
mod table_info;
mod table_plan;
mod target;
mod target_findings;
mod tenure;
mod url;
mod writer;

use std::sync::{Mutex, PoisonError};

use crossfade_model::Schema;
use crossfade_store::{Capabilities, Result, SourceIdentity};
use rusqlite::Connection;

use conn::{Place, Purpose, blocking};
use tenure::Writers;

pub use known_types::known_types;

/// The engine's name.
pub const ENGINE: &str = "sqlite";

const CAPABILITIES: Capabilities = Capabilities {
    copy_formats: Vec::new(),
    concurrent_writers: false,
    streams_transactions: false,
    captures_in_place: false,
    key_after_load: false,
    differing_keys_are_equal: true,
};

/// Which part a store plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Rows come from it: the file must be there.
    Source,
    /// Rows go to it: the file is made where there is none, once the migration begins.
    Target,
}

/// A SQLite database file.
pub struct SqliteStore {
    place: Place,
    /// The part it was opened for. It can play the other one too, once the file is there.
    role: Role,
    /// The migration whose change table snapshots are read with.
    migration: Mutex<Option<String>>,
    writers: Writers,
}

impl SqliteStore {
    /// Opens the store of a URL, `sqlite:PATH`. Makes and changes nothing.
    ///
    /// # Errors
    /// [`crossfade_store::ErrorKind::Usage`] for another URL or a file that is no SQLite database,
    /// [`crossfade_store::ErrorKind::Missing`] for a source that is not there.
    pub fn open(url: &str, role: Role) -> Result<SqliteStore> {
        let place = Place::new(url::path_of(url)?);
        if role == Role::Source || place.exists() {
            drop(place.open(Purpose::Read)?);
        }
        Ok(SqliteStore {
            place,
            role,
            migration: Mutex::new(None),
            writers: Writers::default(),
        })
    }

    fn remember(&self, migration: &str) {
        let mut held = self
            .migration
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if held.as_deref() != Some(migration) {
            *held = Some(migration.to_owned());
        }
    }

    fn remembered(&self) -> Option<String> {
        self.migration
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Work on a connection of its own.
    async fn working<T: Send + 'static>(
        &self,
        purpose: Purpose,
        work: impl FnOnce(&mut Connection, &Place) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let place = self.place.clone();
        blocking(&self.place, move || {
            let mut connection = place.open(purpose)?;
            work(&mut connection, &place)
        })
        .await
    }

    /// Reading in one transaction, so that all is of one moment.
    async fn reading<T: Send + 'static>(
        &self,
        what: &'static str,
        work: impl FnOnce(&Connection, &Place) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T> {
        self.working(Purpose::Read, move |connection, place| {
            let failed = place.failed(what);
            let transaction = connection.transaction().map_err(&failed)?;
            work(&transaction, place).map_err(&failed)
        })
        .await
    }

    async fn described(&self) -> Result<Schema> {
        if !self.place.exists() {
            return Ok(Schema::default());
        }
        self.reading("cannot describe the file", |conn, _| describe::schema(conn))
            .await
    }

    async fn identified(&self) -> Result<SourceIdentity> {
        let version = format!("SQLite {}", rusqlite::version());
        if !self.place.exists() {
            return Ok(SourceIdentity {
                version,
                identity: format!("path {}", self.place.path.display()),
            });
        }
        let identity = self
            .reading("cannot read the file's identity", capture::identity)
            .await?;
        Ok(SourceIdentity { version, identity })
    }
}
