//! Where the elements of a result come from, for what only moves elements: concatenation and padding.

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

/// The shape of the concatenation; `None` where the shapes do not agree or have no such axis.
pub fn concat_shape(shapes: &[&[usize]], axis: usize) -> Option<Vec<usize>> {
    let first = shapes.first().filter(|s| axis < s.len())?;
    let alike = |s: &&[usize]| s.len() == first.len() && (0..s.len()).all(|a| a == axis || s[a] == first[a]);
    let mut shape = shapes.iter().all(alike).then(|| first.to_vec())?;
    shape[axis] = shapes.iter().map(|s| s[axis]).sum();
    Some(shape)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn concatenation_interleaves_rows() {
        let shapes: [&[usize]; 2] = [&[2, 1], &[2, 2]];
        assert_eq!(concat(&shapes, 1), [(0, 0), (1, 0), (1, 1), (0, 1), (1, 2), (1, 3)]);
        assert_eq!(concat(&[&[1], &[2]], 0), [(0, 0), (1, 0), (1, 1)]);
        assert_eq!(concat_shape(&shapes, 1), Some(vec![2, 3]));
        assert_eq!((concat_shape(&shapes, 0), concat_shape(&shapes, 2), concat_shape(&[], 0)), (None, None, None));
    }

    #[test]
    fn padding_is_zero() {
        assert_eq!(pad(&[2, 1], &[1, 0], &[0, 1]), [None, None, Some(0), None, Some(1), None]);
    }
}
