//! Quoting, and the names of things that crossfade makes on a server.

use crossfade_model::TableName;
use sha2::{Digest as _, Sha256};

/// The schema that holds crossfade's own tables and functions on a target.
pub const OWN_SCHEMA: &str = "crossfade";

/// The session setting by which an apply session passes the guard triggers: the migration's name.
pub const APPLY_SETTING: &str = "crossfade.apply";

/// Longest identifier that a server keeps, in bytes (`NAMEDATALEN - 1`).
const LONGEST_IDENTIFIER: usize = 63;

/// An identifier in double quotes, whatever characters it has.
pub fn quote_ident(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A string literal. With a backslash in it the `E''` form, so that it means the same under any
/// `standard_conforming_strings` (PostgreSQL documentation, section 4.1.2.2).
pub fn quote_literal(text: &str) -> String {
    let quoted = text.replace('\'', "''");
    if quoted.contains('\\') {
        format!("E'{}'", quoted.replace('\\', "\\\\"))
    } else {
        format!("'{quoted}'")
    }
}

/// The schema of a table; `public` where the name has none.
pub fn schema_of(table: &TableName) -> &str {
    table.schema.as_deref().unwrap_or("public")
}

/// A table's name, quoted and with its schema.
pub fn qualified(table: &TableName) -> String {
    format!(
        "{}.{}",
        quote_ident(schema_of(table)),
        quote_ident(&table.name)
    )
}

/// A comma-separated list of quoted identifiers.
pub fn ident_list<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    names
        .into_iter()
        .map(quote_ident)
        .collect::<Vec<_>>()
        .join(", ")
}

/// The name of the publication and of the replication slot of a migration: `crossfade_<migration>` in the characters that
/// a slot may have (`[a-z0-9_]`, at most 63; PostgreSQL documentation, section 26.2.6). Where the migration's name had to
/// be changed for that, a digest of it keeps two migrations apart.
pub fn capture_name(migration: &str) -> String {
    let plain: String = migration
        .chars()
        .map(|c| {
            if c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' {
                c
            } else if c.is_ascii_uppercase() {
                c.to_ascii_lowercase()
            } else {
                '_'
            }
        })
        .collect();
    let name = format!("crossfade_{plain}");
    if plain == migration && name.len() <= LONGEST_IDENTIFIER {
        return name;
    }
    let digest = Sha256::digest(migration.as_bytes());
    let suffix: String = digest[..4].iter().map(|b| format!("{b:02x}")).collect();
    let kept: String = name
        .chars()
        .take(LONGEST_IDENTIFIER - suffix.len() - 1)
        .collect();
    format!("{kept}_{suffix}")
}

/// `name` cut to what the server keeps, on a character boundary.
pub fn cut_identifier(name: &str) -> &str {
    let mut end = name.len().min(LONGEST_IDENTIFIER);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    &name[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoting_survives_quotes_and_backslashes() {
        assert_eq!(quote_ident("a\"b"), "\"a\"\"b\"");
        assert_eq!(quote_literal("it's"), "'it''s'");
        assert_eq!(quote_literal("a\\'b"), "E'a\\\\''b'");
        let name = TableName {
            schema: Some("My Schema".into()),
            name: "t".into(),
        };
        assert_eq!(qualified(&name), "\"My Schema\".\"t\"");
    }

    #[test]
    fn capture_names_are_legal_and_distinct() {
        assert_eq!(capture_name("shop"), "crossfade_shop");
        let names = ["My-App", "my_app", "my-app", "my app", "É", "é"].map(capture_name);
        for (at, name) in names.iter().enumerate() {
            assert!(name.len() <= 63);
            assert!(
                name.bytes()
                    .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'_')
            );
            assert!(!names[..at].contains(name), "{name}");
        }
        let long = "a".repeat(90);
        assert_eq!(capture_name(&long).len(), 63);
        assert_ne!(capture_name(&long), capture_name(&"a".repeat(91)));
    }

    #[test]
    fn identifiers_are_cut_between_characters() {
        let name = "é".repeat(40);
        assert_eq!(cut_identifier(&name).len(), 62);
    }
}
