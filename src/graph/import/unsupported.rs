//! What to do instead of an operator that is not supported.

/// Reason for an operation on two data tensors.
pub const TWO_TENSORS: &str = "an operation on two tensors is not supported yet; one operand must be a constant";

/// The reason and the way out.
pub fn reason(domain: &str, op: &str) -> String {
    let known = match op {
        "BipolarQuant" => "bipolar (−1, +1) values have no fixed-point format; quantize with Quant to 2 bits or more",
        "Trunc" => "truncation of accumulators is not supported; remove it or replace it by Quant",
        "FloatQuant" => "minifloat formats are not fixed-point; quantize with Quant (integer) instead",
        "QLinearMatMul" | "QLinearConv" | "MatMulInteger" | "ConvInteger" | "DynamicQuantizeLinear" => {
            "operators on integers are not supported; export in QCDQ form (QuantizeLinear and DequantizeLinear around float operators)"
        }
        "Conv" | "ConvTranspose" | "MaxPool" | "AveragePool" | "GlobalAveragePool" | "GlobalMaxPool" => {
            "convolutions and pooling are not supported yet"
        }
        "If" | "Loop" | "Scan" => "control flow is not supported; export a model with a static graph",
        "LSTM" | "GRU" | "RNN" => "recurrent layers are not supported",
        "LogSoftmax" => "not supported; end the model at the logits",
        "Erf" | "Gelu" => "GELU is not supported; train with Relu, LeakyRelu, Sigmoid or Tanh",
        "LayerNormalization" | "ReduceMean" | "InstanceNormalization" => {
            "normalisation over features needs data-dependent division; use BatchNormalization, which folds into weights"
        }
        "Elu" | "Selu" | "Softplus" | "HardSigmoid" | "HardSwish" | "PRelu" | "Mish" => {
            "this activation is not supported; use Relu, LeakyRelu, Sigmoid or Tanh"
        }
        "Clip" => "not supported yet; for bounded activations use Relu and QONNX Quant, whose range clips",
        "Sum" => TWO_TENSORS,
        _ => "",
    };
    if !known.is_empty() {
        known.to_string()
    } else if matches!(domain, "" | "ai.onnx") || super::table::QONNX.contains(&domain) {
        "the operator is not supported".to_string()
    } else {
        format!("the operator domain `{domain}` is not supported")
    }
}
