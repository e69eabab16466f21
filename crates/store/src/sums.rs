//! Sums of the digests of a table's rows, in the program.

use crossfade_model::{BucketSums, Digester, TableMapping};

use crate::{ErrorKind, Result, RowBlock, RowStream, StoreError};

/// Where digests are computed. Both places give the same sums.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SumPlace {
    /// Rows are read, and hashed here.
    Program,
    /// The server hashes, and sends sums.
    Server,
}

/// The code of an error about a value that has no comparable form.
pub const NO_FORM: &str = "verify.form";

/// Sums all rows of a stream.
///
/// # Errors
/// The stream's; [`NO_FORM`] for a value that is not of its column's type.
pub async fn sum_rows(
    stream: &mut (dyn RowStream + '_),
    mapping: &TableMapping,
    digester: &Digester,
    label: &str,
) -> Result<BucketSums> {
    let mut digester = digester.clone();
    let mut sums = BucketSums::default();
    while let Some(block) = stream.next().await? {
        let RowBlock::Rows(rows) = block else {
            return Err(StoreError::new(
                ErrorKind::Internal,
                "verify.rows",
                label,
                "rows were asked for as cells",
            )
            .table(&mapping.source.name));
        };
        for row in &rows {
            let digest = digester
                .row(&mapping.columns, row)
                .map_err(|(column, why)| no_form(mapping, column, &why.to_string(), label))?;
            sums.add(digest);
        }
        tokio::task::yield_now().await;
    }
    Ok(sums)
}

/// A value has no form in which both sides could be compared. Never carries the value.
pub fn no_form(mapping: &TableMapping, column: usize, why: &str, label: &str) -> StoreError {
    let name = mapping
        .columns
        .get(column)
        .map_or("?", |c| c.source.as_str());
    StoreError::new(
        ErrorKind::Corrupt,
        NO_FORM,
        label,
        format!("column {name} of a row has no comparable form: {why}"),
    )
    .table(&mapping.source.name)
    .fix("The value is not of its column's declared type; correct it, or declare the column otherwise")
}
