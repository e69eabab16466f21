use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::*;
use crate::{End, Side};

fn ends() -> Ends {
    let end = |label: &str| End {
        url_label: label.to_owned(),
        ..End::default()
    };
    Ends {
        source: end("postgres://app@old/shop"),
        target: end("postgres://app@new/shop"),
    }
}

fn route(path: PathBuf) -> FileRoute {
    FileRoute::new(&FileConfig { path }, "shop", &ends())
}

fn to(side: Side, epoch: u64) -> Destination {
    ends().destination(side, epoch, "shop")
}

fn json(route: &FileRoute) -> serde_json::Value {
    serde_json::from_slice(&fs::read(&route.path).expect("file")).expect("JSON")
}

#[tokio::test]
async fn documented_fields_are_written() {
    let folder = tempfile::tempdir().expect("folder");
    let route = route(folder.path().join("route.json"));
    assert!(route.check().await.expect("checked").is_empty());
    assert!(!route.path.exists(), "a check writes no file");
    assert_eq!(route.shows().await.expect("shown").writes, None);
    let paused = route
        .pause(3, Duration::from_secs(1))
        .await
        .expect("paused");
    assert_eq!(paused.held, Held::Asked);
    let tenant = Traffic::ReadsOfTenant("42".to_owned());
    route
        .point(&to(Side::Target, 3), &Traffic::Writes)
        .await
        .expect("writes");
    route
        .point(&to(Side::Target, 3), &Traffic::Reads { percent: 25 })
        .await
        .expect("reads");
    route
        .point(&to(Side::Target, 3), &tenant)
        .await
        .expect("tenant");
    let mut found = json(&route);
    assert!(found["updated_at"].as_str().expect("text").ends_with('Z'));
    found["updated_at"] = "now".into();
    let expected = serde_json::json!({
        "format": 1, "migration": "shop", "epoch": 3, "writes": "target", "writes_epoch": 3,
        "reads": { "target_percent": 25, "tenants": { "42": { "side": "target", "epoch": 3 } } },
        "paused": true,
        "urls": { "source": "postgres://app@old/shop", "target": "postgres://app@new/shop" },
        "updated_at": "now",
    });
    assert_eq!(found, expected);
    route.resume(3).await.expect("resumed");
    let shown = route.shows().await.expect("shown");
    assert_eq!(
        (shown.paused, shown.writes, shown.epoch),
        (Some(false), Some(Side::Target), Some(3))
    );
}

#[tokio::test]
async fn a_stale_epoch_is_refused_and_nothing_written() {
    let folder = tempfile::tempdir().expect("folder");
    let route = route(folder.path().join("route.json"));
    let tenant = Traffic::ReadsOfTenant("42".to_owned());
    route
        .point(&to(Side::Target, 7), &Traffic::Writes)
        .await
        .expect("writes");
    route
        .point(&to(Side::Target, 8), &tenant)
        .await
        .expect("tenant");
    let before = fs::read(&route.path).expect("file");
    for traffic in [Traffic::Writes, Traffic::Reads { percent: 1 }, tenant] {
        let error = route
            .point(&to(Side::Source, 7), &traffic)
            .await
            .expect_err("stale");
        assert_eq!(error.kind, RouteErrorKind::StaleEpoch);
        assert!(!error.kind.can_retry());
    }
    let pause = route
        .pause(7, Duration::from_secs(1))
        .await
        .expect_err("stale");
    assert_eq!(pause.kind, RouteErrorKind::StaleEpoch);
    assert_eq!(
        route.resume(7).await.expect_err("stale").kind,
        RouteErrorKind::StaleEpoch
    );
    assert_eq!(fs::read(&route.path).expect("file"), before);
}

#[tokio::test]
async fn one_epoch_gives_writes_to_one_side() {
    let folder = tempfile::tempdir().expect("folder");
    let route = route(folder.path().join("route.json"));
    route
        .pause(4, Duration::from_secs(1))
        .await
        .expect("a pause alone gives nothing away");
    route
        .point(&to(Side::Target, 4), &Traffic::Writes)
        .await
        .expect("writes");
    let before = fs::read(&route.path).expect("file");
    route
        .point(&to(Side::Target, 4), &Traffic::Writes)
        .await
        .expect("the same again");
    assert_eq!(
        fs::read(&route.path).expect("file"),
        before,
        "and nothing was written"
    );
    let error = route
        .point(&to(Side::Source, 4), &Traffic::Writes)
        .await
        .expect_err("contradiction");
    assert_eq!(error.kind, RouteErrorKind::StaleEpoch);
}

