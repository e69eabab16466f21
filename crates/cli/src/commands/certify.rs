//! From a comparison's report to a signed certificate.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use crossfade_certificate::{
    Body, CertificateError, Classification, ColumnClaim, Difference, DifferenceKind, Excluded,
    Expected, Layer, Mapping, Place, SequenceValues, Signed, SigningKey, StoreIdentity, TableProof,
    Verdict, body,
};
use crossfade_control::{Verdict as Said, quarantine};
use crossfade_engine as engine;
use crossfade_engine::{
    Evidence, ReadAgain, SequenceProblem, SequenceVerify, StoreEvidence, TableVerify, VerifyReport,
};
use crossfade_model::{Column, TableMapping};
use crossfade_store::SumPlace;
use serde_json::{Value, json};

use super::certificate::signing_key;
use crate::args;
use crate::failure::{FAILED, Failure, REFUSED};
use crate::show::number::of;

/// A certificate that is to be written once a comparison has ended.
pub struct Draft {
    path: PathBuf,
    key: SigningKey,
}

impl Draft {
    /// Looks at the key and at the place, so that neither can spoil a comparison that has been made; `None` where no
    /// certificate is asked for.
    ///
    /// # Errors
    /// A key that cannot be used, a file that is there, a folder that cannot be written.
    pub fn new(arguments: &args::Verify) -> Result<Option<Draft>, Failure> {
        let (Some(path), Some(key)) = (&arguments.certificate, &arguments.signing_key) else {
            return Ok(None);
        };
        let key = signing_key(key)?;
        Signed::may_write(path)?;
        Ok(Some(Draft {
            path: path.clone(),
            key,
        }))
    }

    /// Signs what a comparison has found, and writes it: whole, or not at all.
    ///
    /// # Errors
    /// A report without what a certificate states, or that contradicts itself; a file that has come there meanwhile.
    pub fn write(&self, report: &VerifyReport) -> Result<Signed, Failure> {
        write(&self.path, &self.key, of_report(report)?)
    }

    /// Where it goes.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What was written, for programs.
    pub fn told(&self, signed: &Signed) -> Value {
        json!({
            "file": self.path.display().to_string(),
            "fingerprint": signed.signer().fingerprint(),
            "equal": signed.body().equal,
        })
    }
}

/// Signs a body and writes it.
fn write(path: &Path, key: &SigningKey, body: Body) -> Result<Signed, Failure> {
    let signed = Signed::create(body, key)?;
    signed.write(path)?;
    Ok(signed)
}

/// What a report states.
fn of_report(report: &VerifyReport) -> Result<Body, Failure> {
    let known = (&report.evidence, &report.salt, &report.commitment);
    let (Some(evidence), Some(salt), Some(commitment)) = known else {
        return Err(Failure::new(
            FAILED,
            "certificate.no_evidence",
            "the running `run` has not told what a certificate states: it is of an earlier version",
        )
        .fix("stop the `run`, start it again with this version, and give `verify` again"));
    };
    let mut projections = report.layers.projections.iter();
    if let Some(other) = projections.find(|p| !p.equal) {
        return Err(Failure::new(
            REFUSED,
            "certificate.projection",
            format!(
                "the projection {} does not give the same rows on both sides: no certificate is written of tables alone",
                other.name
            ),
        )
        .fix("look at what the report says of it, and give `verify` again once both sides agree"));
    }
    if let Some(other) = report.sequences.iter().find(|s| !s.equal) {
        return Err(Failure::new(
            REFUSED,
            "certificate.sequence",
            format!(
                "sequence {}: {}: no certificate is written of tables alone",
                other.name,
                other.problem.map_or("it differs", SequenceProblem::words)
            ),
        )
        .fix("`verify --repair` raises what was set back; make what is missing or goes on by another step as it is on the source"));
    }
    let both = report.tables.iter().zip(&evidence.mappings);
    let tables: Vec<TableProof> = both.map(|(t, m)| table(t, m)).collect();
    let mappings: Result<Vec<Mapping>, CertificateError> =
        evidence.mappings.iter().map(Mapping::new).collect();
    Ok(Body {
        format: body::format(),
        crossfade: env!("CARGO_PKG_VERSION").to_owned(),
        migration: evidence.migration.clone(),
        plan_hash: evidence.plan_hash.clone(),
        source: store(&evidence.source),
        target: store(&evidence.target),
        position: report.position.clone(),
        started: report.started,
        finished: report.finished,
        layer: Layer::Full,
        salt: salt.clone(),
        commitment: commitment.clone(),
        equal: tables.iter().all(|t| t.equal),
        tables,
        mappings: mappings?,
        projections: Vec::new(),
        sequences: report.sequences.iter().map(sequence).collect(),
        independent: independent(report, evidence),
        overrides: Vec::new(),
    })
}

fn sequence(compared: &SequenceVerify) -> SequenceValues {
    SequenceValues {
        name: compared.name.clone(),
        source: compared.source,
        target: compared.target,
    }
}

