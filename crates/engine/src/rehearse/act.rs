//! The rehearsal's steps, one after another.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crossfade_control::{Command, CommandState, Comparison, ControlStore, SwitchOrder, Traffic};
use crossfade_mapping::MappedSource;
use crossfade_plan::{MigrationFile, TableEntry};
use crossfade_rules::gates::GateLimits;
use crossfade_store::Source;
use serde::de::DeserializeOwned;
use tokio::sync::watch;

use crate::error::EngineError;
use crate::lifecycle;
use crate::planning::prepare;
use crate::progress::{Observer, RunOutcome, VerifyReport};
use crate::rehearse::Rehearsal;
use crate::rehearse::report::{Paused, Proved, RehearsalReport};
use crate::rehearse::scene::{Running, Scene, words};
use crate::rehearse::writer::{self, Tables, Writer};
use crate::run::{Migration, Until, run};
use crate::switch::obey::INTERRUPTED;
use crate::switch::prepare::refused;
use crate::switch::report::SwitchReport;
use crate::switch::{Lead, Sides, SwitchAnswer};

/// How often the run beside is looked at.
const LOOK: Duration = Duration::from_millis(50);
/// Rounds of writes between two steps.
const ROUNDS: u64 = 3;
/// How long the writer beside a switch works before it and behind it.
const AROUND: Duration = Duration::from_millis(500);
/// How often an order to switch is given whose attempt ended before anything was given away: a machine that is busy with other things may well
/// end one.
const ORDERS: u32 = 3;

/// Copies, follows, writes, proves, switches, and goes back.
pub(super) async fn act(
    asked: &Rehearsal,
    scene: &mut Scene,
    report: &mut RehearsalReport,
    observer: &Arc<dyn Observer>,
) -> Result<(), EngineError> {
    let begun = Instant::now();
    report.rows = copy(asked, scene, observer).await?;
    report.step(
        "copy",
        begun.elapsed(),
        format!("{} rows of the real source", report.rows),
    );
    let begun = Instant::now();
    let mut stage = Stage::open(asked, scene, observer).await?;
    stage.followed().await?;
    report.step("follow", begun.elapsed(), "copied once more, and followed");
    stage.write(report, "writes").await?;
    stage.prove(report, "writes").await?;
    report.switch = Some(stage.switch(report, "switch", Command::Switch).await?);
    stage.write(report, "writes_after_switch").await?;
    stage.prove(report, "switch").await?;
    report.rollback = Some(stage.switch(report, "rollback", Command::Rollback).await?);
    stage.write(report, "writes_after_rollback").await?;
    stage.prove(report, "rollback").await
}

/// Makes the scratch source a copy of the real one: a migration of its own into an empty database, which ends once it is there.
async fn copy(
    asked: &Rehearsal,
    scene: &mut Scene,
    observer: &Arc<dyn Observer>,
) -> Result<u64, EngineError> {
    let target = scene.source.scratch.target()?;
    let file = MigrationFile {
        name: scene.copy_name(),
        tables: as_they_are(&asked.file.tables),
        ..plain(&asked.file)
    };
    let sides = Sides {
        source: Arc::clone(&asked.sides.source),
        target,
    };
    let copy = migration(asked, &file, sides).await?;
    scene.copy = Some(Arc::clone(&copy));
    // it ends with this future
    let (_stop, stopped) = watch::channel(false);
    match run(
        Arc::clone(&copy),
        Until::Followed,
        Arc::clone(observer),
        stopped,
    )
    .await?
    {
        RunOutcome::Followed { .. } => {}
        other => {
            return Err(EngineError::internal(format!("a copy ended as {other:?}")));
        }
    }
    let status = lifecycle::status(&copy).await?;
    let rows = status.map_or(0, |s| s.tables.iter().map(|t| t.copied_rows).sum());
    let removed = lifecycle::abort(copy, false).await?;
    tracing::debug!(
        removed = words(&removed),
        "the copy of the source has ended"
    );
    Ok(rows)
}

/// The listed tables, each once and whole: the copy is the source, and the mapping is rehearsed from it.
fn as_they_are(entries: &[TableEntry]) -> Vec<TableEntry> {
    let mut out: Vec<TableEntry> = Vec::new();
    for entry in entries {
        if !out.iter().any(|e| e.from.text == entry.from.text) {
            out.push(TableEntry {
                from: entry.from.clone(),
                ..TableEntry::default()
            });
        }
    }
    out
}

