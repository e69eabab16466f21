//! Each gate's judgement.

use super::evidence::{
    DdlFreeze, Evidence, LagEvidence, LossyColumn, MappingEvidence, ProofEvidence,
    QuarantineEvidence, Rehearsal, RehearsalEvidence, ShadowEvidence, StrangersEvidence,
};
use super::{Gate, GateLimits, ShadowLimits, State};

/// Columns that are named at most.
const MOST_NAMED: usize = 10;
/// Milliseconds of a day.
const DAY: u64 = 86_400_000;

pub(super) struct Judged {
    pub state: State,
    pub evidence: String,
    pub fix: String,
}

fn met(evidence: impl Into<String>) -> Judged {
    Judged {
        state: State::Met,
        evidence: evidence.into(),
        fix: String::new(),
    }
}

fn unmet(evidence: impl Into<String>, fix: impl Into<String>) -> Judged {
    Judged {
        state: State::Unmet,
        evidence: evidence.into(),
        fix: fix.into(),
    }
}

fn unknown(evidence: impl Into<String>, fix: impl Into<String>) -> Judged {
    Judged {
        state: State::Unknown,
        evidence: evidence.into(),
        fix: fix.into(),
    }
}

fn not_configured(evidence: &str) -> Judged {
    Judged {
        state: State::NotConfigured,
        evidence: evidence.to_owned(),
        fix: String::new(),
    }
}

pub(super) fn judge(gate: Gate, limits: &GateLimits, known: &Evidence) -> Judged {
    const RUN: &str =
        "keep `crossfade run` active: it gathers this; `crossfade status` shows what it does";
    let judged = match gate {
        Gate::Lag => known.lag.as_ref().map(|e| lag(limits, e)),
        Gate::Proof => known.proof.as_ref().map(|e| proof(limits, e)),
        Gate::Quarantine => known.quarantine.as_ref().map(quarantine),
        Gate::Strangers => known.strangers.as_ref().map(strangers),
        Gate::Invertible => known.mapping.as_ref().map(invertible),
        Gate::Rehearsal => match limits.rehearsal_days {
            None => Some(not_configured(
                "the migration file says `rehearsal = \"off\"`",
            )),
            Some(days) => known.rehearsal.as_ref().map(|e| rehearsal(days, e)),
        },
        Gate::Shadow => match &limits.shadow {
            None => Some(not_configured("no shadow reads are configured")),
            Some(limits) => Some(match &known.shadow {
                Some(found) => shadow(limits, found),
                None => unknown(
                    "the file that `[shadow]` names is not there, not to be read or too old",
                    "let whoever compares the reads keep their numbers in it",
                ),
            }),
        },
        Gate::DdlFrozen => known.ddl.as_ref().map(ddl_frozen),
    };
    judged.unwrap_or_else(|| unknown("it could not be found out", RUN))
}

/// What a gate's trend is read from: less is better. `None` where it is no number or nothing is known.
pub(super) fn measure(gate: Gate, known: &Evidence) -> Option<[u64; 3]> {
    match gate {
        Gate::Lag => known.lag.as_ref()?.p99_ms.map(|p99| [p99, 0, 0]),
        Gate::Proof => known
            .proof
            .as_ref()
            .map(|e| [e.different, e.unproven, e.oldest_age_ms.unwrap_or(u64::MAX)]),
        Gate::Quarantine => known.quarantine.as_ref().map(|e| [waiting(e), 0, 0]),
        Gate::Strangers => known
            .strangers
            .as_ref()
            .map(|e| [e.unseen_tables, e.untold.saturating_add(e.unresolved), 0]),
        Gate::Shadow => known.shadow.as_ref().map(|e| [per_million(e), 0, 0]),
        Gate::Invertible | Gate::Rehearsal | Gate::DdlFrozen => None,
    }
}

