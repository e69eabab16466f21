//! What changes hands: `switch`, `rollback`, `complete`, `gates`, `rehearse`, and the log of it all.

use std::time::Duration;

use clap::{Args, Subcommand};
use crossfade_control::{Override, SwitchOrder, Traffic};
use crossfade_plan::near::nearest;
use crossfade_rules::gates::Gate;

use super::File;
use crate::failure::{Failure, USAGE};

/// The longest time box: nobody's users wait longer.
const LONGEST: Duration = Duration::from_secs(3600);

#[derive(Debug, Subcommand)]
pub enum Switch {
    /// Send reads to the target, through the route. Writes stay where they are.
    Reads(Reads),
    /// Give authority to the target: writers wait for a moment, then write there. `rollback` takes it back without losing a write.
    Writes(Writes),
}

/// What every step that changes hands is asked.
#[derive(Debug, Args)]
pub struct Order {
    #[command(flatten)]
    pub file: File,
    /// Who answers for it: a name for the audit log and the report.
    #[arg(long, value_name = "NAME", value_parser = name)]
    pub owner: String,
    /// The time box, such as 500ms, 30s or 2m. What has not given authority away by then is taken back, and nothing has changed.
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = time_box)]
    pub within: Duration,
    /// Do everything up to closing the fence, and say what would happen and how long writers would wait.
    #[arg(long)]
    pub dry_run: bool,
    /// Pass this gate although it is not met. Recorded with its reason in the audit log, the report and the certificate. May be given
    /// several times.
    #[arg(
        long = "override",
        value_name = "GATE[=REASON]",
        value_parser = name,
        long_help = overrides_help()
    )]
    pub overrides: Vec<String>,
    /// Why the gate of --override is passed, where it is given without one; one for each, in their order.
    #[arg(long = "reason", value_name = "TEXT", value_parser = name, requires = "overrides")]
    pub reasons: Vec<String>,
}

#[derive(Debug, Args)]
pub struct Reads {
    #[command(flatten)]
    pub order: Order,
    /// So many readers of a hundred [default: all]; 0 sends them back to the source.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(0..=100))]
    pub percent: Option<u8>,
    /// Only the readers of this tenant, as the route names it.
    #[arg(long, value_name = "KEY", value_parser = name, conflicts_with = "percent")]
    pub tenant: Option<String>,
}

#[derive(Debug, Args)]
pub struct Writes {
    #[command(flatten)]
    pub order: Order,
    /// End other sessions' transactions that keep the fence from closing, once half of the time is over. Otherwise they are waited for.
    #[arg(long)]
    pub kill_blockers: bool,
}

#[derive(Debug, Args)]
pub struct Rollback {
    #[command(flatten)]
    pub order: Order,
    /// End other sessions' transactions that keep the fence from closing, once half of the time is over. Otherwise they are waited for.
    #[arg(long, conflicts_with = "target_destroyed")]
    pub kill_blockers: bool,
    /// The target is gone for good and is never to come back: open the source without asking it. Writes that had not come
    /// back are lost.
    #[arg(long, requires = "accept_loss_after")]
    pub target_destroyed: bool,
    /// With --target-destroyed: the target's position up to which its writes have come back, as `crossfade status` shows it. What came
    /// after is lost; you attest that you know.
    #[arg(long, value_name = "POSITION", value_parser = name, requires = "target_destroyed")]
    pub accept_loss_after: Option<String>,
}

#[derive(Debug, Args)]
pub struct Complete {
    #[command(flatten)]
    pub file: File,
    /// Who answers for it: a name for the audit log and the report.
    #[arg(long, value_name = "NAME", value_parser = name)]
    pub owner: String,
    /// How long it may take, such as 30s or 2m. What is left then is done by the next `complete`.
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = time_box)]
    pub within: Duration,
    /// List what would be stopped and removed on both sides.
    #[arg(long)]
    pub dry_run: bool,
}

#[derive(Debug, Args)]
pub struct TakeOver {
    #[command(flatten)]
    pub file: File,
    /// Who answers for it: a name for the audit log.
    #[arg(long, value_name = "NAME", value_parser = name)]
    pub owner: String,
}

#[derive(Debug, Args)]
pub struct Gates {
    #[command(flatten)]
    pub file: File,
}

#[derive(Debug, Args)]
pub struct Rehearse {
    #[command(flatten)]
    pub file: File,
    /// Who answers for it: a name for the audit log and the report.
    #[arg(long, value_name = "NAME", value_parser = name)]
    pub owner: String,
    /// An empty database in which the copy of the source is made and removed [default: one beside the source, on the same server].
    #[arg(long, value_name = "URL")]
    pub scratch_source: Option<String>,
    /// An empty database in which the copy of the target is made and removed [default: one beside the target, on the same server].
    #[arg(long, value_name = "URL")]
    pub scratch_target: Option<String>,
    /// The time box of each switch in it, such as 500ms, 30s or 2m.
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = time_box)]
    pub within: Duration,
    /// Leave the copies where they are, to look at them.
    #[arg(long)]
    pub keep: bool,
}

