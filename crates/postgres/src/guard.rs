//! The guard: statement triggers that keep others from writing to tables that a migration fills.
//!
//! Ordinary triggers, so that a session under `session_replication_role = replica` passes; our own sessions also pass by
//! naming the migration in the setting [`APPLY_SETTING`]. The trigger's arguments say whose it is and whether the migration
//! made the table.

use crossfade_model::TableName;
use crossfade_store::Result;

use crate::connect::Client;
use crate::fence::gate_lookup;
use crate::names::{APPLY_SETTING, OWN_SCHEMA, qualified, quote_ident, quote_literal};

/// The trigger's name.
pub const TRIGGER: &str = "crossfade_guard";

/// A guarded table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guarded {
    /// The table, or a partition.
    pub table: TableName,
    /// The migration made it.
    pub made: bool,
}

/// Makes the guard's function where it is absent, and the schema that it lives in.
///
/// # Errors
/// The server's.
pub async fn make_function(client: &Client) -> Result<()> {
    let name = format!("{OWN_SCHEMA}.guard()");
    let present: bool = client
        .query_one(
            "looking for the guard",
            "SELECT to_regprocedure($1) IS NOT NULL",
            &[&name],
        )
        .await?
        .get(0);
    if present {
        return Ok(());
    }
    super::ddl::make_schema(client, OWN_SCHEMA).await?;
    client.batch("making the guard", &function()).await
}

/// Makes the function anew where it is there and knows no gate, or none of this form.
///
/// # Errors
/// The server's.
pub async fn renew_function(client: &Client) -> Result<()> {
    renew(client, "guard", &function()).await
}

/// Replaces a function of our schema where it is there without [`gate_lookup`]'s expression.
pub(crate) async fn renew(client: &Client, name: &str, statement: &str) -> Result<()> {
    let row = client
        .query_one(
            "looking at our functions",
            "SELECT EXISTS (SELECT FROM pg_proc WHERE oid = to_regprocedure($1) AND position($2 IN prosrc) = 0)",
            &[&format!("{OWN_SCHEMA}.{name}()"), &gate_lookup("TG_ARGV[0]")],
        )
        .await?;
    if row.get(0) {
        client.batch("making our functions anew", statement).await?;
    }
    Ok(())
}

/// While the store is open, or was and may be again, the fence's own trigger decides: the guard lets pass. The sequence that
/// says so is read as the role that made the function.
fn function() -> String {
    let gate = gate_lookup("TG_ARGV[0]");
    format!(
        "CREATE OR REPLACE FUNCTION {OWN_SCHEMA}.guard() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp AS $guard$
DECLARE
    gate regclass;
    closed bigint;
BEGIN
    IF pg_catalog.current_setting('{APPLY_SETTING}', true) OPERATOR(pg_catalog.=) TG_ARGV[0] THEN
        RETURN NULL;
    END IF;
    gate := {gate};
    IF gate IS NOT NULL THEN
        EXECUTE format('SELECT last_value FROM %s', gate) INTO closed;
        IF closed < 2 THEN
            RETURN NULL;
        END IF;
    END IF;
    RAISE EXCEPTION 'table %.% is filled by the crossfade migration %: it takes no other writes until the switch',
        TG_TABLE_SCHEMA, TG_TABLE_NAME, TG_ARGV[0]
        USING ERRCODE = '25006', HINT = 'Write to the migration''s source.';
END
$guard$"
    )
}

/// The statement that puts the guard on a table or partition.
pub fn create_statement(table: &TableName, migration: &str, made: bool) -> String {
    format!(
        "CREATE TRIGGER {} BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON {} \
         FOR EACH STATEMENT EXECUTE FUNCTION {OWN_SCHEMA}.guard({}, {})",
        quote_ident(TRIGGER),
        qualified(table),
        quote_literal(migration),
        if made { "'made'" } else { "'present'" }
    )
}

/// The statement that takes it off.
pub fn drop_statement(table: &TableName) -> String {
    format!(
        "DROP TRIGGER IF EXISTS {} ON {}",
        quote_ident(TRIGGER),
        qualified(table)
    )
}

/// The tables and partitions that a migration guards.
///
/// # Errors
/// The server's.
pub async fn guarded(client: &Client, migration: &str) -> Result<Vec<Guarded>> {
    // arguments are stored as bytes, each ended by a zero
    let rows = client
        .query(
            "looking for guards",
            "SELECT n.nspname::text, c.relname::text,
                    t.tgargs = convert_to($2, getdatabaseencoding()) || '\\x00'::bytea || 'made'::bytea || '\\x00'::bytea,
                    t.tgargs = convert_to($2, getdatabaseencoding()) || '\\x00'::bytea || 'present'::bytea || '\\x00'::bytea
             FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
             JOIN pg_namespace n ON n.oid = c.relnamespace
             WHERE t.tgname = $1 AND NOT t.tgisinternal
             ORDER BY 1, 2",
            &[&TRIGGER, &migration],
        )
        .await?;
    Ok(rows
        .iter()
        .filter(|row| row.get(2) || row.get(3))
        .map(|row| Guarded {
            table: TableName {
                schema: Some(row.get(0)),
                name: row.get(1),
            },
            made: row.get(2),
        })
        .collect())
}

/// Puts the guard on tables that are there without it and that are this role's: only an owner can take it off again.
///
/// # Errors
/// The server's.
pub async fn close(client: &Client, migration: &str, tables: &[TableName]) -> Result<()> {
    let names: Vec<String> = tables.iter().map(qualified).collect();
    let rows = client
        .query(
            "looking for guards",
            "SELECT k.place - 1 FROM unnest($1::text[]) WITH ORDINALITY AS k (name, place)
             JOIN pg_class c ON c.oid = to_regclass(k.name)
             WHERE pg_has_role(c.relowner, 'USAGE')
               AND NOT EXISTS (SELECT FROM pg_trigger t WHERE t.tgrelid = c.oid AND t.tgname = $2)",
            &[&names, &TRIGGER],
        )
        .await?;
    for row in rows {
        let place = usize::try_from(row.get::<_, i64>(0)).ok();
        if let Some(table) = place.and_then(|at| tables.get(at)) {
            let sql = create_statement(table, migration, false);
            super::ddl::patiently(client, "guarding a table", &sql).await?;
        }
    }
    Ok(())
}
