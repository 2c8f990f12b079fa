//! The importer against reference outputs: what the graph computes is what the file computes.

use crate::support::eval::evaluate;
use crate::support::loops;
use crate::support::onnx::Net;
use crate::support::reference::shared;
use std::path::{Path, PathBuf};

use hgq_onnx::{
    data::{Arrays, DataLimits, Rng, Values},
    diagnostic::Code,
    graph::{self, Graph, ImportError, Imported, Op, eval},
    onnx::{self, Limits, OnnxError, Tensor, proto::ModelProto},
    verify::tract,
};

const TOLERANCE: f64 = 1e-5;

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/import")
}

fn load(path: &Path) -> ModelProto {
    onnx::decode(&std::fs::read(path).unwrap(), &Limits::default()).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn imported(path: &Path) -> Imported {
    graph::import(&load(path)).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn import(path: &Path) -> Graph {
    imported(path).graph
}

/// Operators and names, sorted.
fn sorted<'a>(nodes: impl IntoIterator<Item = (&'a str, &'a str)>) -> Vec<(String, String)> {
    let mut nodes: Vec<(String, String)> = nodes.into_iter().map(|(op, name)| (op.into(), name.into())).collect();
    nodes.sort();
    nodes
}

fn refused(path: &Path) -> Vec<(String, String)> {
    match graph::import(&load(path)) {
        Err(ImportError::Unsupported { nodes }) => nodes.into_iter().map(|n| (n.op, n.name)).collect(),
        Err(other) => panic!("{}: {other}", path.display()),
        Ok(_) => panic!("{} was imported", path.display()),
    }
}

fn floats(arrays: &Arrays, name: &str) -> Vec<f32> {
    match &arrays.get(name).unwrap().unwrap().values {
        Values::F32(v) => v.clone(),
        other => panic!("{other:?}"),
    }
}

/// Largest difference between the graph's first output and the reference beside the file.
fn difference(path: &Path) -> f64 {
    let arrays = Arrays::open(path.with_extension("io.npz"), &DataLimits::default()).unwrap();
    let (x, y) = (floats(&arrays, "x"), floats(&arrays, "y"));
    let samples = arrays.get("x").unwrap().unwrap().shape[0];
    let found = evaluate(&imported(path), &[&x], samples).remove(0);
    assert_eq!(found.len(), y.len());
    found.iter().zip(&y).map(|(a, &b)| (a - f64::from(b)).abs()).fold(0.0, f64::max)
}

fn onnx_files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    files.retain(|p| p.extension().is_some_and(|e| e == "onnx"));
    files.sort();
    files
}

#[test]
fn fixtures_compute_their_reference() {
    for file in onnx_files(&fixtures()).iter().filter(|f| f.with_extension("io.npz").exists()) {
        let difference = difference(file);
        assert!(difference < TOLERANCE, "{}: {difference}", file.display());
    }
}

#[test]
#[ignore = "needs ../shared"]
fn shared_models_compute_their_reference() {
    let Some(shared) = shared("") else { return };
    let brevitas = ["bn_w4a6_fixedpoint", "w4a6_dynbatch", "w4a6_fixedpoint", "w4a6_int32bias", "w6pc_a4_float"];
    let torch = ["bn_float", "bn_float_trainmode_unfused", "float_dynbatch_op16", "float_op13", "float_op9", "leakyrelu_float"];
    let torch = torch.into_iter().chain(["softmax_float", "tanh_float"]);
    let mut files: Vec<PathBuf> = Vec::new();
    files.extend(brevitas.map(|f| shared.join(format!("models/brevitas/jet_mlp_{f}_qonnx.onnx"))));
    files.extend(torch.map(|f| shared.join(format!("models/torch/jet_mlp_{f}.onnx"))));
    files.push(shared.join("models/torch/autoencoder_float.onnx"));
    let spatial = ["brevitas/conv_bn_w4a6_fixedpoint_qonnx", "brevitas/res_conv_w4a6_fixedpoint_qonnx"].into_iter();
    let spatial = spatial.chain(["torch/conv_float_viewflatten", "torch/conv_float_viewflatten_dynbatch"]);
    let joined = ["brevitas/res_mlp_w4a6_fixedpoint_qonnx", "brevitas/jet_mlp_binary_w1_qonnx", "torch/res_concat_float"];
    files.extend(spatial.chain(joined).map(|f| shared.join(format!("models/{f}.onnx"))));
    for file in files {
        let difference = difference(&file);
        eprintln!("{}: {difference:e}", file.display());
        assert!(difference < TOLERANCE, "{}: {difference}", file.display());
    }
}

