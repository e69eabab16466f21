#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;
use crate::example::{body, body_with_difference, body_with_expected, key};

fn bytes() -> Vec<u8> {
    Signed::create(body_with_expected(), &key())
        .unwrap()
        .text()
        .as_bytes()
        .to_vec()
}

fn code(bytes: &[u8]) -> &'static str {
    Signed::parse(bytes).unwrap_err().code()
}

#[test]
fn what_is_signed_is_read_again() {
    for body in [body(), body_with_expected(), body_with_difference()] {
        let signed = Signed::create(body.clone(), &key()).unwrap();
        let again = Signed::parse(signed.text().as_bytes()).unwrap();
        assert_eq!(again.body(), &body);
        assert_eq!(again, signed);
        again.signed_by(&key().public()).unwrap();
    }
}

#[test]
fn every_flipped_bit_and_every_missing_byte_is_refused() {
    let whole = bytes();
    Signed::parse(&whole).unwrap();
    for at in 0..whole.len() {
        for bit in 0..8 {
            let mut changed = whole.clone();
            changed[at] ^= 1 << bit;
            assert!(Signed::parse(&changed).is_err(), "byte {at}, bit {bit}");
        }
        let mut shorter = whole.clone();
        shorter.remove(at);
        assert!(Signed::parse(&shorter).is_err(), "without byte {at}");
        assert!(Signed::parse(&whole[..at]).is_err(), "cut at {at}");
    }
}

proptest! {
    #[test]
    fn random_bytes_are_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(Signed::parse(&bytes).is_err());
    }

    #[test]
    fn a_changed_byte_is_refused(at in any::<prop::sample::Index>(), other in 1..=255u8) {
        let mut changed = bytes();
        let at = at.index(changed.len());
        changed[at] ^= other;
        prop_assert!(Signed::parse(&changed).is_err());
    }

    #[test]
    fn bytes_put_in_are_refused(at in any::<prop::sample::Index>(), more in proptest::collection::vec(any::<u8>(), 1..20)) {
        let mut changed = bytes();
        let at = at.index(changed.len() + 1);
        changed.splice(at..at, more);
        prop_assert!(Signed::parse(&changed).is_err());
    }

    #[test]
    fn any_text_is_read_as_it_was_signed(name in "\\PC{1,20}", key_text in any::<String>(), cause in any::<Option<String>>(), value in any::<Option<i64>>()) {
        let mut body = body_with_difference();
        prop_assume!(!name.trim().is_empty());
        body.migration = name;
        body.tables[0].differences[0].key = key_text;
        body.tables[0].differences[0].cause = cause;
        body.sequences[0].source = value;
        let signed = Signed::create(body.clone(), &key()).unwrap();
        let again = Signed::parse(signed.text().as_bytes()).unwrap();
        prop_assert_eq!(again.body(), &body);
    }
}

/// Puts another value at the leaf of this number, counted as they stand.
fn replace_leaf(value: &mut serde_json::Value, number: &mut usize, other: &serde_json::Value) {
    use serde_json::Value;
    match value {
        Value::Array(items) if !items.is_empty() => {
            items
                .iter_mut()
                .for_each(|v| replace_leaf(v, number, other));
        }
        Value::Object(fields) if !fields.is_empty() => {
            fields
                .values_mut()
                .for_each(|v| replace_leaf(v, number, other));
        }
        leaf => {
            if *number == 0 {
                leaf.clone_from(other);
            }
            *number = number.wrapping_sub(1);
        }
    }
}

fn any_leaf() -> impl Strategy<Value = serde_json::Value> {
    prop_oneof![
        any::<u64>().prop_map(serde_json::Value::from),
        any::<i64>().prop_map(serde_json::Value::from),
        any::<f64>().prop_map(serde_json::Value::from),
        any::<bool>().prop_map(serde_json::Value::from),
        "[0-9a-f]{16}|[0-9a-f]{64}|full|expected|\\PC{0,9}".prop_map(serde_json::Value::from),
        Just(serde_json::Value::Null),
        Just(serde_json::json!([])),
    ]
}

