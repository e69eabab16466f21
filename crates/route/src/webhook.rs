//! An HTTP address that is told of every action, by POST.
//!
//! An answer of 200 to 299 is success. 408, 425, 429 and 500 to 599 are tried again, so is no answer; 409 says that a later switch was
//! seen; every other is a refusal. Redirects are not followed: a POST would lose its body, and headers would go elsewhere.

use std::path::Path;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use ureq::Agent;
use ureq::http::{HeaderName, HeaderValue, Request, Uri};
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};

use crate::again::again;
use crate::told::Told;
use crate::{
    Destination, Ends, Held, Paused, Route, RouteError, RouteErrorKind, RouteFinding, RouteState,
    Traffic, WebhookConfig,
};

/// Of an answer's body so much is read and thrown away, in bytes.
const BODY: u64 = 64 << 10;

/// The route.
pub(crate) struct WebhookRoute {
    url: Uri,
    headers: Vec<(HeaderName, HeaderValue)>,
    timeout: Duration,
    retries: u32,
    agent: Agent,
    migration: String,
    label: String,
}

impl WebhookRoute {
    pub(crate) fn new(
        config: &WebhookConfig,
        migration: &str,
        _ends: &Ends,
    ) -> Result<WebhookRoute, RouteError> {
        let usage = |what: String, fix: &str| {
            RouteError::new(RouteErrorKind::Usage, "route.usage", "webhook", what).fix(fix)
        };
        let url: Uri = config.url.parse().map_err(|_| {
            usage(
                "its `url` is no URL".to_owned(),
                "write `url = \"https://…\"`",
            )
        })?;
        let (scheme, host) = match (url.scheme_str(), url.host()) {
            (Some(scheme @ ("http" | "https")), Some(host)) if !host.is_empty() => {
                (scheme.to_owned(), host.to_owned())
            }
            _ => {
                let what = "its `url` is not an http:// or https:// address".to_owned();
                return Err(usage(what, "write `url = \"https://…\"`"));
            }
        };
        let mut headers = Vec::new();
        for (name, value) in &config.headers {
            let header = HeaderName::try_from(name.as_str()).ok();
            // neither the name (it may be a value in the wrong place) nor the value is shown
            let mut text = HeaderValue::try_from(value.as_str()).ok();
            if let Some(text) = &mut text {
                text.set_sensitive(true);
            }
            let (Some(header), Some(text)) = (header, text) else {
                let what = "one of its `headers` cannot be sent".to_owned();
                return Err(usage(
                    what,
                    "headers hold no line breaks and no control characters",
                ));
            };
            headers.push((header, text));
        }
        let roots = match &config.ca_file {
            None => RootCerts::WebPki,
            Some(file) => trusted(file).ok_or_else(|| {
                let what = format!("its `ca_file` {} holds no certificate", file.display());
                usage(what, "write a file of certificates in PEM form")
            })?,
        };
        let agent = Agent::config_builder()
            .tls_config(TlsConfig::builder().root_certs(roots).build())
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .user_agent("crossfade")
            .build()
            .new_agent();
        let port = url
            .port_u16()
            .map_or(String::new(), |port| format!(":{port}"));
        Ok(WebhookRoute {
            // paths and queries of such addresses are often secrets
            label: format!("webhook {scheme}://{host}{port}"),
            url,
            headers,
            timeout: config.timeout,
            retries: config.retries,
            agent,
            migration: migration.to_owned(),
        })
    }

    /// Tells the address, again where that may help, until `end`.
    async fn tell(&self, told: &Told, end: Option<Instant>) -> Result<(), RouteError> {
        again(self.retries, end, |left| {
            self.once(
                told,
                left.map_or(self.timeout, |left| left.min(self.timeout)),
            )
        })
        .await
    }

    async fn once(&self, told: &Told, within: Duration) -> Result<(), RouteError> {
        let failed = |what: &str| {
            RouteError::new(RouteErrorKind::Failed, "route.webhook", &self.label, what)
        };
        let body = serde_json::to_vec(told).map_err(|e| failed("cannot be told").cause(e))?;
        let mut request = Request::post(self.url.clone())
            .header("content-type", "application/json")
            .header("idempotency-key", told.key.as_str());
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let request = request
            .body(body)
            .map_err(|e| failed("cannot be told").cause(e))?;
        let agent = self.agent.clone();
        // a thread that blocks: it ends by itself at the timeout, also if nobody waits for it any more
        let asked = tokio::task::spawn_blocking(move || {
            let request = agent
                .configure_request(request)
                .timeout_global(Some(within.max(Duration::from_millis(1))))
                .build();
            agent.run(request).map(|answer| {
                let status = answer.status().as_u16();
                // read, so that the connection can be used again; what it says does not matter
                let mut body = answer.into_body();
                let _ = body.with_config().limit(BODY).read_to_vec();
                status
            })
        })
        .await
        .map_err(|error| failed("was not told").cause(error))?;
        match asked {
            Ok(status) => self.answer(told, status),
            Err(error) => Err(self.silence(told, &error)),
        }
    }

