//! Partitions below their root.

use std::collections::HashMap;

use crossfade_model::{Partition, TableName};

use super::catalog::{Catalog, Relation};

/// All partitions below a root, parents before children.
pub fn partitions(catalog: &Catalog, root: &Relation) -> Vec<Partition> {
    if root.kind != 'p' {
        return Vec::new();
    }
    let below = catalog.partitions_of(root.oid);
    let mut names: HashMap<u32, &TableName> = below.iter().map(|r| (r.oid, &r.name)).collect();
    names.insert(root.oid, &root.name);
    below
        .iter()
        .filter_map(|r| {
            let parent = r.parents.iter().find_map(|p| names.get(p))?;
            Some(Partition {
                name: r.name.clone(),
                parent: (*parent).clone(),
                bound: r.bound.clone()?,
                partition_by: r
                    .partition_key
                    .as_ref()
                    .map(|key| format!("PARTITION BY {key}")),
            })
        })
        .collect()
}
