//! The benchmarks' arguments.

/// What is to be measured, and how often.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Rounds of each benchmark; in each, every contender runs once.
    pub rounds: usize,
    /// Little data: the figures mean nothing.
    pub quick: bool,
    /// Only say how the program is called.
    pub help: bool,
    only: Vec<String>,
    contenders: Vec<String>,
}

impl Options {
    /// Reads the arguments; `known` are the benchmarks' names.
    pub fn parse(
        mut arguments: impl Iterator<Item = String>,
        known: &[&str],
    ) -> Result<Self, String> {
        let mut rounds = None;
        let mut options = Self {
            rounds: 5,
            quick: false,
            help: false,
            only: Vec::new(),
            contenders: Vec::new(),
        };
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or(format!("{argument} needs a value"));
            match argument.as_str() {
                "--rounds" => {
                    let number = value()?.parse().ok().filter(|number| *number > 0);
                    rounds = Some(number.ok_or("--rounds needs a number from 1")?);
                }
                "--only" => {
                    let name = value()?;
                    if !known.contains(&name.as_str()) {
                        return Err(format!("no benchmark is called {name}"));
                    }
                    options.only.push(name);
                }
                "--contender" => options.contenders.push(value()?),
                "--quick" => options.quick = true,
                "--help" | "-h" => options.help = true,
                other => return Err(format!("unknown argument {other}")),
            }
        }
        options.rounds = rounds.unwrap_or(if options.quick { 1 } else { options.rounds });
        Ok(options)
    }

    /// The same with one round, for what does not vary as times do.
    pub fn once(&self) -> Self {
        Self {
            rounds: 1,
            ..self.clone()
        }
    }

    /// Whether the benchmark of that name is asked for.
    pub fn wants(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only == name)
    }

    /// Whether that contender takes part.
    pub fn lets_in(&self, contender: &str) -> bool {
        self.contenders.is_empty() || self.contenders.iter().any(|name| name == contender)
    }

    /// The amount of data: all of it, or what `--quick` takes.
    pub fn size<T>(&self, full: T, quick: T) -> T {
        if self.quick { quick } else { full }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &str) -> Result<Options, String> {
        Options::parse(words.split_whitespace().map(str::to_owned), &["one", "two"])
    }

    #[test]
    fn reads_what_help_promises() {
        let all = parse("").unwrap();
        assert_eq!((all.rounds, all.quick), (5, false));
        assert!(all.wants("one") && all.wants("two"));
        let some = parse("--only two --rounds 7").unwrap();
        assert!(!some.wants("one") && some.wants("two"));
        assert_eq!(some.rounds, 7);
        assert!(some.lets_in("crossfade"));
        assert!(!parse("--contender crossfade").unwrap().lets_in("pipe"));
        assert_eq!(parse("--quick").unwrap().rounds, 1);
        assert_eq!(parse("--quick --rounds 2").unwrap().rounds, 2);
    }

    #[test]
    fn refuses_what_it_does_not_know() {
        for wrong in ["--only three", "--only", "--rounds 0", "--rounds x", "fast"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
