//! One comparison of all tables at one position, and the rule that a difference is reported only if it stays.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crossfade_model::{BucketSum, Digester, Row, Snapshot, TableMapping, TransactionId};
use crossfade_store::{ChunkRange, ReadForm, SourceSnapshot, TargetSnapshot};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use crate::error::EngineError;
use crate::progress::{Difference, TableVerify, VerifyReport};
use crate::session::Session;
use crate::verify::collect::{Collected, LastImage, Touched, VerifyRequest};
use crate::verify::differ::{self, MOST_LISTED};
use crate::verify::name::name;
use crate::verify::side::{Reader, Sums, bucket_of};

/// Rounds that may begin again because too much changed between the two snapshots.
const MOST_ROUNDS: u32 = 20;
/// How long an applied transaction may take to become visible.
const VISIBLE_PATIENCE: Duration = Duration::from_secs(600);

/// Comparisons in a row at most, until two of them show the same differences.
const MOST_COMPARISONS: u32 = 5;
/// Pause between them.
const COMPARISON_PAUSE: Duration = Duration::from_secs(1);

/// Compares both sides. What differs is compared again at later positions, until a comparison is equal or two in a row
/// show the same keys: only a difference that stays after the stream has passed it is one.
pub(crate) async fn verify(
    session: &Arc<Session>,
    requests: &mpsc::Sender<VerifyRequest>,
) -> Result<VerifyReport, EngineError> {
    // the applier collects for one comparison at a time
    let _turn = session.comparing.lock().await;
    let mut report = settled_round(session, requests).await?;
    for _ in 1..MOST_COMPARISONS {
        if report.equal {
            break;
        }
        tokio::time::sleep(COMPARISON_PAUSE).await;
        let again = settled_round(session, requests).await?;
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
    before.tables.iter().zip(&now.tables).all(|(before, now)| {
        let had: HashSet<&str> = before.differences.iter().map(|d| d.key.as_str()).collect();
        let stayed = before.more || now.differences.iter().all(|d| had.contains(d.key.as_str()));
        now.equal || (!before.equal && stayed)
    })
}

async fn settled_round(
    session: &Arc<Session>,
    requests: &mpsc::Sender<VerifyRequest>,
) -> Result<VerifyReport, EngineError> {
    for _ in 0..MOST_ROUNDS {
        match round(session, requests).await {
            Ok(Some(report)) => return Ok(report),
            Ok(None) => {}
            Err(error) => {
                // the applier need not collect any longer; if it has ended, it does not
                let _ = requests.send(VerifyRequest::Cancel).await;
                return Err(error);
            }
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    Err(EngineError::stopped(
        "verify.too_busy",
        "more rows changed while the two snapshots were opened than a comparison can hold, again and again",
        "Run `verify` at a quieter time",
    ))
}

fn now() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |d| d.as_millis() as i64)
}

fn gone<E>(_: E) -> EngineError {
    EngineError::Ending
}

/// One comparison; `None` where it must begin again.
async fn round(
    session: &Arc<Session>,
    requests: &mpsc::Sender<VerifyRequest>,
) -> Result<Option<VerifyReport>, EngineError> {
    let started = now();
    let (reply, unseen) = oneshot::channel();
    requests
        .send(VerifyRequest::Begin { reply })
        .await
        .map_err(gone)?;
    let unseen = unseen.await.map_err(gone)?;
    let snapshot = seeing_snapshot(session, &unseen).await?;
    let (reply, collected) = oneshot::channel();
    requests
        .send(VerifyRequest::HandOver {
            horizon: snapshot.horizon(),
            reply,
        })
        .await
        .map_err(gone)?;
    let paused = session.wait_for(|state| state.paused.then_some(()));
    let collected = tokio::select! {
        collected = collected => collected.map_err(gone)?,
        // the source's snapshot must not outlast a pause: begun again after it
        paused = paused => {
            paused.ok_or(EngineError::Ending)?;
            snapshot.close().await?;
            return Ok(None);
        }
    };
    let position = collected.position;
    if collected.too_much {
        snapshot.close().await?;
        collected.reader.close().await?;
        return Ok(None);
    }
    let Some(tables) = both_sides(session, snapshot, collected).await? else {
        return Ok(None);
    };
    let equal = tables.iter().all(|t| t.equal);
    Ok(Some(VerifyReport {
        position: session.source.show_position(position),
        started,
        finished: now(),
        tables,
        equal,
    }))
}

/// A snapshot of all tables that sees every transaction applied before it was asked for.
async fn seeing_snapshot(
    session: &Session,
    unseen: &[TransactionId],
) -> Result<Box<dyn SourceSnapshot>, EngineError> {
    let tables: Vec<_> = session.tables().iter().map(|t| &t.source).collect();
    let begun = tokio::time::Instant::now();
    loop {
        let mut snapshot = session.source.open_snapshot(&tables).await?;
        if unseen.iter().all(|t| snapshot.snapshot().sees(*t)) {
            snapshot.wait_durable().await?;
            return Ok(snapshot);
        }
        snapshot.close().await?;
        if session.stopping() {
            return Err(EngineError::Ending);
        }
        if begun.elapsed() > VISIBLE_PATIENCE {
            return Err(EngineError::stopped(
                "verify.visibility",
                "a transaction that was applied does not become visible on the source",
                "Look for a synchronous standby that does not answer",
            ));
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// What is the same for both sides of a round.
pub(super) struct Round {
    session: Arc<Session>,
    pub digester: Digester,
    /// Identities to be kept apart, by table.
    pub apart: Vec<HashSet<Vec<u8>>>,
}

/// `None` where the comparison must begin again.
async fn both_sides(
    session: &Arc<Session>,
    mut snapshot: Box<dyn SourceSnapshot>,
    mut collected: Collected,
) -> Result<Option<Vec<TableVerify>>, EngineError> {
    let view = snapshot.snapshot().clone();
    let apart = collected.tables.iter().map(apart_of).collect();
    let round = Arc::new(Round {
        session: Arc::clone(session),
        digester: Digester::new(&rand::random()),
        apart,
    });
    // ends with this comparison: a reading that went on by itself would hold the snapshot, and the right to write
    let mut reading = JoinSet::new();
    {
        let round = Arc::clone(&round);
        reading.spawn(async move {
            let sums = sum_source(&round, snapshot.as_mut()).await;
            (snapshot, sums)
        });
    }
    let ours = sum_target(&round, collected.reader.as_mut()).await?;
    let read = reading.join_next().await;
    let (mut snapshot, theirs) = read
        .ok_or_else(|| EngineError::internal("nothing reads the source"))?
        .map_err(|e| EngineError::internal(format!("the reading of the source ended: {e}")))?;
    let mut theirs = theirs?;
    if theirs.iter().chain(&ours).any(|sums| sums.too_much) {
        snapshot.close().await?;
        collected.reader.close().await?;
        return Ok(None);
    }
    let mut tables = Vec::new();
    for (n, mapping) in session.tables().iter().enumerate() {
        let touched = &collected.tables[n];
        let unseen: Vec<_> = touched
            .whole
            .iter()
            .filter(|w| !view.sees(w.transaction))
            .collect();
        let mut reader = Reader::new(mapping, round.digester.clone(), "source");
        for whole in &unseen {
            let digest = reader.digest(&whole.row)?;
            let identity = reader.identity(&whole.row)?;
            shift(
                &mut theirs[n].buckets[bucket_of(identity)],
                digest,
                whole.came,
            );
        }
        let bad: Vec<bool> = theirs[n]
            .buckets
            .iter()
            .zip(&ours[n].buckets)
            .map(|(a, b)| a != b)
            .collect();
        let mut differences = touched_differences(mapping, touched, &view, &theirs[n], &ours[n]);
        let mut more = false;
        if bad.iter().any(|b| *b) {
            let (some, cut) = name(
                &round,
                mapping,
                snapshot.as_mut(),
                collected.reader.as_mut(),
                n,
                bad,
                &unseen,
            )
            .await?;
            more = cut || some.is_empty();
            differences.extend(some);
        }
        more |= differences.len() > MOST_LISTED;
        differences.truncate(MOST_LISTED);
        let equal = differences.is_empty() && !more;
        tables.push(TableVerify {
            name: mapping.source.name.to_string(),
            columns: mapping.columns.iter().map(|c| c.source.clone()).collect(),
            rows: theirs[n].rows,
            source: total(&theirs[n]),
            target: total(&ours[n]),
            stream_proven_keys: (touched.keys.len() + unseen.len()) as u64,
            equal,
            differences,
            more,
        });
    }
    snapshot.close().await?;
    collected.reader.close().await?;
    Ok(Some(tables))
}

/// Keys touched and the rows at S1 that unchanged columns are taken from.
fn apart_of(touched: &Touched) -> HashSet<Vec<u8>> {
    let mut apart: HashSet<Vec<u8>> = touched.keys.keys().cloned().collect();
    for image in touched.keys.values() {
        apart.insert(image.base.clone());
        apart.extend(image.moves.iter().map(|(_, identity)| identity.clone()));
    }
    apart
}

pub(super) fn shift(sum: &mut BucketSum, digest: crossfade_model::digest::RowDigest, came: bool) {
    if came {
        sum.add(digest);
    } else {
        sum.rows = sum.rows.wrapping_sub(1);
        sum.first = sum.first.wrapping_sub(digest.0);
        sum.second = sum.second.wrapping_sub(digest.1);
    }
}

fn total(sums: &Sums) -> BucketSum {
    let mut total = BucketSum::default();
    for bucket in &sums.buckets {
        total.merge(bucket);
    }
    total
}

async fn sum_source(
    round: &Round,
    snapshot: &mut dyn SourceSnapshot,
) -> Result<Vec<Sums>, EngineError> {
    let mut out = Vec::new();
    for (n, mapping) in round.session.tables().iter().enumerate() {
        let mut reader = Reader::new(mapping, round.digester.clone(), "source");
        let mut stream = snapshot
            .read(mapping, &ChunkRange::All, ReadForm::Rows)
            .await?;
        out.push(reader.sum(stream.as_mut(), &round.apart[n]).await?);
    }
    Ok(out)
}

async fn sum_target(
    round: &Round,
    snapshot: &mut dyn TargetSnapshot,
) -> Result<Vec<Sums>, EngineError> {
    let mut out = Vec::new();
    for (n, mapping) in round.session.tables().iter().enumerate() {
        let mut reader = Reader::new(mapping, round.digester.clone(), "target");
        let mut stream = snapshot.read(mapping).await?;
        out.push(reader.sum(stream.as_mut(), &round.apart[n]).await?);
    }
    Ok(out)
}

/// Compares the touched keys one by one: the last logged image, its missing columns from S1, must be the target's row.
fn touched_differences(
    mapping: &TableMapping,
    touched: &Touched,
    view: &Snapshot,
    theirs: &Sums,
    ours: &Sums,
) -> Vec<Difference> {
    let mut out = Vec::new();
    for (identity, image) in &touched.keys {
        let expected = expected(image, view, &theirs.apart);
        let found = ours.apart.get(identity);
        out.extend(differ::difference(mapping, expected.as_ref(), found));
    }
    // rows kept apart only for their columns must be the same on both sides, unless they were touched themselves
    for (identity, row) in &theirs.apart {
        if !touched.keys.contains_key(identity) {
            out.extend(differ::difference(
                mapping,
                Some(row),
                ours.apart.get(identity),
            ));
        }
    }
    for (identity, row) in &ours.apart {
        if !touched.keys.contains_key(identity) && !theirs.apart.contains_key(identity) {
            out.extend(differ::difference(mapping, None, Some(row)));
        }
    }
    out
}

fn expected(
    image: &LastImage,
    view: &Snapshot,
    at_snapshot: &HashMap<Vec<u8>, Row>,
) -> Option<Row> {
    let mut row = image.row.clone()?;
    if !row.is_complete()
        && let Some(older) = at_snapshot.get(image.identity_at(view))
    {
        row.fill_unchanged_from(older);
    }
    Some(row)
}

#[cfg(test)]
#[path = "compare_tests.rs"]
mod tests;
