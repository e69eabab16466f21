//! `init`: looks at both databases and writes a commented migration file.

mod columns;
mod names;
mod proposal;
#[cfg(test)]
mod testkit;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use crossfade_model::{Schema, Table, TableName};
use crossfade_plan::file::is_migration_name;
use crossfade_plan::options::OPTIONS;
use crossfade_plan::{RunOptions, Scheme, StoreUrl};
use crossfade_store::{Source, Truths};
use serde_json::json;

use proposal::{Line, Proposed, Sides, propose};

use crate::args;
use crate::failure::{FAILED, Failure, USAGE};
use crate::show::{Output, number};
use crate::stores;

/// Writes the file.
///
/// # Errors
/// A wrong URL or name, a file that is there already, a database that cannot be read.
pub async fn init(arguments: &args::Init, output: &Output) -> Result<u8, Failure> {
    let source = url("--source", &arguments.source)?;
    let target = url("--target", &arguments.target)?;
    let name = name(arguments, &source)?;
    if arguments.output.exists() {
        return Err(there(&arguments.output));
    }
    let here = Path::new(".");
    let source_store = stores::source(&source, here)?;
    let target_store = stores::target(&target, here)?;
    let schema = source_store.describe().await?;
    // shows too that it can be reached and read before a file says so
    let there = target_store.describe().await?;
    let truths = match source_store.engine() == target_store.engine() {
        true => BTreeMap::new(),
        false => truths(source_store.as_ref(), &schema).await?,
    };
    let sides = Sides {
        source_engine: source_store.engine(),
        source: &schema,
        target: target_store.as_ref(),
        there: &there,
        names: arguments.names,
        truths: &truths,
    };
    let proposed = propose(&sides);
    let file = Written {
        name: &name,
        source: shared(&source, "CROSSFADE_SOURCE_PASSWORD", &arguments.output),
        target: shared(&target, "CROSSFADE_TARGET_PASSWORD", &arguments.output),
        schema: &schema,
        other_engine: (source_store.engine() != target_store.engine())
            .then(|| target_store.custom().name),
        proposed: &proposed,
    };
    write(&arguments.output, &file.text())?;
    tell(
        arguments,
        &source,
        &target,
        (&schema, &proposed),
        &name,
        output,
    );
    Ok(0)
}

/// Seconds that all looks at columns may take together; those that are left are only offered.
const LOOKING: Duration = Duration::from_secs(30);

/// Columns that hold true and false, by table.
async fn truths(
    source: &dyn Source,
    schema: &Schema,
) -> Result<BTreeMap<TableName, Vec<Truths>>, Failure> {
    let begun = Instant::now();
    let mut out = BTreeMap::new();
    for table in &schema.tables {
        let found = source.truths(table, begun.elapsed() < LOOKING).await?;
        if !found.is_empty() {
            out.insert(table.name.clone(), found);
        }
    }
    Ok(out)
}

fn url(option: &str, text: &str) -> Result<StoreUrl, Failure> {
    StoreUrl::parse(text).map_err(|problem| {
        Failure::new(USAGE, "usage.url", format!("{option}: {}", problem.what)).fix(problem.fix)
    })
}

fn there(path: &Path) -> Failure {
    Failure::new(
        USAGE,
        "init.exists",
        format!("{} is there already and is not overwritten", path.display()),
    )
    .fix("name another file with `-o`, or move this one away")
}

/// The given name, or one from the source's database.
fn name(arguments: &args::Init, source: &StoreUrl) -> Result<String, Failure> {
    if let Some(name) = &arguments.name {
        return if is_migration_name(name) {
            Ok(name.clone())
        } else {
            Err(
                Failure::new(USAGE, "usage.name", "--name cannot be a migration's name")
                    .fix("use 1 to 40 of the characters a-z, 0-9 and _"),
            )
        };
    }
    let text = source.to_string();
    let database = match source.scheme() {
        Scheme::Sqlite => Path::new(source.sqlite_path().unwrap_or_default())
            .file_stem()
            .map(|s| s.to_string_lossy().into_owned())
            .unwrap_or_default(),
        Scheme::Postgres | Scheme::Mysql => {
            let path = text.split('?').next().unwrap_or_default();
            path.rsplit('/').next().unwrap_or_default().to_owned()
        }
    };
    let name: String = database
        .to_lowercase()
        .chars()
        .map(|c| {
            if c.is_ascii_lowercase() || c.is_ascii_digit() {
                c
            } else {
                '_'
            }
        })
        .take(40)
        .collect();
    Ok(if is_migration_name(&name) {
        name
    } else {
        "migration".to_owned()
    })
}

