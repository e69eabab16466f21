//! Definitions that the server prints, taken apart and put together again for another table name.

use crossfade_model::TableName;

use crate::names::{qualified, quote_ident};

/// The place of `needle` in `text` outside of quotes.
fn find_unquoted(text: &str, needle: &str) -> Option<usize> {
    let mut quote: Option<char> = None;
    for (at, c) in text.char_indices() {
        match quote {
            Some(q) if c == q => quote = None,
            Some(_) => {}
            None if text[at..].starts_with(needle) => return Some(at),
            None if c == '"' || c == '\'' => quote = Some(c),
            None => {}
        }
    }
    None
}

/// A CREATE INDEX statement that begins in our own spelling: `CREATE [UNIQUE] INDEX name ON table USING …`; `tail` is
/// the text from `USING` on.
pub fn index_statement(unique: bool, name: &str, table: &TableName, tail: &str) -> String {
    format!(
        "CREATE {}INDEX {} ON {} {tail}",
        if unique { "UNIQUE " } else { "" },
        quote_ident(name),
        qualified(table)
    )
}

/// The text from `USING` on, of a statement that `pg_get_indexdef` printed.
pub fn index_tail(statement: &str) -> Option<&str> {
    find_unquoted(statement, " USING ").map(|at| &statement[at + 1..])
}

/// The same index on a table of another name.
pub fn retarget_index(unique: bool, name: &str, table: &TableName, definition: &str) -> String {
    match index_tail(definition) {
        Some(tail) => index_statement(unique, name, table, tail),
        None => definition.to_owned(),
    }
}

/// The parent's place in a foreign key's definition: from after `REFERENCES ` to the column list or the end of the name.
fn parent_place(definition: &str) -> Option<(usize, usize)> {
    let word = "REFERENCES ";
    let start = find_unquoted(definition, word)? + word.len();
    let end = find_unquoted(&definition[start..], "(")?;
    Some((start, start + end))
}

/// The same foreign key to a parent of another name.
pub fn retarget_foreign_key(definition: &str, parent: &TableName) -> String {
    match parent_place(definition) {
        Some((start, end)) => format!(
            "{}{}{}",
            &definition[..start],
            qualified(parent),
            &definition[end..]
        ),
        None => definition.to_owned(),
    }
}

/// What follows the parent's column list: actions and deferral, in standard SQL, without `NOT VALID`.
pub fn foreign_key_actions(definition: &str) -> String {
    let after = parent_place(definition)
        .and_then(|(_, end)| {
            let close = find_unquoted(&definition[end..], ")")?;
            Some(definition[end + close + 1..].trim())
        })
        .unwrap_or("");
    after
        .strip_suffix("NOT VALID")
        .unwrap_or(after)
        .trim()
        .to_owned()
}

/// A UNIQUE constraint's definition in parts: column list, included columns, NULLS NOT DISTINCT, deferral.
#[derive(Debug, PartialEq, Eq)]
pub struct UniqueParts<'a> {
    /// The column list with its parentheses.
    pub columns: &'a str,
    /// `INCLUDE (…)`, or empty.
    pub include: &'a str,
    /// NULLS NOT DISTINCT.
    pub nulls_not_distinct: bool,
    /// `DEFERRABLE …`, or empty.
    pub deferral: &'a str,
}

/// Takes the text after `ADD CONSTRAINT name` of a UNIQUE or PRIMARY KEY constraint apart.
pub fn unique_parts(definition: &str) -> Option<UniqueParts<'_>> {
    let rest = definition
        .strip_prefix("UNIQUE ")
        .or_else(|| definition.strip_prefix("PRIMARY KEY "))?;
    let (nulls_not_distinct, rest) = match rest.strip_prefix("NULLS NOT DISTINCT ") {
        Some(rest) => (true, rest),
        None => (false, rest),
    };
    let close = find_unquoted(rest, ")")?;
    let columns = &rest[..=close];
    let rest = rest[close + 1..].trim_start();
    let (include, deferral) = match rest.strip_prefix("INCLUDE ") {
        Some(list) => {
            let close = find_unquoted(list, ")")? + "INCLUDE ".len();
            (&rest[..=close], rest[close + 1..].trim_start())
        }
        None => ("", rest),
    };
    (columns.starts_with('(') && !columns.contains(" WITHOUT OVERLAPS")).then_some(UniqueParts {
        columns,
        include,
        nulls_not_distinct,
        deferral,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn name(schema: &str, name: &str) -> TableName {
        TableName {
            schema: Some(schema.into()),
            name: name.into(),
        }
    }

    #[test]
    fn names_with_keywords_and_quotes_do_not_mislead() {
        let printed = r#"CREATE UNIQUE INDEX "a USING b" ON ONLY s."t USING x" USING btree (lower(("c USING d")::text)) WHERE (e = ' USING '::text)"#;
        assert_eq!(
            retarget_index(true, "a USING b", &name("n", "m"), printed),
            r#"CREATE UNIQUE INDEX "a USING b" ON "n"."m" USING btree (lower(("c USING d")::text)) WHERE (e = ' USING '::text)"#
        );
        let key = r#"FOREIGN KEY (a, "REFERENCES b(") REFERENCES s."p(q"(id, x) MATCH FULL ON DELETE SET NULL (a) DEFERRABLE INITIALLY DEFERRED NOT VALID"#;
        assert_eq!(
            retarget_foreign_key(key, &name("n", "p")),
            r#"FOREIGN KEY (a, "REFERENCES b(") REFERENCES "n"."p"(id, x) MATCH FULL ON DELETE SET NULL (a) DEFERRABLE INITIALLY DEFERRED NOT VALID"#
        );
        assert_eq!(
            foreign_key_actions(key),
            "MATCH FULL ON DELETE SET NULL (a) DEFERRABLE INITIALLY DEFERRED"
        );
        assert_eq!(
            foreign_key_actions("FOREIGN KEY (a) REFERENCES s.p(id)"),
            ""
        );
    }

    #[test]
    fn unique_constraints_come_apart() {
        let parts =
            unique_parts(r#"UNIQUE NULLS NOT DISTINCT (a, "b)") INCLUDE (c) DEFERRABLE"#).unwrap();
        assert_eq!(parts.columns, r#"(a, "b)")"#);
        assert_eq!(parts.include, "INCLUDE (c)");
        assert!(parts.nulls_not_distinct);
        assert_eq!(parts.deferral, "DEFERRABLE");
        let parts = unique_parts("PRIMARY KEY (a)").unwrap();
        assert_eq!(
            (parts.columns, parts.include, parts.deferral),
            ("(a)", "", "")
        );
        assert_eq!(unique_parts("EXCLUDE USING gist (a WITH =)"), None);
        assert_eq!(unique_parts("UNIQUE (a, p WITHOUT OVERLAPS)"), None);
    }

    proptest::proptest! {
        #[test]
        fn any_text_comes_apart_or_does_not(text in "(UNIQUE |FOREIGN KEY |REFERENCES |INCLUDE | USING |[a(),\"' é]){0,12}") {
            let table = name("n", "m");
            let _ = retarget_index(true, "i", &table, &text);
            let _ = retarget_foreign_key(&text, &table);
            let _ = foreign_key_actions(&text);
            let _ = unique_parts(&text);
            let _ = crate::types::parse_declared(&text);
        }
    }
}
