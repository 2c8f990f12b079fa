//! What a model takes of an FPGA, against counts by hand, against the same model written another
//! way, and what must not change it.

use crate::support::files::read;
use crate::support::nets::{Net, Rng};
use hgq_onnx::convert::{DataFile, Job, JobConfig, inspect, run};
use hgq_onnx::graph::Window;
use hgq_onnx::onnx::{codec, limits::Limits};
use hgq_onnx::ops::Merge;
use hgq_onnx::quant::hardware::{Hardware, LayerHardware, count};
use hgq_onnx::quant::taps::Taps;
use hgq_onnx::quant::{FixedDense, FixedModel, FixedOp, FixedTensor, Rounding, interval};
use std::sync::atomic::AtomicBool;

fn counted(model: &FixedModel) -> (Vec<LayerHardware>, Hardware) {
    count(model, &interval::bounds(model).expect("bounds"))
}

fn of(model: &FixedModel, node: usize) -> LayerHardware {
    *counted(model).0.iter().find(|l| l.node == node).expect("an entry")
}

/// Three-bit inputs from 0 to 7.
fn inputs(n: usize) -> Net {
    Net::new(&[n]).one_format(false, 3, 0, Rounding::HalfUp)
}

#[test]
fn a_sum_by_hand() {
    // 3a + b = (b − a) + 4a: three positions, then three above the two free ones
    let model = inputs(2).given_dense(2, 1, vec![3, 1], 0, vec![0], 0).done();
    let found = of(&model, 1);
    assert_eq!((found.parts.carries, found.hardware), (6.0, Hardware { luts: 6, levels: 2, registers: 5 }));
    // 24a + 8b is the same three places higher
    let model = inputs(2).given_dense(2, 1, vec![24, 8], 2, vec![0], 0).done();
    assert_eq!(of(&model, 1).hardware, found.hardware);
    // a bias goes through all seven bits of a sum that may be from −7 to 35 on the way
    let model = inputs(2).given_dense(2, 1, vec![3, 1], 0, vec![8], 0).done();
    assert_eq!((of(&model, 1).parts.carries, counted(&model).1.levels), (6.0 + 7.0, 3));
    // a power of two is wires
    let model = inputs(1).given_dense(1, 1, vec![4], 0, vec![0], 0).done();
    assert_eq!(of(&model, 1).hardware, Hardware { luts: 0, levels: 0, registers: 3 });
}

#[test]
fn half_steps_are_part_of_the_sum_unless_ties_go_to_even() {
    let net = |rounding| {
        let sum = inputs(2).given_dense(2, 1, vec![3, 1], 0, vec![0], 0);
        sum.one_format(false, 5, -2, rounding).done()
    };
    let parts = |rounding| [1, 2].map(|n| of(&net(rounding), n).parts.carries);
    // + 2 over the sum of seven bits; or the sum as it is, and an adder over its three bits
    assert_eq!(parts(Rounding::Floor), [6.0, 0.0]);
    assert_eq!(parts(Rounding::HalfUp), [6.0 + 7.0, 0.0]);
    assert_eq!(parts(Rounding::HalfEven), [6.0, 3.0]);
    // what two read is rounded behind both
    let sum = inputs(2).given_dense(2, 1, vec![3, 1], 0, vec![0], 0);
    let value = sum.last;
    let twice = sum.one_format(false, 5, -2, Rounding::HalfUp).merge(Merge::Add, value).done();
    assert_eq!([1, 2].map(|n| of(&twice, n).parts.carries), [6.0, 3.0]);
}

