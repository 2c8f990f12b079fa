//! Removes permutations `y[j] = x[source[j]]`, with them the way between channels first and last: a
//! dense layer absorbs them in its columns or rows, element-wise operations, merges and reshapes
//! let them pass, inverse ones cancel. At a graph input or output the tensor itself changes its
//! layout. Where none of that is possible a permutation becomes a selection.
//!
//! One walk in topological order: a value that is stored in another order than it should have
//! carries that order as pending until a reader absorbs it. Where a reader needs an input of the
//! graph in another order, the walk starts again with that input in its new layout.

mod select;

use super::{Links, is_spatial};
use crate::graph::channels::{self, inverse};
use crate::graph::{Dense, Graph, Node, Op, ValueId};
use crate::ops::Move;
use std::rc::Rc;

/// Layouts that changed: element `j` of the graph's sample is element `order[j]` of the file's.
#[derive(Clone, Debug, Default)]
pub struct Orders {
    pub inputs: Vec<Option<Vec<usize>>>,
    pub outputs: Vec<Option<Vec<usize>>>,
}

/// Shared by all the values that are stored alike: one of them may have as many entries as the
/// largest sample.
type Order = Rc<Vec<usize>>;

/// Where the elements of a value are.
#[derive(Clone)]
struct Place {
    /// The value that holds them.
    stored: ValueId,
    /// Element `j` is element `pending[j]` of `stored`.
    pending: Option<Order>,
    /// The shape that the value should have, where its elements are in order but `stored` has other
    /// axes.
    axes: Option<Vec<usize>>,
    /// The graph input that they come from one by one.
    input: Option<usize>,
}

impl Place {
    /// Of a value that is computed as it should be.
    fn of(stored: ValueId) -> Place {
        Place { stored, pending: None, axes: None, input: None }
    }
}

/// The new graph and the orders of its outputs.
type Walked = (Graph, Vec<Option<Vec<usize>>>);

/// An input is to be stored in another order.
struct Flip {
    input: usize,
    order: Vec<usize>,
}

/// Runs the walk and says which inputs and outputs have another layout now.
pub fn run(graph: &mut Graph) -> Orders {
    let mut inputs: Vec<Option<Vec<usize>>> = vec![None; graph.inputs.len()];
    if !graph.nodes.iter().any(|n| matches!(n.op, Op::Move(Move::Permute { .. }))) {
        return Orders { inputs, outputs: vec![None; graph.outputs.len()] };
    }
    // each attempt changes one more input, so this ends
    loop {
        match Walk::new(graph, &inputs).run() {
            Ok((done, outputs)) => {
                *graph = done;
                return Orders { inputs, outputs };
            }
            Err(flip) => inputs[flip.input] = Some(flip.order),
        }
    }
}

fn alike(a: &Option<Order>, b: &Option<Order>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => Rc::ptr_eq(a, b) || a == b,
        _ => a.is_none() && b.is_none(),
    }
}

fn is_identity(source: &[usize]) -> bool {
    source.iter().enumerate().all(|(to, &from)| to == from)
}

struct Walk<'g> {
    from: &'g Graph,
    links: Links,
    flips: &'g [Option<Vec<usize>>],
    graph: Graph,
    places: Vec<Place>,
    /// There are positions to slide over: only then may inputs and outputs change their layout.
    spatial: bool,
    /// Position among the new nodes of the dense layer that computes a value, if its only reader is
    /// still to come.
    open_layer: Vec<Option<usize>>,
    /// Weights that have been moved so far to reorder columns.
    moved: usize,
}

/// Most weights that are moved to reorder columns: a layer with a row of transpositions after it is
/// moved for each.
const MAX_MOVED: usize = 1 << 31;

