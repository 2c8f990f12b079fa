//! Forward kernels: dense product with bias, Relu and quantization in the epilogue; a quantizer on
//! its own.
//!
//! Quantization of one element (docs/hgq-spec.md#a1-2, #b1-1): `v = clip(x, lo, hi)·2^f`,
//! `r = ⌊v⌋`, `y = (r + [v − r ≥ t])·2^-f`. The threshold `t` gives half up (½), half down (next
//! above ½), floor (∞) and ceil (least positive number); unlike `⌊v + ½⌋` in f32 it is exact.

use super::tile::{Tile, cover, product};
use super::{Has, LANES, Lane, Vectorized, holds};

/// How to quantize the columns of a block. All slices have one entry per (padded) column.
#[derive(Clone, Copy)]
pub struct Quantize<'a> {
    /// `2^f`
    pub scale: &'a [f32],
    /// `2^-f`
    pub inv: &'a [f32],
    /// Bounds applied before rounding; infinite without saturation.
    pub lo: &'a [f32],
    pub hi: &'a [f32],
    /// See the module's formula; unused when `even`.
    pub threshold: f32,
    /// Round half to even.
    pub even: bool,
    /// A Relu comes before the quantizer; the quantizer's input is then stored after the Relu.
    pub pre_relu: bool,
    /// A Relu comes after the quantizer; ranges are of the values before it.
    pub post_relu: bool,
}

/// Quantization with its outputs: `y` (rows × columns) and the running minimum and maximum per
/// column.
pub struct QuantizeInto<'a> {
    pub how: Quantize<'a>,
    pub y: &'a mut [f32],
    pub min: &'a mut [f32],
    pub max: &'a mut [f32],
}

impl QuantizeInto<'_> {
    fn raw(&mut self, rows: usize, cols: usize) -> Columns {
        let q = &self.how;
        assert!(q.scale.len() >= cols && q.inv.len() >= cols && q.lo.len() >= cols && q.hi.len() >= cols);
        assert!(holds(self.y.len(), rows, cols) && self.min.len() >= cols && self.max.len() >= cols);
        Columns {
            scale: q.scale.as_ptr(),
            inv: q.inv.as_ptr(),
            lo: q.lo.as_ptr(),
            hi: q.hi.as_ptr(),
            threshold: q.threshold,
            even: q.even,
            pre_relu: q.pre_relu,
            post_relu: q.post_relu,
            y: self.y.as_mut_ptr(),
            min: self.min.as_mut_ptr(),
            max: self.max.as_mut_ptr(),
            stride: cols,
        }
    }
}

struct Columns {
    scale: *const f32,
    inv: *const f32,
    lo: *const f32,
    hi: *const f32,
    threshold: f32,
    even: bool,
    pre_relu: bool,
    post_relu: bool,
    y: *mut f32,
    min: *mut f32,
    max: *mut f32,
    stride: usize,
}

impl Columns {
    /// Quantizes `x` (rows `r..r+MR`, columns `c..c+N`), stores the result and returns the
    /// quantizer's input.
    #[inline(always)]
    unsafe fn apply<L: Lane, const MR: usize>(&self, r: usize, c: usize, mut x: [L; MR]) -> [L; MR] {
        // SAFETY: `raw` checked the lengths; the caller keeps the tile inside.
        unsafe {
            let (scale, inv) = (L::load(self.scale.add(c)), L::load(self.inv.add(c)));
            let (lo, hi) = (L::load(self.lo.add(c)), L::load(self.hi.add(c)));
            let (mut least, mut most) = (L::load(self.min.add(c)), L::load(self.max.add(c)));
            let (zero, one, threshold) = (L::splat(0.0), L::splat(1.0), L::splat(self.threshold));
            for (n, x) in x.iter_mut().enumerate() {
                if self.pre_relu {
                    *x = x.max(zero);
                }
                let v = x.max(lo).min(hi).mul(scale);
                let rounded = if self.even {
                    v.rint()
                } else {
                    let floor = v.floor();
                    floor.add(v.sub(floor).if_ge(threshold, one, zero))
                };
                let mut y = rounded.mul(inv);
                least = least.min(y);
                most = most.max(y);
                if self.post_relu {
                    y = y.max(zero);
                }
                y.store(self.y.add((r + n) * self.stride + c));
            }
            least.store(self.min.add(c));
            most.store(self.max.add(c));
            x
        }
    }
}

