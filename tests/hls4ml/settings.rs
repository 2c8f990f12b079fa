//! The table of `proxy::target`: for every backend, way of input and output, and strategy stock
//! hls4ml computes what the exact model computes, with every feature that is not refused there;
//! what is refused is refused by node, before anything is written.

use crate::support::judge::{self, Case};
use crate::support::nets::{Net, Rng, all_samples};
use crate::support::sample::quarter;
use hgq_onnx::ops::{Elementwise, Merge, Table};
use hgq_onnx::proxy::target::{Backend, Feature, Io, Strategy, Target, Verdict};
use hgq_onnx::proxy::{Fault, Form, Reason, emit_for};
use hgq_onnx::quant::{FixedModel, Kif, Rounding::*};

const SAMPLES: usize = 60;

fn targets() -> impl Iterator<Item = Target> {
    let io = |backend| Io::ALL.into_iter().map(move |io| (backend, io));
    let all = Backend::ALL.into_iter().flat_map(io);
    let all = all.flat_map(|(backend, io)| Strategy::ALL.into_iter().map(move |strategy| Target { backend, io, strategy }));
    all.filter(|target| target.refused().is_none())
}

/// An image of several layers with the features asked for, down to a vector.
fn image(net: Net, r: &mut Rng, has: &dyn Fn(Feature) -> bool) -> Net {
    let mut net = net.channel_quantize(r, true, HalfUp);
    if has(Feature::PaddedConv2d) {
        net = net.pad(&[1, 0, 0], &[0, 1, 0]);
    }
    let source = net.last;
    let mut beside = Vec::new();
    if has(Feature::SkippedRows) {
        let window = net.window([1, 3], [2, 1], [0; 4], 1);
        net = net.conv(r, 2, window).one_format(true, 2, 2, HalfUp);
        let len = net.len();
        net = net.reshape(&[len]);
        beside.push(net.last);
        net = net.at(source);
    }
    let pads = if has(Feature::PaddedConv2d) { [1, 1, 1, 1] } else { [0; 4] };
    let window = net.window([3, 3], [1, 1], pads, 1);
    net = net.conv(r, 4, window).relu().one_format(false, 2, 3, HalfUp);
    if has(Feature::Depthwise) {
        let window = net.window([2, 2], [1, 1], pads, 4);
        net = net.conv(r, 4, window).one_format(true, 2, 3, HalfEven);
    }
    if has(Feature::Moved) || has(Feature::Blocks) {
        let other = net.last;
        net = moved(net, r, has(Feature::Blocks));
        beside.push(net.last);
        net = net.at(other);
    }
    if has(Feature::PaddedMaxPool) {
        // negative values beside the padding: a wide signed layer without Relu
        let window = net.window([1, 1], [1, 1], [0; 4], 1);
        net = net.conv(r, 3, window).channel_quantize(r, true, HalfUp).max_pool([2, 2], [2, 2], [1, 1, 1, 1]);
    }
    if has(Feature::OverlappingMaxPool) {
        net = net.max_pool([3, 3], [1, 1], [0; 4]);
    }
    if has(Feature::MaxPool) {
        let window = net.window([1, 1], [1, 1], [0; 4], 1);
        net = net.conv(r, 3, window).relu().channel_quantize(r, false, HalfUp).max_pool([2, 2], [2, 2], [0; 4]);
    }
    let len = net.len();
    let net = net.reshape(&[len]);
    if beside.is_empty() { net } else { net.concat(&beside, 0) }
}

