//! Who a server is.

use crossfade_store::{ErrorKind, Result, SourceIdentity, StoreError};

use crate::session::Purpose;
use crate::store::PostgresStore;

/// System identifier, timeline and database: what must stay the same for log positions to mean the same. A server that was
/// restored or promoted has another one. Asked by a connection made for it: one that was kept may still lead to the server that was there
/// before.
///
/// # Errors
/// [`ErrorKind::Permission`] where the role may not ask; the connection's.
pub async fn identity(store: &PostgresStore) -> Result<SourceIdentity> {
    Ok(asked(store).await?.0)
}

/// The same, and whether it is a standby: one that was not promoted yet is on its primary's timeline.
///
/// # Errors
/// As [`identity`].
pub async fn incarnation(store: &PostgresStore) -> Result<String> {
    let (identity, standby) = asked(store).await?;
    let role = if standby { "standby" } else { "primary" };
    Ok(format!("{} {role}", identity.identity))
}

async fn asked(store: &PostgresStore) -> Result<(SourceIdentity, bool)> {
    let client = store.connect_anew(Purpose::Check).await?;
    let doing = "asking who the server is";
    let allowed: bool = client
        .query_one(
            doing,
            "SELECT has_function_privilege('pg_control_system()', 'EXECUTE')
                AND has_function_privilege('pg_control_checkpoint()', 'EXECUTE')",
            &[],
        )
        .await?
        .get(0);
    if !allowed {
        return Err(StoreError::new(
            ErrorKind::Permission,
            "postgres.identity",
            store.label(),
            "this role may not read the system identifier",
        )
        .fix(
            "GRANT EXECUTE ON FUNCTION pg_control_system(), pg_control_checkpoint() TO this role",
        ));
    }
    // a primary's timeline is the one it writes now: the name of its log file begins with it
    let row = client
        .query_one(
            doing,
            "SELECT s.system_identifier,
                    CASE WHEN pg_is_in_recovery() THEN lpad(to_hex(c.timeline_id), 8, '0')
                         ELSE lower(left(pg_walfile_name(pg_current_wal_lsn()), 8)) END,
                    d.oid::int8, current_setting('server_version'), pg_is_in_recovery()
             FROM pg_control_system() s, pg_control_checkpoint() c, pg_database d
             WHERE d.datname = current_database()",
            &[],
        )
        .await?;
    let (system, timeline, database): (i64, String, i64) = (row.get(0), row.get(1), row.get(2));
    let version: String = row.get(3);
    store.keep(client);
    let short = version.split(' ').next().unwrap_or(&version);
    let identity = SourceIdentity {
        version: format!("PostgreSQL {short}"),
        // the system identifier is unsigned
        identity: format!("{}/{timeline}/{database}", system as u64),
    };
    Ok((identity, row.get(4)))
}
