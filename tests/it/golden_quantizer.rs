//! The quantizer operation against HGQ v1 (fixtures/golden/v1_quantizer) and, where the reference
//! material is at hand, HGQ2's saturating quantizers (golden/v2_quantizer).

use crate::support::chain::{close, quantizer};
use crate::support::files::fixture;
use crate::support::reference::{Arrays, shared};
use crate::support::training::isas;
use hgq_onnx::quant::{Granularity, Groups, Quantizer, Range, Rounding};
use hgq_onnx::train::Isa;
use hgq_onnx::train::engine::kernel::pad;
use hgq_onnx::train::engine::op::bias::{self, ChannelGroups};
use hgq_onnx::train::engine::op::quantizer::QuantizerOp;

struct Pass {
    y: Vec<f32>,
    dx: Vec<f32>,
    df: Vec<f32>,
    di: Vec<f32>,
    min: Vec<f32>,
    max: Vec<f32>,
}

/// Forward and backward of `q` on `rows` samples.
fn pass(isa: Isa, q: &Quantizer, x: &[f32], g: &[f32]) -> Pass {
    let n = q.groups.elements();
    let (stride, rows) = (pad(n), x.len() / n);
    let spread = |v: &[f32]| -> Vec<f32> {
        v.chunks(n).flat_map(|r| r.iter().copied().chain(std::iter::repeat_n(0.0, stride - n))).collect()
    };
    let gather = |v: &[f32]| -> Vec<f32> { v.chunks(stride).flat_map(|r| r[..n].to_vec()).collect() };
    let op = QuantizerOp::new(q);
    let (mut state, mut sums) = (op.new_state(), op.new_sums());
    let i = match &q.range {
        Range::Traced => None,
        Range::Saturating { i, .. } | Range::SaturatingKbi { i, .. } | Range::Declared { i, .. } | Range::Tracked { i } => {
            Some(&i[..])
        }
    };
    op.prepare(&q.f, i, &mut state);
    let (x, g) = (spread(x), spread(g));
    let (mut y, mut dx) = (vec![0.0; x.len()], vec![0.0; x.len()]);
    op.forward(isa, &state, rows, &x, &mut y, &mut sums, false);
    let args = op.backward_args(&state, &mut sums, &x, &y, Some(&mut dx), false, (false, false));
    QuantizerOp::backward(isa, rows, stride, &g, args);
    let count = q.groups.count();
    let (mut df, mut di) = (vec![0.0; count], vec![0.0; count]);
    op.gradients(&state, &sums, &mut df, Some(&mut di));
    let (mut min, mut max) = (vec![f32::INFINITY; count], vec![f32::NEG_INFINITY; count]);
    for e in 0..n {
        let g = q.groups.of(e);
        min[g] = min[g].min(sums.min[e]);
        max[g] = max[g].max(sums.max[e]);
    }
    Pass { y: gather(&y), dx: gather(&dx), df, di, min, max }
}

fn transpose(v: &[f64], rows: usize) -> Vec<f64> {
    let cols = v.len() / rows;
    (0..v.len()).map(|n| v[n % rows * cols + n / rows]).collect()
}

#[test]
fn every_granularity_forward_and_backward() {
    let t = Arrays::load(&fixture("golden/v1_quantizer.npz"));
    let mut cases = 0;
    for (mode, rounding) in [("standard_round", Rounding::HalfUp), ("floor", Rounding::Floor)] {
        for granularity in ["none", "batch", "except_last", "all", "dim1"] {
            let key = |what: &str| format!("{mode}|exact1|{granularity}|{what}");
            // `dim1` shares along the last axis: the same as per channel of the transposed tensor
            let turned = granularity == "dim1";
            let f: Vec<f32> = t.f32(&key("f")).iter().map(|f| f.clamp(-23.0, 23.0)).collect();
            close(&key("f_after"), &f, t.get(&key("f_after")), 0.0);
            let (shape, groups) = match granularity {
                "none" => (48, Groups::elementwise(48)),
                "all" => (48, Groups::new(Granularity::Tensor, &[48])),
                "dim1" => (48, Groups::new(Granularity::Channel, &[8, 6])),
                // (1, 8): either the batch axis is shared, or a sample of six positions has eight
                // channels
                "batch" => (8, Groups::elementwise(8)),
                _ => (48, Groups::new(Granularity::Channel, &[6, 8])),
            };
            let turn = |v: &[f64]| if turned { transpose(v, 6) } else { v.to_vec() };
            let single = |v: Vec<f64>| v.into_iter().map(|v| v as f32).collect::<Vec<f32>>();
            let (x, g) = (single(turn(t.get("x"))), single(turn(t.get("g"))));
            let q = quantizer(groups, &f, Range::Traced, rounding);
            for isa in isas() {
                let p = pass(isa, &q, &x, &g);
                assert_eq!(p.y.len(), 48 / shape * shape);
                // HGQ's training forward carries f32 noise (docs/hgq-spec.md#a1-3); its inference
                // does not
                close(&key("y_train"), &p.y, &turn(t.get(&key("y_train"))), 2e-6);
                close(&key("y_infer"), &p.y, &turn(t.get(&key("y_infer"))), 0.0);
                close(&key("dx"), &p.dx, &turn(t.get(&key("dx"))), 0.0);
                let df = t.get(&key("df"));
                let tolerance = 3e-5 * df.iter().fold(1.0f64, |m, v| m.max(v.abs()));
                close(&key("df"), &p.df, df, tolerance);
                if t.has(&key("min")) {
                    // recorded over two calls with the training noise
                    close(&key("min"), &p.min, t.get(&key("min")), 2e-6);
                    close(&key("max"), &p.max, t.get(&key("max")), 2e-6);
                    let op = QuantizerOp::new(&q);
                    let (min, max) = (t.f32(&key("min")), t.f32(&key("max")));
                    for (relu, sign) in [(false, "sgn"), (true, "pos")] {
                        let part = |what: &str| t.get(&key(&format!("{sign}|bits_{what}")));
                        let want: Vec<f64> =
                            part("i").iter().zip(part("f")).zip(part("k")).map(|((i, f), k)| (i + f + k).max(0.0)).collect();
                        let bits: Vec<f32> = (0..f.len()).map(|n| op.bits(n, f[n], None, (min[n], max[n]), relu)).collect();
                        close(&key(sign), &bits, &want, 0.0);
                    }
                }
                cases += 1;
            }
        }
    }
    assert_eq!(cases, 10 * isas().len());
}

