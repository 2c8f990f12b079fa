//! The instructions of a compiled proxy. Tensors are numbered; a block holds them as
//! `[element][sample]`.

use super::function::Function;
use crate::quant::Rounding;
use crate::quant::taps::Taps;
use crate::simd::Buffer;

/// Elements under a window.
pub type Tap = Vec<u32>;

/// One instruction.
#[derive(Clone, Debug)]
pub enum Step {
    /// `dst[j] = bias[j] + Σ w·src[row]` over the non-zero weights of column `j`.
    MatMul {
        src: usize,
        dst: usize,
        columns: Vec<Vec<(u32, i64)>>,
        bias: Vec<i64>,
    },
    /// `dst[e] = src[e]·mul[e] + add[e]`.
    Affine {
        src: usize,
        dst: usize,
        mul: Vec<i64>,
        add: Vec<i64>,
    },
    /// `dst[e] = (a[e] << up_a) ± (b[e] << up_b)`.
    Add {
        a: usize,
        b: usize,
        dst: usize,
        up_a: u32,
        up_b: u32,
        minus: bool,
    },
    /// `dst[e] = a[e]·b[e]`.
    Mul {
        a: usize,
        b: usize,
        dst: usize,
    },
    /// One cast per element, or those of one pixel where all have the same; clipped (or wrapped)
    /// elements are counted in slot `quant`.
    Quant {
        src: usize,
        dst: usize,
        casts: Vec<Cast>,
        rounding: Rounding,
        /// Two's complement wrap-around instead of clipping.
        wrap: bool,
        quant: usize,
    },
    Function {
        src: usize,
        dst: usize,
        function: Function,
    },
    /// `dst[p, o] = bias[o] + Σ w·src[element(p, k)]` over the non-zero weights of output `o`.
    Conv {
        src: usize,
        dst: usize,
        taps: Taps,
        columns: Vec<Vec<(u32, i64)>>,
        bias: Vec<i64>,
    },
    /// The largest of the listed elements.
    MaxPool {
        src: usize,
        dst: usize,
        under: Vec<Tap>,
    },
    /// The larger (or smaller) of two, on the common grid.
    Extreme {
        a: usize,
        b: usize,
        dst: usize,
        up_a: u32,
        up_b: u32,
        max: bool,
    },
    /// `dst[e] = from[which][element] << ups[which]`, 0 where there is none.
    Move {
        from: Vec<usize>,
        dst: usize,
        map: Vec<Option<(u32, u32)>>,
        ups: Vec<u32>,
    },
    Copy {
        src: usize,
        dst: usize,
    },
}

/// `clip(round(v·2^-drop), lo, hi) << up`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cast {
    pub drop: i32,
    pub lo: i64,
    pub hi: i64,
    pub up: u32,
}

impl Step {
    /// The tensors it reads.
    pub fn reads(&self) -> Vec<usize> {
        match *self {
            Step::Move { ref from, .. } => from.clone(),
            Step::MatMul { src, .. }
            | Step::Conv { src, .. }
            | Step::MaxPool { src, .. }
            | Step::Affine { src, .. }
            | Step::Quant { src, .. }
            | Step::Function { src, .. }
            | Step::Copy { src, .. } => vec![src],
            Step::Add { a, b, .. } | Step::Mul { a, b, .. } | Step::Extreme { a, b, .. } => vec![a, b],
        }
    }

    /// Executes on a block of `n` samples. Inlined into what [`crate::simd::dispatch`] runs, as all
    /// below it.
    #[inline(always)]
    pub fn run(&self, t: &mut [Buffer<i64>], n: usize, saturations: &mut [u64]) {
        let (Step::MatMul { dst, .. }
        | Step::Affine { dst, .. }
        | Step::Add { dst, .. }
        | Step::Mul { dst, .. }
        | Step::Quant { dst, .. }
        | Step::Function { dst, .. }
        | Step::Conv { dst, .. }
        | Step::MaxPool { dst, .. }
        | Step::Extreme { dst, .. }
        | Step::Move { dst, .. }
        | Step::Copy { dst, .. }) = self;
        let mut out = std::mem::take(&mut t[*dst]);
        self.fill(t, &mut out, n, saturations);
        t[*dst] = out;
    }

