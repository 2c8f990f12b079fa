//! Backward kernels: gradients to weights and to the input of a dense layer, with the backward pass
//! of the quantizer in front of it in the epilogue; a quantizer on its own.
//!
//! Per element of a quantizer only three sums are kept (docs/hgq-spec.md#a1-3, #b1-1):
//! `Σ g·(x − y)` inside the bounds, `Σ g` above, `Σ g` below; the gradients to f and i follow from
//! them once per step ([`crate::train::engine::op::quantizer`]).

use super::tile::{Tile, cover, product};
use super::{Has, LANES, Lane, Vectorized, holds};

/// Sums over the batch, one per column.
pub struct QuantizerSums<'a> {
    pub inside: &'a mut [f32],
    pub above: &'a mut [f32],
    pub below: &'a mut [f32],
}

/// Backward pass of a quantizer: from the gradient of its output to that of its input. `x`, `y`,
/// `dx`: rows × columns.
pub struct QuantizerBackward<'a> {
    pub x: &'a [f32],
    pub y: &'a [f32],
    pub lo: &'a [f32],
    pub hi: &'a [f32],
    /// Whether `lo` and `hi` are finite.
    pub saturating: bool,
    pub pre_relu: bool,
    pub post_relu: bool,
    pub sums: QuantizerSums<'a>,
    /// `None`: nobody needs it.
    pub dx: Option<&'a mut [f32]>,
    /// Add to `dx` instead of overwriting it.
    pub add: bool,
}

impl QuantizerBackward<'_> {
    fn raw(&mut self, rows: usize, cols: usize) -> Columns {
        let s = &mut self.sums;
        assert!(holds(self.x.len().min(self.y.len()), rows, cols) && self.lo.len() >= cols && self.hi.len() >= cols);
        assert!(s.inside.len() >= cols && s.above.len() >= cols && s.below.len() >= cols);
        assert!(self.dx.as_ref().is_none_or(|d| holds(d.len(), rows, cols)));
        Columns {
            x: self.x.as_ptr(),
            y: self.y.as_ptr(),
            lo: self.lo.as_ptr(),
            hi: self.hi.as_ptr(),
            saturating: self.saturating,
            pre_relu: self.pre_relu,
            post_relu: self.post_relu,
            inside: s.inside.as_mut_ptr(),
            above: s.above.as_mut_ptr(),
            below: s.below.as_mut_ptr(),
            dx: self.dx.as_mut().map_or(std::ptr::null_mut(), |d| d.as_mut_ptr()),
            add: self.add,
            stride: cols,
        }
    }
}

struct Columns {
    x: *const f32,
    y: *const f32,
    lo: *const f32,
    hi: *const f32,
    saturating: bool,
    pre_relu: bool,
    post_relu: bool,
    inside: *mut f32,
    above: *mut f32,
    below: *mut f32,
    dx: *mut f32,
    add: bool,
    stride: usize,
}

impl Columns {
    /// `g`: gradients of the outputs in rows `r..r+MR`, columns `c..c+N`.
    #[inline(always)]
    unsafe fn apply<L: Lane, const MR: usize>(&self, r: usize, c: usize, g: [L; MR]) {
        // SAFETY: `raw` checked the lengths; the caller keeps the tile inside.
        unsafe {
            let zero = L::splat(0.0);
            let (lo, hi) = (L::load(self.lo.add(c)), L::load(self.hi.add(c)));
            let (mut inside, mut above, mut below) = (L::load(self.inside.add(c)), zero, zero);
            for (n, g) in g.iter().enumerate() {
                let at = (r + n) * self.stride + c;
                let (x, y) = (L::load(self.x.add(at)), L::load(self.y.add(at)));
                let mut g = *g;
                if self.post_relu {
                    g = y.if_gt(zero, g, zero);
                }
                if self.saturating {
                    let over = x.if_gt(hi, g, zero);
                    let under = lo.if_gt(x, g, zero);
                    above = above.add(over);
                    below = below.add(under);
                    g = x.if_gt(hi, zero, lo.if_gt(x, zero, g));
                }
                inside = g.fma(x.sub(y), inside);
                if !self.dx.is_null() {
                    if self.pre_relu {
                        g = x.if_gt(zero, g, zero);
                    }
                    if self.add {
                        g = g.add(L::load(self.dx.add(at)));
                    }
                    g.store(self.dx.add(at));
                }
            }
            inside.store(self.inside.add(c));
            if self.saturating {
                above.add(L::load(self.above.add(c))).store(self.above.add(c));
                below.add(L::load(self.below.add(c))).store(self.below.add(c));
            }
        }
    }
}

