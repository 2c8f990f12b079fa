//! Every fault of a configuration at once. serde stops at the first and names a value, not its
//! field: so each part is read by itself.

use super::suggest::{explained, suggestion};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

/// Known fields are listed up to this many: more are looked up in the documentation.
const MAX_LISTED: usize = 8;

/// What is wrong with `text`, which is not a configuration for the reason `whole`; one line each.
pub fn faults<T: DeserializeOwned>(text: &[u8], whole: &serde_json::Error) -> Vec<String> {
    let mut found = Vec::new();
    match serde_json::from_slice(text) {
        Ok(Value::Object(fields)) => {
            for (name, value) in &fields {
                part::<T>(name, value, &|value| object(name, value), &mut found);
            }
        }
        // serde would take an array for a struct, field by field
        Ok(_) => found.push("a JSON object is needed, {\"field\": value, …}".to_string()),
        Err(_) => {}
    }
    if found.is_empty() {
        found.push(explained(&whole.to_string()));
    }
    found.into_iter().map(|fault| format!("config: {fault}")).collect()
}

fn object(name: &str, value: Value) -> Value {
    Value::Object(Map::from_iter([(name.to_string(), value)]))
}

/// The faults of the value at `path`; `wrap` makes a configuration with it alone.
fn part<T: DeserializeOwned>(path: &str, value: &Value, wrap: &dyn Fn(Value) -> Value, found: &mut Vec<String>) {
    let Err(error) = serde_json::from_value::<T>(wrap(value.clone())) else { return };
    let error = error.to_string();
    let before = found.len();
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let with = |value| {
                    let mut alone = Map::from_iter([(name.clone(), value)]);
                    // an entry of `layers` is none without it
                    if path.ends_with(']') && name != "match" {
                        alone
                            .insert("match".into(), fields.get("match").filter(|m| m.is_string()).cloned().unwrap_or(json!("*")));
                    }
                    wrap(Value::Object(alone))
                };
                part::<T>(&format!("{path}.{name}"), value, &with, found);
            }
        }
        Value::Array(items) if items.iter().any(Value::is_object) => {
            for (n, item) in items.iter().enumerate() {
                part::<T>(&format!("{path}[{n}]"), item, &|item| wrap(json!([item])), found);
            }
        }
        Value::Array(_) | Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
    let missing = missing::<T>(value, wrap);
    if missing.is_none() && found.len() == before {
        found.push(said(path, &error));
    }
    found.extend(missing.map(|error| said(path, &error)));
}

/// That an object lacks a field, whatever else is wrong with it.
fn missing<T: DeserializeOwned>(value: &Value, wrap: &dyn Fn(Value) -> Value) -> Option<String> {
    let Value::Object(fields) = value else { return None };
    // the one field that is needed anywhere
    let needed = fields.get("match").filter(|m| m.is_string()).map(|m| ("match".to_string(), m.clone()));
    let error = serde_json::from_value::<T>(wrap(Value::Object(needed.into_iter().collect()))).err()?.to_string();
    error.starts_with("missing field").then_some(error)
}

/// The fault at `path`.
fn said(path: &str, error: &str) -> String {
    let name = path.rsplit('.').next().unwrap_or(path);
    if let Some(rest) = error.strip_prefix(&format!("unknown field `{name}`")) {
        let known: Vec<&str> = rest.split('`').skip(1).step_by(2).collect();
        let hint = suggestion(name, known.iter().copied());
        let fields = match known.len() {
            _ if !hint.is_empty() => hint,
            0 => String::new(),
            1..=MAX_LISTED => format!(": there are {}", known.iter().map(|k| format!("`{k}`")).collect::<Vec<_>>().join(", ")),
            _ => ": all fields are in docs/configuration.md".into(),
        };
        return format!("unknown field `{path}`{fields}");
    }
    // texts of our own begin with the field
    if error.starts_with(&format!("{name}: ")) { error.to_string() } else { format!("{path}: {}", explained(error)) }
}

#[cfg(test)]
mod tests {

    use crate::convert::config::JobConfig;

    fn of(text: &str) -> Vec<String> {
        JobConfig::parse(text.as_bytes()).unwrap_err()
    }

    #[test]
    fn all_are_named_with_their_fields() {
        let found = of(
            r#"{"epochz": 3, "proxy": {"form": "foo", "elementwize": "sat"}, "seed": -1, "learning_rate": {"weights": "a"}, "loss": "bce"}"#,
        );
        let want = [
            "config: unknown field `epochz`: did you mean `epochs`?",
            "config: learning_rate.weights: invalid type: string \"a\", expected f32",
            "config: proxy.form: unknown variant `foo`, expected one of `sums`, `concat`, `uniform`",
            "config: proxy.elementwize",
            "config: seed: invalid value: integer `-1`, expected u64",
        ];
        assert_eq!(found.len(), want.len(), "{found:#?}");
        for want in want {
            let there = |f: &String| f == want || (want.ends_with("wize") && f.contains("did you mean `elementwise`"));
            assert!(found.iter().any(there), "{want}: {found:#?}");
        }
    }

    #[test]
    fn entries_of_lists_are_numbered() {
        let found = of(
            r#"{"layers": [{"match": "a"}, {"beta_scale": 1, "granularity": {"weights": "bit"}}, {"match": "b", "rang": [0, 1]}]}"#,
        );
        assert_eq!(found.len(), 3, "{found:#?}");
        assert!(found[0].starts_with("config: layers[1].granularity.weights: unknown variant `bit`"), "{found:#?}");
        assert_eq!(found[1], "config: layers[1]: missing field `match`");
        assert_eq!(found[2], "config: unknown field `layers[2].rang`: did you mean `range`?");
        assert!(of(r#"{"class_weights": "even"}"#)[0].starts_with("config: class_weights: \"balanced\""));
        assert!(of(r#"{"inputs": {"x": "int8"}}"#)[0].starts_with("config: inputs.x: `int8` is not a type of an input"));
        assert_eq!(of("[1]"), ["config: a JSON object is needed, {\"field\": value, …}"]);
        assert!(of("{\"epochs\": 1, \"epochs\": 2}")[0].contains("duplicate field `epochs`"));
        assert!(of("{\"epochs\": ")[0].contains("line 1"));
        let unlike = of(r#"{"xyzzy": 1}"#);
        assert_eq!(unlike, ["config: unknown field `xyzzy`: all fields are in docs/configuration.md"]);
    }
}
