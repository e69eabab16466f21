//! Names the rows that differ in buckets whose sums are not equal.

use std::collections::HashMap;

use crossfade_control::quarantine::{KeySide, RowKey};
use crossfade_model::{BucketSum, Cell, Digester, Row, TableMapping, canonical, hex};
use sha2::{Digest as _, Sha256};

use crate::progress::{Difference, DifferenceKind};
use crate::strangers::Marks;
use crate::verify::cause;

/// Differences listed per table at most.
pub(crate) const MOST_LISTED: usize = 100;

/// Rows by identity; a table without key may hold a row several times.
pub(crate) type Rows = HashMap<Vec<u8>, Vec<Row>>;

/// The differences between both sides' rows.
pub(crate) fn differences(
    mapping: &TableMapping,
    marks: &Marks,
    source: &Rows,
    target: &Rows,
    digester: &Digester,
) -> Vec<Difference> {
    let digester = Some(digester);
    let mut out = Vec::new();
    for (identity, theirs) in source {
        let ours = target.get(identity).map_or(&[][..], Vec::as_slice);
        for n in 0..theirs.len().max(ours.len()) {
            if out.len() > MOST_LISTED {
                return out;
            }
            if let Some(difference) =
                difference(mapping, marks, theirs.get(n), ours.get(n), digester)
            {
                out.push(difference);
            }
        }
    }
    for (identity, ours) in target {
        if source.contains_key(identity) {
            continue;
        }
        for row in ours {
            if out.len() > MOST_LISTED {
                return out;
            }
            out.extend(difference(mapping, marks, None, Some(row), digester));
        }
    }
    out.sort_by(|a, b| a.key.cmp(&b.key));
    out
}

/// How two rows of one key differ; `None` where they are equal. With a digester their digests are kept.
pub(crate) fn difference(
    mapping: &TableMapping,
    marks: &Marks,
    source: Option<&Row>,
    target: Option<&Row>,
    digester: Option<&Digester>,
) -> Option<Difference> {
    let kind = match (source, target) {
        (None, None) => return None,
        (Some(_), None) => DifferenceKind::Missing,
        (None, Some(_)) => DifferenceKind::Extra,
        (Some(_), Some(_)) => DifferenceKind::Changed,
    };
    let mut columns = Vec::new();
    if let (Some(source), Some(target)) = (source, target) {
        for (n, column) in mapping.columns.iter().enumerate() {
            // as the digests have it; what an image lacks is equal to nothing
            let form = |row: &Row| {
                let mut out = Vec::new();
                let cell = row.0.get(n).unwrap_or(&Cell::Null);
                canonical::write_any(column.canonical, cell.value(), &mut out);
                (*cell != Cell::Unchanged).then_some(out)
            };
            let equal = form(source).is_some_and(|form_there| Some(form_there) == form(target));
            if !equal {
                columns.push(n);
            }
        }
        if columns.is_empty() {
            return None;
        }
    }
    let either = source.or(target)?;
    let side = match source {
        Some(_) => KeySide::Source,
        None => KeySide::Target,
    };
    let row_key = row_key(mapping, either, side);
    let named = row_key.as_ref().map(|key| key.digest.as_str());
    let facts = marks.facts(mapping, named, kind);
    let likely = cause::of_row(mapping, source, target, &columns, facts);
    let named = columns.iter().filter_map(|&n| mapping.columns.get(n));
    Some(Difference {
        kind,
        key: key_text(mapping, either),
        columns: named.map(|column| column.source.clone()).collect(),
        cause: likely.cause,
        why: likely.why,
        classification: None,
        row_key,
        source_digest: digest(mapping, source, digester),
        target_digest: digest(mapping, target, digester),
        source_row: source.map(row_text),
        target_row: target.map(row_text),
    })
}

/// The digest of a row as a sum of one; of none where there is no row, or none that is whole.
fn digest(mapping: &TableMapping, row: Option<&Row>, digester: Option<&Digester>) -> BucketSum {
    let mut sum = BucketSum::default();
    if let (Some(row), Some(digester)) = (row, digester)
        && let Ok(digest) = digester.clone().row(&mapping.columns, row)
    {
        sum.add(digest);
    }
    sum
}

/// What names a row in quarantine; `None` where its key has no comparable form.
pub(crate) fn row_key(mapping: &TableMapping, row: &Row, side: KeySide) -> Option<RowKey> {
    let key = mapping.source.key.as_ref();
    let cells = key.iter().flat_map(|key| &key.columns);
    Some(RowKey {
        digest: key_digest(mapping, row)?,
        text: key_text(mapping, row),
        cells: cells.filter_map(|&i| row.0.get(i).cloned()).collect(),
        side,
    })
}

/// The digest of a row's identity: the same on both sides, and in every run.
pub(crate) fn key_digest(mapping: &TableMapping, row: &Row) -> Option<String> {
    let mut identity = Vec::new();
    mapping.identity_of(row, &mut identity).ok()?;
    Some(hex::encode(&Sha256::digest(&identity)))
}

pub(crate) fn key_text(mapping: &TableMapping, row: &Row) -> String {
    let Some(key) = &mapping.source.key else {
        return "(no key)".to_owned();
    };
    let cells = key.columns.iter().map(|&i| {
        row.0
            .get(i)
            .and_then(cell_text)
            .unwrap_or_else(|| "NULL".to_owned())
    });
    cells.collect::<Vec<_>>().join(", ")
}

pub(crate) fn row_text(row: &Row) -> Vec<Option<String>> {
    row.0.iter().map(cell_text).collect()
}

/// A cell for people; `None` for NULL.
pub(crate) fn cell_text(cell: &Cell) -> Option<String> {
    match cell {
        Cell::Null | Cell::Unchanged => None,
        Cell::TextForm(b) | Cell::Text(b) => Some(String::from_utf8_lossy(b).into_owned()),
        Cell::Integer(i) => Some(i.to_string()),
        Cell::Real(r) => Some(format!("{r:?}")),
        Cell::Blob(b) => Some(format!("\\x{}", hex::encode(b))),
        Cell::Unfit(b) => Some(format!("no result: {}", String::from_utf8_lossy(b))),
    }
}
