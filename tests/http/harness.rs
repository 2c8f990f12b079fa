//! A service with an engine made for the test, and requests to it.

use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, Response, StatusCode, header};
use hgq_onnx::convert::{
    Artifacts, CheckpointStore, DataFile, DataLayout, Error, Event, Inspection, Job, JobConfig, NodeFault, ParetoProxy, Report,
    Verified, run,
};
use hgq_onnx::service::{App, Engine, Limits, LocalStore, Tokens, router};
use http_body_util::BodyExt;
use serde_json::Value;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;
use tower::ServiceExt;

/// The report of a small conversion, as anything may be said in it.
fn a_report() -> Report {
    static MADE: OnceLock<Report> = OnceLock::new();
    let make = || {
        let data = |name: &str| DataFile::new(name, crate::support::files::read(&format!("digits/{name}")));
        let config = JobConfig { epochs: 0, threads: Some(1), ..JobConfig::default() };
        let (model, calibration) = (crate::support::files::read("digits/digits_mlp.onnx"), data("calibration.npz"));
        let job = Job { model, calibration, train: None, validation: None, config };
        run(&job, &mut |_| {}, &AtomicBool::new(false)).expect("a conversion").report
    };
    MADE.get_or_init(make).clone()
}

/// Does what the bytes of the model say, and remembers the last job.
#[derive(Default)]
pub struct Fake {
    pub seen: Mutex<Option<Job>>,
    /// Jobs that are in `wait` now, and those that were canceled in it.
    pub waiting: AtomicUsize,
    pub canceled: AtomicUsize,
    /// Lets `wait` end.
    pub open: AtomicBool,
    /// Of the store.
    pub dir: Option<tempfile::TempDir>,
}

/// How a model begins; the engine for the test looks at what follows.
pub const ONNX: &[u8] = b"\x08\x07";

pub fn model(says: &[u8]) -> Vec<u8> {
    [ONNX, says].concat()
}

/// A data file of one byte.
pub fn npy(byte: u8) -> Vec<u8> {
    let header = "{'descr': '|u1', 'fortran_order': False, 'shape': (1,), }\n";
    [b"\x93NUMPY\x01\x00", &(header.len() as u16).to_le_bytes()[..], header.as_bytes(), &[byte]].concat()
}

impl Engine for Fake {
    fn convert(
        &self,
        job: &Job,
        progress: &mut (dyn FnMut(Event) + Send),
        _: &mut (dyn CheckpointStore + Send),
        cancel: &AtomicBool,
    ) -> Result<Artifacts, Error> {
        *self.seen.lock().unwrap() = Some(job.clone());
        progress(Event::Stage { stage: "fake".into(), step: None });
        let node = |n: &str| NodeFault { name: n.into(), op: "Loop".into(), reason: "no".into() };
        match job.model.strip_prefix(ONNX).unwrap() {
            b"not_onnx" => return Err(Error::NotOnnx("no".into())),
            b"unsupported_model" => return Err(Error::Unsupported(vec![node("a"), node("b")])),
            b"bad_data" => return Err(Error::Data(vec!["one".into(), "two".into()])),
            b"bad_config" => return Err(Error::Config(vec!["one".into()])),
            b"verification_failed" => return Err(Error::Verification("no".into())),
            b"target_not_met" => return Err(Error::TargetNotMet("no".into())),
            b"canceled" => return Err(Error::Canceled),
            b"internal" => return Err(Error::Internal("no".into())),
            b"panic" => panic!("as asked"),
            b"epochs" => {
                for epoch in 1..=3 {
                    // a loss that is not a number in JSON
                    let loss = if epoch == 2 { f64::INFINITY } else { 1.0 };
                    progress(Event::Epoch { epoch, epochs: 3, loss, metric: 0.5, ebops: 9.0, luts: Some(12.0), beta: 0.0 });
                }
                progress(Event::Note { code: "note".into(), message: "m".into() });
            }
            b"wait" => {
                self.waiting.fetch_add(1, Ordering::SeqCst);
                // bounded: the end of a test that has failed waits for this thread
                for _ in 0..60_000 {
                    if cancel.load(Ordering::SeqCst) || self.open.load(Ordering::SeqCst) {
                        break;
                    }
                    std::thread::sleep(Duration::from_millis(1));
                }
                self.waiting.fetch_sub(1, Ordering::SeqCst);
                if cancel.load(Ordering::SeqCst) {
                    self.canceled.fetch_add(1, Ordering::SeqCst);
                    return Err(Error::Canceled);
                }
            }
            _ => {}
        }
        let pareto = vec![ParetoProxy { number: 0, proxy: b"small".to_vec() }];
        let unmet = (job.model == model(b"unmet")).then(|| "the nearest has 42".to_string());
        let seed = job.config.seed;
        let mut report = a_report();
        (report.ebops, report.start_ebops) = (42, 420);
        report.metric = "accuracy".into();
        report.pareto.truncate(1);
        (report.pareto[0].ebops, report.pareto[0].figures.metric) = (seed, Some(seed as f64 / 10.0));
        let page = "<!DOCTYPE html>".into();
        Ok(Artifacts {
            proxy: b"proxy bytes".to_vec(),
            report,
            page,
            ebops: 42,
            luts: 57,
            pareto,
            extra_files: Vec::new(),
            unmet,
        })
    }

