//! The one error type of the developer commands: a sentence for the person at the terminal.

use std::fmt;

/// What went wrong and, where there is one, the way to put it right.
#[derive(Debug)]
pub struct Failure(String);

/// The result of every developer command.
pub type Result<T> = std::result::Result<T, Failure>;

impl Failure {
    /// A failure that says `message`.
    pub fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for Failure {}

/// Puts what was being tried in front of an error.
pub trait Context<T> {
    /// The same result; an error begins with `what()`.
    ///
    /// # Errors
    /// The original error, with the context before it.
    fn context<S: Into<String>>(self, what: impl FnOnce() -> S) -> Result<T>;
}

impl<T, E: fmt::Display> Context<T> for std::result::Result<T, E> {
    fn context<S: Into<String>>(self, what: impl FnOnce() -> S) -> Result<T> {
        self.map_err(|error| Failure(format!("{}: {error}", what().into())))
    }
}
