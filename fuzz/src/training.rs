//! A run of a few epochs on a net of a few weights: short enough to be taken up from every checkpoint that is tried.

#[path = "../../examples/support/nets.rs"]
mod nets;

use hgq_onnx::quant::Model;
use hgq_onnx::train::fit::{Epoch, schedule::Rate};
use hgq_onnx::train::fit::{FitError, FitOptions, Fitted, Goal, Observer, fit};
use hgq_onnx::train::pareto::Score;
use hgq_onnx::train::{EngineOptions, LossKind, TaskLoss, TrainSet};
use nets::Lcg;
use std::sync::atomic::AtomicBool;

const SAMPLES: usize = 8;
const EPOCHS: usize = 8;

/// Scores that fall, and keeps all checkpoints.
#[derive(Default)]
struct Watch {
    scored: u64,
    kept: Vec<Vec<u8>>,
}

impl Observer for Watch {
    fn score(&mut self, _: &Model, annealed: bool) -> Result<Score, String> {
        self.scored += 1;
        let ebops = 400u64.saturating_sub(30 * self.scored);
        Ok(Score { ebops, ebops_hgq2: ebops, metric: 0.5, loss: 1.0, annealed, ..Score::WORST })
    }

    fn epoch(&mut self, _: &Epoch) {}

    fn wants_checkpoint(&mut self, _: usize) -> bool {
        true
    }

    fn checkpoint(&mut self, bytes: &[u8]) {
        self.kept.push(bytes.to_vec());
    }
}

/// The whole run, from `checkpoint` on where it is one of it; the checkpoints that it made.
///
/// # Errors
/// As [`fit`].
pub fn train(checkpoint: Option<&[u8]>) -> Result<(Fitted, Vec<Vec<u8>>), FitError> {
    let mut rng = Lcg(7);
    let model = nets::network("3,4,2", None, false, &mut rng);
    let x = rng.normals(SAMPLES * 3);
    let labels: Vec<u32> = (0..SAMPLES as u32).map(|n| n % 2).collect();
    let set = TrainSet::new(3, 2, &x, Some(&labels), None, None)?;
    let options = FitOptions {
        epochs: EPOCHS,
        batch: 4,
        seed: 1,
        learning_rate: 1e-3,
        learning_rate_bits: 1e-2,
        rate: Rate::Recipe,
        l1: 0.0,
        loss: TaskLoss::new(LossKind::CrossEntropy),
        goal: Goal::Budgets(vec![300.0, 200.0]),
        count: Default::default(),
        loss_scale: 1.0,
        overhead: 0.0,
        engine: EngineOptions { threads: 1, ..EngineOptions::default() },
    };
    let mut watch = Watch::default();
    let rows: Vec<u32> = (0..SAMPLES as u32).collect();
    let fitted = fit(&model, &set, &rows, &options, &mut watch, checkpoint, &AtomicBool::new(false))?;
    Ok((fitted, watch.kept))
}