fn lag(limits: &GateLimits, found: &LagEvidence) -> Judged {
    let limit = time(limits.lag_ms);
    let Some(p99) = found.p99_ms else {
        return unknown(
            "no marker has come through yet",
            "keep `crossfade run` active until markers have come through for the whole window",
        );
    };
    let watched = format!(
        "p99 {} over the last {} ({}; limit {limit})",
        time(p99),
        time(found.covered_ms),
        of(found.samples, "sample", "samples")
    );
    if p99 > limits.lag_ms {
        return unmet(
            watched,
            "wait until the target has caught up; if it does not, `crossfade status` shows what it works on",
        );
    }
    if found.covered_ms < limits.lag_window_ms {
        return unknown(
            format!(
                "{watched}, watched for less than {}",
                time(limits.lag_window_ms)
            ),
            "wait: the lag is to stay within its limit for the whole window",
        );
    }
    met(watched)
}

fn proof(limits: &GateLimits, found: &ProofEvidence) -> Judged {
    let touched = match found.touched {
        0 => String::new(),
        n => format!(
            "; {} since, to be read inside the fence",
            of(n, "key has changed", "keys have changed")
        ),
    };
    if found.different > 0 {
        return unmet(
            format!(
                "{}{touched}",
                of(found.different, "range differs", "ranges differ")
            ),
            "`crossfade verify` names the rows, `--repair` reads them again from the source",
        );
    }
    if found.unproven > 0 {
        return unmet(
            format!(
                "{} not proven{touched}",
                of(found.unproven, "range is", "ranges are")
            ),
            "`crossfade verify` reads everything on both sides",
        );
    }
    let Some(age) = found.oldest_age_ms else {
        return unmet(
            "nothing is proven",
            "`crossfade verify` reads everything on both sides",
        );
    };
    let at = found
        .position
        .as_ref()
        .map_or_else(String::new, |p| format!(" at position {p}"));
    let evidence = format!(
        "everything is proven, the oldest proof {} ago{at} (limit {}){touched}",
        time(age),
        time(limits.proof_age_ms)
    );
    if age > limits.proof_age_ms {
        return unmet(
            evidence,
            "`crossfade verify` reads everything again; a higher `reconcile_percent` keeps proofs younger",
        );
    }
    met(evidence)
}

fn waiting(found: &QuarantineEvidence) -> u64 {
    [found.open, found.bugs, found.retrying, found.unlisted]
        .into_iter()
        .fold(0, u64::saturating_add)
}

fn quarantine(found: &QuarantineEvidence) -> Judged {
    let expected = match found.expected {
        0 => String::new(),
        n => format!("{} classified as expected", of(n, "row", "rows")),
    };
    if waiting(found) == 0 {
        return met(if found.expected == 0 {
            "empty".to_owned()
        } else {
            format!("{expected}, nothing else")
        });
    }
    let parts: Vec<String> = [
        (found.open, "open"),
        (found.bugs, "held to be a bug"),
        (found.retrying, "being retried"),
        (found.unlisted, "without an entry of their own"),
    ]
    .into_iter()
    .filter(|(n, _)| *n > 0)
    .map(|(n, what)| format!("{n} {what}"))
    .chain((!expected.is_empty()).then_some(expected))
    .collect();
    unmet(
        parts.join(", "),
        "`crossfade quarantine list` shows them; `verify --repair`, `retry` or `classify` settles each",
    )
}

fn strangers(found: &StrangersEvidence) -> Judged {
    if found.unseen_tables > 0 {
        return unmet(
            format!(
                "writes could go unseen on {}",
                of(found.unseen_tables, "table", "tables")
            ),
            "start `crossfade run` again: it puts the marks back; then `crossfade verify`",
        );
    }
    if found.untold > 0 || found.unresolved > 0 {
        return unmet(
            format!(
                "{} on the target that the migration has not made, {} not told yet",
                of(found.unresolved.max(found.untold), "write", "writes"),
                found.untold
            ),
            "`crossfade status` shows who; stop them, then `crossfade verify --repair`",
        );
    }
    met("none since followed")
}

fn invertible(found: &MappingEvidence) -> Judged {
    let (declared, undeclared): (Vec<_>, Vec<_>) = found.lossy.iter().partition(|c| c.declared);
    if !undeclared.is_empty() {
        return unmet(
            format!("a rollback would lose: {}", named(&undeclared)),
            "declare each column lossy in the migration file, or map it so that it can be taken back",
        );
    }
    if declared.is_empty() {
        return met(format!(
            "{} can be taken back exactly",
            of(found.columns, "column", "columns")
        ));
    }
    met(format!(
        "a rollback loses, as declared: {}",
        named(&declared)
    ))
}

