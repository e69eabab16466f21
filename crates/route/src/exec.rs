//! A program that is run for every action.
//!
//! Exit codes: 0, done. 3, there is nothing to do for this action here. 4, refused: a later switch was seen. Anything else, a signal or too long
//! a time: failed, and tried again.

use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};

use crate::again::again;
use crate::told::Told;
use crate::{
    Destination, Ends, ExecConfig, Held, Paused, Route, RouteError, RouteErrorKind, RouteFinding,
    RouteState, Traffic,
};

/// What is kept of what a program says on its error output, in bytes.
const SAID: u64 = 4096;

/// How long to go on reading that after its end: what it left running may keep it open.
const GRACE: Duration = Duration::from_millis(200);

/// The route.
pub(crate) struct ExecRoute {
    program: String,
    arguments: Vec<String>,
    timeout: Duration,
    retries: u32,
    migration: String,
    ends: Ends,
}

/// A program's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Done,
    Nothing,
}

impl ExecRoute {
    pub(crate) fn new(
        config: &ExecConfig,
        migration: &str,
        ends: &Ends,
    ) -> Result<ExecRoute, RouteError> {
        let Some((program, arguments)) = config.command.split_first() else {
            let what = "its `command` is empty";
            return Err(
                RouteError::new(RouteErrorKind::Usage, "route.usage", "exec", what)
                    .fix("write `command = [\"/path/to/program\"]`"),
            );
        };
        Ok(ExecRoute {
            program: program.clone(),
            arguments: arguments.to_vec(),
            timeout: config.timeout,
            retries: config.retries,
            migration: migration.to_owned(),
            ends: ends.clone(),
        })
    }

    fn error(
        &self,
        kind: RouteErrorKind,
        code: &'static str,
        what: impl Into<String>,
    ) -> RouteError {
        RouteError::new(kind, code, self.label(), what)
    }

    /// Tells the program, again where that may help, until `end`.
    async fn tell(&self, told: &Told, end: Option<Instant>) -> Result<Answer, RouteError> {
        again(self.retries, end, |left| {
            self.once(
                told,
                left.map_or(self.timeout, |left| left.min(self.timeout)),
            )
        })
        .await
    }

    async fn once(&self, told: &Told, within: Duration) -> Result<Answer, RouteError> {
        let input = serde_json::to_vec(told).map_err(|error| {
            self.error(RouteErrorKind::Failed, "route.exec", "cannot be told")
                .cause(error)
        })?;
        let mut group = Group::start(self, told)?;
        let said = group.say(input);
        let ended = tokio::time::timeout(within, group.child.wait()).await;
        match &ended {
            // its number is free for others now
            Ok(Ok(_)) => group.over = true,
            Ok(Err(_)) => {}
            Err(_) => group.kill().await,
        }
        let said = tokio::time::timeout(GRACE, said).await;
        let said = said.ok().and_then(Result::ok).unwrap_or_default();
        match ended {
            Ok(Ok(status)) => self.answer(told, status, &said),
            Ok(Err(error)) => Err(self
                .error(RouteErrorKind::Failed, "route.exec", "cannot be waited for")
                .cause(error)),
            Err(_) => {
                let what = format!(
                    "{} took longer than {} ms; it and what it had started were killed",
                    told.action,
                    within.as_millis()
                );
                Err(self.error(RouteErrorKind::Timeout, "route.exec_timeout", what))
            }
        }
    }

    fn answer(&self, told: &Told, status: ExitStatus, said: &str) -> Result<Answer, RouteError> {
        let last = said.lines().rev().find(|line| !line.trim().is_empty());
        let last: String = last.unwrap_or_default().chars().take(300).collect();
        let last = match last.trim() {
            "" => String::new(),
            last => format!(": {last}"),
        };
        match status.code() {
            Some(0) => Ok(Answer::Done),
            Some(3) => Ok(Answer::Nothing),
            Some(4) => {
                let what = format!("{} was refused{last}", told.action);
                Err(self.error(RouteErrorKind::StaleEpoch, "route.stale_epoch", what))
            }
            _ => {
                let what = format!("{} failed, {status}{last}", told.action);
                Err(self.error(RouteErrorKind::Failed, "route.exec", what))
            }
        }
    }
}

