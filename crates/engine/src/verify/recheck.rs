//! The check that a cutover makes inside its fence: what is proven stays proven, and only keys that changed since are read, on
//! both sides. Its cost follows what changed, not the tables' size.
//!
//! Beside live writes it is sound as well: a key that changes while it is read is compared with the stream's last image, as a whole
//! comparison does, and stays touched. A fence needs [`ProofProgress::everything`](crate::ProofProgress::everything).

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use crossfade_model::digest::Salt;
use crossfade_model::{BucketSum, Digester, Row, TableMapping};
use crossfade_rules::proof::{Check, RangeId, Verdict};
use tokio::sync::mpsc;

use crate::acting;
use crate::error::EngineError;
use crate::layer_report::{Layer, LayerReport};
use crate::progress::{Places, TableVerify, VerifyReport};
use crate::session::Session;
use crate::strangers::{self, Marks};
use crate::verify::book::{Proofs, Stamp, TouchedKey};
use crate::verify::collect::VerifyRequest;
use crate::verify::compare::now;
use crate::verify::continuous::ensure_cut;
use crate::verify::differ::{self, MOST_LISTED};
use crate::verify::pair::Pair;
use crate::verify::side::Reader;
use crate::verify::touched::{self, Sums};

/// Keys read at once.
const KEYS_AT_ONCE: usize = 500;
/// Pause before a difference is looked at again.
const AGAIN: Duration = Duration::from_secs(1);
/// Times that the two snapshots may be opened again.
const MOST_TRIES: u32 = 20;

type Keys = Vec<(RangeId, TouchedKey)>;

/// Reads the touched keys of all tables on both sides.
pub(crate) async fn recheck(
    session: &Arc<Session>,
    requests: &mpsc::Sender<VerifyRequest>,
) -> Result<VerifyReport, EngineError> {
    let _turn = session.comparing.lock().await;
    ensure_cut(session).await?;
    // what strangers have written by now is among the touched keys
    strangers::look_to_the_end(session).await?;
    let mut written = session.strangers.count();
    let mut report = look(session, requests, false).await?;
    if report.tables.iter().any(|t| !t.equal) {
        // only what stays after the stream has passed it is a difference
        tokio::time::sleep(AGAIN).await;
        strangers::look_to_the_end(session).await?;
        written = session.strangers.count();
        report = look(session, requests, true).await?;
    }
    // everything is proven, and their keys were read again
    if report.equal {
        // while it was read, something may have written that nothing shows
        acting::quiet(session).await?;
        session.strangers.resolve(written);
    }
    Ok(report)
}

/// One reading. Keys that differ are entered as such only by the last.
async fn look(
    session: &Arc<Session>,
    requests: &mpsc::Sender<VerifyRequest>,
    last: bool,
) -> Result<VerifyReport, EngineError> {
    for _ in 0..MOST_TRIES {
        let check = match session.proofs().as_mut() {
            Some(proofs) => proofs.begin_touched(),
            None => return Err(EngineError::internal("the tables are not cut")),
        };
        let read = read(session, requests, &check).await;
        let mut proofs = session.proofs();
        let Some(proofs) = proofs.as_mut() else {
            return Err(EngineError::internal("the tables are not cut"));
        };
        match read {
            Ok(Some((report, stamp, mut found))) => {
                found.retain(|(_, verdict)| last || *verdict == Verdict::Equal);
                return Ok(ended(proofs, check, report, stamp, found, session));
            }
            Ok(None) => proofs.cancel_touched(check),
            Err(error) => {
                proofs.cancel_touched(check);
                return Err(error);
            }
        }
    }
    Err(EngineError::stopped(
        "verify.too_busy",
        "more rows changed while the two snapshots were opened than a comparison can hold, again and again",
        "Run it at a quieter time",
    ))
}

type Found = Vec<((RangeId, TouchedKey), Verdict)>;

/// Enters what was found, and says what is still unproven.
fn ended(
    proofs: &mut Proofs,
    check: Check<TouchedKey>,
    mut report: VerifyReport,
    stamp: Stamp,
    found: Found,
    session: &Session,
) -> VerifyReport {
    let _ = proofs.finish_touched(check, stamp, found);
    let progress = proofs.progress(|p| session.source.show_position(p));
    report.equal =
        report.tables.iter().all(|t| t.equal) && progress.unproven == 0 && progress.differ == 0;
    report.proof = Some(progress);
    report.finished = now();
    report
}

