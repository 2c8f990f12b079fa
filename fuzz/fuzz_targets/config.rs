//! A configuration: what is accepted is the same again when it is written and read.
#![no_main]

use hgq_onnx::convert::JobConfig;
use hgq_onnx_fuzz as _;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &[u8]| {
    match JobConfig::from_json(text) {
        Ok(config) => {
            let written = serde_json::to_vec(&config).expect("a configuration is JSON");
            assert_eq!(JobConfig::from_json(&written), Ok(config));
        }
        Err(faults) => assert!(!faults.is_empty()),
    }
});
