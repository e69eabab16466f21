//! The program under test, run as a user runs it.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::patience::LONG;

/// The variable that names the program; without it the debug build is brought up to date and used.
pub const VARIABLE: &str = "CROSSFADE_BINARY";

/// The folder of build results that this program itself lies in.
#[must_use]
pub fn build_folder() -> PathBuf {
    let here = std::env::current_exe().expect("a running program has a path");
    let folder = here.parent().expect("a program lies in a folder");
    // test programs lie one folder deeper
    if folder.ends_with("deps") {
        folder.parent().expect("deps lies in a folder").to_owned()
    } else {
        folder.to_owned()
    }
}

/// The program under test.
///
/// # Panics
/// When it cannot be built.
pub fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        if let Some(given) = std::env::var_os(VARIABLE) {
            return PathBuf::from(given);
        }
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let status = Command::new(cargo)
            .args(["build", "--quiet", "-p", "crossfade"])
            .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
            .status()
            .expect("cargo can be started");
        assert!(status.success(), "the program could not be built");
        build_folder().join("crossfade")
    })
}

/// How a call of the program ended.
#[derive(Debug)]
pub struct Outcome {
    /// What was called.
    pub call: String,
    /// The exit code; `None` where a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
    /// How long it ran.
    pub took: Duration,
}

impl Outcome {
    /// Checks the exit code.
    ///
    /// # Panics
    /// With everything the program said, when it is another.
    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert!(
            self.code == Some(code),
            "expected exit code {code}:\n{}",
            self.text()
        );
        self
    }

    /// Checks that the program said each of these, on either stream.
    ///
    /// # Panics
    /// When one is absent.
    #[track_caller]
    pub fn says(self, words: &[&str]) -> Self {
        for word in words {
            assert!(
                self.stdout.contains(word) || self.stderr.contains(word),
                "does not say {word:?}:\n{}",
                self.text()
            );
        }
        self
    }

    /// Checks that the program did not say this, on either stream.
    ///
    /// # Panics
    /// When it did.
    #[track_caller]
    pub fn never_says(self, word: &str) -> Self {
        assert!(
            !self.stdout.contains(word) && !self.stderr.contains(word),
            "says {word:?}:\n{}",
            self.text()
        );
        self
    }

    /// Standard output as JSON: one document.
    ///
    /// # Panics
    /// When it is not JSON.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("not JSON: {error}\n{}", self.text()))
    }

    /// Everything, for people.
    #[must_use]
    pub fn text(&self) -> String {
        format!(
            "$ {}\nexit code {:?} after {:.1} s\n--- standard output\n{}\n--- standard error\n{}",
            self.call,
            self.code,
            self.took.as_secs_f64(),
            ending(&self.stdout),
            ending(&self.stderr)
        )
    }
}

/// The last part of a long text.
fn ending(text: &str) -> &str {
    let from = text.len().saturating_sub(6_000);
    let from = (from..text.len())
        .find(|i| text.is_char_boundary(*i))
        .unwrap_or(0);
    &text[from..]
}

/// A call of the program that may still be running. Dropping it kills it.
#[derive(Debug)]
pub struct Running {
    call: String,
    child: Child,
    begun: Instant,
    stdout: Stream,
    stderr: Stream,
}

/// Collects a stream while the program writes it.
#[derive(Debug)]
struct Stream {
    text: Arc<Mutex<Vec<u8>>>,
    thread: Option<JoinHandle<()>>,
}

impl Stream {
    fn collect(mut from: impl Read + Send + 'static) -> Self {
        let text = Arc::new(Mutex::new(Vec::new()));
        let shared = Arc::clone(&text);
        let thread = std::thread::spawn(move || {
            let mut buffer = [0; 8192];
            while let Ok(count) = from.read(&mut buffer) {
                if count == 0 {
                    break;
                }
                shared.lock().unwrap().extend_from_slice(&buffer[..count]);
            }
        });
        Self {
            text,
            thread: Some(thread),
        }
    }

    fn so_far(&self) -> String {
        String::from_utf8_lossy(&self.text.lock().unwrap()).into_owned()
    }

