//! Writes ONNX nodes as stock hls4ml reads them: private initializers, a `value_info` for every
//! tensor, node name = name of its output (until [`super::tensor_names`]), batch 1, opset 13
//! (docs/hls4ml-contract.md#a-graph, and #b-input there).

use crate::onnx::proto::attribute_proto::AttributeType;
use crate::onnx::proto::tensor_proto::DataType;
use crate::onnx::proto::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto, TensorShapeProto, TypeProto,
    ValueInfoProto, tensor_shape_proto, type_proto,
};
use crate::onnx::{CHANNELS_LAST, info};
use crate::proxy::name::Namer;
use crate::quant::Kif;
use std::collections::HashMap;

/// Domain of `Quant`.
pub const QUANT_DOMAIN: &str = "qonnx.custom_op.general";
const OPSET: i64 = 13;
const IR_VERSION: i64 = 8;

/// A scalar `Quant`: `bits` wide on the grid `2^-frac`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuantType {
    pub signed: bool,
    pub narrow: bool,
    pub bits: u32,
    pub frac: i32,
    /// Nearest, ties to even; otherwise floor.
    pub round: bool,
}

/// A graph being written.
#[derive(Debug, Default)]
pub struct Builder {
    nodes: Vec<NodeProto>,
    initializers: Vec<TensorProto>,
    value_info: Vec<ValueInfoProto>,
    /// Of what each `Quant` writes.
    formats: HashMap<String, Kif>,
    names: Namer,
}

impl Builder {
    /// A name nobody has yet.
    pub fn name(&mut self, stem: &str) -> String {
        self.names.unique(stem)
    }

    /// A float32 initializer of its own.
    pub fn constant(&mut self, stem: &str, values: impl Iterator<Item = f64>, shape: &[usize]) -> String {
        let name = self.names.unique(stem);
        let raw: Vec<u8> = values.flat_map(|v| (v as f32).to_le_bytes()).collect();
        self.initializer(&name, DataType::Float, raw, shape);
        name
    }

    fn initializer(&mut self, name: &str, kind: DataType, raw: Vec<u8>, shape: &[usize]) {
        self.initializers.push(TensorProto {
            name: Some(name.to_string()),
            dims: shape.iter().map(|&d| d as i64).collect(),
            data_type: Some(kind as i32),
            raw_data: Some(raw.into()),
            ..Default::default()
        });
        self.value_info.push(value_info(name, kind, shape));
    }

    /// A node whose one output is called `out` (from [`Builder::name`]) and has `shape`, batch
    /// included.
    pub fn node(
        &mut self,
        op: &str,
        inputs: Vec<String>,
        out: String,
        shape: &[usize],
        attributes: Vec<AttributeProto>,
    ) -> String {
        self.nodes.push(NodeProto {
            input: inputs,
            output: vec![out.clone()],
            name: Some(out.clone()),
            op_type: Some(op.to_string()),
            domain: match op {
                "Quant" => Some(QUANT_DOMAIN.to_string()),
                "Conv" | "MaxPool" => Some(CHANNELS_LAST.to_string()),
                _ => None,
            },
            attribute: attributes,
            ..Default::default()
        });
        self.value_info.push(value_info(&out, DataType::Float, shape));
        out
    }

    /// `Quant` with its three private scalars.
    pub fn quant(&mut self, input: String, out: String, shape: &[usize], q: QuantType) -> String {
        let scale = self.constant(&format!("{out}_scale"), std::iter::once(2f64.powi(-q.frac)), &[]);
        let zero = self.constant(&format!("{out}_zero"), std::iter::once(0.0), &[]);
        let bits = self.constant(&format!("{out}_bits"), std::iter::once(f64::from(q.bits)), &[]);
        let attributes = vec![
            int("signed", q.signed.into()),
            int("narrow", q.narrow.into()),
            text("rounding_mode", if q.round { "ROUND" } else { "FLOOR" }),
        ];
        let format = Kif::new(q.signed, q.bits as i32 - i32::from(q.signed) - q.frac, q.frac);
        self.formats.insert(out.clone(), format);
        self.node("Quant", vec![input, scale, zero, bits], out, shape, attributes)
    }

    /// Another shape for the same elements; `shape` includes the batch.
    pub fn reshape(&mut self, input: String, out: String, shape: &[usize]) -> String {
        let name = self.integers(&format!("{out}_shape"), shape);
        self.node("Reshape", vec![input, name], out, shape, Vec::new())
    }

    /// An int64 initializer of its own.
    pub fn integers(&mut self, stem: &str, values: &[usize]) -> String {
        let name = self.names.unique(stem);
        let raw = values.iter().flat_map(|&d| (d as i64).to_le_bytes()).collect();
        self.initializer(&name, DataType::Int64, raw, &[values.len()]);
        name
    }

    /// The nodes so far, which are no longer in the graph.
    pub fn take_nodes(&mut self) -> Vec<NodeProto> {
        std::mem::take(&mut self.nodes)
    }

    /// Puts a node back.
    pub fn push(&mut self, node: NodeProto) {
        self.nodes.push(node);
    }

