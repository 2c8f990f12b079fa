//! Products of matrices and sums over indices.

use super::super::context::{Context, MAX_EXPANDED, NodeView};
use super::super::fault::Fault;
use super::super::item::{Constant, Item};
use super::{Operands, computed, rounded};
use std::collections::BTreeMap;

/// Most multiplications of one fold: some seconds.
const MAX_PRODUCTS: usize = 1 << 32;

pub fn matmul<'m>(context: &mut Context<'m>, node: &NodeView<'m>, a: &Constant, b: &Constant) -> Result<Item, Fault> {
    let (&[rows, inner], &[other, columns]) = (a.shape(), b.shape()) else {
        return Err(Fault::new(format!("constants of shape {:?} and {:?} are no two matrices", a.shape(), b.shape())));
    };
    if inner != other {
        return Err(Fault::new(format!("matrices of shape {:?} and {:?} do not fit", a.shape(), b.shape())));
    }
    sum_over(context, node, &[a.clone(), b.clone()], &["ik", "kj"], "ij", &[rows, columns])
}

pub fn einsum<'m>(context: &mut Context<'m>, node: &NodeView<'m>, operands: &Operands) -> Result<Item, Fault> {
    let equation: String = node.attributes().string("equation", "")?.split_whitespace().collect();
    let (left, right) = equation.split_once("->").ok_or_else(|| Fault::new("its equation has no `->`"))?;
    let terms: Vec<&str> = left.split(',').collect();
    let operands: Vec<Constant> = operands.iter().flatten().cloned().collect();
    if terms.len() != operands.len() || !equation.chars().all(|c| c.is_ascii_alphabetic() || matches!(c, ',' | '-' | '>')) {
        return Err(Fault::new(format!("equation `{equation}` is not supported")));
    }
    let mut sizes: BTreeMap<char, usize> = BTreeMap::new();
    for (term, operand) in terms.iter().zip(&operands) {
        let fits = term.chars().count() == operand.shape().len()
            && term.chars().zip(operand.shape()).all(|(label, &size)| *sizes.entry(label).or_insert(size) == size);
        if !fits {
            return Err(Fault::new(format!("term `{term}` of its equation does not fit shape {:?}", operand.shape())));
        }
    }
    let shape: Option<Vec<usize>> = right.chars().map(|label| sizes.get(&label).copied()).collect();
    let shape = shape.ok_or_else(|| Fault::new(format!("equation `{equation}` has a label of nothing")))?;
    sum_over(context, node, &operands, &terms, right, &shape)
}

/// `Σ` over the labels that `right` has not.
fn sum_over<'m>(
    context: &mut Context<'m>,
    node: &NodeView<'m>,
    operands: &[Constant],
    terms: &[&str],
    right: &str,
    shape: &[usize],
) -> Result<Item, Fault> {
    let mut labels: Vec<(char, usize)> = right.chars().zip(shape.iter().copied()).collect();
    for (term, operand) in terms.iter().zip(operands) {
        for (label, &size) in term.chars().zip(operand.shape()) {
            if labels.iter().all(|(known, _)| *known != label) {
                labels.push((label, size));
            }
        }
    }
    let total = labels.iter().try_fold(1usize, |n, (_, d)| n.checked_mul(*d)).unwrap_or(usize::MAX);
    let len = shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d)).unwrap_or(usize::MAX);
    if total > MAX_PRODUCTS || len > MAX_EXPANDED {
        return Err(Fault::new("constants are multiplied too often; fold them before export (onnxsim)"));
    }
    context.spend(len.saturating_add(total >> 5))?;
    let result = summed(&labels, right.chars().count(), terms, operands);
    let first = operands[0].resolved();
    Ok(computed(node, shape.to_vec(), rounded(result, &first), &first))
}

/// The sums of products of elements, over all labels but the first `kept`.
fn summed(labels: &[(char, usize)], kept: usize, terms: &[&str], operands: &[Constant]) -> Vec<f64> {
    // the step of each label in each operand
    let strides: Vec<Vec<usize>> = terms
        .iter()
        .zip(operands)
        .map(|(term, operand)| {
            let mut of = vec![0usize; labels.len()];
            let mut stride = 1;
            for (label, &size) in term.chars().rev().zip(operand.shape().iter().rev()) {
                let at = labels.iter().position(|(known, _)| *known == label).unwrap_or(0);
                of[at] += stride;
                stride *= size;
            }
            of
        })
        .collect();
    let values: Vec<Vec<f64>> = operands.iter().map(|o| o.resolved().to_f64()).collect();
    let len: usize = labels[..kept].iter().map(|(_, d)| d).product();
    let inner: usize = labels[kept..].iter().map(|(_, d)| d).product();
    let mut result = Vec::with_capacity(len);
    let (mut counter, mut at) = (vec![0usize; labels.len()], vec![0usize; operands.len()]);
    for _ in 0..len {
        let mut sum = 0.0;
        for _ in 0..inner {
            sum += values.iter().zip(&at).map(|(v, &e)| v[e]).product::<f64>();
            for axis in (0..labels.len()).rev() {
                counter[axis] += 1;
                at.iter_mut().zip(&strides).for_each(|(at, s)| *at += s[axis]);
                if counter[axis] < labels[axis].1 {
                    break;
                }
                counter[axis] = 0;
                at.iter_mut().zip(&strides).for_each(|(at, s)| *at -= s[axis] * labels[axis].1);
            }
        }
        result.push(sum);
    }
    result
}
