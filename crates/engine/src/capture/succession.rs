//! Another server in the source's place: whether the run may go on with it, and from where.
//!
//! What its own log says of the changes is in another order of positions. It is asked once, before anything is read from it; from then on
//! its positions lie behind all of its predecessor's. What that means for what is durable:
//!
//! - **The checkpoint** moves to the place in the new log before which exactly the applied transactions lie, in the transaction that
//!   writes down who the source is now.
//! - **Loaded chunks** keep their snapshots: these lie before every transaction that will come, so all of it is applied, also what they
//!   saw already (whole images of keyed rows bear that). Where one may have seen more than the checkpoint stands for, the new server must
//!   have that too, and the chunk's horizon becomes the end of the new log: until then its rows may be ahead.
//! - **What is owed** was applied, or left to a later snapshot, at or before the checkpoint: every snapshot of the new server sees it.

use std::sync::Arc;

use crossfade_store::{Kept, Source, Tenure};

use crate::durable::{self, SourceRecord};
use crate::error::EngineError;
use crate::progress::{Event, Observer};

/// Gives back to the source what the target keeps of it. True where another server has taken its place: the attempt is to begin again.
///
/// # Errors
/// The source's, where going on would lose changes or apply some twice.
pub(crate) async fn settle(
    source: &Arc<dyn Source>,
    tenure: &dyn Tenure,
    observer: &dyn Observer,
) -> Result<bool, EngineError> {
    let state = tenure.state();
    let Some(stored) = durable::stored_source(state)? else {
        return Ok(false);
    };
    let checkpoint = state.checkpoint.unwrap_or(stored.start.position);
    let ahead = durable::ahead(state, checkpoint)?;
    let kept = Kept {
        identity: stored.identity.identity.clone(),
        checkpoint,
        mark: durable::stored_mark(state)?,
        seen: ahead.iter().map(|copied| copied.seen.clone()).collect(),
    };
    let Some(successor) = source.resume(&kept).await? else {
        return Ok(false);
    };
    let record = SourceRecord {
        identity: successor.identity.clone(),
        ..stored
    };
    let mut records = vec![durable::source_record(&record)?];
    records.extend(durable::mark_record(successor.checkpoint, successor.mark)?);
    for copied in ahead {
        records.push(copied.moved_to(successor.end)?);
    }
    let mut applier = tenure.open_applier().await?;
    applier.begin().await?;
    applier.records(&records).await?;
    applier
        .commit(state.checkpoint, successor.checkpoint)
        .await?;
    observer.event(&Event::Succeeded {
        identity: successor.identity.identity,
        position: source.show_position(successor.checkpoint),
    });
    Ok(true)
}
