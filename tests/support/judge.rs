//! Exact models whose proxies stock hls4ml runs: it must give what the models give.

use super::hls4ml::{self, Job};
use super::nets::reference_of;
use hgq_onnx::proxy::target::{Strategy, Target, latency_layers};
use hgq_onnx::proxy::{self, Form, Proxy};
use hgq_onnx::quant::FixedModel;

/// A model, the form of its proxy, and the settings that it is written and compiled for.
pub struct Case<'a> {
    pub label: &'a str,
    pub model: &'a FixedModel,
    pub form: Form,
    pub target: Target,
}

/// The settings of a proxy, as `hls4ml_config.json` has them.
pub fn settings(emitted: &Proxy, target: Target) -> serde_json::Value {
    let latency = serde_json::json!({ "Strategy": "Latency" });
    let layers = latency_layers(&emitted.model, target).into_iter().map(|name| (name, latency.clone()));
    serde_json::json!({
        "backend": target.backend.name(),
        "io_type": target.io.name(),
        "hls_config": {
            "Model": { "Strategy": target.strategy.name() },
            "LayerName": layers.collect::<serde_json::Map<_, _>>(),
        },
    })
}

/// Judges every case in one Python process on `samples` rows of `inputs`; panics on any mismatch, and
/// where distributed arithmetic was asked for and a layer does not hold its code.
pub fn judge(cases: &[Case], samples: usize, inputs: impl Fn(&FixedModel) -> Vec<Vec<f32>>) {
    let mut prepared = Vec::new();
    for Case { label, model, form, target: settings } in cases {
        let target = if *form == Form::Uniform { proxy::uniform::envelope(model) } else { (*model).clone() };
        let emitted = proxy::emit_for(model, *form, *settings, 0.0).unwrap_or_else(|e| panic!("{label}: {e}"));
        let x = inputs(model);
        let rows: Vec<&[f32]> = x.iter().map(|x| &x[..]).collect();
        let want = reference_of(&target, &rows, samples, emitted.input_port.fractional);
        let names: Vec<String> = model.outputs.iter().map(|&o| proxy::sanitize(&model.values[o].name)).collect();
        prepared.push((emitted, x, names.into_iter().zip(want).collect::<Vec<_>>()));
    }
    let jobs: Vec<Job> = prepared
        .iter()
        .zip(cases)
        .map(|((emitted, x, want), case)| {
            let port = emitted.input_port;
            Job {
                proxy: &emitted.bytes,
                inputs: x.iter().map(|x| &x[..]).collect(),
                samples,
                expected: want.iter().map(|(name, values)| (name.as_str(), values.clone())).collect(),
                port: (port != proxy::DEFAULT_PORT).then(|| format!("fixed<{},{}>", port.bits(), port.integer + 1)),
                settings: settings(emitted, case.target),
            }
        })
        .collect();
    let Some(verdicts) = hls4ml::check(&jobs) else { return };
    let mut bad = String::new();
    for (Case { label, form, target, .. }, v) in cases.iter().zip(&verdicts) {
        eprintln!("{label} {form:?} ({target}): {} of {} elements differ", v.mismatches, v.elements);
        if v.mismatches != 0 {
            bad += &format!("\n{label} {form:?} ({target}): {} mismatches: {}", v.mismatches, v.note);
        }
        if target.strategy == Strategy::DistributedArithmetic && (v.layers == 0 || v.distributed != v.layers) {
            bad += &format!("\n{label} {form:?} ({target}): {} of {} layers hold its code", v.distributed, v.layers);
        }
    }
    assert!(bad.is_empty(), "{bad}");
}
