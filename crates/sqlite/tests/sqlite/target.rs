//! A file as a target: who may write, what is made, what is removed.

use crossfade_model::Position;
use crossfade_sqlite::{Role, SqliteStore};
use crossfade_store::{
    ErrorKind, MergeMode, ReadForm, Record, RecordKey, RecordWrite, RowBlock, Source, Target,
};
use rusqlite::Connection;

use crate::common::{Copy, MIGRATION, World, assert_equal, dump, net, target_catalogue, url};

const SHOP: &str = "
    CREATE TABLE customer(id INTEGER PRIMARY KEY AUTOINCREMENT, mail TEXT NOT NULL COLLATE NOCASE UNIQUE, note TEXT DEFAULT ('a, UNIQUE (b)'));
    CREATE TABLE item(sku TEXT NOT NULL, part INT NOT NULL, price DECIMAL(10,2) CHECK (price >= 0), total REAL AS (price * 2) STORED,
        CONSTRAINT pk PRIMARY KEY (sku, part)) WITHOUT ROWID, STRICT;
    CREATE TABLE orders(number TEXT NOT NULL UNIQUE ON CONFLICT REPLACE, customer INT NOT NULL REFERENCES customer(id) ON DELETE CASCADE,
        sku TEXT, part INT, FOREIGN KEY (sku, part) REFERENCES item DEFERRABLE INITIALLY DEFERRED, UNIQUE (customer, sku));
    CREATE INDEX by_part ON orders(part) WHERE part > 1;
    CREATE INDEX by_upper ON customer(upper(mail));";

fn shop() -> String {
    // STRICT tables know few type names
    SHOP.replace("DECIMAL(10,2)", "REAL")
}

fn rows(sql: &str) -> String {
    format!(
        "{sql} INSERT INTO customer(mail) VALUES ('a@x'), ('b@x'); INSERT INTO item(sku, part, price) VALUES ('s', 1, 9.5);
         INSERT INTO orders VALUES ('n1', 1, 's', 1), ('n2', 2, NULL, NULL)"
    )
}

#[tokio::test]
async fn planning_makes_no_file() {
    let world = World::new(&shop());
    let spec = world.spec().await;
    assert!(
        Target::describe(&world.target)
            .await
            .unwrap()
            .tables
            .is_empty()
    );
    assert!(
        Target::findings(&world.target, MIGRATION, &spec.tables, true)
            .await
            .unwrap()
            .is_empty()
    );
    assert!(world.target.peek(MIGRATION).await.unwrap().is_none());
    assert!(
        Target::made(&world.target, MIGRATION)
            .await
            .unwrap()
            .is_empty()
    );
    assert!(!world.target.create_statements(&[], &spec.tables).is_empty());
    Target::identity(&world.target).await.unwrap();
    assert!(!world.path("target.db").exists());
}

