//! PostgreSQL versions and programs that the system's release lacks: the packages of another Debian suite with
//! all they depend on, unpacked into the cache and made to run by their own loader and libraries.
//! Nothing of the system's package database is touched and no root is needed.

use std::env::consts::ARCH;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::sources::debian_mirror;
use super::version::Version;
use crate::failure::{Context, Failure, Result};
use crate::process::{capture, remove_folder, run};

const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// Written last, with the place that the programs were made for: a moved cache is made again.
const STAMP: &str = ".complete";

/// Packages of a Debian suite, and where they go.
pub struct Package<'a> {
    /// Their names.
    pub names: &'a [&'a str],
    /// The suite that has them.
    pub suite: &'a str,
    /// The folder that they and all they depend on are unpacked into.
    pub prefix: &'a Path,
    /// The folders of their programs below that.
    pub programs: &'a [&'a str],
    /// Folders of libraries below it, beside the system's usual ones.
    pub libraries: &'a [&'a str],
}

/// Unpacks `version` if it is not there yet.
///
/// # Errors
/// When the mirror, a package or a tool fails; nothing half made is left in the version's place.
pub fn install(version: Version, cache: &Path) -> Result<()> {
    let Some(suite) = version.suite() else {
        return Ok(());
    };
    install_package(&Package {
        names: &[&format!("postgresql-{version}")],
        suite,
        prefix: &version.prefix(cache),
        programs: &[&format!("usr/lib/postgresql/{version}/bin")],
        libraries: &[],
    })
}

/// Unpacks a package if it is not there yet.
///
/// # Errors
/// As [`install`].
pub fn install_package(package: &Package<'_>) -> Result<()> {
    let Package {
        names,
        suite,
        prefix,
        ..
    } = package;
    let name = names.join(", ");
    let made_for = prefix.display().to_string();
    if fs::read_to_string(prefix.join(STAMP)).is_ok_and(|stamp| stamp == made_for) {
        return Ok(());
    }
    eprintln!("unpacking {name} of Debian {suite} into {made_for}");
    let partial = prefix.with_extension("partial");
    let root = partial.join("root");
    remove_folder(&partial)?;
    remove_folder(prefix)?;
    fs::create_dir_all(&root).context(|| format!("cannot make {}", root.display()))?;

    let apt = Apt::prepare(&partial, suite)?;
    apt.update()
        .context(|| format!("cannot read the package lists of Debian {suite}"))?;
    let files = apt
        .download(names)
        .context(|| format!("cannot download {name} of Debian {suite}"))?;
    for file in files {
        unpack(&file, &root)?;
    }
    use_own_loader(package, &root)?;
    fs::write(root.join(STAMP), &made_for).context(|| "cannot write the stamp")?;
    fs::rename(&root, prefix).context(|| format!("cannot make {made_for}"))?;
    remove_folder(&partial)
}

/// apt with lists, state and archives of its own and an empty set of installed packages, so that
/// it resolves and downloads the whole dependency closure. The machine's proxy settings still hold.
struct Apt {
    folder: PathBuf,
}

impl Apt {
    fn prepare(partial: &Path, suite: &str) -> Result<Self> {
        let folder = partial.join("apt");
        let make = |below: &str| {
            let path = folder.join(below);
            fs::create_dir_all(&path).context(|| format!("cannot make {}", path.display()))
        };
        make("lists/partial")?;
        make("archives/partial")?;
        let signed = if Path::new(KEYRING).exists() {
            format!("[signed-by={KEYRING}] ")
        } else {
            String::new()
        };
        let line = format!("deb {signed}{} {suite} main\n", debian_mirror()?);
        fs::write(folder.join("sources.list"), line).context(|| "cannot write apt's sources")?;
        fs::write(folder.join("status"), "").context(|| "cannot write apt's state")?;
        Ok(Self { folder })
    }

    fn command(&self) -> Command {
        let path = |below: &str| self.folder.join(below).display().to_string();
        let mut command = Command::new("apt-get");
        for (option, value) in [
            ("Dir::Etc::SourceList", path("sources.list")),
            ("Dir::Etc::SourceParts", "/dev/null".into()),
            ("Dir::Etc::Preferences", "/dev/null".into()),
            ("Dir::Etc::PreferencesParts", "/dev/null".into()),
            // a mirror of sid may stand still for longer than a list is good for; signatures are checked all the same
            ("Acquire::Check-Valid-Until", "false".into()),
            ("Dir::State", path("")),
            ("Dir::State::Lists", path("lists")),
            ("Dir::State::status", path("status")),
            ("Dir::Cache", path("")),
            ("Dir::Cache::archives", path("archives")),
            ("APT::Sandbox::User", "root".into()),
            ("APT::Install-Recommends", "0".into()),
            ("APT::Keep-Downloaded-Packages", "1".into()),
            ("Acquire::Languages", "none".into()),
            (
                "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled",
                "false".into(),
            ),
            (
                "Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled",
                "false".into(),
            ),
            ("Acquire::Retries", "3".into()),
            ("Debug::NoLocking", "1".into()),
        ] {
            command.arg("-o").arg(format!("{option}={value}"));
        }
        command
    }

