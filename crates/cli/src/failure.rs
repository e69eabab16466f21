//! What the program says when it cannot do what it was asked: what happened, where, what to do next.

use crossfade_certificate::CertificateError;
use crossfade_control::ControlError;
use crossfade_engine::EngineError;
use crossfade_model::Finding;
use crossfade_plan::{FileError, Problem};
use crossfade_route::{RouteError, RouteErrorKind};
use crossfade_store::{Recovery, StoreError};
use serde::Serialize;

use crate::show::text::visible;

/// Exit code: something failed.
pub const FAILED: u8 = 1;
/// Exit code: refused by a finding, a gate or a difference.
pub const REFUSED: u8 = 2;
/// Exit code: bad usage or file.
pub const USAGE: u8 = 3;

/// A failure, ready to be shown.
#[derive(Debug, Serialize)]
pub struct Failure {
    /// The exit code.
    pub exit: u8,
    /// Stable code.
    pub code: String,
    /// What happened.
    pub what: String,
    /// The store, without secrets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub store: Option<String>,
    /// The table.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub table: Option<String>,
    /// What names the row.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// What to do next.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
    /// Causes, outermost first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<String>,
    /// Findings that refuse.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<Finding>,
    /// Places in the migration file.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<Problem>,
    /// The places drawn, for people.
    #[serde(skip)]
    pub picture: Option<String>,
}

impl Failure {
    /// A failure without place.
    pub fn new(exit: u8, code: &str, what: impl Into<String>) -> Failure {
        Failure {
            exit,
            code: code.to_owned(),
            what: what.into(),
            store: None,
            table: None,
            key: None,
            fix: None,
            causes: Vec::new(),
            findings: Vec::new(),
            problems: Vec::new(),
            picture: None,
        }
    }

    /// A defect in this program.
    pub fn internal(what: impl Into<String>) -> Failure {
        Failure::new(FAILED, "internal", what)
    }

    /// With what to do next.
    #[must_use]
    pub fn fix(mut self, fix: impl Into<String>) -> Failure {
        self.fix = Some(fix.into());
        self
    }

    /// For people.
    pub fn text(&self) -> String {
        if let Some(picture) = &self.picture {
            return picture.clone();
        }
        let mut text = format!("error: {}", self.what);
        let place: Vec<String> = [
            self.store.clone(),
            self.table.as_ref().map(|t| format!("table {t}")),
            self.key.as_ref().map(|k| format!("row {k}")),
        ]
        .into_iter()
        .flatten()
        .collect();
        if !place.is_empty() {
            text.push_str(&format!("\n  where: {}", place.join(", ")));
        }
        for cause in &self.causes {
            text.push_str(&format!("\n  cause: {cause}"));
        }
        if let Some(fix) = &self.fix {
            text.push_str(&format!("\n  do:    {fix}"));
        }
        text.push_str(&format!("\n  code:  {}", self.code));
        text
    }
}

/// The causes below an error, outermost first; at most a handful, without repetition.
fn causes(error: &dyn std::error::Error) -> Vec<String> {
    let mut list: Vec<String> = Vec::new();
    let mut next = error.source();
    while let Some(cause) = next {
        let text = cause.to_string();
        if list.len() < 5 && !list.contains(&text) {
            list.push(text);
        }
        next = cause.source();
    }
    list
}

impl From<FileError> for Failure {
    fn from(error: FileError) -> Self {
        let what = match error.problems.first() {
            Some(p) => format!("{}:{}:{}: {}", error.path, p.line, p.column, p.what),
            None => error.path.clone(),
        };
        let mut failure = Failure::new(USAGE, "file", what);
        failure.picture = Some(error.to_string());
        failure.problems = error.problems;
        failure
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let exit = match error.recovery() {
            Recovery::Refuse => REFUSED,
            Recovery::Usage => USAGE,
            Recovery::Retry | Recovery::Narrow | Recovery::Stop => FAILED,
        };
        let mut failure = Failure::new(exit, error.code, error.what.clone());
        if let Some(code) = &error.server_code {
            failure.what.push_str(&format!(" ({code})"));
        }
        failure.causes = causes(&error);
        failure
            .causes
            .retain(|c| !failure.what.contains(c.as_str()));
        failure.store = Some(error.store);
        failure.table = error.table;
        failure.fix = error.fix;
        failure
    }
}

