//! One comparison of all tables at one position, and the rule that a difference is reported only if it stays.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crossfade_model::digest::Salt;
use crossfade_model::{BucketSums, Digester, Position, TableMapping};
use crossfade_rules::proof::Ticket;
use crossfade_store::sums::NO_FORM;
use crossfade_store::{ChunkRange, SourceSnapshot, TargetSnapshot};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::error::EngineError;
use crate::progress::{Places, ProofProgress, TableVerify, VerifyReport};
use crate::run::Run;
use crate::session::Session;
use crate::strangers;
use crate::verify::book::{Proofs, Stamp};
use crate::verify::collect::VerifyRequest;
use crate::verify::continuous::ensure_cut;
use crate::verify::differ::MOST_LISTED;
use crate::verify::gentle::Watched;
use crate::verify::name::name;
use crate::verify::pair::Pair;
use crate::verify::place;
use crate::verify::salt::Committed;
use crate::verify::touched::{self, Sums};

/// Rounds that may begin again because too much changed between the two snapshots.
const MOST_ROUNDS: u32 = 20;

/// Comparisons in a row at most, until two of them show the same differences.
const MOST_COMPARISONS: u32 = 5;
/// Pause between them.
const COMPARISON_PAUSE: Duration = Duration::from_secs(1);

/// Compares both sides. What differs is compared again at later positions, until a comparison is equal or two in a row
/// show the same keys: only a difference that stays after the stream has passed it is one.
pub(crate) async fn verify(
    run: &Run,
    session: &Arc<Session>,
    requests: &mpsc::Sender<VerifyRequest>,
    gentle: bool,
) -> Result<VerifyReport, EngineError> {
    // the applier collects for one comparison at a time
    let _turn = session.comparing.lock().await;
    let committed = Committed::new(run).await?;
    let outcome = settled(session, requests, committed.salt(), gentle).await;
    committed.end(run, outcome).await
}

async fn settled(
    session: &Arc<Session>,
    requests: &mpsc::Sender<VerifyRequest>,
    salt: &Salt,
    gentle: bool,
) -> Result<VerifyReport, EngineError> {
    let mut report = settled_round(session, requests, salt, gentle).await?;
    for _ in 1..MOST_COMPARISONS {
        if report.equal {
            break;
        }
        tokio::time::sleep(COMPARISON_PAUSE).await;
        strangers::look(session).await?;
        let again = settled_round(session, requests, salt, gentle).await?;
        let stayed = nothing_new(&report, &again);
        report = again;
        if stayed {
            break;
        }
    }
    Ok(report)
}

/// Whether every difference of `now` was one before.
fn nothing_new(before: &VerifyReport, now: &VerifyReport) -> bool {
    let mut both = before.tables.iter().zip(&now.tables);
    both.all(|(before, now)| now.equal || stayed(before, now))
}

/// Whether every difference of a table was one before.
pub(super) fn stayed(before: &TableVerify, now: &TableVerify) -> bool {
    let had: HashSet<&str> = before.differences.iter().map(|d| d.key.as_str()).collect();
    let stayed = before.more || now.differences.iter().all(|d| had.contains(d.key.as_str()));
    !before.equal && stayed && before.name == now.name
}

async fn settled_round(
    session: &Arc<Session>,
    requests: &mpsc::Sender<VerifyRequest>,
    salt: &Salt,
    gentle: bool,
) -> Result<VerifyReport, EngineError> {
    for _ in 0..MOST_ROUNDS {
        if let Some(report) = round(session, requests, salt, gentle).await.map_err(told)? {
            return Ok(report);
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    Err(EngineError::stopped(
        "verify.too_busy",
        "more rows changed while the two snapshots were opened than a comparison can hold, again and again",
        "Run `verify` at a quieter time",
    ))
}

/// A value without a comparable form ends the comparison, not the run.
pub(super) fn told(error: EngineError) -> EngineError {
    match error {
        EngineError::Store(e) if e.code == NO_FORM => EngineError::Stopped {
            code: NO_FORM,
            table: e.table,
            key: None,
            what: format!("{}: {}", e.store, e.what),
            fix: e.fix.unwrap_or_default(),
        },
        other => other,
    }
}

/// Milliseconds since the Unix epoch.
pub(crate) fn now() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |d| d.as_millis() as i64)
}

