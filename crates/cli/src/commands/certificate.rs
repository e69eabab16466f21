//! `certificate`: keys that sign, and the check of a signed file. Needs no control store, and no database but the one that
//! `--against` names.

use std::path::Path;

use crossfade_certificate::{Body, PublicKey, Signed, SigningKey, key};
use serde_json::{Value, json};

use super::{against, belongs};
use crate::args;
use crate::failure::{FAILED, Failure, REFUSED};
use crate::load;
use crate::show::{Output, against as show_against, certificate as show};
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
/// One that is not valid, not of the named signer or not of the named migration; a file or a store that cannot be read. A
/// valid one that states differences, or a store that is not as stated, is no error; it makes the exit code 2.
pub async fn check(arguments: &args::Check, output: &Output) -> Result<u8, Failure> {
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
    let against = match &arguments.against {
        Some(url) => {
            let side = arguments.side.map(Into::into);
            let read = against::read(signed.body(), url, side).await;
            Some(read.map_err(no_difference)?)
        }
        None => None,
    };
    if let Some(against) = &against {
        output.say(show_against::text(signed.body(), against));
    }
    let equal = signed.body().equal && against.as_ref().is_none_or(|a| a.equal);
    output.tell(&json!({ "certificate": {
        "file": arguments.file.display().to_string(),
        "signer": { "fingerprint": signed.signer().fingerprint(), "known": key.is_some() },
        "migration_checked": arguments.migration.is_some(),
        "equal": signed.body().equal,
        "body": without_mappings(signed.body())?,
        "against": against,
    }}));
    Ok(if equal { 0 } else { REFUSED })
}

/// A store that cannot be read, or whose tables have another shape, is no store that was found to differ: the exit code says so.
fn no_difference(mut failure: Failure) -> Failure {
    if failure.exit == REFUSED {
        failure.exit = FAILED;
    }
    failure
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
