//! What is found to speak against a migration, and that what is told to do about it helps.

use std::collections::{BTreeMap, BTreeSet};

use crossfade_model::{Finding, KeyOrder, Schema, Severity};
use crossfade_store::{CaptureSpec, Source, Target};

use crate::build::Pair;
use crate::mapping;
use crate::support::{Database, SERVERS};

/// Tables, and the code of what blocks each.
const TABLES: &[(&str, &str, &[&str])] = &[
    ("fine", "CREATE TABLE fine (id int PRIMARY KEY)", &[]),
    ("nokey", "CREATE TABLE nokey (id int)", &["postgres.no_key"]),
    (
        "nokey_full",
        "CREATE TABLE nokey_full (id int); ALTER TABLE nokey_full REPLICA IDENTITY FULL",
        &[],
    ),
    (
        "uniq",
        "CREATE TABLE uniq (id int NOT NULL UNIQUE)",
        &["postgres.no_key"],
    ),
    (
        "uniq_used",
        "CREATE TABLE uniq_used (id int NOT NULL CONSTRAINT k UNIQUE); ALTER TABLE uniq_used REPLICA IDENTITY USING INDEX k",
        &[],
    ),
    (
        "nothing",
        "CREATE TABLE nothing (id int PRIMARY KEY); ALTER TABLE nothing REPLICA IDENTITY NOTHING",
        &["postgres.replica_identity_nothing"],
    ),
    (
        "late",
        "CREATE TABLE late (id int PRIMARY KEY DEFERRABLE)",
        &["postgres.deferrable_key"],
    ),
    (
        "gone",
        "CREATE TABLE gone (id int PRIMARY KEY, n int NOT NULL CONSTRAINT g UNIQUE); ALTER TABLE gone REPLICA IDENTITY USING INDEX g; ALTER TABLE gone DROP CONSTRAINT g",
        &["postgres.replica_identity_index"],
    ),
    (
        "floats",
        "CREATE TABLE floats (id float8 PRIMARY KEY)",
        &["postgres.key_equality"],
    ),
    (
        "spans",
        "CREATE TABLE spans (id interval PRIMARY KEY)",
        &["postgres.key_equality"],
    ),
    (
        "blanks",
        "CREATE TABLE blanks (id bpchar PRIMARY KEY)",
        &["postgres.key_equality"],
    ),
    (
        "folded",
        "CREATE COLLATION fold (provider = icu, locale = 'und-u-ks-level2', deterministic = false); CREATE TABLE folded (id text COLLATE fold PRIMARY KEY)",
        &["postgres.key_equality"],
    ),
    (
        "spans_full",
        "CREATE TABLE spans_full (id interval PRIMARY KEY); ALTER TABLE spans_full REPLICA IDENTITY FULL",
        &[],
    ),
    (
        "unlogged",
        "CREATE UNLOGGED TABLE unlogged (id int PRIMARY KEY)",
        &["postgres.unlogged"],
    ),
    (
        "twofold",
        "CREATE UNLOGGED TABLE twofold (id int)",
        &["postgres.no_key", "postgres.unlogged"],
    ),
    (
        "parts",
        "CREATE TABLE parts (id int PRIMARY KEY) PARTITION BY LIST (id); CREATE TABLE parts_1 PARTITION OF parts FOR VALUES IN (1); CREATE TABLE parts_2 PARTITION OF parts DEFAULT; ALTER TABLE parts_2 REPLICA IDENTITY NOTHING",
        &["postgres.replica_identity_nothing"],
    ),
    (
        "parts_full",
        "CREATE TABLE parts_full (id int) PARTITION BY LIST (id); CREATE TABLE parts_full_1 PARTITION OF parts_full DEFAULT; ALTER TABLE parts_full_1 REPLICA IDENTITY FULL",
        &[],
    ),
    (
        "mixed",
        "CREATE TABLE mixed (id int PRIMARY KEY, n int NOT NULL) PARTITION BY LIST (id); CREATE TABLE mixed_1 PARTITION OF mixed DEFAULT; CREATE UNIQUE INDEX other ON mixed_1 (n); ALTER TABLE mixed_1 REPLICA IDENTITY USING INDEX other",
        &["postgres.partition_identity"],
    ),
    (
        "caseless",
        "CREATE EXTENSION citext SCHEMA public; CREATE TABLE caseless (id citext PRIMARY KEY, tags citext[])",
        &["postgres.key_equality"],
    ),
    (
        "shut",
        "CREATE TABLE shut (id int PRIMARY KEY)",
        &["postgres.select"],
    ),
    (
        "policed",
        "CREATE TABLE policed (id int PRIMARY KEY); ALTER TABLE policed ENABLE ROW LEVEL SECURITY",
        &["postgres.row_security"],
    ),
    (
        "counted",
        "CREATE TABLE counted (id serial PRIMARY KEY)",
        &["postgres.sequence_select"],
    ),
];

