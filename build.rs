//! Compiles `proto/onnx.proto` without a protoc on the machine: protox parses, prost-build
//! generates.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed=proto/onnx.proto");
    let descriptors = protox::compile(["proto/onnx.proto"], ["proto"])?;
    prost_build::Config::new().bytes(["TensorProto.raw_data"]).compile_fds(descriptors)?;
    Ok(())
}
