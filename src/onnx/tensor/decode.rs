//! The values of a `TensorProto`: little-endian `raw_data`, or the typed field that `onnx.proto`
//! assigns to the type.

use half::{bf16, f16};

use super::Values;
use crate::onnx::{
    error::OnnxError,
    proto::{TensorProto, tensor_proto::DataType},
};

/// Reads `len` values of type `data_type`.
pub fn values(name: &str, proto: &TensorProto, data_type: DataType, len: usize) -> Result<Values, OnnxError> {
    let raw = proto.raw_data.as_deref().filter(|raw| !raw.is_empty() || len == 0);
    let values = match raw {
        Some(raw) => from_raw(name, raw, data_type, len)?,
        None => from_fields(proto, data_type).ok_or_else(|| unsupported(name, data_type))?,
    };
    if values.len() != len {
        let found = values.len();
        return Err(OnnxError::tensor(name, format!("{found} values stored, but the shape {:?} needs {len}", proto.dims)));
    }
    Ok(values)
}

fn from_raw(name: &str, raw: &[u8], data_type: DataType, len: usize) -> Result<Values, OnnxError> {
    let width = match data_type {
        DataType::Int8 | DataType::Uint8 | DataType::Bool => 1,
        DataType::Int16 | DataType::Uint16 | DataType::Float16 | DataType::Bfloat16 => 2,
        DataType::Int32 | DataType::Uint32 | DataType::Float => 4,
        DataType::Int64 | DataType::Uint64 | DataType::Double => 8,
        _ => return Err(unsupported(name, data_type)),
    };
    if raw.len() != len * width {
        return Err(OnnxError::tensor(name, format!("raw_data has {} bytes, but the shape needs {}", raw.len(), len * width)));
    }
    Ok(match data_type {
        DataType::Float => Values::F32(each(raw, f32::from_le_bytes)),
        DataType::Float16 => Values::F32(each(raw, |b| f16::from_le_bytes(b).to_f32())),
        DataType::Bfloat16 => Values::F32(each(raw, |b| bf16::from_le_bytes(b).to_f32())),
        DataType::Double => Values::F64(each(raw, f64::from_le_bytes)),
        DataType::Int8 => Values::I64(each(raw, |b| i8::from_le_bytes(b).into())),
        DataType::Int16 => Values::I64(each(raw, |b| i16::from_le_bytes(b).into())),
        DataType::Int32 => Values::I64(each(raw, |b| i32::from_le_bytes(b).into())),
        DataType::Int64 => Values::I64(each(raw, i64::from_le_bytes)),
        DataType::Uint8 => Values::I64(each(raw, |b| u8::from_le_bytes(b).into())),
        DataType::Uint16 => Values::I64(each(raw, |b| u16::from_le_bytes(b).into())),
        DataType::Uint32 => Values::I64(each(raw, |b| u32::from_le_bytes(b).into())),
        DataType::Uint64 => Values::U64(each(raw, u64::from_le_bytes)),
        _ => Values::Bool(raw.iter().map(|&b| b != 0).collect()),
    })
}

fn each<const N: usize, T>(raw: &[u8], convert: impl Fn([u8; N]) -> T) -> Vec<T> {
    raw.as_chunks::<N>().0.iter().map(|&bytes| convert(bytes)).collect()
}

/// `None` for a type without a field here.
fn from_fields(proto: &TensorProto, data_type: DataType) -> Option<Values> {
    // 16-bit floats are stored as bit patterns in int32_data
    let bits = || proto.int32_data.iter().map(|&bits| bits as u16);
    Some(match data_type {
        DataType::Float => Values::F32(proto.float_data.clone()),
        DataType::Double => Values::F64(proto.double_data.clone()),
        DataType::Float16 => Values::F32(bits().map(|b| f16::from_bits(b).to_f32()).collect()),
        DataType::Bfloat16 => Values::F32(bits().map(|b| bf16::from_bits(b).to_f32()).collect()),
        DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Uint8 | DataType::Uint16 => {
            Values::I64(proto.int32_data.iter().map(|&x| x.into()).collect())
        }
        DataType::Int64 => Values::I64(proto.int64_data.clone()),
        DataType::Uint32 => Values::I64(proto.uint64_data.iter().map(|&x| x as i64).collect()),
        DataType::Uint64 => Values::U64(proto.uint64_data.clone()),
        DataType::Bool => Values::Bool(proto.int32_data.iter().map(|&x| x != 0).collect()),
        _ => return None,
    })
}

fn unsupported(name: &str, data_type: DataType) -> OnnxError {
    OnnxError::tensor(name, format!("element type {} is not supported", data_type.as_str_name()))
}