/// Files that must be imported, those that must not with the nodes that must be named.
#[test]
#[ignore = "needs ../shared"]
fn every_shared_model_is_imported_or_refused_by_name() {
    let Some(shared) = shared("") else { return };
    let models = shared.join("models");
    let imported = [
        "float/digits_mlp_64-32-32-10",
        "float/digits_mlp_bn",
        "jet_float/jsc_openml_mlp_16-64-32-32-5_float",
        "hgq_qonnx/jsc_cernbox_ebops6773",
        "hgq_qonnx/jsc_openml_ebops530",
        "torch/res_concat_float",
        "brevitas/jet_mlp_w4a6_fixedpoint_qcdq",
        "brevitas/jet_mlp_w4a6_int32bias_qcdq",
        "brevitas/jet_mlp_w6pc_a4_float_qcdq",
        "zoo/TFC_1W1A",
        "zoo/TFC_1W2A",
        "zoo/TFC_2W2A",
        "zoo/kwsmlp_w3a3",
        "zoo/qkeras_jettagging",
        "misc/skl2onnx_mlp_jet",
        "example-models/dense_big_keras",
        "example-models/bnn_model_fc_1layer",
        "example-models/conv1d_small_keras",
        "example-models/conv2d_small_keras",
        "example-models/three_layer_keras",
        "example-models/three_layer_pytorch",
        "example-models/two_layer_keras",
        "example-models/two_layer_pytorch",
        "example-models/conv2d_small_mp_keras",
        "torch/jet_mlp_gelu_float",
    ];
    for name in imported {
        import(&models.join(format!("{name}.onnx")));
    }
    let refusals: [(&str, &[(&str, &str)]); 1] =
        [("torch/jet_mlp_layernorm_float_op17", &[("Sqrt", "/1/Sqrt"), ("Div", "/1/Div")])];
    for (name, expected) in refusals {
        let found = refused(&models.join(format!("{name}.onnx")));
        let found = sorted(found.iter().map(|(op, name)| (&op[..], &name[..])));
        assert_eq!(found, sorted(expected.iter().copied()), "{name}");
    }
}

#[test]
fn all_unsupported_nodes_are_listed() {
    let mut net = Net::new(13, &[1, 4]);
    net.node("Exp", &["@"], "e", &[]).node("Log", &["x"], "l", &[]).node("Sqrt", &["x"], "s", &[]);
    net.node("Sum", &["e", "l", "s"], "y", &[]);
    let names: Vec<String> = loops::refusals(&net).into_iter().map(|r| r.name).collect();
    assert_eq!(names, ["e", "l", "s"]);
}

#[test]
fn annotations_stay_on_the_raw_weights() {
    let graph = import(&fixtures().join("jet_mlp_w4a6_int32bias_qonnx.onnx"));
    let Some(Op::Dense(dense)) = graph.nodes.iter().map(|n| &n.op).find(|op| matches!(op, Op::Dense(_))) else { panic!() };
    let (weight, bias) = (dense.weight_quant.as_ref().unwrap(), dense.bias_quant.as_ref().unwrap());
    assert_eq!((dense.inputs, dense.outputs), (16, 64));
    assert_eq!((weight.bits.len(), weight.bits[0], weight.signed, weight.narrow), (16 * 64, 4.0, true, true));
    assert_eq!((bias.bits.len(), bias.bits[0]), (64, 32.0));
    assert!(!weight.bits_per_element);
    // the file stores [outputs][inputs]
    let file = load(&fixtures().join("jet_mlp_w4a6_int32bias_qonnx.onnx")).graph.unwrap();
    let stored = Tensor::from_proto(file.initializer.iter().find(|t| t.dims == [64, 16]).unwrap()).unwrap().to_f32();
    assert!((0..16).all(|i| (0..64).all(|o| dense.weight[i * 64 + o] == stored[o * 16 + i])));
}

#[test]
#[ignore = "needs ../shared"]
fn per_element_widths_are_expanded() {
    let Some(shared) = shared("") else { return };
    let graph = import(&shared.join("models/hgq_qonnx/jsc_openml_ebops530.onnx"));
    let Op::Quant(input) = &graph.nodes[0].op else { panic!() };
    assert!(input.bits_per_element && input.bits.len() == 16);
    assert!(input.bits.iter().any(|&b| b != input.bits[0]));
}

