//! `hls4ml_config.json`: the settings of hls4ml that belong to a proxy, in hls4ml's own words, for
//! whoever makes the call by program.

use crate::convert::config::JobConfig;
use crate::convert::error::Error;
use crate::data::sha256::sha256;
use crate::onnx::proto::ModelProto;
use crate::proxy::form::Proxy;
use crate::proxy::port;
use crate::proxy::target::latency_layers;
use serde_json::{Map, Value, json};

/// Version of the file's schema; raised when a field changes its meaning.
const SCHEMA: &str = "hgq-onnx/hls4ml/1";

/// The file's bytes. `hls_config` is laid over what `config_from_onnx_model` gives; everything else
/// are arguments of hls4ml's calls.
///
/// # Errors
/// [`Error::Internal`] if it cannot be written as JSON.
pub fn settings(config: &JobConfig, proxy: &Proxy) -> Result<Vec<u8>, Error> {
    let port = port::spelled(proxy.input_port);
    let precision = |name: &str| (name.to_string(), json!({ "Precision": { "result": port } }));
    let hls4ml = &config.hls4ml;
    let mut layers: Map<String, Value> = inputs(&proxy.model).map(precision).collect();
    let latency = latency_layers(&proxy.model, hls4ml.target());
    layers.extend(latency.into_iter().map(|name| (name, json!({ "Strategy": "Latency" }))));
    let settings = json!({
        "schema": SCHEMA,
        "proxy_sha256": sha256(&proxy.bytes),
        "backend": hls4ml.backend,
        "io_type": hls4ml.io_type,
        "default_precision": port::spelled(port::DEFAULT_PORT),
        "hls_config": {
            "Model": { "Strategy": hls4ml.strategy.name(), "ReuseFactor": hls4ml.reuse_factor },
            "LayerName": layers,
        },
    });
    serde_json::to_vec_pretty(&settings).map_err(|e| Error::Internal(e.to_string()))
}

fn inputs(model: &ModelProto) -> impl Iterator<Item = &str> {
    model.graph.iter().flat_map(|g| g.input.iter().map(|i| i.name()))
}
