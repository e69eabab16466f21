//! What the role may do on the source.

use std::collections::BTreeSet;

use crossfade_model::Finding;
use crossfade_store::{CaptureSpec, Result};

use super::{SOURCE, shown};
use crate::capture;
use crate::connect::Client;
use crate::describe::catalog::{Catalog, Relation};
use crate::names::{capture_name, qualified, quote_ident, schema_of};

/// What the role lacks for these tables.
pub async fn source(
    client: &Client,
    catalog: &Catalog,
    spec: &CaptureSpec,
) -> Result<Vec<Finding>> {
    let role: String = client
        .query_one("checking privileges", "SELECT current_user::text", &[])
        .await?
        .get(0);
    let role = quote_ident(&role);
    let mut out = schemas(client, spec, &role).await?;
    out.extend(tables(client, catalog, spec, &role).await?);
    out.extend(sequences(client, catalog, spec, &role).await?);
    out.extend(publication(client, spec).await?);
    Ok(out)
}

async fn schemas(client: &Client, spec: &CaptureSpec, role: &str) -> Result<Vec<Finding>> {
    let names: BTreeSet<&str> = spec
        .tables
        .iter()
        .map(|m| schema_of(&m.source.name))
        .collect();
    let names: Vec<&str> = names.into_iter().collect();
    let rows = client
        .query(
            "checking privileges",
            "SELECT n.nspname::text FROM pg_namespace n
             WHERE n.nspname = ANY ($1::text[]) AND NOT has_schema_privilege(n.oid, 'USAGE') ORDER BY 1",
            &[&names],
        )
        .await?;
    Ok(rows
        .iter()
        .map(|row| {
            let schema: String = row.get(0);
            Finding::blocks(
                "postgres.schema_usage",
                SOURCE,
                format!("the role may not use schema {schema}"),
            )
            .fix(format!(
                "GRANT USAGE ON SCHEMA {} TO {role};",
                quote_ident(&schema)
            ))
        })
        .collect())
}

async fn tables(
    client: &Client,
    catalog: &Catalog,
    spec: &CaptureSpec,
    role: &str,
) -> Result<Vec<Finding>> {
    // a partition is read by itself, so the root's privilege is not enough
    let mapped: Vec<(&Relation, String)> = spec
        .tables
        .iter()
        .filter_map(|m| catalog.named(&m.source.name))
        .flat_map(|root| {
            let mut all = catalog.partitions_of(root.oid);
            all.push(root);
            all.into_iter().map(|r| (r, shown(&root.name)))
        })
        .collect();
    let oids: Vec<u32> = mapped.iter().map(|(r, _)| r.oid).collect();
    let rows = client
        .query(
            "checking privileges",
            "SELECT o, has_table_privilege(o, 'SELECT'), row_security_active(o) FROM unnest($1::oid[]) o",
            &[&oids],
        )
        .await?;
    let mut out = Vec::new();
    for row in rows {
        let oid: u32 = row.get(0);
        let Some((relation, table)) = mapped.iter().find(|(r, _)| r.oid == oid) else {
            continue;
        };
        let of = if relation.is_partition {
            format!("its partition {}", relation.name)
        } else {
            "it".to_owned()
        };
        if !row.get::<_, Option<bool>>(1).unwrap_or(false) {
            out.push(
                Finding::blocks(
                    "postgres.select",
                    SOURCE,
                    format!("the role may not read {of}"),
                )
                .table(table)
                .fix(format!(
                    "GRANT SELECT ON TABLE {} TO {role};",
                    qualified(&relation.name)
                )),
            );
        }
        if row.get::<_, Option<bool>>(2).unwrap_or(false) {
            out.push(
                Finding::blocks(
                    "postgres.row_security",
                    SOURCE,
                    format!(
                        "row-level security hides rows of {of} from the role, but not from the log"
                    ),
                )
                .table(table)
                .fix(format!("ALTER ROLE {role} BYPASSRLS;")),
            );
        }
    }
    Ok(out)
}

async fn sequences(
    client: &Client,
    catalog: &Catalog,
    spec: &CaptureSpec,
    role: &str,
) -> Result<Vec<Finding>> {
    let oids: Vec<u32> = spec
        .tables
        .iter()
        .filter_map(|m| catalog.named(&m.source.name))
        .map(|r| r.oid)
        .collect();
    let rows = client
        .query(
            "checking privileges",
            "SELECT d.refobjid, n.nspname::text, s.relname::text
             FROM pg_depend d JOIN pg_class s ON s.oid = d.objid
             JOIN pg_namespace n ON n.oid = s.relnamespace
             WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass
               AND d.deptype IN ('a', 'i') AND d.refobjid = ANY ($1::oid[])
               -- asked of sequences only, in whatever order the conditions are tried
               AND CASE WHEN s.relkind = 'S' THEN NOT has_sequence_privilege(s.oid, 'SELECT') END
             ORDER BY 2, 3",
            &[&oids],
        )
        .await?;
    Ok(rows
        .iter()
        .map(|row| {
            let (oid, schema, name): (u32, &str, &str) = (row.get(0), row.get(1), row.get(2));
            let finding = Finding::blocks(
                "postgres.sequence_select",
                SOURCE,
                format!(
                    "the role may not read sequence {schema}.{name}, so its value cannot be carried"
                ),
            )
            .fix(format!(
                "GRANT SELECT ON SEQUENCE {}.{} TO {role};",
                quote_ident(schema),
                quote_ident(name)
            ));
            match catalog.relation(oid) {
                Some(relation) => finding.table(shown(&relation.name)),
                None => finding,
            }
        })
        .collect())
}

/// The publication is there as planned, or the role may make it.
async fn publication(client: &Client, spec: &CaptureSpec) -> Result<Vec<Finding>> {
    let name = capture_name(&spec.migration);
    let Some(difference) = capture::publication_difference(client, &name, &spec.tables).await?
    else {
        return Ok(Vec::new());
    };
    let tables: Vec<String> = spec
        .tables
        .iter()
        .map(|m| qualified(&m.source.name))
        .collect();
    let row = client
        .query_one(
            "checking privileges",
            "SELECT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user),
                    has_database_privilege(current_database(), 'CREATE')
                    AND NOT EXISTS (SELECT FROM unnest($1::text[]) t JOIN pg_class c ON c.oid = to_regclass(t)
                                    WHERE NOT pg_has_role(c.relowner, 'USAGE')),
                    (SELECT pg_has_role(p.pubowner, 'USAGE') FROM pg_publication p WHERE p.pubname = $2)",
            &[&tables, &name],
        )
        .await?;
    let (superuser, may_make): (bool, bool) = (row.get(0), row.get(1));
    // where there is one already, it must be dropped first
    let may_replace = row.get::<_, Option<bool>>(2).unwrap_or(true);
    if superuser || may_make && may_replace {
        return Ok(Vec::new());
    }
    let statement = capture::create_publication_statement(spec);
    let (what, fix) = if row.get::<_, Option<bool>>(2).is_some() {
        (
            format!(
                "publication {name} is not as planned ({difference}), and the role may not make it again"
            ),
            format!("DROP PUBLICATION {}; {statement};", quote_ident(&name)),
        )
    } else {
        (
            "the role owns neither the tables nor a publication of them, so it cannot say which changes to capture".into(),
            format!("As the tables' owner: {statement};"),
        )
    };
    Ok(vec![
        Finding::blocks("postgres.publication", SOURCE, what).fix(fix),
    ])
}
