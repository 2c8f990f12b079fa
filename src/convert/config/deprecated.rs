//! Fields of earlier versions, read as what says the same now. They are refused from version 0.2
//! on.

use serde_json::{Map, Value, json};

/// The configuration without such fields, and what was read for each; `None` where there are none,
/// or where what they have is wrong: they are then as unknown as any other.
pub fn translated(text: &[u8]) -> Option<(Vec<u8>, Vec<String>)> {
    let Ok(Value::Object(mut config)) = serde_json::from_slice(text) else { return None };
    let mut notes = Vec::new();
    let mut rules = optimize(&mut config, &mut notes)?;
    rules.extend(freeze(&mut config, &mut notes)?);
    if let Some(patience) = config.remove("patience") {
        if !(patience.is_null() || patience.as_u64().is_some_and(|p| p > 0)) {
            return None;
        }
        notes.push("`patience` is no longer there: stages of a training do not end early".into());
    }
    if notes.is_empty() {
        return None;
    }
    let layers = config.entry("layers").or_insert_with(|| json!([])).as_array_mut()?;
    // entries of `layers` were the stronger ones
    layers.splice(0..0, rules);
    Some((serde_json::to_vec(&config).ok()?, notes))
}

/// `optimize`: what is trained at all.
fn optimize(config: &mut Map<String, Value>, notes: &mut Vec<String>) -> Option<Vec<Value>> {
    let Some(optimize) = config.remove("optimize") else { return Some(Vec::new()) };
    let optimize = optimize.as_object()?;
    let trained = |part: &str| optimize.get(part).map_or(Some(true), Value::as_bool);
    let known = optimize.keys().all(|k| k == "weights" || k == "bits");
    let (weights, bits) = (trained("weights")?, trained("bits")?);
    let frozen = match (weights, bits) {
        _ if !known => return None,
        (true, true) => None,
        (false, true) => Some(json!("weights")),
        (true, false) => Some(json!("bits")),
        (false, false) => Some(json!(true)),
    };
    notes.push("`optimize` is now `{\"match\": \"*\", \"freeze\": …}` in `layers`".into());
    Some(frozen.map(|f| json!({ "match": "*", "freeze": f })).into_iter().collect())
}

/// `freeze`: names of nodes that keep everything.
fn freeze(config: &mut Map<String, Value>, notes: &mut Vec<String>) -> Option<Vec<Value>> {
    let Some(freeze) = config.remove("freeze") else { return Some(Vec::new()) };
    let rules = freeze.as_array()?.iter().map(|name| Some(json!({ "match": name.as_str()?, "freeze": true }))).collect();
    notes.push("`freeze` is now `{\"match\": NAME, \"freeze\": true}` in `layers`".into());
    rules
}

#[cfg(test)]
mod tests {
    use crate::convert::JobConfig;

    #[test]
    fn earlier_fields_are_read_as_rules_before_those_of_layers() {
        let read = |text: &str| JobConfig::from_json(text.as_bytes());
        let old =
            r#"{"patience": 3, "freeze": ["a", "b*"], "optimize": {"bits": false}, "layers": [{"match": "a", "freeze": false}]}"#;
        let new = r#"{"layers": [{"match": "*", "freeze": "bits"}, {"match": "a", "freeze": true}, {"match": "b*", "freeze": true},
                      {"match": "a", "freeze": false}]}"#;
        let (old, new) = (read(old).unwrap(), read(new).unwrap());
        assert_eq!((old.layers, old.deprecated.len(), new.deprecated.len()), (new.layers, 3, 0));
        for wrong in [r#"{"freeze": "a"}"#, r#"{"optimize": {"width": true}}"#, r#"{"patience": 0}"#] {
            assert!(read(wrong).unwrap_err()[0].contains("unknown field"), "{wrong}: {:?}", read(wrong));
        }
    }
}
