//! Stock hls4ml computes what the exact model computes on convolutions, pooling, merges, joins and
//! several inputs: 0 mismatches, in io_parallel, and in io_stream for plain convolutional nets.

use crate::support::judge::{self, Case};
use crate::support::nets::{Net, Rng, all_samples};
use hgq_onnx::ops::Merge;
use hgq_onnx::proxy::Form;
use hgq_onnx::proxy::target::{Io, Target};
use hgq_onnx::quant::{FixedModel, Rounding::*};

const SAMPLES: usize = 200;

/// Judges every model in one Python process; `stream` for io_stream.
fn judge(cases: &[(&str, FixedModel, Form, bool)]) {
    let cases: Vec<Case> =
        cases.iter().map(|(label, model, form, stream)| Case { label, model, form: *form, target: target(*stream) }).collect();
    judge::judge(&cases, SAMPLES, |model| all_samples(model, &mut Rng::new(9), SAMPLES));
}

fn target(stream: bool) -> Target {
    Target { io: if stream { Io::Stream } else { Io::Parallel }, ..Target::default() }
}

/// Conv, pool, conv, flatten, dense, channels of several formats.
fn cnn(seed: u64) -> FixedModel {
    let mut r = Rng::new(seed);
    let r = &mut r;
    let net = Net::new(&[6, 6, 2]).channel_quantize(r, true, HalfUp);
    let window = net.window([3, 3], [1, 1], [1; 4], 1);
    let net = net.conv(r, 4, window).relu().channel_quantize(r, false, HalfUp).max_pool([2, 2], [2, 2], [0; 4]);
    let window = net.window([2, 2], [1, 1], [0; 4], 1);
    let net = net.conv(r, 4, window).relu().channel_quantize(r, false, Ceil);
    let len = net.len();
    net.reshape(&[len]).dense(r, 3).random_quantize(r, true, HalfUp).done()
}

#[test]
#[ignore = "needs hls4ml"]
fn convolutional_nets() {
    let mut r = Rng::new(70);
    let r = &mut r;
    let plain = {
        let net = Net::new(&[6, 5, 1]).one_format(true, 2, 4, HalfUp);
        let window = net.window([3, 2], [2, 1], [1, 0, 0, 1], 1);
        let net = net.conv(r, 3, window).relu().one_format(false, 2, 3, HalfUp).max_pool([2, 2], [2, 2], [0; 4]);
        let len = net.len();
        net.reshape(&[len]).dense(r, 3).done()
    };
    judge(&[
        ("cnn", cnn(1), Form::Sums, false),
        ("cnn", cnn(2), Form::Concat, false),
        ("cnn in a stream", cnn(3), Form::Sums, true),
        ("cnn in a stream", cnn(4), Form::Concat, true),
        ("one format each", plain, Form::Uniform, false),
    ]);
}

#[test]
#[ignore = "needs hls4ml"]
fn lines_depthwise_and_pools() {
    let mut r = Rng::new(71);
    let r = &mut r;
    let line = {
        let net = Net::new(&[9, 2]).channel_quantize(r, true, HalfUp);
        let window = net.window([1, 3], [1, 1], [0, 1, 0, 0], 1);
        let net = net.conv(r, 3, window).relu().channel_quantize(r, false, HalfUp).max_pool([1, 2], [1, 2], [0; 4]);
        let len = net.len();
        net.reshape(&[len]).dense(r, 2).done()
    };
    let depthwise = {
        let net = Net::new(&[5, 5, 4]).channel_quantize(r, true, HalfUp);
        let window = net.window([3, 3], [1, 1], [1; 4], 4);
        let net = net.conv(r, 4, window).channel_quantize(r, true, HalfUp);
        let window = net.window([1, 1], [1, 1], [0; 4], 1);
        net.conv(r, 3, window)
            .relu()
            .one_format(false, 2, 2, HalfEven)
            .average_pool([5, 5], [1, 1], [0; 4])
            .channel_quantize(r, true, HalfUp)
            .done()
    };
    // with pads hls4ml compares with the least value of a signed type, with a large one of an
    // unsigned type
    let padded = |r: &mut Rng, relu: bool| {
        let net = Net::new(&[5, 5, 2]).one_format(true, 2, 4, HalfUp);
        let window = net.window([1, 1], [1, 1], [0; 4], 1);
        let net = net.conv(r, 3, window);
        let net = if relu { net.relu() } else { net };
        net.channel_quantize(r, !relu, HalfUp).max_pool([3, 3], [2, 2], [1; 4]).done()
    };
    let average = Net::new(&[6, 6, 2])
        .channel_quantize(r, true, HalfUp)
        .average_pool([2, 2], [2, 2], [0; 4])
        .channel_quantize(r, true, HalfUp)
        .done();
    let (signed, unsigned) = (padded(r, false), padded(r, true));
    judge(&[
        ("line", line, Form::Sums, false),
        ("depthwise", depthwise, Form::Sums, false),
        ("padded pool, signed", signed, Form::Sums, false),
        ("padded pool, unsigned", unsigned, Form::Concat, false),
        ("average", average, Form::Concat, false),
    ]);
}

