//! What the file says, and what may be said after it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Destination, Ends, RouteState, Side, TenantRoute, Traffic};

/// The form that this version writes. A reader ignores fields that it does not know; a change that old readers would misread raises it.
pub(crate) const FORMAT: u32 = 1;

/// The file's content. Fields are public and stable: `docs/route.md`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Document {
    /// [`FORMAT`].
    pub format: u32,
    /// The migration.
    pub migration: String,
    /// The highest epoch that anything here was said at.
    pub epoch: u64,
    /// Where writes go.
    pub writes: Side,
    /// The switch that said so; 0 is the beginning.
    pub writes_epoch: u64,
    /// Where reads go.
    pub reads: Reads,
    /// New transactions are to wait.
    pub paused: bool,
    /// The sides' URLs without secrets.
    pub urls: Urls,
    /// When it was written, RFC 3339.
    pub updated_at: String,
}

/// Where reads go.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Reads {
    /// So much goes to the target.
    pub target_percent: u8,
    /// Tenants whose reads go elsewhere than by percent.
    pub tenants: BTreeMap<String, TenantRoute>,
}

/// The sides' URLs without secrets.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Urls {
    /// The source's.
    pub source: String,
    /// The target's.
    pub target: String,
}

/// Why something may not be said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The file has seen this higher epoch.
    Stale(u64),
    /// At this very epoch writes were given to the other side.
    Contradiction(u64),
}

impl Document {
    /// What holds before anything was said: all goes to the source.
    pub(crate) fn first(migration: &str, ends: &Ends) -> Document {
        Document {
            format: FORMAT,
            migration: migration.to_owned(),
            epoch: 0,
            writes: Side::Source,
            writes_epoch: 0,
            reads: Reads::default(),
            paused: false,
            urls: Urls {
                source: ends.source.url_label.clone(),
                target: ends.target.url_label.clone(),
            },
            updated_at: String::new(),
        }
    }

    /// Sets whether new transactions wait.
    pub(crate) fn set_paused(&mut self, epoch: u64, paused: bool) -> Result<(), Refusal> {
        self.rise(epoch)?;
        self.paused = paused;
        Ok(())
    }

    /// Leads traffic to a side.
    pub(crate) fn point(&mut self, to: &Destination, traffic: &Traffic) -> Result<(), Refusal> {
        let contradicts = self.writes_epoch == to.epoch && self.writes != to.side;
        if *traffic == Traffic::Writes && contradicts && to.epoch > 0 {
            return Err(Refusal::Contradiction(to.epoch));
        }
        self.rise(to.epoch)?;
        match traffic {
            Traffic::Writes => {
                self.writes = to.side;
                self.writes_epoch = to.epoch;
            }
            Traffic::Reads { percent } => {
                let percent = (*percent).min(100);
                self.reads.target_percent = match to.side {
                    Side::Target => percent,
                    Side::Source => 100 - percent,
                };
            }
            Traffic::ReadsOfTenant(tenant) => {
                let route = TenantRoute {
                    side: to.side,
                    epoch: to.epoch,
                };
                self.reads.tenants.insert(tenant.clone(), route);
            }
        }
        Ok(())
    }

    fn rise(&mut self, epoch: u64) -> Result<(), Refusal> {
        if epoch < self.epoch {
            return Err(Refusal::Stale(self.epoch));
        }
        self.epoch = epoch;
        Ok(())
    }

    /// The same as routes show it.
    pub(crate) fn state(&self) -> RouteState {
        RouteState {
            epoch: Some(self.epoch),
            writes: Some(self.writes),
            target_reads_percent: Some(self.reads.target_percent),
            tenants: self.reads.tenants.clone(),
            paused: Some(self.paused),
            detail: format!(
                "writes to the {}, {} % of the reads to the target{}, epoch {}",
                self.writes,
                self.reads.target_percent,
                if self.paused { ", paused" } else { "" },
                self.epoch
            ),
        }
    }
}
