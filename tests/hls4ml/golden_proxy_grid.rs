//! trace_minmax, exact formats, EBOPs and the proxy's numbers against the real HGQ 0.2.6
//! (`fixtures/golden/v1_proxy`): models `conv` (a format per position, max pooling), `bn`
//! (normalisation folded with its moving statistics, docs/hgq-spec.md#a3-1), `add` (sum,
//! concatenation) and `lut`. HGQ's tables in `lut` are none of hls4ml's: what they read and what
//! follows them is compared, their values enter as inputs.

use crate::support::chain::{Chain, pooling, window};
use crate::support::files::fixture;
use crate::support::hls4ml;
use crate::support::reference::{Arrays, json};
use hgq_onnx::graph::{Node, Window};
use hgq_onnx::ops::{Elementwise, Merge, Move};
use hgq_onnx::proxy::{self, Form};
use hgq_onnx::quant::exact::Exact;
use hgq_onnx::quant::model::FixedTensor;
use hgq_onnx::quant::{FixedModel, FixedOp, FixedQuantizer, Kif, Overflow, QOp, Rounding, ebops, interval};
use hgq_onnx::trace::{FormatOptions, fix, formats, trace_minmax};
use hgq_onnx::verify::fixed::Program;
use serde_json::Value;

/// ε of the normalisation, docs/hgq-spec.md#a3-1.
const EPSILON: f32 = 1e-3;

/// An input that holds `function` of the value `of`.
struct Lookup {
    input: usize,
    of: usize,
    function: fn(f32) -> f32,
}

struct Net<'a> {
    z: &'a Arrays,
    name: &'a str,
    chain: Chain,
    lookups: Vec<Lookup>,
}

