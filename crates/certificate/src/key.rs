//! Ed25519 keys, in the files that other tools write and read too: PKCS#8 and SubjectPublicKeyInfo as PEM (RFC 8410).

use std::path::{Path, PathBuf};

use ed25519_dalek::VerifyingKey;
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{
    DecodePrivateKey as _, DecodePublicKey as _, EncodePrivateKey as _, EncodePublicKey as _,
    KeypairBytes,
};
use rand::TryRngCore as _;
use sha2::{Digest as _, Sha256};

use crate::error::CertificateError;
use crate::files;

/// No key's file is longer, in bytes.
const LONGEST: u64 = 64 << 10;

/// A key that signs. Shows nothing of itself.
pub struct SigningKey(pub(crate) ed25519_dalek::SigningKey);

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SigningKey({})", self.public().fingerprint())
    }
}

/// A key that checks what was signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey(pub(crate) VerifyingKey);

/// The files of a new pair of keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// The private key's file.
    pub private: PathBuf,
    /// The public key's file.
    pub public: PathBuf,
}

impl SigningKey {
    /// A new key, from the system's randomness.
    ///
    /// # Errors
    /// The system gives none.
    pub fn generate() -> Result<SigningKey, CertificateError> {
        let mut secret = [0u8; 32];
        rand::rngs::OsRng
            .try_fill_bytes(&mut secret)
            .map_err(|e| CertificateError::Key {
                what: format!("the system gives no randomness: {e}"),
                fix: "make the key on another machine".to_owned(),
            })?;
        Ok(SigningKey(ed25519_dalek::SigningKey::from_bytes(&secret)))
    }

    /// Reads a private key's file.
    ///
    /// # Errors
    /// A file that cannot be read or holds no Ed25519 key. Says nothing of its content.
    pub fn read(path: &Path) -> Result<SigningKey, CertificateError> {
        let fix = "name the private key's file that `crossfade certificate keygen -o FILE` wrote";
        let text = text(path, fix)?;
        ed25519_dalek::SigningKey::from_pkcs8_pem(text.trim())
            .map(SigningKey)
            .map_err(|_| {
                let what = if text.contains("PUBLIC KEY") {
                    "is a public key: signing needs the private one"
                } else {
                    "holds no Ed25519 private key (PKCS#8, PEM)"
                };
                unusable(path, what, fix)
            })
    }

    /// The key that checks what this one signs.
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key())
    }

    /// Writes the private key to `path`, readable by its owner only, and the public one to `path` with `.pub` after it.
    /// Never over a file that is there.
    ///
    /// # Errors
    /// A file that is there, a folder that cannot be written; then neither file is left.
    pub fn write(&self, path: &Path) -> Result<Written, CertificateError> {
        let public = with_pub(path);
        let failed = |e: &dyn std::fmt::Display| CertificateError::Key {
            what: format!("the key cannot be written as PEM: {e}"),
            fix: "report this".to_owned(),
        };
        // without the public half: the form that every tool reads
        let private_text = KeypairBytes {
            secret_key: self.0.to_bytes(),
            public_key: None,
        }
        .to_pkcs8_pem(LineEnding::LF)
        .map_err(|e| failed(&e))?;
        let public_text = self.public().to_pem()?;
        create(path, private_text.as_bytes(), true)?;
        if let Err(error) = create(&public, public_text.as_bytes(), false) {
            // made a moment ago by this call: nobody has signed with it
            let _ = std::fs::remove_file(path);
            return Err(error);
        }
        Ok(Written {
            private: path.to_owned(),
            public,
        })
    }
}

impl PublicKey {
    /// From a key's 32 bytes.
    pub fn from_bytes(bytes: &[u8]) -> Option<PublicKey> {
        let bytes: &[u8; 32] = bytes.try_into().ok()?;
        VerifyingKey::from_bytes(bytes).ok().map(PublicKey)
    }

    /// Reads a public key's file.
    ///
    /// # Errors
    /// A file that cannot be read or holds no Ed25519 key.
    pub fn read(path: &Path) -> Result<PublicKey, CertificateError> {
        let fix =
            "name the public key's file: `crossfade certificate keygen -o FILE` wrote FILE.pub";
        let text = text(path, fix)?;
        VerifyingKey::from_public_key_pem(text.trim())
            .map(PublicKey)
            .map_err(|_| {
                let what = if text.contains("PRIVATE KEY") {
                    "is a private key: checking needs the public one, and nobody but the signer needs this"
                } else {
                    "holds no Ed25519 public key (SubjectPublicKeyInfo, PEM)"
                };
                unusable(path, what, fix)
            })
    }

    /// The key's bytes as 64 hexadecimal digits.
    pub fn to_hex(&self) -> String {
        crossfade_model::hex::encode(self.0.as_bytes())
    }

    /// What people compare: SHA-256 of the key's 32 bytes.
    pub fn fingerprint(&self) -> String {
        let digest = Sha256::digest(self.0.as_bytes());
        format!("sha256:{}", crossfade_model::hex::encode(&digest))
    }

    /// As PEM.
    ///
    /// # Errors
    /// The library cannot write it.
    pub fn to_pem(&self) -> Result<String, CertificateError> {
        self.0
            .to_public_key_pem(LineEnding::LF)
            .map_err(|e| CertificateError::Key {
                what: format!("the key cannot be written as PEM: {e}"),
                fix: "report this".to_owned(),
            })
    }
}

/// A private key's file can be read by others than its owner.
pub fn is_exposed(path: &Path) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::metadata(path).is_ok_and(|m| m.permissions().mode() & 0o077 != 0)
    }
    #[cfg(not(unix))]
    {
        let _ = path;
        false
    }
}

fn with_pub(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".pub");
    name.into()
}

fn create(path: &Path, bytes: &[u8], secret: bool) -> Result<(), CertificateError> {
    files::create(path, bytes, secret).map_err(|e| {
        if e.kind() == std::io::ErrorKind::AlreadyExists {
            return CertificateError::Key {
                what: format!("{} is there already, and a key is never overwritten", path.display()),
                fix: "name another file with `-o`, or move that one away: without it nothing more can be signed by it".to_owned(),
            };
        }
        CertificateError::Write {
            path: path.display().to_string(),
            what: e.to_string(),
        }
    })
}

fn text(path: &Path, fix: &str) -> Result<String, CertificateError> {
    let bytes = files::read(path, LONGEST).map_err(|e| CertificateError::Key {
        what: e.to_string(),
        fix: fix.to_owned(),
    })?;
    String::from_utf8(bytes).map_err(|_| unusable(path, "is not text", fix))
}

fn unusable(path: &Path, what: &str, fix: &str) -> CertificateError {
    CertificateError::Key {
        what: format!("{} {what}", path.display()),
        fix: fix.to_owned(),
    }
}

#[cfg(test)]
#[path = "key_tests.rs"]
mod tests;
