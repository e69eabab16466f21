//! The target: may it be written, and is anything in the way?

use std::collections::BTreeSet;

use crossfade_model::{Finding, Severity, TableMapping};
use crossfade_store::Result;

use super::{TARGET, shown};
use crate::connect::Client;
use crate::describe::catalog::{Catalog, Relation};
use crate::describe::key::names;
use crate::fence;
use crate::grants::replica_by_default;
use crate::guard;
use crate::names::{OWN_SCHEMA, qualified, quote_ident, schema_of};
use crate::strangers;

/// What the target's database and role are like.
struct Facts {
    role: String,
    database: String,
    may_skip_triggers: bool,
    /// The function of the triggers by which this migration's own fence stands in its tables: its appliers pass.
    fence: String,
}

/// All that speaks against these tables.
pub async fn check(
    client: &Client,
    catalog: &Catalog,
    migration: &str,
    tables: &[TableMapping],
    fresh: bool,
) -> Result<Vec<Finding>> {
    let mut out = Vec::new();
    let mut facts = database(client, &mut out).await?;
    facts.fence = fence::trigger_function(migration);
    schemas(client, tables, &facts, &mut out).await?;
    for mapping in tables {
        let table = shown(&mapping.target.name);
        let mut found = Vec::new();
        if client.version() < 180_000 && has_virtual_column(mapping) {
            found.push(
                Finding::blocks(
                    "postgres.virtual_column",
                    TARGET,
                    "it has a virtual generated column, which came with version 18",
                )
                .fix("Upgrade the target, or make the table there with a stored column"),
            );
        }
        match catalog.named(&mapping.target.name) {
            Some(relation) => {
                present(
                    client, catalog, relation, mapping, &facts, fresh, &mut found,
                )
                .await?;
            }
            None => absent(client, mapping, &mut found).await?,
        }
        if !facts.may_skip_triggers {
            found.extend(foreign_keys_that_act(client, mapping, &facts));
        }
        out.extend(found.into_iter().map(|f| f.table(&table)));
    }
    Ok(out)
}

fn blocks(code: &str, what: impl Into<String>, fix: impl Into<String>) -> Finding {
    Finding::blocks(code, TARGET, what).fix(fix)
}

/// What lets a role's sessions skip triggers and foreign keys. Both names are quoted.
fn skip_triggers(client: &Client, role: &str, database: &str) -> String {
    if client.version() < 150_000 {
        format!("{};", replica_by_default(role, database))
    } else {
        format!("GRANT SET ON PARAMETER session_replication_role TO {role};")
    }
}

/// An expression of the server's SQL: whether this role's sessions can keep triggers quiet.
pub(super) fn may_skip_triggers(client: &Client) -> &'static str {
    if client.version() >= 150_000 {
        "has_parameter_privilege('session_replication_role', 'SET')"
    } else {
        "(SELECT rolsuper OR current_setting('session_replication_role') = 'replica' FROM pg_roles WHERE rolname = current_user)"
    }
}

async fn database(client: &Client, out: &mut Vec<Finding>) -> Result<Facts> {
    let parameter = may_skip_triggers(client);
    let row = client
        .query_one(
            "checking the target",
            &format!(
                "SELECT current_user::text, current_database()::text, pg_is_in_recovery(),
                        has_database_privilege(current_database(), 'CREATE'),
                        has_database_privilege(current_database(), 'TEMPORARY'),
                        {parameter}, to_regnamespace('{OWN_SCHEMA}') IS NOT NULL,
                        coalesce(has_schema_privilege(to_regnamespace('{OWN_SCHEMA}')::oid, 'USAGE'), false)
                            AND coalesce(has_schema_privilege(to_regnamespace('{OWN_SCHEMA}')::oid, 'CREATE'), false),
                        current_setting('server_encoding')"
            ),
            &[],
        )
        .await?;
    let (role, database): (String, String) = (row.get(0), row.get(1));
    let (role, database) = (quote_ident(&role), quote_ident(&database));
    if row.get(2) {
        out.push(blocks(
            "postgres.standby",
            "the server is a standby: nothing can be written to it",
            "Give the primary's URL",
        ));
    }
    let has_own_schema: bool = row.get(6);
    if !has_own_schema && !row.get::<_, bool>(3) {
        out.push(blocks(
            "postgres.create_on_database",
            format!("the role may not make schema {OWN_SCHEMA}, which holds the checkpoint"),
            format!("GRANT CREATE ON DATABASE {database} TO {role};"),
        ));
    }
    if has_own_schema && !row.get::<_, bool>(7) {
        out.push(blocks(
            "postgres.own_schema",
            format!("schema {OWN_SCHEMA} is there, and the role may not use it"),
            format!("GRANT USAGE, CREATE ON SCHEMA {OWN_SCHEMA} TO {role};"),
        ));
    }
    if !row.get::<_, bool>(4) {
        out.push(blocks(
            "postgres.temporary_tables",
            "the role may not make temporary tables, in which changes are staged",
            format!("GRANT TEMPORARY ON DATABASE {database} TO {role};"),
        ));
    }
    let may_skip_triggers: bool = row.get(5);
    if !may_skip_triggers {
        out.push(
            Finding::new(
                "postgres.session_replication_role",
                Severity::Warning,
                TARGET,
                "the role may not set session_replication_role: triggers and foreign keys of the target's tables run for applied rows too",
            )
            .fix(skip_triggers(client, &role, &database)),
        );
    }
    let encoding: String = row.get(8);
    if encoding != "UTF8" {
        out.push(
            Finding::new(
                "postgres.encoding",
                Severity::Warning,
                TARGET,
                format!("the database's encoding is {encoding}: a text that it cannot hold stops the migration"),
            )
            .fix("Make the database with ENCODING 'UTF8'"),
        );
    }
    Ok(Facts {
        role,
        database,
        may_skip_triggers,
        fence: String::new(),
    })
}

