//! Names the rows of buckets whose sums are not equal: sums both sides again in finer buckets, then reads the rows of a few.

use std::collections::{HashMap, HashSet};

use crossfade_model::{BucketSum, TableMapping};
use crossfade_store::{ChunkRange, ReadForm, RowStream, SourceSnapshot, TargetSnapshot};

use crate::error::EngineError;
use crate::progress::Difference;
use crate::verify::collect::WholeChange;
use crate::verify::compare::{Round, shift};
use crate::verify::differ::{self, MOST_LISTED, Rows};
use crate::verify::side::{BUCKETS, Reader, bucket_of, hash, own, rows_of};

/// Finer buckets of a table.
const FINE: usize = 1 << 16;
/// Bytes of one side's rows kept at most.
const MOST_BYTES: usize = 64 << 20;

fn fine_of(identity: &[u8]) -> usize {
    // other bits of the hash than those that chose the bucket
    (hash(identity) / BUCKETS as u64 % FINE as u64) as usize
}

/// Reads both sides twice more for the rows of unequal buckets. The flag says that there may be more than is listed.
pub(super) async fn name(
    round: &Round,
    mapping: &TableMapping,
    snapshot: &mut dyn SourceSnapshot,
    target: &mut dyn TargetSnapshot,
    n: usize,
    bad: Vec<bool>,
    unseen: &[&WholeChange],
) -> Result<(Vec<Difference>, bool), EngineError> {
    let all = ChunkRange::All;
    let mut theirs = Naming::new(round, mapping, n, "source", bad.clone());
    let mut ours = Naming::new(round, mapping, n, "target", bad);
    theirs
        .sum(snapshot.read(mapping, &all, ReadForm::Rows).await?.as_mut())
        .await?;
    theirs.shift(unseen)?;
    ours.sum(target.read(mapping).await?.as_mut()).await?;
    let (wanted, left_out) = wanted(&theirs.sums, &ours.sums);
    theirs
        .keep(
            snapshot.read(mapping, &all, ReadForm::Rows).await?.as_mut(),
            &wanted,
        )
        .await?;
    theirs.carry(unseen, &wanted)?;
    ours.keep(target.read(mapping).await?.as_mut(), &wanted)
        .await?;
    let (differences, dropped) = compare(mapping, theirs, ours);
    Ok((differences, left_out || dropped))
}

/// The finer buckets whose rows are read, and whether there are others.
fn wanted(theirs: &[BucketSum], ours: &[BucketSum]) -> (HashSet<usize>, bool) {
    let unequal = theirs.iter().zip(ours).enumerate();
    let mut unequal = unequal.filter(|(_, (a, b))| a != b).map(|(at, _)| at);
    let wanted = unequal.by_ref().take(MOST_LISTED + 1).collect();
    (wanted, unequal.next().is_some())
}

/// The differences of the buckets that both sides have whole; the flag says that some are not.
fn compare(
    mapping: &TableMapping,
    mut theirs: Naming<'_>,
    mut ours: Naming<'_>,
) -> (Vec<Difference>, bool) {
    let dropped: HashSet<usize> = theirs.dropped.union(&ours.dropped).copied().collect();
    let gather = |side: &mut Naming<'_>| -> Rows {
        let kept = side.rows.drain().filter(|(at, _)| !dropped.contains(at));
        kept.flat_map(|(_, (rows, _))| rows).collect()
    };
    let (theirs, ours) = (gather(&mut theirs), gather(&mut ours));
    (
        differ::differences(mapping, &theirs, &ours),
        !dropped.is_empty(),
    )
}

/// One side's naming.
struct Naming<'a> {
    reader: Reader<'a>,
    apart: &'a HashSet<Vec<u8>>,
    bad: Vec<bool>,
    sums: Vec<BucketSum>,
    /// Rows by finer bucket, and their weight.
    rows: HashMap<usize, (Rows, usize)>,
    weight: usize,
    /// Buckets too big to be kept whole: half of one would name rows that do not differ.
    dropped: HashSet<usize>,
}

impl<'a> Naming<'a> {
    fn new(
        round: &'a Round,
        mapping: &'a TableMapping,
        n: usize,
        side: &'static str,
        bad: Vec<bool>,
    ) -> Naming<'a> {
        Naming::over(
            Reader::new(mapping, round.digester.clone(), side),
            &round.apart[n],
            bad,
        )
    }

    fn over(reader: Reader<'a>, apart: &'a HashSet<Vec<u8>>, bad: Vec<bool>) -> Naming<'a> {
        Naming {
            reader,
            apart,
            bad,
            sums: vec![BucketSum::default(); FINE],
            rows: HashMap::new(),
            weight: 0,
            dropped: HashSet::new(),
        }
    }

    fn is_bad(&self, identity: &[u8]) -> bool {
        self.bad[bucket_of(identity)] && !self.apart.contains(identity)
    }

    async fn sum(&mut self, stream: &mut (dyn RowStream + '_)) -> Result<(), EngineError> {
        while let Some(block) = stream.next().await? {
            for row in rows_of(block)? {
                let identity = self.reader.identity(&row)?.to_vec();
                if self.is_bad(&identity) {
                    let digest = self.reader.digest(&row)?;
                    self.sums[fine_of(&identity)].add(digest);
                }
            }
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    /// Rows of a table without key that came and went after the snapshot.
    fn shift(&mut self, unseen: &[&WholeChange]) -> Result<(), EngineError> {
        for whole in unseen {
            let identity = self.reader.identity(&whole.row)?.to_vec();
            if self.is_bad(&identity) {
                let digest = self.reader.digest(&whole.row)?;
                shift(&mut self.sums[fine_of(&identity)], digest, whole.came);
            }
        }
        Ok(())
    }

    async fn keep(
        &mut self,
        stream: &mut (dyn RowStream + '_),
        wanted: &HashSet<usize>,
    ) -> Result<(), EngineError> {
        while let Some(block) = stream.next().await? {
            for row in rows_of(block)? {
                let identity = self.reader.identity(&row)?.to_vec();
                let at = fine_of(&identity);
                if !self.is_bad(&identity) || !wanted.contains(&at) || self.dropped.contains(&at) {
                    continue;
                }
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

    fn drop_bucket(&mut self, at: usize) {
        self.dropped.insert(at);
        if let Some((_, weight)) = self.rows.remove(&at) {
            self.weight -= weight;
        }
    }

    /// As [`Naming::shift`], for the rows that are kept.
    fn carry(
        &mut self,
        unseen: &[&WholeChange],
        wanted: &HashSet<usize>,
    ) -> Result<(), EngineError> {
        for whole in unseen {
            let identity = self.reader.identity(&whole.row)?.to_vec();
            let at = fine_of(&identity);
            if !self.is_bad(&identity) || !wanted.contains(&at) || self.dropped.contains(&at) {
                continue;
            }
            let rows = self
                .rows
                .entry(at)
                .or_default()
                .0
                .entry(identity)
                .or_default();
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
