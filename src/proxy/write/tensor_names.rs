//! Tensors are called like the layers that hls4ml 1.3.0 makes of their nodes: its pass for
//! distributed arithmetic (`bit_exact.get_input_layers`) looks layers up by the names of tensors.
//!
//! Its passes rename layers and leave the tensors: `matmul_const_to_dense`, `conv_to_conv_x_d`,
//! `conv_to_depthwise_conv_x_d`, `merge_to_apply_alpha` and `quant_to_activation`. A layer that is
//! merged into the one in front goes with its tensor. Ports keep their names.

use super::build::Builder;
use crate::onnx::Attributes;
use crate::onnx::proto::NodeProto;
use std::collections::{HashMap, HashSet};

/// Names the tensors; those of the model's `outputs` stay.
pub fn after_layers(b: &mut Builder, outputs: &[String]) {
    beside_outputs(b, outputs);
    let nodes = b.take_nodes();
    let constants = constants(b, &nodes);
    let mut names = HashMap::new();
    for node in &nodes {
        let written = &node.output[0];
        if !constants.contains(written) && !outputs.contains(written) {
            names.insert(written.clone(), layer(node, &constants));
        }
    }
    nodes.into_iter().for_each(|node| b.push(node));
    b.rename(&names);
}

/// The tensors that hls4ml knows as constants: those of the file, and what quantizes one of them.
fn constants(b: &Builder, nodes: &[NodeProto]) -> HashSet<String> {
    let mut constants: HashSet<String> = b.constants().map(str::to_string).collect();
    for node in nodes.iter().filter(|n| n.op_type() == "Quant") {
        if constants.contains(&node.input[0]) {
            constants.extend(node.output.iter().cloned());
        }
    }
    constants
}

/// The name of the layer that hls4ml makes of `node`.
fn layer(node: &NodeProto, constants: &HashSet<String>) -> String {
    let name = node.name();
    match node.op_type() {
        "MatMul" => format!("Dense_{name}"),
        "Conv" => {
            let attributes = Attributes::of(node);
            let axes = attributes.ints("kernel_shape").ok().flatten().map_or(2, <[i64]>::len);
            let kind = if attributes.int("group", 1).is_ok_and(|g| g > 1) { "DepthwiseConv" } else { "Conv" };
            format!("{kind}{axes}D_{name}")
        }
        "Add" | "Sub" | "Mul" if node.input.iter().any(|i| constants.contains(i)) => format!("bn_{name}"),
        // the plug-in makes those of the element-wise form layers of their own name
        "Quant" if !Attributes::of(node).has("overflow_mode") => format!("{name}_act"),
        _ => name.to_string(),
    }
}

/// An output that a `Quant` writes and another layer reads cannot have the name of its layer: the
/// readers get a tensor of the same values, and the output is a `Quant` of it that changes nothing
/// (hls4ml drops it).
fn beside_outputs(b: &mut Builder, outputs: &[String]) {
    let mut nodes = b.take_nodes();
    for at in 0..nodes.len() {
        let name = nodes[at].output[0].clone();
        let is_read = || nodes[at + 1..].iter().any(|n| matches!(n.op_type(), "MatMul" | "Conv") && n.input[0] == name);
        if nodes[at].op_type() != "Quant" || !outputs.contains(&name) || !is_read() {
            b.push(std::mem::take(&mut nodes[at]));
            continue;
        }
        let inner = b.name(&format!("{name}_read"));
        let again = b.quant_again(&nodes[at], &inner);
        for input in nodes[at + 1..].iter_mut().flat_map(|n| &mut n.input).filter(|i| **i == name) {
            input.clone_from(&inner);
        }
        let mut node = std::mem::take(&mut nodes[at]);
        node.name = Some(inner.clone());
        node.output = vec![inner];
        b.push(node);
        b.push(again);
    }
}

#[cfg(test)]
mod tests {
    use super::super::build::{QuantType, int, ints};
    use super::*;
    use crate::proxy::sanitize;

    const BITS: QuantType = QuantType { signed: true, narrow: false, bits: 4, frac: 1, round: false };

    fn constant(b: &mut Builder, stem: &str) -> String {
        let c = b.constant(stem, std::iter::once(1.0), &[1, 1]);
        let out = b.name(&format!("{stem}_q"));
        b.quant(c, out, &[1, 1], BITS)
    }

