//! A SQLite file as a target.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use crossfade_model::{
    Canonical, Column, Finding, Omission, Schema, Sequence, Table, TableMapping, TableName,
    UserType,
};
use crossfade_store::{
    Capabilities, Custom, DeclaredColumn, ErrorKind, HeldSequence, Made, QueryColumn, Result,
    SourceIdentity, Strangers, Target, TargetSnapshot, TargetState, Tenure,
};
use rusqlite::Connection;

use crate::conn::{Place, Purpose, blocking};
use crate::reader::SqliteReader;
use crate::writer::Holder;
use crate::{SqliteStore, ddl, design, own_tables, query, target_findings, tenure};

impl SqliteStore {
    /// Work that writes, in its turn and with the newest tenure's epoch.
    async fn in_turn<T: Send + 'static>(
        &self,
        purpose: Purpose,
        work: impl FnOnce(&mut Connection, &Place, Option<&Holder>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let turn = Arc::clone(&self.writers.turns).lock_owned().await;
        let holder = self.writers.holder();
        let place = self.place.clone();
        blocking(&self.place, move || {
            let _turn = turn;
            let mut connection = place.open(purpose)?;
            work(&mut connection, &place, holder.as_ref())
        })
        .await
    }

    async fn build_indexes(&self, mapping: &TableMapping, unique: bool) -> Result<()> {
        for index in &mapping.target.indexes {
            if index.unique && !unique {
                continue;
            }
            let (mapping, index) = (mapping.clone(), index.clone());
            self.in_turn(Purpose::Write, move |conn, place, holder| {
                ddl::build_index(conn, place, holder, &mapping, &index)
            })
            .await?;
        }
        Ok(())
    }
}

fn named(name: String) -> TableName {
    TableName { schema: None, name }
}

