//! After a switch of writes: what the migration file holds for a reason to go back is watched, and told, or acted upon.
//!
//! Authority goes back by itself at most once a switch, which stands in the audit log before it is tried; never while the old side is
//! so far behind that writers would wait longer than the time box; and never while rows are known to differ.

mod probe;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crossfade_control::{AuditEntry, AuditId, Comparison, Override, SwitchOrder, Traffic};
use crossfade_plan::{AbortConditions, Probe, Reaction};
use crossfade_rules::gates::Gate;
use crossfade_store::Target;
use tokio::sync::mpsc;

use crate::commands::{Order, may_pass};
use crate::error::EngineError;
use crate::progress::Event;
use crate::run::{Run, keep_report};
use crate::session::Session;
use crate::switch::lane::Direction;
use crate::switch::obey;
use crate::switch::report::Outcome;
use crate::verify::ask;
use crate::verify::collect::VerifyRequest;
use probe::Answers;

/// How often the conditions are looked at.
const EVERY: Duration = Duration::from_secs(1);
/// The time box of a rollback that nobody is there to choose one for, milliseconds.
const WITHIN_MS: u64 = 30_000;
/// Rows that are read again before it where rows differ.
const REPAIR_ROWS: u64 = 1_000;
/// Who answers for it: whoever has written it into the file.
const OWNER: &str = "[abort_conditions] of the migration file";
/// The kind of the record of a condition that does not hold.
const BROKEN: &str = "abort_condition";
/// The kind of the record that it is acted upon.
const TAKEN_BACK: &str = "abort_condition.rollback";
/// Records that are read at once.
const PAGE: u32 = 1_000;

/// A condition that does not hold.
struct Broken {
    /// A stable word.
    condition: &'static str,
    what: String,
    reaction: Reaction,
}

/// What the tasks of this share.
struct After<'a> {
    run: &'a Arc<Run>,
    session: &'a Arc<Session>,
    begun: Instant,
    answers: Mutex<Option<Answers>>,
}

/// Watches until the attempt stops; nothing where the migration's source has authority.
pub(crate) async fn run(
    run: Arc<Run>,
    session: Arc<Session>,
    requests: mpsc::Sender<VerifyRequest>,
    orders: mpsc::Sender<Order>,
) -> Result<(), EngineError> {
    if run.direction == Direction::Forward {
        return Ok(());
    }
    let finished = session.wait_for(|state| state.finished.then_some(()));
    if finished.await.is_none() {
        return Ok(());
    }
    let conditions = &run.home.abort_conditions;
    let after = After {
        run: &run,
        session: &session,
        begun: Instant::now(),
        answers: Mutex::new(conditions.probe.as_ref().map(Answers::new)),
    };
    tokio::try_join!(after.asked(conditions), async {
        after.watched(conditions, &requests, &orders).await
    })?;
    Ok(())
}

