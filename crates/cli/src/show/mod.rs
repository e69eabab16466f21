//! Printing: text for people, JSON for programs.

pub mod against;
pub mod authority;
pub mod certificate;
pub mod findings;
pub mod gates;
pub mod layers;
pub mod log;
pub mod made;
pub mod number;
pub mod omissions;
pub mod phases;
pub mod previews;
pub mod quarantine;
pub mod status;
pub mod strangers;
pub mod table;
pub mod text;
pub mod verify;

use std::io::{IsTerminal as _, Write as _};

use serde::Serialize;

use crate::failure::Failure;

/// Where and how the program answers.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    /// Answers are JSON.
    pub json: bool,
}

impl Output {
    /// An output.
    pub fn new(json: bool) -> Output {
        Output { json }
    }

    /// Prints text for people; nothing where the answer is JSON. A closed pipe is no error: nobody reads any more.
    pub fn say(&self, text: impl std::fmt::Display) {
        if !self.json {
            let _ = writeln!(std::io::stdout().lock(), "{text}");
        }
    }

    /// Prints one line of JSON; nothing where the answer is text.
    pub fn tell(&self, value: &impl Serialize) {
        if self.json {
            line(value);
        }
    }

    /// Prints a failure: JSON to standard output, text to standard error.
    pub fn failure(&self, failure: &Failure) {
        if self.json {
            line(&serde_json::json!({ "error": failure }));
        } else {
            let mut error = std::io::stderr().lock();
            if !failure.findings.is_empty() {
                let _ = writeln!(error, "{}", findings::text(&failure.findings));
            }
            let _ = writeln!(error, "{}", failure.text());
        }
    }

    /// Progress can be drawn: a person looks at it.
    pub fn is_watched(&self) -> bool {
        !self.json && std::io::stderr().is_terminal()
    }
}

/// Prints a value as one line of JSON.
pub fn line(value: &impl Serialize) {
    match serde_json::to_string(value) {
        Ok(text) => {
            let _ = writeln!(std::io::stdout().lock(), "{text}");
        }
        Err(error) => tracing::error!(%error, "an answer could not be written as JSON"),
    }
}
