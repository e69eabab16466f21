//! What can be wrong with a certificate or a key, and what to do.

/// An error about a certificate or a key.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// The file could not be read.
    #[error("{path} cannot be read: {what}")]
    Unreadable {
        /// The file.
        path: String,
        /// What happened.
        what: String,
    },
    /// The file is not what a certificate's rendering looks like: cut, edited, written by something else.
    #[error("this is not a whole certificate: {what}")]
    Broken {
        /// What is wrong.
        what: String,
    },
    /// The signature does not belong to this text and key.
    #[error("the signature does not fit: the certificate was changed after it was signed")]
    Signature,
    /// The signature fits and the statements contradict each other.
    #[error("the certificate contradicts itself: {what}")]
    Inconsistent {
        /// The table, where it is about one.
        table: Option<String>,
        /// What does not agree.
        what: String,
    },
    /// A newer version of crossfade wrote it.
    #[error("the certificate has format {found}, this version of crossfade reads up to {known}")]
    Newer {
        /// Its format.
        found: u64,
        /// The newest format that this version reads.
        known: u32,
    },
    /// Somebody else signed it.
    #[error("the certificate was signed with the key {found}, not with {wanted}")]
    Signer {
        /// The fingerprint of the key that signed it.
        found: String,
        /// The fingerprint of the key that was to have signed it.
        wanted: String,
    },
    /// It is about another migration.
    #[error("the certificate is about another migration: {what}")]
    WrongMigration {
        /// What differs.
        what: String,
    },
    /// A comparison of this layer cannot be repeated by reading one side.
    #[error("the certificate does not cover whole tables (its layer is `{layer}`)")]
    NotFull {
        /// The layer.
        layer: &'static str,
    },
    /// A key cannot be used.
    #[error("{what}")]
    Key {
        /// What is wrong.
        what: String,
        /// What to do next.
        fix: String,
    },
    /// There is a file where a certificate was to be written. It stays as it is.
    #[error("{path} is there, and is not written over")]
    Exists {
        /// The file.
        path: String,
    },
    /// A file could not be written. Nothing half-written is left.
    #[error("{path} cannot be written: {what}")]
    Write {
        /// The file.
        path: String,
        /// What happened.
        what: String,
    },
}

impl CertificateError {
    /// A stable code.
    pub fn code(&self) -> &'static str {
        match self {
            CertificateError::Unreadable { .. } => "certificate.unreadable",
            CertificateError::Broken { .. } => "certificate.broken",
            CertificateError::Signature => "certificate.signature",
            CertificateError::Inconsistent { .. } => "certificate.inconsistent",
            CertificateError::Newer { .. } => "certificate.newer",
            CertificateError::Signer { .. } => "certificate.signer",
            CertificateError::WrongMigration { .. } => "certificate.wrong_migration",
            CertificateError::NotFull { .. } => "certificate.not_full",
            CertificateError::Key { .. } => "certificate.key",
            CertificateError::Exists { .. } => "certificate.exists",
            CertificateError::Write { .. } => "certificate.write",
        }
    }

    /// What to do next.
    pub fn fix(&self) -> String {
        match self {
            CertificateError::Unreadable { .. } => {
                "name a certificate's file"
            }
            CertificateError::Broken { .. } => {
                "get the file again from where it was made, byte for byte (no editor, no formatter); do not trust this one"
            }
            CertificateError::Signature => {
                "do not trust it: get it again from who signed it, or make a new one"
            }
            CertificateError::Inconsistent { .. } => {
                "do not trust it, although its signer signed it: ask them, or make a new one"
            }
            CertificateError::Newer { .. } => {
                "use the version of crossfade that wrote it, or a later one"
            }
            CertificateError::Signer { .. } => {
                "do not trust it unless you know the other key's owner; ask for the signer's public key by another way than the certificate's"
            }
            CertificateError::WrongMigration { .. } => {
                "name the migration file that the certificate was made with, or the certificate that belongs to this file"
            }
            CertificateError::NotFull { .. } => "use a certificate of a full comparison",
            CertificateError::Key { fix, .. } => fix,
            CertificateError::Exists { .. } => "name another file, or move that one away",
            CertificateError::Write { .. } => {
                "name a file in a folder that can be written and has space left"
            }
        }
        .to_owned()
    }

    /// The table that it is about, where it is about one.
    pub fn table(&self) -> Option<&str> {
        match self {
            CertificateError::Inconsistent { table, .. } => table.as_deref(),
            _ => None,
        }
    }

    /// The program's exit code: 1 invalid or failed, 3 bad usage or file.
    pub fn exit_code(&self) -> u8 {
        match self {
            CertificateError::Unreadable { .. }
            | CertificateError::Key { .. }
            | CertificateError::Exists { .. } => 3,
            _ => 1,
        }
    }
}
