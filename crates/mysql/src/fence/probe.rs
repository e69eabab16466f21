//! The probe: a table of our own under the fence, written as an application writes.

use async_trait::async_trait;
use crossfade_store::{Result, WriteProbe};
use sha2::{Digest as _, Sha256};

use super::register::{self, Lock};
use super::triggers;
use crate::connect::Client;
use crate::names::{OWN_PREFIX, quote};
use crate::session::Purpose;
use crate::{MysqlStore, guard, own};

/// The probe's table.
pub(super) fn table(migration: &str) -> String {
    let digest = Sha256::digest(migration.as_bytes());
    format!(
        "{OWN_PREFIX}probe_{}",
        crossfade_model::hex::encode(&digest[..10])
    )
}

/// One row, which is written again and again.
pub(super) struct Probe {
    client: Client,
    statement: String,
}

/// Opens; see [`crossfade_store::Fence::open_probe`].
pub(super) async fn open(store: &MysqlStore, migration: &str) -> Result<Probe> {
    let name = table(migration);
    let mut client = store.connect(Purpose::Build).await?;
    register::expect(&mut client, migration, Lock::No).await?;
    let doing = "making the probe's table";
    for sql in [
        // the fence of a closed store would refuse the row
        guard::pass(migration),
        format!(
            "CREATE TABLE IF NOT EXISTS {} (one TINYINT NOT NULL PRIMARY KEY, writes BIGINT UNSIGNED NOT NULL) {}",
            quote(&name),
            own::OPTIONS
        ),
        format!(
            "INSERT INTO {} VALUES (1, 0) ON DUPLICATE KEY UPDATE one = one",
            quote(&name)
        ),
    ] {
        client.run(doing, &sql).await?;
    }
    triggers::arm(&mut client, migration, &name).await?;
    client.close().await;
    let mut client = store.connect(Purpose::Fence).await?;
    // as an application waits
    client
        .run(doing, "SET SESSION innodb_lock_wait_timeout = 60")
        .await?;
    Ok(Probe {
        client,
        statement: format!("UPDATE {} SET writes = writes + 1", quote(&name)),
    })
}

#[async_trait]
impl WriteProbe for Probe {
    async fn write(&mut self) -> Result<()> {
        self.client
            .run("probing for writes", &self.statement)
            .await
            .map(drop)
    }
}
