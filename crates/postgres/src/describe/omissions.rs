//! What stands around the tables and is not carried to a target.

use crossfade_model::Omission;
use crossfade_store::Result;

use super::catalog::Catalog;
use super::sql::{self, USER_SCHEMA};
use crate::connect::Client;

/// How many single objects of one kind are listed before the rest is counted.
const LISTED: usize = 200;

/// Reads them.
pub async fn read(client: &Client) -> Result<Vec<Omission>> {
    let rows = client
        .query("reading what stands around the tables", &query(), &[])
        .await?;
    let mut out: Vec<Omission> = Vec::new();
    let mut of_kind = 0usize;
    for row in rows {
        let (kind, name): (String, String) = (row.get("kind"), row.get("name"));
        of_kind = match out.last() {
            Some(last) if last.kind == kind => of_kind + 1,
            _ => 1,
        };
        if of_kind > LISTED {
            if let Some(last) = out.last_mut() {
                last.name = format!("{} and {} more", name, of_kind - LISTED);
            }
            continue;
        }
        let why = reason(&kind).to_owned();
        out.push(Omission { kind, name, why });
    }
    Ok(out)
}

/// What of the tables themselves is not carried.
pub fn of_tables(catalog: &Catalog) -> Vec<Omission> {
    let mut out = Vec::new();
    let mut push = |kind: &str, name: String, why: &str| {
        out.push(Omission {
            kind: kind.into(),
            name,
            why: why.into(),
        });
    };
    for relation in &catalog.relations {
        let name = relation.name.to_string();
        if relation.of_extension {
            push(
                "table",
                name,
                "an extension made it; create the extension on the target",
            );
            continue;
        }
        if relation.kind == 'f' {
            push(
                "foreign table",
                name,
                "its rows live elsewhere; create it on the target",
            );
            continue;
        }
        if relation.persistence == 'u' {
            push(
                "unlogged",
                name.clone(),
                "the log does not hold changes of unlogged tables",
            );
        }
        if !relation.is_partition && !relation.parents.is_empty() {
            push(
                "inheritance",
                name.clone(),
                "the table is moved by itself, without its parent; reads of the parent on the target do not show its rows",
            );
        }
        if relation.special_storage {
            push(
                "storage",
                name.clone(),
                "storage parameters, tablespace and access method are the target's own",
            );
        }
        for index in catalog.indexes_of(relation.oid) {
            if !index.valid {
                push(
                    "index",
                    format!("{name}: {}", index.name),
                    "it is invalid on the source; drop or rebuild it there",
                );
            } else if relation.is_partition && !index.inherited {
                push(
                    "index",
                    format!("{name}: {}", index.name),
                    "it stands on a partition alone; build it on the target",
                );
            } else if index.includes && index.primary {
                push(
                    "index",
                    format!("{name}: {}", index.name),
                    "the primary key is built without its INCLUDE columns",
                );
            }
        }
        if relation.is_partition {
            for constraint in catalog.constraints_of(relation.oid) {
                if !constraint.inherited {
                    push(
                        "constraint",
                        format!("{name}: {}", constraint.name),
                        "it stands on a partition alone; add it on the target",
                    );
                }
            }
        }
    }
    out
}

fn reason(kind: &str) -> &'static str {
    match kind {
        "view" | "materialized view" => "views hold no rows of their own; create it on the target",
        "function" => "functions are not carried; create it on the target",
        "trigger" => {
            "triggers are not carried: rows arrive as the source's triggers left them; create it on the target before writes go there"
        }
        "policy" => {
            "row-level security is not carried; create it on the target before the application reads there"
        }
        "rule" => "rules are not carried; create it on the target",
        "extension" => "create it on the target before the tables that use it",
        "event trigger"
        | "statistics"
        | "text search configuration"
        | "operator"
        | "cast"
        | "collation"
        | "language"
        | "aggregate" => "create it on the target where it is needed",
        "large objects" => {
            "large objects are not in the log; move them by other means, or into bytea columns"
        }
        "privileges" => "privileges of roles are not carried; grant them on the target",
        "comments" => "comments are not carried",
        "publication" | "subscription" => {
            "replication to and from others is not carried; set it up on the target"
        }
        "identity sequence" => {
            "its increment, bounds, cache or cycle are not the default ones; set them on the target"
        }
        _ => "it is not carried; create it on the target where it is needed",
    }
}