/// Constraints, options and texts of a table are on the target as they were, and unique indexes only once they are built.
#[tokio::test]
async fn the_same_engines_tables_are_carried_whole() {
    let world = World::new(&rows(&shop()));
    let mut copy = Copy::begin(&world).await;
    assert_equal(&world, &["customer", "item", "orders"]);
    let unique = "SELECT count(*) FROM pragma_index_list('customer') WHERE \"unique\"";
    let count = |sql: &str| -> i64 {
        Connection::open(world.path("target.db"))
            .unwrap()
            .query_row(sql, [], |r| r.get(0))
            .unwrap()
    };
    assert_eq!(count(unique), 0);
    for _ in 0..2 {
        for mapping in &copy.follower.spec.tables {
            world.target.build_unique_indexes(mapping).await.unwrap();
        }
    }
    assert_eq!(count(unique), 1);
    world.run("INSERT INTO orders VALUES ('n2', 1, NULL, NULL); UPDATE customer SET mail = 'c@x' WHERE id = 2");
    copy.catch_up(&world).await;
    assert_equal(&world, &["customer", "item", "orders"]);
    let omitted = world
        .target
        .build_foreign_keys(&copy.follower.spec.tables)
        .await
        .unwrap();
    assert!(omitted.is_empty(), "{omitted:?}");
    let sequences = world.source.sequences().await.unwrap();
    let mut raised = sequences.clone();
    raised[0].last_value = Some(1000);
    for sequences in [&raised, &sequences] {
        world
            .target
            .raise_sequences(sequences, &copy.follower.spec.tables)
            .await
            .unwrap();
    }
    let tables = copy.follower.spec.tables.clone();
    drop(copy);
    world.target.remove(MIGRATION, &[]).await.unwrap();

    // an application on the target meets the same rules
    let app = Connection::open(world.path("target.db")).unwrap();
    app.execute_batch("PRAGMA foreign_keys = ON").unwrap();
    for (sql, why) in [
        ("INSERT INTO customer(mail) VALUES ('A@X')", "UNIQUE"),
        (
            "INSERT INTO item(sku, part, price) VALUES ('s', 2, -1)",
            "CHECK",
        ),
        (
            "INSERT INTO item(sku, part, price) VALUES ('s', 2, 'x')",
            "REAL",
        ),
        (
            "INSERT INTO orders VALUES ('n9', 77, NULL, NULL)",
            "FOREIGN KEY",
        ),
        ("INSERT INTO orders VALUES ('n1', 2, 's', 1)", "UNIQUE"),
    ] {
        let error = app.execute(sql, []).unwrap_err().to_string();
        assert!(error.contains(why), "{sql}: {error}");
    }
    app.execute("INSERT INTO customer(mail) VALUES ('new@x')", [])
        .unwrap();
    assert_eq!(app.last_insert_rowid(), 1001);
    let catalogue = target_catalogue(&world);
    let names: Vec<&str> = catalogue.iter().map(|(n, _)| n.as_str()).collect();
    assert_eq!(
        names,
        [
            "by_part",
            "by_upper",
            "customer",
            "customer_mail_key",
            "item",
            "orders",
            "orders_customer_sku_key",
            "orders_number_key"
        ]
    );
    let described = Target::describe(&world.target).await.unwrap();
    assert_eq!(described.tables.len(), tables.len());
}

#[tokio::test]
async fn an_unmapped_parent_is_left_out_and_said() {
    let world = World::new(&shop());
    let spec = world.spec().await;
    let orders = spec
        .tables
        .iter()
        .find(|m| m.source.name.name == "orders")
        .unwrap();
    let (table, omissions) = world.target.design(
        "sqlite",
        &orders.source,
        &crossfade_model::TableName {
            schema: None,
            name: "purchases".into(),
        },
        &|name| (name.name == "item").then(|| name.clone()),
    );
    assert_eq!(table.foreign_keys.len(), 1);
    let kinds: Vec<&str> = omissions.iter().map(|o| o.kind.as_str()).collect();
    assert_eq!(kinds, ["foreign key", "conflict clause"]);
    let db = Connection::open_in_memory().unwrap();
    db.execute_batch(table.definition.as_ref().unwrap())
        .unwrap();
    for index in &table.indexes {
        db.execute_batch(&index.definition).unwrap();
    }
}

#[tokio::test]
async fn one_process_at_a_time_and_a_late_one_writes_nothing() {
    let world = World::new("CREATE TABLE t(id INTEGER PRIMARY KEY); INSERT INTO t VALUES (1)");
    let mut copy = Copy::begin(&world).await;
    let other = SqliteStore::open(&url(&world.dir, "target.db"), Role::Target).unwrap();
    let error = other.acquire(MIGRATION).await.err().unwrap();
    assert_eq!(error.kind, ErrorKind::AlreadyRunning);
    other.acquire("another migration / name").await.unwrap();
    // the lock is lost (a stale file system, another host), and a successor starts
    std::fs::remove_file(world.path("target.db-crossfade-shop.lock")).unwrap();
    let successor = other.acquire(MIGRATION).await.unwrap();
    assert_eq!(successor.state().epoch, copy.tenure.state().epoch + 1);
    assert_eq!(
        copy.tenure.check().await.unwrap_err().kind,
        ErrorKind::Fenced
    );
    assert_eq!(
        copy.applier.begin().await.unwrap_err().kind,
        ErrorKind::Fenced
    );
    let mut loader = copy.tenure.open_loader().await.unwrap();
    assert_eq!(loader.begin().await.unwrap_err().kind, ErrorKind::Fenced);
    let tables = copy.follower.spec.tables.clone();
    assert_eq!(
        world
            .target
            .create_tables(&[], &[], &tables)
            .await
            .unwrap_err()
            .kind,
        ErrorKind::Fenced
    );
    let mut applier = successor.open_applier().await.unwrap();
    applier.begin().await.unwrap();
    applier.commit(None, Position(5)).await.unwrap();
}

