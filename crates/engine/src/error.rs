//! What ends a run, and the exit code that says so.

use crossfade_control::ControlError;
use crossfade_model::{Finding, Severity};
use crossfade_store::{Recovery, StoreError};

/// Why a run ended without reaching its end.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// Findings keep the migration from starting or going on. Nothing was made because of it.
    #[error("{}", blocking(.findings))]
    Refused {
        /// All findings, also those that do not block.
        findings: Vec<Finding>,
    },
    /// The run has stopped because going on could lose or change rows, or would hurt the source; a person must act.
    #[error(
        "[{code}] stopped{}{}: {what}. {fix}",
        .table.as_ref().map(|t| format!(" at table {t}")).unwrap_or_default(),
        .key.as_ref().map(|k| format!(", row {k}")).unwrap_or_default()
    )]
    Stopped {
        /// Stable code, such as `ledger.unbalanced`.
        code: &'static str,
        /// The table, where there is one.
        table: Option<String>,
        /// What names the row without showing its values (key columns' names, a digest of the key), where there is one.
        key: Option<String>,
        /// What happened.
        what: String,
        /// What to do next.
        fix: String,
    },
    /// A store's error that was not to be retried, or was retried for as long as the options allow.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The control store's error.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// A defect in this program.
    #[error("[internal] {0}")]
    Internal(String),
    /// The attempt was told to end while this part was waiting. Never reaches the caller of a run.
    #[error("ending")]
    Ending,
    /// What the next attempt needs is durable, and it must begin from there. Never reaches the caller of a run.
    #[error("beginning again")]
    Again,
}

fn blocking(findings: &[Finding]) -> String {
    let blocks: Vec<&Finding> = findings
        .iter()
        .filter(|f| f.severity == Severity::Blocks)
        .collect();
    match blocks.as_slice() {
        [] => "refused".to_owned(),
        [one] => format!("refused: [{}] {}", one.code, one.what),
        [first, ..] => format!(
            "refused by {} findings, the first: [{}] {}",
            blocks.len(),
            first.code,
            first.what
        ),
    }
}

impl EngineError {
    /// A stop without table and row.
    pub fn stopped(
        code: &'static str,
        what: impl Into<String>,
        fix: impl Into<String>,
    ) -> EngineError {
        EngineError::Stopped {
            code,
            table: None,
            key: None,
            what: what.into(),
            fix: fix.into(),
        }
    }

    /// A defect.
    pub fn internal(what: impl Into<String>) -> EngineError {
        EngineError::Internal(what.into())
    }

    /// A rule was asked in a state in which it must not be: a defect of the caller.
    pub fn rule(error: impl std::fmt::Display) -> EngineError {
        EngineError::Internal(error.to_string())
    }

    /// The stable code.
    pub fn code(&self) -> &str {
        match self {
            EngineError::Refused { findings } => findings
                .iter()
                .find(|f| f.severity == Severity::Blocks)
                .map_or("refused", |f| &f.code),
            EngineError::Stopped { code, .. } => code,
            EngineError::Store(e) => e.code,
            EngineError::Control(_) => "control",
            EngineError::Internal(_) => "internal",
            EngineError::Ending => "ending",
            EngineError::Again => "again",
        }
    }

    /// What to do next, where it is not part of the message.
    pub fn fix(&self) -> Option<String> {
        match self {
            EngineError::Refused { findings } => findings
                .iter()
                .find(|f| f.severity == Severity::Blocks)
                .and_then(|f| f.fix.clone()),
            EngineError::Stopped { fix, .. } => Some(fix.clone()),
            EngineError::Store(e) => e.fix.clone(),
            EngineError::Control(e) => Some(e.fix()),
            EngineError::Ending | EngineError::Again => None,
            EngineError::Internal(_) => Some(
                "nothing was lost: what is durable is in the target; please report it".to_owned(),
            ),
        }
    }

    /// The program's exit code: 1 failed, 2 refused by a finding, 3 bad usage or file.
    pub fn exit_code(&self) -> u8 {
        match self {
            EngineError::Refused { .. } => 2,
            EngineError::Stopped { .. }
            | EngineError::Internal(_)
            | EngineError::Ending
            | EngineError::Again => 1,
            EngineError::Store(e) => match e.recovery() {
                Recovery::Refuse => 2,
                Recovery::Usage => 3,
                Recovery::Retry | Recovery::Narrow | Recovery::Stop => 1,
            },
            EngineError::Control(e) => e.exit_code(),
        }
    }
}
