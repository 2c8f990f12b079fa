//! Rewrites of the imported graph, one per file, applied by one list. After them the graph holds no
//! identities, no permutations and no clips, has the channels last, reshapes only where axes
//! matter, and affines only after annotated layers or where no layer is adjacent.

mod compact;
mod compose_affines;
mod compose_selects;
mod drop_identities;
mod drop_reshapes;
mod fold_affine_backward;
mod fold_affine_forward;
mod fold_affine_into_selected;
mod fold_pads;
mod links;
mod lower_clips;
mod move_permutes;
mod normalise_signs;

use super::{
    Graph,
    dag::{Invariant, ValueId},
    op::Op,
};
use crate::ops::Move;
use links::Links;
pub use move_permutes::Orders;

type Pass = fn(&mut Graph) -> bool;

/// The passes in their order, in front of the layout and after it. Each is repeated until it
/// changes nothing and says whether it did.
const BEFORE: [(&str, Pass); 2] = [("drop_identities", drop_identities::run), ("drop_reshapes", drop_reshapes::run)];
const BEHIND: [(&str, Pass); 11] = [
    ("compose_selects", compose_selects::run),
    ("drop_reshapes", drop_reshapes::run),
    ("lower_clips", lower_clips::run),
    ("compose_affines", compose_affines::run),
    ("fold_affine_into_selected", fold_affine_into_selected::run),
    ("fold_affine_backward", fold_affine_backward::run),
    ("fold_affine_forward", fold_affine_forward::run),
    ("normalise_signs", normalise_signs::run),
    ("fold_pads", fold_pads::run),
    ("drop_identities", drop_identities::run),
    ("compact", compact::run),
];

/// Applies the passes and checks the graph after each step.
///
/// # Errors
/// [`Invariant`], naming the pass: a fault in a pass.
pub fn run(graph: &mut Graph) -> Result<Orders, Invariant> {
    graph.check()?;
    repeat(graph, &BEFORE)?;
    let orders = move_permutes::run(graph);
    check(graph, "move_permutes")?;
    repeat(graph, &BEHIND)?;
    Ok(orders)
}

fn repeat(graph: &mut Graph, passes: &[(&str, Pass)]) -> Result<(), Invariant> {
    for (name, pass) in passes {
        loop {
            let changed = pass(graph);
            check(graph, name)?;
            if !changed {
                break;
            }
        }
    }
    Ok(())
}

fn check(graph: &Graph, pass: &str) -> Result<(), Invariant> {
    graph.check().map_err(|fault| Invariant { what: format!("{} (after pass {pass})", fault.what), ..fault })
}

/// Operations on one element at a time: the same whatever the order of the elements.
fn is_elementwise(op: &Op) -> bool {
    matches!(op, Op::Affine(_) | Op::Quant(_) | Op::Elementwise(_) | Op::Sign | Op::Clip { .. })
}

/// Operations that look at positions.
fn is_spatial(op: &Op) -> bool {
    let window = matches!(op, Op::Dense(dense) if dense.window.is_some());
    window || matches!(op, Op::MaxPool(_) | Op::AveragePool { .. } | Op::Move(Move::Pad { .. }))
}

/// Lets everything that reads the output of node `index` read its input, and marks the node dead.
/// An output takes its name along. Returns `false` where a graph output depends on the node in a
/// way that needs it.
fn bypass(graph: &mut Graph, links: &mut Links, index: usize) -> bool {
    let (from, to) = (graph.nodes[index].output, graph.nodes[index].inputs[0]);
    if links.is_output[from] {
        if links.is_output[to] || links.producer[to].is_none() {
            return false;
        }
        graph.values[to].name = std::mem::take(&mut graph.values[from].name);
        graph.values[to].shape = graph.values[from].shape.clone();
        replace(&mut graph.outputs, from, to);
        links.is_output.swap(from, to);
    }
    let readers = std::mem::take(&mut links.consumers[from]);
    for &reader in &readers {
        replace(&mut graph.nodes[reader].inputs, from, to);
    }
    links.consumers[to].retain(|&reader| reader != index);
    links.consumers[to].extend(readers);
    links.dead[index] = true;
    true
}

fn replace(ids: &mut [ValueId], from: ValueId, to: ValueId) {
    ids.iter_mut().filter(|id| **id == from).for_each(|id| *id = to);
}