proptest! {
    /// Who has a key can sign anything: no content does harm, and equality is never believed against the sums.
    #[test]
    fn any_signed_statement_is_refused_or_agrees(number in 0..250usize, other in any_leaf(), which in 0..3usize) {
        let bodies = [body(), body_with_expected(), body_with_difference()];
        let mut value = serde_json::to_value(&bodies[which]).unwrap();
        replace_leaf(&mut value, &mut number.clone(), &other);
        let Ok(body) = serde_json::from_value::<Body>(value) else {
            return Ok(());
        };
        let signed = render::body(&body).unwrap();
        let signature = SignatureText {
            algorithm: ALGORITHM.to_owned(),
            key: key().public().to_hex(),
            value: crossfade_model::hex::encode(&key().0.sign(signed.as_bytes()).to_bytes()),
        };
        let file = render::file(&signed, &signature).unwrap();
        let believed = Signed::parse(file.as_bytes());
        prop_assert_eq!(believed.is_ok(), Signed::create(body.clone(), &key()).is_ok());
        if let Ok(believed) = believed {
            let sums = |t: &crate::TableProof| t.source == t.target || !t.differences.is_empty();
            prop_assert!(!believed.body().equal || body.tables.iter().all(sums));
            prop_assert_eq!(body.equal, which != 2);
        }
    }
}

#[test]
fn another_form_of_the_same_content_is_broken() {
    let text = String::from_utf8(bytes()).unwrap();
    let changed = |from: &str, to: &str| {
        let changed = text.replacen(from, to, 1);
        assert_ne!(changed, text, "{from} is not there");
        code(changed.as_bytes())
    };
    let broken = "certificate.broken";
    // spaces, a field twice, another order, another escape, a field that nobody knows
    assert_eq!(changed("\"equal\": true", "\"equal\":true"), broken);
    assert_eq!(
        changed(
            "  \"equal\": true,\n",
            "  \"equal\": true,\n  \"equal\": true,\n"
        ),
        broken
    );
    assert_eq!(
        changed(
            "    \"engine\": \"postgres\",\n    \"label\": \"postgres://app@old/shop\"",
            "    \"label\": \"postgres://app@old/shop\",\n    \"engine\": \"postgres\""
        ),
        broken
    );
    assert_eq!(changed("näme", "n\\u00e4me"), broken);
    assert_eq!(
        changed(
            "  \"equal\": true,\n",
            "  \"equal\": true,\n  \"more\": 1,\n"
        ),
        broken
    );
    assert_eq!(
        changed(
            "\"same_shape\"",
            "\"same_shape\": true,\n      \"same_shape\""
        ),
        broken
    );
    assert_eq!(code(format!("{text}\n").as_bytes()), broken);
    assert_eq!(code(format!("\u{feff}{text}").as_bytes()), broken);
    assert_eq!(code(text.replace('\n', "\r\n").as_bytes()), broken);
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(code(value.to_string().as_bytes()), broken);
    assert_eq!(code("[".repeat(100_000).as_bytes()), broken);
}

#[test]
fn other_content_under_the_same_signature_is_refused() {
    let text = String::from_utf8(bytes()).unwrap();
    let changed = |from: &str, to: &str| {
        let changed = text.replacen(from, to, 1);
        assert_ne!(changed, text, "{from} is not there");
        code(changed.as_bytes())
    };
    assert_eq!(
        changed("\"position\": \"0/1", "\"position\": \"0/2"),
        "certificate.signature"
    );
    assert_eq!(
        changed("\"rows\": 500", "\"rows\": 501"),
        "certificate.signature"
    );
    let hex = key().public().to_hex();
    assert_eq!(changed(&hex, &hex.to_uppercase()), "certificate.signature");
    let other = SigningKey::generate().unwrap().public().to_hex();
    assert_eq!(changed(&hex, &other), "certificate.signature");
    assert_eq!(
        changed("\"algorithm\":\"ed25519\"", "\"algorithm\":\"none\""),
        "certificate.broken"
    );
}

#[test]
fn a_contradiction_is_neither_signed_nor_believed() {
    let mut wrong = body();
    wrong.tables[0].target.first ^= 1;
    let error = Signed::create(wrong.clone(), &key()).unwrap_err();
    assert_eq!(
        (error.code(), error.table()),
        ("certificate.inconsistent", Some("public.orders"))
    );
    // somebody signs it with other tools
    let signed = render::body(&wrong).unwrap();
    let signature = SignatureText {
        algorithm: ALGORITHM.to_owned(),
        key: key().public().to_hex(),
        value: crossfade_model::hex::encode(&key().0.sign(signed.as_bytes()).to_bytes()),
    };
    let file = render::file(&signed, &signature).unwrap();
    assert_eq!(code(file.as_bytes()), "certificate.inconsistent");
}

