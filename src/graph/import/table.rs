//! Which handler translates which operator. A new operator is a file in `op/` and a line here.

use super::{
    context::{Context, Fault, NodeView},
    item::Item,
    op, unsupported,
};

/// Translates one node into what its first output is.
pub type Handler = for<'m> fn(&mut Context<'m>, &NodeView<'m>) -> Result<Item, Fault>;

/// Domains under which exporters have written the QONNX operators.
pub const QONNX: [&str; 3] = ["qonnx.custom_op.general", "onnx.brevitas", "finn.custom_op.general"];

/// The handler of a node.
///
/// # Errors
/// Why the operator is not supported.
pub fn handler(node: &NodeView<'_>) -> Result<Handler, Fault> {
    let (domain, op) = (node.proto.domain(), node.proto.op_type());
    let found: Option<Handler> = match domain {
        "" | "ai.onnx" => standard(op),
        _ if QONNX.contains(&domain) => qonnx(op),
        "ai.onnx.ml" if op == "ArrayFeatureExtractor" => Some(op::label::only_labels),
        _ => None,
    };
    found.ok_or_else(|| Fault::new(unsupported::reason(domain, op)))
}

fn standard(op: &str) -> Option<Handler> {
    Some(match op {
        "Gemm" => op::gemm::gemm,
        "MatMul" => op::matmul::matmul,
        "Add" => op::arithmetic::add,
        "Sub" => op::arithmetic::sub,
        "Mul" => op::arithmetic::mul,
        "Div" => op::arithmetic::div,
        "Pow" => op::fold::pow,
        "Sqrt" => op::fold::sqrt,
        "Neg" => op::fold::neg,
        "BatchNormalization" => op::batch_norm::batch_norm,
        "Relu" => op::activation::relu,
        "LeakyRelu" => op::activation::leaky_relu,
        "Sigmoid" => op::activation::sigmoid,
        "Tanh" => op::activation::tanh,
        "Softmax" => op::softmax::softmax,
        "Reshape" => op::reshape::reshape,
        "Flatten" => op::flatten::flatten,
        "Squeeze" => op::squeeze::squeeze,
        "Unsqueeze" => op::squeeze::unsqueeze,
        "Transpose" => op::transpose::transpose,
        "Identity" => op::identity::identity,
        "Dropout" => op::identity::dropout,
        "Cast" => op::cast::cast,
        "Constant" => op::constant::constant,
        "Shape" => op::shape::shape,
        "Gather" => op::shape::gather,
        "Concat" => op::shape::concat,
        "ArgMax" => op::label::argmax,
        "QuantizeLinear" => op::qdq::quantize,
        "DequantizeLinear" => op::qdq::dequantize,
        "Clip" => op::clip::clip,
        _ => return None,
    })
}

fn qonnx(op: &str) -> Option<Handler> {
    Some(match op {
        "Quant" | "IntQuant" => op::quant::quant,
        _ => return None,
    })
}

/// Operators of which one operand must be constant; with a second tensor they are refused even where an operand comes
/// from a node that is refused itself.
pub fn one_must_be_constant(node: &NodeView<'_>) -> bool {
    matches!(node.proto.op_type(), "Add" | "Sub" | "Mul" | "Div" | "MatMul" | "Gemm")
}
