//! The configuration: every field with its default, and every example.

use super::pages::{blocks, coded, pages, root, rows};
use hgq_onnx::convert::JobConfig;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;

fn flatten(path: &str, value: &Value, into: &mut BTreeMap<String, Value>) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            for (key, value) in map {
                flatten(&if path.is_empty() { key.clone() } else { format!("{path}.{key}") }, value, into);
            }
        }
        other => {
            into.insert(path.to_string(), other.clone());
        }
    }
}

#[test]
fn every_field_is_documented_with_its_default() {
    let mut fields = BTreeMap::new();
    flatten("", &serde_json::to_value(JobConfig::default()).unwrap(), &mut fields);
    // absent by default, with parts
    let beta = r#"{"beta": {"start": 1, "end": 1, "schedule": "piecewise", "points": [[0, 1]]}}"#;
    let mut parts = BTreeMap::new();
    flatten("", &serde_json::to_value(JobConfig::parse(beta.as_bytes()).unwrap()).unwrap(), &mut parts);
    fields.remove("beta");
    fields.extend(parts.into_iter().filter(|p| p.0.starts_with("beta.")).map(|p| (p.0, Value::Null)));
    fields.insert("beta.schedule".into(), "log".into());
    let page = fs::read_to_string(root().join("docs/configuration.md")).unwrap();
    let mut documented = BTreeSet::new();
    let mut faults = Vec::new();
    for row in rows(&page) {
        let Some(field) = coded(&row[0]) else { continue };
        assert!(documented.insert(field.to_string()), "{field} twice");
        let Some(default) = fields.get(field) else { continue };
        let said = row[1].trim_matches('`');
        let agrees = match default {
            Value::Number(n) => said.parse::<f64>().is_ok_and(|v| (v - n.as_f64().unwrap()).abs() < 1e-6),
            Value::Bool(b) => said == b.to_string(),
            Value::String(s) => said == s,
            _ => !row[1].is_empty() && said.parse::<f64>().is_err(),
        };
        if !agrees {
            faults.push(format!("{field}: {said} is documented, {default} is the default"));
        }
    }
    let known: BTreeSet<String> = fields.into_keys().collect();
    assert_eq!(documented, known);
    assert!(faults.is_empty(), "{faults:#?}");
}

/// ```` ```json ```` blocks are configurations.
#[test]
fn every_configuration_is_taken() {
    let mut taken = 0;
    for (name, page) in pages() {
        for block in blocks(&page).iter().filter(|b| b.language == "json" && !b.not_run()) {
            let read = JobConfig::from_json(block.text.as_bytes());
            assert!(read.is_ok(), "{name}:{}: {read:?}", block.line);
            taken += 1;
        }
    }
    assert!(taken > 0);
}
