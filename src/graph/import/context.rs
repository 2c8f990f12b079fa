//! The graph under construction and the helpers that every operator's handler uses.

use super::error::Refusal;
use super::fault::Fault;
use super::item::{Constant, Item};
use crate::diagnostic::{Code, Diagnostic};
use crate::graph::Graph;
use crate::graph::dag::{Dag, Node, ValueId};
use crate::graph::op::{Affine, Op};
use crate::onnx::Attributes;
use crate::onnx::proto::NodeProto;
use crate::ops::Move;
use std::collections::{HashMap, HashSet};

/// Most numbers that expanding constants (broadcast scales, per-element annotations, folded
/// tensors) may create in one import: 1 GiB of f64. A small file could otherwise ask for any
/// amount.
pub const MAX_EXPANDED: usize = 1 << 27;
/// Most numbers of constants that the nodes of a model may read, shared constants counted for each
/// node: 16 times the largest file.
pub const MAX_READ: usize = 1 << 30;
/// Largest sample: a 2048×2048 image with four channels.
pub const MAX_SAMPLE: usize = 1 << 24;

/// One node of the file.
pub struct NodeView<'m> {
    pub proto: &'m NodeProto,
    /// Its name, or that of its first output.
    pub name: String,
}

impl<'m> NodeView<'m> {
    pub fn of(proto: &'m NodeProto) -> Self {
        let output = proto.output.iter().find(|o| !o.is_empty()).map_or("", String::as_str);
        let name = if proto.name().is_empty() { output } else { proto.name() };
        NodeView { proto, name: name.to_string() }
    }

    pub fn attributes(&self) -> Attributes<'m> {
        Attributes::of(self.proto)
    }

    /// Name of input `index`; `None` where it is left out.
    pub fn input(&self, index: usize) -> Option<&'m str> {
        self.proto.input.get(index).map(String::as_str).filter(|name| !name.is_empty())
    }

    /// Name of the first output.
    pub fn output(&self) -> &'m str {
        self.proto.output.first().map_or("", String::as_str)
    }
}

/// See the module.
pub struct Context<'m> {
    pub graph: Graph,
    pub items: HashMap<&'m str, Item>,
    /// Opset version of the standard domain.
    pub opset: i64,
    pub notes: Vec<Diagnostic>,
    pub refusals: Vec<Refusal>,
    /// Outputs of dense layers without a bias: a constant that is added may become one.
    pub bare: HashSet<ValueId>,
    /// The file holds images or sequences with the channels first.
    pub spatial: bool,
    /// The file fixes the batch to 1.
    pub batch_of_one: bool,
    /// The axis of the inputs that is the batch; `None` in a file whose inputs are single vectors.
    pub batch: Option<usize>,
    /// How many nodes and graph outputs read each tensor, counted through identities.
    pub uses: HashMap<&'m str, usize>,
    expanded: usize,
    read: usize,
}

impl<'m> Context<'m> {
    pub fn new(name: &str, opset: i64, uses: HashMap<&'m str, usize>) -> Self {
        Context {
            graph: Dag { name: name.to_string(), values: vec![], nodes: vec![], inputs: vec![], outputs: vec![] },
            items: HashMap::new(),
            opset,
            notes: vec![],
            refusals: vec![],
            bare: HashSet::new(),
            spatial: false,
            batch_of_one: false,
            batch: Some(0),
            uses,
            expanded: 0,
            read: 0,
        }
    }

    /// What input `index` of `node` is.
    ///
    /// # Errors
    /// Where it is left out or nothing before computes it.
    pub fn item(&self, node: &NodeView<'m>, index: usize) -> Result<Item, Fault> {
        let name = node.input(index).ok_or_else(|| Fault::new(format!("input {index} is missing")))?;
        self.items
            .get(name)
            .cloned()
            .ok_or_else(|| Fault::new(format!("input `{name}` is not computed by any node before this one")))
    }

