use std::fs;
use std::path::Path;

use super::*;
use crate::{End, Side};

fn ends() -> Ends {
    let end = |host: &str| End {
        url_label: format!("postgres://app@{host}/shop"),
        host: Some(host.to_owned()),
        port: Some(5432),
        database: Some("shop".to_owned()),
    };
    Ends {
        source: end("old"),
        target: end("new"),
    }
}

/// A route that runs a script in the folder.
fn route(folder: &Path, script: &str, timeout: Duration, retries: u32) -> ExecRoute {
    let script = format!("cd '{}'\n{script}", folder.display());
    let config = ExecConfig {
        command: ["sh", "-c", &script].map(str::to_owned).to_vec(),
        timeout,
        retries,
    };
    ExecRoute::new(&config, "shop", &ends()).expect("opened")
}

const LONG: Duration = Duration::from_secs(60);

#[tokio::test]
async fn it_is_told_by_variables_and_input() {
    let folder = tempfile::tempdir().expect("folder");
    let script = "cat > input; env | grep ^CROSSFADE_ | sort > variables";
    let route = route(folder.path(), script, LONG, 0);
    let to = ends().destination(Side::Target, 7, "shop");
    route.point(&to, &Traffic::Writes).await.expect("pointed");
    let input = fs::read(folder.path().join("input")).expect("input");
    let input: serde_json::Value = serde_json::from_slice(&input).expect("JSON");
    let expected = serde_json::json!({
        "format": 1, "action": "point", "key": "shop-7-point-writes-target", "migration": "shop", "epoch": 7, "traffic": "writes",
        "destination": { "side": "target", "url": "postgres://app@new/shop", "host": "new", "port": 5432, "database": "shop" },
    });
    assert_eq!(input, expected);
    let variables = fs::read_to_string(folder.path().join("variables")).expect("variables");
    for line in [
        "CROSSFADE_ACTION=point",
        "CROSSFADE_KEY=shop-7-point-writes-target",
        "CROSSFADE_EPOCH=7",
        "CROSSFADE_SIDE=target",
        "CROSSFADE_HOST=new",
        "CROSSFADE_PORT=5432",
        "CROSSFADE_DATABASE=shop",
        "CROSSFADE_TRAFFIC=writes",
    ] {
        assert!(
            variables.lines().any(|found| found == line),
            "{line} in {variables}"
        );
    }
}

#[tokio::test]
async fn exit_codes_mean_what_is_written() {
    let folder = tempfile::tempdir().expect("folder");
    let code = |code: u8| {
        route(
            folder.path(),
            &format!("echo tried >> tries; echo why >&2; exit {code}"),
            LONG,
            2,
        )
    };
    let tries = || {
        let text = fs::read_to_string(folder.path().join("tries")).unwrap_or_default();
        let _ = fs::remove_file(folder.path().join("tries"));
        text.lines().count()
    };
    assert_eq!(
        code(0).pause(1, LONG).await.expect("done").held,
        Held::Asked
    );
    assert_eq!(
        code(3).pause(1, LONG).await.expect("nothing").held,
        Held::NotHeld
    );
    code(3).resume(1).await.expect("nothing to do");
    assert!(code(3).check().await.expect("checked").is_empty());
    assert_eq!(tries(), 4);
    let to = ends().destination(Side::Target, 7, "shop");
    let nothing = code(3)
        .point(&to, &Traffic::Writes)
        .await
        .expect_err("led nowhere");
    assert_eq!(nothing.kind, RouteErrorKind::Unsupported);
    let refused = code(4).resume(1).await.expect_err("refused");
    assert_eq!(refused.kind, RouteErrorKind::StaleEpoch);
    assert_eq!(tries(), 2, "neither is tried again");
    let failed = code(1).resume(1).await.expect_err("failed");
    assert_eq!(failed.kind, RouteErrorKind::Failed);
    assert!(failed.to_string().ends_with(": why"), "{failed}");
    assert_eq!(tries(), 3);
}

#[tokio::test]
async fn what_fails_at_first_is_tried_again_with_the_same_key() {
    let folder = tempfile::tempdir().expect("folder");
    let script = "echo $CROSSFADE_KEY >> keys; test $(wc -l < keys) -ge 3";
    route(folder.path(), script, LONG, 3)
        .resume(9)
        .await
        .expect("the third time");
    let keys = fs::read_to_string(folder.path().join("keys")).expect("keys");
    assert_eq!(keys, "shop-9-resume\n".repeat(3));
}

/// Whether a process lives; one that has ended and was not waited for does not.
fn lives(pid: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')')
        .is_some_and(|(_, rest)| !rest.trim_start().starts_with('Z'))
}

async fn until_dead(pids: &[&str]) {
    let dead = async {
        while pids.iter().any(|pid| lives(pid)) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), dead)
        .await
        .expect("all were killed");
}

/// Starts a child that ignores what can be ignored, names both, and stays.
const STAYS: &str =
    "trap '' TERM INT HUP; sleep 1000 & echo $$ $! > pids.new; mv pids.new pids; sleep 1000; true";

async fn pids(folder: &Path) -> String {
    loop {
        if let Ok(pids) = fs::read_to_string(folder.join("pids")) {
            return pids;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn at_the_timeout_its_children_are_killed_too() {
    let folder = tempfile::tempdir().expect("folder");
    let route = route(folder.path(), STAYS, Duration::from_secs(2), 0);
    let error = route.resume(1).await.expect_err("too long");
    assert_eq!(
        (error.kind, error.code),
        (RouteErrorKind::Timeout, "route.exec_timeout")
    );
    let pids = pids(folder.path()).await;
    let pids: Vec<&str> = pids.split_whitespace().collect();
    assert_eq!(pids.len(), 2);
    until_dead(&pids).await;
}

#[tokio::test]
async fn abandoned_it_is_killed_with_its_children() {
    let folder = tempfile::tempdir().expect("folder");
    let route = route(folder.path(), STAYS, LONG, 0);
    let running = tokio::spawn(async move { route.resume(1).await });
    let pids = pids(folder.path()).await;
    let pids: Vec<&str> = pids.split_whitespace().collect();
    assert!(pids.iter().all(|pid| lives(pid)));
    running.abort();
    until_dead(&pids).await;
}

#[tokio::test]
async fn what_it_leaves_running_on_purpose_is_not_waited_for() {
    let folder = tempfile::tempdir().expect("folder");
    let script = "sleep 1000 & echo $! > pids; exit 0";
    route(folder.path(), script, LONG, 0)
        .resume(1)
        .await
        .expect("done");
    let pid = pids(folder.path()).await;
    assert!(lives(pid.trim()));
    let pid = pid
        .trim()
        .parse()
        .ok()
        .and_then(Pid::from_raw)
        .expect("a number");
    rustix::process::kill_process(pid, Signal::KILL).expect("killed");
}

#[tokio::test]
async fn a_program_that_is_not_there_is_a_finding() {
    let config = ExecConfig {
        command: vec!["/nowhere/program".to_owned(), "secret".to_owned()],
        timeout: LONG,
        retries: 5,
    };
    let route = ExecRoute::new(&config, "shop", &ends()).expect("opened");
    let findings = route.check().await.expect("checked");
    assert_eq!(findings.len(), 1);
    assert_eq!(findings[0].code, "route.exec_start");
    assert!(!format!("{config:?} {findings:?}").contains("secret"));
}
