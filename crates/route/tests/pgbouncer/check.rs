//! What a check finds.

use std::fs;
use std::time::Duration;

use crossfade_route::{PgBouncerConfig, Route, RouteErrorKind, RouteFinding, Side, Traffic};

use crate::support::Bouncer;

async fn blocking(route: &dyn Route) -> Vec<String> {
    let findings = route.check().await.expect("checked");
    let blocks = |finding: &RouteFinding| finding.severity == crossfade_model::Severity::Blocks;
    findings
        .into_iter()
        .filter(blocks)
        .map(|finding| finding.code)
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_good_one_has_only_a_note_of_prepared_statements() {
    let bouncer = Bouncer::start("good", "").await;
    let before = bouncer.text();
    let findings = bouncer.route().check().await.expect("checked");
    for finding in &findings {
        assert_eq!(finding.code, "route.pgbouncer_prepared", "{finding:?}");
        assert!(
            finding
                .fix
                .as_deref()
                .is_some_and(|fix| fix.contains("1.21"))
        );
    }
    assert_eq!(bouncer.text(), before);
    bouncer.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn session_pooling_is_refused() {
    let bouncer = Bouncer::start("session", "pool_mode = session").await;
    let route = bouncer.route();
    assert_eq!(blocking(&*route).await, ["route.pgbouncer_session"]);
    let error = route
        .pause(1, Duration::from_secs(1))
        .await
        .expect_err("refused");
    assert_eq!(error.kind, RouteErrorKind::Unsupported);
    let ending = bouncer.route_of(PgBouncerConfig {
        end_clients: true,
        ..bouncer.config()
    });
    assert!(blocking(&*ending).await.is_empty());
    bouncer.finish().await;

    // a user's own pooling mode shows in the pools only
    let bouncer = Bouncer::start("sessionuser", "[users]\npostgres = pool_mode=session").await;
    assert!(blocking(&*bouncer.route()).await.is_empty());
    let _client = bouncer.client().await;
    assert_eq!(
        blocking(&*bouncer.route()).await,
        ["route.pgbouncer_session"]
    );
    bouncer.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_would_fail_later_is_found_before() {
    let mut bouncer = Bouncer::start("bad", "query_wait_timeout = 2").await;
    let watcher = bouncer.route_of(PgBouncerConfig {
        admin: bouncer.admin_url("watcher"),
        ..bouncer.config()
    });
    assert_eq!(blocking(&*watcher).await, ["route.pgbouncer_admin"]);
    let missing = bouncer.route_of(PgBouncerConfig {
        database: "shopp".to_owned(),
        ..bouncer.config()
    });
    assert_eq!(
        blocking(&*missing).await,
        ["route.pgbouncer_entry", "route.pgbouncer_database"]
    );
    let findings = bouncer.route().check().await.expect("checked");
    assert!(
        findings
            .iter()
            .any(|finding| finding.code == "route.pgbouncer_wait")
    );

    // a file that PgBouncer does not run with
    let text = bouncer.text();
    fs::write(
        bouncer.ini(),
        text.replace("dbname=route_bad_a", "dbname=route_bad_c"),
    )
    .expect("written");
    assert_eq!(blocking(&*bouncer.route()).await, ["route.pgbouncer_file"]);
    fs::write(
        bouncer.ini(),
        text.replacen(&format!("port={}", bouncer.source.port), "port=1", 1),
    )
    .expect("written");
    bouncer.kill();
    assert_eq!(
        blocking(&*bouncer.route()).await,
        ["route.pgbouncer_unreachable"]
    );
    bouncer.run().await;
    assert_eq!(
        blocking(&*bouncer.route()).await,
        ["route.pgbouncer_address"]
    );
    bouncer.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_are_led_by_an_entry_of_their_own_or_not_at_all() {
    let bouncer = Bouncer::start("reads", "").await;
    let to = bouncer.to(Side::Target, 1);
    let all = Traffic::Reads { percent: 100 };
    assert!(!bouncer.route().can(&all));
    let error = bouncer.route().point(&to, &all).await.expect_err("refused");
    assert_eq!(error.kind, RouteErrorKind::Unsupported);

    let text = bouncer.text();
    let entry = text
        .lines()
        .find(|line| line.starts_with("shop ="))
        .expect("entry");
    let both = text.replace(
        entry,
        &format!("{entry}\n{}", entry.replace("shop =", "shop_reads =")),
    );
    fs::write(bouncer.ini(), both).expect("written");
    let route = bouncer.route_of(PgBouncerConfig {
        reads_database: Some("shop_reads".to_owned()),
        ..bouncer.config()
    });
    assert!(route.can(&all) && !route.can(&Traffic::Reads { percent: 50 }));
    assert!(!route.can(&Traffic::ReadsOfTenant("42".to_owned())));
    // the entry is on disk only; the console knows it once the file is loaded
    let mut bouncer = bouncer;
    bouncer.kill();
    bouncer.run().await;
    route.point(&to, &all).await.expect("pointed");
    let shown = route.shows().await.expect("shown");
    assert_eq!(
        (shown.writes, shown.target_reads_percent),
        (Some(Side::Source), Some(100))
    );
    route
        .point(&to, &Traffic::Reads { percent: 0 })
        .await
        .expect("back");
    assert_eq!(
        route.shows().await.expect("shown").target_reads_percent,
        Some(0)
    );
    bouncer.finish().await;
}
