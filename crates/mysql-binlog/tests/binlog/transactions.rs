//! Transactions: savepoints, definitions, pieces, XA, resuming.

use crossfade_mysql_binlog::{Gtid, GtidSet, Item, MariadbPosition, Start};

use crate::common::{alone, last_end, mariadbs, mysql, servers, until_mark, words};

#[tokio::test]
async fn changes_come_in_commit_order_with_both_images() {
    let _alone = alone().await;
    for server in servers() {
        let mut session = server.database("bl_order").await;
        let mut other = server.session().await;
        other.run("USE bl_order").await;
        session
            .run("CREATE TABLE t (a int PRIMARY KEY, b varchar(10))")
            .await;
        session.run("CREATE DATABASE IF NOT EXISTS bl_else").await;
        session
            .run("CREATE TABLE IF NOT EXISTS bl_else.u (a int)")
            .await;
        let start = server.end().await;
        session.run("BEGIN").await;
        session
            .run("INSERT INTO t VALUES (1, 'x'), (2, NULL)")
            .await;
        other.run("INSERT INTO t VALUES (3, 'first')").await;
        session.run("INSERT INTO bl_else.u VALUES (1)").await;
        session.run("UPDATE t SET b = 'y' WHERE a = 1").await;
        session.run("DELETE FROM t WHERE a = 2").await;
        session.run("COMMIT").await;
        session.run("INSERT INTO bl_else.u VALUES (2)").await;
        session.run("BEGIN").await;
        session.run("INSERT INTO t VALUES (9, 'never')").await;
        session.run("ROLLBACK").await;
        let items = server.items(&start, "bl_order").await.unwrap();
        assert_eq!(
            words(&items),
            [
                "begin",
                "+t(3,first)",
                "commit",
                "begin",
                "+t(1,x)",
                "+t(2,NULL)",
                "~t(1,x)(1,y)",
                "-t(2,NULL)",
                "commit"
            ],
            "{}",
            server.name
        );
        let passed = items
            .iter()
            .any(|item| matches!(item, Item::Passed(end) if end.gtid.is_some()));
        assert!(passed, "other tables' transactions are named too");
        let Some(Item::Begin(begin)) = items.iter().find(|i| matches!(i, Item::Begin(_))) else {
            panic!("no transaction began");
        };
        let now: i64 = session
            .value("SELECT unix_timestamp()")
            .await
            .parse()
            .unwrap();
        assert!((begin.committed_at / 1_000_000 - now).abs() < 3600);
    }
}

