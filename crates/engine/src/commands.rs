//! Obeys commands that other shells left in the control store.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use crossfade_control::{Command, CommandId, CommandState, Comparison, EntryId, SwitchOrder};
use crossfade_store::Recovery;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::error::EngineError;
use crate::layer_report::Layer;
use crate::progress::{Event, VerifyReport};
use crate::quarantine;
use crate::run::{Run, Until, keep_report};
use crate::session::Session;
use crate::switch::obey::{self, Ordered};
use crate::switch::report::SwitchReport;
use crate::switch::{Direction, gates};
use crate::verify::collect::VerifyRequest;
use crate::verify::{ask, repair};

/// How often the control store is looked at.
const EVERY: Duration = Duration::from_millis(300);

/// What ends the attempt.
pub(crate) enum Order {
    Abort {
        command: CommandId,
        drop_target_tables: bool,
    },
    Complete {
        command: CommandId,
        owner: String,
    },
    /// A switch has happened: the attempt ends, and the next one goes the other way.
    Switched {
        report: Box<SwitchReport>,
    },
}

/// What a comparison is made for.
enum Asked {
    /// Its report.
    Report(Comparison),
    /// To repair entries of the quarantine, and to find out which are still there.
    Retry { ids: Vec<EntryId> },
    /// How the gates stand.
    Gates,
    /// To give authority away, in this direction.
    Switch(Direction, SwitchOrder),
}

/// Looks for commands until the attempt stops.
pub(crate) async fn run(
    run: Arc<Run>,
    session: Arc<Session>,
    orders: mpsc::Sender<Order>,
    requests: mpsc::Sender<VerifyRequest>,
) -> Result<(), EngineError> {
    let mut stop = session.stop.clone();
    let mut comparing: JoinSet<Result<CommandId, EngineError>> = JoinSet::new();
    let mut taken: HashSet<CommandId> = HashSet::new();
    loop {
        tokio::select! {
            _ = stop.changed() => return Ok(()),
            Some(compared) = comparing.join_next() => {
                let compared = compared
                    .map_err(|e| EngineError::internal(format!("a comparison ended: {e}")))?;
                match compared {
                    Ok(done) => {
                        taken.remove(&done);
                    }
                    // another comparison's; the switch that is at work here must come to tell how it went
                    Err(EngineError::Store(error)) if session.turned() => {
                        tracing::warn!(error = %error, "a comparison has ended while authority changes hands");
                    }
                    Err(error) => return Err(error),
                }
            }
            () = tokio::time::sleep(EVERY) => {}
        }
        for posted in run.migration.control.open_commands().await? {
            if !taken.insert(posted.id) {
                continue;
            }
            // a run that ends with its comparison obeys retries by it
            let by_comparison = matches!(run.until, Until::Verified(_));
            if by_comparison && matches!(posted.command, Command::Retry { .. }) {
                continue;
            }
            // one that an earlier attempt of this run had taken is taken
            let anew = posted.state != CommandState::Posted;
            if !anew {
                run.migration
                    .control
                    .acknowledge(&run.lease, posted.id)
                    .await?;
            }
            let asked = match posted.command {
                Command::Pause => {
                    pause(&run, &session, posted.id, true).await?;
                    continue;
                }
                Command::Resume => {
                    pause(&run, &session, posted.id, false).await?;
                    continue;
                }
                Command::Verify(mut comparison) => {
                    // what it repaired before the end of that attempt nobody has counted: the cap is not granted twice
                    if anew {
                        comparison.repair_rows = comparison.repair_rows.map(|_| 0);
                    }
                    Asked::Report(comparison)
                }
                Command::Retry { ids } => Asked::Retry { ids },
                Command::Abort { drop_target_tables } => {
                    // the run ends; whoever waits for the command hears from it afterwards
                    let command = posted.id;
                    let _ = orders
                        .send(Order::Abort {
                            command,
                            drop_target_tables,
                        })
                        .await;
                    continue;
                }
                Command::Gates => Asked::Gates,
                Command::Switch(order) => Asked::Switch(Direction::Forward, order),
                Command::Rollback(order) => Asked::Switch(Direction::Reverse, order),
                Command::Complete { owner } => {
                    let command = posted.id;
                    let _ = orders.send(Order::Complete { command, owner }).await;
                    continue;
                }
            };
            let (run, session) = (Arc::clone(&run), Arc::clone(&session));
            let requests = requests.clone();
            if let Asked::Switch(direction, order) = asked {
                let orders = orders.clone();
                let begun_before = posted.state != CommandState::Posted;
                comparing.spawn(async move {
                    let ordered = Ordered {
                        command: posted.id,
                        begun_before,
                        direction,
                        order,
                    };
                    obey::by_command(&run, &session, &requests, &orders, ordered).await?;
                    Ok(posted.id)
                });
                continue;
            }
            if matches!(asked, Asked::Gates) {
                comparing.spawn(async move {
                    gates_told(&run, &session, posted.id).await?;
                    Ok(posted.id)
                });
                continue;
            }
            comparing.spawn(async move {
                compare(&run, &session, &requests, (posted.id, anew), asked).await?;
                Ok(posted.id)
            });
        }
    }
}

