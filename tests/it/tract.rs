//! The independent executor: channels-last operators against straight loops, quantizers against
//! their formula, blocks against single samples, and the shared files against the outputs their
//! exporters recorded.

use crate::support::chain::close;
use crate::support::onnx::{Attr, Net, info};
use crate::support::reference::{Arrays, shared};
use std::path::PathBuf;

use hgq_onnx::onnx::{self, Tensor, proto::ModelProto};
use hgq_onnx::verify::tract;

const DOMAIN: &str = "qonnx.custom_op.channels_last";

/// Marks the last node as channels-last.
fn channels_last(net: &mut Net) {
    net.graph.node.last_mut().unwrap().domain = Some(DOMAIN.into());
}

fn run(model: &ModelProto, x: &[f32], samples: usize) -> Vec<f32> {
    tract::run(&onnx::encode(model), &[x], samples).unwrap_or_else(|e| panic!("{e}")).remove(0)
}

/// Multiples of 1/8 in [−4, 4): sums of their products are exact.
fn grid(net: &mut Net, len: usize) -> Vec<f32> {
    (0..len).map(|_| ((net.rng.unit() * 64.0).floor() / 8.0 - 4.0) as f32).collect()
}

/// A channels-last convolution with straight loops.
struct Conv {
    input: [usize; 3],
    kernel: [usize; 2],
    strides: [usize; 2],
    pads: [usize; 4],
    groups: usize,
    outputs: usize,
}

impl Conv {
    fn output(&self) -> [usize; 2] {
        [0, 1].map(|a| (self.input[a] + self.pads[a] + self.pads[a + 2] - self.kernel[a]) / self.strides[a] + 1)
    }

    fn sum(&self, x: &[f32], weight: &[f32], bias: &[f32]) -> Vec<f64> {
        let ([h, w, c], [oh, ow], [kh, kw]) = (self.input, self.output(), self.kernel);
        let depth = c / self.groups;
        let mut y = vec![];
        for sample in x.chunks(h * w * c) {
            for at in 0..oh * ow * self.outputs {
                let (row, column, o) = (at / self.outputs / ow, at / self.outputs % ow, at % self.outputs);
                let group = o / (self.outputs / self.groups);
                let mut sum = f64::from(bias[o]);
                for k in 0..kh * kw * depth {
                    let (kr, kc, channel) = (k / depth / kw, k / depth % kw, k % depth);
                    let r = (row * self.strides[0] + kr).wrapping_sub(self.pads[0]);
                    let s = (column * self.strides[1] + kc).wrapping_sub(self.pads[1]);
                    if r < h && s < w {
                        let x = sample[(r * w + s) * c + group * depth + channel];
                        sum += f64::from(x) * f64::from(weight[o * kh * kw * depth + k]);
                    }
                }
                y.push(sum);
            }
        }
        y
    }

    fn check(&self, flat: bool, samples: usize) {
        let ([h, w, c], [kh, kw]) = (self.input, self.kernel);
        let depth = c / self.groups;
        let (dims, shape) = match flat {
            true => (vec![1, w as i64, c as i64], vec![self.outputs, kw, depth]),
            false => (vec![1, h as i64, w as i64, c as i64], vec![self.outputs, kh, kw, depth]),
        };
        let ints = |all: &[usize]| -> Vec<i64> {
            all.iter().enumerate().filter(|(a, _)| !flat || a % 2 == 1).map(|(_, &v)| v as i64).collect()
        };
        let mut net = Net::new(13, &dims);
        let weight = grid(&mut net, self.outputs * kh * kw * depth);
        let bias = grid(&mut net, self.outputs);
        let x = grid(&mut net, samples * h * w * c);
        net.constant("w", Tensor::f32(shape, weight.clone())).constant("b", Tensor::f32(vec![self.outputs], bias.clone()));
        let (kernel, strides, pads) = (ints(&self.kernel), ints(&self.strides), ints(&self.pads));
        let ones = vec![1; kernel.len()];
        let attributes = [
            ("kernel_shape", Attr::Is(&kernel)),
            ("strides", Attr::Is(&strides)),
            ("pads", Attr::Is(&pads)),
            ("dilations", Attr::Is(&ones)),
            ("group", Attr::I(self.groups as i64)),
        ];
        net.node("Conv", &["x", "w", "b"], "y", &attributes);
        channels_last(&mut net);
        close("conv", &run(&net.model(), &x, samples), &self.sum(&x, &weight, &bias), 0.0);
    }
}

