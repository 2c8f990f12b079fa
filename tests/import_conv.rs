//! Operators with positions, as files have them (channels first), against straight loops; hostile attributes are refused, not executed.

mod support {
    pub mod onnx;
}

use hgq_onnx::graph::{Imported, eval, import};
use hgq_onnx::onnx::Tensor;
use hgq_onnx::onnx::proto::ModelProto;
use support::onnx::{Attr, Net};

/// Reproducible values on a coarse grid.
fn values(n: usize, seed: usize) -> Vec<f32> {
    (0..n).map(|e| ((e * 37 + seed * 11 + e * e % 7) % 23) as f32 / 8.0 - 1.25).collect()
}

/// The model's first output for one sample in the file's layout, in the file's layout.
fn run(model: &ModelProto, x: &[f32]) -> Vec<f64> {
    let Imported { graph, input_orders, output_orders, .. } = import(model).unwrap();
    let turned: Vec<f32> = match &input_orders[0] {
        Some(order) => order.iter().map(|&e| x[e]).collect(),
        None => x.to_vec(),
    };
    let got = eval::run(&graph, &[&turned], 1, &graph.outputs[..1]).unwrap().remove(0);
    let mut file = got.clone();
    if let Some(order) = &output_orders[0] {
        order.iter().zip(&got).for_each(|(&at, &v)| file[at] = v);
    }
    file
}

/// Height, width, kernel, stride, begin and end padding of one layer.
#[derive(Clone, Copy)]
struct Slide {
    size: [usize; 2],
    kernel: [usize; 2],
    stride: [usize; 2],
    begin: [usize; 2],
    end: [usize; 2],
}

impl Slide {
    fn output(&self) -> [usize; 2] {
        [0, 1].map(|a| (self.size[a] + self.begin[a] + self.end[a] - self.kernel[a]) / self.stride[a] + 1)
    }

    /// The pixel under tap `(i, j)` of output `(r, c)`.
    fn pixel(&self, r: usize, c: usize, i: usize, j: usize) -> Option<usize> {
        let row = (r * self.stride[0] + i).checked_sub(self.begin[0]).filter(|&v| v < self.size[0])?;
        let column = (c * self.stride[1] + j).checked_sub(self.begin[1]).filter(|&v| v < self.size[1])?;
        Some(row * self.size[1] + column)
    }

    fn each(&self, mut f: impl FnMut(&mut dyn FnMut(&mut dyn FnMut(usize, usize)))) {
        let [rows, columns] = self.output();
        for r in 0..rows {
            for c in 0..columns {
                f(&mut |tap: &mut dyn FnMut(usize, usize)| {
                    for i in 0..self.kernel[0] {
                        for j in 0..self.kernel[1] {
                            if let Some(p) = self.pixel(r, c, i, j) {
                                tap(i * self.kernel[1] + j, p);
                            }
                        }
                    }
                });
            }
        }
    }

    /// `[outputs, H', W']` of a convolution with weight `[outputs, channels / groups, kh, kw]`.
    fn conv(&self, x: &[f32], w: &[f32], b: &[f32], channels: usize, groups: usize) -> Vec<f64> {
        let (pixels, taps, per) = (self.size[0] * self.size[1], self.kernel[0] * self.kernel[1], channels / groups);
        let mut y = Vec::new();
        for (o, &bias) in b.iter().enumerate() {
            let group = o / (b.len() / groups);
            self.each(|under| {
                let mut sum = f64::from(bias);
                under(&mut |tap, p| {
                    for i in 0..per {
                        sum += f64::from(x[(group * per + i) * pixels + p]) * f64::from(w[(o * per + i) * taps + tap]);
                    }
                });
                y.push(sum);
            });
        }
        y
    }

    /// `[channels, H', W']` of `fold` over what lies under the window.
    fn pool(&self, x: &[f32], channels: usize, end: impl Fn(&[f64]) -> f64) -> Vec<f64> {
        let pixels = self.size[0] * self.size[1];
        let mut y = Vec::new();
        for c in 0..channels {
            self.each(|under| {
                let mut list = Vec::new();
                under(&mut |_, p| list.push(f64::from(x[c * pixels + p])));
                y.push(end(&list));
            });
        }
        y
    }