impl<'a> Net<'a> {
    /// A net that starts with the quantizer `q`.
    fn new(z: &'a Arrays, name: &'a str) -> Net<'a> {
        let chain = Chain::shaped(&z.shape(&format!("{name}|x_cal"))[1..]);
        let mut net = Net { z, name, chain, lookups: vec![] };
        net.quantizer("q");
        net
    }

    fn get(&self, what: &str) -> Vec<f32> {
        self.z.f32(&format!("{}|hgq|{what}", self.name))
    }

    fn quantizer(&mut self, layer: &str) -> usize {
        let f: Vec<f32> = self.get(&format!("{layer}|act_f")).iter().map(|v| v.clamp(-23.0, 23.0)).collect();
        self.chain.traced(&format!("{layer}_q"), &f, Rounding::HalfUp).at()
    }

    /// A layer with its quantizer, and Relu after it.
    fn layer(&mut self, name: &str, w: Option<Window>, relu: bool) -> usize {
        let mut weight = self.get(&format!("{name}|kernel"));
        let mut bias = self.get(&format!("{name}|bias"));
        let f = self.get(&format!("{name}|kernel_f")).iter().map(|v| v.clamp(-23.0, 23.0)).collect();
        // HGQ's bias itself is not scaled
        if self.z.has(&format!("{}|hgq|{name}|bn_gamma", self.name)) {
            let [gamma, beta, mean, variance] =
                ["bn_gamma", "bn_beta", "moving_mean", "moving_variance"].map(|what| self.get(&format!("{name}|{what}")));
            let outputs = bias.len();
            let scale: Vec<f32> = gamma.iter().zip(&variance).map(|(g, v)| g / (v + EPSILON).sqrt()).collect();
            for (at, w) in weight.iter_mut().enumerate() {
                *w *= scale[at % outputs];
            }
            for (o, b) in bias.iter_mut().enumerate() {
                *b = *b - mean[o] * scale[o] + beta[o];
            }
        }
        match w {
            Some(w) => self.chain.conv(name, w, weight, bias, f),
            None => self.chain.dense(name, weight, bias, f),
        };
        self.quantizer(name);
        if relu {
            self.chain.op(&format!("{name}_relu"), QOp::Elementwise(Elementwise::Relu));
        }
        self.chain.at()
    }

    /// Goes on with `function` of the present value, quantized.
    fn lookup(&mut self, layer: &str, function: fn(f32) -> f32) {
        let (of, shape) = (self.chain.at(), self.chain.shape());
        let input = self.chain.input(layer, &shape);
        self.lookups.push(Lookup { input, of, function });
        self.chain.go(input);
        self.quantizer(layer);
    }

    /// All inputs for `x`; `fixed` makes the fixed model of what is known so far.
    fn inputs(&self, x: Vec<f32>, n: usize, fixed: impl Fn(&[&[f32]]) -> FixedModel) -> Vec<Vec<f32>> {
        let m = &self.chain.0;
        let mut all = vec![x];
        all.extend(self.lookups.iter().map(|l| vec![0.0; n * m.len_of(l.input)]));
        for (at, l) in self.lookups.iter().enumerate() {
            let borrowed: Vec<&[f32]> = all.iter().map(Vec::as_slice).collect();
            let model = fixed(&borrowed);
            let value = Exact::new(&model).unwrap().run(&borrowed, n, &[l.of]).remove(0);
            all[at + 1] = value.iter().map(|&v| (l.function)(v as f32)).collect();
        }
        all
    }

    /// HGQ's numbers on the test data, saturating, out of stock hls4ml; of a net without lookups.
    fn judge(&self) {
        let (z, name, m) = (self.z, self.name, &self.chain.0);
        let [calibration, test] = ["x_cal", "x_test"].map(|what| z.f32(&format!("{name}|{what}")));
        let [samples, tests] = ["x_cal", "x_test"].map(|what| z.shape(&format!("{name}|{what}"))[0]);
        let ranges = trace_minmax(m, &[&calibration], samples).unwrap();
        let fixed = fix(m, &ranges, &FormatOptions { cover_factor: 1.0, lower_annotated: true }).unwrap();
        let emitted = proxy::emit(&fixed, Form::Sums).unwrap();
        let output = emitted.model.graph.as_ref().unwrap().output[0].name().to_string();
        let y = z.get(&format!("{name}|cf1.0|ag0|y_proxy_test")).to_vec();
        let expected = vec![(output.as_str(), y)];
        let job = hls4ml::Job {
            proxy: &emitted.bytes,
            inputs: vec![&test],
            samples: tests,
            expected,
            port: None,
            settings: serde_json::Value::Null,
        };
        for v in hls4ml::check(&[job]).into_iter().flatten() {
            assert_eq!((v.elements, v.mismatches), ((tests * m.len_of(m.outputs[0])) as u64, 0), "{name}: {}", v.note);
        }
    }

    fn check(&self) {
        let (z, name, m) = (self.z, self.name, &self.chain.0);
        let meta = json(&fixture("golden/v1_proxy.json"));
        let runs = meta[name]["runs"].as_object().unwrap();
        assert!(!runs.is_empty());
        for (cf, run_meta) in runs {
            let options = FormatOptions { cover_factor: cf[2..].parse().unwrap(), lower_annotated: true };
            let samples = z.shape(&format!("{name}|x_cal"))[0];
            let traced = |x: &[&[f32]]| fix(m, &trace_minmax(m, x, samples).unwrap(), &options).unwrap();
            let calibration = self.inputs(z.f32(&format!("{name}|x_cal")), samples, traced);
            let calibration: Vec<&[f32]> = calibration.iter().map(Vec::as_slice).collect();
            let ranges = trace_minmax(m, &calibration, samples).unwrap();
            let fixed = fix(m, &ranges, &options).unwrap();
            let prefix = format!("{name}|{cf}");
            for (n, node) in m.nodes.iter().enumerate() {
                let (QOp::Quantizer(q), FixedOp::Quantize(fq), Some(r)) = (&node.op, &fixed.nodes[n].op, &ranges.by_node[n])
                else {
                    continue;
                };
                let layer = node.name.trim_end_matches("_q");
                let got = |what: &str| z.get(&format!("{prefix}|{layer}|{what}"));
                let f = q.rounded_f();
                for (e, &format) in fq.formats.iter().enumerate() {
                    let g = q.groups.of(e);
                    if q.groups.is_elementwise() {
                        let want = (got("min")[g], got("max")[g]);
                        let covered = formats::cover(r.min[e], r.max[e], f[g], options.cover_factor);
                        assert_eq!(covered, want, "{prefix} {layer} range {e}");
                    }
                    let want = Kif::new(got("k")[g] != 0.0, got("i")[g] as i32, got("f")[g] as i32);
                    assert_eq!(format, formats::legal(want), "{prefix} {layer} format {e}");
                }
            }
            let bounds = interval::bounds(&fixed).unwrap();
            for layer in ebops::layers(&fixed, &bounds) {
                let layer_name = &fixed.nodes[layer.node].name;
                if let FixedOp::Dense(d) = &fixed.nodes[layer.node].op {
                    let kernel: Vec<f64> = (0..d.weight.ints.len()).map(|e| d.weight.value(e)).collect();
                    assert_eq!(kernel, z.get(&format!("{prefix}|ag0|plain|{layer_name}|kernel")), "{prefix} {layer_name} kernel");
                }
            }
            assert_eq!(ebops::ebops(&fixed, &bounds), run_meta["bops"].as_f64().unwrap() as u64, "{prefix} EBOPs");
            let wrapping = wrapping(&fixed, z, &run_meta["ag1|plain"], &format!("{prefix}|ag1|plain"));
            for (what, model) in [("ag0", &fixed), ("ag1", &wrapping)] {
                for split in ["cal", "test"] {
                    let n = z.shape(&format!("{name}|x_{split}"))[0];
                    let x = self.inputs(z.f32(&format!("{name}|x_{split}")), n, |_| model.clone());
                    let x: Vec<&[f32]> = x.iter().map(Vec::as_slice).collect();
                    let y = Exact::new(model).unwrap().run(&x, n, &model.outputs).remove(0);
                    assert_eq!(y, z.get(&format!("{prefix}|{what}|y_proxy_{split}")), "{prefix} {what} {split}");
                    if what == "ag0" {
                        for form in [Form::Sums, Form::Concat] {
                            let emitted = proxy::emit(model, form).unwrap();
                            let program = Program::from_bytes(&emitted.bytes).unwrap();
                            assert_eq!(program.run(&x, n).unwrap().outputs[0].to_f64(), y, "{prefix} {split} {form:?} executed");
                        }
                    }
                }
            }
        }
    }
}