#[test]
fn channels_last_convolutions() {
    let base = Conv { input: [5, 7, 4], kernel: [3, 2], strides: [1, 1], pads: [0; 4], groups: 1, outputs: 6 };
    base.check(false, 3);
    Conv { strides: [2, 3], pads: [1, 0, 2, 1], ..base }.check(false, 4);
    Conv { groups: 2, pads: [0, 1, 1, 0], ..base }.check(false, 2);
    Conv { groups: 4, outputs: 4, ..base }.check(false, 2);
    let line = Conv { input: [1, 9, 3], kernel: [1, 4], strides: [1, 2], pads: [0, 1, 0, 2], groups: 1, outputs: 5 };
    line.check(true, 600);
    Conv { groups: 3, outputs: 3, ..line }.check(true, 3);
}

#[test]
fn both_domains_of_conv_in_one_file() {
    // [1, 2, 3, 4] channels first, transposed for the second convolution
    let mut net = Net::new(13, &[1, 2, 3, 4]);
    net.constant("a", Tensor::f32(vec![2, 2, 1, 1], vec![1.0, 2.0, 0.5, -1.0]));
    net.constant("b", Tensor::f32(vec![1, 1, 1, 2], vec![3.0, -1.0]));
    net.node("Conv", &["@", "a"], "first", &[("kernel_shape", Attr::Is(&[1, 1]))]);
    net.node("Transpose", &["@"], "moved", &[("perm", Attr::Is(&[0, 2, 3, 1]))]);
    net.node("Conv", &["@", "b"], "second", &[("kernel_shape", Attr::Is(&[1, 1]))]);
    channels_last(&mut net);
    let x = grid(&mut net, 48);
    let want: Vec<f64> = (x.chunks(24))
        .flat_map(|x| (0..12).map(|p| f64::from(3.0 * (x[p] + 2.0 * x[12 + p]) - (0.5 * x[p] - x[12 + p]))))
        .collect();
    close("y", &run(&net.model(), &x, 2), &want, 0.0);
}

#[test]
fn channels_last_pools() {
    // windows of 2 in steps of 2 over 3 columns with one column of padding before and after
    let attributes = [("kernel_shape", Attr::Is(&[1, 2])), ("strides", Attr::Is(&[1, 2])), ("pads", Attr::Is(&[0, 1, 0, 0]))];
    let x: [f32; 12] = [-1.0, -2.0, -3.0, -4.0, -5.0, -6.0, 1.0, -8.0, 3.0, 4.0, 7.0, 6.0];
    for (op, want) in [
        ("MaxPool", [-1.0, -2.0, -3.0, -4.0, 1.0, -8.0, 7.0, 6.0]),
        ("AveragePool", [-1.0, -2.0, -4.0, -5.0, 1.0, -8.0, 5.0, 5.0]),
    ] {
        let mut net = Net::new(13, &[1, 1, 3, 2]);
        net.node(op, &["@"], "y", &attributes);
        channels_last(&mut net);
        close(op, &run(&net.model(), &x, 2), &want, 0.0);
    }
    let mut net = Net::new(13, &[1, 1, 3, 2]);
    let [kernel, strides, pads] = attributes;
    net.node("AveragePool", &["@"], "y", &[kernel, strides, pads, ("count_include_pad", Attr::I(1))]);
    channels_last(&mut net);
    close("padded", &run(&net.model(), &x[..6], 1), &[-0.5, -1.0, -4.0, -5.0], 0.0);
    // the last window of ceil_mode holds one column
    let mut net = Net::new(13, &[1, 3, 2]);
    net.node("MaxPool", &["@"], "y", &[("kernel_shape", Attr::Is(&[2])), ("strides", Attr::Is(&[2])), ("ceil_mode", Attr::I(1))]);
    channels_last(&mut net);
    close("ceil", &run(&net.model(), &x[..6], 1), &[-1.0, -2.0, -5.0, -6.0], 0.0);
}

#[test]
fn channels_last_batch_normalization() {
    let mut net = Net::new(13, &[1, 2, 2, 2]);
    for (name, values) in [("g", [2.0, -1.0]), ("b", [0.5, 1.0]), ("m", [1.0, 2.0]), ("v", [3.0, 15.0])] {
        net.constant(name, Tensor::f32(vec![2], values.to_vec()));
    }
    net.node("BatchNormalization", &["@", "g", "b", "m", "v"], "y", &[("epsilon", Attr::F(1.0))]);
    channels_last(&mut net);
    let x = grid(&mut net, 16);
    let want = |(at, &x): (usize, &f32)| if at % 2 == 0 { f64::from(x) - 0.5 } else { 1.5 - f64::from(x) / 4.0 };
    close("y", &run(&net.model(), &x, 2), &x.iter().enumerate().map(want).collect::<Vec<_>>(), 0.0);
}

