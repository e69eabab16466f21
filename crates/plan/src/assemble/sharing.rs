//! Several tables of the source that go to one of the target, and which of its rows are whose.

use std::collections::{BTreeMap, BTreeSet};

use crossfade_expression::Expression;
use crossfade_model::{Finding, TableName};

use super::mapped::Presented;
use super::select::Selected;

/// The target's tables to which more than one table of the source goes.
pub(super) fn shared(selected: &[Selected<'_>]) -> BTreeSet<TableName> {
    let mut times: BTreeMap<&TableName, usize> = BTreeMap::new();
    for one in selected {
        *times.entry(&one.target).or_default() += 1;
    }
    let several = times.into_iter().filter(|(_, times)| *times > 1);
    several.map(|(name, _)| name.clone()).collect()
}

/// The rows of the target's table that are this mapping's: what the file says, else those that have its constants. `None`: all.
pub(super) fn slice(
    chosen: &Selected<'_>,
    is_shared: bool,
    shown: &Presented,
    findings: &mut Vec<Finding>,
) -> Option<String> {
    let entry = chosen.entry?;
    if let Some(written) = &entry.target_filter {
        return Some(written.expression.text().to_owned());
    }
    if !is_shared {
        return None;
    }
    let constants: Vec<String> = entry
        .columns
        .iter()
        .filter(|c| shown.computed.contains(&c.name.text) && c.made.expression.columns().is_empty())
        .map(|c| {
            let column = Expression::column(&c.name.text);
            format!("{} = ({})", column.text(), c.made.expression.text())
        })
        .collect();
    if constants.is_empty() {
        findings.push(
            Finding::blocks(
                "table.whose",
                "file",
                format!(
                    "line {}: other tables go to {} too, and nothing says which of its rows are this one's",
                    entry.from.line, chosen.target
                ),
            )
            .table(chosen.table.name.to_string())
            .fix("give it a constant column of its own in [table.columns], or write `target_where`, a condition on the target's columns"),
        );
        return None;
    }
    Some(constants.join(" AND "))
}
