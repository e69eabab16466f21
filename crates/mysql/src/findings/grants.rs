//! What the session's user may do, by what the server says it was granted.

use crossfade_store::Result;

use crate::connect::Client;

/// Grants, each in upper case.
pub(crate) struct Grants {
    lines: Vec<String>,
    /// The user as a GRANT names it.
    pub user: String,
}

/// Reads the grants of the session's user and of his active roles.
pub(crate) async fn read(client: &mut Client) -> Result<Grants> {
    let doing = "checking privileges";
    let rows = client.texts(doing, "SHOW GRANTS").await?;
    let user = client
        .text_row(doing, "SELECT CURRENT_USER()")
        .await?
        .map(|row| row.text(0).to_owned())
        .unwrap_or_default();
    let (name, host) = user.rsplit_once('@').unwrap_or((&user, "%"));
    Ok(Grants {
        lines: rows
            .iter()
            .map(|row| row.text(0).to_ascii_uppercase())
            .collect(),
        user: format!(
            "{}@{}",
            crate::names::literal(name),
            crate::names::literal(host)
        ),
    })
}

impl Grants {
    /// Whether a privilege was granted for all databases.
    pub fn has_global(&self, privilege: &str) -> bool {
        self.lines.iter().any(|line| {
            line.split(" ON *.*").next().is_some_and(|granted| {
                granted.len() < line.len()
                    && (granted.contains("ALL PRIVILEGES")
                        || granted
                            .trim_start_matches("GRANT ")
                            .split(',')
                            .any(|p| p.trim() == privilege))
            })
        })
    }

    /// Whether a role may give more than the lines say.
    pub fn has_roles(&self) -> bool {
        self.lines
            .iter()
            .any(|line| line.starts_with("GRANT") && !line.contains(" ON "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn global_privileges_are_found_and_others_are_not() {
        let grants = |lines: &[&str]| Grants {
            lines: lines.iter().map(|l| l.to_ascii_uppercase()).collect(),
            user: String::new(),
        };
        let some = grants(&[
            "GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO `a`@`%`",
            "GRANT ALL PRIVILEGES ON `super`.* TO `a`@`%`",
        ]);
        assert!(some.has_global("REPLICATION SLAVE") && some.has_global("REPLICATION CLIENT"));
        assert!(!some.has_global("SUPER") && !some.has_roles());
        assert!(
            grants(&["GRANT ALL PRIVILEGES ON *.* TO `a`@`%` WITH GRANT OPTION"])
                .has_global("SUPER")
        );
        assert!(grants(&["GRANT `r`@`%` TO `a`@`%`"]).has_roles());
    }
}
