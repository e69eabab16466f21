//! One value of one row becomes another. Each has a row of its own in the table `rich`, in the order of this list.

mod mysqls;
mod numbers;
mod others;
mod texts;

use super::Sql;

/// A value, and what it becomes behind the program's back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Value {
    /// What kind of corruption it is.
    pub kind: &'static str,
    /// The column.
    pub column: &'static str,
    /// What the source holds, in the source's dialect.
    pub from: Sql,
    /// What is put into the target, in the target's dialect.
    pub to: Sql,
    /// Claims, as `plan` prints them of the column, under which both are the same value.
    pub same_under: &'static [&'static str],
}

const fn value(kind: &'static str, column: &'static str, from: Sql, to: Sql) -> Value {
    Value {
        kind,
        column,
        from,
        to,
        same_under: &[],
    }
}

const fn same(
    kind: &'static str,
    column: &'static str,
    from: Sql,
    to: Sql,
    same_under: &'static [&'static str],
) -> Value {
    Value {
        kind,
        column,
        from,
        to,
        same_under,
    }
}

/// All of them, in the order of their rows.
pub fn values() -> impl Iterator<Item = &'static Value> {
    let lists = [
        numbers::NUMBERS,
        texts::TEXTS,
        others::OTHERS,
        mysqls::MYSQLS,
    ];
    lists.into_iter().flatten()
}