/// Tells how the gates stand.
async fn gates_told(run: &Run, session: &Session, command: CommandId) -> Result<(), EngineError> {
    let gates = gates::now(run, session).await?;
    let answer = serde_json::to_value(gates).map_err(|e| e.to_string());
    Ok(run
        .migration
        .control
        .finish(&run.lease, command, answer)
        .await?)
}

/// Compares once the target follows, and tells whoever asked. A comparison that a store's passing error ends is made anew by the next attempt,
/// once: one that ends every attempt would end the run.
async fn compare(
    run: &Run,
    session: &Arc<Session>,
    requests: &mpsc::Sender<VerifyRequest>,
    (command, anew): (CommandId, bool),
    asked: Asked,
) -> Result<(), EngineError> {
    let control = &run.migration.control;
    let ready = session
        .wait_for(|state| match (state.paused, &asked) {
            // what only waits for rows in quarantine is compared too, and these are tried again
            (false, _) => (state.finished || state.hangs()).then_some(true),
            (true, Asked::Report(_) | Asked::Switch(..) | Asked::Gates) => Some(false),
            // nobody need wait for it: it is obeyed after `resume`
            (true, Asked::Retry { .. }) => None,
        })
        .await;
    let result = match ready {
        None => return Ok(()),
        Some(false) => Err("the run is paused: `resume` first".to_owned()),
        Some(true) => match compared(run, session, requests, &asked).await {
            Ok((mut report, repaired)) => {
                // of what was proven before, a report of touched keys says nothing
                if report.layers.layer == Layer::Full {
                    keep_report(run, &mut report).await?;
                }
                answer(run, report, repaired, asked).await?
            }
            Err(EngineError::Ending) => return Ok(()),
            // this comparison could not be made; the run goes on
            Err(error) if !may_pass(&error) => Err(error.to_string()),
            // what was repaired already is not to be repaired again unasked
            Err(error)
                if !anew && matches!(&asked, Asked::Report(c) if c.repair_rows.is_none()) =>
            {
                return Err(error);
            }
            Err(error) => {
                control
                    .finish(&run.lease, command, Err(error.to_string()))
                    .await?;
                return Err(error);
            }
        },
    };
    control.finish(&run.lease, command, result).await?;
    Ok(())
}

/// A store that is away ends the attempt, and the next one may reach it. Anything else that a comparison meets says nothing of
/// the stream: whoever applies finds out for himself.
pub(crate) fn may_pass(error: &EngineError) -> bool {
    match error {
        EngineError::Store(error) => error.recovery() == Recovery::Retry,
        EngineError::Ending | EngineError::Control(_) => true,
        _ => false,
    }
}

/// The comparison, and how many rows were read again before it for the sake of quarantined entries.
async fn compared(
    run: &Run,
    session: &Arc<Session>,
    requests: &mpsc::Sender<VerifyRequest>,
    asked: &Asked,
) -> Result<(VerifyReport, u64), EngineError> {
    match asked {
        Asked::Switch(..) | Asked::Gates => Err(EngineError::internal("this is no comparison")),
        Asked::Report(comparison) => {
            let report = ask::compared(run, session, requests, *comparison).await?;
            Ok((report, 0))
        }
        Asked::Retry { ids } => {
            let keys = quarantine::keys(run, session, ids).await?;
            let rows = repair::repair(session, requests, keys).await?.rows;
            let report = ask::compared(run, session, requests, Comparison::default()).await?;
            Ok((report, rows))
        }
    }
}

/// What a comparison tells whoever asked for it.
async fn answer(
    run: &Run,
    report: VerifyReport,
    repaired: u64,
    asked: Asked,
) -> Result<Result<serde_json::Value, String>, EngineError> {
    let told = match asked {
        Asked::Report(Comparison {
            show_rows: true, ..
        }) => serde_json::to_value(&report),
        Asked::Report(_) => serde_json::to_value(report.without_rows()),
        Asked::Switch(..) | Asked::Gates => {
            return Err(EngineError::internal("this is no comparison"));
        }
        Asked::Retry { ids } => {
            serde_json::to_value(quarantine::retried(run, ids, repaired, &report).await?)
        }
    };
    Ok(told.map_err(|e| e.to_string()))
}

async fn pause(
    run: &Run,
    session: &Session,
    command: CommandId,
    paused: bool,
) -> Result<(), EngineError> {
    run.migration.control.set_paused(&run.lease, paused).await?;
    session.lock().paused = paused;
    session.notify();
    run.observer.event(if paused {
        &Event::Paused
    } else {
        &Event::Resumed
    });
    run.migration
        .control
        .finish(&run.lease, command, Ok(serde_json::Value::Bool(true)))
        .await?;
    Ok(())
}
