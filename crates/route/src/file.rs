//! A JSON file that applications watch.

mod document;
pub(crate) mod replace;

use std::fs;
use std::io::{self, Read};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use async_trait::async_trait;

use crate::file::document::{Document, FORMAT, Refusal};
use crate::file::replace::{Staged, lock};
use crate::{
    Destination, Ends, FileConfig, Held, Paused, Route, RouteError, RouteErrorKind, RouteFinding,
    RouteState, Traffic, time,
};

/// Longer than any file that this program writes, in bytes.
const LONGEST: u64 = 16 << 20;

/// Anybody may read it: it holds no secret, and applications run as somebody else.
const MODE: u32 = 0o644;

/// The route.
#[derive(Clone)]
pub(crate) struct FileRoute {
    path: PathBuf,
    migration: String,
    ends: Ends,
}

impl FileRoute {
    pub(crate) fn new(config: &FileConfig, migration: &str, ends: &Ends) -> FileRoute {
        FileRoute {
            // where it is a link, what it leads to is replaced
            path: fs::canonicalize(&config.path).unwrap_or_else(|_| config.path.clone()),
            migration: migration.to_owned(),
            ends: ends.clone(),
        }
    }

    fn error(
        &self,
        kind: RouteErrorKind,
        code: &'static str,
        what: impl Into<String>,
    ) -> RouteError {
        RouteError::new(kind, code, self.label(), what)
    }

    fn io(&self, what: &str, error: io::Error) -> RouteError {
        io_error(&self.label(), what, error)
    }

    /// What the file says; `None` where there is none.
    fn read(&self) -> Result<Option<Document>, RouteError> {
        let file = match fs::File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.io("cannot be read", error)),
        };
        let mut text = Vec::new();
        file.take(LONGEST)
            .read_to_end(&mut text)
            .map_err(|error| self.io("cannot be read", error))?;
        let corrupt = |what: String| {
            self.error(RouteErrorKind::Corrupt, "route.file_content", what)
                .fix("move it away if nothing needs it: it is then written anew")
        };
        let document: Document = serde_json::from_slice(&text)
            .map_err(|error| corrupt(format!("is not a route file: {error}")))?;
        if document.format != FORMAT {
            return Err(corrupt(format!(
                "has format {}, this program knows {FORMAT}",
                document.format
            )));
        }
        if document.migration != self.migration {
            return Err(self
                .error(
                    RouteErrorKind::Foreign,
                    "route.file_migration",
                    format!("belongs to the migration {}", document.migration),
                )
                .fix("give this migration a file of its own"));
        }
        Ok(Some(document))
    }

    fn change(
        &self,
        change: impl FnOnce(&mut Document) -> Result<(), Refusal>,
    ) -> Result<(), RouteError> {
        let _lock = lock(&self.path).map_err(|error| self.io("cannot be locked", error))?;
        let before = self.read()?;
        let mut document = match &before {
            Some(document) => document.clone(),
            None => Document::first(&self.migration, &self.ends),
        };
        change(&mut document).map_err(|refusal| self.refused(refusal))?;
        if before.as_ref() == Some(&document) {
            return Ok(());
        }
        document.updated_at = time::now();
        self.stage(&document)?
            .publish()
            .map_err(|error| self.io("cannot be replaced", error))
    }

    fn stage(&self, document: &Document) -> Result<Staged, RouteError> {
        let mut text = serde_json::to_vec_pretty(document).map_err(|error| {
            self.error(
                RouteErrorKind::Failed,
                "route.file_content",
                "cannot be written as JSON",
            )
            .cause(error)
        })?;
        text.push(b'\n');
        Staged::prepare(&self.path, &text, MODE)
            .map_err(|error| self.io("cannot be written", error))
    }

    fn refused(&self, refusal: Refusal) -> RouteError {
        let what = match refusal {
            Refusal::Stale(seen) => format!("has seen epoch {seen}, which is later"),
            Refusal::Contradiction(epoch) => {
                format!("says that epoch {epoch} gave writes to the other side")
            }
        };
        self.error(RouteErrorKind::StaleEpoch, "route.stale_epoch", what)
            .fix("another program has taken over; `status` says where writes go")
    }

    /// Refuses an epoch below what the file has seen; writes nothing.
    pub(crate) async fn not_stale(&self, epoch: u64) -> Result<(), RouteError> {
        let seen = self
            .beside(|route| Ok(route.read()?.map(|found| found.epoch)))
            .await?;
        match seen {
            Some(seen) if epoch < seen => Err(self.refused(Refusal::Stale(seen))),
            _ => Ok(()),
        }
    }

    /// [`Route::point`], blocking.
    pub(crate) fn point_now(&self, to: &Destination, traffic: &Traffic) -> Result<(), RouteError> {
        if to.migration != self.migration {
            return Err(self.error(
                RouteErrorKind::Foreign,
                "route.file_migration",
                format!("is not asked by its own migration but by {}", to.migration),
            ));
        }
        self.change(|document| document.point(to, traffic))
    }

    /// Runs file work beside the other tasks.
    async fn beside<T: Send + 'static>(
        &self,
        work: impl FnOnce(&FileRoute) -> Result<T, RouteError> + Send + 'static,
    ) -> Result<T, RouteError> {
        let route = self.clone();
        match tokio::task::spawn_blocking(move || work(&route)).await {
            Ok(done) => done,
            Err(error) => Err(self
                .error(RouteErrorKind::Failed, "route.file", "was not written")
                .cause(error)),
        }
    }
}