#[test]
fn a_newer_format_is_named() {
    let text = String::from_utf8(bytes()).unwrap();
    let newer = text.replacen("crossfade-certificate/1", "crossfade-certificate/2", 1);
    assert_eq!(code(newer.as_bytes()), "certificate.newer");
    let newer = r#"{"certificate":{"format":"crossfade-certificate/7","other":{}},"seal":1}"#;
    let error = Signed::parse(newer.as_bytes()).unwrap_err();
    assert!(matches!(
        error,
        CertificateError::Newer { found: 7, known: 1 }
    ));
    let foreign = text.replacen("crossfade-certificate/1", "receipt/1", 1);
    assert_eq!(code(foreign.as_bytes()), "certificate.broken");
}

#[test]
fn another_key_is_told_apart() {
    let signed = Signed::parse(&bytes()).unwrap();
    let other = SigningKey::generate().unwrap().public();
    let error = signed.signed_by(&other).unwrap_err();
    assert_eq!(error.code(), "certificate.signer");
    assert!(error.to_string().contains(&key().public().fingerprint()));
}

#[test]
fn the_lines_between_the_first_and_the_last_are_what_is_signed() {
    let text = String::from_utf8(bytes()).unwrap();
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let signed = lines[1..lines.len() - 1].concat();
    assert_eq!(signed, render::body(&body_with_expected()).unwrap());
    assert!(signed.starts_with("{\n  \"format\": \"crossfade-certificate/1\",\n"));
}

/// Certificates that are out in the world stay readable: one that was written once, byte for byte.
#[test]
fn an_old_certificate_is_still_accepted() {
    let old = include_bytes!("../tests/format-1.json");
    let signed = Signed::parse(old).unwrap();
    signed.signed_by(&key().public()).unwrap();
    assert_eq!(signed.text().as_bytes(), old);
    for side in [crate::Side::Source, crate::Side::Target] {
        assert_eq!(signed.body().readings(side).unwrap().len(), 2);
    }
}

/// A claim that is worded otherwise would make them contradict themselves.
#[test]
fn the_claims_stay_as_they_are() {
    use crossfade_model::Canonical as C;
    let claims = [
        (C::Exact, "bit-equal"),
        (C::Boolean, "equal as boolean"),
        (C::Integer, "equal as integer"),
        (C::Float32, "bit-equal single"),
        (C::Float64, "bit-equal double"),
        (C::Float32AnyZero, "bit-equal single, both zeros one"),
        (C::Float64AnyZero, "bit-equal double, both zeros one"),
        (C::Decimal, "equal as decimal"),
        (C::Text, "bit-equal text"),
        (C::Bytes, "bit-equal bytes"),
        (C::Uuid, "equal as UUID"),
        (C::Date, "equal as date"),
        (C::Time, "equal as time, microseconds"),
        (C::Timestamp, "equal as local time, microseconds"),
        (C::TimestampWithZone, "equal as instant, microseconds"),
    ];
    for (canonical, claim) in claims {
        assert_eq!(canonical.claim(), claim);
    }
}

#[test]
fn a_file_is_written_whole_and_never_over_another() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("c.json");
    let first = Signed::create(body(), &key()).unwrap();
    first.write(&path).unwrap();
    assert_eq!(Signed::read(&path).unwrap(), first);
    let second = Signed::create(body_with_difference(), &key()).unwrap();
    assert_eq!(
        second.write(&path).unwrap_err().code(),
        "certificate.exists"
    );
    assert_eq!(Signed::may_write(&path).unwrap_err().exit_code(), 3);
    assert_eq!(Signed::read(&path).unwrap(), first);
    Signed::may_write(&place.path().join("new")).unwrap();
    let nowhere = place.path().join("none").join("c.json");
    assert_eq!(
        Signed::may_write(&nowhere).unwrap_err().code(),
        "certificate.write"
    );
    assert_eq!(
        second.write(&nowhere).unwrap_err().code(),
        "certificate.write"
    );
    assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 1);

    // a folder where the file should go: nothing is left beside it
    let taken = place.path().join("d");
    std::fs::create_dir_all(taken.join("x")).unwrap();
    assert_eq!(
        first.write(&taken).unwrap_err().code(),
        "certificate.exists"
    );
    assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 2);
    let error = Signed::read(&place.path().join("none")).unwrap_err();
    assert_eq!(error.code(), "certificate.unreadable");
}
