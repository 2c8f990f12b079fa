//! `ai.onnx.ml`: the linear models of scikit-learn and what stands around them.

use super::super::context::NodeView;
use super::super::fault::Fault;
use super::nodes::{Nodes, float, int};
use crate::diagnostic::Code;
use crate::onnx::Tensor;

fn input<'m>(node: &NodeView<'m>) -> Result<&'m str, Fault> {
    node.input(0).ok_or_else(|| Fault::new("input 0 is missing"))
}

/// `(x − offset)·scale`.
pub fn scaler(node: &NodeView<'_>, nodes: &mut Nodes) -> Result<(), Fault> {
    let vector = |name: &str, none: f32| -> Result<Tensor, Fault> {
        let values = node.attributes().floats(name)?.map_or_else(|| vec![none], <[f32]>::to_vec);
        Ok(Tensor::f32(vec![values.len()], values))
    };
    let (offset, scale) = (nodes.constant(&vector("offset", 0.0)?), nodes.constant(&vector("scale", 1.0)?));
    let centred = nodes.step("Sub", &[input(node)?, &offset], vec![]);
    nodes.last("Mul", &[&centred, &scale], node.output(), vec![]);
    Ok(())
}

/// `x·coefficientsᵀ + intercepts` with `rows` results.
fn linear(node: &NodeView<'_>, nodes: &mut Nodes, rows: usize, output: Option<&str>) -> Result<String, Fault> {
    let coefficients = node.attributes().floats("coefficients")?.unwrap_or_default();
    if rows == 0 || coefficients.is_empty() || !coefficients.len().is_multiple_of(rows) {
        return Err(Fault::new(format!("its {} coefficients are not as many for each of {rows} results", coefficients.len())));
    }
    let weight = nodes.constant(&Tensor::f32(vec![rows, coefficients.len() / rows], coefficients.to_vec()));
    let mut inputs = vec![input(node)?.to_string(), weight];
    if let Some(intercepts) = node.attributes().floats("intercepts")?.filter(|i| !i.is_empty()) {
        inputs.push(nodes.constant(&Tensor::f32(vec![intercepts.len()], intercepts.to_vec())));
    }
    let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
    let attributes = vec![float("alpha", 1.0), int("transB", 1)];
    match output {
        Some(output) => {
            nodes.last("Gemm", &inputs, output, attributes);
            Ok(output.to_string())
        }
        None => Ok(nodes.step("Gemm", &inputs, attributes)),
    }
}

pub fn regressor(node: &NodeView<'_>, nodes: &mut Nodes) -> Result<(), Fault> {
    plain(node)?;
    let targets = usize::try_from(node.attributes().int("targets", 1)?).unwrap_or(0);
    linear(node, nodes, targets, Some(node.output())).map(drop)
}

/// # Errors
/// A transformation of the scores that is not known.
fn plain(node: &NodeView<'_>) -> Result<(), Fault> {
    match node.attributes().string("post_transform", "NONE")?.as_str() {
        "NONE" => Ok(()),
        other => Err(Fault::new(format!("post_transform `{other}` is not supported; end the model at the scores"))),
    }
}

/// Labels and scores.
pub fn classifier(node: &NodeView<'_>, nodes: &mut Nodes) -> Result<(), Fault> {
    let labels = node.attributes().ints("classlabels_ints")?.map_or(0, <[i64]>::len);
    let rows = match node.attributes().has("classlabels_strings") {
        true => node.attributes().floats("intercepts")?.map_or(0, <[f32]>::len),
        false => labels,
    };
    let (label, scores) = (node.output(), node.proto.output.get(1).map_or("", String::as_str));
    let after = match node.attributes().string("post_transform", "NONE")?.as_str() {
        "NONE" => None,
        "SOFTMAX" => Some("Softmax"),
        "LOGISTIC" => Some("Sigmoid"),
        other => return Err(Fault::new(format!("post_transform `{other}` is not supported; end the model at the scores"))),
    };
    let raw = linear(node, nodes, rows, Some(scores).filter(|s| after.is_none() && !s.is_empty()))?;
    let given = match after {
        Some(op) if !scores.is_empty() => {
            nodes.last(op, &[&raw], scores, vec![]);
            scores.to_string()
        }
        _ => raw,
    };
    if !label.is_empty() {
        nodes.last("ArgMax", &[&given], label, vec![int("axis", 1)]);
    }
    Ok(())
}

/// Columns side by side.
pub fn vectorizer(node: &NodeView<'_>, nodes: &mut Nodes) -> Result<(), Fault> {
    let inputs: Vec<&str> = node.proto.input.iter().map(String::as_str).collect();
    nodes.last("Concat", &inputs, node.output(), vec![int("axis", 1)]);
    Ok(())
}

/// After a classifier: what makes shares or a dictionary of the scores.
pub fn left_off(node: &NodeView<'_>, nodes: &mut Nodes) -> Result<(), Fault> {
    let message = format!("{} is left off: the proxy's outputs are the scores before it", node.proto.op_type());
    nodes.note(Code::SoftmaxDropped, message);
    nodes.last("Identity", &[input(node)?], node.output(), vec![]);
    Ok(())
}
