//! `Clip`.

use super::{
    super::{
        context::{Context, Fault, NodeView},
        item::Item,
        unsupported,
    },
    qdq,
};

pub fn clip<'m>(context: &mut Context<'m>, node: &NodeView<'m>) -> Result<Item, Fault> {
    qdq::clip(context, node).unwrap_or_else(|| Err(Fault::new(unsupported::reason("", "Clip"))))
}
