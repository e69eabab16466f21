//! A seeded share of the rows, compared whole on both sides at the same position.

use std::collections::HashMap;
use std::sync::Arc;

use crossfade_model::digest::Salt;
use crossfade_model::{BucketSum, Digester, Row, TableMapping};
use crossfade_store::{Bound, ChunkRange, ReadForm};
use tokio::sync::mpsc;

use crate::error::EngineError;
use crate::layer_report::{Layer, LayerReport, SampleReport, SampledBy, TableSample};
use crate::progress::{Places, TableVerify, VerifyReport};
use crate::session::Session;
use crate::verify::collect::VerifyRequest;
use crate::verify::compare::{Part, both_sums, compared, now};
use crate::verify::differ::{self, MOST_LISTED};
use crate::verify::meet_pair::MeetPair;
use crate::verify::pair::Pair;
use crate::verify::side::{Reader, rows_of};

/// A whole.
pub(crate) const WHOLE: u32 = 1_000_000;

/// Ranges that are read of a table, about.
const RANGES_READ: u64 = 10;
/// Ranges that a table is cut into, at least and at most.
const RANGES: (u64, u64) = (16, 20_000);
/// Rows of a range at least, by estimate.
const ROWS_OF_A_RANGE: u64 = 8;

/// A table that is not cut into ranges is small up to so many rows and bytes, by estimate.
const SMALL: (u64, u64) = (100_000, 64 << 20);

/// Keys looked up at once.
const KEYS_AT_ONCE: usize = 400;

/// Compares `millionths` of the rows of all tables.
pub(crate) async fn verify(
    session: &Arc<Session>,
    requests: &mpsc::Sender<VerifyRequest>,
    millionths: u32,
    seed: u64,
) -> Result<VerifyReport, EngineError> {
    let started = now();
    let salt: Salt = rand::random();
    let digester = Digester::new(&salt);
    let sources = session.source_tables();
    let met = MeetPair::open(session, requests, &sources).await?;
    let position = session.source.show_position(met.position);
    let mut pair = met.into_pair(session);
    let (mut tables, mut samples) = (Vec::new(), Vec::new());
    for mapping in session.tables() {
        let chosen = choose(&mut pair, mapping, millionths, seed).await?;
        let (back, table) = match &chosen.what {
            What::Ranges(ranges) => ranges_of(session, pair, mapping, &digester, ranges).await?,
            What::Parts(words) => {
                let table = keys_of(session, &mut pair, mapping, &digester, words).await?;
                (pair, table)
            }
            What::Nothing => (pair, nothing_of(mapping)),
        };
        pair = back;
        tables.push(table);
        samples.push(chosen.sample);
    }
    pair.close().await?;
    Ok(VerifyReport {
        position,
        started,
        finished: now(),
        equal: tables.iter().all(|t| t.equal),
        tables,
        layers: LayerReport {
            layer: Layer::Sample,
            sample: Some(SampleReport {
                percent: f64::from(millionths) / 10_000.0,
                seed,
                tables: samples,
            }),
            ..LayerReport::default()
        },
        ..VerifyReport::default()
    })
}

enum What {
    Ranges(Vec<ChunkRange>),
    Parts(Vec<String>),
    Nothing,
}

struct Chosen {
    what: What,
    sample: TableSample,
}

async fn choose(
    pair: &mut Pair,
    mapping: &TableMapping,
    millionths: u32,
    seed: u64,
) -> Result<Chosen, EngineError> {
    let name = mapping.called();
    let told = |what, how, read: usize, of: usize| Chosen {
        what,
        sample: TableSample {
            name: name.clone(),
            how,
            read: read as u64,
            of: of as u64,
        },
    };
    let all = |how| told(What::Ranges(vec![ChunkRange::All]), how, 1, 1);
    if millionths >= WHOLE {
        return Ok(all(SampledBy::Whole));
    }
    let wanted = ranges_wanted(millionths, mapping.source.estimated_rows);
    if mapping.source.is_ordered() {
        let ranges = ranges(pair.source.bounds(mapping, wanted).await?);
        let of = ranges.len();
        let chosen = chosen(of, millionths, seed, &name);
        let ranges: Vec<_> = chosen.iter().map(|at| ranges[*at].clone()).collect();
        return Ok(told(
            What::Ranges(ranges),
            SampledBy::Ranges,
            chosen.len(),
            of,
        ));
    }
    let source = &mapping.source;
    if source.estimated_rows <= SMALL.0 && source.estimated_bytes <= SMALL.1 {
        return Ok(all(SampledBy::Whole));
    }
    if source.key.is_none() {
        return Ok(told(What::Nothing, SampledBy::LeftOut, 0, 1));
    }
    let words = pair.source.parts(mapping, wanted).await?;
    let chosen = chosen(words.len(), millionths, seed, &name);
    let parts: Vec<_> = chosen.iter().map(|at| words[*at].clone()).collect();
    Ok(told(
        What::Parts(parts),
        SampledBy::Keys,
        chosen.len(),
        words.len(),
    ))
}

