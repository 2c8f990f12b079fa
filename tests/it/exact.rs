//! The exact evaluation that everything is measured by: against an independent integer reference,
//! in f64 and beyond 52 bits; dead channels; ranges.

use crate::support::nets::{Net, Rng, reference, samples};
use hgq_onnx::ops::Merge;
use hgq_onnx::proxy::prune;
use hgq_onnx::quant::exact::variants::{Change, Parameter, Scratch, Variants};
use hgq_onnx::quant::exact::{Exact, Precision};
use hgq_onnx::quant::{FixedModel, FixedOp, Rounding, ebops, interval};
use hgq_onnx::simd::Isa;

const SAMPLES: usize = 130;

/// On inputs of the port's grid, where the reference's truncation changes nothing.
fn inputs(model: &FixedModel) -> Vec<f32> {
    let x = samples(&mut Rng::new(5), model.len_of(model.inputs[0]), SAMPLES);
    x.iter().map(|v| ((f64::from(*v) * 65536.0).floor() / 65536.0) as f32).map(|v| (v * 256.0).round() / 256.0).collect()
}

fn check(label: &str, model: &FixedModel, wide: bool) {
    let x = inputs(model);
    for isa in [Isa::Portable, Isa::Avx2, Isa::Avx512].into_iter().filter(|isa| isa.available()) {
        let exact = Exact::new(model).unwrap().with_isa(isa);
        assert_eq!(exact.precision() == Precision::Integer, wide, "{label}");
        check_with(&format!("{label} {}", isa.name()), &exact, model, &x);
        check_with(&format!("{label} {}, in f64", isa.name()), &exact.at_least(Precision::Double), model, &x);
    }
}

fn check_with(label: &str, exact: &Exact, model: &FixedModel, x: &[f32]) {
    assert_eq!(exact.run(&[x], SAMPLES, &model.outputs), reference(model, x, SAMPLES, 16), "{label}");
    let output = model.outputs[0];
    let (values, range) = (&exact.run(&[x], SAMPLES, &[output])[0], &exact.min_max(&[x], SAMPLES, &[output])[0]);
    let n = model.len_of(output);
    for e in 0..n {
        let column = || values.iter().skip(e).step_by(n).copied();
        assert_eq!(
            (range.min[e], range.max[e]),
            (column().fold(f64::INFINITY, f64::min), column().fold(f64::NEG_INFINITY, f64::max)),
            "{label}"
        );
    }
}

fn deep(seed: u64, rounding: Rounding) -> FixedModel {
    let mut r = Rng::new(seed);
    let net = Net::new(&[5]).random_quantize(&mut r, true, Rounding::HalfUp).dense(&mut r, 8).relu();
    let net = net.random_quantize(&mut r, false, rounding).dense(&mut r, 6).affine(&mut r, 6, 4).leaky(-2);
    net.random_quantize(&mut r, true, rounding).dense(&mut r, 3).done()
}

#[test]
fn equals_the_integer_reference() {
    for seed in 0..40 {
        for rounding in [Rounding::HalfUp, Rounding::HalfEven, Rounding::Floor, Rounding::Ceil, Rounding::HalfDown] {
            check(&format!("{seed} {rounding:?}"), &deep(seed, rounding), false);
        }
    }
}

#[test]
fn beyond_52_bits_it_computes_in_integers() {
    for seed in 0..10 {
        let mut r = Rng::new(seed);
        let net = Net::new(&[4]).one_format(true, 5, 14, Rounding::HalfUp);
        // 20-bit inputs times 30-bit weights and a 24-bit scale: 58 to 61 bits
        let weight: Vec<i64> = (0..12).map(|_| r.range(-(1 << 29), 1 << 29) | 1).collect();
        let net = net.given_dense(4, 3, weight, 30, vec![1, -7, 1 << 40], 44).random_quantize(&mut r, true, Rounding::HalfEven);
        let model = net.dense(&mut r, 2).affine(&mut r, 24, 20).done();
        let wide = Exact::new(&model).unwrap().precision() == Precision::Integer;
        check(&format!("wide {seed}"), &model, wide);
    }
    let mut r = Rng::new(1);
    let weight: Vec<i64> = (0..12).map(|_| r.range(-(1 << 36), 1 << 36) | 1).collect();
    let model = Net::new(&[4]).one_format(true, 5, 14, Rounding::HalfUp).given_dense(4, 3, weight, 36, vec![0; 3], 0).done();
    check("an output of 58 bits", &model, true);
}

#[test]
fn pruning_changes_no_output_and_adds_no_ebops() {
    let mut smaller = 0;
    for seed in 0..60 {
        let model = deep(seed, Rounding::HalfUp);
        let pruned = prune(&model);
        let x = inputs(&model);
        let run = |m: &FixedModel| Exact::new(m).unwrap().run(&[&x], SAMPLES, &m.outputs);
        assert_eq!(run(&pruned), run(&model), "{seed}");
        let count = |m: &FixedModel| ebops::ebops(m, &interval::bounds(m).unwrap());
        assert!(count(&pruned) <= count(&model), "{seed}");
        smaller += usize::from(count(&pruned) < count(&model));
    }
    assert!(smaller > 0, "no net had a dead channel: the test tests nothing");
}

