//! Who has authority, by the word of the two stores; and the end of what a process before has left half done.

use std::sync::Arc;
use std::time::Duration;

use crossfade_control::{IntentState, Lease};
use crossfade_model::{Mode, Register};
use crossfade_plan::Phase;
use crossfade_rules::switch::{Side, Swap, Todo, Verdict, both_at_once, may_open, verdict};
use crossfade_store::{ErrorKind, Store};

use crate::error::EngineError;
use crate::progress::{Event, Observer};
use crate::run::Migration;
use crate::switch::lane::Direction;
use crate::switch::route;

/// So long nobody who lives stands between two steps.
const STOPPED: Duration = Duration::from_secs(5);

/// How often a step that must be taken is tried within one call, before the caller's own retries.
const TRIES: u32 = 3;

/// Reads both registers, finishes or releases what is half done, and says which way rows go.
///
/// # Errors
/// A store that cannot be reached: nothing is known then. Registers that contradict each other.
pub(crate) async fn settle(
    home: &Arc<Migration>,
    lease: &Lease,
    observer: &dyn Observer,
) -> Result<Direction, EngineError> {
    // whoever was taken over changes nothing any more
    home.control.heartbeat(lease, None).await?;
    for _ in 0..TRIES {
        let Some([x, y]) = registers(home).await? else {
            continue;
        };
        let Verdict { writes, todo } = verdict(x, y);
        let finish;
        let swap = match todo {
            Todo::Nothing => {
                let direction = match writes {
                    Some(Side::Target) => Direction::Reverse,
                    Some(Side::Source) | None => Direction::Forward,
                };
                let epoch = [x, y].iter().flatten().map(|r| r.epoch).max().unwrap_or(0);
                let interrupted = interrupted(home).await?;
                let name = &home.plan.migration;
                route::agree(&home.lead, name, direction, epoch, interrupted, observer).await;
                route::paused::settled(home, lease).await;
                enter_phase(home, lease, direction).await?;
                settle_intents(home, lease, direction, [x, y]).await?;
                return Ok(direction);
            }
            Todo::Release(swap) | Todo::ReopenAfterRefusal(swap) => {
                finish = false;
                tell(
                    home,
                    observer,
                    &swap,
                    "before the point of no return: it is opened again",
                );
                swap
            }
            Todo::Finish(swap) => {
                finish = true;
                tell(
                    home,
                    observer,
                    &swap,
                    "beyond the point of no return: it takes authority",
                );
                swap
            }
            Todo::Violation(what) => {
                return Err(EngineError::stopped(
                    "switch.registers",
                    what,
                    "Nothing was changed; the registers stand in each store's own table of crossfade",
                ));
            }
            // both were reached
            Todo::Reach(_) => {
                return Err(EngineError::internal(
                    "a store was read and is to be reached",
                ));
            }
        };
        make(home, &swap, finish).await?;
    }
    Err(EngineError::stopped(
        "switch.unsettled",
        "the two stores' registers do not come to rest: another process changes them",
        "See that one process alone runs this migration, and try again",
    ))
}

fn tell(home: &Migration, observer: &dyn Observer, swap: &Swap, what: &str) {
    let Swap { store, from, to } = swap;
    let label = match store {
        Side::Source => home.source.label(),
        Side::Target => home.target.label(),
    };
    observer.event(&Event::Warning {
        what: format!("{label}: a switch was left half done {what} ({from} → {to})"),
    });
}

fn side(home: &Migration, side: Side) -> &Arc<dyn Store> {
    match side {
        Side::Source => &home.sides.source,
        Side::Target => &home.sides.target,
    }
}

/// A store opens only where it holds, beside its register, where its own changes begin: that was written behind everything that it was to take
/// over. One that was failed over to a copy without it does not have the last of it either.
pub(crate) async fn noted(
    store: &Arc<dyn Store>,
    name: &str,
    from: Register,
    to: Register,
) -> Result<(), EngineError> {
    let epoch = to.epoch;
    let standing = store.peek_standing(name).await?;
    let found = standing
        .as_ref()
        .and_then(|s| s.beginning.as_ref())
        .map(|b| b.epoch);
    // what the other has given stays given until this one has taken or declined it
    let given = Register::new(Mode::Given, epoch);
    let open = standing.is_some_and(|s| s.register == to);
    if open || may_open(from, given, found, epoch).is_ok() {
        return Ok(());
    }
    Err(EngineError::stopped(
        "switch.not_noted",
        format!(
            "the store that is to take authority does not hold the beginning of epoch {epoch}: it is not the one that everything was applied to"
        ),
        "It may have been failed over to a copy that was behind. Bring back the one that was filled; nothing is opened until then",
    ))
}

pub(crate) async fn make(home: &Migration, swap: &Swap, finish: bool) -> Result<(), EngineError> {
    let store = side(home, swap.store);
    let name = &home.plan.migration;
    if finish {
        noted(store, name, swap.from, swap.to).await?;
    }
    // whoever held the latch is gone, or sleeps: the swap compares
    let Err(error) = store.swap(name, swap.from, swap.to).await else {
        return Ok(());
    };
    if error.kind != ErrorKind::Busy {
        return Err(error.into());
    }
    store.end_holder(name).await?;
    tokio::time::sleep(Duration::from_millis(200)).await;
    Ok(store.swap(name, swap.from, swap.to).await?)
}

