//! The arguments.

use super::pair::{PAIRS, Pair};

/// How many kinds `--quick` chooses for each pair.
const QUICK: usize = 12;

/// What is to be planted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The pairs.
    pub pairs: Vec<Pair>,
    /// As many kinds of each pair at most, chosen by the seed.
    pub most: Option<usize>,
    /// Only kinds with one of these in their names.
    pub kinds: Vec<String>,
    /// The rivals get the same corruption.
    pub rivals: bool,
}

/// How the program is called.
pub const HELP: &str = "\
mutations [--quick] [--pair NAME]… [--kind TEXT]… [--rivals]
--quick      a few kinds of each pair, chosen by the seed CROSSFADE_SEED
--pair NAME  only this pair of engines: pg15-pg17, pg17-pg18, pg15-sqlite, sqlite-pg18, sqlite-sqlite, pg18-mysql97,
             mysql97-pg18, mysql97-mysql97, mysql97-mariadb118, mariadb1011-pg17, sqlite-mariadb118,
             mariadb1011-mariadb118
--kind TEXT  only kinds with this in their names
--rivals     pgcopydb, data-diff and reladiff are given the same, PostgreSQL to PostgreSQL, and pt-table-sync, MySQL to MySQL
";

impl Options {
    /// Reads the arguments.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self {
            pairs: Vec::new(),
            most: None,
            kinds: Vec::new(),
            rivals: false,
        };
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or(format!("{argument} needs a value"));
            match argument.as_str() {
                "--quick" => options.most = Some(QUICK),
                "--rivals" => options.rivals = true,
                "--kind" => options.kinds.push(value()?),
                "--pair" => {
                    let name = value()?;
                    let pair = PAIRS.iter().find(|pair| pair.name == name);
                    options
                        .pairs
                        .push(*pair.ok_or(format!("no pair is called {name}"))?);
                }
                other => return Err(format!("unknown argument {other}")),
            }
        }
        if options.pairs.is_empty() {
            options.pairs = PAIRS.to_vec();
        }
        Ok(options)
    }

    /// Whether this kind is asked for.
    pub fn wants(&self, kind: &str) -> bool {
        self.kinds.is_empty() || self.kinds.iter().any(|part| kind.contains(part))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Result<Options, String> {
        Options::parse(words.iter().map(|word| (*word).to_owned()))
    }

    #[test]
    fn reads_what_help_promises() {
        let all = parse(&[]).unwrap();
        assert_eq!(
            (all.pairs.len(), all.most, all.rivals),
            (PAIRS.len(), None, false)
        );
        assert!(all.wants("trailing space"));
        let some = parse(&[
            "--quick",
            "--pair",
            "sqlite-sqlite",
            "--kind",
            "JSON",
            "--rivals",
        ])
        .unwrap();
        assert_eq!(some.pairs, [PAIRS[4]]);
        assert_eq!((some.most, some.rivals), (Some(QUICK), true));
        assert!(some.wants("JSON key order") && !some.wants("trailing space"));
        for pair in PAIRS {
            assert!(HELP.contains(pair.name));
        }
    }

    #[test]
    fn refuses_what_it_does_not_know() {
        for wrong in [["--pair", "pg14-pg15"].as_slice(), &["--kind"], &["fast"]] {
            assert!(parse(wrong).is_err(), "{wrong:?}");
        }
    }
}