    fn lists(&self) -> [Vec<i64>; 3] {
        let long = |v: &[usize]| v.iter().map(|&d| d as i64).collect::<Vec<_>>();
        [long(&self.kernel), long(&self.stride), long(&[self.begin, self.end].concat())]
    }
}

#[track_caller]
fn equal(got: &[f64], want: &[f64]) {
    assert_eq!(got.len(), want.len());
    assert!(got.iter().zip(want).all(|(a, b)| (a - b).abs() < 1e-9), "{got:?} instead of {want:?}");
}

#[test]
fn convolutions() {
    for (channels, outputs, groups) in [(3, 4, 1), (4, 4, 4), (2, 6, 2), (4, 6, 2)] {
        let s = Slide { size: [5, 6], kernel: [3, 2], stride: [2, 1], begin: [1, 0], end: [2, 1] };
        let per = channels / groups;
        let (w, b, x) = (values(outputs * per * 6, 1), values(outputs, 2), values(channels * 30, 3));
        let mut net = Net::new(13, &[1, channels as i64, 5, 6]);
        net.constant("w", Tensor::f32(vec![outputs, per, 3, 2], w.clone())).constant("b", Tensor::f32(vec![outputs], b.clone()));
        let [k, stride, pads] = s.lists();
        let attributes = [
            ("kernel_shape", Attr::Is(&k)),
            ("strides", Attr::Is(&stride)),
            ("pads", Attr::Is(&pads)),
            ("group", Attr::I(groups as i64)),
        ];
        net.node("Conv", &["x", "w", "b"], "y", &attributes);
        equal(&run(&net.model(), &x), &s.conv(&x, &w, &b, channels, groups));
    }
}

#[test]
fn automatic_padding_and_lines() {
    // SAME: 5 → 3 with kernel 4, stride 2 needs 3: the larger half at the end, or at the begin
    for (mode, begin, end) in [("SAME_UPPER", 1, 2), ("SAME_LOWER", 2, 1), ("VALID", 0, 0)] {
        let s = Slide { size: [1, 5], kernel: [1, 4], stride: [1, 2], begin: [0, begin], end: [0, end] };
        let (w, x) = (values(3 * 2 * 4, 5), values(10, 6));
        let mut net = Net::new(13, &[1, 2, 5]);
        net.constant("w", Tensor::f32(vec![3, 2, 4], w.clone()));
        net.node("Conv", &["x", "w", ""], "y", &[("auto_pad", Attr::S(mode)), ("strides", Attr::Is(&[2]))]);
        equal(&run(&net.model(), &x), &s.conv(&x, &w, &[0.0; 3], 2, 1));
    }
}

#[test]
fn pools() {
    let s = Slide { size: [4, 5], kernel: [2, 3], stride: [1, 2], begin: [1, 1], end: [0, 1] };
    let [k, stride, pads] = s.lists();
    let x = values(2 * 20, 4);
    let window = [("kernel_shape", Attr::Is(&k[..])), ("strides", Attr::Is(&stride)), ("pads", Attr::Is(&pads))];
    let mut net = Net::new(13, &[1, 2, 4, 5]);
    net.node("MaxPool", &["x"], "y", &window);
    equal(&run(&net.model(), &x), &s.pool(&x, 2, |v| v.iter().copied().fold(f64::NEG_INFINITY, f64::max)));
    let mut net = Net::new(13, &[1, 2, 4, 5]);
    let counted = [
        ("kernel_shape", Attr::Is(&k[..])),
        ("strides", Attr::Is(&stride)),
        ("pads", Attr::Is(&pads)),
        ("count_include_pad", Attr::I(1)),
    ];
    net.node("AveragePool", &["x"], "y", &counted);
    equal(&run(&net.model(), &x), &s.pool(&x, 2, |v| v.iter().sum::<f64>() / 6.0));
    let mut net = Net::new(13, &[1, 2, 4, 5]);
    net.node("AveragePool", &["x"], "y", &window);
    assert!(import(&net.model()).unwrap_err().to_string().contains("count_include_pad"));
    let whole = Slide { size: [4, 5], kernel: [4, 5], stride: [1, 1], begin: [0; 2], end: [0; 2] };
    let mean = whole.pool(&x, 2, |v| v.iter().sum::<f64>() / 20.0);
    for keep in [0, 1] {
        let mut net = Net::new(13, &[1, 2, 4, 5]);
        net.node("ReduceMean", &["x"], "y", &[("axes", Attr::Is(&[-1, 2])), ("keepdims", Attr::I(keep))]);
        equal(&run(&net.model(), &x), &mean);
    }
    let mut net = Net::new(13, &[1, 2, 4, 5]);
    net.node("GlobalMaxPool", &["x"], "y", &[]);
    equal(&run(&net.model(), &x), &whole.pool(&x, 2, |v| v.iter().copied().fold(f64::NEG_INFINITY, f64::max)));
}

