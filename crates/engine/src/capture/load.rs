//! Loaders: each takes a chunk, reads it at a snapshot that sees all it is owed, and writes it with its frontier row in
//! one target transaction.

use std::sync::Arc;
use std::time::Duration;

use crossfade_model::{Position, TableId, TableMapping};
use crossfade_rules::frontier::{ChunkId, ChunkState, WrongState};
use crossfade_store::{
    ChunkRange, ErrorKind, Loader, ReadForm, RowStream, SourceSnapshot, StoreError,
};

use crate::capture::bounds;
use crate::capture::park::{self, Looked, Without};
use crate::durable::{self, ChunkRecord};
use crate::error::EngineError;
use crate::kill;
use crate::lookout::note_altered;
use crate::planted;
use crate::progress::Event;
use crate::session::{Keying, Parts, Session, State, TableState};

/// How long a loader asks for a snapshot that sees everything owed, before it gives up: a transaction that the log shows
/// as committed becomes visible in milliseconds, or when a synchronous standby answers.
const SNAPSHOT_PATIENCE: Duration = Duration::from_secs(600);

/// Tries of one chunk that met a deadlock or a busy store.
const CHUNK_TRIES: u32 = 20;

/// Tries of a chunk of which a row was refused that is not found.
const BLIND_TRIES: u32 = 2;

/// What a loader does next.
#[derive(Debug, PartialEq)]
enum Unit {
    Chunk(TableId, ChunkId),
    Key(TableId),
}

/// Takes units until everything is loaded or the attempt stops.
pub(crate) async fn run(session: Arc<Session>) -> Result<(), EngineError> {
    let mut loader: Option<Box<dyn Loader>> = None;
    loop {
        let next = session
            .wait_for(|state| {
                if state.all_loaded() && state.tables.iter().all(|t| t.keying == Keying::Keyed) {
                    return Some(None);
                }
                take(session.tables(), state).map(Some)
            })
            .await;
        let Some(Some(unit)) = next else {
            return Ok(());
        };
        match unit {
            Unit::Key(table) => build_key(&session, table).await?,
            Unit::Chunk(table, chunk) => {
                if loader.is_none() {
                    loader = Some(session.tenure.open_loader().await?);
                }
                if let Some(loader) = loader.as_mut() {
                    chunk_with_retries(&session, loader.as_mut(), table, chunk).await?;
                }
            }
        }
        session.notify();
    }
}

/// Chooses the next unit and marks it as taken, under the lock.
fn take(mappings: &[TableMapping], state: &mut State) -> Option<Unit> {
    if state.paused || state.gate_closed {
        return None;
    }
    // where several go to one table, it gets its key once
    let is_building = |table: &usize| {
        let target = mappings.get(*table).map(|m| &m.target.name);
        let mut all = mappings.iter().zip(&state.tables);
        all.any(|(m, other)| other.keying == Keying::Building && Some(&m.target.name) == target)
    };
    let mut due = (0..state.tables.len()).filter(|at| key_is_due(&state.tables[*at]));
    if let Some(table) = due.find(|table| !is_building(table)) {
        state.tables[table].keying = Keying::Building;
        return Some(Unit::Key(TableId(table as u32)));
    }
    // once a table was altered nothing more is loaded, but what is loaded still gets its key: the stream may wait for it
    if state.stream_waits || state.altered.is_some() {
        return None;
    }
    for (mapping, table) in mappings.iter().zip(&mut state.tables) {
        if matches!(table.keying, Keying::Wanted | Keying::Building) {
            continue;
        }
        // parts of one table share one snapshot, so one loader reads them all
        let resumed = table
            .frontier
            .chunks()
            .any(|c| table.frontier.state(c) == ChunkState::Partial);
        if resumed && (table.loading > 0 || table.keying != Keying::Keyed) {
            continue;
        }
        let Some(chunk) = table.frontier.next_to_load(&[]) else {
            continue;
        };
        if table.frontier.begin_loading(chunk).is_ok() {
            table.loading += 1;
            return Some(Unit::Chunk(mapping.id, chunk));
        }
    }
    None
}

