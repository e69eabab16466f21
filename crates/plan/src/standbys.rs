//! `[standbys]`: copies of either side that somebody could promote. Authority is given away only once they hold the fence.

use toml::de::DeTable;

use crate::file::{Entry, Reader, with_article};

/// As many are read of one side. PostgreSQL's own default is ten senders.
const MOST: usize = 32;

/// The section as comments for a new file.
pub const COMMENTED: &str = "\
# Standbys that could be promoted, by the application_name under which they are connected: authority is given away only once each of
# them durably holds that the old side is closed, and what the new side begins with.
# [standbys]
# source = [\"replica1\"]
# target = [\"replica2\"]
";

/// Standbys of both sides, by the names under which they are connected.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Standbys {
    /// Of the source.
    pub source: Vec<String>,
    /// Of the target.
    pub target: Vec<String>,
}

impl Standbys {
    /// Source and target exchanged.
    #[must_use]
    pub fn exchanged(&self) -> Standbys {
        Standbys {
            source: self.target.clone(),
            target: self.source.clone(),
        }
    }
}

impl Reader<'_> {
    pub(crate) fn standbys(&mut self, value: Option<Entry<'_, '_>>) -> Standbys {
        const PLACE: &str = "[standbys]";
        let Some(table) = value.and_then(|value| self.table_of(value, PLACE)) else {
            return Standbys::default();
        };
        self.known_keys(PLACE, table, &["source", "target"]);
        Standbys {
            source: self.names(table, "source"),
            target: self.names(table, "target"),
        }
    }

    fn names(&mut self, table: &DeTable<'_>, key: &str) -> Vec<String> {
        let Some(value) = table.get(key) else {
            return Vec::new();
        };
        let place = format!("`{key}`");
        let Some(list) = value.get_ref().as_array() else {
            let found = with_article(value.get_ref().type_str());
            self.problem_with_fix(
                value.span(),
                format!("{place} is to be a list of names, this is {found}"),
                format!("write `{key} = [\"replica1\"]`"),
            );
            return Vec::new();
        };
        if list.len() > MOST {
            self.problem(
                value.span(),
                format!("{place} names more than {MOST} standbys"),
            );
            return Vec::new();
        }
        let mut names: Vec<String> = Vec::new();
        for item in list.iter() {
            let Some(name) = self.listed(item, &format!("an entry of {place}")) else {
                continue;
            };
            if names.contains(&name.text) {
                self.problem(item.span(), format!("{place} names this standby twice"));
                continue;
            }
            names.push(name.text);
        }
        names
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use crate::file::{FileError, MigrationFile, parse};

    fn read(section: &str) -> Result<MigrationFile, FileError> {
        let text = format!(
            "[migration]\nname = \"m\"\n[source]\nurl = \"sqlite:a\"\n[target]\nurl = \"sqlite:b\"\n{section}"
        );
        parse("m.toml", &text, &|_| None)
    }

    #[test]
    fn named_standbys_are_read_for_each_side() {
        let named = read("[standbys]\nsource = [\"a\", \"b\"]\n")
            .unwrap()
            .standbys;
        assert_eq!(named.source, ["a", "b"]);
        assert!(named.target.is_empty());
        assert_eq!(named.exchanged().target, ["a", "b"]);
        assert_eq!(read("").unwrap().standbys, super::Standbys::default());
    }

    #[test]
    fn what_names_no_standby_is_a_problem() {
        for (section, says) in [
            ("[standbys]\nsource = \"a\"\n", "list of names"),
            ("[standbys]\nsource = [\"a\", \"a\"]\n", "twice"),
            ("[standbys]\nsource = [\" \"]\n", "is empty"),
            ("[standbys]\nsource = [1]\n", "is to be a string"),
            ("[standbys]\nsorce = [\"a\"]\n", "unknown key"),
        ] {
            let why = read(section).unwrap_err().to_string();
            assert!(why.contains(says), "{section}: {why}");
        }
    }
}
