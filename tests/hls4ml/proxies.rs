//! Stock hls4ml computes what the exact model computes: 0 mismatches, ties and far-out inputs
//! included.

use crate::support::hls4ml;
use crate::support::judge::{self, Case};
use crate::support::nets::{Net, Rng, all_samples};
use crate::support::published;
use hgq_onnx::ops::{Elementwise, Merge, Table};
use hgq_onnx::proxy::target::{Io, Strategy};
use hgq_onnx::proxy::{self, Form, Target};
use hgq_onnx::quant::{FixedModel, Kif, Rounding};

const SAMPLES: usize = 400;

/// Judges every model in the given form in one Python process.
fn judge(cases: &[(&str, FixedModel, Form)]) {
    judge_on(cases, |model| all_samples(model, &mut Rng::new(9), SAMPLES));
}

fn judge_on(cases: &[(&str, FixedModel, Form)], inputs: impl Fn(&FixedModel) -> Vec<Vec<f32>>) {
    let cases: Vec<Case> =
        cases.iter().map(|(label, model, form)| Case { label, model, form: *form, target: Target::default() }).collect();
    judge::judge(&cases, SAMPLES, inputs);
}

#[test]
#[ignore = "needs hls4ml"]
fn heterogeneous_chains() {
    use Rounding::*;
    let mut cases = Vec::new();
    for (seed, form) in [(1, Form::Sums), (2, Form::Concat), (3, Form::Uniform), (4, Form::Sums)] {
        let mut r = Rng::new(seed);
        let r = &mut r;
        // another rounding in every quantizer
        let net = Net::new(&[6]).random_quantize(r, true, HalfUp).dense(r, 9).relu().random_quantize(r, false, Ceil);
        let net =
            net.dense(r, 7).random_quantize(r, true, HalfDown).dense(r, 6).relu().random_quantize(r, false, HalfEven).dense(r, 4);
        cases.push(("chain", if seed % 2 == 0 { net.random_quantize(r, true, Floor).done() } else { net.done() }, form));
    }
    judge(&cases);
}

#[test]
#[ignore = "needs hls4ml"]
fn other_layers() {
    use Rounding::*;
    let mut r = Rng::new(21);
    let r = &mut r;
    let start = |r: &mut Rng| Net::new(&[5]).random_quantize(r, true, HalfUp).dense(r, 6);
    let one = |r: &mut Rng| Net::new(&[5]).one_format(true, 2, 4, HalfUp).dense(r, 6);
    judge(&[
        (
            "quantize, relu",
            start(r).random_quantize(r, true, HalfUp).relu().random_quantize(r, false, HalfUp).dense(r, 3).done(),
            Form::Sums,
        ),
        ("affine of 24 bits", start(r).affine(r, 22, 18).relu().random_quantize(r, false, HalfUp).dense(r, 3).done(), Form::Sums),
        // PyTorch's slope in front of a coarse half-even step: hls4ml's own rounding aborted here
        (
            "leaky, coarse half even",
            Net::new(&[4])
                .one_format(true, 1, 2, Floor)
                .dense(r, 5)
                .leaky(-7)
                .one_format(true, 2, 0, HalfEven)
                .dense(r, 3)
                .done(),
            Form::Sums,
        ),
        // beyond the default precision that hls4ml gives the bias of a fused Mul and Add
        (
            "affine, fine shift",
            start(r).affine(r, 20, 22).relu().random_quantize(r, false, HalfUp).dense(r, 3).done(),
            Form::Sums,
        ),
        (
            "affine, one format",
            one(r).affine(r, 23, 19).relu().one_format(false, 2, 3, HalfUp).dense(r, 3).affine(r, 20, 15).done(),
            Form::Uniform,
        ),
        (
            "affine on a quantised value",
            start(r).random_quantize(r, true, Floor).affine(r, 5, 3).random_quantize(r, true, HalfUp).dense(r, 2).done(),
            Form::Concat,
        ),
        ("affine first", Net::new(&[5]).affine(r, 5, 3).random_quantize(r, true, HalfUp).dense(r, 2).done(), Form::Sums),
        (
            "no input quantizer",
            Net::new(&[5]).dense(r, 4).relu().random_quantize(r, false, HalfUp).dense(r, 3).done(),
            Form::Sums,
        ),
        ("dense dense", start(r).dense(r, 5).random_quantize(r, true, HalfEven).done(), Form::Sums),
        ("leaky", start(r).leaky(-3).random_quantize(r, true, HalfUp).dense(r, 3).leaky(-9).done(), Form::Sums),
        ("leaky floor", start(r).leaky(-1).random_quantize(r, true, Floor).dense(r, 3).done(), Form::Concat),
        (
            "reshapes",
            Net::new(&[2, 3]).random_quantize(r, true, HalfUp).reshape(&[6]).dense(r, 4).reshape(&[2, 2]).done(),
            Form::Sums,
        ),
    ]);
}

