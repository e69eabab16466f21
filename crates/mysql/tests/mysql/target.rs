//! Tables, guards, counters, foreign keys, and that all of it can be removed.

use crossfade_model::Sequence;
use crossfade_mysql::ENGINE;
use crossfade_store::{ErrorKind, Source, Target, Written};

use crate::kit::{Database, described, load, mappings, named, row};
use crate::on_each_server;

const SHOP: [&str; 3] = [
    "CREATE TABLE customer (id INT AUTO_INCREMENT PRIMARY KEY, mail VARCHAR(50) NOT NULL, UNIQUE KEY mails (mail))",
    "CREATE TABLE orders (id INT AUTO_INCREMENT, customer_id INT NOT NULL, total DECIMAL(8,2) NOT NULL DEFAULT 1.50,
        twice DECIMAL(9,2) AS (total * 2) VIRTUAL, PRIMARY KEY (id), KEY by_total (total DESC), FULLTEXT KEY t (note), note TEXT,
        CONSTRAINT of_customer FOREIGN KEY (customer_id) REFERENCES customer (id) ON DELETE CASCADE, CONSTRAINT positive CHECK (total > 0))",
    "CREATE TABLE counted (name VARCHAR(10) NOT NULL PRIMARY KEY, n INT NOT NULL AUTO_INCREMENT, KEY (n))",
];

