//! Writes what the fuzzers start from, a folder for each target, from the fixtures and the generators of the tests: `SEEDS=DIR seeds -runs=0`.
//! A target itself, as nothing else can be linked with instrumented libraries.
#![no_main]

#[path = "../../tests/support"]
mod support {
    #[allow(dead_code)]
    pub mod nets;
    #[allow(dead_code)]
    pub mod onnx;
    #[allow(dead_code)]
    pub mod random_net;
}

use hgq_onnx::convert::JobConfig;
use hgq_onnx::convert::emit::interface::Interface;
use hgq_onnx::convert::emit::verified::emit_verified;
use hgq_onnx::ops::Merge;
use hgq_onnx::proxy::{Form, prune};
use hgq_onnx::quant::{FixedModel, Rounding};
use hgq_onnx_fuzz::training::train;
use libfuzzer_sys::fuzz_target;
use npyz::WriterBuilder;
use std::fs;
use std::io::Cursor;
use std::path::Path;
use support::nets::{Net, Rng, all_samples};
use support::random_net::random_net;

/// Random nets, of models and of proxies.
const NETS: u64 = 60;
/// Larger files make a fuzzer slow.
const MOST: u64 = 30_000;

struct Folder<'a>(&'a Path);

impl Folder<'_> {
    fn put(&self, target: &str, name: &str, bytes: &[u8]) {
        let folder = self.0.join(target);
        fs::create_dir_all(&folder).expect("a folder");
        fs::write(folder.join(name), bytes).expect("a seed");
    }
}

fuzz_target!(init: write(), |bytes: &[u8]| {
    let _ = bytes;
});

fn write() {
    let to = std::env::var("SEEDS").expect("SEEDS=DIR");
    let to = Folder(Path::new(&to));
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures");
    for folder in ["digits", "faults", "import", "polish_endless", "ports"] {
        fixture(&fixtures.join(folder), &to);
    }
    for seed in 0..NETS {
        to.put("onnx", &format!("net{seed}"), &random_net(seed).bytes);
        to.put("proxy", &format!("net{seed}"), &proxy(&chain(seed)));
        to.put("proxy", &format!("image{seed}"), &proxy(&image(seed)));
    }
    arrays(&to);
    configurations(&to);
    requests(&to);
    let (_, checkpoints) = train(None).expect("a training");
    for (n, checkpoint) in checkpoints.iter().enumerate() {
        to.put("checkpoint", &format!("epoch{n}"), checkpoint);
    }
}

/// The small models and data files of a folder.
fn fixture(folder: &Path, to: &Folder) {
    for entry in fs::read_dir(folder).expect("the fixtures") {
        let path = entry.expect("a fixture").path();
        let ending = path.extension().and_then(|e| e.to_str()).unwrap_or_default();
        let target = match ending {
            "onnx" => "onnx",
            "npz" => "npy_npz",
            _ => continue,
        };
        if path.metadata().is_ok_and(|m| m.len() <= MOST) {
            let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
            to.put(target, name, &fs::read(&path).expect("a fixture"));
        }
    }
}

fn chain(seed: u64) -> FixedModel {
    let mut r = Rng::new(seed);
    let net = Net::new(&[5]).random_quantize(&mut r, true, Rounding::HalfUp).dense(&mut r, 6).relu();
    let net = net.random_quantize(&mut r, false, Rounding::Floor);
    let early = net.last;
    let net = net.dense(&mut r, 6).affine(&mut r, 4, 2).random_quantize(&mut r, true, Rounding::HalfEven);
    net.merge(if seed.is_multiple_of(2) { Merge::Add } else { Merge::Max }, early).dense(&mut r, 3).done()
}

fn image(seed: u64) -> FixedModel {
    let mut r = Rng::new(seed);
    let net = Net::new(&[4, 4, 2]).one_format(true, 2, 3, Rounding::HalfUp);
    let window = net.window([2, 2], [1, 1], [1, 0, 0, 1], 1);
    let net = net.conv(&mut r, 3, window).relu().channel_quantize(&mut r, false, Rounding::HalfUp);
    let net = net.max_pool([2, 2], [2, 2], [0; 4]).one_format(false, 3, 2, Rounding::HalfUp);
    let n = net.len();
    net.reshape(&[n]).dense(&mut r, 2).done()
}

