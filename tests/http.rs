//! The HTTP service as its clients meet it: over the router with an engine made for the test, over a real socket, and the binary
//! with curl against what the command line writes.
#![cfg(feature = "serve")]

mod common;

use axum::body::Body;
use axum::http::{HeaderMap, Request, Response, StatusCode, header};
use hgq_onnx::convert::{Artifacts, DataFile, Error, Event, Job, NodeFault, Verified};
use hgq_onnx::service::{App, Engine, Library, Limits, check_address, router, serve};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tower::ServiceExt;

/// Does what the bytes of the model say, and remembers the last job.
#[derive(Default)]
struct Fake {
    seen: Mutex<Option<Job>>,
    /// Jobs that are in `wait` now, and those that were canceled in it.
    waiting: AtomicUsize,
    canceled: AtomicUsize,
    /// Lets `wait` end.
    open: AtomicBool,
}

impl Engine for Fake {
    fn convert(&self, job: &Job, progress: &mut (dyn FnMut(Event) + Send), cancel: &AtomicBool) -> Result<Artifacts, Error> {
        *self.seen.lock().unwrap() = Some(job.clone());
        progress(Event::Stage { stage: "fake" });
        let node = |n: &str| NodeFault { name: n.into(), op: "Loop".into(), reason: "no".into() };
        match job.model.as_slice() {
            b"not_onnx" => return Err(Error::NotOnnx("no".into())),
            b"unsupported_model" => return Err(Error::Unsupported(vec![node("a"), node("b")])),
            b"bad_data" => return Err(Error::Data(vec!["one".into(), "two".into()])),
            b"bad_config" => return Err(Error::Config(vec!["one".into()])),
            b"verification_failed" => return Err(Error::Verification("no".into())),
            b"target_not_met" => return Err(Error::TargetNotMet("no".into())),
            b"canceled" => return Err(Error::Canceled),
            b"internal" => return Err(Error::Internal("no".into())),
            b"panic" => panic!("as asked"),
            b"wait" => {
                self.waiting.fetch_add(1, Ordering::SeqCst);
                while !cancel.load(Ordering::SeqCst) && !self.open.load(Ordering::SeqCst) {
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
        Ok(Artifacts { proxy: b"proxy bytes".to_vec(), report: json!({"ebops": 42}), ebops: 42, pareto: Vec::new(), unmet: None })
    }

    fn inspect(&self, model: &[u8]) -> Result<Value, Error> {
        Ok(json!({"bytes": model.len()}))
    }

    fn verify(&self, _: &[u8], inputs: &DataFile, expected: Option<&DataFile>) -> Result<Verified, Error> {
        let mismatches = expected.map(|e| usize::from(e.bytes != inputs.bytes));
        Ok(Verified { samples: 1, mismatches, first: None, saturations: 0, port_overflow: 0, outputs: Vec::new() })
    }
}

fn app(change: impl FnOnce(&mut Limits)) -> (App, Arc<Fake>) {
    let mut limits = Limits::default();
    change(&mut limits);
    let fake = Arc::new(Fake::default());
    (App::new(limits, fake.clone()), fake)
}

/// A part: name, content type (if any), bytes.
type Part<'a> = (&'a str, Option<&'a str>, &'a [u8]);

const BOUNDARY: &str = "----hgq-test";

fn multipart(parts: &[Part]) -> Vec<u8> {
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

fn post(path: &str, parts: &[Part]) -> Request<Body> {
    Request::post(path)
        .header(header::CONTENT_TYPE, format!("multipart/form-data; boundary={BOUNDARY}"))
        .body(Body::from(multipart(parts)))
        .unwrap()
}

fn job(model: &[u8]) -> Request<Body> {
    post("/v1/convert", &[("model", None, model), ("calibration", None, b"c")])
}

async fn answer(app: &App, request: Request<Body>) -> (StatusCode, HeaderMap, Vec<u8>) {
    let response: Response<Body> = router(app.clone()).oneshot(request).await.unwrap();
    let (head, body) = response.into_parts();
    (head.status, head.headers, body.collect().await.unwrap().to_bytes().to_vec())
}

/// Sends, and checks that the answer is a well-formed problem with this status and code; returns it.
async fn problem(app: &App, request: Request<Body>, status: u16, code: &str) -> Value {
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

async fn until(what: &str, condition: impl Fn() -> bool) {
    for _ in 0..10_000 {
        if condition() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("never: {what}");
}

#[tokio::test]
async fn health_and_unknown_resources() {
    let (app, _) = app(|_| {});
    let get = |path: &str| Request::get(path).body(Body::empty()).unwrap();
    let (status, _, body) = answer(&app, get("/healthz")).await;
    assert_eq!(status, 200);
    assert_eq!(serde_json::from_slice::<Value>(&body).unwrap(), json!({"status": "ok", "version": env!("CARGO_PKG_VERSION")}));
    problem(&app, get("/v1/nothing"), 404, "not_found").await;
    problem(&app, get("/v1/convert"), 405, "method_not_allowed").await;
    let (_, headers, _) = answer(&app, get("/v1/convert")).await;
    assert_eq!(headers[header::ALLOW], "POST");
}

#[tokio::test]
async fn a_job_gets_its_parts_and_gives_proxy_or_report() {
    let (app, fake) = app(|l| l.threads = 3);
    let config = br#"{"epochs": 7, "threads": 2}"#;
    let parts: Vec<Part> = vec![
        ("train", Some("application/octet-stream"), b"t"),
        ("model", Some("application/octet-stream"), b"m\r\n\0"),
        ("config", Some("application/json"), config),
        ("calibration", None, b"c"),
        ("validation", Some("application/zip"), b"v"),
    ];
    let (status, headers, body) = answer(&app, post("/v1/convert", &parts)).await;
    assert_eq!((status.as_u16(), body.as_slice()), (200, &b"proxy bytes"[..]));
    assert_eq!(headers[header::CONTENT_TYPE], "application/octet-stream");
    assert_eq!(headers["x-hgq-ebops"], "42");
    let seen = fake.seen.lock().unwrap().take().unwrap();
    assert_eq!(seen.model, b"m\r\n\0");
    let data = |d: &DataFile| (d.name.clone(), d.bytes.clone());
    assert_eq!(data(&seen.calibration), ("calibration".into(), b"c".to_vec()));
    assert_eq!(seen.train.as_ref().map(data), Some(("train".into(), b"t".to_vec())));
    assert_eq!(seen.validation.as_ref().map(data), Some(("validation".into(), b"v".to_vec())));
    assert_eq!((seen.config.epochs, seen.config.threads), (7, Some(2)));

    let mut request = job(b"m");
    request.headers_mut().insert(header::ACCEPT, "application/json".parse().unwrap());
    let (status, headers, body) = answer(&app, request).await;
    assert_eq!((status.as_u16(), serde_json::from_slice::<Value>(&body).unwrap()), (200, json!({"ebops": 42})));
    assert_eq!(headers[header::CONTENT_TYPE], "application/json");
    let threads = fake.seen.lock().unwrap().take().unwrap().config.threads.unwrap();
    assert!((1..=3).contains(&threads), "within the limit of the service");
}

#[tokio::test]
async fn inspect_and_verify() {
    let (app, _) = app(|_| {});
    let (status, _, body) = answer(&app, post("/v1/inspect", &[("model", None, b"12345")])).await;
    assert_eq!((status.as_u16(), serde_json::from_slice::<Value>(&body).unwrap()), (200, json!({"bytes": 5})));
    let parts: [Part; 3] = [("model", None, b"m"), ("inputs", None, b"1"), ("expected", None, b"2")];
    for (count, mismatches) in [(2, Value::Null), (3, json!(1))] {
        let (status, _, body) = answer(&app, post("/v1/verify", &parts[..count])).await;
        assert_eq!((status.as_u16(), &serde_json::from_slice::<Value>(&body).unwrap()["mismatches"]), (200, &mismatches));
    }
    problem(&app, post("/v1/verify", &parts[..1]), 400, "missing_part").await;
}

#[tokio::test]
async fn every_error_has_its_status_and_code() {
    let (app, _) = app(|_| {});
    let rows = [
        (400, "not_onnx"),
        (422, "unsupported_model"),
        (400, "bad_data"),
        (400, "bad_config"),
        (422, "verification_failed"),
        (422, "target_not_met"),
        (503, "canceled"),
        (500, "internal"),
    ];
    for (status, code) in rows {
        let document = problem(&app, job(code.as_bytes()), status, code).await;
        match code {
            "unsupported_model" => {
                assert_eq!(document["nodes"][1], json!({"name": "b", "op": "Loop", "reason": "no"}));
            }
            "bad_data" => assert_eq!(document["faults"], json!(["one", "two"])),
            _ => assert!(document.get("nodes").is_none()),
        }
    }
}

#[tokio::test]
async fn a_panic_is_a_problem_and_the_service_goes_on() {
    let (app, _) = app(|l| l.queue = 0);
    let document = problem(&app, job(b"panic"), 500, "internal").await;
    assert!(!document.to_string().contains("as asked"), "the panic's text stays in the log");
    assert_eq!(answer(&app, job(b"m")).await.0, 200);
}

#[tokio::test]
async fn wrong_parts_are_named() {
    let (app, fake) = app(|l| {
        l.epochs = 50;
        l.threads = 2;
    });
    let (m, c): (Part, Part) = (("model", None, b"m"), ("calibration", None, b"c"));
    fn config(text: &str) -> Part<'_> {
        ("config", None, text.as_bytes())
    }
    let rows: Vec<(Vec<Part>, u16, &str, &[&str])> = vec![
        (vec![], 400, "missing_part", &["`model`", "`calibration`"]),
        (vec![m], 400, "missing_part", &["part `calibration` is missing"]),
        (vec![m, c, ("modle", None, b"")], 400, "unknown_part", &["`modle`", "`model`"]),
        (vec![m, c, c], 400, "duplicate_part", &["`calibration`"]),
        (vec![("model", Some("text/plain"), b"m"), c], 415, "unsupported_media_type", &["`model`", "text/plain"]),
        (vec![m, ("calibration", Some("application/json"), b"{}")], 415, "unsupported_media_type", &["`calibration`"]),
        (vec![m, c, ("config", Some("image/png"), b"{}")], 415, "unsupported_media_type", &["`config`", "application/json"]),
        (vec![m, c, config("{")], 400, "bad_config", &["config"]),
        (vec![m, c, config(r#"{"epoch": 1}"#)], 400, "bad_config", &["epoch"]),
        (vec![m, c, config(r#"{"epochs": 51, "threads": 3}"#)], 400, "bad_config", &["at most 50", "at most 2"]),
        (vec![m, c, config(r#"{"epochs": 1, "gamma": -1, "seed": 1, "batch_size": 0}"#)], 400, "bad_config", &["gamma", "batch"]),
    ];
    for (parts, status, code, says) in rows {
        let document = problem(&app, post("/v1/convert", &parts), status, code).await;
        for word in says {
            assert!(document["detail"].as_str().unwrap().contains(word), "`{word}` is not in: {document}");
        }
    }
    assert!(fake.seen.lock().unwrap().is_none(), "nothing of this reached the engine");
}

#[tokio::test]
async fn bodies_that_are_no_multipart() {
    let (app, _) = app(|_| {});
    let with = |kind: &str, body: &'static str| {
        Request::post("/v1/inspect").header(header::CONTENT_TYPE, kind).body(Body::from(body)).unwrap()
    };
    problem(&app, with("application/json", "{}"), 415, "unsupported_media_type").await;
    problem(&app, Request::post("/v1/inspect").body(Body::empty()).unwrap(), 415, "unsupported_media_type").await;
    problem(&app, with("multipart/form-data", "x"), 400, "bad_request").await;
    problem(&app, with("multipart/form-data; boundary=b", "x"), 400, "bad_request").await;
    let cut = "--b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nhalf";
    problem(&app, with("multipart/form-data; boundary=b", cut), 400, "bad_request").await;
}

#[tokio::test]
async fn sizes_are_limited() {
    let (app, _) = app(|l| {
        l.body = 3000;
        l.model = 100;
        l.data = 2000;
    });
    let big = vec![7u8; 5000];
    problem(&app, job(&big[..101]), 413, "too_large").await;
    assert_eq!(answer(&app, job(&big[..100])).await.0, 200);
    let data = |n: usize| post("/v1/convert", &[("model", None, b"m"), ("calibration", None, &big[..n])]);
    let document = problem(&app, data(2001), 413, "too_large").await;
    assert!(document["detail"].as_str().unwrap().contains("`calibration`"), "{document}");
    // The whole body: counted while it arrives, and refused unread when its length is announced.
    problem(&app, data(4000), 413, "too_large").await;
    let mut announced = job(b"m");
    announced.headers_mut().insert(header::CONTENT_LENGTH, "3001".parse().unwrap());
    problem(&app, announced, 413, "too_large").await;
    let config = post("/v1/convert", &[("config", None, &vec![b' '; 70_000])]);
    problem(&self::app(|_| {}).0, config, 413, "too_large").await;
}

#[tokio::test]
async fn a_full_queue_refuses_and_a_free_one_waits() {
    let (app, fake) = app(|l| (l.jobs, l.queue) = (1, 1));
    let start = || {
        let app = app.clone();
        tokio::spawn(async move { answer(&app, job(b"wait")).await.0 })
    };
    let first = start();
    until("the first runs", || fake.waiting.load(Ordering::SeqCst) == 1).await;
    let second = start();
    // The second waits: it has been admitted once a third is refused.
    let headers = loop {
        let probe = post("/v1/convert", &[]);
        let (status, headers, _) = answer(&app, probe).await;
        if status == 429 {
            break headers;
        }
        assert_eq!(status, 400);
        tokio::task::yield_now().await;
    };
    assert!(headers[header::RETRY_AFTER].to_str().unwrap().parse::<u32>().unwrap() > 0);
    problem(&app, job(b"m"), 429, "busy").await;
    assert_eq!(fake.waiting.load(Ordering::SeqCst), 1, "one at a time");
    assert_eq!(answer(&app, post("/v1/inspect", &[("model", None, b"m")])).await.0, 200, "checks have their own lane");
    fake.open.store(true, Ordering::SeqCst);
    assert_eq!((first.await.unwrap(), second.await.unwrap()), (StatusCode::OK, StatusCode::OK));
    assert_eq!(answer(&app, job(b"m")).await.0, 200, "the places are free again");
}

#[tokio::test]
async fn a_job_has_a_time_limit() {
    let (app, fake) = app(|l| l.job_time = Duration::from_millis(20));
    problem(&app, job(b"wait"), 503, "time_limit").await;
    until("the work is told to stop", || fake.canceled.load(Ordering::SeqCst) == 1).await;
}

#[test]
fn only_loopback_without_being_asked() {
    let refused = |a: &str| check_address(a.parse::<SocketAddr>().unwrap(), false).err();
    assert_eq!(refused("127.0.0.1:80"), None);
    assert_eq!(refused("[::1]:80"), None);
    assert!(refused("0.0.0.0:80").unwrap().contains("--allow-remote"));
    assert!(refused("192.168.1.4:80").is_some() && refused("[::]:80").is_some());
    assert!(check_address("0.0.0.0:80".parse().unwrap(), true).is_ok());
}

/// A service on a real socket.
struct Served {
    address: SocketAddr,
    fake: Arc<Fake>,
    stop: mpsc::Sender<()>,
    ended: tokio::task::JoinHandle<std::io::Result<()>>,
}

async fn served(change: impl FnOnce(&mut Limits)) -> Served {
    let (app, fake) = app(change);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = mpsc::channel(2);
    Served { address, fake, stop, ended: tokio::spawn(serve(listener, app, stopped)) }
}

/// Sends `parts` of a request of `length` bytes.
fn send(address: SocketAddr, length: usize, body: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    let kind = format!("multipart/form-data; boundary={BOUNDARY}");
    let head = format!("POST /v1/convert HTTP/1.1\r\nHost: h\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(body).unwrap();
    stream
}

async fn read(mut stream: TcpStream) -> String {
    // A connection that stays open fails the test instead of holding it up.
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let reader = tokio::task::spawn_blocking(move || {
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).expect("the service ends the connection");
        String::from_utf8_lossy(&bytes).into_owned()
    });
    reader.await.unwrap()
}

fn waiting_job() -> Vec<u8> {
    multipart(&[("model", None, b"wait"), ("calibration", None, b"c")])
}

#[tokio::test]
async fn a_client_that_leaves_cancels_its_job() {
    let server = served(|l| l.queue = 0).await;
    let body = waiting_job();
    let stream = send(server.address, body.len(), &body);
    until("it runs", || server.fake.waiting.load(Ordering::SeqCst) == 1).await;
    drop(stream);
    until("it is canceled", || server.fake.canceled.load(Ordering::SeqCst) == 1).await;
}

#[tokio::test]
async fn slow_clients_are_ended() {
    let server = served(|l| {
        l.header_time = Duration::from_millis(50);
        l.read_time = Duration::from_millis(50);
    })
    .await;
    let mut stream = TcpStream::connect(server.address).unwrap();
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHos").unwrap();
    let head = read(stream).await;
    assert!(!head.contains(" 200 "), "{head}");
    let body = waiting_job();
    let answer = read(send(server.address, body.len(), &body[..40])).await;
    assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("request_timeout"), "{answer}");
    // Bytes keep coming, but the whole takes too long.
    let server = served(|l| l.body_time = Duration::from_millis(50)).await;
    let answer = read(send(server.address, body.len(), &body[..40])).await;
    assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("the request did not arrive"), "{answer}");
}

#[tokio::test]
async fn stopping_lets_jobs_finish_and_a_second_signal_cancels() {
    for second in [false, true] {
        let server = served(|l| l.grace = Duration::from_secs(600)).await;
        let body = waiting_job();
        let stream = send(server.address, body.len(), &body);
        until("it runs", || server.fake.waiting.load(Ordering::SeqCst) == 1).await;
        server.stop.send(()).await.unwrap();
        // The listener closes: then nobody gets in any more.
        while TcpStream::connect(server.address).is_ok() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        if second {
            server.stop.send(()).await.unwrap();
        } else {
            server.fake.open.store(true, Ordering::SeqCst);
        }
        let answer = read(stream).await;
        let expected = if second { "HTTP/1.1 503 " } else { "HTTP/1.1 200 " };
        assert!(answer.starts_with(expected), "{answer}");
        server.ended.await.unwrap().unwrap();
        assert_eq!(server.fake.canceled.load(Ordering::SeqCst), usize::from(second));
    }
}

#[tokio::test]
async fn jobs_that_do_not_finish_in_time_are_canceled_when_stopping() {
    let server = served(|l| l.grace = Duration::from_millis(20)).await;
    let body = waiting_job();
    let stream = send(server.address, body.len(), &body);
    until("it runs", || server.fake.waiting.load(Ordering::SeqCst) == 1).await;
    server.stop.send(()).await.unwrap();
    assert!(read(stream).await.contains("\"code\":\"canceled\""));
    server.ended.await.unwrap().unwrap();
}

/// The library behind the router refuses the same files as the command line, with the same words.
#[tokio::test]
async fn faulty_files_are_problems() {
    let app = App::new(Limits::default(), Arc::new(Library));
    for fault in common::faults() {
        let config: &[u8] = br#"{"epochs": 2}"#;
        let mut parts: Vec<Part> =
            vec![("model", None, &fault.model), ("calibration", None, &fault.calibration), ("config", None, config)];
        parts.extend(fault.train.as_deref().map(|t| ("train", None, t)));
        let document = problem(&app, post("/v1/convert", &parts), fault.http.0, fault.http.1).await;
        for word in fault.says {
            assert!(document["detail"].as_str().unwrap().contains(word), "{}: `{word}` is not in: {document}", fault.what);
        }
    }
}

mod binary {
    //! The program itself with curl.

    use super::common::fixture;
    use std::io::{BufRead, BufReader};
    use std::process::{Child, Command, Stdio};

    struct Server {
        child: Child,
        url: String,
        // Kept open: the service logs to it.
        _log: std::thread::JoinHandle<()>,
    }

    impl Drop for Server {
        fn drop(&mut self) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }

    fn start() -> Server {
        let mut child = Command::new(env!("CARGO_BIN_EXE_hgq-onnx"))
            .args(["serve", "--listen", "127.0.0.1:0"])
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        let line = lines.find(|l| l.contains("listening")).expect("the service says where it listens");
        let line: serde_json::Value = serde_json::from_str(&line).unwrap();
        let url = format!("http://{}", line["fields"]["address"].as_str().unwrap());
        Server { child, url, _log: std::thread::spawn(move || lines.for_each(drop)) }
    }

    /// Runs the command line in a directory of its own.
    fn hgq(args: &[&str]) -> std::process::Output {
        Command::new(env!("CARGO_BIN_EXE_hgq-onnx")).args(args).output().unwrap()
    }

    #[test]
    fn it_is_well_until_it_is_told_to_stop() {
        let mut server = start();
        let health = |url: &str| hgq(&["health", "--url", url]).status.code();
        assert_eq!(health(&server.url), Some(0));
        assert!(Command::new("kill").args(["-TERM", &server.child.id().to_string()]).status().unwrap().success());
        assert_eq!(server.child.wait().unwrap().code(), Some(0));
        assert_ne!(health(&server.url), Some(0));
        assert_eq!(health("https://x"), Some(3));
    }

    /// curl gets the bytes that the command line writes for the same seed and threads.
    #[test]
    fn curl_gets_what_the_command_line_writes() {
        if Command::new("curl").arg("--version").output().is_err() {
            eprintln!("SKIPPED: curl is not installed, the service was not compared with the command line");
            return;
        }
        let server = start();
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| fixture("digits").join(name).to_str().unwrap().to_string();
        let (model, calibration, train) = (path("digits_mlp.onnx"), path("calibration.npz"), path("train.npz"));
        let (got, out) = (dir.path().join("got.onnx"), dir.path().join("out"));
        let status = Command::new("curl")
            .args(["-sS", "-w", "%{http_code}", "-F", &format!("model=@{model}"), "-F", &format!("calibration=@{calibration}")])
            .args(["-F", &format!("train=@{train}"), "-F", "config={\"epochs\": 5, \"seed\": 3, \"threads\": 1}", "-o"])
            .arg(&got)
            .arg(format!("{}/v1/convert", server.url))
            .output()
            .unwrap();
        let got = std::fs::read(got).unwrap();
        assert_eq!(String::from_utf8_lossy(&status.stdout), "200", "{}", String::from_utf8_lossy(&got));
        let job = ["convert", &model, "--calibration", &calibration, "--train", &train, "--epochs", "5", "--seed", "3"];
        let output = hgq(&[&job[..], &["--threads", "1", "--out", out.to_str().unwrap()]].concat());
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(got == std::fs::read(out.join("proxy.onnx")).unwrap(), "the service and the command line give different proxies");
    }
}
