//! The executor on files it did not write: the whole vocabulary, refusals that name every node,
//! inputs outside the port.

use hgq_onnx::onnx::proto::{
    AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, TensorShapeProto, TypeProto, ValueInfoProto,
    attribute_proto::AttributeType, tensor_proto::DataType, tensor_shape_proto, type_proto,
};
use hgq_onnx::verify::fixed::{FixedError, Program};

/// A file under construction: batch symbolic, weights as float_data, no value_info.
#[derive(Default)]
struct File(GraphProto);

impl File {
    fn new(shape: &[i64]) -> File {
        let mut file = File::default();
        file.0.input.push(info("x", shape));
        file
    }

    fn constant(mut self, name: &str, dims: &[i64], values: &[f32]) -> File {
        self.0.initializer.push(TensorProto {
            name: Some(name.into()),
            dims: dims.to_vec(),
            data_type: Some(DataType::Float as i32),
            float_data: values.to_vec(),
            ..Default::default()
        });
        self
    }

    fn node(mut self, op: &str, inputs: &[&str], output: &str, attributes: Vec<AttributeProto>) -> File {
        self.0.node.push(NodeProto {
            op_type: Some(op.into()),
            name: Some(format!("n_{output}")),
            domain: (op == "Quant").then(|| "qonnx.custom_op.general".into()),
            input: inputs.iter().map(|s| s.to_string()).collect(),
            output: vec![output.into()],
            attribute: attributes,
            ..Default::default()
        });
        self
    }

    fn quant(self, input: &str, output: &str, scale: (&[i64], &[f32]), bits: (&[i64], &[f32]), signed: i64, mode: &str) -> File {
        let names = ["s", "z", "b"].map(|p| format!("{p}_{output}"));
        let file =
            self.constant(&names[0], scale.0, scale.1).constant(&names[1], &[], &[0.0]).constant(&names[2], bits.0, bits.1);
        let text = AttributeProto {
            name: Some("rounding_mode".into()),
            r#type: Some(AttributeType::String as i32),
            s: Some(mode.into()),
            ..Default::default()
        };
        file.node("Quant", &[input, &names[0], &names[1], &names[2]], output, vec![int("signed", signed), int("narrow", 0), text])
    }

    /// Its last node slides over positions.
    fn channels_last(mut self) -> File {
        self.0.node.last_mut().unwrap().domain = Some(hgq_onnx::onnx::CHANNELS_LAST.into());
        self
    }

    fn done(mut self, output: &str, shape: &[i64]) -> ModelProto {
        self.0.output.push(info(output, shape));
        ModelProto { graph: Some(self.0), ..Default::default() }
    }
}

