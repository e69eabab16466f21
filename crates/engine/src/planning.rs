//! Asks both stores what they hold and makes the plan; for a migration that has begun, takes the plan that is kept in the
//! target and looks for what has changed since.

use std::collections::BTreeSet;

use crossfade_model::{
    Column, Finding, Mode, Omission, Replanned, Severity, Table, TableName, of_each_target,
};
use crossfade_plan::{Declared, Dialect, Inputs, MigrationFile, Plan, assemble, drift};
use crossfade_store::target::engine_of;
use crossfade_store::{
    CaptureSpec, QueryColumn, Record, RecordKey, RecordWrite, Source, Store, StoreError, Target,
    TargetState,
};

use crate::acting;
use crate::durable::stored_altered;
use crate::error::EngineError;
use crate::verify::projection::key_places;

/// A target's dialect, as the plan asks for it.
struct TargetDialect<'a> {
    target: &'a dyn Target,
    source_engine: &'a str,
}

impl Dialect for TargetDialect<'_> {
    fn default_name(&self, source: &TableName) -> TableName {
        self.target.default_name(source)
    }

    fn design(
        &self,
        table: &Table,
        name: &TableName,
        rename: &dyn Fn(&TableName) -> Option<TableName>,
    ) -> (Table, Vec<Omission>) {
        self.target.design(self.source_engine, table, name, rename)
    }

    fn design_mapped(
        &self,
        table: &Table,
        made: &BTreeSet<String>,
        name: &TableName,
        rename: &dyn Fn(&TableName) -> Option<TableName>,
    ) -> (Table, Vec<Omission>) {
        self.target
            .design_mapped(self.source_engine, table, made, name, rename)
    }

    fn declare(&self, table: &Table, column: &Column, made: bool) -> Declared {
        let declared = self
            .target
            .declare(engine_of(self.source_engine, made), table, column);
        Declared {
            name: declared.column.name,
            canonical: declared.canonical,
            lossy: declared.lossy,
            omissions: declared.omissions,
        }
    }

    fn compare(
        &self,
        source: &Column,
        target: &Column,
        made: bool,
    ) -> Result<crossfade_model::Canonical, String> {
        self.target
            .compare(engine_of(self.source_engine, made), source, target)
    }
}

/// A plan, and what the target holds of the migration already.
#[derive(Debug, Clone)]
pub struct Prepared {
    /// The plan; its findings are complete.
    pub plan: Plan,
    /// What the target holds; `None` for a migration that has not begun.
    pub state: Option<TargetState>,
}

impl Prepared {
    /// True where something was made already, so that a run goes on instead of beginning.
    pub fn has_begun(&self) -> bool {
        self.state.as_ref().is_some_and(|s| stored(s).is_some())
    }
}

