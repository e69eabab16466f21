//! `certificate`: keys that sign, and the check of a signed file. Needs no database and no control store.

use std::path::Path;

use crossfade_certificate::{Body, PublicKey, Signed, SigningKey, key};
use serde_json::{Value, json};

use super::belongs;
use crate::args;
use crate::failure::{Failure, REFUSED};
use crate::load;
use crate::show::{Output, certificate as show};
use crate::stores;

/// Makes a pair of keys.
///
/// # Errors
/// A file that is there, a folder that cannot be written.
pub fn keygen(arguments: &args::Keygen, output: &Output) -> Result<u8, Failure> {
    let key = SigningKey::generate()?;
    let written = key.write(&arguments.output)?;
    let fingerprint = key.public().fingerprint();
    output.say(format!(
        "Wrote {}: signs certificates. Keep it secret; nobody can make it again.\n\
         Wrote {}: checks them. Hand it out.\n\
         Fingerprint: {fingerprint}",
        written.private.display(),
        written.public.display()
    ));
    output.tell(&json!({ "key": {
        "private": written.private.display().to_string(),
        "public": written.public.display().to_string(),
        "fingerprint": fingerprint,
    }}));
    Ok(0)
}

/// Checks a certificate.
///
/// # Errors
/// One that is not valid, not of the named signer or not of the named migration; a file that cannot be read. A valid one
/// that states differences is no error; it makes the exit code 2.
pub fn check(arguments: &args::Check, output: &Output) -> Result<u8, Failure> {
    // before the certificate: a key that cannot be used says nothing about it
    let key = arguments.key.as_deref().map(PublicKey::read).transpose()?;
    let signed = Signed::read(&arguments.file)?;
    if let Some(key) = &key {
        signed.signed_by(key)?;
    }
    if let Some(file) = &arguments.migration {
        let folder = stores::folder_of(file);
        belongs::check(&load::read_public(file)?, &folder, signed.body())?;
    }
    output.say(show::text(&signed, key.is_some()));
    output.tell(&json!({ "certificate": {
        "file": arguments.file.display().to_string(),
        "signer": { "fingerprint": signed.signer().fingerprint(), "known": key.is_some() },
        "migration_checked": arguments.migration.is_some(),
        "equal": signed.body().equal,
        "body": without_mappings(signed.body())?,
    }}));
    Ok(if signed.body().equal { 0 } else { REFUSED })
}

/// The mappings are long and for programs that have the file anyway.
fn without_mappings(body: &Body) -> Result<Value, Failure> {
    let mut value = serde_json::to_value(body)
        .map_err(|e| Failure::internal(format!("a certificate cannot be shown as JSON: {e}")))?;
    if let Some(fields) = value.as_object_mut() {
        fields.remove("mappings");
    }
    Ok(value)
}

/// Reads the key that is to sign. To be called before a comparison begins: one that cannot be used must not cost an hour.
///
/// # Errors
/// A file that cannot be read or is no private key.
pub fn signing_key(path: &Path) -> Result<SigningKey, Failure> {
    let signing = SigningKey::read(path)?;
    if key::is_exposed(path) {
        tracing::warn!(
            "others than its owner can read the private key {}: chmod 600",
            path.display()
        );
    }
    Ok(signing)
}

/// Signs what a comparison found and writes it: whole, or not at all.
///
/// # Errors
/// As [`signing_key`]; statements that contradict each other, which are not signed; a folder that cannot be written.
#[cfg_attr(not(test), expect(dead_code, reason = "for commands that compare"))]
pub fn write(path: &Path, key_path: &Path, body: Body) -> Result<Signed, Failure> {
    let signed = Signed::create(body, &signing_key(key_path)?)?;
    signed.write(path)?;
    Ok(signed)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn body() -> Body {
        let bytes = include_bytes!("../../../certificate/tests/format-1.json");
        Signed::parse(bytes).unwrap().body().clone()
    }

    #[test]
    fn what_is_written_is_signed_by_the_key() {
        let place = tempfile::tempdir().unwrap();
        let (path, key_path) = (place.path().join("c.json"), place.path().join("k"));
        let key = SigningKey::generate().unwrap();
        key.write(&key_path).unwrap();
        let signed = write(&path, &key_path, body()).unwrap();
        let again = Signed::read(&path).unwrap();
        assert_eq!(again, signed);
        again.signed_by(&key.public()).unwrap();
        assert_eq!(again.body(), &body());
    }

    #[test]
    fn nothing_is_written_without_a_key_or_with_a_contradiction() {
        let place = tempfile::tempdir().unwrap();
        let (path, key_path) = (place.path().join("c.json"), place.path().join("k"));
        let failure = write(&path, &key_path, body()).unwrap_err();
        assert_eq!(
            (failure.exit, failure.code.as_str()),
            (3, "certificate.key")
        );
        SigningKey::generate().unwrap().write(&key_path).unwrap();
        let mut wrong = body();
        wrong.equal = false;
        let failure = write(&path, &key_path, wrong).unwrap_err();
        assert_eq!(
            (failure.exit, failure.code.as_str()),
            (1, "certificate.inconsistent")
        );
        assert!(failure.fix.is_some());
        assert!(!path.exists());
    }
}