    fn answer(&self, told: &Told, status: u16) -> Result<(), RouteError> {
        let (kind, code) = match status {
            200..=299 => return Ok(()),
            409 => (RouteErrorKind::StaleEpoch, "route.stale_epoch"),
            408 | 425 | 429 | 500..=599 => (RouteErrorKind::Failed, "route.webhook"),
            401 | 403 => (RouteErrorKind::Permission, "route.webhook_refused"),
            _ => (RouteErrorKind::Unsupported, "route.webhook_refused"),
        };
        let what = format!("answered {} with {status}", told.action);
        Err(RouteError::new(kind, code, &self.label, what))
    }

    /// The client's own words may show the address: only what kind of failure it was is told.
    fn silence(&self, told: &Told, error: &ureq::Error) -> RouteError {
        let action = told.action;
        let (kind, code, why) = match error {
            ureq::Error::Timeout(_) => (
                RouteErrorKind::Timeout,
                "route.webhook_timeout",
                "no answer in time",
            ),
            ureq::Error::HostNotFound => (
                RouteErrorKind::Unreachable,
                "route.webhook_unreachable",
                "its host's name is not known",
            ),
            error if is_tls(error) => (
                RouteErrorKind::Unreachable,
                "route.webhook_tls",
                "its certificate is not trusted, or TLS failed",
            ),
            _ => (
                RouteErrorKind::Unreachable,
                "route.webhook_unreachable",
                "the connection could not be made or was lost",
            ),
        };
        RouteError::new(
            kind,
            code,
            &self.label,
            format!("was not told of {action}: {why}"),
        )
    }
}

/// A failed handshake comes as an error of input that holds the one of TLS.
fn is_tls(error: &ureq::Error) -> bool {
    match error {
        ureq::Error::Tls(_) | ureq::Error::Rustls(_) => true,
        ureq::Error::Io(error) => error.kind() == std::io::ErrorKind::InvalidData,
        _ => false,
    }
}

/// The certificates in a file; `None` where there are none.
fn trusted(file: &Path) -> Option<RootCerts> {
    let text = std::fs::read(file).ok()?;
    let found = parse_pem(&text).filter_map(|item| match item {
        Ok(PemItem::Certificate(certificate)) => Some(certificate),
        _ => None,
    });
    let all: Vec<_> = found.collect();
    (!all.is_empty()).then(|| RootCerts::new_with_certs(&all))
}

#[async_trait]
impl Route for WebhookRoute {
    fn kind(&self) -> &'static str {
        "webhook"
    }

    fn label(&self) -> String {
        self.label.clone()
    }

    fn can(&self, _traffic: &Traffic) -> bool {
        true
    }

    async fn check(&self) -> Result<Vec<RouteFinding>, RouteError> {
        Ok(match self.tell(&Told::check(&self.migration), None).await {
            Ok(()) => Vec::new(),
            Err(error) => vec![
                RouteFinding::blocks(error.code, "route", error.to_string()).fix(
                    "the address is to answer the action `check` with a status from 200 to 299",
                ),
            ],
        })
    }

    async fn pause(&self, epoch: u64, within: Duration) -> Result<Paused, RouteError> {
        let began = Instant::now();
        let told = Told::pause(&self.migration, epoch, within);
        self.tell(&told, Some(began + within)).await?;
        Ok(Paused {
            held: Held::Asked,
            took: began.elapsed(),
            evidence: "the address answered that it was done".to_owned(),
        })
    }

    async fn point(&self, to: &Destination, traffic: &Traffic) -> Result<(), RouteError> {
        self.tell(&Told::point(to, traffic), None).await
    }

    async fn resume(&self, epoch: u64) -> Result<(), RouteError> {
        self.tell(&Told::resume(&self.migration, epoch), None).await
    }

    async fn shows(&self) -> Result<RouteState, RouteError> {
        Ok(RouteState {
            detail: "an address is told; it is not asked".to_owned(),
            ..RouteState::default()
        })
    }
}

#[cfg(test)]
#[path = "webhook_tests.rs"]
mod tests;
