//! Nodes in place of another one.

use crate::diagnostic::{Code, Diagnostic};
use crate::onnx::Tensor;
use crate::onnx::proto::attribute_proto::AttributeType;
use crate::onnx::proto::{AttributeProto, NodeProto};

/// The nodes of one expansion, named after the node that they replace.
pub struct Nodes {
    name: String,
    pub written: Vec<NodeProto>,
    pub notes: Vec<Diagnostic>,
}

impl Nodes {
    pub fn new(name: &str) -> Nodes {
        Nodes { name: name.to_string(), written: vec![], notes: vec![] }
    }

    /// A node of the standard domain on the way; the name of its result.
    pub fn step(&mut self, op: &str, inputs: &[&str], attributes: Vec<AttributeProto>) -> String {
        let output = format!("{}_{}{}", self.name, op.to_lowercase(), self.written.len());
        self.write(op, inputs, &output, &output, attributes);
        output
    }

    /// The node that computes the output `output`.
    pub fn last(&mut self, op: &str, inputs: &[&str], output: &str, attributes: Vec<AttributeProto>) {
        let name = self.name.clone();
        self.write(op, inputs, output, &name, attributes);
    }

    fn write(&mut self, op: &str, inputs: &[&str], output: &str, name: &str, attribute: Vec<AttributeProto>) {
        self.written.push(NodeProto {
            name: Some(name.to_string()),
            op_type: Some(op.to_string()),
            input: inputs.iter().map(|i| (*i).to_string()).collect(),
            output: vec![output.to_string()],
            attribute,
            ..Default::default()
        });
    }

    /// A constant; its name.
    pub fn constant(&mut self, tensor: &Tensor) -> String {
        let kind = Some(AttributeType::Tensor as i32);
        let value =
            AttributeProto { name: Some("value".into()), t: Some(tensor.to_proto("")), r#type: kind, ..Default::default() };
        self.step("Constant", &[], vec![value])
    }

    /// A number as a constant.
    pub fn number(&mut self, value: f32) -> String {
        self.constant(&Tensor::f32(vec![], vec![value]))
    }

    pub fn note(&mut self, code: Code, message: impl Into<String>) {
        self.notes.push(Diagnostic::at(code, &self.name, message));
    }
}

pub fn float(name: &str, value: f32) -> AttributeProto {
    AttributeProto { name: Some(name.into()), f: Some(value), r#type: Some(AttributeType::Float as i32), ..Default::default() }
}

pub fn int(name: &str, value: i64) -> AttributeProto {
    AttributeProto { name: Some(name.into()), i: Some(value), r#type: Some(AttributeType::Int as i32), ..Default::default() }
}
