//! One step of a recurrent layer.

use super::super::super::context::{Context, NodeView};
use super::super::super::fault::Fault;
use super::super::super::item::Constant;
use crate::graph::dag::ValueId;
use crate::graph::op::{Affine, Dense, Op};
use crate::graph::window::Window;
use crate::ops::{Elementwise, Merge, Move, Table};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Rnn,
    /// `linear_before_reset`: the reset gate is applied to the product with the state, not to the
    /// state.
    Gru {
        after: bool,
    },
    Lstm,
}

impl Kind {
    pub fn of(node: &NodeView<'_>) -> Result<Kind, Fault> {
        let attributes = node.attributes();
        if attributes.has("clip") {
            return Err(Fault::new("attribute `clip` is not supported"));
        }
        if attributes.int("input_forget", 0)? != 0 {
            return Err(Fault::new("attribute `input_forget` is not supported"));
        }
        Ok(match node.proto.op_type() {
            "LSTM" => Kind::Lstm,
            "GRU" => Kind::Gru { after: attributes.int("linear_before_reset", 0)? != 0 },
            _ => Kind::Rnn,
        })
    }

    /// Blocks of rows in the weights.
    fn gates(self) -> usize {
        match self {
            Kind::Rnn => 1,
            Kind::Gru { .. } => 3,
            Kind::Lstm => 4,
        }
    }

    /// The activations in ONNX's order.
    fn usual(self) -> &'static [&'static str] {
        match self {
            Kind::Rnn => &["Tanh"],
            Kind::Gru { .. } => &["Sigmoid", "Tanh"],
            Kind::Lstm => &["Sigmoid", "Tanh", "Tanh"],
        }
    }
}

/// Hidden state, and the cell's own of an LSTM.
#[derive(Clone, Copy, Debug)]
pub struct State {
    pub h: ValueId,
    pub c: Option<ValueId>,
}

/// The weights of one direction, rows by gate.
pub struct Cell {
    kind: Kind,
    hidden: usize,
    inputs: usize,
    /// `[gate, unit][input]`
    w: Vec<f32>,
    /// `[gate, unit][state]`
    r: Vec<f32>,
    /// Biases of the input and of the state.
    bias: [Vec<f32>; 2],
    /// Initial states that are not 0.
    start: [Option<Vec<f64>>; 2],
    /// Of an RNN.
    activation: Elementwise,
}

