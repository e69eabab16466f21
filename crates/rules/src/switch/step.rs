//! The order of the switch, as data: what the engine does, what is printed of it, and where a process may be killed are one list.
//!
//! X has authority, Y takes it. The rollback is the same list with the stores' parts exchanged.

use serde::{Deserialize, Serialize};

/// One step of the switch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Everything that can be checked before anybody waits.
    Preflight,
    /// The capture on Y, from which the way back is fed.
    PrepareReverse,
    /// The fence is put into X's tables.
    Arm,
    /// The stream is brought close to X's log end.
    CatchUp,
    /// Clients are held back on their way, where the route can.
    PauseRoute,
    /// The latch is taken.
    Fire,
    /// What the fence rests on is looked at once more.
    Recheck,
    /// A mark goes into X's log.
    Barrier,
    /// Everything up to the mark is applied.
    Drain,
    /// What was touched last is proven.
    Prove,
    /// X becomes fenced, durably.
    CommitFence,
    /// Y's sequences go beyond X's.
    RaiseSequences,
    /// Y notes where its own changes will begin.
    NoteBeginning,
    /// X gives authority away.
    Give,
    /// Y takes it.
    Open,
    /// Clients are sent to Y.
    Route,
    /// What belongs to the switch alone is put away.
    Settle,
}

/// What ends a switch in which a step failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnError {
    /// X keeps authority: release the fence, if it was committed, and lift what was put in clients' way.
    Release,
    /// Whether it happened is for the registers to say: read both and do what the verdict demands, which is to release or to finish.
    Ask,
    /// Y has authority, or is the only one to take it: go on until it is done, however long that takes.
    Finish,
}

/// What is to be known of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct StepFacts {
    /// The step.
    pub step: Step,
    /// What it does.
    pub what: &'static str,
    /// Whether X's writers wait once it is done.
    pub writers_wait: bool,
    /// What ends the switch where it fails.
    pub on_error: OnError,
    /// What is true if the process dies right after it.
    pub if_dies_after: &'static str,
}

const fn facts(
    step: Step,
    what: &'static str,
    writers_wait: bool,
    on_error: OnError,
    if_dies_after: &'static str,
) -> StepFacts {
    StepFacts {
        step,
        what,
        writers_wait,
        on_error,
        if_dies_after,
    }
}

/// The steps, in order.
pub const ORDER: &[StepFacts] = &[
    facts(
        Step::Preflight,
        "checks gates, both stores' identity, Y's fence, blockers and standbys, and predicts the pause",
        false,
        OnError::Release,
        "X takes writes; nothing was changed.",
    ),
    facts(
        Step::PrepareReverse,
        "makes the capture on Y that feeds the way back, and sees a marker come through it",
        false,
        OnError::Release,
        "X takes writes; Y keeps a capture that the next switch uses and `abort` removes.",
    ),
    facts(
        Step::Arm,
        "puts the fence into X's tables, table by table; from now on every write there takes the latch shared",
        false,
        OnError::Release,
        "X takes writes, each a little slower; the next command uses the armed fence or takes it off.",
    ),
    facts(
        Step::CatchUp,
        "waits until the stream is close enough to X's log end for the pause to stay within its budget",
        false,
        OnError::Release,
        "X takes writes, and its fence is armed.",
    ),
    facts(
        Step::PauseRoute,
        "holds clients back at the pooler, where there is one, and reads back that it does",
        false,
        OnError::Release,
        "X takes writes, but clients of the pooler wait until the pause ends by itself or the next command lifts it.",
    ),
    facts(
        Step::Fire,
        "takes X's latch exclusively: no write is under way any more and none begins; writers wait and see no error",
        true,
        OnError::Release,
        "X has authority; the server gives the latch up when the connection ends or its own timeout has passed, and writers go on.",
    ),
    facts(
        Step::Recheck,
        "looks again, under the latch, for triggers that are off, tables without them, and prepared transactions",
        true,
        OnError::Release,
        "X has authority; the latch is given up with the connection, and writers go on.",
    ),
    facts(
        Step::Barrier,
        "writes a mark into X's log, behind every write, and makes the log durable up to it",
        true,
        OnError::Release,
        "X has authority; the mark means nothing to the next switch, and writers go on once the latch is given up.",
    ),
    facts(
        Step::Drain,
        "applies to Y all that lies before the mark, in every lane",
        true,
        OnError::Release,
        "X has authority; Y equals X at the mark and goes on following.",
    ),
    facts(
        Step::Prove,
        "compares what was touched since the last proof, read on both sides behind the mark",
        true,
        OnError::Release,
        "X has authority; Y is proven at the mark and goes on following.",
    ),
    facts(
        Step::CommitFence,
        "makes X fenced at the new epoch through the same latch, durably, and waits for the standbys named",
        true,
        OnError::Release,
        "X has authority but takes no writes: writers get an error until the next command reopens it at that epoch.",
    ),
    facts(
        Step::RaiseSequences,
        "raises Y's sequences and automatic keys beyond X's, only upwards",
        true,
        OnError::Release,
        "X has authority but takes no writes until the next command reopens it; numbers that Y's sequences skipped stay skipped.",
    ),
    facts(
        Step::NoteBeginning,
        "notes in Y where its own changes will begin, behind all that was applied and before its first write",
        true,
        OnError::Release,
        "X has authority but takes no writes until the next command reopens it; what Y noted is noted anew by the next switch.",
    ),
    facts(
        Step::Give,
        "makes X given at the epoch: X may not reopen alone any more",
        true,
        OnError::Ask,
        "Neither store takes writes, and only Y may: the next command opens Y, or, asked to undo, lets Y refuse and then reopens X.",
    ),
    facts(
        Step::Open,
        "makes Y open at the epoch: from now on Y takes writes",
        false,
        OnError::Finish,
        "Y takes writes, and X refuses them; clients that are still sent to X get errors until the next command sends them to Y.",
    ),
    facts(
        Step::Route,
        "sends clients to Y, lifts the pause and calls the hooks, again and again until they agree",
        false,
        OnError::Finish,
        "Y takes writes and clients reach it; the lane back to X begins where Y noted.",
    ),
    facts(
        Step::Settle,
        "starts the lane back to X, lets X's log go up to the mark, and records what the switch has measured",
        false,
        OnError::Finish,
        "Y takes writes, X follows it, and `rollback` loses nothing where the mappings are invertible.",
    ),
];

