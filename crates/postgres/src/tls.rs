//! Encryption of connections, with libpq's modes and files (PostgreSQL documentation, section 34.19).

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crossfade_store::{ErrorKind, Result, StoreError};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
};

/// libpq's `sslmode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SslMode {
    /// Never encrypted.
    Disable,
    /// Encrypted only where the server refuses plain connections.
    Allow,
    /// Encrypted where the server can.
    Prefer,
    /// Encrypted; the certificate is verified only where a root certificate is there.
    Require,
    /// Encrypted, and the server's certificate is signed by a trusted CA.
    VerifyCa,
    /// As `VerifyCa`, and the certificate is for the host's name.
    VerifyFull,
}

impl SslMode {
    /// From the parameter's value.
    pub fn parse(text: &str) -> Option<SslMode> {
        Some(match text {
            "disable" => SslMode::Disable,
            "allow" => SslMode::Allow,
            "prefer" => SslMode::Prefer,
            "require" => SslMode::Require,
            "verify-ca" => SslMode::VerifyCa,
            "verify-full" => SslMode::VerifyFull,
            _ => return None,
        })
    }

    /// What to try, in order: `true` is encrypted, `false` is plain.
    pub fn attempts(self) -> &'static [bool] {
        match self {
            SslMode::Disable => &[false],
            SslMode::Allow => &[false, true],
            SslMode::Prefer => &[true, false],
            SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull => &[true],
        }
    }
}

/// Certificates and keys: given ones must be there, default ones (`~/.postgresql/…`) are used where they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    root: Option<String>,
    certificate: Option<String>,
    key: Option<String>,
    home: Option<PathBuf>,
}

impl TlsFiles {
    /// The values of `sslrootcert`, `sslcert`, `sslkey`, and the home folder.
    pub fn new(
        root: Option<String>,
        certificate: Option<String>,
        key: Option<String>,
        home: Option<String>,
    ) -> TlsFiles {
        TlsFiles {
            root,
            certificate,
            key,
            home: home.map(PathBuf::from),
        }
    }

    /// True for `sslrootcert=system`.
    pub fn uses_system_roots(&self) -> bool {
        self.root.as_deref() == Some("system")
    }

    /// The file that was given, else the default one where it exists.
    fn file(&self, given: Option<&String>, default: &str) -> Option<PathBuf> {
        given.map(PathBuf::from).or_else(|| {
            let path = self.home.as_ref()?.join(".postgresql").join(default);
            path.is_file().then_some(path)
        })
    }

    /// Reads the files and makes the client's TLS configuration for `mode`; `None` where nothing is ever encrypted.
    ///
    /// # Errors
    /// A file that is not there, cannot be read or holds nothing usable; a verifying mode without a root certificate.
    pub fn configure(&self, mode: SslMode, label: &str) -> Result<Option<Arc<ClientConfig>>> {
        if mode == SslMode::Disable {
            return Ok(None);
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = Verifier {
            trust: self.trust(mode, label)?,
            provider: Arc::clone(&provider),
        };
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|e| wrong_file(label, format!("TLS cannot be used: {e}")))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier));
        let config = match self.client_certificate(label)? {
            Some((chain, key)) => builder.with_client_auth_cert(chain, key).map_err(|e| {
                wrong_file(
                    label,
                    format!("the client's certificate and key cannot be used: {e}"),
                )
                .fix("Check that sslcert and sslkey belong together")
            })?,
            None => builder.with_no_client_auth(),
        };
        Ok(Some(Arc::new(config)))
    }

    fn trust(&self, mode: SslMode, label: &str) -> Result<Trust> {
        let check_name = mode == SslMode::VerifyFull;
        if self.uses_system_roots() {
            let certificates = system_roots(label)?;
            return Trust::from_certificates(certificates, check_name, label);
        }
        match self.file(self.root.as_ref(), "root.crt") {
            Some(path) => {
                let certificates = certificates(&path, "root certificate", label)?;
                Trust::from_certificates(certificates, check_name, label)
            }
            None if mode >= SslMode::VerifyCa => Err(wrong_file(
                label,
                "the sslmode asks to verify the server's certificate, and there is no root certificate".into(),
            )
            .fix("Give sslrootcert=FILE, or sslrootcert=system for public authorities")),
            None => Ok(Trust::Anyone),
        }
    }

    fn client_certificate(
        &self,
        label: &str,
    ) -> Result<Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>> {
        let Some(certificate) = self.file(self.certificate.as_ref(), "postgresql.crt") else {
            return match &self.key {
                Some(_) => Err(wrong_file(label, "there is sslkey without sslcert".into())),
                None => Ok(None),
            };
        };
        let chain = certificates(&certificate, "client certificate", label)?;
        let path = self
            .file(self.key.as_ref(), "postgresql.key")
            .ok_or_else(|| {
                wrong_file(label, "there is a client certificate without a key".into())
                    .fix("Give sslkey=FILE")
            })?;
        check_key_permissions(&path, label)?;
        let shown = path.display();
        let text = std::fs::read(&path).map_err(|e| {
            wrong_file(
                label,
                format!("the client's key {shown} cannot be read: {e}"),
            )
        })?;
        let key = PrivateKeyDer::from_pem_slice(&text).map_err(|_| {
            wrong_file(
                label,
                format!("the client's key {shown} holds no usable private key"),
            )
            .fix("It must be PEM, not encrypted: PKCS#8, PKCS#1 or SEC1")
        })?;
        Ok(Some((chain, key)))
    }
}