#[tokio::test]
async fn what_a_savepoint_takes_back_never_comes() {
    let _alone = alone().await;
    for server in servers() {
        let mut session = server.database("bl_save").await;
        session
            .run("CREATE TABLE t (a int PRIMARY KEY) ENGINE=InnoDB")
            .await;
        session.run("CREATE TABLE m (a int) ENGINE=MyISAM").await;
        let start = server.end().await;
        session.run("BEGIN").await;
        for sql in [
            "INSERT INTO t VALUES (1)",
            "SAVEPOINT s",
            "INSERT INTO t VALUES (2)",
            "SAVEPOINT `a b`",
            "INSERT INTO t VALUES (3)",
            "ROLLBACK TO s",
            "INSERT INTO t VALUES (4)",
            "COMMIT",
        ] {
            session.run(sql).await;
        }
        if !server.is_mariadb() {
            // MySQL with GTIDs refuses to mix tables that can roll back with such as cannot
            let items = server.items(&start, "bl_save").await.unwrap();
            assert_eq!(words(&items), ["begin", "+t(1)", "+t(4)", "commit"]);
            continue;
        }
        // a table that cannot roll back makes the server write the statements themselves
        session.run("BEGIN").await;
        for sql in [
            "INSERT INTO t VALUES (11)",
            "SAVEPOINT s",
            "INSERT INTO t VALUES (12)",
            "INSERT INTO m VALUES (1)",
            "SAVEPOINT `a b`",
            "INSERT INTO t VALUES (13)",
            "/* so */ ROLLBACK WORK TO SAVEPOINT `A b`",
            "INSERT INTO t VALUES (14)",
            "ROLLBACK TO s",
            "INSERT INTO t VALUES (15)",
            "COMMIT",
        ] {
            session.run(sql).await;
        }
        session.run("BEGIN").await;
        for sql in [
            "INSERT INTO t VALUES (21)",
            "INSERT INTO m VALUES (2)",
            "ROLLBACK",
        ] {
            session.run(sql).await;
        }
        let rows = session.rows("SELECT a FROM t ORDER BY a").await.concat();
        assert_eq!(rows, ["1", "4", "11", "15"]);
        let items = server.items(&start, "bl_save").await.unwrap();
        let of_t: Vec<String> = words(&items)
            .into_iter()
            .filter(|w| w.contains("+t"))
            .collect();
        assert_eq!(
            of_t,
            ["+t(1)", "+t(4)", "+t(11)", "+t(15)"],
            "{}",
            server.name
        );

        // the same in pieces: what was handed over is called back
        let mut stream = server.try_stream(&start, "bl_save", 0).await.unwrap();
        server.mark("bl_save").await;
        let items = until_mark(&mut stream, "bl_save").await.unwrap();
        let mut counted: Vec<String> = Vec::new();
        let mut begun = 0;
        for word in words(&items) {
            match word.split_once(' ') {
                _ if word == "begin" => begun = counted.len(),
                Some(("rewind", kept)) => counted.truncate(begun + kept.parse::<usize>().unwrap()),
                _ if word == "abort" => counted.truncate(begun),
                _ if word.starts_with('+') => counted.push(word),
                _ => {}
            }
        }
        counted.retain(|word| word.starts_with("+t"));
        assert_eq!(
            counted,
            ["+t(1)", "+t(4)", "+t(11)", "+t(15)"],
            "{}",
            server.name
        );
    }
}

#[tokio::test]
async fn definitions_come_by_themselves_and_inside_transactions() {
    let _alone = alone().await;
    for server in servers() {
        let mut session = server.database("bl_ddl").await;
        let start = server.end().await;
        session.run("CREATE TABLE t (a int PRIMARY KEY)").await;
        session.run("INSERT INTO t VALUES (1)").await;
        session.run("ALTER TABLE t ADD b int DEFAULT 5").await;
        session.run("INSERT INTO t VALUES (2, 6)").await;
        session.run("CREATE TABLE u AS SELECT * FROM t").await;
        session.run("TRUNCATE TABLE t").await;
        session.run("DROP TABLE t").await;
        let items = server.items(&start, "bl_ddl").await.unwrap();
        let kinds: Vec<String> = words(&items)
            .into_iter()
            .map(|word| word.split(['`', '(']).next().unwrap().trim().to_owned())
            .map(|word| word.replace(" OR REPLACE", ""))
            .collect();
        assert_eq!(
            kinds,
            [
                "ddl CREATE TABLE t",
                "begin",
                "+t",
                "commit",
                "ddl ALTER TABLE t ADD b int DEFAULT 5",
                "begin",
                "+t",
                "commit",
                "begin",
                "ddl CREATE TABLE",
                "+u",
                "+u",
                "commit",
                "ddl TRUNCATE TABLE t",
                "ddl DROP TABLE"
            ],
            "{}",
            server.name
        );
        assert!(words(&items).contains(&"+t(2,6)".to_owned()));
        let databases: Vec<&str> = items
            .iter()
            .filter_map(|item| match item {
                Item::Definition(definition) => Some(definition.database.as_str()),
                _ => None,
            })
            .collect();
        assert!(
            databases.iter().all(|database| *database == "bl_ddl"),
            "{databases:?}"
        );
    }
}

