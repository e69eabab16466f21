//! Scratch databases of the same server; see [`crossfade_store::Rehearsing`].

mod exercise;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use crossfade_model::TableName;
use crossfade_store::{ErrorKind, Exerciser, Rehearsing, Result, Scratch, Store, StoreError};

use crate::connect::Client;
use crate::names::{qualified, quote_ident, quote_literal};
use crate::session::Purpose;
use crate::store::PostgresStore;

/// How long a slot may take to be free once its walsender was ended.
const ENDING: Duration = Duration::from_secs(10);

/// How often a database is tried to be dropped that somebody is still in.
const DROP_TRIES: u32 = 5;

/// A database that was made.
struct PostgresScratch {
    /// The database beside which it was made: nobody can drop the one that he is connected to.
    beside: PostgresStore,
    own: PostgresStore,
    name: String,
}

#[async_trait]
impl Rehearsing for PostgresStore {
    async fn make_scratch(&self, name: &str) -> Result<Box<dyn Scratch>> {
        let client = self.connect(Purpose::Build).await?;
        require_permission(&client).await?;
        let doing = format!("making database {name}");
        let sql = format!(
            "CREATE DATABASE {} {}",
            quote_ident(name),
            like(&client).await?
        );
        match client.batch(&doing, &sql).await {
            Err(e) if e.server_code.as_deref() == Some("42P04") => {
                return Err(StoreError::new(
                    ErrorKind::Conflict,
                    "postgres.database_there",
                    self.label(),
                    format!("there is a database {name} already"),
                )
                .fix(format!(
                    "If nobody needs it: DROP DATABASE {};",
                    quote_ident(name)
                )));
            }
            made => made?,
        }
        let scratch = PostgresScratch {
            beside: self.clone(),
            own: self.other_database(name),
            name: name.to_owned(),
        };
        if let Err(error) = extensions(&client, &scratch.own).await {
            // nothing is in it yet
            scratch.remove().await?;
            return Err(error);
        }
        self.keep(client);
        Ok(Box::new(scratch))
    }

    async fn open_exerciser(&self) -> Result<Box<dyn Exerciser>> {
        Ok(Box::new(exercise::PostgresExerciser::open(self).await?))
    }

    async fn drop_tables(&self, tables: &[TableName]) -> Result<()> {
        if tables.is_empty() {
            return Ok(());
        }
        let client = self.connect(Purpose::Build).await?;
        let names: Vec<String> = tables.iter().map(qualified).collect();
        // all at once: they may refer to each other
        let sql = format!("DROP TABLE IF EXISTS {}", names.join(", "));
        client.batch("dropping tables", &sql).await?;
        self.keep(client);
        Ok(())
    }
}

async fn require_permission(client: &Client) -> Result<()> {
    let row = client
        .query_one(
            "looking at the role",
            "SELECT rolcreatedb OR rolsuper, rolname::text FROM pg_roles WHERE rolname = current_user",
            &[],
        )
        .await?;
    if row.get(0) {
        return Ok(());
    }
    let role: String = row.get(1);
    Err(StoreError::new(
        ErrorKind::Permission,
        "postgres.create_database",
        client.label(),
        format!("role {role} may not make databases"),
    )
    .fix(format!(
        "ALTER ROLE {} CREATEDB; or name empty databases with --scratch-source and --scratch-target",
        quote_ident(&role)
    )))
}

/// The options of CREATE DATABASE that make another database sort and compare as this one does. (Names of the catalog's columns have
/// changed with versions: `daticulocale`, from 17 on `datlocale`.)
async fn like(client: &Client) -> Result<String> {
    let row = client
        .query_one(
            "looking at the database",
            "SELECT pg_encoding_to_char(encoding)::text, datcollate::text, datctype::text,
                    coalesce(to_jsonb(d) ->> 'datlocprovider', 'c'),
                    coalesce(to_jsonb(d) ->> 'datlocale', to_jsonb(d) ->> 'daticulocale')
             FROM pg_database d WHERE datname = current_database()",
            &[],
        )
        .await?;
    let mut options = format!(
        "TEMPLATE template0 ENCODING {} LC_COLLATE {} LC_CTYPE {}",
        quote_literal(row.get(0)),
        quote_literal(row.get(1)),
        quote_literal(row.get(2))
    );
    let locale = row.get::<_, Option<&str>>(4).map(quote_literal);
    match (row.get::<_, &str>(3), locale) {
        ("i", Some(locale)) => {
            options.push_str(&format!(" LOCALE_PROVIDER icu ICU_LOCALE {locale}"));
        }
        ("b", Some(locale)) => {
            options.push_str(&format!(" LOCALE_PROVIDER builtin BUILTIN_LOCALE {locale}"));
        }
        _ => {}
    }
    Ok(options)
}

