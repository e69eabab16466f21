//! Who has authority, for people: read without waiting for anybody, and without changing anything. [`super::locate`] decides.

use std::time::Duration;

use crossfade_model::Register;
use crossfade_rules::switch::{Side, Todo, Verdict, both_at_once, verdict, verdict_alone};
use crossfade_store::Store;

use super::Sides;

/// Readings at most: a switch may be at work between them.
const READINGS: u32 = 3;

/// What the two stores say of themselves.
#[derive(Debug, Clone)]
pub struct Whose {
    /// The source's register; `None` where it has none, an error where it could not be read.
    pub source: Result<Option<Register>, String>,
    /// The target's.
    pub target: Result<Option<Register>, String>,
    /// What both together mean.
    pub verdict: Verdict,
}

impl Whose {
    /// Why nobody takes writes, or why a store waits, and what ends it; `None` where one store is open.
    #[must_use]
    pub fn held_up(&self) -> Option<String> {
        let word = |side: Side| match side {
            Side::Source => "source",
            Side::Target => "target",
        };
        Some(match &self.verdict.todo {
            Todo::Nothing => return None,
            Todo::Release(swap) => format!(
                "the {}'s fence is held by a switch, and nothing was given yet; if no process works on it any more, any of `run`, \
                 `switch writes`, `rollback` opens it again",
                word(swap.store)
            ),
            Todo::Finish(swap) => format!(
                "authority was given to the {0} and not taken yet; if no process works on it any more, any of `run`, `switch writes`, \
                 `rollback` lets the {0} take it",
                word(swap.store)
            ),
            Todo::ReopenAfterRefusal(swap) => format!(
                "the other store has declined authority; any of `run`, `switch writes`, `rollback` opens the {} again",
                word(swap.store)
            ),
            Todo::Reach(Side::Target) => "the target cannot be reached, and the source does not take writes: who has authority only the \
                                          target can say. Make it reachable, and run any command; if it is gone for good, `rollback \
                                          --target-destroyed --accept-loss-after POSITION` opens the source without it"
                .to_owned(),
            Todo::Reach(Side::Source) => "the source cannot be reached, and the target does not take writes: who has authority only the \
                                          source can say. Make it reachable, and run any command"
                .to_owned(),
            Todo::Violation(what) => {
                format!("{what}. No command changes anything before a person has looked")
            }
        })
    }
}

/// Reads both registers, within `patience` each.
pub async fn whose(sides: &Sides, migration: &str, patience: Duration) -> Whose {
    let mut source = register(sides.source.as_ref(), migration, patience).await;
    for _ in 0..READINGS {
        let target = register(sides.target.as_ref(), migration, patience).await;
        let again = match &source {
            Ok(_) => register(sides.source.as_ref(), migration, patience).await,
            Err(_) => source.clone(),
        };
        let verdict = match (&source, &target, &again) {
            (Ok(before), Ok(target), Ok(after)) if both_at_once(*before, *after) => {
                verdict(*after, *target)
            }
            (Ok(_), Ok(_), Ok(_)) => {
                source = again;
                continue;
            }
            (_, Ok(target), _) => verdict_alone(Side::Target, *target),
            (Ok(source), _, _) => verdict_alone(Side::Source, *source),
            (Err(_), Err(_), _) => verdict_alone(Side::Source, None),
        };
        return Whose {
            source: again,
            target,
            verdict,
        };
    }
    let moving = "it changes while it is read: a switch is at work".to_owned();
    Whose {
        source: Err(moving.clone()),
        target: Err(moving),
        verdict: verdict_alone(Side::Source, None),
    }
}

async fn register(
    store: &dyn Store,
    migration: &str,
    patience: Duration,
) -> Result<Option<Register>, String> {
    match tokio::time::timeout(patience, store.peek_standing(migration)).await {
        Ok(Ok(standing)) => Ok(standing.map(|s| s.register)),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!(
            "{} has not answered within {} s",
            crossfade_store::Source::label(store),
            patience.as_secs()
        )),
    }
}
