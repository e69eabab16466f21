//! From a migration file's path to what commands work with.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crossfade_control::{ControlError, ControlStore, SqliteControl};
use crossfade_engine::{Lead, Migration, Prepared, Sides, prepare};
use crossfade_mapping::MappedSource;
use crossfade_plan::{MigrationFile, file};
use crossfade_store::{Source, Target};

use crate::args::File;
use crate::failure::{Failure, USAGE};
use crate::{routes, stores};

/// Nobody writes a migration file that is longer, in bytes.
const LONGEST: u64 = 16 << 20;

/// A migration file that was read, and its stores. Nothing is connected yet.
pub struct Loaded {
    /// The file.
    pub file: MigrationFile,
    /// The source.
    pub source: Arc<dyn Source>,
    /// The target.
    pub target: Arc<dyn Target>,
    /// Both once more, each able to play the other's part.
    pub sides: Sides,
    /// Where traffic goes.
    pub lead: Arc<Lead>,
    /// Where the control store lies.
    pub control_path: PathBuf,
}

/// Reads the migration file and opens its stores.
///
/// # Errors
/// A file that cannot be read or is wrong; a URL that its store cannot read.
pub fn load(named: &File) -> Result<Loaded, Failure> {
    let mut file = read(&named.file)?;
    let folder = stores::folder_of(&named.file);
    if let Some(shadow) = &mut file.shadow {
        shadow.file = folder.join(&shadow.file);
    }
    let sides = stores::sides(&file.source, &file.target, &folder)?;
    let lead = routes::lead(&file, &folder)?;
    Ok(Loaded::new(file, sides, lead, control_path(named)))
}

/// Where a migration's control store lies.
pub fn control_path(named: &File) -> PathBuf {
    named
        .control
        .clone()
        .unwrap_or_else(|| SqliteControl::path_beside(&named.file))
}

/// Reads and checks a migration file.
///
/// # Errors
/// A file that cannot be read or is wrong.
pub fn read(path: &Path) -> Result<MigrationFile, Failure> {
    read_with(path, &|name| std::env::var(name).ok())
}

/// Reads a migration file for what is not secret in it: variables that are not set (passwords, as a rule) may stay so.
///
/// # Errors
/// As [`read`].
pub fn read_public(path: &Path) -> Result<MigrationFile, Failure> {
    let lookup = |name: &str| Some(std::env::var(name).unwrap_or_else(|_| "unset".to_owned()));
    // where that does not do (a variable that is a whole URL), the reason is that it is not set
    read_with(path, &lookup).or_else(|_| read(path))
}

/// As [`read`], with another environment.
///
/// # Errors
/// As [`read`].
fn read_with(
    path: &Path,
    lookup: &dyn Fn(&str) -> Option<String>,
) -> Result<MigrationFile, Failure> {
    let shown = path.display().to_string();
    let unreadable = |what: String| {
        Failure::new(
            USAGE,
            "file.unreadable",
            format!("{shown} cannot be read: {what}"),
        )
        .fix("name a migration file; `crossfade init` writes one")
    };
    let length = std::fs::metadata(path)
        .map_err(|e| unreadable(e.to_string()))?
        .len();
    if length > LONGEST {
        return Err(unreadable("it is too long for a migration file".to_owned()));
    }
    let bytes = std::fs::read(path).map_err(|e| unreadable(e.to_string()))?;
    let text = String::from_utf8(bytes).map_err(|e| {
        let at = e.utf8_error().valid_up_to();
        unreadable(format!("it is not UTF-8 text (byte {at})"))
    })?;
    Ok(file::parse(&shown, &text, lookup)?)
}

impl Loaded {
    /// A file's migration with its two stores.
    pub fn new(file: MigrationFile, sides: Sides, lead: Lead, control_path: PathBuf) -> Loaded {
        Loaded {
            file,
            lead: Arc::new(lead),
            source: MappedSource::over(sides.source.clone()),
            target: sides.target.clone(),
            sides,
            control_path,
        }
    }

    /// Opens the control store; makes it where it is absent.
    ///
    /// # Errors
    /// See [`SqliteControl::open`].
    pub fn control(&self) -> Result<Arc<dyn ControlStore>, ControlError> {
        Ok(Arc::new(SqliteControl::open(
            &self.control_path,
            &self.file.name,
        )?))
    }

    /// Opens the control store where there is one.
    ///
    /// # Errors
    /// See [`SqliteControl::open_existing`].
    pub fn existing_control(&self) -> Result<Option<Arc<dyn ControlStore>>, ControlError> {
        let control = SqliteControl::open_existing(&self.control_path, &self.file.name)?;
        Ok(control.map(|c| Arc::new(c) as Arc<dyn ControlStore>))
    }

    /// Asks both stores and makes the plan.
    ///
    /// # Errors
    /// A store that cannot be read.
    pub async fn prepare(&self) -> Result<Prepared, Failure> {
        Ok(prepare(&self.file, self.source.as_ref(), self.sides.target.as_ref()).await?)
    }

    /// What the engine runs.
    pub fn migration(
        &self,
        plan: crossfade_plan::Plan,
        control: Arc<dyn ControlStore>,
    ) -> Arc<Migration> {
        Arc::new(Migration {
            plan,
            source: self.source.clone(),
            target: self.target.clone(),
            control,
            projections: self.file.projections.clone(),
            verify: self.file.verify,
            options: self.file.run,
            sides: self.sides.clone(),
            lead: Arc::clone(&self.lead),
            gates: self.file.gates,
            shadow: self.file.shadow.clone(),
            abort_conditions: self.file.abort_conditions.clone(),
            standbys: self.file.standbys.clone(),
        })
    }
}
