//! Refusing changes of the tables' shapes while a switch is near: event triggers, where the role may make them.
//!
//! A net against accidents, not a lock: sessions of the program pass by their names.

use crossfade_model::Table;
use crossfade_store::{ErrorKind, Result};

use super::{closure, names};
use crate::connect::Client;
use crate::ddl::make_schema;
use crate::names::{OWN_SCHEMA, qualified, quote_ident, quote_literal};
use crate::session::Purpose;
use crate::store::PostgresStore;

/// Freezes or lifts; see [`crossfade_store::Fence::freeze_ddl`].
///
/// # Errors
/// The server's; that the role may not make event triggers is none.
pub(super) async fn freeze_ddl(
    store: &PostgresStore,
    migration: &str,
    tables: &[Table],
    frozen: bool,
) -> Result<bool> {
    let client = store.connect(Purpose::Fence).await?;
    let done = if frozen {
        make(&client, migration, tables).await
    } else {
        lift(&client, migration).await
    };
    match done {
        Ok(()) => {
            store.keep(client);
            Ok(true)
        }
        // superusers may, and whom a provider allows (PostgreSQL documentation, "CREATE EVENT TRIGGER")
        Err(e) if e.kind == ErrorKind::Permission => Ok(false),
        Err(e) => Err(e),
    }
}

async fn make(client: &Client, migration: &str, tables: &[Table]) -> Result<()> {
    let names: Vec<String> = tables.iter().map(|t| qualified(&t.name)).collect();
    let members = closure::read(client, migration, &names).await?;
    let oids: Vec<String> = members.iter().map(|m| m.oid.to_string()).collect();
    make_schema(client, OWN_SCHEMA).await?;
    let function = names::freeze_function(migration);
    let mut sql = format!(
        "BEGIN; {}; {}; REVOKE ALL ON FUNCTION {function}() FROM PUBLIC;",
        drop_triggers(migration),
        freeze_function(migration, &oids.join(",")),
    );
    for (name, event) in names::freezes(migration).into_iter().zip(EVENTS) {
        let name = quote_ident(&name);
        sql.push_str(&format!(
            "CREATE EVENT TRIGGER {name} ON {event} EXECUTE FUNCTION {function}();
             ALTER EVENT TRIGGER {name} ENABLE ALWAYS;"
        ));
    }
    sql.push_str("COMMIT");
    in_transaction(client, "freezing the tables' shapes", &sql).await
}

/// Lifts the freeze; no error where there is none.
///
/// # Errors
/// The server's.
pub(super) async fn lift(client: &Client, migration: &str) -> Result<()> {
    let sql = format!(
        "BEGIN; {}; DROP FUNCTION IF EXISTS {}(); COMMIT",
        drop_triggers(migration),
        names::freeze_function(migration)
    );
    in_transaction(client, "lifting the freeze", &sql).await
}

async fn in_transaction(client: &Client, doing: &str, sql: &str) -> Result<()> {
    let done = client.batch(doing, sql).await;
    if done.is_err() {
        // the connection goes on after the failed transaction; its own error is the one to tell
        let _ended = client.batch("ending a transaction", "ROLLBACK").await;
    }
    done
}

const EVENTS: [&str; 2] = [
    "ddl_command_end WHEN TAG IN ('ALTER TABLE', 'CREATE TABLE', 'CREATE TABLE AS', 'SELECT INTO')",
    "sql_drop",
];

fn drop_triggers(migration: &str) -> String {
    names::freezes(migration)
        .map(|name| format!("DROP EVENT TRIGGER IF EXISTS {}", quote_ident(&name)))
        .join("; ")
}

/// Raises where a command has changed one of the tables, made one below them, or dropped one or a trigger of the fence. The command goes
/// back with the error.
fn freeze_function(migration: &str, oids: &str) -> String {
    let name = quote_literal(migration);
    format!(
        "CREATE OR REPLACE FUNCTION {}() RETURNS event_trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $freeze$
DECLARE
    frozen oid[] := '{{{oids}}}';
    touched text;
BEGIN
    IF current_setting('application_name') LIKE 'crossfade:%' THEN
        RETURN;
    END IF;
    IF TG_EVENT = 'sql_drop' THEN
        SELECT o.object_identity INTO touched FROM pg_event_trigger_dropped_objects() o
        WHERE o.classid = 'pg_class'::regclass AND o.objid = ANY (frozen)
           OR o.object_type = 'trigger' AND o.address_names[array_length(o.address_names, 1)] IN ({}, {}) LIMIT 1;
    ELSE
        SELECT c.object_identity INTO touched FROM pg_event_trigger_ddl_commands() c
        WHERE c.classid = 'pg_class'::regclass AND (c.objid = ANY (frozen) OR EXISTS (
            SELECT FROM pg_inherits i WHERE i.inhrelid = c.objid AND i.inhparent = ANY (frozen))) LIMIT 1;
    END IF;
    IF touched IS NOT NULL THEN
        RAISE EXCEPTION '% is being switched by the crossfade migration %: its shape may not change now', touched, {name}
            USING ERRCODE = '55006', HINT = 'Wait until the switch is over.';
    END IF;
END
$freeze$",
        names::freeze_function(migration),
        quote_literal(&names::trigger(migration)),
        quote_literal(&names::row_trigger(migration)),
    )
}
