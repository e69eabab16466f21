//! `demo`: a small shop, an application that writes to it all the time, and its migration, watched and proven.

pub mod app;
mod child;
mod place;
mod shop;

use std::sync::Arc;
use std::time::Duration;

use crossfade_control::{Command, VerifyLayer};
use crossfade_engine::{Migration, Until, VerifyReport};
use serde_json::json;
use tokio::sync::watch;

use self::app::Counts;
use self::child::Application;
use self::place::Place;
use self::shop::{Shop, TABLES};
use crate::args;
use crate::commands::{Answer, ask, run, signal, status};
use crate::failure::{FAILED, Failure, REFUSED};
use crate::load::Loaded;
use crate::show::status::{answers, ledger};
use crate::show::{Output, made, number, verify};
use crate::view::{Latest, View};

/// The demo ends by itself within this time, whatever happens.
const LONGEST: Duration = Duration::from_secs(58);
/// How long the target may take to follow.
const TO_FOLLOW: Duration = Duration::from_secs(40);
/// How long the application writes between two comparisons.
const BETWEEN: Duration = Duration::from_millis(1500);

/// Runs the demo.
///
/// # Errors
/// A folder or database that cannot be used; a migration that failed. A proof that did not hold makes the exit code 2.
pub async fn demo(arguments: &args::Demo, output: &Output) -> Result<u8, Failure> {
    let place = Place::prepare(arguments)?;
    match tokio::time::timeout(LONGEST, Box::pin(perform(&place, output))).await {
        Ok(done) => done,
        Err(_) => Err(Failure::new(
            FAILED,
            "demo.time",
            format!("the demo did not end within {} s", LONGEST.as_secs()),
        )
        .fix(format!(
            "look at `crossfade status {}`",
            place.file.display()
        ))),
    }
}

/// What the proof rests on.
struct Proof {
    reports: Vec<VerifyReport>,
    during: u64,
    counts: Counts,
    differing: Vec<String>,
    rows: u64,
}

impl Proof {
    fn holds(&self) -> bool {
        self.reports.len() >= 2
            && self.reports.iter().all(|r| r.equal)
            && self.during > 0
            && self.differing.is_empty()
    }
}

async fn perform(place: &Place, output: &Output) -> Result<u8, Failure> {
    output.say(format!(
        "A shop in {}, to be moved to {}.",
        place.source, place.target
    ));
    let mut source = Shop::open(&place.source).await?;
    Shop::open(&place.target).await?.clear("target").await?;
    source.make().await?;
    let loaded = place.load()?;
    let (migration, _) = run::ready(&loaded, output).await?;

    let mut application = Application::start(&place.source).await?;
    application.works().await?;
    output.say(
        "An application, a process of its own, writes to it from now on. The migration begins.\n",
    );

    let (reports, during, counts) = migrate(&migration, application, output).await?;
    let mut target = Shop::open(&place.target).await?;
    target.mark().await?;
    let (differing, rows) = compare(&mut source, &mut target).await?;
    let proof = Proof {
        reports,
        during,
        counts,
        differing,
        rows,
    };
    tell(place, &loaded, &proof, output).await?;
    if place.on_servers {
        clean(migration, output).await?;
    }
    Ok(if proof.holds() { 0 } else { REFUSED })
}

/// Runs the migration while the application writes; compares twice under the writes and once after the application's end.
async fn migrate(
    migration: &Arc<Migration>,
    application: Application,
    output: &Output,
) -> Result<(Vec<VerifyReport>, u64, Counts), Failure> {
    let (stop, stopped) = watch::channel(false);
    let (feed, latest, view) = View::start(output);
    let engine = crossfade_engine::run(migration.clone(), Until::Stopped, feed, stopped);
    let mut engine = Box::pin(engine);
    let result = {
        let script = script(migration, application, &latest);
        tokio::pin!(script);
        let mut signal = signal::stop()?;
        tokio::select! {
            ended = &mut engine => match ended {
                Ok(outcome) => Err(Failure::internal(format!("the migration ended by itself: {outcome:?}"))),
                Err(error) => Err(error.into()),
            },
            scripted = &mut script => {
                // nobody waits for it where the engine has ended
                let _ = stop.send(true);
                let ended = (&mut engine).await;
                scripted.and_then(|result| ended.map(|_| result).map_err(Failure::from))
            }
            _ = signal.changed() => {
                let _ = stop.send(true);
                let ended = (&mut engine).await.map_err(Failure::from);
                ended.and(Err(Failure::new(FAILED, "demo.stopped", "the demo was stopped before its end")))
            }
        }
    };
    drop(engine);
    tokio::task::block_in_place(|| view.end());
    result
}

