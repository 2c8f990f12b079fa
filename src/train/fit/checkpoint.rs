//! All of a run's state between two epochs as bytes (a protobuf message), so that a stopped run can
//! go on.
//!
//! Shuffling needs no state (every epoch has its own generator), running ranges start anew with
//! each epoch.

use prost::Message;

/// Raised when the meaning of a field or the way of training changes: older checkpoints are then
/// ignored.
const VERSION: u32 = 3;
/// More than any run counts to, and far from where a count overflows.
const MAX_COUNT: u64 = 1 << 48;

/// A model worth going back to.
#[derive(Clone, PartialEq, Message)]
pub struct Snapshot {
    /// Exact size, in the unit of the budgets.
    #[prost(double, tag = "1")]
    pub size: f64,
    #[prost(float, repeated, tag = "2")]
    pub parameters: Vec<f32>,
    /// The β controller's slow part.
    #[prost(double, tag = "3")]
    pub controller: f64,
}

/// A member of the front.
#[derive(Clone, PartialEq, Message)]
pub struct Candidate {
    #[prost(uint64, tag = "1")]
    pub epoch: u64,
    #[prost(uint64, tag = "2")]
    pub ebops: u64,
    #[prost(uint64, tag = "3")]
    pub ebops_hgq2: u64,
    #[prost(double, tag = "4")]
    pub metric: f64,
    #[prost(double, tag = "5")]
    pub loss: f64,
    #[prost(float, repeated, tag = "6")]
    pub parameters: Vec<f32>,
    #[prost(bool, tag = "7")]
    pub annealed: bool,
    #[prost(double, tag = "8")]
    pub train_val_loss: f64,
    #[prost(bool, tag = "9")]
    pub collapsed: bool,
    #[prost(double, tag = "10")]
    pub metric_error: f64,
    #[prost(uint64, tag = "11")]
    pub luts: u64,
    #[prost(uint32, tag = "12")]
    pub levels: u32,
    #[prost(uint64, tag = "13")]
    pub registers: u64,
}

/// See the module.
#[derive(Clone, PartialEq, Message)]
pub struct State {
    #[prost(uint32, tag = "1")]
    pub version: u32,
    /// The stage under way and its epochs done.
    #[prost(uint64, tag = "2")]
    pub stage: u64,
    #[prost(uint64, tag = "3")]
    pub epoch: u64,
    /// Epochs done in all.
    #[prost(uint64, tag = "4")]
    pub done: u64,
    /// Budgets of the branches begun, by index.
    #[prost(uint64, repeated, tag = "5")]
    pub branches: Vec<u64>,
    #[prost(double, tag = "6")]
    pub controller: f64,
    /// The size in the unit of the budgets ÷ the EBOPs that training saw, of the last snapshot.
    #[prost(double, tag = "7")]
    pub gap: f64,
    /// Factor on the learning rates.
    #[prost(double, tag = "8")]
    pub rate: f64,
    /// Of the stage under way.
    #[prost(uint64, tag = "9")]
    pub stage_rollbacks: u64,
    #[prost(uint64, tag = "10")]
    pub rollbacks: u64,
    #[prost(uint64, tag = "11")]
    pub collapses: u64,
    /// Size at the start.
    #[prost(double, tag = "13")]
    pub start: f64,
    /// Largest size of the trunk so far.
    #[prost(double, tag = "21")]
    pub most: f64,
    /// The size in the unit of the budgets ÷ exact EBOPs, of the last snapshot.
    #[prost(double, tag = "22")]
    pub ratio: f64,
    #[prost(float, repeated, tag = "14")]
    pub parameters: Vec<f32>,
    #[prost(float, repeated, tag = "15")]
    pub first_moments: Vec<f32>,
    #[prost(float, repeated, tag = "16")]
    pub second_moments: Vec<f32>,
    #[prost(uint64, tag = "17")]
    pub step: u64,
    /// The last state that was neither diverged nor collapsed.
    #[prost(message, optional, tag = "18")]
    pub good: Option<Snapshot>,
    /// Where the branch of each budget starts from.
    #[prost(message, repeated, tag = "19")]
    pub starts: Vec<Snapshot>,
    #[prost(message, repeated, tag = "20")]
    pub front: Vec<Candidate>,
}

impl State {
    /// A state to write.
    pub fn current() -> State {
        State { version: VERSION, ..State::default() }
    }

    /// `None` for what is not a checkpoint of this version.
    pub fn decoded(bytes: &[u8]) -> Option<State> {
        State::decode(bytes).ok().filter(|s| s.version == VERSION && s.is_sound())
    }

    /// Whether its counts are those of a run, and its measures are numbers.
    fn is_sound(&self) -> bool {
        let counts = [self.stage, self.epoch, self.done, self.stage_rollbacks, self.rollbacks, self.collapses, self.step];
        let snapshots = self.starts.iter().chain(&self.good).flat_map(|s| [s.size, s.controller]);
        let measures = [self.controller, self.ratio, self.gap, self.rate, self.start, self.most].into_iter().chain(snapshots);
        let counted = counts.iter().all(|&n| n < MAX_COUNT) && self.epoch <= self.done;
        counted && measures.into_iter().all(f64::is_finite)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_and_measures_of_no_run_are_no_checkpoint() {
        let good = State { done: 7, epoch: 3, step: 90, gap: 1.0, ..State::current() };
        let decoded = |state: State| State::decoded(&state.encode_to_vec());
        assert_eq!(decoded(good.clone()), Some(good.clone()));
        let snapshot = || Some(Snapshot { size: f64::INFINITY, ..Snapshot::default() });
        let bad: [(&str, State); 8] = [
            ("version", State { version: VERSION - 1, ..good.clone() }),
            ("more epochs of the stage than in all", State { epoch: 8, ..good.clone() }),
            ("steps", State { step: u64::MAX, ..good.clone() }),
            ("epochs", State { done: u64::MAX, ..good.clone() }),
            ("stage", State { stage: u64::MAX, ..good.clone() }),
            ("rollbacks", State { stage_rollbacks: u64::MAX, ..good.clone() }),
            ("gap", State { gap: f64::NAN, ..good.clone() }),
            ("snapshot", State { good: snapshot(), ..good.clone() }),
        ];
        for (what, state) in bad {
            assert_eq!(decoded(state), None, "{what}");
        }
    }
}
