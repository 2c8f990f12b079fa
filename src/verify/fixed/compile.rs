//! `ModelProto` → [`Program`]: names resolved, constants folded, every element's worst case known.

use super::constant::Constant;
use super::function::is_function;
use super::program::{Port, Program, Sink};
use super::step::Step;
use super::{Fault, FixedError};
use crate::onnx::limits::Limits;
use crate::onnx::proto::{GraphProto, ModelProto, NodeProto, ValueInfoProto};
use crate::onnx::tensor::Tensor;
use crate::onnx::{CHANNELS_LAST, codec, info};
use crate::quant::Kif;
use crate::quant::port::stated;
use std::collections::HashMap;

/// Most elements of a tensor: a small file could otherwise ask for any amount of memory.
pub const MAX_ELEMENTS: usize = 1 << 24;

/// Widest value, sign included: one bit of an i64 stays free.
pub const MAX_BITS: u32 = 63;

/// A tensor while compiling.
#[derive(Clone, Debug)]
pub enum Known {
    Constant(Constant),
    Data(Data),
}

/// A computed tensor: `2^-frac` is the grid of all its elements.
#[derive(Clone, Debug)]
pub struct Data {
    pub id: usize,
    /// Shape of one sample.
    pub shape: Vec<usize>,
    pub frac: i32,
    pub bounds: Vec<(i128, i128)>,
}

/// The compiler's state.
#[derive(Default)]
pub struct Compiler {
    pub known: HashMap<String, Known>,
    pub steps: Vec<Step>,
    pub lengths: Vec<usize>,
    pub quants: Vec<String>,
}

impl Compiler {
    /// Registers a new tensor.
    ///
    /// # Errors
    /// An element beyond [`MAX_BITS`].
    pub fn data(&mut self, shape: Vec<usize>, frac: i32, bounds: Vec<(i128, i128)>) -> Result<Data, String> {
        let bits = bounds.iter().map(|&(lo, hi)| Kif::covering(lo, hi, 0).bits()).max().unwrap_or(0);
        if bits > MAX_BITS {
            return Err(format!("its result needs {bits} bits, the executor has {MAX_BITS}"));
        }
        self.lengths.push(bounds.len());
        Ok(Data { id: self.lengths.len() - 1, shape, frac, bounds })
    }

    /// A named operand.
    pub fn operand(&self, node: &NodeProto, index: usize) -> Result<Known, String> {
        let name = node.input.get(index).ok_or_else(|| format!("input {index} is missing"))?;
        self.known.get(name).cloned().ok_or_else(|| format!("reads `{name}`, which nothing computes before it"))
    }

    /// A named operand that is constant.
    pub fn constant(&self, node: &NodeProto, index: usize) -> Result<Constant, String> {
        match self.operand(node, index)? {
            Known::Constant(c) => Ok(c),
            Known::Data(_) => Err(format!("input {index} must be a constant")),
        }
    }

    /// The graph's inputs, each with all values of `port`.
    fn inputs(&mut self, graph: &GraphProto, port: Kif, fault: &mut impl FnMut(&str, &str, String)) -> Vec<Port> {
        let mut inputs = Vec::new();
        for input in &graph.input {
            if self.known.contains_key(input.name()) {
                continue;
            }
            let made = sample_shape(input).and_then(|shape| {
                let bounds = vec![(port.min_int().into(), port.max_int().into()); shape.iter().product()];
                self.data(shape, port.fractional, bounds)
            });
            match made {
                Ok(data) => {
                    inputs.push(Port { name: input.name().to_string(), shape: data.shape.clone(), tensor: data.id });
                    self.known.insert(input.name().to_string(), Known::Data(data));
                }
                Err(reason) => fault(input.name(), "input", reason),
            }
        }
        inputs
    }

    fn node(&mut self, node: &NodeProto) -> Result<(), String> {
        let [out] = &node.output[..] else { return Err(format!("has {} outputs, one is expected", node.output.len())) };
        let result = match (node.op_type(), node.domain()) {
            ("Quant" | "IntQuant", _) => self.quant(node)?,
            ("MatMul", "" | "ai.onnx") => self.matmul(node)?,
            ("Add", "" | "ai.onnx") => self.add(node, false)?,
            ("Sub", "" | "ai.onnx") => self.add(node, true)?,
            ("Mul", "" | "ai.onnx") => self.mul(node)?,
            (op, "" | "ai.onnx") if is_function(op) => self.function(node)?,
            ("Concat", "" | "ai.onnx") => self.concat(node)?,
            ("Reshape" | "Flatten", "" | "ai.onnx") => self.reshape(node)?,
            ("Transpose", "" | "ai.onnx") => self.transpose(node)?,
            ("Pad", "" | "ai.onnx") => self.pad(node)?,
            ("Max", "" | "ai.onnx") => self.extreme(node, true)?,
            ("Min", "" | "ai.onnx") => self.extreme(node, false)?,
            ("Conv", CHANNELS_LAST) => self.conv(node)?,
            ("MaxPool", CHANNELS_LAST) => self.max_pool(node)?,
            ("Identity", "" | "ai.onnx") => self.operand(node, 0)?,
            (op, domain) => return Err(format!("operator `{op}` of domain `{domain}` is not part of the proxy vocabulary")),
        };
        if self.known.insert(out.clone(), result).is_some() {
            return Err(format!("tensor `{out}` is written twice"));
        }
        Ok(())
    }
}