/// One comparison; `None` where it must begin again.
async fn round(
    session: &Arc<Session>,
    requests: &mpsc::Sender<VerifyRequest>,
    salt: &Salt,
    gentle: bool,
) -> Result<Option<VerifyReport>, EngineError> {
    let started = now();
    ensure_cut(session).await?;
    let tickets = session.proofs().as_mut().map(Proofs::begin_all);
    let tickets = tickets.unwrap_or_default();
    let read = all(session, requests, salt, gentle).await;
    let Ok(Some((position, tables))) = read else {
        if let Some(proofs) = session.proofs().as_mut() {
            tickets.into_iter().for_each(|ticket| proofs.cancel(ticket));
        }
        return read.map(|_| None);
    };
    let stamp = Stamp {
        position,
        at: started,
    };
    let proof = enter(session, tickets, stamp, &tables);
    let equal = tables.iter().all(|t| t.equal);
    Ok(Some(VerifyReport {
        position: session.source.show_position(position),
        started,
        finished: now(),
        tables,
        equal,
        proof,
        ..VerifyReport::default()
    }))
}

/// Enters what a comparison of all tables has proven.
fn enter(
    session: &Session,
    tickets: Vec<Ticket>,
    stamp: Stamp,
    tables: &[TableVerify],
) -> Option<ProofProgress> {
    let mut proofs = session.proofs();
    let proofs = proofs.as_mut()?;
    for ticket in tickets {
        let table = tables.get(proofs.table_of(&ticket));
        // void where more was touched meanwhile than is kept: the range stays unproven
        let _ = proofs.finish(ticket, stamp, table.is_some_and(|t| t.equal));
    }
    Some(proofs.progress(|p| session.source.show_position(p)))
}

async fn all(
    session: &Arc<Session>,
    requests: &mpsc::Sender<VerifyRequest>,
    salt: &Salt,
    gentle: bool,
) -> Result<Option<(Position, Vec<TableVerify>)>, EngineError> {
    let tables = session.source_tables();
    let watched = match gentle {
        true => Some(Watched::begin(&session.source).await?),
        false => None,
    };
    let Some(mut pair) = Pair::open(session, requests, &tables).await? else {
        return Ok(None);
    };
    let position = pair.position;
    let places = match &watched {
        // a server that has been asked for a sum does not rest
        Some(watched) => {
            pair.keep_pace(&watched.pace);
            vec![Places::default(); tables.len()]
        }
        None => place::choose(session, &mut pair, &Digester::new(salt)).await?,
    };
    let whole = places.into_iter().enumerate();
    let whole = whole.map(|(table, places)| Part::new(table, ChunkRange::All, places));
    let tables = parts(session, pair, salt, whole.collect()).await?;
    Ok(Some((position, tables)))
}

/// Compares these parts on both sides, and ends the reads.
pub(super) async fn parts(
    session: &Arc<Session>,
    pair: Pair,
    salt: &Salt,
    parts: Vec<Part>,
) -> Result<Vec<TableVerify>, EngineError> {
    let digester = Digester::new(salt);
    let (mut pair, mut sums) = both_sums(session, pair, &digester, &parts).await?;
    let mut tables = Vec::with_capacity(parts.len());
    for (part, sums) in parts.iter().zip(&mut sums) {
        tables.push(compared(session, &mut pair, part, &digester, sums).await?);
    }
    pair.close().await?;
    Ok(tables)
}

/// What is summed: a table, or a range of one.
#[derive(Debug, Clone)]
pub(super) struct Part {
    pub table: usize,
    pub range: ChunkRange,
    pub places: Places,
}

impl Part {
    /// A range of a table.
    pub fn new(table: usize, range: ChunkRange, places: Places) -> Part {
        Part {
            table,
            range,
            places,
        }
    }
}

