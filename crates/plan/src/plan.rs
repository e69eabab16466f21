//! The plan: everything that a run needs to know, decided before anything is made.

use std::collections::BTreeSet;

use crossfade_model::{
    Finding, Omission, Replanned, Sequence, Severity, TableId, TableMapping, UserType,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// A checked plan. It is kept in the target from the moment anything is made, so that a resumed run works by the very same
/// one, whatever the stores look like half-way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// The migration's name.
    pub migration: String,
    /// The source's engine.
    pub source_engine: String,
    /// The target's engine.
    pub target_engine: String,
    /// The mapped tables, by source name; `tables[i].id == TableId(i)`.
    pub tables: Vec<TableMapping>,
    /// Tables that the target had already: never dropped by `abort`.
    pub present: BTreeSet<TableId>,
    /// Types to make on the target; the same engine only.
    pub types: Vec<UserType>,
    /// Sequences to make (the same engine only) or to raise on the target.
    pub sequences: Vec<Sequence>,
    /// What is not carried.
    pub omissions: Vec<Omission>,
    /// What the checks found.
    pub findings: Vec<Finding>,
    /// The statements that make the target's tables, to be read.
    pub statements: Vec<String>,
    /// It was made anew, where a run had come to an altered table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replanned: Option<Replanned>,
}

impl Plan {
    /// The mapping of a table.
    pub fn table(&self, id: TableId) -> Option<&TableMapping> {
        self.tables.get(id.0 as usize)
    }

    /// True where a finding keeps the migration from starting.
    pub fn is_blocked(&self) -> bool {
        self.findings.iter().any(|f| f.severity == Severity::Blocks)
    }

    /// The mappings of tables that the migration makes on the target itself.
    pub fn own_tables(&self) -> Vec<TableMapping> {
        self.tables
            .iter()
            .filter(|t| !self.present.contains(&t.id))
            .cloned()
            .collect()
    }

    /// SHA-256, in hex, over what decides which rows go where: names, columns, types, keys, constraints. Estimates, findings
    /// and present values of sequences are left out, so that two plans of the same shapes have the same hash.
    pub fn hash(&self) -> String {
        let mut still = self.clone();
        for table in &mut still.tables {
            for side in [&mut table.source, &mut table.target] {
                side.estimated_rows = 0;
                side.estimated_bytes = 0;
            }
        }
        for sequence in &mut still.sequences {
            sequence.last_value = None;
        }
        still.findings.clear();
        still.omissions.clear();
        still.statements.clear();
        // every field is a string, a number, a list or a struct of them: serialization has no way to fail
        let text = serde_json::to_vec(&still).unwrap_or_default();
        let mut hex = String::with_capacity(64);
        for byte in Sha256::digest(&text) {
            hex.push_str(&format!("{byte:02x}"));
        }
        hex
    }
}
