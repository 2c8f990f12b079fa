//! The proxy computes what the exact model computes: every form, every rounding, every operation,
//! on the executor.

use crate::support::nets::{Net, Rng, all_samples, reference_of, samples};
use crate::support::published;
use hgq_onnx::proxy::{self, Form, Reason};
use hgq_onnx::quant::exact::Exact;
use hgq_onnx::quant::{FixedModel, FixedOp, Kif, Overflow, Rounding};
use hgq_onnx::verify::fixed::Program;

const FORMS: [Form; 3] = [Form::Sums, Form::Concat, Form::Uniform];
const SAMPLES: usize = 150;

fn agrees(label: &str, model: &FixedModel) {
    for form in FORMS {
        let target = if form == Form::Uniform { proxy::uniform::envelope(model) } else { model.clone() };
        let emitted = proxy::emit(model, form).unwrap_or_else(|e| panic!("{label} {form:?}: {e}"));
        let program = Program::with_port(&emitted.model, emitted.input_port).unwrap_or_else(|e| panic!("{label} {form:?}: {e}"));
        let x = all_samples(model, &mut Rng::new(7), SAMPLES);
        let x: Vec<&[f32]> = x.iter().map(|x| &x[..]).collect();
        let got = program.run(&x, SAMPLES).expect("runs");
        let want = reference_of(&target, &x, SAMPLES, emitted.input_port.fractional);
        assert_eq!(got.outputs.len(), want.len());
        for (got, want) in got.outputs.iter().zip(&want) {
            let got = got.to_f64();
            assert_eq!(got.len(), want.len(), "{label} {form:?}");
            for (at, (g, w)) in got.iter().zip(want).enumerate() {
                let n = want.len() / SAMPLES;
                assert_eq!(g, w, "{label} {form:?}: sample {} element {}", at / n, at % n);
            }
        }
    }
}

/// The pipeline's own exact evaluation, on the floats as they are.
fn same_as_exact_evaluation(model: &FixedModel) {
    let x = samples(&mut Rng::new(8), model.len_of(model.inputs[0]), SAMPLES);
    let exact = Exact::new(model).expect("within the limits").run(&[&x], SAMPLES, &model.outputs);
    let emitted = proxy::emit(model, Form::Sums).expect("a proxy");
    let got = Program::from_bytes(&emitted.bytes).expect("compiles").run(&[&x], SAMPLES).expect("runs");
    assert_eq!(got.outputs[0].to_f64(), exact[0]);
}

/// The typical chain with everything per element.
fn chain(seed: u64, rounding: Rounding, output: bool) -> FixedModel {
    let mut r = Rng::new(seed);
    let first = if matches!(rounding, Rounding::Ceil | Rounding::HalfDown) { Rounding::HalfUp } else { rounding };
    let net =
        Net::new(&[6]).random_quantize(&mut r, true, first).dense(&mut r, 9).relu().random_quantize(&mut r, false, rounding);
    let net = net.dense(&mut r, 7).random_quantize(&mut r, true, rounding).dense(&mut r, 4);
    if output { net.random_quantize(&mut r, true, rounding).done() } else { net.done() }
}

#[test]
fn random_chains_of_every_rounding() {
    let modes = [Rounding::HalfUp, Rounding::HalfEven, Rounding::Floor, Rounding::Ceil, Rounding::HalfDown];
    for seed in 0..60 {
        for rounding in modes {
            let model = chain(seed, rounding, seed % 2 == 0);
            agrees(&format!("seed {seed} {rounding:?}"), &model);
            if rounding != Rounding::HalfEven {
                // inputs finer than the port: floor and half-up do not notice that it truncates
                same_as_exact_evaluation(&model);
            }
        }
    }
}

