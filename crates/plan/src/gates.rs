//! `[gates]`: what a switch asks for; `[abort_conditions]`: what takes it back, or raises an alarm, afterwards.

use crossfade_rules::gates::GateLimits;
use serde::{Deserialize, Serialize};
use toml::de::{DeTable, DeValue};

use crate::file::{Entry, Listed, Reader, whole_number, with_article};

/// Both sections as comments for a new file: `[gates]` with the defaults.
pub const COMMENTED: &str = "\
# What a switch asks for, with the defaults.
# [gates]
# lag_seconds = 5  # how far behind the target may be, at the 99th percentile
# lag_window_seconds = 60  # for how long the lag is to stay within it
# proof_age_seconds = 86400  # how old the oldest proof may be
# rehearsal = \"required\"  # or \"off\"
# rehearsal_days = 14  # how old the last rehearsal may be

# What is watched after a switch of writes: \"alarm\" tells, \"rollback\" also takes the switch back by itself.
# [abort_conditions]
# reverse_lag_seconds = 60  # how far behind the old side may be; without it nobody looks
# drift = \"alarm\"  # both sides differ; or \"off\"
# action = \"alarm\"  # for the lag and the probe
# [abort_conditions.probe]
# query = \"SELECT 1\"  # asked of the store that takes writes
# every_seconds = 5
# window_seconds = 60
# error_percent = 5
# latency_milliseconds = 500  # at the 99th percentile
";

/// What happens when a condition is no longer met after a switch of writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reaction {
    /// Nobody looks.
    Off,
    /// It is told, and stands in the audit log.
    #[default]
    Alarm,
    /// Authority goes back by itself, once at most, and only while that loses nothing.
    Rollback,
}

impl Reaction {
    /// The stable word.
    pub fn word(self) -> &'static str {
        match self {
            Reaction::Off => "off",
            Reaction::Alarm => "alarm",
            Reaction::Rollback => "rollback",
        }
    }
}

/// A query that is asked of the store with authority again and again after a switch of writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// The query, in that store's dialect.
    pub query: Listed,
    /// Seconds from one asking to the next. Default 5, 1 to 3600.
    pub every_seconds: u32,
    /// Seconds over which errors and answers are counted. Default 60, 1 to 86,400.
    pub window_seconds: u32,
    /// Percent of the answers that may be errors; one that takes longer than [`Probe::every_seconds`] is one. `None`: not looked at.
    pub error_percent: Option<u32>,
    /// Milliseconds that the 99th percentile of the answers may take. `None`: not looked at.
    pub latency_milliseconds: Option<u32>,
}

/// What is watched after a switch of writes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AbortConditions {
    /// Seconds that the old side may be behind. `None` (the default): not looked at.
    pub reverse_lag_seconds: Option<u32>,
    /// What a proof that finds both sides different does. Default: an alarm.
    pub drift: Reaction,
    /// The query that is asked, where there is one.
    pub probe: Option<Probe>,
    /// What the lag and the probe do. Default: an alarm. Never [`Reaction::Off`]: what is not written is not looked at.
    pub action: Reaction,
}

const DAY: u64 = 86_400;

