//! The statements by which a server notes strangers.

use crossfade_model::{TableMapping, TableName};

use super::{MOST_KEPT, ROW_TRIGGER, TRUNCATE_TRIGGER};
use crate::fence::gate_lookup;
use crate::names::{APPLY_SETTING, OWN_SCHEMA, qualified, quote_ident, quote_literal, schema_of};

/// Transactions that find no room are counted in so many rows a table, by their server processes: two of them hardly wait for
/// each other.
const SLOTS: u32 = 64;

/// The tables and the function.
pub(super) fn make() -> String {
    format!(
        "CREATE TABLE IF NOT EXISTS {OWN_SCHEMA}.stranger (
             id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
             migration text COLLATE \"C\" NOT NULL,
             table_schema text COLLATE \"C\" NOT NULL,
             table_name text COLLATE \"C\" NOT NULL,
             operation text NOT NULL,
             key text[],
             at timestamptz NOT NULL,
             session_user_name text NOT NULL,
             client_address text,
             application_name text NOT NULL,
             backend integer NOT NULL,
             xid xid8 NOT NULL,
             told boolean NOT NULL DEFAULT false);
         CREATE INDEX IF NOT EXISTS stranger_migration ON {OWN_SCHEMA}.stranger (migration);
         CREATE TABLE IF NOT EXISTS {OWN_SCHEMA}.stranger_more (
             migration text COLLATE \"C\" NOT NULL,
             table_schema text COLLATE \"C\" NOT NULL,
             table_name text COLLATE \"C\" NOT NULL,
             slot integer NOT NULL,
             at timestamptz NOT NULL,
             xid xid8 NOT NULL,
             PRIMARY KEY (migration, table_schema, table_name, slot));
         CREATE TABLE IF NOT EXISTS {OWN_SCHEMA}.stranger_watch (
             migration text COLLATE \"C\" NOT NULL,
             table_schema text COLLATE \"C\" NOT NULL,
             table_name text COLLATE \"C\" NOT NULL,
             PRIMARY KEY (migration, table_schema, table_name));
         {};
         REVOKE ALL ON FUNCTION {OWN_SCHEMA}.stranger() FROM PUBLIC",
        function()
    )
}

/// A store that is open has no strangers; whether it is cannot change in a transaction that has written, as it holds the fence's latch.
/// Keys become text by their types' output functions, under settings that are ours. What is left of the room is counted once in a
/// transaction, in a setting that ends with it; so is the fact that it was told to need more.
pub(super) fn function() -> String {
    let gate = gate_lookup("TG_ARGV[0]");
    format!(
        "CREATE OR REPLACE FUNCTION {OWN_SCHEMA}.stranger() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp SET DateStyle = 'ISO, MDY' SET IntervalStyle = 'postgres' SET TimeZone = 'UTC'
    SET extra_float_digits = '3' SET bytea_output = 'hex' SET lc_monetary = 'C' AS $stranger$
DECLARE
    room integer := nullif(current_setting('crossfade.stranger_room', true), '');
    full_tables text := coalesce(current_setting('crossfade.stranger_more', true), '');
    cells text;
    old_key text[];
    new_key text[];
    gate regclass;
    closed bigint := nullif(current_setting('crossfade.stranger_closed', true), '');
BEGIN
    IF closed IS NULL THEN
        gate := {gate};
        IF gate IS NOT NULL THEN
            EXECUTE format('SELECT last_value FROM %s', gate) INTO closed;
        END IF;
        closed := coalesce(closed, 1);
        PERFORM set_config('crossfade.stranger_closed', closed::text, true);
    END IF;
    IF closed = 0 THEN
        RETURN NULL;
    END IF;
    IF room IS NULL THEN
        SELECT {MOST_KEPT} - count(*) INTO room FROM {OWN_SCHEMA}.stranger WHERE migration = TG_ARGV[0];
    END IF;
    IF room < 2 THEN
        IF position(format(' %s ', TG_RELID) IN full_tables) = 0 THEN
            PERFORM set_config('crossfade.stranger_more', full_tables || format(' %s ', TG_RELID), true);
            INSERT INTO {OWN_SCHEMA}.stranger_more AS m
            VALUES (TG_ARGV[0], TG_ARGV[1], TG_ARGV[2], pg_backend_pid() % {SLOTS}, clock_timestamp(), pg_current_xact_id())
            ON CONFLICT (migration, table_schema, table_name, slot) DO UPDATE SET at = excluded.at, xid = excluded.xid;
        END IF;
        RETURN NULL;
    END IF;
    IF TG_LEVEL = 'ROW' AND TG_NARGS > 3 THEN
        FOR place IN 3 .. TG_NARGS - 1 LOOP
            cells := concat_ws(', ', cells, format('format(''%%s'', ($1).%I)', TG_ARGV[place]));
        END LOOP;
        IF TG_OP <> 'INSERT' THEN
            EXECUTE format('SELECT ARRAY[%s]::text[]', cells) INTO old_key USING OLD;
        END IF;
        IF TG_OP <> 'DELETE' THEN
            EXECUTE format('SELECT ARRAY[%s]::text[]', cells) INTO new_key USING NEW;
        END IF;
    END IF;
    INSERT INTO {OWN_SCHEMA}.stranger (migration, table_schema, table_name, operation, key, at, session_user_name,
        client_address, application_name, backend, xid)
    SELECT TG_ARGV[0], TG_ARGV[1], TG_ARGV[2], TG_OP, k.key, clock_timestamp(), session_user, host(inet_client_addr()),
           current_setting('application_name'), pg_backend_pid(), pg_current_xact_id()
    FROM (SELECT coalesce(new_key, old_key) UNION ALL SELECT old_key WHERE old_key <> new_key) AS k (key);
    PERFORM set_config('crossfade.stranger_room', (room - CASE WHEN old_key <> new_key THEN 2 ELSE 1 END)::text, true);
    RETURN NULL;
END
$stranger$"
    )
}

