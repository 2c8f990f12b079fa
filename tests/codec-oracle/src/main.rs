//! Decodes an ONNX file with rust-protobuf and prints what it found, one line per thing, for
//! comparison with what was written. usage: codec-oracle FILE.onnx

use onnx_protobuf::{Message, ModelProto};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let file = std::env::args().nth(1).ok_or("usage: codec-oracle FILE.onnx")?;
    let bytes = std::fs::read(file)?;
    let model = ModelProto::parse_from_bytes(&bytes)?;
    let graph = model.graph.as_ref().ok_or("no graph")?;
    println!("ir {} producer {}", model.ir_version, model.producer_name);
    for opset in &model.opset_import {
        println!("opset {:?} {}", opset.domain, opset.version);
    }
    for value in graph.input.iter().chain(&graph.output).chain(&graph.value_info) {
        println!("value {}", value.name);
    }
    for tensor in &graph.initializer {
        println!("initializer {} {} {:?} {:?}", tensor.name, tensor.data_type, tensor.dims, tensor.raw_data);
    }
    for node in &graph.node {
        println!("node {} {} {:?} {:?} {:?}", node.name, node.op_type, node.domain, node.input, node.output);
        for attribute in &node.attribute {
            println!("attribute {} {} {} {:?}", attribute.name, attribute.i, attribute.f, attribute.s);
        }
    }
    Ok(())
}