impl After<'_> {
    fn answers(&self) -> MutexGuard<'_, Option<Answers>> {
        // a panic while it was held ends the attempt
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks the probe query of the authority, again and again.
    async fn asked(&self, conditions: &AbortConditions) -> Result<(), EngineError> {
        let Some(probe) = &conditions.probe else {
            return Ok(());
        };
        let every = Duration::from_secs(u64::from(probe.every_seconds));
        let mut stop = self.session.stop.clone();
        loop {
            let begun = Instant::now();
            // one that takes longer than until the next is an error
            let answer = tokio::select! {
                _ = stop.changed() => return Ok(()),
                answer = tokio::time::timeout(every, self.ask(probe)) => answer.ok().flatten(),
            };
            if let Some(answers) = self.answers().as_mut() {
                answers.add(self.begun.elapsed(), answer);
            }
            tokio::select! {
                _ = stop.changed() => return Ok(()),
                () = tokio::time::sleep(every.saturating_sub(begun.elapsed())) => {}
            }
        }
    }

    /// One answer: milliseconds from asking to the last row, without connecting; `None` for an error.
    async fn ask(&self, probe: &Probe) -> Option<u64> {
        let authority: &dyn Target = self.run.migration.sides.source.as_ref();
        let answered = async {
            let mut reader = authority.open_reader(self.run.base()).await?;
            let begun = Instant::now();
            let mut query = reader.query(&probe.query.text).await?;
            while query.rows.next().await?.is_some() {}
            drop(query);
            let took = begun.elapsed();
            reader.close().await?;
            Ok::<_, crossfade_store::StoreError>(took)
        };
        match answered.await {
            Ok(took) => u64::try_from(took.as_millis()).ok(),
            Err(error) => {
                tracing::info!(error = %error, "the probe query has failed");
                None
            }
        }
    }

    /// Looks at the conditions, tells what does not hold once, and acts upon it.
    async fn watched(
        &self,
        conditions: &AbortConditions,
        requests: &mpsc::Sender<VerifyRequest>,
        orders: &mpsc::Sender<Order>,
    ) -> Result<(), EngineError> {
        let mut stop = self.session.stop.clone();
        let mut told: BTreeSet<&'static str> = BTreeSet::new();
        let mut given_up = false;
        loop {
            tokio::select! {
                _ = stop.changed() => return Ok(()),
                () = tokio::time::sleep(EVERY) => {}
            }
            if self.session.switching() {
                continue;
            }
            let broken = self.broken(conditions);
            told.retain(|condition| broken.iter().any(|b| b.condition == *condition));
            for one in &broken {
                if told.insert(one.condition) {
                    self.alarm(one).await?;
                }
            }
            let reason = broken.iter().find(|b| b.reaction == Reaction::Rollback);
            if let (Some(reason), false) = (reason, given_up || self.too_far_behind()) {
                given_up = self.taken_back(reason, requests, orders).await?;
            }
        }
    }

    fn broken(&self, conditions: &AbortConditions) -> Vec<Broken> {
        let mut broken = Vec::new();
        let lag = self.session.gates().last_lag();
        if let (Some(limit), Some(lag)) = (conditions.reverse_lag_seconds, lag)
            && lag > Duration::from_secs(u64::from(limit))
        {
            broken.push(Broken {
                condition: "reverse_lag",
                what: format!("the source is {} s behind (limit {limit} s)", lag.as_secs()),
                reaction: conditions.action,
            });
        }
        let differ = (self.session.proofs().as_ref())
            .map_or(0, |proofs| proofs.progress(|_| String::new()).differ);
        if differ > 0 && conditions.drift != Reaction::Off {
            broken.push(Broken {
                condition: "drift",
                what: format!("both sides differ, in {differ} of the ranges that were read"),
                reaction: conditions.drift,
            });
        }
        let probed = conditions.probe.as_ref().and_then(|probe| {
            let answers = self.answers();
            answers.as_ref()?.exceeded(self.begun.elapsed(), probe)
        });
        if let Some(what) = probed {
            broken.push(Broken {
                condition: "probe",
                what,
                reaction: conditions.action,
            });
        }
        broken
    }

    /// Writers would wait for the drain longer than the time box.
    fn too_far_behind(&self) -> bool {
        let lag = self.session.gates().last_lag();
        lag.is_none_or(|lag| lag > Duration::from_millis(WITHIN_MS))
    }

    async fn alarm(&self, broken: &Broken) -> Result<(), EngineError> {
        self.session.observer.event(&Event::Alarm {
            condition: broken.condition.to_owned(),
            what: broken.what.clone(),
            rollback: broken.reaction == Reaction::Rollback,
        });
        let detail = serde_json::json!({
            "condition": broken.condition,
            "what": broken.what,
            "action": broken.reaction.word(),
        });
        self.audit(BROKEN, detail).await
    }

    async fn audit(&self, kind: &str, detail: serde_json::Value) -> Result<(), EngineError> {
        let entry = AuditEntry::new(kind, detail).by(OWNER);
        let control = &self.run.migration.control;
        control.audit(Some(&self.run.lease), entry).await?;
        Ok(())
    }

    /// Gives authority back. True where it is not to be tried again.
    async fn taken_back(
        &self,
        reason: &Broken,
        requests: &mpsc::Sender<VerifyRequest>,
        orders: &mpsc::Sender<Order>,
    ) -> Result<bool, EngineError> {
        let (run, session) = (self.run, self.session);
        let authority = &run.migration.sides.source;
        let Some(standing) = authority.peek_standing(run.base()).await? else {
            return Ok(true);
        };
        let epoch = standing.register.epoch;
        if self.tried(epoch).await? {
            return Ok(true);
        }
        let detail = serde_json::json!({
            "epoch": epoch,
            "condition": reason.condition,
            "what": reason.what,
        });
        self.audit(TAKEN_BACK, detail).await?;
        match self.rolled_back(reason, requests).await {
            Ok(report) => {
                if report.outcome == Outcome::Done {
                    let report = Box::new(report);
                    let _ = orders.send(Order::Switched { report }).await;
                }
                Ok(true)
            }
            Err(EngineError::Ending) => Ok(true),
            Err(error) if may_pass(&error) => Err(error),
            Err(error) => {
                session.observer.event(&Event::Warning {
                    what: format!(
                        "authority was not taken back by itself, and it is not tried again: {error}"
                    ),
                });
                Ok(true)
            }
        }
    }

    async fn rolled_back(
        &self,
        reason: &Broken,
        requests: &mpsc::Sender<VerifyRequest>,
    ) -> Result<crate::switch::report::SwitchReport, EngineError> {
        let (run, session) = (self.run, self.session);
        if reason.condition == "drift" {
            // the authority is right: what differs on the old side is read again from it, or nothing goes back
            let comparison = Comparison {
                repair_rows: Some(REPAIR_ROWS),
                ..Comparison::default()
            };
            let mut report = ask::compared(run, session, requests, comparison).await?;
            keep_report(run, &mut report).await?;
        }
        // every change since the switch was carried and is counted; whoever waits for all rows to be read again waits too long
        let overrides = [Gate::Proof, Gate::Lag].map(|gate| Override {
            gate: gate.word().to_owned(),
            reason: format!("taken back by itself: {}", reason.what),
        });
        let order = SwitchOrder {
            what: Traffic::Writes,
            owner: OWNER.to_owned(),
            within_ms: WITHIN_MS,
            dry_run: false,
            kill_blockers: false,
            overrides: overrides.into(),
        };
        obey::obey(run, session, requests, Direction::Reverse, &order).await
    }

    /// Whether it was tried since this epoch's switch, also by a process before this one.
    async fn tried(&self, epoch: u64) -> Result<bool, EngineError> {
        let control = &self.run.migration.control;
        let mut after: Option<AuditId> = None;
        loop {
            let records = control.audit_log(after, PAGE).await?;
            let Some(last) = records.last() else {
                return Ok(false);
            };
            after = Some(last.id);
            let this = |record: &crossfade_control::AuditRecord| {
                record.kind == TAKEN_BACK && record.detail["epoch"].as_u64() == Some(epoch)
            };
            if records.iter().any(this) {
                return Ok(true);
            }
        }
    }
}