/// [`QuantizerBackward`] from a stored gradient `dy` (rows × `stride`).
pub struct InputGrad<'a> {
    pub dy: &'a [f32],
    pub rows: usize,
    pub stride: usize,
    pub quantizer: QuantizerBackward<'a>,
}

struct QuantizerTile {
    dy: *const f32,
    columns: Columns,
}

impl Tile for QuantizerTile {
    #[inline(always)]
    unsafe fn tile<L: Lane, const MR: usize, const NV: usize>(&self, r: usize, c: usize) {
        // SAFETY: `InputGrad::run` checked the lengths.
        unsafe {
            for j in 0..NV {
                let column = c + j * L::N;
                let mut g = [L::splat(0.0); MR];
                for (n, g) in g.iter_mut().enumerate() {
                    *g = L::load(self.dy.add((r + n) * self.columns.stride + column));
                }
                self.columns.apply::<L, MR>(r, column, g);
            }
        }
    }
}

impl Vectorized for InputGrad<'_> {
    type Out = ();
    #[inline(always)]
    fn run<L: Lane>(mut self, _: Has<L>) {
        assert!(self.stride.is_multiple_of(LANES) && holds(self.dy.len(), self.rows, self.stride));
        let tile = QuantizerTile { dy: self.dy.as_ptr(), columns: self.quantizer.raw(self.rows, self.stride) };
        // SAFETY: lengths checked above and in `raw`.
        unsafe { cover::<L, _>(&tile, self.rows, self.stride) }
    }
}

/// `dw += aᵀ·dz`, `db += Σ dz`. `a`: rows × `a_stride`; `dz`: rows × `outputs` (padded); `dw`:
/// inputs × `outputs`.
pub struct DenseWeightGrad<'a> {
    pub a: &'a [f32],
    pub a_stride: usize,
    pub inputs: usize,
    pub dz: &'a [f32],
    pub outputs: usize,
    pub rows: usize,
    pub dw: &'a mut [f32],
    pub db: &'a mut [f32],
}

struct WeightTile {
    a: *const f32,
    a_stride: usize,
    dz: *const f32,
    outputs: usize,
    rows: usize,
    dw: *mut f32,
}

impl Tile for WeightTile {
    fn depth(&self) -> usize {
        self.rows
    }

    #[inline(always)]
    unsafe fn tile<L: Lane, const MR: usize, const NV: usize>(&self, r: usize, c: usize) {
        // SAFETY: `DenseWeightGrad::run` checked the lengths.
        unsafe {
            let zero = [L::splat(0.0); NV];
            let acc = product::<L, MR, NV>(self.a.add(r), 1, self.a_stride, self.dz.add(c), self.outputs, self.rows, zero);
            for (n, row) in acc.iter().enumerate() {
                for (j, v) in row.iter().enumerate() {
                    let p = self.dw.add((r + n) * self.outputs + c + j * L::N);
                    v.add(L::load(p)).store(p);
                }
            }
        }
    }
}

impl Vectorized for DenseWeightGrad<'_> {
    type Out = ();
    #[inline(always)]
    fn run<L: Lane>(self, _: Has<L>) {
        let (rows, cols) = (self.rows, self.outputs);
        assert!(cols.is_multiple_of(LANES) && self.inputs <= self.a_stride && holds(self.a.len(), rows, self.a_stride));
        assert!(holds(self.dz.len(), rows, cols) && holds(self.dw.len(), self.inputs, cols) && self.db.len() >= cols);
        let dz = self.dz.as_ptr();
        let tile = WeightTile { a: self.a.as_ptr(), a_stride: self.a_stride, dz, outputs: cols, rows, dw: self.dw.as_mut_ptr() };
        // SAFETY: lengths checked above.
        unsafe {
            cover::<L, _>(&tile, self.inputs, cols);
            for c in (0..cols).step_by(L::N) {
                let mut sum = L::load(self.db.as_ptr().add(c));
                for r in 0..rows {
                    sum = sum.add(L::load(dz.add(r * cols + c)));
                }
                sum.store(self.db.as_mut_ptr().add(c));
            }
        }
    }
}