#[test]
fn clips_joins_and_padding() {
    let x = values(2 * 3 * 2, 8);
    // [−0.5, 1] by attributes, joined with the input on each axis, zeros around
    for axis in [1, 2, 3, -1] {
        let mut net = Net::new(9, &[1, 2, 3, 2]);
        net.constant("w", Tensor::f32(vec![2, 2, 1, 1], vec![1.0, 0.0, 0.0, 1.0])).node("Conv", &["x", "w"], "same", &[]);
        net.node("Clip", &["@"], "c", &[("min", Attr::F(-0.5)), ("max", Attr::F(1.0))]);
        net.node("Concat", &["@", "x"], "y", &[("axis", Attr::I(axis))]);
        let shape = [2, 3, 2];
        let at = if axis < 0 { 2 } else { axis as usize - 1 };
        let block: usize = shape[at..].iter().product();
        let clipped: Vec<f64> = x.iter().map(|&v| f64::from(v).clamp(-0.5, 1.0)).collect();
        let want: Vec<f64> = (0..12 / block)
            .flat_map(|r| {
                clipped[r * block..][..block]
                    .iter()
                    .copied()
                    .chain(x[r * block..][..block].iter().map(|&v| v.into()))
                    .collect::<Vec<_>>()
            })
            .collect();
        equal(&run(&net.model(), &x), &want);
    }
    let mut net = Net::new(13, &[1, 2, 3, 2]);
    net.constant("p", Tensor::i64(vec![8], vec![0, 0, 1, 0, 0, 0, 0, 2]));
    net.node("Pad", &["x", "p"], "p1", &[]).node("MaxPool", &["@"], "y", &[("kernel_shape", Attr::Is(&[1, 1]))]);
    let mut want = Vec::new();
    for c in 0..2 {
        want.extend([0.0; 4]);
        for r in 0..3 {
            want.extend(x[c * 6 + r * 2..][..2].iter().map(|&v| f64::from(v)).chain([0.0, 0.0]));
        }
    }
    equal(&run(&net.model(), &x), &want);
}

#[test]
fn hostile_attributes_are_refused() {
    let extremes = [i64::MIN, -1, 0, 1, 3, 1 << 20, 1 << 40, i64::MAX];
    let mut refused = 0;
    for op in ["Conv", "MaxPool", "AveragePool"] {
        for name in ["kernel_shape", "strides", "pads", "dilations", "group", "ceil_mode"] {
            for &v in &extremes {
                for count in [0, 1, 2, 4, 5] {
                    let mut net = Net::new(13, &[1, 2, 4, 5]);
                    net.constant("w", Tensor::f32(vec![2, 2, 2, 2], values(16, 1)));
                    let list = vec![v; count];
                    let inputs: &[&str] = if op == "Conv" { &["x", "w"] } else { &["x"] };
                    let own = if matches!(name, "group" | "ceil_mode") { Attr::I(v) } else { Attr::Is(&list) };
                    let mut attributes = vec![(name, own)];
                    if name != "kernel_shape" {
                        attributes.push(("kernel_shape", Attr::Is(&[2, 2])));
                    }
                    net.node(op, inputs, "y", &attributes);
                    if let Err(e) = import(&net.model()) {
                        assert!(e.to_string().contains('y'), "{e}");
                        refused += 1;
                    }
                }
            }
        }
    }
    assert!(refused > 400, "{refused}");
}