#[tokio::test]
async fn a_stream_goes_on_exactly_behind_the_end_of_another() {
    let _alone = alone().await;
    for server in servers() {
        let mut session = server.database("bl_resume").await;
        session.run("CREATE TABLE t (a int PRIMARY KEY)").await;
        let start = server.end().await;
        let mut seen = match server.is_mariadb() {
            true => Start::Mariadb(
                MariadbPosition::parse(&session.value("SELECT @@global.gtid_binlog_pos").await)
                    .unwrap(),
            ),
            false => {
                let set = session.value("SELECT @@global.gtid_executed").await;
                Start::Mysql(GtidSet::parse(&set).unwrap())
            }
        };
        for a in 1..=20 {
            session.run(&format!("INSERT INTO t VALUES ({a})")).await;
            if a % 7 == 0 {
                session.run("FLUSH BINARY LOGS").await;
            }
        }
        let all = server.items(&start, "bl_resume").await.unwrap();
        let Start::Place { base, .. } = &start else {
            panic!()
        };
        let every: Vec<String> = words(&all)
            .into_iter()
            .filter(|w| w.starts_with('+'))
            .collect();
        assert_eq!(every.len(), 20);
        let mut count = 0;
        let ends: Vec<_> = all
            .iter()
            .filter_map(|item| match item {
                Item::Commit(end) => Some(end.clone()),
                _ => None,
            })
            .collect();
        let packed: Vec<u64> = ends
            .iter()
            .map(|end| end.position.pack(0).unwrap().0)
            .collect();
        assert!(packed.is_sorted_by(|a, b| a < b), "positions rise");
        for end in &ends {
            count += 1;
            let place = Start::Place {
                base: base.clone(),
                position: end.position,
            };
            match (&mut seen, end.gtid.clone().unwrap()) {
                (Start::Mysql(set), Gtid::Mysql(gtid)) => set.add(&gtid),
                (Start::Mariadb(position), Gtid::Mariadb(gtid)) => position.add(gtid),
                _ => panic!("another server's GTID"),
            }
            if count % 6 != 1 {
                continue;
            }
            for from in [&place, &seen] {
                let mut stream = server.stream(from, "bl_resume").await;
                let rest = until_mark(&mut stream, "bl_resume").await.unwrap();
                let rest: Vec<String> = words(&rest)
                    .into_iter()
                    .filter(|w| w.starts_with('+'))
                    .collect();
                assert_eq!(rest, every[count..], "{} from {from:?}", server.name);
            }
        }
        assert_eq!(count, 20);
        assert!(last_end(&all) >= ends.last().unwrap().position);
    }
}

#[tokio::test]
async fn a_killed_connection_is_a_lost_one_and_the_next_goes_on() {
    let _alone = alone().await;
    for server in servers() {
        let mut session = server.database("bl_kill").await;
        session.run("CREATE TABLE t (a int PRIMARY KEY)").await;
        let start = server.end().await;
        session.run("INSERT INTO t VALUES (1)").await;
        let mut stream = server.stream(&start, "bl_kill").await;
        let mut items = Vec::new();
        while !words(&items).contains(&"commit".to_owned()) {
            items.extend(stream.next().await.unwrap());
        }
        session
            .run(&format!("KILL {}", stream.connection_id()))
            .await;
        let error = loop {
            match stream.next().await {
                Ok(_) => {}
                Err(error) => break error,
            }
        };
        assert_eq!(
            crossfade_store::Recovery::Retry,
            error.kind.recovery(),
            "{} {error:?}",
            server.name
        );
        session.run("INSERT INTO t VALUES (2)").await;
        let Start::Place { base, .. } = start else {
            panic!()
        };
        let place = Start::Place {
            base,
            position: last_end(&items),
        };
        let rest = server.items(&place, "bl_kill").await.unwrap();
        assert_eq!(
            words(&rest),
            ["begin", "+t(2)", "commit"],
            "{}",
            server.name
        );
    }
}

