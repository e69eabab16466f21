//! Which changes of a register there are.

use crossfade_model::{Mode, Register};
use serde::{Deserialize, Serialize};

/// A store, by its part in the migration file; the part stays the same when authority moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// The migration's source.
    Source,
    /// The migration's target.
    Target,
}

impl Side {
    /// The other store.
    #[must_use]
    pub fn other(self) -> Side {
        match self {
            Side::Source => Side::Target,
            Side::Target => Side::Source,
        }
    }
}

impl std::fmt::Display for Side {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Side::Source => "source",
            Side::Target => "target",
        })
    }
}

/// What a store's register says when it is made. No other value is ever made but by [`may_move`].
#[must_use]
pub fn first(side: Side) -> Register {
    match side {
        Side::Source => Register::new(Mode::Open, 0),
        Side::Target => Register::new(Mode::Fenced, 0),
    }
}

/// Whether this is a fence that is held over a store with authority, which may reopen alone. A target that was never opened is
/// fenced too, at epoch zero, which no fence takes.
#[must_use]
pub fn is_held(register: Register) -> bool {
    register.mode == Mode::Fenced && register.epoch > 0
}

/// Why a register may not be changed so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RegisterRefusal {
    /// The epoch would fall.
    EpochFalls {
        /// What it is.
        from: Register,
        /// What it would be.
        to: Register,
    },
    /// The epoch must rise with this change.
    EpochNotRaised {
        /// What it is.
        from: Register,
        /// What it would be.
        to: Register,
    },
    /// The epoch must stay with this change: the fence that is held, or what was given, is of this epoch only.
    EpochNotKept {
        /// What it is.
        from: Register,
        /// What it would be.
        to: Register,
    },
    /// The store was never opened, so it has nothing to reopen or give.
    NeverOpen {
        /// What it is.
        from: Register,
        /// What it would be.
        to: Register,
    },
    /// The store has authority under a held fence: it can be released or given, nothing else.
    Held {
        /// What it is.
        from: Register,
        /// What it would be.
        to: Register,
    },
    /// There is no such change.
    NoSuchMove {
        /// What it is.
        from: Register,
        /// What it would be.
        to: Register,
    },
}

impl std::fmt::Display for RegisterRefusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (from, to, why) = match self {
            RegisterRefusal::EpochFalls { from, to } => (from, to, "its epoch would fall"),
            RegisterRefusal::EpochNotRaised { from, to } => (from, to, "its epoch must rise"),
            RegisterRefusal::EpochNotKept { from, to } => (from, to, "its epoch must stay"),
            RegisterRefusal::NeverOpen { from, to } => (from, to, "it was never open"),
            RegisterRefusal::Held { from, to } => (
                from,
                to,
                "it has authority under a fence, which can only be released or given",
            ),
            RegisterRefusal::NoSuchMove { from, to } => (from, to, "there is no such change"),
        };
        write!(f, "a register may not go from {from} to {to}: {why}")
    }
}

impl std::error::Error for RegisterRefusal {}

/// Whether a compare-and-swap of a register is one that the switch knows. What must hold of the *other* store is for
/// [`super::conditions`].
///
/// | from | to | what it is |
/// | --- | --- | --- |
/// | open@e | fenced@E, E > e | a fence is committed |
/// | fenced@E, E > 0 | open@E | released |
/// | fenced@E, E > 0 | given@E | given |
/// | given@E | open@E | reopened after the other refused E |
/// | fenced@0, given@e, refused@e | open@E, E > e | authority taken |
/// | fenced@0, given@e, refused@e | refused@E, E > e | E declined |
///
/// # Errors
/// [`RegisterRefusal`] for every other.
pub fn may_move(from: Register, to: Register) -> Result<(), RegisterRefusal> {
    let raised = to.epoch > from.epoch;
    let kept = to.epoch == from.epoch;
    if to.epoch < from.epoch {
        return Err(RegisterRefusal::EpochFalls { from, to });
    }
    let rising = || match raised {
        true => Ok(()),
        false => Err(RegisterRefusal::EpochNotRaised { from, to }),
    };
    match (from.mode, to.mode) {
        (Mode::Open, Mode::Fenced) => rising(),
        (Mode::Fenced, Mode::Open | Mode::Given) if is_held(from) => match kept {
            true => Ok(()),
            false => Err(RegisterRefusal::EpochNotKept { from, to }),
        },
        (Mode::Fenced, Mode::Refused) if is_held(from) => Err(RegisterRefusal::Held { from, to }),
        (Mode::Fenced, Mode::Given) => Err(RegisterRefusal::NeverOpen { from, to }),
        (Mode::Fenced, Mode::Open) if kept => Err(RegisterRefusal::NeverOpen { from, to }),
        (Mode::Given, Mode::Open) => Ok(()),
        (Mode::Fenced | Mode::Refused, Mode::Open)
        | (Mode::Fenced | Mode::Given | Mode::Refused, Mode::Refused) => rising(),
        _ => Err(RegisterRefusal::NoSuchMove { from, to }),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const MODES: [Mode; 4] = [Mode::Open, Mode::Fenced, Mode::Given, Mode::Refused];

    fn all() -> impl Iterator<Item = Register> {
        MODES
            .into_iter()
            .flat_map(|mode| (0..4).map(move |epoch| Register::new(mode, epoch)))
    }

    /// The table in words, written once more and otherwise.
    fn listed(from: Register, to: Register) -> bool {
        let (e, at) = (from.epoch, to.epoch);
        let follows = matches!(from.mode, Mode::Given | Mode::Refused)
            || from == Register::new(Mode::Fenced, 0);
        match to.mode {
            Mode::Fenced => from.mode == Mode::Open && at > e,
            Mode::Given => from.mode == Mode::Fenced && e > 0 && at == e,
            Mode::Refused => follows && at > e,
            Mode::Open => {
                follows && at > e
                    || from.mode == Mode::Given && at == e
                    || from.mode == Mode::Fenced && e > 0 && at == e
            }
        }
    }

    #[test]
    fn exactly_the_listed_changes_are_allowed() {
        for from in all() {
            for to in all() {
                assert_eq!(
                    may_move(from, to).is_ok(),
                    listed(from, to),
                    "{from} to {to}"
                );
            }
        }
    }

    #[test]
    fn no_value_comes_back() {
        // a value's successors, again and again, never hold the value itself
        for start in all() {
            let mut reached: Vec<Register> = Vec::new();
            let mut fresh = vec![start];
            while let Some(from) = fresh.pop() {
                for to in all().filter(|to| may_move(from, *to).is_ok()) {
                    if !reached.contains(&to) {
                        reached.push(to);
                        fresh.push(to);
                    }
                }
            }
            assert!(!reached.contains(&start), "{start} comes back");
        }
    }

    #[test]
    fn refusals_say_why() {
        let fence = Register::new(Mode::Fenced, 2);
        let words = |to| may_move(fence, to).unwrap_err().to_string();
        assert!(words(Register::new(Mode::Open, 1)).contains("fall"));
        assert!(words(Register::new(Mode::Open, 3)).contains("must stay"));
        assert!(words(Register::new(Mode::Refused, 3)).contains("fence"));
        let target = first(Side::Target);
        let refused = may_move(target, Register::new(Mode::Given, 0)).unwrap_err();
        assert!(refused.to_string().contains("never open"));
    }
}