/// The extensions that the database beside has, as far as this role may make them: the plan of the copy names what is missing.
async fn extensions(beside: &Client, own: &PostgresStore) -> Result<()> {
    let doing = "looking at extensions";
    let rows = beside
        .query(
            doing,
            "SELECT e.extname::text, n.nspname::text FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
             WHERE e.extname <> 'plpgsql' ORDER BY e.oid",
            &[],
        )
        .await?;
    let client = own.connect(Purpose::Build).await?;
    for row in rows {
        let (name, schema) = (quote_ident(row.get(0)), quote_ident(row.get(1)));
        let sql = format!(
            "CREATE SCHEMA IF NOT EXISTS {schema}; CREATE EXTENSION IF NOT EXISTS {name} SCHEMA {schema} CASCADE"
        );
        let _made_or_missed = client.batch("making an extension", &sql).await;
    }
    Ok(())
}

#[async_trait]
impl Scratch for PostgresScratch {
    fn label(&self) -> &str {
        self.own.label()
    }

    fn source(&self) -> Result<Arc<dyn Store>> {
        Ok(Arc::new(self.own.clone()))
    }

    fn target(&self) -> Result<Arc<dyn Store>> {
        Ok(Arc::new(self.own.clone()))
    }

    /// A database with a slot of its own cannot be dropped, whoever is forced out of it (PostgreSQL documentation, "DROP DATABASE").
    async fn remove(&self) -> Result<()> {
        let client = self.beside.connect(Purpose::Build).await?;
        let doing = format!("removing database {}", self.name);
        let there = client
            .query_one(
                &doing,
                "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)",
                &[&self.name],
            )
            .await?;
        if !there.get::<_, bool>(0) {
            return Ok(());
        }
        drop_slots(&self.own, &self.name).await?;
        let sql = format!(
            "DROP DATABASE IF EXISTS {} WITH (FORCE)",
            quote_ident(&self.name)
        );
        let mut tries = 1;
        loop {
            match client.batch(&doing, &sql).await {
                // whoever was forced out of it has not ended yet, as the server waits for five seconds only, or somebody came anew
                Err(e) if e.kind == ErrorKind::Busy && tries < DROP_TRIES => tries += 1,
                dropped => {
                    dropped?;
                    break;
                }
            }
        }
        self.beside.keep(client);
        Ok(())
    }
}

async fn drop_slots(own: &PostgresStore, name: &str) -> Result<()> {
    let doing = "removing replication slots";
    let client = own.connect(Purpose::Build).await?;
    let begun = std::time::Instant::now();
    loop {
        let rows = client
            .query(
                doing,
                "SELECT slot_name::text, active_pid FROM pg_replication_slots WHERE database = $1",
                &[&name],
            )
            .await?;
        if rows.is_empty() {
            return Ok(());
        }
        for row in rows {
            let slot: String = row.get(0);
            if let Some(pid) = row.get::<_, Option<i32>>(1) {
                let end = "SELECT pg_terminate_backend($1)";
                client.execute(doing, end, &[&pid]).await?;
                continue;
            }
            let drop = "SELECT pg_drop_replication_slot($1::text::name)";
            match client.execute(doing, drop, &[&slot]).await {
                // taken again, or dropped meanwhile: looked at anew
                Err(e) if matches!(e.kind, ErrorKind::Busy | ErrorKind::Missing) => {}
                dropped => {
                    dropped?;
                }
            }
        }
        if begun.elapsed() > ENDING {
            return Err(StoreError::new(
                ErrorKind::Busy,
                "postgres.slot_in_use",
                client.label(),
                "a replication slot is still in use",
            )
            .fix("End its walsender (pg_replication_slots.active_pid), then DROP DATABASE"));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