impl<'g> Walk<'g> {
    fn new(from: &'g Graph, flips: &'g [Option<Vec<usize>>]) -> Walk<'g> {
        let mut graph = Graph { nodes: Vec::with_capacity(from.nodes.len()), ..from.clone() };
        let mut places: Vec<Place> = (0..graph.values.len()).map(Place::of).collect();
        for (at, (&value, flip)) in from.inputs.iter().zip(flips).enumerate() {
            places[value].input = Some(at);
            if let Some(order) = flip {
                graph.values[value].shape = channels::to_last(&graph.values[value].shape);
                let pending = inverse(order);
                // with one channel only the axes differ
                match is_identity(&pending) {
                    true => places[value].axes = Some(from.values[value].shape.clone()),
                    false => places[value].pending = Some(Rc::new(pending)),
                }
            }
        }
        let open_layer = vec![None; graph.values.len()];
        let spatial = from.nodes.iter().any(|n| is_spatial(&n.op));
        Walk { from, links: Links::of(from), flips, graph, places, spatial, open_layer, moved: 0 }
    }

    fn run(mut self) -> Result<Walked, Flip> {
        for node in &self.from.nodes {
            self.node(node.clone())?;
        }
        let mut orders = vec![None; self.graph.outputs.len()];
        for (index, order) in orders.iter_mut().enumerate() {
            *order = self.output(index);
        }
        Ok((self.graph, orders))
    }

    fn node(&mut self, mut node: Node<Op>) -> Result<(), Flip> {
        let input = node.inputs[0];
        let place = self.places[input].clone();
        match &mut node.op {
            Op::Move(Move::Permute { source }) => return self.permute(node.output, input, std::mem::take(source)),
            Op::Dense(dense) if dense.window.is_none() => {
                if let Some(pending) = &place.pending {
                    permute_rows(dense, &inverse(pending));
                }
                node.inputs = vec![self.with_axes(input)];
                if self.links.only_consumer(node.output).is_some() {
                    self.open_layer[node.output] = Some(self.graph.nodes.len());
                }
            }
            Op::Merge(_) => return self.merge(node),
            Op::Move(Move::Select { source }) => {
                let source = std::mem::take(source);
                return self.select(node, source);
            }
            Op::Move(Move::Concat { axis: 0 }) if self.from.values[node.output].shape.len() == 1 => self.join(&mut node),
            Op::Move(Move::Reshape) => {
                node.inputs = vec![place.stored];
                self.places[node.output] = Place { stored: node.output, axes: None, ..place };
            }
            op @ (Op::Affine(_) | Op::Quant(_) | Op::Elementwise(_) | Op::Sign | Op::Clip { .. }) => {
                if let (Some(pending), Op::Affine(_) | Op::Quant(_)) = (&place.pending, &*op) {
                    permute_vectors(op, &inverse(pending));
                }
                node.inputs = vec![place.stored];
                self.graph.values[node.output].shape = self.graph.values[place.stored].shape.clone();
                self.places[node.output] = Place { stored: node.output, ..place };
            }
            Op::Dense(_)
            | Op::Softmax { .. }
            | Op::MaxPool(_)
            | Op::AveragePool { .. }
            | Op::Move(Move::Concat { .. } | Move::Pad { .. }) => {
                let inputs: Vec<ValueId> = node.inputs.clone();
                node.inputs = inputs.into_iter().map(|value| self.in_order(value)).collect::<Result<_, _>>()?;
            }
        }
        self.graph.nodes.push(node);
        Ok(())
    }

    fn permute(&mut self, output: ValueId, input: ValueId, source: Vec<usize>) -> Result<(), Flip> {
        let place = self.places[input].clone();
        let layer = self.open_layer[input].filter(|_| self.afford(input));
        if let (None, Some(layer)) = (&place.pending, layer) {
            if let Some(layer) = self.graph.nodes.get_mut(layer) {
                permute_columns(&mut layer.op, &source);
                layer.output = output;
            }
            if self.links.only_consumer(output).is_some() {
                self.open_layer[output] = self.open_layer[input];
            }
            return Ok(());
        }
        let composed: Vec<usize> = match &place.pending {
            None => source,
            Some(pending) => source.iter().map(|&s| pending[s]).collect(),
        };
        if !is_identity(&composed) {
            self.places[output] = Place { pending: Some(Rc::new(composed)), axes: None, ..place };
            return Ok(());
        }
        let shape = self.from.values[output].shape.clone();
        if self.graph.values[place.stored].shape == shape {
            self.places[output] = Place { pending: None, axes: None, ..place };
            return Ok(());
        }
        // the order is right, the axes are not
        if let Some(at) = place.input.filter(|&at| self.may_flip(at, &composed)) {
            return Err(Flip { input: at, order: composed });
        }
        self.places[output] = Place { pending: None, axes: Some(shape), ..place };
        Ok(())
    }

    /// May the columns of the layer that computes `value` be moved once more?
    fn afford(&mut self, value: ValueId) -> bool {
        let layer = self.open_layer[value].and_then(|at| self.graph.nodes.get(at));
        if let Some(Op::Dense(dense)) = layer.map(|n| &n.op) {
            self.moved = self.moved.saturating_add(dense.weight.len());
        }
        self.moved <= MAX_MOVED
    }

    /// What holds the elements of `value` as they are stored, with the axes that the value should
    /// have.
    fn with_axes(&mut self, value: ValueId) -> ValueId {
        let Place { stored, axes, .. } = self.places[value].clone();
        let Some(shape) = axes else { return stored };
        let name = format!("{}_axes", self.from.values.get(value).map_or("", |v| &v.name));
        let shaped = self.value(name.clone(), shape);
        self.push(name, Op::Move(Move::Reshape), stored, shaped);
        self.places[value] = Place { stored: shaped, axes: None, ..self.places[value].clone() };
        shaped
    }

    /// May graph input `at` be stored in `order`? Only from channels first to channels last.
    fn may_flip(&self, at: usize, order: &[usize]) -> bool {
        let shape = &self.from.values[self.from.inputs[at]].shape;
        self.spatial
            && self.flips[at].is_none()
            && shape.len() > 1
            && !self.from.outputs.contains(&self.from.inputs[at])
            && channels::order(&channels::to_last(shape)) == order
    }

    /// The value that holds the elements of `value` in order.
    fn in_order(&mut self, value: ValueId) -> Result<ValueId, Flip> {
        let place = &self.places[value];
        let Some(pending) = &place.pending else { return Ok(self.with_axes(value)) };
        if let Some(at) = place.input.filter(|&at| self.may_flip(at, pending)) {
            return Err(Flip { input: at, order: pending.to_vec() });
        }
        Ok(self.materialize(value))
    }

    /// Operands that are stored in the same order stay in it.
    fn merge(&mut self, mut node: Node<Op>) -> Result<(), Flip> {
        let places: Vec<Place> = node.inputs.iter().map(|&v| self.places[v].clone()).collect();
        let first = places[0].clone();
        let shape = |p: &Place| &self.graph.values[p.stored].shape;
        if places.iter().all(|p| alike(&p.pending, &first.pending) && shape(p) == shape(&first)) {
            node.inputs = places.iter().map(|p| p.stored).collect();
            if first.pending.is_some() || first.axes.is_some() {
                self.graph.values[node.output].shape = self.graph.values[first.stored].shape.clone();
            }
            self.places[node.output] = Place { stored: node.output, input: None, ..first };
            self.graph.nodes.push(node);
            return Ok(());
        }
        // an input of the graph may follow the other operand
        for (this, other) in [(0, 1), (1, 0)] {
            let (Some(place), Some(wanted)) = (places.get(this), places.get(other)) else { continue };
            let len = self.graph.len_of(place.stored);
            let own = place.pending.clone().unwrap_or_else(|| Rc::new((0..len).collect()));
            let target = wanted.pending.as_ref().map_or_else(|| (0..len).collect(), |q| inverse(q));
            let order: Vec<usize> = target.iter().map(|&t| own[t]).collect();
            if let Some(at) = place.input.filter(|&at| self.may_flip(at, &order)) {
                return Err(Flip { input: at, order });
            }
        }
        node.inputs = node.inputs.clone().into_iter().map(|value| self.in_order(value)).collect::<Result<_, _>>()?;
        self.graph.nodes.push(node);
        Ok(())
    }

    /// Flat operands one after the other, each in the order it is stored in.
    fn join(&mut self, node: &mut Node<Op>) {
        let (mut pending, mut any, mut offset) = (Vec::new(), false, 0);
        for value in &mut node.inputs {
            let place = &self.places[*value];
            let len = self.graph.len_of(place.stored);
            match &place.pending {
                Some(own) => pending.extend(own.iter().map(|p| p + offset)),
                None => pending.extend(offset..offset + len),
            }
            any |= place.pending.is_some();
            offset += len;
            *value = place.stored;
        }
        self.places[node.output] = Place { pending: any.then(|| Rc::new(pending)), ..Place::of(node.output) };
    }

    /// Settles graph output `index`; the order of the file's elements if its layout changed.
    fn output(&mut self, index: usize) -> Option<Vec<usize>> {
        let output = self.graph.outputs[index];
        let Place { stored, pending, axes, .. } = self.places[output].clone();
        let free = stored != output && !self.graph.outputs.contains(&stored) && !self.graph.inputs.contains(&stored);
        let shape = self.graph.values[stored].shape.clone();
        let order = channels::order(&shape);
        let Some(pending) = pending else {
            return match axes {
                None => {
                    match (stored == output, free) {
                        (true, _) => {}
                        (false, true) => self.rename(output, stored, index),
                        (false, false) => self.graph.outputs[index] = self.materialize(output),
                    }
                    None
                }
                // with one channel, first and last are the same order
                Some(_) if self.spatial && (free || stored == output) && shape.len() > 1 && is_identity(&order) => {
                    if free {
                        self.rename(output, stored, index);
                    }
                    Some(order)
                }
                Some(_) => {
                    let shaped = self.with_axes(output);
                    self.rename(output, shaped, index);
                    None
                }
            };
        };
        if self.spatial && (free || stored == output) && shape.len() > 1 && inverse(&order) == *pending {
            if free {
                self.rename(output, stored, index);
            }
            return Some(order);
        }
        self.graph.outputs[index] = self.materialize(output);
        None
    }

    /// `stored` is the output from now on.
    fn rename(&mut self, output: ValueId, stored: ValueId, index: usize) {
        let name = self.from.values.get(output).map(|v| v.name.clone()).unwrap_or_default();
        if self.graph.values[output].name == name {
            self.graph.values[output].name.push_str("_stored");
        }
        self.graph.values[stored].name = name;
        self.graph.outputs[index] = stored;
    }
}

