//! The password file (PostgreSQL documentation, section 34.16): lines of `hostname:port:database:username:password`.

use std::path::PathBuf;

use crate::url::{ConnectUrl, Environment, Host, Password};

/// The largest password file that is read, in bytes.
const LARGEST: u64 = 1 << 20;

/// What looking into the password file brought.
pub enum Found {
    /// The password of the first line that matches.
    Password(Password),
    /// No file, or no line that matches.
    Nothing,
    /// A file is there but may not be used, in words.
    Unusable(String),
}

/// Looks up the password of a connection in `path`, else PGPASSFILE's value, else `~/.pgpass`.
pub fn find(url: &ConnectUrl, path: Option<String>, environment: Environment<'_>) -> Found {
    let path = match (path, environment("HOME")) {
        (Some(path), _) => PathBuf::from(path),
        (None, Some(home)) => PathBuf::from(home).join(".pgpass"),
        (None, None) => return Found::Nothing,
    };
    let Ok(about) = std::fs::metadata(&path) else {
        return Found::Nothing;
    };
    let shown = path.display();
    if !about.is_file() {
        return Found::Unusable(format!("the password file {shown} is not a plain file"));
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        if about.permissions().mode() & 0o077 != 0 {
            return Found::Unusable(format!(
                "the password file {shown} is not used because others may read it: chmod 0600 {shown}"
            ));
        }
    }
    if about.len() > LARGEST {
        return Found::Unusable(format!("the password file {shown} is too large"));
    }
    match std::fs::read_to_string(&path) {
        Ok(text) => lookup(&text, url).map_or(Found::Nothing, Found::Password),
        Err(e) => Found::Unusable(format!("the password file {shown} cannot be read: {e}")),
    }
}

fn lookup(text: &str, url: &ConnectUrl) -> Option<Password> {
    let host = match &url.host {
        Host::Tcp(name) => name.clone(),
        // the default socket folder is looked up under this name
        Host::Unix(folder) if folder.as_os_str() == "/var/run/postgresql" => "localhost".into(),
        Host::Unix(folder) => folder.to_string_lossy().into_owned(),
    };
    let port = url.port.to_string();
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .find_map(|line| {
            let mut rest = line;
            for wanted in [host.as_str(), &port, &url.dbname, &url.user] {
                rest = matches(rest, wanted)?;
            }
            Some(Password::new(unescape(rest)))
        })
        .filter(|p| !p.expose().is_empty())
}

/// What follows the colon after a field that is `wanted` or `*`.
fn matches<'a>(line: &'a str, wanted: &str) -> Option<&'a str> {
    let mut escaped = false;
    let end = line
        .char_indices()
        .find(|(_, c)| {
            let is_end = *c == ':' && !escaped;
            escaped = *c == '\\' && !escaped;
            is_end
        })
        .map(|(at, _)| at)?;
    let field = &line[..end];
    (field == "*" || unescape(field) == wanted).then(|| &line[end + 1..])
}

fn unescape(field: &str) -> String {
    let mut out = String::with_capacity(field.len());
    let mut chars = field.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => out.extend(chars.next()),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::io::Write as _;
    use std::os::unix::fs::PermissionsExt as _;

    fn with_file(mode: u32, text: &str, url: &str) -> ConnectUrl {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        std::fs::set_permissions(file.path(), std::fs::Permissions::from_mode(mode)).unwrap();
        let path = file.path().to_str().unwrap().to_owned();
        ConnectUrl::parse(url, &move |name: &str| {
            (name == "PGPASSFILE").then(|| path.clone())
        })
        .unwrap()
    }

    fn password(text: &str, url: &str) -> Option<String> {
        with_file(0o600, text, url)
            .password
            .map(|p| p.expose().to_owned())
    }

    #[test]
    fn the_first_matching_line_counts() {
        let file = "# comment\nother:*:*:*:no\nh:5432:d:u:first\n*:*:*:*:second\n";
        assert_eq!(password(file, "postgres://u@h/d").as_deref(), Some("first"));
        assert_eq!(
            password(file, "postgres://u@h:1/d").as_deref(),
            Some("second")
        );
        assert_eq!(password("h:1:d:u:x", "postgres://u@h/d"), None);
        assert_eq!(password("h:5432", "postgres://u@h/d"), None);
    }

    #[test]
    fn escapes_and_sockets_are_read() {
        let file = "*:*:*:a\\:b:p\\:\\\\w\n";
        assert_eq!(
            password(file, "postgres://a%3Ab@h/d").as_deref(),
            Some("p:\\w")
        );
        let file = "localhost:*:*:*:local\n/run/x:*:*:*:there\n";
        assert_eq!(
            password(file, "postgres://u@/d?host=/run/x").as_deref(),
            Some("there")
        );
        assert_eq!(
            password(file, "postgres://u@/d?host=/var/run/postgresql").as_deref(),
            Some("local")
        );
    }

    #[test]
    fn a_file_that_others_can_read_is_not_used() {
        let url = with_file(0o640, "*:*:*:*:secret\n", "postgres://u@h/d");
        assert!(url.password.is_none());
        assert!(url.password_note.unwrap().contains("chmod 0600"));
    }
}
