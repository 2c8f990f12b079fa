//! Time of one training step (gradients, EBOPs, Adam) with one width per weight and activation
//! (channel), as one JSON line. `--net` is a Relu MLP, or `cnn`: a 28 × 28 convolutional net (8,
//! 16, 16 channels, 3 × 3 kernels, pooling, 10 outputs); `--model` an ONNX file.
//!
//! `gflops` counts the multiplications of the layers alone, forward, for the gradient of the
//! weights and for that of the inputs (not of the first layer); `fma_peak_percent` is against what
//! the same number of threads reach with nothing but multiply-adds in registers.
//!
//! `cargo run --release --example step_time -- --net 16,64,32,32,5 --batch 1024 --threads 2 [--model FILE.onnx] [--isa avx2] [--steps 2000] [--traced] [--first]`
//!
//! `--first` ends after the first step: for the time from the start of a process to there.

#[path = "support/nets.rs"]
mod nets;
#[path = "support/peak.rs"]
mod peak;

use hgq_onnx::simd::Isa;
use hgq_onnx::train::{Engine, EngineOptions, LossKind, TaskLoss, TrainSet};
use nets::Lcg;
use std::time::Instant;

fn main() {
    let (mut net, mut file, mut batch, mut threads, mut steps, mut isa) =
        (String::from("16,64,32,32,5"), None, 1024, 1, None, None);
    let (mut traced, mut only_first) = (false, false);
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let mut value = || args.next().unwrap_or_else(|| panic!("{arg} needs a value"));
        match arg.as_str() {
            "--net" => net = value(),
            "--model" => file = Some(value()),
            "--batch" => batch = value().parse().expect("batch size"),
            "--threads" => threads = value().parse().expect("threads"),
            "--steps" => steps = Some(value().parse::<usize>().expect("steps").max(1)),
            "--traced" => traced = true,
            "--first" => only_first = true,
            "--isa" => {
                isa = Some(match value().as_str() {
                    "portable" => Isa::Portable,
                    "avx2" => Isa::Avx2,
                    "avx512" => Isa::Avx512,
                    other => panic!("unknown isa {other}"),
                })
            }
            other => panic!("unknown argument {other}"),
        }
    }
    let mut rng = Lcg(7);
    let model = nets::network(&net, file.as_deref(), traced, &mut rng);
    let elements = |values: &[usize]| values.iter().map(|&v| model.len_of(v)).sum::<usize>();
    let (inputs, outputs) = (elements(&model.inputs), elements(&model.outputs));
    let x = rng.normals(batch * inputs);
    let labels: Vec<u32> = (0..batch).map(|_| (rng.unit() * outputs as f32) as u32).collect();
    let set = TrainSet::new(inputs, outputs, &x, Some(&labels), None, None).expect("data");
    let mut engine = Engine::new(&model, &EngineOptions { threads, isa, ..EngineOptions::default() }).expect("model");
    let (rows, loss): (Vec<u32>, _) = ((0..batch as u32).collect(), TaskLoss::new(LossKind::CrossEntropy));
    let mut step = || {
        let t = Instant::now();
        engine.gradients(&set, &rows, &loss, 0.0, &mut |_| 1e-6).expect("step");
        engine.adam(1e-3, 1e-3);
        t.elapsed().as_secs_f64() * 1e3
    };
    let first = step();
    if only_first {
        return;
    }
    // about two seconds unless told
    let steps = steps.unwrap_or_else(|| (2000.0 / first) as usize).clamp(5, 5000);
    for _ in 0..steps.div_ceil(10) {
        step();
    }
    let mut ms: Vec<f64> = (0..steps).map(|_| step()).collect();
    ms.sort_by(f64::total_cmp);
    let macs = nets::macs(&model);
    let flops = 2 * batch * (3 * macs.iter().sum::<usize>() - macs[0]);
    let gflops = flops as f64 / (ms[0] * 1e6);
    let (isa, name) = (engine.isa(), file.as_deref().unwrap_or(&net));
    let percent = 100.0 * gflops / peak::gflops(isa, threads);
    println!(
        r#"{{"net":"{name}","batch":{batch},"threads":{threads},"isa":"{}","steps":{steps},"ms_step_min":{:.4},"ms_step_median":{:.4},"gflops":{gflops:.1},"fma_peak_percent":{percent:.1},"ns_per_sample_and_mac":{:.6}}}"#,
        isa.name(),
        ms[0],
        ms[ms.len() / 2],
        ms[0] * 1e6 / (batch * macs.iter().sum::<usize>()) as f64,
    );
}
