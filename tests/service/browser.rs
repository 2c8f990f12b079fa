//! The web page and the report in a real browser: from files to a verified proxy, with a token,
//! without a mouse, at any width.

use crate::support::browser::{Browser, downloaded};
use crate::support::files::fixture;
use crate::support::server::{Server, curl};
use hgq_onnx::service::auth::new_token;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::Command;

fn digits(name: &str) -> PathBuf {
    fixture("digits").join(name)
}

/// Sets a field as a user who types does.
fn set(page: &mut Browser, id: &str, value: &str) {
    let set = format!(
        "(() => {{ const e = document.getElementById('{id}'); e.value = '{value}'; e.dispatchEvent(new Event('input')); }})()"
    );
    page.value(&set);
}

/// Nothing is wider than the window.
fn fits(page: &mut Browser, what: &str) {
    for width in [1280, 400] {
        for scheme in ["light", "dark"] {
            page.look(width, scheme);
            let wide = page.value("document.documentElement.scrollWidth - document.documentElement.clientWidth");
            assert_eq!(wide, 0, "{what} at {width} px");
            // texts of a drawing do not lie on each other
            let overlapping = page.value(
                "[...document.querySelectorAll('svg')].flatMap((svg) => {
                    const boxes = [...svg.querySelectorAll('text')].map((t) => [t.textContent, t.getBoundingClientRect()]);
                    return boxes.flatMap(([a, x], n) => boxes.slice(n + 1).filter(([, y]) =>
                        Math.min(x.right, y.right) - Math.max(x.left, y.left) > 1
                        && Math.min(x.bottom, y.bottom) - Math.max(x.top, y.top) > 3
                    ).map(([b]) => `${a} / ${b}`));
                })",
            );
            assert_eq!(overlapping, json!([]), "{what} at {width} px");
        }
    }
    page.look(1280, "light");
}