    fn end(&mut self) -> String {
        if let Some(thread) = self.thread.take() {
            thread.join().expect("a reader does not panic");
        }
        self.so_far()
    }
}

impl Running {
    /// Starts the program in `folder` with further environment variables.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn start(folder: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        Self::start_program(program(), folder, arguments, environment)
    }

    /// Starts another program in the same way.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn start_program(
        program: &Path,
        folder: &Path,
        arguments: &[&str],
        environment: &[(&str, &str)],
    ) -> Self {
        let mut command = Command::new(program);
        for (name, _) in std::env::vars_os() {
            // libpq's variables of whoever runs the tests must not reach the program
            if name.to_string_lossy().starts_with("PG") {
                command.env_remove(name);
            }
        }
        let mut child = command
            .args(arguments)
            .current_dir(folder)
            .env("RUST_BACKTRACE", "1")
            .env_remove("CROSSFADE_KILL")
            .env_remove("RUST_LOG")
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{} cannot be started: {error}", program.display()));
        let stdout = Stream::collect(child.stdout.take().expect("piped"));
        let stderr = Stream::collect(child.stderr.take().expect("piped"));
        let variables: String = environment
            .iter()
            .map(|(name, value)| format!("{name}={value} "))
            .collect();
        let name = program.file_name().unwrap_or_default().to_string_lossy();
        Self {
            call: format!("{variables}{name} {}", arguments.join(" ")),
            child,
            begun: Instant::now(),
            stdout,
            stderr,
        }
    }

    /// The process.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether it still runs.
    ///
    /// # Panics
    /// When the operating system does not say.
    pub fn is_running(&mut self) -> bool {
        self.child
            .try_wait()
            .expect("a child can be asked")
            .is_none()
    }

    /// Whether it was ended by a signal.
    ///
    /// # Panics
    /// When the operating system does not say.
    pub fn ended_by_signal(&mut self) -> bool {
        let ended = self.child.try_wait().expect("a child can be asked");
        ended.is_some_and(|status| status.code().is_none())
    }

    /// What it has written to standard error up to now.
    #[must_use]
    pub fn stderr_so_far(&self) -> String {
        self.stderr.so_far()
    }

    /// What it has written to standard output up to now.
    #[must_use]
    pub fn stdout_so_far(&self) -> String {
        self.stdout.so_far()
    }

    /// `kill -9`, and waits for the end.
    ///
    /// # Panics
    /// When it cannot be killed.
    pub fn kill(mut self) -> Outcome {
        // it may have ended by itself meanwhile
        let _ = self.child.kill();
        let status = self.child.wait().expect("a child can be waited for");
        self.outcome(status)
    }

    /// Sends SIGINT, as Ctrl-C does.
    ///
    /// # Panics
    /// When it has ended before.
    pub fn interrupt(&self) {
        self.signal(Signal::INT);
    }

    /// Ends a run as Ctrl-C does; it must end well.
    ///
    /// # Panics
    /// When it does not.
    #[track_caller]
    pub fn ended(self) -> Outcome {
        self.interrupt();
        self.wait(LONG).expect(0)
    }

    /// Stops the process where it stands, until [`Running::go_on`].
    ///
    /// # Panics
    /// When it has ended before.
    pub fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    /// `kill -9`; whoever waits for it sees the end.
    ///
    /// # Panics
    /// When it has ended before.
    pub fn shoot(&self) {
        self.signal(Signal::KILL);
    }

    /// Lets a frozen process go on.
    ///
    /// # Panics
    /// When it has ended before.
    pub fn go_on(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("the process can be signalled");
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// When it does not end within `limit`; it is killed then, and what it said is shown.
    #[track_caller]
    pub fn wait(mut self, limit: Duration) -> Outcome {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("a child can be asked") {
                return self.outcome(status);
            }
            if begun.elapsed() > limit {
                let outcome = self.kill();
                panic!("had not ended after {limit:?}:\n{}", outcome.text());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn outcome(&mut self, status: ExitStatus) -> Outcome {
        Outcome {
            call: self.call.clone(),
            code: status.code(),
            stdout: self.stdout.end(),
            stderr: self.stderr.end(),
            took: self.begun.elapsed(),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // both fail where it has ended, which is as well
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
