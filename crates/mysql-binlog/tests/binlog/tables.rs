//! Tables with more than plain columns: what of them is in the log, and that others do not disturb.

use crossfade_model::Cell;
use crossfade_mysql_binlog::Item;

use crate::common::{Server, alone, inserted, mariadbs, mysql, servers, words};

/// Names in the log, against those in the catalog.
fn assert_columns(server: &Server, database: &str, items: &[Item], table: &str, logged: &[&str]) {
    let Some(Item::Change(change)) = items
        .iter()
        .find(|item| matches!(item, Item::Change(change) if change.table.name == table))
    else {
        panic!("{} {database}: no change of {table}", server.name)
    };
    let names: Vec<&str> = change
        .table
        .columns
        .iter()
        .map(|c| c.name.as_str())
        .collect();
    assert_eq!(names, logged, "{} {table}", server.name);
}

#[tokio::test]
async fn generated_columns_are_in_the_log() {
    let _alone = alone().await;
    for server in servers() {
        let mut session = server.database("bl_tables").await;
        session
            .run("CREATE TABLE og (a int PRIMARY KEY, v int AS (a + 1) VIRTUAL, c int AS (a * 2) STORED, b int)")
            .await;
        let start = server.end().await;
        session.run("CREATE TABLE g LIKE og").await;
        session.run("INSERT INTO og (a, b) VALUES (5, NULL)").await;
        session.run("UPDATE og SET a = 6").await;
        session.run("DELETE FROM og").await;
        let items = server.items(&start, "bl_tables").await.unwrap();
        assert_columns(&server, "bl_tables", &items, "og", &["a", "v", "c", "b"]);
        let seen: Vec<String> = words(&items)
            .into_iter()
            .filter(|w| w.contains("og("))
            .collect();
        // newer MariaDBs log generated columns only of new rows
        let newer = server.name == "MARIADB118";
        let expected = match newer {
            true => [
                "+og(5,6,10,NULL)",
                "~og(5,-,-,NULL)(6,-,-,NULL)",
                "-og(6,-,-,NULL)",
            ],
            false => [
                "+og(5,6,10,NULL)",
                "~og(5,6,10,NULL)(6,7,12,NULL)",
                "-og(6,7,12,NULL)",
            ],
        };
        assert_eq!(seen, expected, "{}", server.name);
        // who needs them is told
        let start = server.end().await;
        session.run("INSERT INTO g (a) VALUES (5)").await;
        session.run("UPDATE g SET a = 6").await;
        let items = server.items(&start, "bl_tables").await;
        assert_eq!(items.is_err(), newer);
        // and so is who lacks another
        let start = server.end().await;
        session
            .run("SET SESSION binlog_row_image = 'MINIMAL'")
            .await;
        session.run("INSERT INTO og (a) VALUES (7)").await;
        let error = server.items(&start, "bl_tables").await.unwrap_err();
        assert_eq!(error.code, "binlog.row_image");
    }
}

#[tokio::test]
async fn hidden_columns_of_mysql_are_not_in_the_log() {
    let _alone = alone().await;
    let Some(server) = mysql() else { return };
    let mut session = server.database("bl_tables").await;
    session.run("CREATE TABLE h (a int PRIMARY KEY, j json, INDEX ((CAST(j->'$.n' AS UNSIGNED ARRAY))), INDEX ((a + 1)))").await;
    session
        .run("SET sql_generate_invisible_primary_key = ON")
        .await;
    session.run("CREATE TABLE p (a int)").await;
    session
        .run("CREATE TABLE vec (a int PRIMARY KEY, v VECTOR(3))")
        .await;
    let start = server.end().await;
    session
        .run("INSERT INTO h VALUES (1, '{\"n\": [1, 2]}')")
        .await;
    session.run("INSERT INTO p VALUES (9)").await;
    session
        .run("INSERT INTO vec VALUES (1, TO_VECTOR('[1, -2.5, 3e10]'))")
        .await;
    let items = server.items(&start, "bl_tables").await.unwrap();
    assert_columns(&server, "bl_tables", &items, "h", &["a", "j"]);
    assert_columns(&server, "bl_tables", &items, "p", &["my_row_id", "a"]);
    let expected: Vec<u8> = [1.0_f32, -2.5, 3e10]
        .iter()
        .flat_map(|f| f.to_le_bytes())
        .collect();
    let vectors = inserted(&items);
    assert_eq!(vectors.last().unwrap()[1], Cell::Blob(expected.into()));
}

