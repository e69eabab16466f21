//! That routes are, or may be, paused is an intent: a process that ends before each of them was seen to go on leaves that to the next.

use crossfade_control::{IntentState, Lease};

use super::Lead;
use crate::error::EngineError;
use crate::run::Migration;

/// The intent's kind.
pub(crate) const PAUSED: &str = "pause_routes";

/// To be called before they are paused.
///
/// # Errors
/// The control store's.
pub(crate) async fn intended(
    home: &Migration,
    lease: &Lease,
    epoch: u64,
) -> Result<(), EngineError> {
    if home.lead.routes.is_empty() {
        return Ok(());
    }
    let detail = serde_json::json!({ "epoch": epoch });
    home.control.record_intent(lease, PAUSED, detail).await?;
    Ok(())
}

/// Settles what was intended once no route waits any more. Where the control store does not hear it, whoever looks next says so.
pub(crate) async fn settled(home: &Migration, lease: &Lease) {
    let lead: &Lead = &home.lead;
    if lead.routes.is_empty() || lead.owed().is_some() {
        return;
    }
    let settled = async {
        let state = home.control.state().await?;
        for intent in state.open_intents.iter().filter(|i| i.kind == PAUSED) {
            let done = IntentState::Done(serde_json::Value::Null);
            home.control.settle_intent(lease, intent.id, done).await?;
        }
        Ok::<_, EngineError>(())
    };
    if let Err(error) = settled.await {
        tracing::warn!(error = %error, "that the routes go on is not written down yet");
    }
}
