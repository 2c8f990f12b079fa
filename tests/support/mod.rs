//! Shared by the tests: golden `.npz` arrays, comparison with tolerances, small models.
#![allow(dead_code)] // each test binary uses a part

use hgq_onnx::graph::Node;
use hgq_onnx::quant::{BiasBits, Granularity, Groups, Model, QDense, QOp, Quantizer, Range, Rounding};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Arrays of an `.npz` by name, as f64 with shape.
pub struct Arrays(BTreeMap<String, (Vec<usize>, Vec<f64>)>);

pub fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name)
}

/// A file of the shared reference material, `None` (with a note) where that is absent.
pub fn shared(name: &str) -> Option<PathBuf> {
    let root =
        std::env::var_os("HGQ_SHARED").map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared"), PathBuf::from);
    let path = root.join(name);
    if !path.exists() {
        eprintln!("skipped: {name} is not beside the checkout");
        return None;
    }
    Some(path)
}

pub fn json(path: &Path) -> serde_json::Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

impl Arrays {
    pub fn load(path: &Path) -> Arrays {
        let mut archive = npyz::npz::NpzArchive::open(path).unwrap();
        let names: Vec<String> = archive.array_names().map(String::from).collect();
        let mut arrays = BTreeMap::new();
        for name in names {
            let file = archive.by_name(&name).unwrap().unwrap();
            let shape = file.shape().iter().map(|&n| n as usize).collect();
            let dtype = file.dtype().descr();
            let values = if dtype.contains("f4") {
                file.into_vec::<f32>().unwrap().into_iter().map(f64::from).collect()
            } else if dtype.contains("i8") {
                file.into_vec::<i64>().unwrap().into_iter().map(|v| v as f64).collect()
            } else if dtype.contains("i1") {
                file.into_vec::<i8>().unwrap().into_iter().map(f64::from).collect()
            } else if dtype.contains("u1") {
                file.into_vec::<u8>().unwrap().into_iter().map(f64::from).collect()
            } else if dtype.contains("f8") {
                file.into_vec::<f64>().unwrap()
            } else if dtype.contains("i4") {
                file.into_vec::<i32>().unwrap().into_iter().map(f64::from).collect()
            } else {
                continue; // strings, bools: not needed
            };
            arrays.insert(name, (shape, values));
        }
        Arrays(arrays)
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    pub fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    pub fn get(&self, name: &str) -> &[f64] {
        &self.0.get(name).unwrap_or_else(|| panic!("no array {name}")).1
    }

    pub fn shape(&self, name: &str) -> &[usize] {
        &self.0.get(name).unwrap_or_else(|| panic!("no array {name}")).0
    }

    pub fn f32(&self, name: &str) -> Vec<f32> {
        self.get(name).iter().map(|&v| v as f32).collect()
    }

    pub fn u32(&self, name: &str) -> Vec<u32> {
        self.get(name).iter().map(|&v| v as u32).collect()
    }
}

/// `|got − want| ≤ tol` everywhere.
#[track_caller]
pub fn close(what: &str, got: &[f32], want: &[f64], tol: f64) {
    assert_eq!(got.len(), want.len(), "{what}: lengths");
    for (n, (&g, &w)) in got.iter().zip(want).enumerate() {
        assert!((f64::from(g) - w).abs() <= tol || f64::from(g) == w, "{what}[{n}]: {g} instead of {w}, tolerance {tol}");
    }
}

/// Groups of an f tensor of `f_shape` on a tensor of `shape` (both without a leading batch axis of size 1).
pub fn groups(f_count: usize, shape: &[usize]) -> Groups {
    let elements: usize = shape.iter().product();
    let channels = shape.last().copied().unwrap_or(1);
    let granularity = match f_count {
        n if n == elements => Granularity::Element,
        1 => Granularity::Tensor,
        n if n == channels => Granularity::Channel,
        n => panic!("{n} widths for shape {shape:?}"),
    };
    Groups::new(granularity, shape)
}

/// A chain of operations on vectors.
pub struct Chain(pub Model);

impl Chain {
    pub fn new(inputs: usize) -> Chain {
        let mut model = Model { name: "test".into(), values: vec![], nodes: vec![], inputs: vec![], outputs: vec![] };
        let x = model.add_value("x", vec![inputs]);
        model.inputs.push(x);
        model.outputs.push(x);
        Chain(model)
    }

    pub fn len(&self) -> usize {
        self.0.len_of(self.0.outputs[0])
    }

    /// Appends `op`, whose output has `outputs` elements.
    pub fn push(&mut self, name: &str, op: QOp, outputs: usize) -> &mut Chain {
        let y = self.0.add_value(format!("{name}_out"), vec![outputs]);
        self.0.nodes.push(Node { name: name.into(), op, inputs: vec![self.0.outputs[0]], output: y });
        self.0.outputs[0] = y;
        self
    }

    pub fn op(&mut self, name: &str, op: QOp) -> &mut Chain {
        let n = self.len();
        self.push(name, op, n)
    }

    pub fn traced(&mut self, name: &str, f: &[f32], rounding: Rounding) -> &mut Chain {
        let groups = groups(f.len(), &[self.len()]);
        self.op(name, QOp::Quantizer(quantizer(groups, f, Range::Traced, rounding)))
    }

    pub fn dense(&mut self, name: &str, weight: Vec<f32>, bias: Vec<f32>, weight_f: Vec<f32>) -> &mut Chain {
        let (inputs, outputs) = (self.len(), bias.len());
        let weight_groups = groups(weight_f.len(), &[inputs, outputs]);
        let dense = QDense {
            inputs,
            outputs,
            weight,
            weight_groups,
            weight_f,
            bias,
            bias_bits: BiasBits::Activation,
            declared: None,
            window: None,
            ebops_scale: 1.0,
            trainable: true,
        };
        self.push(name, QOp::Dense(dense), outputs)
    }
}

pub fn quantizer(groups: Groups, f: &[f32], range: Range, rounding: Rounding) -> Quantizer {
    Quantizer { groups, f: f.to_vec(), range, rounding, max_f: 23.0, trainable: true, annotated: false }
}
