//! What this project writes, another protobuf runtime reads and finds equal: `tests/codec-oracle`
//! with rust-protobuf.

use crate::support::nets::{Net, Rng};
use hgq_onnx::proxy::{self, Form};
use hgq_onnx::quant::Rounding;
use std::path::Path;
use std::process::Command;

#[test]
#[ignore = "builds a package of its own"]
fn another_runtime_reads_the_same() {
    let mut r = Rng::new(1);
    let net = Net::new(&[2, 3]).random_quantize(&mut r, true, Rounding::HalfUp).reshape(&[6]).dense(&mut r, 5).leaky(-2);
    let model = net.random_quantize(&mut r, true, Rounding::HalfEven).dense(&mut r, 2).done();
    let emitted = proxy::emit(&model, Form::Concat).expect("a proxy");
    let dir = tempfile::tempdir().expect("a temporary directory");
    let file = dir.path().join("proxy.onnx");
    std::fs::write(&file, &emitted.bytes).expect("write");
    let target = std::env::current_exe().expect("path").ancestors().nth(3).expect("target").join("codec-oracle");
    let output = Command::new(env!("CARGO"))
        .args(["run", "--quiet", "--locked", "--manifest-path"])
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/codec-oracle/Cargo.toml"))
        .arg("--target-dir")
        .arg(target)
        .arg("--")
        .arg(&file)
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let read = String::from_utf8(output.stdout).expect("UTF-8");
    for (at, (read, written)) in read.lines().zip(&lines(&emitted.model)).enumerate() {
        assert_eq!(read, written, "line {at}");
    }
    assert_eq!(read.lines().count(), lines(&emitted.model).len());
}

/// The lines that the oracle prints, from the model as it was built.
fn lines(model: &hgq_onnx::onnx::proto::ModelProto) -> Vec<String> {
    let graph = model.graph.as_ref().expect("a graph");
    let mut lines = vec![format!("ir {} producer {}", model.ir_version(), model.producer_name())];
    lines.extend(model.opset_import.iter().map(|o| format!("opset {:?} {}", o.domain(), o.version())));
    lines.extend(graph.input.iter().chain(&graph.output).chain(&graph.value_info).map(|v| format!("value {}", v.name())));
    for t in &graph.initializer {
        let raw = t.raw_data.as_ref().map(|b| b.to_vec()).unwrap_or_default();
        lines.push(format!("initializer {} {} {:?} {raw:?}", t.name(), t.data_type.unwrap_or(0), t.dims));
    }
    for n in &graph.node {
        lines.push(format!("node {} {} {:?} {:?} {:?}", n.name(), n.op_type(), n.domain(), n.input, n.output));
        lines.extend(n.attribute.iter().map(|a| format!("attribute {} {} {} {:?}", a.name(), a.i(), a.f(), a.s())));
    }
    lines
}