#[test]
#[ignore = "needs hls4ml"]
fn merges_joins_and_inputs() {
    let mut r = Rng::new(72);
    let r = &mut r;
    let residual = |r: &mut Rng, merge: Merge, shape: &[usize]| {
        let net = Net::new(shape).channel_quantize(r, true, HalfUp);
        let window = net.window([1, 1], [1, 1], [0; 4], 1);
        let net = net.conv(r, 4, window).relu().channel_quantize(r, false, HalfUp);
        let trunk = net.last;
        let window = net.window([3, 3], [1, 1], [1; 4], 1);
        let net = net.conv(r, 4, window).channel_quantize(r, true, HalfUp).merge(merge, trunk);
        let net = net.relu().channel_quantize(r, false, HalfUp);
        let len = net.len();
        net.reshape(&[len]).dense(r, 2).done()
    };
    let joined = |r: &mut Rng, axis: usize| {
        let net = Net::new(&[3, 4, 2]).channel_quantize(r, true, HalfUp);
        let first = net.last;
        let window = net.window([1, 1], [1, 1], [0; 4], 1);
        let net = net.conv(r, 2, window).channel_quantize(r, true, HalfUp).concat(&[first], axis).pad(&[1, 0, 0], &[0, 1, 0]);
        let window = net.window([2, 2], [1, 1], [0; 4], 1);
        net.conv(r, 2, window).channel_quantize(r, true, HalfUp).done()
    };
    let inputs = {
        let net = Net::new(&[4, 3, 2]).channel_quantize(r, true, HalfUp);
        let a = net.last;
        let net = net
            .another_input(&[4, 3, 2])
            .channel_quantize(r, true, HalfUp)
            .merge(Merge::Sub, a)
            .channel_quantize(r, true, HalfUp);
        let window = net.window([2, 2], [1, 1], [0; 4], 1);
        let mut net = net.conv(r, 2, window);
        let raw = net.last;
        net = net.relu().channel_quantize(r, false, HalfUp);
        let len = net.len();
        net = net.reshape(&[len]);
        let flat = net.last;
        net = net.another_input(&[3]).random_quantize(r, true, Floor).concat(&[flat], 0).dense(r, 2);
        net.model.outputs.push(raw);
        net.done()
    };
    let flat = {
        let net = Net::new(&[5]).random_quantize(r, true, HalfUp);
        let trunk = net.last;
        net.dense(r, 5)
            .random_quantize(r, true, HalfUp)
            .merge(Merge::Max, trunk)
            .random_quantize(r, true, HalfUp)
            .dense(r, 2)
            .done()
    };
    let positions = {
        let net = Net::new(&[4, 4, 1]).random_quantize(r, true, HalfUp);
        let window = net.window([3, 3], [1, 1], [0; 4], 1);
        let net = net.conv(r, 3, window).relu().random_quantize(r, false, HalfUp).max_pool([2, 2], [2, 2], [0; 4]);
        let len = net.len();
        net.reshape(&[len]).dense(r, 2).done()
    };
    judge(&[
        ("residual", residual(r, Merge::Add, &[4, 4, 2]), Form::Sums, false),
        ("product", residual(r, Merge::Mul, &[4, 4, 2]), Form::Concat, false),
        ("difference on a line", residual(r, Merge::Sub, &[6, 2]), Form::Sums, false),
        ("minimum", residual(r, Merge::Min, &[3, 4, 2]), Form::Uniform, false),
        ("rows joined", joined(r, 0), Form::Sums, false),
        ("channels joined", joined(r, 2), Form::Concat, false),
        ("three inputs, two outputs", inputs, Form::Sums, false),
        ("largest of two", flat, Form::Sums, false),
        ("formats per position", positions, Form::Sums, false),
    ]);
}