    /// The same `Quant` once more, of `input`, with scalars of its own; it writes what `node`
    /// writes, under the same name.
    pub fn quant_again(&mut self, node: &NodeProto, input: &str) -> NodeProto {
        let mut again = node.clone();
        again.input[0] = input.to_string();
        for parameter in &mut again.input[1..] {
            let Some(mut own) = self.initializers.iter().find(|i| i.name() == parameter).cloned() else { continue };
            let name = self.names.unique(&format!("{input}_{parameter}"));
            self.value_info.extend(self.info_of(parameter).map(|info| ValueInfoProto { name: Some(name.clone()), ..info }));
            own.name = Some(name.clone());
            self.initializers.push(own);
            *parameter = name;
        }
        let written = node.output.first().and_then(|out| self.info_of(out));
        self.value_info.extend(written.map(|info| ValueInfoProto { name: Some(input.to_string()), ..info }));
        again
    }

    fn info_of(&self, tensor: &str) -> Option<ValueInfoProto> {
        self.value_info.iter().find(|v| v.name() == tensor).cloned()
    }

    /// The names of the initializers.
    pub fn constants(&self) -> impl Iterator<Item = &str> {
        self.initializers.iter().map(|i| i.name())
    }

    /// Gives tensors other names, wherever they are written and read; nodes keep theirs.
    pub fn rename(&mut self, names: &HashMap<String, String>) {
        let read = self.nodes.iter_mut().flat_map(|n| n.input.iter_mut().chain(&mut n.output));
        let listed = self.value_info.iter_mut().filter_map(|v| v.name.as_mut());
        for tensor in read.chain(listed) {
            if let Some(name) = names.get(tensor) {
                tensor.clone_from(name);
            }
        }
    }

    /// What a node writes, if it is a `Quant`.
    pub fn format_of(&self, node: &NodeProto) -> Option<Kif> {
        node.output.first().and_then(|out| self.formats.get(out)).copied()
    }

    /// The shape of what a node writes, batch included.
    pub fn shape_of(&self, tensor: &str) -> Vec<usize> {
        let info = self.value_info.iter().find(|v| v.name() == tensor);
        let dims = info.and_then(info::dims).unwrap_or_default();
        dims.iter().map(|d| info::size(d).unwrap_or(1)).collect()
    }

    /// Position of the node that writes `tensor`.
    pub fn position(&self, tensor: &str) -> Option<usize> {
        self.nodes.iter().position(|n| n.output.iter().any(|o| o == tensor))
    }

    /// The finished model. `inputs` and `outputs` are `(name, shape with batch)`.
    pub fn finish(self, name: &str, inputs: &[(String, Vec<usize>)], outputs: &[(String, Vec<usize>)]) -> ModelProto {
        let of = |list: &[(String, Vec<usize>)]| list.iter().map(|(n, s)| value_info(n, DataType::Float, s)).collect();
        let listed = |v: &ValueInfoProto| outputs.iter().any(|(n, _)| Some(n) == v.name.as_ref());
        let graph = GraphProto {
            node: self.nodes,
            name: Some(name.to_string()),
            initializer: self.initializers,
            input: of(inputs),
            output: of(outputs),
            value_info: self.value_info.into_iter().filter(|v| !listed(v)).collect(),
            ..Default::default()
        };
        let opset = |domain: &str, version| OperatorSetIdProto { domain: Some(domain.to_string()), version: Some(version) };
        let mut opset_import = vec![opset("", OPSET), opset(QUANT_DOMAIN, 1)];
        if graph.node.iter().any(|n| n.domain() == CHANNELS_LAST) {
            // qonnx runs the channels-last operators at the version that their domain states
            opset_import.push(opset(CHANNELS_LAST, OPSET));
        }
        ModelProto {
            ir_version: Some(IR_VERSION),
            opset_import,
            producer_name: Some("hgq-onnx".to_string()),
            producer_version: Some(env!("CARGO_PKG_VERSION").to_string()),
            graph: Some(graph),
            ..Default::default()
        }
    }
}

pub fn value_info(name: &str, kind: DataType, shape: &[usize]) -> ValueInfoProto {
    let dim = shape
        .iter()
        .map(|&d| tensor_shape_proto::Dimension {
            value: Some(tensor_shape_proto::dimension::Value::DimValue(d as i64)),
            ..Default::default()
        })
        .collect();
    let tensor = type_proto::Tensor { elem_type: Some(kind as i32), shape: Some(TensorShapeProto { dim }) };
    ValueInfoProto {
        name: Some(name.to_string()),
        r#type: Some(TypeProto { value: Some(type_proto::Value::TensorType(tensor)), ..Default::default() }),
        ..Default::default()
    }
}

/// An integer attribute.
pub fn int(name: &str, value: i64) -> AttributeProto {
    AttributeProto { name: Some(name.to_string()), r#type: Some(AttributeType::Int as i32), i: Some(value), ..Default::default() }
}

/// A list of integers.
pub fn ints(name: &str, values: &[usize]) -> AttributeProto {
    AttributeProto {
        name: Some(name.to_string()),
        r#type: Some(AttributeType::Ints as i32),
        ints: values.iter().map(|&v| v as i64).collect(),
        ..Default::default()
    }
}

/// A float attribute.
pub fn float(name: &str, value: f32) -> AttributeProto {
    AttributeProto {
        name: Some(name.to_string()),
        r#type: Some(AttributeType::Float as i32),
        f: Some(value),
        ..Default::default()
    }
}

/// A text attribute.
pub fn text(name: &str, value: &str) -> AttributeProto {
    AttributeProto {
        name: Some(name.to_string()),
        r#type: Some(AttributeType::String as i32),
        s: Some(value.as_bytes().to_vec()),
        ..Default::default()
    }
}
