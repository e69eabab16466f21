//! What speaks against a fence, and what it cannot stop.

use crossfade_model::{Finding, Severity, Table};
use crossfade_store::{ErrorKind, Result};

use crate::connect::Client;
use crate::describe::catalog;
use crate::findings::{refused_by_triggers, trigger_rights};
use crate::server::Flavor;

/// The store may be either side of the migration: who asks knows which.
const PLACE: &str = "store";

/// See [`crossfade_store::Fence::fence_findings`].
pub(super) async fn findings(client: &mut Client, tables: &[Table]) -> Result<Vec<Finding>> {
    let mut out = vec![Finding::new(
        "mysql.fence_limits",
        Severity::Note,
        PLACE,
        "the fence is triggers: it does not stop TRUNCATE, definitions, and whoever drops triggers; the last is looked for",
    )];
    let server = std::sync::Arc::clone(&client.server);
    out.extend(trigger_rights(client, &server, PLACE).await?);
    if server.is_on("wsrep_on") {
        out.push(
            Finding::blocks(
                "mysql.galera",
                PLACE,
                "the server is a node of a cluster: other nodes' writes pass a fence of this one",
            )
            .fix("Switch a server that is no node of a cluster"),
        );
    }
    for what in in_the_way(client).await? {
        out.push(Finding::blocks("mysql.fence_passed", PLACE, what));
    }
    let names: Vec<String> = tables.iter().map(|t| t.name.name.clone()).collect();
    let bare: Vec<&str> = names.iter().map(String::as_str).collect();
    out.extend(refused_by_triggers(client, &bare, PLACE).await?);
    for (table, what) in cascades(client, &names).await? {
        out.push(
            Finding::blocks("mysql.fence_cascade", PLACE, what)
                .table(table)
                .fix("Take the parent into the migration, or give the key no actions"),
        );
    }
    Ok(out)
}

/// Tables whose rows change with those of a table that is not fenced, and by which foreign key, in words.
pub(super) async fn cascades(
    client: &mut Client,
    fenced: &[String],
) -> Result<Vec<(String, String)>> {
    let foreign_keys = catalog::foreign_keys(client).await?;
    let acts = |rule: &str| matches!(rule, "CASCADE" | "SET NULL" | "SET DEFAULT");
    let mut out = Vec::new();
    for table in fenced {
        for key in foreign_keys.get(table).into_iter().flatten() {
            let parent_is_fenced = key.parent_schema.is_none() && fenced.contains(&key.parent);
            if !parent_is_fenced && (acts(&key.on_delete) || acts(&key.on_update)) {
                let what = format!(
                    "foreign key {} changes its rows when rows of {} change, which no trigger sees, and that table is not in the migration",
                    key.name, key.parent
                );
                out.push((table.clone(), what));
            }
        }
    }
    Ok(out)
}

/// What passes the fence now, in words: prepared transactions, which commit without running a trigger; a replica's applier, which runs none.
pub(super) async fn in_the_way(client: &mut Client) -> Result<Vec<String>> {
    let mut out = Vec::new();
    let doing = "looking for what passes the fence";
    match client.rows(doing, "XA RECOVER").await {
        Ok(prepared) if prepared.is_empty() => {}
        Ok(prepared) => out.push(format!(
            "{} prepared transactions are open, and can commit through the fence (XA RECOVER lists them)",
            prepared.len()
        )),
        Err(e) if matches!(e.kind, ErrorKind::Permission | ErrorKind::Internal) => out.push(
            "this user may not look for prepared transactions, which can commit through the fence: GRANT XA_RECOVER_ADMIN ON *.* to it"
                .to_owned(),
        ),
        Err(e) => return Err(e),
    }
    let replica = match client.server.flavor {
        Flavor::Mysql => "SHOW REPLICA STATUS",
        Flavor::Mariadb => "SHOW ALL SLAVES STATUS",
    };
    match client.rows(doing, replica).await {
        Ok(channels) if channels.is_empty() => {}
        Ok(_) => out.push(
            "the server is a replica: what it applies passes the fence. Stop it, and forget where it was (RESET REPLICA ALL)"
                .to_owned(),
        ),
        Err(e) if matches!(e.kind, ErrorKind::Permission | ErrorKind::Internal) => out.push(
            "this user may not ask whether the server is a replica, which applies through the fence: GRANT REPLICATION CLIENT ON *.* to it"
                .to_owned(),
        ),
        Err(e) => return Err(e),
    }
    Ok(out)
}

/// Replicas are not asked what they hold: whoever names some waits for an answer that does not come.
pub(super) fn standbys(named: &[String]) -> Vec<Finding> {
    if named.is_empty() {
        return Vec::new();
    }
    let what = "what replicas of MySQL and MariaDB hold is not asked, and [standbys] names some for this side";
    vec![Finding::blocks("mysql.standbys", "store", what).fix(
        "Take them out of [standbys], and let no replica be promoted while a switch is under way",
    )]
}
