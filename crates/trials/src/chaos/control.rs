//! Servers that are killed and started again: by whoever started them, asked over standard output and answering on
//! standard input, one line each. Without such a partner servers are left alone.

use std::io::Write;

use crate::database::Engine;

/// The variable that says that there is a partner.
pub const VARIABLE: &str = "CROSSFADE_CHAOS_CONTROL";

/// How a server goes down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Down {
    /// `kill -9` of the postmaster.
    Kill,
    /// As a crash, by the server's own signal.
    Immediate,
    /// Sessions are ended in order.
    Fast,
}

/// The right to stop servers.
#[derive(Debug, Clone, Copy)]
pub struct Servers(());

impl Servers {
    /// The right, if there is somebody to ask.
    #[must_use]
    pub fn partner() -> Option<Self> {
        std::env::var_os(VARIABLE).map(|_| Self(()))
    }

    /// Takes a server down.
    ///
    /// # Panics
    /// When it cannot be done.
    pub fn stop(self, engine: Engine, how: Down) {
        let word = match how {
            Down::Kill => "kill",
            Down::Immediate => "immediate",
            Down::Fast => "fast",
        };
        ask(word, engine);
    }

    /// Starts a server that is down, on its old port.
    ///
    /// # Panics
    /// When it cannot be done.
    pub fn start(self, engine: Engine) {
        ask("start", engine);
    }
}

fn ask(word: &str, engine: Engine) {
    let name = name(engine);
    let mut output = std::io::stdout().lock();
    writeln!(output, "{word} {name}").expect("the partner reads");
    output.flush().expect("the partner reads");
    let mut answer = String::new();
    std::io::stdin()
        .read_line(&mut answer)
        .expect("the partner answers");
    assert_eq!(answer.trim(), "done", "{word} {name}");
}

/// The server's name, as the partner knows it.
fn name(engine: Engine) -> &'static str {
    match engine {
        Engine::Pg15 => "pg15a",
        Engine::Pg15b => "pg15b",
        Engine::Pg17 => "pg17",
        Engine::Pg18 => "pg18",
        Engine::PgTls => "tls",
        Engine::Mysql97 => "mysql97",
        Engine::Maria1011 => "mariadb1011",
        Engine::Maria118 => "mariadb118",
        Engine::Sqlite => panic!("SQLite has no server"),
    }
}
