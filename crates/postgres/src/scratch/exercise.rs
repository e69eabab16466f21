//! Writes as an application would make them.

use async_trait::async_trait;
use crossfade_model::{Column, Table};
use crossfade_store::{Exerciser, Result};

use crate::connect::Client;
use crate::names::{ident_list, qualified, quote_ident};
use crate::session::Purpose;
use crate::store::PostgresStore;

/// No round begins beyond so many rows: they are read over to get there.
const FARTHEST: u64 = 5_000;

pub(super) struct PostgresExerciser {
    client: Client,
}

impl PostgresExerciser {
    pub(super) async fn open(store: &PostgresStore) -> Result<PostgresExerciser> {
        let client = store.connect(Purpose::Rehearse).await?;
        Ok(PostgresExerciser { client })
    }

    /// Whether a foreign key refers to the table or a partition of it.
    async fn is_referred_to(&self, table: &str) -> Result<bool> {
        let row = self
            .client
            .query_one(
                "looking at foreign keys",
                "SELECT EXISTS (SELECT FROM pg_constraint WHERE contype = 'f' AND (confrelid = to_regclass($1)
                     OR confrelid IN (SELECT relid FROM pg_partition_tree(to_regclass($1)))))",
                &[&table],
            )
            .await?;
        Ok(row.get(0))
    }
}

/// A column that can be set to what it is: one that is in no key, if there is one.
fn touched(table: &Table) -> Option<&Column> {
    let key: Vec<&str> = (table.key_columns().iter())
        .map(|column| column.name.as_str())
        .collect();
    let settable = |c: &&Column| !c.identity.as_ref().is_some_and(|identity| identity.always);
    let free = |c: &&Column| !key.contains(&c.name.as_str());
    (table.captured().filter(settable).find(free)).or_else(|| table.captured().find(settable))
}

#[async_trait]
impl Exerciser for PostgresExerciser {
    /// Rows are found by their places: no key is needed. (In a partitioned table a place may name a row of each partition.)
    async fn exercise(&mut self, table: &Table, rows: u32, round: u64) -> Result<u64> {
        let name = qualified(&table.name);
        let from = round * u64::from(rows) % table.estimated_rows.clamp(1, FARTHEST);
        let some = |from: u64| {
            format!("ctid = ANY (ARRAY(SELECT ctid FROM {name} OFFSET {from} LIMIT {rows}))")
        };
        let mut written = 0;
        if let Some(column) = touched(table) {
            let column = quote_ident(&column.name);
            let sql = format!("UPDATE {name} SET {column} = {column} WHERE {}", some(from));
            written += self.client.execute("updating rows", &sql, &[]).await?;
        }
        if !self.is_referred_to(&name).await? {
            let columns = ident_list(table.captured().map(|c| c.name.as_str()));
            let sql = format!(
                "WITH gone AS (DELETE FROM {name} WHERE {} RETURNING {columns})
                 INSERT INTO {name} ({columns}) OVERRIDING SYSTEM VALUE SELECT {columns} FROM gone",
                some(from / 2)
            );
            let doing = "deleting rows and inserting them again";
            // a row comes and goes
            written += 2 * self.client.execute(doing, &sql, &[]).await?;
        }
        Ok(written)
    }
}
