//! Building a target's schema while others are in the way, or something is not there.

use crossfade_postgres::Purpose;
use crossfade_store::{ErrorKind, Source, Target};

use crate::build::{Pair, pretty_equal, shape};
use crate::support::SERVERS;

#[tokio::test]
async fn constraints_come_in_while_writers_hold_the_tables_in_any_order() {
    let sql = "CREATE TABLE public.p (id int PRIMARY KEY, n int UNIQUE);
        CREATE TABLE public.c (id int PRIMARY KEY, p int REFERENCES public.p)";
    let pair = Pair::new(("CROSSFADE_TEST_PG15A", "CROSSFADE_TEST_PG15B"), sql).await;
    pair.create_tables().await;
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let mut writers = Vec::new();
    for (first, second) in [("p", "c"), ("c", "p")] {
        let client = pair.target.connect(Purpose::Apply).await.unwrap();
        let pass = format!("SET crossfade.apply = '{}'", pair.migration);
        client.batch("passing", &pass).await.unwrap();
        let stopped = stopped.clone();
        writers.push(tokio::spawn(async move {
            let mut rounds = 0;
            while !*stopped.borrow() {
                let touch = |table: &str| format!("DELETE FROM public.{table} WHERE id = -1");
                client
                    .batch("writing", &format!("BEGIN; {}", touch(first)))
                    .await
                    .unwrap();
                tokio::time::sleep(std::time::Duration::from_millis(40)).await;
                // the builder may be the one that waits longer; a writer that is chosen as victim would be a failure here
                client
                    .batch("writing", &format!("{}; COMMIT", touch(second)))
                    .await
                    .unwrap();
                tokio::time::sleep(std::time::Duration::from_millis(25)).await;
                rounds += 1;
            }
            rounds
        }));
    }
    assert_eq!(pair.finish().await, []);
    stop.send(true).unwrap();
    for writer in writers {
        assert!(writer.await.unwrap() > 0);
    }
    let made = Target::describe(&pair.target).await.unwrap();
    pretty_equal(&shape(made), &shape(pair.schema.clone()));
    pair.drop().await;
}

#[tokio::test]
async fn a_function_that_the_target_lacks_is_noted_and_then_named() {
    let sql = "CREATE FUNCTION public.next() RETURNS int LANGUAGE sql AS 'SELECT 1';
        CREATE FUNCTION public.same(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1';
        CREATE TABLE public.t (id int PRIMARY KEY DEFAULT public.next(), n int CHECK (public.same(n) > 0),
            g int GENERATED ALWAYS AS (public.same(1)) STORED);
        CREATE INDEX i ON public.t (public.same(n))";
    for server in SERVERS {
        let pair = Pair::new((server, "CROSSFADE_TEST_PG15B"), sql).await;
        let findings = Source::findings(&pair.source, &pair.spec()).await.unwrap();
        let needed: Vec<&str> = findings
            .iter()
            .filter(|f| f.code == "postgres.needs_function")
            .map(|f| f.what.rsplit(' ').next().unwrap())
            .collect();
        assert_eq!(needed, ["public.next()", "public.same(integer)"]);
        let _tenure = pair.target.acquire(&pair.migration).await.unwrap();
        let e = pair
            .target
            .create_tables(&[], &[], &pair.tables)
            .await
            .unwrap_err();
        assert_eq!(
            (e.kind, e.table.as_deref()),
            (ErrorKind::Missing, Some("public.t")),
            "{e}"
        );
        assert!(e.fix.is_some() && e.what.contains("public.next()"), "{e}");
        pair.drop().await;
    }
}
