//! What a rehearsal found, for a ticket and for the gate. Serialized as it stands; its fields are documented (docs/json.md) and stable.

use std::time::Duration;

use crossfade_model::time::utc;
use crossfade_store::{Source, SourceIdentity};
use serde::{Deserialize, Serialize};

use crate::rehearse::Rehearsal;
use crate::switch::report::SwitchReport;

/// A step that was taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RehearsalStep {
    /// What, a stable word.
    pub step: String,
    /// Milliseconds that it took.
    pub took_ms: u64,
    /// What is worth knowing, in words.
    pub detail: String,
}

/// A switch or rollback of the rehearsal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Paused {
    /// Milliseconds from the order to its answer.
    pub took_ms: u64,
    /// Milliseconds for which writes were predicted to wait.
    pub predicted_ms: Option<u64>,
    /// Milliseconds for which they waited, as a probe that writes has measured it.
    pub measured_ms: Option<u64>,
}

impl Paused {
    pub(super) fn of(report: &SwitchReport, took: Duration) -> Paused {
        Paused {
            took_ms: millis(took),
            predicted_ms: report.pause.predicted_ms,
            measured_ms: report.pause.measured_ms,
        }
    }
}

/// A full comparison of the rehearsal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proved {
    /// After what, a stable word.
    pub after: String,
    /// Both sides were equal.
    pub equal: bool,
    /// Rows that were read.
    pub rows: u64,
    /// Rows that differ, as far as they are listed.
    pub differences: u64,
    /// Tables that differ.
    pub tables: Vec<String>,
}

/// The report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RehearsalReport {
    /// The migration.
    pub migration: String,
    /// The hash of its plan.
    pub plan: String,
    /// Its source.
    pub source: SourceIdentity,
    /// Its target.
    pub target: SourceIdentity,
    /// The source's name for people, without secrets.
    pub source_store: String,
    /// The target's.
    pub target_store: String,
    /// Who answers for it.
    pub owner: String,
    /// When it began, milliseconds since the Unix epoch.
    pub began: i64,
    /// When it ended, all removed, milliseconds since the Unix epoch.
    pub finished: i64,
    /// It came to its end, and everything was proven equal.
    pub passed: bool,
    /// Why it did not pass.
    pub why: Option<String>,
    /// What to do about that.
    pub fix: Option<String>,
    /// The copy of the source, without secrets.
    pub scratch_source: String,
    /// The copy of the target.
    pub scratch_target: String,
    /// Milliseconds of the time box of each switch.
    pub within_ms: u64,
    /// Milliseconds that all of it took.
    pub took_ms: u64,
    /// Rows that were copied from the real source.
    pub rows: u64,
    /// Rows that the rehearsal has written as an application would, and whose writes were acknowledged.
    pub written: u64,
    /// The steps, in their order.
    pub steps: Vec<RehearsalStep>,
    /// The switch.
    pub switch: Option<Paused>,
    /// The way back.
    pub rollback: Option<Paused>,
    /// The comparisons, in their order.
    pub proofs: Vec<Proved>,
    /// What could not be removed, or was to be kept.
    pub left: Vec<String>,
}

impl RehearsalReport {
    pub(super) fn blank(
        asked: &Rehearsal,
        plan: String,
        source: SourceIdentity,
        target: SourceIdentity,
        began: i64,
    ) -> RehearsalReport {
        RehearsalReport {
            migration: asked.file.name.clone(),
            plan,
            source,
            target,
            source_store: Source::label(asked.sides.source.as_ref()).to_owned(),
            target_store: Source::label(asked.sides.target.as_ref()).to_owned(),
            owner: asked.owner.clone(),
            began,
            finished: began,
            passed: false,
            why: None,
            fix: None,
            scratch_source: String::new(),
            scratch_target: String::new(),
            within_ms: millis(asked.within),
            took_ms: 0,
            rows: 0,
            written: 0,
            steps: Vec::new(),
            switch: None,
            rollback: None,
            proofs: Vec::new(),
            left: Vec::new(),
        }
    }