/// A file that could not be worked with.
pub(crate) fn io_error(label: &str, what: &str, error: io::Error) -> RouteError {
    let kind = match error.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            RouteErrorKind::Permission
        }
        _ => RouteErrorKind::Failed,
    };
    RouteError::new(kind, "route.file", label, what).cause(error)
}

#[async_trait]
impl Route for FileRoute {
    fn kind(&self) -> &'static str {
        "file"
    }

    fn label(&self) -> String {
        format!("file {}", self.path.display())
    }

    fn can(&self, _traffic: &Traffic) -> bool {
        true
    }

    async fn check(&self) -> Result<Vec<RouteFinding>, RouteError> {
        let blocks = |code: &'static str, error: RouteError| {
            let finding = RouteFinding::blocks(code, "route", error.to_string());
            vec![finding.fix("let this program write the file and its folder")]
        };
        self.beside(move |route| {
            // taking the lock and staging what is there already needs every right that a change needs
            let tried = (|| {
                let _lock =
                    lock(&route.path).map_err(|error| route.io("cannot be locked", error))?;
                let document = route
                    .read()?
                    .unwrap_or_else(|| Document::first(&route.migration, &route.ends));
                route
                    .stage(&document)?
                    .discard()
                    .map_err(|error| route.io("cannot be written", error))
            })();
            Ok(tried.map_or_else(|error| blocks(error.code, error), |()| Vec::new()))
        })
        .await
    }

    async fn pause(&self, epoch: u64, _within: Duration) -> Result<Paused, RouteError> {
        let began = Instant::now();
        self.beside(move |route| {
            route.change(|document| document.set_paused(epoch, true))?;
            let shown = route.read()?.is_some_and(|document| document.paused);
            if !shown {
                return Err(route.error(
                    RouteErrorKind::Failed,
                    "route.file",
                    "does not show the pause that was written",
                ));
            }
            Ok(())
        })
        .await?;
        Ok(Paused {
            held: Held::Asked,
            took: began.elapsed(),
            evidence: "the file says paused; whether applications wait is theirs".to_owned(),
        })
    }

    async fn point(&self, to: &Destination, traffic: &Traffic) -> Result<(), RouteError> {
        let (to, traffic) = (to.clone(), traffic.clone());
        self.beside(move |route| route.point_now(&to, &traffic))
            .await
    }

    async fn resume(&self, epoch: u64) -> Result<(), RouteError> {
        self.beside(move |route| route.change(|document| document.set_paused(epoch, false)))
            .await
    }

    async fn shows(&self) -> Result<RouteState, RouteError> {
        self.beside(|route| {
            Ok(match route.read()? {
                Some(document) => document.state(),
                None => RouteState {
                    detail: "there is no file yet".to_owned(),
                    ..RouteState::default()
                },
            })
        })
        .await
    }
}

#[cfg(test)]
#[path = "file_tests.rs"]
mod tests;