    /// A data input.
    ///
    /// # Errors
    /// Where it is anything else.
    pub fn data(&self, node: &NodeView<'m>, index: usize) -> Result<ValueId, Fault> {
        match self.item(node, index)? {
            Item::Data(value) => Ok(value),
            Item::Const(_) => Err(Fault::new("its input is constant; fold constants before export (onnxsim)")),
            Item::Turned { batch, .. } => {
                Err(Fault::new(format!("axis {batch} of its input is the batch; move it to the front with a Transpose before")))
            }
            _ => Err(Fault::new("its input is computed from shapes or labels, not from the data")),
        }
    }

    /// A constant input.
    ///
    /// # Errors
    /// Where it is anything else; `what` is its role.
    pub fn constant(&self, node: &NodeView<'m>, index: usize, what: &str) -> Result<Constant, Fault> {
        match self.item(node, index)? {
            Item::Const(constant) => Ok(constant),
            _ => Err(Fault::new(format!("its {what} is not a constant"))),
        }
    }

    /// A constant input that may be left out.
    ///
    /// # Errors
    /// Where it is there and not constant.
    pub fn optional(&self, node: &NodeView<'m>, index: usize, what: &str) -> Result<Option<Constant>, Fault> {
        node.input(index).map(|_| self.constant(node, index, what)).transpose()
    }

    /// Shape of one sample of a value.
    pub fn shape(&self, value: ValueId) -> &[usize] {
        &self.graph.values[value].shape
    }

    /// Accounts for `count` numbers about to be created.
    ///
    /// # Errors
    /// Beyond [`MAX_EXPANDED`] in total.
    pub fn spend(&mut self, count: usize) -> Result<(), Fault> {
        self.expanded = self.expanded.saturating_add(count);
        if self.expanded > MAX_EXPANDED {
            return Err(Fault::new(format!("the model's constants and windows expand to more than {MAX_EXPANDED} numbers")));
        }
        Ok(())
    }

    /// Accounts for the constants that a node reads.
    ///
    /// # Errors
    /// Beyond [`MAX_READ`] in total.
    pub fn read(&mut self, node: &NodeView<'m>) -> Result<(), Fault> {
        for name in node.proto.input.iter().filter(|name| !name.is_empty()) {
            if let Some(Item::Const(constant)) = self.items.get(name.as_str()) {
                self.read = self.read.saturating_add(constant.tensor.len());
            }
        }
        if self.read > MAX_READ {
            return Err(Fault::new(format!("the nodes of the model read more than {MAX_READ} numbers of constants")));
        }
        Ok(())
    }

    /// Adds an operation whose output carries the tensor name of the file.
    pub fn emit(&mut self, node: &NodeView<'m>, op: Op, input: ValueId, shape: Vec<usize>) -> Item {
        self.emit_many(node, op, vec![input], shape)
    }

    /// [`Self::emit`] for any number of operands.
    pub fn emit_many(&mut self, node: &NodeView<'m>, op: Op, inputs: Vec<ValueId>, shape: Vec<usize>) -> Item {
        let output = self.graph.add_value(node.output(), shape);
        self.graph.nodes.push(Node { name: node.name.clone(), op, inputs, output });
        Item::Data(output)
    }

    /// A step on the way to what a node gives, with a name of its own.
    pub fn step(&mut self, name: &str, op: Op, inputs: Vec<ValueId>, shape: Vec<usize>) -> ValueId {
        let output = self.graph.add_value(name, shape);
        self.graph.nodes.push(Node { name: name.to_string(), op, inputs, output });
        output
    }

    /// `values` as a tensor of data: a selection of nothing of `like`, and the values added.
    pub fn filled(&mut self, name: &str, like: ValueId, values: Vec<f64>, shape: Vec<usize>) -> Result<ValueId, Fault> {
        self.spend(4 * values.len())?;
        let nothing = Op::Move(Move::Select { source: vec![None; values.len()] });
        let zeros = self.step(&format!("{name}_zeros"), nothing, vec![like], shape.clone());
        let affine = Op::Affine(Affine { scale: vec![1.0; values.len()], shift: values });
        Ok(self.step(name, affine, vec![zeros], shape))
    }

    pub fn note(&mut self, code: Code, node: &NodeView<'_>, message: impl Into<String>) {
        self.notes.push(Diagnostic::at(code, &node.name, message));
    }
}
