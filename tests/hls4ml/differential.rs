//! Random small networks over everything that is supported, through whole jobs: the file as tract
//! runs it equals the imported graph, the proxy in the integer executor equals the trained model
//! (else the job fails) and equals the proxy in tract; a rotating sample of the proxies goes
//! through stock hls4ml, with rotating settings.

use crate::support::files::npz_shaped;
use crate::support::hls4ml;
use crate::support::made::{Made, run};
use crate::support::random_net::{Dialect, RandomNet, random_net};
use crate::support::sample::sample;
use hgq_onnx::convert::{DataFile, Error, Job, JobConfig};
use hgq_onnx::data::Rng;
use hgq_onnx::verify::fixed::Program;
use serde_json::{Value, json};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Networks of one run; `HGQ_NETS` asks for more.
const NETS: u64 = 600;
/// Samples of each.
const SAMPLES: usize = 48;
/// Proxies that hls4ml compiles in one run, about ten seconds each; `HGQ_COMPILED` asks for more.
const COMPILED: u64 = 16;

/// Samples on the grid 1/32, so that f32 sums are exact.
fn samples(net: &RandomNet, seed: u64) -> Vec<Vec<f32>> {
    let mut rng = Rng::new(seed);
    let mut value = || (rng.below(129) as f32 - 64.0) / 32.0;
    net.inputs.iter().map(|(_, shape)| (0..SAMPLES * shape.iter().product::<usize>()).map(|_| value()).collect()).collect()
}

fn archive(net: &RandomNet, data: &[Vec<f32>]) -> DataFile {
    let shapes: Vec<Vec<usize>> = net.inputs.iter().map(|(_, shape)| [&[SAMPLES], &shape[..]].concat()).collect();
    let named = net.inputs.iter().zip(&shapes).zip(data);
    let floats: Vec<_> = named.map(|(((name, _), shape), values)| (&name[..], &shape[..], &values[..])).collect();
    DataFile::new("x.npz", npz_shaped(&floats, &[]))
}

/// Settings of hls4ml that differ from number to number: all combinations that a build farm uses.
fn settings(number: u64) -> Value {
    let bit = |at: u64| (number >> at & 1) as usize;
    let (backend, io) = (["Vitis", "Vivado"][bit(0)], ["io_stream", "io_parallel"][bit(1)]);
    let (strategy, reuse) = (["latency", "resource"][bit(2)], [1, 4][bit(3)]);
    json!({ "backend": backend, "io_type": io, "strategy": strategy, "reuse_factor": reuse })
}

/// A configuration that differs from seed to seed.
fn config(net: &RandomNet, seed: u64, hls4ml: &Value) -> JobConfig {
    let forms = ["sums", "concat", "sums", "uniform"];
    let epochs = if net.dialect == Dialect::Float || seed.is_multiple_of(3) { 2 } else { 0 };
    let granularity = ["element", "channel", "tensor"][(seed / 5 % 3) as usize];
    let rounding = ["half_up", "floor"][(seed / 7 % 2) as usize];
    let text = format!(
        r#"{{"epochs": {epochs}, "batch_size": 16, "threads": 1, "rounding": "{rounding}", "granularity": {{"weights": "{granularity}", "activations": "{granularity}"}},
            "proxy": {{"form": "{}", "keep_input_layout": {}}}, "hls4ml": {hls4ml}}}"#,
        forms[(seed % 4) as usize],
        seed % 6 == 5
    );
    JobConfig::from_json(text.as_bytes()).unwrap()
}

fn convert(net: &RandomNet, seed: u64, hls4ml: &Value) -> Result<Made, Error> {
    let data = samples(net, seed);
    let job = Job {
        model: net.bytes.clone(),
        calibration: archive(net, &data),
        train: None,
        validation: None,
        config: config(net, seed, hls4ml),
    };
    run(&job, &mut |_| {}, &AtomicBool::new(false))
}

