//! What only moves elements: each of the result is one of an operand, or 0. Shapes are those of one
//! sample.

/// An operation that computes nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Move {
    /// Any number of tensors along an axis of the sample.
    Concat { axis: usize },
    /// Zeros around the sample, per axis.
    Pad { before: Vec<usize>, after: Vec<usize> },
    /// Another shape for the same elements in the same order.
    Reshape,
    /// `y[j] = x[source[j]]` over the flattened sample, each element once. The passes of the graph
    /// leave none.
    Permute { source: Vec<usize> },
    /// `y[j] = x[source[j]]` over the flattened sample, any element any number of times; 0 where
    /// there is no source.
    Select { source: Vec<Option<usize>> },
}

/// Operand and element of it.
pub type Source = (usize, usize);

impl Move {
    /// The ONNX operator.
    pub fn onnx(&self) -> &'static str {
        match self {
            Move::Concat { .. } => "Concat",
            Move::Pad { .. } => "Pad",
            Move::Reshape => "Reshape",
            Move::Permute { .. } => "Transpose",
            Move::Select { .. } => "Gather",
        }
    }

    /// Whether operands of shapes `from` give a result of `to` elements.
    ///
    /// # Errors
    /// What does not fit.
    pub fn fits(&self, from: &[&[usize]], to: usize) -> Result<(), String> {
        let len = |shape: &[usize]| shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d));
        let (len, what) = match (self, from) {
            (Move::Concat { axis }, shapes) => {
                (concat_shape(shapes, *axis).and_then(|s| len(&s)), format!("shapes {shapes:?} joined along axis {axis}"))
            }
            (Move::Pad { before, after }, &[x]) => {
                (padded_shape(x, before, after).and_then(|s| len(&s)), format!("shape {x:?} padded by {before:?} and {after:?}"))
            }
            (Move::Reshape, &[x]) => (len(x), format!("shape {x:?}")),
            (Move::Permute { source }, &[x]) => {
                let inside = source.iter().all(|&s| Some(s) < len(x));
                (inside.then_some(source.len()), format!("{} elements of shape {x:?}", source.len()))
            }
            (Move::Select { source }, &[x]) => {
                let inside = source.iter().flatten().all(|&s| Some(s) < len(x));
                (inside.then_some(source.len()), format!("{} elements of shape {x:?}", source.len()))
            }
            (Move::Pad { .. } | Move::Reshape | Move::Permute { .. } | Move::Select { .. }, several) => {
                return Err(format!("{} inputs, expected 1", several.len()));
            }
        };
        if len == Some(to) { Ok(()) } else { Err(format!("{what} do not give {to} elements")) }
    }

    /// Where each element of the result comes from; `None` for a 0. Shapes that do not fit
    /// ([`Move::fits`]) panic.
    pub fn sources(&self, shapes: &[&[usize]]) -> Vec<Option<Source>> {
        let first = shapes.first().copied().unwrap_or_default();
        match self {
            Move::Concat { axis } => concat(shapes, *axis).into_iter().map(Some).collect(),
            Move::Pad { before, after } => pad(first, before, after).into_iter().map(|e| Some((0, e?))).collect(),
            Move::Reshape => (0..first.iter().product()).map(|e| Some((0, e))).collect(),
            Move::Permute { source } => source.iter().map(|&e| Some((0, e))).collect(),
            Move::Select { source } => source.iter().map(|&e| Some((0, e?))).collect(),
        }
    }

    /// The result for operands of `shapes`; what is put between elements is `zero`.
    pub fn apply<T: Clone>(&self, operands: &[&[T]], shapes: &[&[usize]], zero: T) -> Vec<T> {
        let from = |source: Option<Source>| source.map_or_else(|| zero.clone(), |(which, e)| operands[which][e].clone());
        match self {
            Move::Reshape => operands.first().map_or_else(Vec::new, |x| x.to_vec()),
            Move::Concat { .. } | Move::Pad { .. } | Move::Permute { .. } | Move::Select { .. } => {
                self.sources(shapes).into_iter().map(from).collect()
            }
        }
    }
}

/// For each element of the concatenation along `axis` of samples of `shapes`: which operand it
/// comes from and which element of it. All shapes agree but for `axis`.
pub fn concat(shapes: &[&[usize]], axis: usize) -> Vec<Source> {
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

/// The shape with `before` and `after` added; `None` where they are of other axes.
fn padded_shape(shape: &[usize], before: &[usize], after: &[usize]) -> Option<Vec<usize>> {
    let axes = shape.iter().zip(before.iter().zip(after));
    let sums = axes.map(|(s, (b, a))| s.checked_add(*b)?.checked_add(*a));
    (shape.len() == before.len() && shape.len() == after.len()).then(|| sums.collect()).flatten()
}

/// For each element of a sample of `shape` padded with zeros: the element it comes from, `None` for
/// a zero.
pub fn pad(shape: &[usize], before: &[usize], after: &[usize]) -> Vec<Option<usize>> {
    let padded = padded_shape(shape, before, after).unwrap_or_default();
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

    #[test]
    fn results_are_elements_of_operands() {
        let pad = Move::Pad { before: vec![1, 0], after: vec![0, 1] };
        assert_eq!(pad.apply(&[&[5, 6]], &[&[2, 1]], 0), [0, 0, 5, 0, 6, 0]);
        let (permute, concat) = (Move::Permute { source: vec![2, 0, 1] }, Move::Concat { axis: 0 });
        let select = Move::Select { source: vec![Some(2), None, Some(2), Some(0)] };
        assert_eq!(permute.apply(&[&[5, 6, 7]], &[&[3]], 0), [7, 5, 6]);
        assert_eq!(select.apply(&[&[5, 6, 7]], &[&[3]], 0), [7, 0, 7, 5]);
        assert_eq!(concat.apply(&[&[5], &[6, 7]], &[&[1], &[2]], 0), [5, 6, 7]);
        assert_eq!(Move::Reshape.apply(&[&[5, 6]], &[&[2, 1]], 0), [5, 6]);
        assert_eq!((pad.fits(&[&[2, 1]], 6), Move::Reshape.fits(&[&[2, 1]], 2)), (Ok(()), Ok(())));
        assert_eq!((permute.fits(&[&[3]], 3), concat.fits(&[&[1], &[2]], 3)), (Ok(()), Ok(())));
        let unfit = [(&pad, &[2, 1][..], 4), (&pad, &[2], 6), (&permute, &[2], 3), (&select, &[2], 4), (&Move::Reshape, &[2], 3)];
        for (op, from, to) in unfit {
            assert!(op.fits(&[from], to).is_err() && op.fits(&[from, from], to).is_err(), "{op:?}");
        }
        assert!(concat.fits(&[&[1], &[2, 1]], 3).is_err() && concat.fits(&[], 0).is_err());
    }
}
