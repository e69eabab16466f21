//! What acts on rows by itself as a lane writes them: triggers of applications that the store cannot keep quiet in crossfade's sessions.
//!
//! They have fired where the rows come from. What they write once more is in crossfade's own transactions: no mark, no log and no
//! stream shows it, and a row that was proven before may be another one since. So a lane does not write where one is, and ends where one appears.

use std::collections::BTreeMap;

use crossfade_model::{Finding, Severity, TableMapping, TableName};
use crossfade_store::{Store, Target};

use crate::error::EngineError;
use crate::run::Run;
use crate::session::Session;
use crate::switch::Direction;

/// Refuses to write, or to go on writing, where something acts on the lane's target. What was proven goes with the attempt.
///
/// # Errors
/// [`EngineError::Refused`]; the store's.
pub(crate) async fn quiet(session: &Session) -> Result<(), EngineError> {
    none(session.target.as_ref(), &session.name, session.tables()).await
}

/// The same before there is a session.
///
/// # Errors
/// [`EngineError::Refused`]; the store's.
pub(crate) async fn none(
    target: &dyn Target,
    lane: &str,
    tables: &[TableMapping],
) -> Result<(), EngineError> {
    let found = on(target, lane, tables.iter().map(|m| &m.target.name)).await?;
    if found.is_empty() {
        return Ok(());
    }
    let findings = found.into_iter().map(|finding| Finding {
        what: format!(
            "{}. What they have written since they are there is known to nobody; the next run proves all rows anew",
            finding.what
        ),
        ..finding
    });
    Err(EngineError::Refused {
        findings: findings.collect(),
    })
}

/// What would act on the tables that rows come from, once the other lane writes there.
///
/// # Errors
/// The store's.
pub(crate) async fn behind(
    store: &dyn Store,
    lane: &str,
    tables: &[TableMapping],
) -> Result<Vec<Finding>, EngineError> {
    on(
        store,
        lane,
        tables.iter().map(|mapping| &mapping.source_table().name),
    )
    .await
}

/// What acts on tables; each is asked about once.
///
/// # Errors
/// The store's.
pub(crate) async fn on(
    store: &dyn Target,
    lane: &str,
    tables: impl Iterator<Item = &TableName>,
) -> Result<Vec<Finding>, EngineError> {
    let names: BTreeMap<String, &TableName> = tables.map(|n| (n.to_string(), n)).collect();
    let names: Vec<&TableName> = names.into_values().collect();
    Ok(store.acting(lane, &names).await?)
}

/// Says of the way back's lane what a rollback will leave behind: what was said by `plan` was of the other side.
pub(crate) async fn told(run: &Run, session: &Session) -> Result<(), EngineError> {
    if run.direction == Direction::Forward {
        return Ok(());
    }
    let source = run.migration.sides.source.as_ref();
    for finding in behind(source, run.base(), session.tables()).await? {
        let table = finding.table.unwrap_or_default();
        let fix = finding.fix.unwrap_or_default();
        session.observer.event(&crate::progress::Event::Warning {
            what: format!(
                "after a rollback this side is not followed on until this is mended: table {table}: {}. {fix}",
                finding.what
            ),
        });
    }
    Ok(())
}

/// What will refuse the switch, as `plan` says it.
pub(crate) fn as_warnings(found: Vec<Finding>) -> impl Iterator<Item = Finding> {
    found.into_iter().map(|finding| Finding {
        severity: Severity::Warning,
        place: "source".to_owned(),
        what: format!(
            "the switch will be refused, since its way back would write here: {}",
            finding.what
        ),
        ..finding
    })
}