#[tokio::test]
async fn rows_records_and_checkpoint_are_there_together_or_not_at_all() {
    let world = World::new("CREATE TABLE t(id INTEGER PRIMARY KEY); INSERT INTO t VALUES (1)");
    let mut copy = Copy::begin(&world).await;
    world.run("INSERT INTO t VALUES (2)");
    let changes = copy.follower.catch_up(&world).await;
    let mapping = copy.follower.spec.tables[0].clone();
    let record = |body: &str| {
        RecordWrite::Put(Record {
            key: RecordKey::new("frontier", "t/-"),
            body: body.into(),
        })
    };
    for end in ["rollback", "drop", "commit"] {
        copy.applier.begin().await.unwrap();
        let effect = net(&mapping, &changes);
        copy.applier
            .apply(&mapping, &effect, MergeMode::Fast)
            .await
            .unwrap();
        copy.applier
            .records(&[record("{}"), record("[1]")])
            .await
            .unwrap();
        match end {
            "rollback" => copy.applier.rollback().await.unwrap(),
            "drop" => copy.applier = copy.tenure.open_applier().await.unwrap(),
            _ => copy.applier.commit(None, Position(7)).await.unwrap(),
        }
        let state = world.target.peek(MIGRATION).await.unwrap().unwrap();
        let done = end == "commit";
        assert_eq!(state.checkpoint, done.then_some(Position(7)));
        assert_eq!(state.records.len(), usize::from(done));
        assert_eq!(
            dump(&world.path("target.db"), "t").len(),
            1 + usize::from(done)
        );
    }
    let state = world.target.peek(MIGRATION).await.unwrap().unwrap();
    assert_eq!(state.records[0].body, "[1]");
    // compare-and-swap, never backwards
    for (from, to) in [(None, 9), (Some(6), 9), (Some(7), 6)] {
        copy.applier.begin().await.unwrap();
        let refused = copy.applier.commit(from.map(Position), Position(to)).await;
        assert_eq!(refused.unwrap_err().kind, ErrorKind::Fenced);
        copy.applier.rollback().await.unwrap();
    }
    let mut reader = world.target.open_reader(MIGRATION).await.unwrap();
    assert_eq!(reader.position(), Some(Position(7)));
    copy.applier.begin().await.unwrap();
    copy.applier
        .records(&[RecordWrite::Remove(RecordKey::new("frontier", "t/-"))])
        .await
        .unwrap();
    copy.applier
        .commit(Some(Position(7)), Position(8))
        .await
        .unwrap();
    assert_eq!(reader.position(), Some(Position(7)), "a snapshot stays");
    let mut stream = reader
        .read(&mapping, &crossfade_store::ChunkRange::All)
        .await
        .unwrap();
    assert_eq!(crate::common::rows_of(stream.as_mut()).await.len(), 2);
    drop(stream);
    assert!(
        world
            .target
            .peek(MIGRATION)
            .await
            .unwrap()
            .unwrap()
            .records
            .is_empty()
    );
}

