//! What the applier waits for, decided under the lock.

use crossfade_model::{TableId, TableMapping};
use crossfade_rules::frontier::ChunkState;

use crate::session::{Altered, Keying, State, TableState};

/// What a look at a table that the stream waits for came to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// Its changes can be decided.
    Ready,
    /// They will be.
    Waiting,
    /// They never will: since a table was altered nothing more is loaded, and this one has not all its parts.
    Never(Altered),
}

/// Looks at a table some change of which was held, or waits for the table's key. Lets the load of other chunks rest while
/// a single chunk is waited for.
pub(crate) fn held(state: &mut State, mapping: &TableMapping) -> Look {
    let index = mapping.id.0 as usize;
    let single = is_single(&state.tables[index], mapping);
    state.stream_waits = single;
    let look = keyed_and_whole(state, mapping.id);
    let at = &state.tables[index];
    match look {
        Look::Ready if at.loading > 0 || at.frontier.progress().loading > 0 => Look::Waiting,
        look => look,
    }
}

/// Looks at a table that a big transaction needs, while loaders work for it.
pub(crate) fn keyed_and_whole(state: &mut State, table: TableId) -> Look {
    let altered = state.altered.clone();
    let at = &mut state.tables[table.0 as usize];
    let whole = !at.is_partial();
    if at.keying == Keying::Keyed && whole {
        return Look::Ready;
    }
    let Some(altered) = altered else {
        return Look::Waiting;
    };
    match at.keying {
        // no chunk of it will come any more: what is there gets its key now
        Keying::Without => {
            at.keying = Keying::Wanted;
            Look::Waiting
        }
        Keying::Keyed if at.loading == 0 => Look::Never(altered),
        _ => Look::Waiting,
    }
}

/// Whether the stream waits for one chunk, and not for a whole table to be filled and its key to be built.
pub(crate) fn is_single(table: &TableState, mapping: &TableMapping) -> bool {
    table.keying == Keying::Keyed && mapping.source.is_ordered()
}

/// Whether every change to the table can be decided with nothing to wait for, while no loader works: nothing of it is in
/// the target, or all that is there has its key.
pub(crate) fn is_decidable(table: &TableState) -> bool {
    let progress = table.frontier.progress();
    let untouched = progress.loaded + progress.settled == 0;
    progress.loading == 0 && (untouched || table.keying == Keying::Keyed)
}

impl TableState {
    /// Some parts of a chunk are in the target, others are not.
    pub fn is_partial(&self) -> bool {
        self.frontier.progress().loading > 0
            && self
                .frontier
                .chunks()
                .any(|chunk| self.frontier.state(chunk) == ChunkState::Partial)
    }
}

/// The mark of an altered table, once everything up to where that was seen is applied.
pub(crate) fn altered_is_due(state: &State) -> Option<Altered> {
    let due = |altered: &&Altered| state.checkpoint >= altered.seen_at;
    state.altered.as_ref().filter(due).cloned()
}

#[cfg(test)]
#[path = "waiting_tests.rs"]
mod tests;