#[test]
fn other_shapes_of_chains() {
    use Rounding::*;
    for seed in 100..130 {
        let mut r = Rng::new(seed);
        let r = &mut r;
        let label = |what: &str| format!("{what}, seed {seed}");
        let start = |r: &mut Rng| Net::new(&[5]).random_quantize(r, true, HalfUp).dense(r, 6);
        agrees(
            &label("quantize, relu, quantize"),
            &start(r).random_quantize(r, true, HalfUp).relu().random_quantize(r, false, HalfUp).dense(r, 3).done(),
        );
        agrees(&label("affine"), &start(r).affine(r, 6, 4).relu().random_quantize(r, false, HalfUp).dense(r, 3).done());
        agrees(&label("affine at the end"), &start(r).affine(r, 20, 15).done());
        agrees(
            &label("affine on a quantised value"),
            &start(r).random_quantize(r, true, Floor).affine(r, 5, 3).random_quantize(r, true, HalfUp).dense(r, 2).done(),
        );
        agrees(&label("affine first"), &Net::new(&[5]).affine(r, 5, 3).random_quantize(r, true, HalfUp).dense(r, 2).done());
        agrees(
            &label("no input quantizer"),
            &Net::new(&[5]).dense(r, 4).relu().random_quantize(r, false, HalfUp).dense(r, 3).done(),
        );
        agrees(&label("dense dense"), &start(r).dense(r, 5).random_quantize(r, true, HalfEven).done());
        agrees(&label("relu relu"), &start(r).relu().relu().done());
        agrees(&label("leaky"), &start(r).leaky(-3).random_quantize(r, true, HalfUp).dense(r, 3).done());
        agrees(&label("leaky floor"), &start(r).leaky(-1).random_quantize(r, true, Floor).dense(r, 3).leaky(-2).done());
        agrees(
            &label("two quantizers"),
            &start(r).random_quantize(r, true, HalfUp).random_quantize(r, true, HalfUp).dense(r, 3).done(),
        );
        agrees(
            &label("sigmoid"),
            &start(r).one_format(true, 3, 5, HalfUp).sigmoid().random_quantize(r, false, HalfUp).dense(r, 3).done(),
        );
        agrees(&label("tanh"), &start(r).random_quantize(r, true, HalfUp).tanh().one_format(true, 0, 7, Floor).done());
        agrees(&label("tanh at the end"), &start(r).random_quantize(r, true, HalfUp).tanh().done());
        agrees(
            &label("one format each"),
            &Net::new(&[5])
                .one_format(true, 2, 4, HalfUp)
                .dense(r, 4)
                .relu()
                .one_format(false, 2, 3, HalfUp)
                .dense(r, 3)
                .one_format(true, 3, 1, HalfUp)
                .done(),
        );
        agrees(
            &label("one format, round"),
            &Net::new(&[5])
                .one_format(true, 2, 4, HalfEven)
                .dense(r, 4)
                .relu()
                .one_format(false, 2, 3, HalfEven)
                .dense(r, 3)
                .done(),
        );
        agrees(
            &label("reshapes"),
            &Net::new(&[2, 3]).random_quantize(r, true, HalfUp).reshape(&[6]).dense(r, 4).reshape(&[2, 2]).done(),
        );
        agrees(&label("only a quantizer"), &Net::new(&[5]).random_quantize(r, true, HalfUp).done());
        let formats = (0..6).map(|_| r.format(true, 3)).collect();
        agrees(&label("symmetric"), &start(r).quantize_sym(formats, HalfUp).dense(r, 3).done());
    }
}

#[test]
fn everything_dead_leaves_constants() {
    let net = Net::new(&[3]).quantize(vec![Kif::ZERO; 3], Rounding::HalfUp);
    let model =
        net.given_dense(3, 2, vec![1, 2, 3, 4, 5, 6], 1, vec![5, -3], 2).relu().one_format(false, 2, 1, Rounding::HalfUp).done();
    agrees("no input bits", &model);
    let emitted = proxy::emit(&model, Form::Sums).unwrap();
    assert_eq!(emitted.removed[0].constant, [0, 1, 2]);
    let net = Net::new(&[3]).one_format(true, 1, 1, Rounding::HalfUp).given_dense(3, 2, vec![0; 6], 1, vec![0, 0], 2);
    agrees("no weights", &net.done());
    agrees("input is output", &Net::new(&[3]).done());
}

#[test]
fn dead_channels_are_gone() {
    let mut r = Rng::new(3);
    let formats = vec![Kif::new(true, 1, 3), Kif::ZERO, Kif::new(true, 1, 3), Kif::new(true, 0, 2)];
    // column 1 has no weights (its relu output is a constant), column 2 feeds nothing, input 3
    // feeds column 2 only
    let w = vec![3, 0, 0, 1, 1, 1, 1, 0, 0, 0, 0, 5];
    let net = Net::new(&[4]).quantize(formats, Rounding::HalfUp).given_dense(4, 3, w, 2, vec![1, 9, 3], 3).relu();
    let net = net.one_format(false, 2, 2, Rounding::HalfUp).given_dense(3, 2, vec![1, -1, 2, 3, 0, 0], 1, vec![0, 1], 1);
    let model = net.dense(&mut r, 2).done();
    agrees("dead channels", &model);
    let emitted = proxy::emit(&model, Form::Concat).unwrap();
    let of = |name: &str| emitted.removed.iter().find(|r| r.value == name).map(|r| (r.constant.clone(), r.unread.clone()));
    assert_eq!(of("v/0"), Some((vec![1], vec![3])));
    assert_eq!(of("v/3"), Some((vec![1], vec![2])));
}

#[test]
fn several_outputs_and_shared_values() {
    let mut r = Rng::new(11);
    let mut net = Net::new(&[5]).random_quantize(&mut r, true, Rounding::HalfUp).dense(&mut r, 6);
    let raw = net.last;
    net = net.relu().random_quantize(&mut r, false, Rounding::HalfUp);
    let hidden = net.last;
    net = net.dense(&mut r, 3);
    net.model.outputs = vec![raw, hidden];
    agrees("three outputs", &net.done());
}