#[tokio::test]
async fn a_file_that_is_not_ours_is_left_alone() {
    let folder = tempfile::tempdir().expect("folder");
    let route = route(folder.path().join("route.json"));
    for (content, kind) in [
        ("{\"migration\": \"shop\"", RouteErrorKind::Corrupt),
        ("{}", RouteErrorKind::Corrupt),
    ] {
        fs::write(&route.path, content).expect("written");
        let error = route
            .point(&to(Side::Target, 9), &Traffic::Writes)
            .await
            .expect_err("refused");
        assert_eq!(error.kind, kind);
        assert_eq!(fs::read_to_string(&route.path).expect("file"), content);
        assert_eq!(route.check().await.expect("checked").len(), 1);
    }
    fs::remove_file(&route.path).expect("removed");
    let other = FileRoute {
        migration: "other".to_owned(),
        ..route.clone()
    };
    other
        .pause(1, Duration::from_secs(1))
        .await
        .expect("its own");
    let error = route.resume(5).await.expect_err("foreign");
    assert_eq!(error.kind, RouteErrorKind::Foreign);
}

#[tokio::test]
async fn a_crash_before_the_rename_leaves_the_old_file_whole() {
    let folder = tempfile::tempdir().expect("folder");
    let route = route(folder.path().join("route.json"));
    route
        .point(&to(Side::Source, 1), &Traffic::Writes)
        .await
        .expect("old");
    let old = fs::read(&route.path).expect("file");
    let mut document = route.read().expect("read").expect("there");
    document
        .point(&to(Side::Target, 2), &Traffic::Writes)
        .expect("allowed");
    let staged = route.stage(&document).expect("staged");
    assert!(staged.temporary_file().exists());
    drop(staged); // the process ends here: the new content lies beside the file
    assert_eq!(fs::read(&route.path).expect("file"), old);
    route
        .point(&to(Side::Target, 2), &Traffic::Writes)
        .await
        .expect("again");
    assert_eq!(json(&route)["writes"], "target");
    let names: Vec<String> = fs::read_dir(folder.path())
        .expect("folder")
        .map(|entry| {
            entry
                .expect("entry")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    assert!(
        !names.iter().any(|name| name.ends_with("-new")),
        "nothing is left: {names:?}"
    );
}

/// The file that [`endless_writer`] writes.
const WRITER: &str = "CROSSFADE_ROUTE_TEST_WRITER";

/// Writes for ever in a process of its own, which [`killed_writers_leave_a_whole_file`] kills.
#[tokio::test]
async fn endless_writer() {
    let Some(path) = std::env::var_os(WRITER) else {
        return;
    };
    let route = route(PathBuf::from(path));
    let mut epoch = route.shows().await.expect("shown").epoch.unwrap_or(0);
    loop {
        epoch += 1;
        let side = if epoch % 2 == 0 {
            Side::Source
        } else {
            Side::Target
        };
        route
            .point(&to(side, epoch), &Traffic::Writes)
            .await
            .expect("pointed");
    }
}

#[tokio::test]
async fn killed_writers_leave_a_whole_file() {
    let seed = std::env::var("CROSSFADE_SEED")
        .ok()
        .and_then(|s| s.parse().ok())
        .unwrap_or_else(rand::random);
    println!("CROSSFADE_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let folder = tempfile::tempdir().expect("folder");
    let route = route(folder.path().join("route.json"));
    let mut last = 0;
    for _ in 0..15 {
        let mut writer = Command::new(std::env::current_exe().expect("test"))
            .args(["--exact", "file::tests::endless_writer"])
            .env(WRITER, &route.path)
            .stdout(Stdio::null())
            .spawn()
            .expect("writer");
        let until = last + random.random_range(1..20);
        while route.shows().await.expect("whole").epoch.unwrap_or(0) < until {
            assert!(
                writer.try_wait().expect("watched").is_none(),
                "the writer ended by itself"
            );
        }
        tokio::time::sleep(Duration::from_micros(random.random_range(0..3000))).await;
        writer.kill().expect("killed");
        assert_eq!(writer.wait().expect("ended").signal(), Some(9));
        let shown = route.shows().await.expect("whole");
        let epoch = shown.epoch.expect("an epoch");
        assert!(epoch >= until, "{epoch} after {until}");
        let side = if epoch % 2 == 0 {
            Side::Source
        } else {
            Side::Target
        };
        assert_eq!(shown.writes, Some(side));
        last = epoch;
    }
}

#[tokio::test]
async fn owner_and_mode_stay() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().expect("folder");
    let route = route(folder.path().join("route.json"));
    let mode = |route: &FileRoute| {
        fs::metadata(&route.path)
            .expect("file")
            .permissions()
            .mode()
            & 0o777
    };
    route
        .pause(1, Duration::from_secs(1))
        .await
        .expect("paused");
    assert_eq!(mode(&route), 0o644);
    fs::set_permissions(&route.path, fs::Permissions::from_mode(0o640)).expect("mode");
    route.resume(1).await.expect("resumed");
    assert_eq!(mode(&route), 0o640);
}
