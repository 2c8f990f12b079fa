//! Class labels decoded from the scores (`ArgMax`, `TopK` of one value, and what follows them, as
//! scikit-learn's exporter writes it). They are outside of the circuit: an output that is a label
//! is left out, with a note; the scores it was decoded from stay.

use super::super::context::{Context, NodeView};
use super::super::fault::Fault;
use super::super::item::Item;

pub fn argmax<'m>(context: &mut Context<'m>, node: &NodeView<'m>) -> Result<Item, Fault> {
    let scores = context.data(node, 0)?;
    check_axis(context, scores, node.attributes().int("axis", 0)?)?;
    Ok(Item::Label(scores))
}

/// The largest score and its index: both outputs are left out.
pub fn top_k<'m>(context: &mut Context<'m>, node: &NodeView<'m>) -> Result<Item, Fault> {
    const K_IS_AN_INPUT: i64 = 10;
    let scores = context.data(node, 0)?;
    let k = if context.opset < K_IS_AN_INPUT {
        node.attributes().int("k", 0)? as f64
    } else {
        context.constant(node, 1, "k")?.resolved().to_f64().first().copied().unwrap_or_default()
    };
    if k != 1.0 || node.attributes().int("largest", 1)? != 1 {
        return Err(Fault::new("it sorts data; only the largest value (k = 1) is a class: end the model at the scores"));
    }
    check_axis(context, scores, node.attributes().int("axis", -1)?)?;
    Ok(Item::Label(scores))
}

/// Over the samples of a batch there are no classes.
fn check_axis(context: &Context<'_>, scores: usize, axis: i64) -> Result<(), Fault> {
    context.sample_axis(axis, context.shape(scores).len()).map(drop)
}

/// Operators that only rearrange labels, here those of `scores`.
pub fn follow(node: &NodeView<'_>, scores: usize) -> Result<Item, Fault> {
    match node.proto.op_type() {
        "ArrayFeatureExtractor" | "Gather" | "Cast" | "Not" | "Identity" | "Reshape" | "Flatten" | "Squeeze" | "Unsqueeze" => {
            Ok(Item::Label(scores))
        }
        _ => Err(Fault::new("it computes with class labels (ArgMax); end the model at the scores")),
    }
}

pub fn only_labels<'m>(_: &mut Context<'m>, _: &NodeView<'m>) -> Result<Item, Fault> {
    Err(Fault::new("it is supported only after ArgMax, where it is left out"))
}
