//! Where a table's digests are computed, side by side: where the migration file says, else wherever a sample of its rows was
//! summed sooner.
//!
//! Which place is cheaper depends on the width of rows, on the way to the server and on what else its processors do: it is
//! measured, once in an attempt and table, in the snapshots that are compared.

use std::collections::HashMap;
use std::time::Duration;

use crossfade_model::{Digester, TableMapping};
use crossfade_plan::verify_options::Digests;
use crossfade_store::{ChunkRange, Result, SourceSnapshot, SumPlace, TargetSnapshot};
use tokio::time::Instant;

use crate::error::EngineError;
use crate::progress::Places;
use crate::session::Session;
use crate::verify::pair::Pair;

/// Rows of a sample, about.
const SAMPLE: u64 = 20_000;

/// Tables of fewer rows are summed by the program: there is nothing to gain.
const LEAST_ROWS: u64 = 10 * SAMPLE;

/// The places of every table, in the order of the tables.
pub(super) async fn choose(
    session: &Session,
    pair: &mut Pair,
    digester: &Digester,
) -> std::result::Result<Vec<Places>, EngineError> {
    let mut places = Vec::with_capacity(session.tables().len());
    for (table, mapping) in session.tables().iter().enumerate() {
        let chosen = match decided(session, pair, table) {
            Some(chosen) => chosen,
            None => {
                let chosen = measured(pair, mapping, digester).await?;
                remembered(session).insert(table, chosen);
                chosen
            }
        };
        places.push(chosen);
    }
    Ok(places)
}

/// The places of one table as they were asked for or measured; the program before that.
pub(super) fn known(session: &Session, pair: &Pair, table: usize) -> Places {
    decided(session, pair, table).unwrap_or_default()
}

/// The places of one table where nothing needs to be measured.
fn decided(session: &Session, pair: &Pair, table: usize) -> Option<Places> {
    match session.verify.digests {
        Digests::Auto => remembered(session).get(&table).copied(),
        Digests::Program => Some(Places::default()),
        Digests::Server => {
            let [source, target] = servers(pair, session.tables().get(table)?);
            let place = |server| match server {
                true => SumPlace::Server,
                false => SumPlace::Program,
            };
            Some(Places {
                source: place(source),
                target: place(target),
            })
        }
    }
}

/// Whether the source's server and the target's can sum this table.
fn servers(pair: &Pair, mapping: &TableMapping) -> [bool; 2] {
    [
        pair.source.sum_places(mapping),
        pair.target.sum_places(mapping),
    ]
    .map(|places| places.contains(&SumPlace::Server))
}

fn remembered(session: &Session) -> std::sync::MutexGuard<'_, HashMap<usize, Places>> {
    let places = session.places.lock();
    // what it holds is whole after every step
    places.unwrap_or_else(std::sync::PoisonError::into_inner)
}

async fn measured(
    pair: &mut Pair,
    mapping: &TableMapping,
    digester: &Digester,
) -> std::result::Result<Places, EngineError> {
    let server = servers(pair, mapping);
    if server == [false; 2] || mapping.source.estimated_rows < LEAST_ROWS {
        return Ok(Places::default());
    }
    let Some(range) = sample(pair.source.as_mut(), mapping).await? else {
        return Ok(Places::default());
    };
    // both at once, as they are summed afterwards
    let (source, target) = tokio::join!(
        source_times(pair.source.as_mut(), mapping, &range, digester, server[0]),
        target_times(pair.target.as_mut(), mapping, &range, digester, server[1]),
    );
    Ok(Places {
        source: cheaper(source?),
        target: cheaper(target?),
    })
}

/// A range of keys in the table's middle; `None` where keys cannot be cut.
async fn sample(
    source: &mut dyn SourceSnapshot,
    mapping: &TableMapping,
) -> Result<Option<ChunkRange>> {
    let pieces = usize::try_from(mapping.source.estimated_rows / SAMPLE).unwrap_or(usize::MAX);
    let bounds = source.bounds(mapping, pieces).await?;
    let middle = bounds.len() / 2;
    Ok(bounds.get(middle).map(|low| ChunkRange::Keys {
        low: Some(low.clone()),
        high: bounds.get(middle + 1).cloned(),
    }))
}

/// What the program took for the sample, and what the server did, where it can.
type Times = (Duration, Option<Duration>);

async fn source_times(
    snapshot: &mut dyn SourceSnapshot,
    mapping: &TableMapping,
    range: &ChunkRange,
    digester: &Digester,
    server: bool,
) -> Result<Times> {
    if !server {
        return Ok((Duration::ZERO, None));
    }
    // the first reading brings the rows into the server's memory, whoever hashes them
    let program = SumPlace::Program;
    snapshot.sum(mapping, range, digester, program).await?;
    let begun = Instant::now();
    snapshot.sum(mapping, range, digester, program).await?;
    let took = begun.elapsed();
    let begun = Instant::now();
    let server = SumPlace::Server;
    snapshot.sum(mapping, range, digester, server).await?;
    Ok((took, Some(begun.elapsed())))
}

async fn target_times(
    snapshot: &mut dyn TargetSnapshot,
    mapping: &TableMapping,
    range: &ChunkRange,
    digester: &Digester,
    server: bool,
) -> Result<Times> {
    if !server {
        return Ok((Duration::ZERO, None));
    }
    let program = SumPlace::Program;
    snapshot.sum(mapping, range, digester, program).await?;
    let begun = Instant::now();
    snapshot.sum(mapping, range, digester, program).await?;
    let took = begun.elapsed();
    let begun = Instant::now();
    let server = SumPlace::Server;
    snapshot.sum(mapping, range, digester, server).await?;
    Ok((took, Some(begun.elapsed())))
}

/// The server where it is clearly sooner: its processors have other work, so a tie is the program's.
fn cheaper((program, server): Times) -> SumPlace {
    match server {
        Some(server) if server.saturating_mul(10) < program.saturating_mul(9) => SumPlace::Server,
        _ => SumPlace::Program,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_sums_only_where_it_is_clearly_sooner() {
        let ms = Duration::from_millis;
        for (program, server, place) in [
            (100, Some(89), SumPlace::Server),
            (100, Some(90), SumPlace::Program),
            (100, Some(200), SumPlace::Program),
            (0, Some(0), SumPlace::Program),
            (100, None, SumPlace::Program),
        ] {
            assert_eq!(cheaper((ms(program), server.map(ms))), place);
        }
    }
}