/// libpq's rule for private keys: nobody but the owner; a key that root owns may be readable by its group.
fn check_key_permissions(path: &Path, label: &str) -> Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
        let shown = path.display();
        let about = std::fs::metadata(path).map_err(|e| {
            wrong_file(
                label,
                format!("the client's key {shown} cannot be read: {e}"),
            )
        })?;
        let forbidden = if about.uid() == 0 { 0o037 } else { 0o077 };
        if about.permissions().mode() & forbidden != 0 {
            return Err(wrong_file(
                label,
                format!("the client's key {shown} can be read by others"),
            )
            .fix(format!("chmod 0600 {shown}")));
        }
    }
    Ok(())
}

fn wrong_file(label: &str, what: String) -> StoreError {
    StoreError::new(ErrorKind::Usage, "postgres.tls_files", label, what)
}

fn certificates(path: &Path, what: &str, label: &str) -> Result<Vec<CertificateDer<'static>>> {
    let shown = path.display();
    let text = std::fs::read(path)
        .map_err(|e| wrong_file(label, format!("the {what} {shown} cannot be read: {e}")))?;
    let found: std::result::Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        _ => Err(wrong_file(
            label,
            format!("the {what} {shown} holds no PEM certificate"),
        )),
    }
}

/// The bundles that systems keep, else the roots that this program was built with.
fn system_roots(label: &str) -> Result<Option<Vec<CertificateDer<'static>>>> {
    if let Some(path) = std::env::var_os("SSL_CERT_FILE") {
        return certificates(Path::new(&path), "certificate bundle SSL_CERT_FILE", label).map(Some);
    }
    let bundles = [
        "/etc/ssl/certs/ca-certificates.crt",
        "/etc/pki/tls/certs/ca-bundle.crt",
        "/etc/ssl/cert.pem",
        "/etc/ssl/ca-bundle.pem",
    ];
    match bundles.iter().map(Path::new).find(|p| p.is_file()) {
        Some(path) => certificates(path, "certificate bundle", label).map(Some),
        None => Ok(None),
    }
}

/// Whom the client believes.
#[derive(Debug)]
enum Trust {
    /// Whoever answers: encryption against listeners only.
    Anyone,
    /// A server whose certificate these roots signed.
    Roots {
        roots: RootCertStore,
        /// The roots as they stand in the file: a server's own self-signed certificate may be its root.
        pinned: Vec<CertificateDer<'static>>,
        check_name: bool,
    },
}

