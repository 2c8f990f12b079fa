//! The channels of a sample: last in the graph, first in ONNX.

/// The shape with its first axis, the channels, last.
pub fn to_last(shape: &[usize]) -> Vec<usize> {
    shape.split_first().map(|(&channels, rest)| [rest, &[channels]].concat()).unwrap_or_default()
}

/// The shape with its last axis, the channels, first.
pub fn to_first(shape: &[usize]) -> Vec<usize> {
    shape.split_last().map(|(&channels, rest)| [&[channels], rest].concat()).unwrap_or_default()
}

/// For each element of a sample of `shape` with the channels last: its place in the same sample
/// with the channels first.
pub fn order(shape: &[usize]) -> Vec<usize> {
    let channels = shape.last().copied().unwrap_or(1).max(1);
    let len: usize = shape.iter().product();
    (0..len).map(|e| e % channels * (len / channels) + e / channels).collect()
}

/// The permutation that undoes `order`.
pub fn inverse(order: &[usize]) -> Vec<usize> {
    let mut target = vec![0; order.len()];
    for (to, &from) in order.iter().enumerate() {
        target[from] = to;
    }
    target
}

/// The values of one position, where all positions of each of `channels` are alike.
pub fn per_channel<T: PartialEq>(values: &[T], channels: usize) -> Option<&[T]> {
    let first = values.get(..channels)?;
    values.chunks(channels.max(1)).all(|row| row == first).then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_and_last_are_inverse() {
        assert_eq!((to_last(&[3, 4, 5]), to_first(&[4, 5, 3])), (vec![4, 5, 3], vec![3, 4, 5]));
        assert_eq!(order(&[2, 3]), [0, 2, 4, 1, 3, 5]);
        assert_eq!(inverse(&order(&[2, 3])), [0, 3, 1, 4, 2, 5]);
    }

    #[test]
    fn positions_are_compared() {
        assert_eq!(per_channel(&[1, 2, 1, 2], 2), Some(&[1, 2][..]));
        assert_eq!((per_channel(&[1, 2, 1, 3], 2), per_channel(&[1], 2)), (None, None));
    }
}