#[tokio::test]
async fn a_shop_is_made_guarded_finished_and_removed() {
    on_each_server!(database, {
        let source = Database::create(database.server).await;
        source.run(&SHOP).await;
        let from = source.store();
        let schema = described(&from).await;
        let store = database.store();
        let mappings = mappings(&*store, ENGINE, &schema);
        let tenure = store.acquire("m").await.unwrap();
        store.create_tables(&[], &[], &mappings).await.unwrap();
        // done before is no error
        store.create_tables(&[], &[], &mappings).await.unwrap();
        let mut loader = tenure.open_loader().await.unwrap();
        let of = |name: &str| {
            mappings
                .iter()
                .find(|m| m.source.name == named(name))
                .unwrap()
        };
        // children before parents: keys are looked at in the end
        load(
            &mut *loader,
            of("orders"),
            vec![
                row(&["1", "7", "9.50", "x"]),
                row(&["2", "8", "1.00", "NULL"]),
            ],
        )
        .await;
        load(&mut *loader, of("customer"), vec![row(&["7", "a@b"])]).await;

        // strangers are kept out, readers are not
        let mut stranger = database.conn().await;
        use mysql_async::prelude::Queryable;
        for write in [
            "INSERT INTO customer VALUES (9, 'x')",
            "UPDATE customer SET mail = 'y'",
            "DELETE FROM customer",
        ] {
            let error = stranger.query_drop(write).await.unwrap_err().to_string();
            assert!(error.contains("being migrated into"), "{error}");
        }
        assert_eq!(database.value("SELECT mail FROM customer").await, "a@b");

        for mapping in &mappings {
            assert!(store.has_key(mapping).await.unwrap());
            store.build_key(mapping).await.unwrap();
            store.build_unique_indexes(mapping).await.unwrap();
            store.build_unique_indexes(mapping).await.unwrap();
        }
        // an orphan keeps its foreign key from being added, and is told
        let omitted = store.build_foreign_keys(&mappings).await.unwrap();
        assert_eq!(omitted.len(), 1, "{omitted:?}");
        assert_eq!(omitted[0].name, "orders.of_customer");
        load(&mut *loader, of("customer"), vec![row(&["8", "c@d"])]).await;
        assert!(
            store
                .build_foreign_keys(&mappings)
                .await
                .unwrap()
                .is_empty()
        );
        assert!(
            store
                .build_foreign_keys(&mappings)
                .await
                .unwrap()
                .is_empty()
        );

        let made = described(&store).await;
        let ours = made.table(&named("orders")).unwrap();
        let theirs = schema.table(&named("orders")).unwrap();
        assert_eq!(ours.columns, theirs.columns);
        assert_eq!(ours.checks, theirs.checks);
        assert_eq!(ours.foreign_keys, theirs.foreign_keys);
        assert_eq!(ours.indexes.len(), theirs.indexes.len());
        assert_eq!(
            made.table(&named("customer")).unwrap().indexes,
            schema.table(&named("customer")).unwrap().indexes
        );

        // with the key there, a parent's delete by the applier's session does not take the children
        loader.begin().await.unwrap();
        loader
            .clear(of("customer"), &crossfade_store::ChunkRange::All)
            .await
            .unwrap();
        loader.commit().await.unwrap();
        assert_eq!(database.value("SELECT COUNT(*) FROM orders").await, "2");

        // counters go up and never down
        let counter = |last: i64| Sequence {
            name: named("orders"),
            definition: String::new(),
            owner: Some((named("orders"), "id".to_owned())),
            last_value: Some(last),
        };
        for (last, expected) in [(40, 40), (12, 40), (41, 41)] {
            store
                .raise_sequences(&[counter(last)], &mappings)
                .await
                .unwrap();
            let now = store.sequences().await.unwrap();
            let of_orders = now.iter().find(|s| s.name == named("orders")).unwrap();
            assert_eq!(of_orders.last_value, Some(expected));
        }

        // a guard that somebody took off is noticed, and put back
        assert!(store.strangers("m", None).await.unwrap().unseen.is_empty());
        stranger
            .query_drop("DROP TRIGGER _crossfade_update_customer")
            .await
            .unwrap();
        assert_eq!(
            store.strangers("m", None).await.unwrap().unseen,
            [named("customer")]
        );
        assert_eq!(
            store.watch_strangers("m", &mappings).await.unwrap(),
            [named("customer")]
        );
        assert!(store.strangers("m", None).await.unwrap().unseen.is_empty());

        // what fires no trigger is in the log, and noted once
        let noted = store.strangers("m", None).await.unwrap();
        assert_eq!(noted.entries, []);
        for statement in [
            "SET foreign_key_checks = 0",
            "TRUNCATE customer",
            "RENAME TABLE orders TO other",
            "RENAME TABLE other TO orders",
        ] {
            stranger.query_drop(statement).await.unwrap();
        }
        let found = store.strangers("m", noted.seen.as_deref()).await.unwrap();
        let seen: Vec<_> = found
            .entries
            .iter()
            .map(|e| (&e.table, e.operation))
            .collect();
        let (customer, orders) = (named("customer"), named("orders"));
        let expected = [
            (&customer, Written::Truncate),
            (&orders, Written::Exchange),
            (&orders, Written::Exchange),
        ];
        assert_eq!(seen, expected);
        let ids: Vec<i64> = found.entries.iter().filter_map(|e| e.id).collect();
        store.told_strangers("m", &ids).await.unwrap();
        let again = store.strangers("m", found.seen.as_deref()).await.unwrap();
        assert_eq!(again.entries, []);
        let all = store.strangers("m", None).await.unwrap();
        assert!(all.entries.len() == 3 && all.entries.iter().all(|e| e.told));

        // many of one transaction: so many by their keys, the rest as more; what came while nobody looked is found from where the last look ended
        stranger
            .query_drop("DROP TRIGGER _crossfade_insert_customer")
            .await
            .unwrap();
        let many = "INSERT INTO customer (mail) WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n WHERE i < 1000)
                    SELECT CONCAT('m', i) FROM n UNION ALL SELECT 'one more'";
        stranger.query_drop(many).await.unwrap();
        assert_eq!(
            store.watch_strangers("m", &mappings).await.unwrap(),
            [named("customer")]
        );
        let found = store.strangers("m", all.seen.as_deref()).await.unwrap();
        assert_eq!(found.entries.len(), 1_001);
        let keyed = found
            .entries
            .iter()
            .filter(|e| e.key.is_some() && e.operation == Written::Insert);
        assert_eq!(keyed.count(), 1_000);
        assert_eq!(found.entries.last().unwrap().operation, Written::More);

        // a log that is not the one which was read is told, and read from its present end on
        database
            .run(&["UPDATE _crossfade_look SET begun = begun - 1"])
            .await;
        let lost = store.watch_strangers("m", &mappings).await.unwrap();
        assert_eq!(lost.len(), mappings.len());
        assert_eq!(store.watch_strangers("m", &mappings).await.unwrap(), []);

        // a user who may not read the log
        let unprivileged = database.unprivileged().await;
        let refused = unprivileged
            .watch_strangers("m", &mappings)
            .await
            .unwrap_err();
        assert_eq!(refused.kind, ErrorKind::Permission, "{refused}");
        assert!(
            unprivileged
                .strangers("m", None)
                .await
                .unwrap()
                .entries
                .len()
                == 1_004
        );
        stranger.disconnect().await.unwrap();

        assert_eq!(Target::made(&*store, "m").await.unwrap().len(), 4);
        drop(loader);
        drop(tenure);
        let gone = store.remove("m", &mappings[..1]).await.unwrap();
        assert!(
            gone.iter()
                .any(|g| g.kind == "table" && g.name == mappings[0].target.name.name),
            "{gone:?}"
        );
        let left = database.rows("SHOW TABLES").await;
        let left: Vec<&str> = left.iter().map(|r| r[0].as_deref().unwrap()).collect();
        assert_eq!(left, ["customer", "orders"]);
        assert_eq!(database.value("SELECT COUNT(*) FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = DATABASE()").await, "0");
        assert!(Target::made(&*store, "m").await.unwrap().is_empty());
        source.drop().await;
    });
}