fn proxy(model: &FixedModel) -> Vec<u8> {
    const SAMPLES: usize = 4;
    let inputs = all_samples(model, &mut Rng::new(1), SAMPLES);
    let rows: Vec<&[f32]> = inputs.iter().map(Vec::as_slice).collect();
    emit_verified(&prune(model), Form::Sums, &Interface::default(), &rows, SAMPLES, false).expect("a proxy").proxy.bytes
}

/// Arrays of several types, alone and in an archive.
fn arrays(to: &Folder) {
    fn npy<T: npyz::AutoSerialize + Copy>(values: &[T], shape: &[u64]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let writer = npyz::WriteOptions::new().default_dtype().shape(shape).writer(&mut bytes);
        let mut writer = writer.begin_nd().expect("an array");
        writer.extend(values.iter().copied()).expect("values");
        writer.finish().expect("an array");
        bytes
    }
    to.put("npy_npz", "f32.npy", &npy(&[0.5f32, -1.0, 2.0, f32::NAN, 0.0, 3.0], &[3, 2]));
    to.put("npy_npz", "f64.npy", &npy(&[0.5f64, 1e300], &[2]));
    to.put("npy_npz", "i64.npy", &npy(&[1i64, -2, i64::MAX], &[3, 1]));
    to.put("npy_npz", "u8.npy", &npy(&[1u8, 255], &[1, 2]));
    let mut bytes = Cursor::new(Vec::new());
    let mut archive = npyz::npz::NpzWriter::new(&mut bytes);
    for (name, values) in [("x", [0.25f32, 1.0]), ("other", [-1.0, 0.0])] {
        let array = archive.array::<f32>(name, Default::default()).expect("an array");
        let mut array = array.default_dtype().shape(&[2, 1]).begin_nd().expect("an array");
        array.extend(values).expect("values");
        array.finish().expect("an array");
    }
    drop(archive);
    to.put("npy_npz", "small.npz", &bytes.into_inner());
}

fn configurations(to: &Folder) {
    let default = serde_json::to_vec(&JobConfig::default()).expect("JSON");
    to.put("config", "default", &default);
    let texts = [
        r#"{"epochs": 3, "beta": {"start": 1e-6, "end": 1e-3, "schedule": "log"}}"#,
        r#"{"target_ebops": 5000, "proxy": {"form": "sums"}, "layers": {"*": {"weight_bits": 4}}, "seed": 7}"#,
        r#"{"mode": "calibrate", "max_metric_drop": 0.01, "loss": "mse", "quantizers": "hgq2_kif"}"#,
        r#"{"epoch": 3, "threads": 0}"#,
    ];
    for (n, text) in texts.iter().enumerate() {
        to.put("config", &n.to_string(), text.as_bytes());
    }
}

/// Bodies with the boundary that the target expects.
fn requests(to: &Folder) {
    let part = |name: &str, more: &str, body: &[u8]| {
        let head = format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"{more}\r\n\r\n");
        [head.as_bytes(), body, b"\r\n"].concat()
    };
    let file = "; filename=\"f\"\r\nContent-Type: application/octet-stream";
    let (model, end) = (part("model", file, &random_net(1).bytes), b"--b--\r\n".to_vec());
    let mut array = b"\x93NUMPY\x01\x00\x46\x00{'descr': '<f4', 'fortran_order': False, 'shape': (1, 2), }".to_vec();
    array.resize(10 + 0x46, b' ');
    array.extend([0; 8]);
    let data = part("calibration", file, &array);
    let config = part("config", "\r\nContent-Type: application/json", b"{\"epochs\": 1}");
    let digest = part("model_digest", "", &[b'0'; 64]);
    to.put("multipart", "model", &[&model[..], &end].concat());
    to.put("multipart", "all", &[&model[..], &data, &config, &end].concat());
    to.put("multipart", "digest", &[&digest[..], &config, &end].concat());
    to.put("multipart", "unknown", &[&part("other", "", b"x")[..], &end].concat());
}
