//! The lifecycle as data: who is right for reads and writes in each phase, the way back in one sentence, and which phase
//! leads to which, through which gates.

use crossfade_rules::gates::Gate;
use serde::{Deserialize, Serialize};

/// Where a migration stands.
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
    /// Reads are also sent to the target, and its answers only compared.
    Mirroring,
    /// Reads are sent to the target.
    ReadsSwitched,
    /// The target takes writes, and the source follows it.
    WritesSwitched,
    /// The source follows no more.
    Retired,
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
        phase: Phase::Mirroring,
        reads: Authority::Source,
        writes: Authority::Source,
        what: "the target follows; reads are also sent to it and the answers compared, none is used",
        way_back: "Stop mirroring: nobody has used the target's answers; nothing is lost.",
    },
    PhaseFacts {
        phase: Phase::ReadsSwitched,
        reads: Authority::Target,
        writes: Authority::Source,
        what: "the target follows, fenced, and answers reads, which may be behind by the lag; only for traffic that never \
               writes from what it read",
        way_back: "`switch reads --percent 0` sends reads to the source again; no row is touched and nothing is lost.",
    },
    PhaseFacts {
        phase: Phase::WritesSwitched,
        reads: Authority::Target,
        writes: Authority::Target,
        what: "the target takes writes; the source is fenced, follows it, and is watched for writes that still land there",
        way_back: "`rollback` is the same switch the other way: no write is lost where the mappings are invertible; columns that \
                   are not are named before the switch.",
    },
    PhaseFacts {
        phase: Phase::Retired,
        reads: Authority::Target,
        writes: Authority::Target,
        what: "completed: nothing is carried back any more, and the source's old tables are left read-only, as of then",
        way_back: "Forward only: the source's old tables stay as of `complete`; going back to them loses every write made since.",
    },
    PhaseFacts {
        phase: Phase::Aborted,
        reads: Authority::Source,
        writes: Authority::Source,
        what: "ended; nothing is captured any more",
        way_back: "Nothing to undo; `run` begins from the start.",
    },
];

/// A move from one phase to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct PhaseMove {
    /// From where.
    pub from: Phase,
    /// To where.
    pub to: Phase,
    /// By what: a command, or what `run` reaches.
    pub by: &'static str,
    /// What must hold.
    pub gates: &'static [Gate],
}

const fn step(from: Phase, to: Phase, by: &'static str, gates: &'static [Gate]) -> PhaseMove {
    PhaseMove {
        from,
        to,
        by,
        gates,
    }
}

/// For sending users' reads to the target.
const READS: &[Gate] = &[
    Gate::Lag,
    Gate::Proof,
    Gate::Quarantine,
    Gate::Strangers,
    Gate::Shadow,
];

/// For the switch of writes.
const WRITES: &[Gate] = &Gate::ALL;

/// For the way back, which has been rehearsed with the way there; the pause must stay short, and the source must be equal.
const BACK: &[Gate] = &[
    Gate::Lag,
    Gate::Proof,
    Gate::Quarantine,
    Gate::Strangers,
    Gate::Invertible,
];

/// For going on without a way back.
const FORWARD_ONLY: &[Gate] = &[Gate::Proof, Gate::Quarantine, Gate::Strangers];

/// Every allowed move. `status`, `verify` and all that stays in a phase is none.
pub const MOVES: &[PhaseMove] = &[
    step(Phase::Planned, Phase::Copying, "run", &[]),
    step(Phase::Planned, Phase::Aborted, "abort", &[]),
    step(Phase::Copying, Phase::Following, "run", &[]),
    step(Phase::Copying, Phase::Aborted, "abort", &[]),
    step(Phase::Following, Phase::Mirroring, "mirror", &[Gate::Lag]),
    step(
        Phase::Following,
        Phase::ReadsSwitched,
        "switch reads",
        READS,
    ),
    step(
        Phase::Following,
        Phase::WritesSwitched,
        "switch writes",
        WRITES,
    ),
    step(Phase::Following, Phase::Aborted, "abort", &[]),
    step(Phase::Mirroring, Phase::Following, "mirror --stop", &[]),
    step(
        Phase::Mirroring,
        Phase::ReadsSwitched,
        "switch reads",
        READS,
    ),
    step(
        Phase::Mirroring,
        Phase::WritesSwitched,
        "switch writes",
        WRITES,
    ),
    step(Phase::Mirroring, Phase::Aborted, "abort", &[]),
    step(
        Phase::ReadsSwitched,
        Phase::Following,
        "switch reads --percent 0",
        &[],
    ),
    step(
        Phase::ReadsSwitched,
        Phase::WritesSwitched,
        "switch writes",
        WRITES,
    ),
    step(Phase::WritesSwitched, Phase::Following, "rollback", BACK),
    step(
        Phase::WritesSwitched,
        Phase::Retired,
        "complete",
        FORWARD_ONLY,
    ),
    step(Phase::Aborted, Phase::Copying, "run", &[]),
];

