//! Published HGQ2 jet taggers (`shared/models/hgq_reference`) as exact models. They wrap where they
//! overflow; on the reference data nothing does, so saturation gives the same numbers.

use hgq_onnx::quant::{FixedDense, FixedModel, FixedTensor, Kif, Rounding};
use npyz::npz::NpzArchive;
use std::path::{Path, PathBuf};

/// Output columns that are classes.
pub const CLASSES: usize = 5;

/// The folder of the reference material; `None` as for [`shared`](super::reference::shared).
pub fn folder() -> Option<PathBuf> {
    super::reference::shared("")
}

fn floats(file: &Path, name: &str) -> Vec<f32> {
    let mut archive = NpzArchive::open(file).expect("an npz");
    archive.by_name(name).expect("readable").expect("present").into_vec().expect("float32")
}

/// All reference nets: name, exact model, published outputs (first classes) on [`jets`].
pub fn nets(shared: &Path, name_contains: &str) -> Vec<(String, FixedModel, Vec<f64>)> {
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(shared.join("models/hgq_reference")).expect("folder").map(|e| e.expect("entry").path()).collect();
    files.sort();
    files.retain(|f| f.extension().is_some_and(|e| e == "npz") && f.to_string_lossy().contains(name_contains));
    files.iter().map(|f| net(f)).collect()
}

/// The 1000 jets of the published outputs.
pub fn jets(shared: &Path) -> Vec<f32> {
    floats(&shared.join("data/jsc_openml_test1000.npz"), "x")
}

fn net(file: &Path) -> (String, FixedModel, Vec<f64>) {
    let mut net = super::nets::Net::new(&[16]);
    for layer in ["t1", "t2", "t3", "out"] {
        let of = |key: &str| floats(file, &format!("{layer}/{key}"));
        let (k, i, f) = (of("iq_k"), of("iq_i"), of("iq_f"));
        let formats = (0..k.len()).map(|e| Kif::new(k[e] != 0.0, i[e] as i32, f[e] as i32)).collect();
        net = net.quantize(formats, Rounding::HalfUp);
        let (kernel, bias, inputs) = (of("qkernel"), of("qbias"), net.len());
        let (all, kept) = (bias.len(), if layer == "out" { CLASSES } else { bias.len() });
        let weight = kernel.chunks(all).flat_map(|row| row[..kept].iter().map(|&v| f64::from(v))).collect::<Vec<_>>();
        let tensor = |v: &[f64]| FixedTensor::from_f64(v).expect("a grid");
        let bias = tensor(&bias[..kept].iter().map(|&v| f64::from(v)).collect::<Vec<_>>());
        let (weight_bits, bias_bits) = (vec![0; weight.len()], vec![0; kept]);
        let dense = FixedDense {
            inputs,
            outputs: kept,
            weight: tensor(&weight),
            bias,
            weight_bits,
            bias_bits,
            window: None,
            ebops_scale: 1.0,
        };
        net = net.op(hgq_onnx::quant::FixedOp::Dense(dense), vec![kept]);
        if layer != "out" {
            net = net.relu();
        }
    }
    let y = floats(file, "y");
    let columns = y.len() / 1000;
    let y = y.chunks(columns).flat_map(|row| row[..CLASSES].iter().map(|&v| f64::from(v))).collect();
    (file.file_stem().expect("a name").to_string_lossy().into_owned(), net.done(), y)
}