/// The URL as a shared file may hold it: without a password, and with a path that means the same from the file's folder.
fn shared(url: &StoreUrl, variable: &str, file: &Path) -> String {
    let folder = stores::folder_of(file);
    match url.sqlite_path() {
        Some(path) if Path::new(path).is_relative() && folder != Path::new(".") => {
            let whole = std::path::absolute(path).unwrap_or_else(|_| path.into());
            format!("sqlite:{}", whole.display())
        }
        _ => url.with_password_variable(variable),
    }
}

/// Creates the file; never over one that is there.
fn write(path: &Path, text: &str) -> Result<(), Failure> {
    let mut file = match std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(path)
    {
        Ok(file) => file,
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => return Err(there(path)),
        Err(e) => {
            return Err(Failure::new(
                FAILED,
                "init.write",
                format!("{} cannot be written: {e}", path.display()),
            )
            .fix("name a file in a folder that can be written with `-o`"));
        }
    };
    file.write_all(text.as_bytes()).map_err(|e| {
        Failure::new(
            FAILED,
            "init.write",
            format!("{} could not be written: {e}", path.display()),
        )
        .fix("remove the unfinished file and try again")
    })
}

fn tell(
    arguments: &args::Init,
    source: &StoreUrl,
    target: &StoreUrl,
    (schema, proposed): (&Schema, &[Proposed]),
    name: &str,
    output: &Output,
) {
    let path = arguments.output.display();
    output.say(format!(
        "Wrote {path}: migration {name}, {}, about {} rows.",
        number::of(schema.tables.len() as u64, "table", "tables"),
        number::count(schema.tables.iter().map(|t| t.estimated_rows).sum())
    ));
    let variables: Vec<&str> = [
        (source, "CROSSFADE_SOURCE_PASSWORD"),
        (target, "CROSSFADE_TARGET_PASSWORD"),
    ]
    .into_iter()
    .filter(|(url, _)| url.has_password())
    .map(|(_, variable)| variable)
    .collect();
    if !variables.is_empty() {
        output.say(format!(
            "Passwords are not written: set {} before the next command.",
            variables.join(" and ")
        ));
    }
    if proposed.iter().any(|p| p.is_active) {
        output.say("Names and types are proposed in the target's custom: read the file before the next command.");
    }
    output.say(format!("Next: `crossfade plan {path}`"));
    output.tell(&json!({
        "file": arguments.output,
        "migration": name,
        "variables": variables,
        "tables": schema.tables.iter().zip(proposed).map(|(t, proposed)| json!({
            "name": t.name.to_string(),
            "to": proposed.to.as_ref().map(|_| &proposed.name),
            "estimated_rows": t.estimated_rows,
            "estimated_bytes": t.estimated_bytes,
        })).collect::<Vec<_>>(),
    }));
}

/// What is written.
struct Written<'a> {
    name: &'a str,
    source: String,
    target: String,
    schema: &'a Schema,
    /// What the target is called, where the source is of another engine.
    other_engine: Option<&'a str>,
    /// By the schema's tables.
    proposed: &'a [Proposed],
}

/// What is the same for all tables that go to another engine.
const OTHER_ENGINE: &str = "\
# The target is of another engine: under each table stands what becomes of its columns where the target makes the table; a table that is
# there already keeps its own types, and `plan` checks them. All types: docs/types.md. crossfade quotes every name; statements of
# applications that do not may need to.
";

/// What is said of proposals that are written to be followed.
const ACTIVE: &str = "\
# So that statements need not quote them, names are proposed as the target finds them (`init --names lower` proposes the same letters in lower
# case, `--names keep` none), and booleans where the source has numbers for them. Every line but `drop` stands for itself: without it, a table or
# a column has the source's name, and the type that is said above it. After the switch applications ask for what stands here; the way back gives
# the source its own.
";

/// What a file says of routes before anybody has chosen one.
const ROUTE: &str = "
# What leads applications to one side or the other: kind \"file\", \"exec\", \"webhook\" or \"pgbouncer\". With several,
# write [[route]] before each; they act in the order of the file. All keys: docs/route.md.
# [route]
# kind = \"file\"  # a JSON file that applications watch
# path = \"route.json\"
";

