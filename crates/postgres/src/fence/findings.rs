//! What speaks against a fence, and what it cannot stop.

use crossfade_model::{Finding, Severity, Table};
use crossfade_store::Result;

use super::closure::{self, Member};
use super::register::OLDEST;
use crate::connect::Client;
use crate::names::{OWN_SCHEMA, qualified, quote_ident};
use crate::session::Purpose;
use crate::store::PostgresStore;

/// The store may be either side of the migration: who asks knows which.
pub(super) const PLACE: &str = "store";

/// See [`crossfade_store::Fence::fence_findings`].
///
/// # Errors
/// The connection's.
pub(super) async fn findings(
    store: &PostgresStore,
    migration: &str,
    tables: &[Table],
) -> Result<Vec<Finding>> {
    let client = store.connect(Purpose::Check).await?;
    if client.version() < OLDEST {
        return Ok(vec![
            Finding::blocks(
                "postgres.fence_version",
                PLACE,
                format!(
                    "the server is version {}: a fence needs 14, which ends a session that is silent",
                    client.version() / 10_000
                ),
            )
            .fix("Upgrade the server"),
        ]);
    }
    let names: Vec<String> = tables.iter().map(|t| qualified(&t.name)).collect();
    let mut out = of_server(&client).await?;
    let role: String = client
        .query_one("checking the fence", "SELECT current_user::text", &[])
        .await?
        .get(0);
    for member in closure::read(&client, migration, &names).await? {
        out.extend(of_member(&member, &role));
    }
    store.keep(client);
    Ok(out)
}

fn of_member(member: &Member, role: &str) -> Vec<Finding> {
    let name = member.name.to_string();
    let mut out = Vec::new();
    if member.foreign {
        let what = "its rows are on another server, where the fence does not reach";
        out.push(
            Finding::blocks("postgres.fence_foreign", PLACE, what)
                .fix("Detach the foreign table, or leave it out of the migration"),
        );
    } else if !member.owned {
        let what = format!("role {role} does not own it: it can put no fence on it");
        out.push(
            Finding::blocks("postgres.fence_owner", PLACE, what).fix(format!(
                "ALTER TABLE {} OWNER TO {}; or grant the owner's role to it",
                qualified(&member.name),
                quote_ident(role)
            )),
        );
    }
    if member.above {
        let what = "a migrated table hangs below it: while the fence is closed, no write passes through it, to its other tables neither";
        let warning = Finding::new("postgres.fence_above", Severity::Warning, PLACE, what);
        out.push(
            warning.fix("Migrate all tables below it, or write to the others by their own names"),
        );
    }
    if member.needs_rows {
        let what = "a subscription writes into it: its worker waits at the fence, and fails once the fence is closed";
        let warning = Finding::new(
            "postgres.fence_subscription",
            Severity::Warning,
            PLACE,
            what,
        );
        out.push(warning.fix("ALTER SUBSCRIPTION … DISABLE before the switch"));
    }
    if member.unlogged {
        let what = "it is unlogged: a crash of the server empties it, fenced or not";
        out.push(Finding::new(
            "postgres.fence_unlogged",
            Severity::Warning,
            PLACE,
            what,
        ));
    }
    out.into_iter().map(|f| f.table(&name)).collect()
}

const FACTS: &str = "SELECT pg_is_in_recovery(),
        current_setting('max_prepared_transactions')::int8,
        (SELECT string_agg(format('%s of role %s', quote_literal(gid), owner), ', ')
         FROM (SELECT gid, owner FROM pg_prepared_xacts WHERE database = current_database() ORDER BY prepared LIMIT 5) p),
        CASE WHEN to_regnamespace($1) IS NULL THEN has_database_privilege(current_database(), 'CREATE')
             ELSE has_schema_privilege($1, 'CREATE') END,
        (SELECT rolsuper FROM pg_roles WHERE rolname = current_user),
        pg_has_role(current_user, 'pg_signal_backend', 'USAGE'),
        current_user::text";

async fn of_server(client: &Client) -> Result<Vec<Finding>> {
    let row = client
        .query_one("checking the fence", FACTS, &[&OWN_SCHEMA])
        .await?;
    let role: String = row.get(6);
    let note = |code: &str, what: String| Finding::new(code, Severity::Note, PLACE, what);
    let mut out = vec![note(
        "postgres.fence_limits",
        "the fence stops writes to rows; not changes of shape, sequences, large objects, nor a superuser who disables its triggers \
         (that is noticed)"
            .into(),
    )];
    if row.get(0) {
        let what = "the server is a standby: it takes no writes, and no fence";
        out.push(
            Finding::blocks("postgres.fence_standby", PLACE, what).fix("Give the primary's URL"),
        );
    }
    if row.get::<_, i64>(1) > 0 {
        out.push(note(
            "postgres.fence_two_phase",
            "transactions can be prepared here: one that has written and waits for its COMMIT PREPARED keeps the fence from being fired".into(),
        ));
    }
    if let Some(prepared) = row.get::<_, Option<String>>(2) {
        let what = format!("prepared transactions are open: {prepared}");
        let warning = Finding::new("postgres.fence_prepared", Severity::Warning, PLACE, what);
        out.push(warning.fix("COMMIT PREPARED or ROLLBACK PREPARED them before the switch"));
    }
    if !row.get::<_, Option<bool>>(3).unwrap_or(false) {
        let what = format!("role {role} may not make the register in schema {OWN_SCHEMA}");
        let blocks = Finding::blocks("postgres.fence_schema", PLACE, what);
        out.push(blocks.fix(format!(
            "CREATE SCHEMA {OWN_SCHEMA} AUTHORIZATION {};",
            quote_ident(&role)
        )));
    }
    let superuser: bool = row.get(4);
    if !superuser {
        out.push(note(
            "postgres.fence_freeze",
            format!("role {role} may make no event triggers: changes of shape during the switch are noticed, not refused"),
        ));
        if !row.get::<_, bool>(5) {
            let what = format!(
                "role {role} may not end others' transactions: one that stays open makes the switch give up"
            );
            let note = note("postgres.fence_signal", what);
            out.push(note.fix(format!(
                "GRANT pg_signal_backend TO {};",
                quote_ident(&role)
            )));
        }
    }
    Ok(out)
}