async fn schemas(
    client: &Client,
    tables: &[TableMapping],
    facts: &Facts,
    out: &mut Vec<Finding>,
) -> Result<()> {
    let names: BTreeSet<&str> = tables
        .iter()
        .flat_map(|m| {
            std::iter::once(&m.target.name).chain(m.target.partitions.iter().map(|p| &p.name))
        })
        .map(schema_of)
        .collect();
    let names: Vec<&str> = names.into_iter().collect();
    let rows = client
        .query(
            "checking the target's schemas",
            "SELECT s.name, n.oid IS NOT NULL,
                    coalesce(has_schema_privilege(n.oid, 'USAGE') AND has_schema_privilege(n.oid, 'CREATE'),
                             has_database_privilege(current_database(), 'CREATE'))
             FROM unnest($1::text[]) AS s (name) LEFT JOIN pg_namespace n ON n.nspname = s.name",
            &[&names],
        )
        .await?;
    for row in rows {
        let (schema, present, allowed): (&str, bool, bool) = (row.get(0), row.get(1), row.get(2));
        if allowed {
            continue;
        }
        let quoted = quote_ident(schema);
        let role = &facts.role;
        out.push(blocks(
            "postgres.create_in_schema",
            format!("the role may not make tables in schema {schema}"),
            if present {
                format!("GRANT USAGE, CREATE ON SCHEMA {quoted} TO {role};")
            } else {
                format!("CREATE SCHEMA {quoted}; GRANT USAGE, CREATE ON SCHEMA {quoted} TO {role};")
            },
        ));
    }
    Ok(())
}

fn has_virtual_column(mapping: &TableMapping) -> bool {
    mapping
        .target
        .columns
        .iter()
        .any(|c| c.generated.as_ref().is_some_and(|g| !g.stored))
}

/// A table that is to be made: its name must be free, and what its columns are made of must be there.
async fn absent(client: &Client, mapping: &TableMapping, out: &mut Vec<Finding>) -> Result<()> {
    let collations: Vec<&str> = mapping
        .target
        .columns
        .iter()
        .filter_map(|c| c.collation.as_deref())
        .collect();
    let types: Vec<&str> = mapping
        .target
        .columns
        .iter()
        .map(|c| c.declared.as_str())
        .filter(|t| t.contains('.'))
        .collect();
    let rows = client
        .query(
            "checking what a table is made of",
            "SELECT 'collation', c FROM unnest($1::text[]) c WHERE to_regcollation(c) IS NULL
             UNION SELECT 'type', t FROM unnest($2::text[]) t WHERE to_regtype(t) IS NULL
             UNION SELECT 'name', $3::text WHERE to_regclass($3) IS NOT NULL",
            &[&collations, &types, &qualified(&mapping.target.name)],
        )
        .await?;
    for row in rows {
        let (kind, name): (&str, &str) = (row.get(0), row.get(1));
        out.push(match kind {
            "collation" => blocks(
                "postgres.collation_missing",
                format!("collation {name} is not on the target"),
                format!("CREATE COLLATION {name} on the target, as it is on the source"),
            ),
            "type" => Finding::new(
                "postgres.type_missing",
                Severity::Note,
                TARGET,
                format!("type {name} is not on the target yet; enums, domains and composites are made with the tables"),
            )
            .fix("Where it is an extension's type, create the extension on the target first"),
            _ => blocks(
                "postgres.name_taken",
                "something else has its name: a view, sequence or index",
                "Rename that, or map the table to another name",
            ),
        });
    }
    Ok(())
}

