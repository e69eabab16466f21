//! Who takes writes, by the word of both stores, for `status`.

use crossfade_engine::{Direction, Whose};
use crossfade_model::Register;
use crossfade_plan::{Authority, Phase};
use crossfade_rules::switch::Side;
use serde::Serialize;

/// What the stores' registers say.
#[derive(Debug, Serialize)]
pub struct Shown {
    /// The source's register; `null` where it has none, or could not be read.
    pub source: Option<Register>,
    /// The target's.
    pub target: Option<Register>,
    /// The store that takes writes; `null`: none does, or nobody knows.
    pub writes: Option<Authority>,
    /// Why none does, or why writers wait, and what to do; `null` where one store is open.
    pub held_up: Option<String>,
}

impl Shown {
    /// What was read of them.
    pub fn of(whose: &Whose) -> Shown {
        Shown {
            source: whose.source.clone().ok().flatten(),
            target: whose.target.clone().ok().flatten(),
            writes: whose.verdict.writes.map(|side| match side {
                Side::Source => Authority::Source,
                Side::Target => Authority::Target,
            }),
            held_up: whose.held_up(),
        }
    }

    /// The phase that the stores are in, where the control store has not heard of it yet.
    pub fn phase(&self, kept: Phase) -> Phase {
        match (self.writes, kept) {
            // what ends a migration takes the registers away
            (_, Phase::Retired | Phase::Aborted) | (None, _) => kept,
            (Some(Authority::Target), _) => Phase::WritesSwitched,
            (Some(Authority::Source), Phase::WritesSwitched) => Phase::Following,
            (Some(Authority::Source), _) => kept,
        }
    }

    /// One line of both, where a switch has ever been prepared.
    pub fn line(&self) -> Option<String> {
        let word = |register: Option<Register>| {
            register.map_or_else(|| "none".to_owned(), |r| r.to_string())
        };
        if self.source.is_none() && self.target.is_none() {
            return None;
        }
        let (source, target) = (word(self.source), word(self.target));
        Some(format!("Registers  source {source}; target {target}"))
    }
}

/// The direction in which rows go while a store has authority.
pub fn direction(phase: Phase) -> Direction {
    match phase {
        Phase::WritesSwitched => Direction::Reverse,
        _ => Direction::Forward,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(writes: Option<Authority>) -> Shown {
        Shown {
            source: None,
            target: None,
            writes,
            held_up: None,
        }
    }

    #[test]
    fn the_stores_word_counts_and_an_ended_migration_stays_so() {
        let source = with(Some(Authority::Source));
        let target = with(Some(Authority::Target));
        assert_eq!(target.phase(Phase::Following), Phase::WritesSwitched);
        assert_eq!(source.phase(Phase::WritesSwitched), Phase::Following);
        assert_eq!(source.phase(Phase::Copying), Phase::Copying);
        assert_eq!(target.phase(Phase::Retired), Phase::Retired);
        assert_eq!(with(None).phase(Phase::Following), Phase::Following);
    }
}
