//! What a control store can do.

use async_trait::async_trait;
use crossfade_plan::Phase;
use serde_json::Value;

use crate::{
    AuditCheck, AuditEntry, AuditId, AuditRecord, Command, CommandId, ControlError, ControlState,
    Holder, Intent, IntentId, IntentState, Lease, PostedCommand, QuarantineStore,
};

/// Keeps the durable state of one migration.
///
/// Whatever a run writes carries its [`Lease`]; a store refuses it ([`ControlError::Superseded`]) once a newer lease was
/// taken. Operators' commands need no lease. A run looks at [`ControlStore::open_commands`] about once a second.
#[async_trait]
pub trait ControlStore: QuarantineStore {
    /// The store's name for people.
    fn label(&self) -> &str;

    /// Everything, for `status`.
    async fn state(&self) -> Result<ControlState, ControlError>;

    /// Takes the right to run; [`ControlError::Held`] while another living process has it.
    async fn acquire(&self) -> Result<Lease, ControlError>;

    /// Takes the right to run from a process that stands still, and gives it to nobody: whatever that process still writes is refused
    /// ([`ControlError::Superseded`]). `seen` is what was read of it last; where it has shown since that it lives, or another holds the right,
    /// nothing happens ([`ControlError::Held`]). The caller has watched it for longer than a living one is silent.
    async fn take_over(&self, owner: &str, seen: &Holder) -> Result<(), ControlError>;

    /// Shows that the run lives, and what it does (`progress`, for people). About once a second.
    async fn heartbeat(&self, lease: &Lease, progress: Option<Value>) -> Result<(), ControlError>;

    /// Moves the phase by compare-and-swap.
    async fn move_phase(&self, lease: &Lease, from: Phase, to: Phase) -> Result<(), ControlError>;

    /// Keeps whether the run is paused.
    async fn set_paused(&self, lease: &Lease, paused: bool) -> Result<(), ControlError>;

    /// Records a step that cannot be taken back, before it is tried. Durable when it returns.
    async fn record_intent(
        &self,
        lease: &Lease,
        kind: &str,
        detail: Value,
    ) -> Result<IntentId, ControlError>;

    /// Says what became of an intent.
    async fn settle_intent(
        &self,
        lease: &Lease,
        intent: IntentId,
        state: IntentState,
    ) -> Result<(), ControlError>;

    /// Intents, newest first, at most a hundred.
    async fn intents(&self) -> Result<Vec<Intent>, ControlError>;

    /// Posts a command. Durable when it returns.
    async fn post(&self, command: Command) -> Result<CommandId, ControlError>;

    /// Commands that are neither done nor failed, oldest first. A command that a dead run had acknowledged stands here again.
    async fn open_commands(&self) -> Result<Vec<PostedCommand>, ControlError>;

    /// Says that the run works on a command.
    async fn acknowledge(&self, lease: &Lease, command: CommandId) -> Result<(), ControlError>;

    /// Ends a command with its result or with why it failed.
    async fn finish(
        &self,
        lease: &Lease,
        command: CommandId,
        result: Result<Value, String>,
    ) -> Result<(), ControlError>;

    /// Takes back a command that no run has taken, or one that is gone; false where a run works on it, or it has ended.
    async fn withdraw(&self, command: CommandId) -> Result<bool, ControlError>;

    /// One command.
    async fn command(&self, command: CommandId) -> Result<PostedCommand, ControlError>;

    /// Forgets the result of a command that has ended: it may hold rows' values.
    async fn forget_result(&self, command: CommandId) -> Result<(), ControlError>;

    /// Keeps the report of a comparison.
    async fn store_report(&self, lease: &Lease, report: Value) -> Result<(), ControlError>;

    /// Appends to the audit log. Durable when it returns. With a lease: refused as whatever a run writes. Intents, commands, phases and
    /// what persons say of the quarantine are appended by the calls that keep them, in the same transaction.
    async fn audit(
        &self,
        lease: Option<&Lease>,
        entry: AuditEntry,
    ) -> Result<AuditId, ControlError>;

    /// Records of the audit log after `after` (`None`: from the first), oldest first, at most `limit` and
    /// [`crate::audit::MOST_LISTED`].
    async fn audit_log(
        &self,
        after: Option<AuditId>,
        limit: u32,
    ) -> Result<Vec<AuditRecord>, ControlError>;

    /// Follows the chain of the audit log from its first record to its last. Says where it is broken first; an error only
    /// where the log cannot be read.
    async fn verify_audit(&self) -> Result<AuditCheck, ControlError>;
}
