//! Copies to rehearse on: not here yet.

use async_trait::async_trait;
use crossfade_model::TableName;
use crossfade_store::{ErrorKind, Exerciser, Rehearsing, Result, Scratch, StoreError};

use crate::MysqlStore;

impl MysqlStore {
    fn no_scratch<T>(&self) -> Result<T> {
        Err(StoreError::new(
            ErrorKind::Unsupported,
            "mysql.rehearse",
            &*self.label,
            "this version of crossfade makes no scratch databases on MySQL and MariaDB to rehearse on",
        )
        .fix("Set rehearsal = \"off\" in [gates], and rehearse on a copy of your own"))
    }
}

#[async_trait]
impl Rehearsing for MysqlStore {
    async fn make_scratch(&self, _name: &str) -> Result<Box<dyn Scratch>> {
        self.no_scratch()
    }

    async fn open_exerciser(&self) -> Result<Box<dyn Exerciser>> {
        self.no_scratch()
    }

    async fn drop_tables(&self, _tables: &[TableName]) -> Result<()> {
        self.no_scratch()
    }
}
