//! Comparisons for people.

use crossfade_engine::{Difference, DifferenceKind, TableVerify, VerifyReport};

use super::layers;
use super::number::{count, of, seconds};

/// The report: per table rows and outcome, then the rows that differ.
pub fn text(report: &VerifyReport, show_rows: bool) -> String {
    let mut lines = Vec::new();
    for table in &report.tables {
        let outcome = if table.equal { "equal" } else { "DIFFERENT" };
        let mut line = format!(
            "  {:<9}  {}: {}",
            outcome,
            table.name,
            of(table.rows, "row", "rows")
        );
        if table.stream_proven_keys > 0 {
            line.push_str(&format!(
                ", {} changing meanwhile and compared one by one",
                of(table.stream_proven_keys, "key", "keys")
            ));
        }
        lines.push(line);
        for difference in &table.differences {
            lines.extend(one(table, difference, show_rows));
        }
        if table.more {
            lines.push("             … and more".to_owned());
        }
    }
    let seconds = seconds((report.finished - report.started) as f64 / 1000.0);
    let rows: u64 = report.tables.iter().map(|t| t.rows).sum();
    lines.extend(layers::lines(report));
    let verdict = if report.equal { "equal" } else { "NOT EQUAL" };
    lines.push(format!(
        "{verdict} at position {}: {}, in {seconds}",
        report.position,
        layers::what(report).unwrap_or_else(|| {
            let tables = of(report.tables.len() as u64, "table", "tables");
            format!("{tables}, {} rows", count(rows))
        })
    ));
    lines.join("\n")
}

fn one(table: &TableVerify, difference: &Difference, show_rows: bool) -> Vec<String> {
    let key = &difference.key;
    let mut lines = vec![match difference.kind {
        DifferenceKind::Missing => format!("             key {key}: on the source only"),
        DifferenceKind::Extra => format!("             key {key}: on the target only"),
        DifferenceKind::Changed => format!(
            "             key {key}: differs in {}",
            difference.columns.join(", ")
        ),
    }];
    if show_rows {
        for (side, row) in [
            ("source", &difference.source_row),
            ("target", &difference.target_row),
        ] {
            if let Some(row) = row {
                let cells: Vec<String> = table
                    .columns
                    .iter()
                    .zip(row)
                    .map(|(name, cell)| format!("{name}={}", cell.as_deref().unwrap_or("NULL")))
                    .collect();
                lines.push(format!("               {side}: {}", cells.join(", ")));
            }
        }
    }
    lines
}
