//! Sequences while following: raised again and again, and compared.
//!
//! No log holds them, and a source's moves all the time, so they are never equal at a position. What is claimed of a target's
//! is that it has not handed out, and will not hand out, what the source had handed out when it was last raised: it stands at
//! or beyond that value, in its own direction. Beyond is no difference.

use std::collections::{HashMap, HashSet};

use crossfade_model::{Sequence, TableName};
use crossfade_store::{HeldSequence, SequenceState};
use serde::{Deserialize, Serialize};

use crate::error::EngineError;
use crate::progress::Event;
use crate::session::Session;

/// What is wrong with a target's sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SequenceProblem {
    /// It is not there.
    Missing,
    /// It stands before a value to which it was raised: it would hand out values again.
    Behind,
    /// It goes on by another step than the source's.
    Increment,
}

impl SequenceProblem {
    /// It in a sentence, of the target's sequence.
    pub fn words(self) -> &'static str {
        match self {
            SequenceProblem::Missing => "the target has none",
            SequenceProblem::Behind => {
                "the target's stands behind a value of the source's to which it was raised, and would hand out values again"
            }
            SequenceProblem::Increment => "the target's goes on by another step",
        }
    }
}

/// The comparison of one sequence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SequenceVerify {
    /// Its name on the source; of a counter that has none, its table's.
    pub name: String,
    /// The last value that the source had handed out, read before the target's was raised to it; `None` where it had handed out
    /// none, or could not be asked.
    pub source: Option<i64>,
    /// The target's last value, read after that.
    pub target: Option<i64>,
    /// Nothing is wrong with it.
    pub equal: bool,
    /// What is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<SequenceProblem>,
}

/// The values to which this attempt has raised the target's sequences: of each the farthest.
#[derive(Debug, Default)]
pub(crate) struct Raised(HashMap<TableName, Raise>);

#[derive(Debug, Default, Clone, Copy)]
struct Raise {
    value: Option<i64>,
    /// That it was found to be behind was told.
    told: bool,
}

/// Raises the target's sequences to the source's present values, also those that somebody has set back.
pub(crate) async fn raise(session: &Session, planned: &[Sequence]) -> Result<(), EngineError> {
    if planned.is_empty() {
        return Ok(());
    }
    let mut raised = session.raised.lock().await;
    step(session, planned, &mut raised, &HashSet::new()).await?;
    Ok(())
}

/// As [`raise`], but what somebody has set back stays as it is, as a row that differs does, until it is compared and repaired.
pub(crate) async fn keep(session: &Session, planned: &[Sequence]) -> Result<(), EngineError> {
    if planned.is_empty() {
        return Ok(());
    }
    let mut raised = session.raised.lock().await;
    let wrong = set_back(session, planned, &raised).await?;
    for (name, problem) in &wrong {
        let raise = raised.0.entry((*name).clone()).or_default();
        if !std::mem::replace(&mut raise.told, true) {
            session.observer.event(&Event::Warning {
                what: format!("sequence {name}: {}", problem.words()),
            });
        }
    }
    let left: HashSet<&TableName> = wrong.into_iter().map(|(name, _)| name).collect();
    step(session, planned, &mut raised, &left).await?;
    Ok(())
}

/// Compares the sequences of the plan; those that have no like on the target by the plan are left out.
pub(crate) async fn compare(
    session: &Session,
    planned: &[Sequence],
) -> Result<Vec<SequenceVerify>, EngineError> {
    if planned.is_empty() {
        return Ok(Vec::new());
    }
    let mut raised = session.raised.lock().await;
    let wrong = set_back(session, planned, &raised).await?;
    let left: HashSet<&TableName> = wrong.into_iter().map(|(name, _)| name).collect();
    let source = step(session, planned, &mut raised, &left).await?;
    let target = held(session, planned).await?;
    let both = planned.iter().zip(&target);
    let compared = both.filter_map(|(sequence, held)| {
        let known = raised.0.get(&sequence.name);
        let theirs = source.get(&sequence.name);
        let problem = match held {
            HeldSequence::NotCounted if known.is_none() => return None,
            HeldSequence::NotCounted | HeldSequence::Gone => Some(SequenceProblem::Missing),
            HeldSequence::Here(ours) => problem(known.and_then(|r| r.value), theirs, ours),
        };
        Some(SequenceVerify {
            name: sequence.name.to_string(),
            source: theirs.and_then(|s| s.value),
            target: match held {
                HeldSequence::Here(ours) => ours.value,
                _ => None,
            },
            equal: problem.is_none(),
            problem,
        })
    });
    Ok(compared.collect())
}

async fn held(session: &Session, planned: &[Sequence]) -> Result<Vec<HeldSequence>, EngineError> {
    let held = session.target.sequence_states(planned, session.tables());
    Ok(held.await?)
}

