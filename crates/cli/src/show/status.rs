//! The status of a migration: three answers first, then how far everything is.

use crossfade_control::{Holder, Intent, QuarantineCounts};
use crossfade_engine::{
    Altered, Direction, DurableStatus, Lag, Progress, StrangersSeen, VerifySummary, gates_line,
};
use crossfade_plan::{Authority, Phase};
use crossfade_rules::ledger::LedgerCounts;
use crossfade_store::Made;
use serde::Serialize;

use super::authority;
use super::made;
use super::number::{ago, bytes, count, lag, of, rate};
use super::quarantine;
use super::strangers;
use super::table::{self, Side};
use super::verify;

/// All that is known of a migration.
#[derive(Debug, Serialize)]
pub struct Shown {
    /// The migration's name.
    pub migration: String,
    /// The source, without secrets.
    pub source: String,
    /// The target, without secrets.
    pub target: String,
    /// The phase.
    pub phase: Phase,
    /// A run is active.
    pub running: bool,
    /// `pause` was given and not taken back.
    pub paused: bool,
    /// The process that runs or last ran it.
    pub holder: Option<Holder>,
    /// The last snapshot of a run.
    pub progress: Option<Progress>,
    /// What the target durably holds; read where no run is active.
    pub durable: Option<DurableStatus>,
    /// Source end minus checkpoint, where no run is active.
    pub lag: Option<Lag>,
    /// The last comparison.
    pub report: Option<VerifySummary>,
    /// The run ended at a table that was altered on the source.
    pub altered: Option<Altered>,
    /// Which way rows go.
    pub direction: Direction,
    /// Who takes writes, by the word of both stores; `None` where nothing was begun.
    pub authority: Option<authority::Shown>,
    /// What the migration has made on the source.
    pub made: Vec<Made>,
    /// What it has made on the target, but for tables.
    pub made_on_target: Vec<Made>,
    /// Steps that were begun and whose outcome nobody has settled.
    pub open_intents: Vec<Intent>,
    /// How many rows are in quarantine.
    pub quarantine: QuarantineCounts,
    /// Writes on the target that are not the migration's.
    pub strangers: StrangersSeen,
    /// What could not be asked, and why.
    pub unreachable: Vec<String>,
}

impl Shown {
    /// Notes what could not be asked, once.
    pub fn cannot_ask(&mut self, why: String) {
        if !self.unreachable.contains(&why) {
            self.unreachable.push(why);
        }
    }

    /// Who takes writes: the stores' word where it is known. `None`: nobody does, or nobody knows.
    fn writes(&self) -> Option<Authority> {
        match (&self.authority, self.phase) {
            (None, _) | (_, Phase::Retired | Phase::Aborted) => Some(self.phase.facts().writes),
            (Some(authority), _) => authority.writes,
        }
    }

    /// Why writers wait, and what to do.
    fn held_up(&self) -> Option<&str> {
        match self.phase {
            Phase::Retired | Phase::Aborted => None,
            _ => self.authority.as_ref()?.held_up.as_deref(),
        }
    }

    /// The checkpoint: from the target where it was asked, else as a run has last shown it.
    fn checkpoint(&self) -> Option<&str> {
        match &self.durable {
            Some(durable) => durable.checkpoint.as_deref(),
            None => self.progress.as_ref()?.checkpoint.as_deref(),
        }
    }

    /// The durable ledger, table by table.
    fn ledger(&self) -> Vec<(String, LedgerCounts)> {
        match (&self.durable, &self.progress) {
            (Some(durable), _) => durable
                .tables
                .iter()
                .map(|t| (t.name.clone(), t.ledger))
                .collect(),
            (None, Some(progress)) => progress
                .ledger
                .iter()
                .map(|t| (t.name.clone(), t.counts))
                .collect(),
            _ => Vec::new(),
        }
    }
}

/// JSON: the three answers and everything else.
pub fn json(shown: &Shown) -> serde_json::Value {
    let facts = shown.phase.facts();
    let mut value = serde_json::to_value(shown).unwrap_or_default();
    if let Some(fields) = value.as_object_mut() {
        fields.insert("reads".to_owned(), facts.reads.to_string().into());
        let writes = shown.writes().map(|writes| writes.to_string());
        fields.insert("writes".to_owned(), writes.into());
        fields.insert("blocked".to_owned(), shown.held_up().into());
        fields.insert("way_back".to_owned(), way_back(shown).into());
        fields.insert("checkpoint".to_owned(), shown.checkpoint().into());
        fields.insert("ledger_balanced".to_owned(), balanced(shown).into());
    }
    value
}

fn balanced(shown: &Shown) -> bool {
    shown.ledger().iter().all(|(_, counts)| counts.balances())
}

