//! In which order the tables of one target transaction are written, and what follows a unique conflict.

use std::fmt;

/// What the order depends on in one target table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TableShape {
    /// Tables, by their index, that this one's foreign keys point to; may hold itself.
    pub parents: Vec<usize>,
    /// Whether it has unique keys beside its primary key.
    pub other_unique_keys: bool,
    /// Whether a delete would set off cascades or triggers that the applier's session cannot turn off.
    pub delete_has_effects: bool,
}

/// How the target checks foreign keys in the applier's session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ForeignKeys {
    /// Not at all, or only at commit.
    OffOrDeferred,
    /// At each statement.
    Immediate,
}

/// One statement group of the target transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Step {
    /// The net deletes of this table.
    Deletes(usize),
    /// The net inserts and updates of this table, in one statement.
    Upserts(usize),
}

/// Foreign keys that the target checks at each statement point in a circle through these tables: no
/// order serves. `plan` must refuse it or have the checks deferred.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForeignKeyCircle(pub Vec<usize>);

impl fmt::Display for ForeignKeyCircle {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "foreign keys of {} tables form a circle", self.0.len())
    }
}

impl std::error::Error for ForeignKeyCircle {}

/// The order of the steps for `tables`.
///
/// Without immediate checks each table's deletes come before its upserts, so that a unique value that a
/// deleted row held is free. With them, parents' rows must be there before and go after their
/// children's: tables that nothing points to delete first; then upserts, parents first; then the
/// other tables' deletes, children first, when a child that moved to another parent has already done so.
///
/// # Errors
/// [`ForeignKeyCircle`] if checks are immediate and more than one table is in a circle.
pub fn steps(
    tables: &[TableShape],
    foreign_keys: ForeignKeys,
) -> Result<Vec<Step>, ForeignKeyCircle> {
    if foreign_keys == ForeignKeys::OffOrDeferred {
        let both = |table| [Step::Deletes(table), Step::Upserts(table)];
        return Ok((0..tables.len()).flat_map(both).collect());
    }
    let parents_first = parents_first(tables)?;
    let has_children = |table: &usize| tables.iter().any(|shape| shape.parents.contains(table));
    let leaves = parents_first
        .iter()
        .copied()
        .filter(|table| !has_children(table));
    let others = parents_first.iter().rev().copied().filter(has_children);
    Ok(leaves
        .map(Step::Deletes)
        .chain(parents_first.iter().copied().map(Step::Upserts))
        .chain(others.map(Step::Deletes))
        .collect())
}

/// Tables such that each comes after all that it points to, otherwise in the order given.
fn parents_first(tables: &[TableShape]) -> Result<Vec<usize>, ForeignKeyCircle> {
    let mut placed = vec![false; tables.len()];
    let mut order = Vec::with_capacity(tables.len());
    while order.len() < tables.len() {
        let free = (0..tables.len()).find(|table| {
            !placed[*table]
                && tables[*table]
                    .parents
                    .iter()
                    .all(|parent| parent == table || placed.get(*parent).copied().unwrap_or(true))
        });
        let Some(table) = free else {
            return Err(ForeignKeyCircle(
                (0..tables.len()).filter(|table| !placed[*table]).collect(),
            ));
        };
        placed[table] = true;
        order.push(table);
    }
    Ok(order)
}

/// How a table's net effects are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Path {
    /// One merge statement: fast, but a unique value that moves between two rows of it can conflict.
    Merge,
    /// All rows of the batch are deleted, then the upserts inserted whole (missing columns read before).
    /// Unique values that move or are swapped converge.
    DeleteThenInsert,
    /// Unique columns of the batch's rows are first set aside (to `NULL`, or to values that nobody
    /// uses), then written. For tables whose deletes have effects of their own.
    SetAsideThenMerge,
    /// Row by row, only to name the row that fails.
    RowByRow,
}

