//! The migration file: TOML in, a [`MigrationFile`] or all its problems out.

use std::ops::Range;

use crossfade_rules::gates::GateLimits;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::gates::AbortConditions;
use crate::near::nearest;
use crate::options::{OPTIONS, RunOptions};
use crate::picture::Problem;
use crate::projection::Projection;
use crate::route::RouteSection;
use crate::shadow::Shadow;
use crate::standbys::Standbys;
use crate::store_url::{self, StoreUrl};
use crate::table_entry::TableEntry;
use crate::verify_options::VerifyOptions;

/// A checked migration file.
#[derive(Debug, Clone, PartialEq)]
pub struct MigrationFile {
    /// The migration's name: `[a-z0-9_]`, 1 to 40 characters. Names of things made on the source derive from it.
    pub name: String,
    /// Tables that are left out: names with `*` for any characters.
    pub exclude: Vec<Listed>,
    /// The store that rows come from.
    pub source: StoreUrl,
    /// The store that rows go to.
    pub target: StoreUrl,
    /// Tables that are moved; empty: all.
    pub tables: Vec<TableEntry>,
    /// Queries that must give the same rows on both sides.
    pub projections: Vec<Projection>,
    /// What leads applications' traffic, in the order in which it acts.
    pub routes: Vec<RouteSection>,
    /// Standbys that must hold what a switch has done.
    pub standbys: Standbys,
    /// How comparisons work.
    pub verify: VerifyOptions,
    /// How a run works.
    pub run: RunOptions,
    /// What a switch asks for.
    pub gates: GateLimits,
    /// What is watched after a switch of writes.
    pub abort_conditions: AbortConditions,
    /// Where the numbers of shadow reads are, if anybody compares reads.
    pub shadow: Option<Shadow>,
}

/// A name or pattern, and the line it stands in.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Listed {
    /// What is written.
    pub text: String,
    /// Line, from 1.
    pub line: usize,
}

/// What is wrong with a migration file: all of it, in the order of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileError {
    /// The file, as it was named.
    pub path: String,
    /// The problems; at least one.
    pub problems: Vec<Problem>,
    pictures: String,
}

impl std::fmt::Display for FileError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.pictures)
    }
}

impl std::error::Error for FileError {}

/// Reads a migration file. `lookup` gives the values of environment variables.
///
/// # Errors
/// Everything that is wrong with it, each with its place.
pub fn parse(
    path: &str,
    text: &str,
    lookup: &dyn Fn(&str) -> Option<String>,
) -> Result<MigrationFile, FileError> {
    let mut reader = Reader {
        text,
        lookup,
        problems: Vec::new(),
    };
    let (document, errors) = DeTable::parse_recoverable(text);
    for error in errors {
        let span = error.span().unwrap_or(0..0);
        reader.problem(span, error.message().trim().to_owned());
    }
    let file = if reader.problems.is_empty() {
        reader.file(document.get_ref())
    } else {
        None
    };
    let mut problems = reader.problems;
    match file {
        Some(file) if problems.is_empty() => Ok(file),
        _ => {
            problems.sort_by_key(|p| p.span.start);
            let pictures: Vec<String> = problems.iter().map(|p| p.draw(path, text)).collect();
            Err(FileError {
                path: path.to_owned(),
                problems,
                pictures: pictures.join("\n\n"),
            })
        }
    }
}

/// True for a name that a migration may have.
pub fn is_migration_name(name: &str) -> bool {
    (1..=40).contains(&name.len())
        && name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

pub(crate) struct Reader<'a> {
    text: &'a str,
    pub(crate) lookup: &'a dyn Fn(&str) -> Option<String>,
    problems: Vec<Problem>,
}

pub(crate) type Entry<'t, 'i> = &'t Spanned<DeValue<'i>>;

