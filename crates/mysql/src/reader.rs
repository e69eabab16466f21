//! A consistent read on a target, at the checkpoint that the same transaction sees.

use async_trait::async_trait;
use crossfade_model::{BucketSums, Digester, Position, Row, TableMapping};
use crossfade_store::pace::Pace;
use crossfade_store::{Aggregates, ChunkRange, Query, Result, RowStream, SumPlace, TargetSnapshot};

use crate::connect::Client;
use crate::plan::Plan;
use crate::session::Purpose;
use crate::{MysqlStore, own, query, read};

/// An open read transaction.
pub(crate) struct MysqlReader {
    client: Client,
    pace: Option<Pace>,
    position: Option<Position>,
}

impl MysqlReader {
    pub async fn open(store: &MysqlStore, migration: &str) -> Result<MysqlReader> {
        let mut client = store.connect(Purpose::Read).await?;
        let has_tables = own::exists(&mut client).await?;
        client
            .run(
                "opening a snapshot",
                "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY",
            )
            .await?;
        let position = if has_tables {
            own::read_checkpoint(&mut client, migration).await?
        } else {
            None
        };
        Ok(MysqlReader {
            client,
            pace: None,
            position,
        })
    }
}

#[async_trait]
impl TargetSnapshot for MysqlReader {
    fn position(&self) -> Option<Position> {
        self.position
    }

    async fn read<'a>(
        &'a mut self,
        mapping: &'a TableMapping,
        range: &'a ChunkRange,
    ) -> Result<Box<dyn RowStream + 'a>> {
        let plan = Plan::target(&mut self.client, mapping).await?;
        let clause = plan.own_range(mapping, range)?;
        Ok(Box::new(
            read::table(&mut self.client, &plan, &clause).await?,
        ))
    }

    async fn read_keys(&mut self, mapping: &TableMapping, keys: &[Row]) -> Result<Vec<Row>> {
        let plan = Plan::target(&mut self.client, mapping).await?;
        let own = plan.own_condition(mapping)?;
        read::keys(&mut self.client, &plan, keys, own.as_deref()).await
    }

    async fn sum(
        &mut self,
        mapping: &TableMapping,
        range: &ChunkRange,
        digester: &Digester,
        _place: SumPlace,
    ) -> Result<BucketSums> {
        let plan = Plan::target(&mut self.client, mapping).await?;
        let clause = plan.own_range(mapping, range)?;
        read::sum(
            &mut self.client,
            &plan,
            &clause,
            (mapping, digester),
            self.pace.as_ref(),
        )
        .await
    }

    fn set_pace(&mut self, pace: Pace) {
        self.pace = Some(pace);
    }

    async fn aggregates(&mut self, mapping: &TableMapping) -> Result<Aggregates> {
        let plan = Plan::target(&mut self.client, mapping).await?;
        let clause = plan.own_range(mapping, &ChunkRange::All)?;
        read::aggregates(&mut self.client, &plan, mapping, &clause).await
    }

    async fn query(&mut self, sql: &str) -> Result<Query<'_>> {
        query::run(&mut self.client, sql).await
    }

    async fn close(mut self: Box<Self>) -> Result<()> {
        self.client.run("ending a snapshot", "ROLLBACK").await?;
        self.client.close().await;
        Ok(())
    }
}
