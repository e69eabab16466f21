//! Who has authority, read from the two registers alone.

use crossfade_model::{Mode, Register};

use super::register::{Side, is_held};

/// One compare-and-swap of one store's register.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Swap {
    /// Whose.
    pub store: Side,
    /// What it must be.
    pub from: Register,
    /// What it becomes.
    pub to: Register,
}

/// What a command that starts now has to do before anything else.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Todo {
    /// Nothing: one store is open.
    Nothing,
    /// A tool died between fence and given. The store had authority and has given nothing away, so it reopens at its own epoch.
    Release(Swap),
    /// Authority was given and not yet taken: the store takes it. It is never undone silently: undoing it is a command of its own, which
    /// refuses first ([`super::may_refuse`]).
    Finish(Swap),
    /// Authority was given and the other store has declined it. The giving store reopens at the same epoch: the other can open
    /// only at a later one, which it must be given first, and no fence takes this epoch again, as [`next_epoch`] is beyond it.
    ReopenAfterRefusal(Swap),
    /// This store must be reached before anything can be said or done.
    Reach(Side),
    /// The registers say what no course of the switch leads to, in words. Nothing is to be changed before a person has looked.
    Violation(String),
}

/// What the registers say.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Verdict {
    /// The store with authority for writes; under a held fence still the one that is fenced, though none get through. `None` is
    /// "blocked, unknown": no store takes writes until [`Verdict::todo`] is done.
    pub writes: Option<Side>,
    /// What has to be done first.
    pub todo: Todo,
}

impl Verdict {
    fn of(writes: Option<Side>, todo: Todo) -> Verdict {
        Verdict { writes, todo }
    }

    fn violation(words: String) -> Verdict {
        Verdict::of(None, Todo::Violation(words))
    }

    /// Whether a store takes writes now.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.writes.is_some() && self.todo == Todo::Nothing
    }

    /// The change of a register that ends it, where there is one.
    #[must_use]
    pub fn swap(&self) -> Option<Swap> {
        match self.todo {
            Todo::Release(swap) | Todo::Finish(swap) | Todo::ReopenAfterRefusal(swap) => Some(swap),
            Todo::Nothing | Todo::Reach(_) | Todo::Violation(_) => None,
        }
    }
}

/// Whether `other`, read between two readings of a register, was read while that register held the one value: no value of a
/// register comes back. [`verdict`] is true of registers read so and means nothing of others; read again where this is `false`.
#[must_use]
pub fn both_at_once(before: Option<Register>, after: Option<Register>) -> bool {
    before == after
}

/// The epoch that the next fence takes: neither store has seen it.
#[must_use]
pub fn next_epoch(x: Option<Register>, y: Option<Register>) -> u64 {
    let epoch = |register: Option<Register>| register.map_or(0, |register| register.epoch);
    epoch(x).max(epoch(y)) + 1
}

/// Who has authority and what is to be done, given the register of the migration's source and of its target (`None`: the store was
/// reached and has none), both read at once ([`both_at_once`]) and while holding the lock of their writers.
///
/// A *follower* is fenced@0, given or refused. With A one store and B the other:
///
/// | A | B | |
/// | --- | --- | --- |
/// | open@E | follower, at most E | A, nothing to do |
/// | fenced@E, E > 0 | follower below E, or refused@E | A; release |
/// | given@E | follower below E | blocked; B opens at E |
/// | given@E | refused@E | blocked; A reopens at E |
///
/// Everything else is a violation. A held fence is told from a target that was never opened by its epoch (see [`is_held`]). A source
/// without a register has authority while its target was never opened; a target without one was never opened.
#[must_use]
pub fn verdict(x: Option<Register>, y: Option<Register>) -> Verdict {
    let (source, target) = match (x, y) {
        (Some(source), Some(target)) => (source, target),
        (None, None) => return Verdict::of(Some(Side::Source), Todo::Nothing),
        (None, Some(target)) => return without_source(target),
        (Some(source), None) => return without_target(source),
    };
    let sides = [(Side::Source, source), (Side::Target, target)];
    let open = |register: Register| register.mode == Mode::Open;
    if open(source) && open(target) {
        return Verdict::violation(format!(
            "both stores are open (source {source}, target {target}): close the applications off both and compare the stores"
        ));
    }
    let leading = sides
        .into_iter()
        .zip([target, source])
        .find_map(|((side, own), other)| -> Option<Verdict> { led_by(side, own, other) });
    leading.unwrap_or_else(|| {
        Verdict::violation(format!(
            "the registers contradict each other (source {source}, target {target}): one of the stores was restored from a backup, replaced, or \
             changed by hand"
        ))
    })
}