/// The file without what leads traffic or asks of others.
fn plain(file: &MigrationFile) -> MigrationFile {
    MigrationFile {
        projections: Vec::new(),
        routes: Vec::new(),
        standbys: Default::default(),
        shadow: None,
        ..file.clone()
    }
}

/// A migration that begins into an empty database.
async fn migration(
    asked: &Rehearsal,
    file: &MigrationFile,
    sides: Sides,
) -> Result<Arc<Migration>, EngineError> {
    let source = MappedSource::over(sides.source.clone());
    let plan = prepare(file, source.as_ref(), sides.target.as_ref())
        .await?
        .plan;
    if plan.is_blocked() {
        return Err(EngineError::Refused {
            findings: plan.findings,
        });
    }
    if !plan.present.is_empty() {
        return Err(refused(
            "rehearse.not_empty",
            "the database that is to be the copy has tables of these names already",
            "give an empty one",
        ));
    }
    Ok(Arc::new(Migration {
        plan,
        source,
        target: sides.target.clone(),
        control: (asked.open_control)(&file.name)?,
        projections: Vec::new(),
        verify: file.verify,
        abort_conditions: Default::default(),
        // a failover in the middle of a rehearsal costs a rehearsal
        standbys: Default::default(),
        shadow: None,
        options: file.run,
        // what is rehearsed needs no rehearsal
        gates: GateLimits {
            rehearsal_days: None,
            // nobody reads from scratch copies
            shadow: None,
            ..file.gates
        },
        sides,
        lead: Arc::new(Lead::none()),
    }))
}

/// The rehearsed migration, which runs.
struct Stage<'a> {
    asked: &'a Rehearsal,
    migration: Arc<Migration>,
    run: &'a mut Option<Running>,
    tables: Tables,
    round: u64,
}

