//! Loading chunks.

use crossfade_model::TableMapping;
use crossfade_postgres::{snapshot, tenure};
use crossfade_store::{ChunkRange, CopyFormat, ErrorKind, ReadForm, RowBlock, StoreError, Tenure};

use crate::kit::{Db, contents, full, mappings};
use crate::support::SERVERS;

/// Loads rows as one chunk; rolls back after an error.
async fn load(
    tenure: &dyn Tenure,
    mapping: &TableMapping,
    blocks: Vec<RowBlock>,
    form: &ReadForm,
    upsert: bool,
) -> Result<u64, StoreError> {
    let mut loader = tenure.open_loader().await?;
    loader.begin().await?;
    let loaded = async {
        for block in blocks {
            loader.write(mapping, block, form, upsert).await?;
        }
        let rows = loader.finish().await?;
        loader.commit().await?;
        Ok(rows)
    }
    .await;
    if loaded.is_err() {
        loader.rollback().await?;
    }
    loaded
}

fn rows(ids: std::ops::Range<u32>, note: &str) -> RowBlock {
    RowBlock::Rows(ids.map(|id| full(&[&id.to_string(), note])).collect())
}

#[tokio::test]
async fn rows_that_are_there_are_an_error_or_are_replaced() {
    for server in SERVERS {
        let db = Db::create(server).await;
        db.run("CREATE TABLE t (id int PRIMARY KEY, note text)")
            .await;
        let mapping = mappings(&db.store(), &["t"]).await.remove(0);
        let tenure = tenure::acquire(&db.store(), "load").await.unwrap();
        let form = ReadForm::Rows;
        let blocks = vec![rows(0..3, "a"), rows(3..5, "a")];
        let written = load(tenure.as_ref(), &mapping, blocks, &form, false).await;
        assert_eq!(written.unwrap(), 5);
        let again = vec![rows(4..7, "b")];
        let e = load(tenure.as_ref(), &mapping, again.clone(), &form, false)
            .await
            .unwrap_err();
        assert_eq!(e.kind, ErrorKind::UniqueViolation);
        assert_eq!(e.table.as_deref(), Some("public.t"));
        let written = load(tenure.as_ref(), &mapping, again, &form, true).await;
        assert_eq!(written.unwrap(), 3);
        assert_eq!(
            contents(&db, "t").await,
            "(0,a)\n(1,a)\n(2,a)\n(3,a)\n(4,b)\n(5,b)\n(6,b)"
        );
        let none = load(tenure.as_ref(), &mapping, vec![], &form, false).await;
        assert_eq!(none.unwrap(), 0);
        db.drop().await;
    }
}

#[tokio::test]
async fn a_chunk_without_rows_is_a_copy_too() {
    let db = Db::create(SERVERS[0]).await;
    db.run("CREATE TABLE t (id int PRIMARY KEY, note text)")
        .await;
    let mapping = mappings(&db.store(), &["t"]).await.remove(0);
    let tenure = tenure::acquire(&db.store(), "empty").await.unwrap();
    for format in [CopyFormat::PostgresBinary, CopyFormat::PostgresText] {
        let form = ReadForm::Copy(format);
        let mut snapshot = snapshot::open_snapshot(&db.store(), &[&mapping.source])
            .await
            .unwrap();
        let mut blocks = Vec::new();
        let mut stream = snapshot
            .read(&mapping, &ChunkRange::All, form.clone())
            .await
            .unwrap();
        while let Some(block) = stream.next().await.unwrap() {
            blocks.push(block);
        }
        for upsert in [false, true] {
            let written = load(tenure.as_ref(), &mapping, blocks.clone(), &form, upsert).await;
            assert_eq!(written.unwrap(), 0);
        }
    }
    db.drop().await;
}

#[tokio::test]
async fn a_loader_goes_on_after_a_rollback_in_the_middle_of_its_rows() {
    let db = Db::create(SERVERS[0]).await;
    db.run("CREATE TABLE t (id int PRIMARY KEY, note text)")
        .await;
    let mapping = mappings(&db.store(), &["t"]).await.remove(0);
    let tenure = tenure::acquire(&db.store(), "again").await.unwrap();
    let mut loader = tenure.open_loader().await.unwrap();
    let form = ReadForm::Rows;
    for upsert in [false, true] {
        loader.begin().await.unwrap();
        loader
            .write(&mapping, rows(0..20_000, "gone"), &form, upsert)
            .await
            .unwrap();
        loader.rollback().await.unwrap();
        assert_eq!(contents(&db, "t").await, "");
        loader.begin().await.unwrap();
        loader
            .write(&mapping, rows(1..3, "kept"), &form, upsert)
            .await
            .unwrap();
        assert_eq!(loader.finish().await.unwrap(), 2);
        loader.commit().await.unwrap();
        assert_eq!(contents(&db, "t").await, "(1,kept)\n(2,kept)");
        loader.begin().await.unwrap();
        loader.clear(&mapping, &ChunkRange::All).await.unwrap();
        loader.commit().await.unwrap();
    }
    db.drop().await;
}

#[tokio::test]
async fn a_failed_chunk_cannot_be_committed_by_mistake() {
    let db = Db::create(SERVERS[0]).await;
    db.run("CREATE TABLE t (id int PRIMARY KEY, note text)")
        .await;
    let mapping = mappings(&db.store(), &["t"]).await.remove(0);
    let tenure = tenure::acquire(&db.store(), "failed").await.unwrap();
    let mut loader = tenure.open_loader().await.unwrap();
    loader.begin().await.unwrap();
    let twice = vec![full(&["1", "a"]), full(&["1", "b"])];
    loader
        .write(&mapping, RowBlock::Rows(twice), &ReadForm::Rows, false)
        .await
        .unwrap();
    assert!(loader.finish().await.is_err());
    // the server answers a COMMIT of a failed transaction with ROLLBACK and no error
    assert!(loader.commit().await.is_err());
    loader.rollback().await.unwrap();
    assert_eq!(contents(&db, "t").await, "");
    db.drop().await;
}