fn query() -> String {
    let relations = sql::not_of_extension("pg_class", "c.oid");
    let functions = sql::not_of_extension("pg_proc", "p.oid");
    let operators = sql::not_of_extension("pg_operator", "o.oid");
    let collations = sql::not_of_extension("pg_collation", "o.oid");
    let configurations = sql::not_of_extension("pg_ts_config", "o.oid");
    let languages = sql::not_of_extension("pg_language", "l.oid");
    let casts = sql::not_of_extension("pg_cast", "k.oid");
    let events = sql::not_of_extension("pg_event_trigger", "e.oid");
    format!(
        "
    SELECT kind, name FROM (
    SELECT CASE c.relkind WHEN 'v' THEN 'view' ELSE 'materialized view' END AS kind,
           n.nspname || '.' || c.relname AS name
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relkind IN ('v', 'm') AND {USER_SCHEMA} AND {relations}
    UNION ALL
    SELECT CASE p.prokind WHEN 'a' THEN 'aggregate' ELSE 'function' END,
           n.nspname || '.' || p.proname || '(' || pg_get_function_identity_arguments(p.oid) || ')'
      FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
     WHERE {USER_SCHEMA} AND {functions}
    UNION ALL
    SELECT 'trigger', n.nspname || '.' || c.relname || ': ' || t.tgname
      FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE NOT t.tgisinternal AND coalesce((to_jsonb(t)->>'tgparentid')::int8, 0) = 0 AND {USER_SCHEMA}
       AND t.tgname NOT IN ('crossfade_guard', 'crossfade_stranger', 'crossfade_stranger_truncate')
    UNION ALL
    SELECT 'policy', n.nspname || '.' || c.relname || ': ' || l.polname
      FROM pg_policy l JOIN pg_class c ON c.oid = l.polrelid JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE {USER_SCHEMA}
    UNION ALL
    SELECT 'rule', n.nspname || '.' || c.relname || ': ' || r.rulename
      FROM pg_rewrite r JOIN pg_class c ON c.oid = r.ev_class JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE r.rulename <> '_RETURN' AND {USER_SCHEMA}
    UNION ALL
    SELECT 'extension', extname FROM pg_extension WHERE extname <> 'plpgsql'
    UNION ALL
    SELECT 'event trigger', e.evtname FROM pg_event_trigger e WHERE {events}
    UNION ALL
    SELECT 'statistics', n.nspname || '.' || s.stxname
      FROM pg_statistic_ext s JOIN pg_namespace n ON n.oid = s.stxnamespace WHERE {USER_SCHEMA}
    UNION ALL
    SELECT 'operator', n.nspname || '.' || o.oprname
      FROM pg_operator o JOIN pg_namespace n ON n.oid = o.oprnamespace WHERE {USER_SCHEMA} AND {operators}
    UNION ALL
    SELECT 'collation', n.nspname || '.' || o.collname
      FROM pg_collation o JOIN pg_namespace n ON n.oid = o.collnamespace WHERE {USER_SCHEMA} AND {collations}
    UNION ALL
    SELECT 'text search configuration', n.nspname || '.' || o.cfgname
      FROM pg_ts_config o JOIN pg_namespace n ON n.oid = o.cfgnamespace WHERE {USER_SCHEMA} AND {configurations}
    UNION ALL
    SELECT 'language', l.lanname FROM pg_language l
     WHERE l.lanname NOT IN ('internal', 'c', 'sql', 'plpgsql') AND {languages}
    UNION ALL
    SELECT 'cast', format_type(k.castsource, NULL) || ' to ' || format_type(k.casttarget, NULL)
      FROM pg_cast k WHERE k.oid >= 16384 AND {casts}
    UNION ALL
    SELECT 'large objects', count(*)::text FROM pg_largeobject_metadata HAVING count(*) > 0
    UNION ALL
    SELECT 'privileges', 'of ' || count(*) || ' tables' FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relacl IS NOT NULL AND c.relkind IN ('r', 'p') AND {USER_SCHEMA} HAVING count(*) > 0
    UNION ALL
    SELECT 'comments', 'on ' || count(*) || ' tables and columns'
      FROM pg_description d JOIN pg_class c ON d.classoid = 'pg_class'::regclass AND c.oid = d.objoid
      JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relkind IN ('r', 'p') AND {USER_SCHEMA} AND {relations} HAVING count(*) > 0
    UNION ALL
    SELECT 'publication', pubname FROM pg_publication WHERE pubname NOT LIKE 'crossfade\\_%'
    UNION ALL
    SELECT 'subscription', subname FROM pg_subscription s
      JOIN pg_database b ON b.oid = s.subdbid AND b.datname = current_database()
    UNION ALL
    SELECT 'identity sequence', n.nspname || '.' || c.relname
      FROM pg_sequence s JOIN pg_class c ON c.oid = s.seqrelid JOIN pg_namespace n ON n.oid = c.relnamespace
      JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'i' AND d.refobjsubid > 0
     WHERE {USER_SCHEMA} AND (s.seqincrement <> 1 OR s.seqmin <> 1 OR s.seqcache <> 1 OR s.seqcycle
           OR s.seqmax NOT IN (32767, 2147483647, 9223372036854775807))
    ) o ORDER BY kind COLLATE \"C\", name COLLATE \"C\""
    )
}
