//! The applier: net effects of source transactions.
//!
//! A row that may be there is deleted by its key and inserted again. `ON DUPLICATE KEY UPDATE` would change whatever row
//! another unique index finds first, and which unique indexes a table has can change at any time; `REPLACE` would take such a row
//! away. So a unique value that moves between rows of a batch either converges or is an error, and never a wrong row. Cascades are
//! off in this session, and `plan` refuses triggers on the table.

use async_trait::async_trait;
use crossfade_model::{Position, Row, TableMapping};
use crossfade_store::{Applier, Effect, ErrorKind, MergeMode, RecordWrite, Result, Upsert};

use crate::connect::Client;
use crate::plan::Plan;
use crate::read;
use crate::writer::Writer;

/// Rows of one statement at most.
const ROWS_AT_ONCE: usize = 1000;
/// Keys of one statement at most.
const KEYS_AT_ONCE: usize = 500;
/// Bytes of one statement, unless a row alone is longer.
const STATEMENT_BYTES: usize = 1 << 20;

const DOING: &str = "applying changes";

/// The applier's session.
pub(crate) struct MysqlApplier(pub Writer);

#[async_trait]
impl Applier for MysqlApplier {
    async fn begin(&mut self) -> Result<()> {
        self.0.begin().await
    }

    async fn apply(
        &mut self,
        mapping: &TableMapping,
        effect: &Effect,
        mode: MergeMode,
    ) -> Result<()> {
        let plan = self.0.plan(mapping).await?;
        let client = &mut self.0.client;
        match effect {
            Effect::Keyed { upserts, deletes } => {
                keyed(client, &plan, upserts, deletes, mode).await
            }
            Effect::Multiset { inserts, deletes } => {
                multiset(client, &plan, inserts, deletes).await
            }
            Effect::Clear(range) => {
                let clause = plan.own_range(mapping, range)?;
                clear(client, &plan, &clause).await
            }
        }
    }

    async fn read_keys(&mut self, mapping: &TableMapping, keys: &[Row]) -> Result<Vec<Row>> {
        let plan = self.0.plan(mapping).await?;
        read::keys(&mut self.0.client, &plan, keys, None).await
    }

    async fn records(&mut self, writes: &[RecordWrite]) -> Result<()> {
        self.0.records(writes).await
    }

    async fn commit(&mut self, from: Option<Position>, to: Position) -> Result<()> {
        self.0.move_checkpoint(from, to).await?;
        self.0.commit().await
    }

    async fn rollback(&mut self) -> Result<()> {
        self.0.rollback().await
    }
}

/// Deletes the rows of a range.
pub(crate) async fn clear(client: &mut Client, plan: &Plan, clause: &str) -> Result<()> {
    client
        .run(
            "emptying a range",
            &format!("DELETE FROM {}{clause}", plan.quoted),
        )
        .await
        .map(drop)
        .map_err(|e| e.table(&plan.table))
}

async fn keyed(
    client: &mut Client,
    plan: &Plan,
    upserts: &[Upsert],
    deletes: &[Row],
    mode: MergeMode,
) -> Result<()> {
    // read before anything of this batch is written
    let filled = fill_unchanged(client, plan, upserts).await?;
    let rows: Vec<&Row> = upserts
        .iter()
        .zip(&filled)
        .map(|(upsert, filled)| filled.as_ref().unwrap_or(&upsert.row))
        .collect();
    let at_once = match mode {
        MergeMode::RowByRow => 1,
        MergeMode::Fast | MergeMode::DeleteThenInsert => usize::MAX,
    };
    let there: Vec<&Row> = upserts
        .iter()
        .filter(|u| mode != MergeMode::Fast || !u.fresh)
        .map(|u| &u.row)
        .collect();
    // what goes is this row and no other; what comes takes the place of any that the index holds equal
    let (exact, equal): (Condition, Condition) = (Plan::write_exact_key, Plan::write_key);
    delete_keys(client, plan, deletes.iter(), (exact, at_once), DOING).await?;
    delete_keys(client, plan, there.into_iter(), (equal, at_once), DOING).await?;
    insert(client, plan, rows.into_iter(), at_once, DOING).await
}

/// Writes the condition that a row has a key.
type Condition = fn(&Plan, &Row, &mut String) -> Result<()>;

