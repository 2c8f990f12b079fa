//! All trainable numbers in one padded vector, with gradients and Adam moments beside them.

use super::kernel::{Adam, Buffer, Isa, dispatch, pad};

/// What a run of parameters is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParamKind {
    Weight,
    Bias,
    /// Fractional bits of the weights, per group.
    WeightF,
    /// Bits without the sign, of weights in HGQ2's `kbi` parametrisation.
    WeightB,
    /// Integer bits of weights with an HGQ2 quantizer.
    WeightI,
    /// Fractional bits of a bias with an HGQ2 quantizer, per group.
    BiasF,
    /// The same for its bits (`kbi`).
    BiasB,
    /// The same for its integer bits.
    BiasI,
    /// Fractional bits of an activation quantizer, per group.
    ActF,
    /// Bits without the sign, of an activation quantizer in the `kbi` parametrisation.
    ActB,
    /// Integer bits of an activation quantizer that saturates or is tracked, per group.
    ActI,
}

impl ParamKind {
    /// Whether this is a bit width rather than a weight.
    pub fn is_bits(self) -> bool {
        !matches!(self, ParamKind::Weight | ParamKind::Bias)
    }

    /// Whether these are integer bits: the second widths of a quantizer.
    pub fn is_integer(self) -> bool {
        matches!(self, ParamKind::WeightI | ParamKind::BiasI | ParamKind::ActI)
    }
}

/// `rows × cols` parameters of one node, rows padded to `stride`.
#[derive(Clone, Debug)]
pub struct Segment {
    pub node: usize,
    pub kind: ParamKind,
    pub offset: usize,
    pub rows: usize,
    pub cols: usize,
    pub stride: usize,
    pub trainable: bool,
    /// Applied after each update.
    pub bounds: (f32, f32),
}

impl Segment {
    pub fn range(&self) -> std::ops::Range<usize> {
        self.offset..self.offset + self.rows * self.stride
    }
}

/// Values, gradients, first and second moments; padding is 0 in all of them.
#[derive(Clone, Default)]
pub struct Params {
    pub segments: Vec<Segment>,
    pub values: Buffer,
    pub grads: Buffer,
    pub m: Buffer,
    pub v: Buffer,
    /// Adam steps since the moments were reset.
    pub step: u64,
}

/// Widths that are not trained may exceed the training bounds, but `2^±f` must stay an ordinary
/// f32.
const FROZEN_BITS: (f32, f32) = (-100.0, 100.0);

/// The bounds of what is not trained.
fn frozen(kind: ParamKind) -> (f32, f32) {
    if kind.is_bits() { FROZEN_BITS } else { (f32::MIN, f32::MAX) }
}

/// β1, β2, ε of Adam as Keras sets them (docs/hgq-spec.md#a8, docs/recipe.md#adam).
const ADAM: (f32, f32, f32) = (0.9, 0.999, 1e-7);

impl Params {
    /// Appends a segment and returns its index.
    pub fn push(&mut self, node: usize, kind: ParamKind, rows: usize, cols: usize, trainable: bool, bounds: (f32, f32)) -> usize {
        let offset = self.segments.last().map_or(0, |s| s.range().end);
        self.segments.push(Segment { node, kind, offset, rows, cols, stride: pad(cols), trainable, bounds });
        self.segments.len() - 1
    }

    /// Allocates the vectors once all segments are known.
    pub fn allocate(&mut self) {
        let len = self.segments.last().map_or(0, |s| s.range().end);
        for buffer in [&mut self.values, &mut self.grads, &mut self.m, &mut self.v] {
            *buffer = Buffer::new(len);
        }
    }

