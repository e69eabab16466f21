//! From a migration file to a checked plan. Pure: text and descriptions in, values out; no I/O, no clock, no store.
//!
//! | module | holds |
//! | --- | --- |
//! | `file` | the migration file: syntax, defaults, bounds, errors with a picture of the place |
//! | [`table_entry`] | what `[[table]]` can say |
//! | [`options`] | what `[run]` can say |
//! | [`gates`] | what `[gates]` and `[abort_conditions]` can say |
//! | `assemble` | source and target descriptions and the file become a [`Plan`] |
//! | [`plan`] | the plan and its hash |
//! | `route` | what `[route]` can say |
//! | [`standbys`] | what `[standbys]` can say |
//! | [`shadow`] | what `[shadow]` can say |
//! | [`phases`] | the lifecycle as data: authority and way back of each phase, its moves and their gates |

pub mod assemble;
pub mod file;
pub mod gates;
pub mod near;
pub mod options;
pub mod phases;
mod picture;
pub mod plan;
mod projection;
mod route;
pub mod shadow;
pub mod standbys;
pub mod store_url;
pub mod table_entry;
pub mod verify_options;

pub use assemble::{Declared, Dialect, Inputs, assemble, drift};
pub use file::Listed;
pub use file::{FileError, MigrationFile};
pub use gates::{AbortConditions, Probe, Reaction};
pub use options::RunOptions;
pub use phases::{Authority, LIFECYCLE, MOVES, NoSuchMove, Phase, PhaseFacts, PhaseMove};
pub use picture::{Problem, mask_secrets};
pub use plan::Plan;
pub use projection::Projection;
pub use route::{RouteAddress, RouteSection, Secret};
pub use standbys::Standbys;
pub use store_url::{Scheme, StoreUrl};
pub use table_entry::TableEntry;