/// Makes the plan of `file`. Makes nothing in either store.
///
/// # Errors
/// A store that cannot be read. What speaks against the migration is in [`Plan::findings`], not an error.
pub async fn prepare(
    file: &MigrationFile,
    source: &dyn Source,
    store: &dyn Store,
) -> Result<Prepared, EngineError> {
    let target: &dyn Target = store;
    let state = target.peek(&file.name).await?;
    let dialect = TargetDialect {
        target,
        source_engine: source.engine(),
    };
    let stored = state.as_ref().and_then(stored);
    let begun = stored.is_some();
    let altered = state.as_ref().map(stored_altered).transpose()?.flatten();
    // before the source is described: what alters it later is not in the plan
    let replanned = match (&altered, state.as_ref().and_then(|s| s.checkpoint)) {
        (Some(altered), Some(checkpoint)) => Some(Replanned {
            checkpoint,
            log_end: source.probe(&file.name).await?.log_end,
            moved: !altered.moved.is_empty(),
        }),
        _ => None,
    };
    let (source_schema, fresh_target) = tokio::try_join!(source.describe(), async {
        // a migration that has begun has its plan already
        if begun {
            Ok(None)
        } else {
            target.describe().await.map(Some)
        }
    })?;
    let mut plan = match stored {
        Some(record) => {
            let mut plan = read_plan(record, target)?;
            plan.findings = drift(&plan, file, &source_schema, &dialect);
            match altered {
                Some(_) if !plan.is_blocked() => {
                    let target_schema = target.describe().await?;
                    let anew = again(
                        &plan,
                        &Inputs {
                            file,
                            source_engine: source.engine(),
                            target_engine: target.engine(),
                            source: &source_schema,
                            target: &target_schema,
                            dialect: &dialect,
                        },
                    );
                    Plan { replanned, ..anew }
                }
                _ => plan,
            }
        }
        None => {
            let target_schema = fresh_target.unwrap_or_default();
            assemble(&Inputs {
                file,
                source_engine: source.engine(),
                target_engine: target.engine(),
                source: &source_schema,
                target: &target_schema,
                dialect: &dialect,
            })
        }
    };
    same_store(source, target, &mut plan).await?;
    let spec = CaptureSpec {
        replanned: None,
        migration: plan.migration.clone(),
        tables: plan.tables.clone(),
    };
    let distinct = of_each_target(&plan.tables);
    // the stores' checks ask about mapped tables: they are of no use while the mapping itself is wrong
    if !plan.is_blocked() {
        let (of_source, of_target) = tokio::try_join!(
            source.findings(&spec),
            target.findings(&plan.migration, &distinct, !begun)
        )?;
        let of_target = acting_on(store, &plan, of_target).await?;
        plan.findings.extend(of_source);
        plan.findings.extend(of_target);
        if !begun {
            plan.statements = target.create_statements(&plan.types, &distinct);
        }
    }
    plan.findings
        .extend(projection_findings(file, source, target, begun).await?);
    plan.findings
        .sort_by(|a, b| b.severity.cmp(&a.severity).then(a.table.cmp(&b.table)));
    Ok(Prepared { plan, state })
}

/// What is found on the target. Where that has authority, no lane writes there: triggers of its applications are as they should be.
async fn acting_on(
    target: &dyn Store,
    plan: &Plan,
    mut found: Vec<Finding>,
) -> Result<Vec<Finding>, EngineError> {
    let blocks = |finding: &Finding| finding.severity == Severity::Blocks;
    if !found.iter().any(blocks) {
        return Ok(found);
    }
    let standing = target.standing(&plan.migration).await?;
    if standing.is_none_or(|standing| standing.register.mode != Mode::Open) {
        return Ok(found);
    }
    let names = plan.tables.iter().map(|mapping| &mapping.target.name);
    let acting = acting::on(target, &plan.migration, names).await?;
    for finding in found.iter_mut().filter(|finding| blocks(finding)) {
        if acting
            .iter()
            .any(|a| a.code == finding.code && a.table == finding.table)
        {
            finding.severity = Severity::Warning;
        }
    }
    Ok(found)
}

/// The plan after a run ended at an altered table: the source as it is now, into the target as the operator has made it.
/// What the migration makes later on its own tables (indexes, foreign keys) is designed anew.
fn again(old: &Plan, inputs: &Inputs<'_>) -> Plan {
    let mut plan = assemble(inputs);
    let theirs = |name: &TableName| {
        let mut theirs = old.tables.iter().filter(|m| old.present.contains(&m.id));
        theirs.any(|m| m.target.name == *name)
    };
    let mut without = inputs.target.clone();
    without.tables.retain(|table| theirs(&table.name));
    let anew = assemble(&Inputs {
        target: &without,
        ..*inputs
    });
    for (mapping, designed) in plan.tables.iter_mut().zip(anew.tables) {
        if old.present.contains(&mapping.id) || !plan.present.contains(&mapping.id) {
            continue;
        }
        mapping.target.key = designed.target.key;
        mapping.target.indexes = designed.target.indexes;
        mapping.target.foreign_keys = designed.target.foreign_keys;
        mapping.target.checks = designed.target.checks;
    }
    plan.present = old.present.clone();
    plan
}