async fn read(
    session: &Arc<Session>,
    requests: &mpsc::Sender<VerifyRequest>,
    check: &Check<TouchedKey>,
) -> Result<Option<(VerifyReport, Stamp, Found)>, EngineError> {
    let started = now();
    let mut by_table = by_table(session, check);
    // of all tables: any may change while this reads
    let tables = session.source_tables();
    let Some(mut pair) = Pair::open(session, requests, &tables).await? else {
        return Ok(None);
    };
    let stamp = Stamp {
        position: pair.position,
        at: now(),
    };
    let salt: Salt = rand::random();
    let mut report = VerifyReport {
        layers: LayerReport {
            layer: Layer::Touched,
            ..LayerReport::default()
        },
        position: session.source.show_position(pair.position),
        started,
        finished: started,
        tables: Vec::new(),
        equal: true,
        ..VerifyReport::default()
    };
    let mut found = Found::new();
    for (table, mapping) in session.tables().iter().enumerate() {
        let keys = by_table.remove(&table).unwrap_or_default();
        if keys.is_empty() && pair.touched[table].cells.is_empty() {
            continue;
        }
        let mut reading = Reading::new(session, mapping, &salt);
        for some in keys.chunks(KEYS_AT_ONCE) {
            reading.some(&mut pair, some, &mut found).await?;
        }
        reading.moving(session, &mut pair, &salt).await?;
        report.tables.push(reading.table);
    }
    pair.close().await?;
    Ok(Some((report, stamp, found)))
}

fn by_table(session: &Session, check: &Check<TouchedKey>) -> BTreeMap<usize, Keys> {
    let proofs = session.proofs();
    let mut out: BTreeMap<usize, Keys> = BTreeMap::new();
    for (range, key) in check.keys() {
        let spec = proofs.as_ref().and_then(|proofs| proofs.spec(*range));
        if let Some(spec) = spec {
            out.entry(spec.table)
                .or_default()
                .push((*range, key.clone()));
        }
    }
    out
}

/// The reading of one table's keys.
struct Reading<'a> {
    mapping: &'a TableMapping,
    marks: &'a Marks,
    readers: [Reader<'a>; 2],
    table: TableVerify,
}

impl<'a> Reading<'a> {
    fn new(session: &'a Session, mapping: &'a TableMapping, salt: &Salt) -> Reading<'a> {
        let digester = Digester::new(salt);
        let labels = [session.source.label(), session.target.label()];
        Reading {
            mapping,
            marks: &session.strangers,
            readers: labels.map(|label| Reader::new(mapping, &digester, label)),
            table: TableVerify {
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
            },
        }
    }

    async fn some(
        &mut self,
        pair: &mut Pair,
        some: &[(RangeId, TouchedKey)],
        found: &mut Found,
    ) -> Result<(), EngineError> {
        let keys: Vec<Row> = some.iter().map(|(_, key)| key.cells.clone()).collect();
        let (theirs, ours) = tokio::try_join!(
            pair.source.read_keys(self.mapping, &keys),
            pair.target.read_keys(self.mapping, &keys)
        )?;
        let moving = &pair.touched[self.mapping.id.0 as usize].cells;
        let theirs = self.by_identity(0, theirs)?;
        let ours = self.by_identity(1, ours)?;
        for (range, key) in some {
            self.table.rows += 1;
            if moving.contains_key(&key.identity) {
                continue;
            }
            let none = Vec::new();
            let source = theirs.get(&key.identity).unwrap_or(&none);
            let target = ours.get(&key.identity).unwrap_or(&none);
            let verdict = self.one(source, target)?;
            found.push(((*range, key.clone()), verdict));
        }
        Ok(())
    }

    /// Keys that changed while this read: the last logged image must be the target's row. They stay touched.
    async fn moving(
        &mut self,
        session: &Session,
        pair: &mut Pair,
        salt: &Salt,
    ) -> Result<(), EngineError> {
        let digester = Digester::new(salt);
        let labels = [session.source.label(), session.target.label()];
        let (marks, mut sums) = (&session.strangers, Sums::default());
        let all = |_: &Row| true;
        let settled =
            touched::settle(pair, self.mapping, marks, &digester, labels, &mut sums, all).await?;
        self.table.stream_proven_keys = settled.keys;
        self.table.equal &= settled.differences.is_empty();
        self.table.source.merge(&settled.expected);
        self.table.target.merge(&settled.found);
        self.table.differences.extend(settled.differences);
        self.table.more |= self.table.differences.len() > MOST_LISTED;
        self.table.differences.truncate(MOST_LISTED);
        Ok(())
    }

    fn one(&mut self, source: &[Row], target: &[Row]) -> Result<Verdict, EngineError> {
        for row in source {
            self.table.source.add(self.readers[0].digest(row)?);
        }
        for row in target {
            self.table.target.add(self.readers[1].digest(row)?);
        }
        let mut equal = true;
        for n in 0..source.len().max(target.len()) {
            let (theirs, ours) = (source.get(n), target.get(n));
            let difference = differ::difference(self.mapping, self.marks, theirs, ours, None);
            equal &= difference.is_none();
            if self.table.differences.len() < MOST_LISTED {
                self.table.differences.extend(difference);
            } else {
                self.table.more |= difference.is_some();
            }
        }
        self.table.equal &= equal;
        Ok(if equal {
            Verdict::Equal
        } else {
            Verdict::Differs
        })
    }

    fn by_identity(
        &mut self,
        side: usize,
        rows: Vec<Row>,
    ) -> Result<HashMap<Vec<u8>, Vec<Row>>, EngineError> {
        let mut out: HashMap<Vec<u8>, Vec<Row>> = HashMap::with_capacity(rows.len());
        for row in rows {
            let identity = self.readers[side].identity(&row)?.to_vec();
            out.entry(identity).or_default().push(row);
        }
        Ok(out)
    }
}