/// A table that is there: it must be writable and, before the first run, empty and without what would refuse rows.
async fn present(
    client: &Client,
    catalog: &Catalog,
    relation: &Relation,
    mapping: &TableMapping,
    facts: &Facts,
    fresh: bool,
    out: &mut Vec<Finding>,
) -> Result<()> {
    let name = qualified(&relation.name);
    if relation.kind == 'f' {
        out.push(blocks(
            "postgres.foreign_table",
            "it is a foreign table",
            "Map the table to an ordinary one",
        ));
        return Ok(());
    }
    if relation.persistence != 'p' {
        out.push(blocks(
            "postgres.unlogged",
            "it is unlogged: a crash would empty it behind the checkpoint",
            format!("ALTER TABLE {name} SET LOGGED;"),
        ));
    }
    let row = client
        .query_one(
            "checking a table of the target",
            "SELECT has_table_privilege($1::oid, 'SELECT') AND has_table_privilege($1::oid, 'INSERT')
                    AND has_table_privilege($1::oid, 'UPDATE') AND has_table_privilege($1::oid, 'DELETE'),
                    pg_has_role(c.relowner, 'USAGE'), row_security_active($1::oid)
             FROM pg_class c WHERE c.oid = $1::oid",
            &[&relation.oid],
        )
        .await?;
    let (may_write, owns, hidden): (bool, bool, bool) = (row.get(0), row.get(1), row.get(2));
    if !may_write {
        out.push(blocks(
            "postgres.write",
            "the role may not read and write it",
            format!(
                "GRANT SELECT, INSERT, UPDATE, DELETE ON TABLE {name} TO {};",
                facts.role
            ),
        ));
    } else if fresh && !hidden {
        let filled: bool = client
            .query_one(
                "looking whether a table is empty",
                &format!("SELECT EXISTS (SELECT FROM {name})"),
                &[],
            )
            .await?
            .get(0);
        if filled {
            out.push(blocks(
                "postgres.not_empty",
                "it holds rows",
                format!("TRUNCATE TABLE {name}; or map the table to another name"),
            ));
        }
    }
    if hidden {
        out.push(blocks(
            "postgres.row_security",
            "row-level security holds for the role",
            format!("ALTER ROLE {} BYPASSRLS;", facts.role),
        ));
    }
    if !owns {
        out.push(
            Finding::new(
                "postgres.strangers",
                Severity::Note,
                TARGET,
                "the role does not own it: other sessions' writes are neither refused nor noted, only `verify` sees them",
            )
            .fix(format!("ALTER TABLE {name} OWNER TO {};", facts.role)),
        );
    }
    if fresh {
        if !owns && !has_planned_key(catalog, relation, mapping) {
            out.push(blocks(
                "postgres.table_owner",
                "its key is to be built after the load, and the role does not own it",
                format!("ALTER TABLE {name} OWNER TO {};", facts.role),
            ));
        }
        unique_in_the_way(catalog, relation, mapping, out);
        foreign_keys_in_the_way(catalog, relation, out);
    }
    triggers_in_the_way(client, relation, facts, out).await
}

/// The key's columns by their names on the target, sorted.
fn planned_key(mapping: &TableMapping) -> Vec<&str> {
    let mut columns = mapping.target_key_names();
    columns.sort_unstable();
    columns
}

fn has_planned_key(catalog: &Catalog, relation: &Relation, mapping: &TableMapping) -> bool {
    let planned = planned_key(mapping);
    planned.is_empty()
        || catalog.indexes_of(relation.oid).iter().any(|i| {
            let mut columns = names(catalog, relation, i);
            columns.sort_unstable();
            i.unique && i.valid && i.immediate && !i.partial && !i.expressions && columns == planned
        })
}

