//! Samples whose elements are in another order in the file than in the graph (channels first and
//! last).

use std::borrow::Cow;

/// Samples in the graph's order → in the order of the file; element `j` of the graph's is element
/// `order[j]` of the file's.
pub fn to_file(rows: &[f32], order: &[usize]) -> Vec<f32> {
    let mut out = vec![0.0; rows.len()];
    for (to, from) in out.chunks_exact_mut(order.len().max(1)).zip(rows.chunks_exact(order.len().max(1))) {
        for (&v, &at) in from.iter().zip(order) {
            to[at] = v;
        }
    }
    out
}

/// The inverse of [`to_file`].
pub fn to_graph<T: Copy>(rows: &[T], order: &[usize]) -> Vec<T> {
    rows.chunks_exact(order.len().max(1)).flat_map(|row| order.iter().map(|&from| row[from])).collect()
}

/// The inputs as a file takes them that has those with an order in `channels_first` in that order.
pub fn in_file_order<'a>(channels_first: &[Option<Vec<usize>>], rows: &[&'a [f32]]) -> Vec<Cow<'a, [f32]>> {
    let order = |at: usize| channels_first.get(at).and_then(|o| o.as_ref());
    let turn = |(at, &x): (usize, &&'a [f32])| order(at).map_or(Cow::Borrowed(x), |order| Cow::Owned(to_file(x, order)));
    rows.iter().enumerate().map(turn).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_are_inverse() {
        let order = [2, 0, 1];
        assert_eq!(to_graph(&[10.0, 11.0, 12.0], &order), [12.0, 10.0, 11.0]);
        assert_eq!(to_file(&to_graph(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], &order), &order), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    }
}
