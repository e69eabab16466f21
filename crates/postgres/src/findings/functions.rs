//! Functions that the mapped tables need: they are not carried, so a PostgreSQL target must have them.

use crossfade_model::{Finding, Severity};
use crossfade_store::{CaptureSpec, Result};

use super::{SOURCE, shown};
use crate::connect::Client;
use crate::describe::USER_SCHEMA;
use crate::describe::catalog::Catalog;

/// Users' and extensions' functions in defaults, generated columns, checks and indexes of the mapped tables.
pub async fn needed(
    client: &Client,
    catalog: &Catalog,
    spec: &CaptureSpec,
) -> Result<Vec<Finding>> {
    let oids: Vec<u32> = spec
        .tables
        .iter()
        .filter_map(|m| catalog.named(&m.source.name))
        .map(|r| r.oid)
        .collect();
    let sql = format!(
        "SELECT DISTINCT o.relation, p.oid::regprocedure::text
         FROM (SELECT 'pg_attrdef'::regclass AS class, d.oid, d.adrelid AS relation FROM pg_attrdef d
               UNION ALL SELECT 'pg_constraint'::regclass, k.oid, k.conrelid FROM pg_constraint k
               UNION ALL SELECT 'pg_class'::regclass, i.indexrelid, i.indrelid FROM pg_index i
               UNION ALL SELECT 'pg_class'::regclass, c.oid, c.oid FROM pg_class c) o
         JOIN pg_depend d ON d.classid = o.class AND d.objid = o.oid AND d.refclassid = 'pg_proc'::regclass
         JOIN pg_proc p ON p.oid = d.refobjid
         JOIN pg_namespace n ON n.oid = p.pronamespace
         WHERE o.relation = ANY ($1::oid[]) AND {USER_SCHEMA}
         ORDER BY 1, 2"
    );
    let rows = client
        .query("looking for functions that tables need", &sql, &[&oids])
        .await?;
    Ok(rows
        .iter()
        .filter_map(|row| {
            let relation = catalog.relation(row.get(0))?;
            let function: &str = row.get(1);
            Some(
                Finding::new(
                    "postgres.needs_function",
                    Severity::Note,
                    SOURCE,
                    format!(
                        "a default, generated column, check or index of it uses function {function}"
                    ),
                )
                .table(shown(&relation.name))
                .fix(
                    "A PostgreSQL target needs the function before the first run: create it there",
                ),
            )
        })
        .collect())
}
