//! Ranges from data that do not show everything: what is constant, few or missing is named, and
//! what data cannot show can be declared.

use crate::support::files::{npz, npz_of};
use crate::support::made::{Made, plan, run};
use crate::support::onnx::Net;
use hgq_onnx::convert::{DataFile, Error, Job, JobConfig};
use hgq_onnx::data::Rng;
use hgq_onnx::onnx::Tensor;
use hgq_onnx::verify::fixed::Program;
use prost::Message;
use serde_json::Value;
use std::sync::atomic::AtomicBool;

const INPUTS: usize = 6;

/// `x → 8 (Relu) → 3`; hidden unit 5 never fires for inputs within ±2.
fn net() -> Vec<u8> {
    let mut net = Net::new(13, &[-1, INPUTS as i64]);
    net.random("w", &[INPUTS, 8]).constant("b", Tensor::f32(vec![8], vec![0.1, 0.2, 0.0, 0.1, 0.2, -20.0, 0.1, 0.0]));
    net.node("Gemm", &["@", "w", "b"], "fc1", &[]).node("Relu", &["@"], "act1", &[]).dense("fc2", 8, 3);
    net.model().encode_to_vec()
}

/// Within ±1 on the grid of the port; `still`: an input that is 0 in all of them.
fn samples(count: usize, seed: u64, still: Option<usize>) -> Vec<f32> {
    let mut rng = Rng::new(seed);
    let mut x: Vec<f32> = (0..count * INPUTS).map(|_| ((2.0 * rng.unit() - 1.0) * 256.0).round() as f32 / 256.0).collect();
    if let Some(at) = still {
        x.iter_mut().skip(at).step_by(INPUTS).for_each(|v| *v = 0.0);
    }
    x
}

fn job(calibration: Vec<u8>, train: Option<Vec<u8>>, json: &str) -> Job {
    Job {
        model: net(),
        calibration: DataFile::new("cal.npz", calibration),
        train: train.map(|t| DataFile::new("t.npz", t)),
        validation: None,
        config: JobConfig::from_json(json.as_bytes()).unwrap(),
    }
}

fn convert(job: &Job) -> Result<Made, Error> {
    run(job, &mut |_| {}, &AtomicBool::new(false))
}

fn outputs(proxy: &[u8], x: &[f32]) -> Vec<f64> {
    Program::from_bytes(proxy).unwrap().run(&[x], x.len() / INPUTS).unwrap().outputs[0].to_f64()
}

fn warning(document: &Value, code: &str) -> Option<String> {
    let all = document["warnings"].as_array().unwrap();
    all.iter().find(|w| w["code"] == code).map(|w| w["message"].as_str().unwrap().to_string())
}

const FINE: &str = r#"{"epochs": 0, "threads": 1, "init_bits": {"weights": 10, "activations": 10}"#;

