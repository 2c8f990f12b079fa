//! The `hgq-onnx` program; everything is in [`hgq_onnx::cli`].

fn main() -> std::process::ExitCode {
    hgq_onnx::cli::main()
}
