//! An affine after a selection of a layer's outputs goes in front of it, where the layer takes it:
//! a BatchNormalization after a transposed convolution.

use super::Links;
use crate::graph::{Affine, Graph, Op};
use crate::ops::Move;

pub fn run(graph: &mut Graph) -> bool {
    let links = Links::of(graph);
    for index in 0..graph.nodes.len() {
        let input = graph.nodes[index].inputs[0];
        let Some(select) = links.producer[input].filter(|_| links.only_consumer(input) == Some(index)) else { continue };
        let computed = graph.nodes[select].inputs[0];
        let Some(layer) = links.producer[computed].filter(|_| links.only_consumer(computed) == Some(select)) else { continue };
        let (Op::Dense(dense), Op::Move(Move::Select { source }), Op::Affine(affine)) =
            (&graph.nodes[layer].op, &graph.nodes[select].op, &graph.nodes[index].op)
        else {
            continue;
        };
        if dense.weight_quant.is_some() || dense.bias_quant.is_some() {
            continue;
        }
        let Some(before) = moved(affine, source, graph.len_of(computed), dense.outputs) else { continue };
        let source = source.clone();
        graph.values[input].shape = graph.values[computed].shape.clone();
        graph.nodes[select].op = Op::Affine(before);
        graph.nodes[index].op = Op::Move(Move::Select { source });
        return true;
    }
    false
}

/// The affine on the elements that are selected from; those that are not read have that of their
/// channel. `None` where an element is read twice or a zero is put in.
fn moved(affine: &Affine, source: &[Option<usize>], len: usize, channels: usize) -> Option<Affine> {
    let mut of: Vec<Option<(f64, f64)>> = vec![None; len];
    let mut channel: Vec<Option<(f64, f64)>> = vec![None; channels];
    for (at, from) in source.iter().enumerate() {
        let from = (*from)?;
        let pair = (affine.scale[at], affine.shift[at]);
        if of[from].replace(pair).is_some() {
            return None;
        }
        channel[from % channels] = Some(pair);
    }
    let pairs = of.iter().enumerate().map(|(e, pair)| pair.or(channel[e % channels]).unwrap_or((1.0, 0.0)));
    let (scale, shift) = pairs.unzip();
    Some(Affine { scale, shift })
}

#[cfg(test)]
mod tests {
    use super::moved;
    use crate::graph::Affine;

    #[test]
    fn elements_that_nobody_reads_follow_their_channel() {
        let affine = Affine { scale: vec![2.0, 3.0], shift: vec![4.0, 5.0] };
        let before = moved(&affine, &[Some(2), Some(1)], 6, 2).unwrap();
        assert_eq!((before.scale, before.shift), (vec![2.0, 3.0, 2.0, 3.0, 2.0, 3.0], vec![4.0, 5.0, 4.0, 5.0, 4.0, 5.0]));
        assert!(moved(&affine, &[Some(2), Some(2)], 6, 2).is_none() && moved(&affine, &[None, Some(2)], 6, 2).is_none());
    }
}