fn named(columns: &[&LossyColumn]) -> String {
    let mut names: Vec<String> = columns
        .iter()
        .take(MOST_NAMED)
        .map(|c| format!("{}.{} ({})", c.table, c.column, c.loses))
        .collect();
    if columns.len() > MOST_NAMED {
        names.push(format!("and {} more", columns.len() - MOST_NAMED));
    }
    names.join(", ")
}

fn rehearsal(days: u32, found: &RehearsalEvidence) -> Judged {
    const FIX: &str =
        "`crossfade rehearse` does it on a copy; `rehearsal = \"off\"` under [gates] does without";
    let RehearsalEvidence::Last(last) = found else {
        return unmet("it was never rehearsed", FIX);
    };
    let Rehearsal {
        age_ms,
        passed,
        same_plan,
        same_schema,
        same_servers,
    } = *last;
    let ago = format!("the last one ended {} ago", time(age_ms));
    if !passed {
        return unmet(format!("{ago} and did not pass"), FIX);
    }
    let other: Vec<&str> = [
        (same_plan, "another plan"),
        (same_schema, "another schema"),
        (same_servers, "other servers"),
    ]
    .into_iter()
    .filter(|(same, _)| !same)
    .map(|(_, what)| what)
    .collect();
    if !other.is_empty() {
        return unmet(format!("{ago}, but was of {}", other.join(" and ")), FIX);
    }
    let limit = of(u64::from(days), "day", "days");
    if age_ms > u64::from(days).saturating_mul(DAY) {
        return unmet(format!("{ago} (limit {limit})"), FIX);
    }
    met(format!(
        "{ago} and passed, for this plan, schema and servers (limit {limit})"
    ))
}

/// Of a million reads, so many differed, rounded up: one is never none.
fn per_million(found: &ShadowEvidence) -> u64 {
    if found.different == 0 {
        return 0;
    }
    let share = (u128::from(found.different) * 1_000_000)
        .div_ceil(u128::from(found.compared.max(found.different)));
    u64::try_from(share).unwrap_or(u64::MAX)
}

fn shadow(limits: &ShadowLimits, found: &ShadowEvidence) -> Judged {
    let evidence = format!(
        "{} of {} differ (limit {} of a million)",
        found.different,
        of(found.compared, "read", "reads"),
        limits.most_different_per_million
    );
    if per_million(found) > limits.most_different_per_million {
        return unmet(
            evidence,
            "look at which reads differ, and at `crossfade verify --projections`",
        );
    }
    if found.compared < limits.least_reads {
        return unknown(
            format!(
                "{evidence}; at least {} are to be compared",
                limits.least_reads
            ),
            "wait until more reads were compared",
        );
    }
    met(evidence)
}

fn ddl_frozen(found: &DdlFreeze) -> Judged {
    match found {
        DdlFreeze::Frozen => met("changes of the tables' shapes by others are refused"),
        DdlFreeze::Watched => met(
            "a change of a table's shape is noticed, and stops the switch before anything changes hands; nothing refuses it",
        ),
        DdlFreeze::Open => unmet(
            "others can change the tables' shapes",
            "start `crossfade run`: it has the store refuse them where it may; `crossfade plan` names the right that is missing",
        ),
    }
}

/// `3 days`, `1 read`.
fn of(value: u64, one: &str, many: &str) -> String {
    format!("{value} {}", if value == 1 { one } else { many })
}

/// Milliseconds for people, rounded down.
fn time(ms: u64) -> String {
    match ms {
        0..=999 => format!("{ms} ms"),
        1_000..=9_999 => format!("{}.{} s", ms / 1000, ms % 1000 / 100),
        10_000..=119_999 => format!("{} s", ms / 1000),
        120_000..=7_199_999 => format!("{} min", ms / 60_000),
        7_200_000..=172_799_999 => format!("{} h", ms / 3_600_000),
        _ => format!("{} days", ms / DAY),
    }
}
