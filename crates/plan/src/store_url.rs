//! URLs of stores. They hold passwords: only [`StoreUrl::expose`] shows them.

use std::fmt;

use crate::route::RouteAddress;

/// The kind of store that a URL names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// `postgres://` or `postgresql://`.
    Postgres,
    /// `mysql://` or `mariadb://`; which of the two it is, the server is asked.
    Mysql,
    /// `sqlite:PATH`.
    Sqlite,
}

/// A URL that names a store.
#[derive(Clone, PartialEq, Eq)]
pub struct StoreUrl {
    scheme: Scheme,
    text: String,
}

/// What is wrong with a URL. Carries no part of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct UrlProblem {
    /// What is wrong.
    pub what: String,
    /// What to write instead.
    pub fix: String,
}

impl StoreUrl {
    /// Checks a URL whose variables are expanded.
    ///
    /// # Errors
    /// An unknown scheme, a SQLite URL without a file, or a URL that cannot be parsed. What else a URL may say is the store's to
    /// read.
    pub fn parse(text: &str) -> Result<StoreUrl, UrlProblem> {
        let problem = |what: String, fix: &str| UrlProblem {
            what,
            fix: fix.to_owned(),
        };
        let forms = "write `postgres://USER@HOST:PORT/DATABASE`, `mysql://USER@HOST:PORT/DATABASE` or `sqlite:PATH`";
        let Some((scheme, rest)) = text.split_once(':') else {
            return Err(problem("the URL has no scheme".to_owned(), forms));
        };
        let scheme = match scheme {
            "postgres" | "postgresql" => Scheme::Postgres,
            "sqlite" => Scheme::Sqlite,
            "mysql" | "mariadb" => Scheme::Mysql,
            _ => return Err(problem("the URL's scheme is unknown".to_owned(), forms)),
        };
        match scheme {
            Scheme::Sqlite if rest.trim_start_matches('/').is_empty() => {
                return Err(problem(
                    "the URL names no file".to_owned(),
                    "write `sqlite:PATH`",
                ));
            }
            Scheme::Sqlite if rest == ":memory:" || rest.contains('\0') => {
                return Err(problem(
                    "the URL names no file that another process could open".to_owned(),
                    "write `sqlite:PATH` with the path of a database file",
                ));
            }
            Scheme::Sqlite => {}
            Scheme::Postgres | Scheme::Mysql => {
                url::Url::parse(text).map_err(|e| UrlProblem {
                    what: format!("the URL cannot be read: {e}"),
                    fix: format!("{forms}; `%40` stands for `@` in a password"),
                })?;
            }
        }
        Ok(StoreUrl {
            scheme,
            text: text.to_owned(),
        })
    }

    /// The kind of store.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The whole URL, for connecting only.
    pub fn expose(&self) -> &str {
        &self.text
    }

    /// The file of a SQLite URL.
    pub fn sqlite_path(&self) -> Option<&str> {
        let rest = self.text.strip_prefix("sqlite:")?;
        (self.scheme == Scheme::Sqlite).then(|| rest.strip_prefix("//").unwrap_or(rest))
    }

    /// Host, port and database that a PostgreSQL URL names, for others who connect to the same server. What it does not name stays open, but for
    /// the port.
    pub fn address(&self) -> RouteAddress {
        let Some(parsed) = (self.scheme == Scheme::Postgres)
            .then(|| url::Url::parse(&self.text).ok())
            .flatten()
        else {
            return RouteAddress::default();
        };
        let parameter = |name: &str| {
            let found = parsed.query_pairs().find(|(key, _)| key == name);
            found.map(|(_, value)| value.into_owned())
        };
        let host = parsed.host_str().filter(|host| !host.is_empty());
        let host = host.map(|host| percent_decode(host.trim_matches(['[', ']'])));
        let database = percent_decode(parsed.path().trim_start_matches('/'));
        RouteAddress {
            host: parameter("host").or(host),
            port: parameter("port")
                .and_then(|port| port.parse().ok())
                .or(parsed.port())
                .or(Some(5432)),
            dbname: parameter("dbname").or(Some(database).filter(|name| !name.is_empty())),
        }
    }

