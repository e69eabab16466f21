//! Connection URLs, with libpq's meanings (PostgreSQL documentation, section 34.1.1.2 "Connection URIs" and 34.1.2
//! "Parameter Key Words"), its environment variables (34.15) and its password file (34.16).

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use crossfade_store::{ErrorKind, Result, StoreError};

use crate::passfile;
use crate::tls::{SslMode, TlsFiles};

/// Where a server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    /// A host's name or address.
    Tcp(String),
    /// The folder of a Unix-domain socket.
    Unix(PathBuf),
}

/// A password. Its debug form does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(String);

impl Password {
    /// A password.
    pub fn new(password: impl Into<String>) -> Password {
        Password(password.into())
    }

    /// The password itself, for the authentication exchange alone.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

/// What a URL and the environment say about a connection.
#[derive(Debug, Clone)]
pub struct ConnectUrl {
    /// Where to connect, and the name to verify in the server's certificate.
    pub host: Host,
    /// The address to connect to instead of looking up `host`.
    pub hostaddr: Option<IpAddr>,
    /// The port.
    pub port: u16,
    /// The role.
    pub user: String,
    /// The password, where there is one.
    pub password: Option<Password>,
    /// Why there is no password although a password file is there.
    pub password_note: Option<String>,
    /// The database.
    pub dbname: String,
    /// Time for one try to connect, authentication included; at least two seconds, as in libpq.
    pub connect_timeout: Duration,
    /// How the connection is encrypted.
    pub sslmode: SslMode,
    /// Certificates and keys.
    pub tls: TlsFiles,
}

/// Time for one try to connect where nothing says otherwise. (libpq waits for ever; a tool must not.)
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);

const KNOWN: [&str; 12] = [
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "password",
    "passfile",
    "connect_timeout",
    "sslmode",
    "sslrootcert",
    "sslcert",
    "sslkey",
];

/// Reads variables of the environment; a parameter, so that tests need not change the process's own.
pub type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The process's environment. A variable that is empty counts as absent, as in libpq.
pub fn process_environment(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|v| !v.is_empty())
}

impl ConnectUrl {
    /// Reads `postgres://user:password@host:port/database?parameters`.
    ///
    /// # Errors
    /// A malformed URL, an unknown parameter, a value that is none. Never shows the URL: it may hold a password.
    pub fn parse(url: &str, environment: Environment<'_>) -> Result<ConnectUrl> {
        let mut given = split(url)?;
        let mut take = |key: &str, variable: &str| {
            given
                .remove(key)
                .filter(|v| !v.is_empty())
                .or_else(|| environment(variable))
        };
        let host = take("host", "PGHOST");
        let hostaddr = take("hostaddr", "PGHOSTADDR")
            .map(|a| {
                a.parse::<IpAddr>()
                    .map_err(|_| bad("hostaddr is not an IP address"))
            })
            .transpose()?;
        let port = match take("port", "PGPORT") {
            Some(port) => port
                .parse::<u16>()
                .ok()
                .filter(|p| *p > 0)
                .ok_or_else(|| bad("the port is not a number from 1 to 65535"))?,
            None => 5432,
        };
        let user = take("user", "PGUSER")
            .or_else(|| environment("USER"))
            .or_else(|| environment("LOGNAME"))
            .ok_or_else(|| bad("there is no user").fix("Write postgres://USER@HOST/DATABASE"))?;
        let dbname = take("dbname", "PGDATABASE").unwrap_or_else(|| user.clone());
        let password = take("password", "PGPASSWORD").map(Password);
        let passfile = take("passfile", "PGPASSFILE");
        let connect_timeout = seconds(take("connect_timeout", "PGCONNECT_TIMEOUT"))?;
        let sslmode = take("sslmode", "PGSSLMODE");
        let tls = TlsFiles::new(
            take("sslrootcert", "PGSSLROOTCERT"),
            take("sslcert", "PGSSLCERT"),
            take("sslkey", "PGSSLKEY"),
            environment("HOME"),
        );
        let host = match host {
            Some(folder) if folder.starts_with('/') => Host::Unix(folder.into()),
            Some(name) => Host::Tcp(name),
            None => match hostaddr {
                Some(address) => Host::Tcp(address.to_string()),
                None => default_host(),
            },
        };
        if matches!(&host, Host::Tcp(name) if name.contains(',')) {
            return Err(bad("several hosts are given")
                .fix("Name the one server that is the primary: positions of another one mean something else"));
        }
        let sslmode = match sslmode {
            Some(mode) => SslMode::parse(&mode).ok_or_else(|| {
                bad("sslmode is none of disable, allow, prefer, require, verify-ca, verify-full")
            })?,
            None if tls.uses_system_roots() => SslMode::VerifyFull,
            None => SslMode::Prefer,
        };
        if tls.uses_system_roots() && sslmode != SslMode::VerifyFull {
            return Err(bad(
                "sslrootcert=system needs sslmode=verify-full, or no sslmode",
            ));
        }
        let mut parsed = ConnectUrl {
            host,
            hostaddr,
            port,
            user,
            password,
            password_note: None,
            dbname,
            connect_timeout,
            sslmode,
            tls,
        };
        if parsed.password.is_none() {
            match passfile::find(&parsed, passfile, environment) {
                passfile::Found::Password(password) => parsed.password = Some(password),
                passfile::Found::Nothing => {}
                passfile::Found::Unusable(why) => parsed.password_note = Some(why),
            }
        }
        Ok(parsed)
    }