#[test]
#[ignore = "needs Chromium"]
fn from_files_to_a_verified_proxy_of_the_front() {
    let Some(mut page) = Browser::start() else { return };
    let dir = tempfile::tempdir().unwrap();
    let (token, line) = new_token("people").unwrap();
    std::fs::write(dir.path().join("tokens"), line).unwrap();
    let server = Server::start(&["--tokens", dir.path().join("tokens").to_str().unwrap()]);
    page.download_to(dir.path());
    page.open(&format!("{}/", server.url));

    // without a token nothing is listed: it is asked for, and the field has the focus
    page.until("!document.getElementById('access').hidden && document.activeElement.id === 'token'");
    page.type_text(&token);
    page.press("Enter");
    page.until("document.getElementById('access').hidden && document.getElementById('jobs').innerText.includes('None yet')");

    // what is not supported is said before anything runs
    let broken = dir.path().join("broken.onnx");
    std::fs::write(&broken, b"no model").unwrap();
    page.choose("#model", &broken);
    page.until("document.getElementById('problem').innerText.includes('ONNX')");
    page.choose("#model", &digits("digits_mlp.onnx"));
    page.until("document.getElementById('inspection').innerText.includes('Supported.')");
    assert_eq!(page.value("document.getElementById('problem').innerText"), "");
    for (part, file) in [("#calibration", "calibration.npz"), ("#train", "train.npz")] {
        page.choose(part, &digits(file));
    }
    set(&mut page, "epochs", "50");
    set(&mut page, "ebops", "5000");
    assert_eq!(page.value("document.querySelector('input[name=goal]:checked').value"), "target_ebops");
    let slider = page.value("Number(document.getElementById('ebops-slider').value)").as_f64().unwrap();
    assert!(slider > 0.0 && slider < 1000.0, "{slider}");
    page.value("document.getElementById('convert').focus()");
    page.press("Enter");

    // it trains before one's eyes, and the front is there at the end
    page.until("document.querySelectorAll('#charts svg').length === 3");
    page.until("document.getElementById('download-point') !== null");
    assert_eq!(page.value("document.getElementById('state').textContent"), "succeeded");
    let address = page.value("location.hash");
    let job = address.as_str().unwrap().trim_start_matches('#').to_string();
    let points = page.value("[...document.querySelectorAll('input[name=point]')].map((p) => [Number(p.value), p.checked])");
    let points: Vec<(u64, bool)> = serde_json::from_value(points).unwrap();
    assert!(points.len() >= 2 && points.iter().filter(|p| p.1).count() == 1, "{points:?}");
    let other = points.iter().find(|p| !p.1).unwrap().0;
    page.value(&format!("document.getElementById('point-{other}').focus()"));
    page.press(" ");
    page.until(&format!("document.getElementById('download-point').textContent.includes('point {other} ')"));
    fits(&mut page, "the page");
    page.value("document.getElementById('download-point').click()");
    let file = dir.path().join(format!("proxy-{other}.onnx"));
    let bytes = downloaded(&file);
    let artifact = format!("{}/v1/jobs/{job}/artifacts/pareto/{other}/proxy.onnx", server.url);
    let kept = dir.path().join("kept.onnx");
    let header = format!("Authorization: Bearer {token}");
    assert_eq!(curl(&["-o", kept.to_str().unwrap(), "-H", &header, &artifact]).unwrap().0, 200);
    assert!(bytes == std::fs::read(&kept).unwrap(), "the browser has other bytes");
    let verify = |args: &[&str]| {
        let inputs = digits("test.npz");
        let program = Command::new(env!("CARGO_BIN_EXE_hgq-onnx"))
            .args(["verify", file.to_str().unwrap(), "--json", "--inputs", inputs.to_str().unwrap()])
            .args(args)
            .current_dir(dir.path())
            .output()
            .unwrap();
        assert!(program.status.success(), "{}", String::from_utf8_lossy(&program.stderr));
        serde_json::from_slice::<Value>(&program.stdout).unwrap()
    };
    verify(&["--outputs", "y.npz"]);
    let verified = verify(&["--expected", "y.npz"]);
    assert_eq!((&verified["samples"], &verified["mismatches"]), (&json!(360), &json!(0)));

    // a long job is canceled in the list
    set(&mut page, "epochs", "10000");
    page.value("document.getElementById('convert').click()");
    // its curves grow while it runs
    let epoch = "Number(document.getElementById('doing').textContent.match(/epoch ([0-9]+)/)?.[1] ?? 0)";
    page.until("document.getElementById('state').textContent === 'running'");
    page.until("document.querySelectorAll('#charts svg').length === 3");
    let seen = page.value(epoch).as_u64().unwrap();
    page.until(&format!("{epoch} > {seen}"));
    page.until("document.querySelector('#jobs [aria-label^=\"Cancel job\"]') !== null");
    page.value("document.querySelector('#jobs [aria-label^=\"Cancel job\"]').click()");
    page.until("document.getElementById('state').textContent === 'canceled'");
    page.until("document.querySelectorAll('#jobs tbody tr').length === 2");
    page.until("document.getElementById('jobs').innerText.includes('canceled')");

    // everything has a label, and nothing came from elsewhere or was refused
    let unlabelled = page.value(
        "[...document.querySelectorAll('input, textarea')].filter((i) => !i.labels.length && !i.ariaLabel).map((i) => i.id)",
    );
    assert_eq!(unlabelled, json!([]));
    let own = |url: &String| [&server.url[..], "blob:", "data:"].iter().any(|start| url.starts_with(start));
    let requests = page.requests();
    assert!(requests.len() > 10 && requests.iter().all(own), "{requests:?}");
    assert_eq!(page.faults(), Vec::<String>::new());
}

#[test]
#[ignore = "needs Chromium"]
fn the_report_is_read_without_scripts_and_requests() {
    let Some(mut page) = Browser::start() else { return };
    let dir = tempfile::tempdir().unwrap();
    let done = Command::new(env!("CARGO_BIN_EXE_hgq-onnx"))
        .args(["convert", "--epochs", "20", "--threads", "1", "--out"])
        .arg(dir.path().join("out"))
        .arg("--calibration")
        .arg(digits("calibration.npz"))
        .arg("--train")
        .arg(digits("train.npz"))
        .arg(digits("digits_cnn.onnx"))
        .output()
        .unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    page.call("Emulation.setScriptExecutionDisabled", json!({"value": true}));
    let url = format!("file://{}", dir.path().join("out/report.html").display());
    page.open(&url);
    fits(&mut page, "the report");
    let seen = page.value("[...document.querySelectorAll('h2')].map((h) => h.textContent)");
    let seen: Vec<String> = serde_json::from_value(seen).unwrap();
    for section in
        ["Before and after", "Pareto front", "Training", "Weights", "Activations", "Graph", "Verification", "In hls4ml"]
    {
        assert!(seen.iter().any(|s| s == section), "{section} is not among {seen:?}");
    }
    let nameless =
        page.value("[...document.querySelectorAll('svg[role=img]')].filter((s) => !s.getAttribute('aria-label')).length");
    assert_eq!(nameless, 0);
    assert!(page.requests().iter().all(|r| *r == url), "{:?}", page.requests());
    assert_eq!(page.faults(), Vec::<String>::new());
    // it prints
    let pdf = page.call("Page.printToPDF", json!({"printBackground": true}));
    assert!(pdf["data"].as_str().unwrap().len() > 10_000);
}