async fn source_of(server: &str) -> (Database, CaptureSpec, Schema, String) {
    let mut database = Database::create(server).await;
    let sql: Vec<&str> = TABLES.iter().map(|(_, sql, _)| *sql).collect();
    database
        .run(&format!("SET search_path = public; {}", sql.join(";")))
        .await;
    let schema = Source::describe(&database.store()).await.unwrap();
    let tables = mapping::all(&schema);
    let role = format!("{}_reader", database.name);
    database
        .run(&format!(
            "CREATE ROLE {role} LOGIN REPLICATION; GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role};
             REVOKE SELECT ON shut FROM {role}; CREATE PUBLICATION crossfade_{} FOR TABLE {}",
            database.name,
            // unlogged tables cannot be published
            tables.iter().map(|m| m.source.name.name.as_str()).filter(|n| !matches!(*n, "unlogged" | "twofold"))
                .map(|n| format!("ONLY public.{n}")).collect::<Vec<_>>().join(", ")
        )
        .replace("ON shut", "ON public.shut"))
        .await;
    database.own(&role);
    let spec = CaptureSpec {
        replanned: None,
        migration: database.name.clone(),
        tables,
    };
    (database, spec, schema, role)
}

fn blocking(findings: &[Finding]) -> BTreeMap<String, BTreeSet<String>> {
    let mut out: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for finding in findings.iter().filter(|f| f.severity == Severity::Blocks) {
        let table = finding.table.clone().unwrap_or_default();
        out.entry(table).or_default().insert(finding.code.clone());
    }
    out
}

#[tokio::test]
async fn each_table_that_cannot_be_followed_is_found_and_the_fixes_help() {
    for server in SERVERS {
        let (database, spec, schema, role) = source_of(server).await;
        let store = database.store_of(&role, "x");
        let findings = Source::findings(&store, &spec).await.unwrap();
        let mut expected: BTreeMap<String, BTreeSet<String>> = TABLES
            .iter()
            .filter(|(_, _, codes)| !codes.is_empty())
            .map(|(name, _, codes)| {
                (
                    format!("public.{name}"),
                    codes.iter().map(|c| (*c).to_owned()).collect(),
                )
            })
            .collect();
        expected.insert(String::new(), ["postgres.publication".to_owned()].into());
        assert_eq!(blocking(&findings), expected, "{server}");

        let notes = findings
            .iter()
            .filter(|f| f.code == "postgres.extension_type");
        assert_eq!(notes.count(), 2, "{findings:#?}");

        let key = |name: &str| {
            let table = schema.tables.iter().find(|t| t.name.name == name).unwrap();
            (
                table.key.as_ref().map(|k| (k.name.clone(), k.primary)),
                table.full_before_images,
            )
        };
        assert_eq!(key("uniq_used"), (Some(("k".into(), false)), false));
        assert_eq!(key("nokey_full"), (None, true));
        assert_eq!(key("spans_full"), (None, true));
        assert_eq!(key("parts_full"), (None, true));

        // what the findings say to do is SQL that an administrator can run, and helps
        for finding in findings.iter().filter(|f| f.severity == Severity::Blocks) {
            database.run(finding.fix.as_deref().unwrap()).await;
        }
        let findings = Source::findings(&store, &spec).await.unwrap();
        assert_eq!(blocking(&findings), BTreeMap::new(), "{server}");
        database.drop().await;
    }
}