impl Reader<'_> {
    pub(crate) fn problem(&mut self, span: Range<usize>, what: impl Into<String>) -> &mut Problem {
        self.problems.push(Problem::at(self.text, span, what));
        let last = self.problems.len() - 1;
        &mut self.problems[last]
    }

    pub(crate) fn problem_with_fix(
        &mut self,
        span: Range<usize>,
        what: impl Into<String>,
        fix: String,
    ) {
        self.problem(span, what).fix = Some(fix);
    }

    fn file(&mut self, document: &DeTable<'_>) -> Option<MigrationFile> {
        self.known_keys(
            "the file",
            document,
            &[
                "migration",
                "source",
                "target",
                "table",
                "projection",
                "route",
                "standbys",
                "verify",
                "run",
                "gates",
                "abort_conditions",
                "shadow",
            ],
        );
        let migration = self.section(document, "migration");
        let source = self.section(document, "source");
        let target = self.section(document, "target");
        let run = match document.get("run") {
            None => RunOptions::default(),
            Some(value) => self.run(value),
        };
        let tables = match document.get("table") {
            None => Vec::new(),
            Some(value) => self.tables(value),
        };
        let projections = self.projections(document.get("projection"));
        let shadow = self.shadow(document.get("shadow"));
        let mut gates = self.gates(document.get("gates"));
        gates.shadow = shadow.as_ref().map(|shadow| shadow.limits);
        let abort_conditions = self.abort_conditions(document.get("abort_conditions"));
        let routes = self.routes(document.get("route"));
        let standbys = self.standbys(document.get("standbys"));
        let verify = self.verify(document.get("verify"));
        let (name, exclude) = match migration {
            None => (None, Vec::new()),
            Some((span, section)) => {
                self.known_keys("[migration]", section, &["name", "exclude"]);
                (self.name(span, section), self.exclude(section))
            }
        };
        let source = source.and_then(|s| self.url("[source]", s));
        let target = target.and_then(|s| self.url("[target]", s));
        Some(MigrationFile {
            name: name?,
            exclude,
            source: source?,
            target: target?,
            tables,
            projections,
            routes,
            standbys,
            verify,
            run,
            gates,
            abort_conditions,
            shadow,
        })
    }

    fn section<'t, 'i>(
        &mut self,
        document: &'t DeTable<'i>,
        name: &str,
    ) -> Option<(Range<usize>, &'t DeTable<'i>)> {
        match document.get(name) {
            None => {
                let end = self.text.len();
                self.problem_with_fix(
                    end..end,
                    format!("[{name}] is missing"),
                    format!("add a section [{name}]"),
                );
                None
            }
            Some(value) => {
                let table = self.table_of(value, &format!("[{name}]"))?;
                Some((value.span(), table))
            }
        }
    }

    pub(crate) fn table_of<'t, 'i>(
        &mut self,
        value: Entry<'t, 'i>,
        place: &str,
    ) -> Option<&'t DeTable<'i>> {
        let table = value.get_ref().as_table();
        if table.is_none() {
            let found = value.get_ref().type_str();
            self.problem(
                value.span(),
                format!(
                    "{place} is to be a section, this is {}",
                    with_article(found)
                ),
            );
        }
        table
    }

    pub(crate) fn known_keys(&mut self, place: &str, table: &DeTable<'_>, known: &[&str]) {
        for key in table.keys() {
            let name = key.get_ref().as_ref();
            if known.contains(&name) {
                continue;
            }
            let near = nearest(name, known.iter().copied());
            let meant = match near.first() {
                Some(near) => format!("did you mean `{near}`? "),
                None => String::new(),
            };
            let list = known
                .iter()
                .map(|k| format!("`{k}`"))
                .collect::<Vec<_>>()
                .join(", ");
            self.problem_with_fix(
                key.span(),
                format!("unknown key `{name}` in {place}"),
                format!("{meant}known keys: {list}"),
            );
        }
    }

    pub(crate) fn string<'t>(&mut self, value: Entry<'t, '_>, place: &str) -> Option<&'t str> {
        let found = value.get_ref();
        let text = found.as_str();
        if text.is_none() {
            let found = with_article(found.type_str());
            self.problem(
                value.span(),
                format!("{place} is to be a string, this is {found}"),
            );
        }
        text
    }

    pub(crate) fn required<'t, 'i>(
        &mut self,
        section: Range<usize>,
        table: &'t DeTable<'i>,
        key: &str,
        place: &str,
    ) -> Option<Entry<'t, 'i>> {
        let value = table.get(key);
        if value.is_none() {
            self.problem_with_fix(
                section,
                format!("{place} has no `{key}`"),
                format!("add `{key} = \"…\"`"),
            );
        }
        value
    }

    fn name(&mut self, section: Range<usize>, table: &DeTable<'_>) -> Option<String> {
        let value = self.required(section, table, "name", "[migration]")?;
        let name = self.string(value, "`name`")?;
        if !is_migration_name(name) {
            self.problem_with_fix(
                value.span(),
                "this cannot be a migration's name",
                "use 1 to 40 of the characters a-z, 0-9 and _: names of things made on the source derive from it"
                    .to_owned(),
            );
            return None;
        }
        Some(name.to_owned())
    }

    pub(crate) fn listed(&mut self, value: Entry<'_, '_>, place: &str) -> Option<Listed> {
        let text = self.string(value, place)?;
        if text.trim().is_empty() {
            self.problem(value.span(), format!("{place} is empty"));
            return None;
        }
        Some(Listed {
            text: text.to_owned(),
            line: self.line(value.span()),
        })
    }

    /// The line of a place, from 1.
    pub(crate) fn line(&self, span: Range<usize>) -> usize {
        Problem::at(self.text, span, "").line
    }

    fn exclude(&mut self, table: &DeTable<'_>) -> Vec<Listed> {
        let Some(value) = table.get("exclude") else {
            return Vec::new();
        };
        let Some(list) = value.get_ref().as_array() else {
            let found = with_article(value.get_ref().type_str());
            self.problem_with_fix(
                value.span(),
                format!("`exclude` is to be a list of strings, this is {found}"),
                "write `exclude = [\"audit_*\"]`".to_owned(),
            );
            return Vec::new();
        };
        list.iter()
            .filter_map(|item| self.listed(item, "an entry of `exclude`"))
            .collect()
    }

    fn url(
        &mut self,
        place: &str,
        (span, table): (Range<usize>, &DeTable<'_>),
    ) -> Option<StoreUrl> {
        self.known_keys(place, table, &["url"]);
        let value = self.required(span, table, "url", place)?;
        let text = self.string(value, "`url`")?;
        let expanded = match store_url::expand(text, self.lookup) {
            Ok(expanded) => expanded,
            Err((range, what)) => {
                let span = self.within(value.span(), text, range);
                self.problem_with_fix(
                    span,
                    what,
                    "set it in the environment of this command, or write the URL without it"
                        .to_owned(),
                );
                return None;
            }
        };
        match StoreUrl::parse(&expanded) {
            Ok(url) => Some(url),
            Err(problem) => {
                self.problem_with_fix(value.span(), problem.what, problem.fix);
                None
            }
        }
    }

    /// The place in the file of a part of a string; the whole string where it is written with escapes.
    pub(crate) fn within(
        &self,
        string: Range<usize>,
        value: &str,
        part: Range<usize>,
    ) -> Range<usize> {
        match self
            .text
            .get(string.clone())
            .and_then(|raw| raw.find(value))
        {
            Some(offset) => {
                let start = string.start + offset;
                start + part.start..start + part.end
            }
            None => string,
        }
    }

    fn run(&mut self, value: Entry<'_, '_>) -> RunOptions {
        let mut options = RunOptions::default();
        let Some(table) = self.table_of(value, "[run]") else {
            return options;
        };
        let known: Vec<&str> = OPTIONS.iter().map(|o| o.name).collect();
        self.known_keys("[run]", table, &known);
        for facts in OPTIONS {
            let Some(value) = table.get(facts.name) else {
                continue;
            };
            let outcome = whole_number(value).map(|n| options.set(facts.name, n));
            if !matches!(outcome, Some(Ok(()))) {
                self.problem_with_fix(
                    value.span(),
                    format!(
                        "`{}` is to be a whole number from {} to {}",
                        facts.name, facts.least, facts.most
                    ),
                    format!("it means: {}", facts.meaning),
                );
            }
        }
        options
    }
}

/// A whole number, however it is written.
pub(crate) fn whole_number(value: Entry<'_, '_>) -> Option<i64> {
    value.get_ref().as_integer().and_then(|i| {
        let digits = i.as_str().replace('_', "");
        i64::from_str_radix(&digits, i.radix()).ok()
    })
}

pub(crate) fn with_article(kind: &str) -> String {
    let article = if kind.starts_with(['a', 'e', 'i', 'o', 'u']) {
        "an"
    } else {
        "a"
    };
    format!("{article} {kind}")
}

#[cfg(test)]
#[path = "file_tests.rs"]
mod tests;
