//! A holder in another process: killed, stopped, and ended by somebody else.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crossfade_model::{Mode, Position, Register};
use crossfade_sqlite::{Role, SqliteStore};
use crossfade_store::{ErrorKind, Fence, Fire, Target};

use crate::common::{Elsewhere, MIGRATION, World};
use crate::fence::{FENCED, FIRE, OPEN, arm, fire};

/// Where the process that this program starts of itself finds its file.
const FILE: &str = "CROSSFADE_TEST_HELD_FILE";

/// Not a test: the other process's part. Fires, says so, and does nothing more.
#[tokio::test]
async fn other_process_that_fires() {
    let Ok(file) = std::env::var(FILE) else {
        return;
    };
    let store = SqliteStore::open(&format!("sqlite:{file}"), Role::Source).unwrap();
    let mut latch = fire(&store).await;
    println!("fired");
    std::io::stdin().lines().next();
    // it goes on after it was stopped
    let outcome = latch.commit(OPEN, FENCED).await;
    println!("{}", if outcome.is_ok() { "committed" } else { "lost" });
    drop(latch);
    std::io::stdin().lines().next();
}

/// Not a test: a process that has the right to write, and stands still in the middle of a transaction.
#[tokio::test]
async fn other_process_that_applies() {
    let Ok(file) = std::env::var(FILE) else {
        return;
    };
    let store = SqliteStore::open(&format!("sqlite:{file}"), Role::Target).unwrap();
    let tenure = store.acquire(MIGRATION).await.unwrap();
    let mut applier = tenure.open_applier().await.unwrap();
    applier.begin().await.unwrap();
    println!("begun");
    std::io::stdin().lines().next();
    let outcome = applier.commit(None, Position(7)).await;
    println!("{}", if outcome.is_ok() { "committed" } else { "lost" });
    let outcome = applier.begin().await;
    println!("{}", if outcome.is_ok() { "goes on" } else { "fenced" });
    std::io::stdin().lines().next();
}

struct Holder {
    child: Child,
    out: BufReader<std::process::ChildStdout>,
}

impl Holder {
    /// Starts a process that holds the file's fence.
    fn start(path: &Path) -> Holder {
        let mut holder = Holder::part(path, "other_process_that_fires");
        holder.wait_for("fired");
        holder
    }

