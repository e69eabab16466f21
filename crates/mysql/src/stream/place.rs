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
use crate::names::literal;
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

/// Events behind a place that are looked at.
const MOST_BEHIND: usize = 8;

/// Where the stream begins. A dump's offset has 32 bits. A file goes beyond that with the transaction that was written when it was nearly full, and
/// with what was committed together with it; where nothing but the file's end is left of it, the next one begins.
///
/// # Errors
/// The server's; [`ErrorKind::Unsupported`] where something is left that no dump can begin at.
pub(super) async fn start(client: &mut Client, from: Position) -> Result<Start> {
    let doing = "looking for the log's files";
    let mut place = LogPosition::unpack(from);
    let files = client.texts(doing, "SHOW BINARY LOGS").await?;
    let mut base = None;
    for (at, listed) in files.iter().enumerate() {
        let Ok(file) = LogFile::parse(listed.text(0)) else {
            continue;
        };
        let size: u64 = listed.number(1).unwrap_or_default();
        base = Some(file.base);
        if file.number == place.file && place.offset > u64::from(u32::MAX) {
            let is_last = at + 1 == files.len();
            if is_last || place.offset < size {
                at_end(client, listed.text(0), place).await?;
            }
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

/// Refuses where a file may hold more than its end behind a place.
async fn at_end(client: &mut Client, name: &str, place: LogPosition) -> Result<()> {
    let sql = format!(
        "SHOW BINLOG EVENTS IN {} FROM {} LIMIT {MOST_BEHIND}",
        literal(name),
        place.offset
    );
    let rows = client
        .texts("looking at the end of a log's file", &sql)
        .await?;
    if ends_file(rows.iter().map(|row| row.text(2))) {
        return Ok(());
    }
    if rows.is_empty() {
        // so long a file is closed at once
        let what = format!("the log's file {name} is not closed yet");
        return Err(client.fault(ErrorKind::Busy, "mysql.log_file", what));
    }
    let what = format!(
        "transactions lie behind {place} in the log, where no dump can begin: the protocol's offsets end at 4 GiB"
    );
    Err(client
        .fault(ErrorKind::Unsupported, "mysql.log_offset", what)
        .fix("`abort` and begin again; a transaction of the source that is written to its log with more than 3 GiB makes such a file"))
}

/// Whether these are the last events of a file: one that ends it, and before it nothing that belongs to a transaction.
fn ends_file<'a>(kinds: impl Iterator<Item = &'a str>) -> bool {
    for kind in kinds {
        match kind {
            "Rotate" | "Stop" => return true,
            "Binlog_checkpoint" => {}
            _ => return false,
        }
    }
    false
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_transaction_behind_a_big_one_is_not_passed_over() {
        let ends = |kinds: &[&str]| ends_file(kinds.iter().copied());
        assert!(ends(&["Rotate"]));
        assert!(ends(&["Stop"]));
        assert!(ends(&["Binlog_checkpoint", "Rotate"]));
        // committed together with the one that made the file so long
        assert!(!ends(&[
            "Gtid",
            "Query",
            "Table_map",
            "Write_rows",
            "Xid",
            "Rotate"
        ]));
        assert!(!ends(&["Binlog_checkpoint", "Gtid"]));
        // the file that is being written
        assert!(!ends(&[]));
        assert!(!ends(&["Binlog_checkpoint"]));
    }
}
