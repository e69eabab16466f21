//! The model checker's runs over the rules.

use crate::failure::Result;
use crate::process::run;
use crate::workspace::cargo;

/// The variable by which the model's test learns how far to explore.
pub const BOUNDS: &str = "CROSSFADE_MODEL_BOUNDS";

/// Explores the rules over their full bounds, optimized; `arguments` go to the test program.
///
/// # Errors
/// When a property does not hold or a seeded bug is not found.
pub fn full(arguments: &[String]) -> Result<()> {
    run(cargo()
        .args([
            "test",
            "--release",
            "-p",
            "crossfade-rules",
            "--test",
            "model",
            "--",
        ])
        .args(["--include-ignored", "--nocapture"])
        .args(arguments)
        .env(BOUNDS, "full"))
}
