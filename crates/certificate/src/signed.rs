//! A body with its signature: made, written, read, checked.

use std::path::Path;

use ed25519_dalek::Signer as _;

use crate::body::Body;
use crate::error::CertificateError;
use crate::key::{PublicKey, SigningKey};
use crate::render::{self, SignatureText};
use crate::{consistent, files};

/// The only way of signing that there is.
const ALGORITHM: &str = "ed25519";

/// A certificate whose signature fits and whose statements agree: there is no other way to have one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    body: Body,
    signer: PublicKey,
    text: String,
}

impl Signed {
    /// Signs what a comparison found. What comes out has passed the checker.
    ///
    /// # Errors
    /// A body that contradicts itself: it is not signed. A certificate that would be too long to be read.
    pub fn create(body: Body, key: &SigningKey) -> Result<Signed, CertificateError> {
        consistent::check(&body)?;
        let signed = render::body(&body)?;
        let value = key.0.sign(signed.as_bytes());
        let signature = SignatureText {
            algorithm: ALGORITHM.to_owned(),
            key: key.public().to_hex(),
            value: crossfade_model::hex::encode(&value.to_bytes()),
        };
        Signed::parse(render::file(&signed, &signature)?.as_bytes())
    }

    /// Reads and checks a certificate's bytes: their form, the signature by the key that the certificate names, and that
    /// its statements agree. Whose the key is, is for the caller to ask ([`Signed::signed_by`]).
    ///
    /// # Errors
    /// Any byte that is not as it was written, or statements that do not agree.
    pub fn parse(bytes: &[u8]) -> Result<Signed, CertificateError> {
        let (body, signed, signature) = render::parse(bytes)?;
        let signer = verify(signed.as_bytes(), &signature)?;
        consistent::check(&body)?;
        let text = render::file(&signed, &signature)?;
        Ok(Signed { body, signer, text })
    }

    /// Reads and checks a certificate's file.
    ///
    /// # Errors
    /// A file that cannot be read; as [`Signed::parse`].
    pub fn read(path: &Path) -> Result<Signed, CertificateError> {
        Signed::parse(&files::read(path, render::LONGEST)?)
    }

    /// Whether a certificate could be written there: asked before a comparison that may take hours.
    ///
    /// # Errors
    /// A file that is there, a folder that cannot be written.
    pub fn may_write(path: &Path) -> Result<(), CertificateError> {
        files::is_free(path)
    }

    /// Writes the file: whole, or not at all, and never over one that is there.
    ///
    /// # Errors
    /// A file that is there, a folder that cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), CertificateError> {
        files::place(path, self.text.as_bytes())
    }

    /// What it states.
    pub fn body(&self) -> &Body {
        &self.body
    }

    /// The key that signed it. That it signed says nothing about whose it is.
    pub fn signer(&self) -> &PublicKey {
        &self.signer
    }

    /// The file's text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Checks that this key signed it.
    ///
    /// # Errors
    /// Another one did.
    pub fn signed_by(&self, key: &PublicKey) -> Result<(), CertificateError> {
        if &self.signer == key {
            return Ok(());
        }
        Err(CertificateError::Signer {
            found: self.signer.fingerprint(),
            wanted: key.fingerprint(),
        })
    }
}

/// The key that signed these bytes.
fn verify(signed: &[u8], signature: &SignatureText) -> Result<PublicKey, CertificateError> {
    if signature.algorithm != ALGORITHM {
        return Err(CertificateError::Broken {
            what: "it is not signed with ed25519".to_owned(),
        });
    }
    // every byte counts: other digits for the same number are another file
    let bytes = |digits: &str| {
        crossfade_model::hex::decode(digits).filter(|b| crossfade_model::hex::encode(b) == digits)
    };
    let key = bytes(&signature.key)
        .and_then(|b| PublicKey::from_bytes(&b))
        .ok_or(CertificateError::Signature)?;
    let value = bytes(&signature.value)
        .and_then(|b| ed25519_dalek::Signature::from_slice(&b).ok())
        .ok_or(CertificateError::Signature)?;
    key.0
        .verify_strict(signed, &value)
        .map_err(|_| CertificateError::Signature)?;
    Ok(key)
}

#[cfg(test)]
#[path = "signed_tests.rs"]
mod tests;
