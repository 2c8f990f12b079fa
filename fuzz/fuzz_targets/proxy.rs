//! A proxy: read and executed on a few samples.
#![no_main]

use hgq_onnx::verify::fixed::Program;
use hgq_onnx_fuzz as _;
use libfuzzer_sys::fuzz_target;

const SAMPLES: usize = 3;
/// Inputs of a sample up to which it is executed.
const EXECUTED: usize = 4096;

fuzz_target!(|bytes: &[u8]| {
    let Ok(program) = Program::from_bytes(bytes) else { return };
    let lengths: Vec<usize> = program.inputs().iter().map(|i| i.shape.iter().product()).collect();
    if lengths.iter().any(|&n| n > EXECUTED) {
        return;
    }
    // inside and far outside of every range
    let value = |n: usize| [0.0, 1.0, -0.75, 3.0e4, -3.0e4, 1.0e30, -1.0e-30][n % 7];
    let inputs: Vec<Vec<f32>> = lengths.iter().map(|&n| (0..n * SAMPLES).map(value).collect()).collect();
    let rows: Vec<&[f32]> = inputs.iter().map(Vec::as_slice).collect();
    let ran = program.run(&rows, SAMPLES).expect("inputs that fit");
    for (sink, output) in program.outputs().iter().zip(&ran.outputs) {
        assert_eq!(output.to_f64().len(), SAMPLES * sink.shape.iter().product::<usize>());
    }
});
