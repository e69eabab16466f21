//! Tables for tests: `shop.t (a int unsigned PRIMARY KEY, b varchar(20), c timestamp)`, `shop.u (a int NOT NULL, UNIQUE KEY one (a))`, and
//! `shop.tables` and `shop.online (a int PRIMARY KEY)`.

use std::sync::Arc;

use crossfade_model::{
    Canonical, Column, ColumnMapping, KeyOrder, Table, TableId, TableKey, TableMapping,
};
use crossfade_mysql_binlog as log;
use crossfade_store::CaptureSpec;

use super::charset::Charsets;
use super::image::Tables;
use crate::describe::named;
use crate::types::Kind;

fn column((name, declared): &(&str, &str)) -> Column {
    Column {
        name: (*name).to_owned(),
        logical: Kind::parse(declared).logical(),
        declared: (*declared).to_owned(),
        nullable: true,
        default: None,
        generated: None,
        identity: None,
        collation: None,
    }
}

fn mapping(id: u32, name: &str, key: &str, columns: &[(&str, &str)]) -> TableMapping {
    let table = Table {
        name: named(name),
        columns: columns.iter().map(column).collect(),
        key: Some(TableKey {
            name: key.to_owned(),
            columns: vec![0],
            primary: key == "PRIMARY",
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
    };
    TableMapping {
        id: TableId(id),
        columns: columns
            .iter()
            .map(|(name, _)| ColumnMapping {
                source: (*name).to_owned(),
                target: (*name).to_owned(),
                canonical: Canonical::Exact,
            })
            .collect(),
        target: table.clone(),
        source: table,
        same_shape: false,
        origin: None,
        back: None,
        slice: None,
        shares_source: false,
    }
}

pub(super) fn tables(folded: bool) -> Tables {
    let spec = CaptureSpec {
        replanned: None,
        migration: "m".to_owned(),
        tables: vec![
            mapping(
                0,
                "t",
                "PRIMARY",
                &[
                    ("a", "int unsigned"),
                    ("b", "varchar(20)"),
                    ("c", "timestamp"),
                ],
            ),
            mapping(1, "u", "one", &[("a", "int")]),
            mapping(2, "tables", "PRIMARY", &[("a", "int")]),
            mapping(3, "online", "PRIMARY", &[("a", "int")]),
        ],
    };
    Tables::of(
        "shop",
        folded,
        &Arc::from("mysql://a@b/shop"),
        &spec,
        Charsets::utf8(),
    )
}

/// A column of the log.
pub(super) fn logged(name: &str, kind: log::ColumnType) -> log::Column {
    log::Column {
        name: name.to_owned(),
        kind,
        nullable: true,
        unsigned: true,
        collation: Some(45),
        words: Vec::new(),
        visible: true,
    }
}

/// The table `t` as the log defines it.
pub(super) fn map() -> log::TableMap {
    log::TableMap {
        id: 7,
        database: "shop".to_owned(),
        name: "t".to_owned(),
        columns: vec![
            logged("a", log::ColumnType::Integer { bytes: 4 }),
            logged("b", log::ColumnType::Varchar { max: 80 }),
            logged("c", log::ColumnType::Timestamp { digits: 0 }),
        ],
        primary_key: vec![0],
        has_names: true,
        has_signedness: true,
    }
}
