//! Conditions on a table's key in SQL.

use crate::sql::names::{quote, same_name};
use crate::table_info::{KeyInfo, TableInfo};

/// One column of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeyColumn {
    pub name: String,
    /// The collation by which the key is unique.
    pub collation: String,
    /// The collation of the column itself, which comparisons take where they name none.
    pub column_collation: String,
}

impl KeyColumn {
    /// The column under a collation, which is named only where it is not the column's own (the rowid's name takes none).
    pub fn collated(&self, collation: &str) -> String {
        let name = quote(&self.name);
        if same_name(collation, &self.column_collation) {
            return name;
        }
        format!("{name} COLLATE {}", quote(collation))
    }

    /// Equal bytes, found through the key's index.
    fn equals(&self, parameter: usize) -> String {
        let found = format!("{} = ?{parameter}", self.collated(&self.collation));
        if same_name(&self.collation, "BINARY") {
            return found;
        }
        format!("{found} AND {} = ?{parameter}", self.collated("BINARY"))
    }
}

/// The columns of a key.
pub(crate) fn key_columns(info: &TableInfo, key: &KeyInfo) -> Vec<KeyColumn> {
    key.columns
        .iter()
        .map(|(name, collation)| KeyColumn {
            name: name.clone(),
            collation: collation.clone(),
            column_collation: info
                .column(name)
                .map_or_else(|| "BINARY".to_owned(), |c| c.collation.clone()),
        })
        .collect()
}

/// The row whose key has these bytes; parameters from `first`. Under NOCASE 'a' and 'A' are one value for the index and two
/// keys for the copy.
pub(crate) fn equals(key: &[KeyColumn], first: usize) -> String {
    key.iter()
        .enumerate()
        .map(|(n, column)| column.equals(first + n))
        .collect::<Vec<_>>()
        .join(" AND ")
}

/// The rows that the key's index holds equal to these values; parameters from `first`.
pub(crate) fn held(key: &[KeyColumn], first: usize) -> String {
    let equal = |(n, column): (usize, &KeyColumn)| {
        format!("{} = ?{}", column.collated(&column.collation), first + n)
    };
    key.iter()
        .enumerate()
        .map(equal)
        .collect::<Vec<_>>()
        .join(" AND ")
}

/// The key as it is ordered by bytes: one column, or a row value.
pub(crate) fn ordered(key: &[KeyColumn]) -> String {
    let columns: Vec<String> = key.iter().map(|c| c.collated("BINARY")).collect();
    match columns.as_slice() {
        [only] => only.clone(),
        many => format!("({})", many.join(", ")),
    }
}

/// The columns of an ORDER BY in key order.
pub(crate) fn order_by(key: &[KeyColumn]) -> String {
    key.iter()
        .map(|c| c.collated("BINARY"))
        .collect::<Vec<_>>()
        .join(", ")
}

/// Parameters from `first` in the shape of [`ordered`].
pub(crate) fn parameters(columns: usize, first: usize) -> String {
    let all: Vec<String> = (first..first + columns).map(|n| format!("?{n}")).collect();
    match all.as_slice() {
        [only] => only.clone(),
        many => format!("({})", many.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_looked_up_by_its_index_and_held_to_its_bytes() {
        let column = |collation: &str, own: &str| KeyColumn {
            name: "k".into(),
            collation: collation.into(),
            column_collation: own.into(),
        };
        assert_eq!(equals(&[column("BINARY", "BINARY")], 1), "\"k\" = ?1");
        assert_eq!(
            equals(&[column("NOCASE", "NOCASE")], 3),
            "\"k\" = ?3 AND \"k\" COLLATE \"BINARY\" = ?3"
        );
        assert_eq!(
            equals(&[column("NOCASE", "BINARY")], 1),
            "\"k\" COLLATE \"NOCASE\" = ?1 AND \"k\" = ?1"
        );
        let two = [column("BINARY", "BINARY"), column("BINARY", "NOCASE")];
        assert_eq!(ordered(&two), "(\"k\", \"k\" COLLATE \"BINARY\")");
        assert_eq!(parameters(2, 1), "(?1, ?2)");
        assert_eq!(parameters(1, 4), "?4");
    }
}
