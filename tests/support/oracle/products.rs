//! Which elements meet in the products of a layer and under a pooling window, and where moved
//! elements come from.

use hgq_onnx::graph::Window;
use hgq_onnx::ops::Move;
use hgq_onnx::quant::{Model, QDense, QOp};

/// One product of a layer: (position, entry of the patch, output, element of the input), padding
/// left out.
pub type Product = (usize, usize, usize, usize);

/// All products of a window whose outputs are split over its groups.
pub fn products(w: &Window, outputs: usize) -> Vec<Product> {
    let [height, width, channels] = w.input;
    let (rows, columns) = (
        (height + w.pads[0] + w.pads[2] - w.kernel[0]) / w.stride[0] + 1,
        (width + w.pads[1] + w.pads[3] - w.kernel[1]) / w.stride[1] + 1,
    );
    let (ins, outs) = (channels / w.groups, outputs / w.groups);
    let mut all = Vec::new();
    for (oy, ox) in (0..rows).flat_map(|y| (0..columns).map(move |x| (y, x))) {
        for (ky, kx) in (0..w.kernel[0]).flat_map(|y| (0..w.kernel[1]).map(move |x| (y, x))) {
            let (y, x) = (oy * w.stride[0] + ky, ox * w.stride[1] + kx);
            if y < w.pads[0] || x < w.pads[1] || y - w.pads[0] >= height || x - w.pads[1] >= width {
                continue;
            }
            let pixel = (y - w.pads[0]) * width + x - w.pads[1];
            for (g, c, o) in (0..w.groups).flat_map(|g| (0..ins).flat_map(move |c| (0..outs).map(move |o| (g, c, o)))) {
                let k = (ky * w.kernel[1] + kx) * ins + c;
                all.push((oy * columns + ox, k, g * outs + o, pixel * channels + g * ins + c));
            }
        }
    }
    all
}

/// The elements under each output element of a pooling window, in the order of the window.
pub fn pooled(w: &Window) -> Vec<Vec<usize>> {
    let channels = w.input[2];
    let mut under: Vec<Vec<usize>> = Vec::new();
    for (position, _, o, e) in products(w, channels) {
        let at = position * channels + o;
        if under.len() <= at {
            under.resize(at + 1, Vec::new());
        }
        under[at].push(e);
    }
    under
}

pub fn layer_products(d: &QDense) -> Vec<Product> {
    match &d.window {
        Some(w) => products(w, d.outputs),
        None => (0..d.inputs).flat_map(|i| (0..d.outputs).map(move |o| (0, i, o, i))).collect(),
    }
}

/// For each element of the joined or padded sample its (operand, element); `None`: a zero.
pub fn moved(model: &Model, node: usize) -> Vec<Option<(usize, usize)>> {
    let node = &model.nodes[node];
    let to = &model.values[node.output].shape;
    let index = |mut e: usize, shape: &[usize]| {
        let mut at = vec![0; shape.len()];
        for (axis, n) in shape.iter().enumerate().rev() {
            (at[axis], e) = (e % n, e / n);
        }
        at
    };
    let flat = |at: &[usize], shape: &[usize]| at.iter().zip(shape).fold(0, |e, (a, n)| e * n + a);
    (0..to.iter().product())
        .map(|e| {
            let mut at = index(e, to);
            match &node.op {
                QOp::Move(Move::Concat { axis }) => {
                    let mut which = 0;
                    loop {
                        let shape = &model.values[node.inputs[which]].shape;
                        if at[*axis] < shape[*axis] {
                            return Some((which, flat(&at, shape)));
                        }
                        at[*axis] -= shape[*axis];
                        which += 1;
                    }
                }
                QOp::Move(Move::Pad { before, .. }) => {
                    let shape = &model.values[node.inputs[0]].shape;
                    for (axis, b) in before.iter().enumerate() {
                        if at[axis] < *b || at[axis] - b >= shape[axis] {
                            return None;
                        }
                        at[axis] -= b;
                    }
                    Some((0, flat(&at, shape)))
                }
                QOp::Move(Move::Select { source }) => Some((0, source[e]?)),
                _ => panic!("moves nothing"),
            }
        })
        .collect()
}
