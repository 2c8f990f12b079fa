//! Operators with positions: channels-last `Conv` and `MaxPool`.

use super::{Compiler, Data, Known, MAX_WINDOW, fits, lift, raise, room};
use crate::graph::Window;
use crate::onnx::attribute::Attributes;
use crate::onnx::proto::NodeProto;
use crate::quant::taps::Taps;
use crate::verify::fixed::compile::MAX_ELEMENTS;
use crate::verify::fixed::step::{Step, Tap};

impl Compiler {
    pub(in super::super) fn conv(&mut self, node: &NodeProto) -> Result<Known, String> {
        let x = self.data_operand(node, 0)?;
        let weight = self.constant(node, 1)?;
        let (window, rank) = window(node, &x, false)?;
        let (Some((&outputs, kernel)), Some(groups)) = (weight.shape.split_first(), group(node)?) else {
            return Err("its weight is a scalar or its group is not positive".into());
        };
        let [kernel @ .., per_group] = kernel else { return Err("its weight has too few axes".into()) };
        let channels = window.input[2];
        if kernel != &window.kernel[2 - rank..]
            || per_group.checked_mul(groups) != Some(channels)
            || outputs == 0
            || !outputs.is_multiple_of(groups)
        {
            return Err(format!("a weight of shape {:?} and {groups} groups do not fit {channels} channels", weight.shape));
        }
        let window = Window { groups, ..window };
        self.slide(&window, outputs)?;
        let (ints, weight_frac) = weight.common()?;
        let (bias, bias_frac) = match node.input.get(2).filter(|name| !name.is_empty()) {
            Some(_) => self.constant(node, 2)?.common()?,
            None => (vec![0; outputs], 0),
        };
        if bias.len() != outputs {
            return Err(format!("{} biases for {outputs} outputs", bias.len()));
        }
        let zero = bias.iter().all(|&b| b == 0);
        let product_frac = x.frac.checked_add(weight_frac).ok_or("its grid is out of range")?;
        let frac = if zero { product_frac } else { product_frac.max(bias_frac) };
        let shifted = |v: i64, by: i32| if v == 0 { Some(0) } else { raise(v, by) };
        let wide = || "its constants need more than 63 bits on the grid of the result".to_string();
        let bias = bias.iter().map(|&b| shifted(b, frac - bias_frac)).collect::<Option<Vec<_>>>().ok_or_else(wide)?;
        let taps = Taps::new(window.patch(), outputs, Some(&window));
        let mut columns = Vec::with_capacity(outputs);
        for o in 0..outputs {
            let mut column = Vec::new();
            for k in 0..taps.patch {
                // (O, taps, I/g): the patch has the channel of the group last as well
                let w = shifted(ints[o * taps.patch + k], frac - product_frac).ok_or_else(wide)?;
                if w != 0 {
                    column.push((k as u32, w));
                }
            }
            columns.push(column);
        }
        let bounds = conv_bounds(&x, &taps, &columns, &bias)?;
        let out = self.data(window.shape(rank, outputs), frac, bounds)?;
        self.steps.push(Step::Conv { src: x.id, dst: out.id, taps, columns, bias });
        Ok(Known::Data(out))
    }

    pub(in super::super) fn max_pool(&mut self, node: &NodeProto) -> Result<Known, String> {
        let x = self.data_operand(node, 0)?;
        let (window, rank) = window(node, &x, true)?;
        if window.pads != [0; 4] && x.bounds.iter().all(|b| b.0 >= 0) {
            // hls4ml pads with the pattern 100…0: the least value of a signed type only
            return Err(
                "pads a pooling of values that are never negative, which hls4ml does not compute; put a Pad in front".into()
            );
        }
        let channels = window.input[2];
        self.slide(&window, channels)?;
        let taps = Taps::pooling(&window);
        let under: Vec<Tap> = (0..taps.positions * channels)
            .map(|at| taps.under(at / channels, at % channels).map(|e| e as u32).collect())
            .collect();
        if under.iter().any(Vec::is_empty) {
            return Err("a window lies in the padding".into());
        }
        let bounds = under
            .iter()
            .map(|list| {
                let of = |side: fn(&(i128, i128)) -> i128| list.iter().map(|&e| side(&x.bounds[e as usize])).max().unwrap_or(0);
                (of(|b| b.0), of(|b| b.1))
            })
            .collect();
        let out = self.data(window.shape(rank, channels), x.frac, bounds)?;
        self.steps.push(Step::MaxPool { src: x.id, dst: out.id, under });
        Ok(Known::Data(out))
    }

