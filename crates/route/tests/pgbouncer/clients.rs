//! What clients of a PgBouncer see of a switch.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crossfade_route::{Held, RouteErrorKind, Side, Traffic};
use tokio::task::JoinHandle;

use crate::support::{Bouncer, value};

const WITHIN: Duration = Duration::from_secs(20);

/// Writes numbers one after another, by one statement and by transactions in turn, and counts what was acknowledged. Any error ends it.
struct Writers {
    stop: Arc<AtomicBool>,
    acknowledged: Arc<[AtomicU64; 4]>,
    tasks: Vec<JoinHandle<Result<(), tokio_postgres::Error>>>,
}

impl Writers {
    async fn start(bouncer: &Bouncer) -> Writers {
        let stop = Arc::new(AtomicBool::new(false));
        let acknowledged: Arc<[AtomicU64; 4]> = Arc::default();
        let mut tasks = Vec::new();
        for number in 0..4 {
            let client = bouncer.client().await;
            let (stop, acknowledged) = (stop.clone(), acknowledged.clone());
            tasks.push(tokio::spawn(async move {
                let mut next = 1;
                while !stop.load(Ordering::SeqCst) {
                    let insert = format!("insert into written values ({number}, {next})");
                    if next % 2 == 0 {
                        client.simple_query(&insert).await?;
                    } else {
                        client.simple_query("begin").await?;
                        client.simple_query(&insert).await?;
                        client.simple_query("commit").await?;
                    }
                    acknowledged[number].store(next, Ordering::SeqCst);
                    next += 1;
                }
                Ok(())
            }));
        }
        Writers {
            stop,
            acknowledged,
            tasks,
        }
    }

    fn all(&self) -> u64 {
        self.acknowledged
            .iter()
            .map(|count| count.load(Ordering::SeqCst))
            .sum()
    }

