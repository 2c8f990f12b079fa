//! Bounds of small nets: what they are for is that no input leads outside, and that they are not
//! wider than they must be.

use super::cases;
use crate::support::nets::{Net, Rng, samples};
use hgq_onnx::ops::Elementwise;
use hgq_onnx::ops::Merge;
use hgq_onnx::quant::exact::Exact;
use hgq_onnx::quant::{FixedModel, FixedOp, FixedQuantizer, Overflow, Rounding, interval};
use proptest::prelude::*;

const NETS: u32 = 300;
/// Samples of a net; one of them is 0, the rest are random.
const SAMPLES: usize = 40;

/// What a net may go on with.
#[derive(Clone, Debug)]
enum Step {
    Quantize(Rounding, Overflow),
    Layer(usize),
    Affine,
    Function(Elementwise),
    Max([usize; 2]),
    Average([usize; 2]),
    Pad,
    /// With the value before the last step, where the shapes allow it.
    Merge(Merge),
    Concat,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let rounding = prop_oneof![
        Just(Rounding::HalfUp),
        Just(Rounding::HalfEven),
        Just(Rounding::Floor),
        Just(Rounding::Ceil),
        Just(Rounding::HalfDown)
    ];
    let overflow = prop_oneof![Just(Overflow::Sat), Just(Overflow::SatSym), Just(Overflow::Wrap)];
    let function = prop_oneof![
        Just(Elementwise::Relu),
        Just(Elementwise::LeakyRelu { slope: 0.125 }),
        Just(Elementwise::ThresholdedRelu { alpha: 0.5 }),
        Just(Elementwise::Elu { alpha: 0.75 }),
        Just(Elementwise::Selu)
    ];
    let merge = prop_oneof![Just(Merge::Add), Just(Merge::Sub), Just(Merge::Mul), Just(Merge::Max), Just(Merge::Min)];
    let kernel = || (1usize..3, 1usize..3).prop_map(|(h, w)| [h, w]);
    let step = prop_oneof![
        3 => (rounding, overflow).prop_map(|(r, o)| Step::Quantize(r, o)),
        2 => (1usize..5).prop_map(Step::Layer),
        1 => Just(Step::Affine),
        2 => function.prop_map(Step::Function),
        1 => kernel().prop_map(Step::Max),
        1 => kernel().prop_map(Step::Average),
        1 => Just(Step::Pad),
        1 => merge.prop_map(Step::Merge),
        1 => Just(Step::Concat),
    ];
    proptest::collection::vec(step, 1..9)
}

fn quantized(net: Net, rng: &mut Rng, rounding: Rounding, overflow: Overflow) -> Net {
    let formats = (0..net.len()).map(|_| rng.format(true, 4)).collect();
    let shape = net.shape();
    net.op(FixedOp::Quantize(FixedQuantizer::new(formats, rounding, overflow)), shape)
}

fn step(net: Net, rng: &mut Rng, step: &Step) -> Net {
    let (shape, before) = (net.shape(), net.last);
    let image = shape.len() == 3;
    let fits = |kernel: &[usize; 2]| image && kernel[0] <= shape[0] && kernel[1] <= shape[1];
    match step {
        Step::Quantize(rounding, overflow) => quantized(net, rng, *rounding, *overflow),
        Step::Layer(outputs) if image => {
            let window = net.window([shape[0].min(2), 1], [1, 2], [1, 0, 0, 0], 1);
            net.conv(rng, *outputs, window)
        }
        Step::Layer(outputs) => net.dense(rng, *outputs),
        Step::Affine => net.affine(rng, 4, 2),
        // their tables take few bits
        Step::Function(f) => quantized(net, rng, Rounding::HalfUp, Overflow::Sat).function(*f),
        Step::Max(kernel) if fits(kernel) => net.max_pool(*kernel, [1, 1], [0; 4]),
        Step::Average(kernel) if fits(kernel) => net.average_pool(*kernel, [1, 1], [0; 4]),
        Step::Pad => net.pad(&vec![1; shape.len()], &vec![0; shape.len()]),
        Step::Merge(merge) => quantized(net, rng, Rounding::Floor, Overflow::Sat).merge(*merge, before),
        Step::Concat => quantized(net, rng, Rounding::Floor, Overflow::Sat).concat(&[before], shape.len() - 1),
        Step::Max(_) | Step::Average(_) => net,
    }
}

fn net(seed: u64, image: bool, steps: &[Step]) -> FixedModel {
    let mut rng = Rng::new(seed);
    let shape: &[usize] = if image { &[3, 4, 2] } else { &[5] };
    let net = quantized(Net::new(shape), &mut rng, Rounding::HalfUp, Overflow::Sat);
    steps.iter().fold(net, |net, s| step(net, &mut rng, s)).done()
}

proptest! {
    #![proptest_config(cases(NETS))]

    #[test]
    fn every_value_is_within_its_bounds(seed in any::<u64>(), image in any::<bool>(), steps in steps()) {
        let model = net(seed, image, &steps);
        // sums of more bits than are executed are refused, which is right
        let Ok(exact) = Exact::new(&model) else { return Ok(()) };
        let len = model.len_of(model.inputs[0]);
        let mut x = samples(&mut Rng::new(seed ^ 1), len, SAMPLES);
        x[..len].fill(0.0);
        let wanted: Vec<usize> = (0..model.values.len()).filter(|&v| exact.bounds()[v].is_some()).collect();
        for (values, &v) in exact.run(&[&x], SAMPLES, &wanted).iter().zip(&wanted) {
            let bounds = exact.bounds()[v].as_ref().expect("just filtered");
            let n = bounds.len();
            for (at, &value) in values.iter().enumerate() {
                let e = at % n;
                let steps = value * 2f64.powi(bounds[e].frac);
                prop_assert_eq!(steps.fract(), 0.0, "{}: {} is off its grid", model.values[v].name, value);
                let within = (bounds[e].lo as f64..=bounds[e].hi as f64).contains(&steps);
                prop_assert!(within, "{}: {} of {}..{}", model.values[v].name, steps, bounds[e].lo, bounds[e].hi);
            }
        }
    }

    /// With each input at the end of its range that the sign of its weight asks for, a dense layer
    /// gives just its bounds.
    #[test]
    fn bounds_of_a_dense_layer_are_reached(seed in any::<u64>(), outputs in 1usize..5) {
        let mut rng = Rng::new(seed);
        let net = quantized(Net::new(&[6]), &mut rng, Rounding::HalfUp, Overflow::Sat);
        let model = net.dense(&mut rng, outputs).done();
        let bounds = interval::bounds(&model).expect("few bits");
        let (FixedOp::Quantize(q), FixedOp::Dense(d)) = (&model.nodes[0].op, &model.nodes[1].op) else { unreachable!() };
        let output = bounds[model.outputs[0]].as_ref().expect("a layer's bounds");
        for o in 0..outputs {
            let row = |top: bool| -> Vec<f32> {
                let end = |(i, k): (usize, &hgq_onnx::quant::Kif)| {
                    let up = (d.weight.ints[i * outputs + o] > 0) == top;
                    (if up { k.max_int() } else { k.min_int() }) as f32 * 2f32.powi(-k.fractional)
                };
                q.formats.iter().enumerate().map(end).collect()
            };
            let x = [row(false), row(true)].concat();
            let y = &Exact::new(&model).expect("few bits").run(&[&x], 2, &model.outputs)[0];
            let unit = 2f64.powi(-output[o].frac);
            prop_assert_eq!((y[o], y[outputs + o]), (output[o].lo as f64 * unit, output[o].hi as f64 * unit));
        }
    }
}