#[tokio::test]
async fn the_publication_must_be_there_or_be_makeable() {
    let (database, mut spec, _, role) = source_of("CROSSFADE_TEST_PG15A").await;
    spec.tables.retain(|m| m.source.name.name == "fine");
    let store = database.store_of(&role, "x");
    let findings = Source::findings(&store, &spec).await.unwrap();
    let finding = findings
        .iter()
        .find(|f| f.severity == Severity::Blocks)
        .unwrap();
    assert_eq!(finding.code, "postgres.publication");
    database.run(finding.fix.as_deref().unwrap()).await;
    assert_eq!(
        blocking(&Source::findings(&store, &spec).await.unwrap()),
        BTreeMap::new()
    );

    database
        .run(&format!("DROP PUBLICATION crossfade_{}", database.name))
        .await;
    let findings = Source::findings(&store, &spec).await.unwrap();
    assert_eq!(blocking(&findings).len(), 1);
    database
        .run(&format!(
            "ALTER TABLE public.fine OWNER TO {role}; GRANT CREATE ON DATABASE {} TO {role}",
            database.name
        ))
        .await;
    assert_eq!(
        blocking(&Source::findings(&store, &spec).await.unwrap()),
        BTreeMap::new()
    );
    spec.tables[0].source.name.name = "Fine".into();
    let findings = Source::findings(&store, &spec).await.unwrap();
    assert!(
        findings.iter().any(|f| f.code == "postgres.table_missing"),
        "{findings:#?}"
    );

    database
        .run(&format!("ALTER ROLE {role} NOREPLICATION"))
        .await;
    let findings = Source::findings(&store, &spec).await.unwrap();
    assert!(
        findings
            .iter()
            .any(|f| f.code == "postgres.role_replication")
    );
    database.drop().await;
}

#[tokio::test]
async fn keys_are_ordered_just_where_bytes_order_them() {
    for server in SERVERS {
        for (options, text) in [
            ("TEMPLATE template0 LOCALE 'C'", KeyOrder::Ordered),
            (
                "TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'en-US' LOCALE 'C'",
                KeyOrder::Unordered,
            ),
            (
                "TEMPLATE template0 LOCALE 'C' ENCODING 'KOI8R'",
                KeyOrder::Unordered,
            ),
            (
                "TEMPLATE template0 LOCALE 'C' ENCODING 'LATIN1'",
                KeyOrder::Ordered,
            ),
        ] {
            if options.contains("KOI8R") && server != SERVERS[0] {
                continue;
            }
            let database = Database::create_with(server, options).await;
            let is_utf8 = !options.contains("ENCODING");
            let mut types = vec![
                ("int2", KeyOrder::Ordered),
                ("int8", KeyOrder::Ordered),
                ("uuid", KeyOrder::Ordered),
                ("bytea", KeyOrder::Ordered),
                ("date", KeyOrder::Ordered),
                ("timestamptz(3)", KeyOrder::Ordered),
                ("time", KeyOrder::Ordered),
                ("bool", KeyOrder::Ordered),
                ("numeric", KeyOrder::Unordered),
                ("char(3)", KeyOrder::Unordered),
                ("oid", KeyOrder::Unordered),
                ("mood", KeyOrder::Unordered),
                ("whole", KeyOrder::Ordered),
                ("text", text),
                ("varchar(9)", text),
            ];
            if is_utf8 {
                types.extend([
                    ("text COLLATE \"C\"", KeyOrder::Ordered),
                    ("text COLLATE ucs_basic", KeyOrder::Ordered),
                    ("text COLLATE \"POSIX\"", KeyOrder::Ordered),
                    ("text COLLATE \"en-x-icu\"", KeyOrder::Unordered),
                ]);
            }
            let mut sql = "SET search_path = public; CREATE TYPE mood AS ENUM ('a'); CREATE DOMAIN whole AS int".to_owned();
            for (at, (type_, _)) in types.iter().enumerate() {
                sql.push_str(&format!("; CREATE TABLE t{at:02} (id {type_} PRIMARY KEY)"));
            }
            database.run(&sql).await;
            let schema = Source::describe(&database.store()).await.unwrap();
            for ((type_, order), table) in types.iter().zip(&schema.tables) {
                assert_eq!(
                    table.key.as_ref().unwrap().order,
                    *order,
                    "{server} {options} {type_}"
                );
            }
            database.drop().await;
        }
    }
}

