//! Tables of another engine, made on a real server by their meaning.

use crossfade_model::{
    Canonical, Check, Column, ForeignKey, Identity, Index, KeyOrder, LogicalType, Schema, Sequence,
    Table, TableKey, TableName,
};
use crossfade_postgres::design;
use crossfade_store::{Source, Target};

use crate::mapping::designed;
use crate::support::{Database, SERVERS};

const ENGINE: &str = "sqlite";

fn name(name: &str) -> TableName {
    TableName {
        schema: None,
        name: name.into(),
    }
}

fn column(name: &str, logical: LogicalType, default: Option<&str>) -> Column {
    Column {
        name: name.into(),
        logical,
        declared: "WHATEVER(10)".into(),
        nullable: true,
        default: default.map(str::to_owned),
        generated: None,
        identity: None,
        collation: None,
    }
}

fn table(table: &str, columns: Vec<Column>) -> Table {
    Table {
        name: name(table),
        columns,
        key: Some(TableKey {
            name: "sqlite_autoindex_1".into(),
            columns: vec![0],
            primary: true,
            order: KeyOrder::Ordered,
        }),
        full_before_images: false,
        indexes: Vec::new(),
        foreign_keys: Vec::new(),
        checks: Vec::new(),
        partition_by: None,
        partitions: Vec::new(),
        estimated_rows: 9,
        estimated_bytes: 9,
        definition: None,
    }
}

fn library() -> Schema {
    use LogicalType::*;
    let mut artist = table(
        "Artist",
        vec![
            Column {
                identity: Some(Identity { always: false }),
                nullable: false,
                ..column("ArtistId", Integer { bits: 64 }, None)
            },
            column("Name", Text, Some("'it''s \\ nobody'")),
            column("Active", Boolean, Some("1")),
            column("Rating", Float { bits: 64 }, Some("-0.5")),
            column("Price", Decimal, Some("9.90")),
            column("Cover", Bytes, Some("x'00fF'")),
            column("Born", Date, Some("'2000-02-29'")),
            column("Since", Timestamp, Some("CURRENT_TIMESTAMP")),
            column("At", Time, Some("current_time")),
            column("Key", Uuid, None),
            column("Data", Json, Some("'{\"b\": 1, \"a\": 2}'")),
            column("Noted", Text, Some("CURRENT_TIMESTAMP")),
            column("Odd", Text, Some("(lower('X'))")),
        ],
    );
    let index = |name: &str, columns: &[&str], unique, constraint, special| Index {
        name: name.into(),
        columns: columns.iter().map(|c| (*c).to_owned()).collect(),
        unique,
        constraint,
        primary: false,
        special,
        of_table: false,
        definition: "CREATE INDEX in another dialect".into(),
    };
    artist.indexes = vec![
        index(
            "sqlite_autoindex_Artist_1",
            &["Name", "Born"],
            true,
            true,
            false,
        ),
        index("ByPrice", &["Price"], false, false, false),
        index("ByKey", &["Key"], true, false, false),
        index("Partial", &["Name"], true, false, true),
    ];
    artist.checks = vec![Check {
        name: "c".into(),
        definition: "CHECK (Name GLOB 'A*')".into(),
    }];
    let mut album = table(
        "Album",
        vec![
            column("AlbumId", Integer { bits: 64 }, None),
            column("ArtistId", Integer { bits: 64 }, None),
            column("OtherId", Integer { bits: 64 }, None),
        ],
    );
    let key = |name_: &str, column: &str, parent: &str| ForeignKey {
        name: name_.into(),
        columns: vec![column.into()],
        parent: name(parent),
        parent_columns: vec!["ArtistId".into()],
        actions: "ON DELETE CASCADE ON UPDATE NO ACTION".into(),
        definition: String::new(),
    };
    album.foreign_keys = vec![
        key("Album_ArtistId_fkey", "ArtistId", "Artist"),
        key("Album_OtherId_fkey", "OtherId", "Elsewhere"),
    ];
    Schema {
        tables: vec![artist, album],
        ..Schema::default()
    }
}

