//! `Identity` and `Dropout` at inference: the output is another name of the input.

use super::super::context::{Context, NodeView};
use super::super::fault::Fault;
use super::super::item::Item;

pub fn identity<'m>(context: &mut Context<'m>, node: &NodeView<'m>) -> Result<Item, Fault> {
    context.item(node, 0)
}

pub fn dropout<'m>(context: &mut Context<'m>, node: &NodeView<'m>) -> Result<Item, Fault> {
    if let Some(training) = context.optional(node, 2, "training_mode (input 2)")?
        && training.tensor.to_f64().iter().any(|&v| v != 0.0)
    {
        return Err(Fault::new("training_mode is on; export the model in evaluation mode (model.eval())"));
    }
    context.item(node, 0)
}
