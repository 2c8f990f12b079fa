//! Convolutions, pooling and merges against HGQ v1 (fixtures/golden/v1_ebops): after trace_minmax
//! the exact formats, the exact EBOPs and every output are HGQ's. Layers with BatchNormalization
//! enter with their fused kernel.

use crate::support::chain::{groups, quantizer};
use crate::support::files::fixture;
use crate::support::reference::{Arrays, json};
use hgq_onnx::graph::{Node, Window};
use hgq_onnx::ops::{Elementwise, Merge, Move};
use hgq_onnx::quant::exact::Exact;
use hgq_onnx::quant::model::AveragePool;
use hgq_onnx::quant::{BiasBits, FixedOp, FixedTensor, Groups, Model, QDense, QOp, Range, Rounding, ebops};
use hgq_onnx::trace::{FormatOptions, fix, trace_minmax};

/// A graph over one golden model's arrays.
struct Net<'a> {
    model: Model,
    arrays: &'a Arrays,
    name: &'a str,
}

impl<'a> Net<'a> {
    fn new(arrays: &'a Arrays, name: &'a str) -> Net<'a> {
        let mut model = Model { name: name.into(), values: vec![], nodes: vec![], inputs: vec![], outputs: vec![] };
        let x = model.add_value("x", arrays.shape(&format!("{name}|x"))[1..].to_vec());
        model.inputs.push(x);
        Net { model, arrays, name }
    }

    fn key(&self, what: &str) -> String {
        format!("{}|{what}", self.name)
    }

    fn node(&mut self, name: &str, op: QOp, inputs: &[usize], shape: Vec<usize>) -> usize {
        let y = self.model.add_value(format!("{name}_out"), shape);
        self.model.nodes.push(Node { name: name.into(), op, inputs: inputs.to_vec(), output: y });
        self.model.outputs = vec![y];
        y
    }

    fn shape(&self, value: usize) -> Vec<usize> {
        self.model.values[value].shape.clone()
    }

    /// The activation quantizer of layer `layer`, as node `name`.
    fn quantizer(&mut self, name: &str, layer: &str, from: usize) -> usize {
        let f = self.arrays.f32(&self.key(&format!("{layer}|act_f")));
        let shape = self.shape(from);
        let q = quantizer(groups(f.len(), &shape), &f, Range::Traced, Rounding::HalfUp);
        self.node(name, QOp::Quantizer(q), &[from], shape)
    }

    /// The layer `name` with its quantizer after; `fused`: with the recorded fused kernel.
    fn layer(&mut self, name: &str, from: usize, window: Option<Window>, fused: bool) -> usize {
        let get = |net: &Net, what: &str| net.arrays.f32(&net.key(&format!("{name}|{what}")));
        let (weight, bias) = if fused { ("fused_kernel", "fused_bias") } else { ("w0|kernel", "w0|bias") };
        let (weight, bias, weight_f) = (get(self, weight), get(self, bias), get(self, "kernel_f"));
        let outputs = bias.len();
        let shape = match &window {
            None => vec![outputs],
            Some(w) if self.shape(from).len() == 2 => vec![w.output()[1], outputs],
            Some(w) => vec![w.output()[0], w.output()[1], outputs],
        };
        let dense = QDense {
            inputs: weight.len() / outputs,
            outputs,
            weight,
            weight_groups: Groups::elementwise(weight_f.len()),
            weight_f,
            bias,
            bias_bits: BiasBits::Activation,
            window,
            declared: None,
            trainable: true,
            ebops_scale: 1.0,
        };
        let z = self.node(name, QOp::Dense(dense), &[from], shape);
        self.quantizer(&format!("{name}_q"), name, z)
    }

    fn relu(&mut self, from: usize) -> usize {
        let shape = self.shape(from);
        self.node("relu", QOp::Elementwise(Elementwise::Relu), &[from], shape)
    }

    fn flat(&mut self, from: usize) -> usize {
        let len = self.model.len_of(from);
        self.node("flatten", QOp::Move(Move::Reshape), &[from], vec![len])
    }

    /// Compares everything after `trace_minmax`; `parallel`: EBOPs of this layer are counted for
    /// one of so many positions.
    fn check(&self, parallel: f64) {
        let meta = json(&fixture("golden/v1_ebops.json"));
        let x = self.arrays.f32(&self.key("x"));
        let samples = self.arrays.shape(&self.key("x"))[0];
        let ranges = trace_minmax(&self.model, &[&x], samples).unwrap();
        let fixed = fix(&self.model, &ranges, &FormatOptions { cover_factor: 1.0, lower_annotated: true }).unwrap();
        let exact = Exact::new(&fixed).unwrap();
        assert_eq!(exact.run(&[&x], samples, &fixed.outputs)[0], self.arrays.get(&self.key("y_infer")), "{}", self.name);
        for node in &fixed.nodes {
            let (FixedOp::Quantize(q), golden) = (&node.op, node.name.trim_end_matches("_q")) else { continue };
            let bits: Vec<f64> =
                ebops::wire_formats(&fixed, exact.bounds(), node.output).iter().map(|f| f.bits() as f64).collect();
            let golden = if node.name == "inp_q" { "inp_q" } else { golden };
            let relu = fixed
                .consumers(node.output)
                .iter()
                .any(|&c| matches!(fixed.nodes[c].op, FixedOp::Elementwise(Elementwise::Relu)));
            let want = self.arrays.get(&self.key(&format!("{golden}|act_bw_exact")));
            assert_eq!(q.formats.len(), want.len());
            assert!(relu || bits == want, "{} {}: {bits:?} instead of {want:?}", self.name, node.name);
        }
        for layer in ebops::layers(&fixed, exact.bounds()) {
            let node = &fixed.nodes[layer.node];
            let FixedOp::Dense(d) = &node.op else { continue };
            let want = meta[self.name][&node.name]["bops_exact"].as_f64().unwrap();
            let share = if d.window.is_some() { parallel } else { 1.0 };
            assert_eq!((layer.ebops as f64 * share) as f32, want as f32, "{} {}", self.name, node.name);
        }
    }
}

