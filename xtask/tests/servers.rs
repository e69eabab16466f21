//! The private servers themselves, run for real: they start, survive a kill, and never outlive
//! whoever started them.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use xtask::servers::fleet::{self, Fleet};
use xtask::servers::server::{Access, Durability, Spec, StopMode};
use xtask::servers::version::Version;
use xtask::servers::{self, Installed};

fn installed() -> &'static Installed {
    static INSTALLED: OnceLock<Installed> = OnceLock::new();
    INSTALLED.get_or_init(|| servers::install().expect("servers are installed"))
}

fn spec(name: &str, version: Version, durability: Durability) -> Spec {
    Spec {
        name: name.to_owned(),
        version,
        durability,
        access: Access::Trust,
        settings: Vec::new(),
    }
}

fn runs(pid: u32) -> bool {
    Path::new("/proc").join(pid.to_string()).exists()
}

fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let began = Instant::now();
    while !condition() {
        assert!(
            began.elapsed() < Duration::from_secs(60),
            "waited in vain until {what}"
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn committed_rows_survive_kills_and_restarts() {
    let mut fleet = Fleet::start(
        installed(),
        &[spec("kills", Version::V18, Durability::Durable)],
    )
    .expect("starts");
    let server = fleet.server_mut("kills").expect("is there");
    server.query("create table t (n int)").expect("made");
    for round in 1..=3 {
        server
            .query(&format!("insert into t values ({round})"))
            .expect("inserted");
        if round == 2 {
            server.stop(StopMode::Immediate).expect("stops");
        } else {
            server.kill().expect("dies");
        }
        assert_eq!(server.pid(), None);
        server.start().expect("recovers");
        assert_eq!(
            server.query("select count(*) from t").expect("counts"),
            round.to_string()
        );
    }
    let folder = fleet.folder().to_owned();
    fleet.stop().expect("stops");
    assert!(!folder.exists());
}

#[test]
fn settings_of_the_specification_win_and_durability_is_as_asked() {
    let mut durable = spec("durable", Version::V15, Durability::Durable);
    durable.settings.push("max_connections = 33".to_owned());
    let fleet = Fleet::start(
        installed(),
        &[durable, spec("fast", Version::V17, Durability::Fast)],
    )
    .expect("starts");
    let show = |server: &str, name: &str| {
        fleet
            .server(server)
            .expect("there")
            .query(&format!("show {name}"))
            .expect("shows")
    };
    assert_eq!(show("durable", "max_connections"), "33");
    assert_eq!(show("durable", "fsync"), "on");
    assert_eq!(show("durable", "wal_level"), "logical");
    assert_eq!(show("fast", "fsync"), "off");
    assert_eq!(show("fast", "max_connections"), "200");
}

#[test]
fn a_refused_setting_is_an_error_that_shows_the_log_and_leaves_nothing() {
    let good = spec("beside-refused", Version::V15, Durability::Fast);
    let mut bad = spec("bad", Version::V15, Durability::Fast);
    bad.settings.push("wal_level = purple".to_owned());
    let error = Fleet::start(installed(), &[good, bad])
        .expect_err("is refused")
        .to_string();
    assert!(error.contains("purple"), "{error}");
    let left = std::fs::read_dir("/var/tmp")
        .expect("listed")
        .flatten()
        .any(|entry| entry.path().join("beside-refused").exists());
    assert!(
        !left,
        "the server that did start must be stopped and removed"
    );
}

#[test]
fn detached_servers_are_stopped_by_their_folder() {
    let fleet =
        Fleet::start(installed(), &[spec("left", Version::V15, Durability::Fast)]).expect("starts");
    let pid = fleet.servers()[0].pid().expect("runs");
    let folder = fleet.detach();
    assert!(runs(pid));
    fleet::stop_left_running(&folder).expect("stops");
    assert!(!folder.exists());
    wait_until("the detached server is gone", || is_gone_or_dead(pid));
    fleet::stop_left_running(&PathBuf::from("/var/tmp")).expect_err("only folders of servers");
}

/// In this test the dead server remains our child that nobody waits for.
fn is_gone_or_dead(pid: u32) -> bool {
    let state = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    state.is_empty() || state.contains(") Z ")
}

/// Set for a copy of this test program that starts a server and is then killed.
const OWNER: &str = "CROSSFADE_XTASK_TEST_OWNER";

#[test]
fn servers_end_with_a_killed_owner() {
    if let Some(report) = std::env::var_os(OWNER) {
        let fleet = Fleet::start(
            installed(),
            &[spec("orphan", Version::V15, Durability::Fast)],
        )
        .expect("starts");
        let text = format!(
            "{} {}",
            fleet.servers()[0].pid().expect("runs"),
            fleet.folder().display()
        );
        let partial = PathBuf::from(&report).with_extension("partial");
        std::fs::write(&partial, text).expect("written");
        std::fs::rename(partial, report).expect("renamed");
        std::thread::sleep(Duration::from_secs(600));
        return;
    }
    let report = std::env::temp_dir().join(format!("crossfade-orphan-{}", std::process::id()));
    let mut owner = Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", "servers_end_with_a_killed_owner"])
        .env(OWNER, &report)
        .stdout(Stdio::null())
        .spawn()
        .expect("starts");
    wait_until("the owner has started its server", || report.exists());
    let text = std::fs::read_to_string(&report).expect("reported");
    let (pid, folder) = text.split_once(' ').expect("two words");
    let pid: u32 = pid.parse().expect("a number");
    assert!(runs(pid));
    owner.kill().expect("killed");
    owner.wait().expect("waited");
    wait_until("the guard has removed the folder", || {
        !Path::new(folder).exists()
    });
    wait_until("the server is gone", || is_gone_or_dead(pid));
    std::fs::remove_file(report).expect("removed");
}