fn store(store: &StoreEvidence) -> StoreIdentity {
    StoreIdentity {
        engine: store.engine.clone(),
        label: store.label.clone(),
        version: store.version.clone(),
        identity: store.identity.clone(),
    }
}

fn table(table: &TableVerify, mapping: &TableMapping) -> TableProof {
    let [source, target] = table.expected();
    TableProof {
        source_name: mapping.source.name.to_string(),
        target_name: mapping.target.name.to_string(),
        rows: table.rows,
        source: table.source,
        target: table.target,
        source_computed: place(table.places.source),
        target_computed: place(table.places.target),
        stream_proven_keys: table.stream_proven_keys,
        columns: mapping.columns.iter().map(ColumnClaim::new).collect(),
        excluded: excluded(mapping),
        equal: table.is_equal_as_expected(),
        expected: Expected { source, target },
        differences: table.differences.iter().map(difference).collect(),
        more: table.more,
    }
}

fn place(place: SumPlace) -> Place {
    match place {
        SumPlace::Program => Place::Program,
        SumPlace::Server => Place::Server,
    }
}

/// The target's columns that no column of the source goes to.
fn excluded(mapping: &TableMapping) -> Vec<Excluded> {
    let written: HashSet<&str> = mapping.columns.iter().map(|c| c.target.as_str()).collect();
    let others = mapping.target.columns.iter();
    let others = others.filter(|column| !written.contains(column.name.as_str()));
    let excluded = others.map(|column| Excluded {
        column: column.name.clone(),
        why: why_excluded(column).to_owned(),
    });
    excluded.collect()
}

fn why_excluded(column: &Column) -> &'static str {
    if column.generated.is_some() {
        "generated by the target"
    } else if column.identity.is_some() {
        "numbered by the target"
    } else if column.default.is_some() {
        "no column of the source goes there: a default of the target's own"
    } else {
        "no column of the source goes there"
    }
}

fn difference(found: &engine::Difference) -> Difference {
    // what is to be taken out of the sums must be known
    let said = found.classification.as_ref();
    let said = said.filter(|c| c.verdict == Said::Bug || found.is_expected());
    let unknown = found.cause == engine::Cause::Unknown || found.why.is_empty();
    Difference {
        kind: match found.kind {
            engine::DifferenceKind::Missing => DifferenceKind::Missing,
            engine::DifferenceKind::Extra => DifferenceKind::Extra,
            engine::DifferenceKind::Changed => DifferenceKind::Changed,
        },
        key: found.key.clone(),
        columns: found.columns.clone(),
        cause: (!unknown).then(|| found.why.clone()),
        classification: said.map(classification),
    }
}

fn classification(said: &quarantine::Classification) -> Classification {
    Classification {
        verdict: match said.verdict {
            Said::Expected => Verdict::Expected,
            Said::Bug => Verdict::Bug,
        },
        by: said.by.clone(),
        reason: said.reason.clone(),
        at: said.at,
    }
}

/// What was read without relying on the stream, and for which keys it was not.
fn independent(report: &VerifyReport, evidence: &Evidence) -> Vec<String> {
    let changing: u64 = report.tables.iter().map(|t| t.stream_proven_keys).sum();
    let source = "source: every row of every table, read whole at one snapshot".to_owned();
    let source = match changing {
        0 => source,
        n => format!(
            "{source}; {} changed between the two readings: of those the target's row was compared with the last image in the source's log, not with a row read on the source at this position",
            of(n, "key", "keys")
        ),
    };
    let target = format!(
        "target: every row of every table, read whole at the checkpoint {}",
        report.position
    );
    let mut reads = vec![source, target];
    reads.extend(evidence.read_again.as_ref().and_then(read_again));
    if !report.sequences.is_empty() {
        reads.push(format!(
            "both sides: {}, the source's last values read first: the target's are there or beyond, and go on by the same steps",
            of(report.sequences.len() as u64, "sequence", "sequences")
        ));
    }
    for projection in &report.layers.projections {
        reads.push(format!(
            "both sides: the projection {}, read at position {}: {}, the same on both",
            projection.name,
            projection.position,
            of(projection.rows, "row", "rows")
        ));
    }
    if let Some(repair) = report.repair.as_ref().filter(|r| r.rows > 0) {
        reads.push(format!(
            "before this comparison {} that differed: read again on the source by key, and written to the target",
            of(repair.rows, "row", "rows")
        ));
    }
    reads
}

fn read_again(again: &ReadAgain) -> Option<String> {
    if again.keys == 0 {
        return None;
    }
    let mut text = format!(
        "both sides: {} that had changed since the reading began, read by key afterwards at position {}: {} equal",
        of(again.keys, "key", "keys"),
        again.position,
        again.keys.saturating_sub(again.moving)
    );
    if again.moving > 0 {
        text.push_str(&format!(
            ", {} changing again and not decided",
            again.moving
        ));
    }
    Some(text)
}

#[cfg(test)]
#[path = "certify_tests.rs"]
mod tests;
