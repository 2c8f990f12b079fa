//! Requests to a service: the token, time limits, what is sent again after a broken connection, and
//! refusals.

use super::refused::{MAX_DOCUMENT, Refused};
use crate::diagnostic::Code;
use serde_json::{Value, json};
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use ureq::http::{Method, Request, Response};
use ureq::tls::{RootCerts, TlsConfig};
use ureq::{Agent, Body, SendBody};

/// Tries of a request that may be sent again.
const TRIES: u32 = 5;
const PAUSE: Duration = Duration::from_millis(500);
/// Time to reach the service.
const CONNECT: Duration = Duration::from_secs(10);
/// Silence in which an answer must begin: longer than a request waits for the end of a job.
const ANSWER: Duration = Duration::from_secs(60);
/// Longest token file: one line.
const MAX_TOKEN: u64 = 4096;

/// Who calls.
pub struct Token(Option<String>);

impl Token {
    /// From a file (its first line), else from the environment variable `HGQ_TOKEN`, else none.
    ///
    /// # Errors
    /// A message about the file.
    pub fn find(file: Option<&Path>) -> Result<Token, String> {
        let Some(path) = file else { return Ok(Token(std::env::var("HGQ_TOKEN").ok().filter(|t| !t.is_empty()))) };
        let fault = |what: &dyn std::fmt::Display| format!("--token-file {}: {what}", path.display());
        let mut text = String::new();
        let file = std::fs::File::open(path).map_err(|e| fault(&format!("cannot read the file: {e}")))?;
        file.take(MAX_TOKEN).read_to_string(&mut text).map_err(|e| fault(&format!("cannot read the file: {e}")))?;
        match text.lines().next().map(str::trim).filter(|t| !t.is_empty() && t.bytes().all(|b| b.is_ascii_graphic())) {
            Some(token) => Ok(Token(Some(token.to_string()))),
            None => Err(fault(&"its first line is not a token: `hgq-onnx token NAME > FILE` makes one")),
        }
    }
}

