//! Names the rows of buckets whose sums are not equal: sums them again in finer buckets, then keeps the rows of a few.
//!
//! Buckets are chosen by a row's digest: equal rows are in the same one on both sides, the two halves of a changed row are in
//! two. What is kept of the unequal ones is matched by identity.

use std::collections::{HashMap, HashSet};

use crossfade_model::{BucketSum, Digester, Row, RowDigest, TableMapping};
use crossfade_store::{ChunkRange, ReadForm, RowStream, TargetSnapshot};

use crate::error::EngineError;
use crate::progress::Difference;
use crate::strangers::Marks;
use crate::verify::collect::{Touched, WholeChange};
use crate::verify::differ::{self, MOST_LISTED, Rows};
use crate::verify::pair::Pair;
use crate::verify::side::{Reader, own, rows_of};

/// Bytes of one side's rows kept at most.
const MOST_BYTES: usize = 64 << 20;

/// Finer buckets whose rows are kept at most: a changed row is in two.
const MOST_WANTED: usize = 2 * (MOST_LISTED + 1);

/// Reads both sides twice more for the rows of unequal buckets. The flag says that there may be more than is listed.
pub(super) async fn name(
    pair: &mut Pair,
    mapping: &TableMapping,
    marks: &Marks,
    range: &ChunkRange,
    digester: &Digester,
    labels: [&str; 2],
    bad: &HashSet<usize>,
) -> Result<(Vec<Difference>, bool), EngineError> {
    let touched = std::mem::take(&mut pair.touched[mapping.id.0 as usize]);
    let unseen = touched.unseen(pair.view());
    let rows = ReadForm::Rows;
    let mut theirs = Naming::new(mapping, digester, labels[0], &touched, bad);
    let mut ours = Naming::new(mapping, digester, labels[1], &touched, bad);
    let (source, target) = (&mut pair.source, &mut pair.target);
    let mut stream = source.read(mapping, range, rows.clone()).await?;
    theirs.sum(stream.as_mut()).await?;
    drop(stream);
    theirs.shift(&unseen)?;
    ours.sum(target.read(mapping, range).await?.as_mut())
        .await?;
    let (wanted, left_out) = wanted(&theirs.sums, &ours.sums);
    let mut stream = source.read(mapping, range, rows).await?;
    theirs.keep(stream.as_mut(), &wanted).await?;
    drop(stream);
    theirs.carry(&unseen, &wanted)?;
    ours.keep(target.read(mapping, range).await?.as_mut(), &wanted)
        .await?;
    let more = left_out || !theirs.dropped.is_empty() || !ours.dropped.is_empty();
    let (theirs, ours) = both(theirs, ours);
    let (theirs, ours) = if more {
        whole(mapping, target.as_mut(), theirs, ours, labels[1], digester).await?
    } else {
        (theirs, ours)
    };
    Ok((
        differ::differences(mapping, marks, &theirs, &ours, digester),
        more,
    ))
}

/// The finer buckets whose rows are kept, and whether there are others.
fn wanted(
    theirs: &HashMap<u16, BucketSum>,
    ours: &HashMap<u16, BucketSum>,
) -> (HashSet<u16>, bool) {
    let none = BucketSum::default();
    let all: HashSet<u16> = theirs.keys().chain(ours.keys()).copied().collect();
    let mut unequal: Vec<u16> = all
        .into_iter()
        .filter(|at| theirs.get(at).unwrap_or(&none) != ours.get(at).unwrap_or(&none))
        .collect();
    unequal.sort_unstable();
    let more = unequal.len() > MOST_WANTED;
    unequal.truncate(MOST_WANTED);
    (unequal.into_iter().collect(), more)
}

/// The rows of the buckets that both sides have whole.
fn both(mut theirs: Naming<'_>, mut ours: Naming<'_>) -> (Rows, Rows) {
    let dropped: HashSet<u16> = theirs.dropped.union(&ours.dropped).copied().collect();
    let gather = |side: &mut Naming<'_>| -> Rows {
        let mut out = Rows::new();
        for (at, (rows, _)) in side.rows.drain() {
            if dropped.contains(&at) {
                continue;
            }
            for (identity, rows) in rows {
                out.entry(identity).or_default().extend(rows);
            }
        }
        out
    };
    (gather(&mut theirs), gather(&mut ours))
}

