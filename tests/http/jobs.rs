//! Jobs over the router: their way from request to artifacts, events, cancellation, files that are
//! sent once.

use super::harness::*;
use axum::body::Body;
use axum::http::{Method, Request, header};
use hgq_onnx::service::store::Digest;
use serde_json::Value;
use std::sync::atomic::Ordering;

fn queue(says: &[u8]) -> Request<Body> {
    post("/v1/jobs", &[("model", None, &model(says)), ("calibration", None, &npy(b'c'))])
}

fn get(path: &str) -> Request<Body> {
    request(Method::GET, path)
}

/// Path of a job in an answer.
fn path_of(job: &Value) -> String {
    format!("/v1/jobs/{}", job["id"].as_str().unwrap())
}

#[tokio::test]
async fn a_job_is_queued_waited_for_and_fetched() {
    let (app, fake) = app(|_| {});
    let (status, headers, body) = answer(&app, queue(b"wait")).await;
    assert_eq!(status, 202);
    let job: Value = serde_json::from_slice(&body).unwrap();
    let path = path_of(&job);
    assert_eq!(headers[header::LOCATION], path);
    assert_eq!(job["inputs"]["model"]["bytes"], 6);
    until("it runs", || fake.waiting.load(Ordering::SeqCst) == 1).await;
    let running = json_of(&app, get(&format!("{path}?wait=0s")), 200).await;
    assert_eq!((running["state"].as_str(), running["attempts"].as_u64()), (Some("running"), Some(1)));
    let early = problem(&app, get(&format!("{path}/artifacts/proxy.onnx")), 409, "not_done").await;
    assert!(early["detail"].as_str().unwrap().contains("running"));
    fake.open.store(true, Ordering::SeqCst);
    let done = json_of(&app, get(&format!("{path}?wait=60s")), 200).await;
    let (state, ebops, met) = (done["state"].as_str(), done["ebops"].as_u64(), done["target_met"].as_bool());
    assert_eq!((state, ebops, met), (Some("succeeded"), Some(42), Some(true)));
    let listed = json_of(&app, get(&format!("{path}/artifacts")), 200).await;
    let names: Vec<&str> = listed["artifacts"].as_array().unwrap().iter().map(|a| a["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["pareto/0/proxy.onnx", "pareto/pareto.json", "proxy.onnx", "report.html", "report.json"]);
    for (artifact, bytes) in
        listed["artifacts"].as_array().unwrap().iter().zip([&b"small"[..], b"", b"proxy bytes", b"<!DOCTYPE html>", b""])
    {
        let (status, headers, body) = answer(&app, get(artifact["href"].as_str().unwrap())).await;
        assert_eq!((status.as_u16(), body.len() as u64), (200, artifact["bytes"].as_u64().unwrap()));
        assert_eq!(artifact["digest"], Digest::of(&body).as_str());
        assert!(bytes.is_empty() || body == bytes);
        let mut again = get(artifact["href"].as_str().unwrap());
        again.headers_mut().insert(header::IF_NONE_MATCH, headers[header::ETAG].clone());
        assert_eq!(answer(&app, again).await.0, 304);
    }
    problem(&app, get(&format!("{path}/artifacts/nothing")), 404, "not_found").await;
    // the same again is answered from the store
    let same = json_of(&app, queue(b"wait"), 202).await;
    assert_eq!((same["state"].as_str(), same["cached"].as_bool()), (Some("succeeded"), Some(true)));
    assert_ne!(same["id"], done["id"]);
    let jobs = json_of(&app, get("/v1/jobs?limit=1"), 200).await;
    assert_eq!(jobs["jobs"][0]["id"], same["id"]);
    let jobs = json_of(&app, get(jobs["next"].as_str().unwrap()), 200).await;
    assert_eq!(jobs["jobs"][0]["id"], done["id"]);
}

#[tokio::test]
async fn a_job_that_misses_its_target_keeps_its_artifacts() {
    let (app, _) = app(|_| {});
    let job = json_of(&app, queue(b"unmet"), 202).await;
    let done = json_of(&app, get(&format!("{}?wait=60", path_of(&job))), 200).await;
    assert_eq!((done["state"].as_str(), done["target_met"].as_bool()), (Some("succeeded"), Some(false)));
    assert!(done["unmet"].as_str().unwrap().contains("nearest"));
    assert_eq!(answer(&app, get(&format!("{}/artifacts/proxy.onnx", path_of(&job)))).await.0, 200);
    // whoever waits for the bytes is told, and where they are
    let (status, headers, _) = answer(&app, self::job(b"unmet")).await;
    assert_eq!(status, 422);
    let artifacts = format!("{}/artifacts/proxy.onnx", headers[header::LOCATION].to_str().unwrap());
    assert_eq!(answer(&app, get(&artifacts)).await.0, 200);
}

#[tokio::test]
async fn a_failed_job_says_why() {
    let (app, _) = app(|_| {});
    let job = json_of(&app, queue(b"bad_data"), 202).await;
    let done = json_of(&app, get(&format!("{}?wait=60s", path_of(&job))), 200).await;
    assert_eq!((done["state"].as_str(), done["error"]["code"].as_str()), (Some("failed"), Some("bad_data")));
    assert_eq!(done["error"]["faults"], serde_json::json!(["one", "two"]));
    problem(&app, get(&format!("{}/artifacts", path_of(&job))), 409, "not_done").await;
    // a failure is not an answer for the next one
    let again = json_of(&app, queue(b"bad_data"), 202).await;
    assert_eq!(again["cached"], false);
}

#[tokio::test]
async fn a_key_gives_the_same_job() {
    let (app, _) = app(|_| {});
    let with_key = |mut request: Request<Body>, key: &str| {
        request.headers_mut().insert("idempotency-key", key.parse().unwrap());
        request
    };
    let (_, headers, first) = answer(&app, with_key(queue(b"a"), "k")).await;
    assert!(headers.get("idempotent-replayed").is_none());
    let (status, headers, again) = answer(&app, with_key(queue(b"a"), "k")).await;
    assert_eq!((status.as_u16(), headers["idempotent-replayed"].to_str().unwrap()), (202, "true"));
    let id = |body: &[u8]| serde_json::from_slice::<Value>(body).unwrap()["id"].clone();
    assert_eq!(id(&first), id(&again));
    problem(&app, with_key(queue(b"b"), "k"), 422, "idempotency_key_reused").await;
    problem(&app, with_key(queue(b"b"), &"k".repeat(256)), 400, "bad_request").await;
    problem(&app, with_key(queue(b"b"), ""), 400, "bad_request").await;
}

#[tokio::test]
async fn jobs_are_canceled_queued_or_running() {
    let (app, fake) = app(|l| l.jobs = 1);
    let running = json_of(&app, queue(b"wait"), 202).await;
    until("it runs", || fake.waiting.load(Ordering::SeqCst) == 1).await;
    let queued = json_of(&app, queue(b"never"), 202).await;
    let ended = json_of(&app, request(Method::DELETE, &path_of(&queued)), 200).await;
    assert_eq!(ended["state"], "canceled");
    let ending = json_of(&app, request(Method::DELETE, &path_of(&running)), 202).await;
    assert_eq!((ending["state"].as_str(), ending["cancel_requested"].as_bool()), (Some("running"), Some(true)));
    let ended = json_of(&app, get(&format!("{}?wait=60s", path_of(&running))), 200).await;
    assert_eq!((ended["state"].as_str(), ended["cancel_requested"].as_bool()), (Some("canceled"), Some(false)));
    assert_eq!(fake.canceled.load(Ordering::SeqCst), 1);
    // again is not a fault
    assert_eq!(json_of(&app, request(Method::DELETE, &path_of(&running)), 200).await["state"], "canceled");
}

/// `id: …`, `event: …` and `data: …` of the events in a stream.
fn events_in(text: &str) -> Vec<(u64, String, String)> {
    let one = |block: &str| {
        let field = |name: &str| block.lines().find_map(|l| l.strip_prefix(name)).map(|v| v.trim().to_string());
        Some((field("id:")?.parse().ok()?, field("event:")?, field("data:")?))
    };
    text.split("\n\n").filter_map(one).collect()
}

#[tokio::test]
async fn events_are_replayed_from_any_point() {
    let (app, _) = app(|_| {});
    let job = json_of(&app, queue(b"epochs"), 202).await;
    let events = |after: Option<u64>| {
        let (app, path) = (app.clone(), format!("{}/events", path_of(&job)));
        async move {
            let mut request = get(&path);
            if let Some(after) = after {
                request.headers_mut().insert("last-event-id", after.to_string().parse().unwrap());
            }
            // the stream ends when the job does
            let (status, headers, body) = answer(&app, request).await;
            assert_eq!((status.as_u16(), headers[header::CONTENT_TYPE].to_str().unwrap()), (200, "text/event-stream"));
            events_in(&String::from_utf8(body).unwrap())
        }
    };
    let all = events(None).await;
    let numbers: Vec<u64> = all.iter().map(|e| e.0).collect();
    assert_eq!(numbers, (1..=all.len() as u64).collect::<Vec<u64>>());
    let kinds: Vec<&str> = all.iter().map(|e| e.1.as_str()).collect();
    assert_eq!(kinds, ["state", "state", "stage", "epoch", "epoch", "epoch", "note", "state"]);
    let epoch: Value = serde_json::from_str(&all[4].2).unwrap();
    assert_eq!(
        epoch,
        serde_json::json!({"event": "epoch", "epoch": 2, "epochs": 3, "loss": null, "metric": 0.5, "ebops": 9.0, "luts": 12.0, "beta": 0.0})
    );
    for after in 0..=all.len() {
        assert_eq!(events(Some(after as u64)).await, all[after..]);
    }
    let mut wrong = get(&format!("{}/events", path_of(&job)));
    wrong.headers_mut().insert("last-event-id", "x".parse().unwrap());
    problem(&app, wrong, 400, "bad_request").await;
}

#[tokio::test]
async fn a_file_is_sent_once() {
    let (app, fake) = app(|_| {});
    let raw =
        |method: Method, path: &str, body: Vec<u8>| Request::builder().method(method).uri(path).body(Body::from(body)).unwrap();
    let (data, digest) = (npy(b'c'), Digest::of(&npy(b'c')));
    let path = format!("/v1/files/{digest}");
    problem(&app, get(&path), 404, "not_found").await;
    let sent = json_of(&app, raw(Method::POST, "/v1/files", data.clone()), 201).await;
    assert_eq!((sent["digest"].as_str().unwrap(), sent["bytes"].as_u64()), (digest.as_str(), Some(data.len() as u64)));
    assert_eq!(json_of(&app, get(&path), 200).await, sent);
    assert_eq!(json_of(&app, raw(Method::PUT, &path, data.clone()), 201).await, sent);
    let other = Digest::of(b"other");
    problem(&app, raw(Method::PUT, &format!("/v1/files/{other}"), data.clone()), 400, "digest_mismatch").await;
    problem(&app, get(&format!("/v1/files/{other}")), 404, "not_found").await;
    problem(&app, raw(Method::PUT, "/v1/files/12", data.clone()), 400, "bad_request").await;
    for junk in [&b""[..], b"junk that is not a file"] {
        problem(&app, raw(Method::POST, "/v1/files", junk.to_vec()), 400, "bad_data").await;
    }
    let m = model(b"m");
    let named = [("model", None, &m[..]), ("calibration_digest", None, digest.as_str().as_bytes())];
    let (status, _, _) = answer(&app, post("/v1/convert", &named)).await;
    assert_eq!(status, 200);
    assert_eq!(fake.seen.lock().unwrap().take().unwrap().calibration.bytes().unwrap(), data);
    // a named file that is none of the right kind
    let model_digest = json_of(&app, raw(Method::POST, "/v1/files", m.clone()), 201).await["digest"].clone();
    let named = [("model", None, &m[..]), ("calibration_digest", None, model_digest.as_str().unwrap().as_bytes())];
    problem(&app, post("/v1/jobs", &named), 400, "bad_data").await;
}

#[tokio::test]
async fn queries_and_names_that_make_no_sense() {
    let (app, _) = app(|_| {});
    let job = path_of(&json_of(&app, queue(b"m"), 202).await);
    json_of(&app, get(&format!("{job}?wait=60s")), 200).await;
    for path in ["/v1/jobs?limit=0", "/v1/jobs?limit=101", "/v1/jobs?limit=x", "/v1/jobs?before=x", "/v1/jobs?page=2"] {
        problem(&app, get(path), 400, "bad_request").await;
    }
    for wait in ["wait=x", "wait=1h", "wait=-1", "wait=", "waits=1"] {
        problem(&app, get(&format!("{job}?{wait}")), 400, "bad_request").await;
    }
    for name in ["x", "job_", "job_0123456789abcdef0123456789abcdef", "job_0123456789ABCDEF0123456789ABCDEF", "%00"] {
        problem(&app, get(&format!("/v1/jobs/{name}")), 404, "not_found").await;
        problem(&app, request(Method::DELETE, &format!("/v1/jobs/{name}")), 404, "not_found").await;
    }
    problem(&app, get(&format!("{job}/artifacts/..%2f..%2fjobs.sqlite")), 404, "not_found").await;
}

#[tokio::test]
async fn a_job_that_needs_too_much_memory_is_refused() {
    let (app, fake) = app(|l| l.memory = 1 << 20);
    let document = problem(&app, queue(b"m"), 413, "too_much_memory").await;
    assert!(document["detail"].as_str().unwrap().contains("MiB"));
    assert!(fake.seen.lock().unwrap().is_none());
}