/// Why a phase cannot be entered from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a migration does not go from {from} to {to}")]
pub struct NoSuchMove {
    /// From where.
    pub from: Phase,
    /// To where.
    pub to: Phase,
}

impl Phase {
    /// What holds in this phase.
    pub fn facts(self) -> &'static PhaseFacts {
        // one entry a phase, in order; a test holds both to it
        &LIFECYCLE[self as usize]
    }

    /// The phase's word, as in JSON.
    pub fn word(self) -> &'static str {
        match self {
            Phase::Planned => "planned",
            Phase::Copying => "copying",
            Phase::Following => "following",
            Phase::Mirroring => "mirroring",
            Phase::ReadsSwitched => "reads_switched",
            Phase::WritesSwitched => "writes_switched",
            Phase::Retired => "retired",
            Phase::Aborted => "aborted",
        }
    }

    /// The allowed moves out of this phase.
    pub fn moves(self) -> impl Iterator<Item = &'static PhaseMove> {
        MOVES.iter().filter(move |allowed| allowed.from == self)
    }

    /// The move to another phase, with the gates that it needs. Staying is none.
    ///
    /// # Errors
    /// [`NoSuchMove`] where there is none.
    pub fn may_move_to(self, to: Phase) -> Result<&'static PhaseMove, NoSuchMove> {
        let found = self.moves().find(|allowed| allowed.to == to);
        found.ok_or(NoSuchMove { from: self, to })
    }

    /// The target is filled and one side follows the other.
    pub fn is_followed(self) -> bool {
        matches!(
            self,
            Phase::Following | Phase::Mirroring | Phase::ReadsSwitched | Phase::WritesSwitched
        )
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
        for (place, facts) in LIFECYCLE.iter().enumerate() {
            assert_eq!(facts.phase as usize, place);
            assert_eq!(facts.phase.facts().phase, facts.phase);
            assert_eq!(facts.phase.word().parse(), Ok(facts.phase));
            let in_json = serde_json::to_value(facts.phase).ok();
            assert_eq!(in_json, Some(facts.phase.word().into()));
            assert!(facts.way_back.ends_with('.'));
        }
        assert_eq!(LIFECYCLE.last().map(|f| f.phase), Some(Phase::Aborted));
        assert!("switched".parse::<Phase>().is_err());
    }

    #[test]
    fn every_gate_is_its_word() {
        for gate in Gate::ALL {
            assert_eq!(gate.word().parse(), Ok(gate));
            assert_eq!(serde_json::to_value(gate).ok(), Some(gate.word().into()));
        }
    }

    #[test]
    fn moves_are_those_of_the_lifecycle() {
        let may = |from: Phase, to| from.may_move_to(to).is_ok();
        assert!(may(Phase::Following, Phase::WritesSwitched));
        assert!(may(Phase::WritesSwitched, Phase::Following));
        assert!(!may(Phase::Copying, Phase::ReadsSwitched));
        assert!(!may(Phase::Copying, Phase::WritesSwitched));
        assert!(!may(Phase::ReadsSwitched, Phase::Retired));
        // aborting would leave the target's own writes, or its readers, behind
        assert!(!may(Phase::WritesSwitched, Phase::Aborted));
        assert!(!may(Phase::ReadsSwitched, Phase::Aborted));
        assert_eq!(Phase::Retired.moves().count(), 0);
        for phase in LIFECYCLE.iter().map(|facts| facts.phase) {
            assert!(!may(phase, phase), "{phase}");
            for allowed in phase.moves() {
                let same = phase.moves().filter(|other| other.to == allowed.to);
                assert_eq!(same.count(), 1, "{phase} to {}", allowed.to);
            }
        }
    }

    #[test]
    fn authority_moves_only_through_gates() {
        for allowed in MOVES {
            let (from, to) = (allowed.from.facts(), allowed.to.facts());
            if from.writes != to.writes || to.reads == Authority::Target {
                assert!(!allowed.gates.is_empty(), "{} to {}", from.phase, to.phase);
            }
            if from.writes == Authority::Source && to.writes == Authority::Target {
                assert_eq!(allowed.gates, Gate::ALL);
            }
        }
    }

    #[test]
    fn every_phase_is_reached_from_the_first() {
        let mut reached = vec![Phase::Planned];
        while let Some(to) = reached
            .iter()
            .flat_map(|phase| phase.moves().map(|allowed| allowed.to))
            .find(|to| !reached.contains(to))
        {
            reached.push(to);
        }
        assert_eq!(reached.len(), LIFECYCLE.len());
    }
}
