//! Lowering of the exact model to the proxy ONNX.
