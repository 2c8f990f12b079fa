//! Models of every operator, damaged at random: an error that names a node or tensor, or another
//! model; never a panic.

use crate::support::onnx::{Attr, Net, is, scalar};
use hgq_onnx::data::Rng;
use hgq_onnx::graph::{ImportError, eval, import};
use hgq_onnx::onnx::proto::{ModelProto, attribute_proto::AttributeType, tensor_proto::DataType, tensor_shape_proto, type_proto};
use hgq_onnx::onnx::{self, Limits, Tensor};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Damaged models of one run; `HGQ_FUZZ` asks for another number.
const CASES: u64 = 4000;

const EXTREMES: [i64; 18] =
    [i64::MIN, i64::MIN + 1, -(1 << 32), -3, -2, -1, 0, 1, 2, 3, 5, 64, 4097, 1 << 24, (1 << 24) + 1, 1 << 31, 1 << 40, i64::MAX];

/// Small nets of operators that select, reduce, repeat or are computed from constants.
fn selecting_seeds() -> Vec<Net> {
    let mut net = Net::new(13, &[1, 4, 4, 4]);
    for (name, v) in [("s", &[0i64][..]), ("e", &[3]), ("a", &[2]), ("t", &[2]), ("i", &[1, 0, -1]), ("r", &[1, 1, 2, 1])] {
        net.constant(name, Tensor::i64(vec![v.len()], v.to_vec()));
    }
    net.constant("scales", Tensor::f32(vec![4], vec![1.0, 1.0, 2.0, 1.0])).random("w", &[4, 2, 2, 3]);
    net.node("DepthToSpace", &["@"], "d", &[("blocksize", Attr::I(2))]);
    net.node("SpaceToDepth", &["@"], "p", &[("blocksize", Attr::I(2))]);
    net.node("ConvTranspose", &["@", "w"], "c", &[("strides", is(&[2, 1])), ("pads", is(&[0, 1, 0, 1]))]);
    net.node("Slice", &["@", "s", "e", "a", "t"], "l", &[]).node("Gather", &["@", "i"], "g", &[("axis", Attr::I(3))]);
    net.node("Tile", &["@", "r"], "n", &[]).node("Resize", &["@", "", "scales"], "z", &[("mode", Attr::S("nearest"))]);
    net.node("ReduceMax", &["@"], "m", &[("axes", is(&[2])), ("keepdims", Attr::I(0))]).node("Abs", &["@"], "y", &[]);
    let mut recurrent = Net::new(13, &[1, 3, 2]);
    recurrent.random("w", &[1, 8, 2]).random("r", &[1, 8, 2]).random("b", &[1, 16]);
    recurrent.node("Transpose", &["@"], "t", &[("perm", is(&[1, 0, 2]))]);
    recurrent.node("LSTM", &["@", "w", "r", "b"], "l", &[("hidden_size", Attr::I(2))]);
    recurrent.node("Transpose", &["@"], "y", &[("perm", is(&[2, 0, 1, 3]))]);
    let mut constants = Net::new(13, &[1, 4]);
    constants.random("v", &[3, 4]).random("u", &[4, 3]).constant("zero", scalar(0.0)).constant("one", scalar(1.0));
    constants.node("Range", &["zero", "one", "one"], "k", &[]).node("Greater", &["v", "zero"], "g", &[]);
    constants.node("Where", &["g", "v", "k"], "h", &[]).node("ReduceL2", &["h"], "o", &[("axes", is(&[1]))]);
    constants.node("Add", &["@", "one"], "n", &[]);
    constants.node("Trilu", &["h"], "q", &[]).node("Div", &["q", "n"], "f", &[]);
    constants.node("Einsum", &["f", "u"], "p", &[("equation", Attr::S("ik,kj->ij"))]).node("MatMul", &["p", "v"], "w", &[]);
    constants.node("Gemm", &["x", "w"], "y", &[("transB", Attr::I(1))]);
    vec![net, recurrent, constants]
}

