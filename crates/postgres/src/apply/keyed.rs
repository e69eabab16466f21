//! Net effects on a table with a key.

use crossfade_model::{Row, TableId};
use crossfade_store::{ErrorKind, MergeMode, Result, StoreError, Upsert};

use super::session::Session;
use super::shape::Shape;
use super::staging::{self, Absent};

const DOING: &str = "applying changes";

/// Writes a net effect.
///
/// # Errors
/// See [`crossfade_store::Applier::apply`].
pub async fn apply(
    session: &mut Session,
    table: TableId,
    shape: &Shape,
    upserts: &[Upsert],
    deletes: &[Row],
    mode: MergeMode,
) -> Result<()> {
    if shape.key.is_empty() {
        return Err(StoreError::new(
            ErrorKind::Internal,
            "postgres.no_key",
            session.label(),
            "a keyed effect on a table without a key",
        )
        .table(&shape.shown));
    }
    if upserts.is_empty() && deletes.is_empty() {
        return Ok(());
    }
    if mode == MergeMode::Fast {
        return merge(session, table, shape, upserts, deletes).await;
    }
    session.make_staging(table, shape).await?;
    staging::stage_keys(session, table, shape, deletes).await?;
    let all: Vec<&Upsert> = upserts.iter().collect();
    let absent = staging::stage_upserts(session, table, shape, &all).await?;
    let partial = upserts.iter().filter(|u| !u.row.is_complete()).count();
    fill(session, table, shape, &absent, "true", partial).await?;
    if mode == MergeMode::DeleteThenInsert {
        session
            .run(DOING, &delete_keys(table, shape))
            .await
            .map_err(|e| shape.at(e))?;
        session
            .run(DOING, &delete_staged(table, shape))
            .await
            .map_err(|e| shape.at(e))?;
        session
            .run(DOING, &insert(table, shape, "true"))
            .await
            .map_err(|e| shape.at(e))?;
        return Ok(());
    }
    row_by_row(session, table, shape).await
}

/// Deletes, then updates of rows that keep columns, then upserts, then new rows.
async fn merge(
    session: &mut Session,
    table: TableId,
    shape: &Shape,
    upserts: &[Upsert],
    deletes: &[Row],
) -> Result<()> {
    let is_new = |u: &&Upsert| u.fresh && u.row.is_complete();
    let staged: Vec<&Upsert> = upserts.iter().filter(|u| !is_new(u)).collect();
    if !deletes.is_empty() || !staged.is_empty() {
        session.make_staging(table, shape).await?;
    }
    let mut absent = Absent::default();
    if !staged.is_empty() {
        absent = staging::stage_upserts(session, table, shape, &staged).await?;
        let moved = |u: &&&Upsert| !u.row.is_complete() && u.base.is_some();
        let moved = staged.iter().filter(moved).count();
        // before anything is deleted: the rows that hold the columns may go
        fill(session, table, shape, &absent, "s.m", moved).await?;
    }
    if !deletes.is_empty() {
        staging::stage_keys(session, table, shape, deletes).await?;
        session
            .run(DOING, &delete_keys(table, shape))
            .await
            .map_err(|e| shape.at(e))?;
    }
    let stay = |u: &&&Upsert| !u.row.is_complete() && u.base.is_none();
    let stay = staged.iter().filter(stay).count();
    if stay > 0 {
        let updated = session
            .run(DOING, &update_partial(table, shape, &absent))
            .await
            .map_err(|e| shape.at(e))?;
        require_all(session, shape, updated, stay)?;
    }
    if staged.len() > stay {
        merge_staged(session, table, shape).await?;
    }
    if staged.len() < upserts.len() {
        let new: Vec<&Row> = upserts.iter().filter(is_new).map(|u| &u.row).collect();
        staging::copy_direct(session, shape, &new).await?;
    }
    Ok(())
}

/// Inserts the complete staged rows, and replaces those whose key is there.
///
/// # Errors
/// The server's.
pub async fn merge_staged(session: &mut Session, table: TableId, shape: &Shape) -> Result<()> {
    session
        .run(DOING, &upsert(table, shape))
        .await
        .map(drop)
        .map_err(|e| shape.at(e))
}

/// Takes absent columns of the staged rows under `condition` from the rows that hold them.
async fn fill(
    session: &mut Session,
    table: TableId,
    shape: &Shape,
    absent: &Absent,
    condition: &str,
    expected: usize,
) -> Result<()> {
    if expected == 0 {
        return Ok(());
    }
    let columns: Vec<String> = absent
        .0
        .iter()
        .map(|&at| format!("c{at} = {}", absent.choose(at, &shape.columns[at].name)))
        .collect();
    let sql = format!(
        "UPDATE {} s SET u = NULL, {} FROM {} t WHERE s.u IS NOT NULL AND {condition} AND {}",
        staging::upserts(table),
        columns.join(", "),
        shape.alone,
        shape.key_matches(|place, _| format!("b{place}")),
    );
    let filled = session
        .run("reading unchanged columns", &sql)
        .await
        .map_err(|e| shape.at(e))?;
    require_all(session, shape, filled, expected)
}

