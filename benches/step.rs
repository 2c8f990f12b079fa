//! Training steps per second of the engine on networks of the size it is used for: `cargo bench --bench step`. One JSON line each.

use hgq_onnx::graph::Node;
use hgq_onnx::quant::{BiasBits, Groups, Model, QDense, QOp, Quantizer, Range, Rounding};
use hgq_onnx::train::{Engine, EngineOptions, LossKind, TaskLoss, TrainSet};
use std::time::Instant;

/// An MLP in the recipe's order (Dense → Relu → saturating quantizer), weights from a fixed sequence.
fn mlp(dims: &[usize]) -> Model {
    let mut m = Model { name: "mlp".into(), values: vec![], nodes: vec![], inputs: vec![], outputs: vec![] };
    let mut at = m.add_value("x", vec![dims[0]]);
    m.inputs.push(at);
    let mut ops = vec![(quantizer(dims[0], true), dims[0])];
    for d in dims.windows(2) {
        let n = d[0] * d[1];
        let dense = QDense {
            inputs: d[0],
            outputs: d[1],
            weight: (0..n).map(|e| ((e * 37 % 101) as f32 / 50.0 - 1.0) / (d[0] as f32).sqrt()).collect(),
            weight_groups: Groups::elementwise(n),
            weight_f: vec![4.0; n],
            bias: vec![0.0; d[1]],
            bias_bits: BiasBits::Activation,
            declared: None,
            trainable: true,
        };
        ops.extend([(QOp::Dense(dense), d[1]), (QOp::Relu, d[1]), (quantizer(d[1], false), d[1])]);
    }
    for (n, (op, len)) in ops.into_iter().enumerate() {
        let y = m.add_value(format!("v{n}"), vec![len]);
        m.nodes.push(Node { name: format!("n{n}"), op, inputs: vec![std::mem::replace(&mut at, y)], output: y });
    }
    m.outputs.push(at);
    m
}

fn quantizer(n: usize, keep: bool) -> QOp {
    let range = Range::Saturating { keep_negative: vec![keep; n], i: vec![2.0; n], symmetric: false };
    let groups = Groups::elementwise(n);
    QOp::Quantizer(Quantizer {
        groups,
        f: vec![4.0; n],
        range,
        rounding: Rounding::HalfUp,
        max_f: 23.0,
        trainable: true,
        annotated: false,
    })
}

fn main() {
    for (net, batch) in
        [(&[64, 32, 32, 10][..], 32), (&[16, 64, 32, 32, 5], 500), (&[16, 64, 32, 32, 5], 1024), (&[784, 128, 64, 10], 256)]
    {
        for threads in [1, 2] {
            let (inputs, outputs) = (net[0], net[net.len() - 1]);
            let x: Vec<f32> = (0..batch * inputs).map(|e| (e * 53 % 211) as f32 / 100.0 - 1.0).collect();
            let labels: Vec<u32> = (0..batch).map(|s| (s % outputs) as u32).collect();
            let set = TrainSet::new(inputs, outputs, &x, Some(&labels), None, None).expect("data");
            let mut engine = Engine::new(&mlp(net), &EngineOptions { threads, ..EngineOptions::default() }).expect("model");
            let (rows, loss): (Vec<u32>, _) = ((0..batch as u32).collect(), TaskLoss::new(LossKind::CrossEntropy));
            let mut best = f64::INFINITY;
            let start = Instant::now();
            let mut steps = 0;
            while start.elapsed().as_secs_f64() < 1.0 {
                let t = Instant::now();
                engine.gradients(&set, &rows, &loss, 0.0, &mut |_| 1e-6).expect("step");
                engine.adam(1e-3, 1e-3);
                best = best.min(t.elapsed().as_secs_f64() * 1e3);
                steps += 1;
            }
            println!(
                r#"{{"net":{net:?},"batch":{batch},"threads":{threads},"ms_step_min":{best:.4},"steps_per_second":{steps}}}"#
            );
        }
    }
}