    /// True where the URL itself holds a password.
    pub fn has_password(&self) -> bool {
        self.scheme != Scheme::Sqlite
            && url::Url::parse(&self.text).is_ok_and(|u| {
                u.password().is_some_and(|p| !p.is_empty())
                    || u.query_pairs().any(|(k, _)| is_secret_parameter(&k))
            })
    }

    /// The password that the URL holds, decoded.
    pub fn password(&self) -> Option<String> {
        if self.scheme == Scheme::Sqlite {
            return None;
        }
        let parsed = url::Url::parse(&self.text).ok()?;
        let parameter = parsed
            .query_pairs()
            .find(|(k, _)| k == "password")
            .map(|(_, v)| v.into_owned());
        parameter.or_else(|| {
            parsed
                .password()
                .filter(|p| !p.is_empty())
                .map(percent_decode)
        })
    }

    /// The URL with `variable` in the place of its password, for a file that people share.
    pub fn with_password_variable(&self, variable: &str) -> String {
        if !self.has_password() {
            return self.text.clone();
        }
        let Ok(mut parsed) = url::Url::parse(&self.text) else {
            return self.to_string();
        };
        let kept: Vec<(String, String)> = parsed
            .query_pairs()
            .filter(|(k, _)| !is_secret_parameter(k))
            .map(|(k, v)| (k.into_owned(), v.into_owned()))
            .collect();
        if kept.is_empty() {
            parsed.set_query(None);
        } else {
            parsed.query_pairs_mut().clear().extend_pairs(kept);
        }
        // a place holder that needs no encoding, then the variable in its stead
        let place = "crossfadepasswordplace";
        if parsed.set_password(Some(place)).is_err() {
            return self.to_string();
        }
        parsed
            .as_str()
            .replacen(place, &format!("${{{variable}}}"), 1)
    }
}

fn is_secret_parameter(name: &str) -> bool {
    matches!(name, "password" | "sslpassword" | "passphrase")
}

/// Without secrets.
impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.scheme == Scheme::Sqlite {
            return f.write_str(&self.text);
        }
        // a run of stars as long as the password would tell its length
        let mut last = ' ';
        for c in crate::picture::mask_secrets(&self.text).chars() {
            match (c, last) {
                ('*', '*') => {}
                ('*', _) => f.write_str("***")?,
                _ => write!(f, "{c}")?,
            }
            last = c;
        }
        Ok(())
    }
}

impl fmt::Debug for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StoreUrl({self})")
    }
}

/// Replaces `${VARIABLE}` by its value. A variable that is the whole URL is taken as it is; inside a URL's user or password its value is
/// percent-encoded, so that a password may hold any character.
///
/// # Errors
/// The byte range and what is wrong: a variable that is not set, or a `${` without end.
pub fn expand(
    text: &str,
    lookup: &dyn Fn(&str) -> Option<String>,
) -> Result<String, (std::ops::Range<usize>, String)> {
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while let Some(found) = text[at..].find("${") {
        let start = at + found;
        out.push_str(&text[at..start]);
        let Some(length) = text[start..].find('}') else {
            return Err((start..text.len(), "`${` without `}`".to_owned()));
        };
        let end = start + length + 1;
        let name = &text[start + 2..end - 1];
        let is_name = !name.is_empty()
            && !name.starts_with(|c: char| c.is_ascii_digit())
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if !is_name {
            return Err((start..end, "this is not a variable's name".to_owned()));
        }
        let Some(value) = lookup(name) else {
            return Err((
                start..end,
                format!("the environment variable {name} is not set"),
            ));
        };
        let in_authority = out.contains("://")
            && out
                .rsplit("://")
                .next()
                .is_some_and(|rest| !rest.contains('/'))
            && text[end..]
                .split('/')
                .next()
                .is_some_and(|rest| rest.contains('@'));
        if in_authority {
            percent_encode(&value, &mut out);
        } else {
            out.push_str(&value);
        }
        at = end;
    }
    out.push_str(&text[at..]);
    Ok(out)
}

/// RFC 3986, section 2.3: everything but unreserved characters.
fn percent_encode(value: &str, out: &mut String) {
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
}

