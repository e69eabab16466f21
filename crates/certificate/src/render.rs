//! The one rendering of a certificate, and reading of exactly that.
//!
//! ```text
//! {"certificate":
//! {
//!   "format": "crossfade-certificate/1",
//!   …
//! }
//! ,"signature":{"algorithm":"ed25519","key":"…","value":"…"}}
//! ```
//!
//! The lines between the first and the last are what is signed, byte for byte, their last line's end included: without
//! crossfade they can be cut out and checked by any tool that knows Ed25519.

use serde::{Deserialize, Serialize};

use crate::body::{Body, FORMAT, FORMAT_NAME};
use crate::error::CertificateError;

/// Nobody's certificate is longer, in bytes.
pub const LONGEST: u64 = 256 << 20;

const HEAD: &str = "{\"certificate\":\n";

/// The signature as the file states it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignatureText {
    /// How it was signed; always `ed25519`.
    pub algorithm: String,
    /// The public key of who signed, 64 hexadecimal digits.
    pub key: String,
    /// The signature, 128 hexadecimal digits.
    pub value: String,
}

/// A file's content.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    certificate: Body,
    signature: SignatureText,
}

/// What is read first: the rest may look otherwise in another format.
#[derive(Deserialize)]
struct Probe {
    certificate: ProbeBody,
}

#[derive(Deserialize)]
struct ProbeBody {
    format: String,
}

fn broken(what: impl Into<String>) -> CertificateError {
    CertificateError::Broken { what: what.into() }
}

/// The bytes that are signed.
///
/// # Errors
/// A body that has no form as JSON.
pub fn body(body: &Body) -> Result<String, CertificateError> {
    let mut text = serde_json::to_string_pretty(body)
        .map_err(|e| broken(format!("it cannot be written: {e}")))?;
    text.push('\n');
    Ok(text)
}

/// The whole file around the signed bytes.
///
/// # Errors
/// A signature that has no form as JSON.
pub fn file(signed: &str, signature: &SignatureText) -> Result<String, CertificateError> {
    let signature = serde_json::to_string(signature)
        .map_err(|e| broken(format!("the signature cannot be written: {e}")))?;
    Ok(format!("{HEAD}{signed},\"signature\":{signature}}}\n"))
}

/// Reads a file that is exactly what [`file`] gives: the body, the bytes that were signed, the signature.
///
/// # Errors
/// Anything else: another order, other spaces, a field twice, a field too many, a newer format.
pub fn parse(bytes: &[u8]) -> Result<(Body, String, SignatureText), CertificateError> {
    if bytes.len() as u64 > LONGEST {
        return Err(broken("it is too long for a certificate"));
    }
    let text = std::str::from_utf8(bytes)
        .map_err(|e| broken(format!("it is not UTF-8 text (byte {})", e.valid_up_to())))?;
    let probe: Probe =
        serde_json::from_str(text).map_err(|e| broken(format!("it cannot be read: {e}")))?;
    known_format(&probe.certificate.format)?;
    let content: Content =
        serde_json::from_str(text).map_err(|e| broken(format!("it cannot be read: {e}")))?;
    let signed = body(&content.certificate)?;
    let whole = file(&signed, &content.signature)?;
    if whole != text {
        let same = whole.bytes().zip(text.bytes()).take_while(|(a, b)| a == b);
        return Err(broken(format!(
            "from byte {} on it is not written as crossfade writes it",
            same.count()
        )));
    }
    Ok((content.certificate, signed, content.signature))
}

/// The format is one that this version reads.
fn known_format(format: &str) -> Result<(), CertificateError> {
    let number = format
        .strip_prefix(FORMAT_NAME)
        .and_then(|n| n.parse::<u64>().ok())
        .ok_or_else(|| broken("its format is not one of crossfade's"))?;
    if number > u64::from(FORMAT) {
        return Err(CertificateError::Newer {
            found: number,
            known: FORMAT,
        });
    }
    Ok(())
}