/// Small nets with every operator of the import.
fn seeds() -> Vec<Net> {
    let mut nets = Vec::new();
    let mut net = Net::new(13, &[1, 2, 6, 6]);
    net.random("w", &[4, 2, 3, 3])
        .random("b", &[4])
        .random("v", &[4, 2, 2, 2])
        .constant("p", Tensor::i64(vec![8], vec![0, 0, 1, 1, 0, 0, 1, 1]));
    net.node("Pad", &["x", "p"], "pad", &[("mode", Attr::S("constant"))]);
    net.node("Conv", &["@", "w", "b"], "c", &[("pads", is(&[1; 4])), ("strides", is(&[1, 1])), ("kernel_shape", is(&[3, 3]))]);
    net.random("g", &[4]).constant("var", Tensor::f32(vec![4], vec![1.0; 4]));
    net.node("BatchNormalization", &["@", "g", "g", "g", "var"], "n", &[("epsilon", Attr::F(1e-3))]);
    net.quant("@", "q", Tensor::f32(vec![4, 1, 1], vec![0.5, 0.25, 0.125, 1.0]), scalar(5.0), &[("signed", Attr::I(1))]);
    net.node("MaxPool", &["@"], "m", &[("kernel_shape", is(&[2, 2])), ("pads", is(&[1, 0, 0, 1])), ("ceil_mode", Attr::I(0))]);
    net.node("Conv", &["@", "v"], "d", &[("group", Attr::I(2)), ("auto_pad", Attr::S("SAME_LOWER"))]);
    net.node("Clip", &["@"], "cl", &[("min", Attr::F(-1.0)), ("max", Attr::F(2.0))]).node("Add", &["d", "cl"], "res", &[]);
    net.node("Concat", &["res", "d"], "cat", &[("axis", Attr::I(1))]);
    net.node("AveragePool", &["@"], "a", &[("kernel_shape", is(&[2, 1])), ("strides", is(&[2, 1]))]);
    net.node("Flatten", &["@"], "f", &[("axis", Attr::I(1))]).node("Relu", &["@"], "y", &[]);
    nets.push(net);

    let mut net = Net::new(13, &[1, 5, 4, 2]);
    net.random("w", &[3, 2, 2, 2]).node("Transpose", &["x"], "t0", &[("perm", is(&[0, 3, 1, 2]))]);
    net.node("Conv", &["@", "w"], "c", &[]).node("Transpose", &["@"], "t1", &[("perm", is(&[0, 2, 3, 1]))]);
    net.random("m", &[3, 4]).random("mb", &[4]).node("MatMul", &["@", "m"], "mm", &[]).node("Add", &["@", "mb"], "ma", &[]);
    net.constant("s", Tensor::i64(vec![3], vec![0, -1, 4])).node("Reshape", &["@", "s"], "r", &[("allowzero", Attr::I(0))]);
    net.constant("ax", Tensor::i64(vec![1], vec![1])).node("Unsqueeze", &["@", "ax"], "u", &[]).node(
        "Squeeze",
        &["@", "ax"],
        "sq",
        &[],
    );
    net.node("ReduceMean", &["@"], "rm", &[("axes", is(&[1])), ("keepdims", Attr::I(0))]).dense("y", 4, 3);
    nets.push(net);

    let mut net = Net::new(13, &[1, 3, 8]);
    net.random("w", &[3, 1, 3]).node("Conv", &["x", "w"], "c", &[("group", Attr::I(3)), ("dilations", is(&[1]))]);
    net.constant("sl", Tensor::f32(vec![1], vec![0.25])).node("PRelu", &["@", "sl"], "p", &[]);
    net.node("HardSigmoid", &["@"], "h", &[("alpha", Attr::F(0.25))]).node("GlobalMaxPool", &["@"], "g", &[]);
    net.constant("sc", scalar(0.5)).node("BipolarQuant", &["@", "sc"], "b", &[]).node(
        "Shape",
        &["@"],
        "sh",
        &[("start", Attr::I(0))],
    );
    net.constant("i", Tensor::i64(vec![1], vec![0])).node("Gather", &["@", "i"], "n", &[("axis", Attr::I(0))]);
    net.constant("minus", Tensor::i64(vec![1], vec![-1])).node("Concat", &["@", "minus"], "target", &[("axis", Attr::I(0))]);
    net.node("Reshape", &["b", "@"], "r", &[]).random("k", &[4, 3]).node(
        "Gemm",
        &["@", "k"],
        "ge",
        &[("transB", Attr::I(1)), ("alpha", Attr::F(0.5))],
    );
    net.constant("lo", scalar(-1.0)).node("Max", &["@", "lo"], "mx", &[]).node("Softmax", &["@"], "y", &[("axis", Attr::I(-1))]);
    nets.push(net);

    // QCDQ and arithmetic on constants
    let mut net = Net::new(13, &[1, 4]);
    let int8 = |name: &str, dims: &[i64], values: &[i32]| hgq_onnx::onnx::proto::TensorProto {
        name: Some(name.into()),
        data_type: Some(DataType::Int8 as i32),
        dims: dims.to_vec(),
        int32_data: values.to_vec(),
        ..Default::default()
    };
    net.graph.initializer.extend([
        int8("z", &[], &[0]),
        int8("lo", &[], &[-7]),
        int8("hi", &[], &[7]),
        int8("w", &[4, 2], &[1, -2, 3, 4, 5, 6, -7, 0]),
    ]);
    net.constant("s", scalar(0.25)).constant("ws", Tensor::f32(vec![2], vec![0.5, 0.25])).constant("two", scalar(2.0));
    net.graph.initializer.push(int8("wz", &[2], &[0, 0]));
    net.node("QuantizeLinear", &["x", "s", "z"], "q", &[]).node("Clip", &["@", "lo", "hi"], "c", &[]).node(
        "DequantizeLinear",
        &["@", "s", "z"],
        "dq",
        &[],
    );
    net.node("DequantizeLinear", &["w", "ws", "wz"], "wd", &[("axis", Attr::I(1))]).node(
        "Transpose",
        &["wd"],
        "wt",
        &[("perm", is(&[1, 0]))],
    );
    net.node("Pow", &["two", "two"], "four", &[]).node("Mul", &["wt", "four"], "w4", &[]).node("Transpose", &["w4"], "w5", &[]);
    net.node("MatMul", &["dq", "w5"], "m", &[]).node("Div", &["@", "four"], "d", &[]).node(
        "Cast",
        &["@"],
        "ca",
        &[("to", Attr::I(1))],
    );
    net.node("Tanh", &["@"], "y", &[]);
    nets.push(net);
    nets.extend(selecting_seeds());
    nets
}

