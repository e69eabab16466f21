//! What is proven while an attempt follows: every table cut into ranges, and the keys that changed since each was read.
//!
//! Lives as long as its attempt: where touches may have been missed, nothing is proven.

use std::cmp::Ordering;

use crossfade_model::{Change, Key, KeyEncoder, Position, Row, TableMapping};
use crossfade_rules::proof::{Book, Check, Finished, Outcome, RangeId, Status, Ticket, Verdict};
use crossfade_store::{Bound, ChunkRange, Source};

use crate::apply::steps::with_key_of;
use crate::error::EngineError;
use crate::progress::{ProofProgress, RangeProof};
use crate::verify::shared::{Sibling, siblings};
use crate::verify::side::own;

/// Rows of a range, about.
const RANGE_ROWS: u64 = 50_000;
/// Bytes of a range, about.
const RANGE_BYTES: u64 = 32 << 20;
/// Ranges of one table at most.
const MOST_RANGES: u64 = 2048;
/// Touched keys kept at most, all ranges together.
const MOST_TOUCHED: usize = 200_000;
/// Touched keys kept of one range at most: more than a range has rows are worth reading it whole.
const MOST_OF_RANGE: usize = 50_000;

/// A key that changed, with its cells in the source's form. Ordered by identity.
#[derive(Debug, Clone)]
pub(crate) struct TouchedKey {
    pub identity: Vec<u8>,
    pub cells: Row,
}

impl PartialEq for TouchedKey {
    fn eq(&self, other: &TouchedKey) -> bool {
        self.identity == other.identity
    }
}

impl Eq for TouchedKey {}

impl PartialOrd for TouchedKey {
    fn partial_cmp(&self, other: &TouchedKey) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for TouchedKey {
    fn cmp(&self, other: &TouchedKey) -> Ordering {
        self.identity.cmp(&other.identity)
    }
}

/// Where and when a range was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Stamp {
    pub position: Position,
    /// Milliseconds since the Unix epoch.
    pub at: i64,
}

/// One range of one table.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RangeSpec {
    pub table: usize,
    pub range: ChunkRange,
}

/// How a table is cut.
struct Cut {
    encoder: KeyEncoder,
    /// Number of its first range.
    first: u32,
    count: u32,
    /// The bounds between its ranges, ascending.
    bounds: Vec<Key>,
}

/// The book of all tables, and how they are cut.
pub(crate) struct Proofs {
    mappings: Vec<TableMapping>,
    /// Of each mapping those that share its target's table.
    siblings: Vec<Vec<Sibling>>,
    cuts: Vec<Cut>,
    specs: Vec<RangeSpec>,
    book: Book<TouchedKey, Stamp>,
}

impl Proofs {
    /// Cuts all tables, by a snapshot of the source.
    pub async fn cut(
        source: &dyn Source,
        mappings: &[TableMapping],
    ) -> Result<Proofs, EngineError> {
        let mut bounds = Vec::with_capacity(mappings.len());
        for mapping in mappings {
            let ranges = range_count(mapping);
            if ranges < 2 {
                bounds.push(Vec::new());
                continue;
            }
            let mut snapshot = source.open_snapshot(&[mapping.source_table()]).await?;
            bounds.push(snapshot.bounds(mapping, ranges).await?);
            snapshot.close().await?;
        }
        Ok(Proofs::new(mappings, bounds))
    }

    /// Of tables that are cut at these bounds.
    pub fn new(mappings: &[TableMapping], bounds: Vec<Vec<Bound>>) -> Proofs {
        let mut specs = Vec::new();
        let mut cuts = Vec::with_capacity(mappings.len());
        for (table, (mapping, bounds)) in mappings.iter().zip(bounds).enumerate() {
            let first = number(specs.len());
            specs.extend(ranges(table, &bounds));
            cuts.push(Cut {
                encoder: mapping.key_encoder(),
                first,
                count: number(bounds.len() + 1),
                bounds: bounds.into_iter().map(|b| b.key).collect(),
            });
        }
        let book = Book::new(number(specs.len()), MOST_OF_RANGE).with_total(MOST_TOUCHED);
        Proofs {
            mappings: mappings.to_vec(),
            siblings: siblings(mappings),
            cuts,
            book,
            specs,
        }
    }

