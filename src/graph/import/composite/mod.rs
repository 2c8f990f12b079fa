//! Operators that are short for others: each is replaced by the nodes that it stands for, before
//! anything is translated. A new one is a function in a file here and a line in [`expansion`].

mod activation;
mod fused;
mod learned;
mod nodes;
mod qlinear;

use super::context::NodeView;
use super::error::Refusal;
use super::fault::Fault;
use super::{liveness, operator};
use crate::diagnostic::Diagnostic;
use crate::onnx::info;
use crate::onnx::proto::GraphProto;
use nodes::Nodes;

/// Writes what a node stands for.
type Expansion = fn(&NodeView<'_>, &mut Nodes) -> Result<(), Fault>;

/// A graph without composite operators, and what to tell about them.
pub struct Expanded {
    pub graph: GraphProto,
    pub notes: Vec<Diagnostic>,
    /// Nodes that cannot be expanded; they are left out.
    pub refusals: Vec<Refusal>,
    /// The tensors that those would compute.
    pub missing: Vec<String>,
}

/// Replaces the composite operators among the nodes that contribute to an output; `None` where
/// there are none.
pub fn expand(file: &GraphProto) -> Option<Expanded> {
    if !file.node.iter().any(|node| expansion(node.domain(), node.op_type()).is_some()) {
        return None;
    }
    let graph = info::without_nodes(file);
    let mut all = Expanded { graph, notes: vec![], refusals: vec![], missing: vec![] };
    for (proto, _) in file.node.iter().zip(liveness::analyse(file).nodes).filter(|(_, live)| *live) {
        let Some(expansion) = expansion(proto.domain(), proto.op_type()) else {
            all.graph.node.push(proto.clone());
            continue;
        };
        let view = NodeView::of(proto);
        let mut nodes = Nodes::new(&view.name);
        match expansion(&view, &mut nodes) {
            Ok(()) => {
                all.graph.node.extend(nodes.written);
                all.notes.extend(nodes.notes);
            }
            Err(fault) => {
                all.refusals.push(Refusal { name: view.name, op: operator(proto), reason: fault.reason });
                all.missing.extend(proto.output.iter().filter(|o| !o.is_empty()).cloned());
            }
        }
    }
    Some(all)
}

fn expansion(domain: &str, op: &str) -> Option<Expansion> {
    Some(match (domain, op) {
        ("" | "ai.onnx", "HardSwish") => activation::hard_swish,
        ("" | "ai.onnx", "Swish") | ("com.microsoft", "QuickGelu") => activation::swish,
        ("" | "ai.onnx", "Celu") => activation::celu,
        ("" | "ai.onnx", "Mish") => activation::mish,
        ("" | "ai.onnx" | "com.microsoft", "Gelu") | ("com.microsoft", "FastGelu" | "BiasGelu") => activation::gelu,
        ("" | "ai.onnx", "CastLike") => activation::alias,
        ("" | "ai.onnx", "ReduceSumSquare") => activation::sum_of_squares,
        ("" | "ai.onnx", "ReduceL1") => activation::sum_of_magnitudes,
        ("com.microsoft", "FusedConv") => fused::conv,
        ("com.microsoft", "FusedGemm") => fused::gemm,
        ("com.microsoft", "FusedMatMul") => fused::matmul,
        ("" | "ai.onnx", "QLinearConv") => qlinear::conv,
        ("" | "ai.onnx", "QLinearMatMul") => qlinear::matmul,
        ("com.microsoft", "QGemm") => qlinear::gemm,
        ("com.microsoft", "QLinearAdd" | "QLinearMul") => qlinear::binary,
        ("com.microsoft", "QLinearConcat") => qlinear::concat,
        (
            "com.microsoft",
            "QLinearAveragePool"
            | "QLinearGlobalAveragePool"
            | "QLinearSigmoid"
            | "QLinearLeakyRelu"
            | "QLinearSoftmax"
            | "QLinearReduceMean",
        ) => qlinear::unary,
        ("ai.onnx.ml", "Scaler") => learned::scaler,
        ("ai.onnx.ml", "LinearRegressor") => learned::regressor,
        ("ai.onnx.ml", "LinearClassifier") => learned::classifier,
        ("ai.onnx.ml", "FeatureVectorizer") => learned::vectorizer,
        ("ai.onnx.ml", "Normalizer" | "ZipMap") => learned::left_off,
        _ => return None,
    })
}
