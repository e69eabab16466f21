//! Where a demo's files lie.

use std::path::{Path, PathBuf};

use crossfade_engine::Lead;
use crossfade_plan::{StoreUrl, file};

use crate::args::{self, File};
use crate::failure::{Failure, REFUSED, USAGE};
use crate::load::{self, Loaded};
use crate::stores;

/// A file that marks a folder as a demo's.
const MARK: &str = ".crossfade-demo";
/// What names of files that a demo leaves in its folder begin with.
const OURS: [&str; 3] = ["shop.db", "moved.db", "migration.toml"];

/// A demo's folder and stores.
pub struct Place {
    /// The folder.
    pub folder: PathBuf,
    /// The migration file in it.
    pub file: PathBuf,
    /// The shop.
    pub source: StoreUrl,
    /// Where it is moved to.
    pub target: StoreUrl,
    /// The stores are not files in the folder.
    pub on_servers: bool,
}

impl Place {
    /// Makes the folder, or empties an earlier demo's, and writes the migration file.
    ///
    /// # Errors
    /// A folder that is somebody else's, or cannot be written; wrong URLs.
    pub fn prepare(arguments: &args::Demo) -> Result<Place, Failure> {
        let given = |text: &Option<String>| {
            text.as_ref()
                .map(|t| StoreUrl::parse(t).map(|url| absolute(&url)))
                .transpose()
                .map_err(|p| Failure::new(USAGE, "usage.url", p.what).fix(p.fix))
        };
        let (source, target) = (given(&arguments.source)?, given(&arguments.target)?);
        let folder = arguments.dir.clone();
        empty(&folder)?;
        let local = |name: &str| {
            let path = std::path::absolute(folder.join(name)).unwrap_or_else(|_| folder.join(name));
            StoreUrl::parse(&format!("sqlite:{}", path.display()))
                .map_err(|p| Failure::new(USAGE, "usage.url", p.what).fix(p.fix))
        };
        let on_servers = source.is_some();
        let place = Place {
            file: folder.join("migration.toml"),
            source: match source {
                Some(url) => url,
                None => local("shop.db")?,
            },
            target: match target {
                Some(url) => url,
                None => local("moved.db")?,
            },
            on_servers,
            folder,
        };
        let text = place.text();
        std::fs::write(&place.file, text).map_err(|e| unwritable(&place.file, &e))?;
        Ok(place)
    }

    fn text(&self) -> String {
        let (source, target) = if self.on_servers {
            (
                self.source
                    .with_password_variable("CROSSFADE_SOURCE_PASSWORD"),
                self.target
                    .with_password_variable("CROSSFADE_TARGET_PASSWORD"),
            )
        } else {
            // beside this file, so that the folder can be moved
            ("sqlite:shop.db".to_owned(), "sqlite:moved.db".to_owned())
        };
        let mut text = format!(
            "# Written by `crossfade demo`.\n[migration]\nname = \"shop_demo\"\n\n[source]\nurl = {}\n\n[target]\nurl = {}\n",
            toml_string(&source),
            toml_string(&target)
        );
        if self.on_servers {
            text.push('\n');
            for (table, _) in super::shop::TABLES {
                let from = match self.source.scheme() {
                    crossfade_plan::Scheme::Postgres => format!("shop.{table}"),
                    crossfade_plan::Scheme::Sqlite | crossfade_plan::Scheme::Mysql => {
                        table.to_owned()
                    }
                };
                let to = match self.target.scheme() {
                    crossfade_plan::Scheme::Postgres => format!("shop.{table}"),
                    crossfade_plan::Scheme::Sqlite | crossfade_plan::Scheme::Mysql => {
                        table.to_owned()
                    }
                };
                text.push_str(&format!("[[table]]\nfrom = \"{from}\"\nto = \"{to}\"\n"));
            }
        }
        // small chunks: many of them, so that there is something to see
        text.push_str("\n[run]\nchunk_rows = 5000\n");
        text
    }

    /// The migration, with the passwords that were given on the command line.
    ///
    /// # Errors
    /// A URL that its store cannot read.
    pub fn load(&self) -> Result<Loaded, Failure> {
        let lookup = |name: &str| match name {
            "CROSSFADE_SOURCE_PASSWORD" => self.source.password(),
            "CROSSFADE_TARGET_PASSWORD" => self.target.password(),
            _ => None,
        };
        let path = self.file.display().to_string();
        let parsed = file::parse(&path, &self.text(), &lookup)?;
        let named = File {
            file: self.file.clone(),
            control: None,
        };
        let sides = stores::sides(&self.source, &self.target, Path::new("."))?;
        Ok(Loaded::new(
            parsed,
            sides,
            Lead::none(),
            load::control_path(&named),
        ))
    }
}

/// A path given on the command line means the same in the file.
fn absolute(url: &StoreUrl) -> StoreUrl {
    let here = std::env::current_dir().unwrap_or_default();
    StoreUrl::parse(&stores::located(url, &here)).unwrap_or_else(|_| url.clone())
}

/// A TOML literal string where that is possible.
fn toml_string(text: &str) -> String {
    if text.contains('\'') {
        format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
    } else {
        format!("'{text}'")
    }
}

fn unwritable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(
        USAGE,
        "demo.folder",
        format!("{} cannot be written: {error}", path.display()),
    )
    .fix("name another folder with `--dir`")
}

/// Makes the folder; from an earlier demo's removes what it has left, and nothing else.
fn empty(folder: &Path) -> Result<(), Failure> {
    if folder.exists() && !folder.join(MARK).exists() {
        let mut entries = std::fs::read_dir(folder).map_err(|e| unwritable(folder, &e))?;
        if entries.next().is_some() {
            return Err(Failure::new(
                REFUSED,
                "demo.folder",
                format!("{} is not empty and no demo has made it", folder.display()),
            )
            .fix("name another folder with `--dir`"));
        }
    }
    std::fs::create_dir_all(folder).map_err(|e| unwritable(folder, &e))?;
    let entries = std::fs::read_dir(folder).map_err(|e| unwritable(folder, &e))?;
    for entry in entries {
        let entry = entry.map_err(|e| unwritable(folder, &e))?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if OURS.iter().any(|ours| name.starts_with(ours)) {
            std::fs::remove_file(entry.path()).map_err(|e| unwritable(&entry.path(), &e))?;
        }
    }
    let mark = folder.join(MARK);
    std::fs::write(
        &mark,
        "This folder was made by `crossfade demo`, which may empty it.\n",
    )
    .map_err(|e| unwritable(&mark, &e))
}