    /// A range.
    pub fn spec(&self, range: RangeId) -> Option<&RangeSpec> {
        self.specs.get(range.index())
    }

    /// Enters the changes of one applied transaction. To be called by the applier once they are durable, and before anybody can
    /// read the target at that checkpoint.
    pub fn touch(&mut self, changes: &[Change]) {
        for change in changes {
            match change {
                Change::Insert { table, row } | Change::Upsert { table, row } => {
                    self.row(table.0 as usize, row);
                }
                Change::Update { table, before, row } => {
                    let table = table.0 as usize;
                    if let Some(mapping) = self.mappings.get(table) {
                        let row = with_key_of(mapping, before.as_ref(), row).into_owned();
                        self.row(table, &row);
                    }
                    if let Some(before) = before {
                        self.row(table, before);
                    }
                }
                Change::Delete { table, before: row } | Change::Unclear { table, key: row } => {
                    self.row(table.0 as usize, row);
                }
                Change::Filtered { .. } => {}
                Change::Truncate { tables } => {
                    tables.iter().for_each(|t| self.whole(t.0 as usize));
                }
                Change::TruncatePartitions { table } => self.whole(table.0 as usize),
            }
        }
    }

    /// A key of a row that was repaired, in the source's form.
    pub fn repaired(&mut self, table: usize, cells: &Row) {
        if let Some((range, key)) = self.key(table, cells) {
            self.book.repaired(range, &key);
        }
        self.others(table, Some(cells));
    }

    /// A stranger has written to the target: this key, in the source's form, is not proven, nor is any reading of it that is under
    /// way. Without a key nothing of the table is.
    pub fn stranger(&mut self, table: usize, cells: Option<&Row>) {
        match cells {
            Some(cells) => self.row(table, cells),
            None => self.whole(table),
        }
    }

    /// What is written to a row through one mapping may be another's row too: that one's key is touched as well.
    fn row(&mut self, table: usize, row: &Row) {
        self.own_row(table, row);
        self.others(table, Some(row));
    }

    /// All rows of the target's table, whose they are: a truncate of one part may have taken what others have of the rows.
    fn whole(&mut self, table: usize) {
        self.own_whole(table);
        self.others(table, None);
    }

    fn others(&mut self, table: usize, row: Option<&Row>) {
        let of = self.siblings.get(table).into_iter().flatten();
        let keys: Vec<(usize, Option<Row>)> = of
            .map(|sibling| (sibling.table, row.and_then(|row| sibling.key_of(row))))
            .collect();
        for (table, key) in keys {
            match key {
                Some(key) => self.own_row(table, &key),
                None => self.own_whole(table),
            }
        }
    }

    fn own_row(&mut self, table: usize, row: &Row) {
        match self.key(table, row) {
            Some((range, key)) => self.book.touch(range, &key),
            // a table without key, or a key that cannot be placed: all of it may have changed
            None => self.own_whole(table),
        }
    }

    fn key(&self, table: usize, row: &Row) -> Option<(RangeId, TouchedKey)> {
        let (mapping, cut) = (self.mappings.get(table)?, self.cuts.get(table)?);
        mapping.source.key.as_ref()?;
        let at = if cut.bounds.is_empty() {
            0
        } else {
            let key = cut.encoder.key_of(row).ok()?;
            cut.bounds.partition_point(|bound| *bound <= key)
        };
        let mut identity = Vec::new();
        mapping.identity_of(row, &mut identity).ok()?;
        let cells = own(&mapping.key_only(row));
        Some((
            RangeId(cut.first + number(at)),
            TouchedKey { identity, cells },
        ))
    }

    fn own_whole(&mut self, table: usize) {
        let ranges: Vec<RangeId> = self.of_table(table).collect();
        ranges.iter().for_each(|range| self.book.touch_all(*range));
    }

    /// The ranges of a table.
    pub fn of_table(&self, table: usize) -> impl Iterator<Item = RangeId> + use<> {
        let cut = self.cuts.get(table);
        let (first, count) = cut.map_or((0, 0), |cut| (cut.first, cut.count));
        (first..first + count).map(RangeId)
    }

    /// The next range to read, with the right to finish it.
    pub fn begin_next(&mut self) -> Option<(Ticket, RangeSpec)> {
        self.begin_range(self.book.next()?)
    }

