//! Several jobs in one request.

use super::harness::*;
use axum::body::Body;
use axum::http::{Method, Request, header};
use serde_json::Value;
use std::sync::atomic::Ordering;

fn sweep(says: &[u8], fields: &str) -> Request<Body> {
    let config: Part = ("config", None, b"{\"threads\": 1, \"epochs\": 2}");
    post(
        "/v1/sweeps",
        &[("model", None, &model(says)), ("calibration", None, &npy(1)), config, ("sweep", None, fields.as_bytes())],
    )
}

#[tokio::test]
async fn every_combination_is_a_job_and_the_fronts_merge() {
    let (app, _) = app(|l| l.jobs = 2);
    let mut keyed = sweep(b"m", "{\"seed\": [5, 6, 7], \"epochs\": [1, 2]}");
    keyed.headers_mut().insert("idempotency-key", "k".parse().unwrap());
    let (status, headers, body) = answer(&app, keyed).await;
    assert_eq!(status, 202, "{}", String::from_utf8_lossy(&body));
    let queued: Value = serde_json::from_slice(&body).unwrap();
    let path = format!("/v1/sweeps/{}", queued["id"].as_str().unwrap());
    assert_eq!(headers[header::LOCATION], path);
    let done = json_of(&app, request(Method::GET, &format!("{path}?wait=60s")), 200).await;
    assert_eq!(done["state"], "succeeded");
    let jobs = done["jobs"].as_array().unwrap();
    let fields: Vec<(u64, u64)> =
        jobs.iter().map(|j| (j["config"]["seed"].as_u64().unwrap(), j["config"]["epochs"].as_u64().unwrap())).collect();
    assert_eq!(fields.len(), 6);
    assert!((5..8).all(|seed| (1..3).all(|epochs| fields.contains(&(seed, epochs)))), "{fields:?}");
    assert!(jobs.iter().all(|j| j["sweep"] == done["id"] && j["artifacts"].as_array().unwrap().len() == 5));
    // the engine for the test finds a model of `seed` EBOPs and accuracy seed/10
    let front: Vec<(u64, f64)> = done["pareto"]
        .as_array()
        .unwrap()
        .iter()
        .map(|m| (m["ebops"].as_u64().unwrap(), m["metric"].as_f64().unwrap()))
        .collect();
    assert_eq!(front, [(5, 0.5), (6, 0.6), (7, 0.7)]);
    let proxy = done["pareto"][1]["proxy"].as_str().unwrap();
    assert_eq!(answer(&app, request(Method::GET, proxy)).await.2, b"small");
    let mut again = sweep(b"m", "{\"seed\": [5, 6, 7], \"epochs\": [1, 2]}");
    again.headers_mut().insert("idempotency-key", "k".parse().unwrap());
    assert_eq!(json_of(&app, again, 202).await["id"], done["id"]);
}

#[tokio::test]
async fn a_sweep_is_canceled_as_a_whole() {
    let (app, fake) = app(|_| {});
    let queued = json_of(&app, sweep(b"wait", "{\"seed\": [1, 2, 3]}"), 202).await;
    let path = format!("/v1/sweeps/{}", queued["id"].as_str().unwrap());
    until("one runs", || fake.waiting.load(Ordering::SeqCst) == 1).await;
    assert_eq!(json_of(&app, request(Method::GET, &path), 200).await["state"], "running");
    json_of(&app, request(Method::DELETE, &path), 202).await;
    let done = json_of(&app, request(Method::GET, &format!("{path}?wait=60s")), 200).await;
    assert_eq!((done["state"].as_str(), done["pareto"].as_array().unwrap().len()), (Some("canceled"), 0));
}

#[tokio::test]
async fn faulty_sweeps_queue_nothing() {
    let (app, fake) = app(|l| (l.jobs, l.queue, l.epochs) = (1, 3, 50));
    for (fields, words) in [
        ("{\"seed\": 1}", &["seed", "list"][..]),
        ("{}", &["no field"]),
        ("{\"sede\": [1]}", &["sede"]),
        ("{\"epochs\": [1, 51], \"gamma\": [-1]}", &["at most 50", "gamma"]),
    ] {
        let document = problem(&app, sweep(b"m", fields), 400, "bad_config").await;
        for word in words {
            assert!(document["detail"].as_str().unwrap().contains(word), "`{word}` is not in {document}");
        }
    }
    problem(&app, request(Method::GET, "/v1/sweeps/sweep_0"), 404, "not_found").await;
    assert!(fake.seen.lock().unwrap().is_none());
    // more jobs than there is room for: those that were queued do not stay
    problem(&app, sweep(b"wait", "{\"seed\": [1, 2, 3, 4, 5]}"), 429, "busy").await;
    let jobs = json_of(&app, request(Method::GET, "/v1/jobs"), 200).await;
    for job in jobs["jobs"].as_array().unwrap() {
        let path = format!("/v1/jobs/{}?wait=60s", job["id"].as_str().unwrap());
        assert_eq!(json_of(&app, request(Method::GET, &path), 200).await["state"], "canceled");
    }
}
