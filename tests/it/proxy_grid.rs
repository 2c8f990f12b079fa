//! Proxies of convolutions, pooling, merges, joins and padding compute what the exact model
//! computes, on the executor, in every form and rounding, against an evaluation that shares no code
//! with the library.

use crate::support::nets::{Net, Rng, all_samples, reference_of};
use hgq_onnx::ops::Merge;
use hgq_onnx::proxy::{self, Form};
use hgq_onnx::quant::{FixedModel, Rounding};
use hgq_onnx::verify::fixed::Program;

const SAMPLES: usize = 70;
const ROUNDINGS: [Rounding; 5] = [Rounding::HalfUp, Rounding::HalfEven, Rounding::Floor, Rounding::Ceil, Rounding::HalfDown];
const MERGES: [Merge; 5] = [Merge::Add, Merge::Sub, Merge::Mul, Merge::Max, Merge::Min];

/// What is wrong, if anything.
fn fault(label: &str, model: &FixedModel, form: Form) -> Option<String> {
    let target = if form == Form::Uniform { proxy::uniform::envelope(model) } else { model.clone() };
    let emitted = match proxy::emit(model, form) {
        Ok(emitted) => emitted,
        Err(e) => return Some(format!("{label} {form:?}: {e}")),
    };
    let program = match Program::with_port(&emitted.model, emitted.input_port) {
        Ok(program) => program,
        Err(e) => return Some(format!("{label} {form:?}: {e}")),
    };
    let x = all_samples(model, &mut Rng::new(7), SAMPLES);
    let x: Vec<&[f32]> = x.iter().map(|x| &x[..]).collect();
    let got = program.run(&x, SAMPLES).expect("runs").outputs;
    let want = reference_of(&target, &x, SAMPLES, emitted.input_port.fractional);
    for (&value, want) in model.outputs.iter().zip(&want) {
        // outputs come in node order
        let name = proxy::sanitize(&model.values[value].name);
        let Some(got) = got.iter().find(|o| o.name == name) else { return Some(format!("{label} {form:?}: no {name}")) };
        let got = got.to_f64();
        let differ = got.iter().zip(want).filter(|(a, b)| a != b).count();
        if got.len() != want.len() || differ != 0 {
            let at = got.iter().zip(want).position(|(a, b)| a != b).unwrap_or(0);
            return Some(format!("{label} {form:?}: {name}: {differ} of {} differ, the first at {at}", want.len()));
        }
    }
    None
}

#[track_caller]
fn agree(cases: Vec<(String, FixedModel)>) {
    let forms = [Form::Sums, Form::Concat, Form::Uniform];
    let faults: Vec<String> =
        cases.iter().flat_map(|(label, model)| forms.iter().filter_map(move |&f| fault(label, model, f))).collect();
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults[..faults.len().min(8)].join("\n"));
}

/// Conv, pool, conv, flatten, dense with everything drawn.
fn cnn(seed: u64) -> FixedModel {
    let mut r = Rng::new(seed);
    let r = &mut r;
    let line = r.chance(30);
    let channels = r.range(1, 3) as usize;
    let shape = if line { vec![8, channels] } else { vec![6, 5, channels] };
    let first = [Rounding::HalfUp, Rounding::HalfEven, Rounding::Floor][seed as usize % 3];
    let rounding = ROUNDINGS[seed as usize % 5];
    let mut net = Net::new(&shape).channel_quantize(r, true, first);
    let draw = |r: &mut Rng, net: &Net, groups: usize| {
        let k = [r.range(1, 3) as usize, r.range(1, 3) as usize];
        let p = [0, 0, 0, 0].map(|_: usize| if r.chance(50) { r.range(0, 1) as usize } else { 0 });
        net.window(k, [r.range(1, 2) as usize, r.range(1, 2) as usize], p, groups)
    };
    let outputs = r.range(1, 5) as usize;
    let window = draw(r, &net, 1);
    net = net.conv(r, outputs, window);
    if r.chance(30) {
        net = net.channel_affine(r, 5, 4);
    }
    let pool_first = r.chance(40);
    if r.chance(70) {
        net = net.relu();
    }
    let pads = if r.chance(50) { [1, 1, 0, 1] } else { [0; 4] };
    if pool_first {
        net = net.max_pool([2, 2], [r.range(1, 2) as usize, 1], pads);
    }
    net = net.channel_quantize(r, true, rounding);
    if !pool_first {
        net = net.max_pool([2, 2], [1, r.range(1, 2) as usize], pads);
    }
    match r.range(0, 3) {
        0 => {
            // depthwise, sometimes with several outputs per channel
            let c = net.shape().last().copied().unwrap_or(1);
            let k = [1, net.shape()[net.shape().len() - 2].min(2)];
            let window = net.window(k, [1, 1], [0, 1, 0, 0], c);
            let times = r.range(1, 2) as usize;
            net = net.conv(r, c * times, window).channel_quantize(r, true, rounding);
        }
        1 => net = net.average_pool([1, 1], [1, 1], [0; 4]).channel_quantize(r, true, rounding),
        2 => net = net.average_pool([1, 2], [1, 1], [0, 1, 0, 1]).relu().channel_quantize(r, false, rounding),
        _ => {}
    }
    if r.chance(20) {
        return net.done();
    }
    let len = net.len();
    net.reshape(&[len]).dense(r, 3).random_quantize(r, true, rounding).done()
}

