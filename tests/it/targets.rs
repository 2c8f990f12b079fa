//! What targets are taken for, by their numbers and by what the model ends in; and what a job
//! without targets is judged by. Every metric is computed again from the proxy's integers.

use crate::support::files::{npz, npz_of};
use crate::support::made::{Made, plan, run};
use crate::support::onnx::{Attr, Net};
use hgq_onnx::convert::{DataFile, Error, Job, JobConfig};
use hgq_onnx::data::Rng;
use hgq_onnx::verify::fixed::Program;
use prost::Message;
use serde_json::Value;
use std::sync::atomic::AtomicBool;

const INPUTS: usize = 6;

/// `x → 10 (Relu) → outputs → end`, with random weights.
fn net(outputs: usize, end: &str) -> Vec<u8> {
    let mut net = Net::new(13, &[-1, INPUTS as i64]);
    net.dense("hidden", INPUTS, 10).node("Relu", &["@"], "active", &[]).dense("z", 10, outputs);
    match end {
        "" => {}
        "Softmax" => {
            net.node("Softmax", &["@"], "p", &[("axis", Attr::I(-1))]);
        }
        op => {
            net.node(op, &["@"], "p", &[]);
        }
    }
    net.model().encode_to_vec()
}

/// On the grid of the input port.
fn samples(count: usize, seed: u64) -> Vec<f32> {
    let mut rng = Rng::new(seed);
    (0..count * INPUTS).map(|_| ((2.0 * rng.unit() - 1.0) * 256.0).round() as f32 / 256.0).collect()
}

/// Of the first three features the largest.
fn classes(x: &[f32]) -> Vec<i64> {
    x.chunks(INPUTS).map(|r| (0..3).max_by(|&a, &b| r[a].total_cmp(&r[b])).unwrap() as i64).collect()
}

fn yes(x: &[f32]) -> Vec<i64> {
    x.chunks(INPUTS).map(|r| (r[0] + r[1] > 0.1) as i64).collect()
}

fn file(name: &str, bytes: Vec<u8>) -> DataFile {
    DataFile::new(name, bytes)
}

fn job(model: &[u8], x: &[f32], train: Option<Vec<u8>>, json: &str) -> Job {
    Job {
        model: model.to_vec(),
        calibration: file("cal.npz", npz(INPUTS, x, None)),
        train: train.map(|t| file("t.npz", t)),
        validation: None,
        config: JobConfig::from_json(json.as_bytes()).unwrap(),
    }
}

fn convert(job: &Job) -> Result<Made, Error> {
    run(job, &mut |_| {}, &AtomicBool::new(false))
}

fn outputs(proxy: &[u8], x: &[f32]) -> Vec<f64> {
    let ran = Program::from_bytes(proxy).unwrap().run(&[x], x.len() / INPUTS).unwrap();
    ran.outputs[0].to_f64()
}

fn floats(labels: &[i64]) -> Vec<f32> {
    labels.iter().map(|&l| l as f32).collect()
}

fn one_hot(labels: &[i64], width: usize) -> Vec<f32> {
    labels.iter().flat_map(|&l| (0..width).map(move |c| (c as i64 == l) as u8 as f32)).collect()
}

fn codes(report: &Value) -> Vec<&str> {
    report["warnings"].as_array().unwrap().iter().map(|w| w["code"].as_str().unwrap()).collect()
}

/// All of the data are trained on and validated with: what is computed again is what was judged.
const SHORT: &str = r#"{"epochs": 12, "threads": 1, "teacher_weight": 0, "target_ebops": 4000, "validation_fraction": 0}"#;

/// [`SHORT`], by plain accuracy also where one answer alone would score as high as the source.
fn by_accuracy() -> String {
    SHORT.replace("{", "{\"metric\": \"accuracy\", ")
}

