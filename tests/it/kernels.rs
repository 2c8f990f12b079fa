//! Dense and quantizer kernels of every instruction set against loops in f64, and against their
//! portable twin; ragged sizes.

use crate::support::training::{Lcg, isas};
use hgq_onnx::train::engine::kernel::{
    Adam, DenseForward, DenseInputGrad, DenseWeightGrad, Quantize, QuantizeInto, QuantizerBackward, QuantizerSums, WeightRow,
    dispatch, pad,
};

const ROWS: [usize; 7] = [1, 2, 3, 7, 8, 21, 128];
const WIDTHS: [usize; 6] = [1, 3, 16, 17, 33, 50];
/// Matrices that the kernels walk through column by column: too large for the cache.
const LARGE: [(usize, usize, usize); 2] = [(11, 260, 300), (128, 5, 530)];

fn shapes() -> impl Iterator<Item = (usize, usize, usize)> {
    let small = ROWS.into_iter().flat_map(|r| WIDTHS.into_iter().flat_map(move |i| WIDTHS.into_iter().map(move |o| (r, i, o))));
    small.chain(LARGE)
}

#[test]
fn dense_forward_with_epilogue() {
    let mut r = Lcg(3);
    for (rows, inputs, outputs) in shapes() {
        let (ip, op) = (pad(inputs), pad(outputs));
        let (a, w, bias) = (r.grid(rows, inputs, ip), r.grid(inputs, outputs, op), r.grid(1, outputs, op));
        let (scale, inv) = (vec![2.0; op], vec![0.5; op]);
        let (lo, hi) = (vec![-3.0; op], vec![9.5; op]);
        for (pre_relu, post_relu) in [(false, false), (true, false), (false, true)] {
            for isa in isas() {
                let (mut z, mut y) = (vec![7.0; rows * op], vec![7.0; rows * op]);
                let (mut min, mut max) = (vec![f32::INFINITY; op], vec![f32::NEG_INFINITY; op]);
                let how =
                    Quantize { scale: &scale, inv: &inv, lo: &lo, hi: &hi, threshold: 0.5, even: false, pre_relu, post_relu };
                let into = QuantizeInto { how, y: &mut y, min: &mut min, max: &mut max };
                let (z_out, quantize) = (&mut z, Some(into));
                let call =
                    DenseForward { a: &a, a_stride: ip, inputs, w: &w, bias: &bias, outputs: op, rows, z: z_out, quantize };
                dispatch(isa, call);
                for o in 0..outputs {
                    let (mut least, mut most) = (f64::INFINITY, f64::NEG_INFINITY);
                    for s in 0..rows {
                        let sum: f64 = (0..inputs).map(|i| f64::from(a[s * ip + i]) * f64::from(w[i * op + o])).sum();
                        let mut x = sum + f64::from(bias[o]);
                        if pre_relu {
                            x = x.max(0.0);
                        }
                        let mut q = (x.clamp(-3.0, 9.5) * 2.0 + 0.5).floor() / 2.0;
                        (least, most) = (least.min(q), most.max(q));
                        if post_relu {
                            q = q.max(0.0);
                        }
                        let at = s * op + o;
                        assert_eq!((f64::from(z[at]), f64::from(y[at])), (x, q), "{isa:?} {rows}×{inputs}×{outputs}");
                    }
                    assert_eq!((f64::from(min[o]), f64::from(max[o])), (least, most), "{isa:?} {rows}×{inputs}×{outputs}");
                }
            }
        }
    }
}

