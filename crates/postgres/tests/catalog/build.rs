//! Making a target's schema, as the roles that the printed grants make.

use crossfade_model::{Finding, Schema, Severity, TableMapping, TableName};
use crossfade_postgres::{PostgresStore, Purpose};
use crossfade_store::{CaptureSpec, ErrorKind, Source, Target};

use crate::describe::SHOP;
use crate::mapping;
use crate::support::{Database, SERVERS};

/// Runs printed grants as the superuser and returns the role's store.
pub async fn granted(database: &mut Database, migration: &str, sql: &str) -> PostgresStore {
    let role = format!("crossfade_{migration}");
    database.own(&role);
    database.run(&sql.replace("CHANGE-ME", "secret")).await;
    database.store_of(&role, "secret")
}

/// Two databases with roles of their own: a source filled by `sql`, and an empty target.
pub struct Pair {
    pub from: Database,
    pub to: Database,
    pub migration: String,
    pub source: PostgresStore,
    pub target: PostgresStore,
    pub schema: Schema,
    pub tables: Vec<TableMapping>,
}

impl Pair {
    pub async fn new(servers: (&str, &str), sql: &str) -> Pair {
        let mut from = Database::create(servers.0).await;
        let mut to = Database::create(servers.1).await;
        from.run(sql).await;
        let schema = Source::describe(&from.store()).await.unwrap();
        let tables = mapping::all(&schema);
        let migration = from.name.clone();
        let spec = CaptureSpec {
            replanned: None,
            migration: migration.clone(),
            tables: tables.clone(),
        };
        let sql = Source::grants(&from.store(), &spec);
        let source = granted(&mut from, &migration, &sql).await;
        let sql = Target::grants(&to.store(), &migration, &tables);
        let target = granted(&mut to, &migration, &sql).await;
        Pair {
            from,
            to,
            migration,
            source,
            target,
            schema,
            tables,
        }
    }

    pub fn spec(&self) -> CaptureSpec {
        CaptureSpec {
            replanned: None,
            migration: self.migration.clone(),
            tables: self.tables.clone(),
        }
    }

    /// Takes the right to write and makes the tables.
    pub async fn create_tables(&self) {
        let _tenure = self.target.acquire(&self.migration).await.unwrap();
        self.target
            .create_tables(&self.schema.types, &self.schema.sequences, &self.tables)
            .await
            .unwrap();
    }

    pub async fn finish(&self) -> Vec<crossfade_model::Omission> {
        for mapping in &self.tables {
            self.target.build_key(mapping).await.unwrap();
            assert!(self.target.has_key(mapping).await.unwrap());
        }
        for mapping in &self.tables {
            self.target.build_unique_indexes(mapping).await.unwrap();
        }
        self.target.build_foreign_keys(&self.tables).await.unwrap()
    }

    pub async fn drop(self) {
        self.from.drop().await;
        self.to.drop().await;
    }
}

/// The tests' servers do not sync their disks; nothing else may be found.
fn only_notes(findings: &[Finding]) {
    let bad = |f: &&Finding| f.severity != Severity::Note && f.code != "postgres.fsync_off";
    assert_eq!(findings.iter().find(bad), None);
}

/// A description without what two equal stores may differ in.
pub fn shape(mut schema: Schema) -> Schema {
    for table in &mut schema.tables {
        table.estimated_rows = 0;
        table.estimated_bytes = 0;
    }
    for sequence in &mut schema.sequences {
        sequence.last_value = None;
    }
    schema.omissions.clear();
    schema
}

#[tokio::test]
async fn a_target_becomes_what_the_source_is() {
    let old = "CROSSFADE_TEST_PG15A";
    for servers in [
        (old, "CROSSFADE_TEST_PG15B"),
        (old, SERVERS[1]),
        (old, SERVERS[2]),
        (SERVERS[2], old),
    ] {
        let pair = Pair::new(servers, SHOP).await;
        let findings = Source::findings(&pair.source, &pair.spec()).await.unwrap();
        only_notes(&findings);
        let findings = Target::findings(&pair.target, &pair.migration, &pair.tables, true)
            .await
            .unwrap();
        only_notes(&findings);

        pair.create_tables().await;
        pair.create_tables().await;
        for mapping in &pair.tables {
            assert!(!pair.target.has_key(mapping).await.unwrap());
        }
        assert_eq!(pair.finish().await, []);
        assert_eq!(pair.finish().await, []);
        let made = Target::describe(&pair.target).await.unwrap();
        pretty_equal(&shape(made), &shape(pair.schema.clone()));
        // what is built is no obstacle later
        let findings = Target::findings(&pair.target, &pair.migration, &pair.tables, false)
            .await
            .unwrap();
        only_notes(&findings);
        pair.drop().await;
    }
}