/// What to try after `tried` met a unique conflict; `None`: the row named is at fault, stop the table.
///
/// The target transaction, or a savepoint in it, has been rolled back before. Rows must not be deleted
/// and inserted again where that sets off cascades or triggers, or where other rows point to them
/// under immediate checks (`checked_children`).
#[must_use]
pub fn after_unique_conflict(
    tried: Path,
    shape: &TableShape,
    checked_children: bool,
) -> Option<Path> {
    match tried {
        Path::Merge if !shape.other_unique_keys => Some(Path::RowByRow),
        Path::Merge if shape.delete_has_effects || checked_children => {
            Some(Path::SetAsideThenMerge)
        }
        Path::Merge => Some(Path::DeleteThenInsert),
        Path::DeleteThenInsert | Path::SetAsideThenMerge => Some(Path::RowByRow),
        Path::RowByRow => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn child_of(parents: &[usize]) -> TableShape {
        TableShape {
            parents: parents.to_vec(),
            ..TableShape::default()
        }
    }

    #[test]
    fn deferred_checks_need_no_order_between_tables() {
        let tables = [child_of(&[1]), child_of(&[0])];
        assert_eq!(
            steps(&tables, ForeignKeys::OffOrDeferred).unwrap(),
            [
                Step::Deletes(0),
                Step::Upserts(0),
                Step::Deletes(1),
                Step::Upserts(1)
            ]
        );
    }

    #[test]
    fn parents_come_first_and_go_last() {
        // 0 points to 1, 1 to 2; 3 points to itself.
        let tables = [
            child_of(&[1]),
            child_of(&[2]),
            child_of(&[]),
            child_of(&[3]),
        ];
        assert_eq!(
            steps(&tables, ForeignKeys::Immediate).unwrap(),
            [
                Step::Deletes(0),
                Step::Upserts(2),
                Step::Upserts(1),
                Step::Upserts(0),
                Step::Upserts(3),
                Step::Deletes(3),
                Step::Deletes(1),
                Step::Deletes(2),
            ]
        );
    }

    #[test]
    fn a_circle_is_named() {
        let tables = [child_of(&[]), child_of(&[2]), child_of(&[1, 0])];
        assert_eq!(
            steps(&tables, ForeignKeys::Immediate),
            Err(ForeignKeyCircle(vec![1, 2]))
        );
    }

    /// Every graph of three tables: each step once, upserts never before a parent's, deletes of a parent
    /// never before a child's deletes and upserts; or a circle.
    #[test]
    fn all_graphs_of_three_tables_are_ordered_or_refused() {
        let mut ordered = 0;
        for edges in 0..512_u32 {
            let points = |from: usize, to: usize| edges & (1 << (from * 3 + to)) != 0;
            let tables: Vec<TableShape> = (0..3)
                .map(|from| child_of(&(0..3).filter(|to| points(from, *to)).collect::<Vec<_>>()))
                .collect();
            let Ok(steps) = steps(&tables, ForeignKeys::Immediate) else {
                continue;
            };
            ordered += 1;
            assert_eq!(steps.len(), 6);
            let place = |step| steps.iter().position(|at| *at == step).unwrap();
            for from in 0..3 {
                for to in (0..3).filter(|to| *to != from && points(from, *to)) {
                    assert!(place(Step::Upserts(to)) < place(Step::Upserts(from)));
                    assert!(place(Step::Deletes(from)) < place(Step::Deletes(to)));
                    assert!(place(Step::Upserts(from)) < place(Step::Deletes(to)));
                }
            }
        }
        // 25 acyclic graphs of three labelled nodes, times eight choices of loops.
        assert_eq!(ordered, 200);
    }

    #[test]
    fn a_conflict_never_deletes_where_that_has_effects() {
        let plain = TableShape {
            other_unique_keys: true,
            ..TableShape::default()
        };
        assert_eq!(
            after_unique_conflict(Path::Merge, &plain, false),
            Some(Path::DeleteThenInsert)
        );
        assert_eq!(
            after_unique_conflict(Path::Merge, &plain, true),
            Some(Path::SetAsideThenMerge)
        );
        let cascades = TableShape {
            delete_has_effects: true,
            ..plain.clone()
        };
        assert_eq!(
            after_unique_conflict(Path::Merge, &cascades, false),
            Some(Path::SetAsideThenMerge)
        );
        assert_eq!(
            after_unique_conflict(Path::Merge, &TableShape::default(), false),
            Some(Path::RowByRow)
        );
        for tried in [Path::DeleteThenInsert, Path::SetAsideThenMerge] {
            assert_eq!(
                after_unique_conflict(tried, &plain, false),
                Some(Path::RowByRow)
            );
        }
        assert_eq!(after_unique_conflict(Path::RowByRow, &plain, false), None);
    }
}
