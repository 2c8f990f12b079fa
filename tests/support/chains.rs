//! Random networks that between them use every operation of the engine, fused and unfused.

use super::chain::{Chain, quantizer};
use super::training::{Lcg, saturating};
use hgq_onnx::graph::Node;
use hgq_onnx::ops::{Elementwise, Move, Table};
use hgq_onnx::quant::{BiasBits, FixedAffine, FixedTensor, Granularity, Groups, Model, QDense, QOp, Range, Rounding};

/// A dense layer with random weights and `widths` widths.
pub fn dense(c: &mut Chain, r: &mut Lcg, name: &str, outputs: usize, widths: usize) {
    let inputs = c.len();
    let scale = 2.0 / (inputs as f32).sqrt();
    let (w, b) = (r.many(inputs * outputs, -scale, scale), r.many(outputs, -0.5, 0.5));
    let f = r.many(widths, 1.0, 5.0);
    c.dense(name, w, b, f);
}

/// Dense → Relu → SAT, the order of docs/recipe.md#gate, with awkward widths.
pub fn recipe(r: &mut Lcg) -> Model {
    let mut c = Chain::new(3);
    saturating(&mut c, r, "q", true, false, Rounding::HalfUp, Groups::elementwise(3));
    for (n, width) in [17, 33, 1].into_iter().enumerate() {
        let inputs = c.len();
        dense(&mut c, r, &format!("d{n}"), width, inputs * width);
        c.op(&format!("r{n}"), QOp::Elementwise(Elementwise::Relu));
        saturating(&mut c, r, &format!("s{n}"), false, false, Rounding::HalfUp, Groups::elementwise(width));
    }
    dense(&mut c, r, "out", 5, 5);
    let f = r.many(5, 2.0, 5.0);
    c.traced("y", &f, Rounding::HalfUp);
    c.0
}

/// Dense → traced quantizer → Relu, HGQ v1's order, with shared widths.
pub fn v1(r: &mut Lcg) -> Model {
    let mut c = Chain::new(17);
    let f = r.many(1, 2.0, 5.0);
    c.traced("q", &f, Rounding::Floor);
    dense(&mut c, r, "d0", 20, 20);
    let f = r.many(20, 1.0, 4.0);
    c.traced("s0", &f, Rounding::HalfUp).op("r0", QOp::Elementwise(Elementwise::Relu));
    dense(&mut c, r, "d1", 6, 1);
    let f = r.many(1, 1.0, 4.0);
    c.traced("s1", &f, Rounding::HalfEven).op("r1", QOp::Elementwise(Elementwise::Relu));
    dense(&mut c, r, "out", 3, 18);
    let f = r.many(3, 2.0, 5.0);
    c.traced("y", &f, Rounding::Ceil);
    c.0
}

/// Everything that is not fused, and a quantizer that feeds two layers of which one leads nowhere.
pub fn unfused(r: &mut Lcg) -> Model {
    let mut c = Chain::new(4);
    let f = r.many(4, 2.0, 4.0);
    c.traced("q", &f, Rounding::HalfDown);
    let shared = c.0.outputs[0];
    dense(&mut c, r, "d0", 6, 24);
    c.op("leaky", QOp::Elementwise(Elementwise::LeakyRelu { slope: 0.125 }));
    saturating(&mut c, r, "s0", true, true, Rounding::HalfUp, Groups::new(Granularity::Tensor, &[6]));
    c.op("leaky2", QOp::Elementwise(Elementwise::LeakyRelu { slope: 0.25 }));
    dense(&mut c, r, "d1", 4, 24);
    let reshaped = c.0.add_value("reshaped", vec![2, 2]);
    let from = c.0.outputs[0];
    c.0.nodes.push(Node { name: "reshape".into(), op: QOp::Move(Move::Reshape), inputs: vec![from], output: reshaped });
    c.0.outputs[0] = reshaped;
    let groups = Groups::new(Granularity::Channel, &[2, 2]);
    saturating(&mut c, r, "s1", true, false, Rounding::HalfEven, groups);
    c.op("sigmoid", QOp::Elementwise(Elementwise::Table(Table::Sigmoid)));
    let f = r.many(4, 4.0, 6.0);
    c.traced("s2", &f, Rounding::HalfUp);
    dense(&mut c, r, "d2", 5, 20);
    c.op("relu", QOp::Elementwise(Elementwise::Relu))
        .op("tanh_in", QOp::Quantizer(quantizer(Groups::elementwise(5), &[4.0; 5], Range::Traced, Rounding::HalfUp)));
    c.op("tanh", QOp::Elementwise(Elementwise::Table(Table::Tanh)));
    let exact = |v: &[f64]| FixedTensor::from_f64(v).unwrap();
    let affine = FixedAffine { scale: exact(&[1.5, -0.5, 2.0, 1.0, 0.75]), shift: exact(&[0.25, 0.0, -1.0, 0.5, 0.125]) };
    c.op("affine", QOp::Affine(affine));
    saturating(&mut c, r, "s3", true, false, Rounding::Floor, Groups::elementwise(5));
    dense(&mut c, r, "own", 3, 15);
    if let Some(Node { op: QOp::Dense(d), .. }) = c.0.nodes.last_mut() {
        d.bias_bits = BiasBits::Own(vec![3, 4, 5]);
    }
    // a side branch without an effect on the output
    let dead = c.0.add_value("dead_out", vec![2]);
    let side = QDense {
        inputs: 4,
        outputs: 2,
        weight: r.many(8, -1.0, 1.0),
        weight_groups: Groups::elementwise(8),
        weight_f: vec![3.0; 8],
        bias: vec![0.0; 2],
        bias_bits: BiasBits::Own(vec![0, 0]),
        declared: None,
        window: None,
        ebops_scale: 1.0,
        trainable: true,
    };
    c.0.nodes.push(Node { name: "dead".into(), op: QOp::Dense(side), inputs: vec![shared], output: dead });
    c.0
}
