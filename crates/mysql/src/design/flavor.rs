//! Statements that one flavor has printed, in the words of the other. Pure.
//!
//! MySQL's and MariaDB's newest collations are of different Unicode versions: they order and fold alike but for characters that the
//! older version does not know (MySQL Reference Manual, "Unicode Character Sets"; MariaDB Knowledge Base, "Supported Character Sets and
//! Collations"). MySQL's do not pad; where MariaDB's do, MySQL's tell more apart.

use std::borrow::Cow;

use crate::describe::statement::{self, What};
use crate::server::{Flavor, Server};

const OF_MYSQL: &str = "utf8mb4_0900_";
const OF_MARIADB: &str = "utf8mb4_uca1400_";

/// MySQL's way of hiding a column from servers that do not know it.
const HIDDEN: &str = "/*!80023 INVISIBLE */";

/// Whether a MariaDB of this version takes MySQL's newest collations (MariaDB release notes of 11.4.5 and 11.7.2).
fn takes_mysql_collations(version: u32) -> bool {
    (110_405..110_500).contains(&version) || version >= 110_702
}

/// A collation's like on the server; itself where that has it, or nothing like it.
pub(crate) fn collation<'a>(name: &'a str, server: &Server) -> Cow<'a, str> {
    match server.flavor {
        Flavor::Mysql => match name.strip_prefix(OF_MARIADB) {
            // accents and case alike, or whatever of MySQL's tells more apart
            Some("ai_ci" | "nopad_ai_ci") => "utf8mb4_0900_ai_ci".into(),
            Some("as_ci" | "nopad_as_ci") => "utf8mb4_0900_as_ci".into(),
            Some("as_cs" | "ai_cs" | "nopad_as_cs" | "nopad_ai_cs") => "utf8mb4_0900_as_cs".into(),
            _ => match name {
                "utf8mb4_nopad_bin" => "utf8mb4_0900_bin".into(),
                // the three-byte set has none newer than Unicode 5.2 there
                "utf8mb3_uca1400_ai_ci" => "utf8mb3_unicode_520_ci".into(),
                "utf8mb3_uca1400_as_ci" | "utf8mb3_uca1400_ai_cs" | "utf8mb3_uca1400_as_cs" => {
                    "utf8mb3_bin".into()
                }
                _ => name.into(),
            },
        },
        Flavor::Mariadb if takes_mysql_collations(server.version) => name.into(),
        Flavor::Mariadb => match name.strip_prefix(OF_MYSQL) {
            Some("bin") => "utf8mb4_nopad_bin".into(),
            Some(kind @ ("ai_ci" | "as_ci" | "as_cs")) => {
                format!("{OF_MARIADB}nopad_{kind}").into()
            }
            _ => name.into(),
        },
    }
}

/// A statement that makes a table, or a part of one, as the server takes it.
pub(crate) fn translated(definition: &str, server: &Server) -> String {
    let mut out = String::with_capacity(definition.len());
    let mut rest = definition;
    while let Some(at) = rest.find(['\'', '`', '"']) {
        let (plain, quoted) = rest.split_at(at);
        out.push_str(&words(plain, server));
        let end = quoted_end(quoted);
        out.push_str(&quoted[..end]);
        rest = &quoted[end..];
    }
    out.push_str(&words(rest, server));
    out
}

/// Where the quoted text that this one begins with ends. A doubled quote ends one text and begins the next.
fn quoted_end(text: &str) -> usize {
    let quote = text.as_bytes().first().copied();
    let mut bytes = text.bytes().enumerate().skip(1);
    while let Some((at, byte)) = bytes.next() {
        if byte == b'\\' && quote != Some(b'`') {
            bytes.next();
        } else if Some(byte) == quote {
            return at + 1;
        }
    }
    text.len()
}

/// Outside of quotes.
fn words(text: &str, server: &Server) -> String {
    let text = match server.flavor {
        Flavor::Mariadb => Cow::Owned(text.replace(HIDDEN, "INVISIBLE")),
        Flavor::Mysql => Cow::Borrowed(text),
    };
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut out = String::with_capacity(text.len());
    let mut rest: &str = &text;
    while let Some(from) = rest.find(is_part) {
        let length = rest[from..]
            .find(|c| !is_part(c))
            .unwrap_or(rest.len() - from);
        out.push_str(&rest[..from]);
        out.push_str(&match &rest[from..from + length] {
            // MySQL prints a name that MariaDB does not know; both know the longer one
            "geomcollection" => "geometrycollection".into(),
            word => collation(word, server),
        });
        rest = &rest[from + length..];
    }
    out.push_str(rest);
    out
}