/// The registers of source and target, both at once; `None` where one has changed meanwhile.
async fn registers(home: &Migration) -> Result<Option<[Option<Register>; 2]>, EngineError> {
    let name = &home.plan.migration;
    let before = standing(&home.sides.source, name).await?;
    let target = standing(&home.sides.target, name).await?;
    let after = standing(&home.sides.source, name).await?;
    Ok(both_at_once(before, after).then_some([after, target]))
}

async fn standing(
    store: &Arc<dyn Store>,
    name: &str,
) -> Result<Option<Register>, crossfade_store::StoreError> {
    // without a register there is nothing to wait for
    let Some(seen) = store.peek_standing(name).await? else {
        return Ok(None);
    };
    match store.standing(name).await {
        Ok(standing) => Ok(standing.map(|s| s.register)),
        // a holder that does not answer: a dead tool's
        Err(error) if error.kind == ErrorKind::Busy => {
            store.end_holder(name).await?;
            store.standing(name).await.map(|s| s.map(|s| s.register))
        }
        Err(error) => {
            tracing::debug!(register = %seen.register, "the register was read without its lock only");
            Err(error)
        }
    }
}

/// Brings the control store's phase to what the stores say.
pub(crate) async fn enter_phase(
    home: &Migration,
    lease: &Lease,
    direction: Direction,
) -> Result<(), EngineError> {
    let now = home.control.state().await?.phase;
    let to = match direction {
        Direction::Reverse if now != Phase::WritesSwitched => Phase::WritesSwitched,
        Direction::Forward if now == Phase::WritesSwitched => Phase::Following,
        _ => return Ok(()),
    };
    home.control.move_phase(lease, now, to).await?;
    Ok(())
}

/// The epoch of a switch that a process has begun and of which none has said how it ended, or whose routes none has seen going on.
async fn interrupted(home: &Migration) -> Result<Option<u64>, EngineError> {
    let state = home.control.state().await?;
    let kinds = [INTENT, route::paused::PAUSED];
    let switches = (state.open_intents.iter()).filter(|i| kinds.contains(&i.kind.as_str()));
    Ok(switches.filter_map(|i| i.detail["epoch"].as_u64()).max())
}

/// What a process does that may not run the migration, as another holds it: where a switch has stood half done for longer than any window
/// lasts, it is released or finished all the same, so that a stopped process does not keep every writer out. Both are
/// compare-and-swaps: a process that lives on after all finds out.
pub(crate) async fn rescue(
    home: &Arc<Migration>,
    lease: &Lease,
    observer: &dyn Observer,
) -> Result<(), EngineError> {
    let name = &home.plan.migration;
    let peek = || async {
        let (x, y) = tokio::try_join!(
            home.sides.source.peek_standing(name),
            home.sides.target.peek_standing(name)
        )?;
        Ok::<_, EngineError>([x, y].map(|s| s.map(|s| s.register)))
    };
    let first = peek().await?;
    if verdict(first[0], first[1]).swap().is_none() {
        return Ok(());
    }
    tokio::time::sleep(STOPPED).await;
    if peek().await? == first {
        settle(home, lease, observer).await?;
    }
    Ok(())
}

/// Says of open intents of switches what became of them.
async fn settle_intents(
    home: &Migration,
    lease: &Lease,
    direction: Direction,
    registers: [Option<Register>; 2],
) -> Result<(), EngineError> {
    let state = home.control.state().await?;
    let open = match direction {
        Direction::Forward => registers[0],
        Direction::Reverse => registers[1],
    };
    for intent in state.open_intents.iter().filter(|i| i.kind == INTENT) {
        let epoch = intent.detail["epoch"].as_u64();
        let won = open.is_some_and(|r| r.mode == Mode::Open && Some(r.epoch) == epoch)
            && intent.detail["to"] == serde_json::json!(direction.source_word());
        let outcome = if won {
            IntentState::Done(serde_json::json!({ "authority": direction.source_word() }))
        } else {
            IntentState::Failed("released: nothing has changed hands".to_owned())
        };
        home.control
            .settle_intent(lease, intent.id, outcome)
            .await?;
    }
    Ok(())
}

/// The kind of the intent that a switch records before it fires.
pub(crate) const INTENT: &str = "switch";

/// Which way rows go most likely, without waiting for anybody and without changing anything: [`settle`] decides.
pub(crate) async fn likely(home: &Migration) -> Result<Direction, EngineError> {
    let name = &home.plan.migration;
    let (source, target) = tokio::try_join!(
        home.sides.source.peek_standing(name),
        home.sides.target.peek_standing(name)
    )?;
    let mode = |standing: Option<crossfade_store::Standing>| standing.map(|s| s.register.mode);
    Ok(match (mode(source), mode(target)) {
        (Some(Mode::Open) | None, _) => Direction::Forward,
        (_, Some(Mode::Open)) | (Some(Mode::Given), _) => Direction::Reverse,
        _ => Direction::Forward,
    })
}
