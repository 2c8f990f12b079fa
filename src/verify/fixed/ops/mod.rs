//! One method per operator: checks its operands, bounds its result, emits its step.

mod moves;
mod spatial;

use super::compile::{Compiler, Data, Known};
use super::constant::{Casts, Constant, raise};
use super::error::{WIDE, fits};
use super::function;
use super::step::{Cast, Step};
use crate::onnx::proto::NodeProto;
use crate::quant::rounding::{cast, shl};
use crate::quant::{Overflow, Rounding};

/// Kernel sizes, strides and pads are below this: sums of two with an input still fit any integer.
const MAX_WINDOW: usize = 1 << 20;

fn lift(v: i128, by: i32) -> Result<i128, String> {
    shl(v, by).ok_or_else(|| WIDE.to_string())
}

/// A checked shift as an instruction holds it; more than 62 only where all values are 0.
fn room(by: i32) -> u32 {
    by.clamp(0, 62) as u32
}

fn lift_all(bounds: &[(i128, i128)], by: i32) -> Result<Vec<(i128, i128)>, String> {
    bounds.iter().map(|&(lo, hi)| Ok((lift(lo, by)?, lift(hi, by)?))).collect()
}

impl Compiler {
    fn data_operand(&self, node: &NodeProto, index: usize) -> Result<Data, String> {
        match self.operand(node, index)? {
            Known::Data(d) => Ok(d),
            Known::Constant(_) => Err(format!("input {index} must not be a constant")),
        }
    }

    pub(super) fn quant(&mut self, node: &NodeProto) -> Result<Known, String> {
        let (scale, zero, bits) = (self.constant(node, 1)?, self.constant(node, 2)?, self.constant(node, 3)?);
        let x = match self.operand(node, 0)? {
            Known::Constant(x) => {
                // the leading axis of a constant is not a batch
                let shape = x.shape.clone();
                let casts = Casts::of(node, &scale, &zero, &bits, &shape)?;
                self.hold(x.values.len())?;
                return Ok(Known::Constant(casts.apply(&x)));
            }
            Known::Data(x) => x,
        };
        let q = Casts::of(node, &scale, &zero, &bits, &x.shape)?;
        let frac = q.formats.iter().filter(|k| !k.is_zero()).map(|k| k.fractional).max().unwrap_or(0);
        let (mut casts, mut bounds) = (Vec::with_capacity(x.bounds.len()), Vec::with_capacity(x.bounds.len()));
        for (&format, &(lo, hi)) in q.formats.iter().zip(&x.bounds) {
            if format.is_zero() {
                casts.push(Cast { drop: 0, lo: 0, hi: 0, up: 0 });
                bounds.push((0, 0));
                continue;
            }
            let drop = x.frac - format.fractional;
            if drop < 0 {
                fits(lift(lo, -drop)?)?;
                fits(lift(hi, -drop)?)?;
            }
            let (least, most) = q.overflow.bounds(format);
            let up = frac - format.fractional;
            if drop > 62 && q.rounding != Rounding::Floor {
                return Err("its input is more than 62 bits finer than its grid".into());
            }
            casts.push(Cast { drop: drop.clamp(-62, 62), lo: fits(least)? as i64, hi: fits(most)? as i64, up: room(up) });
            fits(lift(least, up)?)?;
            let (from, to) = if q.overflow == Overflow::Wrap {
                let at = |v| if drop > 0 { Ok(q.rounding.shift(v, drop)) } else { lift(v, -drop) };
                let (from, to) = (at(lo)?, at(hi)?);
                // not monotone where something wraps
                if from < least || to > most { (least, most) } else { (from, to) }
            } else {
                let at = |v| cast(v, x.frac, format, q.rounding, q.overflow);
                (at(lo), at(hi))
            };
            bounds.push((lift(from, up)?, lift(to, up)?));
        }
        // mostly the same at every position
        let period = x.shape.last().copied().unwrap_or(1).max(1);
        if casts.chunks(period).all(|c| c == &casts[..c.len()]) {
            casts.truncate(period);
            casts.shrink_to_fit();
        }
        let out = self.data(x.shape.clone(), frac, bounds)?;
        self.quants.push(if node.name().is_empty() { node.output[0].clone() } else { node.name().to_string() });
        let wrap = q.overflow == Overflow::Wrap;
        let quant = self.quants.len() - 1;
        self.steps.push(Step::Quant { src: x.id, dst: out.id, casts, rounding: q.rounding, wrap, quant });
        Ok(Known::Data(out))
    }

    pub(super) fn matmul(&mut self, node: &NodeProto) -> Result<Known, String> {
        let x = self.data_operand(node, 0)?;
        let weight = self.constant(node, 1)?;
        let ([rows], &[inputs, outputs]) = (&x.shape[..], &weight.shape[..]) else {
            return Err(format!("multiplies {:?} by {:?}; only (1, n) by (n, m) is in the vocabulary", x.shape, weight.shape));
        };
        if *rows != inputs {
            return Err(format!("multiplies {rows} elements by {inputs} rows"));
        }
        let (ints, frac) = weight.common()?;
        let mut columns: Vec<Vec<(u32, i64)>> = vec![Vec::new(); outputs];
        let mut bounds = vec![(0i128, 0i128); outputs];
        let mut largest = vec![0i128; outputs];
        for (row, weights) in ints.chunks(outputs.max(1)).enumerate() {
            let (lo, hi) = x.bounds[row];
            for (j, &w) in weights.iter().enumerate().filter(|(_, w)| **w != 0) {
                columns[j].push((row as u32, w));
                let (a, b) = (lo * i128::from(w), hi * i128::from(w));
                bounds[j] = (bounds[j].0 + a.min(b), bounds[j].1 + a.max(b));
                // partial sums in any order
                largest[j] = fits(largest[j] + a.abs().max(b.abs()))?;
            }
        }
        let out = self.data(vec![outputs], x.frac + frac, bounds)?;
        self.steps.push(Step::MatMul { src: x.id, dst: out.id, columns, bias: vec![0; outputs] });
        Ok(Known::Data(out))
    }

