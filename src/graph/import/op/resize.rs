//! `Resize` and `Upsample` to the nearest element: a selection along each axis.

use super::super::context::{Context, MAX_EXPANDED, NodeView};
use super::super::fault::Fault;
use super::super::item::Item;
use super::select::{Picked, integers, selected};

/// Scale of an axis, or the size that it should have.
enum Target {
    Scales(Vec<f64>),
    Sizes(Vec<i64>),
}

pub fn resize<'m>(context: &mut Context<'m>, node: &NodeView<'m>) -> Result<Item, Fault> {
    const WITH_ROI: i64 = 11;
    let attributes = node.attributes();
    check_mode(node)?;
    for (name, usual) in [("axes", ""), ("keep_aspect_ratio_policy", "stretch")] {
        if attributes.has(name) && (usual.is_empty() || attributes.string(name, usual)? != usual) {
            return Err(Fault::new(format!("attribute `{name}` is not supported")));
        }
    }
    let at = if context.opset < WITH_ROI { 1 } else { 2 };
    let scales = context.optional(node, at, "scales")?.map(|s| s.tensor.to_f64()).filter(|s| !s.is_empty());
    let target = match scales {
        Some(scales) => Target::Scales(scales),
        None => Target::Sizes(integers(context, node, 3, "sizes")?.ok_or_else(|| Fault::new("its scales are missing"))?),
    };
    let old = context.opset < WITH_ROI;
    let coordinates = attributes.string("coordinate_transformation_mode", if old { "asymmetric" } else { "half_pixel" })?;
    let nearest = attributes.string("nearest_mode", if old { "floor" } else { "round_prefer_floor" })?;
    nearest_elements(context, node, &target, &coordinates, &nearest)
}

pub fn upsample<'m>(context: &mut Context<'m>, node: &NodeView<'m>) -> Result<Item, Fault> {
    check_mode(node)?;
    let scales = match node.attributes().floats("scales")? {
        Some(scales) => scales.iter().map(|&s| s.into()).collect(),
        None => context.constant(node, 1, "scales")?.tensor.to_f64(),
    };
    nearest_elements(context, node, &Target::Scales(scales), "asymmetric", "floor")
}

fn check_mode(node: &NodeView<'_>) -> Result<(), Fault> {
    match node.attributes().string("mode", "nearest")?.as_str() {
        "nearest" => Ok(()),
        mode => Err(Fault::new(format!("mode `{mode}` computes with neighbours, for which hls4ml has nothing; use `nearest`"))),
    }
}

fn nearest_elements<'m>(
    context: &mut Context<'m>,
    node: &NodeView<'m>,
    target: &Target,
    coordinates: &str,
    nearest: &str,
) -> Result<Item, Fault> {
    selected(context, node, node.output(), |from| {
        let mut picked = Picked::whole(from);
        if from.contains(&0) {
            return Err(Fault::new(format!("its input of shape {from:?} is empty")));
        }
        let given = match target {
            Target::Scales(scales) => scales.len(),
            Target::Sizes(sizes) => sizes.len(),
        };
        if given != from.len() {
            return Err(Fault::new(format!("{given} scales or sizes for the {} axes of {from:?}", from.len())));
        }
        for (axis, &size) in from.iter().enumerate() {
            let (scale, to) = match target {
                Target::Scales(scales) => (scales[axis], (size as f64 * scales[axis]).floor()),
                Target::Sizes(sizes) => (sizes[axis] as f64 / size as f64, sizes[axis] as f64),
            };
            if !(to >= 1.0 && to * picked.source.len() as f64 <= MAX_EXPANDED as f64 * size as f64) {
                return Err(Fault::new(format!("axis {axis} would have {to} elements")));
            }
            let rows =
                (0..to as usize).map(|at| row(at, size, to, scale, coordinates, nearest)).collect::<Result<Vec<_>, _>>()?;
            let next = Picked::along(&picked.shape, axis, &rows);
            picked = picked.then(next);
        }
        Ok(picked)
    })
}

/// The element of `size` that element `at` of `to` is.
fn row(at: usize, size: usize, to: f64, scale: f64, coordinates: &str, nearest: &str) -> Result<usize, Fault> {
    let (x, last) = (at as f64, size as f64 - 1.0);
    let place = match coordinates {
        "asymmetric" => x / scale,
        "half_pixel" => (x + 0.5) / scale - 0.5,
        "pytorch_half_pixel" if to > 1.0 => (x + 0.5) / scale - 0.5,
        "pytorch_half_pixel" => 0.0,
        "align_corners" if to > 1.0 => x * last / (to - 1.0),
        "align_corners" => 0.0,
        "half_pixel_symmetric" => {
            let shrunk = to / (scale * size as f64);
            size as f64 / 2.0 * (1.0 - shrunk) + (x + 0.5) / scale - 0.5
        }
        other => return Err(Fault::new(format!("coordinate_transformation_mode `{other}` is not supported"))),
    };
    let whole = match nearest {
        "floor" => place.floor(),
        "ceil" => place.ceil(),
        "round_prefer_floor" => (place - 0.5).ceil(),
        "round_prefer_ceil" => (place + 0.5).floor(),
        other => return Err(Fault::new(format!("nearest_mode `{other}` is unknown"))),
    };
    Ok(whole.clamp(0.0, last) as usize)
}