/// Channels as positions, rows twice and columns three times, every second of both from the second
/// on, then rows in another order: all the ways in which positions change, down to a vector.
fn moved(net: Net, r: &mut Rng, blocks: bool) -> Net {
    let at = |shape: &[usize], e: usize| {
        let (channels, width) = (shape[2], shape[1]);
        [e / channels / width, e / channels % width, e % channels]
    };
    let element = |shape: &[usize], [row, column, channel]: [usize; 3]| (row * shape[1] + column) * shape[2] + channel;
    let select = |net: Net, shape: [usize; 3], from: &dyn Fn([usize; 3]) -> [usize; 3]| {
        let before = net.shape();
        let source = (0..shape.iter().product()).map(|e| element(&before, from(at(&shape, e)))).collect();
        net.select(&shape, source)
    };
    let [height, width] = [net.shape()[0], net.shape()[1]];
    let kernel = if blocks { [2, 2] } else { [1, 1] };
    let net = match blocks {
        true => select(net, [2 * height, 2 * width, 1], &|[y, x, _]| [y / 2, x / 2, y % 2 * 2 + x % 2]),
        false => net,
    };
    let window = net.window(kernel, kernel, [0; 4], 1);
    let net = net.conv(r, 2, window).channel_quantize(r, true, HalfUp);
    let net = select(net, [2 * height, 3 * width, 2], &|[y, x, c]| [y / 2, x / 3, c]);
    let net = select(net, [height, 3 * width / 2, 2], &|[y, x, c]| [2 * y + 1, 2 * x + 1, c]);
    let rows = height;
    let net = select(net, [height, 3 * width / 2, 2], &|[y, x, c]| [rows - 1 - y, x, c]);
    let window = net.window([1, 1], [1, 1], [0; 4], 1);
    let net = net.conv(r, 1, window).one_format(true, 2, 3, HalfUp);
    let len = net.len();
    net.reshape(&[len])
}

/// A line of several layers, down to a vector.
fn line(net: Net, r: &mut Rng, has: &dyn Fn(Feature) -> bool) -> Net {
    let net = net.channel_quantize(r, true, HalfUp);
    let pads = if has(Feature::PaddedConv1d) { [0, 2, 0, 1] } else { [0; 4] };
    let window = net.window([1, 3], [1, 1], pads, 1);
    let mut net = net.conv(r, 4, window).relu().one_format(false, 2, 3, HalfUp);
    // two readers, one after padding
    let branch = net.last;
    let window = net.window([1, 3], [1, 2], pads, 1);
    net = net.conv(r, 2, window).channel_quantize(r, true, HalfUp);
    let len = net.len();
    let other = net.reshape(&[len]);
    let (other, mut net) = (other.last, other.at(branch));
    if has(Feature::Depthwise) {
        let window = net.window([1, 2], [1, 1], pads, 4);
        net = net
            .conv(r, 4, window)
            .one_format(true, 3, 2, HalfUp)
            .average_pool([1, 2], [1, 2], [0; 4])
            .one_format(true, 3, 3, HalfUp);
    }
    if has(Feature::MaxPool) {
        let length = net.shape()[0];
        net = net.max_pool([1, length], [1, 1], [0; 4]);
    }
    let len = net.len();
    net.reshape(&[len]).concat(&[other], 0)
}

/// Two inputs and two outputs; a dense layer whose input is read in more formats than io_stream
/// hands on.
fn net(seed: u64, has: &dyn Fn(Feature) -> bool) -> FixedModel {
    let mut r = Rng::new(seed);
    let r = &mut r;
    let image = image(Net::new(&[5, 5, 3]), r, has);
    let first = image.last;
    let both = line(image.another_input(&[8, 3]), r, has).concat(&[first], 0);
    let mut net = both.dense(r, 24).function(Elementwise::LeakyRelu { slope: 51.0 / 512.0 }).random_quantize(r, true, HalfUp);
    let wide = net.last;
    net = net.at(wide).dense(r, 6).affine(r, 5, 3).random_quantize(r, true, Floor);
    let left = net.last;
    net = net.at(wide).dense(r, 6).relu().random_quantize(r, false, HalfUp);
    for merge in [Merge::Add, Merge::Max, Merge::Sub, Merge::Min, Merge::Mul] {
        if has(Feature::Extreme) || !matches!(merge, Merge::Max | Merge::Min) {
            net = net.merge(merge, left).one_format(true, 3, 3, HalfUp);
        }
    }
    if has(Feature::OneBit) {
        // below, within and beyond what one bit holds; the signed one is written as its negative
        let one = |k, i, f| Kif::new(k, i, f);
        let formats =
            vec![one(false, 1, 0), one(false, 2, -1), one(true, 1, -1), one(false, 0, 1), one(true, 0, 0), one(false, 3, 1)];
        net = net.quantize(formats, HalfUp);
    }
    net = net.dense(r, 3).one_format(true, 3, 5, HalfUp);
    if has(Feature::Table) {
        net.model.outputs.push(net.last);
        net = net.sigmoid().one_format(false, 0, 8, Floor);
        let (sigmoid, other) = (net.last, net.at(wide));
        net = other.dense(r, 3).one_format(true, 2, 6, HalfUp).tanh().one_format(true, 0, 7, HalfUp);
        let functions = [
            Elementwise::Elu { alpha: 0.75 },
            Elementwise::ThresholdedRelu { alpha: 0.5 },
            Elementwise::Table(Table::Softplus),
            Elementwise::Table(Table::Softsign),
        ];
        for function in functions {
            net = net.dense(r, 3).one_format(true, 2, 6, HalfUp).function(function).one_format(true, 2, 5, HalfUp);
        }
        net = net.merge(Merge::Add, sigmoid);
    } else {
        let last = net.last;
        net.model.outputs.push(last);
        net = net.at(wide).dense(r, 3);
    }
    if has(Feature::Selu) {
        net = net.one_format(true, 2, 6, HalfUp).function(Elementwise::Selu).one_format(true, 2, 5, HalfUp).dense(r, 3);
    }
    net.done()
}

