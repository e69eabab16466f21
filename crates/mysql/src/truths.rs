//! Columns that hold true and false: `boolean` is another word for `tinyint(1)` here, and keeps nobody from writing 7 into it.

use crossfade_model::Table;
use crossfade_store::{ErrorKind, Result, Truths};

use crate::MysqlStore;
use crate::names::quote;
use crate::server::Flavor;
use crate::session::Purpose;

const DOING: &str = "looking at the values of columns of type tinyint(1)";

/// The columns of that type that hold values of the application; with `look`, what is in them, in five seconds at most.
pub(crate) async fn of_table(store: &MysqlStore, table: &Table, look: bool) -> Result<Vec<Truths>> {
    let columns = table.captured().filter(|c| c.declared == "tinyint(1)");
    let mut out: Vec<Truths> = columns
        .map(|c| Truths {
            column: c.name.clone(),
            holds_only_truths: None,
        })
        .collect();
    if out.is_empty() || !look {
        return Ok(out);
    }
    let mut client = store.connect(Purpose::Check).await?;
    let bound = match client.server.flavor {
        Flavor::Mysql => "SET SESSION max_execution_time = 5000",
        Flavor::Mariadb => "SET SESSION max_statement_time = 5",
    };
    client.run(DOING, bound).await?;
    let others: Vec<String> = out
        .iter()
        .map(|t| format!("COALESCE(MAX({} NOT IN (0, 1)), 0)", quote(&t.column)))
        .collect();
    let sql = format!(
        "SELECT {} FROM {}",
        others.join(", "),
        quote(&table.name.name)
    );
    match client.text_row(DOING, &sql).await {
        Ok(Some(row)) => {
            for (at, truths) in out.iter_mut().enumerate() {
                truths.holds_only_truths = Some(!row.is_true(at));
            }
        }
        // the time was not enough, or the table is locked
        Ok(None) => {}
        Err(error) if error.kind == ErrorKind::Busy => {}
        Err(error) => return Err(error),
    }
    client.close().await;
    Ok(out)
}