pub fn pretty_equal(left: &Schema, right: &Schema) {
    let (left, right) = (format!("{left:#?}"), format!("{right:#?}"));
    for (number, (l, r)) in left.lines().zip(right.lines()).enumerate() {
        assert_eq!(l, r, "line {number}");
    }
    assert_eq!(left, right);
}

#[tokio::test]
async fn a_granted_role_can_capture_and_clean_up() {
    for server in SERVERS {
        let pair = Pair::new((server, "CROSSFADE_TEST_PG15B"), SHOP).await;
        pair.source.create_capture(&pair.spec()).await.unwrap();
        assert_eq!(
            Source::made(&pair.source, &pair.migration)
                .await
                .unwrap()
                .len(),
            2
        );
        pair.source.remove_capture(&pair.migration).await.unwrap();
        assert_eq!(
            Source::made(&pair.source, &pair.migration).await.unwrap(),
            []
        );
        pair.drop().await;
    }
}

#[tokio::test]
async fn others_cannot_write_to_a_table_that_is_filled() {
    let pair = Pair::new(("CROSSFADE_TEST_PG15A", "CROSSFADE_TEST_PG15B"), SHOP).await;
    pair.create_tables().await;
    let client = pair.to.client().await;
    for sql in [
        "INSERT INTO public.customer (email, mood) VALUES ('a', 'sad')",
        "UPDATE public.customer SET email = 'b'",
        "DELETE FROM public.customer",
        "TRUNCATE public.customer",
        "INSERT INTO public.event VALUES (1, '2025-01-01')",
        "INSERT INTO public.event_2025_1 VALUES (1, '2025-01-01')",
        "DELETE FROM public.event_rest",
    ] {
        let e = client.batch("writing", sql).await.unwrap_err();
        assert_eq!(e.code, "postgres.read_only", "{sql}: {e}");
        assert!(e.to_string().contains(&pair.migration), "{e}");
    }
    let pass = format!("SET crossfade.apply = '{}';", pair.migration);
    let insert = "INSERT INTO public.event VALUES (1, '2025-01-01')";
    client
        .batch("writing", &format!("{pass} {insert}"))
        .await
        .unwrap();
    client
        .batch(
            "writing",
            "RESET crossfade.apply; SET session_replication_role = replica",
        )
        .await
        .unwrap();
    client
        .batch(
            "writing",
            "INSERT INTO public.event VALUES (2, '2025-01-02')",
        )
        .await
        .unwrap();

    let made = Target::made(&pair.target, &pair.migration).await.unwrap();
    // three tables, four partitions, the rows of the migration
    assert_eq!(made.len(), 8, "{made:#?}");
    assert_eq!(Target::made(&pair.target, "another").await.unwrap(), []);
    let removed = pair
        .target
        .remove(&pair.migration, &pair.tables[..2])
        .await
        .unwrap();
    let gone = |kind: &str| removed.iter().filter(|m| m.kind == kind).count();
    assert_eq!(gone("table"), 2);
    assert_eq!((gone("sequence"), gone("type")), (1, 4), "{removed:#?}");
    assert_eq!(
        Target::made(&pair.target, &pair.migration).await.unwrap(),
        []
    );
    let left = Target::describe(&pair.target).await.unwrap();
    assert_eq!(left.tables.len(), 1);
    assert_eq!(
        pair.to
            .text("SELECT to_regnamespace('crossfade')::text")
            .await,
        None
    );
    client
        .batch(
            "writing",
            "RESET session_replication_role; DELETE FROM public.event_2025_1",
        )
        .await
        .unwrap();
    pair.drop().await;
}

