//! MySQL and MariaDB as a source and as a target. Both are one engine here; a session asks which of them it has.
//!
//! # Source
//! The binary log is the capture: nothing is made on the source. What a snapshot sees is a position in it ([`position`]).
//!
//! # Target
//! Rows go in as literals of statements, each in a form that its column keeps unchanged ([`cells`]), under a strict SQL mode
//! ([`session`]). Crossfade's own tables stand in the target database ([`own`]); row triggers keep others out ([`guard`]), and what passes these is
//! found in the binary log ([`strangers`]).

#![allow(rustdoc::private_intra_doc_links)]

mod apply;
mod bulk;
mod cells;
mod cleared;
mod connect;
mod custom;
mod ddl;
mod describe;
mod design;
mod enlisted;
mod error;
mod fence;
mod findings;
mod grants;
mod guard;
mod json_decimals;
mod known_types;
mod lineage;
mod load;
mod moment;
mod names;
mod own;
mod plan;
mod position;
mod query;
mod read;
mod reader;
mod scratch;
mod server;
mod session;
mod snapshot;
mod source;
mod splits;
mod strangers;
mod stream;
mod target;
mod tenure;
mod truths;
mod types;
mod url;

mod writer;

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use crossfade_model::Schema;
use crossfade_store::{Capabilities, Result, SourceIdentity};

use connect::Client;
use server::Server;
use session::Purpose;
use url::Address;

pub use known_types::known_types;

/// The engine's name.
pub const ENGINE: &str = "mysql";

const CAPABILITIES: Capabilities = Capabilities {
    copy_formats: Vec::new(),
    concurrent_writers: true,
    streams_transactions: true,
    captures_in_place: true,
    // a table is stored by its key: adding it later writes all rows again
    key_after_load: false,
    differing_keys_are_equal: true,
};

/// A database of a MySQL or MariaDB server.
#[derive(Clone)]
pub struct MysqlStore {
    address: Arc<Address>,
    label: Arc<str>,
    /// What the server is, from the first session on.
    server: Arc<OnceLock<Arc<Server>>>,
    /// The migration that holds this target.
    migration: Arc<Mutex<Option<String>>>,
    /// What earlier streams have found out of big transactions.
    fates: Arc<stream::fate::Fates>,
    /// The sessions that are open.
    sessions: connect::Sessions,
    /// Whose log is followed.
    lineage: Arc<lineage::Lineage>,
    /// Of those who write and who add foreign keys.
    turns: writer::Turns,
    /// What the target's log is read for.
    watched: strangers::Watched,
}

impl MysqlStore {
    /// Opens the store of a URL, `mysql://USER:PASSWORD@HOST:PORT/DATABASE`. Connects to nothing yet.
    ///
    /// # Errors
    /// [`crossfade_store::ErrorKind::Usage`] for another URL.
    pub fn open(url: &str) -> Result<MysqlStore> {
        let address = url::parse(url, &|name| std::env::var(name).ok())?;
        Ok(MysqlStore {
            label: address.label.as_str().into(),
            address: Arc::new(address),
            server: Arc::default(),
            migration: Arc::default(),
            fates: Arc::default(),
            sessions: connect::Sessions::default(),
            lineage: Arc::default(),
            turns: Arc::default(),
            watched: strangers::Watched::default(),
        })
    }

    /// Another database of the same server.
    fn other_database(&self, name: &str) -> MysqlStore {
        let mut address = (*self.address).clone();
        let (head, _) = address.label.rsplit_once('/').unwrap_or_default();
        address.label = format!("{head}/{name}");
        address.database = name.to_owned();
        MysqlStore {
            label: address.label.as_str().into(),
            address: Arc::new(address),
            server: Arc::clone(&self.server),
            migration: Arc::default(),
            fates: Arc::default(),
            sessions: connect::Sessions::default(),
            lineage: Arc::default(),
            turns: Arc::default(),
            watched: strangers::Watched::default(),
        }
    }

    async fn connect(&self, purpose: Purpose) -> Result<Client> {
        let mut client = Client::open(&self.address, &self.label, purpose).await?;
        client.enter(&self.sessions);
        (client.succession, client.cleared) = self.lineage.positions();
        // a later session may find another version; the flavor stays
        let _first = self.server.set(Arc::clone(&client.server));
        Ok(client)
    }

    /// The connections that this store has open.
    fn sessions(&self) -> std::collections::BTreeSet<u64> {
        self.sessions.ids()
    }

    fn set_migration(&self, migration: &str) {
        *self
            .migration
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(migration.to_owned());
    }

    fn migration(&self) -> String {
        self.migration
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
            .unwrap_or_default()
    }

    async fn described(&self) -> Result<Schema> {
        let mut client = self.connect(Purpose::Check).await?;
        let schema = describe::schema(&mut client).await?;
        client.close().await;
        Ok(schema)
    }

    async fn identified(&self) -> Result<SourceIdentity> {
        let client = self.connect(Purpose::Check).await?;
        let identity = self.identity_of(&client.server);
        client.close().await;
        Ok(identity)
    }

    fn identity_of(&self, server: &Server) -> SourceIdentity {
        let (who, database) = (lineage::who(server), &self.address.database);
        SourceIdentity {
            version: server.name(),
            identity: format!("{who} database {database}"),
        }
    }
}
