//! NumPy broadcasting of constants, with the batch dimension of data tensors kept symbolic.

use super::fault::Fault;

/// Row-major index into a tensor of shape `from` for each element of shape `to`; dimensions are
/// aligned at the end. `None` where `from` does not broadcast to `to`.
pub fn indices(from: &[usize], to: &[usize]) -> Option<Vec<usize>> {
    let extra = from.len().saturating_sub(to.len());
    if from[..extra].iter().any(|&d| d != 1) {
        return None;
    }
    let from = &from[extra..];
    let pad = to.len() - from.len();
    let mut strides = vec![0usize; to.len()];
    let mut stride = 1;
    for axis in (0..from.len()).rev() {
        if from[axis] == to[pad + axis] {
            strides[pad + axis] = if from[axis] == 1 { 0 } else { stride };
        } else if from[axis] != 1 {
            return None;
        }
        stride *= from[axis];
    }
    let len: usize = to.iter().product();
    let mut result = Vec::with_capacity(len);
    let mut counter = vec![0usize; to.len()];
    let mut at = 0;
    for _ in 0..len {
        result.push(at);
        for axis in (0..to.len()).rev() {
            counter[axis] += 1;
            at += strides[axis];
            if counter[axis] < to[axis] {
                break;
            }
            at -= strides[axis] * to[axis];
            counter[axis] = 0;
        }
    }
    Some(result)
}

/// [`indices`] of a constant of shape `from` beside a data tensor `[batch, sample…]`.
///
/// # Errors
/// Where the constant has a batch dimension of its own or would enlarge the data.
pub fn onto_sample(from: &[usize], sample: &[usize]) -> Result<Vec<usize>, Fault> {
    if from.len() == sample.len() + 1 && from[0] != 1 {
        return Err(Fault::new(format!("a constant of shape {from:?} has a value per sample of the batch; use one per feature")));
    }
    indices(from, sample)
        .ok_or_else(|| Fault::new(format!("a constant of shape {from:?} does not broadcast to the sample shape {sample:?}")))
}

/// The shape that two constants broadcast to.
pub fn common(a: &[usize], b: &[usize]) -> Option<Vec<usize>> {
    let rank = a.len().max(b.len());
    let at = |shape: &[usize], axis: usize| if axis + shape.len() < rank { 1 } else { shape[axis + shape.len() - rank] };
    (0..rank)
        .map(|axis| match (at(a, axis), at(b, axis)) {
            (x, y) if x == y => Some(x),
            (1, y) => Some(y),
            (x, 1) => Some(x),
            _ => None,
        })
        .collect()
}