fn condition(migration: &str) -> String {
    format!(
        "WHEN (pg_catalog.current_setting('{APPLY_SETTING}', true) IS DISTINCT FROM {})",
        quote_literal(migration)
    )
}

/// The trigger's arguments: migration, the table, the key's columns.
fn arguments(mapping: &TableMapping, migration: &str) -> String {
    let table = &mapping.target.name;
    let mut arguments = vec![
        quote_literal(migration),
        quote_literal(schema_of(table)),
        quote_literal(&table.name),
    ];
    let key = mapping.source.key.iter().flat_map(|key| &key.columns);
    let columns = key.filter_map(|place| mapping.columns.get(*place));
    arguments.extend(columns.map(|column| quote_literal(&column.target)));
    arguments.join(", ")
}

/// The statements that put a trigger on a table or one of its partitions: one that fires under any replication role.
pub(super) fn create(
    mapping: &TableMapping,
    on: &TableName,
    trigger: &str,
    migration: &str,
) -> String {
    let event = if trigger == TRUNCATE_TRIGGER {
        "TRUNCATE"
    } else {
        "INSERT OR UPDATE OR DELETE"
    };
    let each = if trigger == TRUNCATE_TRIGGER {
        "STATEMENT"
    } else {
        "ROW"
    };
    format!(
        "CREATE TRIGGER {} AFTER {event} ON {} FOR EACH {each} {} EXECUTE FUNCTION {OWN_SCHEMA}.stranger({}); {}",
        quote_ident(trigger),
        qualified(on),
        condition(migration),
        arguments(mapping, migration),
        enable(on, trigger)
    )
}

/// The statement that switches a trigger on for every replication role.
pub(super) fn enable(on: &TableName, trigger: &str) -> String {
    format!(
        "ALTER TABLE {} ENABLE ALWAYS TRIGGER {}",
        qualified(on),
        quote_ident(trigger)
    )
}

/// The statement that takes a trigger off.
pub(crate) fn drop(on: &TableName, trigger: &str) -> String {
    format!(
        "DROP TRIGGER IF EXISTS {} ON {}",
        quote_ident(trigger),
        qualified(on)
    )
}

/// Triggers of a migration (`$2`) by these names (`$1`). Arguments are stored as bytes, each ended by a zero.
pub(super) fn marked() -> String {
    "SELECT n.nspname::text, c.relname::text, t.tgname::text
     FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE t.tgname = ANY ($1::text[]) AND NOT t.tgisinternal AND t.tgparentid = 0
       AND substr(t.tgargs, 1, octet_length(a.first)) = a.first
     ORDER BY 1, 2, 3"
        .replace(
            "WHERE",
            "CROSS JOIN (SELECT convert_to($2, getdatabaseencoding()) || '\\x00'::bytea) AS a (first) WHERE",
        )
}

/// Of tables by their quoted names (`$1`): their places in the list; whether the trigger `$2` is there; whether it fires always, on
/// the partitions too; whether the role may make it.
pub(super) fn states() -> String {
    "SELECT k.place - 1, t.oid IS NOT NULL,
            coalesce(t.tgenabled = 'A', false) AND NOT EXISTS (
                SELECT FROM pg_partition_tree(c.oid) p
                WHERE $2 = '"
        .to_owned()
        + ROW_TRIGGER
        + "' AND p.relid <> c.oid
                  AND NOT EXISTS (SELECT FROM pg_trigger l WHERE l.tgrelid = p.relid AND l.tgname = $2 AND l.tgenabled = 'A')),
            pg_has_role(c.relowner, 'USAGE')
     FROM unnest($1::text[]) WITH ORDINALITY AS k (name, place)
     JOIN pg_class c ON c.oid = to_regclass(k.name)
     LEFT JOIN pg_trigger t ON t.tgrelid = c.oid AND t.tgname = $2 AND NOT t.tgisinternal"
}
