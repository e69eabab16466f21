//! `docs/types.md`: the stores' own word on every pair of types.

use crate::failure::Result;
use crate::process::run;
use crate::workspace::cargo;

/// Writes the page, by the test that otherwise compares it.
///
/// # Errors
/// A build that fails, or a file that cannot be written.
pub fn types() -> Result<()> {
    run(cargo()
        .args(["test", "--package", "crossfade", "--test", "types"])
        .args(["--", "the_page_says_what_the_code_says"])
        .env("CROSSFADE_WRITE_TYPES", "1"))
}
