//! What speaks against a migration, before anything is made.

mod acting;
mod generated;
mod grants;
mod source;
mod target;
mod words;

pub(crate) use acting::acting;
pub(crate) use generated::refused_by_triggers;
pub(crate) use source::{source, unfit_log};
pub(crate) use target::{target, trigger_rights};