#[test]
fn every_fault_is_named() {
    let mut r = Rng::new(5);
    let mut net =
        Net::new(&[3]).one_format(true, 1, 3, Rounding::Ceil).dense(&mut r, 4).one_format(true, 2, 8, Rounding::HalfUp).sigmoid();
    net = net.one_format(false, 0, 4, Rounding::HalfUp).dense(&mut r, 2).one_format(true, 2, 2, Rounding::HalfUp).tanh();
    net = net.one_format(true, 0, 4, Rounding::HalfEven).leaky(-20).one_format(true, 2, 2, Rounding::Floor);
    if let Some(FixedOp::Quantize(q)) = net.model.nodes.last_mut().map(|n| &mut n.op) {
        q.overflow = Overflow::Wrap;
    }
    let faults = proxy::emit(&net.done(), Form::Sums).unwrap_err().faults;
    let named: Vec<(&str, bool)> = faults
        .iter()
        .map(|f| {
            let fits = match f.node.as_str() {
                "node0" => matches!(f.reason, Reason::RoundingOfInput("ceil")),
                "node3" => matches!(f.reason, Reason::TableInput { limit: 6, found: 8, .. }),
                "node8" => matches!(f.reason, Reason::TableRounding { function: "Tanh" }),
                "node9" => matches!(f.reason, Reason::Parameter { function: "LeakyRelu", .. }),
                _ => matches!(f.reason, Reason::Wrap),
            };
            (f.node.as_str(), fits)
        })
        .collect();
    assert_eq!(named, [("node0", true), ("node3", true), ("node8", true), ("node9", true), ("node10", true)]);
}

#[test]
fn fine_inputs_ask_for_a_port() {
    let mut r = Rng::new(2);
    let model = Net::new(&[3]).one_format(true, 17, 18, Rounding::HalfUp).dense(&mut r, 2).done();
    let emitted = proxy::emit(&model, Form::Sums).unwrap();
    assert_eq!(emitted.input_port, Kif::new(true, 17, 19));
    let text = &emitted.warnings.iter().find(|w| w.code.name() == "input_port").unwrap().message;
    assert!(text.contains("cfg['LayerName']['x_0']['Precision']['result'] = 'fixed<37,18>'"), "{text}");
    agrees("wide port", &model);
    let usual = Net::new(&[3]).one_format(true, 15, 15, Rounding::HalfUp).dense(&mut r, 2).done();
    assert!(proxy::emit(&usual, Form::Sums).unwrap().warnings.is_empty());
}

#[test]
fn the_file_follows_the_contract() {
    let emitted = proxy::emit(&chain(4, Rounding::HalfUp, true), Form::Sums).unwrap();
    let graph = emitted.model.graph.as_ref().unwrap();
    let mut uses = std::collections::HashMap::new();
    let described: std::collections::HashSet<&str> =
        graph.value_info.iter().chain(&graph.input).chain(&graph.output).map(|v| v.name()).collect();
    for node in &graph.node {
        // of the layer that hls4ml makes of the node
        assert!(node.output[0].contains(node.name()), "{node:?}");
        for input in &node.input {
            *uses.entry(input.as_str()).or_insert(0) += 1;
            assert!(described.contains(input.as_str()), "{input}");
            assert!(
                input.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') && !input.starts_with(|c: char| c.is_ascii_digit())
            );
        }
    }
    for constant in &graph.initializer {
        assert_eq!(uses[constant.name()], 1, "{} is private", constant.name());
    }
    assert_eq!((graph.input[0].name(), graph.output[0].name()), ("x_0", "v_7"));
    assert_eq!(emitted.bytes, proxy::emit(&chain(4, Rounding::HalfUp, true), Form::Sums).unwrap().bytes, "deterministic");
}

#[test]
#[ignore = "needs ../shared"]
fn published_nets_give_their_published_outputs() {
    let Some(shared) = published::folder() else { return };
    let x = published::jets(&shared);
    let nets = published::nets(&shared, "");
    assert_eq!(nets.len(), 10);
    for (name, model, y) in nets {
        for form in [Form::Sums, Form::Concat] {
            let emitted = proxy::emit(&model, form).unwrap_or_else(|e| panic!("{name}: {e}"));
            let program = Program::from_bytes(&emitted.bytes).unwrap_or_else(|e| panic!("{name}: {e}"));
            let got = program.run(&[&x], 1000).unwrap();
            let differ = got.outputs[0].to_f64().iter().zip(&y).filter(|(a, b)| a != b).count();
            let nodes = emitted.model.graph.as_ref().map_or(0, |g| g.node.len());
            eprintln!("{name} {form:?}: {differ} of {} differ, {nodes} nodes, {} bytes", y.len(), emitted.bytes.len());
            assert_eq!(differ, 0, "{name} {form:?}");
        }
    }
}
