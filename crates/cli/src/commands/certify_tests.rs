#![allow(clippy::unwrap_used)]
use crossfade_control::quarantine::Classification as Opinion;
use crossfade_model::BucketSum;

use super::*;

const CERTIFICATE: &[u8] = include_bytes!("../../../certificate/tests/format-1.json");

fn body() -> Body {
    Signed::parse(CERTIFICATE).unwrap().body().clone()
}

fn sum(rows: u64, lanes: u64) -> BucketSum {
    BucketSum {
        rows,
        first: lanes,
        second: !lanes,
    }
}

fn changed() -> engine::Difference {
    engine::Difference {
        kind: engine::DifferenceKind::Changed,
        key: "7".to_owned(),
        columns: vec!["id".to_owned()],
        cause: Default::default(),
        why: String::new(),
        classification: Some(Opinion {
            verdict: Said::Expected,
            by: "Ada".to_owned(),
            reason: "on purpose".to_owned(),
            at: 5,
        }),
        row_key: None,
        source_row: Some(vec![Some("secret".to_owned())]),
        target_row: None,
        source_digest: sum(1, 3),
        target_digest: sum(1, 4),
    }
}

/// One table, in which one row differs and is expected to.
fn report() -> VerifyReport {
    let body = body();
    let store = |label: &str| StoreEvidence {
        engine: "sqlite".to_owned(),
        label: label.to_owned(),
        version: "SQLite 3".to_owned(),
        identity: "file 1".to_owned(),
    };
    let mut mapping = body.mappings[0].read().unwrap();
    let mut own = mapping.target.columns[0].clone();
    own.name = "own".to_owned();
    own.default = Some("0".to_owned());
    mapping.target.columns.push(own);
    VerifyReport {
        position: "12".to_owned(),
        started: 1,
        finished: 2,
        tables: vec![TableVerify {
            name: "public.orders".to_owned(),
            columns: Vec::new(),
            rows: 9,
            source: sum(9, 100),
            target: BucketSum {
                rows: 9,
                first: 101,
                second: (!100u64).wrapping_add((!4u64).wrapping_sub(!3)),
            },
            stream_proven_keys: 3,
            places: Default::default(),
            equal: false,
            differences: vec![changed()],
            more: false,
        }],
        salt: Some(body.salt),
        commitment: Some(body.commitment),
        evidence: Some(Box::new(Evidence {
            migration: "shop".to_owned(),
            plan_hash: body.plan_hash,
            source: store("sqlite:a.db"),
            target: store("sqlite:b.db"),
            mappings: vec![mapping],
            read_again: Some(ReadAgain {
                position: "14".to_owned(),
                keys: 5,
                moving: 1,
            }),
        })),
        ..VerifyReport::default()
    }
}

#[test]
fn a_report_becomes_a_certificate_that_passes_its_checker() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("c.json");
    let key = SigningKey::generate().unwrap();
    let signed = write(&path, &key, of_report(&report()).unwrap()).unwrap();
    let again = Signed::read(&path).unwrap();
    assert_eq!(again, signed);
    again.signed_by(&key.public()).unwrap();
    let stated = again.body();
    assert!(stated.equal);
    let table = &stated.tables[0];
    assert_eq!(table.expected.source, sum(1, 3));
    assert_eq!(
        table.differences[0].classification.as_ref().unwrap().by,
        "Ada"
    );
    assert_eq!(table.excluded[0].column, "own");
    assert!(!again.text().contains("secret"));
    assert!(
        stated.independent[0].contains("3 keys changed"),
        "{:?}",
        stated.independent
    );
    assert!(
        stated.independent[2].contains("5 keys"),
        "{:?}",
        stated.independent
    );
    assert!(
        stated.independent[2].contains("4 equal, 1 changing"),
        "{:?}",
        stated.independent
    );
}

#[test]
fn tables_are_not_certified_where_a_projection_differs() {
    let mut report = report();
    let projection = |equal| engine::ProjectionReport {
        name: "revenue".to_owned(),
        position: "13".to_owned(),
        rows: 4,
        equal,
        differences: Vec::new(),
        more: false,
        problem: None,
    };
    report.layers.projections = vec![projection(true)];
    assert!(report.is_equal_as_expected());
    let body = of_report(&report).unwrap();
    let last = body.independent.last().unwrap();
    assert!(
        last.contains("revenue, read at position 13: 4 rows"),
        "{last}"
    );
    report.layers.projections = vec![projection(true), projection(false)];
    assert!(!report.is_equal_as_expected());
    let failure = of_report(&report).unwrap_err();
    assert_eq!(
        (failure.exit, failure.code.as_str()),
        (2, "certificate.projection")
    );
}

#[test]
fn digests_stand_where_they_were_computed() {
    let mut report = report();
    report.tables[0].places.target = SumPlace::Server;
    let table = of_report(&report).unwrap().tables.remove(0);
    assert_eq!(
        (table.source_computed, table.target_computed),
        (Place::Program, Place::Server)
    );
}

#[test]
fn an_expected_row_whose_digest_is_not_known_is_not_believed() {
    let mut report = report();
    report.tables[0].differences[0].source_digest = BucketSum::default();
    let body = of_report(&report).unwrap();
    assert!(!body.equal);
    assert_eq!(body.tables[0].differences[0].classification, None);
    Signed::create(body, &SigningKey::generate().unwrap()).unwrap();
}

#[test]
fn nothing_is_written_without_a_key_with_a_contradiction_or_over_a_file() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("c.json");
    let failure = signing_key(&place.path().join("k")).err().unwrap();
    assert_eq!(
        (failure.exit, failure.code.as_str()),
        (3, "certificate.key")
    );
    let key = SigningKey::generate().unwrap();
    let mut wrong = body();
    wrong.equal = false;
    let failure = write(&path, &key, wrong).unwrap_err();
    assert_eq!(
        (failure.exit, failure.code.as_str()),
        (1, "certificate.inconsistent")
    );
    assert!(failure.fix.is_some());
    let mut silent = report();
    silent.evidence = None;
    let failure = of_report(&silent).unwrap_err();
    assert_eq!(failure.code, "certificate.no_evidence");
    assert!(!path.exists());
    std::fs::write(&path, "mine").unwrap();
    let failure = write(&path, &key, body()).unwrap_err();
    assert_eq!(
        (failure.exit, failure.code.as_str()),
        (3, "certificate.exists")
    );
    assert_eq!(std::fs::read(&path).unwrap(), b"mine");
}

#[test]
fn sequences_stand_in_the_certificate_and_one_that_is_behind_keeps_it_from_being_written() {
    let sequence = |problem: Option<SequenceProblem>| SequenceVerify {
        name: "public.orders_id_seq".to_owned(),
        source: Some(9),
        target: problem.is_none().then_some(12),
        equal: problem.is_none(),
        problem,
    };
    let mut report = report();
    report.sequences = vec![sequence(None)];
    assert!(report.is_equal_as_expected());
    let body = of_report(&report).unwrap();
    assert_eq!(
        (body.sequences[0].source, body.sequences[0].target),
        (Some(9), Some(12))
    );
    let claim = body.independent.iter().find(|r| r.contains("1 sequence"));
    assert!(claim.unwrap().contains("there or beyond"));
    report.sequences = vec![sequence(Some(SequenceProblem::Behind))];
    assert!(!report.is_equal_as_expected());
    assert!(of_report(&report).is_err());
}