    /// Writes compact `rows × cols` numbers into segment `s`, brought into its bounds.
    pub fn write(&mut self, s: usize, from: &[f32]) {
        let Segment { offset, cols, stride, mut bounds, trainable, kind, .. } = self.segments[s];
        if !trainable {
            bounds = frozen(kind);
        }
        for (r, row) in from.chunks_exact(cols.max(1)).enumerate() {
            for (to, &v) in self.values[offset + r * stride..][..cols].iter_mut().zip(row) {
                *to = v.clamp(bounds.0, bounds.1);
            }
        }
    }

    /// Whether all of these may be the values: as many, and none outside of what [`Params::write`]
    /// and steps keep them in.
    pub fn may_be(&self, values: &[f32]) -> bool {
        let inside = |s: &Segment| {
            let (low, high) = if s.trainable { s.bounds } else { frozen(s.kind) };
            let fits = |v: &f32| v.is_finite() && (low..=high).contains(v);
            (0..s.rows).all(|r| values[s.offset + r * s.stride..][..s.cols].iter().all(fits))
        };
        self.is_padded(values) && self.segments.iter().all(inside)
    }

    /// Whether `values` has the length of the parameters, and zeros where these have padding.
    pub fn is_padded(&self, values: &[f32]) -> bool {
        let zeros =
            |s: &Segment| (0..s.rows).all(|r| values[s.offset + r * s.stride..][s.cols..s.stride].iter().all(|&v| v == 0.0));
        values.len() == self.values.len() && self.segments.iter().all(zeros)
    }

    /// Compact copy of segment `s` out of `of` (values or gradients).
    pub fn read(&self, s: usize, of: &[f32]) -> Vec<f32> {
        let seg = &self.segments[s];
        (0..seg.rows).flat_map(|r| of[seg.offset + r * seg.stride..][..seg.cols].iter().copied()).collect()
    }

    /// Values of segment `s`, padded.
    pub fn get(&self, s: usize) -> &[f32] {
        &self.values[self.segments[s].range()]
    }

    /// Gradients of segment `s`, padded, with all values to read from ([`Segment::range`]).
    pub fn grad(&mut self, s: usize) -> (&mut [f32], &[f32]) {
        (&mut self.grads[self.segments[s].range()], &self.values)
    }

    /// Gradients of a quantizer's f and, where it has one, of its i; the segment of i follows that
    /// of f.
    pub fn grads_of_quantizer(&mut self, f: usize, i: Option<usize>) -> (&mut [f32], Option<&mut [f32]>) {
        let (f, i) = (self.segments[f].range(), i.map(|i| self.segments[i].range()));
        let (low, high) = self.grads.split_at_mut(f.end);
        (&mut low[f.clone()], i.map(|i| &mut high[i.start - f.end..i.end - f.end]))
    }

    /// The segment of `node` with `kind`.
    pub fn find(&self, node: usize, kind: ParamKind) -> Option<usize> {
        self.segments.iter().position(|s| s.node == node && s.kind == kind)
    }

    /// One Adam step with the current gradients. Segments that are not trainable keep their
    /// moments, too.
    pub fn adam(&mut self, isa: Isa, rate_weights: f32, rate_bits: f32) {
        self.step += 1;
        let (beta1, beta2, epsilon) = ADAM;
        let t = self.step.min(i32::MAX as u64) as i32;
        let correction = ((1.0 - f64::from(beta2).powi(t)).sqrt() / (1.0 - f64::from(beta1).powi(t))) as f32;
        let Params { segments, values, grads, m, v, .. } = self;
        for s in segments.iter().filter(|s| s.trainable) {
            let range = s.range();
            let rate = correction * if s.kind.is_bits() { rate_bits } else { rate_weights };
            let (p, m, v) = (&mut values[range.clone()], &mut m[range.clone()], &mut v[range.clone()]);
            dispatch(isa, Adam { p, m, v, g: &grads[range], rate, beta1, beta2, epsilon, bounds: s.bounds });
        }
    }

    /// Fresh moments and step count.
    pub fn reset_moments(&mut self) {
        self.m.fill(0.0);
        self.v.fill(0.0);
        self.step = 0;
    }
}
