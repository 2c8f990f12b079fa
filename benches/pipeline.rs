//! What a conversion spends its time on, on nets of the size that it is for: `cargo bench`. For tables of larger nets and many threads see
//! docs/performance.md.

#[path = "../examples/support/nets.rs"]
mod nets;

use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};
use hgq_onnx::graph::import;
use hgq_onnx::onnx::{codec, limits::Limits};
use hgq_onnx::quant::Model;
use hgq_onnx::trace::trace_minmax;
use hgq_onnx::train::{Engine, EngineOptions, LossKind, TaskLoss, TrainSet};
use nets::Lcg;

/// Every time alike; the number itself means nothing.
const SEED: u64 = 7;
/// Samples of a step: the digits have 1293 for training.
const BATCH: usize = 128;
/// Samples whose ranges are traced.
const TRACED: usize = 2000;
/// Models of the repository: float, with convolutions, and annotated.
const FIXTURES: [&str; 3] = ["digits/digits_mlp.onnx", "digits/digits_cnn.onnx", "import/jet_mlp_w4a6_int32bias_qonnx.onnx"];
/// Of which a step is trained and ranges are traced.
const NETS: [&str; 2] = ["digits/digits_mlp.onnx", "digits/digits_cnn.onnx"];

fn fixture(name: &str) -> String {
    format!("{}/fixtures/{name}", env!("CARGO_MANIFEST_DIR"))
}

fn model(name: &str, rng: &mut Lcg) -> Model {
    nets::network("", Some(&fixture(name)), false, rng)
}

/// Gradients, EBOPs and Adam, on one thread.
#[divan::bench(args = NETS)]
fn training_step(bencher: Bencher, name: &str) {
    let mut rng = Lcg(SEED);
    let model = model(name, &mut rng);
    let (inputs, outputs) = (model.len_of(model.inputs[0]), model.len_of(model.outputs[0]));
    let x = rng.normals(BATCH * inputs);
    let labels: Vec<u32> = (0..BATCH).map(|_| (rng.unit() * outputs as f32) as u32).collect();
    let set = TrainSet::new(inputs, outputs, &x, Some(&labels), None, None).expect("data");
    let mut engine = Engine::new(&model, &EngineOptions { threads: 1, ..EngineOptions::default() }).expect("model");
    let (rows, loss): (Vec<u32>, _) = ((0..BATCH as u32).collect(), TaskLoss::new(LossKind::CrossEntropy));
    bencher.counter(ItemsCount::new(BATCH)).bench_local(|| {
        engine.gradients(&set, &rows, &loss, 0.0, &mut |_| 1e-6).expect("step");
        engine.adam(1e-3, 1e-3);
    });
}

/// Ranges of all quantizers in exact arithmetic, on all cores.
#[divan::bench(args = NETS)]
fn trace(bencher: Bencher, name: &str) {
    let mut rng = Lcg(SEED);
    let model = model(name, &mut rng);
    let x = rng.normals(TRACED * model.len_of(model.inputs[0]));
    bencher.counter(ItemsCount::new(TRACED)).bench_local(|| trace_minmax(&model, &[&x], TRACED).expect("ranges"));
}

/// From bytes to a graph.
#[divan::bench(args = FIXTURES)]
fn imported(bencher: Bencher, name: &str) {
    let bytes = std::fs::read(fixture(name)).expect("a fixture");
    bencher.counter(BytesCount::of_slice(&bytes)).bench_local(|| {
        let model = codec::decode(&bytes, &Limits::default()).expect("an ONNX model");
        import(&model).expect("a supported model")
    });
}

fn main() {
    divan::main();
}
