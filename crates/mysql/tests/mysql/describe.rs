//! What a database is described as.

use crossfade_model::{KeyOrder, LogicalType};
use crossfade_store::Source;

use crate::kit::{described, named};
use crate::on_each_server;

#[tokio::test]
async fn tables_are_described_with_all_that_stands_around_them() {
    on_each_server!(database, {
        database
            .run(&[
                "CREATE TABLE parent (id INT PRIMARY KEY, u INT NOT NULL UNIQUE)",
                "CREATE TABLE child (
                    id INT UNSIGNED NOT NULL AUTO_INCREMENT, a VARCHAR(20) CHARACTER SET latin1 DEFAULT 'it''s', b INT DEFAULT 5,
                    at TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3), doubled INT GENERATED ALWAYS AS (b * 2) STORED,
                    hidden INT INVISIBLE DEFAULT 3, big BIGINT UNSIGNED, y YEAR, e ENUM('a', 'b,''c') NOT NULL, bits BIT(3) DEFAULT b'101',
                    d TIME(3), g POINT, j JSON, parent_id INT,
                    PRIMARY KEY (id), UNIQUE KEY ux (a(5)), KEY k2 (b, at), FULLTEXT KEY ff (a),
                    CONSTRAINT fk1 FOREIGN KEY (parent_id) REFERENCES parent (id) ON DELETE CASCADE,
                    CONSTRAINT ck1 CHECK (b < 100))",
                "CREATE TABLE keyless (a INT)",
                "CREATE TABLE by_text (k VARCHAR(20) NOT NULL, n INT NOT NULL, UNIQUE KEY kk (n, k))",
                "CREATE TABLE parted (id INT PRIMARY KEY) PARTITION BY HASH (id) PARTITIONS 3",
                "CREATE VIEW seen AS SELECT 1 AS one",
                "CREATE TRIGGER written BEFORE INSERT ON keyless FOR EACH ROW SET NEW.a = 1",
                "CREATE PROCEDURE doing() SELECT 1",
                "CREATE EVENT happening ON SCHEDULE EVERY 1 DAY DO SET @x = 1",
                "CREATE TABLE _crossfade_own (id INT PRIMARY KEY)",
                "INSERT INTO parent VALUES (1, 1)",
                "INSERT INTO child (a, e, parent_id) VALUES ('x', 'a', 1)",
            ])
            .await;
        let store = database.store();
        let schema = described(&store).await;
        let names: Vec<&str> = schema.tables.iter().map(|t| t.name.name.as_str()).collect();
        assert_eq!(names, ["by_text", "child", "keyless", "parent", "parted"]);

        let child = schema.table(&named("child")).unwrap();
        let column = |name: &str| child.columns.iter().find(|c| c.name == name).unwrap();
        assert_eq!(column("id").logical, LogicalType::Integer { bits: 64 });
        assert!(column("id").identity.is_some() && !column("id").nullable);
        assert_eq!(column("big").logical, LogicalType::Decimal);
        assert_eq!(column("y").logical, LogicalType::Integer { bits: 16 });
        assert_eq!(column("at").logical, LogicalType::TimestampWithZone);
        assert_eq!(column("bits").logical, LogicalType::Other);
        assert_eq!(column("d").logical, LogicalType::Other);
        assert_eq!(column("g").logical, LogicalType::Bytes);
        assert_eq!(column("a").default.as_deref(), Some("'it''s'"));
        assert_eq!(column("a").collation.as_deref(), Some("latin1_swedish_ci"));
        assert!(column("doubled").generated.as_ref().unwrap().stored);
        assert!(column("e").default.is_none());
        assert!(child.captured().all(|c| c.name != "doubled"));
        assert!(child.captured().any(|c| c.name == "hidden"));

        let key = child.key.as_ref().unwrap();
        assert!(key.primary && key.columns == [0] && key.order == KeyOrder::Ordered);
        let index = |name: &str| child.indexes.iter().find(|i| i.name == name).unwrap();
        assert!(index("ux").unique && index("ux").special);
        assert!(index("ff").special && !index("k2").special);
        assert_eq!(index("k2").columns, ["b", "at"]);
        let [foreign] = child.foreign_keys.as_slice() else {
            panic!("one foreign key: {:?}", child.foreign_keys);
        };
        assert_eq!(foreign.parent, named("parent"));
        assert_eq!(foreign.actions, "ON DELETE CASCADE");
        assert_eq!(child.checks.iter().filter(|c| c.name == "ck1").count(), 1);

        assert!(schema.table(&named("keyless")).unwrap().key.is_none());
        let by_text = schema
            .table(&named("by_text"))
            .unwrap()
            .key
            .clone()
            .unwrap();
        assert!(!by_text.primary);
        assert_eq!(
            (by_text.columns, by_text.order),
            (vec![1, 0], KeyOrder::Unordered)
        );
        let parted = schema.table(&named("parted")).unwrap();
        assert!(
            parted
                .partition_by
                .as_deref()
                .unwrap()
                .starts_with("PARTITION BY HASH")
        );

        let omitted: Vec<(&str, &str)> = schema
            .omissions
            .iter()
            .map(|o| (o.kind.as_str(), o.name.as_str()))
            .collect();
        for expected in [
            ("view", "seen"),
            ("trigger", "written"),
            ("procedure", "doing"),
            ("event", "happening"),
        ] {
            assert!(omitted.contains(&expected), "{omitted:?}");
        }
    });
}

#[tokio::test]
async fn counters_are_read_anew() {
    on_each_server!(database, {
        database
            .run(&["CREATE TABLE t (id BIGINT AUTO_INCREMENT PRIMARY KEY, a INT)"])
            .await;
        let store = database.store();
        for rows in 1..=3 {
            database.run(&["INSERT INTO t (a) VALUES (1)"]).await;
            let sequences = store.sequences().await.unwrap();
            assert_eq!(sequences.len(), 1);
            assert_eq!(sequences[0].last_value, Some(rows));
            assert_eq!(sequences[0].owner, Some((named("t"), "id".to_owned())));
        }
    });
}

/// Collections of MySQL's document store are so: the key is read out of the document.
#[tokio::test]
async fn an_index_over_a_generated_column_identifies_no_row() {
    on_each_server!(database, {
        // MariaDB has none that are NOT NULL
        let required = match database.server.contains("MARIADB") {
            true => "",
            false => " NOT NULL",
        };
        database
            .run(&[
                &format!("CREATE TABLE documents (doc JSON, name VARCHAR(32) GENERATED ALWAYS AS (JSON_UNQUOTE(JSON_EXTRACT(doc, '$._id'))) STORED{required},
                 UNIQUE KEY by_name (name))"),
                &format!("CREATE TABLE both_keys (doc JSON, a INT NOT NULL, b INT NOT NULL, c INT GENERATED ALWAYS AS (a + b) STORED{required},
                 UNIQUE KEY by_c (c), UNIQUE KEY by_ac (a, c), UNIQUE KEY by_ab (a, b))"),
            ])
            .await;
        let store = database.store();
        let schema = described(&store).await;
        assert!(schema.table(&named("documents")).unwrap().key.is_none());
        let both = schema.table(&named("both_keys")).unwrap();
        let key = both.key.as_ref().unwrap();
        assert_eq!((key.name.as_str(), key.columns.len()), ("by_ab", 2));
        let others: Vec<&str> = both.indexes.iter().map(|i| i.name.as_str()).collect();
        assert_eq!(others, ["by_ac", "by_c"]);
    });
}
