//! Gathers what the gates are judged from. What could not be found out stays `None`: its gate is then unknown, never met.

use crossfade_control::{AuditId, AuditRecord, ControlError, ControlStore, QuarantineCounts};
use crossfade_rules::gates::{
    DdlFreeze, Evidence, MappingEvidence, ProofEvidence, QuarantineEvidence, Rehearsal,
    RehearsalEvidence, StrangersEvidence,
};
use serde::Deserialize;

use crate::error::EngineError;
use crate::progress::StrangersSeen;
use crate::run::{Migration, Run};
use crate::session::Session;
use crate::switch::gates::shadow;
use crate::switch::lane::Direction;
use crate::switch::way_back;
use crate::verify::compare::now;

/// Records of the audit log that are read at once.
const PAGE: u32 = 1_000;

/// The kind of the record that a rehearsal leaves in the audit log.
pub(crate) const REHEARSAL: &str = "rehearsal";

/// What a rehearsal has left.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Rehearsed {
    /// It came to its end and everything was proven equal.
    passed: bool,
    /// The plan's hash.
    plan: String,
    /// The source's name for people.
    source: String,
    /// The target's.
    target: String,
    /// When it ended, milliseconds since the Unix epoch.
    finished: i64,
}

/// What of the audit log was read for rehearsals: it only grows.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rehearsals {
    after: Option<AuditId>,
    last: Option<Rehearsed>,
}

impl Rehearsals {
    /// Reads what has come since.
    pub async fn read(&mut self, control: &dyn ControlStore) -> Result<(), ControlError> {
        loop {
            let records = control.audit_log(self.after, PAGE).await?;
            let Some(last) = records.last() else {
                return Ok(());
            };
            self.after = Some(last.id);
            for record in &records {
                self.enter(record);
            }
        }
    }

    fn enter(&mut self, record: &AuditRecord) {
        if record.kind != REHEARSAL {
            return;
        }
        match serde_json::from_value(record.detail.clone()) {
            Ok(rehearsed) => self.last = Some(rehearsed),
            Err(error) => {
                tracing::warn!(error = %error, "the record of a rehearsal cannot be read");
                self.last = None;
            }
        }
    }

    /// The last one, as evidence for this migration.
    fn evidence(&self, home: &Migration, same_schema: bool) -> RehearsalEvidence {
        let Some(last) = &self.last else {
            return RehearsalEvidence::Never;
        };
        RehearsalEvidence::Last(Rehearsal {
            age_ms: age(last.finished),
            passed: last.passed,
            same_plan: last.plan == home.plan.hash(),
            same_schema,
            same_servers: last.source == home.source.label() && last.target == home.target.label(),
        })
    }
}

/// Milliseconds since a time; of one to come 0.
fn age(at: i64) -> u64 {
    u64::try_from(now().saturating_sub(at)).unwrap_or(0)
}

/// Everything that the running attempt knows. `mapping` costs a look at both stores, so whoever has it brings it.
pub(crate) async fn gather(
    run: &Run,
    session: &Session,
    mapping: Option<MappingEvidence>,
) -> Result<Evidence, EngineError> {
    let control = &run.migration.control;
    let mut rehearsals = session.gates().rehearsals();
    rehearsals.read(control.as_ref()).await?;
    session.gates().keep_rehearsals(rehearsals.clone());
    let counts = control.state().await?.quarantine;
    let as_planned = session.lock().altered.is_none();
    let (lag, ddl) = {
        let watch = session.gates();
        (watch.lag(), watch.ddl)
    };
    Ok(Evidence {
        lag: Some(lag),
        proof: Some(proof(session)),
        quarantine: Some(quarantine(&counts)),
        // where nobody watches, that nothing was seen says nothing
        strangers: (session.strangers.unwatched().is_none()).then(|| StrangersEvidence {
            untold: 0,
            unresolved: session.strangers.unresolved(),
            unseen_tables: session.strangers.shown().unseen.len() as u64,
        }),
        mapping,
        rehearsal: Some(rehearsals.evidence(&run.home, as_planned)),
        shadow: run.home.shadow.as_ref().and_then(shadow::read),
        // the run looks at the tables' shapes every second
        ddl: Some(ddl.unwrap_or(DdlFreeze::Watched)),
    })
}