/// The three answers: where truth is; what shows the follower equal, and at which position; the smallest step back.
pub fn answers(shown: &Shown) -> String {
    let facts = shown.phase.facts();
    let store = |authority| match authority {
        Authority::Source => format!("the source ({})", shown.source),
        Authority::Target => format!("the target ({})", shown.target),
    };
    let writes = match (shown.writes(), shown.held_up()) {
        (Some(side), None) => store(side),
        (Some(side), Some(why)) => format!("{}, whose writers wait: {why}", store(side)),
        (None, why) => format!(
            "BLOCKED, unknown: {}",
            why.unwrap_or("neither store could be asked")
        ),
    };
    format!(
        "Truth      reads: {}; writes: {writes}\nEqual      {}\nWay back   {}",
        store(facts.reads),
        equality(shown),
        way_back(shown)
    )
}

/// The phase's, unless nobody knows who has authority.
fn way_back(shown: &Shown) -> &'static str {
    match shown.writes() {
        Some(_) => shown.phase.facts().way_back,
        None => {
            "none before that has ended: what was begun is finished or released first, and loses nothing"
        }
    }
}

fn equality(shown: &Shown) -> String {
    let checkpoint = shown.checkpoint();
    match &shown.report {
        Some(report) if report.equal => {
            let since = match checkpoint {
                Some(at) if at != report.position => format!(
                    "; since then every captured change is accounted for up to {at} (ledger {})",
                    if balanced(shown) {
                        "balanced"
                    } else {
                        "NOT BALANCED"
                    }
                ),
                _ => String::new(),
            };
            format!(
                "compared equal at position {}, {}, {} rows, {}{since}",
                report.position,
                of(report.tables as u64, "table", "tables"),
                count(report.rows),
                ago(report.finished)
            )
        }
        Some(report) => format!(
            "NOT EQUAL at position {}: {} listed, {}; `crossfade verify --show-rows` shows them",
            report.position,
            of(report.differences, "row is", "rows are"),
            ago(report.finished)
        ),
        None => match shown.phase {
            Phase::Planned => "nothing was copied yet".to_owned(),
            Phase::Copying => "nothing yet: rows are being copied".to_owned(),
            Phase::Following
            | Phase::Mirroring
            | Phase::ReadsSwitched
            | Phase::WritesSwitched
            | Phase::Retired
            | Phase::Aborted => "not compared yet: `crossfade verify` does".to_owned(),
        },
    }
}

/// Everything after the three answers.
pub fn text(shown: &Shown) -> String {
    let mut parts = vec![head(shown)];
    if let Some(progress) = shown.progress.as_ref().filter(|_| shown.running) {
        parts.push(moving(shown.direction, progress));
        parts.push(tables(progress));
    } else if let Some(durable) = &shown.durable {
        parts.push(standing(shown, durable));
    }
    let ledger = ledger(shown);
    if !ledger.is_empty() {
        parts.push(ledger);
    }
    if !shown.quarantine.is_empty() {
        parts.push(quarantine::counts(&shown.quarantine));
    }
    if !shown.strangers.is_empty() {
        parts.push(strangers::text(&shown.strangers));
    }
    let removes = match shown.direction {
        Direction::Forward => "abort",
        Direction::Reverse => "complete",
    };
    for (side, made) in [("source", &shown.made), ("target", &shown.made_on_target)] {
        if !made.is_empty() {
            parts.push(format!(
                "Made on the {side} (`{removes}` removes it):\n{}",
                made::lines(made)
            ));
        }
    }
    // of a comparison that did not end nothing is left
    let steps = shown.open_intents.iter().filter(|i| i.kind != "verify");
    for intent in steps {
        parts.push(format!(
            "Unsettled: {} was begun {}; the next `run` or `abort` finds out what became of it.",
            intent.kind,
            ago(intent.recorded)
        ));
    }
    for why in &shown.unreachable {
        parts.push(format!("Could not be asked: {why}"));
    }
    parts.join("\n\n")
}

fn head(shown: &Shown) -> String {
    let run = match (&shown.holder, shown.running) {
        (Some(holder), true) => format!(
            "run by process {} on {} since {}",
            holder.process,
            holder.host,
            ago(holder.started).trim_end_matches(" ago")
        ),
        (Some(holder), false) => format!(
            "no run is active; the last showed itself {}",
            ago(holder.seen)
        ),
        (None, _) => "no run yet".to_owned(),
    };
    let paused = if shown.paused {
        ", PAUSED (`crossfade resume` goes on)"
    } else {
        ""
    };
    let mut head = format!(
        "Migration {}: {} ({}){paused}; {run}",
        shown.migration,
        shown.phase,
        shown.phase.facts().what
    );
    if let Some(line) = shown.authority.as_ref().and_then(authority::Shown::line) {
        head.push_str(&format!("\n{line}"));
    }
    if let Some(altered) = &shown.altered {
        head.push_str(&format!(
            "\nTable {} was altered on the source: {}. Everything before it is applied; make the same change on the target \
             and `run` again.",
            altered.table, altered.what
        ));
    }
    head
}