#[test]
fn one_hot_rows_are_the_classes_they_mark() {
    let x = samples(400, 1);
    let y = classes(&x);
    for end in ["", "Softmax"] {
        let model = net(3, end);
        let done = |train: Vec<u8>| convert(&job(&model, &x, Some(train), SHORT)).unwrap();
        let labels = done(npz(INPUTS, &x, Some(&y)));
        let rows = done(npz_of(&[("x", INPUTS, &x), ("y", 3, &one_hot(&y, 3))], &[]));
        let hinge: Vec<f32> = one_hot(&y, 3).iter().map(|v| 2.0 * v - 1.0).collect();
        let hinge = done(npz_of(&[("x", INPUTS, &x), ("y", 3, &hinge)], &[]));
        assert_eq!(labels.report["metric"], "accuracy");
        assert!(labels.proxy == rows.proxy && labels.proxy == hinge.proxy, "the same job, another result");
        let task = &rows.report["task"]["targets"][0];
        assert_eq!((&task["taken_as"], &task["array"], &task["loss"]), (&"classes".into(), &"y".into(), &"cross_entropy".into()));
        assert!(task["because"].as_str().unwrap().contains("one-hot"), "{task}");
        let z = outputs(&rows.proxy, &x);
        let right = z.chunks(3).zip(&y).filter(|(row, y)| hgq_onnx::convert::task::metric::predicted(row) as i64 == **y).count();
        let metric = rows.report["proxy"]["metric"].as_f64().unwrap();
        assert!((metric - right as f64 / y.len() as f64).abs() < 1e-9 && metric > 0.85, "{metric}");
    }
    // who asks for an error gets one
    let model = net(3, "");
    let rows = npz_of(&[("x", INPUTS, &x), ("y", 3, &one_hot(&y, 3))], &[]);
    let done =
        convert(&job(&model, &x, Some(rows), &SHORT.replace("\"epochs\": 12", "\"epochs\": 1, \"loss\": \"mse\""))).unwrap();
    assert_eq!((&done.report["metric"], &done.report["task"]["targets"][0]["taken_as"]), (&"mse".into(), &"values".into()));
}

#[test]
fn soft_labels_train_a_cross_entropy() {
    let x = samples(500, 2);
    let y = classes(&x);
    // nine of ten for the class, rounded as in a file of three digits
    let soft: Vec<f32> = one_hot(&y, 3).iter().map(|v| if *v == 1.0 { 0.9 } else { 0.05 }).collect();
    let file = |values: &[f32]| npz_of(&[("x", INPUTS, &x), ("y", 3, values)], &[]);
    let model = net(3, "Softmax");
    let done = convert(&job(&model, &x, Some(file(&soft)), &by_accuracy())).unwrap();
    let task = &done.report["task"]["targets"][0];
    assert_eq!(
        (&task["taken_as"], &task["loss"], &done.report["metric"]),
        (&"probabilities".into(), &"cross_entropy".into(), &"accuracy".into())
    );
    let z = outputs(&done.proxy, &x);
    let right = z.chunks(3).zip(&y).filter(|(row, y)| hgq_onnx::convert::task::metric::predicted(row) as i64 == **y).count();
    let (metric, loss) = (done.report["proxy"]["metric"].as_f64().unwrap(), done.report["proxy"]["loss"].as_f64().unwrap());
    assert!((metric - right as f64 / y.len() as f64).abs() < 1e-9 && metric > 0.85, "{metric}");
    let entropy = |row: &[f64], shares: &[f32]| {
        let norm = row.iter().map(|z| z.exp()).sum::<f64>().ln();
        row.iter().zip(shares).map(|(z, &share)| f64::from(share) * (norm - z)).sum::<f64>()
    };
    let want: f64 = z.chunks(3).zip(soft.chunks(3)).map(|(row, shares)| entropy(row, shares)).sum::<f64>() / y.len() as f64;
    assert!((loss - want).abs() < 1e-5, "{loss} instead of {want}");
    // logits without a Softmax: where the loss says so
    let open = convert(&job(&net(3, ""), &x, Some(file(&soft)), &SHORT.replace("{", "{\"loss\": \"cross_entropy\", "))).unwrap();
    assert_eq!(open.report["task"]["targets"][0]["taken_as"], "probabilities");
    let values = plan(&job(&net(3, ""), &x, Some(file(&soft)), SHORT)).unwrap();
    assert_eq!((&values["metric"], &values["task"]["targets"][0]["taken_as"]), (&"mse".into(), &"values".into()));
    // several classes at once are none
    let multi: Vec<f32> = one_hot(&y, 3).iter().enumerate().map(|(n, v)| if n % 3 == 0 { 1.0 } else { *v }).collect();
    let Err(Error::Data(faults)) = convert(&job(&model, &x, Some(file(&multi)), SHORT)) else { panic!() };
    assert!(faults[0].contains("adds up to 2") && faults[0].contains("Sigmoid"), "{faults:?}");
}