    fn update(&self) -> Result<()> {
        // A failed download of lists is only a warning to apt; here it must be an error.
        capture(
            self.command()
                .args(["-o", "APT::Update::Error-Mode=any", "update", "-qq"]),
        )
        .map(drop)
    }

    /// Downloads `packages` and all that they depend on; gives the package files.
    fn download(&self, packages: &[&str]) -> Result<Vec<PathBuf>> {
        capture(
            self.command()
                .args([
                    "install",
                    "-y",
                    "-qq",
                    "--no-install-recommends",
                    "--download-only",
                ])
                .args(packages),
        )?;
        let archives = self.folder.join("archives");
        let mut files: Vec<PathBuf> = fs::read_dir(&archives)
            .context(|| format!("cannot list {}", archives.display()))?
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| path.extension().is_some_and(|ending| ending == "deb"))
            .collect();
        files.sort();
        if files.is_empty() {
            return Err(Failure::new(format!(
                "apt downloaded nothing for {}",
                packages.join(", ")
            )));
        }
        Ok(files)
    }
}

/// Unpacks one package. Owners and special modes are not kept: nothing set-user-id may lie in a
/// cache, and every account must be able to read it whatever the caller's umask.
fn unpack(package: &Path, root: &Path) -> Result<()> {
    let what = || format!("cannot unpack {}", package.display());
    let mut files = Command::new("dpkg-deb")
        .arg("--fsys-tarfile")
        .arg(package)
        .stdout(Stdio::piped())
        .spawn()
        .context(what)?;
    let stream = files.stdout.take().map_or_else(Stdio::null, Stdio::from);
    let unpacked = run(Command::new("sh")
        .args([
            "-c",
            r#"umask 022; exec tar "$@""#,
            "tar",
            "-x",
            "--no-same-owner",
            "--no-same-permissions",
        ])
        .args([
            "--keep-directory-symlink",
            "--exclude=./usr/share/doc",
            "--exclude=./usr/share/man",
        ])
        .args(["--exclude=./usr/share/locale", "--exclude=./dev", "-C"])
        .arg(root)
        .stdin(stream));
    let read = files.wait().context(what)?;
    unpacked.context(what)?;
    if read.success() {
        Ok(())
    } else {
        Err(Failure::new(format!("{}: {read}", what())))
    }
}

/// Makes every program of the package name the loader and libraries of its final place, so that
/// programs can start each other (initdb and pg_ctl start postgres) without a wrapper. The old-style
/// RPATH also serves what those programs load while they run; a RUNPATH would not.
fn use_own_loader(package: &Package<'_>, root: &Path) -> Result<()> {
    let prefix = package.prefix;
    let (triplet, loader) = match ARCH {
        "x86_64" => ("x86_64-linux-gnu", "ld-linux-x86-64.so.2"),
        "aarch64" => ("aarch64-linux-gnu", "ld-linux-aarch64.so.1"),
        other => return Err(Failure::new(format!("no recipe for the loader of {other}"))),
    };
    let folder = ["usr/lib", "lib"]
        .map(|folder| format!("{folder}/{triplet}"))
        .into_iter()
        .find(|folder| root.join(folder).join(loader).exists())
        .ok_or_else(|| {
            Failure::new(format!(
                "{} of Debian {} brought no {loader}",
                package.names.join(", "),
                package.suite
            ))
        })?;
    let interpreter = prefix.join(&folder).join(loader);
    let libraries = ["usr/lib", "lib"]
        .iter()
        .map(|folder| prefix.join(folder).join(triplet))
        .chain(package.libraries.iter().map(|folder| prefix.join(folder)))
        .map(|folder| folder.display().to_string())
        .collect::<Vec<_>>()
        .join(":");
    for programs in package.programs {
        let programs = root.join(programs);
        let entries =
            fs::read_dir(&programs).context(|| format!("cannot list {}", programs.display()))?;
        for program in entries
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| is_elf(path) && has_interpreter(path))
        {
            capture(
                Command::new("patchelf")
                    .arg("--set-interpreter")
                    .arg(&interpreter)
                    .args(["--force-rpath", "--set-rpath", &libraries])
                    .arg(&program),
            )?;
        }
    }
    Ok(())
}

/// Whether the program asks for a loader: a static one does not, and cannot be told of another.
fn has_interpreter(path: &Path) -> bool {
    capture(
        Command::new("patchelf")
            .arg("--print-interpreter")
            .arg(path),
    )
    .is_ok()
}

fn is_elf(path: &Path) -> bool {
    let mut magic = [0; 4];
    let is_link = fs::symlink_metadata(path).is_ok_and(|found| found.is_symlink());
    !is_link
        && fs::File::open(path)
            .and_then(|mut file| file.read_exact(&mut magic))
            .is_ok()
        && magic == *b"\x7fELF"
}