    fn inspect(&self, model: &[u8]) -> Result<Inspection, Error> {
        Ok(Inspection { bytes: model.len(), ..Inspection::default() })
    }

    /// `saturations` is 1 where the proxy's layout was asked for.
    fn verify(&self, _: &[u8], inputs: &DataFile, expected: Option<&DataFile>, layout: DataLayout) -> Result<Verified, Error> {
        let mismatches = expected.map(|e| usize::from(e.bytes().unwrap() != inputs.bytes().unwrap()));
        Ok(Verified {
            samples: 1,
            mismatches,
            first: None,
            saturations: u64::from(layout == DataLayout::Proxy),
            port_overflow: 0,
            inputs: Vec::new(),
            expected: Vec::new(),
            outputs: Vec::new(),
        })
    }
}

pub fn app(change: impl FnOnce(&mut Limits)) -> (App, Arc<Fake>) {
    let mut limits = Limits::default();
    change(&mut limits);
    let dir = tempfile::tempdir().unwrap();
    let store = LocalStore::open(dir.path()).unwrap();
    let fake = Arc::new(Fake { dir: Some(dir), ..Fake::default() });
    (App::start(limits, fake.clone(), Arc::new(store), Tokens::default()), fake)
}

/// A part: name, content type (if any), bytes.
pub type Part<'a> = (&'a str, Option<&'a str>, &'a [u8]);

pub const BOUNDARY: &str = "----hgq-test";

pub fn multipart(parts: &[Part]) -> Vec<u8> {
    let mut body = Vec::new();
    for (name, kind, bytes) in parts {
        body.extend(format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"f\"\r\n").into_bytes());
        body.extend(kind.map(|k| format!("Content-Type: {k}\r\n")).unwrap_or_default().into_bytes());
        body.extend(b"\r\n");
        body.extend(*bytes);
        body.extend(b"\r\n");
    }
    body.extend(format!("--{BOUNDARY}--\r\n").into_bytes());
    body
}

pub fn post(path: &str, parts: &[Part]) -> Request<Body> {
    Request::post(path)
        .header(header::CONTENT_TYPE, format!("multipart/form-data; boundary={BOUNDARY}"))
        .body(Body::from(multipart(parts)))
        .unwrap()
}

pub fn job(says: &[u8]) -> Request<Body> {
    post("/v1/convert", &[("model", None, &model(says)), ("calibration", None, &npy(b'c'))])
}

pub async fn answer(app: &App, request: Request<Body>) -> (StatusCode, HeaderMap, Vec<u8>) {
    let response: Response<Body> = router(app.clone()).oneshot(request).await.unwrap();
    let (head, body) = response.into_parts();
    (head.status, head.headers, body.collect().await.unwrap().to_bytes().to_vec())
}

/// A request without a body.
pub fn request(method: Method, path: &str) -> Request<Body> {
    Request::builder().method(method).uri(path).body(Body::empty()).unwrap()
}

/// Sends, and takes the answer, which must have this status, as JSON.
pub async fn json_of(app: &App, request: Request<Body>, status: u16) -> Value {
    let (got, _, body) = answer(app, request).await;
    assert_eq!(got.as_u16(), status, "{}", String::from_utf8_lossy(&body));
    serde_json::from_slice(&body).unwrap()
}

/// Sends, and checks that the answer is a well-formed problem with this status and code; returns
/// it.
pub async fn problem(app: &App, request: Request<Body>, status: u16, code: &str) -> Value {
    let (got, headers, body) = answer(app, request).await;
    let document: Value =
        serde_json::from_slice(&body).unwrap_or_else(|e| panic!("{code}: {e}: {}", String::from_utf8_lossy(&body)));
    assert_eq!((got.as_u16(), document["code"].as_str()), (status, Some(code)), "{document}");
    assert_eq!(headers[header::CONTENT_TYPE], "application/problem+json");
    assert_eq!(document["status"], status);
    assert_eq!(document["type"], format!("urn:hgq-onnx:problem:{code}"));
    assert!(!document["title"].as_str().unwrap().is_empty() && !document["detail"].as_str().unwrap().is_empty());
    assert!(code == "internal" || document["title"] != "Internal error", "{code} has no title of its own");
    document
}

pub async fn until(what: &str, condition: impl Fn() -> bool) {
    for _ in 0..10_000 {
        if condition() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("never: {what}");
}
