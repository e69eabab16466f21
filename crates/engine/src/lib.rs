//! The five verbs over any stores: capture, apply, verify (and later switch, retire).

mod acting;
mod apply;
mod attempt;
mod capture;
mod commands;
mod durable;
pub mod error;
pub mod evidence;
pub mod kill;
pub mod layer_report;
pub mod lifecycle;
mod lookout;
mod parked;
pub mod planning;
mod planted;
pub mod preview;
pub mod progress;
pub mod quarantine;
mod refused;
pub mod rehearse;
mod report;
mod retry;
mod run;
mod sequences;
mod session;
mod strangers;
pub mod switch;
mod take_over;
#[cfg(test)]
mod testkit;
mod verify;
mod verify_report;

pub use durable::{SourceRecord, stored_altered};
pub use error::EngineError;
pub use evidence::{Evidence, ReadAgain, StoreEvidence};
pub use layer_report::{
    AggregateDifference, Layer, LayerReport, ProjectionReport, SampleReport, SampledBy,
    TableAggregates, TableSample,
};
pub use lifecycle::{
    DurableStatus, DurableTable, abort, complete, durable_status, leftovers, made_on_source,
    made_on_target, status,
};
pub use planning::{Prepared, plan_record, prepare, stored_plan};
pub use preview::{Outcome as PreviewOutcome, Preview, PreviewedRow, preview};
pub use progress::{
    Difference, DifferenceKind, Event, Lag, Observer, Progress, ProofProgress, RangeProof,
    RunOutcome, Silent, StrangerWrite, StrangersSeen, TableLedger, TableProgress, TableState,
    TableVerify, VerifyReport, VerifySummary,
};
pub use quarantine::{Retried, Revealed, reveal};
pub use rehearse::{Rehearsal, RehearsalReport, rehearse};
pub use run::{Migration, Until, run};
pub use sequences::{SequenceProblem, SequenceVerify};
pub use session::Altered;
pub use strangers::seen as strangers_seen;
pub use switch::destroyed::target_destroyed;
pub use switch::gates::{durable as durable_gates, line as gates_line};
pub use switch::report::SwitchReport;
pub use switch::whose::{Whose, whose};
pub use switch::{Direction, Gates, Lead, Sides, SwitchAnswer, switch_findings};
pub use take_over::{TakenOver, take_over};
pub use verify::cause::Cause;