/// Columns of a statement whose types the server does not have, as `name type`.
pub(crate) fn unknown_types(definition: &str, server: &Server) -> Vec<String> {
    let lacks: &[&str] = match server.flavor {
        Flavor::Mysql if server.version >= 90_000 => &["uuid", "inet4", "inet6"],
        Flavor::Mysql => &["uuid", "inet4", "inet6", "vector"],
        // since 11.7 (MariaDB Knowledge Base, "VECTOR")
        Flavor::Mariadb if server.version >= 110_700 => &[],
        Flavor::Mariadb => &["vector"],
    };
    let Some(parsed) = statement::parse(definition) else {
        return Vec::new();
    };
    let of_column = |element: &statement::Element| {
        let kind = statement::identifier(&element.text)?.1.trim_start();
        let end = kind
            .find(|c: char| !c.is_ascii_alphanumeric())
            .unwrap_or(kind.len());
        let kind = kind.get(..end)?;
        lacks
            .contains(&kind)
            .then(|| format!("{} {kind}", element.name))
    };
    let columns = parsed.elements.iter().filter(|e| e.what == What::Column);
    columns.filter_map(of_column).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn server(mark: &str, version: &str) -> Server {
        let variables = [(mark, "OFF"), ("version", version)];
        let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
        Server::new(variables.into_iter().collect()).unwrap()
    }

    #[test]
    fn collations_have_their_likes() {
        let mysql = server("gtid_mode", "9.7.0");
        let old = server("gtid_domain_id", "10.11.14-MariaDB");
        let new = server("gtid_domain_id", "11.8.3-MariaDB");
        for (name, on_mysql, on_old) in [
            (
                "utf8mb4_uca1400_ai_ci",
                "utf8mb4_0900_ai_ci",
                "utf8mb4_uca1400_ai_ci",
            ),
            (
                "utf8mb4_0900_ai_ci",
                "utf8mb4_0900_ai_ci",
                "utf8mb4_uca1400_nopad_ai_ci",
            ),
            (
                "utf8mb4_uca1400_ai_cs",
                "utf8mb4_0900_as_cs",
                "utf8mb4_uca1400_ai_cs",
            ),
            ("utf8mb4_0900_bin", "utf8mb4_0900_bin", "utf8mb4_nopad_bin"),
            (
                "utf8mb3_uca1400_ai_ci",
                "utf8mb3_unicode_520_ci",
                "utf8mb3_uca1400_ai_ci",
            ),
            ("utf8mb4_nopad_bin", "utf8mb4_0900_bin", "utf8mb4_nopad_bin"),
            (
                "latin1_swedish_ci",
                "latin1_swedish_ci",
                "latin1_swedish_ci",
            ),
            ("utf8mb4_bin", "utf8mb4_bin", "utf8mb4_bin"),
        ] {
            assert_eq!(collation(name, &mysql), on_mysql);
            assert_eq!(collation(name, &old), on_old);
            assert_eq!(collation(name, &new), name);
        }
    }

    #[test]
    fn statements_are_translated_outside_of_quotes() {
        let old = server("gtid_domain_id", "10.11.14-MariaDB");
        let sql = "CREATE TABLE `utf8mb4_0900_bin` (\n  `a``b` varchar(3) COLLATE utf8mb4_0900_ai_ci DEFAULT 'it''s \\' utf8mb4_0900_bin' /*!80023 INVISIBLE */\n) COLLATE=utf8mb4_0900_bin";
        assert_eq!(
            translated(sql, &old),
            "CREATE TABLE `utf8mb4_0900_bin` (\n  `a``b` varchar(3) COLLATE utf8mb4_uca1400_nopad_ai_ci DEFAULT 'it''s \\' utf8mb4_0900_bin' INVISIBLE\n) COLLATE=utf8mb4_nopad_bin"
        );
        let mysql = server("gtid_mode", "9.7.0");
        assert_eq!(translated(sql, &mysql), sql);
        assert_eq!(translated("'open", &old), "'open");
    }

    #[test]
    fn a_collection_of_geometries_has_the_name_that_both_know() {
        let old = server("gtid_domain_id", "10.11.14-MariaDB");
        assert_eq!(
            translated(
                "CREATE TABLE `geomcollection` (\n  `g` geomcollection NOT NULL\n)",
                &old
            ),
            "CREATE TABLE `geomcollection` (\n  `g` geometrycollection NOT NULL\n)"
        );
    }

    #[test]
    fn types_that_the_server_lacks_are_named() {
        let mysql = server("gtid_mode", "9.7.0");
        let old = server("gtid_domain_id", "10.11.14-MariaDB");
        let sql = "CREATE TABLE `t` (\n  `uuid` int NOT NULL,\n  `k``x` uuid DEFAULT uuid(),\n  `v` vector(3),\n  PRIMARY KEY (`uuid`)\n)";
        assert_eq!(unknown_types(sql, &mysql), ["k`x uuid"]);
        assert_eq!(unknown_types(sql, &old), ["v vector"]);
    }
}
