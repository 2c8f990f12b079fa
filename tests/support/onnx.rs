//! A builder of small ONNX files.

use hgq_onnx::data::Rng;
use hgq_onnx::onnx::Tensor;
use hgq_onnx::onnx::proto::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorShapeProto, TypeProto, ValueInfoProto,
    attribute_proto::AttributeType, tensor_shape_proto, type_proto,
};

/// A model under construction: a chain from `x` on.
pub struct Net {
    pub graph: GraphProto,
    opset: i64,
    pub rng: Rng,
    pub last: String,
}

pub fn info(name: &str, dims: &[i64]) -> ValueInfoProto {
    let dim = |&size: &i64| tensor_shape_proto::Dimension {
        value: Some(tensor_shape_proto::dimension::Value::DimValue(size)),
        denotation: None,
    };
    let shape = Some(TensorShapeProto { dim: dims.iter().map(dim).collect() });
    let value = Some(type_proto::Value::TensorType(type_proto::Tensor { elem_type: Some(1), shape }));
    ValueInfoProto { name: Some(name.into()), r#type: Some(TypeProto { value, ..Default::default() }), ..Default::default() }
}

pub fn scalar(value: f32) -> Tensor {
    Tensor::f32(vec![], vec![value])
}

/// A node attribute.
pub enum Attr<'a> {
    I(i64),
    F(f32),
    S(&'a str),
    Is(&'a [i64]),
    T(Tensor),
}

/// Integers, as sizes and axes are.
pub fn is(v: &[i64]) -> Attr<'_> {
    Attr::Is(v)
}

impl Net {
    pub fn new(opset: i64, input: &[i64]) -> Self {
        let graph = GraphProto { name: Some("net".into()), input: vec![info("x", input)], ..Default::default() };
        Net { graph, opset, rng: Rng::new(11), last: "x".into() }
    }

    pub fn constant(&mut self, name: &str, tensor: Tensor) -> &mut Self {
        self.graph.initializer.push(tensor.to_proto(name));
        self
    }

    pub fn random(&mut self, name: &str, shape: &[usize]) -> &mut Self {
        let values = (0..shape.iter().product()).map(|_| (2.0 * self.rng.unit() - 1.0) as f32).collect();
        self.constant(name, Tensor::f32(shape.to_vec(), values))
    }

    /// A node; `@` among the inputs stands for the chain so far.
    pub fn node(&mut self, op: &str, inputs: &[&str], output: &str, attributes: &[(&str, Attr<'_>)]) -> &mut Self {
        let attribute = |(name, value): &(&str, Attr<'_>)| {
            let mut a = AttributeProto { name: Some(name.to_string()), ..Default::default() };
            let kind = match value {
                Attr::I(v) => {
                    a.i = Some(*v);
                    AttributeType::Int
                }
                Attr::F(v) => {
                    a.f = Some(*v);
                    AttributeType::Float
                }
                Attr::S(v) => {
                    a.s = Some(v.as_bytes().to_vec());
                    AttributeType::String
                }
                Attr::Is(v) => {
                    a.ints = v.to_vec();
                    AttributeType::Ints
                }
                Attr::T(v) => {
                    a.t = Some(v.to_proto(""));
                    AttributeType::Tensor
                }
            };
            a.r#type = Some(kind as i32);
            a
        };
        let domain = matches!(op, "Quant" | "IntQuant" | "BipolarQuant" | "Trunc" | "Secret")
            .then(|| "qonnx.custom_op.general".to_string());
        self.graph.node.push(NodeProto {
            op_type: Some(op.into()),
            domain,
            input: inputs.iter().map(|i| if *i == "@" { self.last.clone() } else { i.to_string() }).collect(),
            output: vec![output.into()],
            attribute: attributes.iter().map(attribute).collect(),
            ..Default::default()
        });
        self.last = output.into();
        self
    }

    pub fn dense(&mut self, name: &str, inputs: usize, outputs: usize) -> &mut Self {
        let (weight, bias) = (format!("{name}_w"), format!("{name}_b"));
        self.random(&weight, &[inputs, outputs]).random(&bias, &[outputs]);
        self.node("Gemm", &["@", &weight, &bias], name, &[])
    }

    pub fn quant(
        &mut self,
        input: &str,
        output: &str,
        scale: Tensor,
        bits: Tensor,
        attributes: &[(&str, Attr<'_>)],
    ) -> &mut Self {
        let names = ["s", "z", "b"].map(|p| format!("{output}_{p}"));
        self.constant(&names[0], scale).constant(&names[1], Tensor::f32(vec![], vec![0.0])).constant(&names[2], bits);
        self.node("Quant", &[input, &names[0], &names[1], &names[2]], output, attributes)
    }

    pub fn model(&self) -> ModelProto {
        let mut graph = self.graph.clone();
        graph.output = vec![ValueInfoProto { name: Some(self.last.clone()), ..info(&self.last, &[]) }];
        graph.output[0].r#type = None;
        let domains = [("", self.opset), ("qonnx.custom_op.general", 1)];
        let opset = |(domain, version): (&str, i64)| OperatorSetIdProto { domain: Some(domain.into()), version: Some(version) };
        ModelProto { ir_version: Some(8), opset_import: domains.map(opset).to_vec(), graph: Some(graph), ..Default::default() }
    }
}
