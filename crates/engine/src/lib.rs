//! The five verbs over any stores: capture, apply, verify (and later switch, retire).

pub mod error;
pub mod progress;

pub use error::EngineError;
pub use progress::{
    Difference, DifferenceKind, Event, Lag, Observer, Progress, RunOutcome, Silent, TableLedger,
    TableProgress, TableState, TableVerify, VerifyReport, VerifySummary,
};