#[test]
fn what_no_output_needs_takes_nothing() {
    let net = |second: i64| {
        let hidden = inputs(2).given_dense(2, 2, vec![3, 5, 1, 7], 0, vec![0, 0], 0).one_format(true, 6, 0, Rounding::Floor);
        hidden.given_dense(2, 1, vec![1, second], 0, vec![0], 0).done()
    };
    let alone = inputs(2).given_dense(2, 1, vec![3, 1], 0, vec![0], 0).one_format(true, 6, 0, Rounding::Floor);
    let alone = alone.given_dense(1, 1, vec![1], 0, vec![0], 0).done();
    assert_eq!(counted(&net(0)), counted(&alone));
    assert!(counted(&net(1)).1.luts > counted(&alone).1.luts);
    // a negative sum behind a Relu is always 0
    let dead = inputs(2).given_dense(2, 1, vec![-3, -1], 0, vec![-1], 0).relu().done();
    assert_eq!(counted(&dead).1, Hardware::default());
}

#[test]
fn merges_pools_and_tables_are_counted() {
    let two = |merge| {
        let first = inputs(1);
        let a = first.last;
        let second = first.another_input(&[1]).one_format(false, 3, 0, Rounding::HalfUp);
        let model = second.merge(merge, a).done();
        let parts = of(&model, 2).parts;
        (parts.carries, parts.choices)
    };
    assert_eq!(
        [Merge::Add, Merge::Sub, Merge::Mul, Merge::Max, Merge::Min].map(two),
        [(3.0, 0), (3.0, 0), (6.0, 3), (3.0, 3), (3.0, 3)]
    );
    let image = || Net::new(&[2, 2, 1]).one_format(false, 3, 0, Rounding::HalfUp);
    let most = image().max_pool([2, 2], [2, 2], [0; 4]).done();
    assert_eq!((of(&most, 1).parts.carries, of(&most, 1).parts.choices, counted(&most).1.levels), (9.0, 9, 2));
    // two sums of three positions, and one of four: a quarter of it is wires
    let mean = image().average_pool([2, 2], [2, 2], [0; 4]).done();
    assert_eq!((of(&mean, 1).parts.carries, counted(&mean).1.levels), (10.0, 2));
    // 128 entries of 10 bits: two LUTs each, and one that chooses
    let table = Net::new(&[1]).one_format(true, 2, 4, Rounding::HalfUp).tanh().done();
    assert_eq!(of(&table, 1).parts.tables, 3 * 11);
}

#[test]
fn a_part_of_the_positions_takes_a_part() {
    let mut model = Net::new(&[4, 4, 1]).one_format(false, 3, 0, Rounding::HalfUp);
    let window = model.window([3, 3], [1, 1], [0; 4], 1);
    model = model.conv(&mut Rng::new(3), 2, window);
    let mut model = model.done();
    let whole = of(&model, 1).parts.carries;
    if let FixedOp::Dense(d) = &mut model.nodes[1].op {
        d.ebops_scale = 0.25;
    }
    assert!(whole > 0.0);
    assert_eq!(of(&model, 1).parts.carries, whole / 4.0);
}

/// The convolution as a layer that reads everything.
fn unrolled(d: &FixedDense, window: &Window) -> FixedDense {
    let taps = Taps::new(d.inputs, d.outputs, Some(window));
    let (inputs, outputs) = (window.input.iter().product::<usize>(), taps.positions * d.outputs);
    let mut ints = vec![0; inputs * outputs];
    for at in 0..outputs {
        let (position, o) = (at / d.outputs, at % d.outputs);
        for k in 0..d.inputs {
            if let Some(e) = taps.element(position, k, o) {
                ints[e * outputs + at] = d.weight.ints[k * d.outputs + o];
            }
        }
    }
    FixedDense {
        inputs,
        outputs,
        weight_bits: vec![0; ints.len()],
        bias_bits: vec![0; outputs],
        weight: FixedTensor { ints, frac: d.weight.frac },
        bias: FixedTensor { ints: d.bias.ints.repeat(taps.positions), frac: d.bias.frac },
        window: None,
        ebops_scale: 1.0,
    }
}