/// What is known without a run, from what is durable: of the lag, of what is proven and of changes of shapes nothing is.
///
/// # Errors
/// The control store cannot be read. A store that does not answer leaves its gate unknown.
pub(crate) async fn durable(
    home: &Migration,
    direction: Direction,
) -> Result<Evidence, EngineError> {
    let mut rehearsals = Rehearsals::default();
    rehearsals.read(home.control.as_ref()).await?;
    let counts = home.control.state().await?.quarantine;
    let target = match direction {
        Direction::Forward => &home.sides.target,
        Direction::Reverse => &home.sides.source,
    };
    let lane = direction.lane(&home.plan.migration);
    let strangers = match crossfade_store::Target::strangers(target.as_ref(), &lane, None).await {
        // where nothing notes them nothing is known of them
        Ok(found) if found.seen.is_none() && found.unseen.is_empty() => None,
        Ok(found) => Some(seen_only(&crate::strangers::seen(&found), &found)),
        Err(error) => {
            tracing::warn!(error = %error, "strangers' writes could not be read");
            None
        }
    };
    Ok(Evidence {
        quarantine: Some(quarantine(&counts)),
        strangers,
        mapping: lossy(home, direction).await,
        rehearsal: Some(rehearsals.evidence(home, true)),
        shadow: home.shadow.as_ref().and_then(shadow::read),
        ..Evidence::default()
    })
}

/// Whether their rows were read again since no process knows that does not run.
fn seen_only(seen: &StrangersSeen, found: &crossfade_store::Strangers) -> StrangersEvidence {
    StrangersEvidence {
        untold: found.entries.iter().filter(|entry| !entry.told).count() as u64,
        unresolved: seen.writes + u64::from(seen.more),
        unseen_tables: seen.unseen.len() as u64,
    }
}

fn proof(session: &Session) -> ProofEvidence {
    let proofs = session.proofs();
    let Some(proofs) = proofs.as_ref() else {
        return ProofEvidence::default();
    };
    let known = proofs.progress(|at| session.source.show_position(at));
    ProofEvidence {
        unproven: known.unproven,
        different: known.differ,
        touched: known.touched_keys,
        oldest_age_ms: known.oldest.as_ref().map(|oldest| age(oldest.read)),
        position: known.oldest.map(|oldest| oldest.position),
    }
}

fn quarantine(counts: &QuarantineCounts) -> QuarantineEvidence {
    QuarantineEvidence {
        open: counts.open,
        bugs: counts.bugs,
        retrying: counts.retrying,
        expected: counts.classified.saturating_sub(counts.bugs),
        unlisted: counts.not_kept.saturating_add(counts.unlisted_tables),
    }
}

/// Which columns the other lane cannot take back; `None` where the stores cannot be asked, or a table is not as planned.
pub(crate) async fn mapping(run: &Run) -> Option<MappingEvidence> {
    lossy(&run.home, run.direction).await
}

async fn lossy(home: &Migration, direction: Direction) -> Option<MappingEvidence> {
    let columns = home
        .plan
        .tables
        .iter()
        .map(|t| t.columns.len() as u64)
        .sum();
    // what leads forward again is the plan itself
    if direction == Direction::Reverse {
        return Some(MappingEvidence {
            columns,
            lossy: Vec::new(),
        });
    }
    match way_back::lossy(home).await {
        Ok(lossy) => Some(MappingEvidence { columns, lossy }),
        Err(error) => {
            tracing::warn!(error = %error, "whether the mapping can be turned around could not be found out");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::{Value, json};

    fn record(id: i64, kind: &str, detail: Value) -> AuditRecord {
        AuditRecord {
            id: AuditId(id),
            at: 0,
            kind: kind.to_owned(),
            who: "ada".to_owned(),
            detail,
            previous: String::new(),
            hash: String::new(),
            record: String::new(),
        }
    }

    #[test]
    fn the_last_rehearsal_counts_and_one_that_cannot_be_read_is_none() {
        let mut read = Rehearsals::default();
        let of = |passed: bool| json!({ "passed": passed, "plan": "p", "source": "s", "target": "t", "finished": 7, "report": {} });
        read.enter(&record(1, REHEARSAL, of(false)));
        read.enter(&record(2, REHEARSAL, of(true)));
        read.enter(&record(3, "gates", of(false)));
        assert!(read.last.as_ref().unwrap().passed);
        read.enter(&record(4, REHEARSAL, json!({ "passed": true })));
        assert_eq!(read.last, None);
    }

    #[test]
    fn what_a_person_has_classified_is_expected_unless_held_to_be_a_bug() {
        let found = quarantine(&QuarantineCounts {
            open: 1,
            classified: 5,
            bugs: 2,
            not_kept: 3,
            unlisted_tables: 4,
            ..QuarantineCounts::default()
        });
        assert_eq!((found.expected, found.bugs, found.unlisted), (3, 2, 7));
    }
}