/// What to do with the gradient of a dense layer's input.
pub enum DenseInputGrad<'a> {
    Store(&'a mut [f32]),
    Add(&'a mut [f32]),
    /// Straight on through the quantizer that made the input.
    Through(QuantizerBackward<'a>),
}

impl<'a> DenseInputGrad<'a> {
    /// `da = dz·wᵀ`: `dz` rows × `dz_stride` with `outputs` columns used, `wt` (the transposed
    /// weights) outputs × `inputs` (padded).
    pub fn of(
        self,
        dz: &'a [f32],
        dz_stride: usize,
        outputs: usize,
        wt: &'a [f32],
        inputs: usize,
        rows: usize,
    ) -> impl Vectorized<Out = ()> + 'a {
        InputGradOf { to: self, dz, dz_stride, outputs, wt, inputs, rows }
    }
}

struct InputGradOf<'a> {
    to: DenseInputGrad<'a>,
    dz: &'a [f32],
    dz_stride: usize,
    outputs: usize,
    wt: &'a [f32],
    inputs: usize,
    rows: usize,
}

enum Target {
    Plain { da: *mut f32, add: bool },
    Quantizer(Columns),
}

struct InputTile {
    dz: *const f32,
    dz_stride: usize,
    outputs: usize,
    wt: *const f32,
    inputs: usize,
    target: Target,
}

impl Tile for InputTile {
    fn depth(&self) -> usize {
        self.outputs
    }

    #[inline(always)]
    unsafe fn tile<L: Lane, const MR: usize, const NV: usize>(&self, r: usize, c: usize) {
        // SAFETY: `InputGradOf::run` checked the lengths.
        unsafe {
            let zero = [L::splat(0.0); NV];
            let dz = self.dz.add(r * self.dz_stride);
            let acc = product::<L, MR, NV>(dz, self.dz_stride, 1, self.wt.add(c), self.inputs, self.outputs, zero);
            for j in 0..NV {
                let column = c + j * L::N;
                let mut g = [zero[0]; MR];
                for (g, row) in g.iter_mut().zip(&acc) {
                    *g = row[j];
                }
                match &self.target {
                    Target::Quantizer(columns) => columns.apply::<L, MR>(r, column, g),
                    Target::Plain { da, add } => {
                        for (n, g) in g.iter().enumerate() {
                            let p = da.add((r + n) * self.inputs + column);
                            let g = if *add { g.add(L::load(p)) } else { *g };
                            g.store(p);
                        }
                    }
                }
            }
        }
    }
}

impl Vectorized for InputGradOf<'_> {
    type Out = ();
    #[inline(always)]
    fn run<L: Lane>(mut self, _: Has<L>) {
        let (rows, cols) = (self.rows, self.inputs);
        assert!(cols.is_multiple_of(LANES) && self.outputs <= self.dz_stride && holds(self.dz.len(), rows, self.dz_stride));
        assert!(holds(self.wt.len(), self.outputs, cols));
        let target = match &mut self.to {
            DenseInputGrad::Store(da) | DenseInputGrad::Add(da) if !holds(da.len(), rows, cols) => {
                unreachable!("gradient buffers are as large as value buffers")
            }
            DenseInputGrad::Store(da) => Target::Plain { da: da.as_mut_ptr(), add: false },
            DenseInputGrad::Add(da) => Target::Plain { da: da.as_mut_ptr(), add: true },
            DenseInputGrad::Through(q) => Target::Quantizer(q.raw(rows, cols)),
        };
        let tile = InputTile {
            dz: self.dz.as_ptr(),
            dz_stride: self.dz_stride,
            outputs: self.outputs,
            wt: self.wt.as_ptr(),
            inputs: cols,
            target,
        };
        // SAFETY: lengths checked above and in `raw`.
        unsafe { cover::<L, _>(&tile, rows, cols) }
    }
}
