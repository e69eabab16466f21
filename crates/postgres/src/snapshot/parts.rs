//! Physical parts of a table: ranges of blocks of its leaves. A row that is not changed stays where it is until the table is
//! rewritten.

use crossfade_model::{Table, TableName};
use crossfade_store::Result;
use serde::{Deserialize, Serialize};

use crate::connect::Client;
use crate::names::{qualified, schema_of};

/// A table without partitions, or a leaf partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaf {
    name: TableName,
    blocks: u64,
    file: u32,
}

/// The leaves with their sizes now: rows that the open snapshot sees lie in blocks that are there now.
///
/// # Errors
/// The connection's.
pub async fn leaves(client: &Client, table: &Table) -> Result<Vec<Leaf>> {
    let names: Vec<&TableName> = match table.partition_by {
        None => vec![&table.name],
        Some(_) => table
            .partitions
            .iter()
            .filter(|p| p.partition_by.is_none())
            .map(|p| &p.name)
            .collect(),
    };
    let mut leaves = Vec::with_capacity(names.len());
    for name in names {
        let row = client
            .query_one(
                "reading a table's size",
                "SELECT pg_relation_size(c.oid) / current_setting('block_size')::bigint,
                        coalesce(pg_relation_filenode(c.oid), 0::oid)
                 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                 WHERE n.nspname = $1 AND c.relname = $2",
                &[&schema_of(name), &name.name],
            )
            .await
            .map_err(|e| e.table(name))?;
        leaves.push(Leaf {
            name: name.clone(),
            blocks: u64::try_from(row.get::<_, i64>(0)).unwrap_or(0),
            file: row.get(1),
        });
    }
    Ok(leaves)
}

/// A text that changes when any leaf's rows move all at once.
#[must_use]
pub fn identity(leaves: &[Leaf]) -> String {
    let files: Vec<String> = leaves
        .iter()
        .map(|leaf| format!("{}={}", leaf.name, leaf.file))
        .collect();
    files.join(" ")
}

/// A range of blocks of one leaf, from `from` on and before `to`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    leaf: TableName,
    from: u32,
    to: Option<u32>,
}

/// About `parts` parts of equal size, every leaf's last one without an end.
#[must_use]
pub fn cut(leaves: &[Leaf], parts: usize) -> Vec<String> {
    let blocks: u64 = leaves.iter().map(|leaf| leaf.blocks).sum();
    let size = blocks.div_ceil(parts.max(1) as u64).max(1);
    let mut words = Vec::new();
    for leaf in leaves {
        // block numbers are 32 bits wide
        let starts: Vec<u32> = (0..leaf.blocks.max(1).div_ceil(size))
            .filter_map(|at| u32::try_from(at * size).ok())
            .collect();
        for (at, &from) in starts.iter().enumerate() {
            let part = Part {
                leaf: leaf.name.clone(),
                from,
                to: starts.get(at + 1).copied(),
            };
            words.push(part.word());
        }
    }
    words
}

impl Part {
    fn word(&self) -> String {
        // plain data: this cannot fail
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Reads a word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Part> {
        serde_json::from_str(word).ok()
    }

    /// True where the leaf is the table or one of its partitions.
    #[must_use]
    pub fn belongs_to(&self, table: &Table) -> bool {
        self.leaf == table.name || table.partitions.iter().any(|p| p.name == self.leaf)
    }

    /// What follows FROM.
    #[must_use]
    pub fn selection(&self) -> String {
        let mut sql = format!("ONLY {}", qualified(&self.leaf));
        let mut glue = "WHERE";
        if self.from > 0 {
            sql.push_str(&format!(" {glue} ctid >= '({},0)'::tid", self.from));
            glue = "AND";
        }
        if let Some(to) = self.to {
            sql.push_str(&format!(" {glue} ctid < '({to},0)'::tid"));
        }
        sql
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn leaf(name: &str, blocks: u64) -> Leaf {
        Leaf {
            name: TableName {
                schema: Some("s".into()),
                name: name.into(),
            },
            blocks,
            file: 1,
        }
    }

    #[test]
    fn parts_cover_every_block_once_and_what_is_added_behind() {
        for blocks in [0, 1, 2, 7, 100, 101] {
            for parts in [1, 2, 3, 10, 1000] {
                let cut: Vec<Part> = cut(&[leaf("a", blocks)], parts)
                    .iter()
                    .map(|word| Part::parse(word).unwrap())
                    .collect();
                assert_eq!(cut[0].from, 0);
                assert_eq!(cut[cut.len() - 1].to, None);
                assert!(cut.windows(2).all(|w| w[0].to == Some(w[1].from)));
                assert!(cut.len() <= parts.max(1));
            }
        }
    }

    #[test]
    fn every_leaf_has_its_own_parts() {
        let words = cut(&[leaf("a", 90), leaf("b", 0), leaf("c", 10)], 10);
        assert_eq!(words.len(), 11);
        let last = Part::parse(&words[10]).unwrap();
        assert_eq!(last.selection(), "ONLY \"s\".\"c\"");
        let middle = Part::parse(&words[1]).unwrap();
        assert_eq!(
            middle.selection(),
            "ONLY \"s\".\"a\" WHERE ctid >= '(10,0)'::tid AND ctid < '(20,0)'::tid"
        );
        assert_eq!(Part::parse("s.a"), None);
    }
}
