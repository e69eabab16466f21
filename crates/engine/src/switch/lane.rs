//! The two lanes of a migration: from its source to its target, and back. A lane is what the other verbs work on: capture, apply
//! and verify know nothing of a second one.

use std::sync::Arc;

use crossfade_mapping::MappedSource;
use crossfade_model::{Finding, Severity, Table, TableMapping, reverse_lane};
use crossfade_plan::{Plan, Standbys};
use crossfade_store::{CaptureSpec, ErrorKind, Source, StoreError};
use serde::{Deserialize, Serialize};

use crate::acting;
use crate::error::EngineError;
use crate::run::Migration;
use crate::switch::way_back::reversed_plan;
use crate::switch::{Sides, standbys};

/// Which way rows go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// From the migration's source to its target.
    #[default]
    Forward,
    /// From its target back to its source.
    Reverse,
}

impl Direction {
    /// The other one.
    pub fn other(self) -> Direction {
        match self {
            Direction::Forward => Direction::Reverse,
            Direction::Reverse => Direction::Forward,
        }
    }

    /// The store that rows come from, in the migration's words: the one that has authority.
    pub fn source_word(self) -> &'static str {
        match self {
            Direction::Forward => "source",
            Direction::Reverse => "target",
        }
    }

    /// The store that rows go to, in the migration's words.
    pub fn target_word(self) -> &'static str {
        self.other().source_word()
    }

    /// The name of its lane, by which what it makes on the stores is named.
    pub fn lane(self, migration: &str) -> String {
        match self {
            Direction::Forward => migration.to_owned(),
            Direction::Reverse => reverse_lane(migration),
        }
    }
}

/// What will refuse the switch although the copy could be made: the way back cannot be captured on the target, its tables not be fenced, or a named
/// standby is not there. Told as warnings, since whoever only copies need not care.
///
/// # Errors
/// The target cannot be read.
pub async fn switch_findings(
    sides: &Sides,
    plan: &Plan,
    named: &Standbys,
) -> Result<Vec<Finding>, EngineError> {
    let mut out = standbys::told(sides, named).await?;
    let target: &dyn Source = sides.target.as_ref();
    // what is asked of tables is asked of those that are there
    let present = (plan.tables.iter()).filter(|mapping| plan.present.contains(&mapping.id));
    let tables: Vec<TableMapping> = present
        .map(|mapping| TableMapping {
            source: mapping.target.clone(),
            target: mapping.source.clone(),
            origin: None,
            back: None,
            slice: None,
            shares_source: false,
            ..mapping.clone()
        })
        .collect();
    let behind = acting::behind(sides.source.as_ref(), &plan.migration, &plan.tables).await?;
    out.extend(acting::as_warnings(behind));
    let own: Vec<Table> = tables
        .iter()
        .map(|mapping| mapping.source.clone())
        .collect();
    let spec = CaptureSpec {
        replanned: None,
        migration: reverse_lane(&plan.migration),
        tables,
    };
    let found = async {
        let mut found = target.findings(&spec).await?;
        found.extend(sides.target.fence_findings(&plan.migration, &own).await?);
        Ok(found)
    };
    match found.await {
        Ok(found) => {
            let blocking = found.into_iter().filter(|f| f.severity == Severity::Blocks);
            out.extend(blocking.map(|finding| as_warning(finding, "target")));
            Ok(out)
        }
        // a file that is made once the migration begins
        Err(StoreError {
            kind: ErrorKind::Missing,
            ..
        }) => Ok(out),
        Err(error) => Err(error.into()),
    }
}

/// A finding that will refuse the switch, told before.
pub(crate) fn as_warning(finding: Finding, place: &str) -> Finding {
    Finding {
        severity: Severity::Warning,
        place: place.to_owned(),
        what: format!("the switch will be refused: {}", finding.what),
        ..finding
    }
}

/// The migration as this lane sees it: source, target and plan exchanged for the way back.
pub(crate) async fn of(
    home: &Arc<Migration>,
    direction: Direction,
) -> Result<Arc<Migration>, EngineError> {
    if direction == Direction::Forward {
        return Ok(Arc::clone(home));
    }
    let plan = reversed_plan(home).await?;
    let sides = home.sides.exchanged();
    let mut projections = home.projections.clone();
    for projection in &mut projections {
        std::mem::swap(&mut projection.source, &mut projection.target);
    }
    Ok(Arc::new(Migration {
        plan,
        source: MappedSource::over(sides.source.clone()),
        target: sides.target.clone(),
        sides,
        control: Arc::clone(&home.control),
        projections,
        verify: home.verify,
        options: home.options,
        lead: Arc::clone(&home.lead),
        gates: home.gates,
        abort_conditions: home.abort_conditions.clone(),
        standbys: home.standbys.exchanged(),
        shadow: home.shadow.clone(),
    }))
}
