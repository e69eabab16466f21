//! Sums of the digests of a range's rows, in either place.

pub mod program;
pub mod raw;
pub mod server;

use crossfade_model::{BucketSums, Digester, TableMapping};
use crossfade_store::{ErrorKind, Result, StoreError, SumPlace};

use crate::connect::Client;
use raw::RawReads;
use server::Forms;

/// What is summed.
pub struct Summand<'a> {
    /// The table.
    pub mapping: &'a TableMapping,
    /// The rows as COPY reads them: a table with its mapped columns, or a query in parentheses.
    pub copied: String,
    /// The rows as a query reads them: what follows FROM.
    pub queried: String,
    /// The columns' forms in SQL, where there are such.
    pub forms: Option<Forms>,
}

impl Summand<'_> {
    /// Sums it.
    ///
    /// # Errors
    /// The server's; a value that is not of its column's type; a place in which this table cannot be summed.
    pub async fn sum(
        &self,
        client: &Client,
        raw: &mut RawReads,
        label: &str,
        digester: &Digester,
        place: SumPlace,
    ) -> Result<BucketSums> {
        let sums = match (place, &self.forms) {
            (SumPlace::Program, _) => {
                program::sum(client, raw, label, &self.copied, self.mapping, digester).await
            }
            (SumPlace::Server, Some(forms)) => {
                server::sum(client, label, forms, &self.queried, digester).await
            }
            (SumPlace::Server, None) => Err(StoreError::new(
                ErrorKind::Internal,
                "postgres.sum_place",
                label,
                "the server was asked for sums that it cannot compute",
            )),
        };
        sums.map_err(|e| match e.table {
            None => e.table(&self.mapping.source.name),
            Some(_) => e,
        })
    }
}

/// The places, where the forms can be written or not.
#[must_use]
pub fn places(forms: Option<&Forms>) -> Vec<SumPlace> {
    match forms {
        Some(_) => vec![SumPlace::Program, SumPlace::Server],
        None => vec![SumPlace::Program],
    }
}