    fn part(path: &Path, part: &str) -> Holder {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", &format!("fence_held::{part}")])
            .args(["--nocapture", "--quiet"])
            .env(FILE, path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        Holder { child, out }
    }

    fn wait_for(&mut self, word: &str) {
        let mut line = String::new();
        loop {
            line.clear();
            let read = self.out.read_line(&mut line).unwrap();
            assert!(read > 0, "it ended without {word}");
            if line.trim() == word {
                return;
            }
        }
    }

    fn go_on(&mut self) {
        use std::io::Write as _;
        let stdin = self.child.stdin.as_mut().unwrap();
        stdin.write_all(b"\n").unwrap();
        stdin.flush().unwrap();
    }

    fn signal(&self, name: &str) {
        let done = Command::new("kill")
            .args([&format!("-{name}"), &self.child.id().to_string()])
            .status()
            .unwrap();
        assert!(done.success());
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        // one that has ended is no error
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn armed() -> World {
    let world =
        World::new("CREATE TABLE a(id INTEGER PRIMARY KEY, v); INSERT INTO a VALUES (1, 0)");
    arm(&world.source, OPEN).await;
    world
}

fn brief() -> Fire {
    Fire {
        within: Duration::from_millis(200),
        ..FIRE
    }
}

#[tokio::test]
async fn a_killed_holder_leaves_the_lock_free_and_the_register_as_it_was() {
    let world = armed().await;
    let path = world.path("source.db");
    let mut holder = Holder::start(&path);
    let mut app = Elsewhere::new(&path);
    app.send("INSERT INTO a VALUES (2, 0); SELECT 'done';");
    app.must_wait();
    let busy = world.source.fire(MIGRATION, &brief()).await.err().unwrap();
    assert_eq!(busy.kind, ErrorKind::Busy, "one holder at a time");
    holder.child.kill().unwrap();
    assert_eq!(app.line(), "done");
    assert_eq!(app.end(), "");
    let standing = world.source.standing(MIGRATION).await.unwrap().unwrap();
    assert_eq!(standing.register, OPEN);
    assert_eq!(world.source.end_holder(MIGRATION).await.unwrap(), None);
}

/// A stopped process keeps the lock for ever: whoever comes may end it, and it alone.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_stopped_holder_can_be_ended() {
    let world = armed().await;
    let path = world.path("source.db");
    let holder = Holder::start(&path);
    holder.signal("STOP");
    let blockers = world.source.blockers(MIGRATION).await.unwrap();
    assert!(blockers[0].who.contains(&holder.child.id().to_string()));
    let ended = world.source.end_holder(MIGRATION).await.unwrap().unwrap();
    assert!(ended.contains(&holder.child.id().to_string()), "{ended}");
    let latch = fire(&world.source).await;
    assert_eq!(latch.standing().register, OPEN);
    latch.release().await.unwrap();
    let mut holder = holder;
    use std::os::unix::process::ExitStatusExt as _;
    assert_eq!(holder.child.wait().unwrap().signal(), Some(9));
}

/// It fired once and holds nothing now; an application does. Neither is ended, and never this process.
#[tokio::test]
async fn nobody_is_ended_who_does_not_hold_the_fence() {
    let world = armed().await;
    let path = world.path("source.db");
    let mut holder = Holder::start(&path);
    holder.go_on();
    holder.wait_for("committed");
    let mut app = Elsewhere::new(&path);
    app.send("BEGIN IMMEDIATE; SELECT 'open';");
    assert_eq!(app.line(), "open");
    assert_eq!(world.source.end_holder(MIGRATION).await.unwrap(), None);
    assert!(holder.child.try_wait().unwrap().is_none(), "it was ended");
    app.send("ROLLBACK; SELECT 'alive';");
    assert_eq!(app.line(), "alive");
    assert_eq!(app.end(), "");
    let latch = fire(&world.source).await;
    assert_eq!(world.source.end_holder(MIGRATION).await.unwrap(), None);
    latch.release().await.unwrap();
}

/// Stopped while it held, ended never, gone on later: it still has the lock, so its commit is right; then it finds no stale success.
#[tokio::test]
async fn a_stopped_holder_that_goes_on_has_what_it_had() {
    let world = armed().await;
    let mut holder = Holder::start(&world.path("source.db"));
    holder.signal("STOP");
    let busy = world.source.fire(MIGRATION, &brief()).await.err().unwrap();
    assert_eq!(busy.kind, ErrorKind::Busy);
    holder.signal("CONT");
    holder.go_on();
    holder.wait_for("committed");
    let standing = world.source.standing(MIGRATION).await.unwrap().unwrap();
    assert_eq!(standing.register, Register::new(Mode::Fenced, 1));
}

/// It holds the very lock that is the latch, and never fired.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_stopped_applier_can_be_ended() {
    let world = armed().await;
    let path = world.path("source.db");
    let mut holder = Holder::part(&path, "other_process_that_applies");
    holder.wait_for("begun");
    holder.signal("STOP");
    let busy = world.source.fire(MIGRATION, &brief()).await.err().unwrap();
    assert!(busy.what.contains(&holder.child.id().to_string()), "{busy}");
    let ended = world.source.end_holder(MIGRATION).await.unwrap().unwrap();
    assert!(ended.contains(&holder.child.id().to_string()), "{ended}");
    let latch = fire(&world.source).await;
    latch.release().await.unwrap();
}

/// Whoever only reads the register has the lock for a moment, too, and can be found by it.
#[tokio::test]
async fn who_reads_the_register_is_written_down() {
    let world = armed().await;
    let holder = Holder::start(&world.path("source.db"));
    drop(holder);
    world.source.standing(MIGRATION).await.unwrap();
    let app = rusqlite::Connection::open(world.path("source.db")).unwrap();
    let sql = "SELECT holder FROM _crossfade_register";
    let written: String = app.query_row(sql, [], |r| r.get(0)).unwrap();
    let own = format!("\"number\":{}", std::process::id());
    assert!(written.contains(&own), "{written}");
}

/// What it has committed stays; what it was at goes with it.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn the_right_to_write_is_taken_from_who_holds_the_lock() {
    let world = World::new("CREATE TABLE a(id INTEGER PRIMARY KEY)");
    let mut holder = Holder::part(&world.path("target.db"), "other_process_that_applies");
    holder.wait_for("begun");
    holder.go_on();
    holder.wait_for("committed");
    holder.wait_for("goes on");
    holder.signal("STOP");
    let ended = world.target.end_tenure(MIGRATION).await.unwrap().unwrap();
    assert!(ended.contains(&holder.child.id().to_string()), "{ended}");
    let next = world.target.acquire(MIGRATION).await.unwrap();
    assert_eq!(next.state().checkpoint, Some(Position(7)));
    assert_eq!(next.state().epoch, 3);
}
