//! What a tensor name of the file stands for while the graph is built.

use super::fault::Fault;
use crate::graph::annotation::QuantSpec;
use crate::graph::dag::ValueId;
use crate::onnx::{Tensor, Values};
use std::sync::Arc;

/// A constant, with the annotation of a `Quant` node that was applied to it. The values are those
/// of the file, before the annotation; the annotation is expanded to the tensor.
#[derive(Clone, Debug)]
pub struct Constant {
    /// Name in the file, for messages.
    pub name: Arc<str>,
    pub tensor: Arc<Tensor>,
    pub quant: Option<Arc<QuantSpec>>,
}

/// One entry of a tensor that was computed from shapes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dim {
    /// The batch dimension, whatever its size.
    Batch,
    Known(i64),
}

/// What integers were made of.
#[derive(Clone, Debug)]
pub enum IntegerSource {
    /// A `QuantizeLinear` of a tensor.
    Data(ValueId),
    /// A `QuantizeLinear` of a constant of floats.
    Const(Constant),
    /// Integers of the file.
    Stored(Constant),
}

/// Integers between `QuantizeLinear` and `DequantizeLinear`.
#[derive(Clone, Debug)]
pub struct Integers {
    pub source: IntegerSource,
    /// Of the `QuantizeLinear`, with its zero points and axis; `None` for stored integers.
    pub scale: Option<Constant>,
    pub zero_point: Vec<i64>,
    pub axis: i64,
    /// Smallest and largest integer that is left.
    pub lo: i64,
    pub hi: i64,
}

/// Whether data are above a number, or below it.
#[derive(Clone, Copy, Debug)]
pub struct Test {
    pub value: ValueId,
    pub threshold: f64,
    pub above: bool,
}

/// The meaning of a name.
#[derive(Clone, Debug)]
pub enum Item {
    Const(Constant),
    /// A tensor that depends on the input, its first axis the batch (in a file that has one).
    Data(ValueId),
    /// The same where axis `batch` is the batch.
    Turned {
        value: ValueId,
        batch: usize,
    },
    /// One for each output of a node.
    Several(Vec<Item>),
    /// Integers computed from shapes; `scalar` when of rank 0.
    Dims {
        dims: Vec<Dim>,
        scalar: bool,
    },
    /// See [`Integers`].
    Integers(Integers),
    /// See [`Test`].
    Test(Test),
    /// Class labels decoded from these scores: outside of the circuit.
    Label(ValueId),
    /// Output of a refused node; `constant` when no input of the node depends on the data.
    Refused {
        constant: bool,
    },
}

impl Constant {
    pub fn new(name: &str, tensor: Tensor) -> Self {
        Constant { name: name.into(), tensor: Arc::new(tensor), quant: None }
    }

    pub fn shape(&self) -> &[usize] {
        &self.tensor.shape
    }

    /// The values with the annotation applied.
    pub fn resolved(&self) -> Arc<Tensor> {
        let Some(quant) = &self.quant else { return self.tensor.clone() };
        let values = self.tensor.to_f64().into_iter().enumerate().map(|(e, x)| quant.apply(e, x));
        let values = match self.tensor.values {
            Values::F64(_) => Values::F64(values.collect()),
            _ => Values::F32(values.map(|x| x as f32).collect()),
        };
        Arc::new(Tensor { shape: self.tensor.shape.clone(), values, data_type: self.tensor.data_type })
    }

    /// [`Self::resolved`] as finite f64.
    ///
    /// # Errors
    /// Naming the tensor, where a value is NaN or infinite or the tensor is not of a float type.
    pub fn finite(&self) -> Result<Vec<f64>, Fault> {
        self.check_finite()?;
        Ok(self.resolved().to_f64())
    }

    /// # Errors
    /// Naming the tensor, where a value is NaN or infinite or the tensor is not of a float type.
    pub fn check_finite(&self) -> Result<(), Fault> {
        let name = &self.name;
        if !self.tensor.is_float() {
            return Err(Fault::new(format!("tensor `{name}` is of type {}, not float", self.tensor.data_type.as_str_name())));
        }
        match self.tensor.first_non_finite() {
            Some(index) => Err(Fault::new(format!("tensor `{name}` holds a NaN or infinite value (first at index {index})"))),
            None => Ok(()),
        }
    }

    /// The same constant with element `e` taken from `source[e]`, in `shape`.
    pub fn gather(&self, shape: Vec<usize>, source: &[usize]) -> Constant {
        fn pick<T: Copy>(values: &[T], source: &[usize]) -> Vec<T> {
            source.iter().map(|&s| values[s]).collect()
        }
        let values = match &self.tensor.values {
            Values::F32(v) => Values::F32(pick(v, source)),
            Values::F64(v) => Values::F64(pick(v, source)),
            Values::I64(v) => Values::I64(pick(v, source)),
            Values::U64(v) => Values::U64(pick(v, source)),
            Values::Bool(v) => Values::Bool(pick(v, source)),
        };
        Constant {
            name: self.name.clone(),
            tensor: Arc::new(Tensor { shape, values, data_type: self.tensor.data_type }),
            quant: self.quant.as_ref().map(|q| Arc::new(q.gather(source))),
        }
    }

    /// The same elements in another shape (of the same length).
    pub fn reshaped(&self, shape: Vec<usize>) -> Constant {
        let tensor = Tensor { shape, values: self.tensor.values.clone(), data_type: self.tensor.data_type };
        Constant { name: self.name.clone(), tensor: Arc::new(tensor), quant: self.quant.clone() }
    }
}
