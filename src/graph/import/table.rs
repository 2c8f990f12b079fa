//! Which handler translates which operator. A new operator is a file in `op/` and a line here.

use super::context::{Context, NodeView};
use super::fault::Fault;
use super::item::Item;
use super::{op, unsupported};
use crate::onnx::CHANNELS_LAST;
use crate::onnx::info::QONNX;
use crate::onnx::proto::NodeProto;
use crate::ops::Table;

/// Translates one node into what its first output is.
pub type Handler = for<'m> fn(&mut Context<'m>, &NodeView<'m>) -> Result<Item, Fault>;

/// The handler of a node.
///
/// # Errors
/// Why the operator is not supported.
pub fn handler(node: &NodeView<'_>) -> Result<Handler, Fault> {
    let (domain, op) = (node.proto.domain(), node.proto.op_type());
    let found: Option<Handler> = match domain {
        "" | "ai.onnx" => standard(op).or_else(|| qonnx(op)),
        "PACTOps" if op == "RequantShift" => standard(op),
        _ if QONNX.contains(&domain) => qonnx(op),
        CHANNELS_LAST => channels_last(op),
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
        "Neg" => op::arithmetic::neg,
        "Abs" => op::arithmetic::abs,
        "Erf" => op::activation::erf,
        "Where" => op::choice::choice,
        "Greater" | "GreaterOrEqual" | "Less" | "LessOrEqual" => op::choice::test,
        "ConvTranspose" => op::conv_transpose::conv_transpose,
        "LSTM" | "GRU" | "RNN" => op::recurrent::recurrent,
        "RequantShift" => op::requant::requant_shift,
        "BatchNormalization" => op::batch_norm::batch_norm,
        "Relu" => op::activation::relu,
        "LeakyRelu" => op::activation::leaky_relu,
        "ThresholdedRelu" => op::activation::thresholded_relu,
        "Elu" => op::activation::elu,
        "Selu" => op::activation::selu,
        table if Table::named(table).is_some() => op::activation::table,
        "Softmax" | "LogSoftmax" => op::softmax::softmax,
        _ => return moves(op),
    })
}

/// Operators that change places, shapes and constants, and those of quantized files.
fn moves(op: &str) -> Option<Handler> {
    Some(match op {
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
        "Gather" => op::gather::gather,
        "Slice" => op::slice::slice,
        "Split" => op::slice::split,
        "Expand" => op::expand::expand,
        "Tile" => op::expand::tile,
        "DepthToSpace" => op::depth::depth_to_space,
        "SpaceToDepth" => op::depth::space_to_depth,
        "Resize" => op::resize::resize,
        "Upsample" => op::resize::upsample,
        "Concat" => op::concat::concat,
        "Sum" => op::arithmetic::sum,
        "Max" => op::merge::max,
        "Min" => op::merge::min,
        "Conv" => op::conv::conv,
        "MaxPool" => op::pool::max_pool,
        "AveragePool" => op::pool::average_pool,
        "GlobalAveragePool" => op::pool::global_average,
        "GlobalMaxPool" => op::pool::global_max,
        "ReduceMean" => op::reduce::mean,
        "ReduceSum" => op::reduce::sum,
        "ReduceMax" => op::reduce::max,
        "ReduceMin" => op::reduce::min,
        "Pad" => op::pad::pad,
        "PRelu" => op::activation::prelu,
        "HardSigmoid" => op::clip::hard_sigmoid,
        "ArgMax" => op::label::argmax,
        "TopK" => op::label::top_k,
        "QuantizeLinear" => op::qdq::quantize,
        "DequantizeLinear" => op::qdq::dequantize,
        "Clip" => op::clip::clip,
        _ => return None,
    })
}

fn qonnx(op: &str) -> Option<Handler> {
    Some(match op {
        "Quant" | "IntQuant" => op::quant::quant,
        "BipolarQuant" => op::bipolar::bipolar,
        _ => return None,
    })
}

fn channels_last(op: &str) -> Option<Handler> {
    Some(match op {
        "Conv" => op::conv::conv,
        "MaxPool" => op::pool::max_pool,
        "AveragePool" => op::pool::average_pool,
        "GlobalAveragePool" => op::pool::global_average,
        "BatchNormalization" => op::batch_norm::batch_norm,
        _ => return None,
    })
}

/// Operators all of whose outputs are told what they are.
pub fn has_outputs(op: &str) -> bool {
    matches!(op, "TopK" | "Split" | "LSTM" | "GRU" | "RNN")
}

/// Operators that take the channels as first axis of a sample: a file with one of them holds images
/// or sequences in that layout.
pub fn channels_first(node: &NodeProto) -> bool {
    let operators = ["Conv", "MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool", "ConvTranspose"];
    matches!(node.domain(), "" | "ai.onnx") && operators.contains(&node.op_type())
}

/// Why a node is refused whose operands are tensors, `constants` of them constant, whatever they
/// are: said even where an operand comes from a node that is refused itself.
pub fn never_on_tensors(node: &NodeView<'_>, constants: &[bool]) -> Option<&'static str> {
    let constant = |index: usize| constants.get(index).copied().unwrap_or(true);
    match node.proto.op_type() {
        "MatMul" | "Gemm" if !constant(0) && !constant(1) => Some(unsupported::TWO_TENSORS),
        "Div" if !constant(1) => Some(unsupported::DIVISION),
        _ => None,
    }
}