const OWN: &str = "CREATE TABLE public.t (id int PRIMARY KEY, n int)";

#[tokio::test]
async fn what_is_in_the_way_on_the_target_is_found_and_the_fixes_help() {
    let pair = Pair::new(("CROSSFADE_TEST_PG15A", "CROSSFADE_TEST_PG15B"), OWN).await;
    let role = format!("crossfade_{}", pair.migration);
    let cases: &[(&str, &[&str])] = &[
        ("", &[]),
        ("INSERT INTO public.t VALUES (1, 1)", &["postgres.not_empty"]),
        ("ALTER TABLE public.t ADD CONSTRAINT u UNIQUE (n)", &["postgres.unique_in_the_way"]),
        ("CREATE UNIQUE INDEX u ON public.t (n) WHERE n > 0", &["postgres.unique_in_the_way"]),
        ("ALTER TABLE public.t DROP CONSTRAINT t_pkey, ADD PRIMARY KEY (n)", &["postgres.unique_in_the_way"]),
        ("CREATE TABLE public.p (id int PRIMARY KEY); ALTER TABLE public.t ADD FOREIGN KEY (n) REFERENCES public.p", &["postgres.foreign_key_in_the_way"]),
        ("CREATE FUNCTION public.f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
          CREATE TRIGGER always BEFORE INSERT ON public.t FOR EACH ROW EXECUTE FUNCTION public.f(); ALTER TABLE public.t ENABLE ALWAYS TRIGGER always;
          CREATE TRIGGER plain BEFORE INSERT ON public.t FOR EACH ROW EXECUTE FUNCTION public.f()", &["postgres.trigger_in_the_way"]),
        ("CREATE RULE r AS ON INSERT TO public.t DO INSTEAD NOTHING", &["postgres.trigger_in_the_way"]),
        ("ALTER TABLE public.t ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY", &["postgres.row_security"]),
        ("ALTER TABLE public.t SET UNLOGGED", &["postgres.unlogged"]),
        ("ALTER TABLE public.t OWNER TO postgres", &["postgres.write"]),
        ("DROP TABLE public.t; CREATE VIEW public.t AS SELECT 1", &["postgres.name_taken"]),
    ];
    for (sql, expected) in cases {
        pair.to
            .run(&format!(
                "{OWN}; ALTER TABLE public.t OWNER TO {role}; {sql}"
            ))
            .await;
        let find = async || {
            Target::findings(&pair.target, &pair.migration, &pair.tables, true)
                .await
                .unwrap()
        };
        let findings = find().await;
        let codes: Vec<String> = blocking(&findings).into_values().flatten().collect();
        assert_eq!(codes, *expected, "{sql}: {findings:#?}");
        let unseen = findings.iter().any(|f| f.code == "postgres.strangers");
        assert_eq!(unseen, sql.contains("OWNER TO postgres"), "{sql}");
        for finding in findings.iter().filter(|f| f.severity == Severity::Blocks) {
            let fix = finding.fix.as_deref().unwrap();
            if let Some((first, _)) = fix
                .split_once(';')
                .filter(|_| finding.code != "postgres.name_taken")
            {
                pair.to.run(first).await;
            }
        }
        if !expected.contains(&"postgres.name_taken") {
            assert_eq!(blocking(&find().await), BTreeMap::new(), "{sql}");
        }
        // a migration that is under way has filled the table and built its keys
        pair.to
            .run("DROP TABLE IF EXISTS public.p CASCADE; DROP FUNCTION IF EXISTS public.f CASCADE")
            .await;
        pair.to
            .run(if sql.contains("VIEW") {
                "DROP VIEW public.t"
            } else {
                "DROP TABLE public.t"
            })
            .await;
    }
    pair.drop().await;
}

#[tokio::test]
async fn privileges_that_lack_on_the_target_are_named() {
    let pair = Pair::new(("CROSSFADE_TEST_PG15A", "CROSSFADE_TEST_PG15B"), OWN).await;
    let (name, role) = (&pair.to.name, format!("crossfade_{}", pair.migration));
    pair.to
        .run(&format!(
            "REVOKE CREATE, TEMPORARY ON DATABASE {name} FROM {role}; REVOKE TEMPORARY ON DATABASE {name} FROM public;
             REVOKE CREATE ON SCHEMA public FROM {role}; REVOKE SET ON PARAMETER session_replication_role FROM {role}"
        ))
        .await;
    let findings = Target::findings(&pair.target, &pair.migration, &pair.tables, true)
        .await
        .unwrap();
    let codes: Vec<&str> = findings.iter().map(|f| f.code.as_str()).collect();
    assert_eq!(
        codes,
        [
            "postgres.create_on_database",
            "postgres.temporary_tables",
            "postgres.session_replication_role",
            "postgres.create_in_schema"
        ]
    );
    for finding in findings.iter().filter(|f| f.severity == Severity::Blocks) {
        pair.to.run(finding.fix.as_deref().unwrap()).await;
    }
    let findings = Target::findings(&pair.target, &pair.migration, &pair.tables, true)
        .await
        .unwrap();
    assert_eq!(blocking(&findings), BTreeMap::new());
    pair.drop().await;
}

#[tokio::test]
async fn foreign_keys_that_would_act_on_applied_rows_are_refused() {
    let tables = "CREATE TABLE public.p (id int PRIMARY KEY);
        CREATE TABLE public.c (id int PRIMARY KEY, p int CONSTRAINT to_p REFERENCES public.p ON DELETE CASCADE)";
    let pair = Pair::new(("CROSSFADE_TEST_PG15A", "CROSSFADE_TEST_PG15B"), tables).await;
    let role = format!("crossfade_{}", pair.migration);
    pair.to
        .run(&format!(
            "REVOKE SET ON PARAMETER session_replication_role FROM {role}"
        ))
        .await;
    for fresh in [true, false] {
        let findings = Target::findings(&pair.target, &pair.migration, &pair.tables, fresh)
            .await
            .unwrap();
        let found: Vec<_> = findings
            .iter()
            .filter(|f| f.severity == Severity::Blocks)
            .collect();
        let [found] = found.as_slice() else {
            panic!("{findings:?}")
        };
        assert_eq!(found.code, "postgres.foreign_keys_act");
        assert!(found.what.contains("to_p"), "{found:?}");
        if !fresh {
            pair.to.run(found.fix.as_deref().unwrap()).await;
        }
    }
    let findings = Target::findings(&pair.target, &pair.migration, &pair.tables, true)
        .await
        .unwrap();
    assert_eq!(blocking(&findings), BTreeMap::new());
    pair.drop().await;
}
