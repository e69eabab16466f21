//! Net effects on a table without a key: how many equal rows come and go.

use crossfade_model::{Row, TableId};
use crossfade_store::{ErrorKind, Result, StoreError};

use super::session::{BY_INDEX, BY_SCAN, Session};
use super::shape::Shape;
use super::staging;

const DOING: &str = "applying changes of a table without a key";

/// Takes away and adds rows.
///
/// # Errors
/// [`ErrorKind::RowAbsent`] where fewer equal rows are found than are to go.
pub async fn apply(
    session: &mut Session,
    table: TableId,
    shape: &Shape,
    inserts: &[Row],
    deletes: &[(Row, u64)],
) -> Result<()> {
    if !deletes.is_empty() {
        session.make_staging(table, shape).await?;
        let copy = staging::stage_counted(session, table, shape, deletes).await?;
        session
            .run_all(DOING, Some(copy), &[])
            .await
            .map_err(|e| shape.at(e))?;
        session.client().batch(DOING, BY_SCAN).await?;
        let gone = session
            .run(DOING, &delete(table, shape))
            .await
            .map_err(|e| shape.at(e))?;
        session.client().batch(DOING, BY_INDEX).await?;
        let expected: u64 = deletes.iter().map(|(_, count)| count).sum();
        if gone != expected {
            return Err(StoreError::new(
                ErrorKind::RowAbsent,
                "postgres.rows_missing",
                session.label(),
                format!("{expected} rows are to be deleted and {gone} equal ones were found"),
            )
            .table(&shape.shown)
            .fix("Somebody else changed the target: read the table again"));
        }
    }
    if !inserts.is_empty() {
        let rows: Vec<&Row> = inserts.iter().collect();
        staging::copy_direct(session, shape, &rows).await?;
    }
    Ok(())
}

/// Rows are equal where the texts of all their columns are: a row's text tells NULL from the empty text, and can be hashed
/// whatever the types.
fn delete(table: TableId, shape: &Shape) -> String {
    let staged: Vec<String> = (0..shape.columns.len())
        .map(|at| format!("s.c{at}"))
        .collect();
    format!(
        "DELETE FROM {alone} t USING (
             SELECT part, place FROM (
                 SELECT x.tableoid AS part, x.ctid AS place, s.n,
                        row_number() OVER (PARTITION BY s.ctid) AS number
                 FROM {alone} x JOIN {stage} s
                 ON ROW({target})::text COLLATE \"C\" = ROW({staged})::text COLLATE \"C\"
             ) found WHERE number <= n
         ) gone WHERE t.tableoid = gone.part AND t.ctid = gone.place",
        alone = shape.alone,
        stage = staging::upserts(table),
        target = shape.list(|c| format!("x.{}", c.name)),
        staged = staged.join(", "),
    )
}
