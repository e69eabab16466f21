//! What a certificate states of a comparison besides the sums of its tables: who the stores are, by which plan, under which
//! salt, what a person has said of the differences, and what was read once more.

use std::collections::HashMap;
use std::sync::Arc;

use crossfade_control::quarantine::{self, Classification, Filter};
use crossfade_control::{EntryState, Verdict};
use crossfade_model::{BucketSum, TableMapping};
use crossfade_store::{ErrorKind, SourceIdentity, StoreError};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use crate::error::EngineError;
use crate::progress::{Difference, DifferenceKind, TableVerify, VerifyReport};
use crate::run::Run;
use crate::session::Session;
use crate::verify::collect::VerifyRequest;
use crate::verify::recheck;

/// Gathered where a comparison is asked for with it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// The migration's name.
    pub migration: String,
    /// The plan's hash.
    pub plan_hash: String,
    /// The source.
    pub source: StoreEvidence,
    /// The target.
    pub target: StoreEvidence,
    /// The tables' mappings, one a table of the report in the same order.
    pub mappings: Vec<TableMapping>,
    /// The keys that changed during the comparison, read once more on both sides after it; `None` where they could not be.
    pub read_again: Option<ReadAgain>,
}

/// A store as it was before the comparison began.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreEvidence {
    /// The engine's name.
    pub engine: String,
    /// Where it is, without secrets.
    pub label: String,
    /// Engine and version, for people.
    pub version: String,
    /// Who it is.
    pub identity: String,
}

/// Keys that were read on both sides after a comparison, without the stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadAgain {
    /// The position, for people.
    pub position: String,
    /// Keys that had changed since their tables' reading began.
    pub keys: u64,
    /// Those among them that changed again while they were read, and are not decided.
    pub moving: u64,
}

/// Who both stores are.
///
/// # Errors
/// A store that cannot be asked.
pub(crate) async fn stores(session: &Session) -> Result<[StoreEvidence; 2], EngineError> {
    let (source, target) = (&session.source, &session.target);
    Ok([
        store(source.engine(), source.label(), source.identity().await)?,
        store(target.engine(), target.label(), target.identity().await)?,
    ])
}

fn store(
    engine: &str,
    label: &str,
    asked: Result<SourceIdentity, StoreError>,
) -> Result<StoreEvidence, EngineError> {
    let found = match asked {
        Ok(found) => found,
        // a role that may write a target need not be one that may ask who its server is
        Err(e) if e.kind == ErrorKind::Permission => SourceIdentity {
            version: engine.to_owned(),
            identity: "not known: the role may not ask".to_owned(),
        },
        Err(e) => return Err(e.into()),
    };
    Ok(StoreEvidence {
        engine: engine.to_owned(),
        label: label.to_owned(),
        version: found.version,
        identity: found.identity,
    })
}

/// All that is known of a comparison that has ended.
pub(crate) async fn gather(
    run: &Run,
    session: &Arc<Session>,
    requests: &mpsc::Sender<VerifyRequest>,
    [source, target]: [StoreEvidence; 2],
    report: &VerifyReport,
) -> Result<Evidence, EngineError> {
    Ok(Evidence {
        migration: session.name.clone(),
        plan_hash: run.migration.plan.hash(),
        source,
        target,
        mappings: session.tables().to_vec(),
        read_again: read_again(session, requests, report).await?,
    })
}

/// Reads what the stream alone has proven once more, on both sides. A row that then differs, and did not before, is no
/// statement about the comparison's position, but nobody would call it a proof.
async fn read_again(
    session: &Arc<Session>,
    requests: &mpsc::Sender<VerifyRequest>,
    report: &VerifyReport,
) -> Result<Option<ReadAgain>, EngineError> {
    let again = match recheck::recheck(session, requests).await {
        Ok(again) => again,
        // too much is changing: the comparison says itself what the stream alone has proven
        Err(EngineError::Stopped { .. }) => return Ok(None),
        Err(error) => return Err(error),
    };
    for table in &again.tables {
        let before = report.tables.iter().find(|t| t.name == table.name);
        let known = |d: &Difference| {
            before.is_none_or(|t| t.more || t.differences.iter().any(|b| b.key == d.key))
        };
        if let Some(new) = table.differences.iter().find(|d| !known(d)) {
            return Err(EngineError::Stopped {
                code: "verify.read_again",
                table: Some(table.name.clone()),
                key: Some(new.key.clone()),
                what: "a row that changed during the comparison differs now that both sides are read again"
                    .to_owned(),
                fix: "give `verify` again: it reads both sides whole, and names the rows that differ".to_owned(),
            });
        }
    }
    Ok(Some(ReadAgain {
        position: again.position,
        keys: again.tables.iter().map(|t| t.rows).sum(),
        moving: again.tables.iter().map(|t| t.stream_proven_keys).sum(),
    }))
}