fn arrays() -> Arrays {
    Arrays::load(&fixture("golden/v1_ebops.npz"))
}

fn window(input: [usize; 3], kernel: [usize; 2], stride: usize, pads: [usize; 4]) -> Option<Window> {
    Some(Window { input, kernel, stride: [stride, stride], pads, groups: 1 })
}

#[test]
fn convolution_of_one_position_at_a_time() {
    let t = arrays();
    let mut n = Net::new(&t, "conv2d_pf1");
    let x = n.quantizer("inp_q", "inp_q", 0);
    let shape = n.shape(x);
    let w = window([shape[0], shape[1], shape[2]], [3, 2], 1, [0; 4]);
    let positions = w.as_ref().unwrap().positions() as f64;
    let y = n.layer("c0", x, w, false);
    n.relu(y);
    n.check(1.0 / positions);
}

#[test]
fn strides_and_padding() {
    let t = arrays();
    let mut n = Net::new(&t, "conv2d_pf7_same_stride");
    let x = n.quantizer("inp_q", "inp_q", 0);
    // 6×5, kernel 3, stride 2, SAME: 3×3 outputs, one row below and a column on both sides
    n.layer("c0", x, window([6, 5, 2], [3, 3], 2, [0, 1, 1, 1]), false);
    n.check(7.0 / 9.0);
}

#[test]
fn one_dimension_max_pooling_and_flatten() {
    let t = arrays();
    let mut n = Net::new(&t, "conv1d");
    let x = n.quantizer("inp_q", "inp_q", 0);
    let y = n.layer("c0", x, window([1, 9, 2], [1, 3], 1, [0; 4]), false);
    let y = n.relu(y);
    let pool = Window { input: [1, 7, 4], kernel: [1, 2], stride: [1, 2], pads: [0; 4], groups: 4 };
    let y = n.node("pool", QOp::MaxPool(pool), &[y], vec![3, 4]);
    let y = n.flat(y);
    n.layer("d0", y, None, false);
    n.check(1.0);
}