/// Unique values move between rows while chunks are loaded beside the stream: what refuses them comes after.
fn unique_in_the_way(
    catalog: &Catalog,
    relation: &Relation,
    mapping: &TableMapping,
    out: &mut Vec<Finding>,
) {
    let planned = planned_key(mapping);
    for index in catalog.indexes_of(relation.oid) {
        let mut columns = names(catalog, relation, index);
        columns.sort_unstable();
        let is_key = index.immediate && !index.partial && !index.expressions && columns == planned;
        if !(index.unique || index.exclusion) || is_key {
            continue;
        }
        let table = qualified(&relation.name);
        let (what, fix) = match &index.constraint {
            Some((name, _, definition)) => (
                format!(
                    "constraint {name} ({definition}) would refuse rows while they arrive out of order"
                ),
                format!(
                    "ALTER TABLE {table} DROP CONSTRAINT {name}; and after the load ALTER TABLE {table} ADD CONSTRAINT {name} {definition};",
                    name = quote_ident(name)
                ),
            ),
            None => (
                format!(
                    "unique index {} would refuse rows while they arrive out of order",
                    index.name
                ),
                format!(
                    "DROP INDEX {}.{}; and after the load {};",
                    quote_ident(schema_of(&relation.name)),
                    quote_ident(&index.name),
                    index.definition
                ),
            ),
        };
        out.push(blocks("postgres.unique_in_the_way", what, fix));
    }
}

/// Rows may be written by taking them away and putting them back, and children may come before their parents: a foreign key that is at work
/// then takes or changes rows that the stream does not bring again, or refuses those that it brings.
fn foreign_keys_that_act(
    client: &Client,
    mapping: &TableMapping,
    facts: &Facts,
) -> Option<Finding> {
    let keys = &mapping.target.foreign_keys;
    let names: Vec<&str> = keys.iter().map(|key| key.name.as_str()).collect();
    (!names.is_empty()).then(|| {
        blocks(
            "postgres.foreign_keys_act",
            format!(
                "foreign keys ({}) would act on rows as they are written, since the role may not set session_replication_role",
                names.join(", ")
            ),
            skip_triggers(client, &facts.role, &facts.database),
        )
    })
}

fn foreign_keys_in_the_way(catalog: &Catalog, relation: &Relation, out: &mut Vec<Finding>) {
    let table = qualified(&relation.name);
    for key in catalog
        .constraints_of(relation.oid)
        .iter()
        .filter(|c| c.kind == 'f' && !c.inherited)
    {
        let name = quote_ident(&key.name);
        out.push(blocks(
            "postgres.foreign_key_in_the_way",
            format!("foreign key {} would be checked before its parents arrive, or never", key.name),
            format!(
                "ALTER TABLE {table} DROP CONSTRAINT {name}; and after the load ALTER TABLE {table} ADD CONSTRAINT {name} {};",
                key.definition
            ),
        ));
    }
}

/// Triggers and rules that run for applied rows.
async fn triggers_in_the_way(
    client: &Client,
    relation: &Relation,
    facts: &Facts,
    out: &mut Vec<Finding>,
) -> Result<()> {
    // the fence's, by their function, let the migration pass
    let ours = [
        guard::TRIGGER,
        strangers::ROW_TRIGGER,
        strangers::TRUNCATE_TRIGGER,
    ];
    let rows = client
        .query(
            "looking for triggers",
            "SELECT 'trigger', t.tgname::text FROM pg_trigger t
             WHERE t.tgrelid = $1::oid AND NOT t.tgisinternal AND t.tgname <> ALL ($2::text[])
               AND t.tgfoid IS DISTINCT FROM to_regprocedure($4)::oid
               AND (t.tgenabled IN ('A', 'R') AND $3::bool OR t.tgenabled IN ('A', 'O') AND NOT $3::bool)
             UNION ALL
             SELECT 'rule', r.rulename::text FROM pg_rewrite r
             WHERE r.ev_class = $1::oid AND r.ev_type <> '1' AND r.ev_enabled <> 'D'
             ORDER BY 1, 2",
            &[
                &relation.oid,
                &ours.as_slice(),
                &facts.may_skip_triggers,
                &facts.fence,
            ],
        )
        .await?;
    let table = qualified(&relation.name);
    for row in rows {
        let (kind, name): (&str, &str) = (row.get(0), row.get(1));
        out.push(blocks(
            "postgres.trigger_in_the_way",
            format!("{kind} {name} would run for rows that the source's triggers have left as they are to be"),
            format!(
                "ALTER TABLE {table} DISABLE {} {}; until the switch",
                kind.to_uppercase(),
                quote_ident(name)
            ),
        ));
    }
    Ok(())
}
