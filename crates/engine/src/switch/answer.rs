//! What a run answers to an order that came from another shell: a report, or why not, with all that a person is to do.

use crossfade_control::ControlError;
use crossfade_model::Finding;
use serde::{Deserialize, Serialize};

use crate::error::EngineError;
use crate::switch::report::SwitchReport;

/// The answer, as it travels through the control store.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SwitchAnswer {
    /// It happened, or its dry run did.
    Report(Box<SwitchReport>),
    /// Findings or gates refuse. Nothing has changed hands.
    Refused(Vec<Finding>),
    /// It failed.
    Failed {
        /// Stable code.
        code: String,
        /// What happened.
        what: String,
        /// What to do next.
        fix: Option<String>,
    },
}

impl From<Result<SwitchReport, EngineError>> for SwitchAnswer {
    fn from(outcome: Result<SwitchReport, EngineError>) -> SwitchAnswer {
        match outcome {
            Ok(report) => SwitchAnswer::Report(Box::new(report)),
            Err(EngineError::Refused { findings }) => SwitchAnswer::Refused(findings),
            Err(error) => SwitchAnswer::Failed {
                code: error.code().to_owned(),
                fix: error.fix(),
                what: match error {
                    EngineError::Control(ControlError::Held { .. }) => {
                        "another run holds the migration".to_owned()
                    }
                    error => error.to_string(),
                },
            },
        }
    }
}
