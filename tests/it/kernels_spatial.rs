//! Kernels of sliding windows and of moved runs, of every instruction set, against plain loops; all
//! numbers are exact in f32.

use crate::support::training::{Lcg, isas};
use hgq_onnx::train::engine::kernel::{
    MoveBackward, MoveForward, Moves, PoolBackward, PoolForward, Taps, TapsBackward, TapsForward, dispatch, pad,
};

/// Multiples of 1/8 in [−4, 4), with many ties.
fn grid(r: &mut Lcg, n: usize) -> Vec<f32> {
    r.many(n, -32.0, 32.0).iter().map(|v| v.floor() / 8.0).collect()
}

/// A table of `taps` for each of `positions` with holes, and the same as a list.
fn table(r: &mut Lcg, positions: usize, taps: usize, rows: usize, row: usize) -> (Taps, Vec<Vec<Option<usize>>>) {
    let list: Vec<Vec<Option<usize>>> = (0..positions)
        .map(|_| {
            let mut at: Vec<Option<usize>> =
                r.many(taps, 0.0, rows as f32).iter().map(|&v| (v as usize).min(rows - 1)).map(Some).collect();
            let hole = r.many(1, 0.0, 2.0 * taps as f32)[0] as usize;
            if hole < taps && taps > 1 {
                at[hole] = None;
            }
            at
        })
        .collect();
    (Taps::new(positions, taps, rows, row, |p, t| list[p][t]).unwrap(), list)
}

#[test]
fn pooling_takes_the_first_maximum_and_the_mean() {
    let mut r = Lcg(7);
    for (channels, samples) in [(1, 1), (16, 3), (33, 2)] {
        let (row, positions, rows) = (pad(channels), 5, 12);
        let (taps, list) = table(&mut r, positions, 4, rows, row);
        let (x, dy) = (grid(&mut r, samples * rows * row), grid(&mut r, samples * positions * row));
        let before = grid(&mut r, x.len());
        for factor in [None, Some(0.25f32)] {
            let (mut y_want, mut dx_want) = (vec![0.0; dy.len()], before.clone());
            for (s, p, c) in (0..samples).flat_map(|s| (0..positions).flat_map(move |p| (0..row).map(move |c| (s, p, c)))) {
                let at = |t: usize| (s * rows + t) * row + c;
                let under: Vec<usize> = list[p].iter().flatten().map(|&t| at(t)).collect();
                let to = (s * positions + p) * row + c;
                match factor {
                    None => {
                        let most = under.iter().map(|&e| x[e]).fold(f32::MIN, f32::max);
                        y_want[to] = most;
                        dx_want[*under.iter().find(|&&e| x[e] == most).unwrap()] += dy[to];
                    }
                    Some(f) => {
                        y_want[to] = under.iter().map(|&e| x[e]).sum::<f32>() * f;
                        under.iter().for_each(|&e| dx_want[e] += f * dy[to]);
                    }
                }
            }
            for isa in isas() {
                let (mut y, mut dx) = (vec![9.0; dy.len()], before.clone());
                dispatch(isa, PoolForward { taps: &taps, samples, x: &x, y: &mut y, factor });
                assert_eq!(y, y_want, "{isa:?} {channels} {factor:?}");
                dispatch(isa, PoolBackward { taps: &taps, samples, x: &x, y: &y, dy: &dy, dx: &mut dx, factor });
                assert_eq!(dx, dx_want, "{isa:?} {channels} {factor:?}");
            }
        }
    }
}

#[test]
fn weighted_taps() {
    let mut r = Lcg(8);
    for (channels, samples) in [(1, 1), (16, 3), (33, 2)] {
        let (row, positions, rows, n) = (pad(channels), 5, 12, 6);
        let (taps, list) = table(&mut r, positions, n, rows, row);
        let (x, dz) = (grid(&mut r, samples * rows * row), grid(&mut r, samples * positions * row));
        let (w, bias) = (grid(&mut r, n * row), grid(&mut r, row));
        let before = [grid(&mut r, x.len()), grid(&mut r, w.len()), grid(&mut r, row)];
        let [mut dx_want, mut dw_want, mut db_want] = before.clone();
        let mut z_want = vec![0.0; dz.len()];
        for (s, p, c) in (0..samples).flat_map(|s| (0..positions).flat_map(move |p| (0..row).map(move |c| (s, p, c)))) {
            let to = (s * positions + p) * row + c;
            z_want[to] = bias[c];
            db_want[c] += dz[to];
            for (k, t) in list[p].iter().enumerate() {
                let Some(t) = t else { continue };
                let at = (s * rows + t) * row + c;
                z_want[to] += x[at] * w[k * row + c];
                dw_want[k * row + c] += x[at] * dz[to];
                dx_want[at] += w[k * row + c] * dz[to];
            }
        }
        for isa in isas() {
            let (what, taps) = (format!("{isa:?} {channels}"), &taps);
            let mut z = vec![9.0; dz.len()];
            dispatch(isa, TapsForward { taps, samples, x: &x, w: &w, bias: &bias, z: &mut z });
            assert_eq!(z, z_want, "{what}");
            for wanted in [true, false] {
                let [mut dx, mut dw, mut db] = before.clone();
                let into = wanted.then_some(&mut dx[..]);
                dispatch(isa, TapsBackward { taps, samples, x: &x, w: &w, dz: &dz, dw: &mut dw, db: &mut db, dx: into });
                assert_eq!((&dw, &db), (&dw_want, &db_want), "{what}");
                assert_eq!(dx, if wanted { &dx_want[..] } else { &before[0][..] }, "{what}");
            }
        }
    }
}

#[test]
fn runs_of_every_length_move_there_and_back() {
    let mut r = Lcg(9);
    let (from_stride, to_stride, samples) = (400, 800, 3);
    let mut pairs = Vec::new();
    let mut to = 1;
    for len in (1..40).chain([1, 1, 2]) {
        let from = r.many(1, 0.0, (from_stride - len) as f32)[0] as usize;
        pairs.extend((0..len).map(|n| (from + n, to + n)));
        to += len;
    }
    assert!(to <= to_stride);
    let moves = Moves::new(pairs.iter().copied()).unwrap();
    let (from, to) = (grid(&mut r, samples * from_stride), grid(&mut r, samples * to_stride));
    let (mut there, mut back) = (to.clone(), from.clone());
    for s in 0..samples {
        for &(f, t) in &pairs {
            there[s * to_stride + t] = from[s * from_stride + f];
            back[s * from_stride + f] += to[s * to_stride + t];
        }
    }
    for isa in isas() {
        let (mut a, mut b) = (to.clone(), from.clone());
        dispatch(isa, MoveForward { moves: &moves, samples, from: &from, from_stride, to: &mut a, to_stride });
        dispatch(isa, MoveBackward { moves: &moves, samples, from: &mut b, from_stride, to: &to, to_stride });
        assert_eq!(a, there, "{isa:?}");
        assert_eq!(b, back, "{isa:?}");
    }
}

#[test]
fn tables_that_do_not_fit_are_refused() {
    assert!(Taps::new(1, 1, 2, 16, |_, _| Some(2)).is_none());
    assert!(Taps::new(1, 1, 2, 12, |_, _| Some(0)).is_none());
    assert!(Taps::new(1, 1, usize::MAX, 16, |_, _| Some(0)).is_none());
    assert!(Moves::new([(u32::MAX as usize, 0)].into_iter()).is_none());
}
