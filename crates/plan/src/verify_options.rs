//! `[verify]`: how comparisons work.

use crate::file::{Entry, Reader};

/// Where the digests of a full comparison are computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Digests {
    /// Table by table wherever a sample was summed sooner.
    #[default]
    Auto,
    /// In crossfade, from the rows that it reads.
    Program,
    /// In the stores' servers, of every table whose columns have a form in their SQL; in crossfade of the others.
    Server,
}

/// How comparisons work. None of this changes what is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct VerifyOptions {
    /// Where digests are computed. Default `auto`.
    pub digests: Digests,
}

const PLACE: &str = "[verify]";

impl Reader<'_> {
    pub(crate) fn verify(&mut self, value: Option<Entry<'_, '_>>) -> VerifyOptions {
        let mut options = VerifyOptions::default();
        let Some(table) = value.and_then(|value| self.table_of(value, PLACE)) else {
            return options;
        };
        self.known_keys(PLACE, table, &["digests"]);
        if let Some(value) = table.get("digests")
            && let Some(word) = self.string(value, "`digests`")
        {
            options.digests = match word {
                "auto" => Digests::Auto,
                "program" => Digests::Program,
                "server" => Digests::Server,
                _ => {
                    self.problem_with_fix(
                        value.span(),
                        "`digests` is none of the words that it can be",
                        "write \"auto\", \"program\" or \"server\": where the digests of rows are computed"
                            .to_owned(),
                    );
                    Digests::Auto
                }
            };
        }
        options
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::file::parse;

    fn file(section: &str) -> String {
        format!(
            "[migration]\nname = \"m\"\n[source]\nurl = \"sqlite:a.db\"\n[target]\nurl = \"sqlite:b.db\"\n{section}"
        )
    }

    #[test]
    fn each_word_is_read_and_nothing_else_is() {
        for (section, digests) in [
            ("", Digests::Auto),
            ("[verify]\n", Digests::Auto),
            ("[verify]\ndigests = \"auto\"\n", Digests::Auto),
            ("[verify]\ndigests = \"program\"\n", Digests::Program),
            ("[verify]\ndigests = \"server\"\n", Digests::Server),
        ] {
            let read = parse("m.toml", &file(section), &|_| None).unwrap();
            assert_eq!(read.verify.digests, digests, "{section}");
        }
        for (section, says) in [
            ("[verify]\ndigests = \"servers\"\n", "none of the words"),
            ("[verify]\ndigests = 1\n", "to be a string"),
            ("[verify]\ndigest = \"auto\"\n", "did you mean `digests`"),
            ("verify = 1\n", "`verify`"),
            ("[[verify]]\n", "[verify] is to be a section"),
        ] {
            let problem = parse("m.toml", &file(section), &|_| None).unwrap_err();
            assert!(problem.to_string().contains(says), "{section}: {problem}");
        }
    }
}
