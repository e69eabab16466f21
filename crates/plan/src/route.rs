//! `[route]`: what leads applications' traffic to one side or the other. Only read here; what it does is the routes' own affair.

use std::fmt;
use std::ops::Range;

use toml::de::DeTable;

use crate::file::{Entry, Reader, with_article};
use crate::near::nearest;
use crate::store_url;

/// Text that may hold a secret: only [`Secret::expose`] shows it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The text, for use only.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// One `[route]`, variables put in, paths as they are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RouteSection {
    /// A JSON file that applications watch.
    File {
        /// Where it lies.
        path: String,
    },
    /// A program that is run for every action.
    Exec {
        /// The program and its arguments.
        command: Vec<Secret>,
        /// How long one run may take, in seconds.
        timeout_seconds: u32,
        /// How often a failed run is tried again.
        retries: u32,
    },
    /// An HTTP address that is told of every action.
    Webhook {
        /// The address.
        url: Secret,
        /// Further headers.
        headers: Vec<(String, Secret)>,
        /// Certificates that are trusted in the place of Mozilla's list.
        ca_file: Option<String>,
        /// How long one request may take, in seconds.
        timeout_seconds: u32,
        /// How often a failed request is tried again.
        retries: u32,
    },
    /// A PgBouncer.
    PgBouncer {
        /// Its admin console.
        admin: Secret,
        /// The entry of `[databases]` that applications connect to.
        database: String,
        /// The entry for reading applications.
        reads_database: Option<String>,
        /// The file that holds the entries.
        config: String,
        /// Clients in the way of a pause are ended.
        end_clients: bool,
        /// How it reaches the source, where that differs from `[source]`.
        source: RouteAddress,
        /// How it reaches the target.
        target: RouteAddress,
    },
}

/// How one side is reached from elsewhere.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RouteAddress {
    /// Host, or a Unix socket's folder.
    pub host: Option<String>,
    /// Port.
    pub port: Option<u16>,
    /// The database's name on the server.
    pub dbname: Option<String>,
}

const KINDS: [&str; 4] = ["file", "exec", "webhook", "pgbouncer"];

/// Bounds and defaults of numbers, in the unit of their name.
const TIMEOUT: Bounds = Bounds {
    name: "timeout_seconds",
    least: 1,
    most: 60,
    default: 10,
};
const RETRIES: Bounds = Bounds {
    name: "retries",
    least: 0,
    most: 10,
    default: 3,
};

struct Bounds {
    name: &'static str,
    least: u32,
    most: u32,
    default: u32,
}

/// One route's section while it is read.
struct Place<'t, 'i> {
    span: Range<usize>,
    table: &'t DeTable<'i>,
    /// What it is called in messages: `[route]`.
    name: &'static str,
}