fn is_refused(feature: Feature, target: Target) -> bool {
    matches!(feature.verdict(target), Verdict::Refused(_))
}

#[test]
#[ignore = "needs hls4ml"]
fn what_is_not_refused_is_exact() {
    let models: Vec<(Target, FixedModel)> = quarter(targets().collect())
        .into_iter()
        .map(|target| (target, net(7, &|feature| !is_refused(feature, target))))
        .collect();
    let cases: Vec<Case> =
        models.iter().map(|(target, model)| Case { label: "all features", model, form: Form::Sums, target: *target }).collect();
    judge::judge(&cases, SAMPLES, |model| all_samples(model, &mut Rng::new(9), SAMPLES));
}

/// Two grids, flattened and read by a quantizer, another one, a sum and a product, not by dense
/// layers alone.
fn flattened() -> FixedModel {
    let mut r = Rng::new(11);
    let grid = |net: Net| net.one_format(true, 2, 3, HalfUp).reshape(&[24]);
    let net = grid(Net::new(&[3, 4, 2]));
    let first = net.last;
    let net = net.another_input(&[4, 3, 2]).reshape(&[24]).one_format(true, 2, 4, Floor);
    let net = net.merge(Merge::Sub, first).one_format(true, 3, 2, HalfUp);
    let sum = net.last;
    let net = net.at(first).relu().one_format(false, 1, 2, HalfUp).merge(Merge::Mul, sum).one_format(true, 3, 2, Floor);
    let product = net.last;
    net.at(first).affine(&mut r, 4, 3).one_format(true, 3, 3, HalfUp).merge(Merge::Add, product).dense(&mut r, 3).done()
}

#[test]
#[ignore = "needs hls4ml"]
fn flattened_grids_are_read_whole() {
    let model = flattened();
    let of = |backend| Target { backend, io: Io::Stream, strategy: Strategy::Latency };
    let case = |backend| Case { label: "flattened grids", model: &model, form: Form::Sums, target: of(backend) };
    let cases = Backend::ALL.map(case);
    judge::judge(&cases, SAMPLES, |model| all_samples(model, &mut Rng::new(12), SAMPLES));
}

#[test]
fn what_is_refused_is_refused_by_node() {
    let mut refused = 0;
    for target in targets() {
        for feature in Feature::ALL.into_iter().filter(|f| is_refused(*f, target)) {
            let pools = [Feature::MaxPool, Feature::PaddedMaxPool, Feature::OverlappingMaxPool];
            let model = net(7, &|f| f == feature || (pools.contains(&feature) && f == Feature::MaxPool));
            let faults = emit_for(&model, Form::Sums, target, 0.0).expect_err("not exact").faults;
            let by_setting =
                |reason: &Reason| matches!(reason, Reason::Setting { setting, .. } if *setting == target.to_string());
            assert!(
                !faults.is_empty() && faults.iter().all(|f| f.node.starts_with("node") && by_setting(&f.reason)),
                "{faults:?}"
            );
            refused += 1;
        }
    }
    assert!(refused > 0);
}

#[test]
fn what_no_network_can_have_is_refused_at_once() {
    for backend in [Backend::Quartus, Backend::Catapult] {
        let target = Target { backend, io: Io::Parallel, strategy: Strategy::DistributedArithmetic };
        let faults = emit_for(&net(7, &|_| false), Form::Sums, target, 0.0).expect_err("no such strategy").faults;
        assert!(matches!(&faults[..], [Fault { reason: Reason::Setting { .. }, .. }]), "{faults:?}");
    }
}
