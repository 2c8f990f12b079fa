//! A block to copy that makes C++ of the proxy.

use super::text::clean_lines;
use crate::convert::config::proxy::StrategyName;
use crate::convert::documents::{Hls4mlCall, Report};
use crate::proxy::port;
use maud::{Markup, html};

/// The section.
pub fn section(report: &Report) -> Markup {
    let shares_adders = report.hls4ml.strategy == StrategyName::DistributedArithmetic.name();
    // hls4ml names da4ml among its extras only
    let da4ml = if shares_adders { " \"da4ml>=0.5.2,<0.6\"" } else { "" };
    html! {
        h2 id="hls4ml" { "In hls4ml" }
        p {
            "Needs " code { "pip install hls4ml==1.3.0 qonnx onnx" (da4ml) } ", and a C++ compiler for the simulation. No other setting is \
            needed."
        }
        pre tabindex="0" { code { (clean_lines(&script(&report.hls4ml, &report.config.hls4ml.backend))) } }
    }
}

/// The call as the report has it, with the backend and the way of input and output that were asked
/// for.
fn script(call: &Hls4mlCall, backend: &str) -> String {
    let mut lines = vec![
        "import hls4ml, qonnx.core.modelwrapper".to_string(),
        "model = qonnx.core.modelwrapper.ModelWrapper('proxy.onnx')".into(),
        format!("config = {}", call.config),
    ];
    if call.input_port != port::spelled(port::DEFAULT_PORT) {
        lines.push("for source in model.graph.input:".into());
        let needed = python(&call.input_port);
        lines.push(format!("    config['LayerName'][source.name].setdefault('Precision', {{}})['result'] = {needed}"));
    }
    lines.extend(strategy(call));
    lines.push("hls = hls4ml.converters.convert_from_onnx_model(".into());
    let (backend, io) = (python(backend), python(&call.io_type));
    lines.push(format!("    model, hls_config=config, backend={backend}, io_type={io}, output_dir='hls')"));
    lines.push("hls.compile()  # bit-exact simulation: hls.predict(x)".into());
    lines.push("hls.build()    # synthesis, with the vendor's tools".into());
    lines.join("\n")
}

/// What other than hls4ml's own strategy, `Latency`, asks for.
fn strategy(call: &Hls4mlCall) -> Vec<String> {
    if call.strategy == StrategyName::Latency.name() {
        return Vec::new();
    }
    let (strategy, reuse) = (python(&call.strategy), call.reuse_factor.max(1));
    let mut lines = vec![format!("config['Model'].update(Strategy={strategy}, ReuseFactor={reuse})")];
    for name in &call.latency_layers {
        lines.push(format!("config['LayerName'].setdefault({}, {{}})['Strategy'] = 'Latency'", python(name)));
    }
    lines
}

/// A Python string: quotes, backslashes and line ends of a configuration stay data.
fn python(text: &str) -> String {
    let mut out = String::from("'");
    for c in text.chars() {
        match c {
            '\\' | '\'' => out.extend(['\\', c]),
            c if c.is_control() => out += &format!("\\u{:04x}", c as u32),
            c => out.push(c),
        }
    }
    out + "'"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_beyond_the_default_is_set() {
        let call = |input_port: &str| Hls4mlCall {
            config: "f()".into(),
            io_type: "io_stream".into(),
            strategy: "Latency".into(),
            reuse_factor: 1,
            latency_layers: Vec::new(),
            input_port: input_port.into(),
        };
        let plain = call("fixed<32,16>");
        let text = script(&plain, "Vitis");
        assert!(text.contains("backend='Vitis', io_type='io_stream'") && !text.contains("Precision"), "{text}");
        let resource =
            Hls4mlCall { strategy: "Resource".into(), reuse_factor: 4, latency_layers: vec!["mean".into()], ..plain.clone() };
        let text = script(&resource, "Vitis");
        assert!(text.contains("config['Model'].update(Strategy='Resource', ReuseFactor=4)"), "{text}");
        assert!(text.contains("config['LayerName'].setdefault('mean', {})['Strategy'] = 'Latency'"), "{text}");
        let text = script(&call("fixed<40,20>"), "a'\n\\b");
        assert!(text.contains("['result'] = 'fixed<40,20>'") && text.contains("backend='a\\'\\u000a\\\\b'"), "{text}");
    }
}