/// What is wrong with the result of a seed.
fn fault(seed: u64, net: &RandomNet) -> Option<String> {
    let told = |what: String| Some(format!("seed {seed} ({}): {what}", net.recipe));
    let artifacts = match std::panic::catch_unwind(|| convert(net, seed, &json!({}))) {
        Ok(Ok(artifacts)) => artifacts,
        Ok(Err(e)) => return told(format!("{e}")),
        Err(_) => return told("it panicked".into()),
    };
    let report = &artifacts.report;
    let import = &report["import"];
    match import["max_abs_diff_vs_source"].as_f64() {
        None => return told(format!("tract did not run the file: {}", report["warnings"])),
        // an annotated file has steps: a float sum on the other side of one moves an output by it
        Some(_) if import["outliers"].as_u64() != Some(0) => return told(format!("the import differs from tract: {import}")),
        Some(_) => {}
    }
    let verification = &report["verification"];
    if verification["mismatches"] != 0 || verification["samples"] != SAMPLES {
        return told(format!("{verification}"));
    }
    // hls4ml has a table where ONNX has an Elu
    let approximated = net.recipe.contains("Elu");
    if verification["second_opinion_samples"] == 0 || (verification["float_limited"] != 0 && !approximated) {
        return told(format!("tract on the proxy: {verification} {}", report["warnings"]));
    }
    None
}

#[test]
fn executor_trained_model_and_tract_agree() {
    let nets = std::env::var("HGQ_NETS").ok().and_then(|v| v.parse().ok()).unwrap_or(NETS);
    // plain threads: a job waits for a pool of its own, and a thread of another pool would take up
    // the next net meanwhile
    let (next, faults) = (AtomicU64::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, |n| n.get()) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= nets {
                        return;
                    }
                    if let Some(fault) = fault(seed, &random_net(seed)) {
                        faults.lock().unwrap().push(fault);
                    }
                }
            });
        }
    });
    let faults = faults.into_inner().unwrap();
    assert!(faults.is_empty(), "{} of {nets}:\n{}", faults.len(), faults.join("\n"));
}

#[test]
#[ignore = "needs hls4ml"]
fn a_rotating_sample_compiles_to_the_same_bits() {
    // another sample for other sources
    let first = sample();
    let compiled = std::env::var("HGQ_COMPILED").ok().and_then(|v| v.parse().ok()).unwrap_or(COMPILED);
    let (mut names, mut jobs, mut refused) = (Vec::new(), Vec::new(), Vec::new());
    for number in 0..compiled {
        let seed = (first % NETS * compiled + number) % NETS;
        let (net, hls4ml) = (random_net(seed), settings(first % NETS + number));
        let told = format!("seed {seed} ({}), {hls4ml}", net.recipe);
        let artifacts = match convert(&net, seed, &hls4ml) {
            Ok(artifacts) => artifacts,
            // what hls4ml would compute otherwise is not written
            Err(Error::Unsupported(nodes)) if nodes.iter().all(|n| n.reason.contains("settings asked for")) => {
                refused.push(format!("{told}: {nodes:?}"));
                continue;
            }
            Err(e) => panic!("{told}: {e}"),
        };
        let program = Program::from_bytes(&artifacts.proxy).unwrap();
        // one value is drawn after the other, so any shape will do
        let mut rng = Rng::new(seed + 1000);
        let inputs: Vec<Vec<f32>> = program
            .inputs()
            .iter()
            .map(|p| (0..200 * p.shape.iter().product::<usize>()).map(|_| (rng.below(385) as f32 - 192.0) / 64.0).collect())
            .collect();
        let rows: Vec<&[f32]> = inputs.iter().map(|x| &x[..]).collect();
        let expected = program.run(&rows, 200).unwrap().outputs.iter().map(|o| (o.name.clone(), o.to_f64())).collect::<Vec<_>>();
        let beside = artifacts.extra_files.iter().find(|b| b.0 == "hls4ml_config.json").unwrap();
        let settings: Value = serde_json::from_slice(&beside.1).unwrap();
        names.push(told);
        jobs.push((artifacts.proxy.clone(), inputs, expected, settings));
    }
    let list: Vec<hls4ml::Job> = jobs
        .iter()
        .map(|(proxy, inputs, expected, settings)| hls4ml::Job {
            proxy,
            inputs: inputs.iter().map(|x| &x[..]).collect(),
            settings: settings.clone(),
            samples: 200,
            expected: expected.iter().map(|(name, values)| (name.as_str(), values.clone())).collect(),
            port: None,
        })
        .collect();
    let Some(verdicts) = hls4ml::check(&list) else { return };
    let wrong: Vec<String> =
        names.iter().zip(&verdicts).filter(|(_, v)| v.mismatches != 0).map(|(n, v)| format!("{n}: {v:?}")).collect();
    eprintln!("{} compiled, {} wrong, {} refused:\n{}", jobs.len(), wrong.len(), refused.len(), refused.join("\n"));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(refused.len() < jobs.len(), "most are refused: {}", refused.join("\n"));
}