#[tokio::test]
async fn a_row_that_is_there_is_a_conflict_unless_it_is_read_again() {
    let world =
        World::new("CREATE TABLE t(id INTEGER PRIMARY KEY, v); INSERT INTO t VALUES (1, 'a')");
    let copy = Copy::begin(&world).await;
    let mapping = copy.follower.spec.tables[0].clone();
    let mut loader = copy.tenure.open_loader().await.unwrap();
    let block = || {
        RowBlock::Rows(vec![crossfade_model::Row(vec![
            crossfade_model::Cell::Integer(1),
            crate::common::text("b"),
        ])])
    };
    loader.begin().await.unwrap();
    let error = loader
        .write(&mapping, block(), &ReadForm::Rows, false)
        .await
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::UniqueViolation);
    assert_eq!(error.table.as_deref(), Some("t"));
    loader.rollback().await.unwrap();
    loader.begin().await.unwrap();
    loader
        .write(&mapping, block(), &ReadForm::Rows, true)
        .await
        .unwrap();
    loader.commit().await.unwrap();
    let copied: String = Connection::open(world.path("target.db"))
        .unwrap()
        .query_row("SELECT v FROM t", [], |r| r.get(0))
        .unwrap();
    assert_eq!(copied, "b");
}

#[tokio::test]
async fn orphans_are_counted_and_said() {
    let world = World::new(
        "CREATE TABLE p(id INTEGER PRIMARY KEY); CREATE TABLE c(id INTEGER PRIMARY KEY, p INT REFERENCES p(id));
         INSERT INTO p VALUES (1); INSERT INTO c VALUES (1, 1), (2, 5), (3, 6)",
    );
    let copy = Copy::begin(&world).await;
    let omitted = world
        .target
        .build_foreign_keys(&copy.follower.spec.tables)
        .await
        .unwrap();
    assert_eq!(omitted.len(), 1);
    assert!(
        omitted[0].why.starts_with("2 rows of c"),
        "{}",
        omitted[0].why
    );
}

#[tokio::test]
async fn files_that_are_none_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let kind = |name: &str, role| {
        let error = SqliteStore::open(&url(&dir, name), role).err().unwrap();
        assert!(error.fix.is_some() && error.to_string().contains(name));
        error.kind
    };
    assert_eq!(kind("absent.db", Role::Source), ErrorKind::Missing);
    std::fs::write(
        dir.path().join("text.db"),
        "this is no database at all, only some text in a file",
    )
    .unwrap();
    assert_eq!(kind("text.db", Role::Source), ErrorKind::Usage);
    assert_eq!(kind("text.db", Role::Target), ErrorKind::Usage);
    assert!(!dir.path().join("absent.db").exists());
    SqliteStore::open(&url(&dir, "absent.db"), Role::Target).unwrap();
    assert!(!dir.path().join("absent.db").exists());
}

/// Loaders and applier wait for each other instead of failing, and a task that is cancelled gives its turn back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writers_take_turns() {
    let world =
        World::new("CREATE TABLE t(id INTEGER PRIMARY KEY, v); INSERT INTO t VALUES (0, 0)");
    let copy = Copy::begin(&world).await;
    let mapping = copy.follower.spec.tables[0].clone();
    let tenure = std::sync::Arc::new(copy.tenure);
    let mut tasks = Vec::new();
    for task in 0..4_i64 {
        let (tenure, mapping) = (tenure.clone(), mapping.clone());
        tasks.push(tokio::spawn(async move {
            let mut loader = tenure.open_loader().await.unwrap();
            for n in 0..20_i64 {
                loader.begin().await.unwrap();
                let row = crossfade_model::Row(vec![
                    crossfade_model::Cell::Integer(1 + task * 100 + n),
                    crossfade_model::Cell::Null,
                ]);
                loader
                    .write(&mapping, RowBlock::Rows(vec![row]), &ReadForm::Rows, false)
                    .await
                    .unwrap();
                tokio::task::yield_now().await;
                loader.commit().await.unwrap();
            }
            // left open: its end must free the others
            loader.begin().await.unwrap();
            std::future::pending::<()>().await;
        }));
    }
    for _ in 0..4 {
        // whoever holds the turn last waits for ever, until it is aborted
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        for task in &tasks {
            if !task.is_finished() {
                task.abort();
                break;
            }
        }
    }
    for task in tasks {
        task.abort();
        let _ = task.await;
    }
    let mut applier = tenure.open_applier().await.unwrap();
    applier.begin().await.unwrap();
    applier.rollback().await.unwrap();
}
