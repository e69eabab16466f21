//! Scratch databases of the same server; see [`crossfade_store::Rehearsing`].

use std::sync::Arc;

use async_trait::async_trait;
use crossfade_model::{Column, Table, TableName};
use crossfade_store::{ErrorKind, Exerciser, Rehearsing, Result, Scratch, Store};

use crate::MysqlStore;
use crate::connect::Client;
use crate::names::{literal, quote, quote_all};
use crate::session::Purpose;

/// No round begins beyond so many rows: they are read over to get there.
const FARTHEST: u64 = 5_000;

/// Rows on their way out of a table and in again; the session's own.
const TAKEN: &str = "_crossfade_taken";

/// A database that was made.
struct MysqlScratch {
    beside: MysqlStore,
    own: MysqlStore,
    name: String,
}

#[async_trait]
impl Rehearsing for MysqlStore {
    async fn make_scratch(&self, name: &str) -> Result<Box<dyn Scratch>> {
        let mut client = self.connect(Purpose::Build).await?;
        let doing = format!("making database {name}");
        let like = client
            .text_row(
                &doing,
                "SELECT @@character_set_database, @@collation_database",
            )
            .await?;
        let like = like.map_or_else(String::new, |row| {
            format!(" CHARACTER SET {} COLLATE {}", row.text(0), row.text(1))
        });
        let made = client
            .run(&doing, &format!("CREATE DATABASE {}{like}", quote(name)))
            .await;
        if let Err(e) = made {
            let code = e.server_code.clone().unwrap_or_default();
            return Err(match code.split(' ').next() {
                Some("1007") => client
                    .fault(
                        ErrorKind::Conflict,
                        "mysql.database_there",
                        format!("there is a database {name} already"),
                    )
                    .fix(format!("If nobody needs it: DROP DATABASE {}", quote(name))),
                Some("1044") => client
                    .fault(
                        ErrorKind::Permission,
                        "mysql.create_database",
                        "this user may not make databases",
                    )
                    .fix(format!(
                        "GRANT ALL ON {}.* TO it; or name empty databases with --scratch-source and --scratch-target",
                        quote(name)
                    )),
                _ => e,
            });
        }
        client.close().await;
        Ok(Box::new(MysqlScratch {
            beside: self.clone(),
            own: self.other_database(name),
            name: name.to_owned(),
        }))
    }

    async fn open_exerciser(&self) -> Result<Box<dyn Exerciser>> {
        // as applications connect: nothing passes the fence, foreign keys are looked at
        let client = self.connect(Purpose::Fence).await?;
        Ok(Box::new(MysqlExerciser { client }))
    }

    async fn drop_tables(&self, tables: &[TableName]) -> Result<()> {
        if tables.is_empty() {
            return Ok(());
        }
        let doing = "dropping tables";
        let mut client = self.connect(Purpose::Build).await?;
        // they may refer to each other
        client
            .run(doing, "SET SESSION foreign_key_checks = OFF")
            .await?;
        let names = quote_all(tables.iter().map(|table| table.name.as_str()));
        client
            .run(doing, &format!("DROP TABLE IF EXISTS {names}"))
            .await?;
        client.close().await;
        Ok(())
    }
}

#[async_trait]
impl Scratch for MysqlScratch {
    fn label(&self) -> &str {
        &self.own.label
    }

    fn source(&self) -> Result<Arc<dyn Store>> {
        Ok(Arc::new(self.own.clone()))
    }

    fn target(&self) -> Result<Arc<dyn Store>> {
        Ok(Arc::new(self.own.clone()))
    }

    async fn remove(&self) -> Result<()> {
        let mut client = self.beside.connect(Purpose::Build).await?;
        client
            .run(
                &format!("removing database {}", self.name),
                &format!("DROP DATABASE IF EXISTS {}", quote(&self.name)),
            )
            .await?;
        client.close().await;
        Ok(())
    }
}

struct MysqlExerciser {
    client: Client,
}

impl MysqlExerciser {
    /// Whether a foreign key refers to the table.
    async fn is_referred_to(&mut self, table: &str) -> Result<bool> {
        let row = self
            .client
            .text_row(
                "looking at foreign keys",
                &format!(
                    "SELECT 1 FROM information_schema.REFERENTIAL_CONSTRAINTS
                     WHERE UNIQUE_CONSTRAINT_SCHEMA = DATABASE() AND REFERENCED_TABLE_NAME = {} LIMIT 1",
                    literal(table)
                ),
            )
            .await?;
        Ok(row.is_some())
    }

    /// Takes rows out and puts them in again, in one transaction.
    async fn out_and_in(&mut self, table: &Table, rows: u32, from: u64) -> Result<u64> {
        let doing = "deleting rows and inserting them again";
        let name = quote(&table.name.name);
        let columns = quote_all(table.captured().map(|c| c.name.as_str()));
        let keys: Vec<String> = (table.key_columns().iter())
            .map(|c| format!("o.{0} = t.{0}", quote(&c.name)))
            .collect();
        for sql in [
            format!("DROP TEMPORARY TABLE IF EXISTS {TAKEN}"),
            format!("CREATE TEMPORARY TABLE {TAKEN} AS SELECT {columns} FROM {name} LIMIT 0"),
            "START TRANSACTION".to_owned(),
            // locked: what comes back is what went
            format!(
                "INSERT INTO {TAKEN} SELECT {columns} FROM {name} LIMIT {from}, {rows} FOR UPDATE"
            ),
        ] {
            self.client.run(doing, &sql).await?;
        }
        let delete = format!(
            "DELETE o FROM {name} o JOIN {TAKEN} t ON {}",
            keys.join(" AND ")
        );
        let insert = format!("INSERT INTO {name} ({columns}) SELECT {columns} FROM {TAKEN} t");
        let done = async {
            let gone = self.client.run(doing, &delete).await?.affected;
            let back = self.client.run(doing, &insert).await?.affected;
            self.client.run(doing, "COMMIT").await?;
            Ok(gone + back)
        }
        .await;
        if done.is_err() {
            self.client.run(doing, "ROLLBACK").await?;
        }
        done
    }
}

/// A column that can be set to what it is: one that is in no key, if there is one.
fn touched(table: &Table) -> Option<&Column> {
    let key: Vec<&str> = (table.key_columns().iter())
        .map(|column| column.name.as_str())
        .collect();
    let free = |c: &&Column| !key.contains(&c.name.as_str());
    table
        .captured()
        .find(free)
        .or_else(|| table.captured().next())
}

#[async_trait]
impl Exerciser for MysqlExerciser {
    /// A row that is set to what it is runs its triggers, and is not written to the log: so rows go out and in, too.
    async fn exercise(&mut self, table: &Table, rows: u32, round: u64) -> Result<u64> {
        let from = round * u64::from(rows) % table.estimated_rows.clamp(1, FARTHEST);
        let mut written = 0;
        if let Some(column) = touched(table) {
            let column = quote(&column.name);
            let sql = format!(
                "UPDATE {} SET {column} = {column} LIMIT {rows}",
                quote(&table.name.name)
            );
            written += self.client.run("updating rows", &sql).await?.affected;
        }
        if table.key.is_some() && !self.is_referred_to(&table.name.name).await? {
            written += self.out_and_in(table, rows, from).await?;
        }
        Ok(written)
    }
}
