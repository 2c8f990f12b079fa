//! What a user gives and gets around the network: names, layouts and settings of hls4ml, through
//! whole jobs.

use crate::support::files::npz_shaped;
use crate::support::files::read;
use crate::support::hls4ml;
use crate::support::made::Made;
use hgq_onnx::convert::{self, DataFile, DataLayout, Error, Job, JobConfig, Verified};
use hgq_onnx::data::Rng;
use hgq_onnx::verify::fixed::Program;
use hgq_onnx::verify::tract;
use serde_json::{Value, json};
use std::sync::atomic::AtomicBool;

const SAMPLES: usize = 60;

/// A named array, its samples of some shape.
struct Given {
    name: &'static str,
    shape: Vec<usize>,
    values: Vec<f32>,
}

fn random(name: &'static str, shape: &[usize], seed: u64) -> Given {
    let mut rng = Rng::new(seed);
    let values = (0..SAMPLES * shape.iter().product::<usize>()).map(|_| (rng.unit() * 4.0 - 2.0) as f32).collect();
    Given { name, shape: shape.to_vec(), values }
}

fn archive(arrays: &[&Given]) -> DataFile {
    let shapes: Vec<Vec<usize>> = arrays.iter().map(|given| [&[SAMPLES], &given.shape[..]].concat()).collect();
    let floats: Vec<_> = arrays.iter().zip(&shapes).map(|(given, shape)| (given.name, &shape[..], &given.values[..])).collect();
    DataFile::new("data.npz", npz_shaped(&floats, &[]))
}

fn job(fixture: &str, arrays: &[&Given], config: &Value) -> Job {
    let mut config = config.clone();
    config["epochs"] = json!(0);
    Job {
        model: read(&format!("ports/{fixture}.onnx")),
        calibration: archive(arrays),
        train: None,
        validation: None,
        config: JobConfig::from_json(config.to_string().as_bytes()).expect("a configuration"),
    }
}

fn run(job: &Job) -> Result<Made, Error> {
    crate::support::made::run(job, &mut |_| {}, &AtomicBool::new(false))
}

fn verify(proxy: &[u8], arrays: &[&Given], layout: DataLayout) -> Verified {
    convert::verify(proxy, &archive(arrays), None, layout).expect("verified")
}

/// Largest difference from what the source gives, relative to its largest value.
fn error(found: &Verified, model: &[u8], inputs: &[&Given]) -> f64 {
    let rows: Vec<&[f32]> = inputs.iter().map(|g| &g.values[..]).collect();
    let want = &tract::run(model, &rows, SAMPLES).expect("tract")[0];
    let most = want.iter().fold(0f64, |m, v| m.max(v.abs().into()));
    found.outputs[0].2.iter().zip(want).fold(0f64, |m, (a, &b)| m.max((a - f64::from(b)).abs())) / most
}

fn settings(artifacts: &Made) -> Value {
    let (_, bytes) = artifacts.extra_files.iter().find(|b| b.0 == "hls4ml_config.json").expect("settings");
    serde_json::from_slice(bytes).unwrap()
}

/// Stock hls4ml gives the same bits with the settings that lie beside the proxy.
fn is_exact_in_hls4ml(artifacts: &Made) {
    let program = Program::from_bytes(&artifacts.proxy).unwrap();
    let inputs: Vec<Given> = program.inputs().iter().zip(70..).map(|(p, seed)| random("x", &p.shape, seed)).collect();
    let rows: Vec<&[f32]> = inputs.iter().map(|g| &g.values[..]).collect();
    let ran = program.run(&rows, SAMPLES).unwrap();
    let job = hls4ml::Job {
        proxy: &artifacts.proxy,
        inputs: rows,
        samples: SAMPLES,
        expected: ran.outputs.iter().map(|o| (o.name.as_str(), o.to_f64())).collect(),
        port: None,
        settings: settings(artifacts),
    };
    let Some(verdicts) = hls4ml::check(&[job]) else { return };
    assert_eq!(verdicts[0].mismatches, 0, "{:?}", verdicts[0]);
}

/// Ten bits: near enough to the source to see in which order inputs were taken.
fn near() -> Value {
    json!({ "init_bits": { "weights": 10, "activations": 10 } })
}

