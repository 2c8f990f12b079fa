//! `/v1/convert`, `/v1/inspect` and `/v1/verify` over the router.

use super::harness::*;
use crate::support::faults::faults;
use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use hgq_onnx::convert::DataFile;
use hgq_onnx::service::{App, Library, Limits, LocalStore, Tokens};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

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
    let (m, c, t, v) = (model(b"m\r\n\0"), npy(b'c'), npy(b't'), npy(b'v'));
    let parts: Vec<Part> = vec![
        ("train", Some("application/octet-stream"), &t),
        ("model", Some("application/octet-stream"), &m),
        ("config", Some("application/json"), config),
        ("calibration", None, &c),
        ("validation", Some("application/zip"), &v),
    ];
    let (status, headers, body) = answer(&app, post("/v1/convert", &parts)).await;
    assert_eq!((status.as_u16(), body.as_slice()), (200, &b"proxy bytes"[..]));
    assert_eq!(headers[header::CONTENT_TYPE], "application/octet-stream");
    assert_eq!(headers["x-hgq-ebops"], "42");
    let seen = fake.seen.lock().unwrap().take().unwrap();
    assert_eq!(seen.model, m);
    let data = |d: &DataFile| (d.name.clone(), d.bytes().unwrap());
    assert_eq!(data(&seen.calibration), ("calibration".into(), c));
    assert_eq!(seen.train.as_ref().map(data), Some(("train".into(), t)));
    assert_eq!(seen.validation.as_ref().map(data), Some(("validation".into(), v)));
    assert_eq!((seen.config.epochs, seen.config.threads), (7, Some(2)));

    let mut request = job(b"m");
    request.headers_mut().insert(header::ACCEPT, "application/json".parse().unwrap());
    let (status, headers, body) = answer(&app, request).await;
    assert_eq!((status.as_u16(), &serde_json::from_slice::<Value>(&body).unwrap()["ebops"]), (200, &json!(42)));
    assert_eq!(headers[header::CONTENT_TYPE], "application/json");
    let threads = fake.seen.lock().unwrap().take().unwrap().config.threads.unwrap();
    assert!((1..=3).contains(&threads), "within the limit of the service");
}

#[tokio::test]
async fn inspect_and_verify() {
    let (app, _) = app(|_| {});
    let (status, _, body) = answer(&app, post("/v1/inspect", &[("model", None, &model(b"345"))])).await;
    assert_eq!((status.as_u16(), &serde_json::from_slice::<Value>(&body).unwrap()["bytes"]), (200, &json!(5)));
    let (m, one, two) = (model(b"m"), npy(1), npy(2));
    let parts: [Part; 3] = [("model", None, &m), ("inputs", None, &one), ("expected", None, &two)];
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
    let (valid, data) = (model(b"m"), npy(b'c'));
    let (m, c): (Part, Part) = (("model", None, &valid), ("calibration", None, &data));
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
        (
            vec![m, c, config(r#"{"layers": [{"match": "a", "beta_scale": -1}], "class_weights": [0]}"#)],
            400,
            "bad_config",
            &["layers[0] (`a`): beta_scale", "class_weights"],
        ),
        (vec![m, c, config(r#"{"metric": "f1"}"#)], 400, "bad_config", &["f1", "auc"]),
        (vec![("model", None, b"hello"), c], 400, "not_onnx", &["ModelProto"]),
        (vec![m, ("calibration", None, b"hello")], 400, "bad_data", &["`calibration`", "signature"]),
        (vec![m, ("calibration", None, &data[..data.len() - 1])], 400, "bad_data", &["`calibration`", "truncated"]),
        (vec![m, ("calibration_digest", None, b"12")], 400, "bad_request", &["`calibration_digest`", "SHA-256"]),
        (vec![m, ("calibration_digest", None, &[b'0'; 64])], 400, "unknown_digest", &["`calibration_digest`"]),
        (vec![m, c, ("calibration_digest", None, &[b'0'; 64])], 400, "duplicate_part", &["`calibration_digest`"]),
        (vec![m, c, ("config_digest", None, &[b'0'; 64])], 400, "unknown_part", &["`config_digest`"]),
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
    problem(&app, job(&big[..99]), 413, "too_large").await;
    assert_eq!(answer(&app, job(&big[..98])).await.0, 200);
    let data = |n: usize| post("/v1/convert", &[("model", None, &model(b"m")), ("calibration", None, &big[..n])]);
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
    let (app, fake) = app(|l| (l.jobs, l.queue, l.rate) = (1, 1, 0));
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
    assert_eq!(answer(&app, post("/v1/inspect", &[("model", None, &model(b"m"))])).await.0, 200, "checks have their own lane");
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

/// The library after the router refuses the same files as the command line, with the same words.
#[tokio::test]
async fn faulty_files_are_problems() {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(LocalStore::open(dir.path()).unwrap());
    let app = App::start(Limits::default(), Arc::new(Library), store, Tokens::default());
    for fault in faults() {
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
