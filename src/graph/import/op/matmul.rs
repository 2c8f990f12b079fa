//! `MatMul` with a constant on the right.

use super::{
    super::{
        context::{Context, Fault, NodeView},
        item::Item,
        unsupported::TWO_TENSORS,
    },
    dense,
};

pub fn matmul<'m>(context: &mut Context<'m>, node: &NodeView<'m>) -> Result<Item, Fault> {
    let (input, weight) = match (context.item(node, 0)?, context.item(node, 1)?) {
        (Item::Data(input), Item::Const(weight)) => (input, weight),
        (Item::Data(_), Item::Data(_)) => return Err(Fault::new(TWO_TENSORS)),
        (Item::Const(_), Item::Data(_)) => {
            return Err(Fault::new("the constant is on the left and mixes the samples of a batch; put the weight on the right"));
        }
        _ => return Err(Fault::new("only a tensor times a constant is supported")),
    };
    let shape = context.shape(input).to_vec();
    let &[_, outputs] = weight.shape() else {
        return Err(Fault::new(format!("weight `{}` has shape {:?}, not two dimensions", weight.name, weight.shape())));
    };
    // [N, 1, …, K] is one dense layer; [N, T, K] would be one that is shared by T positions
    let Some((_, positions)) = shape.split_last().filter(|(_, positions)| positions.iter().all(|&d| d == 1)) else {
        return Err(Fault::new(format!(
            "a weight shared over the positions of {shape:?} is not supported yet; put a Flatten before it"
        )));
    };
    let mut output = positions.to_vec();
    output.push(outputs);
    dense::emit(context, node, input, &weight, None, output)
}
