//! What to do instead of an operator that is not supported.

/// Reason for a matrix product of two data tensors.
pub const TWO_TENSORS: &str = "a product of two tensors (attention) is not supported; one operand must be a constant";
/// Reason for a function of data that only constants are folded with.
pub const ON_CONSTANTS: &str = "it is supported on constants only";
/// Reason for statistics over features.
pub const NORMALISATION: &str =
    "normalisation over features needs data-dependent division; use BatchNormalization, which folds into weights";
/// Reason for a division by data.
pub const DIVISION: &str =
    "division by a tensor is not supported (hls4ml has none that is exact); normalise with BatchNormalization instead";

/// The reason and the way out.
pub fn reason(domain: &str, op: &str) -> String {
    let known = match op {
        "Trunc" => "truncation of accumulators is not supported; remove it or replace it by Quant",
        "FloatQuant" => "minifloat formats are not fixed-point; quantize with Quant (integer) instead",
        "QLinearMatMul" | "QLinearConv" | "MatMulInteger" | "ConvInteger" | "DynamicQuantizeLinear" => {
            "operators on integers are not supported; export in QCDQ form (QuantizeLinear and DequantizeLinear around float operators)"
        }
        "ConvTranspose" => "transposed convolutions are not supported by hls4ml; train with a Conv of the wanted size",
        "Resize" | "Upsample" => "hls4ml takes no Resize from ONNX; train at the size of the output",
        "DepthToSpace" | "SpaceToDepth" => {
            "moving channels to positions is not supported; leave it to what reads the proxy's output"
        }
        "MultiThreshold" => "thresholds of FINN are not supported; convert the QONNX file from before FINN's streamlining",
        "Slice" | "Split" | "GatherElements" | "GatherND" => "hls4ml takes no part of a tensor; use separate inputs or layers",
        "Einsum" | "MultiHeadAttention" | "Attention" => "attention multiplies two tensors, which is not supported",
        "NonMaxSuppression" => "it sorts data; end the model at the scores",
        "If" | "Loop" | "Scan" => "control flow is not supported; export a model with a static graph",
        "LSTM" | "GRU" | "RNN" => "recurrent layers are not supported; use one-dimensional convolutions over time",
        "LogSoftmax" => "not supported; end the model at the logits",
        "Erf" | "Gelu" => "GELU has no exact form in hls4ml; train with Relu, LeakyRelu, Sigmoid or Tanh",
        "LayerNormalization" | "ReduceMean" | "InstanceNormalization" | "GroupNormalization" | "RMSNormalization" => {
            NORMALISATION
        }
        "Celu" | "HardSwish" | "Mish" | "Swish" => {
            "this activation has no exact form in hls4ml; use Relu, LeakyRelu, Elu, Clip, Softplus, Sigmoid or Tanh"
        }
        "Exp" | "Log" | "Reciprocal" | "Abs" => "it is not supported on tensors; fold constants before export (onnxsim)",
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