/// Largest difference from the same net with all of its data.
fn error(proxy: &[u8]) -> f64 {
    let x = samples(200, 9, None);
    let whole = convert(&job(npz(INPUTS, &x, None), None, &format!("{FINE}}}"))).unwrap();
    let pairs = outputs(proxy, &x).into_iter().zip(outputs(&whole.proxy, &x));
    pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

#[test]
fn what_never_changes_is_named() {
    let x = samples(100, 1, Some(3));
    let done = convert(&job(npz(INPUTS, &x, None), None, &format!("{FINE}}}"))).unwrap();
    let text = warning(&done.report, "constant_inputs").unwrap();
    assert!(text.contains("input `x`: 1 of 6 elements, 3 (always 0)") && text.contains("all 100 samples"), "{text}");
    let text = warning(&done.report, "constant_channels").unwrap();
    assert!(text.contains("`act1`: 1 of 8 elements, 5 (always 0)"), "{text}");
    assert!(error(&done.proxy) > 0.3, "the warning is about nothing");
    // what changes in the training data has its range from there
    let train = npz_of(&[("x", INPUTS, &samples(100, 2, None)), ("y", 3, &vec![0.5; 300])], &[]);
    let plan = plan(&job(npz(INPUTS, &x, None), Some(train), "{}")).unwrap();
    assert_eq!(warning(&plan, "constant_inputs"), None);
}

#[test]
fn few_samples_are_said_to_be_few() {
    let told = |n: usize| {
        let plan = plan(&job(npz(INPUTS, &samples(n, 3, None), None), None, &format!("{FINE}}}"))).unwrap();
        (warning(&plan, "few_samples"), warning(&plan, "constant_inputs"))
    };
    let (few, constant) = told(1);
    // of one sample everything is constant: once is enough
    assert!(few.unwrap().contains("1 sample") && constant.is_none());
    assert!(told(19).0.is_some() && told(20).0.is_none());
}

#[test]
fn a_declared_type_covers_what_the_data_do_not_show() {
    let x = npz(INPUTS, &samples(100, 1, Some(3)), None);
    let with = |declared: &str| convert(&job(x.clone(), None, &format!("{FINE}, {declared}}}"))).unwrap();
    for declared in [
        r#""inputs": {"x": "fixed<16,4>"}"#,
        r#""inputs": {"x": "ap_fixed<12,2>"}"#,
        r#""layers": [{"match": "x", "range": [-1, 1]}]"#,
        r#""layers": [{"match": "x*", "range": [[-1, -1, -1, -1, -1, -1], [1, 1, 1, 2, 1, 1]]}]"#,
    ] {
        let done = with(declared);
        assert_eq!(warning(&done.report, "constant_inputs"), None, "{declared}");
        assert_eq!(warning(&done.report, "range_exceeded"), None, "{declared}");
        let error = error(&done.proxy);
        assert!(error < 0.03, "{declared}: {error}");
    }
    // at most the bits of the type
    let coarse = with(r#""inputs": {"x": "fixed<5,2>"}"#);
    let input = coarse.report["layers"].as_array().unwrap().iter().find(|l| l["name"] == "x_q").unwrap();
    assert_eq!(input["activation"]["formats"], serde_json::json!([{"k": 1, "i": 1, "f": 3, "bits": 5, "count": 6}]));
    // the port takes all of a wide one
    let wide = with(r#""inputs": {"x": "fixed<30,22>"}"#);
    assert_eq!(wide.report["hls4ml"]["input_port"], "fixed<38,22>");
    // hidden values as well
    let hidden = with(r#""layers": [{"match": "act1", "range": [0, 40]}]"#);
    let act1 = hidden.report["layers"].as_array().unwrap().iter().find(|l| l["name"] == "act1_q").unwrap();
    assert!(act1["activation"]["formats"].to_string().contains("\"i\":6"), "{act1}");
}

/// Training moves fractional bits only.
#[test]
fn declared_ranges_outlive_training() {
    let x = samples(300, 4, Some(3));
    let y: Vec<i64> = x.chunks(INPUTS).map(|r| (r[0] > r[1]) as i64 + (r[2] > 0.5) as i64).collect();
    let train = npz(INPUTS, &x, Some(&y));
    let json = r#"{"epochs": 20, "threads": 1, "target_ebops": 3000, "inputs": {"x": "fixed<12,3>"}}"#;
    let done = convert(&job(npz(INPUTS, &x, None), Some(train), json)).unwrap();
    assert!(done.unmet.is_none(), "{:?}", done.unmet);
    let layers = done.report["layers"].as_array().unwrap();
    let formats = layers.iter().find(|l| l["name"] == "x_q").unwrap()["activation"]["formats"].as_array().unwrap();
    let live: Vec<&Value> = formats.iter().filter(|f| f["bits"] != 0).collect();
    assert!(!live.is_empty() && live.iter().all(|f| f["i"] == 2 && f["k"] == 1 && f["f"].as_i64().unwrap() <= 9), "{formats:?}");
}

#[test]
fn data_beyond_what_is_declared_are_said() {
    let x = npz(INPUTS, &samples(100, 5, None), None);
    let done = convert(&job(x.clone(), None, &format!("{FINE}, \"inputs\": {{\"x\": \"fixed<8,0>\"}}}}"))).unwrap();
    let text = warning(&done.report, "range_exceeded").unwrap();
    assert!(text.contains("beyond the declared -0.5 to 0.49") && text.contains("6 of 6 elements"), "{text}");
    let refused = |declared: &str| match plan(&job(x.clone(), None, &format!("{FINE}, {declared}}}"))) {
        Err(Error::Config(faults)) => faults.join("\n"),
        other => panic!("{other:?}"),
    };
    let idle =
        convert(&job(x.clone(), None, &format!("{FINE}, \"layers\": [{{\"match\": \"fc1\", \"range\": [0, 1]}}]}}"))).unwrap();
    assert!(warning(&idle.report, "range_unused").unwrap().contains("`fc1` has a range"));
    let text = refused(r#""inputs": {"image": "fixed<8,1>", "y": "fixed<8,1>"}"#);
    assert!(text.contains("no input `image`") && text.contains("no input `y`") && text.contains("it has `x`"), "{text}");
    let text = refused(r#""layers": [{"match": "x", "range": [[0, 0], [1, 1]]}]"#);
    assert!(text.contains("layers[0] (`x`): range: 2 numbers") && text.contains("6 elements"), "{text}");
    let wrong = JobConfig::from_json(br#"{"layers": [{"match": "x", "range": [1, -1]}, {"match": "y", "range": [0, 1e12]}]}"#)
        .unwrap_err();
    assert!(wrong.len() == 2 && wrong[0].contains("layers[0]") && wrong[1].contains("layers[1]"), "{wrong:?}");
}

#[test]
fn classes_without_a_calibration_sample_are_named() {
    let x = samples(400, 6, None);
    let y: Vec<i64> = x.chunks(INPUTS).map(|r| if r[0] > 0.0 { 2 } else { (r[1] > 0.0) as i64 }).collect();
    let train = npz(INPUTS, &x, Some(&y));
    let rows = |keep: &dyn Fn(i64) -> bool| -> (Vec<f32>, Vec<i64>) {
        let kept = || x.chunks(INPUTS).zip(&y).filter(|(_, y)| keep(**y));
        (kept().flat_map(|(r, _)| r.to_vec()).collect(), kept().map(|(_, &y)| y).collect())
    };
    let (some, labels) = rows(&|class| class != 2);
    let told = |calibration: Vec<u8>| warning(&plan(&job(calibration, Some(train.clone()), "{}")).unwrap(), "unseen_classes");
    let text = told(npz(INPUTS, &some, Some(&labels))).unwrap();
    assert!(text.contains("class 2 (") && text.contains("its `y`"), "{text}");
    assert_eq!(told(npz(INPUTS, &x, Some(&y))), None);
    // a source that knows nothing tells nothing
    assert_eq!(told(npz(INPUTS, &some, None)), None);
}