impl Step {
    /// What is to be known of it.
    #[must_use]
    pub fn facts(self) -> &'static StepFacts {
        // one entry a variant, in order; a test holds both to it
        &ORDER[self as usize]
    }

    /// Its name, as in JSON.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Step::Preflight => "preflight",
            Step::PrepareReverse => "prepare_reverse",
            Step::Arm => "arm",
            Step::CatchUp => "catch_up",
            Step::PauseRoute => "pause_route",
            Step::Fire => "fire",
            Step::Recheck => "recheck",
            Step::Barrier => "barrier",
            Step::Drain => "drain",
            Step::Prove => "prove",
            Step::CommitFence => "commit_fence",
            Step::RaiseSequences => "raise_sequences",
            Step::NoteBeginning => "note_beginning",
            Step::Give => "give",
            Step::Open => "open",
            Step::Route => "route",
            Step::Settle => "settle",
        }
    }

    /// The step after it.
    #[must_use]
    pub fn next(self) -> Option<Step> {
        ORDER.get(self as usize + 1).map(|facts| facts.step)
    }

    /// Whether X surely has authority still while this step is under way: the time box runs, and a timeout aborts.
    #[must_use]
    pub fn before_given(self) -> bool {
        self < Step::Give
    }

    /// Whether this is the step whose effect is never undone silently.
    #[must_use]
    pub fn is_point_of_no_return(self) -> bool {
        self == Step::Give
    }

    /// What ends a switch in which this step failed.
    #[must_use]
    pub fn on_error(self) -> OnError {
        self.facts().on_error
    }
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.word())
    }
}

impl std::str::FromStr for Step {
    type Err = ();

    fn from_str(word: &str) -> Result<Step, ()> {
        ORDER
            .iter()
            .map(|facts| facts.step)
            .find(|step| step.word() == word)
            .ok_or(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_step_finds_its_own_facts() {
        for (place, facts) in ORDER.iter().enumerate() {
            assert_eq!(facts.step as usize, place);
            assert_eq!(facts.step.facts(), facts);
            assert_eq!(facts.step.word().parse(), Ok(facts.step));
            assert_eq!(format!("{:?}", facts.step), camel(facts.step.word()));
            assert!(facts.if_dies_after.ends_with('.'), "{}", facts.step);
        }
        assert_eq!(ORDER.last().map(|facts| facts.step), Some(Step::Settle));
        assert_eq!(Step::Settle.next(), None);
        assert_eq!(Step::Give.next(), Some(Step::Open));
    }

    fn camel(word: &str) -> String {
        word.split('_')
            .map(|part| part[..1].to_uppercase() + &part[1..])
            .collect()
    }

    #[test]
    fn errors_release_before_given_and_finish_after_it() {
        for facts in ORDER {
            let expected = match facts.step {
                step if step.before_given() => OnError::Release,
                Step::Give => OnError::Ask,
                _ => OnError::Finish,
            };
            assert_eq!(facts.step.on_error(), expected, "{}", facts.step);
            assert_eq!(facts.step.is_point_of_no_return(), expected == OnError::Ask);
        }
    }

    #[test]
    fn the_order_is_what_safety_rests_on() {
        let order = [
            Step::PrepareReverse,
            Step::Fire,
            Step::Barrier,
            Step::Drain,
            Step::Prove,
            Step::CommitFence,
            Step::RaiseSequences,
            Step::NoteBeginning,
            Step::Give,
            Step::Open,
            Step::Route,
        ];
        assert!(order.is_sorted());
        let waits = |step: Step| step.facts().writers_wait;
        assert!(waits(Step::Fire) && waits(Step::Give));
        assert!(!waits(Step::PauseRoute) && !waits(Step::Open));
    }
}
