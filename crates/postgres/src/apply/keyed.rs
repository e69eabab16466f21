//! Net effects on a table with a key.

use crossfade_model::{Row, TableId};
use crossfade_store::{ErrorKind, MergeMode, Result, StoreError, Upsert};

use super::session::Session;
use super::shape::Shape;
use super::staging::{self, Absent};
use crate::copy_in::CopyIn;

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
    let copy = staging::stage_keys(session, table, shape, deletes).await?;
    run(session, shape, Some(copy), &[]).await?;
    let all: Vec<&Upsert> = upserts.iter().collect();
    let (absent, copy) = staging::stage_upserts(session, table, shape, &all).await?;
    let partial = upserts.iter().filter(|u| !u.row.is_complete()).count();
    let mut steps = Steps::default();
    steps.fill(table, shape, &absent, "true", partial);
    if mode == MergeMode::DeleteThenInsert {
        steps.push(delete_keys(table, shape));
        steps.push(delete_staged(table, shape));
        steps.push(insert(table, shape, "true"));
    }
    steps.run(session, shape, copy).await?;
    if mode == MergeMode::RowByRow {
        row_by_row(session, table, shape).await?;
    }
    Ok(())
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
    if !deletes.is_empty() {
        let copy = staging::stage_keys(session, table, shape, deletes).await?;
        // with rows to stage, they may need columns of what is to go
        let delete = delete_keys(table, shape);
        let now: &[&str] = if staged.is_empty() { &[&delete] } else { &[] };
        run(session, shape, Some(copy), now).await?;
    }
    if !staged.is_empty() {
        let (absent, copy) = staging::stage_upserts(session, table, shape, &staged).await?;
        let partial = staged.iter().filter(|u| !u.row.is_complete());
        let (moved, stay): (Vec<&Upsert>, Vec<&Upsert>) = partial.partition(|u| u.base.is_some());
        let mut steps = Steps::default();
        steps.fill(table, shape, &absent, "s.m", moved.len());
        if !deletes.is_empty() {
            steps.push(delete_keys(table, shape));
        }
        if !stay.is_empty() {
            steps.expect(update_partial(table, shape, &absent), stay.len());
        }
        if staged.len() > stay.len() {
            steps.push(upsert(table, shape));
        }
        steps.run(session, shape, copy).await?;
    }
    if staged.len() < upserts.len() {
        let new: Vec<&Row> = upserts.iter().filter(is_new).map(|u| &u.row).collect();
        staging::copy_direct(session, shape, &new).await?;
    }
    Ok(())
}

async fn run(
    session: &mut Session,
    shape: &Shape,
    copy: Option<CopyIn>,
    statements: &[&str],
) -> Result<Vec<u64>> {
    let ran = session.run_all(DOING, copy, statements).await;
    ran.map_err(|e| shape.at(e))
}

/// Statements that follow the staging of rows, sent together.
#[derive(Default)]
struct Steps(Vec<(String, Option<usize>)>);

impl Steps {
    fn push(&mut self, sql: String) {
        self.0.push((sql, None));
    }

    /// Must touch exactly so many rows.
    fn expect(&mut self, sql: String, rows: usize) {
        self.0.push((sql, Some(rows)));
    }

    /// Takes absent columns of the staged rows under `condition` from the rows that hold them.
    fn fill(
        &mut self,
        table: TableId,
        shape: &Shape,
        absent: &Absent,
        condition: &str,
        rows: usize,
    ) {
        if rows > 0 {
            self.expect(fill(table, shape, absent, condition), rows);
        }
    }

    async fn run(self, session: &mut Session, shape: &Shape, copy: CopyIn) -> Result<()> {
        let statements: Vec<&str> = self.0.iter().map(|(sql, _)| sql.as_str()).collect();
        let touched = run(session, shape, Some(copy), &statements).await?;
        for ((_, expected), found) in self.0.iter().zip(touched) {
            if let Some(expected) = expected {
                require_all(session, shape, found, *expected)?;
            }
        }
        Ok(())
    }
}

/// Inserts the complete staged rows, and replaces those whose key is there.
///
/// # Errors
/// The server's.
pub async fn merge_staged(session: &mut Session, table: TableId, shape: &Shape) -> Result<()> {
    run(session, shape, None, &[&upsert(table, shape)])
        .await
        .map(drop)
}

fn fill(table: TableId, shape: &Shape, absent: &Absent, condition: &str) -> String {
    let columns: Vec<String> = absent
        .0
        .iter()
        .map(|&at| format!("c{at} = {}", absent.choose(at, &shape.columns[at].name)))
        .collect();
    format!(
        "UPDATE {} s SET u = NULL, {} FROM {} t WHERE s.u IS NOT NULL AND {condition} AND {}",
        staging::upserts(table),
        columns.join(", "),
        shape.alone,
        shape.key_matches(|place, _| format!("b{place}")),
    )
}

fn require_all(session: &Session, shape: &Shape, found: u64, expected: usize) -> Result<()> {
    if usize::try_from(found).is_ok_and(|found| found == expected) {
        return Ok(());
    }
    Err(StoreError::new(
        ErrorKind::RowAbsent,
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