#[test]
fn random_convolutional_nets() {
    agree((0..150).map(|seed| (format!("seed {seed}"), cnn(seed))).collect());
}

#[test]
fn branches_that_meet() {
    let mut cases = Vec::new();
    for seed in 0..60u64 {
        let mut r = Rng::new(seed + 1000);
        let r = &mut r;
        let (merge, rounding) = (MERGES[seed as usize % 5], ROUNDINGS[seed as usize / 5 % 5]);
        for shape in [vec![5], vec![4, 3], vec![3, 4, 3]] {
            let flat = shape.len() == 1;
            let mut net = Net::new(&shape).channel_quantize(r, true, Rounding::HalfUp);
            if !flat {
                let window = net.window([1, 1], [1, 1], [0; 4], 1);
                net = net.conv(r, 4, window).relu().channel_quantize(r, true, rounding);
            }
            let trunk = net.last;
            let n = net.shape().last().copied().unwrap_or(1);
            net = if flat {
                net.dense(r, n).channel_quantize(r, true, rounding)
            } else {
                let window = net.window([3, 3], [1, 1], [1; 4], 1);
                net.conv(r, n, window).channel_quantize(r, true, rounding)
            };
            net = net.merge(merge, trunk);
            if r.chance(50) {
                net = net.relu();
            }
            if r.chance(80) {
                net = net.channel_quantize(r, true, rounding);
            }
            let len = net.len();
            net = net.reshape(&[len]).dense(r, 2);
            net.model.outputs = if r.chance(30) { vec![trunk] } else { vec![] };
            cases.push((format!("{merge:?} {rounding:?} seed {seed} {shape:?}"), net.done()));
        }
    }
    agree(cases);
}

#[test]
fn joined_and_padded() {
    let mut cases = Vec::new();
    for seed in 0..40u64 {
        let mut r = Rng::new(seed + 2000);
        let r = &mut r;
        for axis in 0..3 {
            let mut net = Net::new(&[3, 4, 2]).channel_quantize(r, true, Rounding::HalfUp);
            let window = net.window([1, 1], [1, 1], [0; 4], 1);
            let first = net.last;
            net = net.conv(r, 2, window.clone()).channel_quantize(r, true, Rounding::HalfUp);
            net = net.concat(&[first, first], axis);
            if r.chance(50) {
                net = net.channel_quantize(r, true, ROUNDINGS[seed as usize % 5]);
            }
            net = net.pad(&[1, 0, seed as usize % 2], &[0, 2, 0]).channel_quantize(r, true, Rounding::HalfUp);
            let window = net.window([2, 2], [1, 1], [0; 4], 1);
            cases.push((format!("axis {axis} seed {seed}"), net.conv(r, 2, window).done()));
            // no window anywhere: only element numbers change
            let net = Net::new(&[3, 4, 2]).random_quantize(r, true, Rounding::HalfUp);
            let first = net.last;
            let net = net.relu().random_quantize(r, false, Rounding::HalfUp).concat(&[first], axis).pad(&[1, 0, 0], &[0, 1, 1]);
            let len = net.len();
            cases.push((format!("flat axis {axis} seed {seed}"), net.reshape(&[len]).dense(r, 3).done()));
        }
    }
    agree(cases);
}

#[test]
fn several_inputs_and_outputs() {
    let mut cases = Vec::new();
    for seed in 0..30u64 {
        let mut r = Rng::new(seed + 3000);
        let r = &mut r;
        let net = Net::new(&[4, 3, 2]).channel_quantize(r, true, Rounding::HalfUp);
        let a = net.last;
        let net = net.another_input(&[4, 3, 2]).channel_quantize(r, true, Rounding::HalfEven);
        let b = net.last;
        let net = net.merge(MERGES[seed as usize % 5], a).channel_quantize(r, true, Rounding::HalfUp);
        let window = net.window([2, 2], [1, 1], [0, 1, 1, 0], 1);
        let mut net = net.conv(r, 3, window);
        let raw = net.last;
        net = net.relu().channel_quantize(r, false, Rounding::HalfUp).max_pool([2, 2], [2, 2], [0; 4]);
        let len = net.len();
        net = net.reshape(&[len]);
        let flat = net.last;
        net = net.another_input(&[3]).random_quantize(r, true, Rounding::Floor).concat(&[flat], 0).dense(r, 2);
        net.model.outputs = vec![raw, b];
        cases.push((format!("seed {seed}"), net.done()));
    }
    agree(cases);
}

