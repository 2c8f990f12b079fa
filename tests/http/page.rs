//! The web page as it is served: open, whole, and under a policy that lets it do nothing else.

use super::harness::*;
use axum::http::{Method, header};

#[tokio::test]
async fn the_page_and_its_files_are_there() {
    let (app, _) = app(|_| {});
    let (status, headers, body) = answer(&app, request(Method::GET, "/")).await;
    let html = String::from_utf8(body).unwrap();
    assert_eq!((status.as_u16(), &headers[header::CONTENT_TYPE]), (200, &"text/html; charset=utf-8".parse().unwrap()));
    let policy = headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
    assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe") && !policy.contains('*'), "{policy}");
    // neither inline scripts nor styles, nor anything from elsewhere: the policy would refuse them
    for refused in ["<script>", "<style", " style=", " onclick", " onload", "http:", "https:", "//"] {
        assert!(!html.contains(refused), "{refused}");
    }
    // whatever the page and its modules load is served, with its type and the same policy
    let mut open = vec![html];
    let mut seen = std::collections::BTreeSet::new();
    while let Some(text) = open.pop() {
        let named = text.split('"').filter_map(|t| t.strip_prefix("page/").or(t.strip_prefix("./")));
        for name in named.map(str::to_string).collect::<Vec<_>>() {
            if !seen.insert(name.clone()) {
                continue;
            }
            let (status, headers, body) = answer(&app, request(Method::GET, &format!("/page/{name}"))).await;
            assert_eq!(status, 200, "{name}");
            let kind = if name.ends_with(".css") { "text/css; charset=utf-8" } else { "text/javascript; charset=utf-8" };
            assert_eq!(headers[header::CONTENT_TYPE], kind, "{name}");
            assert!(
                headers.contains_key(header::CONTENT_SECURITY_POLICY) && headers[header::X_CONTENT_TYPE_OPTIONS] == "nosniff"
            );
            let text = String::from_utf8(body).unwrap();
            // what a service or a file says never becomes markup
            assert!(
                !["innerHTML", "insertAdjacentHTML", "document.write", "eval("].iter().any(|bad| text.contains(bad)),
                "{name}"
            );
            open.push(text);
        }
    }
    assert_eq!(seen.len(), 11, "{seen:?}");
    problem(&app, request(Method::GET, "/page/nothing.js"), 404, "not_found").await;
    problem(&app, request(Method::POST, "/"), 405, "method_not_allowed").await;
}

#[tokio::test]
async fn a_report_opens_in_the_browser_and_can_do_nothing() {
    let (app, _) = app(|_| {});
    let job = json_of(&app, post("/v1/jobs", &[("model", None, &model(b"m")), ("calibration", None, &npy(b'c'))]), 202).await;
    let path = format!("/v1/jobs/{}", job["id"].as_str().unwrap());
    json_of(&app, request(Method::GET, &format!("{path}?wait=60s")), 200).await;
    for (name, kind, shown) in [
        ("report.html", "text/html; charset=utf-8", "inline"),
        ("report.json", "application/json", "attachment"),
        ("proxy.onnx", "application/octet-stream", "attachment"),
    ] {
        let (_, headers, _) = answer(&app, request(Method::GET, &format!("{path}/artifacts/{name}"))).await;
        assert_eq!(headers[header::CONTENT_TYPE], kind);
        assert!(headers[header::CONTENT_DISPOSITION].to_str().unwrap().starts_with(shown), "{name}");
        assert!(headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap().starts_with("sandbox; default-src 'none'"));
    }
}