#[tokio::test]
async fn tables_of_other_engines_are_designed_with_room_for_every_value() {
    use crossfade_model::{Column, Index, KeyOrder, LogicalType, Table, TableKey};
    let column = |name: &str, logical, declared: &str, default: Option<&str>| Column {
        name: name.to_owned(),
        logical,
        declared: declared.to_owned(),
        nullable: false,
        default: default.map(str::to_owned),
        generated: None,
        identity: None,
        collation: None,
    };
    let index = |name: &str, columns: &[&str], unique| Index {
        name: name.to_owned(),
        columns: columns.iter().map(|&c| c.to_owned()).collect(),
        unique,
        constraint: unique,
        primary: false,
        special: false,
        of_table: false,
        definition: String::new(),
    };
    let table = Table {
        name: crossfade_model::TableName {
            schema: Some("public".into()),
            name: "docs".into(),
        },
        columns: vec![
            column("tenant", LogicalType::Text, "text", None),
            column(
                "id",
                LogicalType::Integer { bits: 64 },
                "bigint",
                Some("nextval('docs_id_seq'::regclass)"),
            ),
            column("slug", LogicalType::Text, "text", Some("'a''b'::text")),
            column("body", LogicalType::Text, "text", None),
            column(
                "at",
                LogicalType::TimestampWithZone,
                "timestamp with time zone",
                Some("now()"),
            ),
            column("data", LogicalType::Json, "jsonb", Some("'{}'::jsonb")),
        ],
        key: Some(TableKey {
            name: "docs_pkey".into(),
            columns: vec![0, 1],
            primary: true,
            order: KeyOrder::Unordered,
        }),
        full_before_images: false,
        indexes: vec![
            index("docs_slug_key", &["tenant", "slug"], true),
            index("docs_body_idx", &["body", "id"], false),
        ],
        foreign_keys: Vec::new(),
        checks: Vec::new(),
        partition_by: None,
        partitions: Vec::new(),
        estimated_rows: 0,
        estimated_bytes: 0,
        definition: None,
    };
    on_each_server!(database, {
        let store = database.store();
        let schema = crossfade_model::Schema {
            tables: vec![table.clone()],
            ..crossfade_model::Schema::default()
        };
        let mapping = crate::kit::mapping(&*store, "postgres", 0, &table, &schema);
        let tenure = store.acquire("m").await.unwrap();
        store
            .create_tables(&[], &[], std::slice::from_ref(&mapping))
            .await
            .unwrap();
        store.build_key(&mapping).await.unwrap();
        store.build_unique_indexes(&mapping).await.unwrap();
        let made = described(&store).await;
        let made = made.table(&named("docs")).unwrap();
        assert_eq!(made.indexes.len(), 2);
        let declared = |name: &str| {
            made.columns
                .iter()
                .find(|c| c.name == name)
                .unwrap()
                .declared
                .as_str()
        };
        assert_eq!(
            (declared("tenant"), declared("body")),
            ("varchar(384)", "longtext")
        );
        // trailing blanks and case tell keys apart
        let mut loader = tenure.open_loader().await.unwrap();
        let doc = |tenant: &str, id: &str| {
            row(&[
                tenant,
                id,
                &format!("s{tenant}{id}"),
                "b",
                "2024-01-01 00:00:00+00",
                "{}",
            ])
        };
        load(
            &mut *loader,
            &mapping,
            vec![doc("a", "1"), doc("A", "1"), doc("a ", "1"), doc("ä", "1")],
        )
        .await;
        assert_eq!(database.value("SELECT COUNT(*) FROM docs").await, "4");
        drop(loader);
        drop(tenure);
        store.remove("m", &[]).await.unwrap();
        database
            .run(&["INSERT INTO docs (tenant, id, body) VALUES ('d', 1, 'x')"])
            .await;
        assert_eq!(
            database
                .value("SELECT CONCAT(slug, data, at > '2024-01-01') FROM docs WHERE tenant = 'd'")
                .await,
            "a'b{}1"
        );
    });
}
