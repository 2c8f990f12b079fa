//! Operators that only move elements: `Concat`, `Transpose`, `Pad`, `Reshape`.

use super::{Compiler, Known, MAX_WINDOW, lift, raise, room};
use crate::onnx::attribute::Attributes;
use crate::onnx::proto::NodeProto;
use crate::ops::movement;
use crate::verify::fixed::compile::MAX_ELEMENTS;
use crate::verify::fixed::constant::Constant;
use crate::verify::fixed::step::Step;

impl Compiler {
    pub(in super::super) fn concat(&mut self, node: &NodeProto) -> Result<Known, String> {
        let [_, _] = &node.input[..] else { return Err("joins other than 2 tensors, which hls4ml refuses".into()) };
        let operands = [self.data_operand(node, 0)?, self.data_operand(node, 1)?];
        let rank = operands[0].shape.len();
        let axis = Attributes::of(node).int("axis", 0).map_err(|e| e.to_string())?;
        let axis = usize::try_from(if axis < 0 { axis + rank as i64 + 1 } else { axis }).ok().and_then(|a| a.checked_sub(1));
        let shapes = [&operands[0].shape[..], &operands[1].shape[..]];
        let Some((axis, shape)) = axis.and_then(|a| Some((a, movement::concat_shape(&shapes, a)?))) else {
            return Err(format!("joins {:?} and {:?} along an axis on which they do not fit", shapes[0], shapes[1]));
        };
        let frac = operands[0].frac.max(operands[1].frac);
        let ups = operands.each_ref().map(|x| frac - x.frac);
        let map: Vec<_> = movement::concat(&shapes, axis).into_iter().map(|(which, e)| Some((which as u32, e as u32))).collect();
        let mut bounds = Vec::with_capacity(map.len());
        for (which, e) in map.iter().flatten() {
            let (lo, hi) = operands[*which as usize].bounds[*e as usize];
            let up = ups[*which as usize];
            bounds.push((lift(lo, up)?, lift(hi, up)?));
        }
        let out = self.data(shape, frac, bounds)?;
        let from = operands.each_ref().map(|x| x.id).to_vec();
        self.steps.push(Step::Move { from, dst: out.id, map, ups: ups.map(room).to_vec() });
        Ok(Known::Data(out))
    }

    pub(in super::super) fn transpose(&mut self, node: &NodeProto) -> Result<Known, String> {
        let x = self.data_operand(node, 0)?;
        let rank = x.shape.len();
        let perm = Attributes::of(node).ints("perm").map_err(|e| e.to_string())?.ok_or("attribute `perm` is missing")?;
        let axes: Vec<usize> = perm.iter().filter_map(|&a| usize::try_from(a).ok()).collect();
        let mut sorted = axes.clone();
        sorted.sort_unstable();
        if perm.len() != rank + 1 || axes.first() != Some(&0) || !sorted.into_iter().eq(0..=rank) {
            return Err(format!("permutes axes {perm:?} of a tensor of {} axes; the batch must stay first", rank + 1));
        }
        let axes: Vec<usize> = axes[1..].iter().map(|a| a - 1).collect();
        let shape: Vec<usize> = axes.iter().map(|&a| x.shape[a]).collect();
        let mut strides = vec![1; rank];
        for a in (0..rank.saturating_sub(1)).rev() {
            strides[a] = strides[a + 1] * x.shape[a + 1];
        }
        let source = |mut e: usize| {
            let mut from = 0;
            for at in (0..rank).rev() {
                from += e % shape[at] * strides[axes[at]];
                e /= shape[at];
            }
            from
        };
        let sources: Vec<usize> = (0..x.bounds.len()).map(source).collect();
        let bounds = sources.iter().map(|&e| x.bounds[e]).collect();
        let out = self.data(shape, x.frac, bounds)?;
        let map = sources.into_iter().map(|e| Some((0, e as u32))).collect();
        self.steps.push(Step::Move { from: vec![x.id], dst: out.id, map, ups: vec![0] });
        Ok(Known::Data(out))
    }

    pub(in super::super) fn pad(&mut self, node: &NodeProto) -> Result<Known, String> {
        let x = self.data_operand(node, 0)?;
        let mode = Attributes::of(node).string("mode", "constant").map_err(|e| e.to_string())?;
        if mode != "constant"
            || node.input.get(2).is_some_and(|n| !n.is_empty()) && self.constant(node, 2)?.values.iter().any(|v| v.0 != 0)
        {
            return Err("pads with something else than zeros".into());
        }
        let pads: Option<Vec<usize>> = integers(&self.constant(node, 1)?).into_iter().map(|p| usize::try_from(p).ok()).collect();
        let rank = x.shape.len() + 1;
        let fits = |p: &Vec<usize>| p.len() == 2 * rank && p[0] == 0 && p[rank] == 0 && p.iter().all(|&v| v < MAX_WINDOW);
        let Some(pads) = pads.filter(fits) else { return Err("its pads are negative, on the batch, or not two per axis".into()) };
        let (before, after) = (&pads[1..rank], &pads[rank + 1..]);
        let shape: Vec<usize> = x.shape.iter().zip(before).zip(after).map(|((s, b), a)| s + b + a).collect();
        if shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d)).is_none_or(|n| n > MAX_ELEMENTS) {
            return Err("its result is too large".into());
        }
        let map = movement::pad(&x.shape, before, after);
        let bounds = map.iter().map(|from| from.map_or((0, 0), |e| x.bounds[e])).collect();
        let out = self.data(shape, x.frac, bounds)?;
        let map = map.into_iter().map(|from| from.map(|e| (0, e as u32))).collect();
        self.steps.push(Step::Move { from: vec![x.id], dst: out.id, map, ups: vec![0] });
        Ok(Known::Data(out))
    }

    pub(in super::super) fn reshape(&mut self, node: &NodeProto) -> Result<Known, String> {
        let x = self.data_operand(node, 0)?;
        let len: usize = x.shape.iter().product();
        let shape = if node.op_type() == "Flatten" {
            if Attributes::of(node).int("axis", 1).map_err(|e| e.to_string())? != 1 {
                return Err("flattens along an axis other than 1".into());
            }
            vec![len]
        } else {
            resolve(&self.constant(node, 1)?, len)?
        };
        let out = self.data(shape, x.frac, x.bounds.clone())?;
        self.steps.push(Step::Copy { src: x.id, dst: out.id });
        Ok(Known::Data(out))
    }
}

/// Whole numbers of a constant; 0 where one is none.
fn integers(constant: &Constant) -> Vec<i64> {
    constant.values.iter().map(|&(v, f)| if f < 0 { raise(v, -f).unwrap_or(0) } else { v }).collect()
}

/// The sample shape of a `Reshape` whose batch is 1 (or −1 or 0, meaning "as it is").
fn resolve(wanted: &Constant, len: usize) -> Result<Vec<usize>, String> {
    let dims = integers(wanted);
    let Some((&batch, rest)) = dims.split_first() else { return Err("reshapes to a scalar".into()) };
    let open = rest.iter().filter(|&&d| d == -1).count();
    let product = rest.iter().filter(|&&d| d != -1).try_fold(1usize, |n, &d| n.checked_mul(usize::try_from(d).ok()?));
    match product {
        Some(n)
            if n > 0
                && (batch == 1 || (batch == -1 && open == 0) || batch == 0)
                && open <= 1
                && len.is_multiple_of(n)
                && (open == 1 || n == len) =>
        {
            Ok(rest.iter().map(|&d| if d == -1 { len / n } else { d as usize }).collect())
        }
        _ => Err(format!("reshapes {len} elements to {dims:?}")),
    }
}