impl Cell {
    /// # Errors
    /// Weights, activations or states that are not supported.
    pub fn read<'m>(
        context: &mut Context<'m>,
        node: &NodeView<'m>,
        kind: Kind,
        direction: usize,
        directions: usize,
        inputs: usize,
    ) -> Result<Cell, Fault> {
        let (w, r) = (context.constant(node, 1, "weight W (input 1)")?, context.constant(node, 2, "weight R (input 2)")?);
        let &[_, rows, hidden] = r.shape() else { return Err(Fault::new(format!("weight R has shape {:?}", r.shape()))) };
        let fits = |c: &Constant, shape: &[usize]| -> Result<Vec<f32>, Fault> {
            if c.shape() != shape {
                return Err(Fault::new(format!("`{}` has shape {:?}; {shape:?} is needed", c.name, c.shape())));
            }
            let share = shape.iter().product::<usize>() / directions.max(1);
            let values: Vec<f32> = c.finite()?.into_iter().map(|v| v as f32).collect();
            Ok(values[direction * share..(direction + 1) * share].to_vec())
        };
        if rows != kind.gates() * hidden || hidden == 0 {
            return Err(Fault::new(format!("weight R has shape {:?}, not {} rows per unit", r.shape(), kind.gates())));
        }
        let (w, r) = (fits(&w, &[directions, rows, inputs])?, fits(&r, &[directions, rows, hidden])?);
        let bias = match context.optional(node, 3, "bias (input 3)")? {
            Some(b) => fits(&b, &[directions, 2 * rows])?,
            None => vec![0.0; 2 * rows],
        };
        if kind == Kind::Lstm && node.input(7).is_some() {
            return Err(Fault::new("peepholes (input 7) are not supported"));
        }
        let mut start = [None, None];
        for (at, start) in start.iter_mut().enumerate().take(if kind == Kind::Lstm { 2 } else { 1 }) {
            let Some(state) = context.optional(node, 5 + at, "initial state")? else { continue };
            let values = state.finite()?;
            if values.iter().any(|&v| v != 0.0) {
                if values.len() != directions * hidden {
                    return Err(Fault::new("its initial state differs between samples"));
                }
                *start = Some(values[direction * hidden..(direction + 1) * hidden].to_vec());
            }
        }
        let activation = activation(node, kind, direction)?;
        let (first, second) = bias.split_at(rows);
        Ok(Cell { kind, hidden, inputs, w, r, bias: [first.to_vec(), second.to_vec()], start, activation })
    }

    /// Rows of what the input gives to a step.
    pub fn rows(&self) -> usize {
        self.kind.gates() * self.hidden
    }

    /// Weights of one step.
    pub fn weights(&self) -> usize {
        self.w.len() + self.r.len()
    }

    /// A GRU whose reset gate comes after the product keeps the state's bias of the candidate
    /// apart.
    fn keeps_apart(&self, row: usize) -> bool {
        self.kind == Kind::Gru { after: true } && row >= 2 * self.hidden
    }

    /// What the inputs of all steps give to the gates: `[steps, rows]`, flat for one step.
    pub fn of_inputs(&self, context: &mut Context<'_>, stem: &str, input: ValueId, steps: usize) -> Result<ValueId, Fault> {
        let rows = self.rows();
        let bias = (0..rows).map(|n| self.bias[0][n] + if self.keeps_apart(n) { 0.0 } else { self.bias[1][n] }).collect();
        let all: Vec<usize> = (0..rows).collect();
        let window = (steps > 1).then(|| Window::pointwise(1, steps, self.inputs));
        let shape = if steps > 1 { vec![steps, rows] } else { vec![rows] };
        let name = format!("{stem}_inputs");
        let from = if steps == 1 {
            context.step(&format!("{stem}_step"), Op::Move(Move::Reshape), vec![input], vec![self.inputs])
        } else {
            input
        };
        dense(context, &name, from, (&self.w, self.inputs), &all, bias, window, shape)
    }

    /// The state in front of the first step; `None` where it is 0.
    pub fn first(&self, context: &mut Context<'_>, stem: &str, like: ValueId) -> Result<Option<State>, Fault> {
        if self.start.iter().all(Option::is_none) {
            return Ok(None);
        }
        let mut of = |what: &str, values: &Option<Vec<f64>>| {
            let values = values.clone().unwrap_or_else(|| vec![0.0; self.hidden]);
            context.filled(&format!("{stem}_{what}"), like, values, vec![self.hidden])
        };
        let h = of("h", &self.start[0])?;
        let c = (self.kind == Kind::Lstm).then(|| of("c", &self.start[1])).transpose()?;
        Ok(Some(State { h, c }))
    }

    /// The state after a step on `x`, what the input gives.
    pub fn step(&self, context: &mut Context<'_>, name: &str, x: ValueId, state: Option<State>) -> Result<State, Fault> {
        let mut b = Step { context, name, hidden: self.hidden };
        match self.kind {
            Kind::Rnn => self.rnn(&mut b, x, state),
            Kind::Gru { after } => self.gru(&mut b, x, state, after),
            Kind::Lstm => self.lstm(&mut b, x, state),
        }
    }

    /// The product of the state with the rows `from..to` of R.
    fn of_state(&self, b: &mut Step<'_, '_>, what: &str, h: ValueId, from: usize, to: usize) -> Result<ValueId, Fault> {
        let rows: Vec<usize> = (from..to).collect();
        let bias = rows.iter().map(|&n| if self.keeps_apart(n) { self.bias[1][n] } else { 0.0 }).collect();
        let name = format!("{}_{what}", b.name);
        dense(b.context, &name, h, (&self.r, self.hidden), &rows, bias, None, vec![rows.len()])
    }

    fn rnn(&self, b: &mut Step<'_, '_>, x: ValueId, state: Option<State>) -> Result<State, Fault> {
        let sum = match state {
            Some(State { h, .. }) => {
                let product = self.of_state(b, "state", h, 0, self.hidden)?;
                b.merge("sum", Merge::Add, x, product)
            }
            None => x,
        };
        Ok(State { h: b.function("h", self.activation, sum), c: None })
    }

    /// `i`, `o`, `f` and the candidate.
    fn lstm(&self, b: &mut Step<'_, '_>, x: ValueId, state: Option<State>) -> Result<State, Fault> {
        let n = self.hidden;
        let sum = match state {
            Some(State { h, .. }) => {
                let product = self.of_state(b, "state", h, 0, 4 * n)?;
                b.merge("sum", Merge::Add, x, product)
            }
            None => x,
        };
        let gates = b.part("gates_sum", sum, 0, 3 * n);
        let gates = b.table("gates", Table::Sigmoid, gates);
        let candidate = b.part("candidate_sum", sum, 3 * n, 4 * n);
        let candidate = b.table("candidate", Table::Tanh, candidate);
        let i = b.part("i", gates, 0, n);
        let mut c = b.merge("new", Merge::Mul, i, candidate);
        if let Some(before) = state.and_then(|s| s.c) {
            let f = b.part("f", gates, 2 * n, 3 * n);
            let kept = b.merge("kept", Merge::Mul, f, before);
            c = b.merge("c", Merge::Add, kept, c);
        }
        let o = b.part("o", gates, n, 2 * n);
        let bounded = b.table("bounded", Table::Tanh, c);
        Ok(State { h: b.merge("h", Merge::Mul, o, bounded), c: Some(c) })
    }

    /// `z`, `r` and the candidate: `h' = candidate + z·(h − candidate)`.
    fn gru(&self, b: &mut Step<'_, '_>, x: ValueId, state: Option<State>, after: bool) -> Result<State, Fault> {
        let n = self.hidden;
        let mut sum = b.part("gates_input", x, 0, 2 * n);
        if let Some(State { h, .. }) = state {
            let product = self.of_state(b, "state", h, 0, 2 * n)?;
            sum = b.merge("sum", Merge::Add, sum, product);
        }
        let gates = b.table("gates", Table::Sigmoid, sum);
        let z = b.part("z", gates, 0, n);
        let mut candidate = b.part("candidate_input", x, 2 * n, 3 * n);
        match state {
            Some(State { h, .. }) => {
                let r = b.part("r", gates, n, 2 * n);
                let product = if after {
                    let product = self.of_state(b, "candidate_state", h, 2 * n, 3 * n)?;
                    b.merge("reset", Merge::Mul, r, product)
                } else {
                    let reset = b.merge("reset", Merge::Mul, r, h);
                    self.of_state(b, "candidate_state", reset, 2 * n, 3 * n)?
                };
                candidate = b.merge("candidate_sum", Merge::Add, candidate, product);
            }
            // the product with a state of 0 is its bias
            None if after && self.bias[1][2 * n..].iter().any(|&v| v != 0.0) => {
                let r = b.part("r", gates, n, 2 * n);
                let scale = self.bias[1][2 * n..].iter().map(|&v| v.into()).collect();
                let reset = b.step("reset", Op::Affine(Affine { scale, shift: vec![0.0; n] }), vec![r], n);
                candidate = b.merge("candidate_sum", Merge::Add, candidate, reset);
            }
            None => {}
        }
        let candidate = b.table("candidate", Table::Tanh, candidate);
        let (first, second) = match state {
            Some(State { h, .. }) => (candidate, b.merge("way", Merge::Sub, h, candidate)),
            // from 0 on: candidate − z·candidate
            None => {
                let kept = b.merge("kept", Merge::Mul, z, candidate);
                return Ok(State { h: b.merge("h", Merge::Sub, candidate, kept), c: None });
            }
        };
        let moved = b.merge("moved", Merge::Mul, z, second);
        Ok(State { h: b.merge("h", Merge::Add, first, moved), c: None })
    }
}

