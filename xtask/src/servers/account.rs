//! The operating system's account that servers run as: PostgreSQL refuses to run as root.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::Path;
use std::process::Command;

use crate::failure::{Context, Failure, Result};
use crate::process::capture;

/// The account that root lends its servers to.
const SERVER_USER: &str = "postgres";

/// Who runs the servers.
#[derive(Clone, Copy, Debug)]
pub struct Account {
    user: u32,
    group: u32,
    /// Whether this program is root and must step down to the account.
    steps_down: bool,
}

impl Account {
    /// The caller's own account, or `postgres` when the caller is root.
    ///
    /// # Errors
    /// When root's machine has no user `postgres` (the system's package makes it).
    pub fn current() -> Result<Self> {
        let user = number("-u", None)?;
        let group = number("-g", None)?;
        if user != 0 {
            return Ok(Self {
                user,
                group,
                steps_down: false,
            });
        }
        let user = number("-u", Some(SERVER_USER))?;
        let group = number("-g", Some(SERVER_USER))?;
        Ok(Self {
            user,
            group,
            steps_down: true,
        })
    }

    /// A call of `program` as this account, in a neutral environment: no `PG…` variables, no
    /// language, no working folder that the account may not enter.
    #[must_use]
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        self.stepped_down(Command::new("setpriv"), program)
    }

    /// The same in a session of its own, so that neither Ctrl-C nor a closed terminal reaches it.
    /// The process keeps the identifier that `spawn` reports.
    #[must_use]
    pub fn detached_command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("setsid");
        command.arg("setpriv");
        self.stepped_down(command, program)
    }

    fn stepped_down(&self, mut command: Command, program: impl AsRef<OsStr>) -> Command {
        if self.steps_down {
            command.arg(format!("--reuid={}", self.user));
            command.arg(format!("--regid={}", self.group));
            command.arg("--clear-groups");
        } else {
            // Without an option setpriv would only print its state.
            command.arg("--no-new-privs");
        }
        command.arg(program).current_dir("/").env("LC_ALL", "C");
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("PG") {
                command.env_remove(name);
            }
        }
        command
    }

    /// Gives a file or folder to this account.
    ///
    /// # Errors
    /// When the owner cannot be changed.
    pub fn own(&self, path: &Path) -> Result<()> {
        if self.steps_down {
            chown(path, Some(self.user), Some(self.group))
                .context(|| format!("cannot give {} away", path.display()))?;
        }
        Ok(())
    }

    /// Whether the account can enter `folder`, judged by the permissions of the folder and of all
    /// above it; a folder that does not exist yet counts as enterable.
    #[must_use]
    pub fn can_enter(&self, folder: &Path) -> bool {
        folder
            .ancestors()
            .filter_map(|ancestor| fs::metadata(ancestor).ok())
            .all(|found| {
                let enterable = 0o1;
                let shift = match () {
                    () if found.uid() == self.user => 6,
                    () if found.gid() == self.group => 3,
                    () => 0,
                };
                found.mode() >> shift & enterable != 0
            })
    }
}

fn number(option: &str, user: Option<&str>) -> Result<u32> {
    let printed = capture(Command::new("id").arg(option).args(user))
        .context(|| "cannot find the servers' account; `cargo xtask servers install` makes it")?;
    printed
        .trim()
        .parse()
        .map_err(|_| Failure::new(format!("`id {option}` printed no number: {printed}")))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_closed_parent_folder_cannot_be_entered() {
        let parent = std::env::temp_dir().join(format!("crossfade-account-{}", std::process::id()));
        let child = parent.join("child");
        fs::create_dir_all(&child).expect("folder");
        // An account that owns nothing here.
        let stranger = Account {
            user: 4_000_000,
            group: 4_000_000,
            steps_down: true,
        };
        fs::set_permissions(&parent, fs::Permissions::from_mode(0o711)).expect("mode");
        assert!(stranger.can_enter(&child));
        fs::set_permissions(&parent, fs::Permissions::from_mode(0o700)).expect("mode");
        assert!(!stranger.can_enter(&child));
        fs::remove_dir_all(&parent).expect("removed");
    }
}