/// A running program and what it starts. Dropped before its end, all of it is killed.
struct Group {
    child: Child,
    leader: Option<Pid>,
    over: bool,
}

impl Group {
    fn start(route: &ExecRoute, told: &Told) -> Result<Group, RouteError> {
        let child = Command::new(&route.program)
            .args(&route.arguments)
            .envs(told.variables(&route.ends))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .map_err(|error| {
                let what = "cannot be started";
                // started again later it would fail alike
                route
                    .error(RouteErrorKind::Permission, "route.exec_start", what)
                    .cause(error)
                    .fix("write a program that is there and may be run")
            })?;
        let leader = child.id().and_then(|id| i32::try_from(id).ok());
        Ok(Group {
            leader: leader.and_then(Pid::from_raw),
            child,
            over: false,
        })
    }

    /// Gives it its input, beside; the task brings what it says on its error output.
    fn say(&mut self, input: Vec<u8>) -> tokio::task::JoinHandle<String> {
        let (stdin, stderr) = (self.child.stdin.take(), self.child.stderr.take());
        tokio::spawn(async move {
            let give = async {
                if let Some(mut stdin) = stdin {
                    // one that does not read it is none the worse
                    let _ = stdin.write_all(&input).await;
                }
            };
            let hear = async {
                let mut said = Vec::new();
                if let Some(mut stderr) = stderr {
                    let _ = (&mut stderr).take(SAID).read_to_end(&mut said).await;
                    // read on, so that it does not stand still with a full pipe
                    let _ = tokio::io::copy(&mut stderr, &mut tokio::io::sink()).await;
                }
                String::from_utf8_lossy(&said).into_owned()
            };
            tokio::join!(give, hear).1
        })
    }

    /// Kills all of the group. The leader was not waited for yet, so that its number is still its own.
    fn signal(&mut self) {
        if let (false, Some(leader)) = (self.over, self.leader) {
            let _ = kill_process_group(leader, Signal::KILL);
            self.over = true;
        }
    }

    async fn kill(&mut self) {
        self.signal();
        let _ = self.child.wait().await;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal();
    }
}

#[async_trait]
impl Route for ExecRoute {
    fn kind(&self) -> &'static str {
        "exec"
    }

    fn label(&self) -> String {
        format!("exec {}", self.program)
    }

    fn can(&self, _traffic: &Traffic) -> bool {
        true
    }

    async fn check(&self) -> Result<Vec<RouteFinding>, RouteError> {
        Ok(match self.tell(&Told::check(&self.migration), None).await {
            Ok(_) => Vec::new(),
            Err(error) => vec![
                RouteFinding::blocks(error.code, "route", error.to_string())
                    .fix("the program is to end with 0 (done) or 3 (nothing to do) for the action `check`"),
            ],
        })
    }

    async fn pause(&self, epoch: u64, within: Duration) -> Result<Paused, RouteError> {
        let began = Instant::now();
        let told = Told::pause(&self.migration, epoch, within);
        let (held, evidence) = match self.tell(&told, Some(began + within)).await? {
            Answer::Done => (Held::Asked, "the program ended with 0"),
            Answer::Nothing => (Held::NotHeld, "the program ended with 3: it holds nothing"),
        };
        Ok(Paused {
            held,
            took: began.elapsed(),
            evidence: evidence.to_owned(),
        })
    }

    async fn point(&self, to: &Destination, traffic: &Traffic) -> Result<(), RouteError> {
        match self.tell(&Told::point(to, traffic), None).await? {
            Answer::Done => Ok(()),
            Answer::Nothing => Err(self.error(
                RouteErrorKind::Unsupported,
                "route.traffic",
                format!("does not lead {traffic}: the program ended with 3"),
            )),
        }
    }

    async fn resume(&self, epoch: u64) -> Result<(), RouteError> {
        let told = Told::resume(&self.migration, epoch);
        self.tell(&told, None).await.map(|_| ())
    }

    async fn shows(&self) -> Result<RouteState, RouteError> {
        Ok(RouteState {
            detail: "a program is told; it is not asked".to_owned(),
            ..RouteState::default()
        })
    }
}

#[cfg(test)]
#[path = "exec_tests.rs"]
mod tests;