/// The layer computes its output `source[j]` at place `j`.
fn permute_columns(op: &mut Op, source: &[usize]) {
    let Op::Dense(dense) = op else { return };
    let columns = dense.outputs;
    let elements: Vec<usize> = (0..dense.inputs).flat_map(|row| source.iter().map(move |&s| row * columns + s)).collect();
    dense.weight = elements.iter().map(|&e| dense.weight[e]).collect();
    dense.weight_quant = dense.weight_quant.as_ref().map(|q| q.gather(&elements));
    dense.bias = source.iter().map(|&s| dense.bias[s]).collect();
    dense.bias_quant = dense.bias_quant.as_ref().map(|q| q.gather(source));
}

/// The layer reads at place `i` what it read at place `target[i]`.
fn permute_rows(dense: &mut Dense, target: &[usize]) {
    let columns = dense.outputs;
    let elements: Vec<usize> = target.iter().flat_map(|&row| (0..columns).map(move |c| row * columns + c)).collect();
    dense.weight = elements.iter().map(|&e| dense.weight[e]).collect();
    dense.weight_quant = dense.weight_quant.as_ref().map(|q| q.gather(&elements));
}

fn permute_vectors(op: &mut Op, target: &[usize]) {
    if let Op::Affine(affine) = op {
        affine.scale = target.iter().map(|&t| affine.scale[t]).collect();
        affine.shift = target.iter().map(|&t| affine.shift[t]).collect();
    } else if let Op::Quant(spec) = op {
        *spec = spec.gather(target);
    }
}
