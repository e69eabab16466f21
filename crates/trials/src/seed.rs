//! Seeds: every random thing says which one it used, and takes it back through the environment.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

use rand::SeedableRng;
use rand::rngs::StdRng;

/// The variable that fixes the seed.
pub const VARIABLE: &str = "CROSSFADE_SEED";

/// The seed of this test: the one in the environment, or a fresh one; printed, so that a failing test shows it.
#[must_use]
pub fn seed(what: &str) -> u64 {
    let seed = match std::env::var(VARIABLE) {
        Ok(text) => text
            .parse()
            .unwrap_or_else(|_| panic!("{VARIABLE} is not a number")),
        // small numbers are easier to type
        Err(_) => RandomState::new().hash_one(what) % 1_000_000,
    };
    eprintln!("{what}: {VARIABLE}={seed}");
    seed
}

/// A generator of its own for part `part` of a seed.
#[must_use]
pub fn generator(seed: u64, part: u64) -> StdRng {
    StdRng::seed_from_u64(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ part)
}
