//! Small models, node by node, and comparison with tolerances.

use hgq_onnx::graph::{Node, Window};
use hgq_onnx::ops::Move;
use hgq_onnx::quant::{AveragePool, BiasBits, FixedTensor, Granularity, Groups, Model, QDense, QOp, Quantizer, Range, Rounding};

/// `|got − want| ≤ tol` everywhere.
#[track_caller]
pub fn close(what: &str, got: &[f32], want: &[f64], tol: f64) {
    assert_eq!(got.len(), want.len(), "{what}: lengths");
    for (n, (&g, &w)) in got.iter().zip(want).enumerate() {
        assert!((f64::from(g) - w).abs() <= tol || f64::from(g) == w, "{what}[{n}]: {g} instead of {w}, tolerance {tol}");
    }
}

/// Groups of an f tensor of `f_shape` on a tensor of `shape` (both without a leading batch axis of
/// size 1).
pub fn groups(f_count: usize, shape: &[usize]) -> Groups {
    let elements: usize = shape.iter().product();
    let channels = shape.last().copied().unwrap_or(1);
    let granularity = match f_count {
        n if n == elements => Granularity::Element,
        1 => Granularity::Tensor,
        n if n == channels => Granularity::Channel,
        n => panic!("{n} widths for shape {shape:?}"),
    };
    Groups::new(granularity, shape)
}

/// A graph under construction, mostly a chain: operations are appended to its (single) output.
pub struct Chain(pub Model);

impl Chain {
    pub fn new(inputs: usize) -> Chain {
        Chain::shaped(&[inputs])
    }

    /// A chain whose input has `shape`.
    pub fn shaped(shape: &[usize]) -> Chain {
        let model = Model { name: "test".into(), values: vec![], nodes: vec![], inputs: vec![], outputs: vec![] };
        let mut chain = Chain(model);
        let x = chain.input("x", shape);
        chain.0.outputs.push(x);
        chain
    }

    /// Another input.
    pub fn input(&mut self, name: &str, shape: &[usize]) -> usize {
        let x = self.0.add_value(name, shape.to_vec());
        self.0.inputs.push(x);
        x
    }

    /// The value the next operation reads.
    pub fn at(&self) -> usize {
        self.0.outputs[0]
    }

    /// Goes on with `value`.
    pub fn go(&mut self, value: usize) -> &mut Chain {
        self.0.outputs[0] = value;
        self
    }

    pub fn shape(&self) -> Vec<usize> {
        self.0.values[self.at()].shape.clone()
    }

    pub fn len(&self) -> usize {
        self.0.len_of(self.at())
    }

    /// Appends `op` that reads `inputs` and makes a value of `shape`.
    pub fn node(&mut self, name: &str, op: QOp, inputs: Vec<usize>, shape: &[usize]) -> &mut Chain {
        let y = self.0.add_value(format!("{name}_out"), shape.to_vec());
        self.0.nodes.push(Node { name: name.into(), op, inputs, output: y });
        self.0.outputs[0] = y;
        self
    }

    /// Appends `op`, whose output has `outputs` elements.
    pub fn push(&mut self, name: &str, op: QOp, outputs: usize) -> &mut Chain {
        self.node(name, op, vec![self.at()], &[outputs])
    }

    pub fn op(&mut self, name: &str, op: QOp) -> &mut Chain {
        let shape = self.shape();
        self.node(name, op, vec![self.at()], &shape)
    }

    pub fn traced(&mut self, name: &str, f: &[f32], rounding: Rounding) -> &mut Chain {
        let groups = groups(f.len(), &self.shape());
        self.op(name, QOp::Quantizer(quantizer(groups, f, Range::Traced, rounding)))
    }

    pub fn dense(&mut self, name: &str, weight: Vec<f32>, bias: Vec<f32>, weight_f: Vec<f32>) -> &mut Chain {
        let (inputs, outputs) = (self.len(), bias.len());
        let layer = layer(inputs, None, weight, bias, weight_f);
        self.push(name, QOp::Dense(layer), outputs)
    }

    /// A convolution; the chain's shape must be the window's input, with or without its height of
    /// 1.
    pub fn conv(&mut self, name: &str, w: Window, weight: Vec<f32>, bias: Vec<f32>, weight_f: Vec<f32>) -> &mut Chain {
        let (shape, outputs) = (self.under(&w), bias.len());
        let layer = layer(w.patch(), Some(w), weight, bias, weight_f);
        let shape = [&shape[..], &[outputs]].concat();
        self.node(name, QOp::Dense(layer), vec![self.at()], &shape)
    }

    pub fn max_pool(&mut self, name: &str, w: Window) -> &mut Chain {
        let shape = [&self.under(&w)[..], &[w.input[2]]].concat();
        self.node(name, QOp::MaxPool(w), vec![self.at()], &shape)
    }

    pub fn average_pool(&mut self, name: &str, window: Window, reciprocal: f64) -> &mut Chain {
        let shape = [&self.under(&window)[..], &[window.input[2]]].concat();
        let reciprocal = FixedTensor::from_f64(&[reciprocal]).unwrap();
        self.node(name, QOp::AveragePool(AveragePool { window, reciprocal }), vec![self.at()], &shape)
    }

    pub fn flatten(&mut self, name: &str) -> &mut Chain {
        let n = self.len();
        self.push(name, QOp::Move(Move::Reshape), n)
    }

    /// Output positions of a window over the chain's shape.
    fn under(&self, w: &Window) -> Vec<usize> {
        if self.shape().len() == 2 { vec![w.output()[1]] } else { w.output().to_vec() }
    }
}

/// A layer whose bias follows the activation after it; the granularity of `weight_f` follows from
/// its length.
pub fn layer(inputs: usize, window: Option<Window>, weight: Vec<f32>, bias: Vec<f32>, weight_f: Vec<f32>) -> QDense {
    let outputs = bias.len();
    let weight_groups = groups(weight_f.len(), &[inputs, outputs]);
    QDense {
        inputs,
        outputs,
        weight,
        weight_groups,
        weight_f,
        bias,
        bias_bits: BiasBits::Activation,
        declared: None,
        window,
        ebops_scale: 1.0,
        trainable: true,
    }
}

/// A window without pads and groups.
pub fn window(input: [usize; 3], kernel: [usize; 2], stride: [usize; 2]) -> Window {
    Window { input, kernel, stride, pads: [0; 4], groups: 1 }
}

/// A pooling window of `kernel`, as far as it fits.
pub fn pooling(input: [usize; 3], kernel: [usize; 2]) -> Window {
    Window { groups: input[2], ..window(input, kernel, kernel) }
}

pub fn quantizer(groups: Groups, f: &[f32], range: Range, rounding: Rounding) -> Quantizer {
    Quantizer { groups, f: f.to_vec(), range, rounding, max_f: 23.0, trainable: true, annotated: false }
}
