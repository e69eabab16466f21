//! What is told before anything is made, and errors of connecting.

use crossfade_model::{Finding, Severity};
use crossfade_mysql::{ENGINE, MysqlStore};
use crossfade_store::{CaptureSpec, ErrorKind, Source, Target};

use crate::kit::{Database, described, mappings};
use crate::on_each_server;

fn codes(findings: &[Finding]) -> Vec<(&str, Option<&str>)> {
    findings
        .iter()
        .filter(|f| f.severity == Severity::Blocks)
        .map(|f| (f.code.as_str(), f.table.as_deref()))
        .collect()
}

#[tokio::test]
async fn sources_that_cannot_be_followed_are_named() {
    on_each_server!(database, {
        database
            .run(&[
                "SET SESSION sql_mode = ''",
                "CREATE TABLE good (id INT PRIMARY KEY, d DATE)",
                "CREATE TABLE keyless (a INT)",
                "CREATE TABLE chinese (id INT PRIMARY KEY, a VARCHAR(9) CHARACTER SET gbk, b VARCHAR(9) CHARACTER SET cp1251)",
                "CREATE TABLE other (id INT PRIMARY KEY) ENGINE = MyISAM",
                "CREATE TABLE child (id INT PRIMARY KEY, p INT, FOREIGN KEY (p) REFERENCES good (id) ON DELETE SET NULL)",
                "INSERT INTO good VALUES (1, '0000-00-00')",
            ])
            .await;
        let store = database.store();
        let schema = described(&store).await;
        let mut spec = CaptureSpec {
            replanned: None,
            migration: "m".into(),
            tables: mappings(&*store, ENGINE, &schema),
        };
        let found = Source::findings(&*store, &spec).await.unwrap();
        let found = codes(&found);
        assert!(
            found.contains(&("mysql.no_key", Some("keyless"))),
            "{found:?}"
        );
        assert!(
            found.contains(&("mysql.engine", Some("other"))),
            "{found:?}"
        );
        assert!(
            !found.iter().any(|(code, _)| *code == "mysql.zero_date"),
            "a MySQL target has zero dates: {found:?}"
        );
        let unread = found.iter().filter(|(code, _)| *code == "mysql.charset");
        assert_eq!(
            unread.collect::<Vec<_>>(),
            [&("mysql.charset", Some("chinese"))]
        );
        // MySQL 9.6 and later write cascades to their log
        assert_eq!(
            found.contains(&("mysql.cascade", Some("child"))),
            !database.is_mysql(),
            "{found:?}"
        );
        for mapping in &mut spec.tables {
            for column in &mut mapping.columns {
                column.canonical = crossfade_model::Canonical::Date;
            }
        }
        let found = Source::findings(&*store, &spec).await.unwrap();
        assert!(
            codes(&found).contains(&("mysql.zero_date", Some("good"))),
            "{found:?}"
        );
    });
}

#[tokio::test]
async fn targets_that_are_in_the_way_are_named() {
    on_each_server!(database, {
        let source = Database::create(database.server).await;
        source
            .run(&[
                "CREATE TABLE filled (id INT PRIMARY KEY, a INT)",
                "CREATE TABLE narrow (id INT PRIMARY KEY, a INT)",
                "CREATE TABLE triggered (id INT PRIMARY KEY)",
                "CREATE TABLE keyed (id INT PRIMARY KEY)",
                "CREATE TABLE good (id INT PRIMARY KEY)",
            ])
            .await;
        let schema = described(&source.store()).await;
        database
            .run(&[
                "CREATE TABLE filled (id INT PRIMARY KEY, a INT)",
                "INSERT INTO filled VALUES (1, 1)",
                "CREATE TABLE narrow (id INT PRIMARY KEY, must INT NOT NULL)",
                "CREATE TABLE triggered (id INT PRIMARY KEY)",
                "CREATE TRIGGER theirs BEFORE INSERT ON triggered FOR EACH ROW SET @x = 1",
                "CREATE TABLE keyed (id INT NOT NULL)",
                "CREATE TABLE good (id INT PRIMARY KEY)",
            ])
            .await;
        let store = database.store();
        let tables = mappings(&*store, ENGINE, &schema);
        let found = Target::findings(&*store, "m", &tables, true).await.unwrap();
        let mut found = codes(&found);
        found.sort_unstable();
        assert_eq!(
            found,
            [
                ("mysql.columns", Some("narrow")),
                ("mysql.not_empty", Some("filled")),
                ("mysql.target_key", Some("keyed")),
                ("mysql.target_triggers", Some("triggered")),
                ("mysql.unfilled", Some("narrow")),
            ]
        );
        let found = Target::findings(&*store, "m", &tables, false)
            .await
            .unwrap();
        assert!(!codes(&found).contains(&("mysql.not_empty", Some("filled"))));
        source.drop().await;
    });
}

#[tokio::test]
async fn a_user_without_rights_is_told_the_grant() {
    on_each_server!(database, {
        let user = format!("u{:012x}", rand::random::<u64>() >> 16);
        database
            .run(&[
                "CREATE TABLE t (id INT PRIMARY KEY)",
                &format!("CREATE USER '{user}'@'127.0.0.1' IDENTIFIED BY 'secret-word'"),
                &format!(
                    "GRANT SELECT ON {}.* TO '{user}'@'127.0.0.1'",
                    database.name
                ),
            ])
            .await;
        let url = database
            .url
            .replace("crossfade:crossfade@", &format!("{user}:secret-word@"));
        let store = MysqlStore::open(&url).unwrap();
        let schema = described(&store).await;
        let spec = CaptureSpec {
            replanned: None,
            migration: "m".into(),
            tables: mappings(&store, ENGINE, &schema),
        };
        let found = Source::findings(&store, &spec).await.unwrap();
        let privilege = found.iter().find(|f| f.code == "mysql.privilege").unwrap();
        let fix = privilege.fix.as_deref().unwrap();
        assert!(
            fix.starts_with("GRANT REPLICATION SLAVE") && fix.contains(&user),
            "{fix}"
        );
        let error = store.acquire("m").await.err().unwrap();
        assert_eq!(error.kind, ErrorKind::Permission, "{error}");
        // and the statements that `grants` prints are enough
        let wrong = MysqlStore::open(&url.replace("secret-word", "wrong-word")).unwrap();
        let error = Source::describe(&wrong).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Authentication, "{error}");
        assert!(!error.to_string().contains("wrong-word"), "{error}");
        database
            .run(&[&format!("DROP USER '{user}'@'127.0.0.1'")])
            .await;
    });
}

#[tokio::test]
async fn identities_differ_and_stay() {
    let mut seen = Vec::new();
    for server in crate::kit::SERVERS {
        let database = Database::create(server).await;
        let store = database.store();
        let one = Source::identity(&*store).await.unwrap();
        assert_eq!(
            one.identity,
            Target::identity(&*store).await.unwrap().identity
        );
        assert_eq!(one.version.starts_with("MySQL"), database.is_mysql());
        assert!(!seen.contains(&one.identity));
        seen.push(one.identity);
        let missing = MysqlStore::open(&format!("{}_not_there", database.url)).unwrap();
        let error = Source::describe(&missing).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Missing, "{error}");
        database.drop().await;
    }
    let nobody = MysqlStore::open("mysql://a:b@127.0.0.1:1/d").unwrap();
    let error = Source::describe(&nobody).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Connection, "{error}");
}
