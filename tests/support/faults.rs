//! Files that must be refused, by the command line as by the service.

use super::files::{images, npz, read};

/// One way to give wrong files, and what the message must say.
pub struct Fault {
    pub what: &'static str,
    pub model: Vec<u8>,
    pub calibration: Vec<u8>,
    pub train: Option<Vec<u8>>,
    /// Exit status of the command line.
    pub exit: i32,
    /// Status and code of the service.
    pub http: (u16, &'static str),
    /// All of these are in the message.
    pub says: &'static [&'static str],
}

/// Files that must be refused.
pub fn faults() -> Vec<Fault> {
    let model = read("digits/digits_mlp.onnx");
    let good = || npz(64, &images(20), None);
    let fault = |what, model, calibration, train, exit, http, says| Fault { what, model, calibration, train, exit, http, says };
    let mut nan = images(20);
    nan[64 * 3 + 5] = f32::NAN;
    let labels: Vec<i64> = (0..20).map(|i| if i == 7 { 10 } else { i % 10 }).collect();
    let text = b"# This is not a model\n".to_vec();
    let data = (400, "bad_data");
    vec![
        fault("text as model", text.clone(), good(), None, 2, (400, "not_onnx"), &["model"]),
        fault("truncated model", model[..model.len() / 2].to_vec(), good(), None, 2, (400, "not_onnx"), &["model"]),
        fault("empty model", Vec::new(), good(), None, 2, (400, "not_onnx"), &["model"]),
        fault(
            "two unsupported nodes",
            read("faults/two_unsupported.onnx"),
            npz(4, &[0.5; 40], None),
            None,
            2,
            (422, "unsupported_model"),
            &["/norm/LpNormalization", "/head/Hardmax"],
        ),
        fault("wrong width", model.clone(), npz(63, &images(63), None), None, 3, data, &["calibration", "63", "64"]),
        fault("NaN", model.clone(), npz(64, &nan, None), None, 3, data, &["calibration", "NaN"]),
        fault("no samples", model.clone(), npz(64, &[], None), None, 3, data, &["calibration"]),
        fault("text as calibration", model.clone(), text, None, 3, data, &["calibration"]),
        fault("label out of range", model, good(), Some(npz(64, &images(20), Some(&labels))), 3, data, &["train", "10"]),
    ]
}
