//! crossfade as a user runs it, with its lines stamped and its memory watched.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{JoinHandle, sleep, spawn};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::server::Place;
use crate::binary::program;

/// How often the process's peak is read. Only what is allocated in its last moments can be missed.
const WATCH: Duration = Duration::from_millis(10);

/// The file's name in its folder.
const FILE: &str = "bench.toml";

/// A migration in a folder of its own.
#[derive(Debug)]
pub struct Product {
    folder: tempfile::TempDir,
}

/// A call of crossfade that has ended well.
#[derive(Debug)]
pub struct Ended {
    /// From before its start to after its end.
    pub seconds: f64,
    /// Greatest resident memory, in MB (1,000,000 bytes).
    pub peak: f64,
    /// Lines of standard output: seconds after the start, and what was printed.
    lines: Vec<(f64, Value)>,
}

impl Ended {
    /// When the event of that name was printed, in seconds after the start.
    pub fn event(&self, name: &str) -> f64 {
        self.lines
            .iter()
            .find(|(_, line)| line["event"]["event"] == name)
            .unwrap_or_else(|| panic!("crossfade printed no event {name}"))
            .0
    }

    /// The report of a `verify`.
    pub fn report(&self) -> &Value {
        let mut lines = self.lines.iter().rev().map(|(_, line)| &line["report"]);
        lines
            .find(|report| report.is_object())
            .expect("a report was printed")
    }
}

impl Product {
    /// A migration of everything in `source`.
    pub fn new(source: &str, target: &str) -> Self {
        Self::with(source, target, "")
    }

    /// The same with more in its file.
    pub fn with(source: &str, target: &str, more: &str) -> Self {
        let folder = tempfile::Builder::new()
            .prefix("crossfade-bench-")
            .tempdir_in("/var/tmp")
            .expect("a folder can be made in /var/tmp");
        let text = format!(
            "[migration]\nname = \"bench\"\n[source]\nurl = \"{source}\"\n[target]\nurl = \"{target}\"\n{more}"
        );
        fs::write(folder.path().join(FILE), text).expect("the migration file can be written");
        Self { folder }
    }

    /// Starts a command on the migration.
    pub fn start(&self, command: &str, arguments: &[&str]) -> Running {
        Running::start(self.folder.path(), command, arguments)
    }

    /// Runs until the target follows.
    pub fn run_until_followed(&self) -> Ended {
        self.start("run", &["--until", "followed"]).wait()
    }

    /// Removes what the migration made on the source.
    pub fn abort(&self) {
        self.start("abort", &[]).wait();
    }

    /// A copy of the control store as it is now.
    pub fn control(&self) -> Vec<(std::ffi::OsString, Vec<u8>)> {
        self.control_files()
            .map(|path| {
                let name = path
                    .file_name()
                    .expect("a listed file has a name")
                    .to_owned();
                (
                    name,
                    fs::read(&path).expect("the control store can be read"),
                )
            })
            .collect()
    }

    /// Puts a copy back in place of what is there.
    pub fn restore_control(&self, control: &[(std::ffi::OsString, Vec<u8>)]) {
        for path in self.control_files().collect::<Vec<_>>() {
            fs::remove_file(path).expect("the control store can be removed");
        }
        for (name, bytes) in control {
            fs::write(self.folder.path().join(name), bytes)
                .expect("the control store can be written");
        }
    }

    fn control_files(&self) -> impl Iterator<Item = std::path::PathBuf> {
        fs::read_dir(self.folder.path())
            .expect("the folder can be read")
            .map(|entry| entry.expect("the folder can be read").path())
            .filter(|path| path.file_name().is_some_and(|name| name != FILE))
    }
}

/// A call of crossfade that runs. Dropping it kills it.
pub struct Running {
    child: Child,
    begun: Instant,
    lines: Option<JoinHandle<Vec<(f64, Value)>>>,
    errors: Option<JoinHandle<String>>,
    ended: Arc<AtomicBool>,
    peak: Option<JoinHandle<f64>>,
}

