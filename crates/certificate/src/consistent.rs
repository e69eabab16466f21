//! What must agree inside a certificate. A signature shows who stated something; this shows that the statements can all be
//! true at once. The same rules hold before signing and after.

use std::collections::HashSet;

use crossfade_model::{BucketSum, hex};
use sha2::{Digest as _, Sha256};

use crate::body::{Body, Classification, DifferenceKind, Projection, StoreIdentity, TableProof};
use crate::error::CertificateError;
use crate::mapping::Mapping;

type Result = std::result::Result<(), CertificateError>;

/// Checks a whole body.
///
/// # Errors
/// The first two statements that do not agree.
pub fn check(body: &Body) -> Result {
    head(body)?;
    salt(body)?;
    names(body)?;
    for (table, mapping) in body.tables.iter().zip(&body.mappings) {
        self::table(table)?;
        mapped(table, mapping)?;
    }
    for projection in &body.projections {
        self::projection(projection)?;
    }
    for decided in &body.overrides {
        let texts = [&decided.what, &decided.by, &decided.reason];
        must(
            texts.iter().all(|t| !t.trim().is_empty()) && decided.at >= 0,
            || "an override lacks what was decided, by whom, why or when".to_owned(),
        )?;
    }
    let equal = body.tables.iter().all(|t| t.equal) && body.projections.iter().all(|p| p.equal);
    must(body.equal == equal, || {
        format!(
            "it states {} as a whole, and its tables and projections say otherwise",
            word(body.equal)
        )
    })
}

fn must(holds: bool, what: impl FnOnce() -> String) -> Result {
    if holds {
        return Ok(());
    }
    Err(CertificateError::Inconsistent {
        table: None,
        what: what(),
    })
}

fn must_in(table: &TableProof, holds: bool, what: impl FnOnce() -> String) -> Result {
    if holds {
        return Ok(());
    }
    Err(CertificateError::Inconsistent {
        table: Some(table.source_name.clone()),
        what: what(),
    })
}

fn word(equal: bool) -> &'static str {
    if equal { "equality" } else { "a difference" }
}

/// Lower-case hexadecimal digits of this many bytes.
fn is_hex(text: &str, bytes: usize) -> bool {
    hex::decode(text).is_some_and(|b| b.len() == bytes && hex::encode(&b) == text)
}

fn head(body: &Body) -> Result {
    must(body.format == crate::body::format(), || {
        "its format is not written as this version writes it".to_owned()
    })?;
    for (what, text) in [
        ("the version of crossfade", &body.crossfade),
        ("the migration's name", &body.migration),
        ("the position", &body.position),
    ] {
        must(!text.trim().is_empty(), || format!("{what} is not there"))?;
    }
    must(is_hex(&body.plan_hash, 32), || {
        "the plan's hash is not 64 hexadecimal digits".to_owned()
    })?;
    must(body.started >= 0 && body.finished >= body.started, || {
        "it ended before it began".to_owned()
    })?;
    store("source", &body.source)?;
    store("target", &body.target)?;
    must(
        !body.tables.is_empty() || !body.projections.is_empty(),
        || "nothing was compared".to_owned(),
    )?;
    let reads = &body.independent;
    must(
        !reads.is_empty() && reads.iter().all(|r| !r.trim().is_empty()),
        || "it names no read that did not rely on the stream".to_owned(),
    )
}

fn store(side: &str, store: &StoreIdentity) -> Result {
    let texts = [&store.engine, &store.label, &store.identity];
    must(texts.iter().all(|t| !t.trim().is_empty()), || {
        format!("engine, label or identity of the {side} is not there")
    })?;
    must(!shows_password(&store.label), || {
        format!("the label of the {side} shows a password")
    })
}

/// A URL whose user has a password that is not only stars.
fn shows_password(label: &str) -> bool {
    let Some((_, rest)) = label.split_once("://") else {
        return false;
    };
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    let Some((user, _)) = authority.rsplit_once('@') else {
        return false;
    };
    user.split_once(':')
        .is_some_and(|(_, password)| password.chars().any(|c| c != '*'))
}

fn salt(body: &Body) -> Result {
    must(is_hex(&body.salt, 32), || {
        "the salt is not 64 hexadecimal digits".to_owned()
    })?;
    let commitment = hex::encode(&Sha256::digest(body.salt_bytes()?));
    must(commitment == body.commitment, || {
        "the salt is not the one that was committed to before the reads".to_owned()
    })
}

/// No table, projection or sequence stands there twice, and each table has its mapping.
fn names(body: &Body) -> Result {
    let twice = |what: &str, mut names: Vec<&String>| {
        let mut seen = HashSet::new();
        names.retain(|name| !seen.insert(*name));
        must(names.is_empty(), || {
            format!("{what} {} stands there twice", names[0])
        })
    };
    let tables = &body.tables;
    twice(
        "source table",
        tables.iter().map(|t| &t.source_name).collect(),
    )?;
    twice(
        "target table",
        tables.iter().map(|t| &t.target_name).collect(),
    )?;
    twice(
        "projection",
        body.projections.iter().map(|p| &p.name).collect(),
    )?;
    twice("sequence", body.sequences.iter().map(|s| &s.name).collect())?;
    must(body.mappings.len() == tables.len(), || {
        format!(
            "it has {} tables and {} mappings",
            tables.len(),
            body.mappings.len()
        )
    })
}