#[tokio::test]
async fn tagged_transactions_are_named_and_can_be_begun_behind() {
    let _alone = alone().await;
    let Some(server) = mysql() else { return };
    let mut session = server.database("bl_tag").await;
    session.run("CREATE TABLE t (a int PRIMARY KEY)").await;
    let set = session.value("SELECT @@global.gtid_executed").await;
    let mut seen = GtidSet::parse(&set).unwrap();
    let start = server.end().await;
    session.run("SET gtid_next = 'AUTOMATIC:night_shift'").await;
    session.run("INSERT INTO t VALUES (1)").await;
    session.run("INSERT INTO t VALUES (2)").await;
    session.run("SET gtid_next = 'AUTOMATIC'").await;
    session.run("INSERT INTO t VALUES (3)").await;
    let items = server.items(&start, "bl_tag").await.unwrap();
    let gtids: Vec<String> = items
        .iter()
        .filter_map(|item| match item {
            Item::Commit(end) => end.gtid.as_ref().map(ToString::to_string),
            _ => None,
        })
        .collect();
    assert!(gtids[0].contains(":night_shift:"), "{gtids:?}");
    assert!(!gtids[2].contains("night"), "{gtids:?}");
    for item in &items {
        if let Item::Commit(end) = item
            && let Some(Gtid::Mysql(gtid)) = &end.gtid
            && gtid.source.tag.is_some()
        {
            seen.add(gtid);
            session.run("DO 1").await;
        }
    }
    let rest = server.items(&Start::Mysql(seen), "bl_tag").await.unwrap();
    assert_eq!(words(&rest), ["begin", "+t(3)", "commit"]);
}

#[tokio::test]
async fn mariadb_goes_on_behind_several_domains() {
    let _alone = alone().await;
    for server in mariadbs() {
        let mut session = server.database("bl_domain").await;
        session.run("CREATE TABLE t (a int PRIMARY KEY)").await;
        let position = session.value("SELECT @@global.gtid_binlog_pos").await;
        let mut position = MariadbPosition::parse(&position).unwrap();
        let start = server.end().await;
        for a in 0..6 {
            session
                .run(&format!("SET SESSION gtid_domain_id = {}", a % 2 * 7))
                .await;
            session.run(&format!("INSERT INTO t VALUES ({a})")).await;
        }
        session.run("SET SESSION gtid_domain_id = 0").await;
        let items = server.items(&start, "bl_domain").await.unwrap();
        let mut gtids = items.iter().filter_map(|item| match item {
            Item::Commit(end) => match end.gtid {
                Some(Gtid::Mariadb(gtid)) => Some(gtid),
                _ => None,
            },
            _ => None,
        });
        gtids.by_ref().take(3).for_each(|gtid| position.add(gtid));
        assert_eq!(gtids.next().unwrap().domain, 7);
        let rest = server
            .items(&Start::Mariadb(position), "bl_domain")
            .await
            .unwrap();
        let rest: Vec<String> = words(&rest)
            .into_iter()
            .filter(|w| w.starts_with('+'))
            .collect();
        assert_eq!(rest, ["+t(3)", "+t(4)", "+t(5)"], "{}", server.name);
    }
}

#[tokio::test]
async fn transactions_without_names_are_followed_by_place() {
    let _alone = alone().await;
    let Some(server) = mysql() else { return };
    let mut session = server.database("bl_anonymous").await;
    session.run("CREATE TABLE t (a int PRIMARY KEY)").await;
    // one step at a time, as the server demands
    let modes = ["ON_PERMISSIVE", "OFF_PERMISSIVE", "OFF"];
    session
        .run("SET GLOBAL enforce_gtid_consistency = ON")
        .await;
    for mode in modes {
        session.run(&format!("SET GLOBAL gtid_mode = {mode}")).await;
    }
    let start = server.end().await;
    session.run("INSERT INTO t VALUES (1)").await;
    session.run("INSERT INTO t VALUES (2)").await;
    let items = server.items(&start, "bl_anonymous").await.unwrap();
    let Start::Place { base, .. } = start else {
        panic!()
    };
    let Some(Item::Commit(first)) = items.iter().find(|i| matches!(i, Item::Commit(_))) else {
        panic!()
    };
    let place = Start::Place {
        base,
        position: first.position,
    };
    let rest = server.items(&place, "bl_anonymous").await.unwrap();
    // with names again, the server does not send what has none
    for mode in modes.iter().rev().skip(1).chain(&["ON"]) {
        session.run(&format!("SET GLOBAL gtid_mode = {mode}")).await;
    }
    let expected = ["begin", "+t(1)", "commit", "begin", "+t(2)", "commit"];
    assert_eq!(words(&items), expected);
    assert_eq!(words(&rest), expected[3..]);
    let named = |item: &Item| matches!(item, Item::Commit(end) if end.gtid.is_some());
    assert!(!items.iter().any(named));
}
