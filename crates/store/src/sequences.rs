//! What a store says of its sequences. They are no part of any log: a source's values move without a change to be captured,
//! so all that can be claimed of a target's is that it was raised far enough.

/// A sequence, or what stands for one (an identity column's, SQLite's AUTOINCREMENT), as a store has it now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SequenceState {
    /// The last value handed out, of one that is cached by sessions the last one of the last block; `None` where none was.
    pub value: Option<i64>,
    /// What it hands out first, where it has handed out none.
    pub first: Option<i64>,
    /// What is added for the next value; `None` where the store knows one way only.
    pub increment: Option<i64>,
    /// After its last value it begins again: its values have no order.
    pub cycles: bool,
}

/// What a target has in the place of a source's sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeldSequence {
    /// This one.
    Here(SequenceState),
    /// None, and there should be one.
    Gone,
    /// None, and there never was to be one: the target's table numbers no rows there.
    NotCounted,
}

impl HeldSequence {
    /// Of all that stand for one of the source's, where its table goes to several: the one that would hand out values again first.
    pub fn furthest_behind(all: impl IntoIterator<Item = HeldSequence>) -> HeldSequence {
        let both = |one, other| match (one, other) {
            (HeldSequence::Gone, _) | (_, HeldSequence::Gone) => HeldSequence::Gone,
            (HeldSequence::NotCounted, known) | (known, HeldSequence::NotCounted) => known,
            (HeldSequence::Here(one), HeldSequence::Here(other)) => {
                let down = one.increment.is_some_and(|step| step < 0);
                // none that was handed out comes before all
                let is_behind = match (other.value, one.value) {
                    (Some(other), Some(one)) if down => other > one,
                    (other, one) => other < one,
                };
                HeldSequence::Here(if is_behind { other } else { one })
            }
        };
        all.into_iter().fold(HeldSequence::NotCounted, both)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn here(value: Option<i64>, increment: i64) -> HeldSequence {
        HeldSequence::Here(SequenceState {
            value,
            first: Some(1),
            increment: Some(increment),
            cycles: false,
        })
    }

    #[test]
    fn of_several_the_one_that_would_hand_out_values_again_speaks_for_all() {
        let of = |all: &[HeldSequence]| HeldSequence::furthest_behind(all.iter().copied());
        assert_eq!(of(&[]), HeldSequence::NotCounted);
        assert_eq!(of(&[here(Some(9), 1), here(Some(4), 1)]), here(Some(4), 1));
        assert_eq!(of(&[here(None, 1), here(Some(4), 1)]), here(None, 1));
        assert_eq!(
            of(&[here(Some(-9), -1), here(Some(-4), -1)]),
            here(Some(-4), -1)
        );
        assert_eq!(of(&[here(None, -1), here(Some(-4), -1)]), here(None, -1));
        assert_eq!(
            of(&[HeldSequence::NotCounted, here(Some(4), 1)]),
            here(Some(4), 1)
        );
        assert_eq!(
            of(&[here(Some(4), 1), HeldSequence::Gone]),
            HeldSequence::Gone
        );
    }
}
