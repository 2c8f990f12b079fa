//! A listener that is cut off again and again and reconnects sees every event once and in order.

use super::client::{ended, part};
use crate::support::server::{Server, curl};
use serde_json::Value;
use std::process::Command;

/// Events of a stream that may end anywhere; an event that is cut has not been seen.
fn events_in(text: &str) -> Vec<(u64, String)> {
    let whole = text.rfind("\n\n").map_or("", |end| &text[..end + 2]);
    let one = |block: &str| {
        let field = |name: &str| block.lines().find_map(|l| l.strip_prefix(name)).map(|v| v.trim().to_string());
        Some((field("id:")?.parse().ok()?, field("data:")?))
    };
    whole.split("\n\n").filter_map(one).collect()
}

#[test]
fn a_listener_that_reconnects_misses_nothing() {
    let server = Server::start(&[]);
    let config = "config={\"epochs\": 400, \"polish\": false, \"threads\": 1, \"target_ebops\": 5000}";
    let (model, calibration, train) =
        (part("model", "digits_mlp.onnx"), part("calibration", "calibration.npz"), part("train", "train.npz"));
    let jobs = format!("{}/v1/jobs", server.url);
    let sent = curl(&["-F", &model, "-F", &calibration, "-F", &train, "-F", config, &jobs]).unwrap();
    let job: Value = serde_json::from_slice(&sent.1).unwrap();
    let path = format!("/v1/jobs/{}", job["id"].as_str().unwrap());
    let listen = |after: u64, seconds: &str| {
        let last = format!("Last-Event-ID: {after}");
        let output =
            Command::new("curl").args(["-sN", "-m", seconds, "-H", &last, &format!("{}{path}/events", server.url)]).output();
        String::from_utf8(output.unwrap().stdout).unwrap()
    };
    let mut seen: Vec<(u64, String)> = Vec::new();
    let mut cuts = 0;
    while !seen.last().is_some_and(|(_, data)| data.contains("succeeded")) {
        let after = seen.last().map_or(0, |e| e.0);
        // cut off after 50 to 290 ms
        let seconds = format!("0.{:02}", 5 + cuts * 7 % 25);
        seen.extend(events_in(&listen(after, &seconds)));
        cuts += 1;
    }
    let numbers: Vec<u64> = seen.iter().map(|e| e.0).collect();
    assert_eq!(numbers, (1..=seen.len() as u64).collect::<Vec<u64>>(), "every event once, in order");
    assert!(cuts > 2, "the listener was never cut off");
    assert_eq!(seen, events_in(&listen(0, "20")), "a listener from the start sees the same");
    let epochs = seen.iter().filter(|e| e.1.contains("\"event\":\"epoch\"")).count();
    assert_eq!(epochs, 400);
    assert_eq!(ended(&server.url, &path)["progress"]["stage"], "report");
}
