//! What to do instead of an operator that is not supported. Where a reason speaks of hls4ml, stock
//! hls4ml 1.3.0 was tried (docs/hls4ml-contract.md#more-operators).

/// Reason for a matrix product of two data tensors.
pub const TWO_TENSORS: &str = "a product of two tensors (attention) is not supported: stock hls4ml compiles it to other values; one operand must \
                               be a constant, or a row times a column";
/// Reason for a power that is no product.
pub const POWER: &str = "hls4ml has no powers of data; exponents 1, 2 and 3 become products";
/// Reason for statistics over features.
pub const NORMALISATION: &str =
    "normalisation over features needs data-dependent division; use BatchNormalization, which folds into weights";
/// Reason for a division by data.
pub const DIVISION: &str =
    "division by a tensor is not supported: hls4ml's C++ of it does not compile; normalise with BatchNormalization instead";

/// The reason and the way out.
pub fn reason(domain: &str, op: &str) -> String {
    let known = match op {
        "Trunc" => "truncation of accumulators is not supported; remove it or replace it by Quant",
        "FloatQuant" => "minifloat formats are not fixed-point; quantize with Quant (integer) instead",
        "DynamicQuantizeLinear" => "its scale is computed from the data of each call; quantize with fixed scales (QCDQ)",
        "MatMulInteger" | "ConvInteger" => {
            "products of integers without scales are not supported; export in QCDQ form (QuantizeLinear and DequantizeLinear around float \
             operators)"
        }
        "MultiThreshold" => "thresholds of FINN are not supported; convert the QONNX file from before FINN's streamlining",
        "GatherElements" | "GatherND" | "ScatterND" | "ScatterElements" | "NonZero" | "OneHot" | "TopK" => {
            "it places elements by the data; only constant places (Slice, Gather, Split) are supported"
        }
        "Einsum" | "MultiHeadAttention" | "Attention" => TWO_TENSORS,
        "NonMaxSuppression" => "it sorts data; end the model at the scores",
        "If" | "Loop" | "Scan" => "control flow is not supported; export a model with a static graph",
        "LayerNormalization" | "InstanceNormalization" | "GroupNormalization" | "RMSNormalization" | "SkipLayerNormalization" => {
            NORMALISATION
        }
        "Exp" | "Log" | "Reciprocal" | "Sqrt" | "Sin" | "Cos" | "ReduceLogSumExp" | "ReduceL2" => {
            "hls4ml reads no such function of data; use one of its tables (Sigmoid, Tanh, Softplus, Softsign, Elu, Selu)"
        }
        "TreeEnsembleClassifier" | "TreeEnsembleRegressor" | "TreeEnsemble" => {
            "trees are no network; conifer compiles them to hardware"
        }
        "SVMClassifier" | "SVMRegressor" => "kernels of a support vector machine are not supported; use a linear one",
        _ => "",
    };
    if !known.is_empty() {
        known.to_string()
    } else if matches!(domain, "" | "ai.onnx") || crate::onnx::info::QONNX.contains(&domain) {
        "the operator is not supported".to_string()
    } else if domain.starts_with("com.microsoft") || domain.starts_with("com.ms.") {
        format!(
            "the operator domain `{domain}` is what ONNX Runtime's optimiser writes; give the file from before the optimisation, or \
             optimise with ORT_ENABLE_BASIC"
        )
    } else if domain.starts_with("finn.custom_op.fpgadataflow") {
        "FINN's hardware layers are no network any more; convert the QONNX file that they were made from".to_string()
    } else {
        format!("the operator domain `{domain}` is not supported")
    }
}