/// QONNX's rounding modes.
fn rounded(mode: &str, v: f64) -> f64 {
    match mode {
        "ROUND" | "HALF_EVEN" => v.round_ties_even(),
        "HALF_UP" => v.signum() * (v.abs() + 0.5).floor(),
        "HALF_DOWN" => v.signum() * (v.abs() - 0.5).ceil(),
        "CEIL" => v.ceil(),
        "FLOOR" => v.floor(),
        "UP" => v.signum() * v.abs().ceil(),
        "DOWN" => v.signum() * v.abs().floor(),
        other => panic!("{other}"),
    }
}

#[test]
fn quantizers_broadcast_their_parameters() {
    // data [N, 2, 3, 2]
    type Case<'a> = (&'a [usize], fn(usize) -> usize);
    let shapes: [Case; 6] = [
        (&[], |_| 0),
        (&[1], |_| 0),
        (&[2, 1, 1], |e| e / 6),
        (&[1, 2, 1, 1], |e| e / 6),
        (&[2], |e| e % 2),
        (&[1, 2, 3, 2], |e| e),
    ];
    for (shape, entry) in shapes {
        for mode in ["ROUND", "HALF_EVEN", "HALF_UP", "HALF_DOWN", "CEIL", "FLOOR", "UP", "DOWN"] {
            for (signed, narrow) in [(true, true), (true, false), (false, true), (false, false)] {
                let mut net = Net::new(13, &[1, 2, 3, 2]);
                let count: usize = shape.iter().product();
                let scale: Vec<f32> = (0..count).map(|e| [0.5, 0.25, 2.0][e % 3]).collect();
                let bits: Vec<f32> = (0..count).map(|e| [3.0, 5.0][e % 2]).collect();
                net.constant("s", Tensor::f32(shape.to_vec(), scale.clone())).constant("z", Tensor::f32(vec![1], vec![1.0]));
                net.constant("b", Tensor::f32(shape.to_vec(), bits.clone()));
                let flags = [("signed", Attr::I(signed.into())), ("narrow", Attr::I(narrow.into()))];
                let [signed_flag, narrow_flag] = flags;
                let attributes = [signed_flag, narrow_flag, ("rounding_mode", Attr::S(mode))];
                net.node("Quant", &["@", "s", "z", "b"], "y", &attributes);
                let x = grid(&mut net, 36);
                let want = |(at, &x): (usize, &f32)| {
                    let e = entry(at % 12);
                    let (s, b) = (f64::from(scale[e]), f64::from(bits[e]));
                    let least = if signed { f64::from(u8::from(narrow)) - (b - 1.0).exp2() } else { 0.0 };
                    let most = if signed { (b - 1.0).exp2() - 1.0 } else { b.exp2() - 1.0 - f64::from(u8::from(narrow)) };
                    (rounded(mode, (f64::from(x) / s + 1.0).clamp(least, most)) - 1.0) * s
                };
                let want: Vec<f64> = x.iter().enumerate().map(want).collect();
                close(&format!("{shape:?} {mode} {signed} {narrow}"), &run(&net.model(), &x, 3), &want, 0.0);
            }
        }
    }
}

#[test]
fn one_bit_is_bipolar_unless_given_per_element() {
    let x = [-3.0, -0.1, 0.0, 0.2];
    for (bits, want) in [(vec![1.0], [-2.0, -2.0, 2.0, 2.0]), (vec![1.0; 4], [-2.0, 0.0, 0.0, 0.0])] {
        let mut net = Net::new(13, &[1, 4]);
        let shape = if bits.len() == 1 { vec![] } else { vec![4] };
        net.quant("x", "y", Tensor::f32(vec![], vec![2.0]), Tensor::f32(shape, bits), &[("narrow", Attr::I(0))]);
        close("y", &run(&net.model(), &x, 1), &want, 0.0);
    }
    let mut net = Net::new(13, &[1, 4]);
    net.constant("s", Tensor::f32(vec![4], vec![0.5, 1.0, 2.0, 4.0])).node("BipolarQuant", &["@", "s"], "y", &[]);
    close("bipolar", &run(&net.model(), &x, 1), &[-0.5, -1.0, 2.0, 4.0], 0.0);
}

#[test]
fn blocks_keep_samples_apart() {
    // the target [1, 6] is opened for blocks; the transposition of the batch allows only single
    // samples
    let mut net = Net::new(13, &[1, 2, 3]);
    net.constant("t", Tensor::i64(vec![2], vec![1, 6])).node("Reshape", &["@", "t"], "flat", &[]);
    net.constant("p", Tensor::i64(vec![4], vec![0, 1, 0, 0])).node("Pad", &["@", "p"], "y", &[]);
    let x = grid(&mut net, 600 * 6);
    let want = |x: &[f32]| [&[0.0], x].concat();
    let padded: Vec<f64> = x.chunks(6).flat_map(want).map(f64::from).collect();
    close("open", &run(&net.model(), &x, 600), &padded, 0.0);

    let mut net = Net::new(13, &[1, 2]);
    net.constant("t", Tensor::i64(vec![2], vec![-1, 2]));
    net.node("Transpose", &["@"], "turned", &[("perm", Attr::Is(&[1, 0]))]).node("Reshape", &["@", "t"], "y", &[]);
    let same: Vec<f64> = x[..6].iter().map(|&v| v.into()).collect();
    close("turned", &run(&net.model(), &x[..6], 3), &same, 0.0);
}

