//! The mutation suite: servers, the debug programs, and the rivals where they are asked for.

use crate::failure::Result;
use crate::servers::{self, version::Version};
use crate::{rivals, trials};

/// Builds the debug programs, starts a server of each version, and plants; `arguments` go to the program.
///
/// # Errors
/// When something cannot be built or started, or a corruption was missed.
pub fn mutations(arguments: &[String]) -> Result<()> {
    trials::build()?;
    let installed = servers::install()?;
    let rivals = if arguments.iter().any(|word| word == "--rivals") {
        rivals::variables(&installed)
    } else {
        Vec::new()
    };
    let servers = [
        ("pg15a", Version::V15),
        ("pg17", Version::V17),
        ("pg18", Version::V18),
    ];
    trials::run_on(&installed, &servers, "mutations", arguments, |_| Ok(rivals))
}
