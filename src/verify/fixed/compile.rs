//! `ModelProto` → [`Program`]: names resolved, constants folded, every element's worst case known.

use super::constant::Constant;
use super::function::is_function;
use super::program::{Port, Program, Sink};
use super::step::Step;
use super::{Fault, FixedError};
use crate::graph::Window;
use crate::onnx::limits::Limits;
use crate::onnx::proto::{GraphProto, ModelProto, NodeProto, ValueInfoProto};
use crate::onnx::tensor::Tensor;
use crate::onnx::{CHANNELS_LAST, codec, info};
use crate::quant::Kif;
use crate::quant::port::stated;
use std::collections::{HashMap, HashSet};

/// The fuzzers have bounds of memory and time, so smaller limits.
const FUZZED: bool = cfg!(fuzzing);
/// Most elements of a tensor, as an import takes them, and of all together with the constants: a
/// small file could otherwise ask for any amount of memory. Bounds take 32 bytes each: 4 GiB in
/// all.
/// A proxy for images of 256 × 256 has some 50 million.
pub const MAX_ELEMENTS: usize = if FUZZED { 1 << 22 } else { 1 << 24 };
const MAX_ALL_ELEMENTS: usize = if FUZZED { 1 << 25 } else { 1 << 27 };
/// Most entries of the table of a window: 1 GiB.
const MAX_TABLE: usize = if FUZZED { 1 << 26 } else { 1 << 28 };
/// Most elements that are read while compiling, once for each product of a layer: some ten seconds.
const MAX_READ: usize = if FUZZED { 1 << 30 } else { 1 << 33 };
/// Finest and coarsest grid: beyond, a value may be none of an f64.
const MAX_FRAC: i32 = 1000;

/// Why a tensor is refused.
const LARGE: &str = "its result is too large";

/// Widest value, sign included: one bit of an i64 stays free.
pub const MAX_BITS: u32 = 63;

/// A tensor while compiling.
#[derive(Clone, Debug)]
pub enum Known {
    Constant(Constant),
    Data(Data),
}

impl Known {
    /// Elements, of one sample.
    fn len(&self) -> usize {
        match self {
            Known::Constant(c) => c.values.len(),
            Known::Data(d) => d.bounds.len(),
        }
    }

    /// Forgets what the elements may be: nothing reads the tensor any more.
    fn release(&mut self) {
        match self {
            Known::Constant(c) => c.values = Vec::new(),
            Known::Data(d) => d.bounds = Vec::new(),
        }
    }
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
    /// Elements of all tensors and constants that nodes made.
    held: usize,
    /// Elements that nodes have read.
    read: usize,
}

impl Compiler {
    /// Accounts for `count` elements that a node reads.
    ///
    /// # Errors
    /// Beyond [`MAX_READ`] in total.
    pub fn spend(&mut self, count: usize) -> Result<(), String> {
        self.read = self.read.saturating_add(count);
        if self.read > MAX_READ { Err(format!("the layers of the file have more than {MAX_READ} products")) } else { Ok(()) }
    }

    /// Accounts for `count` elements that are kept.
    ///
    /// # Errors
    /// Beyond [`MAX_ALL_ELEMENTS`] in total.
    pub fn hold(&mut self, count: usize) -> Result<(), String> {
        self.held = self.held.saturating_add(count);
        if self.held > MAX_ALL_ELEMENTS { Err(LARGE.into()) } else { Ok(()) }
    }

    /// Accounts for the table of a window, and for the products of `outputs` at each of its
    /// positions.
    ///
    /// # Errors
    /// A result beyond [`MAX_ELEMENTS`], a table beyond [`MAX_TABLE`], and those of
    /// [`Compiler::spend`].
    pub fn slide(&mut self, window: &Window, outputs: usize) -> Result<(), String> {
        let within =
            |sizes: &[usize], most: usize| sizes.iter().try_fold(1usize, |n, &size| n.checked_mul(size)).filter(|&n| n <= most);
        let ([height, width], positions) = (window.kernel, window.positions());
        within(&[positions, outputs], MAX_ELEMENTS).ok_or(LARGE)?;
        let table = within(&[height, width, window.group_channels(), positions], MAX_TABLE);
        let table = table.ok_or_else(|| format!("more than {MAX_TABLE} elements lie under its window"))?;
        self.spend(table.saturating_mul(outputs))
    }

