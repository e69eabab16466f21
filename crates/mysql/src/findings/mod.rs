//! What speaks against a migration, before anything is made.

mod grants;
mod source;
mod target;
mod words;

pub(crate) use source::{source, unfit_log};
pub(crate) use target::{target, trigger_rights};