/// `z = a·w + bias`, then optionally Relu and quantization. `a`: rows × `a_stride`, of which
/// `inputs` columns are used; `w`: inputs × `outputs`; `z`: rows × `outputs` (padded). With a Relu
/// before the quantizer, `z` holds the values after that Relu.
pub struct DenseForward<'a> {
    pub a: &'a [f32],
    pub a_stride: usize,
    pub inputs: usize,
    pub w: &'a [f32],
    pub bias: &'a [f32],
    pub outputs: usize,
    pub rows: usize,
    pub z: &'a mut [f32],
    pub quantize: Option<QuantizeInto<'a>>,
}

struct DenseTile {
    a: *const f32,
    a_stride: usize,
    inputs: usize,
    w: *const f32,
    bias: *const f32,
    outputs: usize,
    z: *mut f32,
    columns: Option<Columns>,
}

impl Tile for DenseTile {
    fn depth(&self) -> usize {
        self.inputs
    }

    #[inline(always)]
    unsafe fn tile<L: Lane, const MR: usize, const NV: usize>(&self, r: usize, c: usize) {
        // SAFETY: `DenseForward::run` checked the lengths.
        unsafe {
            let mut init = [L::splat(0.0); NV];
            for (j, v) in init.iter_mut().enumerate() {
                *v = L::load(self.bias.add(c + j * L::N));
            }
            let a = self.a.add(r * self.a_stride);
            let acc = product::<L, MR, NV>(a, self.a_stride, 1, self.w.add(c), self.outputs, self.inputs, init);
            for j in 0..NV {
                let column = c + j * L::N;
                let mut x = [init[j]; MR];
                for (x, row) in x.iter_mut().zip(&acc) {
                    *x = row[j];
                }
                if let Some(q) = &self.columns {
                    x = q.apply::<L, MR>(r, column, x);
                }
                for (n, x) in x.iter().enumerate() {
                    x.store(self.z.add((r + n) * self.outputs + column));
                }
            }
        }
    }
}

impl Vectorized for DenseForward<'_> {
    type Out = ();
    #[inline(always)]
    fn run<L: Lane>(mut self, _: Has<L>) {
        let (rows, cols) = (self.rows, self.outputs);
        assert!(cols.is_multiple_of(LANES) && self.inputs <= self.a_stride && holds(self.a.len(), rows, self.a_stride));
        assert!(holds(self.w.len(), self.inputs, cols) && self.bias.len() >= cols && holds(self.z.len(), rows, cols));
        let tile = DenseTile {
            a: self.a.as_ptr(),
            a_stride: self.a_stride,
            inputs: self.inputs,
            w: self.w.as_ptr(),
            bias: self.bias.as_ptr(),
            outputs: cols,
            z: self.z.as_mut_ptr(),
            columns: self.quantize.as_mut().map(|q| q.raw(rows, cols)),
        };
        // SAFETY: lengths checked above; the slices are disjoint borrows.
        unsafe { cover::<L, _>(&tile, rows, cols) }
    }
}

/// A quantizer that no dense layer could take into its epilogue. `x`: rows × `stride`.
pub struct QuantizerForward<'a> {
    pub x: &'a [f32],
    pub rows: usize,
    pub stride: usize,
    pub into: QuantizeInto<'a>,
}

struct QuantizerTile {
    x: *const f32,
    columns: Columns,
}

impl Tile for QuantizerTile {
    #[inline(always)]
    unsafe fn tile<L: Lane, const MR: usize, const NV: usize>(&self, r: usize, c: usize) {
        // SAFETY: `QuantizerForward::run` checked the lengths.
        unsafe {
            for j in 0..NV {
                let column = c + j * L::N;
                let mut x = [L::splat(0.0); MR];
                for (n, x) in x.iter_mut().enumerate() {
                    *x = L::load(self.x.add((r + n) * self.columns.stride + column));
                }
                self.columns.apply::<L, MR>(r, column, x);
            }
        }
    }
}

impl Vectorized for QuantizerForward<'_> {
    type Out = ();
    #[inline(always)]
    fn run<L: Lane>(mut self, _: Has<L>) {
        assert!(self.stride.is_multiple_of(LANES) && holds(self.x.len(), self.rows, self.stride));
        let tile = QuantizerTile { x: self.x.as_ptr(), columns: self.into.raw(self.rows, self.stride) };
        // SAFETY: lengths checked above and in `raw`.
        unsafe { cover::<L, _>(&tile, self.rows, self.stride) }
    }
}
