//! What `[run]` can say: few numbers, each with a default and bounds.

use serde::{Deserialize, Serialize};

/// How a run works. None of these changes what is moved, so a run may be resumed with others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunOptions {
    /// Chunks that are read and written at the same time. Default 2, 1 to 32.
    pub loaders: u16,
    /// Changes in one target transaction, at most; a source transaction is never split for it. Default 50,000.
    pub batch_changes: u32,
    /// Bytes of changes in one target transaction, at most; a source transaction is never split for it. Default 16 MiB.
    pub batch_bytes: u64,
    /// Milliseconds that a committed change waits at most for its batch to fill. Default 50.
    pub batch_milliseconds: u32,
    /// Rows of a chunk, at most, by estimate. Default 100,000.
    pub chunk_rows: u64,
    /// Bytes of a chunk, at most, by estimate. Default 64 MiB.
    pub chunk_bytes: u64,
    /// Bytes of source log that may be kept back while the stream waits for a bulk load; beyond it the run stops
    /// before the source is hurt. Default 16 GiB.
    pub log_budget_bytes: u64,
    /// Seconds for which a lost connection, a busy or a starting store is tried again before the run stops. Default 600.
    pub retry_seconds: u32,
    /// Share of the time, in percent, in which both sides of one range after another are read again while the target
    /// follows. 0: never. Default 5.
    #[serde(default = "reconcile_percent")]
    pub reconcile_percent: u32,
}

fn reconcile_percent() -> u32 {
    5
}

impl Default for RunOptions {
    fn default() -> Self {
        RunOptions {
            loaders: 2,
            batch_changes: 50_000,
            batch_bytes: 16 << 20,
            batch_milliseconds: 50,
            chunk_rows: 100_000,
            chunk_bytes: 64 << 20,
            log_budget_bytes: 16 << 30,
            retry_seconds: 600,
            reconcile_percent: reconcile_percent(),
        }
    }
}

/// One option's name, bounds and meaning; the file's parser, its messages and the written file come from this table.
#[derive(Debug, Clone, Copy)]
pub struct OptionFacts {
    /// The key under `[run]`.
    pub name: &'static str,
    /// Smallest value.
    pub least: u64,
    /// Greatest value.
    pub most: u64,
    /// What it means, one line.
    pub meaning: &'static str,
}

/// All options of `[run]`.
pub const OPTIONS: &[OptionFacts] = &[
    OptionFacts {
        name: "loaders",
        least: 1,
        most: 32,
        meaning: "chunks that are read and written at the same time",
    },
    OptionFacts {
        name: "batch_changes",
        least: 1,
        most: 1_000_000,
        meaning: "changes in one target transaction, at most",
    },
    OptionFacts {
        name: "batch_bytes",
        least: 64 << 10,
        most: 1 << 30,
        meaning: "bytes of changes in one target transaction, at most",
    },
    OptionFacts {
        name: "batch_milliseconds",
        least: 0,
        most: 60_000,
        meaning: "how long a committed change waits for its batch to fill",
    },
    OptionFacts {
        name: "chunk_rows",
        least: 100,
        most: 100_000_000,
        meaning: "rows of a chunk, at most, by estimate",
    },
    OptionFacts {
        name: "chunk_bytes",
        least: 64 << 10,
        most: 1 << 40,
        meaning: "bytes of a chunk, at most, by estimate",
    },
    OptionFacts {
        name: "log_budget_bytes",
        least: 1 << 20,
        most: 1 << 50,
        meaning: "source log that may be kept back while the stream waits for a bulk load",
    },
    OptionFacts {
        name: "retry_seconds",
        least: 0,
        most: 86_400,
        meaning: "how long a lost connection is tried again before the run stops",
    },
    OptionFacts {
        name: "reconcile_percent",
        least: 0,
        most: 100,
        meaning: "share of the time in which rows are read again on both sides while following; 0: never",
    },
];

impl RunOptions {
    /// The value of an option by its name in [`OPTIONS`].
    pub fn get(&self, name: &str) -> Option<u64> {
        Some(match name {
            "loaders" => u64::from(self.loaders),
            "batch_changes" => u64::from(self.batch_changes),
            "batch_bytes" => self.batch_bytes,
            "batch_milliseconds" => u64::from(self.batch_milliseconds),
            "chunk_rows" => self.chunk_rows,
            "chunk_bytes" => self.chunk_bytes,
            "log_budget_bytes" => self.log_budget_bytes,
            "retry_seconds" => u64::from(self.retry_seconds),
            "reconcile_percent" => u64::from(self.reconcile_percent),
            _ => return None,
        })
    }

    /// Sets an option by its name in [`OPTIONS`].
    ///
    /// # Errors
    /// The option's facts where the value is out of bounds; `None` in it where there is no such option.
    pub fn set(&mut self, name: &str, value: i64) -> Result<(), Option<OptionFacts>> {
        let facts = OPTIONS.iter().find(|o| o.name == name).ok_or(None)?;
        let out_of_bounds = Some(*facts);
        let value = u64::try_from(value).map_err(|_| out_of_bounds)?;
        if value < facts.least || value > facts.most {
            return Err(out_of_bounds);
        }
        let narrow = || u32::try_from(value).map_err(|_| out_of_bounds);
        match name {
            "loaders" => self.loaders = u16::try_from(value).map_err(|_| out_of_bounds)?,
            "batch_changes" => self.batch_changes = narrow()?,
            "batch_bytes" => self.batch_bytes = value,
            "batch_milliseconds" => self.batch_milliseconds = narrow()?,
            "chunk_rows" => self.chunk_rows = value,
            "chunk_bytes" => self.chunk_bytes = value,
            "log_budget_bytes" => self.log_budget_bytes = value,
            "retry_seconds" => self.retry_seconds = narrow()?,
            "reconcile_percent" => self.reconcile_percent = narrow()?,
            _ => return Err(None),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_option_has_a_default_within_its_bounds_and_can_be_set() {
        let defaults = RunOptions::default();
        for facts in OPTIONS {
            let value = defaults.get(facts.name).unwrap();
            assert!(
                value >= facts.least && value <= facts.most,
                "{}",
                facts.name
            );
            let mut options = defaults;
            for bound in [facts.least, facts.most] {
                options
                    .set(facts.name, i64::try_from(bound).unwrap())
                    .unwrap();
                assert_eq!(options.get(facts.name), Some(bound));
            }
            let beyond = i64::try_from(facts.most + 1).unwrap();
            assert_eq!(
                options.set(facts.name, beyond).unwrap_err().unwrap().name,
                facts.name
            );
            assert!(options.set(facts.name, -1).is_err());
        }
        assert!(
            RunOptions::default()
                .set("loader", 1)
                .unwrap_err()
                .is_none()
        );
    }
}
