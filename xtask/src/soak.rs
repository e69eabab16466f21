//! The soak: comparisons under full load, on servers that nobody else uses.

use crate::failure::Result;
use crate::servers::{self, version::Version};
use crate::trials;

/// Builds the debug programs, then soaks; `arguments` go to the program.
///
/// # Errors
/// When something cannot be built or started, or a comparison raised a false alarm.
pub fn soak(arguments: &[String]) -> Result<()> {
    trials::build()?;
    built(arguments)
}

/// Soaks with the debug programs that were built.
///
/// # Errors
/// When a server cannot be started, or a comparison raised a false alarm.
pub fn built(arguments: &[String]) -> Result<()> {
    let installed = servers::install()?;
    let servers = [
        ("pg15a", Version::V15),
        ("pg15b", Version::V15),
        ("pg17", Version::V17),
        ("pg18", Version::V18),
    ];
    trials::run_on(&installed, &servers, "soak", arguments, Vec::new())
}
