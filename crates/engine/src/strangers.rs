//! Strangers: writes on the target that are not this migration's, as the target itself has noted them.
//!
//! Every second, and again before a comparison's second look at what differs, new entries are read. Each is told once, takes its
//! key out of what is proven, and is the likely cause of a difference of that row. A write is noted in its own transaction; it
//! is known here up to a second after its commit.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crossfade_control::quarantine::{KeySide, RowKey};
use crossfade_model::{Cell, Row, TableMapping, of_each_target};
use crossfade_store::{ErrorKind, Stranger, Strangers, Written};

use crate::error::EngineError;
use crate::progress::{DifferenceKind, Event, StrangerWrite, StrangersSeen};
use crate::session::Session;
use crate::verify::cause::Facts;
use crate::verify::differ::{self, cell_text, key_digest};
use crate::verify::repair::source_key;

/// How often the target is asked.
const EVERY: Duration = Duration::from_secs(1);
/// Looks, one after the other, that a comparison waits for.
const MOST_LOOKS: u32 = 10;
/// Entries told one by one at a time; the others are counted.
const MOST_TOLD: usize = 20;
/// Entries shown of the latest.
const MOST_SHOWN: usize = 5;
/// Keys kept for the likely cause, all tables together.
const MOST_KEYS: usize = 50_000;

/// What is known of strangers in this attempt.
#[derive(Debug, Default)]
pub(crate) struct Marks {
    /// Up to where the target's entries were read. Held while they are.
    seen: tokio::sync::Mutex<Option<String>>,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    shown: StrangersSeen,
    latest: VecDeque<StrangerWrite>,
    /// Digests of the keys that were written, by the source's table name.
    keys: HashMap<String, HashSet<String>>,
    kept: usize,
    /// So many of the first writes were resolved by a comparison since.
    resolved: u64,
    /// Tables that were emptied.
    emptied: HashSet<String>,
    /// Tables that may have other rows than before.
    exchanged: HashSet<String>,
    /// Why nothing is noted, where that is so.
    unwatched: Option<Unwatched>,
}

/// Strangers' writes are not noted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unwatched {
    /// Why.
    pub what: String,
    /// What helps.
    pub fix: String,
}

impl Marks {
    /// What is known of a row that differs, besides its cells.
    pub fn facts(
        &self,
        mapping: &TableMapping,
        digest: Option<&str>,
        kind: DifferenceKind,
    ) -> Facts {
        let table = mapping.called();
        let known = self.known();
        let keys = known.keys.get(&table);
        let written = digest.is_some_and(|d| keys.is_some_and(|keys| keys.contains(d)));
        let emptied = kind == DifferenceKind::Missing && known.emptied.contains(&table);
        let exchanged = known.exchanged.contains(&table);
        Facts {
            stranger: written || emptied || exchanged,
            ..Facts::default()
        }
    }

    /// Writes that are known.
    pub fn count(&self) -> u64 {
        let known = self.known();
        known.shown.writes + u64::from(known.shown.more)
    }

    /// The rows of the first `count` writes were read again on both sides and found equal.
    pub fn resolve(&self, count: u64) {
        let mut known = self.known();
        known.resolved = known.resolved.max(count);
    }

    /// Writes whose rows were not read again since.
    pub fn unresolved(&self) -> u64 {
        let known = self.known();
        (known.shown.writes + u64::from(known.shown.more)).saturating_sub(known.resolved)
    }

    /// Why nobody knows what strangers write, where that is so.
    pub fn unwatched(&self) -> Option<Unwatched> {
        self.known().unwatched.clone()
    }

