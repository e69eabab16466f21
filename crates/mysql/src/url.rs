//! Connection URLs: `mysql://USER:PASSWORD@HOST:PORT/DATABASE?ssl-mode=…`, with the names of the server's own client programs
//! (MySQL documentation, "Command Options for Connecting to the Server").

use std::path::PathBuf;
use std::time::Duration;

use crossfade_store::{ErrorKind, Result, StoreError};

/// How a connection is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum SslMode {
    /// Never.
    Disabled,
    /// If the server can; its certificate is not looked at.
    Preferred,
    /// Always; its certificate is not looked at.
    Required,
    /// Always, and the certificate must be of a known authority.
    VerifyCa,
    /// And it must name the host.
    VerifyIdentity,
}

/// A password. Its debug form does not show it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Password(pub String);

impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

/// What a URL says.
#[derive(Debug, Clone)]
pub(crate) struct Address {
    pub host: String,
    pub port: u16,
    pub user: String,
    pub password: Option<Password>,
    pub database: String,
    pub ssl_mode: SslMode,
    pub ssl_ca: Option<PathBuf>,
    pub ssl_cert: Option<PathBuf>,
    pub ssl_key: Option<PathBuf>,
    pub connect_timeout: Duration,
    /// The URL without secrets.
    pub label: String,
}

/// Time for one try to connect where the URL does not say otherwise.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);

const KNOWN: &str = "ssl-mode, ssl-ca, ssl-cert, ssl-key and connect-timeout are known";

fn usage(what: impl Into<String>, fix: &str) -> StoreError {
    StoreError::new(ErrorKind::Usage, "mysql.url", "mysql://", what).fix(fix)
}

/// Reads a URL. `environment` gives `MYSQL_PWD` where the URL has no password.
///
/// # Errors
/// [`ErrorKind::Usage`], without any part of the URL.
pub(crate) fn parse(text: &str, environment: &dyn Fn(&str) -> Option<String>) -> Result<Address> {
    let form = "Write `mysql://USER@HOST:PORT/DATABASE`; `%40` stands for `@` in a password";
    let parsed =
        url::Url::parse(text).map_err(|e| usage(format!("the URL cannot be read: {e}"), form))?;
    if !matches!(parsed.scheme(), "mysql" | "mariadb") {
        return Err(usage("the URL's scheme is not mysql", form));
    }
    let host = parsed
        .host_str()
        .filter(|h| !h.is_empty())
        .ok_or_else(|| usage("the URL names no host", form))?
        .trim_matches(['[', ']'])
        .to_owned();
    let decoded = |part: &str| {
        percent_decode(part).ok_or_else(|| usage("the URL holds bytes that are no UTF-8", form))
    };
    let user = decoded(parsed.username())?;
    if user.is_empty() {
        return Err(usage("the URL names no user", form));
    }
    let database = decoded(parsed.path().trim_start_matches('/'))?;
    if database.is_empty() || database.contains('/') {
        return Err(usage("the URL names no database", form));
    }
    let password = match parsed.password().filter(|p| !p.is_empty()) {
        Some(password) => Some(decoded(password)?),
        None => environment("MYSQL_PWD"),
    };
    let port = parsed.port().unwrap_or(3306);
    let mut address = Address {
        label: format!(
            "mysql://{user}@{}:{port}/{database}",
            parsed.host_str().unwrap_or_default()
        ),
        host,
        port,
        user,
        password: password.map(Password),
        database,
        ssl_mode: SslMode::Preferred,
        ssl_ca: None,
        ssl_cert: None,
        ssl_key: None,
        connect_timeout: CONNECT_TIMEOUT,
    };
    let mut named_mode = false;
    for (name, value) in parsed.query_pairs() {
        match name.replace('_', "-").as_str() {
            "ssl-mode" => {
                address.ssl_mode = ssl_mode(&value)?;
                named_mode = true;
            }
            "ssl-ca" => address.ssl_ca = Some(PathBuf::from(&*value)),
            "ssl-cert" => address.ssl_cert = Some(PathBuf::from(&*value)),
            "ssl-key" => address.ssl_key = Some(PathBuf::from(&*value)),
            "connect-timeout" => {
                let seconds: u64 = value
                    .parse()
                    .ok()
                    .filter(|s| (1..=3600).contains(s))
                    .ok_or_else(|| usage("connect-timeout is no number of seconds", KNOWN))?;
                address.connect_timeout = Duration::from_secs(seconds);
            }
            _ => return Err(usage("the URL has an unknown parameter", KNOWN)),
        }
    }
    if address.ssl_ca.is_some() && !named_mode {
        address.ssl_mode = SslMode::VerifyCa;
    }
    if address.ssl_cert.is_some() != address.ssl_key.is_some() {
        return Err(usage("ssl-cert and ssl-key go together", KNOWN));
    }
    Ok(address)
}

fn ssl_mode(value: &str) -> Result<SslMode> {
    Ok(
        match value.to_ascii_lowercase().replace('-', "_").as_str() {
            "disabled" => SslMode::Disabled,
            "preferred" => SslMode::Preferred,
            "required" => SslMode::Required,
            "verify_ca" => SslMode::VerifyCa,
            "verify_identity" => SslMode::VerifyIdentity,
            _ => {
                return Err(usage(
                    "ssl-mode is unknown",
                    "Write disabled, preferred, required, verify_ca or verify_identity",
                ));
            }
        },
    )
}

/// RFC 3986, section 2.1. A `%` that begins no code stays.
fn percent_decode(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let digit = |i: usize| bytes.get(i).and_then(|b| char::from(*b).to_digit(16));
        match (byte, digit(at + 1), digit(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                out.push((high << 4 | low) as u8);
                at += 3;
            }
            _ => {
                out.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn read(text: &str) -> Result<Address> {
        parse(text, &|_| None)
    }

    #[test]
    fn urls_are_read_and_labels_keep_no_secret() {
        let address = read("mysql://app:p%40ss@db.example:3307/shop?ssl-mode=VERIFY_CA").unwrap();
        assert_eq!(address.host, "db.example");
        assert_eq!(address.port, 3307);
        assert_eq!(address.password, Some(Password("p@ss".into())));
        assert_eq!(address.ssl_mode, SslMode::VerifyCa);
        assert_eq!(address.label, "mysql://app@db.example:3307/shop");
        assert!(!format!("{address:?}").contains("p@ss"));
        let from_environment = parse("mysql://app@h/d", &|_| Some("x".into())).unwrap();
        assert_eq!(from_environment.password, Some(Password("x".into())));
        assert_eq!(from_environment.port, 3306);
    }

    #[test]
    fn wrong_urls_are_refused_without_being_shown() {
        for wrong in [
            "mysql://app:secret@h",
            "mysql://h/d",
            "postgres://app:secret@h/d",
            "mysql://app:secret@h/d?ssl-mode=perhaps",
            "mysql://app:secret@h/d?unknown=1",
            "mysql://app:secret@h/d?ssl-cert=x",
            "mysql://app:secret@h/d?connect-timeout=0",
        ] {
            let error = read(wrong).unwrap_err();
            assert_eq!(error.kind, ErrorKind::Usage, "{wrong}");
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    }
}
