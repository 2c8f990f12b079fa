//! Yes or no for each value of an output.

use super::{binary_loss, predicted};

/// How many answers are right, of how many, and the mean loss per value. `rows`: outputs of each
/// sample, logits (`logit`) or numbers of which the middle of the two targets parts yes from no.
/// With `one_hot` a row is one answer, its largest value.
pub fn sides<'a>(
    rows: impl Iterator<Item = &'a [f64]>,
    values: &[f32],
    width: usize,
    one_hot: bool,
    logit: bool,
) -> (usize, usize, f64) {
    // 0 and 1, or −1 and 1
    let low = if values.iter().any(|&v| v < 0.0) { -1.0 } else { 0.0 };
    let middle = if logit { 0.0 } else { (low + 1.0) / 2.0 };
    let (mut right, mut answers, mut loss) = (0, 0, 0.0);
    for (row, targets) in rows.zip(values.chunks_exact(width.max(1))) {
        let yes = |target: f32| target > 0.0;
        if one_hot {
            right += targets.get(predicted(row)).is_some_and(|&t| yes(t)) as usize;
            answers += 1;
        } else {
            right += row.iter().zip(targets).filter(|(z, t)| (**z > middle) == yes(**t)).count();
            answers += targets.len();
        }
        for (&z, &target) in row.iter().zip(targets) {
            loss += if logit { binary_loss(z, yes(target) as u32) } else { (z - f64::from(target)).powi(2) };
        }
    }
    (right, answers, loss / values.len().max(1) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sides_are_those_of_the_middle() {
        let rows = [0.4f64, 0.6, 0.5, 0.9];
        let of = |values: &[f32], one_hot, logit| sides(rows.chunks(2), values, 2, one_hot, logit);
        // 0.5 is not yes
        assert_eq!(of(&[0.0, 1.0, 0.0, 1.0], false, false).0, 4);
        assert_eq!(of(&[0.0, 1.0, 1.0, 0.0], false, false).0, 2);
        // of −1 and 1 the middle is 0
        assert_eq!(of(&[-1.0, 1.0, 1.0, 1.0], false, false).0, 3);
        assert_eq!((of(&[0.0, 1.0, 1.0, 0.0], true, true).0, of(&[0.0, 1.0, 1.0, 0.0], true, true).1), (1, 2));
        let (right, of_all, loss) = of(&[1.0, 1.0, 1.0, 0.0], false, true);
        let want: f64 = [0.4f64, 0.6, 0.5, -0.9].iter().map(|z| (1.0 + (-z).exp()).ln()).sum::<f64>() / 4.0;
        assert!((right, of_all) == (3, 4) && (loss - want).abs() < 1e-12, "{right} of {of_all}, {loss}");
    }
}