#[tokio::test]
async fn types_and_sequences_go_with_the_tables_and_only_those_that_the_migration_made() {
    let pair = Pair::new(
        ("CROSSFADE_TEST_PG15A", "CROSSFADE_TEST_PG17"),
        "CREATE TYPE public.first AS ENUM ('a'); CREATE TYPE public.second AS ENUM ('b');
         CREATE TYPE public.third AS ENUM ('c'); CREATE DOMAIN public.over AS public.third[];
         CREATE SEQUENCE public.one; CREATE SEQUENCE public.two; CREATE SEQUENCE public.three;
         CREATE TABLE public.t (id int PRIMARY KEY DEFAULT nextval('public.one'), f public.first, s public.second, o public.over)",
    )
    .await;
    let role = format!("crossfade_{}", pair.migration);
    // there before: one of each
    pair.to
        .run(&format!(
            "CREATE TYPE public.second AS ENUM ('b'); ALTER TYPE public.second OWNER TO {role};
             CREATE SEQUENCE public.two; ALTER SEQUENCE public.two OWNER TO {role}"
        ))
        .await;
    pair.create_tables().await;
    // one that the migration made is another by now, and one has come into use
    pair.to
        .run(&format!(
            "DROP SEQUENCE public.three; CREATE SEQUENCE public.three; ALTER SEQUENCE public.three OWNER TO {role};
             CREATE TABLE public.user (f public.first)"
        ))
        .await;
    let removed = pair
        .target
        .remove(&pair.migration, &pair.tables)
        .await
        .unwrap();
    let names: Vec<(&str, &str)> = removed
        .iter()
        .filter(|m| ["type", "sequence"].contains(&m.kind.as_str()))
        .map(|m| (m.kind.as_str(), m.name.as_str()))
        .collect();
    assert_eq!(
        names,
        [
            ("sequence", r#""public"."one""#),
            ("type", r#""public"."over""#),
            ("type", r#""public"."third""#)
        ]
    );
    let left = "SELECT string_agg(n, ' ' ORDER BY n) FROM (
        SELECT typname::text AS n FROM pg_type WHERE typnamespace = 'public'::regnamespace AND typtype IN ('e', 'd')
        UNION ALL SELECT relname::text FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'S') x";
    assert_eq!(
        pair.to.text(left).await.as_deref(),
        Some("first second three two")
    );
    pair.drop().await;
}

#[tokio::test]
async fn tables_that_were_there_are_never_dropped() {
    let pair = Pair::new(
        ("CROSSFADE_TEST_PG15A", "CROSSFADE_TEST_PG15B"),
        "CREATE TABLE public.t (id int PRIMARY KEY)",
    )
    .await;
    let role = format!("crossfade_{}", pair.migration);
    pair.to
        .run(&format!(
            "CREATE TABLE public.t (id int PRIMARY KEY); ALTER TABLE public.t OWNER TO {role}"
        ))
        .await;
    pair.create_tables().await;
    assert_eq!(
        Target::made(&pair.target, &pair.migration)
            .await
            .unwrap()
            .len(),
        2
    );
    let removed = pair
        .target
        .remove(&pair.migration, &pair.tables)
        .await
        .unwrap();
    assert!(removed.iter().all(|m| m.kind != "table"));
    assert_eq!(
        Target::describe(&pair.target).await.unwrap().tables.len(),
        1
    );
    pair.drop().await;
}

#[tokio::test]
async fn unfinished_unique_indexes_are_built_again_and_duplicates_are_told() {
    let sql = "CREATE TABLE public.t (id int PRIMARY KEY, a int, b int, c int,
        CONSTRAINT ua UNIQUE (a) DEFERRABLE INITIALLY DEFERRED);
        CREATE UNIQUE INDEX ub ON public.t (b) INCLUDE (c) WHERE c > 0;
        CREATE TABLE public.x (r int4range, EXCLUDE USING gist (r WITH &&));
        ALTER TABLE public.x REPLICA IDENTITY FULL";
    let pair = Pair::new(("CROSSFADE_TEST_PG15A", "CROSSFADE_TEST_PG15B"), sql).await;
    pair.create_tables().await;
    let client = pair.target.connect(Purpose::Build).await.unwrap();
    let pass = format!("SET crossfade.apply = '{}';", pair.migration);
    client
        .batch(
            "filling",
            &format!("{pass} INSERT INTO public.t VALUES (1, 1, 1, 1), (2, 1, 1, 1)"),
        )
        .await
        .unwrap();
    let table = &pair.tables[0];
    pair.target.build_key(table).await.unwrap();
    let e = pair.target.build_unique_indexes(table).await.unwrap_err();
    assert_eq!(e.kind, ErrorKind::UniqueViolation, "{e}");
    assert_eq!(e.table.as_deref(), Some("public.t"));
    assert!(!e.to_string().contains("(1)"), "no value is shown: {e}");
    // a build that was cut off leaves an invalid index of that name
    client
        .batch(
            "leaving an index",
            "CREATE UNIQUE INDEX CONCURRENTLY ua ON public.t (a)",
        )
        .await
        .unwrap_err();
    client
        .batch("mending", "UPDATE public.t SET a = id, b = id")
        .await
        .unwrap();
    assert_eq!(pair.finish().await, []);
    let made = Target::describe(&pair.target).await.unwrap();
    pretty_equal(&shape(made), &shape(pair.schema.clone()));
    pair.drop().await;
}

#[tokio::test]
async fn constraints_that_do_not_hold_are_left_out_with_a_reason() {
    let sql = "CREATE TABLE public.p (id int PRIMARY KEY);
        CREATE TABLE public.c (id int PRIMARY KEY, p int CONSTRAINT to_p REFERENCES public.p);
        INSERT INTO public.c VALUES (1); ALTER TABLE public.c DISABLE TRIGGER ALL;
        ALTER TABLE public.c ADD CONSTRAINT odd CHECK (id % 2 = 0) NOT VALID";
    let pair = Pair::new(("CROSSFADE_TEST_PG15A", "CROSSFADE_TEST_PG15B"), sql).await;
    pair.create_tables().await;
    let client = pair.target.connect(Purpose::Build).await.unwrap();
    let pass = format!("SET crossfade.apply = '{}';", pair.migration);
    client
        .batch(
            "filling",
            &format!("{pass} INSERT INTO public.c VALUES (1, 7)"),
        )
        .await
        .unwrap();
    let left = pair.finish().await;
    assert_eq!(left.len(), 1, "{left:#?}");
    assert_eq!(
        (left[0].kind.as_str(), left[0].name.as_str()),
        ("foreign key", "public.c: to_p")
    );
    let constraints = pair.to.text("SELECT string_agg(conname || convalidated::text, ',' ORDER BY conname) FROM pg_constraint WHERE conrelid = 'public.c'::regclass AND contype <> 'n'").await;
    assert_eq!(constraints.as_deref(), Some("c_pkeytrue,oddfalse"));
    pair.drop().await;
}

#[tokio::test]
async fn sequences_are_raised_and_never_set_back() {
    let sql = "CREATE TABLE public.t (id serial PRIMARY KEY, n bigint GENERATED BY DEFAULT AS IDENTITY);
        CREATE SEQUENCE public.down INCREMENT BY -3 MAXVALUE 100 START 100;
        CREATE SEQUENCE public.restarted; ALTER SEQUENCE public.restarted RESTART 500;
        CREATE SEQUENCE public.unused START 7;
        SELECT setval('public.t_id_seq', 41), setval('public.t_n_seq', 9, true), setval('public.down', 50)";
    let pair = Pair::new(("CROSSFADE_TEST_PG15A", "CROSSFADE_TEST_PG17"), sql).await;
    pair.create_tables().await;
    let sequences = Source::sequences(&pair.source).await.unwrap();
    let value = |name: &str| {
        sequences
            .iter()
            .find(|s| s.name.name == name)
            .unwrap()
            .last_value
    };
    assert_eq!(value("t_id_seq"), Some(41));
    assert_eq!(value("restarted"), Some(499));
    assert_eq!(value("unused"), None);
    pair.target
        .raise_sequences(&sequences, &pair.tables)
        .await
        .unwrap();
    let next = "SELECT format('%s %s %s %s %s', nextval('public.t_id_seq'), nextval('public.t_n_seq'), nextval('public.down'), nextval('public.restarted'), nextval('public.unused'))";
    assert_eq!(pair.to.text(next).await.as_deref(), Some("42 10 47 500 7"));
    // what the target cannot count to is no row's fault
    let mut far = sequences.clone();
    far.retain(|s| s.name.name == "t_id_seq");
    far[0].last_value = Some(1 << 40);
    let e = pair
        .target
        .raise_sequences(&far, &pair.tables)
        .await
        .unwrap_err();
    assert_eq!(
        (e.kind, e.code),
        (ErrorKind::SchemaMismatch, "postgres.sequence_bounds"),
        "{e}"
    );
    // a second time nothing goes back
    pair.target
        .raise_sequences(&sequences, &pair.tables)
        .await
        .unwrap();
    assert_eq!(pair.to.text(next).await.as_deref(), Some("43 11 44 501 8"));
    pair.drop().await;
}

#[tokio::test]
async fn another_name_is_carried_through_all_definitions() {
    let sql = "CREATE SCHEMA old; CREATE TABLE old.p (id int PRIMARY KEY, e text UNIQUE);
        CREATE TABLE old.c (id int, p int REFERENCES old.p, at date NOT NULL, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
        CREATE TABLE old.c_rest PARTITION OF old.c DEFAULT;
        CREATE INDEX c_p ON old.c (p)";
    let mut pair = Pair::new(("CROSSFADE_TEST_PG15A", "CROSSFADE_TEST_PG15B"), sql).await;
    let moved = |name: &TableName| TableName {
        schema: Some("new".into()),
        name: format!("{} moved", name.name),
    };
    for mapping in &mut pair.tables {
        let source = mapping.source.clone();
        let (target, omissions) =
            crossfade_postgres::design::design("postgres", &source, &moved(&source.name), &|n| {
                Some(moved(n))
            });
        assert_eq!(omissions, []);
        mapping.target = target;
    }
    pair.create_tables().await;
    assert_eq!(pair.finish().await, []);
    let made = Target::describe(&pair.target).await.unwrap();
    let names: Vec<String> = made.tables.iter().map(|t| t.name.to_string()).collect();
    assert_eq!(names, ["new.c moved", "new.p moved"]);
    assert_eq!(made.tables[0].partitions[0].name.to_string(), "new.c_rest");
    assert_eq!(
        made.tables[0].foreign_keys[0].parent.to_string(),
        "new.p moved"
    );
    assert_eq!(made.tables[0].indexes.len(), 1);
    pair.drop().await;
}
