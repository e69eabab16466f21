//! A consistent read on a target, at the checkpoint that the same transaction sees.

use async_trait::async_trait;
use crossfade_model::{Position, TableMapping};
use crossfade_store::{Result, RowStream, TargetSnapshot};
use rusqlite::Connection;

use crate::blocks::start_query;
use crate::conn::{Place, Purpose, Shared, blocking};
use crate::own_tables;
use crate::sql::names::{quote, quote_all};

/// An open read transaction.
pub(crate) struct SqliteReader {
    place: Place,
    connection: Shared<Connection>,
    position: Option<Position>,
}

impl SqliteReader {
    pub async fn open(place: &Place, migration: &str) -> Result<SqliteReader> {
        let (at, migration) = (place.clone(), migration.to_owned());
        let (connection, position) = blocking(place, move || {
            let connection = at.open(Purpose::Read)?;
            let failed = at.failed("cannot open a snapshot");
            connection.execute_batch("BEGIN").map_err(&failed)?;
            let state = own_tables::read_checkpoint(&connection, &migration).map_err(&failed)?;
            Ok((connection, state))
        })
        .await?;
        Ok(SqliteReader {
            place: place.clone(),
            connection: Shared::new(place.clone(), connection),
            position,
        })
    }
}

#[async_trait]
impl TargetSnapshot for SqliteReader {
    fn position(&self) -> Option<Position> {
        self.position
    }

    async fn read<'a>(&'a mut self, mapping: &'a TableMapping) -> Result<Box<dyn RowStream + 'a>> {
        let sql = format!(
            "SELECT {} FROM {}",
            quote_all(mapping.columns.iter().map(|c| c.target.as_str())),
            quote(&mapping.target.name.name)
        );
        Ok(Box::new(start_query(
            &self.place,
            self.connection.handle(),
            sql,
            Vec::new(),
            mapping.columns.len(),
        )))
    }

    async fn close(self: Box<Self>) -> Result<()> {
        let place = self.place.clone();
        self.connection
            .run(move |connection| {
                connection
                    .execute_batch("ROLLBACK")
                    .map_err(place.failed("cannot end a snapshot"))
            })
            .await
    }
}