    /// Begins to read this range, as [`Proofs::begin_next`].
    pub fn begin_range(&mut self, range: RangeId) -> Option<(Ticket, RangeSpec)> {
        let spec = self.spec(range)?.clone();
        self.book.begin(range).map(|ticket| (ticket, spec))
    }

    /// Ranges of which nothing is known.
    pub fn unproven(&self) -> Vec<RangeId> {
        let of = |range: &RangeId| self.book.status(*range) == Status::Unproven;
        self.book.ranges().filter(of).collect()
    }

    /// Begins to read this range again.
    pub fn begin(&mut self, range: RangeId) -> Option<Ticket> {
        self.book.begin(range)
    }

    /// Begins to read all ranges of all tables.
    pub fn begin_all(&mut self) -> Vec<Ticket> {
        let ranges: Vec<RangeId> = self.book.ranges().collect();
        let tickets = ranges.iter().filter_map(|range| self.book.begin(*range));
        tickets.collect()
    }

    /// The table of a reading.
    pub fn table_of(&self, ticket: &Ticket) -> usize {
        self.spec(ticket.range())
            .map_or(usize::MAX, |spec| spec.table)
    }

    /// Ends a reading with its outcome.
    pub fn finish(&mut self, ticket: Ticket, at: Stamp, equal: bool) -> Finished {
        let outcome = if equal {
            Outcome::Equal
        } else {
            Outcome::Differs
        };
        self.book.finish(ticket, at, outcome)
    }

    /// Ends a reading that came to nothing.
    pub fn cancel(&mut self, ticket: Ticket) {
        self.book.cancel(ticket);
    }

    /// Begins to read all touched keys by themselves.
    pub fn begin_touched(&mut self) -> Check<TouchedKey> {
        self.book.begin_touched()
    }

    /// Ends that reading.
    pub fn finish_touched(
        &mut self,
        check: Check<TouchedKey>,
        at: Stamp,
        found: Vec<((RangeId, TouchedKey), Verdict)>,
    ) -> crossfade_rules::proof::Checked<TouchedKey> {
        self.book.finish_touched(check, at, found)
    }

    /// That reading came to nothing.
    pub fn cancel_touched(&mut self, check: Check<TouchedKey>) {
        self.book.cancel_touched(check);
    }

    /// For people.
    pub fn progress(&self, show: impl Fn(Position) -> String) -> ProofProgress {
        let counts = self.book.progress();
        let oldest = self.book.oldest().and_then(|(range, stamp)| {
            let table = &self.mappings.get(self.spec(range)?.table)?.source.name;
            Some(RangeProof {
                table: table.to_string(),
                position: show(stamp.position),
                read: stamp.at,
            })
        });
        ProofProgress {
            ranges: self.specs.len() as u64,
            proven: counts.proven as u64,
            unproven: counts.unproven as u64,
            differ: counts.differs as u64,
            touched_keys: counts.touched as u64,
            everything: self.book.everything_proven(),
            oldest,
        }
    }
}

fn range_count(mapping: &TableMapping) -> usize {
    if !mapping.source.is_ordered() {
        return 1;
    }
    let table = &mapping.source;
    let by_rows = table.estimated_rows.div_ceil(RANGE_ROWS);
    let by_bytes = table.estimated_bytes.div_ceil(RANGE_BYTES);
    by_rows.max(by_bytes).clamp(1, MOST_RANGES) as usize
}

/// The ranges between bounds, from the first key to the last.
fn ranges(table: usize, bounds: &[Bound]) -> Vec<RangeSpec> {
    if bounds.is_empty() {
        let range = ChunkRange::All;
        return vec![RangeSpec { table, range }];
    }
    let lows = std::iter::once(None).chain(bounds.iter().cloned().map(Some));
    let highs = bounds
        .iter()
        .cloned()
        .map(Some)
        .chain(std::iter::once(None));
    lows.zip(highs)
        .map(|(low, high)| RangeSpec {
            table,
            range: ChunkRange::Keys { low, high },
        })
        .collect()
}

/// Ranges and tables are far fewer than 2^32.
fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

#[cfg(test)]
#[path = "book_tests.rs"]
mod tests;
