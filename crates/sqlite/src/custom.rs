//! What is usual here, for the files that `init` proposes.

use crossfade_store::Custom;

/// See [`Custom`].
pub(crate) const CUSTOM: Custom = Custom {
    name: "SQLite",
    tables_in_lower_case: false,
    columns_in_lower_case: false,
    has_booleans: false,
    counter: "INTEGER PRIMARY KEY",
    json: "a text, which the functions for JSON read",
    reserved: RESERVED,
};

/// Key words that are no names of columns or tables without quotes (SQLite 3.40, tried one by one).
#[rustfmt::skip]
const RESERVED: &[&str] = &[
    "add", "all", "alter", "and", "as", "autoincrement", "between", "case", "cast", "check", "collate", "commit",
    "constraint", "create", "default", "deferrable", "delete", "distinct", "drop", "else", "escape", "except",
    "exists", "foreign", "from", "group", "having", "if", "in", "index", "insert", "intersect", "into", "is",
    "isnull", "join", "limit", "not", "nothing", "notnull", "null", "on", "or", "order", "primary", "raise",
    "references", "returning", "select", "set", "table", "then", "to", "transaction", "union", "unique", "update",
    "using", "values", "when", "where",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_are_found() {
        assert!(RESERVED.is_sorted(), "a binary search");
        assert!(CUSTOM.is_reserved("Order") && CUSTOM.is_reserved(RESERVED[0]));
        assert!(!CUSTOM.is_reserved("orders"));
    }
}