/// The sequences that the target had where this attempt has raised them to, and has there no longer.
async fn set_back<'a>(
    session: &Session,
    planned: &'a [Sequence],
    raised: &Raised,
) -> Result<Vec<(&'a TableName, SequenceProblem)>, EngineError> {
    if raised.0.is_empty() {
        return Ok(Vec::new());
    }
    let held = held(session, planned).await?;
    let both = planned.iter().zip(held);
    let found = both.filter_map(|(sequence, held)| {
        let known = raised.0.get(&sequence.name)?;
        let problem = match held {
            HeldSequence::Here(ours) => problem(known.value, None, &ours)?,
            HeldSequence::NotCounted | HeldSequence::Gone => SequenceProblem::Missing,
        };
        Some((&sequence.name, problem))
    });
    Ok(found.collect())
}

/// Raises those that are not to be left, and remembers it; gives what the source had before.
async fn step(
    session: &Session,
    planned: &[Sequence],
    raised: &mut Raised,
    left: &HashSet<&TableName>,
) -> Result<HashMap<TableName, SequenceState>, EngineError> {
    let now: HashMap<TableName, SequenceState> = session
        .source
        .sequence_states()
        .await?
        .into_iter()
        .collect();
    let mut values = Vec::with_capacity(planned.len());
    for sequence in planned {
        if !left.contains(&sequence.name) {
            let mut value = sequence.clone();
            value.last_value = now.get(&sequence.name).and_then(|s| s.value);
            values.push(value);
        }
    }
    let tables = session.tables();
    session.target.raise_sequences(&values, tables).await?;
    let after = held(session, &values).await?;
    for (value, held) in values.iter().zip(after) {
        let HeldSequence::Here(ours) = held else {
            continue;
        };
        let known = raised.0.entry(value.name.clone()).or_default();
        known.told = false;
        if let Some(value) = value.last_value
            && known.value.is_none_or(|k| is_behind(k, value, &ours))
        {
            known.value = Some(value);
        }
    }
    Ok(now)
}

/// What is wrong with a target's sequence that was raised to `floor`.
fn problem(
    floor: Option<i64>,
    source: Option<&SequenceState>,
    target: &SequenceState,
) -> Option<SequenceProblem> {
    let steps = source.and_then(|s| s.increment).zip(target.increment);
    if steps.is_some_and(|(theirs, ours)| theirs != ours) {
        return Some(SequenceProblem::Increment);
    }
    // one that begins again stands before its values of the round before, and is right to
    if target.cycles || source.is_some_and(|s| s.cycles) {
        return None;
    }
    let floor = floor?;
    let behind = match target.value {
        Some(value) => is_behind(value, floor, target),
        None => !target
            .first
            .is_some_and(|first| is_behind(floor, first, target)),
    };
    behind.then_some(SequenceProblem::Behind)
}

/// Whether `value` comes before `other`, the way that this sequence goes.
fn is_behind(value: i64, other: i64, sequence: &SequenceState) -> bool {
    if sequence.increment.is_some_and(|step| step < 0) {
        value > other
    } else {
        value < other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(value: impl Into<Option<i64>>, increment: impl Into<Option<i64>>) -> SequenceState {
        SequenceState {
            value: value.into(),
            first: Some(1),
            increment: increment.into(),
            cycles: false,
        }
    }

    #[test]
    fn at_or_beyond_is_right_and_before_is_behind_in_either_direction() {
        let up = state(9, 1);
        assert_eq!(problem(Some(9), Some(&up), &up), None);
        assert_eq!(problem(Some(8), Some(&up), &up), None);
        assert_eq!(
            problem(Some(10), Some(&up), &up),
            Some(SequenceProblem::Behind)
        );
        let down = state(-9, -1);
        assert_eq!(problem(Some(-9), Some(&down), &down), None);
        assert_eq!(problem(Some(-8), Some(&down), &down), None);
        assert_eq!(
            problem(Some(-10), Some(&down), &down),
            Some(SequenceProblem::Behind)
        );
    }

    #[test]
    fn one_that_handed_out_nothing_is_behind_only_where_it_was_raised() {
        let fresh = state(None, 1);
        assert_eq!(problem(None, Some(&fresh), &fresh), None);
        assert_eq!(problem(Some(0), Some(&fresh), &fresh), None);
        assert_eq!(
            problem(Some(1), Some(&fresh), &fresh),
            Some(SequenceProblem::Behind)
        );
    }

    #[test]
    fn steps_are_compared_where_both_have_one() {
        let (one, two) = (state(9, 1), state(9, 2));
        let other = Some(SequenceProblem::Increment);
        assert_eq!(problem(Some(9), Some(&one), &two), other);
        assert_eq!(problem(Some(9), Some(&state(9, None)), &two), None);
        assert_eq!(problem(Some(9), Some(&two), &state(9, None)), None);
    }

    #[test]
    fn one_that_begins_again_has_no_order() {
        let again = SequenceState {
            cycles: true,
            ..state(1, 1)
        };
        assert_eq!(problem(Some(9), Some(&state(1, 1)), &again), None);
        assert_eq!(problem(Some(9), Some(&again), &state(1, 1)), None);
    }
}
