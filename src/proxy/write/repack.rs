//! Whole vectors for layers that read one: in io_stream hls4ml 1.3.0 hands a flattened tensor on
//! position by position.
//!
//! Only its dense layers collect the positions; everything else takes the first of them for the
//! whole vector. A `Reshape` to one position of all elements in between is a layer of hls4ml's,
//! `repack_stream`, which puts the vector together.

use super::build::Builder;
use crate::onnx::proto::NodeProto;

/// Puts the vector together wherever a flattened grid is read by anything but a dense layer.
pub fn flattened(b: &mut Builder) {
    let nodes = b.take_nodes();
    let collects: Vec<bool> = nodes.iter().map(|n| is_collected(n, &nodes)).collect();
    for (mut node, collected) in nodes.into_iter().zip(collects) {
        let shape = if collected { Vec::new() } else { b.shape_of(&node.output[0]) };
        if let [_, len] = shape[..] {
            let name = b.name(&format!("{}_whole", node.output[0]));
            let source = std::mem::take(&mut node.input[0]);
            node.input[0] = b.reshape(source, name, &[1, 1, len]);
        }
        b.push(node);
    }
}

/// Whether a node needs no help: it flattens nothing, or dense layers alone read what it writes.
fn is_collected(node: &NodeProto, nodes: &[NodeProto]) -> bool {
    let reads = |n: &&NodeProto| n.input.iter().any(|i| node.output.contains(i));
    node.op_type() != "Reshape" || nodes.iter().filter(reads).all(|n| n.op_type() == "MatMul")
}