fn int(name: &str, v: i64) -> AttributeProto {
    AttributeProto { name: Some(name.into()), r#type: Some(AttributeType::Int as i32), i: Some(v), ..Default::default() }
}

fn ints(name: &str, v: &[i64]) -> AttributeProto {
    AttributeProto { name: Some(name.into()), r#type: Some(AttributeType::Ints as i32), ints: v.to_vec(), ..Default::default() }
}

fn info(name: &str, shape: &[i64]) -> ValueInfoProto {
    use tensor_shape_proto::{Dimension, dimension::Value};
    let batch = Dimension { value: Some(Value::DimParam("N".into())), ..Default::default() };
    let rest = shape.iter().map(|&d| Dimension { value: Some(Value::DimValue(d)), ..Default::default() });
    let shape = TensorShapeProto { dim: std::iter::once(batch).chain(rest).collect() };
    let tensor = type_proto::Tensor { elem_type: Some(1), shape: Some(shape) };
    ValueInfoProto {
        name: Some(name.into()),
        r#type: Some(TypeProto { value: Some(type_proto::Value::TensorType(tensor)), ..Default::default() }),
        ..Default::default()
    }
}

#[test]
fn per_element_quant_saturates_and_rounds() {
    // element 0: signed 4 bits of 1/2; 1: 3 bits of 1/4; 2: 0 bits; 3: 1 bit of 1, two's complement
    let file = File::new(&[4]).quant("x", "y", (&[1, 4], &[0.5, 0.25, 1.0, 1.0]), (&[1, 4], &[4.0, 3.0, 0.0, 1.0]), 1, "ROUND");
    let p = Program::from_model(&file.done("y", &[4])).unwrap();
    let x = [0.25, 0.375, 9.0, -0.75, 0.75, 100.0, -9.0, 5.0, -100.0, -0.125, 0.0, -40.0];
    let out = p.run(&[&x], 3).unwrap();
    // ties to even: 0.25/0.5 = 0.5 → 0, 0.375/0.25 = 1.5 → 2, 0.75/0.5 = 1.5 → 2, −0.125/0.25 → 0
    assert_eq!(out.outputs[0].to_f64(), [0.0, 0.5, 0.0, -1.0, 1.0, 0.75, 0.0, 0.0, -4.0, 0.0, 0.0, -1.0]);
    // 9 and −9 into nothing, 100 → 0.75, 5 → 0, −100 → −4, −40 → −1
    assert_eq!((out.saturations, out.port_overflow), (vec![("n_y".to_string(), 6)], 0));
}

#[test]
fn all_operators() {
    let alpha = AttributeProto {
        name: Some("alpha".into()),
        r#type: Some(AttributeType::Float as i32),
        f: Some(0.25),
        ..Default::default()
    };
    let file = File::new(&[2])
        .quant("x", "q", (&[], &[0.125]), (&[1], &[8.0]), 1, "FLOOR")
        .constant("w", &[2, 2], &[0.5, -1.0, 2.0, 0.25])
        .quant("w", "wq", (&[2], &[0.25, 0.25]), (&[], &[5.0]), 1, "ROUND")
        .node("MatMul", &["q", "wq"], "m", vec![])
        .constant("c", &[1, 2], &[1.0, -0.5])
        .node("Add", &["c", "m"], "a", vec![])
        .node("LeakyRelu", &["a"], "l", vec![alpha])
        .node("Relu", &["a"], "r", vec![])
        .node("Sub", &["c", "r"], "s", vec![])
        .node("Mul", &["l", "r"], "p", vec![])
        .node("Mul", &["s", "c"], "t", vec![])
        .node("Concat", &["p", "t"], "k", vec![int("axis", 1)])
        .node("Sub", &["k", "k2"], "never", vec![]);
    let mut file = file;
    file.0.node.pop();
    let p = Program::from_model(&file.done("k", &[4])).unwrap();
    let out = p.run(&[&[1.0, -2.06, 0.3, 3.0]], 2).unwrap().outputs.remove(0).to_f64();
    let by_hand = |x: [f64; 2]| {
        let q = x.map(|v| (v * 8.0).floor() / 8.0);
        let a = [q[0] * 0.5 + q[1] * 2.0 + 1.0, -q[0] + q[1] * 0.25 - 0.5];
        let l = a.map(|v| if v < 0.0 { v * 0.25 } else { v });
        let r = a.map(|v| v.max(0.0));
        [l[0] * r[0], l[1] * r[1], 1.0 - r[0], (-0.5 - r[1]) * -0.5]
    };
    assert_eq!(out, [by_hand([1.0, -2.06]), by_hand([f64::from(0.3f32), 3.0])].concat());
}

#[test]
fn every_foreign_node_is_named() {
    let file = File::new(&[2])
        .quant("x", "up", (&[], &[0.5]), (&[], &[4.0]), 1, "HALF_UP")
        .quant("x", "odd", (&[], &[0.3]), (&[], &[4.0]), 1, "ROUND")
        .quant("x", "bipolar", (&[], &[1.0]), (&[], &[1.0]), 1, "ROUND")
        .quant("x", "wide", (&[], &[1.0]), (&[], &[70.0]), 1, "ROUND")
        .node("Softmax", &["up"], "soft", vec![])
        .node("Gemm", &["x", "x"], "gemm", vec![])
        .node("Tanh", &["x"], "tanh", vec![])
        .node("Relu", &["nowhere"], "relu", vec![]);
    let Err(FixedError::Graph(faults)) = Program::from_model(&file.done("soft", &[2])) else { panic!("refused") };
    let named: Vec<&str> = faults.iter().map(|f| f.node.as_str()).collect();
    assert_eq!(named, ["n_up", "n_odd", "n_bipolar", "n_wide", "n_gemm", "n_tanh", "n_relu"]);
    let text = FixedError::Graph(faults).to_string();
    assert!(text.contains("Quant `n_up`: rounding mode HALF_UP") && text.contains("Gemm `n_gemm`"), "{text}");
}

#[test]
fn too_many_bits_are_refused_before_running() {
    let file = File::new(&[2]).constant("w", &[2, 1], &[1e20, 1.0]).node("MatMul", &["x", "w"], "m", vec![]);
    assert!(Program::from_model(&file.done("m", &[1])).unwrap_err().to_string().contains("63 bits"));
    let mut file = File::new(&[1]);
    for step in 0..6 {
        let before = if step == 0 { "x".to_string() } else { format!("t{}", step - 1) };
        file = file.node("Mul", &[&before, &before], &format!("t{step}"), vec![]);
    }
    assert!(Program::from_model(&file.done("t5", &[1])).unwrap_err().to_string().contains("n_t0"));
}

/// A few bytes that ask for gigabytes or hours.
#[test]
fn small_files_that_ask_for_too_much_are_refused() {
    let refused = |file: File, what: &str| {
        let error = Program::from_model(&file.done("y", &[1])).unwrap_err().to_string();
        assert!(error.contains(what), "{error}");
    };
    refused(File::new(&[1 << 13, 1 << 12]).node("Identity", &["x"], "y", vec![]), "too large");
    // windows larger than any memory, and a number that no usize holds
    for (kernel, pads) in [(1000, 999), ((1 << 20) - 1, (1 << 20) - 1)] {
        let window = [ints("kernel_shape", &[kernel; 2]), ints("strides", &[1, 1]), ints("pads", &[pads; 4])];
        let pool = File::new(&[4, 4, 1]).node("MaxPool", &["x"], "y", window.to_vec());
        refused(pool.channels_last(), if kernel == 1000 { "under its window" } else { "does not fit" });
    }
    let window = vec![ints("kernel_shape", &[1, 1]), ints("strides", &[1, 1]), ints("pads", &[0; 4]), int("group", 1)];
    let conv = File::new(&[2000, 2000, 1]).constant("w", &[300, 1, 1, 1], &[1.0; 300]);
    refused(
        conv.node("Conv", &["x", "w"], "y", [window, vec![ints("dilations", &[1, 1])]].concat()).channels_last(),
        "too large",
    );
}

/// A value of one bit keeps its bit, and its grid gets finer without end.
#[test]
fn grids_that_no_number_has_are_refused() {
    let file = File::new(&[1]).quant("x", "bit", (&[], &[1.0]), (&[], &[1.0]), 0, "FLOOR");
    let mut file = file.constant("c", &[], &[2f32.powi(-100)]).node("Mul", &["bit", "c"], "t0", vec![]);
    for step in 1..40 {
        let before = format!("t{}", step - 1);
        file = file.node("Mul", &[&before, &before], &format!("t{step}"), vec![]);
    }
    let error = Program::from_model(&file.done("t39", &[1])).unwrap_err().to_string();
    assert!(error.contains("Mul `n_t4`") && error.contains("its grid is 2^-1600"), "{error}");
}

#[test]
fn inputs_outside_the_port_wrap_and_are_counted() {
    let p = Program::from_model(&File::new(&[2]).node("Identity", &["x"], "y", vec![]).done("y", &[2])).unwrap();
    let x: Vec<f32> = (0..200).map(|s| if s == 77 { 32768.5 } else { s as f32 / 3.0 }).collect();
    let out = p.run(&[&x], 100).unwrap();
    assert_eq!((out.port_overflow, out.outputs[0].frac), (1, 16));
    let want = |v: f32| if v > 32768.0 { -32767.5 } else { (f64::from(v) * 65536.0).floor() / 65536.0 };
    assert_eq!(out.outputs[0].to_f64(), x.iter().map(|&v| want(v)).collect::<Vec<_>>());
    assert!(matches!(p.run(&[&[1.0, f32::NAN]], 1), Err(FixedError::NotFinite { sample: 0, element: 1, .. })));
    assert!(matches!(p.run(&[&[1.0]], 1), Err(FixedError::Length { each: 2, .. })));
    assert!(matches!(p.run(&[], 1), Err(FixedError::Inputs { given: 0, wanted: 1 })));
    assert!(p.run(&[&[]], 0).unwrap().outputs[0].ints.is_empty());
}

#[test]
fn damaged_files_are_errors() {
    assert!(Program::from_bytes(b"").is_err());
    assert!(Program::from_bytes(&[0xff; 40]).is_err());
    assert!(Program::from_model(&ModelProto::default()).is_err());
    // shapes that do not fit, operands that are missing
    let file = File::new(&[3])
        .constant("w", &[2, 2], &[1.0; 4])
        .constant("c", &[2], &[1.0; 2])
        .constant("shape", &[2], &[1.0, 7.0])
        .node("MatMul", &["x", "w"], "a", vec![])
        .node("Add", &["x", "c"], "b", vec![])
        .node("Reshape", &["x", "shape"], "d", vec![])
        .node("Quant", &["x"], "e", vec![])
        .node("Concat", &["x", "c"], "f", vec![int("axis", 1)])
        .node("Add", &["x"], "g", vec![])
        .node("Relu", &["x"], "x", vec![]);
    let Err(FixedError::Graph(faults)) = Program::from_model(&file.done("a", &[2])) else { panic!("refused") };
    assert_eq!(faults.len(), 7, "{faults:?}");
}
