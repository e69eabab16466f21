//! The window: from firing the fence to the other store's opening. Writers wait meanwhile.
//!
//! Up to *given* whatever fails, or takes longer than the time box, releases, and nothing has changed. From there on every step is
//! repeated until it has happened.

mod back;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crossfade_control::{IntentId, IntentState, SwitchOrder};
use crossfade_model::{Beginning, Mode, Position, Register, Sequence};
use crossfade_rules::switch::{Evidence, may_give};
use crossfade_store::{ErrorKind, Fire, Latch, Recovery, Source, StoreError};
use tokio::sync::mpsc;

use crate::error::EngineError;
use crate::kill;
use crate::parked;
use crate::run::{Run, Until};
use crate::session::Session;
use crate::switch::locate::{INTENT, noted};
use crate::switch::prepare::{Prepared, equal, in_the_way, millis, refused};
use crate::switch::probe::Measuring;
use crate::switch::{incarnation, route, standbys};
use crate::verify::collect::VerifyRequest;
use crate::verify::recheck;
use crate::verify_report::VerifyReport;

/// Pause between two tries of a step that must happen.
const AGAIN: Duration = Duration::from_millis(200);
/// Tries to open the new authority before the next attempt does it.
const OPEN_TRIES: u32 = 100;
/// How long the last look at the standbys may take.
const LAST_LOOK: Duration = Duration::from_secs(1);
/// How often the holder shows that it lives.
const KEEP_EVERY: Duration = Duration::from_secs(1);

/// A step, and when it had happened, milliseconds after the window began.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Taken {
    pub step: &'static str,
    pub at_ms: f64,
}

/// What a switch did, as far as the stores are concerned.
pub(crate) struct Switched {
    /// The steps, in their order.
    pub steps: Vec<Taken>,
    /// The mark that the stream had passed.
    pub barrier: Position,
    /// Where the new authority's own changes begin.
    pub beginning: Beginning,
    /// Sequences that were raised, with their values.
    pub sequences: Vec<Sequence>,
    /// What was read on both sides inside the fence.
    pub proof: VerifyReport,
}

/// One switch, from firing on.
struct Window<'a> {
    run: &'a Run,
    session: &'a Arc<Session>,
    requests: &'a mpsc::Sender<VerifyRequest>,
    prepared: &'a Prepared,
    measuring: Option<&'a Measuring>,
    begun: Instant,
    deadline: Instant,
    /// The fence was, or may have been, committed.
    closing: bool,
    /// It was taken back.
    undone: bool,
    steps: Vec<Taken>,
}

/// Fires, drains, proves, and gives authority to the lane's target.
///
/// # Errors
/// Before *given*: nothing has changed hands. Afterwards only that this process is told to end: the next one finishes.
pub(crate) async fn pass(
    run: &Run,
    session: &Arc<Session>,
    requests: &mpsc::Sender<VerifyRequest>,
    order: &SwitchOrder,
    prepared: &Prepared,
    measuring: Option<&Measuring>,
) -> Result<Switched, EngineError> {
    let within = Duration::from_millis(order.within_ms);
    let detail = serde_json::json!({
        "epoch": prepared.epoch,
        "to": run.direction.target_word(),
        "owner": order.owner,
    });
    let intent = run
        .migration
        .control
        .record_intent(&run.lease, INTENT, detail)
        .await?;
    let begun = Instant::now();
    let mut window = Window {
        run,
        session,
        requests,
        prepared,
        measuring,
        begun,
        deadline: begun + within,
        closing: false,
        undone: false,
        steps: Vec::new(),
    };
    let fire = Fire {
        within,
        end_blockers: order.kill_blockers,
        // as long as the box, and a while for a slow step; after that the server opens the store again by itself
        hold: within + Duration::from_secs(10),
    };
    session.drain.store(true, Ordering::SeqCst);
    let outcome = window.passed(&fire).await;
    route::paused::settled(&run.home, &run.lease).await;
    if outcome.is_err() {
        // after a switch the attempt ends
        session.drain.store(false, Ordering::SeqCst);
    }
    if let Err(error) = &outcome
        && window.closing
        && (window.given() || !window.undone)
    {
        // the next attempt begins with a look at the registers, and finishes or releases
        tracing::error!(error = %error, "the switch is ended by a look at the registers");
        // which may open the new authority: whoever applies here loses the right to by that, and is no other run's prey
        session.turn();
        window.rest().await;
        return Err(EngineError::Again);
    }
    let state = match &outcome {
        Ok(_) => IntentState::Done(serde_json::json!({ "authority": run.direction.target_word() })),
        Err(error) => IntentState::Failed(error.to_string()),
    };
    settle(run, intent, state, outcome.is_ok()).await?;
    outcome
}

