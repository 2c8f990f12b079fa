//! The course of a training as reports keep it: `training` in `report.json`, thinned to a bounded
//! number of epochs.

use prost::Message;
use serde::Serialize;

/// Epochs that are kept at most: more than a curve on a screen can show, and a report of readable
/// size.
pub const MAX_POINTS: usize = 200;

/// One epoch, or one candidate of `mode: calibrate`.
#[derive(Clone, Copy, PartialEq, Message, Serialize)]
pub struct CurvePoint {
    /// From 1.
    #[prost(uint64, tag = "1")]
    pub epoch: u64,
    /// Training loss; of a candidate its validation loss.
    #[prost(double, tag = "2")]
    pub loss: f64,
    /// Validation metric as it is shown, of the last snapshot that was scored.
    #[prost(double, tag = "3")]
    pub metric: f64,
    /// As training counts them.
    #[prost(double, tag = "4")]
    pub ebops: f64,
    /// Factor of EBOPs in the loss; of a candidate the price per EBOP.
    #[prost(double, tag = "5")]
    pub beta: f64,
    /// Of the last snapshot that was scored.
    #[prost(double, optional, tag = "6")]
    pub luts: Option<f64>,
}

/// Every `stride`-th epoch, where `stride` doubles whenever there are more than [`MAX_POINTS`]; and
/// the last one. What is kept depends on the epochs alone, not on where a run was stopped and went
/// on. A message, as checkpoints hold it.
#[derive(Clone, PartialEq, Message)]
pub struct Curve {
    #[prost(message, repeated, tag = "1")]
    kept: Vec<CurvePoint>,
    #[prost(message, optional, tag = "2")]
    last: Option<CurvePoint>,
    /// Number of doublings.
    #[prost(uint32, tag = "3")]
    doublings: u32,
}

impl Curve {
    /// Adds an epoch. One that is known, or before one that is, begins the curve anew from there.
    pub fn push(&mut self, point: CurvePoint) {
        self.kept.retain(|p| p.epoch < point.epoch);
        if point.epoch.is_multiple_of(self.stride()) {
            self.kept.push(point);
        }
        while self.kept.len() > MAX_POINTS {
            self.doublings += 1;
            let stride = self.stride();
            self.kept.retain(|p| p.epoch.is_multiple_of(stride));
        }
        self.last = Some(point);
    }

    /// The points kept, in order, with the last one.
    pub fn points(&self) -> Vec<CurvePoint> {
        let last = self.last.filter(|l| self.kept.last().is_none_or(|k| k.epoch < l.epoch));
        self.kept.iter().copied().chain(last).collect()
    }

    /// The metric of the last epoch.
    pub fn last_metric(&self) -> Option<f64> {
        self.last.map(|p| p.metric)
    }

    /// The LUTs of the last epoch.
    pub fn last_luts(&self) -> Option<f64> {
        self.last.and_then(|p| p.luts)
    }

    fn stride(&self) -> u64 {
        1u64.checked_shl(self.doublings).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(epoch: u64) -> CurvePoint {
        CurvePoint { epoch, loss: 1.0 / epoch as f64, metric: 0.5, ebops: 100.0, beta: 0.0, luts: None }
    }

    fn curve(epochs: impl Iterator<Item = u64>) -> Curve {
        let mut curve = Curve::default();
        epochs.for_each(|e| curve.push(point(e)));
        curve
    }

    #[test]
    fn a_long_training_is_thinned_evenly_and_keeps_its_end() {
        let epochs = |n: u64| curve(1..=n).points().iter().map(|p| p.epoch).collect::<Vec<_>>();
        assert_eq!(epochs(3), [1, 2, 3]);
        assert_eq!(epochs(200), (1..=200).collect::<Vec<_>>());
        assert_eq!(epochs(201), (1..=100).map(|n| 2 * n).chain([201]).collect::<Vec<_>>());
        let long = epochs(10_001);
        assert!(long.len() <= MAX_POINTS + 1 && long.len() > MAX_POINTS / 2, "{}", long.len());
        assert_eq!((long[0], long[1], long.last()), (64, 128, Some(&10_001)));
        assert!(epochs(0).is_empty());
    }

    #[test]
    fn a_resumed_curve_is_that_of_a_run_that_was_not_stopped() {
        for (stopped, all) in [(1, 5), (150, 170), (199, 450), (201, 202), (333, 1000), (1000, 1001)] {
            let bytes = curve(1..=stopped).encode_to_vec();
            let mut resumed = Curve::decode(&bytes[..]).unwrap();
            (stopped + 1..=all).for_each(|e| resumed.push(point(e)));
            assert_eq!(resumed, curve(1..=all), "{stopped} of {all}");
        }
        // a checkpoint that the training does not take up: it begins anew
        assert_eq!(curve((1..=7).chain(1..=3)), curve(1..=3));
    }
}