fn table(table: &TableProof) -> Result {
    must_in(table, table.rows == table.source.rows, || {
        format!(
            "{} rows are stated, and the source's sum is of {}",
            table.rows, table.source.rows
        )
    })?;
    columns(table)?;
    differences(table)?;
    let source = without(&table.source, &table.expected.source);
    let target = without(&table.target, &table.expected.target);
    let equal = source == target
        && !table.more
        && table.differences.iter().all(crate::Difference::is_expected);
    must_in(table, table.equal == equal, || {
        format!(
            "it states {}, and its sums and listed rows say otherwise",
            word(table.equal)
        )
    })
}

fn without(sum: &BucketSum, part: &BucketSum) -> BucketSum {
    BucketSum {
        rows: sum.rows.wrapping_sub(part.rows),
        first: sum.first.wrapping_sub(part.first),
        second: sum.second.wrapping_sub(part.second),
    }
}

fn columns(table: &TableProof) -> Result {
    let mut sources = HashSet::new();
    let mut targets = HashSet::new();
    for column in &table.columns {
        let new = sources.insert(&column.source) && targets.insert(&column.target);
        must_in(table, new, || {
            format!("column {} stands there twice", column.source)
        })?;
        must_in(table, column.claim == column.canonical.claim(), || {
            format!(
                "column {} claims what was not compared: {}",
                column.source, column.claim
            )
        })?;
    }
    for excluded in &table.excluded {
        must_in(table, targets.insert(&excluded.column), || {
            format!("column {} is compared and left out", excluded.column)
        })?;
        must_in(table, !excluded.why.trim().is_empty(), || {
            format!("column {} is left out without a reason", excluded.column)
        })?;
    }
    Ok(())
}

fn differences(table: &TableProof) -> Result {
    let (mut source, mut target) = (0, 0);
    for difference in &table.differences {
        let known = |name: &String| table.columns.iter().any(|c| &c.source == name);
        must_in(table, difference.columns.iter().all(known), || {
            format!(
                "row {} differs in a column that was not compared",
                difference.key
            )
        })?;
        let changed = difference.kind == DifferenceKind::Changed;
        must_in(table, changed || difference.columns.is_empty(), || {
            format!(
                "row {} is on one side only and differs in columns",
                difference.key
            )
        })?;
        if let Some(said) = &difference.classification {
            must_in(table, is_whole(said), || {
                format!(
                    "row {} is classified without a name, a reason or a time",
                    difference.key
                )
            })?;
        }
        if difference.is_expected() {
            source += u64::from(difference.kind != DifferenceKind::Extra);
            target += u64::from(difference.kind != DifferenceKind::Missing);
        }
    }
    let taken = (table.expected.source.rows, table.expected.target.rows);
    must_in(table, taken == (source, target), || {
        "what is taken out of the sums is not the rows of expected differences".to_owned()
    })?;
    let empty = |sum: &BucketSum| sum.rows > 0 || *sum == BucketSum::default();
    must_in(
        table,
        empty(&table.expected.source) && empty(&table.expected.target),
        || "digests of no row are taken out of the sums".to_owned(),
    )
}

fn is_whole(said: &Classification) -> bool {
    !said.by.trim().is_empty() && !said.reason.trim().is_empty() && said.at >= 0
}

/// The mapping is this table's, and its columns are the compared ones in the same order.
fn mapped(table: &TableProof, mapping: &Mapping) -> Result {
    let mapping = mapping.read().map_err(|e| CertificateError::Inconsistent {
        table: Some(table.source_name.clone()),
        what: match e {
            CertificateError::Inconsistent { what, .. } => what,
            other => other.to_string(),
        },
    })?;
    let named = mapping.source.name.to_string() == table.source_name
        && mapping.target.name.to_string() == table.target_name;
    must_in(table, named, || "its mapping is another table's".to_owned())?;
    let same = mapping.columns.len() == table.columns.len()
        && mapping.columns.iter().zip(&table.columns).all(|(m, c)| {
            m.source == c.source && m.target == c.target && m.canonical == c.canonical
        });
    must_in(table, same, || {
        "its mapping has other columns than were compared".to_owned()
    })
}

fn projection(projection: &Projection) -> Result {
    let equal = projection.source == projection.target;
    must(projection.equal == equal, || {
        format!(
            "projection {} states {}, and its results say otherwise",
            projection.name,
            word(projection.equal)
        )
    })
}

#[cfg(test)]
#[path = "consistent_tests.rs"]
mod tests;