async fn settle(
    run: &Run,
    intent: IntentId,
    state: IntentState,
    happened: bool,
) -> Result<(), EngineError> {
    let settled = run
        .migration
        .control
        .settle_intent(&run.lease, intent, state)
        .await;
    match settled {
        // the stores have it: what is written here is for people
        Err(error) if happened => {
            tracing::warn!(error = %error, "the switch has happened, and the control store does not know");
            Ok(())
        }
        settled => Ok(settled?),
    }
}

impl Window<'_> {
    async fn passed(&mut self, fire: &Fire) -> Result<Switched, EngineError> {
        let base = self.run.base();
        let (lead, epoch) = (&self.run.home.lead, self.prepared.epoch);
        let source = &self.run.migration.sides.source;
        // applications that go through a route wait there, and meet no fence
        route::paused::intended(&self.run.home, &self.run.lease, epoch).await?;
        route::pause(lead, epoch, fire.within / 2).await?;
        self.step("paused");
        let mut latch = match source.fire(base, fire).await {
            Ok(latch) => latch,
            Err(error) => {
                route::resume(lead, epoch, self.session.observer.as_ref()).await;
                return Err(in_the_way(error));
            }
        };
        self.step("fired");
        kill::point("switch.fired");
        match self.given_away(latch.as_mut()).await {
            Ok(mut switched) => {
                // who waits at the fence itself is told at once
                self.release(latch).await;
                let to = self.run.direction.other();
                let alone = matches!(self.run.until, Until::Switched(..));
                if route::lead(lead, base, to, epoch, self.session, alone).await {
                    self.step("routed");
                }
                kill::point("switch.routed");
                switched.steps = std::mem::take(&mut self.steps);
                Ok(switched)
            }
            Err(error) => {
                self.undo(latch).await;
                // after 'given' whoever finishes leads it
                if !self.given() {
                    route::resume(lead, epoch, self.session.observer.as_ref()).await;
                }
                Err(error)
            }
        }
    }

    async fn given_away(&mut self, latch: &mut dyn Latch) -> Result<Switched, EngineError> {
        let Prepared { epoch, from, .. } = *self.prepared;
        if latch.standing().register != from {
            return Err(refused(
                "switch.overtaken",
                "another process has changed the register meanwhile",
                "look at `status`",
            ));
        }
        let holes = self.in_time(self.rechecked(latch)).await?;
        if !holes.is_empty() {
            return Err(refused(
                "switch.fence",
                holes.join("; "),
                "close it, and switch again",
            ));
        }
        let barrier = self.in_time(latch.barrier()).await?;
        self.step("barrier");
        kill::point("switch.barrier");
        self.drained(latch, barrier).await?;
        self.step("drained");
        kill::point("switch.drained");
        // one whose change was on its way when the switch began
        parked::refuse_switch(self.session)?;
        let proof = self.prove(latch).await?;
        self.step("proved");
        kill::point("switch.proved");
        let fenced = Register::new(Mode::Fenced, epoch);
        self.closing = true;
        self.in_time(latch.commit(from, fenced)).await?;
        self.step("fenced");
        kill::point("switch.fenced");
        let sequences = self.sequences().await?;
        self.step("sequences");
        kill::point("switch.sequences");
        // behind everything else, since who answers is compared once more beside it
        let beginning = self.in_time(self.noted(epoch)).await?;
        self.step("noted");
        kill::point("switch.noted");
        let missing_standbys = self.standbys(latch).await?;
        if missing_standbys.is_empty() {
            // the last moment at which the box counts
            self.in_time(async { Ok::<_, EngineError>(()) }).await?;
        }
        let evidence = Evidence {
            barrier: Some(barrier),
            drained: Some(self.session.lock().checkpoint),
            // one that finds a difference has ended this
            proven: true,
            raised: Some(epoch),
            noted: Some(beginning.epoch),
            missing_standbys,
        };
        let given = may_give(fenced, epoch, &evidence).map_err(standbys::not_given)?;
        self.give(latch, fenced, given).await?;
        // what applies here stops for good: whoever still does has lost the right to
        self.session.turn();
        self.step("given");
        if let Some(measuring) = self.measuring {
            measuring.given();
        }
        kill::point("switch.given");
        self.open(Register::new(Mode::Open, epoch)).await?;
        self.step("opened");
        kill::point("switch.opened");
        Ok(Switched {
            steps: Vec::new(),
            barrier,
            beginning,
            sequences,
            proof,
        })
    }

    fn step(&mut self, name: &'static str) {
        self.steps.push(Taken {
            step: name,
            at_ms: millis(self.begun.elapsed()),
        });
    }

    fn given(&self) -> bool {
        self.steps.iter().any(|taken| taken.step == "given")
    }

    /// A step that is given up when the box ends.
    async fn in_time<T, E: Into<EngineError>>(
        &self,
        step: impl Future<Output = Result<T, E>>,
    ) -> Result<T, EngineError> {
        tokio::select! {
            biased;
            done = step => {
                if Instant::now() > self.deadline {
                    return Err(over());
                }
                done.map_err(Into::into)
            }
            () = tokio::time::sleep_until(self.deadline.into()) => Err(over()),
        }
    }

    /// What the fence rests on; and that both addresses still lead to whom this run works with.
    async fn rechecked(&self, latch: &mut dyn Latch) -> Result<Vec<String>, EngineError> {
        let recheck = async { latch.recheck().await.map_err(EngineError::from) };
        let same = incarnation::unchanged(self.session, &self.run.migration.sides);
        let (holes, ()) = tokio::try_join!(recheck, same)?;
        Ok(holes)
    }

    /// Notes where the new authority begins; and looks once more at who answers, as late as this costs no time of its own.
    async fn noted(&self, epoch: u64) -> Result<Beginning, EngineError> {
        let sides = &self.run.migration.sides;
        let noting = async {
            let noted = sides.target.note_beginning(self.run.base(), epoch).await;
            noted.map_err(EngineError::from)
        };
        let same = incarnation::unchanged(self.session, sides);
        let (beginning, ()) = tokio::try_join!(noting, same)?;
        Ok(beginning)
    }

    /// Named standbys that do not hold the switch when the box ends; none, and sooner, where all do.
    async fn standbys(&self, latch: &mut dyn Latch) -> Result<Vec<String>, EngineError> {
        let migration = &self.run.migration;
        let named = &migration.standbys;
        let target = migration.sides.target.as_ref();
        let begins = standbys::begins(target, self.run.base(), named);
        let begins = self.in_time(begins).await?;
        let looked = standbys::missing(latch, target, begins, named, self.deadline.into());
        // a look that hangs is no answer; one that has just begun may end
        match tokio::time::timeout_at((self.deadline + LAST_LOOK).into(), looked).await {
            Ok(missing) => Ok(missing?),
            Err(_) => Err(over()),
        }
    }

    /// Waits until everything up to the barrier is durable on the target.
    async fn drained(&self, latch: &mut dyn Latch, barrier: Position) -> Result<(), EngineError> {
        let session = self.session;
        let reached = session.wait_for(|state| (state.checkpoint >= barrier).then_some(()));
        tokio::pin!(reached);
        loop {
            tokio::select! {
                reached = &mut reached => return reached.ok_or(EngineError::Ending),
                () = tokio::time::sleep_until(self.deadline.into()) => return Err(over()),
                () = tokio::time::sleep(KEEP_EVERY) => latch.keep().await?,
            }
        }
    }

    /// Reads on both sides what has changed since it was proven.
    async fn prove(&self, latch: &mut dyn Latch) -> Result<VerifyReport, EngineError> {
        let read = recheck::recheck(self.session, self.requests);
        tokio::pin!(read);
        let report = loop {
            tokio::select! {
                report = &mut read => break report?,
                () = tokio::time::sleep_until(self.deadline.into()) => return Err(over()),
                () = tokio::time::sleep(KEEP_EVERY) => latch.keep().await?,
            }
        };
        equal(&report)?;
        Ok(report)
    }

    /// Raises the target's sequences to the source's values.
    async fn sequences(&self) -> Result<Vec<Sequence>, EngineError> {
        let planned = &self.run.migration.plan.sequences;
        let source: &dyn Source = self.run.migration.sides.source.as_ref();
        let now = self.in_time(source.sequences()).await?;
        let values: Vec<Sequence> = planned
            .iter()
            .map(|planned| {
                let now = now.iter().find(|s| s.name == planned.name);
                Sequence {
                    last_value: now.and_then(|s| s.last_value),
                    ..planned.clone()
                }
            })
            .collect();
        let target = &self.run.migration.sides.target;
        let raise = target.raise_for_switch(&values, self.session.tables());
        self.in_time(raise).await?;
        Ok(values)
    }

    /// The point of no return. A lost reply is settled by looking.
    async fn give(
        &self,
        latch: &mut dyn Latch,
        from: Register,
        to: Register,
    ) -> Result<(), EngineError> {
        match latch.commit(from, to).await {
            Ok(()) => Ok(()),
            Err(error) if error.kind == ErrorKind::Connection => {
                let source = &self.run.migration.sides.source;
                loop {
                    match source.standing(self.run.base()).await {
                        Ok(Some(standing)) if standing.register == to => return Ok(()),
                        Ok(_) => return Err(error.into()),
                        Err(looking) => {
                            self.patient(looking, "reading the old authority's register")
                                .await?
                        }
                    }
                }
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The commit point: repeated until it has happened.
    async fn open(&self, to: Register) -> Result<(), EngineError> {
        let target = &self.run.migration.sides.target;
        for _ in 0..OPEN_TRIES {
            match noted(target, self.run.base(), self.prepared.to, to).await {
                Err(EngineError::Store(error)) if error.recovery() == Recovery::Retry => {
                    self.patient(error, "looking at the new authority").await?;
                    continue;
                }
                looked => looked?,
            }
            let error = match target.swap(self.run.base(), self.prepared.to, to).await {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            match target.standing(self.run.base()).await {
                Ok(Some(standing)) if standing.register == to => return Ok(()),
                Ok(Some(standing)) if standing.register != self.prepared.to => {
                    return Err(EngineError::stopped(
                        "switch.overtaken",
                        format!("the new authority's register says {}", standing.register),
                        "Another process acts on this migration; run any command again: it finds where the switch stands",
                    ));
                }
                _ => self.patient(error, "opening the new authority").await?,
            }
        }
        Err(EngineError::internal("the new authority did not open"))
    }

    /// Beyond the point of no return nothing is given up but this process.
    async fn patient(&self, error: StoreError, doing: &str) -> Result<(), EngineError> {
        if self.session.stopping() {
            return Err(error.into());
        }
        tracing::warn!(error = %error, "{doing}, again");
        tokio::time::sleep(AGAIN).await;
        Ok(())
    }
}

/// The time box has ended before anything was given.
fn over() -> EngineError {
    refused(
        "switch.over_budget",
        "the time box ended before authority was given: the fence is lifted, nothing has changed",
        "give it more time with --within, or switch at a quieter time",
    )
}