impl<'a> Stage<'a> {
    async fn open(
        asked: &'a Rehearsal,
        scene: &'a mut Scene,
        observer: &Arc<dyn Observer>,
    ) -> Result<Stage<'a>, EngineError> {
        let file = MigrationFile {
            name: scene.name.clone(),
            ..plain(&asked.file)
        };
        let sides = Sides {
            source: scene.source.scratch.source()?,
            target: scene.target.scratch.target()?,
        };
        let migration = migration(asked, &file, sides).await?;
        scene.migration = Some(Arc::clone(&migration));
        let (stop, stopped) = watch::channel(false);
        let (running, observer) = (Arc::clone(&migration), Arc::clone(observer));
        let task = tokio::spawn(run(running, Until::Stopped, observer, stopped));
        scene.run = Some(Running { stop, task });
        let mappings = &migration.plan.tables;
        let tables = Tables {
            source: mappings.iter().map(|m| m.source_table().clone()).collect(),
            target: mappings.iter().map(|m| m.target.clone()).collect(),
        };
        Ok(Stage {
            asked,
            migration,
            run: &mut scene.run,
            tables,
            round: 0,
        })
    }

    /// Waits until the target follows.
    async fn followed(&mut self) -> Result<(), EngineError> {
        while !self.migration.control.state().await?.phase.is_followed() {
            self.runs().await?;
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }

    /// An error where the run has ended.
    async fn runs(&mut self) -> Result<(), EngineError> {
        let Some(running) = self.run.take_if(|running| running.task.is_finished()) else {
            return Ok(());
        };
        match running.task.await {
            Ok(Err(error)) => Err(error),
            Ok(Ok(outcome)) => Err(EngineError::internal(format!(
                "the rehearsed run ended as {outcome:?}"
            ))),
            Err(error) => Err(EngineError::internal(format!(
                "the rehearsed run ended: {error}"
            ))),
        }
    }

    /// Gives an order and waits for its answer.
    async fn ordered<T: DeserializeOwned>(&mut self, command: Command) -> Result<T, EngineError> {
        let control: Arc<dyn ControlStore> = Arc::clone(&self.migration.control);
        let what = command.word();
        let id = control.post(command).await?;
        loop {
            match control.command(id).await?.state {
                CommandState::Done(value) => {
                    return serde_json::from_value(value).map_err(|error| {
                        EngineError::internal(format!(
                            "the answer to {what} cannot be read: {error}"
                        ))
                    });
                }
                CommandState::Failed(why) => {
                    return Err(EngineError::stopped(
                        "rehearse.order",
                        format!("{what}: {why}"),
                        "See what it says, and rehearse again",
                    ));
                }
                CommandState::Posted | CommandState::Acknowledged => self.runs().await?,
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Writes as an application, on the store that has authority.
    async fn write(&mut self, report: &mut RehearsalReport, step: &str) -> Result<(), EngineError> {
        let begun = Instant::now();
        // the target has it from the switch on up to the rollback
        let there = report.switch.is_some() && report.rollback.is_none();
        let sides = &self.migration.sides;
        let (store, tables) = if there {
            (&sides.target, &self.tables.target)
        } else {
            (&sides.source, &self.tables.source)
        };
        let mut exerciser = store.open_exerciser().await?;
        let rounds = self.round..self.round + ROUNDS;
        let rows = writer::rounds(exerciser.as_mut(), tables, rounds).await?;
        self.round += ROUNDS;
        report.written += rows;
        let label = Source::label(store.as_ref());
        report.step(step, begun.elapsed(), format!("{rows} rows on {label}"));
        Ok(())
    }

    /// Compares every row.
    async fn prove(
        &mut self,
        report: &mut RehearsalReport,
        after: &str,
    ) -> Result<(), EngineError> {
        let begun = Instant::now();
        let compared: VerifyReport = self.ordered(Command::Verify(Comparison::default())).await?;
        let differ: Vec<String> = (compared.tables.iter())
            .filter(|table| !table.equal)
            .map(|table| table.name.clone())
            .collect();
        let proved = Proved {
            after: after.to_owned(),
            equal: compared.equal,
            rows: compared.tables.iter().map(|t| t.rows).sum(),
            differences: (compared.tables.iter())
                .map(|t| t.differences.len() as u64)
                .sum(),
            tables: differ,
        };
        let took = begun.elapsed();
        report.step(
            "proof",
            took,
            format!("after {after}: {} rows read on both sides", proved.rows),
        );
        let (equal, tables) = (proved.equal, proved.tables.join(", "));
        report.proofs.push(proved);
        if equal {
            return Ok(());
        }
        Err(EngineError::stopped(
            "rehearse.differs",
            format!("after {after} the two sides differ: {tables}"),
            "`rehearse --keep` leaves the copies to look at; `crossfade verify` compares the migration's own stores",
        ))
    }

    /// Gives authority to the other side, while somebody writes.
    async fn switch(
        &mut self,
        report: &mut RehearsalReport,
        step: &str,
        order: fn(SwitchOrder) -> Command,
    ) -> Result<Paused, EngineError> {
        let (sides, tables) = match step {
            "rollback" => (
                self.migration.sides.exchanged(),
                Tables {
                    source: self.tables.target.clone(),
                    target: self.tables.source.clone(),
                },
            ),
            _ => (self.migration.sides.clone(), self.tables.clone()),
        };
        let writer = Writer::start(&sides, &tables, self.round).await?;
        tokio::time::sleep(AROUND).await;
        let command = order(SwitchOrder {
            what: Traffic::Writes,
            owner: self.asked.owner.clone(),
            within_ms: report.within_ms,
            dry_run: false,
            kill_blockers: false,
            overrides: Vec::new(),
        });
        let (switched, begun) = self.switched(command).await?;
        let paused = Paused::of(&switched, begun.elapsed());
        tokio::time::sleep(AROUND).await;
        let rows = writer.end().await?;
        report.written += rows;
        report.step(
            step,
            begun.elapsed(),
            format!("{rows} rows were written beside it"),
        );
        Ok(paused)
    }

    /// Orders a switch, again where its attempt ended before authority was given; and when the order that happened was given.
    async fn switched(&mut self, command: Command) -> Result<(SwitchReport, Instant), EngineError> {
        let mut orders = 1;
        loop {
            let begun = Instant::now();
            match self.ordered(command.clone()).await? {
                SwitchAnswer::Report(report) => return Ok((*report, begun)),
                SwitchAnswer::Refused(findings) => return Err(EngineError::Refused { findings }),
                SwitchAnswer::Failed { code, .. } if code == INTERRUPTED && orders < ORDERS => {
                    tracing::warn!("the rehearsed switch was interrupted, and is ordered again");
                    orders += 1;
                }
                SwitchAnswer::Failed { code, what, fix } => {
                    return Err(EngineError::stopped(
                        "rehearse.switch",
                        format!("[{code}] {what}"),
                        fix.unwrap_or_else(|| "Rehearse again".to_owned()),
                    ));
                }
            }
        }
    }
}