impl Trust {
    /// `None` stands for the roots that this program was built with.
    fn from_certificates(
        certificates: impl Into<Option<Vec<CertificateDer<'static>>>>,
        check_name: bool,
        label: &str,
    ) -> Result<Trust> {
        let mut roots = RootCertStore::empty();
        let pinned = match certificates.into() {
            Some(pinned) => {
                roots.add_parsable_certificates(pinned.iter().cloned());
                pinned
            }
            None => {
                roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
                Vec::new()
            }
        };
        if roots.is_empty() {
            return Err(wrong_file(label, "no root certificate is usable".into()));
        }
        Ok(Trust::Roots {
            roots,
            pinned,
            check_name,
        })
    }
}

#[derive(Debug)]
struct Verifier {
    trust: Trust,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> std::result::Result<ServerCertVerified, rustls::Error> {
        let Trust::Roots {
            roots,
            pinned,
            check_name,
        } = &self.trust
        else {
            return Ok(ServerCertVerified::assertion());
        };
        let parsed = ParsedCertificate::try_from(end_entity)?;
        let chain = rustls::client::verify_server_cert_signed_by_trust_anchor(
            &parsed,
            roots,
            intermediates,
            now,
            self.provider.signature_verification_algorithms.all,
        );
        if let Err(e) = chain {
            // a self-signed certificate that is its own root is trusted by libpq; the library refuses a CA as a server,
            // after it has checked the dates
            let refused_as_ca = matches!(
                &e,
                rustls::Error::InvalidCertificate(CertificateError::Other(_))
            );
            let is_root = pinned
                .iter()
                .any(|root| root.as_ref() == end_entity.as_ref());
            if !(refused_as_ca && is_root) {
                return Err(e);
            }
        }
        if *check_name {
            rustls::client::verify_server_name(&parsed, server_name)?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(
            message,
            cert,
            dss,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(
            message,
            cert,
            dss,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

/// The server speaks no TLS and the mode asks for it.
pub fn not_offered(label: &str) -> StoreError {
    StoreError::new(
        ErrorKind::Authentication,
        "postgres.tls_not_offered",
        label,
        "the server does not offer TLS",
    )
    .fix("Set ssl = on on the server; sslmode=disable only where the network is trusted")
}

/// A failed handshake, and what to do about it.
pub fn explain(label: &str, e: &rustls::Error) -> StoreError {
    use rustls::AlertDescription as Alert;
    let refused =
        |code, what: String| StoreError::new(ErrorKind::Authentication, code, label, what);
    match e {
        rustls::Error::InvalidCertificate(certificate) => match certificate {
            CertificateError::UnknownIssuer | CertificateError::BadSignature => refused(
                "postgres.tls_unknown_issuer",
                "the server's certificate is not signed by an authority of sslrootcert".into(),
            )
            .fix("Give the authority's certificate by sslrootcert=FILE; if the server should have another certificate, somebody may be in between"),
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => refused(
                "postgres.tls_wrong_name",
                "the server's certificate is not for the host's name in the URL".into(),
            )
            .fix("Use a name that stands in the certificate's subjectAltName, or sslmode=verify-ca where the network's names are not trusted to be right"),
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                refused("postgres.tls_expired", "the server's certificate has expired".into())
                    .fix("Renew it on the server")
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => refused(
                "postgres.tls_not_yet_valid",
                "the server's certificate is not valid yet".into(),
            )
            .fix("Check this machine's clock"),
            other => refused(
                "postgres.tls_certificate",
                format!("the server's certificate cannot be used: {other}"),
            ),
        },
        rustls::Error::AlertReceived(
            Alert::CertificateRequired
            | Alert::BadCertificate
            | Alert::UnknownCA
            | Alert::CertificateUnknown
            | Alert::CertificateExpired
            | Alert::CertificateRevoked
            | Alert::UnsupportedCertificate
            | Alert::AccessDenied
            | Alert::DecryptError,
        ) => refused(
            "postgres.tls_client_certificate",
            format!("the server refused this client's certificate: {e}"),
        )
        .fix("Give a certificate that the server's authority signed, by sslcert=FILE and sslkey=FILE"),
        _ => StoreError::new(
            ErrorKind::Connection,
            "postgres.tls",
            label,
            format!("the TLS handshake failed: {e}"),
        ),
    }
}