/// Enters what a person has said of the rows that differ, and how they differ now. Of a row that differs in another way than
/// was classified, nobody has said anything.
pub(crate) async fn classify(run: &Run, report: &mut VerifyReport) -> Result<(), EngineError> {
    for table in &mut report.tables {
        if table.differences.is_empty() {
            continue;
        }
        let said = said(run, &table.name).await?;
        for difference in &mut table.differences {
            let key = difference.row_key.as_ref();
            difference.classification = key.and_then(|key| said.get(&key.digest).cloned());
        }
    }
    Ok(())
}

/// What is said of a table's rows, by the digests of their keys.
async fn said(run: &Run, table: &str) -> Result<HashMap<String, Classification>, EngineError> {
    let mut said = HashMap::new();
    let mut filter = Filter {
        state: Some(EntryState::Classified),
        table: Some(table.to_owned()),
        after: None,
        limit: quarantine::MOST_LISTED,
    };
    loop {
        let page = run.migration.control.quarantine(filter.clone()).await?;
        for entry in page.entries {
            said.extend(entry.classification.map(|c| (entry.key.digest, c)));
        }
        match page.next {
            Some(next) => filter.after = Some(next),
            None => return Ok(said),
        }
    }
}

impl Difference {
    /// A person expects it, and the digests of its rows are known, so that it can be taken out of the sums.
    pub fn is_expected(&self) -> bool {
        let said = self.classification.as_ref();
        let rows = match self.kind {
            DifferenceKind::Missing => (1, 0),
            DifferenceKind::Extra => (0, 1),
            DifferenceKind::Changed => (1, 1),
        };
        said.is_some_and(|c| c.verdict == Verdict::Expected)
            && (self.source_digest.rows, self.target_digest.rows) == rows
    }
}

impl TableVerify {
    /// The part of both sides' sums that belongs to differences that a person expects.
    pub fn expected(&self) -> [BucketSum; 2] {
        let mut parts = [BucketSum::default(); 2];
        for difference in self.differences.iter().filter(|d| d.is_expected()) {
            parts[0].merge(&difference.source_digest);
            parts[1].merge(&difference.target_digest);
        }
        parts
    }

    /// The table is equal, but for differences that a person expects: without their rows the sums are equal.
    pub fn is_equal_as_expected(&self) -> bool {
        let [source, target] = self.expected();
        // what is taken out of one side is as good as added to the other
        let (mut theirs, mut ours) = (self.source, self.target);
        theirs.merge(&target);
        ours.merge(&source);
        theirs == ours && !self.more && self.differences.iter().all(Difference::is_expected)
    }
}

impl VerifyReport {
    /// Everything is equal, but for differences that a person expects. Of touched keys it says what [`VerifyReport::equal`]
    /// says.
    pub fn is_equal_as_expected(&self) -> bool {
        let differs = self.tables.iter().any(|t| !t.equal);
        let projections = self.layers.projections.iter().all(|p| p.equal);
        let tables = || self.tables.iter().all(TableVerify::is_equal_as_expected);
        let sequences = self.sequences.iter().all(|s| s.equal);
        self.equal || (differs && projections && sequences && tables())
    }

    /// The report as it is kept and shown: what only a certificate needs is left out.
    #[must_use]
    pub fn without_evidence(&self) -> VerifyReport {
        let mut report = self.clone();
        report.evidence = None;
        for difference in report.tables.iter_mut().flat_map(|t| &mut t.differences) {
            difference.source_digest = BucketSum::default();
            difference.target_digest = BucketSum::default();
        }
        report
    }
}

#[cfg(test)]
#[path = "evidence_tests.rs"]
mod tests;