/// A key is built once all chunks are loaded, or when the stream has waited too long, or before parts are taken up again
/// (rows that are there are then replaced by key).
fn key_is_due(table: &TableState) -> bool {
    if table.loading > 0 {
        return false;
    }
    let progress = table.frontier.progress();
    let loaded = progress.pending == 0 && progress.loading == 0;
    let resumed = progress.loading > 0;
    match table.keying {
        Keying::Without => loaded || resumed,
        Keying::Wanted => true,
        Keying::Building | Keying::Keyed => false,
    }
}

async fn build_key(session: &Session, table: TableId) -> Result<(), EngineError> {
    let mapping = session.table(table)?;
    kill::point("key.before");
    session.target.build_key(mapping).await?;
    kill::point("key.after");
    session.lock().tables[table.0 as usize].keying = Keying::Keyed;
    Ok(())
}

async fn chunk_with_retries(
    session: &Session,
    loader: &mut dyn Loader,
    table: TableId,
    chunk: ChunkId,
) -> Result<(), EngineError> {
    let mut blind = 0;
    for attempt in 1.. {
        let result = load(session, loader, table, chunk).await;
        let Err(EngineError::Store(error)) = &result else {
            if result.is_ok() {
                ended(session, table)?;
            }
            return result;
        };
        // a table of the target that is not as planned ends the run by itself
        if error.kind == ErrorKind::SchemaMismatch && error.store == session.source.label() {
            loader.rollback().await?;
            let what = error.what.clone();
            let name = session.table(table)?.source.name.to_string();
            {
                let mut state = session.lock();
                let at = &mut state.tables[table.0 as usize];
                at.frontier.lost(chunk).map_err(EngineError::rule)?;
                at.loading -= 1;
            }
            return note_altered(session, name, what).await;
        }
        let passing = match error.kind {
            ErrorKind::Conflict | ErrorKind::Busy => true,
            ErrorKind::RowRefused => {
                loader.rollback().await?;
                match park::park(session, loader, table, chunk).await? {
                    Looked::Parked => true,
                    // it may have been mended since it was read
                    Looked::NothingFound => {
                        blind += 1;
                        blind <= BLIND_TRIES
                    }
                    Looked::Cannot => false,
                }
            }
            _ => false,
        };
        if !passing || attempt >= CHUNK_TRIES {
            return result;
        }
        // these kinds say for certain that the transaction did not happen
        loader.rollback().await?;
        let goes_on = {
            let at = &mut session.lock().tables[table.0 as usize];
            take_up_again(at, chunk).map_err(EngineError::rule)?
        };
        if !goes_on {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(20 * u64::from(attempt))).await;
    }
    Ok(())
}

/// A loader has ended its chunk, or given it back. Says so where the table is whole.
fn ended(session: &Session, table: TableId) -> Result<(), EngineError> {
    let copied = {
        let at = &mut session.lock().tables[table.0 as usize];
        at.loading -= 1;
        let progress = at.frontier.progress();
        (progress.pending + progress.loading == 0).then_some(at.copied_rows)
    };
    if let Some(rows) = copied {
        session.observer.event(&Event::TableCopied {
            table: session.table(table)?.called(),
            rows,
        });
    }
    Ok(())
}

/// After a chunk's transaction did not happen: whether its loader tries again. Parts that are there are replaced by key when
/// the rest is read later, so a table without its key is given back and gets the key first.
fn take_up_again(table: &mut TableState, chunk: ChunkId) -> Result<bool, WrongState> {
    table.frontier.lost(chunk)?;
    if table.frontier.state(chunk) == ChunkState::Partial && table.keying != Keying::Keyed {
        table.loading -= 1;
        return Ok(false);
    }
    table.frontier.begin_loading(chunk)?;
    Ok(true)
}

async fn load(
    session: &Session,
    loader: &mut dyn Loader,
    table: TableId,
    chunk: ChunkId,
) -> Result<(), EngineError> {
    let mapping = session.table(table)?;
    let mut snapshot = accepted_snapshot(session, mapping, chunk).await?;
    snapshot.wait_durable().await?;
    kill::point("chunk.snapshot");
    let in_parts = mapping.source.key.is_some() && !mapping.source.is_ordered();
    if in_parts {
        load_parts(session, loader, mapping, chunk, snapshot.as_mut()).await?;
    } else {
        let range = session.lock().tables[table.0 as usize].range(chunk);
        load_range(session, loader, mapping, chunk, snapshot.as_mut(), &range).await?;
    }
    // the rows are there: how the reading ends changes nothing
    if let Err(error) = snapshot.close().await {
        tracing::debug!(%error, "a snapshot did not close");
    }
    Ok(())
}