    /// For people.
    pub fn shown(&self) -> StrangersSeen {
        let known = self.known();
        StrangersSeen {
            latest: known.latest.iter().cloned().collect(),
            ..known.shown.clone()
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        // a panic while it was held ends the attempt
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn enter(&mut self, mapping: &TableMapping, entry: &Stranger, digest: Option<String>) {
        let table = mapping.called();
        match (digest, entry.operation) {
            (Some(digest), _) => {
                if self.kept < MOST_KEYS && self.keys.entry(table).or_default().insert(digest) {
                    self.kept += 1;
                }
            }
            (None, Written::Truncate) => {
                self.emptied.insert(table);
            }
            (None, Written::Exchange) => {
                self.exchanged.insert(table);
            }
            (None, _) => {}
        }
        self.shown.writes += u64::from(entry.operation != Written::More);
        self.shown.more |= entry.operation == Written::More;
        self.latest.push_back(write(entry));
        if self.latest.len() > MOST_SHOWN {
            self.latest.pop_front();
        }
    }
}

/// Has the target note strangers; a role that may not, or a target whose log does not show them, leaves them to the comparison.
pub(crate) async fn watch(session: &Session) -> Result<(), EngineError> {
    // a table that several mappings go to is watched once
    let tables = of_each_target(session.tables());
    match session.target.watch_strangers(&session.name, &tables).await {
        Ok(lost) => {
            session.strangers.known().unwatched = None;
            for table in lost {
                warn(
                    session,
                    format!(
                        "table {table}: what shows strangers' writes had been taken off, switched off or lost; it is there again, writes in between may not have been seen"
                    ),
                );
            }
            Ok(())
        }
        Err(e) if matches!(e.kind, ErrorKind::Permission | ErrorKind::Setting) => {
            warn(
                session,
                format!("strangers' writes on the target are not noted: {e}"),
            );
            session.strangers.known().unwatched = Some(Unwatched {
                what: e.what.clone(),
                fix: e.fix.clone().unwrap_or_else(|| {
                    "give the target's user the rights that `crossfade plan --grants` prints, and start `crossfade run` again".to_owned()
                }),
            });
            Ok(())
        }
        Err(e) => Err(e.into()),
    }
}

/// Looks until the attempt stops.
pub(crate) async fn run(session: Arc<Session>) -> Result<(), EngineError> {
    let finished = session.wait_for(|state| state.finished.then_some(()));
    if finished.await.is_none() {
        return Ok(());
    }
    let mut stop = session.stop.clone();
    loop {
        look(&session).await?;
        tokio::select! {
            _ = stop.changed() => return Ok(()),
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

/// Looks until what strangers have written by now is known.
///
/// # Errors
/// [`look`]'s; where the target does not come to that in time, that is said.
pub(crate) async fn look_to_the_end(session: &Session) -> Result<(), EngineError> {
    for _ in 0..MOST_LOOKS {
        if look(session).await? {
            return Ok(());
        }
    }
    Err(EngineError::stopped(
        "verify.strangers_behind",
        "what strangers have written to the target is not known yet: its log is read slower than it is written, or its connection is lost",
        "Try again; `status` shows what is known",
    ))
}

/// Reads what the target has noted since the last look; false where it has not looked at everything itself.
pub(crate) async fn look(session: &Session) -> Result<bool, EngineError> {
    let mut seen = session.strangers.seen.lock().await;
    let mut found = session
        .target
        .strangers(&session.name, seen.as_deref())
        .await?;
    if seen.is_some() && found.seen.is_none() {
        // it has noted, and has lost what it notes in
        let names = session.tables().iter().map(|m| m.target.name.clone());
        found.unseen = names.collect();
    }
    for entry in &found.entries {
        enter(session, entry);
    }
    lost(session, &found);
    let told = tell(session, &found.entries);
    if !told.is_empty() {
        session.target.told_strangers(&session.name, &told).await?;
    }
    if found.seen.is_some() {
        *seen = found.seen;
    }
    Ok(!found.is_behind)
}

/// Takes the key out of what is proven, and keeps it for the likely cause.
fn enter(session: &Session, entry: &Stranger) {
    let mut known = false;
    for (at, mapping) in session.tables().iter().enumerate() {
        if mapping.target.name != entry.table {
            continue;
        }
        let key = key(mapping, entry);
        let cells = key
            .as_ref()
            .and_then(|key| source_key(session.source.as_ref(), mapping, key));
        if let Some(proofs) = session.proofs().as_mut() {
            proofs.stranger(at, cells.as_ref());
        }
        if !known {
            let digest = key.map(|key| key.digest);
            session.strangers.known().enter(mapping, entry, digest);
            known = true;
        }
    }
}

/// The key that an entry names, in the target's form.
fn key(mapping: &TableMapping, entry: &Stranger) -> Option<RowKey> {
    let cells = entry.key.as_ref()?;
    let places = &mapping.source.key.as_ref()?.columns;
    if cells.len() != places.len() {
        return None;
    }
    let mut row = Row(vec![Cell::Null; mapping.columns.len()]);
    for (&place, cell) in places.iter().zip(cells) {
        *row.0.get_mut(place)? = cell.clone();
    }
    Some(RowKey {
        digest: key_digest(mapping, &row)?,
        text: differ::key_text(mapping, &row),
        cells: cells.clone(),
        side: KeySide::Target,
    })
}

/// Tables whose writes are no longer noted: told once, and nothing of them is proven that was.
fn lost(session: &Session, found: &Strangers) {
    let names: Vec<String> = found.unseen.iter().map(ToString::to_string).collect();
    let before = std::mem::replace(&mut session.strangers.known().shown.unseen, names.clone());
    for (table, name) in found.unseen.iter().zip(names) {
        if before.contains(&name) {
            continue;
        }
        warn(
            session,
            format!(
                "table {name}: somebody has taken off or switched off what shows strangers' writes, or the log that does is lost: some cannot be seen"
            ),
        );
        for (at, mapping) in session.tables().iter().enumerate() {
            if mapping.target.name == *table
                && let Some(proofs) = session.proofs().as_mut()
            {
                proofs.stranger(at, None);
            }
        }
    }
}

/// Tells what was not told before. Returns what names it.
fn tell(session: &Session, entries: &[Stranger]) -> Vec<i64> {
    let new: Vec<&Stranger> = entries.iter().filter(|entry| !entry.told).collect();
    for entry in new.iter().take(MOST_TOLD) {
        session.observer.event(&Event::Stranger {
            write: write(entry),
        });
    }
    if new.len() > MOST_TOLD {
        warn(
            session,
            format!(
                "{} more writes by strangers on the target were noted",
                new.len() - MOST_TOLD
            ),
        );
    }
    new.iter().filter_map(|entry| entry.id).collect()
}

fn warn(session: &Session, what: String) {
    session.observer.event(&Event::Warning { what });
}

/// An entry for people.
#[must_use]
pub fn write(entry: &Stranger) -> StrangerWrite {
    StrangerWrite {
        table: entry.table.to_string(),
        operation: word(entry.operation).to_owned(),
        key: entry.key.as_ref().map(|cells| {
            let texts = cells.iter().map(|c| cell_text(c).unwrap_or_default());
            texts.collect::<Vec<_>>().join(", ")
        }),
        at: entry.at,
        who: entry.who.clone(),
    }
}

/// What a target has noted, for people: where no run is active.
#[must_use]
pub fn seen(found: &Strangers) -> StrangersSeen {
    let entries = &found.entries;
    let more = entries.iter().filter(|e| e.operation == Written::More);
    let more = more.count();
    StrangersSeen {
        writes: (entries.len() - more) as u64,
        more: more > 0,
        latest: entries[entries.len().saturating_sub(MOST_SHOWN)..]
            .iter()
            .map(write)
            .collect(),
        unseen: found.unseen.iter().map(ToString::to_string).collect(),
    }
}

fn word(operation: Written) -> &'static str {
    match operation {
        Written::Insert => "insert",
        Written::Update => "update",
        Written::Delete => "delete",
        Written::Truncate => "truncate",
        Written::Exchange => "exchange",
        Written::More => "more",
    }
}

#[cfg(test)]
#[path = "strangers_tests.rs"]
mod tests;