#[test]
fn formats_per_position_of_a_small_value() {
    let mut cases = Vec::new();
    for seed in 0..20u64 {
        let mut r = Rng::new(seed + 4000);
        let r = &mut r;
        let net = Net::new(&[4, 4, 1]).random_quantize(r, true, Rounding::HalfUp);
        let window = net.window([3, 3], [1, 1], [0; 4], 1);
        let net = net.conv(r, 3, window).relu().random_quantize(r, false, Rounding::HalfUp).max_pool([2, 2], [2, 2], [0; 4]);
        let len = net.len();
        cases.push((format!("seed {seed}"), net.reshape(&[len]).dense(r, 2).done()));
    }
    agree(cases);
}

/// Positions and channels in other places: as they are in memory, cut, repeated, in blocks, and in
/// any order, on grids whose channels have formats of their own.
#[test]
fn selections() {
    let mut cases = Vec::new();
    for seed in 0..40 {
        let mut r = Rng::new(seed);
        let r = &mut r;
        let (height, width) = (r.range(2, 4) as usize, r.range(2, 4) as usize);
        let net = Net::new(&[height, width, 4]).channel_quantize(r, true, Rounding::HalfUp);
        let element = |y: usize, x: usize, c: usize| (y * width + x) * 4 + c;
        let all = |h: usize, w: usize, c: usize| (0..h * w * c).map(move |e| (e / c / w, e / c % w, e % c));
        let (shape, source): (Vec<usize>, Vec<usize>) = match seed % 6 {
            0 => (vec![height, width, 3], all(height, width, 3).map(|(y, x, c)| element(y, x, 3 - c)).collect()),
            1 => (vec![height - 1, width - 1, 4], all(height - 1, width - 1, 4).map(|(y, x, c)| element(y + 1, x, c)).collect()),
            2 => (
                vec![2 * height, 3 * width, 4],
                all(2 * height, 3 * width, 4).map(|(y, x, c)| element(y / 2, x / 3, c)).collect(),
            ),
            3 => {
                let blocks = all(2 * height - 1, 2 * width, 1);
                let place = |(y, x, _): (usize, usize, usize)| element(y.div_ceil(2), x / 2, (y + 1) % 2 * 2 + x % 2);
                (vec![2 * height - 1, 2 * width, 1], blocks.map(place).collect())
            }
            4 => (vec![width, height, 4], all(width, height, 4).map(|(x, y, c)| element(y, x, c)).collect()),
            _ => (vec![height, width, 4], all(height, width, 4).map(|(y, x, c)| element(height - 1 - y, x / 2, c)).collect()),
        };
        let net = net.select(&shape, source);
        let window = net.window([1, 1], [1, 1], [0; 4], 1);
        let net = match seed % 2 {
            0 => net.conv(r, 2, window).relu().channel_quantize(r, false, Rounding::HalfUp),
            _ => net.channel_quantize(r, true, Rounding::Floor),
        };
        let len = net.len();
        let net = net.reshape(&[len]).dense(r, 3).one_format(true, 3, 4, Rounding::HalfUp);
        cases.push((format!("seed {seed} {shape:?}"), net.done()));
    }
    agree(cases);
}

/// Flat elements in other orders, in parts, twice, and zeros among them.
#[test]
fn selections_of_vectors() {
    let mut cases = Vec::new();
    for seed in 0..30 {
        let mut r = Rng::new(seed);
        let r = &mut r;
        let net = Net::new(&[8]).random_quantize(r, true, Rounding::HalfUp);
        let whole = net.last;
        let rows: Vec<usize> = (0..r.range(2, 8)).map(|_| r.range(0, 7) as usize).collect();
        let half = net.select(&[4], (4..8).collect());
        let second = half.last;
        let net =
            half.at(whole).select(&[4], vec![3, 1, 0, 2]).merge(Merge::Add, second).one_format(true, 3, 3, Rounding::HalfUp);
        let sum = net.last;
        let net = net.at(whole).select(&[rows.len()], rows).concat(&[sum], 0).dense(r, 3);
        cases.push((format!("seed {seed}"), net.random_quantize(r, true, Rounding::Floor).done()));
    }
    agree(cases);
}
