//! The application as a process of its own.

use std::process::Stdio;
use std::time::Duration;

use crossfade_plan::StoreUrl;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::app::Counts;
use crate::failure::{FAILED, Failure};

/// How long the application may take to finish its transaction.
const PATIENCE: Duration = Duration::from_secs(10);

/// The running application. It is killed where it is dropped.
pub struct Application {
    child: Child,
    input: Option<ChildStdin>,
    counts: watch::Receiver<Counts>,
    reader: JoinHandle<()>,
}

fn failed(what: impl std::fmt::Display) -> Failure {
    Failure::new(FAILED, "demo.app", format!("the application: {what}"))
}

impl Application {
    /// Starts it.
    ///
    /// # Errors
    /// This program cannot be started a second time.
    pub async fn start(url: &StoreUrl) -> Result<Application, Failure> {
        let program = std::env::current_exe().map_err(failed)?;
        let mut child = Command::new(program)
            .arg("demo-app")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            // Ctrl-C is for the demo: it ends the application itself
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(failed)?;
        let mut input = child
            .stdin
            .take()
            .ok_or_else(|| failed("it has no standard input"))?;
        let output = child
            .stdout
            .take()
            .ok_or_else(|| failed("it has no standard output"))?;
        let told = format!("{}\n", url.expose());
        input.write_all(told.as_bytes()).await.map_err(failed)?;
        input.flush().await.map_err(failed)?;
        let (sender, counts) = watch::channel(Counts::default());
        let reader = tokio::spawn(async move {
            let mut lines = BufReader::new(output).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                if let Ok(counts) = serde_json::from_str(&line)
                    && sender.send(counts).is_err()
                {
                    break;
                }
            }
        });
        Ok(Application {
            child,
            input: Some(input),
            counts,
            reader,
        })
    }

    /// What it has committed, as it last told.
    pub fn counts(&self) -> Counts {
        *self.counts.borrow()
    }

    /// Waits until it has committed something; fails where it has ended.
    ///
    /// # Errors
    /// It ended by itself.
    pub async fn works(&mut self) -> Result<(), Failure> {
        while self.counts().transactions == 0 {
            tokio::select! {
                status = self.child.wait() => {
                    let status = status.map_err(failed)?;
                    return Err(failed(format!("it ended by itself ({status})")));
                }
                changed = self.counts.changed() => {
                    if changed.is_err() {
                        return Err(failed("it says nothing any more"));
                    }
                }
            }
        }
        Ok(())
    }

    /// True while it runs.
    pub fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Tells it to end after its transaction, and returns all that it has committed.
    ///
    /// # Errors
    /// It failed, or does not end.
    pub async fn stop(mut self) -> Result<Counts, Failure> {
        drop(self.input.take());
        let status = tokio::time::timeout(PATIENCE, self.child.wait())
            .await
            .map_err(|_| failed("it does not end"))?
            .map_err(failed)?;
        if !status.success() {
            return Err(failed(format!("it ended with {status}")));
        }
        // its last words are in the pipe
        if tokio::time::timeout(PATIENCE, &mut self.reader)
            .await
            .is_err()
        {
            return Err(failed("its output does not end"));
        }
        Ok(self.counts())
    }
}
