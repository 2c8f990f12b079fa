//! Operators as straight loops over one sample in the layout of the file (channels first), and the
//! comparison of an imported graph with them.

use super::{eval::evaluate, onnx::Net};
use hgq_onnx::data::Rng;
use hgq_onnx::graph::{Graph, ImportError, Imported, Refusal, import};
use hgq_onnx::onnx::{Tensor, proto::ModelProto};

/// One sample of a tensor, row-major.
#[derive(Clone, Debug)]
pub struct T {
    pub shape: Vec<usize>,
    pub v: Vec<f64>,
}

/// Kernel, stride and padding (above, left, below, right) of a window.
#[derive(Clone, Copy)]
pub struct Win {
    pub k: [usize; 2],
    pub s: [usize; 2],
    pub p: [usize; 4],
}

pub fn win(k: [usize; 2], s: [usize; 2], p: [usize; 4]) -> Win {
    Win { k, s, p }
}

impl T {
    pub fn new(shape: &[usize], v: Vec<f64>) -> T {
        assert_eq!(shape.iter().product::<usize>(), v.len());
        T { shape: shape.to_vec(), v }
    }

    /// An initializer of a net.
    pub fn of(net: &Net, name: &str) -> T {
        let tensor = Tensor::from_proto(net.graph.initializer.iter().find(|t| t.name() == name).unwrap()).unwrap();
        T::new(&tensor.shape, tensor.to_f64())
    }

    /// Channels, height, width; one dimension is a row.
    fn image(&self) -> [usize; 3] {
        match self.shape[..] {
            [c, l] => [c, 1, l],
            [c, h, w] => [c, h, w],
            _ => panic!("{:?}", self.shape),
        }
    }

    pub fn map(&self, f: impl Fn(f64) -> f64) -> T {
        T::new(&self.shape, self.v.iter().map(|&v| f(v)).collect())
    }

    /// `f` of the channel and the value.
    pub fn map_channels(&self, f: impl Fn(usize, f64) -> f64) -> T {
        let per = self.v.len() / self.shape[0];
        T::new(&self.shape, self.v.iter().enumerate().map(|(e, &v)| f(e / per, v)).collect())
    }

    pub fn zip(&self, other: &T, f: impl Fn(f64, f64) -> f64) -> T {
        assert_eq!(self.shape, other.shape);
        T::new(&self.shape, self.v.iter().zip(&other.v).map(|(&a, &b)| f(a, b)).collect())
    }

    pub fn shaped(&self, shape: &[usize]) -> T {
        T::new(shape, self.v.clone())
    }

    pub fn flat(&self) -> T {
        self.shaped(&[self.v.len()])
    }

    /// The axes in another order.
    pub fn transposed(&self, perm: &[usize]) -> T {
        let shape: Vec<usize> = perm.iter().map(|&p| self.shape[p]).collect();
        let mut v = Vec::new();
        for e in 0..self.v.len() {
            let (mut rest, mut index) = (e, vec![0; perm.len()]);
            for (axis, &p) in perm.iter().enumerate().rev() {
                index[p] = rest % shape[axis];
                rest /= shape[axis];
            }
            v.push(self.v[index.iter().zip(&self.shape).fold(0, |at, (i, d)| at * d + i)]);
        }
        T::new(&shape, v)
    }

    /// `x·W + b` over the last axis; `W` is `[inputs, outputs]`.
    pub fn dense(&self, w: &T, b: &[f64]) -> T {
        let (inputs, outputs) = (w.shape[0], w.shape[1]);
        let mut shape = self.shape.clone();
        *shape.last_mut().unwrap() = outputs;
        let mut v = Vec::new();
        for row in self.v.chunks(inputs) {
            for o in 0..outputs {
                v.push(b.get(o).copied().unwrap_or(0.0) + (0..inputs).map(|i| row[i] * w.v[i * outputs + o]).sum::<f64>());
            }
        }
        T::new(&shape, v)
    }

    /// `f` of the elements under the window of one channel, `None` in the padding.
    pub fn pool(&self, win: Win, f: impl Fn(&[Option<f64>]) -> f64) -> T {
        let [channels, ..] = self.image();
        let [height, width] = self.output(win);
        let mut v = Vec::new();
        for c in 0..channels {
            for y in 0..height {
                for x in 0..width {
                    v.push(f(&self.under(win, c, y, x)));
                }
            }
        }
        T::new(&[channels, height, width], v).like(self)
    }

    /// Weight `[outputs, channels of a group, kernel height, kernel width]`.
    pub fn conv(&self, w: &T, bias: &[f64], win: Win, groups: usize) -> T {
        let [height, width] = self.output(win);
        let (outputs, per_group, taps) = (w.shape[0], w.shape[1], win.k[0] * win.k[1]);
        let mut v = Vec::new();
        for o in 0..outputs {
            let group = o / (outputs / groups);
            for y in 0..height {
                for x in 0..width {
                    let mut sum = bias.get(o).copied().unwrap_or(0.0);
                    for i in 0..per_group {
                        let patch = self.under(win, group * per_group + i, y, x);
                        for (tap, value) in patch.iter().enumerate() {
                            sum += value.unwrap_or(0.0) * w.v[(o * per_group + i) * taps + tap];
                        }
                    }
                    v.push(sum);
                }
            }
        }
        T::new(&[outputs, height, width], v).like(self)
    }