/// Where not all unequal buckets are kept, the other half of a row may be in one that is not: the source's rows are looked up
/// on the target, and the target's alone are no finding.
async fn whole(
    mapping: &TableMapping,
    target: &mut dyn TargetSnapshot,
    theirs: Rows,
    mut ours: Rows,
    label: &str,
    digester: &Digester,
) -> Result<(Rows, Rows), EngineError> {
    if mapping.source.key.is_none() {
        return Ok((theirs, ours));
    }
    ours.retain(|identity, _| theirs.contains_key(identity));
    let absent = theirs
        .iter()
        .filter(|(identity, _)| !ours.contains_key(*identity));
    let keys: Vec<Row> = absent
        .filter_map(|(_, rows)| rows.first())
        .take(MOST_LISTED + 1)
        .map(|row| mapping.key_only(row))
        .collect();
    let looked_up: HashSet<Vec<u8>> = {
        let mut reader = Reader::new(mapping, digester, label);
        let identities = keys
            .iter()
            .map(|key| reader.identity(key).map(<[u8]>::to_vec));
        identities.collect::<Result<_, _>>()?
    };
    let mut reader = Reader::new(mapping, digester, label);
    for row in target.read_keys(mapping, &keys).await? {
        let identity = reader.identity(&row)?.to_vec();
        ours.entry(identity).or_default().push(row);
    }
    let mut theirs = theirs;
    theirs.retain(|identity, _| ours.contains_key(identity) || looked_up.contains(identity));
    Ok((theirs, ours))
}

/// One side's naming.
struct Naming<'a> {
    reader: Reader<'a>,
    touched: &'a Touched,
    bad: &'a HashSet<usize>,
    sums: HashMap<u16, BucketSum>,
    /// Rows by finer bucket, and their weight.
    rows: HashMap<u16, (Rows, usize)>,
    weight: usize,
    /// Buckets too big to be kept whole: half of one would name rows that do not differ.
    dropped: HashSet<u16>,
}

impl<'a> Naming<'a> {
    fn new(
        mapping: &'a TableMapping,
        digester: &Digester,
        label: &'a str,
        touched: &'a Touched,
        bad: &'a HashSet<usize>,
    ) -> Naming<'a> {
        Naming {
            reader: Reader::new(mapping, digester, label),
            touched,
            bad,
            sums: HashMap::new(),
            rows: HashMap::new(),
            weight: 0,
            dropped: HashSet::new(),
        }
    }

    /// The digest of a row in an unequal bucket; `None` for another row, and for one that is compared by its key.
    fn bad(&mut self, row: &Row) -> Result<Option<RowDigest>, EngineError> {
        let digest = self.reader.digest(row)?;
        if !self.bad.contains(&digest.bucket()) {
            return Ok(None);
        }
        if !self.touched.cells.is_empty() {
            let identity = self.reader.identity(row)?;
            if self.touched.cells.contains_key(identity) {
                return Ok(None);
            }
        }
        Ok(Some(digest))
    }

    async fn sum(&mut self, stream: &mut (dyn RowStream + '_)) -> Result<(), EngineError> {
        while let Some(block) = stream.next().await? {
            for row in rows_of(block)? {
                if let Some(digest) = self.bad(&row)? {
                    self.sums.entry(digest.place).or_default().add(digest);
                }
            }
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    /// Rows of a table without key that came and went after the snapshot.
    fn shift(&mut self, unseen: &[&WholeChange]) -> Result<(), EngineError> {
        for whole in unseen {
            if let Some(digest) = self.bad(&whole.row)? {
                let sum = self.sums.entry(digest.place).or_default();
                if whole.came {
                    sum.add(digest);
                } else {
                    sum.remove(digest);
                }
            }
        }
        Ok(())
    }

    async fn keep(
        &mut self,
        stream: &mut (dyn RowStream + '_),
        wanted: &HashSet<u16>,
    ) -> Result<(), EngineError> {
        while let Some(block) = stream.next().await? {
            for row in rows_of(block)? {
                let Some(at) = self.wanted(&row, wanted)? else {
                    continue;
                };
                let identity = self.reader.identity(&row)?.to_vec();
                let weight = identity.len() + row.weight();
                self.weight += weight;
                let (rows, of_bucket) = self.rows.entry(at).or_default();
                *of_bucket += weight;
                rows.entry(identity).or_default().push(own(&row));
                if self.weight > MOST_BYTES {
                    self.drop_bucket(at);
                }
            }
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    /// The finer bucket of a row that is to be kept.
    fn wanted(&mut self, row: &Row, wanted: &HashSet<u16>) -> Result<Option<u16>, EngineError> {
        let digest = self.bad(row)?;
        let at = digest.map(|digest| digest.place);
        Ok(at.filter(|at| wanted.contains(at) && !self.dropped.contains(at)))
    }

    fn drop_bucket(&mut self, at: u16) {
        self.dropped.insert(at);
        if let Some((_, weight)) = self.rows.remove(&at) {
            self.weight -= weight;
        }
    }

    /// As [`Naming::shift`], for the rows that are kept.
    fn carry(&mut self, unseen: &[&WholeChange], wanted: &HashSet<u16>) -> Result<(), EngineError> {
        for whole in unseen {
            let Some(at) = self.wanted(&whole.row, wanted)? else {
                continue;
            };
            let identity = self.reader.identity(&whole.row)?.to_vec();
            let (rows, _) = self.rows.entry(at).or_default();
            let rows = rows.entry(identity).or_default();
            if whole.came {
                rows.push(whole.row.clone());
            } else {
                rows.pop();
            }
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "name_tests.rs"]
mod tests;
