//! Obeys commands that other shells left in the control store.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use crossfade_control::{Command, CommandId, VerifyLayer};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::error::EngineError;
use crate::progress::Event;
use crate::run::{Run, keep_report};
use crate::session::Session;
use crate::verify::collect::VerifyRequest;
use crate::verify::layers;

/// How often the control store is looked at.
const EVERY: Duration = Duration::from_millis(300);

/// What ends the attempt.
pub(crate) enum Order {
    Abort {
        command: CommandId,
        drop_target_tables: bool,
    },
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
                let done = compared
                    .map_err(|e| EngineError::internal(format!("a comparison ended: {e}")))??;
                taken.remove(&done);
            }
            () = tokio::time::sleep(EVERY) => {}
        }
        for posted in run.migration.control.open_commands().await? {
            if !taken.insert(posted.id) {
                continue;
            }
            run.migration
                .control
                .acknowledge(&run.lease, posted.id)
                .await?;
            match posted.command {
                Command::Pause => pause(&run, &session, posted.id, true).await?,
                Command::Resume => pause(&run, &session, posted.id, false).await?,
                Command::Verify { show_rows, layer } => {
                    let (run, session) = (Arc::clone(&run), Arc::clone(&session));
                    let requests = requests.clone();
                    comparing.spawn(async move {
                        let asked = Asked { show_rows, layer };
                        compare(&run, &session, &requests, posted.id, asked).await?;
                        Ok(posted.id)
                    });
                }
                Command::Abort { drop_target_tables } => {
                    // the run ends; whoever waits for the command hears from it afterwards
                    let command = posted.id;
                    let _ = orders
                        .send(Order::Abort {
                            command,
                            drop_target_tables,
                        })
                        .await;
                }
            }
        }
    }
}

/// The comparison that is asked for.
struct Asked {
    show_rows: bool,
    layer: VerifyLayer,
}

/// Compares once the target follows, and tells whoever asked.
async fn compare(
    run: &Run,
    session: &Arc<Session>,
    requests: &mpsc::Sender<VerifyRequest>,
    command: CommandId,
    Asked { show_rows, layer }: Asked,
) -> Result<(), EngineError> {
    let control = &run.migration.control;
    let ready = session
        .wait_for(|state| (state.finished || state.paused).then_some(!state.paused))
        .await;
    let result = match ready {
        None => return Ok(()),
        Some(false) => Err("the run is paused: `resume` first".to_owned()),
        Some(true) => {
            match layers::verify(session, requests, layer, &run.migration.projections).await {
                Ok(report) => {
                    keep_report(run, &report).await?;
                    let told = if show_rows {
                        report
                    } else {
                        report.without_rows()
                    };
                    serde_json::to_value(&told).map_err(|e| e.to_string())
                }
                Err(EngineError::Ending) => return Ok(()),
                // this comparison could not be made; the run goes on
                Err(error @ EngineError::Stopped { .. }) => Err(error.to_string()),
                Err(error) => {
                    control
                        .finish(&run.lease, command, Err(error.to_string()))
                        .await?;
                    return Err(error);
                }
            }
        }
    };
    control.finish(&run.lease, command, result).await?;
    Ok(())
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