impl Program {
    /// Compiles a proxy file for the input port that it states, else for hls4ml's default.
    ///
    /// # Errors
    /// A file that is no ONNX model, and every node outside the vocabulary, at once.
    pub fn from_bytes(bytes: &[u8]) -> Result<Program, FixedError> {
        Program::from_model(&codec::decode(bytes, &Limits::default())?)
    }

    /// Compiles a decoded model for the input port that it states, else for hls4ml's default.
    ///
    /// # Errors
    /// Every node outside the vocabulary, at once.
    pub fn from_model(model: &ModelProto) -> Result<Program, FixedError> {
        Program::with_port(model, stated(model))
    }

    /// Compiles for another input port (see [`crate::proxy::form::Proxy::input_port`]).
    ///
    /// # Errors
    /// Every node outside the vocabulary, at once.
    pub fn with_port(model: &ModelProto, port: Kif) -> Result<Program, FixedError> {
        compile(model, port)
    }
}

/// Compiles a model.
///
/// # Errors
/// Every fault at once.
fn compile(model: &ModelProto, port: Kif) -> Result<Program, FixedError> {
    let mut faults = Vec::new();
    let mut fault = |node: &str, op: &str, reason: String| faults.push(Fault { node: node.into(), op: op.into(), reason });
    let empty = Default::default();
    let graph = model.graph.as_ref().unwrap_or(&empty);
    let mut c = Compiler::default();
    for tensor in &graph.initializer {
        match Tensor::from_proto(tensor).map_err(|e| e.to_string()).and_then(|t| Constant::of(&t)) {
            Ok(constant) => drop(c.known.insert(tensor.name().to_string(), Known::Constant(constant))),
            Err(reason) => fault(tensor.name(), "initializer", reason),
        }
    }
    let inputs = c.inputs(graph, port, &mut fault);
    let mut broken: Vec<&str> = Vec::new();
    for node in &graph.node {
        // what only follows from a fault is not reported again
        if node.input.iter().any(|i| broken.contains(&i.as_str())) {
            broken.extend(node.output.iter().map(String::as_str));
            continue;
        }
        if let Err(reason) = c.node(node) {
            let name = if node.name().is_empty() { node.output.first().map_or("", String::as_str) } else { node.name() };
            fault(name, node.op_type(), reason);
            broken.extend(node.output.iter().map(String::as_str));
        }
    }
    let mut outputs = Vec::new();
    for output in &graph.output {
        match c.known.get(output.name()) {
            Some(Known::Data(d)) => {
                outputs.push(Sink { name: output.name().into(), shape: d.shape.clone(), frac: d.frac, tensor: d.id });
            }
            _ if broken.contains(&output.name()) => {}
            Some(Known::Constant(_)) => fault(output.name(), "output", "is a constant".into()),
            None => fault(output.name(), "output", "nothing computes it".into()),
        }
    }
    if inputs.is_empty() {
        fault("(graph)", "graph", "has no inputs".into());
    }
    if !faults.is_empty() {
        return Err(FixedError::Graph(faults));
    }
    let mut steps = c.steps;
    fuse_biases(&mut steps, c.lengths.len(), &outputs);
    Ok(Program { inputs, outputs, steps, lengths: c.lengths, quants: c.quants, port })
}

/// A bias behind a matrix that nothing else reads becomes the start of its accumulators.
fn fuse_biases(steps: &mut Vec<Step>, tensors: usize, outputs: &[Sink]) {
    let mut readers = vec![0usize; tensors];
    steps.iter().flat_map(Step::reads).chain(outputs.iter().map(|o| o.tensor)).for_each(|t| readers[t] += 1);
    let mut fused: Vec<Step> = Vec::with_capacity(steps.len());
    for step in steps.drain(..) {
        if let (Some(Step::MatMul { dst, bias, .. }), Step::Affine { src, dst: to, mul, add }) = (fused.last_mut(), &step)
            && (*dst == *src && readers[*src] == 1 && mul.iter().all(|&m| m == 1))
        {
            (*dst, *bias) = (*to, add.clone());
        } else {
            fused.push(step);
        }
    }
    *steps = fused;
}

/// Shape without the batch, which is 1 or symbolic.
fn sample_shape(info: &ValueInfoProto) -> Result<Vec<usize>, String> {
    let dims = info::dims(info).ok_or("is not a tensor")?;
    if dims.is_empty() {
        return Err("has no batch dimension".into());
    }
    let mut shape = Vec::new();
    for dim in &dims[1..] {
        match info::size(dim) {
            Some(size) if size < MAX_ELEMENTS => shape.push(size),
            _ => return Err("has a dimension (besides the batch) that is not a positive number".into()),
        }
    }
    if shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d)).is_none_or(|n| n > MAX_ELEMENTS) {
        return Err("is too large".into());
    }
    Ok(shape)
}