    #[inline(always)]
    fn fill(&self, t: &[Buffer<i64>], out: &mut [i64], n: usize, saturations: &mut [u64]) {
        match self {
            Step::MatMul { src, columns, bias, .. } => {
                let x = &t[*src];
                for ((to, column), &b) in out.chunks_exact_mut(n).zip(columns).zip(bias) {
                    sum(b, column.iter().map(|&(row, w)| (w, &x[row as usize * n..][..n])), to);
                }
            }
            Step::Affine { src, mul, add, .. } => {
                for (((o, x), &m), &a) in out.chunks_exact_mut(n).zip(t[*src].chunks_exact(n)).zip(mul).zip(add) {
                    o.iter_mut().zip(x).for_each(|(o, &v)| *o = v * m + a);
                }
            }
            Step::Add { a, b, up_a, up_b, minus, .. } => {
                for ((o, &x), &y) in out.iter_mut().zip(&t[*a][..]).zip(&t[*b][..]) {
                    let (x, y) = (x << up_a, y << up_b);
                    *o = if *minus { x - y } else { x + y };
                }
            }
            Step::Mul { a, b, .. } => out.iter_mut().zip(&t[*a][..]).zip(&t[*b][..]).for_each(|((o, &x), &y)| *o = x * y),
            Step::Quant { src, casts, rounding, wrap, quant, .. } => {
                let mut clipped = 0;
                for ((o, x), cast) in out.chunks_exact_mut(n).zip(t[*src].chunks_exact(n)).zip(casts.iter().cycle()) {
                    clipped += cast.apply(x, o, *rounding, *wrap);
                }
                saturations[*quant] += clipped;
            }
            // a loop of its own: it is vectorised
            Step::Function { src, function: Function::Relu, .. } => {
                out.iter_mut().zip(&t[*src][..]).for_each(|(o, &v)| *o = v.max(0));
            }
            Step::Function { src, function, .. } => {
                out.iter_mut().zip(&t[*src][..]).for_each(|(o, &v)| *o = function.apply(v));
            }
            Step::Conv { src, taps, columns, bias, .. } => conv(&t[*src], taps, columns, bias, out, n),
            Step::MaxPool { src, under, .. } => max_pool(&t[*src], under, out, n),
            Step::Extreme { a, b, up_a, up_b, max, .. } => {
                for ((o, &x), &y) in out.iter_mut().zip(&t[*a][..]).zip(&t[*b][..]) {
                    let (x, y) = (x << up_a, y << up_b);
                    *o = if *max { x.max(y) } else { x.min(y) };
                }
            }
            Step::Move { from, map, ups, .. } => moved(t, from, map, ups, out, n),
            Step::Copy { src, .. } => out.copy_from_slice(&t[*src]),
        }
    }
}

/// Samples summed at a time: their sums stay in registers.
const TILE: usize = 32;

/// `to = bias + Σ weight·x`.
#[inline(always)]
fn sum<'a>(bias: i64, terms: impl Iterator<Item = (i64, &'a [i64])> + Clone, to: &mut [i64]) {
    for (n, to) in to.chunks_mut(TILE).enumerate() {
        let mut sums = [bias; TILE];
        for (w, x) in terms.clone() {
            sums.iter_mut().zip(&x[n * TILE..]).for_each(|(a, &v)| *a += w * v);
        }
        to.copy_from_slice(&sums[..to.len()]);
    }
}

/// The weighted sums of every position, see [`Step::Conv`].
#[inline(always)]
fn conv(x: &[i64], taps: &Taps, columns: &[Vec<(u32, i64)>], bias: &[i64], out: &mut [i64], n: usize) {
    for (p, block) in out.chunks_exact_mut((columns.len() * n).max(1)).enumerate() {
        for (o, ((to, column), &b)) in block.chunks_exact_mut(n).zip(columns).zip(bias).enumerate() {
            let element = taps.elements(p, o);
            sum(b, column.iter().filter_map(|&(k, w)| Some((w, &x[element(k as usize)? * n..][..n]))), to);
        }
    }
}

/// The largest of the elements under each window.
#[inline(always)]
fn max_pool(x: &[i64], under: &[Tap], out: &mut [i64], n: usize) {
    let row = |e: u32| &x[e as usize * n..][..n];
    for (o, list) in out.chunks_exact_mut(n).zip(under) {
        let Some((&first, rest)) = list.split_first() else { continue };
        o.copy_from_slice(row(first));
        for &e in rest {
            o.iter_mut().zip(row(e)).for_each(|(o, &v)| *o = v.max(*o));
        }
    }
}

/// Elements of several tensors on one grid, see [`Step::Move`].
#[inline(always)]
fn moved(t: &[Buffer<i64>], from: &[usize], map: &[Option<(u32, u32)>], ups: &[u32], out: &mut [i64], n: usize) {
    for (o, source) in out.chunks_exact_mut(n).zip(map) {
        match *source {
            None => o.fill(0),
            Some((which, e)) => {
                let up = ups[which as usize];
                let row = &t[from[which as usize]][e as usize * n..][..n];
                o.iter_mut().zip(row).for_each(|(o, &v)| *o = v << up);
            }
        }
    }
}

impl Cast {
    /// Casts one element of all samples; returns how many were clipped or wrapped.
    #[inline(always)]
    fn apply(self, x: &[i64], out: &mut [i64], rounding: Rounding, wrap: bool) -> u64 {
        let mut clipped = 0u64;
        let Cast { drop, lo, hi, up } = self;
        let mut store = |o: &mut i64, v: i64| {
            // hi − lo is 2^bits − 1
            let kept = if wrap { (v.wrapping_sub(lo) & hi.wrapping_sub(lo)).wrapping_add(lo) } else { v.clamp(lo, hi) };
            clipped += u64::from(kept != v);
            *o = kept << up;
        };
        if drop <= 0 {
            let left = drop.unsigned_abs();
            x.iter().zip(out).for_each(|(&v, o)| store(o, v << left));
        } else if rounding == Rounding::Floor {
            x.iter().zip(out).for_each(|(&v, o)| store(o, v >> drop));
        } else {
            let half = 1i64 << (drop - 1);
            x.iter().zip(out).for_each(|(&v, o)| {
                let floor = v >> drop;
                let rest = v - (floor << drop);
                let up = match rounding {
                    Rounding::Floor => false,
                    Rounding::HalfUp => rest >= half,
                    Rounding::HalfDown => rest > half,
                    Rounding::HalfEven => rest > half || (rest == half && floor & 1 == 1),
                    Rounding::Ceil => rest > 0,
                };
                store(o, floor + i64::from(up));
            });
        }
        clipped
    }
}