#[test]
#[ignore = "needs hls4ml"]
fn tables_and_edges() {
    use Rounding::*;
    let mut r = Rng::new(33);
    let r = &mut r;
    let start = |r: &mut Rng| Net::new(&[5]).random_quantize(r, true, HalfUp).dense(r, 6);
    let mut shared = start(r);
    let raw = shared.last;
    shared = shared.relu().random_quantize(r, false, HalfUp).dense(r, 3);
    shared.model.outputs.push(raw);
    judge(&[
        (
            "sigmoid",
            Net::new(&[4]).one_format(true, 4, 6, HalfUp).sigmoid().random_quantize(r, false, HalfUp).dense(r, 3).done(),
            Form::Sums,
        ),
        ("tanh", Net::new(&[4]).one_format(true, 3, 7, Floor).tanh().one_format(true, 0, 9, HalfUp).done(), Form::Uniform),
        ("sigmoid as it is", start(r).random_quantize(r, true, HalfUp).sigmoid().done(), Form::Concat),
        (
            "one format each",
            Net::new(&[5])
                .one_format(true, 2, 4, HalfEven)
                .dense(r, 4)
                .relu()
                .one_format(false, 2, 3, HalfEven)
                .dense(r, 3)
                .one_format(true, 3, 1, HalfUp)
                .done(),
            Form::Uniform,
        ),
        ("nothing lives", Net::new(&[3]).quantize(vec![Kif::ZERO; 3], HalfUp).dense(r, 2).done(), Form::Sums),
        ("wide port", Net::new(&[3]).one_format(true, 17, 18, HalfUp).dense(r, 2).done(), Form::Sums),
        ("only a quantizer", Net::new(&[6]).random_quantize(r, true, HalfUp).done(), Form::Sums),
        ("two outputs", shared.done(), Form::Sums),
        (
            "one bit signed",
            Net::new(&[3]).one_format(true, -1, 1, HalfUp).dense(r, 4).one_format(true, 0, 0, Floor).dense(r, 2).done(),
            Form::Sums,
        ),
    ]);
}

#[test]
#[ignore = "needs hls4ml"]
fn whole_tables_slopes_and_names() {
    use Rounding::*;
    let mut r = Rng::new(41);
    let r = &mut r;
    let mut named =
        Net::new(&[3]).one_format(true, 2, 3, HalfUp).dense(r, 4).relu().one_format(false, 2, 2, HalfUp).dense(r, 2).done();
    // keywords and names of the generated code
    for (value, name) in named.values.iter_mut().zip(["int", "w2", "layer2_out", "3", "a.b", "class"]) {
        value.name = name.to_string();
    }
    let formats = vec![Kif::new(true, 2, 1), Kif::new(true, 1, 0), Kif::new(true, 0, 3), Kif::new(true, 2, -1)];
    let symmetric = Net::new(&[3]).one_format(true, 2, 4, HalfUp).dense(r, 4).quantize_sym(formats, HalfUp).done();
    let cases = [
        ("sigmoid", Net::new(&[3]).one_format(true, 4, 6, Floor).sigmoid().done(), Form::Sums),
        ("tanh", Net::new(&[3]).one_format(true, 3, 7, Floor).tanh().done(), Form::Sums),
        ("slope 2^-16", Net::new(&[3]).one_format(true, 4, 4, HalfUp).leaky(-16).done(), Form::Sums),
        (
            "slope 13/64",
            Net::new(&[3]).one_format(true, 4, 6, HalfUp).function(Elementwise::LeakyRelu { slope: 13.0 / 64.0 }).done(),
            Form::Sums,
        ),
        (
            "slope 1.7",
            Net::new(&[3]).one_format(true, 4, 6, HalfUp).function(Elementwise::LeakyRelu { slope: 217.0 / 128.0 }).done(),
            Form::Sums,
        ),
        (
            "finest slope",
            Net::new(&[3]).one_format(true, 4, 4, HalfUp).function(Elementwise::LeakyRelu { slope: 255.0 / 8388608.0 }).done(),
            Form::Sums,
        ),
        (
            "softplus",
            Net::new(&[3]).one_format(true, 4, 6, Floor).function(Elementwise::Table(Table::Softplus)).done(),
            Form::Sums,
        ),
        (
            "softsign",
            Net::new(&[3]).one_format(true, 4, 6, Floor).function(Elementwise::Table(Table::Softsign)).done(),
            Form::Sums,
        ),
        ("elu", Net::new(&[3]).one_format(true, 4, 7, HalfUp).function(Elementwise::Elu { alpha: 1.0 }).done(), Form::Sums),
        (
            "elu 0.3",
            Net::new(&[3]).one_format(true, 4, 5, HalfUp).function(Elementwise::Elu { alpha: 153.0 / 512.0 }).done(),
            Form::Sums,
        ),
        (
            "elu, coarse half even",
            Net::new(&[3])
                .one_format(true, 4, 5, HalfUp)
                .function(Elementwise::Elu { alpha: 1.5 })
                .one_format(true, 3, 2, HalfEven)
                .done(),
            Form::Sums,
        ),
        ("selu", Net::new(&[3]).one_format(true, 4, 7, HalfUp).function(Elementwise::Selu).done(), Form::Sums),
        (
            "selu, half up",
            Net::new(&[3]).one_format(true, 4, 5, HalfUp).function(Elementwise::Selu).one_format(true, 4, 6, HalfUp).done(),
            Form::Sums,
        ),
        (
            "thresholded",
            Net::new(&[3]).one_format(true, 4, 5, HalfUp).function(Elementwise::ThresholdedRelu { alpha: 0.7 }).done(),
            Form::Sums,
        ),
        (
            "thresholded, unsigned",
            Net::new(&[3])
                .one_format(false, 3, 4, HalfUp)
                .function(Elementwise::ThresholdedRelu { alpha: 2.0 })
                .one_format(false, 3, 2, HalfEven)
                .done(),
            Form::Sums,
        ),
        ("slope 1", Net::new(&[3]).one_format(true, 4, 4, HalfUp).leaky(0).one_format(true, 3, 2, Floor).done(), Form::Sums),
        ("names", named, Form::Sums),
        ("symmetric", symmetric, Form::Sums),
    ];
    // every entry and both ends, on both input grids
    judge_on(&cases, |_| vec![(0..3 * SAMPLES).map(|n| (n as f32 - 600.0) / 64.0).collect()]);
    judge_on(&cases[1..2], |_| vec![(0..3 * SAMPLES).map(|n| (n as f32 - 600.0) / 128.0).collect()]);
}