    /// The URL without secrets, for people.
    pub fn label(&self) -> String {
        let host = match &self.host {
            Host::Tcp(name) if name.contains(':') => format!("[{name}]"),
            Host::Tcp(name) => name.clone(),
            Host::Unix(folder) => encode(&folder.to_string_lossy()),
        };
        let port = if self.port == 5432 {
            String::new()
        } else {
            format!(":{}", self.port)
        };
        format!(
            "postgres://{}@{host}{port}/{}",
            encode(&self.user),
            encode(&self.dbname)
        )
    }
}

fn bad(what: &str) -> StoreError {
    StoreError::new(ErrorKind::Usage, "postgres.url", "postgres", what)
}

fn seconds(text: Option<String>) -> Result<Duration> {
    let Some(text) = text else {
        return Ok(CONNECT_TIMEOUT);
    };
    match text.parse::<i64>() {
        Ok(..=0) => Ok(CONNECT_TIMEOUT),
        Ok(n) => Ok(Duration::from_secs(n.clamp(2, 3600).unsigned_abs())),
        Err(_) => Err(bad("connect_timeout is not a number of seconds")),
    }
}

/// Where libpq would look: Debian's socket folder where it exists, else this machine by TCP.
fn default_host() -> Host {
    let folder = PathBuf::from("/var/run/postgresql");
    if folder.is_dir() {
        Host::Unix(folder)
    } else {
        Host::Tcp("localhost".into())
    }
}

/// Splits a URL into parameters by libpq's grammar: `scheme://[user[:password]@][host][:port][/dbname][?key=value[&…]]`.
fn split(url: &str) -> Result<BTreeMap<String, String>> {
    let rest = url
        .strip_prefix("postgres://")
        .or_else(|| url.strip_prefix("postgresql://"))
        .ok_or_else(|| bad("the URL does not begin with postgres://"))?;
    let (rest, query) = match rest.split_once('?') {
        Some((rest, query)) => (rest, Some(query)),
        None => (rest, None),
    };
    if query.is_some_and(|q| q.contains('@')) && !rest.contains('@') {
        return Err(bad("there is a ? before the @").fix("Write ? in a password as %3F"));
    }
    let (authority, dbname) = match rest.split_once('/') {
        Some((authority, dbname)) => (authority, dbname),
        None => (rest, ""),
    };
    let mut given = BTreeMap::new();
    let mut put = |key: &str, value: &str| -> Result<()> {
        if !value.is_empty() {
            given.insert(key.to_owned(), decode(value)?);
        }
        Ok(())
    };
    let address = match authority.rsplit_once('@') {
        Some((login, address)) => {
            let (user, password) = login.split_once(':').unwrap_or((login, ""));
            put("user", user)?;
            put("password", password)?;
            address
        }
        None => authority,
    };
    let (host, port) = host_and_port(address)?;
    put("host", host)?;
    put("port", port)?;
    put("dbname", dbname)?;
    for pair in query.into_iter().flat_map(|q| q.split('&')) {
        if pair.is_empty() {
            continue;
        }
        let (key, value) = pair
            .split_once('=')
            .ok_or_else(|| bad("a parameter after ? has no value"))?;
        let key = decode(key)?;
        if !KNOWN.contains(&key.as_str()) {
            return Err(bad(&format!("the URL's parameter {key} is not known"))
                .fix(format!("Known are {}", KNOWN.join(", "))));
        }
        put(&key, value)?;
    }
    Ok(given)
}

fn host_and_port(address: &str) -> Result<(&str, &str)> {
    if let Some(inner) = address.strip_prefix('[') {
        let (host, after) = inner
            .split_once(']')
            .ok_or_else(|| bad("an IPv6 address lacks its closing bracket"))?;
        if host.is_empty() {
            return Err(bad("an IPv6 address is empty"));
        }
        return match after.strip_prefix(':') {
            Some(port) => Ok((host, port)),
            None if after.is_empty() => Ok((host, "")),
            None => Err(bad("an IPv6 address is followed by neither : nor /")),
        };
    }
    match address.split_once(':') {
        Some((_, port)) if port.contains(':') => {
            Err(bad("the host has several colons").fix("Write an IPv6 address in brackets: [::1]"))
        }
        Some(parts) => Ok(parts),
        None => Ok((address, "")),
    }
}