    fn node(b: &mut Builder, op: &str, inputs: &[&str], attributes: Vec<crate::onnx::proto::AttributeProto>) -> String {
        let out = b.name(&op.to_lowercase());
        b.node(op, inputs.iter().map(|i| i.to_string()).collect(), out, &[1, 1], attributes)
    }

    fn quant(b: &mut Builder, stem: &str, x: &str) -> String {
        let out = b.name(stem);
        b.quant(x.to_string(), out, &[1, 1], BITS)
    }

    /// What each node that is not of constants writes, in order.
    fn written(b: &mut Builder) -> Vec<String> {
        let nodes = b.take_nodes();
        let constants = constants(b, &nodes);
        nodes.iter().map(|n| n.output[0].clone()).filter(|o| !constants.contains(o)).collect()
    }

    #[test]
    fn tensors_have_the_names_of_hls4mls_layers() {
        let mut b = Builder::default();
        let (x, y) = (b.name("x"), b.name("y"));
        let w = constant(&mut b, "w");
        let first = quant(&mut b, "quant", &x);
        let dense = node(&mut b, "MatMul", &[&first, &w], Vec::new());
        let line = node(&mut b, "Conv", &[&dense, &w], vec![ints("kernel_shape", &[3]), int("group", 1)]);
        let image = node(&mut b, "Conv", &[&line, &w], vec![ints("kernel_shape", &[3, 3]), int("group", 1)]);
        let each = node(&mut b, "Conv", &[&image, &w], vec![ints("kernel_shape", &[3, 3]), int("group", 2)]);
        let each = node(&mut b, "Conv", &[&each, &w], vec![ints("kernel_shape", &[2]), int("group", 2)]);
        let shift = node(&mut b, "Add", &[&each, &w], Vec::new());
        let shift = node(&mut b, "Sub", &[&w, &shift], Vec::new());
        let scale = node(&mut b, "Mul", &[&shift, &w], Vec::new());
        let sum = node(&mut b, "Add", &[&scale, &dense], Vec::new());
        let relu = node(&mut b, "Relu", &[&sum], Vec::new());
        b.quant(relu, y.clone(), &[1, 1], BITS);
        after_layers(&mut b, std::slice::from_ref(&y));
        let file = b.finish("graph", &[(x, vec![1, 1])], &[(y, vec![1, 1])]).graph.unwrap();
        let all: Vec<&str> = file.node.iter().map(|n| n.output[0].as_str()).collect();
        let expected = [
            "quant_act",
            "Dense_matmul",
            "Conv1D_conv",
            "Conv2D_conv_2",
            "DepthwiseConv2D_conv_3",
            "DepthwiseConv1D_conv_4",
            "bn_add",
            "bn_sub",
            "bn_mul",
            "add_2",
            "relu",
            "y",
        ];
        assert_eq!(all[1..], expected, "the weights come first");
        assert_eq!(file.node[1].name(), "quant");
        assert_eq!((file.node[2].input[0].as_str(), file.node[10].input[1].as_str()), ("quant_act", "Dense_matmul"));
        for name in &all[1..] {
            assert_eq!(sanitize(name), **name);
            assert!(file.value_info.iter().any(|v| v.name() == *name) || *name == "y", "{name}");
        }
    }

    #[test]
    fn an_output_that_is_read_is_written_beside_what_is_read() {
        let mut b = Builder::default();
        let (x, y) = (b.name("x"), b.name("y"));
        let w = constant(&mut b, "w");
        b.quant(x, y.clone(), &[1, 1], BITS);
        let dense = node(&mut b, "MatMul", &[&y, &w], Vec::new());
        let last = quant(&mut b, "z", &dense);
        after_layers(&mut b, &[y.clone(), last]);
        assert_eq!(written(&mut b), ["y_read_act", "y", "Dense_matmul", "z"]);
    }

    #[test]
    fn quantizers_of_the_element_wise_form_keep_their_names() {
        let mut b = Builder::default();
        let x = b.name("x");
        let out = b.name("q");
        b.node("Quant", vec![x], out, &[1, 1], vec![super::super::build::text("overflow_mode", "SAT")]);
        after_layers(&mut b, &[]);
        assert_eq!(written(&mut b), ["q"]);
    }
}