#[test]
fn one_and_minus_one_are_two_classes() {
    let x = samples(400, 3);
    let y = yes(&x);
    let signs: Vec<i64> = y.iter().map(|y| 2 * y - 1).collect();
    for end in ["", "Sigmoid"] {
        let model = net(1, end);
        let done = |train: Vec<u8>| convert(&job(&model, &x, Some(train), SHORT)).unwrap();
        let zero_one = done(npz(INPUTS, &x, Some(&y)));
        assert_eq!(
            (&zero_one.report["metric"], &zero_one.report["task"]["targets"][0]["loss"]),
            (&"accuracy".into(), &"bce".into())
        );
        for other in [
            npz(INPUTS, &x, Some(&signs)),
            npz_of(&[("x", INPUTS, &x), ("y", 1, &floats(&signs))], &[]),
            npz_of(&[("x", INPUTS, &x), ("y", 1, &floats(&y))], &[]),
        ] {
            assert!(done(other).proxy == zero_one.proxy, "the same classes, another result");
        }
    }
}

/// The Sigmoid stays, what is judged is what it gives, and training does not stop where it is flat.
#[test]
fn a_sigmoid_is_trained_through_its_logit() {
    let x = samples(600, 4);
    let y = yes(&x);
    // far in the flat part on the wrong side
    let mut wrong = Net::new(13, &[-1, INPUTS as i64]);
    wrong.dense("hidden", INPUTS, 10).node("Relu", &["@"], "active", &[]).dense("z", 10, 1);
    wrong.constant("far", hgq_onnx::onnx::Tensor::f32(vec![1], vec![-9.0]));
    wrong.node("Add", &["@", "far"], "z2", &[]).node("Sigmoid", &["@"], "p", &[]);
    let model = wrong.model().encode_to_vec();
    let json = SHORT.replace("\"epochs\": 12", "\"epochs\": 30");
    let accuracy = json.replace("{", "{\"metric\": \"accuracy\", ");
    let done = convert(&job(&model, &x, Some(npz(INPUTS, &x, Some(&y))), &accuracy)).unwrap();
    let p = outputs(&done.proxy, &x);
    assert!(p.iter().all(|p| (0.0..=1.0).contains(p)), "the proxy gives probabilities");
    let right = p.iter().zip(&y).filter(|(p, y)| (**p > 0.5) as i64 == **y).count() as f64 / y.len() as f64;
    let metric = done.report["proxy"]["metric"].as_f64().unwrap();
    assert!((metric - right).abs() < 1e-9 && right > 0.9, "{metric}, computed again {right}");
    assert!(done.report["source"]["metric"].as_f64().unwrap() < 0.7);
    // finer than a start of four bits
    assert!(p.iter().any(|p| (p * 16.0).fract() != 0.0), "the probabilities are on a grid of 1/16");
    // the area does not care for the threshold
    let auc = convert(&job(&model, &x, Some(npz(INPUTS, &x, Some(&y))), &json.replace("{", "{\"metric\": \"auc\", "))).unwrap();
    let scores = outputs(&auc.proxy, &x);
    let (mut sum, mut pairs) = (0.0, 0.0);
    for (a, _) in scores.iter().zip(&y).filter(|s| *s.1 == 1) {
        for (b, _) in scores.iter().zip(&y).filter(|s| *s.1 == 0) {
            sum += if a > b { 1.0 } else { 0.5 * (a == b) as u8 as f64 };
            pairs += 1.0;
        }
    }
    let metric = auc.report["proxy"]["metric"].as_f64().unwrap();
    assert!((metric - sum / pairs).abs() < 1e-9, "{metric} instead of {}", sum / pairs);
}