#[test]
fn a_convolution_takes_what_its_positions_take() {
    for (seed, groups, wide) in [(1, 1, false), (2, 2, false), (3, 1, true), (4, 2, true)] {
        let mut r = Rng::new(seed);
        let image = Net::new(&[5, 4, 2]);
        // formats by channel, where most positions are alike, and by element, where none are
        let net = if wide {
            image.random_quantize(&mut r, true, Rounding::HalfUp)
        } else {
            image.channel_quantize(&mut r, true, Rounding::HalfUp)
        };
        let window = net.window([3, 3], [1, 2], [1, 0, 1, 1], groups);
        let net = net.conv(&mut r, 4, window.clone()).relu().random_quantize(&mut r, false, Rounding::HalfUp);
        let model = net.done();
        let mut flat = model.clone();
        if let FixedOp::Dense(d) = &model.nodes[1].op {
            flat.nodes[1].op = FixedOp::Dense(unrolled(d, &window));
        }
        // how much is shared is looked at position by position, or all at once
        let unshared = |model: &FixedModel| {
            let (layers, whole) = counted(model);
            let layers: Vec<_> =
                layers.iter().map(|l| (l.node, l.parts.carries, l.hardware.levels, l.hardware.registers)).collect();
            (layers, whole.levels, whole.registers)
        };
        assert_eq!(unshared(&model), unshared(&flat), "{seed}");
        assert!(counted(&model).1.luts > 0);
    }
}

#[test]
fn powers_of_two_change_nothing() {
    let net = |scale: i32| {
        let mut r = Rng::new(9);
        let net = Net::new(&[6]).random_quantize(&mut r, true, Rounding::HalfUp).dense(&mut r, 8).relu();
        let mut model = net.random_quantize(&mut r, false, Rounding::HalfUp).dense(&mut r, 4).done();
        for node in &mut model.nodes {
            match &mut node.op {
                FixedOp::Quantize(q) => q.formats.iter_mut().for_each(|f| {
                    (f.integer, f.fractional) = (f.integer + scale, f.fractional - scale);
                }),
                FixedOp::Dense(d) => d.bias.frac -= scale,
                _ => {}
            }
        }
        counted(&model)
    };
    assert!(net(0).1.luts > 0);
    assert_eq!(net(0), net(5));
    assert_eq!(net(0), net(-7));
}

#[test]
fn a_proxy_states_what_it_takes_until_its_graph_changes() {
    let data = |name: &str| DataFile::new(name, read(&format!("digits/{name}")));
    let config = JobConfig::from_json(br#"{"epochs": 2, "threads": 1, "proxy": {"elementwise": "sat"}}"#).unwrap();
    let (calibration, train) = (data("calibration.npz"), Some(data("train.npz")));
    let job = Job { model: read("digits/digits_mlp.onnx"), calibration, train, validation: None, config };
    let made = run(&job, &mut |_| {}, &AtomicBool::new(false)).unwrap();
    let figures = |file: &[u8]| {
        let found = inspect(file).unwrap();
        (found.ebops, found.luts, found.levels, found.ff)
    };
    let r = &made.report;
    let of_report = (Some(r.ebops), Some(r.hardware.luts), Some(r.hardware.levels), Some(r.hardware.ff));
    let elementwise = &made.extra_files.iter().find(|f| f.0 == "proxy_elementwise.onnx").unwrap().1;
    assert_eq!((figures(&made.proxy), figures(elementwise)), (of_report, of_report));
    for point in &made.pareto {
        let of = &r.pareto[point.number];
        assert_eq!(
            figures(&point.proxy),
            (Some(of.ebops), Some(of.hardware.luts), Some(of.hardware.levels), Some(of.hardware.ff))
        );
    }
    let mut changed = codec::decode(&made.proxy, &Limits::default()).unwrap();
    changed.doc_string = Some("the same graph".into());
    assert_eq!(figures(&codec::encode(&changed)), of_report);
    changed.graph.as_mut().unwrap().node[0].doc_string = Some("another one".into());
    assert_eq!(figures(&codec::encode(&changed)), (None, None, None, None));
}
