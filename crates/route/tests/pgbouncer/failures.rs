//! A PgBouncer that dies, reads a broken file, or is asked by somebody who is behind the times.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use crossfade_route::{RouteErrorKind, Routes, Side, Traffic};

use crate::support::{Bouncer, value};

const WITHIN: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread")]
async fn killed_between_point_and_resume_it_comes_back_pointed_and_not_paused() {
    let mut bouncer = Bouncer::start("killed", "").await;
    let route = bouncer.route();
    route.pause(1, WITHIN).await.expect("paused");
    route
        .point(&bouncer.to(Side::Target, 1), &Traffic::Writes)
        .await
        .expect("pointed");
    let written = bouncer.text();
    bouncer.kill();
    assert_eq!(
        route.shows().await.expect_err("down").kind,
        RouteErrorKind::Unreachable
    );
    assert_eq!(
        route.resume(1).await.expect_err("down").kind,
        RouteErrorKind::Unreachable
    );
    bouncer.run().await;
    let shown = route.shows().await.expect("shown");
    assert_eq!(
        (shown.writes, shown.paused),
        (Some(Side::Target), Some(false))
    );
    route
        .point(&bouncer.to(Side::Target, 1), &Traffic::Writes)
        .await
        .expect("again");
    assert_eq!(bouncer.text(), written);
    route.resume(1).await.expect("nothing to resume");
    let client = bouncer.client().await;
    assert_eq!(
        value(&client, "select current_database()").await,
        bouncer.target.name
    );
    bouncer.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pointed_while_down_it_starts_there() {
    let mut bouncer = Bouncer::start("down", "").await;
    let before = fs::metadata(bouncer.ini()).expect("ini");
    let route = bouncer.route();
    bouncer.kill();
    let to = bouncer.to(Side::Target, 1);
    let error = route.point(&to, &Traffic::Writes).await.expect_err("down");
    assert_eq!(error.kind, RouteErrorKind::Unreachable);
    assert!(error.kind.can_retry());
    let after = fs::metadata(bouncer.ini()).expect("ini");
    assert_eq!(
        (before.uid(), before.gid(), before.mode()),
        (after.uid(), after.gid(), after.mode())
    );
    bouncer.run().await;
    assert_eq!(
        route.shows().await.expect("shown").writes,
        Some(Side::Target)
    );
    route.point(&to, &Traffic::Writes).await.expect("agrees");
    bouncer.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_that_loads_nothing_is_seen() {
    let bouncer = Bouncer::start("reload", "").await;
    let route = bouncer.route();
    let whole = bouncer.text();
    fs::write(
        bouncer.ini(),
        whole.replace("shop =", "broken = port=x\nshop ="),
    )
    .expect("written");
    let to = bouncer.to(Side::Target, 1);
    let error = route
        .point(&to, &Traffic::Writes)
        .await
        .expect_err("not loaded");
    assert_eq!(error.code, "route.pgbouncer_reload", "{error}");
    assert_eq!(
        route.shows().await.expect("shown").writes,
        Some(Side::Source)
    );
    fs::write(bouncer.ini(), whole).expect("mended");
    route.point(&to, &Traffic::Writes).await.expect("pointed");
    assert_eq!(
        route.shows().await.expect("shown").writes,
        Some(Side::Target)
    );
    bouncer.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stale_epoch_changes_nothing() {
    let bouncer = Bouncer::start("stale", "").await;
    bouncer
        .route()
        .point(&bouncer.to(Side::Target, 5), &Traffic::Writes)
        .await
        .expect("pointed");
    let written = bouncer.text();
    // another process: nothing but the files remembers
    let late = bouncer.route();
    for error in [
        late.point(&bouncer.to(Side::Source, 4), &Traffic::Writes)
            .await
            .expect_err("stale"),
        late.pause(4, WITHIN).await.expect_err("stale"),
        late.resume(4).await.expect_err("stale"),
    ] {
        assert_eq!(error.kind, RouteErrorKind::StaleEpoch, "{error}");
    }
    assert_eq!(bouncer.text(), written);
    let shown = late.shows().await.expect("shown");
    assert_eq!(
        (shown.writes, shown.paused, shown.epoch),
        (Some(Side::Target), Some(false), Some(5))
    );
    bouncer.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_that_fails_releases_the_routes_before_it() {
    let first = Bouncer::start("order1", "").await;
    let second = Bouncer::start("order2", "").await;
    let idle = second.client().await;
    idle.simple_query("begin; insert into written values (9, 1)")
        .await
        .expect("open");
    let routes = Routes::new(vec![first.route(), second.route()]);
    let error = routes
        .pause(1, Duration::from_millis(400))
        .await
        .expect_err("the second is in use");
    assert_eq!(error.kind, RouteErrorKind::Busy);
    for (_, shown) in routes.shows().await {
        assert_eq!(shown.expect("shown").paused, Some(false));
    }
    assert_eq!(value(&first.client().await, "select 7").await, "7");
    idle.simple_query("commit").await.expect("left alone");
    assert_eq!(routes.pause(1, WITHIN).await.expect("paused").len(), 2);
    routes.resume(1).await.expect("resumed");
    first.finish().await;
    second.finish().await;
}
