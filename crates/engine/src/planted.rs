//! What planted defects do here; see [`crossfade_store::planted`].

use crossfade_model::Change;
use crossfade_store::RowBlock;
use crossfade_store::planted::{Planted, planted};

/// A change as it came from the log.
pub(crate) fn change(mut change: Change) -> Change {
    if planted(Planted::Mapping)
        && let Change::Insert { row, .. } | Change::Upsert { row, .. } | Change::Update { row, .. } =
            &mut change
        && let [.., one, other] = row.0.as_mut_slice()
    {
        std::mem::swap(one, other);
    }
    change
}

/// A block of a copy.
pub(crate) fn block(mut block: RowBlock) -> RowBlock {
    if planted(Planted::Copier)
        && let RowBlock::Rows(rows) = &mut block
    {
        rows.pop();
    }
    block
}
