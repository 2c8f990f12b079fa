//! Area under the receiver operating characteristic: the share of pairs of a positive and a
//! negative sample that are in order.

use crate::data::Targets;

/// True for samples of class 1, if the targets are classes 0 and 1.
pub fn classes(targets: &Targets) -> Option<Vec<bool>> {
    match targets {
        Targets::Labels(labels) => labels.iter().map(|&l| (l < 2).then_some(l == 1)).collect(),
        Targets::Sides { width: 1, values, .. } => Some(values.iter().map(|&v| v > 0.0).collect()),
        Targets::Shares { width: 2, values } => Some(values.chunks_exact(2).map(|row| row[1] > row[0]).collect()),
        Targets::Values { width: 1, values } => values.iter().map(|&v| (v == 0.0 || v == 1.0).then_some(v == 1.0)).collect(),
        _ => None,
    }
}

/// AUC of `scores`, larger for class 1; equal scores have their average rank (a pair of them counts
/// half). NaN without both classes.
pub fn auc(scores: &[f64], positive: &[bool]) -> f64 {
    let mut ranked: Vec<(f64, bool)> = scores.iter().copied().zip(positive.iter().copied()).collect();
    ranked.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (mut ranks, mut first) = (0.0, 0usize);
    for equal in ranked.chunk_by(|a, b| a.0 == b.0) {
        let average = first as f64 + (equal.len() + 1) as f64 / 2.0;
        ranks += average * equal.iter().filter(|e| e.1).count() as f64;
        first += equal.len();
    }
    let positives = ranked.iter().filter(|r| r.1).count() as f64;
    let negatives = ranked.len() as f64 - positives;
    (ranks - positives * (positives + 1.0) / 2.0) / (positives * negatives)
}

/// Standard error of an AUC (Hanley and McNeil, Radiology 143, 1982), which takes the scores as
/// exponentially distributed.
pub fn standard_error(auc: f64, positives: usize, negatives: usize) -> f64 {
    let (p, n) = (positives as f64, negatives as f64);
    if p * n == 0.0 {
        return 0.0;
    }
    let (q1, q2) = (auc / (2.0 - auc), 2.0 * auc * auc / (1.0 + auc));
    let variance = auc * (1.0 - auc) + (p - 1.0) * (q1 - auc * auc) + (n - 1.0) * (q2 - auc * auc);
    (variance / (p * n)).max(0.0).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Rng;

    #[test]
    fn equals_the_count_of_ordered_pairs() {
        let mut rng = Rng::new(3);
        for samples in [2, 7, 60] {
            // few distinct scores: many ties
            let scores: Vec<f64> = (0..samples).map(|_| (rng.unit() * 8.0).floor()).collect();
            let positive: Vec<bool> = (0..samples).map(|n| n == 0 || (n > 1 && rng.unit() > 0.6)).collect();
            let (mut sum, mut pairs) = (0.0, 0.0);
            for (a, _) in scores.iter().zip(&positive).filter(|p| *p.1) {
                for (b, _) in scores.iter().zip(&positive).filter(|p| !*p.1) {
                    sum += if a > b { 1.0 } else { 0.5 * (a == b) as u8 as f64 };
                    pairs += 1.0;
                }
            }
            let want: f64 = sum / pairs;
            assert!((auc(&scores, &positive) - want).abs() < 1e-12, "{samples}: {} instead of {want}", auc(&scores, &positive));
        }
    }

    #[test]
    fn standard_error_without_and_with_information() {
        // without any, the variance of Wilcoxon's statistic is known: (p + n + 1) / (12·p·n)
        for (p, n) in [(3, 9), (51, 58), (1, 1)] {
            let want = (p + n + 1) as f64 / (12 * p * n) as f64;
            assert!((standard_error(0.5, p, n).powi(2) - want).abs() < 1e-12, "{p} {n}");
        }
        // exponential scores of mean 3 and 1: the area is 3/4
        let mut rng = Rng::new(5);
        let positive: Vec<bool> = (0..70).map(|n| n < 30).collect();
        let mut area = || {
            let scores: Vec<f64> = positive.iter().map(|&p| -(1.0 - rng.unit()).ln() * if p { 3.0 } else { 1.0 }).collect();
            auc(&scores, &positive)
        };
        let areas: Vec<f64> = (0..4000).map(|_| area()).collect();
        let mean = areas.iter().sum::<f64>() / areas.len() as f64;
        let spread = (areas.iter().map(|a| (a - mean).powi(2)).sum::<f64>() / areas.len() as f64).sqrt();
        let want = standard_error(0.75, 30, 40);
        assert!((mean - 0.75).abs() < 4e-3 && (spread - want).abs() < 0.04 * want, "{mean} ± {spread}, not {want}");
        assert_eq!(standard_error(0.5, 0, 10), 0.0);
    }
}