/// A change of one weight or bias, evaluated only where it changes something, equals the evaluation
/// of the changed model.
#[test]
fn variants_equal_the_changed_model() {
    let mut narrowed = 0;
    for seed in 0..30 {
        let mut r = Rng::new(seed);
        let convolutional = {
            let net = Net::new(&[5, 4, 2]).one_format(true, 2, 3, Rounding::HalfUp);
            let window = net.window([2, 2], [1, 1], [1, 0, 0, 1], 1);
            let net = net.conv(&mut r, 3, window).relu().channel_quantize(&mut r, false, Rounding::HalfUp);
            let net = net.max_pool([2, 2], [2, 2], [0; 4]);
            let skip = net.last;
            let window = net.window([1, 1], [1, 1], [0; 4], 3);
            let net = net.conv(&mut r, 3, window).one_format(true, 3, 4, Rounding::HalfUp).merge(Merge::Add, skip);
            let net = net.average_pool([2, 2], [1, 1], [0; 4]).one_format(true, 3, 4, Rounding::HalfUp);
            let n = net.len();
            net.reshape(&[n]).dense(&mut r, 2).done()
        };
        // what moves elements, with operands that a change leaves alone
        let moving = {
            let net = Net::new(&[6]).one_format(true, 2, 3, Rounding::HalfUp).dense(&mut r, 5);
            let net = net.one_format(true, 2, 1, Rounding::HalfUp);
            let early = net.last;
            let net = net.dense(&mut r, 4).relu().one_format(false, 2, 1, Rounding::HalfUp);
            let net = net.pad(&[1], &[0]).concat(&[early], 0).dense(&mut r, 5).one_format(true, 3, 2, Rounding::HalfUp);
            let early = if seed % 2 == 0 { early } else { net.last };
            net.merge(Merge::Max, early).dense(&mut r, 3).done()
        };
        for model in [deep(seed, Rounding::HalfUp), convolutional, moving] {
            // more than a block for one of them
            let count = if seed == 0 { 1030 } else { SAMPLES };
            let x = samples(&mut Rng::new(5), model.len_of(model.inputs[0]), count);
            let variants = Variants::new(&model, &[&x], count);
            let mut scratch = Scratch::default();
            let rows = |model: &FixedModel| Exact::new(model).unwrap().run(&[&x], count, &model.outputs);
            let n = model.len_of(model.outputs[0]);
            for (node, op) in model.nodes.iter().enumerate() {
                let FixedOp::Dense(d) = &op.op else { continue };
                let at = r.range(0, d.weight.ints.len() as i64 - 1) as usize;
                let mut changed = model.clone();
                let FixedOp::Dense(other) = &mut changed.nodes[node].op else { unreachable!() };
                other.weight.ints[at] += r.range(-3, 3);
                let value = other.weight.value(at);
                let mut want = rows(&model);
                let mut first = 0;
                for (block, in_block) in variants.blocks().enumerate() {
                    let change = Change { node, what: Parameter::Weight(at), value };
                    let found = variants.outputs_with(block, &change, &mut scratch);
                    let before = want[0].clone();
                    narrowed += usize::from((1..in_block).contains(&found.samples()));
                    for (e, column) in (0..n).filter_map(|e| Some((e, found.column(0, e)?))) {
                        assert_eq!(column.len(), found.samples());
                        let row = |k: usize| first + found.rows().map_or(k, |rows| rows[k] as usize);
                        column.iter().enumerate().for_each(|(k, &v)| want[0][row(k) * n + e] = v);
                    }
                    let of_rows = before[first * n..].chunks(n).zip(want[0][first * n..].chunks(n)).take(in_block);
                    assert_eq!(found.samples(), of_rows.filter(|(a, b)| a != b).count());
                    first += in_block;
                }
                assert_eq!(want, rows(&changed), "{seed}: weight {at} of node {node}");
                let FixedOp::Dense(other) = &mut changed.nodes[node].op else { unreachable!() };
                other.bias.ints[0] += 1;
                let bias = Change { node, what: Parameter::Bias(0), value: other.bias.value(0) };
                let mut both = Variants::new(&model, &[&x], count);
                both.apply(&[Change { node, what: Parameter::Weight(at), value }, bias]);
                let row = |block, s: usize| (0..n).map(|e| both.column(block, model.outputs[0], e)[s]).collect::<Vec<f64>>();
                let applied =
                    both.blocks().enumerate().flat_map(|(block, in_block)| (0..in_block).flat_map(move |s| row(block, s)));
                let applied: Vec<f64> = applied.collect();
                assert_eq!(applied, rows(&changed)[0], "{seed}: weight and bias of node {node}");
            }
        }
    }
    assert!(narrowed > 50, "{narrowed}: changes were followed on all samples");
}
