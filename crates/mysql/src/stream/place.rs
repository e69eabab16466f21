//! How the log is reached.

use std::path::Path;
use std::sync::Arc;

use crossfade_model::Position;
use crossfade_mysql_binlog as binlog;
use crossfade_mysql_binlog::{LogFile, LogPosition, ServerIs, Start};
use crossfade_store::{ErrorKind, Result, StoreError};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use crate::MysqlStore;
use crate::connect::Client;
use crate::position;
use crate::server::{Flavor, Server};
use crate::url::SslMode;

pub(super) fn address(store: &MysqlStore) -> binlog::Address {
    binlog::Address::Tcp(store.address.host.clone(), store.address.port)
}

pub(super) fn credentials(store: &MysqlStore) -> binlog::Credentials {
    let password = store.address.password.as_ref();
    binlog::Credentials {
        user: store.address.user.clone(),
        password: password.map(|p| p.0.clone()).unwrap_or_default(),
    }
}

/// What the connection that reads the log must find: behind one address may be several servers.
pub(super) fn identity(server: &Server) -> ServerIs {
    let (variable, value) = match server.flavor {
        Flavor::Mysql => ("server_uuid", server.variable("server_uuid")),
        Flavor::Mariadb => ("server_id", server.variable("server_id")),
    };
    ServerIs {
        variable,
        value: value.unwrap_or_default().to_owned(),
    }
}

/// Where the stream begins. A dump's offset has 32 bits; behind a file that is longer the next one begins, for such a file holds one
/// transaction beyond that and is closed with it.
pub(super) async fn start(client: &mut Client, from: Position) -> Result<Start> {
    let doing = "looking for the log's files";
    let mut place = LogPosition::unpack(from);
    let files = client.texts(doing, "SHOW BINARY LOGS").await?;
    let mut base = None;
    for listed in &files {
        let Ok(file) = LogFile::parse(listed.text(0)) else {
            continue;
        };
        let size: u64 = listed.number(1).unwrap_or_default();
        base = Some(file.base);
        // the file's last event, which names the next one, may be all that is left of it
        if file.number == place.file
            && place.offset > u64::from(u32::MAX)
            && size.saturating_sub(place.offset) < 1024
        {
            place = LogPosition {
                file: place.file + 1,
                offset: 4,
            };
            break;
        }
    }
    let base = base
        .or_else(|| position::base(&client.server).map(str::to_owned))
        .ok_or_else(|| {
            client.fault(
                ErrorKind::Setting,
                "mysql.log_bin",
                "the server lists no files of its log",
            )
        })?;
    Ok(Start::Place {
        base,
        position: place,
    })
}

/// Encryption as the URL asks for it.
pub(super) fn encryption(store: &MysqlStore) -> Result<binlog::Tls> {
    let mode = store.address.ssl_mode;
    if mode == SslMode::Disabled {
        return Ok(binlog::Tls::Off);
    }
    let config = Arc::new(config(store)?);
    Ok(match mode {
        SslMode::Preferred => binlog::Tls::Prefer(config),
        _ => binlog::Tls::Require(config),
    })
}

fn config(store: &MysqlStore) -> Result<ClientConfig> {
    let wrong =
        |what: String| StoreError::new(ErrorKind::Usage, "mysql.tls_files", &*store.label, what);
    let address = &store.address;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = Verifier {
        roots: match address.ssl_mode {
            SslMode::Disabled | SslMode::Preferred | SslMode::Required => None,
            SslMode::VerifyCa | SslMode::VerifyIdentity => {
                Some(roots(address.ssl_ca.as_deref()).map_err(wrong)?)
            }
        },
        check_name: address.ssl_mode == SslMode::VerifyIdentity,
        provider: Arc::clone(&provider),
    };
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| wrong(format!("TLS cannot be used: {e}")))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    let (Some(certificate), Some(key)) = (&address.ssl_cert, &address.ssl_key) else {
        return Ok(builder.with_no_client_auth());
    };
    let chain = certificates(certificate).map_err(wrong)?;
    let key = PrivateKeyDer::from_pem_file(key)
        .map_err(|_| wrong(format!("{} holds no usable private key", key.display())))?;
    builder
        .with_client_auth_cert(chain, key)
        .map_err(|e| wrong(format!("the client's certificate cannot be used: {e}")))
}

fn certificates(path: &Path) -> std::result::Result<Vec<CertificateDer<'static>>, String> {
    let unreadable = || format!("{} holds no PEM certificate", path.display());
    let found: Vec<_> = CertificateDer::pem_file_iter(path)
        .map_err(|_| unreadable())?
        .collect::<std::result::Result<_, _>>()
        .map_err(|_| unreadable())?;
    if found.is_empty() {
        return Err(unreadable());
    }
    Ok(found)
}

/// Whom the URL says to believe, else the public authorities.
fn roots(file: Option<&Path>) -> std::result::Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    match file {
        Some(path) => {
            roots.add_parsable_certificates(certificates(path)?);
        }
        None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
    }
    if roots.is_empty() {
        return Err("no certificate of an authority is usable".to_owned());
    }
    Ok(roots)
}

#[derive(Debug)]
struct Verifier {
    /// `None`: whoever answers.
    roots: Option<RootCertStore>,
    check_name: bool,
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
        let Some(roots) = &self.roots else {
            return Ok(ServerCertVerified::assertion());
        };
        let parsed = ParsedCertificate::try_from(end_entity)?;
        rustls::client::verify_server_cert_signed_by_trust_anchor(
            &parsed,
            roots,
            intermediates,
            now,
            self.provider.signature_verification_algorithms.all,
        )?;
        if self.check_name {
            rustls::client::verify_server_name(&parsed, server_name)?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}