#[tokio::test]
async fn mariadbs_long_unique_keys_and_vectors() {
    let _alone = alone().await;
    for server in mariadbs() {
        let mut session = server.database("bl_tables").await;
        session
            .run("CREATE TABLE ol (a int PRIMARY KEY, b text UNIQUE, c int)")
            .await;
        let start = server.end().await;
        session.run("INSERT INTO ol VALUES (1, 'x', 5)").await;
        session.run("UPDATE ol SET b = 'y'").await;
        let items = server.items(&start, "bl_tables").await.unwrap();
        assert_columns(
            &server,
            "bl_tables",
            &items,
            "ol",
            &["a", "b", "c", "DB_ROW_HASH_1"],
        );
        let seen: Vec<String> = words(&items)
            .iter()
            .map(|word| match server.name {
                "MARIADB118" if !word.starts_with('+') => word.clone(),
                _ => hashes_hidden(word),
            })
            .collect();
        let expected = [
            "begin",
            "+ol(1,x,5,-)",
            "commit",
            "begin",
            "~ol(1,x,5,-)(1,y,5,-)",
            "commit",
        ];
        assert_eq!(seen, expected, "{}", server.name);
        if server.name == "MARIADB118" {
            session
                .run("CREATE TABLE vec (a int PRIMARY KEY, v VECTOR(3) NOT NULL)")
                .await;
            let start = server.end().await;
            session
                .run("INSERT INTO vec VALUES (1, VEC_FromText('[1, -2.5, 3e10]'))")
                .await;
            let items = server.items(&start, "bl_tables").await.unwrap();
            let expected: Vec<u8> = [1.0_f32, -2.5, 3e10]
                .iter()
                .flat_map(|f| f.to_le_bytes())
                .collect();
            assert_eq!(inserted(&items)[0][1], Cell::Blob(expected.into()));
        }
    }
}

#[tokio::test]
async fn events_without_meaning_are_left_out() {
    let _alone = alone().await;
    for server in servers() {
        let mut session = server.database("bl_tables").await;
        session.run("CREATE TABLE t (a int PRIMARY KEY)").await;
        session.run("CREATE TABLE m (a int) ENGINE=MyISAM").await;
        session.run("CREATE DATABASE IF NOT EXISTS bl_else").await;
        session
            .run(
                "CREATE TABLE IF NOT EXISTS bl_else.odd (a int PRIMARY KEY AUTO_INCREMENT, b text)",
            )
            .await;
        let start = server.end().await;
        let set = match server.is_mariadb() {
            true => {
                "SET SESSION binlog_annotate_row_events = ON, SESSION binlog_alter_two_phase = ON"
            }
            false => "SET SESSION binlog_rows_query_log_events = ON",
        };
        session.run(set).await;
        session.run("INSERT INTO t VALUES (1)").await;
        session.run("INSERT INTO m VALUES (2)").await;
        session
            .run("SET SESSION binlog_row_image = 'MINIMAL'")
            .await;
        session
            .run("INSERT INTO bl_else.odd (b) VALUES ('not wanted, and not whole')")
            .await;
        session.run("SET SESSION binlog_row_image = 'FULL'").await;
        session.run("CREATE TEMPORARY TABLE tt (a int)").await;
        session.run("INSERT INTO tt VALUES (1)").await;
        session.run("DROP TEMPORARY TABLE tt").await;
        session.run("ALTER TABLE t ADD b int").await;
        session.run("INSERT INTO t VALUES (3, 4)").await;
        session.run("ANALYZE TABLE t").await;
        session.run("CREATE FUNCTION f() RETURNS int DETERMINISTIC BEGIN INSERT INTO t VALUES (5, 6); RETURN 1; END").await;
        session.run("DO f()").await;
        session.run("SELECT f() + 1 FROM t WHERE a < 0").await;
        let items = server.items(&start, "bl_tables").await.unwrap();
        let rows: Vec<String> = words(&items)
            .into_iter()
            .filter(|word| word.starts_with('+'))
            .collect();
        assert_eq!(
            rows,
            ["+t(1)", "+m(2)", "+t(3,4)", "+t(5,6)"],
            "{}",
            server.name
        );
        println!("{} {:?}", server.name, words(&items));
    }
}

#[tokio::test]
async fn a_definition_in_another_character_set_says_so() {
    let _alone = alone().await;
    for server in servers() {
        let mut session = server.database("bl_tables").await;
        let start = server.end().await;
        session.run("SET NAMES latin1").await;
        let sql = b"CREATE TABLE `\xfc` (a int)";
        session.connection.query_bytes(sql).await.unwrap();
        session.run("SET NAMES utf8mb4").await;
        session.run("CREATE TABLE `é` (a int)").await;
        let items = server.items(&start, "bl_tables").await.unwrap();
        let told: Vec<bool> = items
            .iter()
            .filter_map(|item| match item {
                Item::Definition(definition) => Some(definition.is_utf8),
                _ => None,
            })
            .collect();
        assert_eq!(told, [false, true], "{}", server.name);
    }
}

/// The last value of each row as if it were not in the log.
fn hashes_hidden(word: &str) -> String {
    word.split(')')
        .map(|row| match row.rsplit_once(',') {
            Some((rest, _)) => format!("{rest},-)"),
            None => row.to_owned(),
        })
        .collect()
}
