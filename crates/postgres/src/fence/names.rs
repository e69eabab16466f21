//! Names of what the fence makes.

use sha2::{Digest as _, Sha256};

use crate::names::{OWN_SCHEMA, capture_name};

/// The latch: the number of an advisory lock. A migration's differs from another's, and hardly meets an application's.
pub(super) fn latch(migration: &str) -> i64 {
    let digest = Sha256::digest(format!("crossfade latch {migration}"));
    let mut first = [0; 8];
    first.copy_from_slice(&digest[..8]);
    i64::from_be_bytes(first)
}

/// The sequence that writers read. Its name can be computed by the server as well ([`super::sql::gate_lookup`]).
pub(super) fn gate(migration: &str) -> String {
    format!("{OWN_SCHEMA}.gate_{}", digest(migration))
}

/// The function of the triggers.
pub(super) fn function(migration: &str) -> String {
    format!("{OWN_SCHEMA}.latch_{}", digest(migration))
}

/// The table that the probe writes into.
pub(super) fn probe(migration: &str) -> String {
    format!("probe_{}", digest(migration))
}

/// The statement trigger on a fenced table.
pub(super) fn trigger(migration: &str) -> String {
    capture_name(&format!("latch_{migration}"))
}

/// The row trigger, where a native subscription applies.
pub(super) fn row_trigger(migration: &str) -> String {
    capture_name(&format!("row_latch_{migration}"))
}

fn digest(migration: &str) -> String {
    crossfade_model::hex::encode(&Sha256::digest(migration)[..8])
}

/// The function of the event triggers.
pub(super) fn freeze_function(migration: &str) -> String {
    format!("{OWN_SCHEMA}.freeze_{}", digest(migration))
}

/// The event triggers that refuse changes of shape: on commands, and on what they drop.
pub(super) fn freezes(migration: &str) -> [String; 2] {
    ["freeze", "drop_freeze"].map(|what| capture_name(&format!("{what}_{migration}")))
}
