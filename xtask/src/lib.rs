//! Developer commands of the workspace: private database servers, the whole test run, the model's full bounds, mutations,
//! soak, benchmarks, the page of types. Only the standard library is used, so that the first `cargo xtask` builds in seconds.

pub mod bench;
pub mod chaos;
pub mod failure;
pub mod model;
pub mod mutations;
pub mod phases;
pub mod process;
pub mod rivals;
pub mod servers;
pub mod soak;
pub mod test;
pub mod trials;
pub mod types;
pub mod workspace;
