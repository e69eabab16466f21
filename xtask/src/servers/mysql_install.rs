//! Unpacking MySQL and MariaDB, and a data folder that servers begin with a copy of: initializing takes seconds, a copy
//! takes none.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use super::account::Account;
use super::flavor::Flavor;
use super::server::make_folder;
use super::unpack::{Package, install_package};
use crate::failure::{Context, Failure, Result};
use crate::process::{capture, remove_folder};

/// Where in the data folder the template says that it is complete, and for which program.
const STAMP: &str = "crossfade-template";

/// Unpacks a flavor and makes its template where they are not there yet.
///
/// # Errors
/// When a package, a program or a file fails.
pub fn install(flavor: Flavor, cache: &Path, account: Account) -> Result<()> {
    install_package(&Package {
        names: flavor.packages(),
        suite: flavor.suite(),
        prefix: &flavor.prefix(cache),
        programs: &["usr/sbin", "usr/bin"],
        libraries: &["usr/lib/mysql/private"],
    })?;
    let program = flavor.program(cache);
    let version = capture(
        account
            .command(&program)
            .args(["--no-defaults", "--version"]),
    )?;
    if !version.contains(flavor.version()) {
        return Err(Failure::new(format!(
            "{} says {version:?}, expected {}",
            program.display(),
            flavor.version()
        )));
    }
    let template = flavor.template(cache);
    if fs::read_to_string(template.join(STAMP)).is_ok_and(|stamp| stamp == version) {
        return Ok(());
    }
    eprintln!("initializing {}", template.display());
    remove_folder(&template)?;
    make_folder(&template, 0o700)?;
    account.own(&template)?;
    if flavor.is_mysql() {
        initialize(flavor, cache, account)?;
    } else {
        bootstrap(flavor, cache, account)?;
    }
    // every server makes an identity of its own
    let _absent = fs::remove_file(template.join("auto.cnf"));
    let stamp = template.join(STAMP);
    fs::write(&stamp, version).context(|| "cannot write the stamp")?;
    account.own(&stamp)
}

/// What every call of a server's program is told about its place.
pub fn places(flavor: Flavor, cache: &Path) -> Vec<String> {
    let prefix = flavor.prefix(cache);
    let share = share(flavor, &prefix);
    vec![
        "--no-defaults".to_owned(),
        // else the packages' own folder, which is not there
        "--secure-file-priv=".to_owned(),
        format!("--basedir={}", prefix.join("usr").display()),
        format!("--lc-messages-dir={}", share.display()),
        format!("--character-sets-dir={}", share.join("charsets").display()),
        format!(
            "--plugin-dir={}",
            prefix.join("usr/lib/mysql/plugin").display()
        ),
    ]
}

fn share(flavor: Flavor, prefix: &Path) -> PathBuf {
    let mariadb = prefix.join("usr/share/mariadb");
    if !flavor.is_mysql() && mariadb.join("charsets").exists() {
        mariadb
    } else {
        prefix.join("usr/share/mysql")
    }
}

fn initialize(flavor: Flavor, cache: &Path, account: Account) -> Result<()> {
    capture(
        account
            .command(flavor.program(cache))
            .args(places(flavor, cache))
            .arg("--initialize-insecure")
            .arg("--innodb-redo-log-capacity=8M")
            .arg(format!("--datadir={}", flavor.template(cache).display())),
    )
    .map(drop)
}

/// What `mariadb-install-db` does: its SQL files, run by a server that takes them from its standard input.
fn bootstrap(flavor: Flavor, cache: &Path, account: Account) -> Result<()> {
    let share = share(flavor, &flavor.prefix(cache));
    let mut sql = String::from(
        "CREATE DATABASE IF NOT EXISTS mysql;\nUSE mysql;\nSET @auth_root_socket=NULL;\n",
    );
    for part in [
        "system_tables",
        "performance_tables",
        "system_tables_data",
        "sys_schema",
    ] {
        let file = ["mariadb", "mysql"]
            .map(|name| share.join(format!("{name}_{part}.sql")))
            .into_iter()
            .find(|file| file.exists())
            .ok_or_else(|| Failure::new(format!("no {part}.sql in {}", share.display())))?;
        let text =
            fs::read_to_string(&file).context(|| format!("cannot read {}", file.display()))?;
        sql.push_str(&text);
        sql.push('\n');
    }
    let script = cache.join(format!("{flavor}-bootstrap.sql"));
    fs::write(&script, sql).context(|| format!("cannot write {}", script.display()))?;
    let input = fs::File::open(&script).context(|| format!("cannot read {}", script.display()))?;
    let output = account
        .command(flavor.program(cache))
        .args(places(flavor, cache))
        .args([
            "--bootstrap",
            "--skip-log-bin",
            "--innodb-buffer-pool-size=64M",
            "--innodb-log-file-size=8M",
            "--max-allowed-packet=8M",
            "--net-buffer-length=16K",
        ])
        .arg(format!("--datadir={}", flavor.template(cache).display()))
        .stdin(Stdio::from(input))
        .output()
        .context(|| format!("cannot initialize {flavor}"))?;
    let _left = fs::remove_file(&script);
    if output.status.success() {
        return Ok(());
    }
    Err(Failure::new(format!(
        "initializing {flavor}: {}: {}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    )))
}
