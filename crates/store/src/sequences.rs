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
