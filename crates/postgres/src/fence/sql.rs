//! The fence's statements.

use crossfade_model::{TableName, reverse_lane};

use super::names;
use crate::names::{APPLY_SETTING, OWN_SCHEMA, qualified, quote_ident, quote_literal};

/// What writers read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gate {
    /// Writes pass.
    Open,
    /// The store was open and may open again: 40001, to be tried again.
    Window,
    /// Writes have gone to the other store: 25006.
    Moved,
    /// The store never had authority, or declined it: 25006.
    Closed,
}

impl Gate {
    /// Its value in the sequence.
    pub(super) fn value(self) -> i16 {
        match self {
            Gate::Open => 0,
            Gate::Window => 1,
            Gate::Moved => 2,
            Gate::Closed => 3,
        }
    }

    /// From a value; anything unknown is closed.
    pub(super) fn of(value: i64) -> Gate {
        match value {
            0 => Gate::Open,
            1 => Gate::Window,
            2 => Gate::Moved,
            _ => Gate::Closed,
        }
    }
}

/// The table of registers, the migration's gate and its triggers' function. `gate` counts where the sequence is absent.
pub(super) fn make(migration: &str, gate: Gate) -> String {
    let function = names::function(migration);
    format!(
        "CREATE TABLE IF NOT EXISTS {OWN_SCHEMA}.register (
             migration text COLLATE \"C\" PRIMARY KEY,
             mode text NOT NULL,
             epoch bigint NOT NULL,
             gate smallint NOT NULL,
             beginning text,
             tables text[] NOT NULL DEFAULT '{{}}');
         CREATE SEQUENCE IF NOT EXISTS {} AS smallint MINVALUE 0 MAXVALUE 3 START {};
         {};
         REVOKE ALL ON FUNCTION {function}() FROM PUBLIC",
        names::gate(migration),
        gate.value(),
        latch_function(migration),
    )
}

/// The function of the triggers. It runs as the role that made it, so that a writer needs no privilege.
fn latch_function(migration: &str) -> String {
    format!(
        "CREATE OR REPLACE FUNCTION {}() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
         SET search_path = pg_catalog, pg_temp AS $latch${}$latch$",
        names::function(migration),
        latch_body(migration),
    )
}

/// Its body, as the server keeps it. A row trigger returns its row: the server would leave it out otherwise.
pub(super) fn latch_body(migration: &str) -> String {
    let name = quote_literal(migration);
    format!(
        "
DECLARE
    gate bigint;
BEGIN
    PERFORM pg_advisory_xact_lock_shared({});
    SELECT last_value INTO STRICT gate FROM {};
    IF gate = {} THEN
        IF TG_LEVEL = 'STATEMENT' THEN
            RETURN NULL;
        ELSIF TG_OP = 'DELETE' THEN
            RETURN OLD;
        END IF;
        RETURN NEW;
    ELSIF gate = {} THEN
        RAISE EXCEPTION 'table %.% is being switched by the crossfade migration %: try the transaction again',
            TG_TABLE_SCHEMA, TG_TABLE_NAME, {name} USING ERRCODE = '40001';
    ELSIF gate = {} THEN
        RAISE EXCEPTION 'writes to table %.% have moved to the other store of the crossfade migration %',
            TG_TABLE_SCHEMA, TG_TABLE_NAME, {name}
            USING ERRCODE = '25006', HINT = 'Connect to the store that has the authority; `crossfade status` names it.';
    END IF;
    RAISE EXCEPTION 'table %.% is filled by the crossfade migration %: it takes no other writes until the switch',
        TG_TABLE_SCHEMA, TG_TABLE_NAME, {name}
        USING ERRCODE = '25006', HINT = 'Write to the migration''s other store.';
END
",
        names::latch(migration),
        names::gate(migration),
        Gate::Open.value(),
        Gate::Window.value(),
        Gate::Moved.value(),
    )
}

/// An expression of the server's SQL: the gate of the migration of which `argument` names a lane, as `regclass`; NULL where there is none.
pub(crate) fn gate_lookup(argument: &str) -> String {
    let back = reverse_lane("");
    let argument = format!("pg_catalog.regexp_replace({argument}, '{back}$', '')");
    format!(
        "pg_catalog.to_regclass('{OWN_SCHEMA}.gate_' || pg_catalog.encode(pg_catalog.substr(\
         pg_catalog.sha256(pg_catalog.convert_to({argument}, 'UTF8')), 1, 8), 'hex'))"
    )
}

/// The statements that put a trigger on one table, firing under any replication role; what is there is put right. (Every one of
/// them waits for the table's writers alone: PostgreSQL documentation, "Explicit Locking", SHARE ROW EXCLUSIVE.)
pub(super) fn arm(table: &TableName, migration: &str, rows: bool) -> String {
    let (name, events, each) = if rows {
        let name = names::row_trigger(migration);
        (name, "INSERT OR UPDATE OR DELETE", "ROW")
    } else {
        let name = names::trigger(migration);
        (name, "INSERT OR UPDATE OR DELETE OR TRUNCATE", "STATEMENT")
    };
    let (name, table) = (quote_ident(&name), qualified(table));
    // our own sessions write without the latch: both lanes'
    let setting = format!("pg_catalog.current_setting('{APPLY_SETTING}', true)");
    format!(
        "CREATE OR REPLACE TRIGGER {name} BEFORE {events} ON {table} FOR EACH {each}
         WHEN ({setting} IS DISTINCT FROM {} AND {setting} IS DISTINCT FROM {}) EXECUTE FUNCTION {}();
         ALTER TABLE ONLY {table} ENABLE ALWAYS TRIGGER {name}",
        quote_literal(migration),
        quote_literal(&reverse_lane(migration)),
        names::function(migration),
    )
}

/// What [`while_open`] raises (a code of our own, as PL/pgSQL's documentation, "Errors and Messages", allows).
pub(super) const NOT_OPEN: &str = "CF001";

/// A statement that takes the latch shared, for its transaction, and fails with [`NOT_OPEN`] where it is not to be had at once or the
/// register does not say open.
pub(super) fn while_open(migration: &str) -> String {
    format!(
        "DO $open$ BEGIN
             IF NOT pg_try_advisory_xact_lock_shared({}) OR NOT EXISTS (
                 SELECT FROM {OWN_SCHEMA}.register WHERE migration = {} AND mode = 'open') THEN
                 RAISE EXCEPTION 'the register does not say open' USING ERRCODE = '{NOT_OPEN}';
             END IF;
         END $open$",
        names::latch(migration),
        quote_literal(migration),
    )
}

/// The statement that takes the triggers off a table.
pub(super) fn disarm(table: &TableName, migration: &str) -> String {
    let table = qualified(table);
    format!(
        "DROP TRIGGER IF EXISTS {} ON {table}; DROP TRIGGER IF EXISTS {} ON {table}",
        quote_ident(&names::trigger(migration)),
        quote_ident(&names::row_trigger(migration)),
    )
}

/// Of `pg_locks l`: the latch `$1`, held. (A 64-bit key stands in two columns: PostgreSQL documentation, "pg_locks".)
pub(super) const IS_LATCH: &str = "l.locktype = 'advisory' AND l.objsubid = 1 AND l.granted
     AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
     AND l.classid::bigint = (($1::bigint >> 32) & 4294967295)
     AND l.objid::bigint = ($1::bigint & 4294967295)";
