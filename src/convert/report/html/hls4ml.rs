//! A block to copy that makes C++ of the proxy.

use super::doc::Doc;
use super::text::escape_lines;
use crate::proxy::port;

/// The section.
pub fn section(report: Doc) -> String {
    let script = escape_lines(&script(report));
    format!(
        "<h2 id=\"hls4ml\">In hls4ml</h2><p>Needs <code>pip install hls4ml==1.3.0 qonnx onnx</code>, and a C++ compiler for the \
         simulation. \
         No other setting is needed.</p><pre tabindex=\"0\"><code>{script}</code></pre>"
    )
}

/// The call as the report has it, with the backend and the way of input and output that were asked for.
fn script(report: Doc) -> String {
    let config = report.text("/hls4ml/config");
    let backend = python(report.text("/config/hls4ml/backend"));
    let io = python(report.text("/hls4ml/io_type"));
    let mut lines = vec![
        "import hls4ml, qonnx.core.modelwrapper".to_string(),
        "model = qonnx.core.modelwrapper.ModelWrapper('proxy.onnx')".into(),
        format!("config = {config}"),
    ];
    let needed = report.text("/hls4ml/input_port");
    if !needed.is_empty() && needed != port::spelled(port::DEFAULT_PORT) {
        lines.push("for source in model.graph.input:".into());
        lines.push(format!("    config['LayerName'][source.name].setdefault('Precision', {{}})['result'] = {}", python(needed)));
    }
    lines.extend(strategy(report));
    lines.push("hls = hls4ml.converters.convert_from_onnx_model(".into());
    lines.push(format!("    model, hls_config=config, backend={backend}, io_type={io}, output_dir='hls')"));
    lines.push("hls.compile()  # bit-exact simulation: hls.predict(x)".into());
    lines.push("hls.build()    # synthesis, with the vendor's tools".into());
    lines.join("\n")
}

/// What other than hls4ml's own strategy, `Latency`, asks for.
fn strategy(report: Doc) -> Vec<String> {
    let strategy = report.text("/hls4ml/strategy");
    if strategy.is_empty() || strategy == "Latency" {
        return Vec::new();
    }
    let reuse = report.count("/hls4ml/reuse_factor").max(1);
    let mut lines = vec![format!("config['Model'].update(Strategy={}, ReuseFactor={reuse})", python(strategy))];
    for name in report.list("/hls4ml/latency_layers") {
        lines.push(format!("config['LayerName'].setdefault({}, {{}})['Strategy'] = 'Latency'", python(name.text(""))));
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
    use serde_json::json;

    #[test]
    fn a_port_beyond_the_default_is_set() {
        let report = |port: &str, backend: &str| {
            let hls4ml = json!({"config": "f()", "io_type": "io_stream", "input_port": port});
            json!({"hls4ml": hls4ml, "config": {"hls4ml": {"backend": backend}}})
        };
        let plain = report("fixed<32,16>", "Vitis");
        let text = script(Doc(&plain));
        assert!(text.contains("backend='Vitis', io_type='io_stream'") && !text.contains("Precision"), "{text}");
        let mut resource = plain.clone();
        resource["hls4ml"]["strategy"] = json!("Resource");
        resource["hls4ml"]["reuse_factor"] = json!(4);
        resource["hls4ml"]["latency_layers"] = json!(["mean"]);
        let text = script(Doc(&resource));
        assert!(text.contains("config['Model'].update(Strategy='Resource', ReuseFactor=4)"), "{text}");
        assert!(text.contains("config['LayerName'].setdefault('mean', {})['Strategy'] = 'Latency'"), "{text}");
        let wide = report("fixed<40,20>", "a'\n\\b");
        let text = script(Doc(&wide));
        assert!(text.contains("['result'] = 'fixed<40,20>'") && text.contains("backend='a\\'\\u000a\\\\b'"), "{text}");
    }
}