#[test]
fn several_inputs_and_outputs() {
    let mut net = Net::new(13, &[1, 2]);
    net.graph.input.push(info("z", &[1, 2]));
    net.node("Add", &["x", "z"], "sum", &[]).node("Sub", &["x", "z"], "difference", &[]);
    net.node("Concat", &["sum", "difference"], "y", &[("axis", Attr::I(1))]);
    let mut model = net.model();
    let graph = model.graph.as_mut().unwrap();
    let bare = |name: &str| hgq_onnx::onnx::proto::ValueInfoProto { r#type: None, ..info(name, &[]) };
    graph.output = ["difference", "sum", "y"].map(bare).to_vec();
    let bytes = onnx::encode(&model);
    let (x, z) = ([1.0, 2.0, 3.0, 4.0], [10.0, 20.0, 30.0, 40.0]);
    let (sum, difference) = (vec![11.0, 22.0, 33.0, 44.0], vec![-9.0, -18.0, -27.0, -36.0]);
    let y = vec![11.0, 22.0, -9.0, -18.0, 33.0, 44.0, -27.0, -36.0];
    assert_eq!(tract::run(&bytes, &[&x, &z], 2).unwrap(), [difference.clone(), sum.clone(), y.clone()]);
    assert_eq!(tract::run_outputs(&bytes, &[&x, &z], 2, &["y", "difference"]).unwrap(), [y, difference]);
    assert!(tract::run_outputs(&bytes, &[&x, &z], 2, &["other"]).is_err());
    assert!(tract::run(&bytes, &[&x], 2).is_err());
}

#[test]
fn faults_of_channels_last_operators_are_errors() {
    type Case<'a> = (&'a str, &'a [i64], &'a [usize], &'a [i64]);
    let cases: [Case; 5] = [
        ("too large a kernel", &[3, 3], &[1, 3, 3, 2], &[0, 0, 0, 0]),
        ("channels that do not fit", &[1, 1], &[1, 1, 1, 3], &[0, 0, 0, 0]),
        ("another rank", &[2], &[1, 2, 2], &[0, 0]),
        ("a kernel of nothing", &[0, 1], &[1, 1, 1, 2], &[0, 0, 0, 0]),
        ("negative pads", &[1, 1], &[1, 1, 1, 2], &[-1, 0, 0, 0]),
    ];
    for (what, kernel, shape, pads) in cases {
        let mut net = Net::new(13, &[1, 2, 2, 2]);
        net.random("w", shape).node("Conv", &["@", "w"], "y", &[("kernel_shape", Attr::Is(kernel)), ("pads", Attr::Is(pads))]);
        channels_last(&mut net);
        let result = tract::run(&onnx::encode(&net.model()), &[&[0.0; 8]], 1);
        assert!(matches!(result, Err(tract::TractError::Tract(_))), "{what}: {result:?}");
    }
}

/// Files of a folder of the shared models that have recorded outputs.
fn recorded(folder: &str) -> Vec<PathBuf> {
    let Some(folder) = shared(&format!("models/{folder}")) else { return vec![] };
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|f| f.unwrap().path()).collect();
    files.retain(|f| f.extension().is_some_and(|e| e == "onnx") && f.with_extension("io.npz").exists());
    files.sort();
    files
}

#[test]
#[ignore = "needs ../shared"]
fn recorded_outputs() {
    let mut faults = Vec::new();
    for file in recorded("brevitas").into_iter().chain(recorded("torch")) {
        let io = Arrays::load(&file.with_extension("io.npz"));
        let samples = io.shape("x")[0];
        let name = file.file_stem().unwrap().to_string_lossy().into_owned();
        let want = io.get("y");
        match tract::run(&std::fs::read(&file).unwrap(), &[&io.f32("x")], samples) {
            Err(error) => faults.push(format!("{name}: {error}")),
            Ok(outputs) => {
                let error = outputs[0].iter().zip(want).map(|(&g, &w)| (f64::from(g) - w).abs()).fold(0.0, f64::max);
                let range = want.iter().fold(0.0f64, |m, v| m.max(v.abs()));
                let tolerance = 1e-6 * range.max(1.0);
                eprintln!("{name}: {error:e} of {range}");
                if outputs[0].len() != want.len() || error.is_nan() || error > tolerance {
                    faults.push(format!("{name}: off by {error:e}, range {range}"));
                }
            }
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
}