impl Running {
    fn start(folder: &Path, command: &str, arguments: &[&str]) -> Self {
        let mut call = Command::new(program());
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("PG") {
                call.env_remove(name);
            }
        }
        let begun = Instant::now();
        let mut child = call
            .arg("--json")
            .args(command.split(' '))
            .arg(FILE)
            .args(arguments)
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("crossfade can be started");
        let stdout = child.stdout.take().expect("piped");
        let mut stderr = child.stderr.take().expect("piped");
        let ended = Arc::new(AtomicBool::new(false));
        let (id, watched) = (child.id(), Arc::clone(&ended));
        Self {
            child,
            begun,
            lines: Some(spawn(move || stamp(stdout, begun))),
            errors: Some(spawn(move || {
                let mut text = String::new();
                // what could be read is shown, whatever ended it
                let _ = stderr.read_to_string(&mut text);
                text
            })),
            ended,
            peak: Some(spawn(move || watch_peak(id, &watched))),
        }
    }

    /// Waits until `sql` is true in a database.
    pub fn wait_until(&mut self, place: &Place, sql: &str, limit: Duration) {
        let child = &mut self.child;
        let vain = || child.try_wait().expect("a child can be asked").is_some();
        if place.wait_until_or(sql, limit, vain) {
            return;
        }
        // either fails where it has ended by itself
        let _ = self.child.kill();
        let _ = self.child.wait();
        let said = self.errors.take().and_then(|errors| errors.join().ok());
        let lines = self.lines.take().and_then(|lines| lines.join().ok());
        let last = lines.as_ref().and_then(|lines| lines.last());
        panic!("crossfade has ended or taken too long, and not true: {sql}\n{said:?}\n{last:?}");
    }

    /// Whether it has ended.
    pub fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits until it ends by itself.
    pub fn wait(mut self) -> Ended {
        let status = self.child.wait().expect("a child can be waited for");
        let seconds = self.begun.elapsed().as_secs_f64();
        self.end(status, seconds)
    }

    /// Ends it as Ctrl-C does.
    pub fn stop(self) -> Ended {
        kill_process(Pid::from_child(&self.child), Signal::INT)
            .expect("crossfade can be signalled");
        self.wait()
    }

    fn end(&mut self, status: ExitStatus, seconds: f64) -> Ended {
        self.ended.store(true, Ordering::Relaxed);
        let join = "the thread does not panic";
        let errors = self.errors.take().expect("taken once").join().expect(join);
        let lines = self.lines.take().expect("taken once").join().expect(join);
        assert!(
            status.success(),
            "crossfade: {status}\n{errors}\n{:?}",
            lines.last()
        );
        Ended {
            seconds,
            peak: self.peak.take().expect("taken once").join().expect(join),
            lines,
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        // both fail where it has ended, which is as well
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn stamp(stdout: ChildStdout, begun: Instant) -> Vec<(f64, Value)> {
    BufReader::new(stdout)
        .lines()
        .map_while(Result::ok)
        .filter_map(|line| {
            let at = begun.elapsed().as_secs_f64();
            Some((at, serde_json::from_str(&line).ok()?))
        })
        .collect()
}

/// The kernel's own mark of the greatest resident size, read until the process has ended; MB.
pub(super) fn watch_peak(id: u32, ended: &AtomicBool) -> f64 {
    let mut peak = 0.0_f64;
    while !ended.load(Ordering::Relaxed) {
        let text = fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
        let kilobytes = text
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:"))
            .and_then(|rest| rest.trim().trim_end_matches(" kB").parse::<f64>().ok());
        if let Some(kilobytes) = kilobytes {
            peak = peak.max(kilobytes * 1024.0 / 1e6);
        }
        sleep(WATCH);
    }
    peak
}
