//! What the layers beside the full comparison found, for people.

use crossfade_engine::{
    AggregateDifference, DifferenceKind, Layer, ProjectionReport, SampledBy, TableAggregates,
    VerifyReport,
};

use super::number::{count, of};

/// The lines of all layers.
pub fn lines(report: &VerifyReport) -> Vec<String> {
    let mut lines = Vec::new();
    for table in &report.layers.aggregates {
        lines.extend(aggregates(table));
    }
    lines.extend(sample(report));
    for projection in &report.layers.projections {
        lines.extend(projection_lines(projection));
    }
    lines
}

fn projection_lines(projection: &ProjectionReport) -> Vec<String> {
    let outcome = if projection.equal {
        "equal"
    } else {
        "DIFFERENT"
    };
    let mut lines = vec![format!(
        "  {outcome:<9}  projection {}: {} at position {}",
        projection.name,
        of(projection.rows, "row", "rows"),
        projection.position
    )];
    lines.extend(
        projection
            .problem
            .iter()
            .map(|problem| format!("             not compared: {problem}")),
    );
    for difference in &projection.differences {
        let key = &difference.key;
        lines.push(match difference.kind {
            DifferenceKind::Missing => format!("             key {key}: on the source only"),
            DifferenceKind::Extra => format!("             key {key}: on the target only"),
            DifferenceKind::Changed => format!(
                "             key {key}: differs in {}",
                difference.columns.join(", ")
            ),
        });
    }
    if projection.more {
        lines.push("             … and more".to_owned());
    }
    lines
}

/// What was compared, where it is not simply all rows.
pub fn what(report: &VerifyReport) -> Option<String> {
    let layers = &report.layers;
    match layers.layer {
        Layer::Full | Layer::Touched => None,
        Layer::Aggregate => {
            let measures: u64 = layers.aggregates.iter().map(|t| t.measures).sum();
            let tables = of(layers.aggregates.len() as u64, "table", "tables");
            Some(format!(
                "{} of {tables}",
                of(measures, "measure", "measures")
            ))
        }
        Layer::Sample => {
            let rows: u64 = report.tables.iter().map(|t| t.rows).sum();
            let tables = of(report.tables.len() as u64, "table", "tables");
            Some(format!("a sample of {tables}, {} rows", count(rows)))
        }
        Layer::Projections => Some(of(
            layers.projections.len() as u64,
            "projection",
            "projections",
        )),
    }
}

fn aggregates(table: &TableAggregates) -> Vec<String> {
    let outcome = if table.equal { "equal" } else { "DIFFERENT" };
    let mut line = format!(
        "  {outcome:<9}  {}: {}, {}",
        table.name,
        of(table.rows, "row", "rows"),
        of(table.measures, "measure", "measures")
    );
    if !table.not_compared.is_empty() {
        line.push_str(&format!(
            "; only NULLs were counted of {}",
            table.not_compared.join(", ")
        ));
    }
    let mut lines = vec![line];
    lines.extend(table.differences.iter().map(aggregate));
    lines
}

fn aggregate(difference: &AggregateDifference) -> String {
    let measure = match difference.measure {
        None => "rows".to_owned(),
        Some(measure) => serde_json::to_value(measure)
            .ok()
            .and_then(|v| v.as_str().map(str::to_owned))
            .unwrap_or_default(),
    };
    let place = match &difference.column {
        None => measure,
        Some(column) => format!("{column}, {measure}"),
    };
    match (&difference.source, &difference.target) {
        (None, None) => format!("             {place}: differs (--show-rows shows the values)"),
        (source, target) => {
            let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "NULL".to_owned());
            format!(
                "             {place}: {} on the source, {} on the target",
                text(source),
                text(target)
            )
        }
    }
}

fn sample(report: &VerifyReport) -> Vec<String> {
    let Some(sample) = &report.layers.sample else {
        return Vec::new();
    };
    let mut lines: Vec<String> = sample
        .tables
        .iter()
        .map(|table| {
            let name = &table.name;
            let share = format!("{} of {}", count(table.read), count(table.of));
            match table.how {
                SampledBy::Ranges => format!("  read       {name}: {share} ranges of keys"),
                SampledBy::Keys => format!(
                    "  read       {name}: {share} parts of the source, looked up by key on the target: rows that only the target has are not found"
                ),
                SampledBy::Whole => format!("  read       {name}: all of it"),
                SampledBy::LeftOut => format!(
                    "  NOT READ   {name}: it has no key, and is too big to be read whole for a sample"
                ),
            }
        })
        .collect();
    lines.push(format!(
        "Sample of {}%, seed {}: the same again with --sample {}% --seed {}",
        sample.percent, sample.seed, sample.percent, sample.seed
    ));
    lines
}
