//! Comparisons for people.

use crossfade_control::Verdict;
use crossfade_engine::{
    Cause, Difference, DifferenceKind, Layer, ProofProgress, SequenceProblem, TableVerify,
    VerifyReport,
};

use super::layers;
use super::number::{count, of, seconds, utc};
use super::text::visible;

/// The report: per table rows and outcome, then the rows that differ.
pub fn text(report: &VerifyReport, show_rows: bool) -> String {
    let mut lines = Vec::new();
    for table in &report.tables {
        let outcome = if table.equal { "equal" } else { "DIFFERENT" };
        let read = match report.layers.layer {
            Layer::Touched => of(table.rows, "touched key", "touched keys"),
            _ => of(table.rows, "row", "rows"),
        };
        let mut line = format!("  {outcome:<9}  {}: {read}", table.name);
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
    lines.extend(sequences(report));
    let seconds = seconds((report.finished - report.started) as f64 / 1000.0);
    let rows: u64 = report.tables.iter().map(|t| t.rows).sum();
    if let Some(repair) = &report.repair {
        lines.push(format!(
            "  repaired: {} read again on the source before this comparison",
            of(repair.rows, "row", "rows")
        ));
        lines.extend(
            repair
                .refused
                .iter()
                .map(|why| format!("  not repaired: {why}")),
        );
    }
    let proof = report.proof.as_ref();
    if report.layers.layer == Layer::Touched
        && let Some(proof) = proof
    {
        lines.push(format!("  proven: {}", self::proof(proof)));
    }
    let unread = proof.is_some_and(|p| p.unproven > 0) && report.tables.iter().all(|t| t.equal);
    let expected: usize = report.tables.iter().map(|t| t.differences.len()).sum();
    let as_expected = format!(
        "equal but for {} that a person expects",
        of(expected as u64, "difference", "differences")
    );
    let verdict = match report.equal {
        true => "equal",
        false if report.is_equal_as_expected() => &as_expected,
        false if unread => "NOT PROVEN (give `verify` first)",
        false => "NOT EQUAL",
    };
    lines.extend(layers::lines(report));
    lines.push(format!(
        "{verdict} at position {}: {}, in {seconds}",
        report.position,
        layers::what(report).unwrap_or_else(|| {
            let tables = of(report.tables.len() as u64, "table", "tables");
            let read = match report.layers.layer {
                Layer::Touched => "keys",
                _ => "rows",
            };
            format!("{tables}, {} {read}", count(rows))
        })
    ));
    lines.join("\n")
}

/// How many sequences are where they must be, and those that are not.
fn sequences(report: &VerifyReport) -> Vec<String> {
    let (right, wrong): (Vec<_>, Vec<_>) = report.sequences.iter().partition(|s| s.equal);
    let mut lines = Vec::new();
    if !right.is_empty() {
        lines.push(format!(
            "  equal      {}: the target's at the source's last value or beyond",
            of(right.len() as u64, "sequence", "sequences")
        ));
    }
    let value = |value: Option<i64>| value.map_or_else(|| "not used".to_owned(), |v| v.to_string());
    for sequence in wrong {
        lines.push(format!(
            "  DIFFERENT  sequence {}: {} (source {}, target {})",
            sequence.name,
            sequence.problem.map_or("", SequenceProblem::words),
            value(sequence.source),
            value(sequence.target)
        ));
    }
    lines
}

/// What is proven, in one line.
pub fn proof(proof: &ProofProgress) -> String {
    let mut line = format!(
        "{} of {}",
        count(proof.proven),
        of(proof.ranges, "range", "ranges")
    );
    if proof.differ > 0 {
        line.push_str(&format!(", {} DIFFER", count(proof.differ)));
    }
    line.push_str(&format!(
        ", {} changed since",
        of(proof.touched_keys, "key", "keys")
    ));
    if let Some(oldest) = &proof.oldest {
        line.push_str(&format!(
            ", the oldest at position {} (table {})",
            oldest.position, oldest.table
        ));
    }
    line
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
    if !difference.why.is_empty() && difference.cause != Cause::Unknown {
        lines.push(format!("               likely {}", difference.why));
    }
    if let Some(said) = &difference.classification {
        lines.push(format!(
            "               {}, says {} ({}): {}",
            match said.verdict {
                Verdict::Expected => "expected",
                Verdict::Bug => "A BUG",
            },
            visible(&said.by),
            utc(said.at),
            visible(&said.reason)
        ));
    }
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
