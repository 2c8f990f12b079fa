//! Where the elements of a result come from, for what only moves elements: concatenation, padding, the channels first or last.

/// For each element of the concatenation along `axis` of samples of `shapes`: which operand it comes from and which element of it.
/// All shapes agree but for `axis`.
pub fn concat(shapes: &[&[usize]], axis: usize) -> Vec<(usize, usize)> {
    let outer: usize = shapes.first().map_or(0, |s| s[..axis].iter().product());
    let mut map = Vec::new();
    for row in 0..outer {
        for (which, shape) in shapes.iter().enumerate() {
            let len: usize = shape[axis..].iter().product();
            map.extend((row * len..(row + 1) * len).map(|e| (which, e)));
        }
    }
    map
}

/// The shape of the concatenation.
pub fn concat_shape(shapes: &[&[usize]], axis: usize) -> Vec<usize> {
    let mut shape = shapes.first().map(|s| s.to_vec()).unwrap_or_default();
    shape[axis] = shapes.iter().map(|s| s[axis]).sum();
    shape
}

/// For each element of a sample of `shape` padded with zeros: the element it comes from, `None` for a zero.
pub fn pad(shape: &[usize], before: &[usize], after: &[usize]) -> Vec<Option<usize>> {
    let padded: Vec<usize> = shape.iter().zip(before).zip(after).map(|((s, b), a)| s + b + a).collect();
    (0..padded.iter().product())
        .map(|mut e| {
            let (mut from, mut stride, mut inside) = (0, 1, true);
            for axis in (0..shape.len()).rev() {
                let at = e % padded[axis];
                e /= padded[axis];
                match at.checked_sub(before[axis]).filter(|&at| at < shape[axis]) {
                    Some(at) => from += at * stride,
                    None => inside = false,
                }
                stride *= shape[axis];
            }
            inside.then_some(from)
        })
        .collect()
}

/// For each element of a sample of `shape` with the channels last: its place in the same sample with the channels first.
pub fn channels_last_order(shape: &[usize]) -> Vec<usize> {
    let channels = shape.last().copied().unwrap_or(1).max(1);
    let len: usize = shape.iter().product();
    (0..len).map(|e| e % channels * (len / channels) + e / channels).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn concatenation_interleaves_rows() {
        let shapes: [&[usize]; 2] = [&[2, 1], &[2, 2]];
        assert_eq!(concat(&shapes, 1), [(0, 0), (1, 0), (1, 1), (0, 1), (1, 2), (1, 3)]);
        assert_eq!(concat(&[&[1], &[2]], 0), [(0, 0), (1, 0), (1, 1)]);
        assert_eq!(concat_shape(&shapes, 1), [2, 3]);
    }

    #[test]
    fn padding_is_zero() {
        assert_eq!(pad(&[2, 1], &[1, 0], &[0, 1]), [None, None, Some(0), None, Some(1), None]);
    }
}
