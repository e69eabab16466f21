//! Measures of whole columns, computed by each store at the same position.

use std::sync::Arc;

use crossfade_model::canonical::write;
use crossfade_model::{Canonical, Cell, TableMapping, Value};
use crossfade_store::aggregates::measures;
use crossfade_store::{Aggregates, Measure};
use tokio::sync::mpsc;

use crate::error::EngineError;
use crate::layer_report::{AggregateDifference, Layer, LayerReport, TableAggregates};
use crate::progress::VerifyReport;
use crate::session::Session;
use crate::verify::collect::VerifyRequest;
use crate::verify::compare::now;
use crate::verify::differ::cell_text;
use crate::verify::meet_pair::MeetPair;

/// Compares the measures of all tables.
pub(crate) async fn verify(
    session: &Arc<Session>,
    requests: &mpsc::Sender<VerifyRequest>,
) -> Result<VerifyReport, EngineError> {
    let started = now();
    let sources = session.source_tables();
    let mut pair = MeetPair::open(session, requests, &sources).await?;
    let mut aggregates = Vec::with_capacity(session.tables().len());
    for mapping in session.tables() {
        let (source, target) = (&mut pair.source, &mut pair.target);
        let (theirs, ours) =
            tokio::try_join!(source.aggregates(mapping), target.aggregates(mapping))?;
        aggregates.push(compared(mapping, &theirs, &ours));
    }
    let position = session.source.show_position(pair.position);
    pair.close().await?;
    Ok(VerifyReport {
        position,
        started,
        finished: now(),
        tables: Vec::new(),
        equal: aggregates.iter().all(|t| t.equal),
        layers: LayerReport {
            layer: Layer::Aggregate,
            aggregates,
            ..LayerReport::default()
        },
        ..VerifyReport::default()
    })
}

fn compared(mapping: &TableMapping, theirs: &Aggregates, ours: &Aggregates) -> TableAggregates {
    let mut differences = Vec::new();
    let mut not_compared = Vec::new();
    let mut count = 1;
    if theirs.rows != ours.rows {
        differences.push(AggregateDifference {
            column: None,
            measure: None,
            source: Some(theirs.rows.to_string()),
            target: Some(ours.rows.to_string()),
        });
    }
    for (at, column) in mapping.columns.iter().enumerate() {
        let measures = measures(mapping, at);
        if matches!(measures, [Measure::Nulls]) {
            not_compared.push(column.source.clone());
        }
        let number = measures.contains(&Measure::Sum);
        for (n, measure) in measures.iter().enumerate() {
            count += 1;
            let cell = |side: &Aggregates| side.columns.get(at).and_then(|c| c.get(n)).cloned();
            let (one, other) = (cell(theirs), cell(ours));
            let class = match measure {
                _ if number => Canonical::Decimal,
                Measure::Least | Measure::Greatest => column.canonical,
                _ => Canonical::Decimal,
            };
            if !same(class, one.as_ref(), other.as_ref()) {
                differences.push(AggregateDifference {
                    column: Some(column.source.clone()),
                    measure: Some(*measure),
                    source: shown(*measure, one.as_ref()),
                    target: shown(*measure, other.as_ref()),
                });
            }
        }
    }
    TableAggregates {
        name: mapping.called(),
        rows: theirs.rows,
        measures: count,
        not_compared,
        equal: differences.is_empty(),
        differences,
    }
}

/// A result for people: a number in its shortest form, a value as it is.
fn shown(measure: Measure, cell: Option<&Cell>) -> Option<String> {
    let cell = cell?;
    let number = (!measure.is_value())
        .then(|| cell.value().and_then(Value::decimal))
        .flatten();
    number.or_else(|| cell_text(cell))
}

/// Whether two results are the same; a value that is not of its class is the same only as its own bytes.
fn same(class: Canonical, one: Option<&Cell>, other: Option<&Cell>) -> bool {
    let (Some(one), Some(other)) = (one, other) else {
        return false;
    };
    let form = |cell: &Cell| -> Option<Vec<u8>> {
        let mut out = Vec::new();
        match class {
            Canonical::Decimal => cell
                .value()
                .and_then(Value::decimal)
                .map(String::into_bytes),
            _ => write(class, cell, &mut out).ok().map(|()| out),
        }
    };
    match (one, other) {
        (Cell::Null, Cell::Null) => true,
        (Cell::Null, _) | (_, Cell::Null) => false,
        (one, other) => match (form(one), form(other)) {
            (Some(one), Some(other)) => one == other,
            (None, None) => one == other,
            _ => false,
        },
    }
}

#[cfg(test)]
#[path = "aggregate_tests.rs"]
mod tests;