/// The activation of an RNN; those of the others must be the usual ones.
fn activation(node: &NodeView<'_>, kind: Kind, direction: usize) -> Result<Elementwise, Fault> {
    let tanh = Elementwise::Table(Table::Tanh);
    let given = node.attributes().strings("activations")?;
    if given.is_empty() {
        return Ok(tanh);
    }
    let usual = kind.usual();
    let own = given.chunks(usual.len()).nth(direction).unwrap_or_default();
    match (kind, own) {
        (Kind::Rnn, [name]) if name == "Relu" => Ok(Elementwise::Relu),
        _ if own == usual => Ok(tanh),
        _ => Err(Fault::new(format!("activations {given:?} are not supported; use {usual:?}"))),
    }
}

/// A layer of the rows `rows` of `weight`, each of `inputs` numbers.
#[allow(clippy::too_many_arguments)] // a layer has so many parts
fn dense(
    context: &mut Context<'_>,
    name: &str,
    from: ValueId,
    (weight, inputs): (&[f32], usize),
    rows: &[usize],
    bias: Vec<f32>,
    window: Option<Window>,
    shape: Vec<usize>,
) -> Result<ValueId, Fault> {
    context.spend(2 * rows.len() * inputs)?;
    let weight = (0..inputs).flat_map(|k| rows.iter().map(move |&row| weight[row * inputs + k])).collect();
    let layer = Dense { inputs, outputs: rows.len(), weight, bias, weight_quant: None, bias_quant: None, window };
    Ok(context.step(name, Op::Dense(layer), vec![from], shape))
}

/// Writes the operations of a step.
struct Step<'c, 'm> {
    context: &'c mut Context<'m>,
    name: &'c str,
    hidden: usize,
}

impl Step<'_, '_> {
    fn step(&mut self, what: &str, op: Op, inputs: Vec<ValueId>, len: usize) -> ValueId {
        self.context.step(&format!("{}_{what}", self.name), op, inputs, vec![len])
    }

    fn part(&mut self, what: &str, value: ValueId, from: usize, to: usize) -> ValueId {
        let source = (from..to).map(Some).collect();
        self.step(what, Op::Move(Move::Select { source }), vec![value], to - from)
    }

    fn merge(&mut self, what: &str, merge: Merge, a: ValueId, b: ValueId) -> ValueId {
        let len = self.context.graph.len_of(a);
        self.step(what, Op::Merge(merge), vec![a, b], len)
    }

    fn function(&mut self, what: &str, f: Elementwise, value: ValueId) -> ValueId {
        self.step(what, Op::Elementwise(f), vec![value], self.hidden)
    }

    fn table(&mut self, what: &str, table: Table, value: ValueId) -> ValueId {
        let len = self.context.graph.len_of(value);
        self.step(what, Op::Elementwise(Elementwise::Table(table)), vec![value], len)
    }
}
