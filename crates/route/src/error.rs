//! Errors of routes: a stable code, which route, what happened, what to do.

use std::error::Error as StdError;

/// What kind of thing went wrong. Says whether trying again can help, see [`RouteErrorKind::can_retry`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RouteErrorKind {
    /// It could not be reached, or the connection was lost: what was asked may or may not have happened.
    Unreachable,
    /// It was not done in the time allowed.
    Timeout,
    /// Clients did not let go in the time allowed; the pause was taken back.
    Busy,
    /// It said that it failed.
    Failed,
    /// It has seen a later switch: whoever asks is behind the times and must not go on.
    StaleEpoch,
    /// It belongs to another migration.
    Foreign,
    /// It cannot do this as it is set up (session pooling, a percentage).
    Unsupported,
    /// It may not be changed by us.
    Permission,
    /// What it holds cannot be read.
    Corrupt,
    /// Something is written wrongly in the migration file.
    Usage,
}

impl RouteErrorKind {
    /// Whether the same call can succeed later without anybody doing anything.
    pub fn can_retry(self) -> bool {
        matches!(
            self,
            RouteErrorKind::Unreachable
                | RouteErrorKind::Timeout
                | RouteErrorKind::Busy
                | RouteErrorKind::Failed
        )
    }
}

/// An error of a route. Never carries a password, a header's value or a whole URL.
#[derive(Debug)]
pub struct RouteError {
    /// What kind.
    pub kind: RouteErrorKind,
    /// Stable code, such as `route.stale_epoch`.
    pub code: &'static str,
    /// The route, as the user knows it, without secrets.
    pub route: String,
    /// What happened.
    pub what: String,
    /// What to do next.
    pub fix: Option<String>,
    /// The cause.
    pub source: Option<Box<dyn StdError + Send + Sync>>,
}

impl RouteError {
    /// An error without fix and cause.
    pub fn new(
        kind: RouteErrorKind,
        code: &'static str,
        route: impl Into<String>,
        what: impl Into<String>,
    ) -> RouteError {
        RouteError {
            kind,
            code,
            route: route.into(),
            what: what.into(),
            fix: None,
            source: None,
        }
    }

    /// With what to do.
    #[must_use]
    pub fn fix(mut self, fix: impl Into<String>) -> RouteError {
        self.fix = Some(fix.into());
        self
    }

    /// With the cause.
    #[must_use]
    pub fn cause(mut self, cause: impl StdError + Send + Sync + 'static) -> RouteError {
        self.source = Some(Box::new(cause));
        self
    }
}

impl std::fmt::Display for RouteError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.route, self.what)?;
        if let Some(cause) = &self.source {
            write!(f, ": {cause}")?;
        }
        if let Some(fix) = &self.fix {
            write!(f, "; {fix}")?;
        }
        Ok(())
    }
}

impl StdError for RouteError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source
            .as_deref()
            .map(|cause| cause as &(dyn StdError + 'static))
    }
}