struct Damage {
    rng: Rng,
}

impl Damage {
    fn below(&mut self, n: usize) -> usize {
        self.rng.below(n.max(1) as u64) as usize
    }

    fn extreme(&mut self) -> i64 {
        EXTREMES[self.below(EXTREMES.len())]
    }

    fn ints(&mut self, list: &mut Vec<i64>) {
        match self.below(6) {
            0 => list.clear(),
            1 => list.push(1),
            2 => drop(list.pop()),
            3 => list.reverse(),
            _ if list.is_empty() => {}
            _ => {
                let at = self.below(list.len());
                list[at] = self.extreme();
            }
        }
    }

    fn float(&mut self) -> f32 {
        [0.0, -1.0, f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX, f32::MIN_POSITIVE, 1e-40, -0.0][self.below(9)]
    }

    /// One change to a model.
    fn apply(&mut self, model: &mut ModelProto) {
        let graph = model.graph.as_mut().unwrap();
        let at = self.below(graph.node.len());
        match self.below(14) {
            0..=4 => {
                let node = &mut graph.node[at];
                if node.attribute.is_empty() {
                    return;
                }
                let which = self.below(node.attribute.len());
                match self.below(8) {
                    0 => drop(node.attribute.remove(which)),
                    1 => node.attribute[which].r#type = Some(self.below(14) as i32),
                    2 => node.attribute[which].r#type = Some(AttributeType::Undefined as i32),
                    _ => {
                        let attribute = &mut node.attribute[which];
                        if !attribute.ints.is_empty() {
                            self.ints(&mut attribute.ints);
                        } else if attribute.i.is_some() {
                            attribute.i = Some(self.extreme());
                        } else if attribute.f.is_some() {
                            attribute.f = Some(self.float());
                        } else {
                            let modes = ["", "SAME_UPPER", "SAME_LOWER", "VALID", "reflect"];
                            attribute.s = Some(modes[self.below(modes.len())].as_bytes().to_vec());
                        }
                    }
                }
            }
            5 => {
                let node = &mut graph.node[at];
                match self.below(5) {
                    0 => drop(node.input.pop()),
                    1 if !node.input.is_empty() => {
                        let which = self.below(node.input.len());
                        node.input[which] = String::new();
                    }
                    2 => node.input.reverse(),
                    3 => node.input.extend(node.input.clone()),
                    _ => node.output.clear(),
                }
            }
            6 => {
                // another tensor as operand
                let names: Vec<String> = graph
                    .node
                    .iter()
                    .flat_map(|n| n.output.clone())
                    .chain(graph.initializer.iter().map(|t| t.name().to_string()))
                    .collect();
                let name = names[self.below(names.len())].clone();
                let node = &mut graph.node[at];
                let which = self.below(node.input.len());
                if let Some(input) = node.input.get_mut(which) {
                    *input = name;
                }
            }
            7 => {
                let other = self.below(graph.node.len());
                graph.node[at].op_type = graph.node[other].op_type.clone();
                graph.node[at].domain = graph.node[other].domain.clone();
            }
            8 => {
                let other = self.below(graph.node.len());
                graph.node.swap(at, other);
            }
            9 | 10 => {
                let which = self.below(graph.initializer.len());
                let tensor = &mut graph.initializer[which];
                match self.below(5) {
                    0 => self.ints(&mut tensor.dims),
                    1 => tensor.dims.reverse(),
                    2 => tensor.data_type = Some(self.below(24) as i32),
                    _ => {
                        // other values of the same type
                        let Ok(mut read) = Tensor::from_proto(tensor) else { return };
                        let which = self.below(read.len());
                        match &mut read.values {
                            onnx::Values::F32(v) if which < v.len() => v[which] = self.float(),
                            onnx::Values::I64(v) if which < v.len() => v[which] = self.extreme(),
                            _ => return,
                        }
                        *tensor = read.to_proto(tensor.name());
                    }
                }
            }
            11 => {
                let Some(type_proto::Value::TensorType(tensor)) = graph.input[0].r#type.as_mut().and_then(|t| t.value.as_mut())
                else {
                    return;
                };
                let dims = &mut tensor.shape.as_mut().unwrap().dim;
                if dims.is_empty() {
                    return;
                }
                let which = self.below(dims.len());
                match self.below(4) {
                    0 => drop(dims.remove(which)),
                    1 => dims.extend(dims.clone()),
                    _ => dims[which].value = Some(tensor_shape_proto::dimension::Value::DimValue(self.extreme())),
                }
            }
            12 => {
                let name = graph.node[at].output.first().cloned();
                graph.output.push(hgq_onnx::onnx::proto::ValueInfoProto { name, ..Default::default() });
            }
            _ => {
                let node = graph.node[at].clone();
                graph.node.insert(at, node);
            }
        }
    }
}