/// Names that hls4ml, its attributes of layers, its passes or the code it writes have, and that
/// users give.
const TAKEN: [&str; 48] = [
    "input",
    "result",
    "strategy",
    "quantizer",
    "op",
    "reuse_factor",
    "target_cycles",
    "function_cpp",
    "config_cpp",
    "include_header",
    "output",
    "data",
    "weight",
    "bias",
    "scale",
    "index",
    "name",
    "class_name",
    "trace",
    "precision",
    "accum_t",
    "result_t",
    "table_t",
    "activation",
    "inputs",
    "outputs",
    "n_in",
    "n_out",
    "size",
    "value",
    "axis",
    "shift",
    "loaded_weights",
    "in",
    "pr",
    "e",
    "i",
    "res",
    "h",
    "h_act",
    "Dense_h",
    "clone_h",
    "h_cpy1",
    "bn_h",
    "x_ap",
    "nnet",
    "ap_fixed",
    "linear",
];

#[test]
#[ignore = "needs hls4ml"]
fn names_of_hls4ml_and_of_its_code() {
    use Rounding::*;
    let mut r = Rng::new(47);
    let r = &mut r;
    // a port of each name, and layers whose values have the next ones
    let mut models = Vec::new();
    for at in (0..TAKEN.len()).step_by(8) {
        let mut net = Net::new(&[3]).one_format(true, 2, 3, HalfUp).dense(r, 3).relu();
        for _ in 0..2 {
            net = net.one_format(false, 2, 2, HalfUp);
            let left = net.last;
            net = net.another_input(&[3]).random_quantize(r, true, HalfUp).merge(Merge::Add, left).one_format(true, 2, 3, HalfUp);
        }
        let mut model = net.dense(r, 2).done();
        for (value, n) in model.values.iter_mut().zip(at..) {
            value.name = TAKEN[n % TAKEN.len()].to_string();
        }
        models.push(model);
    }
    let stream = Target { io: Io::Stream, strategy: Strategy::Resource, ..Target::default() };
    let targets = [Target::default(), stream];
    let cases: Vec<Case> = models
        .iter()
        .enumerate()
        .map(|(n, model)| Case { label: "names", model, form: Form::Sums, target: targets[n % 2] })
        .collect();
    judge::judge(&cases, SAMPLES, |model| all_samples(model, &mut Rng::new(9), SAMPLES));
}

#[test]
#[ignore = "needs hls4ml and ../shared"]
fn published_net() {
    let Some(shared) = published::folder() else { return };
    let x = published::jets(&shared);
    for (name, model, y) in published::nets(&shared, "ebops530") {
        let emitted = [Form::Sums, Form::Concat].map(|form| proxy::emit(&model, form).expect("a proxy"));
        let output = "v_10";
        let job = |bytes| hls4ml::Job {
            proxy: bytes,
            inputs: vec![&x],
            settings: serde_json::Value::Null,
            samples: 1000,
            expected: vec![(output, y.clone())],
            port: None,
        };
        let Some(verdicts) = hls4ml::check(&[job(&emitted[0].bytes), job(&emitted[1].bytes)]) else { return };
        for v in verdicts {
            assert_eq!((v.elements, v.mismatches), (5000, 0), "{name}: {}", v.note);
        }
    }
}
