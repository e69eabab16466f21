//! Named phases of a long command, each reported with the time it took.

use std::time::{Duration, Instant};

use crate::failure::{Failure, Result};

/// The phases that have run so far.
#[derive(Debug, Default)]
pub struct Phases {
    done: Vec<(String, Duration)>,
}

impl Phases {
    /// No phase yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Runs one phase and reports how long it took, whether it succeeded or not.
    ///
    /// # Errors
    /// The phase's own error, with the phase's name before it.
    pub fn run<T>(&mut self, name: &str, phase: impl FnOnce() -> Result<T>) -> Result<T> {
        eprintln!("==> {name}");
        let began = Instant::now();
        let result = phase();
        let took = began.elapsed();
        let outcome = if result.is_ok() { "done" } else { "FAILED" };
        eprintln!("==> {name}: {outcome} after {:.1} s", took.as_secs_f64());
        self.done.push((name.to_owned(), took));
        result.map_err(|error| Failure::new(format!("{name}: {error}")))
    }

    /// One line per phase, and the sum.
    #[must_use]
    pub fn summary(&self) -> String {
        let sum: Duration = self.done.iter().map(|(_, took)| *took).sum();
        self.done
            .iter()
            .map(|(name, took)| (name.as_str(), *took))
            .chain([("all phases", sum)])
            .map(|(name, took)| format!("{:>8.1} s  {name}\n", took.as_secs_f64()))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn a_failed_phase_is_named_and_listed() {
        let mut phases = Phases::new();
        assert_eq!(phases.run("first", || Ok(7)).expect("succeeds"), 7);
        let error = phases.run("second", || -> Result<()> { Err(Failure::new("no luck")) });
        assert_eq!(error.expect_err("fails").to_string(), "second: no luck");
        let summary = phases.summary();
        assert!(
            summary.contains("first")
                && summary.contains("second")
                && summary.contains("all phases")
        );
    }
}