/// Resolves `%XX`.
fn decode(text: &str) -> Result<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let mut digit = || bytes.next().and_then(|b| (b as char).to_digit(16));
        let (Some(high), Some(low)) = (digit(), digit()) else {
            return Err(
                bad("a % in the URL is not followed by two hexadecimal digits")
                    .fix("Write % itself as %25"),
            );
        };
        out.push((high * 16 + low) as u8);
    }
    if out.contains(&0) {
        return Err(bad("the URL holds %00"));
    }
    String::from_utf8(out).map_err(|_| bad("the URL is not UTF-8"))
}

fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(byte as char);
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn nothing(_: &str) -> Option<String> {
        None
    }

    fn parse(url: &str) -> Result<ConnectUrl> {
        ConnectUrl::parse(url, &nothing)
    }

    #[test]
    fn all_parts_are_read_and_decoded() {
        let u = parse("postgres://a%40b:p%2F%3A%40@[::1]:6000/my%20db?sslmode=verify-full&sslrootcert=/ca&connect_timeout=1").unwrap();
        assert_eq!(u.user, "a@b");
        assert_eq!(u.password.as_ref().unwrap().expose(), "p/:@");
        assert_eq!(u.host, Host::Tcp("::1".into()));
        assert_eq!((u.port, u.dbname.as_str()), (6000, "my db"));
        assert_eq!(u.sslmode, SslMode::VerifyFull);
        assert_eq!(u.connect_timeout, Duration::from_secs(2));
        assert_eq!(u.label(), "postgres://a%40b@[::1]:6000/my%20db");
        assert!(!format!("{u:?}").contains("p/:@"));
    }

    #[test]
    fn sockets_are_hosts_too() {
        let folder = Host::Unix("/run/pg".into());
        assert_eq!(parse("postgres://u@%2Frun%2Fpg/d").unwrap().host, folder);
        assert_eq!(
            parse("postgresql://u@/d?host=/run/pg").unwrap().host,
            folder
        );
    }

    #[test]
    fn the_environment_fills_what_the_url_leaves_open() {
        let env = |name: &str| {
            Some(
                match name {
                    "PGHOST" => "h",
                    "PGPORT" => "7",
                    "PGUSER" => "u",
                    "PGPASSWORD" => "secret",
                    "PGSSLMODE" => "require",
                    _ => return None,
                }
                .to_owned(),
            )
        };
        let u = ConnectUrl::parse("postgres://", &env).unwrap();
        assert_eq!(u.host, Host::Tcp("h".into()));
        assert_eq!((u.port, u.user.as_str(), u.dbname.as_str()), (7, "u", "u"));
        assert_eq!(u.password.unwrap().expose(), "secret");
        assert_eq!(u.sslmode, SslMode::Require);
        let u = ConnectUrl::parse("postgres://me:mine@x:1/d?sslmode=disable", &env).unwrap();
        assert_eq!(u.password.unwrap().expose(), "mine");
        assert_eq!((u.port, u.sslmode), (1, SslMode::Disable));
    }

    #[test]
    fn bad_urls_are_named_without_showing_them() {
        for (url, part) in [
            ("mysql://x", "postgres://"),
            ("postgres://u:secret@h:0/d", "port"),
            ("postgres://u:secret@h:99999/d", "port"),
            ("postgres://u:secret@::1/d", "colons"),
            ("postgres://u:secret@[::1/d", "bracket"),
            ("postgres://u:sec%2@h/d", "%"),
            ("postgres://u:secret@h/d?sslmode=on", "sslmode"),
            ("postgres://u:secret@h/d?optoins=x", "optoins"),
            ("postgres://u:secret@h,g/d", "several hosts"),
            (
                "postgres://u:secret@h/d?sslrootcert=system&sslmode=require",
                "system",
            ),
            ("postgres://u:secret@h/d?hostaddr=here", "hostaddr"),
            ("postgres://u:se?secret=1@h/d", "%3F"),
            ("postgres://h/d", "user"),
        ] {
            let e = parse(url).unwrap_err();
            assert_eq!(e.kind, ErrorKind::Usage);
            assert!(e.to_string().contains(part), "{e}");
            assert!(!format!("{e} {e:?}").contains("secret"));
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_a_url_or_an_error(text in "(postgres://)?[a-z0-9:@/?=&%\\[\\]é ,.-]{0,40}") {
            if let Ok(url) = parse(&text) {
                let again = parse(&url.label()).unwrap();
                proptest::prop_assert_eq!((again.host, again.port, again.user, again.dbname), (url.host, url.port, url.user, url.dbname));
            }
        }
    }
}