#[test]
fn several_answers_of_one_output_are_judged_each() {
    let x = samples(400, 5);
    let answers: Vec<f32> =
        x.chunks(INPUTS).flat_map(|r| [r[0] > 0.0, r[1] > r[2], r[3] > 0.4].map(|b| b as u8 as f32)).collect();
    let file = npz_of(&[("x", INPUTS, &x), ("y", 3, &answers)], &[]);
    let done = convert(&job(&net(3, "Sigmoid"), &x, Some(file.clone()), &SHORT.replace("12", "30"))).unwrap();
    let task = &done.report["task"]["targets"][0];
    assert_eq!(
        (&task["taken_as"], &task["loss"], &done.report["metric"]),
        (&"yes_or_no".into(), &"bce".into(), &"accuracy".into())
    );
    let p = outputs(&done.proxy, &x);
    let right = p.iter().zip(&answers).filter(|(p, y)| (**p > 0.5) == (**y > 0.5)).count() as f64 / p.len() as f64;
    let metric = done.report["proxy"]["metric"].as_f64().unwrap();
    assert!((metric - right).abs() < 1e-9 && right > 0.85, "{metric}, computed again {right}");
    // logits, where the loss says so
    let open = plan(&job(&net(3, ""), &x, Some(file), &SHORT.replace("{", "{\"loss\": \"bce\", "))).unwrap();
    assert_eq!((&open["metric"], &open["task"]["targets"][0]["taken_as"]), (&"accuracy".into(), &"yes_or_no".into()));
    // one of several Sigmoids is a class
    let y = classes(&x);
    let one = convert(&job(&net(3, "Sigmoid"), &x, Some(npz(INPUTS, &x, Some(&y))), &SHORT.replace("12", "30"))).unwrap();
    assert_eq!(
        (&one.report["task"]["targets"][0]["taken_as"], &one.report["task"]["targets"][0]["loss"]),
        (&"classes".into(), &"bce".into())
    );
    let p = outputs(&one.proxy, &x);
    let right = p.chunks(3).zip(&y).filter(|(row, y)| hgq_onnx::convert::task::metric::predicted(row) as i64 == **y).count();
    let metric = one.report["proxy"]["metric"].as_f64().unwrap();
    assert!((metric - right as f64 / y.len() as f64).abs() < 1e-9 && metric > 0.8, "{metric}");
}

/// Tanh gives no logits: its two sides are reached as values, and judged by the middle.
#[test]
fn sides_of_a_bounded_output_are_values_to_reach() {
    let x = samples(400, 6);
    let signs: Vec<i64> = yes(&x).iter().map(|y| 2 * y - 1).collect();
    let done =
        convert(&job(&net(1, "Tanh"), &x, Some(npz(INPUTS, &x, Some(&signs))), &by_accuracy().replace("12", "30"))).unwrap();
    let task = &done.report["task"]["targets"][0];
    assert_eq!(
        (&task["taken_as"], &task["loss"], &done.report["metric"]),
        (&"yes_or_no".into(), &"mse".into(), &"accuracy".into())
    );
    let t = outputs(&done.proxy, &x);
    let right = t.iter().zip(&signs).filter(|(t, s)| (**t > 0.0) == (**s > 0)).count() as f64 / t.len() as f64;
    let metric = done.report["proxy"]["metric"].as_f64().unwrap();
    assert!((metric - right).abs() < 1e-9 && right > 0.85, "{metric}, computed again {right}");
    let bce = SHORT.replace("{", "{\"loss\": \"bce\", ");
    let Err(Error::Config(faults)) = plan(&job(&net(1, "Tanh"), &x, Some(npz(INPUTS, &x, Some(&signs))), &bce)) else { panic!() };
    assert!(faults[0].contains("loss: bce") && faults[0].contains("logits"), "{faults:?}");
}

