//! What a person orders when authority is to change hands.

use serde::{Deserialize, Serialize};

use crate::ControlError;
use crate::quarantine::{LONGEST_NAME, LONGEST_REASON, written};

/// Overrides of an order at most: there are fewer gates.
pub const MOST_OVERRIDES: usize = 32;

/// What changes hands.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Traffic {
    /// Writes: authority itself.
    #[default]
    Writes,
    /// Reads, through the route; all of them where neither part is named.
    Reads {
        /// Of a hundred readers, so many.
        #[serde(default)]
        percent: Option<u8>,
        /// The readers of this tenant only.
        #[serde(default)]
        tenant: Option<String>,
    },
}

/// A gate that is passed although it is not met.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Override {
    /// The gate.
    pub gate: String,
    /// Why, in the words of who answers for it.
    pub reason: String,
}

/// A switch or a rollback that is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SwitchOrder {
    /// What changes hands.
    #[serde(default)]
    pub what: Traffic,
    /// Who answers for it.
    pub owner: String,
    /// The time box in milliseconds: what has not given authority away by then is taken back.
    pub within_ms: u64,
    /// Do everything up to firing the fence.
    #[serde(default)]
    pub dry_run: bool,
    /// End transactions that keep the fence from closing.
    #[serde(default)]
    pub kill_blockers: bool,
    /// Gates that are passed although they are not met.
    #[serde(default)]
    pub overrides: Vec<Override>,
}

impl SwitchOrder {
    /// An order is refused before it is kept where a person's words in it are missing or too long.
    pub(crate) fn check(&self) -> Result<(), ControlError> {
        owner(&self.owner)?;
        if self.overrides.len() > MOST_OVERRIDES {
            return Err(ControlError::TooLong {
                what: "the list of overrides",
                longest: MOST_OVERRIDES,
            });
        }
        for one in &self.overrides {
            written("the gate of an override", &one.gate, LONGEST_NAME)?;
            written("the reason of an override", &one.reason, LONGEST_REASON)?;
        }
        match &self.what {
            Traffic::Reads {
                tenant: Some(tenant),
                ..
            } => written("the tenant", tenant, LONGEST_NAME).map(drop),
            _ => Ok(()),
        }
    }
}

/// The name of who answers for a step.
pub(crate) fn owner(name: &str) -> Result<(), ControlError> {
    written("the owner", name, LONGEST_NAME).map(drop)
}
