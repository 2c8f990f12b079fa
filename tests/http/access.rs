//! Who may call: every route of the description, without a token, with a wrong one, and with
//! another caller's.

use super::harness::*;
use axum::body::Body;
use axum::http::{Method, Request, header};
use hgq_onnx::service::auth::new_token;
use hgq_onnx::service::{App, Limits, LocalStore, Tokens};
use serde_json::Value;
use std::sync::Arc;

/// A service with two callers, and their tokens.
fn guarded(change: impl FnOnce(&mut Limits)) -> (tempfile::TempDir, App, [String; 2]) {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(LocalStore::open(dir.path()).unwrap());
    let made = [new_token("one").unwrap(), new_token("two").unwrap()];
    let tokens = Tokens::parse(&format!("{}\n{}", made[0].1, made[1].1)).unwrap();
    let mut limits = Limits::default();
    change(&mut limits);
    (dir, App::start(limits, Arc::new(Fake::default()), store, tokens), made.map(|m| m.0))
}

fn with_token(mut request: Request<Body>, token: &str) -> Request<Body> {
    request.headers_mut().insert(header::AUTHORIZATION, format!("Bearer {token}").parse().unwrap());
    request
}

async fn description(app: &App) -> Value {
    let (status, _, body) = answer(app, Request::get("/openapi.json").body(Body::empty()).unwrap()).await;
    assert_eq!(status, 200);
    serde_json::from_slice(&body).unwrap()
}

/// Method and path of every route that needs a token, by the description.
async fn guarded_routes(app: &App) -> Vec<(Method, String)> {
    let described = description(app).await;
    let mut routes = Vec::new();
    for (path, methods) in described["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            // an empty requirement: open to everybody
            if operation.get("security").is_none() {
                routes.push((method.to_uppercase().parse().unwrap(), path.clone()));
            }
        }
    }
    assert!(routes.len() >= 16, "{routes:?}");
    routes
}

#[tokio::test]
async fn every_route_needs_a_token_and_hides_what_is_anothers() {
    let (_dir, app, [one, two]) = guarded(|_| {});
    let (m, c) = (model(b"m"), npy(b'c'));
    let parts: [Part; 2] = [("model", None, &m), ("calibration", None, &c)];
    let (status, _, body) = answer(&app, with_token(post("/v1/convert", &parts), &one)).await;
    assert_eq!(status, 200, "{}", String::from_utf8_lossy(&body));
    let (_, _, body) = answer(&app, with_token(Request::get("/v1/jobs").body(Body::empty()).unwrap(), &one)).await;
    let jobs: Value = serde_json::from_slice(&body).unwrap();
    let job = &jobs["jobs"][0];
    let (id, digest) = (job["id"].as_str().unwrap(), job["inputs"]["calibration"]["digest"].as_str().unwrap());
    let fields: Part = ("sweep", None, b"{\"seed\": [1]}");
    let (_, _, body) = answer(&app, with_token(post("/v1/sweeps", &[parts[0], parts[1], fields]), &one)).await;
    let sweep: Value = serde_json::from_slice(&body).unwrap();
    let sweep = sweep["id"].as_str().unwrap();
    let mut hidden = 0;
    for (method, template) in guarded_routes(&app).await {
        let id = if template.starts_with("/v1/sweeps") { sweep } else { id };
        let path = template.replace("{id}", id).replace("{path}", "proxy.onnx").replace("{digest}", digest);
        let request = || Request::builder().method(method.clone()).uri(&path).body(Body::empty()).unwrap();
        let document = problem(&app, request(), 401, "unauthorized").await;
        assert!(document["detail"].as_str().unwrap().contains("Bearer"), "{document}");
        for wrong in ["hgq_0000", "", &one[1..]] {
            problem(&app, with_token(request(), wrong), 401, "unauthorized").await;
        }
        let (status, headers, _) = answer(&app, request()).await;
        assert_eq!((status.as_u16(), headers[header::WWW_AUTHENTICATE].to_str().unwrap()), (401, "Bearer"));
        // the other caller's token: what the first one's names stand for is not there
        let names_something = template.contains("{id}") || (template.contains("{digest}") && method == Method::GET);
        if names_something {
            problem(&app, with_token(request(), &two), 404, "not_found").await;
            assert!(answer(&app, with_token(request(), &one)).await.0.is_success(), "{method} {path}");
            hidden += 1;
        }
    }
    assert!(hidden >= 8, "{hidden}");
    // neither in lists, nor as a file for jobs, nor as an answer from the store
    let (_, _, body) = answer(&app, with_token(Request::get("/v1/jobs").body(Body::empty()).unwrap(), &two)).await;
    assert_eq!(serde_json::from_slice::<Value>(&body).unwrap()["jobs"], serde_json::json!([]));
    let named = [("model", None, &m[..]), ("calibration_digest", None, digest.as_bytes())];
    problem(&app, with_token(post("/v1/jobs", &named), &two), 400, "unknown_digest").await;
    let (_, _, body) = answer(&app, with_token(post("/v1/jobs", &parts), &two)).await;
    assert_eq!(serde_json::from_slice::<Value>(&body).unwrap()["cached"], false);
}