    /// Registers a new tensor.
    ///
    /// # Errors
    /// An element beyond [`MAX_BITS`], a grid beyond [`MAX_FRAC`], more elements than
    /// [`MAX_ELEMENTS`], and those of [`Compiler::hold`].
    pub fn data(&mut self, shape: Vec<usize>, frac: i32, bounds: Vec<(i128, i128)>) -> Result<Data, String> {
        let bits = bounds.iter().map(|&(lo, hi)| Kif::covering(lo, hi, 0).bits()).max().unwrap_or(0);
        if bits > MAX_BITS {
            return Err(format!("its result needs {bits} bits, the executor has {MAX_BITS}"));
        }
        if frac.abs() > MAX_FRAC {
            return Err(format!("its grid is 2^{}, beyond 2^±{MAX_FRAC}", -frac));
        }
        if bounds.len() > MAX_ELEMENTS {
            return Err(LARGE.into());
        }
        self.hold(bounds.len())?;
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

    /// Counts the inputs of a node as read; what nothing after it reads is forgotten: the bounds of
    /// all tensors of an image net at a time would not fit the memory.
    fn release(&mut self, node: &NodeProto, unread: &mut HashMap<&str, usize>) {
        for name in &node.input {
            let Some(left) = unread.get_mut(name.as_str()) else { continue };
            *left -= 1;
            if *left == 0
                && let Some(known) = self.known.get_mut(name)
            {
                known.release();
            }
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
        self.spend(node.input.iter().filter_map(|name| self.known.get(name)).map(Known::len).sum())?;
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
            ("Identity", "" | "ai.onnx") => {
                let same = self.operand(node, 0)?;
                self.hold(same.len())?;
                same
            }
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
    /// A file that is not ONNX model, and every node outside the vocabulary, at once.
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
    let mut broken: HashSet<&str> = HashSet::new();
    let mut unread: HashMap<&str, usize> = HashMap::new();
    graph.node.iter().flat_map(|n| &n.input).for_each(|name| *unread.entry(name).or_default() += 1);
    for node in &graph.node {
        // what only follows from a fault is not reported again
        if node.input.iter().any(|i| broken.contains(i.as_str())) {
            broken.extend(node.output.iter().map(String::as_str));
            continue;
        }
        if let Err(reason) = c.node(node) {
            let name = if node.name().is_empty() { node.output.first().map_or("", String::as_str) } else { node.name() };
            fault(name, node.op_type(), reason);
            broken.extend(node.output.iter().map(String::as_str));
        }
        c.release(node, &mut unread);
    }
    let mut outputs = Vec::new();
    for output in &graph.output {
        match c.known.get(output.name()) {
            Some(Known::Data(d)) => {
                outputs.push(Sink { name: output.name().into(), shape: d.shape.clone(), frac: d.frac, tensor: d.id });
            }
            _ if broken.contains(output.name()) => {}
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

/// A bias after a matrix that nothing else reads becomes the start of its accumulators.
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
            Some(size) if size <= MAX_ELEMENTS => shape.push(size),
            _ => return Err("has a dimension (besides the batch) that is not a positive number".into()),
        }
    }
    if shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d)).is_none_or(|n| n > MAX_ELEMENTS) {
        return Err("is too large".into());
    }
    Ok(shape)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_tensors_together_are_bounded() {
        let mut compiler = Compiler::default();
        compiler.hold(MAX_ALL_ELEMENTS).unwrap();
        assert_eq!(compiler.hold(1), Err(LARGE.to_string()));
        compiler.spend(MAX_READ).unwrap();
        assert!(compiler.spend(1).unwrap_err().contains("products"));
        assert!(compiler.spend(usize::MAX).is_err(), "no overflow");
    }
}