impl From<ControlError> for Failure {
    fn from(error: ControlError) -> Self {
        let code = match &error {
            ControlError::Held { .. } => "control.held",
            ControlError::Superseded { .. } => "control.superseded",
            ControlError::Newer { .. } => "control.newer",
            ControlError::WrongMigration { .. } => "control.wrong_migration",
            ControlError::NotControl { .. } => "control.not_control",
            ControlError::PhaseMoved { .. } => "control.phase_moved",
            ControlError::Missing { .. } => "control.missing",
            ControlError::NoEntry { .. } => "quarantine.no_entry",
            ControlError::EntryState { .. } => "quarantine.state",
            ControlError::Unwritten { .. } => "quarantine.unwritten",
            ControlError::TooLong { .. } => "quarantine.too_long",
            ControlError::Failed { .. } => "control.failed",
        };
        let mut failure = Failure::new(error.exit_code(), code, error.to_string());
        failure.fix = Some(error.fix());
        failure.causes = causes(&error);
        failure
            .causes
            .retain(|c| !failure.what.contains(c.as_str()));
        failure
    }
}

impl From<EngineError> for Failure {
    fn from(error: EngineError) -> Self {
        let exit = error.exit_code();
        let fix = error.fix();
        match error {
            EngineError::Store(e) => e.into(),
            EngineError::Control(e) => e.into(),
            EngineError::Refused { findings } => refused(findings),
            EngineError::Stopped {
                code,
                table,
                key,
                what,
                fix,
            } => {
                let mut failure = Failure::new(exit, code, what).fix(fix);
                failure.table = table;
                failure.key = key;
                failure
            }
            other => {
                let mut failure = Failure::new(exit, other.code(), other.to_string());
                failure.fix = fix;
                failure
            }
        }
    }
}

impl From<RouteError> for Failure {
    fn from(error: RouteError) -> Self {
        let exit = match error.kind {
            RouteErrorKind::Usage => USAGE,
            RouteErrorKind::StaleEpoch
            | RouteErrorKind::Foreign
            | RouteErrorKind::Unsupported
            | RouteErrorKind::Permission => REFUSED,
            RouteErrorKind::Unreachable
            | RouteErrorKind::Timeout
            | RouteErrorKind::Busy
            | RouteErrorKind::Failed
            | RouteErrorKind::Corrupt => FAILED,
        };
        let mut failure =
            Failure::new(exit, error.code, format!("{}: {}", error.route, error.what));
        failure.causes = causes(&error);
        failure.fix = error.fix;
        failure
    }
}

impl From<CertificateError> for Failure {
    fn from(error: CertificateError) -> Self {
        let mut failure =
            Failure::new(error.exit_code(), error.code(), visible(&error.to_string()));
        failure.table = error.table().map(visible);
        failure.fix = Some(error.fix());
        failure
    }
}

/// A refusal by findings.
pub fn refused(findings: Vec<Finding>) -> Failure {
    let blocks: Vec<&Finding> = findings
        .iter()
        .filter(|f| f.severity == crossfade_model::Severity::Blocks)
        .collect();
    let what = match blocks.as_slice() {
        [one] => format!("refused: {}", one.what),
        several => format!("refused by {} findings", several.len()),
    };
    let mut failure = Failure::new(REFUSED, "refused", what);
    if let [one] = blocks.as_slice() {
        failure.code.clone_from(&one.code);
        failure.table.clone_from(&one.table);
        failure.fix.clone_from(&one.fix);
    } else {
        failure.fix = Some(
            "resolve the findings that block; `crossfade plan FILE` lists them again".to_owned(),
        );
    }
    failure.findings = findings;
    failure
}
