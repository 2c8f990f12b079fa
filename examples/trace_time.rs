//! Time of `trace_minmax` (ranges of all quantizers over samples, in exact arithmetic), as one JSON
//! line; with `--executor`, of the i64 executor over the proxy that comes out.
//!
//! `cargo run --release --example trace_time -- --net 16,64,32,32,5 --samples 100000 --threads 2 [--model FILE.onnx] [--executor] [--tries 5]`

#[path = "support/nets.rs"]
mod nets;

use hgq_onnx::convert::emit::interface::Interface;
use hgq_onnx::convert::emit::verified::emit_verified;
use hgq_onnx::proxy::{Form, prune};
use hgq_onnx::trace::{FormatOptions, fix, trace_minmax};
use hgq_onnx::verify::fixed::Program;
use nets::Lcg;
use std::time::Instant;

fn main() {
    let (mut net, mut file, mut samples, mut threads, mut tries, mut executor) =
        (String::from("16,64,32,32,5"), None, 100_000, 1, 5, false);
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let mut value = || args.next().unwrap_or_else(|| panic!("{arg} needs a value"));
        match arg.as_str() {
            "--net" => net = value(),
            "--model" => file = Some(value()),
            "--samples" => samples = value().parse().expect("a number of samples"),
            "--threads" => threads = value().parse().expect("threads"),
            "--tries" => tries = value().parse::<usize>().expect("tries").max(1),
            "--executor" => executor = true,
            other => panic!("unknown argument {other}"),
        }
    }
    rayon::ThreadPoolBuilder::new().num_threads(threads).build_global().expect("threads");
    let mut rng = Lcg(7);
    let model = nets::network(&net, file.as_deref(), false, &mut rng);
    let inputs: Vec<Vec<f32>> = model.inputs.iter().map(|&i| rng.normals(samples * model.len_of(i))).collect();
    let rows: Vec<&[f32]> = inputs.iter().map(Vec::as_slice).collect();
    let mut work: Box<dyn FnMut()> = if executor {
        let few = samples.min(1000);
        let first: Vec<&[f32]> = rows.iter().zip(&model.inputs).map(|(x, &i)| &x[..few * model.len_of(i)]).collect();
        let ranges = trace_minmax(&model, &first, few).expect("ranges");
        let fixed = fix(&model, &ranges, &FormatOptions { cover_factor: 1.0, lower_annotated: true }).expect("formats");
        let emitted = emit_verified(&prune(&fixed), Form::Sums, &Interface::default(), &first, few, true).expect("a proxy");
        let program = Program::from_bytes(&emitted.proxy.bytes).expect("our own proxy");
        let rows = rows.clone();
        Box::new(move || drop(std::hint::black_box(program.run(&rows, samples).expect("outputs"))))
    } else {
        Box::new(|| drop(std::hint::black_box(trace_minmax(&model, &rows, samples).expect("ranges"))))
    };
    let mut seconds: Vec<f64> = (0..=tries)
        .map(|_| {
            let t = Instant::now();
            work();
            t.elapsed().as_secs_f64()
        })
        .skip(1)
        .collect();
    seconds.sort_by(f64::total_cmp);
    let macs: usize = nets::macs(&model).iter().sum();
    println!(
        r#"{{"net":"{}","what":"{}","samples":{samples},"threads":{threads},"samples_per_s":{:.0},"ns_per_sample_and_mac":{:.6}}}"#,
        file.as_deref().unwrap_or(&net),
        if executor { "executor" } else { "trace_minmax" },
        samples as f64 / seconds[0],
        seconds[0] * 1e9 / (samples * macs) as f64,
    );
}