impl Reader<'_> {
    /// `[route]` once, or `[[route]]` as often as there are routes; they act in the order of the file.
    pub(crate) fn routes(&mut self, value: Option<Entry<'_, '_>>) -> Vec<RouteSection> {
        let Some(value) = value else {
            return Vec::new();
        };
        match value.get_ref().as_array() {
            None => self.route(value, "[route]").into_iter().collect(),
            Some(list) => list
                .iter()
                .filter_map(|item| self.route(item, "[[route]]"))
                .collect(),
        }
    }

    fn route(&mut self, value: Entry<'_, '_>, name: &'static str) -> Option<RouteSection> {
        let table = self.table_of(value, name)?;
        let place = Place {
            span: value.span(),
            table,
            name,
        };
        let kind = self.required(place.span.clone(), table, "kind", name)?;
        match self.string(kind, "`kind`")? {
            "file" => self.route_file(&place),
            "exec" => self.route_exec(&place),
            "webhook" => self.route_webhook(&place),
            "pgbouncer" => self.route_pgbouncer(&place),
            other => {
                let near = nearest(other, KINDS);
                let meant = near
                    .first()
                    .map_or(String::new(), |near| format!("did you mean `{near}`? "));
                let list = KINDS.map(|kind| format!("`{kind}`")).join(", ");
                self.problem_with_fix(
                    kind.span(),
                    format!("there is no route of the kind `{other}`"),
                    format!("{meant}kinds: {list}"),
                );
                None
            }
        }
    }

    fn route_file(&mut self, place: &Place<'_, '_>) -> Option<RouteSection> {
        self.known_keys(place.name, place.table, &["kind", "path"]);
        let path = self.needed(place, "path")?;
        Some(RouteSection::File { path })
    }

    fn route_exec(&mut self, place: &Place<'_, '_>) -> Option<RouteSection> {
        self.known_keys(
            place.name,
            place.table,
            &["kind", "command", "timeout_seconds", "retries"],
        );
        let command = self.command(place);
        let (timeout_seconds, retries) =
            (self.number(place, &TIMEOUT), self.number(place, &RETRIES));
        Some(RouteSection::Exec {
            command: command?,
            timeout_seconds,
            retries,
        })
    }

    fn route_webhook(&mut self, place: &Place<'_, '_>) -> Option<RouteSection> {
        self.known_keys(
            place.name,
            place.table,
            &[
                "kind",
                "url",
                "headers",
                "ca_file",
                "timeout_seconds",
                "retries",
            ],
        );
        let url = self.needed(place, "url");
        let headers = self.headers(place);
        let ca_file = self.optional(place.table, "ca_file");
        let (timeout_seconds, retries) =
            (self.number(place, &TIMEOUT), self.number(place, &RETRIES));
        Some(RouteSection::Webhook {
            url: Secret(url?),
            headers: headers?,
            ca_file: ca_file?,
            timeout_seconds,
            retries,
        })
    }

    fn route_pgbouncer(&mut self, place: &Place<'_, '_>) -> Option<RouteSection> {
        let known = [
            "kind",
            "admin",
            "database",
            "reads_database",
            "config",
            "end_clients",
            "source",
            "target",
        ];
        self.known_keys(place.name, place.table, &known);
        let admin = self.needed(place, "admin");
        let database = self.needed(place, "database");
        let config = self.needed(place, "config");
        let reads_database = self.optional(place.table, "reads_database");
        let end_clients = self.switch(place, "end_clients");
        let (source, target) = (
            self.route_address(place, "source"),
            self.route_address(place, "target"),
        );
        Some(RouteSection::PgBouncer {
            admin: Secret(admin?),
            database: database?,
            reads_database: reads_database?,
            config: config?,
            end_clients: end_clients?,
            source: source?,
            target: target?,
        })
    }

    /// A string that must be there, variables put in.
    fn needed(&mut self, place: &Place<'_, '_>, key: &str) -> Option<String> {
        let value = self.required(place.span.clone(), place.table, key, place.name)?;
        self.with_variables(value, &format!("`{key}`"))
    }

    /// A string that may be there; `None` where it is wrong.
    #[allow(clippy::option_option)]
    fn optional(&mut self, table: &DeTable<'_>, key: &str) -> Option<Option<String>> {
        match table.get(key) {
            None => Some(None),
            Some(value) => self.with_variables(value, &format!("`{key}`")).map(Some),
        }
    }

    /// A string that is not empty, variables put in.
    fn with_variables(&mut self, value: Entry<'_, '_>, place: &str) -> Option<String> {
        let text = self.listed(value, place)?.text;
        match store_url::expand(&text, self.lookup) {
            Ok(expanded) => Some(expanded),
            Err((range, what)) => {
                let span = self.within(value.span(), &text, range);
                let fix =
                    "set it in the environment of this command, or write the value without it";
                self.problem_with_fix(span, what, fix.to_owned());
                None
            }
        }
    }

    fn command(&mut self, place: &Place<'_, '_>) -> Option<Vec<Secret>> {
        let value = place.table.get("command");
        let span = value.map_or(place.span.clone(), |value| value.span());
        let list = value
            .and_then(|value| value.get_ref().as_array())
            .filter(|list| !list.is_empty());
        let Some(list) = list else {
            let what = "`command` is to be a list of strings: the program and its arguments";
            self.problem_with_fix(
                span,
                what,
                "write `command = [\"/path/to/program\"]`; there is no shell in between".to_owned(),
            );
            return None;
        };
        let all: Vec<Option<Secret>> = list
            .iter()
            .map(|item| {
                self.with_variables(item, "an entry of `command`")
                    .map(Secret)
            })
            .collect();
        all.into_iter().collect()
    }

    fn headers(&mut self, place: &Place<'_, '_>) -> Option<Vec<(String, Secret)>> {
        let Some(value) = place.table.get("headers") else {
            return Some(Vec::new());
        };
        let table = self.table_of(value, "`headers`")?;
        let mut all = Vec::new();
        let mut good = true;
        for (key, value) in table {
            let name = key.get_ref().to_string();
            if ["idempotency-key", "content-type", "content-length", "host"]
                .contains(&name.to_ascii_lowercase().as_str())
            {
                self.problem(
                    key.span(),
                    format!("the header `{name}` is set by crossfade itself"),
                );
                good = false;
            }
            match self.with_variables(value, "a header") {
                Some(text) => all.push((name, Secret(text))),
                None => good = false,
            }
        }
        good.then_some(all)
    }

    fn number(&mut self, place: &Place<'_, '_>, bounds: &Bounds) -> u32 {
        let Some(value) = place.table.get(bounds.name) else {
            return bounds.default;
        };
        let number = value.get_ref().as_integer().and_then(|found| {
            u32::from_str_radix(&found.as_str().replace('_', ""), found.radix()).ok()
        });
        match number.filter(|number| (bounds.least..=bounds.most).contains(number)) {
            Some(number) => number,
            None => {
                let what = format!(
                    "`{}` is to be a whole number from {} to {}",
                    bounds.name, bounds.least, bounds.most
                );
                self.problem_with_fix(
                    value.span(),
                    what,
                    format!("without it, {} holds", bounds.default),
                );
                bounds.default
            }
        }
    }

    /// A boolean that may be there; `None` where it is wrong.
    fn switch(&mut self, place: &Place<'_, '_>, key: &str) -> Option<bool> {
        let Some(value) = place.table.get(key) else {
            return Some(false);
        };
        let found = value.get_ref().as_bool();
        if found.is_none() {
            let kind = with_article(value.get_ref().type_str());
            self.problem(
                value.span(),
                format!("`{key}` is to be true or false, this is {kind}"),
            );
        }
        found
    }

    fn route_address(&mut self, place: &Place<'_, '_>, side: &str) -> Option<RouteAddress> {
        let Some(value) = place.table.get(side) else {
            return Some(RouteAddress::default());
        };
        let name = format!("`{side}` of a route");
        let table = self.table_of(value, &name)?;
        self.known_keys(&name, table, &["host", "port", "dbname"]);
        let port = match table.get("port") {
            None => Some(None),
            Some(port) => {
                let number = port.get_ref().as_integer().and_then(|found| {
                    u16::from_str_radix(&found.as_str().replace('_', ""), found.radix()).ok()
                });
                if number.is_none_or(|number| number == 0) {
                    self.problem(
                        port.span(),
                        "`port` is to be a whole number from 1 to 65535",
                    );
                }
                number.map(Some)
            }
        };
        let (host, dbname) = (self.optional(table, "host"), self.optional(table, "dbname"));
        Some(RouteAddress {
            host: host?,
            port: port?,
            dbname: dbname?,
        })
    }
}

#[cfg(test)]
#[path = "route_tests.rs"]
mod tests;
