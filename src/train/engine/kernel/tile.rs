//! The register-tiled matrix product under every dense kernel, and the walk over its tiles.

use super::Lane;

/// `C[MR][NV·N] = init + A[MR][k] · B[k][NV·N]`. `A` is read one broadcast element at a time: row
/// stride `a_row`, step `a_step` along k.
///
/// # Safety
/// All addressed elements of `a` and `b` must be readable.
#[inline(always)]
pub unsafe fn product<L: Lane, const MR: usize, const NV: usize>(
    a: *const f32,
    a_row: usize,
    a_step: usize,
    b: *const f32,
    b_row: usize,
    k: usize,
    init: [L; NV],
) -> [[L; NV]; MR] {
    // SAFETY: the caller's promise.
    unsafe {
        let mut acc = [init; MR];
        for p in 0..k {
            let mut bv = init;
            for (j, v) in bv.iter_mut().enumerate() {
                *v = L::load(b.add(p * b_row + j * L::N));
            }
            for (r, row) in acc.iter_mut().enumerate() {
                let av = L::splat(*a.add(r * a_row + p * a_step));
                for (c, v) in row.iter_mut().zip(bv) {
                    *c = av.fma(v, *c);
                }
            }
        }
        acc
    }
}

/// Bytes of a right-hand matrix that stay in the second-level cache beside everything else: larger
/// ones are walked through once per block of rows and not once per strip.
const RESIDENT: usize = 1 << 18;

/// A kernel that computes the tile at row `r`, column `c`.
pub trait Tile {
    /// Rows of the right-hand matrix.
    fn depth(&self) -> usize {
        0
    }

    /// # Safety
    /// The tile must lie inside the matrices the implementor points to.
    unsafe fn tile<L: Lane, const MR: usize, const NV: usize>(&self, r: usize, c: usize);
}

/// Covers `rows × cols` with tiles; `cols` is a multiple of [`super::LANES`]. No tile reaches
/// beyond a ragged last row. Rows come in order for every column.
///
/// # Safety
/// As [`Tile::tile`], for the whole matrix.
#[inline(always)]
pub unsafe fn cover<L: Lane, T: Tile>(t: &T, rows: usize, cols: usize) {
    let width = if t.depth() * cols * size_of::<f32>() > RESIDENT { 2 * L::N } else { cols };
    for first in (0..cols).step_by(width.max(1)) {
        // SAFETY: the caller's promise.
        unsafe { columns::<L, T>(t, rows, first, (first + width).min(cols)) }
    }
}

#[inline(always)]
unsafe fn columns<L: Lane, T: Tile>(t: &T, rows: usize, from: usize, to: usize) {
    // SAFETY: the caller's promise.
    unsafe {
        let mut r = 0;
        if L::ROWS >= 8 {
            while r + 8 <= rows {
                strip::<L, T, 8>(t, r, from, to);
                r += 8;
            }
        }
        while r + 4 <= rows {
            strip::<L, T, 4>(t, r, from, to);
            r += 4;
        }
        if r + 2 <= rows {
            strip::<L, T, 2>(t, r, from, to);
            r += 2;
        }
        if r < rows {
            strip::<L, T, 1>(t, r, from, to);
        }
    }
}

#[inline(always)]
unsafe fn strip<L: Lane, T: Tile, const MR: usize>(t: &T, r: usize, from: usize, to: usize) {
    // SAFETY: the caller's promise.
    unsafe {
        let mut c = from;
        while c + 2 * L::N <= to {
            t.tile::<L, MR, 2>(r, c);
            c += 2 * L::N;
        }
        while c < to {
            t.tile::<L, MR, 1>(r, c);
            c += L::N;
        }
    }
}
