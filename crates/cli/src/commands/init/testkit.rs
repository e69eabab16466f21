//! Tables for the tests of `init`.

use crossfade_model::{Column, KeyOrder, LogicalType, Table, TableKey, TableName};

/// A nullable column.
pub(super) fn column(name: &str, declared: &str, logical: LogicalType) -> Column {
    Column {
        name: name.to_owned(),
        logical,
        declared: declared.to_owned(),
        nullable: true,
        default: None,
        generated: None,
        identity: None,
        collation: None,
    }
}

/// A table whose key is its first column.
pub(super) fn table(name: &str, columns: Vec<Column>) -> Table {
    Table {
        name: TableName {
            schema: None,
            name: name.to_owned(),
        },
        columns,
        key: Some(TableKey {
            name: "k".to_owned(),
            columns: vec![0],
            primary: true,
            order: KeyOrder::Ordered,
        }),
        full_before_images: false,
        indexes: Vec::new(),
        foreign_keys: Vec::new(),
        checks: Vec::new(),
        partition_by: None,
        partitions: Vec::new(),
        estimated_rows: 0,
        estimated_bytes: 0,
        definition: None,
    }
}
