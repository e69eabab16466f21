//! Where the workspace and its build results lie, and how its cargo is called.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The workspace's root folder.
#[must_use]
pub fn root() -> PathBuf {
    // cargo sets the variable at run time too; the folder known at build time serves a binary that
    // is started by hand.
    let package = env::var_os("CARGO_MANIFEST_DIR")
        .map(PathBuf::from)
        .filter(|folder| folder.ends_with("xtask"))
        .unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")));
    package
        .parent()
        .map_or_else(|| package.clone(), Path::to_path_buf)
}

/// The folder of build results, which also holds what the developer commands write.
#[must_use]
pub fn target() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| root().join("target"), |folder| root().join(folder))
}

/// A call of the cargo that runs this program, from the workspace's root, that never reads the terminal.
#[must_use]
pub fn cargo() -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root()).stdin(Stdio::null());
    command
}
