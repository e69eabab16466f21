//! Authority over the tables: not here yet. A copy is made, followed and compared; who switches is told before that nothing closes this store.

use std::time::Duration;

use async_trait::async_trait;
use crossfade_model::{Beginning, Finding, Position, Register, Sequence, Table, TableName};
use crossfade_store::{
    Blocker, ErrorKind, Exerciser, Fence, Fire, Latch, Made, Rehearsing, Result, Scratch, Standing,
    StoreError, WriteProbe,
};

use crate::MysqlStore;

const NO_FENCE: &str = "this version of crossfade cannot make writes to a MySQL or MariaDB database impossible: it copies, follows and compares, and does not switch";
const NO_SCRATCH: &str =
    "this version of crossfade makes no scratch databases on MySQL and MariaDB to rehearse on";

impl MysqlStore {
    fn no_fence<T>(&self) -> Result<T> {
        self.cannot("mysql.fence", NO_FENCE)
    }

    fn cannot<T>(&self, code: &'static str, what: &str) -> Result<T> {
        Err(
            StoreError::new(ErrorKind::Unsupported, code, &*self.label, what).fix(
                "Switch by hand: stop the applications, `verify`, then lead them to the target",
            ),
        )
    }
}

#[async_trait]
impl Fence for MysqlStore {
    async fn fence_findings(&self, _migration: &str, _tables: &[Table]) -> Result<Vec<Finding>> {
        Ok(vec![Finding::blocks("mysql.fence", "store", NO_FENCE)])
    }

    /// None was ever made.
    async fn standing(&self, _migration: &str) -> Result<Option<Standing>> {
        Ok(None)
    }

    async fn peek_standing(&self, _migration: &str) -> Result<Option<Standing>> {
        Ok(None)
    }

    async fn make_register(&self, _migration: &str, _first: Register) -> Result<()> {
        self.no_fence()
    }

    async fn arm(&self, _migration: &str, _tables: &[Table], _within: Duration) -> Result<()> {
        self.no_fence()
    }

    async fn disarm(&self, _migration: &str, _tables: &[Table]) -> Result<Vec<TableName>> {
        Ok(Vec::new())
    }

    async fn open_probe(&self, _migration: &str) -> Result<Box<dyn WriteProbe>> {
        self.no_fence()
    }

    async fn blockers(&self, _migration: &str) -> Result<Vec<Blocker>> {
        self.no_fence()
    }

    async fn fire(&self, _migration: &str, _fire: &Fire) -> Result<Box<dyn Latch>> {
        self.no_fence()
    }

    async fn end_holder(&self, _migration: &str) -> Result<Option<String>> {
        Ok(None)
    }

    async fn swap(&self, _migration: &str, _from: Register, _to: Register) -> Result<()> {
        self.no_fence()
    }

    async fn note_beginning(&self, _migration: &str, _epoch: u64) -> Result<Beginning> {
        self.no_fence()
    }

    async fn raise_for_switch(
        &self,
        _sequences: &[Sequence],
        _tables: &[crossfade_model::TableMapping],
    ) -> Result<()> {
        self.no_fence()
    }

    /// The server keeps its log as its own settings say.
    async fn skip_log(&self, _lane: &str, _position: Position) -> Result<()> {
        Ok(())
    }

    async fn freeze_ddl(&self, _migration: &str, _tables: &[Table], _frozen: bool) -> Result<bool> {
        Ok(false)
    }

    async fn fence_made(&self, _migration: &str) -> Result<Vec<Made>> {
        Ok(Vec::new())
    }

    async fn remove_fence(&self, _migration: &str) -> Result<Vec<Made>> {
        Ok(Vec::new())
    }
}

#[async_trait]
impl Rehearsing for MysqlStore {
    async fn make_scratch(&self, _name: &str) -> Result<Box<dyn Scratch>> {
        self.cannot("mysql.rehearse", NO_SCRATCH)
    }

    async fn open_exerciser(&self) -> Result<Box<dyn Exerciser>> {
        self.cannot("mysql.rehearse", NO_SCRATCH)
    }

    async fn drop_tables(&self, _tables: &[TableName]) -> Result<()> {
        self.cannot("mysql.rehearse", NO_SCRATCH)
    }
}