#[test]
fn labels_that_are_none_are_refused_with_the_cure() {
    let x = samples(60, 7);
    let says = |outputs: usize, end: &str, y: &[i64], words: &[&str]| {
        let train = npz(INPUTS, &x, Some(y));
        let Err(Error::Data(faults)) = plan(&job(&net(outputs, end), &x, Some(train), "{}")) else {
            panic!("accepted: {words:?}")
        };
        for word in words {
            assert!(faults[0].contains("train") && faults[0].contains(word), "{word}: {faults:?}");
        }
    };
    let from_one: Vec<i64> = (0..60).map(|n| n % 3 + 1).collect();
    says(3, "", &from_one, &["1 to 3", "subtract 1"]);
    says(4, "", &from_one.iter().map(|l| l + 1).collect::<Vec<_>>(), &["label 4", "go from 2 to 4"]);
    let two: Vec<i64> = (0..60).map(|n| n % 2 + 1).collect();
    says(1, "", &two, &["1 and 2", "subtract 1", "floats"]);
    says(1, "Sigmoid", &from_one, &["from 1 to 3", "Sigmoid"]);
    let signs: Vec<i64> = (0..60).map(|n| n % 2 * 2 - 1).collect();
    says(2, "", &signs, &["-1 and 1", "give 0 and 1"]);
    // counts of a single output are values
    let counts: Vec<i64> = (0..60).map(|n| n % 7).collect();
    let values = plan(&job(&net(1, ""), &x, Some(npz(INPUTS, &x, Some(&counts))), "{}")).unwrap();
    assert_eq!((&values["metric"], &values["task"]["targets"][0]["taken_as"]), (&"mse".into(), &"values".into()));
}

#[test]
fn arrays_that_nobody_reads_are_named() {
    let x = samples(60, 8);
    let y = classes(&x);
    let warned = |model: &[u8], train: Vec<u8>| -> Vec<String> {
        let plan = plan(&job(model, &x, Some(train), "{}")).unwrap();
        let all = plan["warnings"].as_array().unwrap().iter().filter(|w| w["code"] == "array_unread");
        all.map(|w| w["message"].as_str().unwrap().to_string()).collect()
    };
    let model = net(3, "");
    let found = warned(&model, npz_of(&[("x", INPUTS, &x)], &[("labels", &y)]));
    assert_eq!(found.len(), 1, "{found:?}");
    for word in ["train (`t.npz`)", "`labels`", "no `y`", "rename it"] {
        assert!(found[0].to_lowercase().contains(word), "{word}: {found:?}");
    }
    let weighted = warned(&model, npz_of(&[("x", INPUTS, &x), ("weights", 1, &[1.0; 60])], &[("y", &y)]));
    assert!(weighted.len() == 1 && weighted[0].ends_with("`weights` is not read"), "{weighted:?}");
    assert_eq!(warned(&model, npz(INPUTS, &x, Some(&y))), Vec::<String>::new());
    // labels beside the calibration samples count only with --train
    let mut alone = job(&model, &x, None, "{}");
    alone.calibration = file("cal.npz", npz(INPUTS, &x, Some(&y)));
    let plan = plan(&alone).unwrap();
    let text = plan["warnings"].to_string();
    assert!(text.contains("`y` is not read") && text.contains("--train"), "{text}");
}