/// Deletes the rows that meet the condition for one of these, at most so many in a statement; absent ones are no error.
async fn delete_keys<'a>(
    client: &mut Client,
    plan: &Plan,
    rows: impl Iterator<Item = &'a Row> + Send,
    (condition, at_once): (Condition, usize),
    doing: &str,
) -> Result<()> {
    let head = format!("DELETE FROM {} WHERE ", plan.quoted);
    let mut statement = String::new();
    let mut count = 0;
    for row in rows {
        statement.push_str(if count == 0 { &head } else { " OR " });
        condition(plan, row, &mut statement)?;
        count += 1;
        if count >= KEYS_AT_ONCE.min(at_once) || statement.len() > STATEMENT_BYTES {
            run(client, plan, &mut statement, doing).await?;
            count = 0;
        }
    }
    run(client, plan, &mut statement, doing).await
}

/// Inserts rows; one whose key or unique value is there is an error.
pub(crate) async fn insert<'a>(
    client: &mut Client,
    plan: &Plan,
    rows: impl Iterator<Item = &'a Row> + Send,
    at_once: usize,
    doing: &str,
) -> Result<()> {
    let head = format!("INSERT INTO {} ({}) VALUES ", plan.quoted, plan.names());
    let longest = STATEMENT_BYTES.min(client.server.max_allowed_packet() / 2);
    let mut statement = String::new();
    let mut count = 0;
    let mut row_text = String::new();
    for row in rows {
        row_text.clear();
        plan.write_row(row, &mut row_text)?;
        // a long row goes alone
        if count > 0 && statement.len() + row_text.len() > longest {
            run(client, plan, &mut statement, doing).await?;
            count = 0;
        }
        statement.push_str(if count == 0 { &head } else { ", " });
        statement.push_str(&row_text);
        count += 1;
        if count >= ROWS_AT_ONCE.min(at_once) {
            run(client, plan, &mut statement, doing).await?;
            count = 0;
        }
    }
    run(client, plan, &mut statement, doing).await
}

async fn run(client: &mut Client, plan: &Plan, statement: &mut String, doing: &str) -> Result<()> {
    if statement.is_empty() {
        return Ok(());
    }
    let done = client.run(doing, statement).await;
    statement.clear();
    done.map(drop).map_err(|e| e.table(&plan.table))
}

/// Rows whose image lacks columns, with these taken from the target's row as it is now.
async fn fill_unchanged(
    client: &mut Client,
    plan: &Plan,
    upserts: &[Upsert],
) -> Result<Vec<Option<Row>>> {
    let mut out = Vec::with_capacity(upserts.len());
    for upsert in upserts {
        if upsert.row.is_complete() {
            out.push(None);
            continue;
        }
        let base = upsert.base.as_ref().unwrap_or(&upsert.row);
        let older = read::keys(client, plan, std::slice::from_ref(base), None).await?;
        let Some(older) = older.first() else {
            return Err(plan.fault(
                ErrorKind::RowAbsent,
                "mysql.no_base",
                "the row that unchanged columns are to be taken from is not there",
            ));
        };
        let mut row = upsert.row.clone();
        row.fill_unchanged_from(older);
        out.push(Some(row));
    }
    Ok(out)
}

async fn multiset(
    client: &mut Client,
    plan: &Plan,
    inserts: &[Row],
    deletes: &[(Row, u64)],
) -> Result<()> {
    for (row, count) in deletes {
        let mut statement = format!("DELETE FROM {} WHERE ", plan.quoted);
        plan.write_equal(row, &mut statement)?;
        statement.push_str(&format!(" LIMIT {count}"));
        let done = client
            .run(DOING, &statement)
            .await
            .map_err(|e| e.table(&plan.table))?;
        if done.affected != *count {
            return Err(plan
                .fault(
                    ErrorKind::RowAbsent,
                    "mysql.row_absent",
                    "rows that the source deleted are not there",
                )
                .fix("Somebody else wrote to the target table, or it differs: verify it"));
        }
    }
    insert(client, plan, inserts.iter(), usize::MAX, DOING).await
}

/// Deletes and inserts: a part that is read again at a later snapshot.
pub(crate) async fn write_again(
    client: &mut Client,
    plan: &Plan,
    rows: &[Row],
    doing: &str,
) -> Result<()> {
    // by the index alone: a row of an earlier snapshot whose key is equal and not the same has that key no more
    let at_once = usize::MAX;
    delete_keys(client, plan, rows.iter(), (Plan::write_key, at_once), doing).await?;
    insert(client, plan, rows.iter(), at_once, doing).await
}
