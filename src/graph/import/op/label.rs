//! Class labels decoded from the scores (`ArgMax` and what follows it, as scikit-learn's exporter writes it). They are
//! outside of the circuit: an output that is a label is left out, with a note.

use super::super::{
    context::{Context, Fault, NodeView},
    item::Item,
};

pub fn argmax<'m>(context: &mut Context<'m>, node: &NodeView<'m>) -> Result<Item, Fault> {
    context.data(node, 0)?;
    Ok(Item::Label)
}

/// Operators that only rearrange labels.
pub fn follow(node: &NodeView<'_>) -> Result<Item, Fault> {
    match node.proto.op_type() {
        "ArrayFeatureExtractor" | "Gather" | "Cast" | "Identity" | "Reshape" | "Flatten" | "Squeeze" | "Unsqueeze" => {
            Ok(Item::Label)
        }
        _ => Err(Fault::new("it computes with class labels (ArgMax); end the model at the scores")),
    }
}

pub fn only_labels<'m>(_: &mut Context<'m>, _: &NodeView<'m>) -> Result<Item, Fault> {
    Err(Fault::new("it is supported only behind ArgMax, where it is left out"))
}