/// RFC 3986, section 2.1. A `%` that begins no code stays.
fn percent_decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let digit = |i: usize| bytes.get(i).and_then(|b| char::from(*b).to_digit(16));
        match (bytes[at], digit(at + 1), digit(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                out.push((high << 4 | low) as u8);
                at += 3;
            }
            (byte, _, _) => {
                out.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_address_is_what_the_url_names() {
        for (text, host, port, dbname) in [
            (
                "postgres://app:pw@old/shop",
                Some("old"),
                Some(5432),
                Some("shop"),
            ),
            (
                "postgres://[::1]:5433/a%20b",
                Some("::1"),
                Some(5433),
                Some("a b"),
            ),
            (
                "postgres://app@none/shop?host=/run/pg&port=1",
                Some("/run/pg"),
                Some(1),
                Some("shop"),
            ),
            ("postgres://%2Frun%2Fpg/", Some("/run/pg"), Some(5432), None),
            ("sqlite:a.db", None, None, None),
        ] {
            let found = StoreUrl::parse(text).unwrap().address();
            assert_eq!(
                (found.host.as_deref(), found.port, found.dbname.as_deref()),
                (host, port, dbname),
                "{text}"
            );
        }
    }

    #[test]
    fn a_password_may_hold_any_character_and_is_never_shown() {
        let lookup = |name: &str| (name == "PW").then(|| "p@ss/w:ord%".to_owned());
        let text = expand("postgres://app:${PW}@old:5432/shop", &lookup).unwrap();
        let url = StoreUrl::parse(&text).unwrap();
        let parsed = url::Url::parse(url.expose()).unwrap();
        assert_eq!(parsed.password(), Some("p%40ss%2Fw%3Aord%25"));
        assert_eq!(parsed.host_str(), Some("old"));
        assert_eq!(url.password().as_deref(), Some("p@ss/w:ord%"));
        for shown in [url.to_string(), format!("{url:?}")] {
            assert!(!shown.contains("p%40ss"), "{shown}");
            assert!(shown.contains("app:***"), "{shown}");
        }
        assert_eq!(
            url.with_password_variable("SECRET"),
            "postgres://app:${SECRET}@old:5432/shop"
        );
    }

    #[test]
    fn a_whole_url_in_a_variable_is_taken_as_it_is() {
        let lookup = |_: &str| Some("postgres://a:b@h/d".to_owned());
        assert_eq!(expand("${URL}", &lookup).unwrap(), "postgres://a:b@h/d");
        assert_eq!(
            expand("sqlite:${DIR}/a.db", &|_| Some("/x".to_owned())).unwrap(),
            "sqlite:/x/a.db"
        );
    }

    #[test]
    fn what_is_missing_is_named_at_its_place() {
        let (range, what) = expand("postgres://app:${NOPE}@h/d", &|_| None).unwrap_err();
        assert_eq!(&"postgres://app:${NOPE}@h/d"[range], "${NOPE}");
        assert!(what.contains("NOPE"));
        assert!(expand("${a b}", &|_| None).is_err());
        assert!(expand("x${", &|_| None).is_err());
    }

    #[test]
    fn wrong_urls_are_refused() {
        for wrong in [
            "shop.db",
            "mysql://h:notaport/d",
            "oracle:x",
            "postgres://h:notaport/d",
            "sqlite:",
            "sqlite::memory:",
            "sqlite://",
        ] {
            assert!(StoreUrl::parse(wrong).is_err(), "{wrong}");
        }
        assert_eq!(
            StoreUrl::parse("sqlite:a b.db").unwrap().sqlite_path(),
            Some("a b.db")
        );
        assert_eq!(
            StoreUrl::parse("sqlite:///tmp/a.db").unwrap().sqlite_path(),
            Some("/tmp/a.db")
        );
        let by_parameter = StoreUrl::parse("postgres://a@h/d?password=x&sslmode=require").unwrap();
        assert!(by_parameter.has_password());
        assert!(!by_parameter.to_string().contains("=x"), "{by_parameter}");
        assert_eq!(
            by_parameter.with_password_variable("P"),
            "postgres://a:${P}@h/d?sslmode=require"
        );
    }
}