impl Written<'_> {
    fn text(&self) -> String {
        let mut text = format!(
            "# A crossfade migration. `crossfade plan FILE` checks it, `crossfade run FILE` copies and follows.\n\
             \n\
             [migration]\n\
             # Names of things made on the source derive from it; it stays the same for the migration's life.\n\
             name = {}\n\
             # Tables that are left out; `*` stands for any characters.\n\
             # exclude = [\"audit_*\"]\n\
             \n\
             # ${{VARIABLE}} is taken from the environment. Passwords may also come from PGPASSWORD or ~/.pgpass.\n\
             [source]\n\
             url = {}\n\
             \n\
             [target]\n\
             url = {}\n\
             \n",
            quoted(self.name),
            quoted(&self.source),
            quoted(&self.target)
        );
        text.push_str(&self.tables());
        text.push_str(ROUTE);
        text.push_str(
            "\n# How a run works, with the defaults. May be changed between runs.\n# [run]\n",
        );
        let defaults = RunOptions::default();
        for option in OPTIONS {
            let value = defaults.get(option.name).unwrap_or_default();
            text.push_str(&format!(
                "# {} = {value}  # {}\n",
                option.name, option.meaning
            ));
        }
        text.push_str(
            "\n# Where the digests of a full comparison are computed: \"auto\" (wherever it is sooner), \"program\" or \"server\".\n\
             # [verify]\n# digests = \"auto\"\n",
        );
        text.push('\n');
        text.push_str(crossfade_plan::gates::COMMENTED);
        text.push('\n');
        text.push_str(crossfade_plan::standbys::COMMENTED);
        text.push('\n');
        text.push_str(crossfade_plan::shadow::COMMENTED);
        text
    }

    fn tables(&self) -> String {
        let mut text = String::from(
            "# Without any [[table]], all tables are moved, under their own names. With one, only those that are listed.\n\
             # `to` gives another name on the target; `where`, `drop` and [table.columns] say which rows and columns are moved, and as\n\
             # what (docs/mappings.md). Found on the source:\n#\n",
        );
        // where one table is listed, all that are to be moved must be
        let is_active = self.proposed.iter().any(|p| p.is_active);
        if self.other_engine.is_some() {
            text.push_str(OTHER_ENGINE);
            if is_active {
                text.push_str(ACTIVE);
            }
            text.push_str("#\n");
        }
        for (table, proposed) in self.schema.tables.iter().zip(self.proposed) {
            text.push_str(&entry(table, proposed, if is_active { "" } else { "# " }));
        }
        if self.schema.tables.is_empty() {
            text.push_str("# (no table was found)\n");
        }
        text
    }
}

/// A table's entry; `before` each line that is no comment by itself.
fn entry(table: &Table, proposed: &Proposed, before: &str) -> String {
    let mut text = format!(
        "{before}[[table]]\n{before}from = {}  # about {}, {}{}\n",
        quoted(&table.name.to_string()),
        number::of(table.estimated_rows, "row", "rows"),
        number::bytes(table.estimated_bytes),
        remark(table)
    );
    let shown = |line: &Line| {
        let before = if line.is_offered { "# " } else { before };
        match line.why.as_str() {
            "" => format!("{before}{}\n", line.text),
            why => format!("{before}{}  # {}\n", line.text, columns::shown(why)),
        }
    };
    text.extend(proposed.to.iter().chain(&proposed.drop).map(shown));
    for line in &proposed.remarks {
        text.push_str(&format!("#   {line}\n"));
    }
    if !proposed.columns.is_empty() {
        text.push_str(&format!("{before}[table.columns]\n"));
        text.extend(proposed.columns.iter().map(shown));
    }
    if before.is_empty() {
        text.push('\n');
    }
    text
}

fn remark(table: &Table) -> &'static str {
    match (&table.key, table.full_before_images) {
        (None, true) => ", no key: followed by whole rows",
        (None, false) => ", no key: `plan` says what it needs",
        (Some(_), _) => "",
    }
}

/// A TOML basic string (TOML 1.0, "String").
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            c if c.is_control() => out.push_str(&format!("\\u{:04X}", c as u32)),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_is_written_can_be_read_and_holds_no_password() {
        let source = StoreUrl::parse("postgres://app:ge%40heim@old/shop").unwrap();
        let written = Written {
            name: "shop",
            source: shared(&source, "PW", Path::new("m.toml")),
            target: "sqlite:a \"b\" \\ c.db".to_owned(),
            schema: &Schema::default(),
            other_engine: None,
            proposed: &[],
        };
        let text = written.text();
        assert!(!text.contains("heim"), "{text}");
        let lookup = |name: &str| (name == "PW").then(|| source.password().unwrap());
        let file = crossfade_plan::file::parse("m.toml", &text, &lookup).unwrap();
        assert_eq!(file.source, source);
        assert_eq!(file.target.sqlite_path(), Some("a \"b\" \\ c.db"));
        // what stands in comments is right, too
        let lines = text.lines().map(|l| match l.strip_prefix("# ") {
            Some(rest) if rest.starts_with('[') || rest.contains(" = ") => rest.to_owned(),
            _ => l.to_owned(),
        });
        let active = lines.collect::<Vec<_>>().join("\n");
        crossfade_plan::file::parse("m.toml", &active, &lookup).unwrap();
    }
}
