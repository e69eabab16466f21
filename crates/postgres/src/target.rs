//! PostgreSQL as a target: what the engine asks, and where it is done.

use std::collections::BTreeSet;

use async_trait::async_trait;
use crossfade_model::{
    Canonical, Column, Finding, Omission, Schema, Sequence, Table, TableMapping, TableName,
    UserType,
};
use crossfade_store::{
    Capabilities, Custom, DeclaredColumn, HeldSequence, Made, QueryColumn, Result, SourceIdentity,
    Strangers, Target, TargetSnapshot, TargetState, Tenure,
};

use crate::design::ENGINE;
use crate::store::PostgresStore;
use crate::{
    ddl, describe, design, findings, grants, identity, query, reader, source, strangers, tenure,
};

#[async_trait]
impl Target for PostgresStore {
    fn engine(&self) -> &'static str {
        ENGINE
    }

    fn label(&self) -> &str {
        PostgresStore::label(self)
    }

    fn capabilities(&self) -> Capabilities {
        source::capabilities()
    }

    fn custom(&self) -> Custom {
        crate::custom::CUSTOM
    }

    async fn describe(&self) -> Result<Schema> {
        describe::describe(self).await
    }

    async fn identity(&self) -> Result<SourceIdentity> {
        identity::identity(self).await
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
        migration: &str,
        tables: &[TableMapping],
        fresh: bool,
    ) -> Result<Vec<Finding>> {
        findings::target(self, migration, tables, fresh).await
    }

    async fn acting(&self, _migration: &str, tables: &[&TableName]) -> Result<Vec<Finding>> {
        findings::acting(self, tables).await
    }

    fn grants(&self, migration: &str, tables: &[TableMapping]) -> String {
        grants::target(&self.connect_target().dbname, migration, tables)
    }

    fn create_statements(&self, types: &[UserType], tables: &[TableMapping]) -> Vec<String> {
        ddl::create_statements(types, tables)
    }

    async fn peek(&self, migration: &str) -> Result<Option<TargetState>> {
        tenure::peek(self, migration).await
    }

    async fn acquire(&self, migration: &str) -> Result<Box<dyn Tenure>> {
        let tenure = tenure::acquire(self, migration).await?;
        self.set_migration(migration);
        Ok(tenure)
    }

    async fn end_tenure(&self, migration: &str) -> Result<Option<String>> {
        tenure::end(self, migration).await
    }

    async fn create_tables(
        &self,
        types: &[UserType],
        sequences: &[Sequence],
        tables: &[TableMapping],
    ) -> Result<()> {
        ddl::create_tables(self, types, sequences, tables).await
    }

    async fn has_key(&self, mapping: &TableMapping) -> Result<bool> {
        ddl::has_key(self, mapping).await
    }

    async fn build_key(&self, mapping: &TableMapping) -> Result<()> {
        ddl::build_key(self, mapping).await
    }

    async fn build_unique_indexes(&self, mapping: &TableMapping) -> Result<()> {
        ddl::build_unique_indexes(self, mapping).await
    }

    async fn build_foreign_keys(&self, tables: &[TableMapping]) -> Result<Vec<Omission>> {
        ddl::build_foreign_keys(self, tables).await
    }

    async fn raise_sequences(&self, sequences: &[Sequence], tables: &[TableMapping]) -> Result<()> {
        ddl::raise_sequences(self, sequences, tables).await
    }

    async fn sequence_states(
        &self,
        sequences: &[Sequence],
        tables: &[TableMapping],
    ) -> Result<Vec<HeldSequence>> {
        ddl::sequence_states(self, sequences, tables).await
    }

    async fn watch_strangers(
        &self,
        migration: &str,
        tables: &[TableMapping],
    ) -> Result<Vec<TableName>> {
        strangers::watch(self, migration, tables).await
    }

    async fn strangers(&self, migration: &str, seen: Option<&str>) -> Result<Strangers> {
        strangers::strangers(self, migration, seen).await
    }

    async fn told_strangers(&self, migration: &str, entries: &[i64]) -> Result<()> {
        strangers::told(self, migration, entries).await
    }

    async fn open_reader(&self, migration: &str) -> Result<Box<dyn TargetSnapshot>> {
        reader::open_reader(self, migration).await
    }

    async fn query_columns(&self, sql: &str) -> Result<Vec<QueryColumn>> {
        query::columns(self, sql).await
    }

    async fn made(&self, migration: &str) -> Result<Vec<Made>> {
        ddl::made(self, migration).await
    }

    async fn remove(&self, migration: &str, tables: &[TableMapping]) -> Result<Vec<Made>> {
        ddl::remove(self, migration, tables).await
    }
}
