//! A database as a target.

use std::collections::BTreeSet;

use async_trait::async_trait;
use crossfade_model::{
    Canonical, Column, Finding, Omission, Schema, Sequence, Table, TableMapping, TableName,
    UserType,
};
use crossfade_store::{
    Capabilities, Custom, DeclaredColumn, ErrorKind, HeldSequence, Made, QueryColumn, Recovery,
    Result, SourceIdentity, StoreError, Strangers, Target, TargetSnapshot, TargetState, Tenure,
};

use crate::connect::Client;
use crate::describe::named;
use crate::reader::MysqlReader;
use crate::session::Purpose;
use crate::{MysqlStore, ddl, design, findings, grants, own, query, strangers, tenure};

impl MysqlStore {
    async fn builder(&self) -> Result<Client> {
        self.connect(Purpose::Build).await
    }
}

#[async_trait]
impl Target for MysqlStore {
    fn engine(&self) -> &'static str {
        crate::ENGINE
    }

    fn label(&self) -> &str {
        &self.label
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
        let mut client = self.connect(Purpose::Check).await?;
        let found = findings::target(&mut client, tables, fresh).await?;
        client.close().await;
        Ok(found)
    }

    async fn acting(&self, _migration: &str, tables: &[&TableName]) -> Result<Vec<Finding>> {
        let mut client = self.connect(Purpose::Check).await?;
        let found = findings::acting(&mut client, tables).await?;
        client.close().await;
        Ok(found)
    }

    fn grants(&self, migration: &str, tables: &[TableMapping]) -> String {
        grants::target(&self.address.database, migration, tables)
    }

    fn create_statements(&self, _types: &[UserType], tables: &[TableMapping]) -> Vec<String> {
        ddl::create_statements(tables, self.server.get().map(AsRef::as_ref))
    }

    async fn peek(&self, migration: &str) -> Result<Option<TargetState>> {
        let mut client = self.connect(Purpose::Read).await?;
        if !own::exists(&mut client).await? {
            client.close().await;
            return Ok(None);
        }
        client
            .run(
                "reading the migration's state",
                "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY",
            )
            .await?;
        let state = own::read(&mut client, migration).await?;
        client.close().await;
        Ok(state)
    }

    async fn acquire(&self, migration: &str) -> Result<Box<dyn Tenure>> {
        let tenure = tenure::acquire(self, migration).await?;
        self.set_migration(migration);
        Ok(Box::new(tenure))
    }

    async fn end_tenure(&self, migration: &str) -> Result<Option<String>> {
        tenure::end(self, migration).await
    }

    async fn create_tables(
        &self,
        _types: &[UserType],
        _sequences: &[Sequence],
        tables: &[TableMapping],
    ) -> Result<()> {
        let mut client = self.builder().await?;
        ddl::create_tables(&mut client, &self.migration(), tables).await?;
        client.close().await;
        Ok(())
    }

    async fn has_key(&self, mapping: &TableMapping) -> Result<bool> {
        let mut client = self.connect(Purpose::Check).await?;
        let has_key = ddl::has_key(&mut client, mapping).await?;
        client.close().await;
        Ok(has_key)
    }

    async fn build_key(&self, mapping: &TableMapping) -> Result<()> {
        let mut client = self.builder().await?;
        if !ddl::has_key(&mut client, mapping).await? {
            return Err(StoreError::new(
                ErrorKind::SchemaMismatch,
                "mysql.target_key",
                &*self.label,
                "the table has lost its key",
            )
            .table(&mapping.target.name));
        }
        ddl::build_indexes(&mut client, mapping, false).await?;
        client.close().await;
        Ok(())
    }

    /// Builds the other indexes too, where [`Target::build_key`] was not called: the key stands from the beginning.
    async fn build_unique_indexes(&self, mapping: &TableMapping) -> Result<()> {
        let mut client = self.builder().await?;
        ddl::build_indexes(&mut client, mapping, true).await?;
        client.close().await;
        Ok(())
    }

    async fn build_foreign_keys(&self, tables: &[TableMapping]) -> Result<Vec<Omission>> {
        let mut client = self.builder().await?;
        let omissions = ddl::build_foreign_keys(&mut client, &self.turns, tables).await?;
        client.close().await;
        Ok(omissions)
    }

    async fn raise_sequences(&self, sequences: &[Sequence], tables: &[TableMapping]) -> Result<()> {
        let mut client = self.builder().await?;
        ddl::raise_sequences(&mut client, sequences, tables).await?;
        client.close().await;
        Ok(())
    }

    async fn sequence_states(
        &self,
        sequences: &[Sequence],
        tables: &[TableMapping],
    ) -> Result<Vec<HeldSequence>> {
        let mut client = self.connect(Purpose::Check).await?;
        let states = ddl::sequence_states(&mut client, sequences, tables).await?;
        client.close().await;
        Ok(states)
    }

    /// The guards refuse strangers; what passes them is in the log. Guards that somebody took off come back.
    async fn watch_strangers(
        &self,
        migration: &str,
        tables: &[TableMapping],
    ) -> Result<Vec<TableName>> {
        let mut client = self.builder().await?;
        let lost = ddl::close_again(&mut client, migration).await?;
        let lost: Vec<TableName> = lost.iter().map(|name| named(name)).collect();
        let watched = strangers::watch(self, &mut client, migration, tables).await;
        client.close().await;
        match watched {
            Ok(false) => Ok(lost),
            Ok(true) => Ok(tables.iter().map(|m| m.target.name.clone()).collect()),
            // that is told by the next run: what is told now is worse
            Err(error) if !lost.is_empty() && error.recovery() != Recovery::Retry => Ok(lost),
            Err(error) => Err(error),
        }
    }

    async fn strangers(&self, migration: &str, seen: Option<&str>) -> Result<Strangers> {
        let mut client = self.connect(Purpose::Check).await?;
        let opened = ddl::opened(&mut client, migration).await?;
        let mut found = strangers::strangers(self, &mut client, migration, seen).await?;
        client.close().await;
        for table in opened.iter().map(|name| named(name)) {
            if !found.unseen.contains(&table) {
                found.unseen.push(table);
            }
        }
        Ok(found)
    }

    async fn told_strangers(&self, migration: &str, entries: &[i64]) -> Result<()> {
        let mut client = self.connect(Purpose::Check).await?;
        strangers::told(&mut client, migration, entries).await?;
        client.close().await;
        Ok(())
    }

    async fn open_reader(&self, migration: &str) -> Result<Box<dyn TargetSnapshot>> {
        Ok(Box::new(MysqlReader::open(self, migration).await?))
    }

    async fn query_columns(&self, sql: &str) -> Result<Vec<QueryColumn>> {
        let mut client = self.connect(Purpose::Check).await?;
        let columns = query::columns(&mut client, sql).await?;
        client.close().await;
        Ok(columns)
    }

    async fn made(&self, migration: &str) -> Result<Vec<Made>> {
        let mut client = self.connect(Purpose::Check).await?;
        let made = ddl::made(&mut client, migration).await?;
        client.close().await;
        Ok(made)
    }

    async fn remove(&self, migration: &str, tables: &[TableMapping]) -> Result<Vec<Made>> {
        let mut client = self.builder().await?;
        let gone = ddl::remove(&mut client, migration, tables).await?;
        client.close().await;
        Ok(gone)
    }
}
