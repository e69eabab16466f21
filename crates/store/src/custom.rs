//! What is usual in a store, for files that are proposed to people. Nothing that is moved depends on it.

/// How names are found, and what has a word of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Custom {
    /// What people call it.
    pub name: &'static str,
    /// A table whose name has capitals may not be found by a statement that does not quote it.
    pub tables_in_lower_case: bool,
    /// The same of columns.
    pub columns_in_lower_case: bool,
    /// It has a type for true and false that is none of numbers.
    pub has_booleans: bool,
    /// How a column that counts by itself is written.
    pub counter: &'static str,
    /// What is to be known of documents in JSON that come from another engine; empty where nothing.
    pub json: &'static str,
    /// Words that are no names unless they are quoted, in lower case and in order.
    pub reserved: &'static [&'static str],
}

impl Custom {
    /// Whether a name must be quoted because it is a word of the language.
    pub fn is_reserved(&self, name: &str) -> bool {
        let lower = name.to_ascii_lowercase();
        self.reserved.binary_search(&lower.as_str()).is_ok()
    }
}

/// A column in which a store without a type for true and false is used to keep them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Truths {
    /// The column.
    pub column: String,
    /// Every value is 0, 1 or NULL; `None` where that was not found out in time.
    pub holds_only_truths: Option<bool>,
}