fn moving(direction: Direction, progress: &Progress) -> String {
    let from = direction.source_word();
    let mut lines = vec![
        format!("  now         {}", progress.activity),
        format!(
            "  checkpoint  {}   {from} end {}",
            progress.checkpoint.as_deref().unwrap_or("none yet"),
            progress.source_end.as_deref().unwrap_or("unknown")
        ),
        format!("  lag         {}", lag(&progress.lag)),
        format!("  proven      {}", proven(progress)),
        format!("  log kept    {} on the {from}", log_kept(progress)),
        format!(
            "  applied     {} changes in this run, {} changes/s",
            count(progress.applied_changes),
            rate(progress.changes_per_second)
        ),
    ];
    if direction == Direction::Reverse {
        let to = direction.target_word();
        lines.insert(
            0,
            format!("  direction   back: from the {from} to the {to}"),
        );
    }
    if progress.parked > 0 {
        lines.push(format!(
            "  refused     {} wait in quarantine, everything else goes on",
            of(progress.parked, "row", "rows")
        ));
    }
    if !progress.gates.is_empty() {
        lines.push(format!("  gates       {}", gates_line(&progress.gates)));
    }
    if !progress.followed {
        lines.push(format!(
            "  copied      {} rows, {} rows/s",
            count(progress.copied_rows),
            rate(progress.rows_per_second)
        ));
    }
    lines.join("\n")
}

/// The store counts bytes where its positions are bytes, and logged changes otherwise.
fn log_kept(progress: &Progress) -> String {
    match progress.lag.bytes {
        Some(_) => bytes(progress.log_kept_bytes),
        None => of(progress.log_kept_bytes, "logged change", "logged changes"),
    }
}

fn tables(progress: &Progress) -> String {
    let rows: Vec<Vec<String>> = progress
        .tables
        .iter()
        .map(|t| {
            vec![
                t.name.clone(),
                state_word(t.state).to_owned(),
                count(t.copied_rows),
                count(t.estimated_rows),
                format!("{}/{}", t.chunks_loaded, t.chunks_total),
            ]
        })
        .collect();
    table::text(
        &[
            ("table", Side::Left),
            ("state", Side::Left),
            ("copied", Side::Right),
            ("estimated", Side::Right),
            ("chunks", Side::Right),
        ],
        &rows,
    )
}

fn state_word(state: crossfade_engine::TableState) -> &'static str {
    use crossfade_engine::TableState as S;
    match state {
        S::Waiting => "waiting",
        S::Copying => "copying",
        S::BuildingKey => "building key",
        S::Copied => "copied",
        S::Following => "following",
    }
}

fn standing(shown: &Shown, durable: &DurableStatus) -> String {
    let behind = match &shown.lag {
        Some(lag) => lag.bytes.map_or_else(String::new, |b| {
            format!(
                "; {} behind the {}'s end",
                bytes(b),
                shown.direction.source_word()
            )
        }),
        None => String::new(),
    };
    let rows: Vec<Vec<String>> = durable
        .tables
        .iter()
        .map(|t| vec![t.name.clone(), count(t.copied_rows), count(t.chunks_loaded)])
        .collect();
    let head = format!(
        "  durable in the {}: checkpoint {}{behind}",
        shown.direction.target_word(),
        durable.checkpoint.as_deref().unwrap_or("none yet")
    );
    if rows.is_empty() {
        return head;
    }
    let heading = [
        ("table", Side::Left),
        ("copied", Side::Right),
        ("chunks loaded", Side::Right),
    ];
    format!("{head}\n{}", table::text(&heading, &rows))
}

/// The durable ledger: what became of every captured change.
pub fn ledger(shown: &Shown) -> String {
    let ledger = shown.ledger();
    if ledger.is_empty() {
        return String::new();
    }
    let cells = |name: &str, c: &LedgerCounts| {
        vec![
            name.to_owned(),
            count(c.captured),
            count(c.applied),
            count(c.covered),
            count(c.left),
            count(c.filtered),
            count(c.parked),
            if c.balances() {
                "balanced"
            } else {
                "NOT BALANCED"
            }
            .to_owned(),
        ]
    };
    let mut total = LedgerCounts::default();
    let mut rows = Vec::new();
    for (name, counts) in &ledger {
        total.add(counts);
        rows.push(cells(name, counts));
    }
    if rows.len() > 1 {
        rows.push(cells("all", &total));
    }
    let heading = [
        ("ledger", Side::Left),
        ("captured", Side::Right),
        ("applied", Side::Right),
        ("covered", Side::Right),
        ("left", Side::Right),
        ("filtered", Side::Right),
        ("parked", Side::Right),
        ("", Side::Left),
    ];
    table::text(&heading, &rows)
}

/// What was read on both sides while following.
fn proven(progress: &Progress) -> String {
    let Some(proof) = &progress.proof else {
        return "nothing was read again yet".to_owned();
    };
    let mut line = verify::proof(proof);
    if let Some(oldest) = &proof.oldest {
        line.push_str(&format!(", read {}", ago(oldest.read)));
    }
    line
}