    pub(super) fn add(&mut self, node: &NodeProto, minus: bool) -> Result<Known, String> {
        let (a, b) = match (self.operand(node, 0)?, self.operand(node, 1)?) {
            (Known::Constant(_), Known::Constant(_)) => return Err("adds two constants".into()),
            (Known::Data(x), Known::Constant(c)) => return self.shift(&x, &c, 1, if minus { -1 } else { 1 }),
            (Known::Constant(c), Known::Data(x)) => return self.shift(&x, &c, if minus { -1 } else { 1 }, 1),
            (Known::Data(a), Known::Data(b)) => (a, b),
        };
        if a.shape != b.shape {
            return Err(format!("operands of shapes {:?} and {:?}", a.shape, b.shape));
        }
        let frac = a.frac.max(b.frac);
        let (up_a, up_b) = (frac - a.frac, frac - b.frac);
        let (x, y) = (lift_all(&a.bounds, up_a)?, lift_all(&b.bounds, up_b)?);
        let bounds = x.iter().zip(&y).map(|(x, y)| if minus { (x.0 - y.1, x.1 - y.0) } else { (x.0 + y.0, x.1 + y.1) });
        let out = self.data(a.shape.clone(), frac, bounds.collect())?;
        self.steps.push(Step::Add { a: a.id, b: b.id, dst: out.id, up_a: room(up_a), up_b: room(up_b), minus });
        Ok(Known::Data(out))
    }

    /// `x_sign·x + c_sign·c`.
    fn shift(&mut self, x: &Data, c: &Constant, x_sign: i64, c_sign: i64) -> Result<Known, String> {
        let (ints, grid) = c.expand(&x.shape)?.common()?;
        let frac = if ints.iter().all(|&v| v == 0) { x.frac } else { x.frac.max(grid) };
        let scale = raise(x_sign, frac - x.frac).ok_or(WIDE)?;
        let add = ints
            .iter()
            .map(|&v| if v == 0 { Some(0) } else { raise(v * c_sign, frac - grid) })
            .collect::<Option<Vec<_>>>()
            .ok_or(WIDE)?;
        self.affine(x, vec![scale; ints.len()], add, frac)
    }

    fn affine(&mut self, x: &Data, mul: Vec<i64>, add: Vec<i64>, frac: i32) -> Result<Known, String> {
        let mut bounds = Vec::with_capacity(mul.len());
        for ((&(lo, hi), &m), &c) in x.bounds.iter().zip(&mul).zip(&add) {
            let (a, b) = (fits(lo * i128::from(m))?, fits(hi * i128::from(m))?);
            bounds.push((a.min(b) + i128::from(c), a.max(b) + i128::from(c)));
        }
        let out = self.data(x.shape.clone(), frac, bounds)?;
        self.steps.push(Step::Affine { src: x.id, dst: out.id, mul, add });
        Ok(Known::Data(out))
    }

    pub(super) fn function(&mut self, node: &NodeProto) -> Result<Known, String> {
        let x = self.data_operand(node, 0)?;
        let (function, frac) = function::of(node, x.frac)?;
        let bounds =
            x.bounds.iter().map(|&(lo, hi)| Ok((function.bound(lo)?, function.bound(hi)?))).collect::<Result<_, String>>()?;
        let out = self.data(x.shape.clone(), frac, bounds)?;
        self.steps.push(Step::Function { src: x.id, dst: out.id, function });
        Ok(Known::Data(out))
    }

    pub(super) fn mul(&mut self, node: &NodeProto) -> Result<Known, String> {
        let (a, b) = match (self.operand(node, 0)?, self.operand(node, 1)?) {
            (Known::Constant(_), Known::Constant(_)) => return Err("multiplies two constants".into()),
            (Known::Data(x), Known::Constant(c)) | (Known::Constant(c), Known::Data(x)) => {
                let (ints, grid) = c.expand(&x.shape)?.common()?;
                let zeros = vec![0; ints.len()];
                return self.affine(&x, ints, zeros, x.frac + grid);
            }
            (Known::Data(a), Known::Data(b)) => (a, b),
        };
        if a.shape != b.shape {
            return Err(format!("operands of shapes {:?} and {:?}", a.shape, b.shape));
        }
        let bounds = a.bounds.iter().zip(&b.bounds).map(|(x, y)| {
            let all = [x.0 * y.0, x.0 * y.1, x.1 * y.0, x.1 * y.1];
            (all.into_iter().min().unwrap_or(0), all.into_iter().max().unwrap_or(0))
        });
        let out = self.data(a.shape.clone(), a.frac + b.frac, bounds.collect())?;
        self.steps.push(Step::Mul { a: a.id, b: b.id, dst: out.id });
        Ok(Known::Data(out))
    }
}