/// Into how many ranges a table is cut: so many that the share is some of them.
fn ranges_wanted(millionths: u32, rows: u64) -> usize {
    let wanted = RANGES_READ * u64::from(WHOLE) / u64::from(millionths.max(1));
    let most = (rows / ROWS_OF_A_RANGE).clamp(RANGES.0, RANGES.1);
    wanted.clamp(RANGES.0, most) as usize
}

fn ranges(bounds: Vec<Bound>) -> Vec<ChunkRange> {
    if bounds.is_empty() {
        return vec![ChunkRange::All];
    }
    let lows = std::iter::once(None).chain(bounds.iter().cloned().map(Some));
    let highs = bounds.iter().cloned().map(Some).chain([None]);
    lows.zip(highs)
        .map(|(low, high)| ChunkRange::Keys { low, high })
        .collect()
}

/// Which of `of` are read: at least one, by the seed and the table's name alone.
fn chosen(of: usize, millionths: u32, seed: u64, name: &str) -> Vec<usize> {
    let share = (of as u128 * u128::from(millionths)).div_ceil(u128::from(WHOLE)) as usize;
    let start = name
        .bytes()
        .fold(seed, |at, byte| mixed(at ^ u64::from(byte)));
    let mut order: Vec<(u64, usize)> = (0..of)
        .map(|at| (mixed(start ^ mixed(at as u64)), at))
        .collect();
    order.sort_unstable();
    let mut out: Vec<usize> = order
        .into_iter()
        .map(|(_, at)| at)
        .take(share.max(1))
        .collect();
    out.sort_unstable();
    out
}

/// Scatters numbers (SplitMix64's finishing steps).
fn mixed(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

async fn ranges_of(
    session: &Arc<Session>,
    pair: Pair,
    mapping: &TableMapping,
    digester: &Digester,
    ranges: &[ChunkRange],
) -> Result<(Pair, TableVerify), EngineError> {
    let part = |range: &ChunkRange| Part {
        table: mapping.id.0 as usize,
        range: range.clone(),
        places: Places::default(),
    };
    let parts: Vec<Part> = ranges.iter().map(part).collect();
    let (mut pair, mut sums) = both_sums(session, pair, digester, &parts).await?;
    let mut table = nothing_of(mapping);
    for (part, sums) in parts.iter().zip(&mut sums) {
        let found = compared(session, &mut pair, part, digester, sums).await?;
        table.rows += found.rows;
        table.source.merge(&found.source);
        table.target.merge(&found.target);
        table.equal &= found.equal;
        table.more |= found.more;
        table.differences.extend(found.differences);
    }
    capped(&mut table);
    Ok((pair, table))
}

fn capped(table: &mut TableVerify) {
    table.more |= table.differences.len() > MOST_LISTED;
    table.differences.truncate(MOST_LISTED);
}

fn nothing_of(mapping: &TableMapping) -> TableVerify {
    TableVerify {
        name: mapping.called(),
        columns: mapping.columns.iter().map(|c| c.source.clone()).collect(),
        rows: 0,
        source: BucketSum::default(),
        target: BucketSum::default(),
        stream_proven_keys: 0,
        places: Places::default(),
        equal: true,
        differences: Vec::new(),
        more: false,
    }
}

/// The rows of some parts of the source's table, looked up on the target.
async fn keys_of(
    session: &Session,
    pair: &mut Pair,
    mapping: &TableMapping,
    digester: &Digester,
    words: &[String],
) -> Result<TableVerify, EngineError> {
    let mut table = nothing_of(mapping);
    let mut theirs = Reader::new(mapping, digester, session.source.label());
    let mut ours = Reader::new(mapping, digester, session.target.label());
    let (source, target) = (&mut pair.source, &mut pair.target);
    for word in words {
        let range = ChunkRange::Part(word.clone());
        let mut stream = source.read(mapping, &range, ReadForm::Rows).await?;
        while let Some(block) = stream.next().await? {
            let rows = rows_of(block)?;
            for some in rows.chunks(KEYS_AT_ONCE) {
                let keys: Vec<Row> = some.iter().map(|row| mapping.key_only(row)).collect();
                let mut found = HashMap::with_capacity(keys.len());
                for row in target.read_keys(mapping, &keys).await? {
                    found.insert(ours.identity(&row)?.to_vec(), row);
                }
                for row in some {
                    table.rows += 1;
                    table.source.add(theirs.digest(row)?);
                    let there = found.get(theirs.identity(row)?);
                    if let Some(there) = there {
                        table.target.add(ours.digest(there)?);
                    }
                    let marks = &session.strangers;
                    let difference = differ::difference(mapping, marks, Some(row), there, None);
                    table.differences.extend(difference);
                }
                capped(&mut table);
            }
        }
    }
    table.equal = table.differences.is_empty();
    Ok(table)
}

#[cfg(test)]
#[path = "sample_tests.rs"]
mod tests;