/// The models of some folders of the reference material.
fn shared_files(folders: &[&str]) -> Vec<PathBuf> {
    let Some(models) = shared("models") else { return Vec::new() };
    folders.iter().flat_map(|folder| onnx_files(&models.join(folder))).collect()
}

#[test]
fn tract_agrees_with_the_interpreter() {
    assert!(agrees_with_tract(onnx_files(&fixtures())) >= 4);
}

#[test]
#[ignore = "needs ../shared"]
fn tract_agrees_with_the_interpreter_on_shared_models() {
    agrees_with_tract(shared_files(&["float", "jet_float", "hgq_qonnx", "brevitas", "torch", "zoo", "misc", "example-models"]));
}

/// Compares what can be imported; how many files that are.
fn agrees_with_tract(files: Vec<PathBuf>) -> usize {
    let mut compared = 0;
    for file in files {
        let bytes = std::fs::read(&file).unwrap();
        let Ok(imported) = graph::import(&onnx::decode(&bytes, &Limits::default()).unwrap()) else { continue };
        if imported.notes.iter().any(|n| n.code == Code::Approximated) {
            continue;
        }
        let graph = &imported.graph;
        // fewer of large images
        let largest = graph.values.iter().map(|v| v.len()).max().unwrap_or(1);
        let samples = ((1 << 21) / largest).clamp(1, 70);
        let mut rng = Rng::new(1);
        let mut random = |&input: &usize| -> Vec<f32> {
            (0..samples * graph.len_of(input)).map(|_| (4.0 * rng.unit() - 2.0) as f32).collect()
        };
        let inputs: Vec<Vec<f32>> = graph.inputs.iter().map(&mut random).collect();
        let inputs: Vec<&[f32]> = inputs.iter().map(|x| &x[..]).collect();
        let ours = evaluate(&imported, &inputs, samples);
        // by name: scikit-learn's label output is left out on our side
        let names: Vec<&str> = graph.outputs.iter().map(|&o| graph.values[o].name.as_str()).collect();
        let theirs = tract::run_outputs(&bytes, &inputs, samples, &names).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        assert_eq!(ours[0].len(), theirs[0].len());
        let difference = ours[0].iter().zip(&theirs[0]).map(|(a, &b)| (a - f64::from(b)).abs());
        let scale = ours[0].iter().fold(1.0f64, |m, v| m.max(v.abs()));
        // in an annotated file a float sum on the other side of a tie moves an output by a step
        let mut sorted: Vec<f64> = difference.collect();
        sorted.sort_by(f64::total_cmp);
        let ties = if graph.nodes.iter().any(|n| matches!(n.op, Op::Quant(_))) { sorted.len() / 1000 } else { 0 };
        let worst = sorted[sorted.len() - 1 - ties];
        eprintln!("{}: {worst:e} of {scale:.2}", file.display());
        assert!(worst < TOLERANCE * scale, "{}: {worst} of {scale}", file.display());
        compared += 1;
    }
    compared
}

#[test]
fn unchanged_models_are_saved_byte_identically() {
    saved_byte_identically(onnx_files(&fixtures()));
}

#[test]
#[ignore = "needs ../shared"]
fn unchanged_shared_models_are_saved_byte_identically() {
    let Some(models) = shared("models") else { return };
    let folders = std::fs::read_dir(models).unwrap().map(|folder| folder.unwrap().path());
    saved_byte_identically(folders.flat_map(|folder| onnx_files(&folder)).collect());
}

fn saved_byte_identically(files: Vec<PathBuf>) {
    for file in files {
        let bytes = std::fs::read(&file).unwrap();
        assert!(onnx::encode(&load(&file)) == bytes, "{}", file.display());
    }
}