/// Headers and body of a request.
pub type Sent<'a> = (&'a [(&'a str, String)], &'a [u8]);

/// A service at its address.
pub struct Service {
    url: String,
    authorization: Option<String>,
    agent: Agent,
}

impl Service {
    /// # Errors
    /// [`Refused`] for what is not an address.
    pub fn new(url: &str, token: &Token) -> Result<Service, Refused> {
        if !(url.starts_with("http://") || url.starts_with("https://")) {
            return Err(Refused::new(
                url,
                Code::BadConfig,
                "this is not an address of a service: http://HOST:PORT or https://HOST is needed",
            ));
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls =
            TlsConfig::builder().root_certs(RootCerts::PlatformVerifier).unversioned_rustls_crypto_provider(provider).build();
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_connect(Some(CONNECT))
            .timeout_recv_response(Some(ANSWER))
            .user_agent(concat!("hgq-onnx/", env!("CARGO_PKG_VERSION")))
            .tls_config(tls)
            .build()
            .new_agent();
        let authorization = token.0.as_ref().map(|t| format!("Bearer {t}"));
        Ok(Service { url: url.trim_end_matches('/').into(), authorization, agent })
    }

    pub fn refused(&self, code: Code, detail: impl Into<String>) -> Refused {
        Refused::new(&self.url, code, detail)
    }

    /// A JSON document. Requests without a body, and those with an Idempotency-Key, are sent again
    /// when the connection breaks.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn json(&self, method: &str, path: &str, sent: Option<Sent>) -> Result<Value, Refused> {
        let (headers, body) = sent.unwrap_or_default();
        let bytes = self.again(|| {
            let mut answer = self.request(method, path, headers, SendBody::from_reader(&mut &body[..]), body.len() as u64)?;
            self.body(&mut answer, MAX_DOCUMENT)
        })?;
        serde_json::from_slice(&bytes)
            .map_err(|e| self.refused(Code::NotAService, format!("the answer to {method} {path} is not JSON: {e}")))
    }

    /// Whether a resource is there.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn has(&self, path: &str) -> Result<bool, Refused> {
        match self.json("GET", path, None) {
            Ok(_) => Ok(true),
            Err(e) if e.code() == Code::NotFound.name() => Ok(false),
            Err(e) => Err(e),
        }
    }

    /// Sends a content of `len` bytes to where it belongs; `content` gives it anew for each try.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn put<'a>(&self, path: &str, content: &mut dyn FnMut() -> Box<dyn Read + 'a>, len: u64) -> Result<(), Refused> {
        let headers = [("Content-Type", "application/octet-stream".to_string())];
        self.again(|| {
            let mut content = content();
            let mut answer = self.request("PUT", path, &headers, SendBody::from_reader(&mut content), len)?;
            self.body(&mut answer, MAX_DOCUMENT).map(drop)
        })
    }

    /// A file.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn bytes(&self, path: &str, most: u64) -> Result<Vec<u8>, Refused> {
        self.again(|| {
            let mut answer = self.request("GET", path, &[], SendBody::none(), 0)?;
            self.body(&mut answer, most)
        })
    }

    /// An answer that goes on: read by its caller.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn stream(&self, path: &str, headers: &[(&str, String)]) -> Result<impl Read + Send + use<>, Refused> {
        let answer = self.request("GET", path, headers, SendBody::none(), 0).map_err(|t| t.refused(self))?;
        Ok(answer.into_body().into_reader())
    }

    fn again<T>(&self, mut attempt: impl FnMut() -> Result<T, Trouble>) -> Result<T, Refused> {
        let mut tries = 1;
        loop {
            match attempt() {
                Err(Trouble::Broken(_)) if tries < TRIES => {
                    tries += 1;
                    std::thread::sleep(PAUSE);
                }
                done => return done.map_err(|t| t.refused(self)),
            }
        }
    }

    fn request(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, String)],
        body: SendBody,
        len: u64,
    ) -> Result<Response<Body>, Trouble> {
        let method = Method::from_bytes(method.as_bytes()).map_err(|e| Trouble::Broken(e.to_string()))?;
        let sends = !matches!(method, Method::GET | Method::DELETE);
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.url));
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        if sends {
            request = request.header("Content-Length", len);
        }
        if let Some(authorization) = &self.authorization {
            request = request.header("Authorization", authorization);
        }
        let broken = |e: ureq::Error| Trouble::Broken(e.to_string());
        let bad = |e: ureq::http::Error| {
            Trouble::Refused(self.refused(Code::BadConfig, format!("this is not an address of a service: {e}")))
        };
        let mut answer = match sends {
            true => self.agent.run(request.body(body).map_err(bad)?).map_err(broken)?,
            false => self.agent.run(request.body(()).map_err(bad)?).map_err(broken)?,
        };
        if answer.status().is_success() {
            return Ok(answer);
        }
        let status = answer.status();
        let text = answer.body_mut().with_config().limit(MAX_DOCUMENT).read_to_vec().unwrap_or_default();
        let document = serde_json::from_slice(&text).ok().filter(|d: &Value| d.get("code").is_some());
        // something in between that is not the service
        let document =
            document.unwrap_or_else(|| json!({ "code": Code::NotAService, "detail": format!("{status}: is this hgq-onnx?") }));
        Err(Trouble::Refused(Refused::of(&self.url, &document)))
    }

    fn body(&self, answer: &mut Response<Body>, most: u64) -> Result<Vec<u8>, Trouble> {
        answer.body_mut().with_config().limit(most).read_to_vec().map_err(|e| Trouble::Broken(e.to_string()))
    }
}

/// Why a request gave nothing.
enum Trouble {
    /// The connection: it may be better next time.
    Broken(String),
    Refused(Refused),
}

impl Trouble {
    fn refused(self, service: &Service) -> Refused {
        match self {
            Trouble::Broken(why) => service.refused(Code::Unreachable, format!("the service cannot be reached: {why}")),
            Trouble::Refused(refused) => refused,
        }
    }
}