    pub(super) fn step(&mut self, step: &str, took: Duration, detail: impl Into<String>) {
        self.steps.push(RehearsalStep {
            step: step.to_owned(),
            took_ms: millis(took),
            detail: detail.into(),
        });
    }

    /// What the audit log keeps of it, and the gate reads. The milliseconds are those for which writes waited.
    pub(super) fn record(&self) -> serde_json::Value {
        let waited = |paused: Option<Paused>| paused.and_then(|p| p.measured_ms);
        serde_json::json!({
            "passed": self.passed,
            "plan": self.plan,
            "source": self.source_store,
            "target": self.target_store,
            "finished": self.finished,
            "switch_ms": waited(self.switch),
            "rollback_ms": waited(self.rollback),
        })
    }

    /// As Markdown, for a ticket.
    #[must_use]
    pub fn markdown(&self) -> String {
        let outcome = match (&self.why, self.passed) {
            (_, true) => "**Passed.**".to_owned(),
            (Some(why), false) => format!("**Did not pass:** {}", text(why)),
            (None, false) => "**Did not pass.**".to_owned(),
        };
        let mut parts = vec![
            format!(
                "# Rehearsal of migration {}\n\n{outcome}",
                text(&self.migration)
            ),
            self.facts(),
        ];
        let steps = self.steps.iter().map(|s| {
            let took = format!("{} ms", s.took_ms);
            [text(&s.step), took, text(&s.detail)]
        });
        parts.push(table("Steps", ["step", "took", "what"], steps));
        let proofs = self.proofs.iter().map(|p| {
            let equal = match p.equal {
                true => "equal".to_owned(),
                false => format!("**differs**: {}", text(&p.tables.join(", "))),
            };
            [text(&p.after), equal, p.rows.to_string()]
        });
        parts.push(table("Proofs", ["after", "outcome", "rows"], proofs));
        if !self.left.is_empty() {
            let lines: Vec<String> = self.left.iter().map(|l| format!("- {}", text(l))).collect();
            parts.push(format!("## Left behind\n\n{}", lines.join("\n")));
        }
        parts.join("\n\n") + "\n"
    }

    fn facts(&self) -> String {
        let pause = |paused: Option<Paused>| match paused {
            None => "not reached".to_owned(),
            Some(p) => format!(
                "writes waited {}, predicted {}; {} ms in all",
                known(p.measured_ms),
                known(p.predicted_ms),
                p.took_ms
            ),
        };
        let rows = [
            ("owner", text(&self.owner)),
            (
                "when",
                format!("{} to {}", utc(self.began), utc(self.finished)),
            ),
            ("plan", self.plan.clone()),
            ("source", text(&self.source.version)),
            ("target", text(&self.target.version)),
            (
                "copies",
                format!(
                    "{}, {}",
                    text(&self.scratch_source),
                    text(&self.scratch_target)
                ),
            ),
            ("rows copied", self.rows.to_string()),
            ("rows written", self.written.to_string()),
            ("switch", pause(self.switch)),
            ("rollback", pause(self.rollback)),
        ];
        let lines = rows.map(|(name, value)| format!("| {name} | {value} |"));
        format!("| | |\n| --- | --- |\n{}", lines.join("\n"))
    }
}

fn table(title: &str, heading: [&str; 3], rows: impl Iterator<Item = [String; 3]>) -> String {
    let lines: Vec<String> = rows
        .map(|cells| format!("| {} |", cells.join(" | ")))
        .collect();
    if lines.is_empty() {
        return format!("## {title}\n\nNone.");
    }
    format!(
        "## {title}\n\n| {} |\n| --- | --- | --- |\n{}",
        heading.join(" | "),
        lines.join("\n")
    )
}

fn known(ms: Option<u64>) -> String {
    ms.map_or_else(|| "unknown".to_owned(), |ms| format!("{ms} ms"))
}

fn text(text: &str) -> String {
    crate::switch::report::escaped(text)
}

/// Whole milliseconds.
pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
