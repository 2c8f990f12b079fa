//! `DepthToSpace` and `SpaceToDepth`: channels become positions and the other way round.

use super::super::context::{Context, NodeView};
use super::super::fault::Fault;
use super::super::item::Item;
use super::select::{Picked, selected};
use super::transpose::sources;

/// Batch, channels, height and width, and the block.
fn image(node: &NodeView<'_>, shape: &[usize]) -> Result<([usize; 4], usize), Fault> {
    let block = usize::try_from(node.attributes().int("blocksize", 0)?).unwrap_or(0);
    let shape: [usize; 4] = shape.try_into().map_err(|_| Fault::new(format!("its input has shape {shape:?}, not four axes")))?;
    if block == 0 || block > 1 << 12 { Err(Fault::new("its blocksize is not positive")) } else { Ok((shape, block)) }
}

/// The axes `perm` of a tensor of shape `split`, whose result has `shape`.
fn moved(split: &[usize], perm: &[usize], shape: Vec<usize>) -> Picked {
    Picked { shape, axes: vec![Some(0), None, None, None], source: sources(split, perm) }
}

pub fn depth_to_space<'m>(context: &mut Context<'m>, node: &NodeView<'m>) -> Result<Item, Fault> {
    let mode = node.attributes().string("mode", "DCR")?;
    selected(context, node, node.output(), |shape| {
        let ([n, c, h, w], b) = image(node, shape)?;
        if !c.is_multiple_of(b * b) {
            return Err(Fault::new(format!("{c} channels do not divide into blocks of {b} × {b}")));
        }
        let depth = c / (b * b);
        let shape = vec![n, depth, h * b, w * b];
        match mode.as_str() {
            "DCR" => Ok(moved(&[n, b, b, depth, h, w], &[0, 3, 4, 1, 5, 2], shape)),
            "CRD" => Ok(moved(&[n, depth, b, b, h, w], &[0, 1, 4, 2, 5, 3], shape)),
            other => Err(Fault::new(format!("mode `{other}` is unknown"))),
        }
    })
}

pub fn space_to_depth<'m>(context: &mut Context<'m>, node: &NodeView<'m>) -> Result<Item, Fault> {
    let mode = node.attributes().string("mode", "DCR")?;
    selected(context, node, node.output(), |shape| {
        let ([n, c, h, w], b) = image(node, shape)?;
        if !h.is_multiple_of(b) || !w.is_multiple_of(b) {
            return Err(Fault::new(format!("{h} × {w} positions do not divide into blocks of {b} × {b}")));
        }
        let shape = vec![n, c * b * b, h / b, w / b];
        let split = [n, c, h / b, b, w / b, b];
        match mode.as_str() {
            "DCR" => Ok(moved(&split, &[0, 3, 5, 1, 2, 4], shape)),
            "CRD" => Ok(moved(&split, &[0, 1, 3, 5, 2, 4], shape)),
            other => Err(Fault::new(format!("mode `{other}` is unknown"))),
        }
    })
}
