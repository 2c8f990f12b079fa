//! The one graph structure of the pipeline: values and nodes in topological order, generic over the
//! operation. [`crate::graph::Graph`], [`crate::quant::Model`] and [`crate::quant::FixedModel`] are
//! the three instances.

use thiserror::Error;

/// Index into [`Dag::values`].
pub type ValueId = usize;

/// A tensor that flows between nodes.
#[derive(Clone, Debug, PartialEq)]
pub struct Value {
    pub name: String,
    /// Shape of one sample, channels last, without the batch dimension.
    pub shape: Vec<usize>,
}

impl Value {
    /// Elements of one sample.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// One operation. Constants live inside the operation; `inputs` are data only.
#[derive(Clone, Debug, PartialEq)]
pub struct Node<O> {
    pub name: String,
    pub op: O,
    pub inputs: Vec<ValueId>,
    pub output: ValueId,
}

/// A directed acyclic graph; `nodes` is in topological order.
#[derive(Clone, Debug, PartialEq)]
pub struct Dag<O> {
    pub name: String,
    pub values: Vec<Value>,
    pub nodes: Vec<Node<O>>,
    pub inputs: Vec<ValueId>,
    pub outputs: Vec<ValueId>,
}

/// What [`Dag::check`] found: a fault in this program, never in the user's file.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("graph invariant broken at node `{node}`: {what}")]
pub struct Invariant {
    pub node: String,
    pub what: String,
}

impl<O> Dag<O> {
    /// The node that computes `value`, `None` for a graph input.
    pub fn producer(&self, value: ValueId) -> Option<usize> {
        self.nodes.iter().position(|n| n.output == value)
    }

    /// Indices of the nodes that read `value`.
    pub fn consumers(&self, value: ValueId) -> Vec<usize> {
        (0..self.nodes.len()).filter(|&n| self.nodes[n].inputs.contains(&value)).collect()
    }

    /// Elements of one sample of `value`.
    pub fn len_of(&self, value: ValueId) -> usize {
        self.values[value].len()
    }

    /// The sample shapes of `values`.
    pub fn shapes(&self, values: &[ValueId]) -> Vec<&[usize]> {
        values.iter().map(|&v| &self.values[v].shape[..]).collect()
    }

    /// The last node that reads each value.
    pub fn last_readers(&self) -> Vec<Option<usize>> {
        let mut last = vec![None; self.values.len()];
        for (index, node) in self.nodes.iter().enumerate() {
            node.inputs.iter().for_each(|&v| last[v] = Some(index));
        }
        last
    }

    /// The values that node `node` is the last to read; `last` is [`Dag::last_readers`].
    pub fn read_last<'a>(&'a self, last: &'a [Option<usize>], node: usize) -> impl Iterator<Item = ValueId> + 'a {
        self.nodes[node].inputs.iter().copied().filter(move |&v| last[v] == Some(node))
    }

    /// Elements of the largest value, at least 1.
    pub fn largest(&self) -> usize {
        self.values.iter().map(Value::len).max().unwrap_or(1).max(1)
    }

    /// Adds a value and returns its id.
    pub fn add_value(&mut self, name: impl Into<String>, shape: Vec<usize>) -> ValueId {
        self.values.push(Value { name: name.into(), shape });
        self.values.len() - 1
    }

    /// The same structure with other operations.
    ///
    /// # Errors
    /// The first error `f` returns.
    pub fn try_map<P, E>(&self, mut f: impl FnMut(usize, &Node<O>) -> Result<P, E>) -> Result<Dag<P>, E> {
        let mut nodes = Vec::with_capacity(self.nodes.len());
        for (index, node) in self.nodes.iter().enumerate() {
            nodes.push(Node { name: node.name.clone(), op: f(index, node)?, inputs: node.inputs.clone(), output: node.output });
        }
        Ok(Dag {
            name: self.name.clone(),
            values: self.values.clone(),
            nodes,
            inputs: self.inputs.clone(),
            outputs: self.outputs.clone(),
        })
    }

    /// Verifies that ids exist, that every value has one producer and that nodes are in topological
    /// order.
    ///
    /// # Errors
    /// [`Invariant`] with the first node that breaks a rule.
    pub fn check(&self) -> Result<(), Invariant> {
        let fault = |node: &str, what: String| Err(Invariant { node: node.to_string(), what });
        let mut ready = vec![false; self.values.len()];
        for &input in &self.inputs {
            match ready.get_mut(input) {
                Some(seen) => *seen = true,
                None => return fault("(inputs)", format!("value {input} does not exist")),
            }
        }
        for node in &self.nodes {
            if node.inputs.is_empty() {
                return fault(&node.name, "no data input".into());
            }
            for &input in &node.inputs {
                if !ready.get(input).copied().unwrap_or(false) {
                    return fault(&node.name, format!("reads value {input} before it is computed"));
                }
            }
            match ready.get_mut(node.output) {
                Some(seen) if !*seen => *seen = true,
                Some(_) => return fault(&node.name, format!("value {} is computed twice", node.output)),
                None => return fault(&node.name, format!("value {} does not exist", node.output)),
            }
        }
        for &output in &self.outputs {
            if !ready.get(output).copied().unwrap_or(false) {
                return fault("(outputs)", format!("value {output} is never computed"));
            }
        }
        Ok(())
    }
}