#[test]
fn without_targets_the_end_of_the_model_decides_on_the_metric() {
    let x = samples(300, 9);
    let planned = |model: &[u8], json: &str| plan(&job(model, &x, None, json)).unwrap();
    let metric = |outputs: usize, end: &str, json: &str| {
        let plan = planned(&net(outputs, end), json);
        (plan["metric"].as_str().unwrap().to_string(), plan["task"]["metric_because"].as_str().unwrap().to_string())
    };
    let (name, why) = metric(3, "", "{}");
    assert!(name == "relative_error" && why.contains("no Softmax or ArgMax"), "{name}: {why}");
    let (name, why) = metric(3, "Softmax", "{}");
    assert!(name == "agreement" && why.contains("Softmax"), "{name}: {why}");
    assert_eq!(metric(1, "", "{}").0, "relative_error");
    assert_eq!(metric(3, "", r#"{"loss": "cross_entropy"}"#).0, "agreement");
    assert_eq!(metric(3, "", r#"{"metric": "agreement"}"#).0, "agreement");
    assert_eq!(metric(3, "Softmax", r#"{"metric": "relative_error"}"#).0, "relative_error");
    assert_eq!(planned(&net(3, ""), "{}")["task"]["targets"][0]["loss"], "mse");
    assert_eq!(planned(&net(3, ""), r#"{"metric": "agreement"}"#)["task"]["targets"][0]["loss"], "cross_entropy");
    // the figure is that of the proxy's outputs
    let json = r#"{"epochs": 8, "threads": 1, "validation_fraction": 0, "target_ebops": 4000}"#;
    let done = convert(&job(&net(3, ""), &x, None, json)).unwrap();
    let exact =
        convert(&job(&net(3, ""), &x, None, r#"{"epochs": 0, "threads": 1, "init_bits": {"weights": 18, "activations": 14}}"#))
            .unwrap();
    let (a, b) = (outputs(&done.proxy, &x), outputs(&exact.proxy, &x));
    let mean = |c: usize| b.iter().skip(c).step_by(3).sum::<f64>() / 300.0;
    let means = [mean(0), mean(1), mean(2)];
    let spread: f64 = b.chunks(3).flat_map(|r| (0..3).map(move |c| (r[c] - means[c]).powi(2))).sum();
    let error: f64 = a.iter().zip(&b).map(|(a, b)| (a - b).powi(2)).sum();
    let (got, want) = (done.report["proxy"]["metric"].as_f64().unwrap(), (error / spread).sqrt());
    assert!((got - want).abs() < 0.01 * want + 1e-4, "{got} instead of {want}");
    assert_eq!(done.report["source"]["metric"], 0.0);
}

/// A file that ends in labels is taken at its scores.
#[test]
fn decoded_labels_are_left_off() {
    let x = samples(40, 10);
    let build = |softmax: bool, top: bool, opset: i64| {
        let mut net = Net::new(opset, &[-1, INPUTS as i64]);
        net.dense("hidden", INPUTS, 10).node("Relu", &["@"], "active", &[]).dense("z", 10, 3);
        if softmax {
            net.node("Softmax", &["@"], "p", &[("axis", Attr::I(1))]);
        }
        if top {
            net.constant(
                "k",
                hgq_onnx::onnx::Tensor {
                    values: hgq_onnx::onnx::Values::I64(vec![1]),
                    data_type: hgq_onnx::onnx::proto::tensor_proto::DataType::Int64,
                    shape: vec![1],
                },
            );
            net.node("TopK", &["@", "k"], "best", &[("axis", Attr::I(-1))]);
            let node = net.graph.node.last_mut().unwrap();
            node.output = vec!["best".into(), "index".into()];
            net.last = "index".into();
        } else {
            net.node("ArgMax", &["@"], "label", &[("axis", Attr::I(1)), ("keepdims", Attr::I(0))]);
        }
        net.model().encode_to_vec()
    };
    for (softmax, top) in [(false, false), (true, false), (false, true), (true, true)] {
        let done = convert(&job(&build(softmax, top, 13), &x, None, r#"{"epochs": 0}"#)).unwrap();
        let found = codes(&done.report);
        assert!(found.contains(&"label_output_dropped"), "{softmax} {top}: {found:?}");
        assert!(!found.contains(&"import_unchecked"), "{}", done.report["warnings"]);
        assert_eq!(found.contains(&"softmax_dropped"), softmax);
        assert_eq!((&done.report["metric"], outputs(&done.proxy, &x).len()), (&"agreement".into(), 3 * 40));
        // the same scores as without the label
        let plain = convert(&job(&net(3, ""), &x, None, r#"{"epochs": 0}"#)).unwrap();
        assert_eq!(outputs(&done.proxy, &x), outputs(&plain.proxy, &x));
    }
    // over the batch there are no classes
    let mut batch = Net::new(13, &[-1, INPUTS as i64]);
    batch.dense("z", INPUTS, 3).node("ArgMax", &["@"], "label", &[("axis", Attr::I(0))]);
    let Err(Error::Unsupported(nodes)) = plan(&job(&batch.model().encode_to_vec(), &x, None, "{}")) else { panic!() };
    assert!(nodes[0].reason.contains("the batch"), "{nodes:?}");
}