    pub(in super::super) fn extreme(&mut self, node: &NodeProto, max: bool) -> Result<Known, String> {
        let [_, _] = &node.input[..] else { return Err("compares other than 2 tensors, which hls4ml refuses".into()) };
        let (a, b) = (self.data_operand(node, 0)?, self.data_operand(node, 1)?);
        if a.shape != b.shape {
            return Err(format!("operands of shapes {:?} and {:?}", a.shape, b.shape));
        }
        let frac = a.frac.max(b.frac);
        let (up_a, up_b) = (frac - a.frac, frac - b.frac);
        let mut bounds = Vec::with_capacity(a.bounds.len());
        for (x, y) in a.bounds.iter().zip(&b.bounds) {
            let (x, y) = ((lift(x.0, up_a)?, lift(x.1, up_a)?), (lift(y.0, up_b)?, lift(y.1, up_b)?));
            bounds.push(if max { (x.0.max(y.0), x.1.max(y.1)) } else { (x.0.min(y.0), x.1.min(y.1)) });
        }
        let out = self.data(a.shape.clone(), frac, bounds)?;
        self.steps.push(Step::Extreme { a: a.id, b: b.id, dst: out.id, up_a: room(up_a), up_b: room(up_b), max });
        Ok(Known::Data(out))
    }
}

/// Worst case of every sum of a convolution, `[position][output]`.
fn conv_bounds(x: &Data, taps: &Taps, columns: &[Vec<(u32, i64)>], bias: &[i64]) -> Result<Vec<(i128, i128)>, String> {
    let mut bounds = Vec::with_capacity(taps.positions * columns.len());
    for p in 0..taps.positions {
        for (o, column) in columns.iter().enumerate() {
            let (mut lo, mut hi) = (i128::from(bias[o]), i128::from(bias[o]));
            let mut largest = lo.abs();
            for &(k, w) in column {
                let Some(e) = taps.element(p, k as usize, o) else { continue };
                let (a, b) = (x.bounds[e].0 * i128::from(w), x.bounds[e].1 * i128::from(w));
                (lo, hi) = (lo + a.min(b), hi + a.max(b));
                // partial sums in any order
                largest = fits(largest + a.abs().max(b.abs()))?;
            }
            bounds.push((lo, hi));
        }
    }
    Ok(bounds)
}

/// The window of a node over `x`, with one group per channel, and the number of its axes. `pooling`
/// takes its kernel from the attribute, a convolution as well: hls4ml needs it there.
fn window(node: &NodeProto, x: &Data, pooling: bool) -> Result<(Window, usize), String> {
    let (&channels, spatial) = x.shape.split_last().ok_or("its input is a scalar")?;
    let rank = spatial.len();
    if !(1..=2).contains(&rank) || (pooling && rank != 2) {
        return Err(format!("slides over {:?}; that is not in the vocabulary", x.shape));
    }
    let attributes = Attributes::of(node);
    let list = |name: &str, len: usize, needed: bool| -> Result<Vec<usize>, String> {
        let Some(values) = attributes.ints(name).map_err(|e| e.to_string())? else {
            return if needed { Err(format!("attribute `{name}` is missing, which hls4ml needs")) } else { Ok(vec![1; len]) };
        };
        let numbers: Option<Vec<usize>> = values.iter().map(|&v| usize::try_from(v).ok().filter(|&v| v < MAX_WINDOW)).collect();
        numbers.filter(|n| n.len() == len).ok_or_else(|| format!("attribute `{name}` is {values:?}"))
    };
    let (kernel, stride, pads) = (list("kernel_shape", rank, true)?, list("strides", rank, true)?, list("pads", 2 * rank, true)?);
    if list("dilations", rank, !pooling)?.iter().any(|&d| d != 1) {
        return Err("has dilations, which hls4ml refuses".into());
    }
    if kernel.iter().chain(&stride).any(|&v| v == 0) {
        return Err("has a kernel size or stride of 0".into());
    }
    let window = Window::over(&x.shape, &kernel, &stride, &pads, channels).ok_or("its window has other axes than its input")?;
    let len = window.positions();
    if len == 0 || len > MAX_ELEMENTS || channels == 0 {
        return Err("its kernel does not fit its input".into());
    }
    Ok((window, rank))
}

fn group(node: &NodeProto) -> Result<Option<usize>, String> {
    if !node.attribute.iter().any(|a| a.name() == "group") {
        return Err("attribute `group` is missing, which hls4ml needs".into());
    }
    let group = Attributes::of(node).int("group", 1).map_err(|e| e.to_string())?;
    Ok(usize::try_from(group).ok().filter(|&g| g > 0))
}