#[test]
#[ignore = "needs hls4ml"]
fn an_input_called_input_gets_a_name_that_hls4ml_takes() {
    let x = random("input", &[8], 1);
    let done = run(&job("input", &[&x], &near())).unwrap();
    let port = &done.report["ports"]["inputs"][0];
    assert_eq!((&port["name"], &port["source"]), (&json!("input_tensor"), &json!("input")));
    assert_eq!(done.report["ports"]["outputs"][0]["source"], "y");
    let codes: Vec<&Value> = done.report["warnings"].as_array().unwrap().iter().map(|w| &w["code"]).collect();
    assert!(codes.contains(&&json!("port_renamed")), "{codes:?}");
    assert!(settings(&done)["hls_config"]["LayerName"]["input_tensor"].is_object());
    for name in ["input", "input_tensor", "x"] {
        let given = Given { name, shape: vec![8], values: x.values.clone() };
        let found = verify(&done.proxy, &[&given], DataLayout::Source);
        assert!(error(&found, &read("ports/input.onnx"), &[&x]) < 0.02, "{name}");
        assert_eq!((found.inputs[0].port.as_str(), found.inputs[0].array.as_str()), ("input_tensor", name));
    }
    is_exact_in_hls4ml(&done);
}

#[test]
fn inputs_are_told_apart_by_the_names_of_the_source() {
    let (a, b) = (random("x.1", &[4], 2), random("x_1", &[4], 3));
    let model = read("ports/two_names.onnx");
    let done = run(&job("two_names", &[&a, &b], &near())).unwrap();
    let names: Vec<(&str, &str)> = done.report["ports"]["inputs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|p| (p["name"].as_str().unwrap(), p["source"].as_str().unwrap()))
        .collect();
    assert_eq!(names, [("x_1", "x.1"), ("x_1_2", "x_1")]);
    // the sum is the same either way, if not for their ranges: one is told from the other by its
    // values
    let small = Given { name: "x.1", shape: vec![4], values: a.values.iter().map(|v| v / 64.0).collect() };
    let found = verify(&done.proxy, &[&small, &b], DataLayout::Source);
    let arrays: Vec<&str> = found.inputs.iter().map(|f| f.array.as_str()).collect();
    assert_eq!(arrays, ["x.1", "x_1"]);
    assert!(error(&found, &model, &[&small, &b]) < 0.05);
    // by the proxy's names, where the file has no others
    let renamed = |name, of: &Given| Given { name, shape: vec![4], values: of.values.clone() };
    let by_proxy = verify(&done.proxy, &[&renamed("x_1", &small), &renamed("x_1_2", &b)], DataLayout::Source);
    assert_eq!(by_proxy.outputs, found.outputs);
    let fault = convert::verify(&done.proxy, &archive(&[&a]), None, DataLayout::Source).unwrap_err().to_string();
    assert!(fault.contains("`x_1`") && fault.contains("`x_1_2`"), "{fault}");
}

#[test]
fn a_square_image_is_read_as_the_source_has_it() {
    let x = random("x", &[16, 16], 4);
    let model = read("ports/square.onnx");
    let done = run(&job("square", &[&x], &near())).unwrap();
    assert_eq!(done.report["ports"]["inputs"][0]["layout"], "channels_last");
    let found = verify(&done.proxy, &[&x], DataLayout::Source);
    assert_eq!(found.inputs[0].layout, DataLayout::Source);
    assert!(error(&found, &model, &[&x]) < 0.02);
    // what hls4ml takes, said to be that
    let turn = |row: &[f32]| (0..256).map(|e| row[e % 16 * 16 + e / 16]).collect::<Vec<_>>();
    let turned = Given { name: "x", shape: vec![16, 16], values: x.values.chunks(256).flat_map(turn).collect() };
    let other = verify(&done.proxy, &[&turned], DataLayout::Proxy);
    assert_eq!((other.outputs, other.inputs[0].layout), (found.outputs.clone(), DataLayout::Proxy));
    // flat samples are the source's, as a conversion takes them
    let flat = Given { name: "x", shape: vec![256], values: x.values.clone() };
    assert_eq!(verify(&done.proxy, &[&flat], DataLayout::Source).outputs, found.outputs);
    // a proxy that takes the source's layout itself
    let mut config = near();
    config["proxy"] = json!({ "keep_input_layout": true });
    let done = run(&job("square", &[&x], &config)).unwrap();
    assert_eq!(done.report["ports"]["inputs"][0]["layout"], "as_source");
    for layout in [DataLayout::Source, DataLayout::Proxy] {
        assert_eq!(verify(&done.proxy, &[&x], layout).outputs, found.outputs);
    }
}

#[test]
fn expected_outputs_are_compared_by_either_name() {
    let x = random("input", &[8], 5);
    let done = run(&job("input", &[&x], &json!({}))).unwrap();
    let (name, width, values) = verify(&done.proxy, &[&x], DataLayout::Source).outputs.remove(0);
    assert_eq!((name.as_str(), width), ("y_q", 3));
    for name in ["y", "y_q"] {
        let mut expected = Given { name, shape: vec![3], values: values.iter().map(|&v| v as f32).collect() };
        let compare = |expected: &Given| {
            convert::verify(&done.proxy, &archive(&[&x]), Some(&archive(&[expected])), DataLayout::Source).unwrap()
        };
        assert_eq!(compare(&expected).mismatches, Some(0));
        expected.values[7] += 1.0;
        let found = compare(&expected);
        assert_eq!((found.mismatches, found.first.map(|f| (f.1, f.2))), (Some(1), Some((2, 1))));
        assert_eq!(found.expected[0].array, name);
    }
}

#[test]
fn a_node_with_the_name_of_an_input_is_compared_with_tract() {
    let x = random("fc1", &[8], 6);
    let done = run(&job("node_named_like_input", &[&x], &json!({}))).unwrap();
    let import = &done.report["import"];
    assert!(import["max_abs_diff_vs_source"].as_f64().is_some_and(|d| d < 1e-4), "{import}");
}

#[test]
#[ignore = "needs hls4ml"]
fn padding_in_one_dimension_is_exact_in_a_stream() {
    let x = random("x", &[3, 11], 7);
    let done = run(&job("padded_conv1d", &[&x], &json!({ "hls4ml": { "io_type": "io_stream" } }))).unwrap();
    assert_eq!(settings(&done)["io_type"], "io_stream");
    is_exact_in_hls4ml(&done);
}

#[test]
#[ignore = "needs hls4ml"]
fn padded_pools_that_overlap_are_exact_in_a_stream() {
    let x = random("x", &[2, 6, 6], 9);
    let done = run(&job("overlapping_pool", &[&x], &json!({ "hls4ml": { "io_type": "io_stream" } }))).unwrap();
    is_exact_in_hls4ml(&done);
}

#[test]
#[ignore = "needs hls4ml"]
fn a_mean_in_one_dimension_is_exact_with_resource() {
    let x = random("x", &[3, 11], 8);
    for io in ["io_parallel", "io_stream"] {
        let config = json!({ "granularity": { "activations": "tensor" }, "hls4ml": { "strategy": "resource", "io_type": io } });
        let done = run(&job("mean1d", &[&x], &config)).unwrap();
        let layers = done.report["hls4ml"]["latency_layers"].as_array().unwrap().clone();
        assert!(!layers.is_empty(), "the mean is a layer of a filter per channel");
        let settings = settings(&done);
        for layer in layers {
            assert_eq!(settings["hls_config"]["LayerName"][layer.as_str().unwrap()]["Strategy"], "Latency");
        }
        is_exact_in_hls4ml(&done);
    }
}

#[test]
fn what_hls4ml_does_not_compute_exactly_is_refused_before_it_is_written() {
    let x = random("x", &[2, 6, 6], 9);
    let job_of = |backend: &str| job("overlapping_pool", &[&x], &json!({ "hls4ml": { "backend": backend } }));
    assert!(run(&job_of("Vitis")).is_ok());
    for refused in [run(&job_of("Catapult")).map(|_| ()), crate::support::made::plan(&job_of("Catapult")).map(|_| ())] {
        let refused = refused.unwrap_err();
        let nodes = refused.nodes();
        assert_eq!((refused.code().name(), nodes.len(), nodes[0].op.as_str()), ("unsupported_model", 1, "MaxPool"), "{refused}");
        assert!(nodes[0].name == "pool" && nodes[0].reason.contains("Catapult, io_parallel, Latency"), "{refused}");
    }
    let backend = JobConfig::from_json(br#"{"hls4ml": {"backend": "oneAPI"}}"#).unwrap_err().join("\n");
    assert!(backend.contains("hls4ml.backend") && backend.contains("Quartus"), "{backend}");
}
