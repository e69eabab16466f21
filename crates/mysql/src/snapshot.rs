//! A consistent read on a source.

use async_trait::async_trait;
use crossfade_model::{BucketSums, Digester, Position, Row, Snapshot, Table, TableMapping};
use crossfade_store::pace::Pace;
use crossfade_store::{
    Aggregates, Bound, ChunkRange, ErrorKind, Query, ReadForm, Result, RowStream, SourceSnapshot,
    SumPlace,
};

use crate::connect::Client;
use crate::describe;
use crate::describe::key_name;
use crate::describe::statement::shape;
use crate::names::quote;
use crate::plan::Plan;
use crate::session::Purpose;
use crate::{MysqlStore, lineage, position, query, read, splits};

/// An open read transaction.
pub(crate) struct MysqlSnapshot {
    client: Client,
    pace: Option<Pace>,
    snapshot: Snapshot,
    horizon: Position,
    seen: Option<String>,
}

impl MysqlSnapshot {
    /// Opens a snapshot. Each table's definition is locked until it closes, and is the planned one.
    pub async fn open(store: &MysqlStore, tables: &[&Table]) -> Result<MysqlSnapshot> {
        let mut client = lineage::connect(store, Purpose::Snapshot).await?;
        let (snapshot, horizon) = position::open_snapshot(&mut client).await?;
        let seen = lineage::seen(&mut client).await?;
        for table in tables {
            lock(&mut client, table)
                .await
                .map_err(|e| e.table(&table.name))?;
        }
        check_shapes(&mut client, tables).await?;
        Ok(MysqlSnapshot {
            client,
            pace: None,
            snapshot,
            horizon,
            seen,
        })
    }
}

/// Locks a table's definition until the transaction ends.
async fn lock(client: &mut Client, table: &Table) -> Result<()> {
    let doing = "locking a table's definition";
    let sql = format!("SELECT 1 FROM {} LIMIT 0", quote(&table.name.name));
    client.run(doing, &sql).await.map(drop)
}

/// Writers may wait meanwhile, behind a fence: as few statements as can be.
async fn check_shapes(client: &mut Client, tables: &[&Table]) -> Result<()> {
    let planned: Vec<(&Table, &str)> = tables
        .iter()
        .filter_map(|table| Some((*table, table.definition.as_deref()?)))
        .collect();
    if planned.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> = planned.iter().map(|(t, _)| t.name.name.as_str()).collect();
    let now = describe::all_printed(client, &names).await?;
    for ((table, planned), now) in planned.iter().zip(now) {
        let shape = |sql: &str| shape(sql, key_name(table));
        if now.as_deref().and_then(shape) != shape(planned) {
            return Err(client
                .fault(
                    ErrorKind::SchemaMismatch,
                    "mysql.schema_changed",
                    "the table's definition is not the planned one",
                )
                .fix("Abort the migration and begin it again with the present tables")
                .table(&table.name));
        }
    }
    Ok(())
}

#[async_trait]
impl SourceSnapshot for MysqlSnapshot {
    fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    fn horizon(&self) -> Position {
        self.horizon
    }

    fn seen(&self) -> Option<String> {
        self.seen.clone()
    }

    /// What readers see is in the log; that the log is durable is the server's setting (`sync_binlog`), and a finding where it is not.
    async fn wait_durable(&mut self) -> Result<()> {
        Ok(())
    }

    async fn bounds(&mut self, mapping: &TableMapping, chunks: usize) -> Result<Vec<Bound>> {
        let plan = Plan::source(&mut self.client, mapping).await?;
        splits::bounds(&mut self.client, &plan, mapping, chunks).await
    }

    async fn parts(&mut self, mapping: &TableMapping, parts: usize) -> Result<Vec<String>> {
        let plan = Plan::source(&mut self.client, mapping).await?;
        splits::parts(&mut self.client, &plan, parts).await
    }

    /// Parts are ranges of keys: however rows move, an unchanged one stays in its part.
    async fn physical_identity(&mut self, _mapping: &TableMapping) -> Result<String> {
        Ok("keys".to_owned())
    }

    async fn read<'a>(
        &'a mut self,
        mapping: &'a TableMapping,
        range: &'a ChunkRange,
        form: ReadForm,
    ) -> Result<Box<dyn RowStream + 'a>> {
        let plan = Plan::source(&mut self.client, mapping).await?;
        if form != ReadForm::Rows {
            return Err(plan.fault(
                ErrorKind::Unsupported,
                "mysql.copy_format",
                "the server has no stream format",
            ));
        }
        let clause = plan.range(range)?;
        Ok(Box::new(
            read::table(&mut self.client, &plan, &clause).await?,
        ))
    }

    async fn read_keys(&mut self, mapping: &TableMapping, keys: &[Row]) -> Result<Vec<Row>> {
        let plan = Plan::source(&mut self.client, mapping).await?;
        read::keys(&mut self.client, &plan, keys, None).await
    }

    async fn sum(
        &mut self,
        mapping: &TableMapping,
        range: &ChunkRange,
        digester: &Digester,
        _place: SumPlace,
    ) -> Result<BucketSums> {
        let plan = Plan::source(&mut self.client, mapping).await?;
        let clause = plan.range(range)?;
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
        let plan = Plan::source(&mut self.client, mapping).await?;
        read::aggregates(&mut self.client, &plan, mapping, "").await
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