impl Reader<'_> {
    pub(crate) fn gates(&mut self, value: Option<Entry<'_, '_>>) -> GateLimits {
        const PLACE: &str = "[gates]";
        let mut limits = GateLimits::default();
        let Some(table) = value.and_then(|value| self.table_of(value, PLACE)) else {
            return limits;
        };
        self.known_keys(
            PLACE,
            table,
            &[
                "lag_seconds",
                "lag_window_seconds",
                "proof_age_seconds",
                "rehearsal",
                "rehearsal_days",
            ],
        );
        if let Some(value) = table.get("lag_seconds") {
            limits.lag_ms = self.lag(value).unwrap_or(limits.lag_ms);
        }
        let window = self.whole(table, "lag_window_seconds", 1, DAY);
        limits.lag_window_ms = window.map_or(limits.lag_window_ms, |seconds| seconds * 1000);
        let age = self.whole(table, "proof_age_seconds", 1, 365 * DAY);
        limits.proof_age_ms = age.map_or(limits.proof_age_ms, |seconds| seconds * 1000);
        if let Some(days) = self.narrow(table, "rehearsal_days", 1, 3650) {
            limits.rehearsal_days = Some(days);
        }
        self.rehearsal(table, &mut limits);
        limits
    }

    fn rehearsal(&mut self, table: &DeTable<'_>, limits: &mut GateLimits) {
        let Some(value) = table.get("rehearsal") else {
            return;
        };
        if self.word(value, "`rehearsal`", &["required", "off"]) != Some("off") {
            return;
        }
        limits.rehearsal_days = None;
        if let Some((key, _)) = table.get_key_value("rehearsal_days") {
            self.problem_with_fix(
                key.span(),
                "`rehearsal_days` says how old a rehearsal may be, and `rehearsal` that none is asked for",
                "remove one of both".to_owned(),
            );
        }
    }

    pub(crate) fn abort_conditions(&mut self, value: Option<Entry<'_, '_>>) -> AbortConditions {
        const PLACE: &str = "[abort_conditions]";
        let mut conditions = AbortConditions::default();
        let Some(table) = value.and_then(|value| self.table_of(value, PLACE)) else {
            return conditions;
        };
        self.known_keys(
            PLACE,
            table,
            &["reverse_lag_seconds", "drift", "probe", "action"],
        );
        conditions.reverse_lag_seconds = self.narrow(table, "reverse_lag_seconds", 1, DAY);
        if let Some(value) = table.get("drift") {
            let all = [Reaction::Alarm, Reaction::Rollback, Reaction::Off];
            conditions.drift = self.reaction(value, "`drift`", &all).unwrap_or_default();
        }
        if let Some(value) = table.get("action") {
            let both = [Reaction::Alarm, Reaction::Rollback];
            conditions.action = self.reaction(value, "`action`", &both).unwrap_or_default();
        }
        conditions.probe = table.get("probe").and_then(|value| self.probe(value));
        conditions
    }

    fn probe(&mut self, value: Entry<'_, '_>) -> Option<Probe> {
        const PLACE: &str = "[abort_conditions.probe]";
        let table = self.table_of(value, PLACE)?;
        self.known_keys(
            PLACE,
            table,
            &[
                "query",
                "every_seconds",
                "window_seconds",
                "error_percent",
                "latency_milliseconds",
            ],
        );
        let query = self.required(value.span(), table, "query", PLACE);
        let query = query.and_then(|query| self.query(query, "`query`"));
        let probe = Probe {
            query: query?,
            every_seconds: self.narrow(table, "every_seconds", 1, 3600).unwrap_or(5),
            window_seconds: self.narrow(table, "window_seconds", 1, DAY).unwrap_or(60),
            error_percent: self.narrow(table, "error_percent", 0, 99),
            latency_milliseconds: self.narrow(table, "latency_milliseconds", 1, 3_600_000),
        };
        let limited = ["error_percent", "latency_milliseconds"]
            .into_iter()
            .any(|limit| table.get(limit).is_some());
        if !limited {
            self.problem_with_fix(
                value.span(),
                format!("{PLACE} has no limit"),
                "add `error_percent`, `latency_milliseconds` or both".to_owned(),
            );
        }
        Some(probe)
    }

    fn reaction(
        &mut self,
        value: Entry<'_, '_>,
        place: &str,
        known: &[Reaction],
    ) -> Option<Reaction> {
        let words: Vec<&str> = known.iter().map(|reaction| reaction.word()).collect();
        let word = self.word(value, place, &words)?;
        known.iter().copied().find(|r| r.word() == word)
    }

    /// One of a few words.
    fn word<'t>(&mut self, value: Entry<'t, '_>, place: &str, known: &[&str]) -> Option<&'t str> {
        let word = self.string(value, place)?;
        if known.contains(&word) {
            return Some(word);
        }
        let list: Vec<String> = known.iter().map(|word| format!("\"{word}\"")).collect();
        self.problem_with_fix(
            value.span(),
            format!("{place} cannot be \"{word}\""),
            format!("write one of {}", list.join(", ")),
        );
        None
    }

    /// Seconds, also parts of one, as milliseconds.
    fn lag(&mut self, value: Entry<'_, '_>) -> Option<u64> {
        let seconds = match value.get_ref() {
            DeValue::Float(float) => float.as_str().replace('_', "").parse::<f64>().ok(),
            _ => whole_number(value).map(|whole| whole as f64),
        };
        // a NaN lies in no range
        let found = seconds.filter(|seconds| (0.001..=86_400.0).contains(seconds));
        if found.is_none() {
            self.problem_with_fix(
                value.span(),
                "`lag_seconds` is to be a number from 0.001 to 86400",
                "it means: how far behind the target may be, at the 99th percentile".to_owned(),
            );
        }
        found.map(|seconds| (seconds * 1000.0).round() as u64)
    }

    /// A whole number within bounds; `None` also where it is not written.
    pub(crate) fn whole(
        &mut self,
        table: &DeTable<'_>,
        key: &str,
        least: u64,
        most: u64,
    ) -> Option<u64> {
        let value = table.get(key)?;
        let found = whole_number(value)
            .and_then(|whole| u64::try_from(whole).ok())
            .filter(|whole| (least..=most).contains(whole));
        if found.is_none() {
            let kind = with_article(value.get_ref().type_str());
            self.problem_with_fix(
                value.span(),
                format!("`{key}` is to be a whole number from {least} to {most}"),
                format!("write one; this is {kind} that is none within these bounds"),
            );
        }
        found
    }

    pub(crate) fn narrow(
        &mut self,
        table: &DeTable<'_>,
        key: &str,
        least: u64,
        most: u64,
    ) -> Option<u32> {
        self.whole(table, key, least, most)
            .and_then(|whole| u32::try_from(whole).ok())
    }
}

#[cfg(test)]
#[path = "gates_tests.rs"]
mod tests;
