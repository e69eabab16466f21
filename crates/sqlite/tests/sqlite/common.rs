//! Files, an application, and the least of an engine: copy all, follow, compare.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use crossfade_model::{
    Canonical, Cell, Change, ColumnMapping, Position, Row, StreamEvent, TableId, TableMapping,
};
use crossfade_sqlite::{Role, SqliteStore};
use crossfade_store::{
    CaptureSpec, CaptureStart, ChangeStream, ChunkRange, Effect, ErrorKind, Loader, MergeMode,
    ReadForm, RowBlock, RowStream, Source, StoreError, Target, Tenure, Upsert,
};
use rusqlite::Connection;

pub const MIGRATION: &str = "shop";

/// A source with an application, and a target.
pub struct World {
    pub dir: tempfile::TempDir,
    pub app: Connection,
    pub source: SqliteStore,
    pub target: SqliteStore,
}

impl World {
    /// A source made by these statements.
    pub fn new(sql: &str) -> World {
        let dir = tempfile::tempdir().unwrap();
        let app = Connection::open(dir.path().join("source.db")).unwrap();
        app.execute_batch("PRAGMA journal_mode = WAL; PRAGMA foreign_keys = OFF;")
            .unwrap();
        app.execute_batch(sql).unwrap();
        World {
            source: SqliteStore::open(&url(&dir, "source.db"), Role::Source).unwrap(),
            target: SqliteStore::open(&url(&dir, "target.db"), Role::Target).unwrap(),
            app,
            dir,
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn run(&self, sql: &str) {
        self.app.execute_batch(sql).unwrap();
    }

    /// Statements in one transaction: no poll comes in between.
    pub fn run_together(&self, sql: &str) {
        self.run(&format!("BEGIN; {sql}; COMMIT"));
    }

    /// Runs statements by another process and its own SQLite.
    pub fn run_elsewhere(&self, sql: &str) {
        let out = Command::new("sqlite3")
            .arg(self.path("source.db"))
            .arg(sql)
            .output()
            .expect("the sqlite3 program");
        assert!(
            out.status.success() && out.stderr.is_empty(),
            "{}",
            String::from_utf8_lossy(&out.stderr)
        );
    }

    /// All tables, mapped to tables of the same names.
    pub async fn spec(&self) -> CaptureSpec {
        let schema = Source::describe(&self.source).await.unwrap();
        let tables = schema
            .tables
            .iter()
            .enumerate()
            .map(|(n, table)| {
                let rename = |name: &crossfade_model::TableName| {
                    schema
                        .tables
                        .iter()
                        .any(|t| t.name.name.eq_ignore_ascii_case(&name.name))
                        .then(|| name.clone())
                };
                let (target, _) = self.target.design("sqlite", table, &table.name, &rename);
                TableMapping {
                    id: TableId(n as u32),
                    columns: table
                        .captured()
                        .map(|c| ColumnMapping {
                            source: c.name.clone(),
                            target: c.name.clone(),
                            canonical: Canonical::Exact,
                        })
                        .collect(),
                    source: table.clone(),
                    target,
                    same_shape: true,
                    origin: None,
                    back: None,
                    slice: None,
                    shares_source: false,
                }
            })
            .collect();
        CaptureSpec {
            replanned: None,
            migration: MIGRATION.to_owned(),
            tables,
        }
    }

    /// Captures all tables and opens the stream at its start.
    pub async fn follow(&self) -> Follower {
        let spec = self.spec().await;
        let start = self.source.create_capture(&spec).await.unwrap();
        let stream = self
            .source
            .open_stream(&spec, start.position)
            .await
            .unwrap();
        Follower {
            spec,
            start,
            stream,
        }
    }

    pub async fn last(&self) -> Position {
        self.source.probe(MIGRATION).await.unwrap().log_end
    }
}

pub fn url(dir: &tempfile::TempDir, name: &str) -> String {
    format!("sqlite:{}", dir.path().join(name).display())
}

/// An open stream.
pub struct Follower {
    pub spec: CaptureSpec,
    pub start: CaptureStart,
    pub stream: Box<dyn ChangeStream>,
}

impl Follower {
    /// Everything up to the log's present end.
    pub async fn catch_up(&mut self, world: &World) -> Vec<Change> {
        let last = world.last().await;
        let mut out = Vec::new();
        loop {
            for event in self.events().await.unwrap() {
                match event {
                    StreamEvent::Change(change) => out.push(change),
                    StreamEvent::Commit { end } if end >= last => return out,
                    StreamEvent::SchemaChanged { what, .. } => panic!("{what}"),
                    _ => {}
                }
            }
        }
    }

    /// Some events, or the error; waits for ten seconds at most.
    pub async fn events(&mut self) -> Result<Vec<StreamEvent>, StoreError> {
        let begun = Instant::now();
        loop {
            let events = self.stream.next().await?;
            if !events.is_empty() {
                return Ok(events);
            }
            assert!(begun.elapsed() < Duration::from_secs(10), "no events");
        }
    }

    /// The error that the stream ends with.
    pub async fn failure(&mut self) -> StoreError {
        let begun = Instant::now();
        loop {
            if let Err(error) = self.stream.next().await {
                return error;
            }
            assert!(begun.elapsed() < Duration::from_secs(10), "no error");
        }
    }
}

/// A copy that is kept equal: one chunk a table, then polls.
pub struct Copy {
    pub follower: Follower,
    pub tenure: Box<dyn Tenure>,
    pub applier: Box<dyn crossfade_store::Applier>,
    pub checkpoint: Option<Position>,
}

impl Copy {
    pub async fn begin(world: &World) -> Copy {
        let follower = world.follow().await;
        let tenure = world.target.acquire(MIGRATION).await.unwrap();
        world
            .target
            .create_tables(&[], &[], &follower.spec.tables)
            .await
            .unwrap();
        let mut loader = tenure.open_loader().await.unwrap();
        for mapping in &follower.spec.tables {
            load_all(world, loader.as_mut(), mapping).await;
            world.target.build_key(mapping).await.unwrap();
        }
        let applier = tenure.open_applier().await.unwrap();
        Copy {
            follower,
            tenure,
            applier,
            checkpoint: None,
        }
    }

    /// Applies all that is in the log.
    pub async fn catch_up(&mut self, world: &World) {
        let last = world.last().await;
        let changes = self.follower.catch_up(world).await;
        for mode in [
            MergeMode::Fast,
            MergeMode::DeleteThenInsert,
            MergeMode::RowByRow,
        ] {
            match self.apply(&changes, mode, last).await {
                Ok(()) => {
                    self.checkpoint = Some(last);
                    return;
                }
                Err(e) if e.kind == ErrorKind::UniqueViolation && mode == MergeMode::Fast => {
                    self.applier.rollback().await.unwrap();
                }
                Err(e) => panic!("{e}"),
            }
        }
    }

    async fn apply(
        &mut self,
        changes: &[Change],
        mode: MergeMode,
        last: Position,
    ) -> Result<(), StoreError> {
        self.applier.begin().await?;
        for mapping in &self.follower.spec.tables {
            let effect = net(mapping, changes);
            self.applier.apply(mapping, &effect, mode).await?;
        }
        self.applier.commit(self.checkpoint, last).await
    }
}

/// The changes of one table, of several polls perhaps, as one effect: of each key the last.
pub fn net(mapping: &TableMapping, changes: &[Change]) -> Effect {
    let mut last = std::collections::BTreeMap::new();
    for change in changes {
        match change {
            Change::Upsert { table, row } if *table == mapping.id => {
                last.insert(mapping.key_of(row).unwrap(), (row.clone(), true));
            }
            Change::Delete { table, before } if *table == mapping.id => {
                last.insert(mapping.key_of(before).unwrap(), (before.clone(), false));
            }
            _ => {}
        }
    }
    let mut upserts = Vec::new();
    let mut deletes = Vec::new();
    for (row, there) in last.into_values() {
        if there {
            upserts.push(Upsert {
                row,
                base: None,
                fresh: false,
            });
        } else {
            deletes.push(row);
        }
    }
    Effect::Keyed { upserts, deletes }
}

pub async fn load_all(world: &World, loader: &mut dyn Loader, mapping: &TableMapping) {
    let mut snapshot = world
        .source
        .open_snapshot(&[&mapping.source])
        .await
        .unwrap();
    loader.begin().await.unwrap();
    let mut stream = snapshot
        .read(mapping, &ChunkRange::All, ReadForm::Rows)
        .await
        .unwrap();
    while let Some(block) = stream.next().await.unwrap() {
        loader
            .write(mapping, block, &ReadForm::Rows, false)
            .await
            .unwrap();
    }
    drop(stream);
    loader.finish().await.unwrap();
    loader.commit().await.unwrap();
    snapshot.close().await.unwrap();
}

pub async fn rows_of(stream: &mut dyn RowStream) -> Vec<Row> {
    let mut out = Vec::new();
    while let Some(block) = stream.next().await.unwrap() {
        match block {
            RowBlock::Rows(rows) => out.extend(rows),
            RowBlock::Copy(_) => panic!("no copy format"),
        }
    }
    out
}

/// The rows of a table with their storage classes, sorted; by another way than the product's.
pub fn dump(path: &std::path::Path, table: &str) -> Vec<String> {
    let conn = Connection::open(path).unwrap();
    let mut statement = conn
        .prepare(&format!("SELECT * FROM \"{}\"", table.replace('"', "\"\"")))
        .unwrap();
    let columns = statement.column_count();
    let mut rows = statement.query([]).unwrap();
    let mut out = Vec::new();
    while let Some(row) = rows.next().unwrap() {
        let cells: Vec<String> = (0..columns)
            .map(|i| format!("{:?}", row.get_ref(i).unwrap()))
            .collect();
        out.push(cells.join("|"));
    }
    out.sort();
    out
}

/// Both sides hold the same rows.
pub fn assert_equal(world: &World, tables: &[&str]) {
    for table in tables {
        let source = dump(&world.path("source.db"), table);
        let target = dump(&world.path("target.db"), table);
        assert_eq!(source, target, "{table}");
        assert!(!source.is_empty(), "{table} is empty: nothing was compared");
    }
}

pub fn text(s: &str) -> Cell {
    Cell::Text(bytes::Bytes::copy_from_slice(s.as_bytes()))
}

/// Changes as short words: table, `+` or `-`, the key's cells.
pub fn words(spec: &CaptureSpec, changes: &[Change]) -> Vec<String> {
    let word = |table: &TableId, sign: char, row: &Row| {
        let mapping = &spec.tables[table.0 as usize];
        let key = mapping.source.key.as_ref().unwrap();
        let cells: Vec<String> = key.columns.iter().map(|&i| show(&row.0[i])).collect();
        format!("{}{sign}{}", mapping.source.name, cells.join(","))
    };
    let mut out: Vec<String> = changes
        .iter()
        .map(|change| match change {
            Change::Upsert { table, row } => word(table, '+', row),
            Change::Delete { table, before } => word(table, '-', before),
            other => panic!("{other:?}"),
        })
        .collect();
    out.sort();
    out
}

fn show(cell: &Cell) -> String {
    match cell {
        Cell::Null => "NULL".into(),
        Cell::Integer(i) => i.to_string(),
        Cell::Real(r) => format!("{r:?}"),
        Cell::Text(t) => String::from_utf8_lossy(t).into_owned(),
        other => format!("{other:?}"),
    }
}

/// Names and statements of what applications see in the target.
pub fn target_catalogue(world: &World) -> Vec<(String, String)> {
    Connection::open(world.path("target.db"))
        .unwrap()
        .prepare("SELECT name, coalesce(sql, '') FROM sqlite_master WHERE name NOT GLOB '_crossfade*' AND name NOT GLOB 'sqlite_*' ORDER BY 1")
        .unwrap()
        .query_map([], |r| Ok((r.get(0)?, r.get(1)?)))
        .unwrap()
        .collect::<rusqlite::Result<_>>()
        .unwrap()
}

/// An application in another process, with its own SQLite, that waits for locks.
pub struct Elsewhere {
    child: std::process::Child,
    out: std::sync::mpsc::Receiver<String>,
    /// Read all the time: a program that waits for its complaints to be read would keep its locks.
    told: Option<std::thread::JoinHandle<String>>,
}

impl Elsewhere {
    pub fn new(path: &std::path::Path) -> Elsewhere {
        use std::io::BufRead as _;
        use std::process::Stdio;
        let mut child = Command::new("sqlite3")
            .arg(path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the sqlite3 program");
        let lines = std::io::BufReader::new(child.stdout.take().unwrap()).lines();
        let (sender, out) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        let mut stderr = child.stderr.take().unwrap();
        let told = std::thread::spawn(move || {
            use std::io::Read as _;
            let mut told = String::new();
            stderr.read_to_string(&mut told).unwrap();
            told
        });
        let mut app = Elsewhere {
            child,
            out,
            told: Some(told),
        };
        app.send(".timeout 60000\nSELECT 'ready';");
        assert_eq!(app.line(), "ready");
        app
    }

    pub fn process(&self) -> u32 {
        self.child.id()
    }

    /// Statements, each on a line of its own: the program leaves out the rest of a line that failed.
    pub fn send(&mut self, sql: &str) {
        use std::io::Write as _;
        let stdin = self.child.stdin.as_mut().unwrap();
        let lines = sql.replace("; ", ";\n") + "\n";
        stdin.write_all(lines.as_bytes()).unwrap();
        stdin.flush().unwrap();
    }

    /// The next line that it prints; waits for thirty seconds at most.
    pub fn line(&mut self) -> String {
        self.out
            .recv_timeout(Duration::from_secs(30))
            .expect("no line")
    }

    /// Nothing comes for a while.
    pub fn must_wait(&mut self) {
        if let Ok(line) = self.out.recv_timeout(Duration::from_millis(300)) {
            panic!("it went on: {line}");
        }
    }

    /// Ends it and returns what it complained of.
    pub fn end(mut self) -> String {
        drop(self.child.stdin.take());
        let told = self.told.take().unwrap().join().unwrap();
        self.child.wait().unwrap();
        told
    }
}

impl Drop for Elsewhere {
    fn drop(&mut self) {
        // one that has ended by itself is no error
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
