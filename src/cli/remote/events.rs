//! The events of a job (server-sent events), shown as those of a job on this machine.

use super::http::Service;
use crate::cli::progress::Progress;
use crate::convert::progress::{Event, Step};
use crate::diagnostic::Code;
use serde::Deserialize;
use serde_json::Value;
use std::io::{BufRead, BufReader, Read};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

/// How soon a signal is noticed while nothing happens.
const NOTICE: Duration = Duration::from_millis(100);
/// Pause before a broken stream is asked for again, and how often without anything new.
const PAUSE: Duration = Duration::from_millis(500);
const TRIES: u32 = 20;
/// Silence after which a stream is taken for broken: the service says every 15 seconds that it is
/// there.
const SILENCE: Duration = Duration::from_secs(60);
/// Longest line of a stream; events have some hundred bytes.
const MAX_LINE: u64 = 1 << 20;

/// What comes out of a stream.
#[derive(Debug, PartialEq)]
enum Heard {
    Event(Sent),
    /// A comment: the service is there.
    Alive,
}

/// One event of the stream.
#[derive(Debug, Default, PartialEq)]
struct Sent {
    number: Option<u64>,
    kind: String,
    data: String,
}

/// Shows a job's events until it ends, the stream has nothing more to say, or `cancel` is set.
///
/// # Errors
/// What the service has against it, or that it cannot be reached any more.
pub fn follow(service: &Service, id: &str, progress: &mut Progress, cancel: &AtomicBool) -> anyhow::Result<()> {
    let mut after = 0;
    let mut vain = 0;
    loop {
        let before = after;
        let headers = [("Accept", "text/event-stream".to_string()), ("Last-Event-ID", after.to_string())];
        match service.stream(&format!("/v1/jobs/{id}/events"), &headers) {
            Ok(stream) => {
                if show(stream, &mut after, progress, cancel) {
                    return Ok(());
                }
            }
            Err(refused) if refused.code() != Code::Unreachable.name() || vain >= TRIES => return Err(refused.into()),
            Err(_) => {}
        }
        if cancel.load(Ordering::Relaxed) {
            return Ok(());
        }
        if after == before {
            // it may have ended without a last event, as a job that is answered from the store
            if service.json("GET", &format!("/v1/jobs/{id}"), None).is_ok_and(|job| ended(&job)) {
                return Ok(());
            }
            vain += 1;
            std::thread::sleep(PAUSE);
        } else {
            vain = 0;
        }
    }
}

fn ended(state: &Value) -> bool {
    matches!(state["state"].as_str(), Some("succeeded" | "failed" | "canceled"))
}

/// Reads one stream; whether the job has ended. Reading waits for the network, so a thread does it:
/// a signal is noticed meanwhile.
fn show(stream: impl Read + Send + 'static, after: &mut u64, progress: &mut Progress, cancel: &AtomicBool) -> bool {
    let (send, receive) = mpsc::channel();
    // ends with the stream, at the latest when the process does
    std::thread::spawn(move || {
        let mut stream = BufReader::new(stream);
        let mut sent = Sent::default();
        while let Some(heard) = next(&mut stream, &mut sent) {
            if send.send(heard).is_err() {
                return;
            }
        }
    });
    let mut last = Instant::now();
    loop {
        match receive.recv_timeout(NOTICE) {
            Err(RecvTimeoutError::Disconnected) => return false,
            Err(RecvTimeoutError::Timeout) if last.elapsed() > SILENCE => return false,
            Err(RecvTimeoutError::Timeout) => {}
            Ok(Heard::Alive) => last = Instant::now(),
            Ok(Heard::Event(sent)) => {
                last = Instant::now();
                *after = sent.number.unwrap_or(*after);
                let data = serde_json::from_str(&sent.data).unwrap_or(Value::Null);
                if sent.kind == "state" && ended(&data) {
                    return true;
                }
                if let Some(event) = event(&sent.kind, &data) {
                    progress.event(&event);
                }
            }
        }
        if cancel.load(Ordering::Relaxed) {
            return false;
        }
    }
}

/// What comes next, `None` at the end; `sent` is the event that is being read.
fn next(stream: &mut impl BufRead, sent: &mut Sent) -> Option<Heard> {
    loop {
        let mut line = String::new();
        if stream.by_ref().take(MAX_LINE).read_line(&mut line).ok()? == 0 {
            return None;
        }
        let line = line.trim_end_matches(['\r', '\n']);
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "" if !line.is_empty() => return Some(Heard::Alive),
            "" if !sent.kind.is_empty() => return Some(Heard::Event(std::mem::take(sent))),
            "id" => sent.number = value.parse().ok(),
            "event" => sent.kind = value.into(),
            "data" => sent.data += value,
            _ => {}
        }
    }
}

fn event(kind: &str, data: &Value) -> Option<Event> {
    let text = |key: &str| data[key].as_str().unwrap_or_default().to_string();
    // what is not a number in JSON is null
    let number = |key: &str| data[key].as_f64().unwrap_or(f64::NAN);
    let count = |key: &str| data[key].as_u64().unwrap_or(0) as usize;
    Some(match kind {
        "stage" => Event::Stage { stage: text("stage").into(), step: Step::deserialize(data).ok() },
        "note" => Event::Note { code: text("code").into(), message: text("message") },
        "epoch" => Event::Epoch {
            epoch: count("epoch"),
            epochs: count("epochs"),
            loss: number("loss"),
            metric: number("metric"),
            ebops: number("ebops"),
            luts: data["luts"].as_f64(),
            beta: number("beta"),
        },
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_read_with_comments_between_them() {
        let text = ": hello\n\nid: 7\nevent: epoch\ndata: {\"epoch\": 1,\ndata: \"loss\": null}\n\nid: 8\r\nevent:state\r\ndata:{}\r\n\r\nid: 9\nevent: x";
        let mut stream = text.as_bytes();
        let mut half = Sent::default();
        assert_eq!(next(&mut stream, &mut half), Some(Heard::Alive));
        let Some(Heard::Event(first)) = next(&mut stream, &mut half) else { panic!() };
        assert_eq!((first.number, first.kind.as_str()), (Some(7), "epoch"));
        let Some(Event::Epoch { epoch: 1, loss, .. }) = event("epoch", &serde_json::from_str(&first.data).unwrap()) else {
            panic!()
        };
        assert!(loss.is_nan());
        let step = |data: &str| match event("stage", &serde_json::from_str(data).unwrap()) {
            Some(Event::Stage { stage, step }) => (stage.into_owned(), step),
            other => panic!("{other:?}"),
        };
        assert_eq!(step(r#"{"stage": "polish", "step": 2, "steps": 12}"#), ("polish".into(), Some(Step { step: 2, steps: 12 })));
        assert_eq!(step(r#"{"stage": "train"}"#), ("train".into(), None));
        let second = Sent { number: Some(8), kind: "state".into(), data: "{}".into() };
        assert_eq!(next(&mut stream, &mut half), Some(Heard::Event(second)));
        assert_eq!(next(&mut stream, &mut half), None);
    }
}