    fn output(&self, win: Win) -> [usize; 2] {
        let [_, h, w] = self.image();
        [(h + win.p[0] + win.p[2] - win.k[0]) / win.s[0] + 1, (w + win.p[1] + win.p[3] - win.k[1]) / win.s[1] + 1]
    }

    fn under(&self, win: Win, c: usize, y: usize, x: usize) -> Vec<Option<f64>> {
        let [_, h, w] = self.image();
        let mut taps = Vec::new();
        for i in 0..win.k[0] {
            for j in 0..win.k[1] {
                let (row, column) = ((y * win.s[0] + i).wrapping_sub(win.p[0]), (x * win.s[1] + j).wrapping_sub(win.p[1]));
                taps.push((row < h && column < w).then(|| self.v[(c * h + row) * w + column]));
            }
        }
        taps
    }

    /// As many axes as `other`.
    fn like(self, other: &T) -> T {
        if other.shape.len() == 2 { T::new(&[self.shape[0], self.shape[2]], self.v) } else { self }
    }
}

/// Joins along an axis of the sample.
pub fn concat(parts: &[&T], axis: usize) -> T {
    let outer: usize = parts[0].shape[..axis].iter().product();
    let mut shape = parts[0].shape.clone();
    shape[axis] = parts.iter().map(|p| p.shape[axis]).sum();
    let mut v = Vec::new();
    for row in 0..outer {
        for part in parts {
            let len = part.v.len() / outer;
            v.extend(&part.v[row * len..(row + 1) * len]);
        }
    }
    T::new(&shape, v)
}

/// Imports a model and compares it with `reference` on random samples of the input shapes; values
/// are multiples of 1/64, so that sums and ties are exact.
#[track_caller]
pub fn check_model(model: &ModelProto, shapes: &[&[usize]], tolerance: f64, reference: impl Fn(&[T]) -> Vec<T>) -> Imported {
    const SAMPLES: usize = 5;
    let imported = import(model).unwrap_or_else(|e| panic!("{e}"));
    let mut rng = Rng::new(23);
    let samples: Vec<Vec<T>> = (0..SAMPLES)
        .map(|_| {
            let mut random = |shape: &&[usize]| {
                T::new(shape, (0..shape.iter().product()).map(|_| rng.below(385) as f64 / 64.0 - 3.0).collect())
            };
            shapes.iter().map(&mut random).collect()
        })
        .collect();
    let inputs: Vec<Vec<f32>> =
        (0..shapes.len()).map(|i| samples.iter().flat_map(|s| s[i].v.iter().map(|&v| v as f32)).collect()).collect();
    let found = evaluate(&imported, &inputs.iter().map(|x| &x[..]).collect::<Vec<_>>(), SAMPLES);
    let mut expected: Vec<Vec<f64>> = vec![vec![]; found.len()];
    for sample in &samples {
        let outputs = reference(sample);
        assert_eq!(outputs.len(), found.len(), "number of outputs");
        outputs.into_iter().zip(&mut expected).for_each(|(y, all)| all.extend(y.v));
    }
    for (at, (a, b)) in found.iter().zip(&expected).enumerate() {
        assert_eq!(a.len(), b.len(), "length of output {at}");
        let worst = a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(worst <= tolerance, "output {at} differs by {worst}: {:?} and {:?}", &a[..8.min(a.len())], &b[..8.min(b.len())]);
        assert!(b.iter().any(|v| *v != b[0]), "output {at} is constant");
    }
    let names = |v: &usize| imported.graph.values[*v].name.clone();
    let file: Vec<String> = model.graph.iter().flat_map(|g| &g.output).map(|o| o.name().to_string()).collect();
    assert_eq!(imported.graph.outputs.iter().map(names).collect::<Vec<_>>(), file);
    imported
}

/// [`check_model`] of a chain from `x` of this shape, with nothing but rounding of f64.
#[track_caller]
pub fn check(net: &Net, shape: &[usize], reference: impl Fn(&T) -> T) -> Graph {
    check_model(&net.model(), &[shape], 1e-9, |x| vec![reference(&x[0])]).graph
}

/// Why a net is refused.
#[track_caller]
pub fn refusals(net: &Net) -> Vec<Refusal> {
    match import(&net.model()) {
        Err(ImportError::Unsupported { nodes }) => nodes,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("it was imported"),
    }
}

/// The only reason, which names `node` and contains `text`.
#[track_caller]
pub fn refused(net: &Net, node: &str, text: &str) {
    let found = refusals(net);
    assert!(found.len() == 1 && found[0].name == node && found[0].reason.contains(text), "{found:?}");
}

pub fn kinds(graph: &Graph) -> Vec<&'static str> {
    graph.nodes.iter().map(|n| n.op.kind()).collect()
}