#[test]
fn average_pooling_passes_the_widest_bits() {
    let t = arrays();
    let mut n = Net::new(&t, "conv2d_avgpool");
    let x = n.quantizer("inp_q", "inp_q", 0);
    let pool = Window { input: [6, 5, 2], kernel: [2, 2], stride: [2, 2], pads: [0; 4], groups: 2 };
    let pool = AveragePool { window: pool, reciprocal: FixedTensor { ints: vec![1], frac: 2 } };
    let y = n.node("pool", QOp::AveragePool(pool), &[x], vec![3, 2, 2]);
    n.layer("c0", y, window([3, 2, 2], [2, 2], 1, [0; 4]), false);
    n.check(1.0);
}

#[test]
fn dense_at_every_position() {
    let t = arrays();
    let mut n = Net::new(&t, "dense_3d");
    let x = n.quantizer("inp_q", "inp_q", 0);
    n.layer("d0", x, Some(Window::pointwise(1, 5, 3)), false);
    n.check(1.0);
}

#[test]
fn fused_normalisation() {
    let t = arrays();
    let mut n = Net::new(&t, "conv2d_bn");
    let x = n.quantizer("inp_q", "inp_q", 0);
    let y = n.layer("c0", x, window([6, 5, 2], [3, 3], 1, [0; 4]), true);
    n.relu(y);
    n.check(1.0);
    let mut n = Net::new(&t, "dense_bn");
    let x = n.quantizer("inp_q", "inp_q", 0);
    let y = n.layer("d0", x, None, true);
    let y = n.relu(y);
    n.layer("d1", y, None, false);
    n.check(1.0);
}

#[test]
fn a_sum_and_a_concatenation() {
    // the tanh of HGQ is not a table: its quantized values enter as an input of their own
    let t = arrays();
    let mut n = Net::new(&t, "add_act_concat");
    let x = n.quantizer("inp_q", "inp_q", 0);
    let a = n.layer("d0", x, None, false);
    let b = n.layer("d1", x, None, false);
    let sum = n.node("add", QOp::Merge(Merge::Add), &[a, b], vec![4]);
    let sum = n.quantizer("add_q", "add", sum);
    let tanh = n.model.add_value("tanh", vec![4]);
    n.model.inputs.push(tanh);
    let act = n.quantizer("act_q", "act", tanh);
    let y = n.node("concat", QOp::Move(Move::Concat { axis: 0 }), &[act, sum], vec![8]);
    n.layer("d2", y, None, false);

    let x = t.f32("add_act_concat|x");
    // the sum is on its grid whatever tanh is
    let still = vec![0.0; 16 * 4];
    let ranges = trace_minmax(&n.model, &[&x, &still], 16).unwrap();
    let options = FormatOptions { cover_factor: 1.0, lower_annotated: true };
    let fixed = fix(&n.model, &ranges, &options).unwrap();
    let sums = Exact::new(&fixed).unwrap().run(&[&x, &still], 16, &[sum]);
    let act: Vec<f32> = sums[0].iter().map(|&v| (v as f32).tanh()).collect();
    let ranges = trace_minmax(&n.model, &[&x, &act], 16).unwrap();
    let fixed = fix(&n.model, &ranges, &options).unwrap();
    let exact = Exact::new(&fixed).unwrap();
    assert_eq!(exact.run(&[&x, &act], 16, &fixed.outputs)[0], t.get("add_act_concat|y_infer"));
    let meta = json(&fixture("golden/v1_ebops.json"));
    for layer in ebops::layers(&fixed, exact.bounds()) {
        let name = &fixed.nodes[layer.node].name;
        assert_eq!(Some(layer.ebops as f64), meta["add_act_concat"][name]["bops_exact"].as_f64(), "{name}");
    }
}