/// Names that a refusal may have: those of nodes, tensors and the graph.
fn known(model: &ModelProto, name: &str) -> bool {
    let graph = model.graph.as_ref().unwrap();
    let nodes = graph.node.iter().flat_map(|n| n.output.iter().map(String::as_str).chain([n.name()]));
    let tensors = graph.initializer.iter().map(|t| t.name()).chain(graph.input.iter().chain(&graph.output).map(|i| i.name()));
    nodes.chain(tensors).chain([graph.name()]).any(|n| n == name)
}

#[test]
fn damaged_models_are_errors_or_other_models() {
    /// Values beyond this are not evaluated.
    const SMALL: usize = 1 << 14;
    let seeds = seeds();
    for net in &seeds {
        import(&net.model()).unwrap_or_else(|e| panic!("{e}"));
    }
    let cases = std::env::var("HGQ_FUZZ").ok().and_then(|v| v.parse().ok()).unwrap_or(CASES);
    let (mut imported, mut evaluated) = (0, 0);
    for case in 0..cases {
        let mut damage = Damage { rng: Rng::new(case) };
        let mut model = seeds[damage.below(seeds.len())].model();
        for _ in 0..1 + damage.below(4) {
            damage.apply(&mut model);
        }
        let result = catch_unwind(AssertUnwindSafe(|| import(&model))).unwrap_or_else(|_| panic!("case {case} panics"));
        match result {
            Ok(found) => {
                imported += 1;
                let graph = &found.graph;
                if graph.values.iter().any(|v| v.len() > SMALL) {
                    continue;
                }
                let inputs: Vec<Vec<f32>> = graph.inputs.iter().map(|&i| vec![0.5; graph.len_of(i)]).collect();
                let inputs: Vec<&[f32]> = inputs.iter().map(|x| &x[..]).collect();
                let run = catch_unwind(AssertUnwindSafe(|| eval::run(graph, &inputs, 1, &graph.outputs)));
                run.unwrap_or_else(|_| panic!("case {case} panics when evaluated"))
                    .unwrap_or_else(|e| panic!("case {case}: {e}"));
                evaluated += 1;
            }
            Err(ImportError::Unsupported { nodes }) => {
                assert!(!nodes.is_empty(), "case {case}");
                for node in &nodes {
                    assert!(known(&model, &node.name), "case {case}: {node:?}");
                    assert!(node.reason.len() < 4000, "case {case}: {node:?}");
                }
            }
            Err(other) => panic!("case {case}: {other}"),
        }
        // what a file of these bytes says
        let _ = onnx::decode(&onnx::encode(&model), &Limits::default());
    }
    assert!(imported * 10 > cases && evaluated * 12 > cases, "{imported} imported, {evaluated} evaluated of {cases}");
}