#[test]
fn bias_takes_the_maximum_and_splits_its_gradient() {
    let t = Arrays::load(&fixture("golden/v1_quantizer.npz"));
    for (name, groups) in
        [("ch", Groups::elementwise(8)), ("full", Groups::elementwise(24)), ("one", Groups::new(Granularity::Tensor, &[8]))]
    {
        let key = |what: &str| format!("bias|{name}|{what}");
        let (f, b, g) = (t.f32(&key("f")), t.f32(&key("b")), t.f32(&key("g")));
        let channels = ChannelGroups::new(&groups, 8);
        let mut df = vec![0.0; f.len()];
        let mut y = Vec::new();
        for c in 0..8 {
            let q = bias::forward(b[c], channels.f(c, &f), Rounding::HalfUp);
            channels.spread(c, &f, bias::gradient_f(b[c], q, g[c]), &mut df);
            y.push(q);
        }
        close(&key("y"), &y, t.get(&key("y")), 2e-6);
        close(&key("df"), &df, t.get(&key("df")), 1e-5);
        close(&key("db"), &g, t.get(&key("db")), 0.0);
    }
}

#[test]
fn ties_of_the_maximum_share_equally() {
    // two channels at three positions, one width per element; channel 0 has its maximum twice
    let channels = ChannelGroups::new(&Groups::elementwise(6), 2);
    let f = [3.0, 1.0, 3.0, 2.0, -1.0, 0.5];
    let mut df = [0.0; 6];
    channels.spread(0, &f, 0.5, &mut df);
    channels.spread(1, &f, 4.0, &mut df);
    assert_eq!((channels.f(0, &f), channels.f(1, &f)), (3.0, 2.0));
    assert_eq!(df, [0.25, 0.0, 0.25, 4.0, 0.0, 0.0]);
}

#[test]
#[ignore = "needs ../shared"]
fn saturating_quantizers_of_hgq2() {
    let Some(path) = shared("golden/v2_quantizer.npz") else { return };
    let t = Arrays::load(&path);
    let (x, g) = (t.f32("x"), t.f32("g"));
    let n = x.len();
    let mut cases = 0;
    let names: Vec<String> =
        t.names().filter(|n| n.starts_with("stateless|") && n.ends_with("|y_train")).map(String::from).collect();
    for name in names {
        let key = name.trim_end_matches("|y_train").to_string();
        let parts: Vec<&str> = key.split('|').collect();
        let rounding = match parts[2] {
            "RND" => Rounding::HalfUp,
            "TRN" => Rounding::Floor,
            "RND_CONV" => Rounding::HalfEven,
            "RND_MIN_INF" => Rounding::HalfDown,
            _ => continue,
        };
        let symmetric = match parts[3] {
            "SAT" => false,
            "SAT_SYM" => true,
            _ => continue,
        };
        let (k, rest) = parts[1][1..].split_once('i').unwrap();
        let (i, f) = rest.split_once('f').unwrap();
        let (keep, i, f): (bool, f32, f32) = (k == "1", i.parse().unwrap(), f.parse().unwrap());
        let range = Range::Saturating { keep_negative: vec![keep; n], i: vec![i; n], symmetric };
        let q = quantizer(Groups::elementwise(n), &vec![f; n], range, rounding);
        for isa in isas() {
            let p = pass(isa, &q, &x, &g);
            let of = |what: &str| t.get(&format!("{key}|{what}"));
            close(&key, &p.y, of("y_train"), 1e-6);
            close(&format!("{key} dx"), &p.dx, of("dx"), 1e-6);
            close(&format!("{key} di"), &p.di, of("di"), 1e-5);
            close(&format!("{key} df"), &p.df, of("df"), 3e-5);
        }
        cases += 1;
    }
    assert!(cases >= 24, "only {cases} cases");
}

#[test]
fn all_roundings_are_exact() {
    // values on a 2^-6 grid, rounded to 2^-2: ties of both signs included
    let x: Vec<f32> = (-300..300)
        .map(|n| n as f32 / 64.0)
        .chain([0.125f32.next_down(), 0.125, -0.125, -1e-10, 1e-10, 2_097_152.0 + 0.25])
        .collect();
    for rounding in [Rounding::HalfUp, Rounding::HalfDown, Rounding::HalfEven, Rounding::Floor, Rounding::Ceil] {
        let want: Vec<f64> = x.iter().map(|&v| rounding.apply(f64::from(v) * 4.0) / 4.0).collect();
        let q = quantizer(Groups::new(Granularity::Tensor, &[x.len()]), &[2.0], Range::Traced, rounding);
        for isa in isas() {
            close(&format!("{rounding:?} {isa:?}"), &pass(isa, &q, &x, &x).y, &want, 0.0);
        }
    }
}
