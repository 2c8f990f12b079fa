//! docs/schema: JSON Schemas of what the program reads and writes.

use super::pages::{root, write_or_compare};
use crate::support::files::read;
use hgq_onnx::convert::documents::{json, schemas};
use hgq_onnx::convert::{DataFile, Job, JobConfig, inspect, plan, run};
use serde_json::Value;
use std::collections::BTreeSet;
use std::sync::atomic::AtomicBool;

#[test]
fn schemas_are_published() {
    for (name, schema) in schemas() {
        write_or_compare(&root().join(format!("docs/schema/{name}.json")), &format!("{schema:#}\n"));
    }
}

/// A job whose report has all its parts.
fn job() -> Job {
    let data = |name: &str| DataFile::new(name, read(&format!("digits/{name}")));
    let config = r#"{"epochs": 2, "threads": 1, "target_ebops": 9000, "proxy": {"elementwise": "sat"}, "layers": [{"match": "*", "freeze": false}]}"#;
    let config = JobConfig::from_json(config.as_bytes()).unwrap();
    let (calibration, train) = (data("calibration.npz"), Some(data("train.npz")));
    Job { model: read("digits/digits_mlp.onnx"), calibration, train, validation: None, config }
}

/// Every document is valid by its schema, and no field of it is unknown there.
#[test]
fn documents_are_as_their_schemas_say() {
    let job = job();
    let made = run(&job, &mut |_| {}, &AtomicBool::new(false)).unwrap();
    let documents = [
        ("report", json(&made.report).unwrap()),
        ("plan", json(&plan(&job).unwrap()).unwrap()),
        ("inspect", json(&inspect(&job.model).unwrap()).unwrap()),
        ("config", json(&job.config).unwrap()),
    ];
    for (name, document) in documents {
        let (_, mut schema) = schemas().into_iter().find(|s| s.0 == name).unwrap();
        closed(&mut schema);
        let validator = jsonschema::validator_for(&schema).unwrap();
        let faults: Vec<String> = validator.iter_errors(&document).map(|e| format!("{}: {e}", e.instance_path())).collect();
        assert!(faults.is_empty(), "{name}: {faults:#?}");
    }
    let read: hgq_onnx::convert::Report = serde_json::from_value(json(&made.report).unwrap()).unwrap();
    assert_eq!(json(&read).unwrap(), json(&made.report).unwrap(), "a report that is read and written again is the same");
}

/// No object has fields beside those that its schema names. Parts that are joined (`allOf`) may have
/// each other's.
fn closed(schema: &mut Value) {
    let mut joined = BTreeSet::new();
    parts_of(schema, false, &mut joined);
    close(schema, &joined);
}

/// Names of definitions that are a part of something.
fn parts_of(schema: &Value, inside: bool, found: &mut BTreeSet<String>) {
    match schema {
        Value::Object(map) => {
            if let (true, Some(to)) = (inside, map.get("$ref").and_then(Value::as_str)) {
                found.extend(to.rsplit('/').next().map(String::from));
            }
            map.iter().for_each(|(key, value)| parts_of(value, key == "allOf", found));
        }
        Value::Array(items) => items.iter().for_each(|item| parts_of(item, inside, found)),
        _ => {}
    }
}

fn close(schema: &mut Value, joined: &BTreeSet<String>) {
    match schema {
        Value::Object(map) => {
            if map.contains_key("properties") || map.contains_key("allOf") {
                map.entry("unevaluatedProperties").or_insert(false.into());
            }
            for (_, value) in map.iter_mut().filter(|(key, _)| *key != "allOf" && !joined.contains(*key)) {
                close(value, joined);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| close(item, joined)),
        _ => {}
    }
}