#[tokio::test]
async fn tables_are_made_by_their_meaning() {
    for server in SERVERS {
        let schema = library();
        let database = Database::create(server).await;
        let store = database.store();
        let tables: Vec<_> = (0..)
            .zip(&schema.tables)
            .map(|(id, t)| designed(ENGINE, id, t, &schema))
            .collect();
        assert_eq!(tables[0].target.name.to_string(), "public.Artist");
        let _tenure = store.acquire("m").await.unwrap();
        store.create_tables(&[], &[], &tables).await.unwrap();
        for mapping in &tables {
            store.build_key(mapping).await.unwrap();
            store.build_unique_indexes(mapping).await.unwrap();
        }
        assert_eq!(store.build_foreign_keys(&tables).await.unwrap(), []);
        let sequence = Sequence {
            name: name("Artist"),
            definition: String::new(),
            owner: Some((name("Artist"), "ArtistId".into())),
            last_value: Some(275),
        };
        store.raise_sequences(&[sequence], &tables).await.unwrap();

        let client = database.client().await;
        client
            .batch("passing the guard", "SET crossfade.apply = 'm'")
            .await
            .unwrap();
        let row = client
            .query_one(
                "inserting",
                "INSERT INTO public.\"Artist\" DEFAULT VALUES RETURNING concat_ws('|', \"ArtistId\", \"Name\", \"Active\",
                     \"Rating\", \"Price\", \"Cover\", \"Born\", \"Data\", coalesce(\"Odd\", 'none')),
                     abs(extract(epoch FROM \"Since\" - (now() AT TIME ZONE 'UTC'))) < 5 AND \"Noted\" = to_char(\"Since\", 'YYYY-MM-DD HH24:MI:SS')
                     AND \"At\" = \"Since\"::time",
                &[],
            )
            .await
            .unwrap();
        assert_eq!(
            row.get::<_, &str>(0),
            "276|it's \\ nobody|t|-0.5|9.90|\\x00ff|2000-02-29|{\"b\": 1, \"a\": 2}|none"
        );
        assert!(row.get::<_, bool>(1));

        let made = Source::describe(&store).await.unwrap();
        let artist = made
            .tables
            .iter()
            .find(|t| t.name.name == "Artist")
            .unwrap();
        let names: Vec<&str> = artist.indexes.iter().map(|i| i.name.as_str()).collect();
        assert_eq!(names, ["Artist_Name_Born_key", "ByKey", "ByPrice"]);
        assert_eq!(artist.key.as_ref().unwrap().name, "Artist_pkey");
        // what was designed is what the server says
        for (planned, found) in tables[0].target.columns.iter().zip(&artist.columns) {
            assert_eq!(
                (&planned.name, &planned.declared, planned.logical),
                (&found.name, &found.declared, found.logical)
            );
            let source = &schema.tables[0]
                .columns
                .iter()
                .find(|c| c.name == found.name)
                .unwrap();
            let canonical = store
                .compare(
                    ENGINE,
                    &Column {
                        nullable: found.nullable,
                        ..(*source).clone()
                    },
                    found,
                )
                .unwrap();
            assert_eq!(
                canonical,
                tables[0]
                    .columns
                    .iter()
                    .find(|c| c.target == found.name)
                    .unwrap()
                    .canonical
            );
        }
        drop(client);
        database.drop().await;
    }
}

#[test]
fn what_another_dialect_says_is_listed_and_not_guessed() {
    let schema = library();
    let rename = |n: &TableName| schema.table(n).map(|t| design::default_name(&t.name));
    let target = design::default_name(&schema.tables[0].name);
    let (_, omissions) = design::design(ENGINE, &schema.tables[0], &target, &rename);
    let listed: Vec<(&str, &str)> = omissions
        .iter()
        .map(|o| (o.kind.as_str(), o.name.as_str()))
        .collect();
    assert_eq!(
        listed,
        [
            ("default", "Artist: Odd"),
            ("index", "Artist: Partial"),
            ("check", "Artist: c")
        ]
    );
    let (_, omissions) = design::design(ENGINE, &schema.tables[1], &target, &rename);
    let listed: Vec<(&str, &str)> = omissions
        .iter()
        .map(|o| (o.kind.as_str(), o.name.as_str()))
        .collect();
    assert_eq!(listed, [("foreign key", "Album: Album_OtherId_fkey")]);
    let any = design::declare(
        ENGINE,
        &schema.tables[0],
        &column("x", LogicalType::Any, None),
    );
    assert!(any.lossy.is_some());
    let text = design::declare(
        ENGINE,
        &schema.tables[0],
        &column("x", LogicalType::Text, None),
    );
    assert_eq!(
        (text.lossy, text.canonical, text.column.declared.as_str()),
        (None, Canonical::Text, "text")
    );
}