async fn script(
    migration: &Arc<Migration>,
    mut application: Application,
    latest: &Latest,
) -> Result<(Vec<VerifyReport>, u64, Counts), Failure> {
    let follows = async {
        while !latest.get().is_some_and(|p| p.followed) {
            if !application.is_alive() {
                return Err(Failure::new(
                    FAILED,
                    "demo.app",
                    "the application ended by itself",
                ));
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Ok(())
    };
    tokio::time::timeout(TO_FOLLOW, follows)
        .await
        .map_err(|_| {
            Failure::new(
                FAILED,
                "demo.slow",
                format!("the target did not follow within {} s", TO_FOLLOW.as_secs()),
            )
        })??;
    let mut reports = Vec::new();
    let before = application.counts().transactions;
    for _ in 0..2 {
        tokio::time::sleep(BETWEEN).await;
        reports.push(compared(migration).await?);
    }
    tokio::time::sleep(Duration::from_millis(600)).await;
    let during = application.counts().transactions - before;
    let counts = application.stop().await?;
    // nothing is written any more: this one also brings the target to the source's end
    reports.push(compared(migration).await?);
    Ok((reports, during, counts))
}

async fn compared(migration: &Migration) -> Result<VerifyReport, Failure> {
    match ask(
        migration.control.as_ref(),
        Command::Verify {
            show_rows: true,
            layer: VerifyLayer::Full,
        },
        None,
    )
    .await?
    {
        Answer::Done(value) => serde_json::from_value(value)
            .map_err(|e| Failure::internal(format!("a report cannot be read: {e}"))),
        Answer::RunEnded => Err(Failure::internal("the migration ended by itself")),
    }
}

/// Compares the two shops row by row, by code that has nothing to do with the migration's.
async fn compare(source: &mut Shop, target: &mut Shop) -> Result<(Vec<String>, u64), Failure> {
    let mut differing = Vec::new();
    let mut rows = 0;
    for (table, _) in TABLES {
        let (left, right) = (source.all_rows(table).await?, target.all_rows(table).await?);
        rows += left.len() as u64;
        if left != right {
            differing.push(table.to_owned());
        }
    }
    Ok((differing, rows))
}

async fn tell(
    place: &Place,
    loaded: &Loaded,
    proof: &Proof,
    output: &Output,
) -> Result<(), Failure> {
    let counts = &proof.counts;
    output.say(format!(
        "The application has committed {} transactions ({} orders placed, {} removed, {} goods moved to another shelf, {} e-mail \
         addresses changed or exchanged), {} of them while the two sides were compared twice.",
        number::count(counts.transactions),
        number::count(counts.orders),
        number::count(counts.removed),
        number::count(counts.moved),
        number::count(counts.emails),
        number::count(proof.during)
    ));
    let names = [
        "First comparison, under writes:",
        "Second, under writes:",
        "Third, after the application's end:",
    ];
    for (name, report) in names.iter().zip(&proof.reports) {
        output.say(format!("\n{name}\n{}", verify::text(report, true)));
    }
    output.say(if proof.differing.is_empty() {
        format!(
            "\nRead once more, row by row, by code that knows nothing of the migration: {} rows, all the same.",
            number::count(proof.rows)
        )
    } else {
        format!("\nRead once more, row by row: DIFFERENT in {}.", proof.differing.join(", "))
    });
    let shown = status::gather(loaded).await?;
    output.say(format!("\n{}\n\n{}", answers(&shown), ledger(&shown)));
    output.say(if proof.holds() {
        "\nThe proof held."
    } else {
        "\nTHE PROOF DID NOT HOLD."
    });
    output.say(format!("The files are in {}.", place.folder.display()));
    if !place.on_servers {
        let file = place.file.display();
        output.say(format!(
            "Look around:\n  crossfade status {file}\n  crossfade verify {file}\n  crossfade abort {file}"
        ));
    }
    let reports: Vec<VerifyReport> = proof
        .reports
        .iter()
        .map(VerifyReport::without_rows)
        .collect();
    output.tell(&json!({ "demo": {
        "directory": place.folder,
        "file": place.file,
        "application": counts,
        "transactions_during_comparisons": proof.during,
        "reports": reports,
        "independent": { "rows": proof.rows, "differing_tables": proof.differing },
        "held": proof.holds(),
    }}));
    Ok(())
}

/// On servers nothing stays on the source.
async fn clean(migration: Arc<Migration>, output: &Output) -> Result<(), Failure> {
    let removed = crossfade_engine::abort(migration, false).await?;
    output.say(format!(
        "\nRemoved from the servers, since a slot that nobody reads keeps a server's log for ever:\n{}\n\
         The schemas `shop` stay; the next demo, or you, may drop them.",
        made::lines(&removed)
    ));
    Ok(())
}