    /// Waits until every writer has had this many more writes acknowledged.
    async fn more(&mut self, count: u64) {
        let goals: Vec<u64> = self
            .acknowledged
            .iter()
            .map(|done| done.load(Ordering::SeqCst) + count)
            .collect();
        let reached = async {
            while self
                .acknowledged
                .iter()
                .zip(&goals)
                .any(|(done, goal)| done.load(Ordering::SeqCst) < *goal)
            {
                if let Some(ended) = self.tasks.iter_mut().find(|task| task.is_finished()) {
                    panic!("a client got an error: {:?}", ended.await);
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), reached)
            .await
            .expect("writers go on");
    }

    async fn finish(self) -> u64 {
        self.stop.store(true, Ordering::SeqCst);
        for task in self.tasks {
            task.await.expect("joined").expect("a client got an error");
        }
        self.acknowledged
            .iter()
            .map(|count| count.load(Ordering::SeqCst))
            .sum()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_see_a_pause_and_no_error_there_and_back() {
    let bouncer = Bouncer::start("flow", "").await;
    let route = bouncer.route();
    assert!(route.can(&Traffic::Writes));
    let mut writers = Writers::start(&bouncer).await;
    writers.more(50).await;

    let began = std::time::Instant::now();
    let paused = route.pause(1, WITHIN).await.expect("paused");
    assert_eq!(paused.held, Held::Proven);
    assert_eq!(bouncer.source.busy().await, "0");
    let at_source = bouncer.source.count().await;
    assert_eq!(bouncer.target.count().await, 0);
    route
        .point(&bouncer.to(Side::Target, 1), &Traffic::Writes)
        .await
        .expect("pointed");
    let shown = route.shows().await.expect("shown");
    assert_eq!(
        (shown.writes, shown.paused, shown.epoch),
        (Some(Side::Target), Some(true), Some(1))
    );
    assert_eq!(
        bouncer.target.count().await,
        0,
        "nothing runs before it is resumed"
    );
    route.resume(1).await.expect("resumed");
    println!("clients waited for {:?} at most", began.elapsed());
    writers.more(50).await;
    assert_eq!(
        bouncer.source.count().await,
        at_source,
        "all later writes land on the target"
    );

    route.pause(2, WITHIN).await.expect("paused");
    assert_eq!(bouncer.target.busy().await, "0");
    let at_target = bouncer.target.count().await;
    assert!(at_target >= 200);
    route
        .point(&bouncer.to(Side::Source, 2), &Traffic::Writes)
        .await
        .expect("pointed back");
    route.resume(2).await.expect("resumed");
    writers.more(50).await;
    assert_eq!(bouncer.target.count().await, at_target);
    let acknowledged = writers.finish().await;
    assert_eq!(
        bouncer.source.count().await + at_target,
        acknowledged,
        "none lost, none twice"
    );
    bouncer.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pointing_without_a_pause_moves_later_transactions() {
    let bouncer = Bouncer::start("unpaused", "").await;
    let route = bouncer.route();
    let mut writers = Writers::start(&bouncer).await;
    writers.more(20).await;
    route
        .point(&bouncer.to(Side::Target, 1), &Traffic::Writes)
        .await
        .expect("pointed");
    let at_source = bouncer.source.count().await;
    writers.more(20).await;
    assert_eq!(bouncer.source.count().await, at_source);
    let acknowledged = writers.finish().await;
    assert_eq!(at_source + bouncer.target.count().await, acknowledged);
    bouncer.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_transaction_refuses_the_pause_and_all_go_on() {
    let bouncer = Bouncer::start("idle", "").await;
    let route = bouncer.route();
    let idle = bouncer.client().await;
    idle.simple_query("begin; insert into written values (9, 1)")
        .await
        .expect("open");
    let mut writers = Writers::start(&bouncer).await;
    writers.more(5).await;
    let error = route
        .pause(1, Duration::from_millis(300))
        .await
        .expect_err("in use");
    assert_eq!(
        (error.kind, error.code),
        (RouteErrorKind::Busy, "route.pgbouncer_busy")
    );
    assert!(error.what.contains("postgres from 127.0.0.1:"), "{error}");
    assert_eq!(route.shows().await.expect("shown").paused, Some(false));
    writers.more(5).await;
    idle.simple_query("commit")
        .await
        .expect("its transaction was left alone");
    route.pause(1, WITHIN).await.expect("paused now");
    route.pause(1, WITHIN).await.expect("again is no error");
    let before = writers.all();
    route.resume(1).await.expect("resumed");
    route.resume(1).await.expect("again is no error");
    writers.more(5).await;
    assert!(writers.all() > before);
    writers.finish().await;
    bouncer.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_that_was_abandoned_is_taken_back_by_resume() {
    let bouncer = Bouncer::start("abandoned", "").await;
    let route: Arc<dyn crossfade_route::Route> = bouncer.route().into();
    let idle = bouncer.client().await;
    idle.simple_query("begin; insert into written values (9, 1)")
        .await
        .expect("open");
    let asking = {
        let route = route.clone();
        tokio::spawn(async move { route.pause(1, WITHIN).await })
    };
    while route.shows().await.expect("shown").paused != Some(true) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    asking.abort();
    assert!(asking.await.expect_err("aborted").is_cancelled());
    assert_eq!(
        route.shows().await.expect("shown").paused,
        Some(true),
        "its end does not end the pause"
    );
    route.resume(1).await.expect("resumed");
    let other = bouncer.client().await;
    assert_eq!(value(&other, "select 7").await, "7");
    idle.simple_query("commit").await.expect("left alone");
    bouncer.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_are_ended_where_that_was_asked_for() {
    for (name, settings) in [("kill", ""), ("killsession", "pool_mode = session")] {
        let bouncer = Bouncer::start(name, settings).await;
        let route = bouncer.route_of(crossfade_route::PgBouncerConfig {
            end_clients: true,
            ..bouncer.config()
        });
        let idle = bouncer.client().await;
        idle.simple_query("begin; insert into written values (9, 1)")
            .await
            .expect("open");
        let paused = route
            .pause(1, Duration::from_secs(2))
            .await
            .expect("paused");
        assert_eq!(paused.held, Held::Proven);
        // the server notices a client that was ended a moment later
        while bouncer.source.busy().await != "0" {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        route
            .point(&bouncer.to(Side::Target, 1), &Traffic::Writes)
            .await
            .expect("pointed");
        idle.simple_query("commit").await.expect_err("it was ended");
        route.resume(1).await.expect("resumed");
        let next = bouncer.client().await;
        next.simple_query("insert into written values (9, 2)")
            .await
            .expect("written");
        assert_eq!(
            (bouncer.source.count().await, bouncer.target.count().await),
            (0, 1),
            "{name}"
        );
        bouncer.finish().await;
    }
}
