//! Switch, and back: authority for writes moves from the lane's source to its target. The rollback is the same procedure in the
//! other lane.
//!
//! Who takes writes is said by the two stores' registers alone ([`locate`]); the control store keeps intents and the phase, for
//! people and for finding one's way. Up to *given* every failure releases, and nothing has changed; from there on the switch is finished,
//! however long it takes, by this process or by the next ([`locate::settle`]).

pub(crate) mod after;
mod answer;
pub mod destroyed;
pub mod gates;
pub(crate) mod incarnation;
pub(crate) mod keeper;
pub(crate) mod lane;
pub(crate) mod locate;
pub(crate) mod obey;
pub(crate) mod prepare;
mod probe;
pub(crate) mod reads;
pub mod report;
pub(crate) mod route;
pub(crate) mod seed;
mod standbys;
pub(crate) mod tell;
pub(crate) mod way_back;
pub mod whose;
pub(crate) mod window;

use std::sync::Arc;

use crossfade_store::Store;

pub use answer::SwitchAnswer;
pub use gates::Gates;
pub use lane::{Direction, switch_findings};
pub use route::Lead;

/// Both stores of a lane, each able to play the other's part.
#[derive(Clone)]
pub struct Sides {
    /// Where rows come from.
    pub source: Arc<dyn Store>,
    /// Where rows go to.
    pub target: Arc<dyn Store>,
}

impl Sides {
    /// The other lane's.
    pub fn exchanged(&self) -> Sides {
        Sides {
            source: Arc::clone(&self.target),
            target: Arc::clone(&self.source),
        }
    }
}
