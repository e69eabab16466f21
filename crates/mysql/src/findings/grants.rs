//! What the session's user may do, by what the server says it was granted.

use crossfade_store::Result;

use crate::connect::Client;
use crate::describe::statement::identifier;
use crate::server::Flavor;

/// Grants, each in upper case.
pub(crate) struct Grants {
    lines: Vec<String>,
    /// The user as a GRANT names it.
    pub user: String,
}

/// Reads the grants of the session's user and of his active roles.
pub(crate) async fn read(client: &mut Client) -> Result<Grants> {
    let doing = "checking privileges";
    let mut rows = client.texts(doing, "SHOW GRANTS").await?;
    // what MariaDB gives to everybody is not among a user's own (knowledge base, "GRANT", "TO PUBLIC"); older ones have no such grants
    if client.server.flavor == Flavor::Mariadb
        && let Ok(of_all) = client.texts(doing, "SHOW GRANTS FOR PUBLIC").await
    {
        rows.extend(of_all);
    }
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

    /// Whether a privilege was granted for all databases, for this one, or for a table of it.
    pub fn has_within(&self, database: &str, privilege: &str) -> bool {
        let database = database.to_ascii_uppercase();
        self.lines.iter().any(|line| {
            let granted = line
                .strip_prefix("GRANT ")
                .and_then(|l| l.split_once(" ON "));
            granted.is_some_and(|(what, place)| {
                (place.starts_with("*.*") || is_within(place, &database))
                    && what.split(',').any(|one| {
                        // of some columns only: `SELECT (a, b)`
                        let one = one.trim();
                        one == privilege || one == "ALL PRIVILEGES"
                    })
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

/// Whether what a grant is on begins with a database's name, in which `%` and `_` stand for others unless `\` is before them (MySQL
/// documentation, "GRANT Statement"). Both in upper case.
fn is_within(place: &str, database: &str) -> bool {
    identifier(place).is_some_and(|(pattern, _)| {
        let pattern: Vec<char> = pattern.chars().collect();
        let name: Vec<char> = database.chars().collect();
        like(&pattern, &name)
    })
}

fn like(pattern: &[char], name: &[char]) -> bool {
    match pattern {
        [] => name.is_empty(),
        ['%', rest @ ..] => (0..=name.len()).any(|at| like(rest, &name[at..])),
        ['\\', exactly, rest @ ..] => name.first() == Some(exactly) && like(rest, &name[1..]),
        ['_', rest @ ..] => !name.is_empty() && like(rest, &name[1..]),
        [exactly, rest @ ..] => name.first() == Some(exactly) && like(rest, &name[1..]),
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

    #[test]
    fn privileges_within_a_database_are_found() {
        let grants = |line: &str| Grants {
            lines: vec![line.to_ascii_uppercase()],
            user: String::new(),
        };
        let some = grants("GRANT SELECT, INSERT ON `my\\_shop`.* TO `a`@`%`");
        assert!(some.has_within("my_shop", "INSERT") && !some.has_within("my_shop", "UPDATE"));
        assert!(!some.has_within("myXshop", "INSERT") && !some.has_within("my_shop2", "INSERT"));
        assert!(
            grants("GRANT ALL PRIVILEGES ON `trial\\_%`.* TO `a`@`%`")
                .has_within("trial_7", "DROP")
        );
        assert!(
            grants("GRANT INSERT (`b`), SELECT ON `s`.`t` TO `a`@`%`").has_within("s", "SELECT")
        );
        assert!(grants("GRANT SELECT, DROP ON *.* TO `a`@`%`").has_within("s", "DROP"));
        assert!(!grants("GRANT USAGE ON *.* TO `a`@`%`").has_within("s", "DROP"));
        assert!(grants("GRANT DROP ON `a``b`.* TO `a`@`%`").has_within("a`b", "DROP"));
    }
}