/// Sums both sides at once; one after the other where a pace is kept.
pub(super) async fn both_sums(
    session: &Arc<Session>,
    pair: Pair,
    digester: &Digester,
    parts: &[Part],
) -> Result<(Pair, Vec<Sums>), EngineError> {
    let Pair {
        mut source,
        mut target,
        position,
        touched,
        pace,
    } = pair;
    let ahead = match pace {
        Some(_) => Some(sum_target(session, target.as_mut(), digester, parts).await?),
        None => None,
    };
    // ends with this comparison: a reading that went on by itself would hold the snapshot, and the right to write
    let mut reading = JoinSet::new();
    {
        let (session, digester) = (Arc::clone(session), digester.clone());
        let parts = parts.to_vec();
        reading.spawn(async move {
            let sums = sum_source(&session, source.as_mut(), &digester, &parts).await;
            (source, sums)
        });
    }
    let ours = match ahead {
        Some(ours) => ours,
        None => sum_target(session, target.as_mut(), digester, parts).await?,
    };
    let read = reading.join_next().await;
    let (source, theirs) = read
        .ok_or_else(|| EngineError::internal("nothing reads the source"))?
        .map_err(|e| EngineError::internal(format!("the reading of the source ended: {e}")))?;
    let both = theirs?.into_iter().zip(ours);
    let sums = both
        .map(|(source, target)| Sums { source, target })
        .collect();
    let pair = Pair {
        source,
        target,
        position,
        touched,
        pace,
    };
    Ok((pair, sums))
}

async fn sum_source(
    session: &Session,
    snapshot: &mut dyn SourceSnapshot,
    digester: &Digester,
    parts: &[Part],
) -> Result<Vec<BucketSums>, EngineError> {
    let mut out = Vec::with_capacity(parts.len());
    for part in parts {
        let mapping = &session.tables()[part.table];
        let sums = snapshot.sum(mapping, &part.range, digester, part.places.source);
        out.push(sums.await?);
    }
    Ok(out)
}

async fn sum_target(
    session: &Session,
    snapshot: &mut dyn TargetSnapshot,
    digester: &Digester,
    parts: &[Part],
) -> Result<Vec<BucketSums>, EngineError> {
    let mut out = Vec::with_capacity(parts.len());
    for part in parts {
        let mapping = &session.tables()[part.table];
        let sums = snapshot.sum(mapping, &part.range, digester, part.places.target);
        out.push(sums.await?);
    }
    Ok(out)
}

/// Settles what changed between the two snapshots, and names the rows of buckets that are not equal.
pub(super) async fn compared(
    session: &Session,
    pair: &mut Pair,
    part: &Part,
    digester: &Digester,
    sums: &mut Sums,
) -> Result<TableVerify, EngineError> {
    let mapping = &session.tables()[part.table];
    let labels = [session.source.label(), session.target.label()];
    let marks = &session.strangers;
    let within = within(mapping, &part.range);
    let mut settled = touched::settle(pair, mapping, marks, digester, labels, sums, within).await?;
    let bad: HashSet<usize> = sums.source.unequal(&sums.target).collect();
    let mut more = false;
    if !bad.is_empty() {
        let named = name(pair, mapping, marks, &part.range, digester, labels, &bad).await?;
        more = named.1 || named.0.is_empty();
        settled.differences.extend(named.0);
    }
    let mut differences = settled.differences;
    more |= differences.len() > MOST_LISTED;
    differences.truncate(MOST_LISTED);
    let equal = differences.is_empty() && !more;
    let (mut source, mut target) = (sums.source.total(), sums.target.total());
    source.merge(&settled.expected);
    target.merge(&settled.found);
    Ok(TableVerify {
        name: mapping.called(),
        columns: mapping.columns.iter().map(|c| c.source.clone()).collect(),
        rows: source.rows,
        source,
        target,
        stream_proven_keys: settled.keys,
        places: part.places,
        equal,
        differences,
        more,
    })
}

/// Whether a key's cells, in the source's form, lie in a range.
fn within(
    mapping: &TableMapping,
    range: &ChunkRange,
) -> impl Fn(&crossfade_model::Row) -> bool + use<> {
    let bounds = match range {
        ChunkRange::Keys { low, high } => Some((
            low.as_ref().map(|b| b.key.clone()),
            high.as_ref().map(|b| b.key.clone()),
        )),
        ChunkRange::All | ChunkRange::Part(_) => None,
    };
    let encoder = mapping.key_encoder();
    move |cells| {
        let Some((low, high)) = &bounds else {
            return true;
        };
        // a key that cannot be encoded is in no range of keys: it is compared with the whole table
        encoder.key_of(cells).is_ok_and(|key| {
            low.as_ref().is_none_or(|low| *low <= key)
                && high.as_ref().is_none_or(|high| key < *high)
        })
    }
}

#[cfg(test)]
#[path = "compare_tests.rs"]
mod tests;