/// The table of [`verdict`], with the store in the part of A; `None` where it has not that part.
fn led_by(side: Side, own: Register, other: Register) -> Option<Verdict> {
    if other.mode == Mode::Open || is_held(other) {
        return None;
    }
    let at = own.epoch;
    let below = other.epoch < at;
    let refused = other == Register::new(Mode::Refused, at);
    let open = Register::new(Mode::Open, at);
    let reopen = Swap {
        store: side,
        from: own,
        to: open,
    };
    match own.mode {
        Mode::Open if other.epoch <= at => Some(Verdict::of(Some(side), Todo::Nothing)),
        Mode::Fenced if is_held(own) && (below || refused) => {
            Some(Verdict::of(Some(side), Todo::Release(reopen)))
        }
        Mode::Given if below => {
            let swap = Swap {
                store: side.other(),
                from: other,
                to: open,
            };
            Some(Verdict::of(None, Todo::Finish(swap)))
        }
        Mode::Given if refused => Some(Verdict::of(None, Todo::ReopenAfterRefusal(reopen))),
        _ => None,
    }
}

fn without_source(target: Register) -> Verdict {
    if target == Register::new(Mode::Fenced, 0) {
        return Verdict::of(Some(Side::Source), Todo::Nothing);
    }
    Verdict::violation(format!(
        "the source has no register, so nothing keeps writers from it, while the target is {target}: the source was restored, replaced, or \
         cleaned by hand"
    ))
}

fn without_target(source: Register) -> Verdict {
    match source.mode {
        Mode::Open => Verdict::of(Some(Side::Source), Todo::Nothing),
        Mode::Fenced if is_held(source) => {
            let to = Register::new(Mode::Open, source.epoch);
            let swap = Swap {
                store: Side::Source,
                from: source,
                to,
            };
            Verdict::of(Some(Side::Source), Todo::Release(swap))
        }
        _ => Verdict::violation(format!(
            "the source is {source}, but the target has no register: it was restored, replaced, or cleaned by hand"
        )),
    }
}

