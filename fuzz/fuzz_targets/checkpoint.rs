//! A checkpoint of a training: taken up or ignored, and the run ends.
#![no_main]

use hgq_onnx_fuzz::training::train;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    // numbers that no training would have reached may make it diverge, which is an error
    let _ = train(Some(bytes));
});
