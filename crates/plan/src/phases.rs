//! The lifecycle as data: who is right for reads and writes in each phase, and the way back in one sentence.

use serde::{Deserialize, Serialize};

/// Where a migration stands. Later phases (mirroring, switched, retired) come with the commands that enter them.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Default,
)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Nothing was made.
    #[default]
    Planned,
    /// Capture runs; rows are being copied, or what was copied has not yet caught up with every chunk's horizon.
    Copying,
    /// Readers of the target see prefixes of the source's history.
    Following,
    /// Ended by `abort`: what was made on the source is gone.
    Aborted,
}

/// The store that is right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Authority {
    /// The source.
    Source,
    /// The target.
    Target,
}

impl std::fmt::Display for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Authority::Source => "source",
            Authority::Target => "target",
        })
    }
}

/// What holds in a phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct PhaseFacts {
    /// The phase.
    pub phase: Phase,
    /// Who is right for reads.
    pub reads: Authority,
    /// Who is right for writes.
    pub writes: Authority,
    /// What happens in it.
    pub what: &'static str,
    /// The way back, in one sentence: what it keeps, what it would lose.
    pub way_back: &'static str,
}

/// The phases of the lifecycle, in order.
pub const LIFECYCLE: &[PhaseFacts] = &[
    PhaseFacts {
        phase: Phase::Planned,
        reads: Authority::Source,
        writes: Authority::Source,
        what: "nothing is made yet",
        way_back: "Nothing to undo.",
    },
    PhaseFacts {
        phase: Phase::Copying,
        reads: Authority::Source,
        writes: Authority::Source,
        what: "changes are captured, existing rows are copied; the target is not to be read yet",
        way_back: "`abort` removes what was made on the source and leaves its rows untouched; nothing is lost.",
    },
    PhaseFacts {
        phase: Phase::Following,
        reads: Authority::Source,
        writes: Authority::Source,
        what: "the target is the source as of the checkpoint, and can be verified while writes go on",
        way_back: "`abort` removes what was made on the source and leaves its rows untouched; the target stays as of \
                   the checkpoint and stops following.",
    },
    PhaseFacts {
        phase: Phase::Aborted,
        reads: Authority::Source,
        writes: Authority::Source,
        what: "ended; nothing is captured any more",
        way_back: "Nothing to undo; `run` begins from the start.",
    },
];

impl Phase {
    /// What holds in this phase.
    pub fn facts(self) -> &'static PhaseFacts {
        let index = match self {
            Phase::Planned => 0,
            Phase::Copying => 1,
            Phase::Following => 2,
            Phase::Aborted => 3,
        };
        &LIFECYCLE[index]
    }

    /// The phase's word, as in JSON.
    pub fn word(self) -> &'static str {
        match self {
            Phase::Planned => "planned",
            Phase::Copying => "copying",
            Phase::Following => "following",
            Phase::Aborted => "aborted",
        }
    }
}

impl std::fmt::Display for Phase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.word())
    }
}

impl std::str::FromStr for Phase {
    type Err = ();

    fn from_str(word: &str) -> Result<Phase, ()> {
        LIFECYCLE
            .iter()
            .map(|f| f.phase)
            .find(|p| p.word() == word)
            .ok_or(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_phase_finds_its_own_facts() {
        for facts in LIFECYCLE {
            assert_eq!(facts.phase.facts().phase, facts.phase);
            assert_eq!(facts.phase.word().parse(), Ok(facts.phase));
            assert!(facts.way_back.ends_with('.'));
        }
        assert!("switched".parse::<Phase>().is_err());
    }
}
