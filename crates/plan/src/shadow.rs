//! `[shadow]`: reads that the application, or what stands before it, sends to both sides and compares. It keeps their numbers in a file, and
//! the gate `shadow` asks for them.

use std::path::PathBuf;

use crossfade_rules::gates::ShadowLimits;
use toml::de::DeTable;

use crate::file::{Entry, Reader};

/// The section as comments for a new file.
pub const COMMENTED: &str = "\
# Reads that the application sends to both sides and compares: whoever does keeps {\"compared\": 12000, \"different\": 0} in this file.
# [shadow]
# file = \"shadow.json\"
# least_reads = 1000  # that are to be compared before a switch
# different_per_million = 0  # of which so many may differ
# age_seconds = 3600  # how old the file may be
";

/// Where the numbers of shadow reads are, and what they are to show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shadow {
    /// The file, from the migration file's folder.
    pub file: PathBuf,
    /// Seconds since the file was written, at most. Default 3600, 1 to 2,592,000.
    pub age_seconds: u32,
    /// What is asked for. Default: a thousand reads, of which none may differ.
    pub limits: ShadowLimits,
}

impl Reader<'_> {
    pub(crate) fn shadow(&mut self, value: Option<Entry<'_, '_>>) -> Option<Shadow> {
        const PLACE: &str = "[shadow]";
        let value = value?;
        let table: &DeTable<'_> = self.table_of(value, PLACE)?;
        self.known_keys(
            PLACE,
            table,
            &[
                "file",
                "least_reads",
                "different_per_million",
                "age_seconds",
            ],
        );
        let least_reads = self.whole(table, "least_reads", 1, 1_000_000_000_000);
        let different = self.whole(table, "different_per_million", 0, 999_999);
        let age = self.narrow(table, "age_seconds", 1, 30 * 86_400);
        let entry = self.required(value.span(), table, "file", PLACE)?;
        let file = self.string(entry, "`file`")?;
        if file.trim().is_empty() || file.contains('\0') {
            self.problem(entry.span(), "`file` is to be a path");
            return None;
        }
        Some(Shadow {
            file: PathBuf::from(file),
            age_seconds: age.unwrap_or(3_600),
            limits: ShadowLimits {
                least_reads: least_reads.unwrap_or(1_000),
                most_different_per_million: different.unwrap_or(0),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::{FileError, MigrationFile, parse};

    fn read(body: &str) -> Result<MigrationFile, FileError> {
        let head = "[migration]\nname = \"m\"\n[source]\nurl = \"sqlite:a\"\n[target]\nurl = \"sqlite:b\"\n";
        parse("m.toml", &format!("{head}{body}"), &|_| None)
    }

    #[test]
    fn what_is_written_is_read_and_the_gate_asks_for_it() {
        assert_eq!(
            read("").map(|file| (file.shadow, file.gates.shadow)),
            Ok((None, None))
        );
        let limits = ShadowLimits {
            least_reads: 5,
            most_different_per_million: 10,
        };
        let body = "[shadow]\nfile = \"s.json\"\nleast_reads = 5\ndifferent_per_million = 10\nage_seconds = 60\n";
        let shadow = Shadow {
            file: PathBuf::from("s.json"),
            age_seconds: 60,
            limits,
        };
        let file = read(body).map(|file| (file.shadow, file.gates.shadow));
        assert_eq!(file, Ok((Some(shadow), Some(limits))));
    }

    #[test]
    fn what_a_new_file_has_in_comments_is_the_default() {
        let active: Vec<&str> = COMMENTED
            .lines()
            .filter_map(|line| line.strip_prefix("# "))
            .filter(|line| line.starts_with('[') || line.contains(" = "))
            .collect();
        let written = read(&active.join("\n")).map(|file| file.shadow);
        assert_eq!(
            written,
            read("[shadow]\nfile = \"shadow.json\"\n").map(|file| file.shadow)
        );
    }

    #[test]
    fn what_is_wrong_is_told() {
        for body in [
            "[shadow]\n",
            "[shadow]\nfile = \"\"\n",
            "[shadow]\nfile = 1\n",
            "[shadow]\nfile = \"a\"\nleast_reads = 0\n",
            "[shadow]\nfile = \"a\"\nreads = 5\n",
        ] {
            assert!(read(body).is_err(), "{body}");
        }
    }
}
