//! Reading a target's rows at the position of one snapshot.

use async_trait::async_trait;
use crossfade_model::{Position, TableMapping};
use crossfade_store::{ReadForm, Result, RowStream, TargetSnapshot};

use crate::connect::Client;
use crate::copy_out::CopyOut;
use crate::names::{OWN_SCHEMA, ident_list, qualified};
use crate::session::Purpose;
use crate::store::PostgresStore;
use crate::tenure;

struct PostgresReader {
    client: Client,
    label: String,
    position: Option<Position>,
}

/// Opens a snapshot of the target; see [`crossfade_store::Target::open_reader`].
///
/// # Errors
/// The connection's.
pub async fn open_reader(
    store: &PostgresStore,
    migration: &str,
) -> Result<Box<dyn TargetSnapshot>> {
    let client = store.connect(Purpose::Read).await?;
    client
        .batch(
            "opening a snapshot",
            "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
        )
        .await?;
    // the snapshot opens with the first of these queries; the rows read later are those of this checkpoint
    let mut position = None;
    if tenure::has_tables(&client).await? {
        let sql = format!("SELECT checkpoint FROM {OWN_SCHEMA}.run WHERE migration = $1");
        position = client
            .query_opt("reading the checkpoint", &sql, &[&migration])
            .await?
            .and_then(|row| row.get::<_, Option<i64>>(0))
            .and_then(|at| u64::try_from(at).ok())
            .map(Position);
    }
    Ok(Box::new(PostgresReader {
        client,
        label: store.label().to_owned(),
        position,
    }))
}

#[async_trait]
impl TargetSnapshot for PostgresReader {
    fn position(&self) -> Option<Position> {
        self.position
    }

    async fn read<'a>(&'a mut self, mapping: &'a TableMapping) -> Result<Box<dyn RowStream + 'a>> {
        let columns = ident_list(mapping.columns.iter().map(|c| c.target.as_str()));
        let table = qualified(&mapping.target.name);
        let source = match mapping.target.partition_by {
            Some(_) => format!("(SELECT {columns} FROM {table})"),
            None => format!("{table} ({columns})"),
        };
        let width = mapping.columns.len();
        let rows = CopyOut::begin(&self.client, &self.label, &source, &ReadForm::Rows, width)
            .await
            .map_err(|e| e.table(&mapping.target.name))?;
        Ok(Box::new(rows))
    }

    async fn close(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}
