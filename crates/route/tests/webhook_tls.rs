//! A webhook over TLS: only a certificate that is trusted is told anything.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crossfade_route::{
    Ends, Route, RouteConfig, RouteError, RouteErrorKind, RouteKind, WebhookConfig,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// Where the certificates of the test servers lie.
fn certificates() -> PathBuf {
    std::env::var_os("CROSSFADE_TEST_TLS_DIR")
        .expect("run by `cargo xtask test`")
        .into()
}

/// Answers over TLS with 200; gives its port and how many requests it has heard.
async fn server() -> (u16, Arc<AtomicUsize>) {
    let folder = certificates();
    let chain = CertificateDer::pem_file_iter(folder.join("server.crt")).expect("file");
    let chain = chain.collect::<Result<Vec<_>, _>>().expect("certificates");
    let key = PrivateKeyDer::from_pem_file(folder.join("server.key")).expect("key");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .expect("configuration");
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("port");
    let port = listener.local_addr().expect("address").port();
    let heard = Arc::new(AtomicUsize::new(0));
    let count = heard.clone();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let Ok(mut socket) = acceptor.accept(socket).await else {
                continue;
            };
            let mut all = Vec::new();
            // the body is JSON and ends with the only line that ends so
            while !all.ends_with(b"}") {
                match socket.read_buf(&mut all).await {
                    Ok(0) | Err(_) => break,
                    Ok(_) => {}
                }
            }
            if all.starts_with(b"POST ") {
                count.fetch_add(1, Ordering::SeqCst);
            }
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
            let _ = socket.write_all(answer).await;
            let _ = socket.shutdown().await;
        }
    });
    (port, heard)
}

fn open(port: u16, ca_file: Option<PathBuf>) -> Result<Box<dyn Route>, RouteError> {
    let webhook = WebhookConfig {
        url: format!("https://localhost:{port}/hook"),
        headers: Vec::new(),
        ca_file,
        timeout: Duration::from_secs(30),
        retries: 0,
    };
    let config = RouteConfig {
        routes: vec![RouteKind::Webhook(webhook)],
    };
    crossfade_route::open(&config, "shop", &Ends::default()).map(|mut all| all.remove(0))
}

#[tokio::test]
async fn only_a_trusted_certificate_is_told() {
    let (port, heard) = server().await;
    for untrusted in [None, Some(certificates().join("other-ca.crt"))] {
        let route = open(port, untrusted).expect("opened");
        let error = route.resume(1).await.expect_err("not trusted");
        assert_eq!(error.code, "route.webhook_tls", "{error}");
    }
    assert_eq!(heard.load(Ordering::SeqCst), 0);
    let trusted = open(port, Some(certificates().join("ca.crt"))).expect("opened");
    trusted.resume(1).await.expect("trusted");
    assert_eq!(heard.load(Ordering::SeqCst), 1);
}

#[test]
fn a_file_without_certificates_is_refused() {
    for file in ["nowhere.crt", "server.key"] {
        let error = open(1, Some(certificates().join(file)))
            .err()
            .expect("refused");
        assert_eq!(error.kind, RouteErrorKind::Usage);
    }
}