/// Opens snapshots until one sees everything that the chunk is owed.
async fn accepted_snapshot(
    session: &Session,
    mapping: &TableMapping,
    chunk: ChunkId,
) -> Result<Box<dyn SourceSnapshot>, EngineError> {
    let begun = tokio::time::Instant::now();
    loop {
        let snapshot = session
            .source
            .open_snapshot(&[mapping.source_table()])
            .await?;
        let accepted = session.lock().tables[mapping.id.0 as usize]
            .frontier
            .accept(chunk, snapshot.snapshot())
            .is_accepted();
        if accepted {
            return Ok(snapshot);
        }
        snapshot.close().await?;
        if begun.elapsed() > SNAPSHOT_PATIENCE {
            return Err(StoreError::new(
                ErrorKind::Unavailable,
                "engine.snapshot_patience",
                session.source.label(),
                "a committed transaction does not become visible to readers",
            )
            .table(&mapping.source.name)
            .fix("Look for a synchronous standby that does not answer")
            .into());
        }
        if session.stopping() {
            return Err(EngineError::Ending);
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn read_form(session: &Session, mapping: &TableMapping) -> ReadForm {
    if !mapping.same_shape {
        return ReadForm::Rows;
    }
    let theirs = session.target.capabilities().copy_formats;
    session
        .source
        .copy_formats(mapping)
        .into_iter()
        .find(|format| theirs.contains(format))
        .map_or(ReadForm::Rows, ReadForm::Copy)
}

/// Copies rows of a range into the open target transaction; returns how many.
async fn copy_rows(
    session: &Session,
    loader: &mut dyn Loader,
    mapping: &TableMapping,
    snapshot: &mut dyn SourceSnapshot,
    range: &ChunkRange,
    upsert: bool,
) -> Result<u64, EngineError> {
    let mut without = {
        let state = session.lock();
        Without::of(mapping, &state.tables[mapping.id.0 as usize].frontier)
    };
    let form = if without.is_empty() {
        read_form(session, mapping)
    } else {
        ReadForm::Rows
    };
    let mut stream: Box<dyn RowStream + '_> = snapshot.read(mapping, range, form.clone()).await?;
    while let Some(block) = stream.next().await? {
        loader
            .write(
                mapping,
                without.block(planted::block(block))?,
                &form,
                upsert,
            )
            .await?;
        kill::point("chunk.rows");
        if session.stopping() {
            return Err(EngineError::Ending);
        }
    }
    Ok(loader.finish().await?)
}

async fn load_range(
    session: &Session,
    loader: &mut dyn Loader,
    mapping: &TableMapping,
    chunk: ChunkId,
    snapshot: &mut dyn SourceSnapshot,
    range: &ChunkRange,
) -> Result<(), EngineError> {
    loader.begin().await?;
    if mapping.source.key.is_none() {
        loader.clear(mapping, &ChunkRange::All).await?;
    }
    let rows = copy_rows(session, loader, mapping, snapshot, range, false).await?;
    let record = chunk_row(session, mapping, chunk, snapshot, rows, true)?;
    loader
        .records(&[durable::chunk_record(mapping, &record)?])
        .await?;
    kill::point("chunk.before_commit");
    loader.commit().await?;
    kill::point("chunk.after_commit");
    let mut state = session.lock();
    let table = &mut state.tables[mapping.id.0 as usize];
    table
        .frontier
        .loaded(chunk, &record.row)
        .map_err(EngineError::rule)?;
    table.copied_rows += rows;
    Ok(())
}

fn chunk_row(
    session: &Session,
    mapping: &TableMapping,
    chunk: ChunkId,
    snapshot: &dyn SourceSnapshot,
    rows: u64,
    complete: bool,
) -> Result<ChunkRecord, EngineError> {
    let state = session.lock();
    let table = &state.tables[mapping.id.0 as usize];
    let horizon: Position = snapshot.horizon();
    let row = table
        .frontier
        .row_for(chunk, snapshot.snapshot(), &horizon, complete)
        .map_err(EngineError::rule)?;
    let cells = |key: &Option<crossfade_model::Key>| {
        key.as_ref()
            .and_then(|key| table.bounds.get(key).cloned())
            .unwrap_or_default()
    };
    Ok(ChunkRecord {
        table: durable::table_word(mapping),
        low: cells(&row.bounds.low),
        high: cells(&row.bounds.high),
        row,
        rows,
        seen: snapshot.seen(),
    })
}

/// Reads a table in physical parts, all under this snapshot, each in a target transaction of its own.
async fn load_parts(
    session: &Session,
    loader: &mut dyn Loader,
    mapping: &TableMapping,
    chunk: ChunkId,
    snapshot: &mut dyn SourceSnapshot,
) -> Result<(), EngineError> {
    let index = mapping.id.0 as usize;
    let identity = snapshot.physical_identity(mapping).await?;
    let (stored, copied) = {
        let state = session.lock();
        (
            state.tables[index].parts.clone(),
            state.tables[index].copied_rows,
        )
    };
    let resumed = stored.is_some();
    let mut parts = match stored {
        // what is read twice is written over what is there, and under a key that others hold that is theirs
        Some(_) if mapping.slice.is_some() => {
            let why =
                "the table's copy in parts ended before its end, and goes into a table of several";
            return begin_again(session, loader, mapping, why).await;
        }
        Some(parts) if parts.identity == identity => parts,
        Some(_) => {
            let why = "the table was rewritten while it was copied in parts";
            return begin_again(session, loader, mapping, why).await;
        }
        None => Parts {
            identity,
            words: snapshot
                .parts(mapping, bounds::chunk_count(mapping, &session.options))
                .await?,
            done: std::collections::BTreeSet::new(),
        },
    };
    if parts.words.is_empty() {
        // a partitioned table without a partition: nothing to read, and its chunk is loaded all the same
        return load_range(session, loader, mapping, chunk, snapshot, &ChunkRange::All).await;
    }
    let mut rows = copied;
    let mut begun = false;
    for (number, word) in parts.words.clone().into_iter().enumerate() {
        if parts.done.contains(&number) {
            continue;
        }
        if begun && session.lock().paused {
            // the rest is taken up by whoever comes after the pause
            return Ok(());
        }
        begun = true;
        loader.begin().await?;
        let range = ChunkRange::Part(word);
        rows += copy_rows(session, loader, mapping, snapshot, &range, resumed).await?;
        parts.done.insert(number);
        let complete = parts.done.len() == parts.words.len();
        let record = chunk_row(session, mapping, chunk, snapshot, rows, complete)?;
        loader
            .records(&[
                durable::chunk_record(mapping, &record)?,
                durable::parts_record(mapping, &parts)?,
            ])
            .await?;
        kill::point("part.before_commit");
        loader.commit().await?;
        kill::point("part.after_commit");
        let mut state = session.lock();
        let table = &mut state.tables[index];
        table
            .frontier
            .loaded(chunk, &record.row)
            .map_err(EngineError::rule)?;
        table.parts = Some(parts.clone());
        table.copied_rows = rows;
    }
    Ok(())
}

/// What is left of a copy in parts cannot be added to what is there. Empties the
/// table and its frontier in one transaction; the attempt then begins again.
async fn begin_again(
    session: &Session,
    loader: &mut dyn Loader,
    mapping: &TableMapping,
    why: &str,
) -> Result<(), EngineError> {
    loader.begin().await?;
    loader.clear(mapping, &ChunkRange::All).await?;
    loader.records(&durable::forget_chunks(mapping)).await?;
    loader.commit().await?;
    Err(StoreError::new(
        ErrorKind::Unavailable,
        "engine.table_rewritten",
        session.source.label(),
        format!("{why}; its copy begins again"),
    )
    .table(&mapping.source.name)
    .into())
}

#[cfg(test)]
#[path = "load_tests.rs"]
mod tests;
