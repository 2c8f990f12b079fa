//! How far the elements of a value spread about their means: Welford's sums, which scale exactly
//! with powers of two.

/// Mean and sum of squared deviations of each element.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Spread {
    samples: f64,
    mean: Vec<f64>,
    squares: Vec<f64>,
}

impl Spread {
    /// Of no samples of `len` elements.
    pub fn empty(len: usize) -> Spread {
        Spread { samples: 0.0, mean: vec![0.0; len], squares: vec![0.0; len] }
    }

    /// Takes rows of one sample each.
    pub fn add(&mut self, rows: &[f64]) {
        for row in rows.chunks_exact(self.mean.len().max(1)) {
            self.samples += 1.0;
            let share = 1.0 / self.samples;
            for ((&x, mean), squares) in row.iter().zip(&mut self.mean).zip(&mut self.squares) {
                let before = x - *mean;
                *mean += before * share;
                *squares += before * (x - *mean);
            }
        }
    }

    /// With the samples of `other` after these (Chan, Golub and LeVeque 1979).
    pub fn merge(&mut self, other: &Spread) {
        let all = self.samples + other.samples;
        if other.samples == 0.0 {
            return;
        }
        let share = other.samples / all;
        let own = self.mean.iter_mut().zip(&mut self.squares);
        for ((mean, squares), (&their, &more)) in own.zip(other.mean.iter().zip(&other.squares)) {
            let apart = their - *mean;
            *squares += more + apart * apart * self.samples * share;
            *mean += apart * share;
        }
        self.samples = all;
    }

    /// Elements of a sample.
    pub fn len(&self) -> usize {
        self.mean.len()
    }

    pub fn is_empty(&self) -> bool {
        self.mean.is_empty()
    }

    pub fn mean(&self, e: usize) -> f64 {
        self.mean[e]
    }

    /// Standard deviation of element `e`; 0 without samples.
    pub fn deviation(&self, e: usize) -> f64 {
        if self.samples > 0.0 { (self.squares[e] / self.samples).max(0.0).sqrt() } else { 0.0 }
    }

    /// Standard deviation over samples and positions of channel `c` of `channels`, about the mean
    /// of the channel.
    pub fn of_channel(&self, c: usize, channels: usize) -> f64 {
        let at = || (c..self.mean.len()).step_by(channels.max(1));
        let positions = at().count().max(1) as f64;
        if positions == 1.0 {
            return self.deviation(c);
        }
        if self.samples == 0.0 {
            return 0.0;
        }
        let mean = at().map(|e| self.mean[e]).sum::<f64>() / positions;
        let square = |e: usize| self.squares[e] / self.samples + (self.mean[e] - mean).powi(2);
        (at().map(square).sum::<f64>() / positions).max(0.0).sqrt()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_give_what_the_whole_gives() {
        let rows = [1013.0, 1.0, 1018.0, -1.0, 1008.0, 3.0, 1013.0, 5.0];
        let (mut all, mut first, mut last) = (Spread::empty(2), Spread::empty(2), Spread::empty(2));
        all.add(&rows);
        first.add(&rows[..2]);
        last.add(&rows[2..]);
        first.merge(&last);
        first.merge(&Spread::empty(2));
        for (e, want) in [(0, 12.5f64.sqrt()), (1, 5f64.sqrt())] {
            assert!((all.deviation(e) - want).abs() < 1e-9 && (first.deviation(e) - want).abs() < 1e-9);
            assert!((first.mean(e) - all.mean(e)).abs() < 1e-9);
        }
        // both elements as positions of one channel: 1013 ± … and 2 ± … about 507.5
        assert!((all.of_channel(0, 1) - (505.5f64.powi(2) + 8.75).sqrt()).abs() < 1e-6);
    }

    #[test]
    fn powers_of_two_go_through_exactly() {
        let rows: Vec<f64> = (0..60).map(|n| f64::from((n * 37) % 23) * 0.37 - 3.1).collect();
        let scaled: Vec<f64> = rows.iter().map(|v| v * 2f64.powi(-13)).collect();
        let of = |rows: &[f64]| {
            let (mut a, mut b) = (Spread::empty(3), Spread::empty(3));
            a.add(&rows[..21]);
            b.add(&rows[21..]);
            a.merge(&b);
            (0..3).map(|e| (a.mean(e), a.deviation(e), a.of_channel(0, 1))).collect::<Vec<_>>()
        };
        for ((m, d, c), (n, e, f)) in of(&rows).into_iter().zip(of(&scaled)) {
            assert_eq!((m * 2f64.powi(-13), d * 2f64.powi(-13), c * 2f64.powi(-13)), (n, e, f));
        }
    }
}