/// The record that keeps the plan in the target. To be written before anything else is made: a resumed run works by this plan
/// and by no other, since half-made tables would be described otherwise than they were planned.
///
/// # Errors
/// Never with a plan that [`prepare`] made; a defect otherwise.
pub fn plan_record(plan: &Plan) -> Result<RecordWrite, EngineError> {
    let mut kept = plan.clone();
    kept.findings.clear();
    let body = serde_json::to_string(&kept)
        .map_err(|e| EngineError::internal(format!("the plan could not be written: {e}")))?;
    Ok(RecordWrite::Put(Record {
        key: RecordKey::new(PLAN, PLAN),
        body,
    }))
}

const PLAN: &str = "plan";

fn stored(state: &TargetState) -> Option<&Record> {
    state.records.iter().find(|r| r.key.kind == PLAN)
}

/// The plan that the target keeps; `None` for a migration that has not begun.
///
/// # Errors
/// A record that cannot be read.
pub fn stored_plan(state: &TargetState, target: &dyn Target) -> Result<Option<Plan>, EngineError> {
    stored(state).map(|r| read_plan(r, target)).transpose()
}

fn read_plan(record: &Record, target: &dyn Target) -> Result<Plan, EngineError> {
    serde_json::from_str(&record.body).map_err(|e| {
        let error = StoreError::new(
            crossfade_store::ErrorKind::Corrupt,
            "plan.unreadable",
            target.label(),
            format!("the plan that is kept in the target cannot be read: {e}"),
        );
        EngineError::Store(error.fix(
            "use the version of crossfade that began the migration, or `abort` and begin again",
        ))
    })
}

/// What speaks against the projections: each query is read by its server, and not run.
async fn projection_findings(
    file: &MigrationFile,
    source: &dyn Source,
    target: &dyn Target,
    begun: bool,
) -> Result<Vec<Finding>, EngineError> {
    let mut out = Vec::new();
    for projection in &file.projections {
        let object = format!("projection {}", projection.name.text);
        let theirs = described(source.query_columns(&projection.source.text).await)?;
        let ours = described(target.query_columns(&projection.target.text).await)?;
        let differs = match (&theirs, &ours) {
            (Ok(theirs), Ok(ours)) => key_places(&projection.key, theirs, ours).err(),
            _ => None,
        };
        if let Err(what) = &theirs {
            let what = format!("the source's query cannot be run: {what}");
            out.push(Finding::blocks("projection.query", &object, what));
        }
        if let Err(what) = &ours {
            let what = format!("the target's query cannot be run: {what}");
            // its tables may be what the migration is about to make
            out.push(if begun {
                Finding::blocks("projection.query", &object, what)
            } else {
                Finding::new("projection.query", Severity::Warning, &object, what)
            });
        }
        if let Some((code, what)) = differs {
            out.push(Finding::blocks(code, &object, what).fix(
                "give the columns of both queries the same names in the same order, and name columns of theirs in `key`",
            ));
        }
    }
    Ok(out)
}

/// A query's columns, or the server's words about it; an error where the server could not be asked.
fn described(
    asked: crossfade_store::Result<Vec<QueryColumn>>,
) -> Result<Result<Vec<QueryColumn>, String>, EngineError> {
    match asked {
        Ok(columns) => Ok(Ok(columns)),
        Err(error) if error.kind == crossfade_store::ErrorKind::Connection => Err(error.into()),
        Err(error) => Ok(Err(error.what)),
    }
}

/// A source that is its own target would feed itself.
async fn same_store(
    source: &dyn Source,
    target: &dyn Target,
    plan: &mut Plan,
) -> Result<(), EngineError> {
    if source.engine() != target.engine() {
        return Ok(());
    }
    let (one, other) = tokio::try_join!(source.identity(), target.identity())?;
    if one.identity == other.identity {
        plan.findings.push(
            Finding::blocks(
                "plan.same_store",
                "target",
                "source and target are the same database",
            )
            .fix("give the target's URL another database"),
        );
    }
    Ok(())
}
