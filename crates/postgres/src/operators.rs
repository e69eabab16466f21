//! Operators of users' types, by their full names.

use crossfade_model::TableName;
use crossfade_store::Result;

use crate::connect::Client;
use crate::names::{quote_ident, schema_of};

/// Each key column's equality, from the default B-tree operator class of its type (a domain's base type).
///
/// With a pinned `search_path`, a plain `=` would be another type's where an extension brings the type (citext), and would not
/// use its index.
///
/// # Errors
/// The connection's.
pub async fn equality(client: &Client, name: &TableName, key: &[&str]) -> Result<Vec<String>> {
    let rows = client
        .query(
            "looking up the key's operators",
            "WITH RECURSIVE k AS (
                 SELECT k.place, a.atttypid AS type
                 FROM unnest($3::text[]) WITH ORDINALITY AS k (name, place)
                 JOIN pg_namespace n ON n.nspname = $1
                 JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = $2
                 JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = k.name
             ), base AS (
                 SELECT place, type FROM k
                 UNION
                 SELECT b.place, t.typbasetype FROM base b JOIN pg_type t ON t.oid = b.type AND t.typtype = 'd'
             )
             SELECT b.place, n.nspname::text, o.oprname::text
             FROM base b
             JOIN pg_opclass oc ON oc.opcintype = b.type AND oc.opcdefault
             JOIN pg_am m ON m.oid = oc.opcmethod AND m.amname = 'btree'
             JOIN pg_amop ao ON ao.amopfamily = oc.opcfamily AND ao.amopstrategy = 3
                  AND ao.amoplefttype = oc.opcintype AND ao.amoprighttype = oc.opcintype
             JOIN pg_operator o ON o.oid = ao.amopopr
             JOIN pg_namespace n ON n.oid = o.oprnamespace",
            &[&schema_of(name), &name.name, &key],
        )
        .await?;
    // types without a class of their own (varchar, arrays, enums, ranges) compare by another's, which is a system one
    let mut operators = vec!["OPERATOR(pg_catalog.=)".to_owned(); key.len()];
    for row in rows {
        let place = usize::try_from(row.get::<_, i64>(0) - 1).ok();
        if let Some(operator) = place.and_then(|at| operators.get_mut(at)) {
            let (schema, name): (&str, &str) = (row.get(1), row.get(2));
            *operator = format!("OPERATOR({}.{name})", quote_ident(schema));
        }
    }
    Ok(operators)
}
