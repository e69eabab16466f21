//! Sums of the digests of a table's rows.

use crossfade_model::TableMapping;
use serde::{Deserialize, Serialize};

use crate::{ErrorKind, StoreError};

/// Where digests are computed. Both places give the same sums.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum SumPlace {
    /// Rows are read, and hashed here.
    #[default]
    Program,
    /// The server hashes, and sends sums.
    Server,
}

/// The code of an error about a value that has no comparable form.
pub const NO_FORM: &str = "verify.form";

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