fn require_all(session: &Session, shape: &Shape, found: u64, expected: usize) -> Result<()> {
    if usize::try_from(found).is_ok_and(|found| found == expected) {
        return Ok(());
    }
    Err(StoreError::new(
        ErrorKind::RowRefused,
        "postgres.base_missing",
        session.label(),
        format!(
            "{expected} changes keep columns of rows that are there, and {found} such rows were found"
        ),
    )
    .table(&shape.shown)
    .fix("Somebody else deleted rows of the target: read the table again"))
}

fn delete_keys(table: TableId, shape: &Shape) -> String {
    format!(
        "DELETE FROM {} t USING {} s WHERE {}",
        shape.alone,
        staging::keys(table),
        shape.key_matches(|place, _| format!("k{place}"))
    )
}

fn delete_staged(table: TableId, shape: &Shape) -> String {
    format!(
        "DELETE FROM {} t USING {} s WHERE {}",
        shape.alone,
        staging::upserts(table),
        shape.key_matches(|_, at| format!("c{at}"))
    )
}

fn insert(table: TableId, shape: &Shape, condition: &str) -> String {
    let staged: Vec<String> = (0..shape.columns.len())
        .map(|at| format!("s.c{at}"))
        .collect();
    format!(
        "INSERT INTO {} ({}) OVERRIDING SYSTEM VALUE SELECT {} FROM {} s WHERE {condition}",
        shape.table,
        shape.column_list(),
        staged.join(", "),
        staging::upserts(table),
    )
}

fn upsert(table: TableId, shape: &Shape) -> String {
    let set: Vec<String> = shape
        .updated()
        .map(|(_, column)| format!("{0} = excluded.{0}", column.name))
        .collect();
    let action = if set.is_empty() {
        "NOTHING".to_owned()
    } else {
        format!("UPDATE SET {}", set.join(", "))
    };
    // in the key's order, so that the index and often the table are walked from one end to the other
    let order: Vec<String> = shape.key.iter().map(|at| format!("s.c{at}")).collect();
    format!(
        "{} ORDER BY {} ON CONFLICT ({}) DO {action}",
        insert(table, shape, "s.u IS NULL"),
        order.join(", "),
        shape.key_list()
    )
}

/// Rows that keep columns are updated in place: the server then leaves those columns' storage alone.
fn update_partial(table: TableId, shape: &Shape, absent: &Absent) -> String {
    let set: Vec<String> = shape
        .updated()
        .map(|(at, column)| format!("{} = {}", column.name, absent.choose(at, &column.name)))
        .collect();
    format!(
        "UPDATE {} t SET {} FROM {} s WHERE s.u IS NOT NULL AND {}",
        shape.alone,
        set.join(", "),
        staging::upserts(table),
        shape.key_matches(|_, at| format!("c{at}"))
    )
}

/// As delete-then-insert, so that the error is one row's.
async fn row_by_row(session: &mut Session, table: TableId, shape: &Shape) -> Result<()> {
    let steps = [
        (
            staging::keys(table),
            delete_keys(table, shape) + " AND s.ctid = $1",
        ),
        (
            staging::upserts(table),
            delete_staged(table, shape) + " AND s.ctid = $1",
        ),
        (staging::upserts(table), insert(table, shape, "s.ctid = $1")),
    ];
    for (staged, sql) in steps {
        let places = places(session, &staged).await?;
        let statement = session.statement(&sql).await.map_err(|e| shape.at(e))?;
        for place in &places {
            let client = session.client();
            client
                .raw()
                .execute(&statement, &[&Place(place)])
                .await
                .map_err(|e| shape.row_at(client.error(DOING, &e)))?;
        }
    }
    Ok(())
}

/// Where the staged rows stand (`ctid`), as text.
async fn places(session: &mut Session, staged: &str) -> Result<Vec<String>> {
    let statement = session
        .statement(&format!("SELECT ctid::text FROM {staged}"))
        .await?;
    let client = session.client();
    let rows = client
        .raw()
        .query(&statement, &[])
        .await
        .map_err(|e| client.error(DOING, &e))?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// A `tid` by its text.
#[derive(Debug)]
struct Place<'a>(&'a str);

impl tokio_postgres::types::ToSql for Place<'_> {
    fn to_sql(
        &self,
        _type: &tokio_postgres::types::Type,
        out: &mut bytes::BytesMut,
    ) -> std::result::Result<tokio_postgres::types::IsNull, Box<dyn std::error::Error + Sync + Send>>
    {
        out.extend_from_slice(self.0.as_bytes());
        Ok(tokio_postgres::types::IsNull::No)
    }

    fn accepts(type_: &tokio_postgres::types::Type) -> bool {
        *type_ == tokio_postgres::types::Type::TID
    }

    fn encode_format(&self, _type: &tokio_postgres::types::Type) -> tokio_postgres::types::Format {
        tokio_postgres::types::Format::Text
    }

    tokio_postgres::types::to_sql_checked!();
}
