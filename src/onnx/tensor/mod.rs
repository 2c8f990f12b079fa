//! Constant tensors: `TensorProto` ↔ shape and values, with every size checked.
//!
//! Stored types are widened to five: `float16`, `bfloat16` and `float` to f32 (exact), integers to
//! i64, `uint64` to u64. [`Tensor::data_type`] remembers what the file said.

use super::error::OnnxError;
use super::limits::{MAX_ELEMENTS, MAX_RANK};
use super::proto::TensorProto;
use super::proto::tensor_proto::{DataLocation, DataType};

mod decode;

/// The values of a tensor in row-major order.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    F32(Vec<f32>),
    F64(Vec<f64>),
    I64(Vec<i64>),
    U64(Vec<u64>),
    Bool(Vec<bool>),
}

/// A constant.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    pub shape: Vec<usize>,
    pub values: Values,
    /// Element type in the file.
    pub data_type: DataType,
}

impl Values {
    pub fn len(&self) -> usize {
        match self {
            Values::F32(v) => v.len(),
            Values::F64(v) => v.len(),
            Values::I64(v) => v.len(),
            Values::U64(v) => v.len(),
            Values::Bool(v) => v.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Tensor {
    pub fn f32(shape: Vec<usize>, values: Vec<f32>) -> Self {
        Tensor { shape, values: Values::F32(values), data_type: DataType::Float }
    }

    pub fn i64(shape: Vec<usize>, values: Vec<i64>) -> Self {
        Tensor { shape, values: Values::I64(values), data_type: DataType::Int64 }
    }

    /// Reads a message.
    ///
    /// # Errors
    /// [`OnnxError::Tensor`] for external data, unsupported element types, negative or absurd
    /// dimensions and for a number of values that is not the product of the dimensions.
    pub fn from_proto(proto: &TensorProto) -> Result<Self, OnnxError> {
        let name = proto.name();
        if proto.data_location() == DataLocation::External || !proto.external_data.is_empty() {
            return Err(OnnxError::tensor(name, "its data is in another file; save the model with embedded weights"));
        }
        if proto.segment.is_some() {
            return Err(OnnxError::tensor(name, "segmented tensors are not supported"));
        }
        let (shape, len) = checked_shape(name, &proto.dims)?;
        let data_type = proto.data_type.and_then(|code| DataType::try_from(code).ok()).unwrap_or(DataType::Undefined);
        let values = decode::values(name, proto, data_type, len)?;
        Ok(Tensor { shape, values, data_type })
    }

    /// As a message with `raw_data`; integers become `INT64`, booleans `BOOL`.
    pub fn to_proto(&self, name: &str) -> TensorProto {
        let (code, raw): (DataType, Vec<u8>) = match &self.values {
            Values::F32(v) => (DataType::Float, v.iter().flat_map(|x| x.to_le_bytes()).collect()),
            Values::F64(v) => (DataType::Double, v.iter().flat_map(|x| x.to_le_bytes()).collect()),
            Values::I64(v) => (DataType::Int64, v.iter().flat_map(|x| x.to_le_bytes()).collect()),
            Values::U64(v) => (DataType::Uint64, v.iter().flat_map(|x| x.to_le_bytes()).collect()),
            Values::Bool(v) => (DataType::Bool, v.iter().map(|&x| u8::from(x)).collect()),
        };
        TensorProto {
            name: Some(name.to_string()),
            dims: self.shape.iter().map(|&d| d as i64).collect(),
            data_type: Some(code as i32),
            raw_data: Some(raw.into()),
            ..Default::default()
        }
    }

    pub fn len(&self) -> usize {
        self.values.len()
    }

    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    pub fn is_float(&self) -> bool {
        matches!(self.values, Values::F32(_) | Values::F64(_))
    }

    pub fn to_f64(&self) -> Vec<f64> {
        match &self.values {
            Values::F32(v) => v.iter().map(|&x| f64::from(x)).collect(),
            Values::F64(v) => v.clone(),
            Values::I64(v) => v.iter().map(|&x| x as f64).collect(),
            Values::U64(v) => v.iter().map(|&x| x as f64).collect(),
            Values::Bool(v) => v.iter().map(|&x| f64::from(u8::from(x))).collect(),
        }
    }

    /// Doubles and wide integers are rounded to the nearest f32.
    pub fn to_f32(&self) -> Vec<f32> {
        match &self.values {
            Values::F32(v) => v.clone(),
            _ => self.to_f64().into_iter().map(|x| x as f32).collect(),
        }
    }

    /// `None` where a value is not an integer that fits.
    pub fn to_i64(&self) -> Option<Vec<i64>> {
        let exact = |x: f64| (x.fract() == 0.0 && x.abs() < 9.0e18).then_some(x as i64);
        match &self.values {
            Values::F32(v) => v.iter().map(|&x| exact(f64::from(x))).collect(),
            Values::F64(v) => v.iter().map(|&x| exact(x)).collect(),
            Values::I64(v) => Some(v.clone()),
            Values::U64(v) => v.iter().map(|&x| i64::try_from(x).ok()).collect(),
            Values::Bool(v) => Some(v.iter().map(|&x| i64::from(x)).collect()),
        }
    }

    /// Index of the first value that is NaN or infinite.
    pub fn first_non_finite(&self) -> Option<usize> {
        match &self.values {
            Values::F32(v) => v.iter().position(|x| !x.is_finite()),
            Values::F64(v) => v.iter().position(|x| !x.is_finite()),
            _ => None,
        }
    }
}

/// Dimensions as `usize` and their product.
fn checked_shape(name: &str, dims: &[i64]) -> Result<(Vec<usize>, usize), OnnxError> {
    if dims.len() > MAX_RANK {
        return Err(OnnxError::tensor(name, format!("{} dimensions, more than the limit of {MAX_RANK}", dims.len())));
    }
    let mut shape = Vec::with_capacity(dims.len());
    let mut product = 1usize;
    for &dim in dims {
        let size = usize::try_from(dim).map_err(|_| OnnxError::tensor(name, format!("dimensions {dims:?} are negative")))?;
        // a zero does not excuse the others: they are factors again once axes are moved
        product = product
            .checked_mul(size.max(1))
            .filter(|&n| n <= MAX_ELEMENTS)
            .ok_or_else(|| OnnxError::tensor(name, format!("dimensions {dims:?} ask for more than {MAX_ELEMENTS} elements")))?;
        shape.push(size);
    }
    let len = if shape.contains(&0) { 0 } else { product };
    Ok((shape, len))
}