/// What one store's register says while the other cannot be reached.
///
/// An open store has authority, and so has one under a held fence, which may be released: nothing was given. Anything else
/// is "blocked, unknown" until the other store is reached.
#[must_use]
pub fn verdict_alone(side: Side, register: Option<Register>) -> Verdict {
    let unknown = Verdict::of(None, Todo::Reach(side.other()));
    let Some(own) = register else { return unknown };
    match own.mode {
        Mode::Open => Verdict::of(Some(side), Todo::Nothing),
        Mode::Fenced if is_held(own) => {
            let to = Register::new(Mode::Open, own.epoch);
            let swap = Swap {
                store: side,
                from: own,
                to,
            };
            Verdict::of(Some(side), Todo::Release(swap))
        }
        _ => unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::super::register::{first, may_move};
    use super::*;

    fn at(mode: Mode, epoch: u64) -> Register {
        Register::new(mode, epoch)
    }

    fn of(x: Register, y: Register) -> Verdict {
        verdict(Some(x), Some(y))
    }

    #[test]
    fn the_plain_beginning_is_the_sources() {
        let (x, y) = (first(Side::Source), first(Side::Target));
        for (x, y) in [
            (Some(x), Some(y)),
            (Some(x), None),
            (None, Some(y)),
            (None, None),
        ] {
            assert_eq!(
                verdict(x, y),
                Verdict::of(Some(Side::Source), Todo::Nothing)
            );
            assert_eq!(next_epoch(x, y), 1);
        }
    }

    #[test]
    fn a_dead_tools_fence_is_released_and_what_was_given_is_taken() {
        let release = of(at(Mode::Fenced, 1), at(Mode::Fenced, 0));
        assert_eq!(release.writes, Some(Side::Source));
        assert!(!release.is_open());
        assert_eq!(release.swap().map(|s| s.to), Some(at(Mode::Open, 1)));

        let finish = of(at(Mode::Given, 1), at(Mode::Fenced, 0));
        assert_eq!(finish.writes, None);
        let swap = Swap {
            store: Side::Target,
            from: at(Mode::Fenced, 0),
            to: at(Mode::Open, 1),
        };
        assert_eq!(finish.todo, Todo::Finish(swap));

        // and the way back
        let back = of(at(Mode::Given, 1), at(Mode::Given, 2));
        assert_eq!(back.swap().map(|s| s.store), Some(Side::Source));
        let undone = of(at(Mode::Refused, 2), at(Mode::Given, 2));
        let swap = Swap {
            store: Side::Target,
            from: at(Mode::Given, 2),
            to: at(Mode::Open, 2),
        };
        assert_eq!(undone.todo, Todo::ReopenAfterRefusal(swap));
    }

    #[test]
    fn what_cannot_be_is_told() {
        let contradictions = [
            (at(Mode::Open, 1), at(Mode::Open, 1)),
            (at(Mode::Open, 1), at(Mode::Fenced, 2)),
            (at(Mode::Open, 1), at(Mode::Given, 2)),
            (at(Mode::Fenced, 0), at(Mode::Fenced, 0)),
            (at(Mode::Fenced, 1), at(Mode::Fenced, 2)),
            (at(Mode::Fenced, 1), at(Mode::Given, 1)),
            (at(Mode::Given, 1), at(Mode::Given, 1)),
            (at(Mode::Given, 1), at(Mode::Refused, 2)),
            (at(Mode::Refused, 1), at(Mode::Refused, 1)),
            (at(Mode::Refused, 1), at(Mode::Fenced, 0)),
        ];
        for (x, y) in contradictions {
            for verdict in [of(x, y), of(y, x)] {
                assert!(matches!(verdict.todo, Todo::Violation(_)), "{x} {y}");
                assert_eq!(verdict.writes, None);
            }
        }
        let lost = verdict(None, Some(at(Mode::Open, 1)));
        assert!(matches!(lost.todo, Todo::Violation(_)));
    }

    #[test]
    fn every_demanded_swap_is_one_that_registers_allow() {
        let modes = [Mode::Open, Mode::Fenced, Mode::Given, Mode::Refused];
        let all = modes.map(|mode| [0, 1, 2, 3].map(|epoch| at(mode, epoch)));
        for x in all.as_flattened() {
            for y in all.as_flattened() {
                let verdict = of(*x, *y);
                let Some(swap) = verdict.swap() else { continue };
                assert_eq!(may_move(swap.from, swap.to), Ok(()), "{x} {y}");
                let (x, y) = match swap.store {
                    Side::Source => (swap.to, *y),
                    Side::Target => (*x, swap.to),
                };
                let after = of(x, y);
                assert!(after.is_open(), "{x} {y}");
                assert_eq!(after.writes, Some(swap.store));
            }
        }
    }

    #[test]
    fn one_store_alone_says_only_what_it_knows() {
        let alone = |register| verdict_alone(Side::Source, Some(register));
        assert_eq!(alone(at(Mode::Open, 3)).writes, Some(Side::Source));
        assert!(alone(at(Mode::Fenced, 3)).swap().is_some());
        for unknown in [
            at(Mode::Given, 3),
            at(Mode::Refused, 3),
            at(Mode::Fenced, 0),
        ] {
            assert_eq!(alone(unknown).todo, Todo::Reach(Side::Target));
        }
    }

    #[test]
    fn a_torn_reading_is_read_again() {
        let (before, after) = (at(Mode::Open, 0), at(Mode::Given, 1));
        assert!(!both_at_once(Some(before), Some(after)));
        assert!(both_at_once(Some(after), Some(after)));
    }
}
