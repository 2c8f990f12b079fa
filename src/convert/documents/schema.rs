//! JSON Schemas (draft 2020-12) of the documents and of the configuration: published in
//! docs/schema.

use super::{Inspection, Plan, Report, Trace};
use crate::convert::config::JobConfig;
use serde_json::{Map, Value, json};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

/// Where utoipa's references lead, and where those of a schema by itself do.
const IN_OPENAPI: &str = "#/components/schemas/";
const BY_ITSELF: &str = "#/$defs/";

/// File names without an ending, and schemas.
pub fn schemas() -> Vec<(&'static str, Value)> {
    vec![
        ("config", schema::<JobConfig>("hgq-onnx: configuration of a job")),
        ("inspect", schema::<Inspection>("hgq-onnx inspect")),
        ("plan", schema::<Plan>("hgq-onnx convert --dry-run")),
        ("report", schema::<Report>("hgq-onnx: report.json")),
        ("trace", schema::<Trace>("hgq-onnx trace")),
    ]
}

fn schema<T: ToSchema + PartialSchema>(title: &str) -> Value {
    let mut parts: Vec<(String, RefOr<Schema>)> = Vec::new();
    T::schemas(&mut parts);
    let defs: Map<String, Value> = parts.into_iter().map(|(name, part)| (name, json!(part))).collect();
    let mut whole = json!(T::schema());
    whole["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    whole["title"] = json!(title);
    whole["$defs"] = Value::Object(defs);
    lead_inside(&mut whole);
    whole
}

/// Turns utoipa's references into those of a document by itself.
fn lead_inside(value: &mut Value) {
    match value {
        Value::Object(map) => {
            if let Some(Value::String(to)) = map.get_mut("$ref") {
                *to = to.replace(IN_OPENAPI, BY_ITSELF);
            }
            map.values_mut().for_each(lead_inside);
        }
        Value::Array(items) => items.iter_mut().for_each(lead_inside),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