#[async_trait]
impl Target for SqliteStore {
    fn engine(&self) -> &'static str {
        crate::ENGINE
    }

    fn label(&self) -> &str {
        &self.place.label
    }

    fn capabilities(&self) -> Capabilities {
        crate::CAPABILITIES
    }

    fn custom(&self) -> Custom {
        crate::custom::CUSTOM
    }

    async fn describe(&self) -> Result<Schema> {
        self.described().await
    }

    async fn identity(&self) -> Result<SourceIdentity> {
        self.identified().await
    }

    fn declare(&self, source_engine: &str, table: &Table, column: &Column) -> DeclaredColumn {
        design::declare(source_engine, table, column)
    }

    fn compare(
        &self,
        source_engine: &str,
        source: &Column,
        target: &Column,
    ) -> std::result::Result<Canonical, String> {
        design::compare(source_engine, source, target)
    }

    fn default_name(&self, source: &TableName) -> TableName {
        design::default_name(source)
    }

    fn design(
        &self,
        source_engine: &str,
        table: &Table,
        name: &TableName,
        rename: &dyn Fn(&TableName) -> Option<TableName>,
    ) -> (Table, Vec<Omission>) {
        design::design(source_engine, table, name, rename)
    }

    fn design_mapped(
        &self,
        source_engine: &str,
        table: &Table,
        made: &BTreeSet<String>,
        name: &TableName,
        rename: &dyn Fn(&TableName) -> Option<TableName>,
    ) -> (Table, Vec<Omission>) {
        design::design_mapped(source_engine, table, made, name, rename)
    }

    async fn findings(
        &self,
        _migration: &str,
        tables: &[TableMapping],
        fresh: bool,
    ) -> Result<Vec<Finding>> {
        let mut out = target_findings::of_names(&self.place, tables);
        if self.place.exists() {
            let tables = tables.to_vec();
            out.extend(
                self.reading("cannot look at the file", move |conn, _| {
                    target_findings::of_file(conn, &tables, fresh)
                })
                .await?,
            );
        }
        Ok(out)
    }

    /// Crossfade's connections run no triggers and enforce no foreign keys.
    async fn acting(&self, _migration: &str, _tables: &[&TableName]) -> Result<Vec<Finding>> {
        Ok(Vec::new())
    }

    fn grants(&self, _migration: &str, _tables: &[TableMapping]) -> String {
        String::new()
    }

    fn create_statements(&self, _types: &[UserType], tables: &[TableMapping]) -> Vec<String> {
        ddl::create_statements(tables)
    }

    async fn peek(&self, migration: &str) -> Result<Option<TargetState>> {
        if !self.place.exists() {
            return Ok(None);
        }
        let migration = migration.to_owned();
        self.reading("cannot read the target's state", move |conn, _| {
            own_tables::read(conn, &migration)
        })
        .await
    }

    async fn acquire(&self, migration: &str) -> Result<Box<dyn Tenure>> {
        Ok(Box::new(
            tenure::acquire(&self.place, &self.writers, migration).await?,
        ))
    }

    async fn end_tenure(&self, migration: &str) -> Result<Option<String>> {
        let migration = migration.to_owned();
        let place = self.place.clone();
        blocking(&self.place, move || tenure::end(&place, &migration)).await
    }

    async fn create_tables(
        &self,
        _types: &[UserType],
        _sequences: &[Sequence],
        tables: &[TableMapping],
    ) -> Result<()> {
        let tables = tables.to_vec();
        self.in_turn(Purpose::Create, move |conn, place, holder| {
            ddl::create_tables(conn, place, holder, &tables)
        })
        .await
    }

    async fn has_key(&self, mapping: &TableMapping) -> Result<bool> {
        let mapping = mapping.clone();
        self.reading("cannot look for the key", move |conn, _| {
            ddl::has_key(conn, &mapping)
        })
        .await
    }

    async fn build_key(&self, mapping: &TableMapping) -> Result<()> {
        if !self.has_key(mapping).await? {
            return Err(self
                .place
                .error(
                    ErrorKind::SchemaMismatch,
                    "sqlite.target_key",
                    "the table has lost its key",
                )
                .table(&mapping.target.name));
        }
        self.build_indexes(mapping, false).await
    }

    /// Builds the other indexes too, where [`Target::build_key`] was not called: the key stands from the beginning.
    async fn build_unique_indexes(&self, mapping: &TableMapping) -> Result<()> {
        self.build_indexes(mapping, true).await
    }

    async fn build_foreign_keys(&self, tables: &[TableMapping]) -> Result<Vec<Omission>> {
        let tables = tables.to_vec();
        self.reading("cannot check the foreign keys", move |conn, _| {
            ddl::check_foreign_keys(conn, &tables)
        })
        .await
    }

    async fn raise_sequences(&self, sequences: &[Sequence], tables: &[TableMapping]) -> Result<()> {
        let (sequences, tables) = (sequences.to_vec(), tables.to_vec());
        self.in_turn(Purpose::Write, move |conn, place, holder| {
            ddl::raise_sequences(conn, place, holder, &sequences, &tables)
        })
        .await
    }

    async fn sequence_states(
        &self,
        sequences: &[Sequence],
        tables: &[TableMapping],
    ) -> Result<Vec<HeldSequence>> {
        let (sequences, tables) = (sequences.to_vec(), tables.to_vec());
        self.reading("cannot read the sequences", move |conn, _| {
            ddl::sequence_states(conn, &sequences, &tables)
        })
        .await
    }

    /// The guards refuse strangers: there is nothing to note but that somebody took them off. (A connection that runs no triggers
    /// passes them; and what says that another connection has committed does not tell ours from his.)
    async fn watch_strangers(
        &self,
        migration: &str,
        _tables: &[TableMapping],
    ) -> Result<Vec<TableName>> {
        let migration = migration.to_owned();
        let lost = self
            .in_turn(Purpose::Write, move |conn, place, holder| {
                ddl::were_opened(conn, place, holder, &migration)
            })
            .await?;
        Ok(lost.into_iter().map(named).collect())
    }

    async fn strangers(&self, migration: &str, _seen: Option<&str>) -> Result<Strangers> {
        if !self.place.exists() {
            return Ok(Strangers::default());
        }
        let migration = migration.to_owned();
        let opened = self
            .reading("cannot look at the guards", move |conn, _| {
                ddl::opened(conn, &migration)
            })
            .await?;
        Ok(Strangers {
            unseen: opened.into_iter().map(named).collect(),
            ..Strangers::default()
        })
    }

    async fn told_strangers(&self, _migration: &str, _entries: &[i64]) -> Result<()> {
        Ok(())
    }

    async fn open_reader(&self, migration: &str) -> Result<Box<dyn TargetSnapshot>> {
        Ok(Box::new(SqliteReader::open(&self.place, migration).await?))
    }

    async fn query_columns(&self, sql: &str) -> Result<Vec<QueryColumn>> {
        let sql = sql.to_owned();
        self.working(Purpose::Read, move |connection, place| {
            query::columns(place, connection, &sql)
        })
        .await
    }

    async fn made(&self, migration: &str) -> Result<Vec<Made>> {
        if !self.place.exists() {
            return Ok(Vec::new());
        }
        let migration = migration.to_owned();
        self.reading("cannot list what the migration made", move |conn, place| {
            ddl::made(conn, place, &migration)
        })
        .await
    }

    async fn remove(&self, migration: &str, tables: &[TableMapping]) -> Result<Vec<Made>> {
        if !self.place.exists() {
            return Ok(Vec::new());
        }
        let (migration, tables) = (migration.to_owned(), tables.to_vec());
        self.in_turn(Purpose::Write, move |conn, place, _| {
            ddl::remove(conn, place, &migration, &tables)
        })
        .await
    }
}