/// HGQ's aggressive proxy: WRAP everywhere, with a Relu a uniform signed quantizer before it and
/// the per-element one after; rounding as recorded in `layers`, half an LSB in the bias where that
/// replaces it.
fn wrapping(fixed: &FixedModel, z: &Arrays, layers: &Value, plain: &str) -> FixedModel {
    let rounding = |quantizer: &str| {
        let layer = layers.as_array().unwrap().iter().find(|l| l["name"] == quantizer);
        match layer.unwrap_or_else(|| panic!("no {quantizer}"))["RND"].as_str() {
            Some("RND") => Rounding::HalfUp,
            Some("TRN") => Rounding::Floor,
            other => panic!("{quantizer}: rounding {other:?}"),
        }
    };
    let mut out = fixed.clone();
    let mut moved = vec![];
    for n in 0..out.nodes.len() {
        let relu = out
            .consumers(out.nodes[n].output)
            .iter()
            .any(|&c| matches!(out.nodes[c].op, FixedOp::Elementwise(Elementwise::Relu)));
        let name = out.nodes[n].name.clone();
        let layer = name.trim_end_matches("_q");
        match &mut out.nodes[n].op {
            FixedOp::Dense(d) => d.bias = FixedTensor::from_f64(z.get(&format!("{plain}|{name}|bias"))).unwrap(),
            FixedOp::Quantize(q) => {
                q.overflow = Overflow::Wrap;
                if relu {
                    let after = rounding(&format!("{layer}_relu_quantizer"));
                    moved.push((n + 1, FixedQuantizer { rounding: after, ..q.clone() }));
                    let [k, b, i] = ["k", "b", "i"].map(|what| z.get(&format!("{plain}|{layer}_quantizer|{what}"))[0]);
                    q.formats = vec![Kif::new(k != 0.0, (i - k) as i32, (b - i) as i32); q.formats.len()];
                }
                let before = if layer == "q" { "q".into() } else { format!("{layer}_quantizer") };
                // a table's values are rounded when it is made
                q.rounding = if layer.starts_with('a') && layer != "add" { Rounding::HalfUp } else { rounding(&before) };
            }
            _ => {}
        }
    }
    // [dense, quantizer, relu] → [dense, uniform quantizer, relu, quantizer]; from after, so that
    // places hold
    for (relu, quantizer) in moved.into_iter().rev() {
        assert!(matches!(out.nodes[relu].op, FixedOp::Elementwise(Elementwise::Relu)), "Relu right after its quantizer");
        let from = out.nodes[relu].output;
        let name = format!("{}_q", out.nodes[relu].name);
        let value = out.add_value(&name, out.values[from].shape.clone());
        let readers = out.nodes[relu + 1..].iter_mut().flat_map(|n| &mut n.inputs).chain(&mut out.outputs);
        readers.filter(|v| **v == from).for_each(|v| *v = value);
        out.nodes.insert(relu + 1, Node { name, op: FixedOp::Quantize(quantizer), inputs: vec![from], output: value });
    }
    out
}

fn arrays() -> Arrays {
    Arrays::load(&fixture("golden/v1_proxy.npz"))
}

#[test]
#[ignore = "needs hls4ml"]
fn a_format_per_position() {
    let z = arrays();
    let mut net = Net::new(&z, "conv");
    net.layer("c0", Some(window([6, 6, 1], [3, 3], [1, 1])), true);
    net.chain.max_pool("mp", pooling([4, 4, 3], [2, 2]));
    net.layer("c1", Some(window([2, 2, 3], [2, 2], [1, 1])), false);
    net.chain.flatten("fl");
    net.layer("d1", None, false);
    net.check();
    // its output 0 is a lone sign bit
    net.judge();
}

#[test]
fn folded_normalisation() {
    let z = arrays();
    let mut net = Net::new(&z, "bn");
    net.layer("c0", Some(window([1, 8, 2], [1, 3], [1, 1])), true);
    net.chain.flatten("fl");
    net.layer("d0", None, true);
    net.layer("d1", None, false);
    net.check();
}

#[test]
fn a_sum_and_a_concatenation() {
    let z = arrays();
    let mut net = Net::new(&z, "add");
    let x = net.chain.at();
    let a = net.layer("d0", None, false);
    net.chain.go(x);
    let b = net.layer("d1", None, true);
    net.chain.node("add", QOp::Merge(Merge::Add), vec![a, b], &[3]);
    let sum = net.quantizer("add");
    net.chain.node("cat", QOp::Move(Move::Concat { axis: 0 }), vec![sum, a], &[6]);
    net.layer("d2", None, false);
    net.check();
}

fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}

#[test]
fn around_tables() {
    let z = arrays();
    let mut net = Net::new(&z, "lut");
    net.layer("d0", None, false);
    net.lookup("a0", f32::tanh);
    net.layer("d1", None, false);
    net.lookup("a1", sigmoid);
    net.check();
}