#[derive(Debug, Args)]
pub struct Log {
    #[command(flatten)]
    pub file: File,
    /// Only records after this number.
    #[arg(long, value_name = "ID", conflicts_with = "check")]
    pub since: Option<i64>,
    /// Follow the chain of hashes from the first record to the last: nothing was changed, removed or put in between.
    #[arg(long)]
    pub check: bool,
}

impl Order {
    /// The order that a run is given.
    ///
    /// # Errors
    /// A gate that is none; a gate without a reason, or a reason without a gate.
    fn order(&self, what: Traffic, kill_blockers: bool) -> Result<SwitchOrder, Failure> {
        Ok(SwitchOrder {
            what,
            owner: self.owner.clone(),
            // at most LONGEST, see `time_box`
            within_ms: u64::try_from(self.within.as_millis()).unwrap_or(u64::MAX),
            dry_run: self.dry_run,
            kill_blockers,
            overrides: self.overrides()?,
        })
    }

    fn overrides(&self) -> Result<Vec<Override>, Failure> {
        let mut reasons = self.reasons.iter();
        let mut found: Vec<Override> = Vec::new();
        for written in &self.overrides {
            let (gate, reason) = match written.split_once('=') {
                Some((gate, reason)) => (gate.trim(), Some(reason.trim())),
                None => (written.as_str(), reasons.next().map(String::as_str)),
            };
            let gate = known_gate(gate)?;
            let Some(reason) = reason.filter(|reason| !reason.is_empty()) else {
                return Err(wrong(
                    format!("the gate `{gate}` is to be passed without a reason"),
                    format!(
                        "write `--override {gate} --reason \"…\"`: it stands in the audit log, the report and the certificate"
                    ),
                ));
            };
            if found.iter().any(|o| o.gate == gate) {
                return Err(wrong(
                    format!("the gate `{gate}` is overridden twice"),
                    "name each gate once".to_owned(),
                ));
            }
            found.push(Override {
                gate,
                reason: reason.to_owned(),
            });
        }
        match reasons.next() {
            None => Ok(found),
            Some(_) => Err(wrong(
                "there are more reasons than gates that are overridden without one".to_owned(),
                "write one `--reason` for each `--override` that has none".to_owned(),
            )),
        }
    }
}

impl Reads {
    /// The order that a run is given.
    ///
    /// # Errors
    /// See [`Order::order`].
    pub fn order(&self) -> Result<SwitchOrder, Failure> {
        let what = Traffic::Reads {
            percent: self.percent,
            tenant: self.tenant.clone(),
        };
        self.order.order(what, false)
    }
}

impl Writes {
    /// The order that a run is given.
    ///
    /// # Errors
    /// See [`Order::order`].
    pub fn order(&self) -> Result<SwitchOrder, Failure> {
        self.order.order(Traffic::Writes, self.kill_blockers)
    }
}

impl Rollback {
    /// The order that a run is given; what [`Rollback::target_destroyed`] says is no part of it, since no run can obey that.
    ///
    /// # Errors
    /// See [`Order::order`].
    pub fn order(&self) -> Result<SwitchOrder, Failure> {
        self.order.order(Traffic::Writes, self.kill_blockers)
    }
}

fn wrong(what: String, fix: String) -> Failure {
    Failure::new(USAGE, "usage.override", what).fix(fix)
}

fn known_gate(word: &str) -> Result<String, Failure> {
    if word.parse::<Gate>().is_ok() {
        return Ok(word.to_owned());
    }
    let words = Gate::ALL.map(Gate::word);
    let meant = match nearest(word, words).first() {
        Some(near) => format!("did you mean `{near}`? "),
        None => String::new(),
    };
    Err(wrong(
        format!("there is no gate `{}`", word.escape_debug()),
        format!("{meant}gates: {}", words.join(", ")),
    ))
}

fn overrides_help() -> String {
    format!(
        "Pass this gate although it is not met: {}. Recorded with its reason in the audit log, the report and the certificate. May be \
         given several times.",
        Gate::ALL.map(Gate::word).join(", ")
    )
}

/// A word or sentence that says something.
fn name(text: &str) -> Result<String, String> {
    match text.trim() {
        "" => Err("it is empty".to_owned()),
        text => Ok(text.to_owned()),
    }
}

/// A whole number and its unit: `500ms`, `30s`, `2m`.
fn time_box(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let in_ms = match unit.trim_start() {
        "ms" => 1,
        "s" => 1_000,
        "m" | "min" => 60_000,
        "" if digits > 0 => return Err(format!("say a unit: {number}s or {number}ms")),
        _ => return Err("write a whole number and ms, s or m, such as 30s".to_owned()),
    };
    let length = number
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(in_ms))
        .map(Duration::from_millis)
        .filter(|length| !length.is_zero() && *length <= LONGEST);
    length.ok_or_else(|| "it is to be from 1ms to 60m".to_owned())
}

#[cfg(test)]
#[path = "switch_tests.rs"]
mod tests;