#[test]
fn truncated_and_foreign_files_are_errors() {
    let bytes = std::fs::read(fixtures().join("jet_mlp_softmax_float.onnx")).unwrap();
    let limits = Limits::default();
    for end in (0..bytes.len()).filter(|n| *n < 600 || n % 97 == 0 || *n > bytes.len() - 300) {
        if let Ok(model) = onnx::decode(&bytes[..end], &limits) {
            // cut between two fields: a valid message that lacks something the importer needs
            graph::import(&model).map(|_| ()).unwrap_err();
        }
    }
    assert_eq!(onnx::decode(&[], &limits), Err(OnnxError::Empty));
    for foreign in [&b"hello, this is not a model\n"[..], b"PK\x03\x04rest", b"{\"a\": 1}", &[0xff; 40], &[0; 64]] {
        let error = onnx::decode(foreign, &limits).unwrap_err();
        assert!(error.to_string().starts_with("not an ONNX file"), "{error}");
    }
}

/// Flipped bytes may give any error, or another model, but no panic.
#[test]
fn damaged_files_do_not_panic() {
    let bytes = std::fs::read(fixtures().join("jet_mlp_bn_w4a6_fixedpoint_qonnx.onnx")).unwrap();
    let mut rng = Rng::new(3);
    for _ in 0..2000 {
        let mut damaged = bytes.clone();
        for _ in 0..1 + rng.below(4) {
            let at = rng.below(damaged.len() as u64) as usize;
            damaged[at] = rng.next_u64() as u8;
        }
        if let Ok(model) = onnx::decode(&damaged, &Limits::default())
            && let Ok(imported) = graph::import(&model)
        {
            let len: usize = imported.graph.len_of(imported.graph.inputs[0]);
            let _ = eval::run(&imported.graph, &[&vec![0.5; len]], 1, &imported.graph.outputs);
        }
    }
}

#[test]
fn limits_are_checked_before_decoding() {
    let bytes = std::fs::read(fixtures().join("jet_mlp_softmax_float.onnx")).unwrap();
    let limit = |limits: Limits| match onnx::decode(&bytes, &limits) {
        Err(OnnxError::Limit { what, .. }) => what,
        other => panic!("{other:?}"),
    };
    assert_eq!(limit(Limits { bytes: 100, ..Limits::default() }), "bytes");
    assert_eq!(limit(Limits { nodes: 7, ..Limits::default() }), "nodes");
    assert_eq!(limit(Limits { initializers: 7, ..Limits::default() }), "initializers");
    assert_eq!(limit(Limits { depth: 2, ..Limits::default() }), "nested messages deep");
    // 100,000 empty nodes in 200 kB
    let nodes: Vec<u8> = [0x0a, 0x00].repeat(100_000);
    let mut bomb = vec![0x08, 0x08, 0x3a];
    prost_length(nodes.len(), &mut bomb);
    bomb.extend(nodes);
    assert!(matches!(onnx::decode(&bomb, &Limits::default()), Err(OnnxError::Limit { what: "nodes", .. })));
}

fn prost_length(mut length: usize, into: &mut Vec<u8>) {
    while length >= 0x80 {
        into.push(length as u8 | 0x80);
        length >>= 7;
    }
    into.push(length as u8);
}

/// The published nets, as QONNX with a width per element, against the outputs of the framework that
/// trained them.
#[test]
#[ignore = "needs ../shared"]
fn published_nets_give_their_published_outputs() {
    let Some(shared) = shared("") else { return };
    let data = Arrays::open(shared.join("data/jsc_openml_test1000.npz"), &DataLimits::default()).unwrap();
    let x = floats(&data, "x");
    let reference = shared.join("models/hgq_reference");
    for (name, dump) in [
        ("jsc_openml_ebops530", "jsc_openml__epoch199491-val_acc0.733-ebops530-val_loss0.831"),
        ("jsc_openml_ebops2571", "jsc_openml__epoch116234-val_acc0.758-ebops2571-val_loss0.683"),
        ("jsc_openml_ebops13285", "jsc_openml__epoch27883-val_acc0.771-ebops13285-val_loss0.635"),
    ] {
        let arrays = Arrays::open(reference.join(format!("{dump}.npz")), &DataLimits::default()).unwrap();
        let width = arrays.get("y").unwrap().unwrap().shape[1];
        let y = floats(&arrays, "y");
        let graph = import(&shared.join(format!("models/hgq_qonnx/{name}.onnx")));
        let ours = eval::run(&graph, &[&x], 1000, &graph.outputs).unwrap().remove(0);
        let equal = ours.chunks(5).zip(y.chunks(width)).flat_map(|(a, b)| a.iter().zip(b)).filter(|(a, b)| **a == f64::from(**b));
        let equal = equal.count();
        assert_eq!(equal, 5000, "{name}");
    }
}