#[test]
fn dense_backward_stores_adds_and_goes_through() {
    let mut r = Lcg(4);
    for (rows, inputs, outputs) in shapes() {
        let (ip, op) = (pad(inputs), pad(outputs));
        let (a, dz) = (r.grid(rows, inputs, ip), r.grid(rows, outputs, op));
        let (wt, before) = (r.grid(outputs, inputs, ip), r.grid(rows, inputs, ip));
        let x = r.grid(rows, inputs, ip);
        let (lo, hi) = (vec![-2.0; ip], vec![1.5; ip]);
        let da: Vec<f64> = (0..rows * ip)
            .map(|n| {
                let (s, i) = (n / ip, n % ip);
                (0..outputs).map(|o| f64::from(dz[s * op + o]) * f64::from(wt[o * ip + i])).sum()
            })
            .collect();
        for isa in isas() {
            let what = format!("{isa:?} {rows}×{inputs}×{outputs}");
            let (mut dw, mut db) = (r.grid(inputs, outputs, op), r.grid(1, outputs, op));
            let (dw0, db0) = (dw.clone(), db.clone());
            dispatch(isa, DenseWeightGrad { a: &a, a_stride: ip, inputs, dz: &dz, outputs: op, rows, dw: &mut dw, db: &mut db });
            for o in 0..outputs {
                let sum: f64 = (0..rows).map(|s| f64::from(dz[s * op + o])).sum();
                assert_eq!(f64::from(db[o]), f64::from(db0[o]) + sum, "{what}");
                for i in 0..inputs {
                    let sum: f64 = (0..rows).map(|s| f64::from(a[s * ip + i]) * f64::from(dz[s * op + o])).sum();
                    assert_eq!(f64::from(dw[i * op + o]), f64::from(dw0[i * op + o]) + sum, "{what}");
                }
            }
            let (mut stored, mut added) = (before.clone(), before.clone());
            dispatch(isa, DenseInputGrad::Store(&mut stored).of(&dz, op, outputs, &wt, ip, rows));
            dispatch(isa, DenseInputGrad::Add(&mut added).of(&dz, op, outputs, &wt, ip, rows));
            for n in 0..rows * ip {
                assert_eq!(f64::from(stored[n]), da[n], "{what}");
                assert_eq!(f64::from(added[n]), da[n] + f64::from(before[n]), "{what}");
            }
            let (mut inside, mut above, mut below) = (vec![0.0; ip], vec![0.0; ip], vec![0.0; ip]);
            let mut dx = before.clone();
            let sums = QuantizerSums { inside: &mut inside, above: &mut above, below: &mut below };
            let q = QuantizerBackward {
                x: &x,
                y: &a,
                lo: &lo,
                hi: &hi,
                saturating: true,
                pre_relu: false,
                post_relu: true,
                sums,
                dx: Some(&mut dx),
                add: true,
            };
            dispatch(isa, DenseInputGrad::Through(q).of(&dz, op, outputs, &wt, ip, rows));
            for i in 0..inputs {
                let (mut want, mut size) = ([0.0f64; 3], 1.0);
                for s in 0..rows {
                    let n = s * ip + i;
                    let g = if a[n] > 0.0 { da[n] } else { 0.0 };
                    let (over, under) = (x[n] > 1.5, x[n] < -2.0);
                    let pass = if over || under { 0.0 } else { g };
                    want[0] += pass * f64::from(x[n] - a[n]);
                    size += (g * f64::from(x[n] - a[n])).abs();
                    want[1] += if over { g } else { 0.0 };
                    want[2] += if under { g } else { 0.0 };
                    assert_eq!(f64::from(dx[n]), pass + f64::from(before[n]), "{what}");
                }
                for (got, want) in [inside[i], above[i], below[i]].into_iter().zip(want) {
                    assert!((f64::from(got) - want).abs() <= 1e-6 * size, "{what}: {got} instead of {want}");
                }
            }
        }
    }
}

#[test]
fn weights_and_their_bits() {
    // (w, f) → quantized half up, surrogate bits, enclosed bits
    let cases = [
        (0.3125f32, 4.0f32, 0.3125f32, 3.0f32, 3.0f32),
        (6.5, 1.4, 6.5, 4.0, 4.0),
        (-4.0, 2.0, -4.0, 5.0, 1.0),
        (0.1, 2.0, 0.0, 0.0, 0.0),
        (-0.125, 2.0, 0.0, 0.0, 0.0),
        (0.125, 2.0, 0.25, 1.0, 1.0),
        (13.0, -1.0, 14.0, 3.0, 3.0),
        (1.0, 2.5, 1.0, 3.0, 1.0),
        (1.0, 3.5, 1.0, 5.0, 1.0),
    ];
    for isa in isas() {
        for (w, f, q, bits, enclosed) in cases {
            let (mut wq, mut b) = ([9.0; 16], [9.0; 16]);
            let (mut ws, mut fs) = ([0.0; 16], [0.0; 16]);
            (ws[3], fs[3]) = (w, f);
            let sums = dispatch(isa, WeightRow { w: &ws, f: &fs, wq: &mut wq, bits: &mut b });
            assert_eq!((wq[3], b[3], sums), (q, bits, (bits, enclosed)), "{isa:?} {w} {f}");
            assert_eq!((wq[0], b[0]), (0.0, 0.0));
        }
    }
}

#[test]
fn adam_in_tensorflow_form() {
    for isa in isas() {
        let (mut p, mut m, mut v) = (vec![1.0, -2.0, 0.5], vec![0.1, 0.0, 0.2], vec![0.04, 0.0, 0.01]);
        let g = [0.5, 0.0, -3.0];
        let bounds = (-1.5, 0.55);
        dispatch(
            isa,
            Adam { p: &mut p, m: &mut m, v: &mut v, g: &g, rate: 0.1, beta1: 0.9, beta2: 0.999, epsilon: 1e-7, bounds },
        );
        let want = |p: f64, m: f64, v: f64, g: f64| {
            let (m, v) = (0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g);
            (p - 0.1 * m / (v.sqrt() + 1e-7)).clamp(-1.5, 0.55)
        };
        for (got, want) in p.iter().zip([want(1.0, 0.1, 0.04, 0.5), -1.5, want(0.5, 0.2, 0.01, -3.0)]) {
            assert!((f64::from(*got) - want).abs() < 1e-6, "{isa:?}: {got} instead of {want}");
        }
    }
}
