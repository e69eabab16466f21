//! A mapping to try things on: `orders (shop, id, total, note)` with key `id`, of which shop 42 is moved as
//! `(id, cents, note, origin)`.

use crossfade_model::canonical::Canonical;
use crossfade_model::{
    Cell, Column, ColumnMapping, KeyOrder, LogicalType, Origin, Row, Table, TableId, TableKey,
    TableMapping, TableName,
};

pub(crate) fn column(name: &str, logical: LogicalType, nullable: bool) -> Column {
    Column {
        name: name.to_owned(),
        logical,
        declared: String::new(),
        nullable,
        default: None,
        generated: None,
        identity: None,
        collation: None,
    }
}

fn table(name: &str, columns: Vec<Column>, key: Option<Vec<usize>>) -> Table {
    Table {
        name: TableName {
            schema: None,
            name: name.to_owned(),
        },
        columns,
        key: key.map(|columns| TableKey {
            name: "key".to_owned(),
            columns,
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

const LONG: LogicalType = LogicalType::Integer { bits: 64 };

/// The mapping; without key both tables are compared row by row.
pub(crate) fn mapping(filter: Option<&str>, keyed: bool) -> TableMapping {
    let raw = table(
        "orders",
        vec![
            column("shop", LONG, false),
            column("id", LONG, false),
            column("total", LogicalType::Decimal, true),
            column("note", LogicalType::Text, true),
        ],
        keyed.then(|| vec![1]),
    );
    let shown = table(
        "orders",
        vec![
            column("id", LONG, false),
            column("cents", LONG, true),
            column("note", LogicalType::Text, true),
            column("origin", LogicalType::Text, false),
        ],
        keyed.then(|| vec![0]),
    );
    let columns = shown.columns.iter().map(|c| ColumnMapping {
        source: c.name.clone(),
        target: c.name.clone(),
        canonical: match c.logical {
            LogicalType::Integer { .. } => Canonical::Integer,
            _ => Canonical::Text,
        },
    });
    TableMapping {
        id: TableId(3),
        columns: columns.collect(),
        source: shown.clone(),
        target: shown,
        same_shape: false,
        origin: Some(Box::new(Origin {
            table: raw,
            filter: filter.map(str::to_owned),
            columns: ["id", "cast(total * 100 as bigint)", "note", "'old'"]
                .map(str::to_owned)
                .to_vec(),
            meanings: Vec::new(),
            limits: None,
        })),
        back: None,
        slice: None,
        shares_source: false,
    }
}

/// A row of words: `-` is NULL, `~` is not in the image.
pub(crate) fn row<const N: usize>(words: [&str; N]) -> Row {
    let cell = |word: &&str| match *word {
        "-" => Cell::Null,
        "~" => Cell::Unchanged,
        text => Cell::TextForm(text.to_owned().into()),
    };
    Row(words.iter().map(cell).collect())
}

/// The words of a row.
pub(crate) fn words(row: &Row) -> String {
    let word = |cell: &Cell| match cell {
        Cell::Null => "-".to_owned(),
        Cell::Unchanged => "~".to_owned(),
        Cell::TextForm(b) => String::from_utf8_lossy(b).into_owned(),
        other => format!("{other:?}"),
    };
    row.0.iter().map(word).collect::<Vec<_>>().join(" ")
}
