//! Running other programs, with errors that show the command and what it said.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::failure::{Context, Failure, Result};

/// Runs `command` with its output shown as it comes.
///
/// # Errors
/// When it cannot be started or does not exit with 0.
pub fn run(command: &mut Command) -> Result<()> {
    let status = command.status().context(|| describe(command))?;
    if status.success() {
        return Ok(());
    }
    Err(Failure::new(format!("{}: {status}", describe(command))))
}

/// Runs `command` silently and gives its standard output; nothing is read from the terminal.
///
/// # Errors
/// When it cannot be started or does not exit with 0; the message carries its standard error.
pub fn capture(command: &mut Command) -> Result<String> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .context(|| describe(command))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(Failure::new(format!(
        "{}: {}: {}",
        describe(command),
        output.status,
        said.trim()
    )))
}

/// The first file called `program` in the folders of `PATH` and of the system's administration tools.
#[must_use]
pub fn find_program(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain([PathBuf::from("/usr/sbin"), PathBuf::from("/sbin")])
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
}

/// `text` as one word of a shell command.
#[must_use]
pub fn shell_word(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// Removes a folder and all below it, if it is there.
///
/// # Errors
/// When something of it cannot be removed.
pub fn remove_folder(folder: &Path) -> Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).context(|| format!("cannot remove {}", folder.display()))
        }
        _ => Ok(()),
    }
}

fn describe(command: &Command) -> String {
    let program = command.get_program().to_string_lossy().into_owned();
    // Scripts given to `sh -c` are long; the first words say which command it was.
    command
        .get_args()
        .map(|argument| argument.to_string_lossy())
        .take(8)
        .fold(program, |line, argument| {
            let first_line = argument.lines().next().unwrap_or_default().to_owned();
            format!("{line} {first_line}")
        })
}
