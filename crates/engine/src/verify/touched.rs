//! The rows that changed between the two snapshots: taken out of both sums, and compared one by one.
//!
//! The last logged image of a key, its missing columns from the row at S1, must be the target's row.

use std::collections::HashMap;

use crossfade_model::{BucketSum, BucketSums, Digester, Row, Snapshot, TableMapping};
use crossfade_rules::proof::{self, Expected};

use crate::error::EngineError;
use crate::progress::Difference;
use crate::strangers::Marks;
use crate::verify::collect::{LastImage, Touched};
use crate::verify::differ;
use crate::verify::pair::Pair;
use crate::verify::side::Reader;

/// Keys read at once.
const KEYS_AT_ONCE: usize = 400;

/// Both sides' sums of one table or range. First of all rows that each snapshot shows, then without those that changed
/// between the two.
#[derive(Debug, Clone, Default)]
pub(super) struct Sums {
    pub source: BucketSums,
    pub target: BucketSums,
}

/// What the one-by-one comparison found.
#[derive(Debug, Default)]
pub(super) struct Settled {
    pub differences: Vec<Difference>,
    /// The sum of the rows that were expected on the target.
    pub expected: BucketSum,
    /// The sum of the rows that were found there.
    pub found: BucketSum,
    /// Keys and rows that were compared by the stream's word.
    pub keys: u64,
}

/// Takes what changed out of both sums and compares it. `within` says which identities belong to the range that was summed.
pub(super) async fn settle(
    pair: &mut Pair,
    mapping: &TableMapping,
    marks: &Marks,
    digester: &Digester,
    labels: [&str; 2],
    sums: &mut Sums,
    within: impl Fn(&Row) -> bool,
) -> Result<Settled, EngineError> {
    let table = mapping.id.0 as usize;
    let view = pair.view().clone();
    let touched = std::mem::take(&mut pair.touched[table]);
    let mut settled = Settled::default();
    let theirs = Reader::new(mapping, digester, labels[0]);
    let ours = Reader::new(mapping, digester, labels[1]);
    let mut settling = Settling {
        mapping,
        digester,
        marks,
        touched: &touched,
        view: &view,
        readers: [theirs, ours],
        sums,
        settled: &mut settled,
    };
    settling.unseen()?;
    let cells = touched.cells.iter().filter(|(_, cells)| within(cells));
    let identities: Vec<&Vec<u8>> = cells.map(|(identity, _)| identity).collect();
    settling.settled.keys += identities.len() as u64;
    for some in identities.chunks(KEYS_AT_ONCE) {
        let mut wanted: Vec<&[u8]> = some.iter().map(|i| i.as_slice()).collect();
        let elsewhere = some.iter().filter_map(|i| touched.keys.get(*i));
        wanted.extend(elsewhere.map(|image| image.identity_at(&view)));
        wanted.sort_unstable();
        wanted.dedup();
        let keys = |identities: &[&[u8]]| -> Vec<Row> {
            let cells = identities.iter().filter_map(|i| touched.cells.get(*i));
            cells.cloned().collect()
        };
        let at_s1 = pair.source.read_keys(mapping, &keys(&wanted)).await?;
        let some: Vec<&[u8]> = some.iter().map(|i| i.as_slice()).collect();
        let at_p2 = pair.target.read_keys(mapping, &keys(&some)).await?;
        settling.some(&some, at_s1, at_p2)?;
    }
    pair.touched[table] = touched;
    Ok(settled)
}

struct Settling<'a> {
    mapping: &'a TableMapping,
    digester: &'a Digester,
    marks: &'a Marks,
    touched: &'a Touched,
    view: &'a Snapshot,
    readers: [Reader<'a>; 2],
    sums: &'a mut Sums,
    settled: &'a mut Settled,
}

impl Settling<'_> {
    /// Rows of a table without key that came and went after S1: the target has them.
    fn unseen(&mut self) -> Result<(), EngineError> {
        for whole in self.touched.unseen(self.view) {
            let digest = self.readers[0].digest(&whole.row)?;
            if whole.came {
                self.sums.source.add(digest);
            } else {
                self.sums.source.remove(digest);
            }
            self.settled.keys += 1;
        }
        Ok(())
    }

    fn some(
        &mut self,
        identities: &[&[u8]],
        at_s1: Vec<Row>,
        at_p2: Vec<Row>,
    ) -> Result<(), EngineError> {
        let at_s1 = by_identity(&mut self.readers[0], at_s1)?;
        let at_p2 = by_identity(&mut self.readers[1], at_p2)?;
        for identity in identities {
            let (there, found) = (at_s1.get(*identity), at_p2.get(*identity));
            if let Some(row) = there {
                let digest = self.readers[0].digest(row)?;
                self.sums.source.remove(digest);
            }
            if let Some(row) = found {
                let digest = self.readers[1].digest(row)?;
                self.sums.target.remove(digest);
                self.settled.found.add(digest);
            }
            let image = self.touched.keys.get(*identity);
            let expected = expected(image, self.view, there, &at_s1);
            // one that still lacks columns differs from whatever is there
            if let Some(row) = expected.as_ref().filter(|row| row.is_complete()) {
                let digest = self.readers[0].digest(row)?;
                self.settled.expected.add(digest);
            }
            let (expected, digester) = (expected.as_ref(), Some(self.digester));
            let difference =
                differ::difference(self.mapping, self.marks, expected, found, digester);
            self.settled.differences.extend(difference);
        }
        Ok(())
    }
}

/// Rows by identity. A second row of one key is no row that can be compared by its key: the sums tell of it.
fn by_identity(
    reader: &mut Reader<'_>,
    rows: Vec<Row>,
) -> Result<HashMap<Vec<u8>, Row>, EngineError> {
    let mut out = HashMap::with_capacity(rows.len());
    for row in rows {
        let identity = reader.identity(&row)?.to_vec();
        out.entry(identity).or_insert(row);
    }
    Ok(out)
}

/// The row that the target must have; one that lacks columns where nothing is known of them: it differs from whatever is
/// there, and the next comparison decides.
fn expected(
    image: Option<&LastImage>,
    view: &Snapshot,
    there: Option<&Row>,
    at_s1: &HashMap<Vec<u8>, Row>,
) -> Option<Row> {
    // a key that a change named only as an older one is as it was at S1
    let Some(image) = image else {
        return there.cloned();
    };
    let shown = at_s1.get(image.identity_at(view)).cloned();
    let last = match &image.row {
        None => proof::LastImage::Gone,
        Some(row) => proof::LastImage::Row(row.clone()),
    };
    match proof::expected_at_target(Some(last), shown) {
        Expected::Row(row) => Some(row),
        Expected::Absent => None,
        Expected::Unknown => image.row.clone(),
    }
}

#[cfg(test)]
#[path = "touched_tests.rs"]
mod tests;
