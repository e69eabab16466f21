use std::sync::{Arc, Mutex};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;
use crate::Side;

/// Answers requests with the given statuses in turn (0: with nothing at all), the last one for ever, and keeps what it was sent.
struct Server {
    url: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Server {
    async fn start(statuses: &[u16]) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("port");
        let url = format!(
            "http://{}/hook?token=secret",
            listener.local_addr().expect("address")
        );
        let requests: Arc<Mutex<Vec<String>>> = Arc::default();
        let (kept, statuses) = (requests.clone(), statuses.to_vec());
        tokio::spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                let request = read(&mut socket).await;
                let status = {
                    let mut kept = kept.lock().expect("lock");
                    let status = statuses[kept.len().min(statuses.len() - 1)];
                    kept.push(request);
                    status
                };
                if status == 0 {
                    tokio::spawn(async move {
                        tokio::time::sleep(Duration::from_secs(60)).await;
                        drop(socket);
                    });
                    continue;
                }
                let answer = format!(
                    "HTTP/1.1 {status} Word\r\nlocation: /elsewhere\r\ncontent-length: 2\r\nconnection: close\r\n\r\nno"
                );
                let _ = socket.write_all(answer.as_bytes()).await;
            }
        });
        Server { url, requests }
    }

    fn requests(&self) -> Vec<String> {
        self.requests.lock().expect("lock").clone()
    }
}

/// A whole request: its head, and as much body as it says.
async fn read(socket: &mut (impl AsyncRead + Unpin)) -> String {
    let mut all = Vec::new();
    let mut part = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&all).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = header(head, "content-length").parse().unwrap_or(0);
            if body.len() >= length {
                return text;
            }
        }
        match socket.read(&mut part).await {
            Ok(0) | Err(_) => return text,
            Ok(count) => all.extend_from_slice(&part[..count]),
        }
    }
}

fn header(request: &str, wanted: &str) -> String {
    let found = request.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case(wanted)
            .then(|| value.trim().to_owned())
    });
    found.unwrap_or_default()
}

fn config(url: &str) -> WebhookConfig {
    WebhookConfig {
        url: url.to_owned(),
        headers: vec![("Authorization".to_owned(), "Bearer secret".to_owned())],
        ca_file: None,
        timeout: Duration::from_secs(30),
        retries: 3,
    }
}

fn route(server: &Server) -> WebhookRoute {
    WebhookRoute::new(&config(&server.url), "shop", &Ends::default()).expect("opened")
}

#[tokio::test]
async fn a_failure_is_told_again_with_the_same_key() {
    let server = Server::start(&[500, 200]).await;
    let to = Ends::default().destination(Side::Target, 7, "shop");
    route(&server)
        .point(&to, &Traffic::Reads { percent: 25 })
        .await
        .expect("the second time");
    let requests = server.requests();
    assert_eq!(requests.len(), 2);
    for request in &requests {
        assert!(
            request.starts_with("POST /hook?token=secret HTTP/1.1\r\n"),
            "{request}"
        );
        assert_eq!(
            header(request, "idempotency-key"),
            "shop-7-point-reads-25-target"
        );
        assert_eq!(header(request, "authorization"), "Bearer secret");
        assert_eq!(header(request, "content-type"), "application/json");
        let body = request.split_once("\r\n\r\n").expect("a body").1;
        let body: serde_json::Value = serde_json::from_str(body).expect("JSON");
        assert_eq!(
            (&body["traffic"], &body["percent"]),
            (&"reads".into(), &25.into())
        );
    }
}

#[tokio::test]
async fn only_200_to_299_is_success() {
    for (status, kind, tries) in [
        (301, RouteErrorKind::Unsupported, 1),
        (404, RouteErrorKind::Unsupported, 1),
        (401, RouteErrorKind::Permission, 1),
        (409, RouteErrorKind::StaleEpoch, 1),
        (429, RouteErrorKind::Failed, 4),
        (503, RouteErrorKind::Failed, 4),
    ] {
        let server = Server::start(&[status]).await;
        let error = route(&server).resume(1).await.expect_err("no success");
        assert_eq!(
            (error.kind, server.requests().len()),
            (kind, tries),
            "{status}"
        );
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains("secret"), "{shown}");
    }
    for status in [200, 204, 299] {
        let server = Server::start(&[status]).await;
        route(&server).resume(1).await.expect("success");
    }
}

#[tokio::test]
async fn no_answer_ends_at_the_pause_s_bound() {
    let server = Server::start(&[0]).await;
    let error = route(&server)
        .pause(1, Duration::from_millis(300))
        .await
        .expect_err("no answer");
    assert_eq!(error.kind, RouteErrorKind::Timeout);
    assert_eq!(server.requests().len(), 1, "there is no time for another");
}

#[tokio::test]
async fn nobody_there_is_a_finding_without_secrets() {
    let config = WebhookConfig {
        retries: 0,
        ..config("http://127.0.0.1:1/hook?token=secret")
    };
    let route = WebhookRoute::new(&config, "shop", &Ends::default()).expect("opened");
    let findings = route.check().await.expect("checked");
    assert_eq!(findings[0].code, "route.webhook_unreachable");
    let shown = format!("{findings:?} {config:?} {}", route.label());
    assert!(!shown.contains("secret"), "{shown}");
}

#[tokio::test]
async fn what_cannot_be_sent_is_refused_at_once() {
    let with = |url: &str, value: &str| {
        let headers = vec![("X-Key".to_owned(), value.to_owned())];
        let config = WebhookConfig {
            headers,
            ..config(url)
        };
        WebhookRoute::new(&config, "shop", &Ends::default()).err()
    };
    for (url, value) in [
        ("ftp://host/", "a"),
        ("hook", "a"),
        ("http://host/", "secret\nline"),
        ("", "a"),
    ] {
        let error = with(url, value).expect("refused");
        assert_eq!(error.kind, RouteErrorKind::Usage);
        assert!(!format!("{error:?}").contains("secret"));
    }
    assert!(with("https://host/", "a").is_none());
}
