//! `RNN`, `GRU` and `LSTM` of a fixed length, unrolled: the weights of the input at all steps are
//! one layer over time, those of the state one layer for each step, gates are tables and products.

mod cell;

use super::super::axes::Seen;
use super::super::context::{Context, NodeView};
use super::super::fault::Fault;
use super::super::item::Item;
use crate::diagnostic::Code;
use crate::graph::dag::ValueId;
use crate::graph::op::Op;
use crate::ops::Move;
use cell::{Cell, Kind, State};

/// Most weights of all steps of a node: each is a multiplier of its own in hardware, and hls4ml
/// compiles a layer for each step.
const MAX_UNROLLED: usize = 1 << 20;

pub fn recurrent<'m>(context: &mut Context<'m>, node: &NodeView<'m>) -> Result<Item, Fault> {
    let kind = Kind::of(node)?;
    let time_first = node.attributes().int("layout", 0)? == 0;
    let (seen, along_batch) = sequence(context, node, time_first)?;
    let &[steps, inputs] = context.shape(seen.value) else {
        return Err(Fault::new(format!("its input has sample shape {:?}, not time and features", context.shape(seen.value))));
    };
    let directions: &[bool] = match node.attributes().string("direction", "forward")?.as_str() {
        "forward" => &[false],
        "reverse" => &[true],
        "bidirectional" => &[false, true],
        other => return Err(Fault::new(format!("direction `{other}` is unknown"))),
    };
    check_lengths(context, node, steps)?;
    let mut last = Vec::new();
    for (d, &reverse) in directions.iter().enumerate() {
        let cell = Cell::read(context, node, kind, d, directions.len(), inputs)?;
        let weights = directions.len().saturating_mul(steps).saturating_mul(cell.weights());
        if weights > MAX_UNROLLED {
            return Err(Fault::new(format!(
                "unrolled over {steps} steps it has {weights} weights, more than {MAX_UNROLLED}; use fewer steps or units, or \
                 convolutions over time"
            )));
        }
        last.push(unrolled(context, node, &cell, seen.value, steps, reverse, d)?);
    }
    let hidden = last.first().and_then(|l| l.last()).map_or(0, |s| context.graph.len_of(s.h));
    outputs(context, node, &last, directions, hidden, (time_first, along_batch))
}

/// The input with time and features, and whether its time is the file's batch.
fn sequence<'m>(context: &mut Context<'m>, node: &NodeView<'m>, time_first: bool) -> Result<(Seen, bool), Fault> {
    let seen = context.seen(node, 0)?;
    let wanted = usize::from(time_first);
    if seen.batch == Some(wanted) {
        return Ok((seen, false));
    }
    // a model that was exported with a single step: its batch is the time
    if seen.batch == Some(0) && context.full_shape(seen).get(1) == Some(&1) {
        let message = "its time is the batch of the file: every sample is one step from the first state";
        context.note(Code::BatchReduced, node, message);
        return Ok((seen, true));
    }
    Err(Fault::new(format!("axis {wanted} of its input is not the batch; samples must be sequences of their own")))
}

/// All sequences have all steps.
fn check_lengths<'m>(context: &Context<'m>, node: &NodeView<'m>, steps: usize) -> Result<(), Fault> {
    let Some(lengths) = context.optional(node, 4, "sequence lengths (input 4)")? else { return Ok(()) };
    let all = lengths.tensor.to_i64().is_some_and(|l| l.iter().all(|&n| n == steps as i64));
    if all { Ok(()) } else { Err(Fault::new("its sequence lengths differ from the number of steps")) }
}

/// The states after each step of one direction, in the order of time.
fn unrolled<'m>(
    context: &mut Context<'m>,
    node: &NodeView<'m>,
    cell: &Cell,
    input: ValueId,
    steps: usize,
    reverse: bool,
    direction: usize,
) -> Result<Vec<State>, Fault> {
    let stem = if direction == 0 { node.name.clone() } else { format!("{}_reverse", node.name) };
    let gates = cell.of_inputs(context, &stem, input, steps)?;
    let mut states: Vec<Option<State>> = vec![None; steps];
    let mut state = cell.first(context, &stem, gates)?;
    for at in 0..steps {
        let t = if reverse { steps - 1 - at } else { at };
        let rows = cell.rows();
        let source = (t * rows..(t + 1) * rows).map(Some).collect();
        let name = format!("{stem}_t{t}");
        context.spend(rows)?;
        let x = match steps {
            1 => gates,
            _ => context.step(&format!("{name}_input"), Op::Move(Move::Select { source }), vec![gates], vec![rows]),
        };
        let next = cell.step(context, &name, x, state)?;
        states[t] = Some(next);
        state = Some(next);
    }
    Ok(states.into_iter().flatten().collect())
}

/// `Y`, `Y_h` and `Y_c`, as far as something reads them.
fn outputs<'m>(
    context: &mut Context<'m>,
    node: &NodeView<'m>,
    states: &[Vec<State>],
    directions: &[bool],
    hidden: usize,
    (time_first, along_batch): (bool, bool),
) -> Result<Item, Fault> {
    let (count, steps) = (states.len(), states.first().map_or(0, Vec::len));
    let used =
        |index: usize| node.proto.output.get(index).filter(|o| !o.is_empty() && context.uses.contains_key(o.as_str())).cloned();
    let names = [used(0), used(1), used(2)];
    let end = |d: usize| if directions[d] { 0 } else { steps - 1 };
    let mut items = Vec::new();
    for (index, name) in names.into_iter().enumerate() {
        let Some(name) = name else {
            items.push(Item::Refused { constant: false });
            continue;
        };
        let values: Vec<ValueId> = match index {
            0 => (0..steps).flat_map(|t| states.iter().map(move |s| s[t].h)).collect(),
            1 => (0..count).map(|d| states[d][end(d)].h).collect(),
            _ => (0..count).filter_map(|d| states[d][end(d)].c).collect(),
        };
        let joined = match values[..] {
            [one] => one,
            _ => context.step(
                &format!("{name}_joined"),
                Op::Move(Move::Concat { axis: 0 }),
                values.clone(),
                vec![values.len() * hidden],
            ),
        };
        let shape = match (index, along_batch) {
            (0, true) => vec![count, 1, hidden],
            (_, true) if count == 1 => vec![1, hidden],
            (_, true) => return Err(Fault::new("both directions of a single step have no batch")),
            (0, false) => vec![steps, count, hidden],
            (_, false) => vec![count, hidden],
        };
        let value = context.step(&name, Op::Move(Move::Reshape), vec![joined], shape);
        let batch = match (index, along_batch || !time_first) {
            (_, true) => 0,
            (0, false) => 2,
            (_, false) => 1,
        };
        items.push(context.turned(value, Some(batch)));
    }
    Ok(Item::Several(items))
}
