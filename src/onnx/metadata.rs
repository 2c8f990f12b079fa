//! Statements of a file about itself: pairs of texts beside its graph.

use super::proto::{ModelProto, StringStringEntryProto};

/// States `value` under `key`.
pub fn state(model: &mut ModelProto, key: &str, value: String) {
    model.metadata_props.push(StringStringEntryProto { key: Some(key.into()), value: Some(value) });
}

/// What is stated first under `key`.
pub fn stated<'a>(model: &'a ModelProto, key: &str) -> Option<&'a str> {
    model.metadata_props.iter().find(|p| p.key() == key).map(|p| p.value())
}