#[tokio::test]
async fn some_routes_are_open() {
    let (_dir, app, _) = guarded(|_| {});
    for path in ["/healthz", "/readyz", "/openapi.json", "/", "/page/main.js"] {
        assert_eq!(answer(&app, Request::get(path).body(Body::empty()).unwrap()).await.0, 200, "{path}");
    }
}

#[tokio::test]
async fn a_caller_has_a_rate() {
    let (_dir, app, [one, two]) = guarded(|l| l.rate = 5);
    let request = || Request::get("/v1/jobs").body(Body::empty()).unwrap();
    for _ in 0..5 {
        assert_eq!(answer(&app, with_token(request(), &one)).await.0, 200);
    }
    problem(&app, with_token(request(), &one), 429, "rate_limit").await;
    assert_eq!(answer(&app, with_token(request(), &two)).await.0, 200);
}

#[tokio::test]
async fn the_description_is_complete() {
    let (app, _) = app(|_| {});
    let described = description(&app).await;
    assert_eq!(described["openapi"].as_str().unwrap().split('.').next(), Some("3"));
    assert!(!described.to_string().contains("{*"));
    for (path, methods) in described["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let name = format!("{method} {path}");
            assert!(operation["summary"].as_str().is_some_and(|s| !s.is_empty()), "{name} has no summary");
            assert!(operation["operationId"].as_str().is_some(), "{name} has no id");
            let answers = operation["responses"].as_object().unwrap();
            assert!(answers.keys().any(|k| k.starts_with('2')), "{name}");
        }
    }
    let ids = described["paths"].as_object().unwrap().values().flat_map(|m| m.as_object().unwrap().values());
    let mut ids: Vec<&str> = ids.map(|o| o["operationId"].as_str().unwrap()).collect();
    let count = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), count, "operation ids are not unique: {ids:?}");
}

#[tokio::test]
async fn metrics_count_what_happens() {
    let (app, _) = app(|_| {});
    assert_eq!(answer(&app, job(b"m")).await.0, 200);
    problem(&app, job(b"bad_data"), 400, "bad_data").await;
    let (_, headers, body) = answer(&app, Request::get("/metrics").body(Body::empty()).unwrap()).await;
    assert!(headers[header::CONTENT_TYPE].to_str().unwrap().starts_with("application/openmetrics-text"));
    let text = String::from_utf8(body).unwrap();
    for line in [
        "hgq_onnx_jobs_queued 0",
        "hgq_onnx_jobs_running 0",
        "hgq_onnx_jobs_total{state=\"succeeded\",code=\"\"} 1",
        "hgq_onnx_jobs_total{state=\"failed\",code=\"bad_data\"} 1",
        "hgq_onnx_problems_total{code=\"bad_data\"} 1",
        "hgq_onnx_sent_bytes_total 11",
        "hgq_onnx_job_stage_seconds_count{stage=\"fake\"} 2",
        "hgq_onnx_job_ebops_share_count 1",
        "# EOF",
    ] {
        assert!(text.lines().any(|l| l == line), "`{line}` is not in:\n{text}");
    }
}

#[tokio::test]
async fn every_request_has_a_name() {
    let (app, _) = app(|_| {});
    let request = || Request::get("/healthz").body(Body::empty()).unwrap();
    let name = |headers: &axum::http::HeaderMap| headers["x-request-id"].to_str().unwrap().to_string();
    let (first, second) = (name(&answer(&app, request()).await.1), name(&answer(&app, request()).await.1));
    assert_ne!(first, second);
    let mut named = request();
    named.headers_mut().insert("x-request-id", "ci-7.a_b".parse().unwrap());
    assert_eq!(name(&answer(&app, named).await.1), "ci-7.a_b");
    let mut odd = request();
    odd.headers_mut().insert("x-request-id", "a b\"".parse().unwrap());
    assert_ne!(name(&answer(&app, odd).await.1), "a b\"");
}
