//! The quarantine in the SQLite control store, on real files.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod operators;
mod recording;

use std::path::{Path, PathBuf};

use crossfade_control::quarantine::{
    Compared, ComparedTable, Filter, KeySide, Recorded, RowKey, Seen,
};
use crossfade_control::{Entry, EntryState, Lease, QuarantineStore, SqliteControl};
use crossfade_model::Cell;

fn place() -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = SqliteControl::path_beside(&directory.path().join("m.toml"));
    (directory, path)
}

fn open(path: &Path) -> SqliteControl {
    SqliteControl::open(path, "m").unwrap()
}

fn seen(key: i64, kind: &str, columns: &[&str]) -> Seen {
    Seen {
        key: RowKey {
            digest: format!("digest {key}"),
            text: key.to_string(),
            cells: vec![Cell::Integer(key)],
            side: KeySide::Source,
        },
        kind: kind.to_owned(),
        columns: columns.iter().map(|c| (*c).to_owned()).collect(),
        cause: "unknown".to_owned(),
        why: "no rule explains it".to_owned(),
    }
}

fn table(name: &str, complete: bool, seen: Vec<Seen>) -> ComparedTable {
    ComparedTable {
        name: name.to_owned(),
        seen,
        complete,
    }
}

async fn record(
    store: &SqliteControl,
    lease: &Lease,
    position: &str,
    tables: Vec<ComparedTable>,
) -> Recorded {
    let compared = Compared {
        position: position.to_owned(),
        tables,
    };
    store.record_compared(lease, compared).await.unwrap()
}

async fn all(store: &SqliteControl) -> Vec<Entry> {
    let filter = Filter {
        limit: 1000,
        ..Filter::default()
    };
    store.quarantine(filter).await.unwrap().entries
}

fn states(entries: &[Entry]) -> Vec<(i64, EntryState)> {
    entries.iter().map(|e| (e.id.0, e.state)).collect()
}
