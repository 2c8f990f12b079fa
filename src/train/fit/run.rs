//! A run under way: its engine, its front, and what it needs to go on.

use super::checkpoint::{Candidate, Snapshot, State};
use super::controller::Controller;
use super::options::{Epoch, FitError, FitOptions, Fitted, Goal, Observer};
use super::stages::{self, BRANCH_START, BRANCH_START_OF_MOST, Kind, Stage};
use crate::data::rng::Rng;
use crate::quant::Model;
use crate::quant::hardware::Hardware;
use crate::train::pareto::{Count, Front, Point, Score};
use crate::train::{Ebops, Engine, EngineState, TrainError, TrainSet};
use prost::Message;
use std::sync::atomic::{AtomicBool, Ordering};

/// Times that a diverged stage is taken back to its last good state, at half the rate each time.
const MAX_ROLLBACKS: usize = 6;
/// The same for a collapsed one: a budget may be too small for more than one answer, then the stage
/// ends.
const MAX_COLLAPSES: usize = 2;
/// Bounds of [`Run::gap`], as multiples of [`Run::ratio`]: beyond them a count is no hint for the
/// other.
const GAP: (f64, f64) = (0.5, 1.5);

pub struct Run<'a> {
    engine: Engine,
    model: &'a Model,
    set: &'a TrainSet<'a>,
    rows: &'a [u32],
    options: &'a FitOptions,
    observer: &'a mut dyn Observer,
    cancel: &'a AtomicBool,
    front: Front<Vec<f32>>,
    /// Number of the stage under way and its epochs done.
    stage: usize,
    epoch: usize,
    /// Epochs done in all.
    done: usize,
    /// Budgets of the branches begun.
    branches: Vec<usize>,
    controller: Controller,
    /// The size in the unit of the budgets ÷ exact EBOPs, of the last snapshot.
    ratio: f64,
    /// That size ÷ the EBOPs that training saw, of the last snapshot of a branch: its target is an
    /// exact size.
    gap: f64,
    /// Factor on the learning rates of the stage; halved by every rollback.
    rate: f64,
    stage_rollbacks: usize,
    rollbacks: usize,
    collapses: usize,
    start: f64,
    /// Largest size of the trunk so far.
    most: f64,
    good: Snapshot,
    /// By budget.
    starts: Vec<Snapshot>,
}

/// How an epoch ended.
enum Outcome {
    Fine,
    Diverged,
    /// The stage has nothing more to give.
    Over,
}

impl<'a> Run<'a> {
    /// # Errors
    /// See [`Engine::new`].
    pub fn new(
        model: &'a Model,
        set: &'a TrainSet<'a>,
        rows: &'a [u32],
        options: &'a FitOptions,
        observer: &'a mut dyn Observer,
        cancel: &'a AtomicBool,
    ) -> Result<Run<'a>, FitError> {
        Ok(Run {
            engine: Engine::new(model, &options.engine)?,
            model,
            set,
            rows,
            options,
            observer,
            cancel,
            front: Front::new(options.count),
            stage: 0,
            epoch: 0,
            done: 0,
            branches: Vec::new(),
            controller: Controller::default(),
            ratio: 1.0,
            gap: 1.0,
            rate: 1.0,
            stage_rollbacks: 0,
            rollbacks: 0,
            collapses: 0,
            start: 1.0,
            most: 1.0,
            good: Snapshot::default(),
            starts: Vec::new(),
        })
    }

    /// Scores the model as it is: the first candidate.
    pub fn start(&mut self) -> Result<(), FitError> {
        let score = self.observer.score(self.model, false).map_err(FitError::Score)?;
        let parameters = self.engine.snapshot();
        self.start = self.options.count.of(&score) as f64;
        self.ratio = self.ratio_of(&score);
        self.most = self.start;
        self.good = Snapshot { size: self.start, parameters: parameters.clone(), controller: self.controller.state };
        self.starts = vec![self.good.clone(); stages::budgets(&self.options.goal).len()];
        self.front.insert(Point { epoch: 0, score, payload: parameters });
        Ok(())
    }

    pub fn all_stages(&mut self) -> Result<(), FitError> {
        while let Some(stage) = self.next_stage() {
            if self.epoch == 0 {
                self.enter(stage)?;
            }
            while self.epoch < stage.epochs {
                let outcome = self.one_epoch(stage)?;
                self.epoch += 1;
                match outcome {
                    Outcome::Fine => {}
                    Outcome::Diverged if self.stage_rollbacks >= MAX_ROLLBACKS => return Err(FitError::Diverged),
                    Outcome::Diverged => {
                        self.rollbacks += 1;
                        self.take_back()?;
                    }
                    Outcome::Over => self.epoch = stage.epochs,
                }
                if self.epoch < stage.epochs {
                    self.offer_checkpoint();
                }
            }
            (self.stage, self.epoch, self.stage_rollbacks) = (self.stage + 1, 0, 0);
            self.offer_checkpoint();
        }
        Ok(())
    }

    /// The front as models.
    ///
    /// # Errors
    /// [`TrainError::Checkpoint`] is impossible here: all parameters are this engine's.
    pub fn fitted(mut self) -> Result<Fitted, FitError> {
        let mut front = Front::new(self.options.count);
        for point in self.front.points() {
            let mut model = self.model.clone();
            // epoch 0 is the model as it came, annotations included
            if point.epoch > 0 {
                self.engine.restore(&point.payload)?;
                self.engine.export(&mut model)?;
            }
            front.insert(Point { epoch: point.epoch, score: point.score, payload: model });
        }
        Ok(Fitted { front, rollbacks: self.rollbacks, collapses: self.collapses })
    }

    fn next_stage(&self) -> Option<Stage> {
        let floor = match self.options.goal {
            Goal::Metric { floor, .. } => floor,
            _ => f64::INFINITY,
        };
        let reached = |b: f64| self.front.smallest_reaching(floor).is_some_and(|n| self.front.size(n) as f64 <= b);
        let begun = self.branches.len().min(self.stage.saturating_sub(1));
        // a stage under way stays what it is, whatever the front holds by now
        let under_way = self.branches.get(begun).copied();
        stages::stage(self.options, self.stage, self.done - self.epoch, &self.branches[..begun], under_way, reached)
    }

    fn enter(&mut self, stage: Stage) -> Result<(), FitError> {
        (self.gap, self.rate) = (self.ratio, 1.0);
        if let Kind::Branch(n) = stage.kind {
            self.branches.push(n);
            if let Some(start) = self.starts.get(n) {
                self.engine.restore(&start.parameters)?;
                self.engine.reset_moments();
                self.controller = Controller { state: start.controller };
                self.good = start.clone();
            }
        }
        Ok(())
    }

    fn one_epoch(&mut self, stage: Stage) -> Result<Outcome, FitError> {
        let u = if stage.epochs > 1 { self.epoch as f64 / (stage.epochs - 1) as f64 } else { 1.0 };
        let (w, b) = stage.rates(self.options, u);
        let (w, b) = ((w * self.rate) as f32, (b * self.rate) as f32);
        let mut order = self.rows.to_vec();
        // a generator per epoch: the order does not depend on where a run was taken up again
        Rng::new(self.options.seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ self.done as u64).shuffle(&mut order);
        self.engine.reset_ranges();
        let size = self.options.batch.clamp(1, order.len().max(1));
        let steps = (order.len() / size).max(1);
        let gains = stage.gains(steps);
        let (mut loss, mut last) = (0.0, (0.0, 0.0));
        for step in 0..steps {
            if self.cancel.load(Ordering::Relaxed) {
                return Err(FitError::Canceled);
            }
            let batch = &order[(step * size).min(order.len())..((step + 1) * size).min(order.len())];
            let Run { engine, controller, options, set, gap, start, .. } = &mut *self;
            let mut ask = |e: Ebops| {
                let beta = match &options.goal {
                    Goal::Schedule(beta) => beta.at(u),
                    goal => {
                        let target = stages::target(goal, stage.kind, *start, u) / *gap;
                        options.loss_scale * controller.beta(e.enclosed + options.overhead, target, gains)
                    }
                };
                last = (e.enclosed + options.overhead, beta);
                beta as f32
            };
            let stats = engine.gradients(set, batch, &options.loss, options.l1, &mut ask)?;
            self.engine.adam(w, b);
            loss += stats.task_loss / steps as f64;
        }
        self.done += 1;
        if !loss.is_finite() || !self.engine.is_finite() {
            return Ok(Outcome::Diverged);
        }
        let scored = stage.is_annealed(u) || (self.epoch + 1).is_multiple_of(stage.every) || self.epoch + 1 == stage.epochs;
        let mut outcome = Outcome::Fine;
        let mut score = None;
        if scored {
            let found = self.candidate(stage.is_annealed(u))?;
            outcome = self.after_snapshot(stage, &found, last.0)?;
            score = Some(found);
        }
        let epochs = self.options.epochs;
        self.observer.epoch(&Epoch { epoch: self.done, epochs, loss, beta: last.1, ebops: last.0, score });
        Ok(outcome)
    }

    /// Scores the engine's present parameters and offers them to the front.
    fn candidate(&mut self, annealed: bool) -> Result<Score, FitError> {
        let mut model = self.model.clone();
        self.engine.export(&mut model)?;
        let score = self.observer.score(&model, annealed).map_err(FitError::Score)?;
        if self.front.accepts(&score) {
            self.front.insert(Point { epoch: self.done, score, payload: self.engine.snapshot() });
        }
        Ok(score)
    }

    /// What a snapshot means for the rest of the stage; `seen`: EBOPs that its last step counted.
    fn after_snapshot(&mut self, stage: Stage, score: &Score, seen: f64) -> Result<Outcome, FitError> {
        if score.collapsed || !score.metric.is_finite() {
            self.collapses += usize::from(score.collapsed);
            if self.stage_rollbacks >= MAX_COLLAPSES {
                return Ok(Outcome::Over);
            }
            self.take_back()?;
            return Ok(Outcome::Fine);
        }
        let size = self.options.count.of(score) as f64;
        self.ratio = self.ratio_of(score);
        let snapshot = Snapshot { size, parameters: self.engine.snapshot(), controller: self.controller.state };
        match stage.kind {
            Kind::Branch(_) if seen > 0.0 => self.gap = (size / seen).clamp(GAP.0 * self.ratio, GAP.1 * self.ratio),
            Kind::Trunk => {
                let budgets = stages::budgets(&self.options.goal);
                self.gap = self.ratio;
                self.most = self.most.max(size);
                let enough = |b: f64| size >= (BRANCH_START * b).min(BRANCH_START_OF_MOST * self.most);
                for (start, _) in self.starts.iter_mut().zip(budgets).filter(|(_, b)| enough(**b)) {
                    start.clone_from(&snapshot);
                }
            }
            _ => {}
        }
        let out_of_reach = matches!(self.options.goal, Goal::Metric { hopeless, .. } if score.metric < hopeless);
        self.good = snapshot;
        Ok(if out_of_reach && stage.kind == Kind::Trunk { Outcome::Over } else { Outcome::Fine })
    }

    /// How many units of the budgets an EBOP of this model is; 1 where they are EBOPs.
    fn ratio_of(&self, score: &Score) -> f64 {
        match self.options.count {
            Count::Ebops => 1.0,
            Count::Luts if score.ebops == 0 || score.hardware.luts == 0 => self.ratio,
            Count::Luts => score.hardware.luts as f64 / score.ebops as f64,
        }
    }

    /// Back to the last good state at half the rate.
    fn take_back(&mut self) -> Result<(), FitError> {
        self.stage_rollbacks += 1;
        self.rate *= 0.5;
        self.engine.restore(&self.good.parameters)?;
        self.engine.reset_moments();
        self.controller = Controller { state: self.good.controller };
        Ok(())
    }

    fn offer_checkpoint(&mut self) {
        if self.observer.wants_checkpoint(self.done) {
            let bytes = self.state().encode_to_vec();
            self.observer.checkpoint(&bytes);
        }
    }

    fn state(&self) -> State {
        let EngineState { parameters, first_moments, second_moments, step, .. } = self.engine.state();
        let candidate = |p: &Point<Vec<f32>>| Candidate {
            epoch: p.epoch as u64,
            ebops: p.score.ebops,
            ebops_hgq2: p.score.ebops_hgq2,
            luts: p.score.hardware.luts,
            levels: p.score.hardware.levels,
            registers: p.score.hardware.registers,
            metric: p.score.metric,
            loss: p.score.loss,
            annealed: p.score.annealed,
            train_val_loss: p.score.train_val_loss,
            collapsed: p.score.collapsed,
            metric_error: p.score.metric_error,
            parameters: p.payload.clone(),
        };
        State {
            stage: self.stage as u64,
            epoch: self.epoch as u64,
            done: self.done as u64,
            branches: self.branches.iter().map(|&n| n as u64).collect(),
            controller: self.controller.state,
            ratio: self.ratio,
            gap: self.gap,
            rate: self.rate,
            stage_rollbacks: self.stage_rollbacks as u64,
            rollbacks: self.rollbacks as u64,
            collapses: self.collapses as u64,
            start: self.start,
            most: self.most,
            parameters,
            first_moments,
            second_moments,
            step,
            good: Some(self.good.clone()),
            starts: self.starts.clone(),
            front: self.front.points().iter().map(candidate).collect(),
            ..State::current()
        }
    }

    /// Takes up a run where `state` left it.
    ///
    /// # Errors
    /// [`TrainError::Checkpoint`] when it is of another run; this one is then as it was.
    pub fn resume(&mut self, state: &State) -> Result<(), TrainError> {
        let (expected, good) = (self.engine.snapshot().len(), state.good.clone().unwrap_or_default());
        let vectors = (state.starts.iter().map(|s| &s.parameters)).chain(state.front.iter().map(|c| &c.parameters));
        for vector in vectors.chain([&good.parameters, &state.parameters]) {
            if !self.engine.may_be(vector) {
                return Err(TrainError::Checkpoint { field: "parameters", expected, found: vector.len() });
            }
        }
        let budgets = stages::budgets(&self.options.goal).len();
        if state.starts.len() != budgets || state.branches.iter().any(|&n| n >= budgets as u64) {
            return Err(TrainError::Checkpoint { field: "starts", expected: budgets, found: state.starts.len() });
        }
        self.engine.load_state(&EngineState {
            parameters: state.parameters.clone(),
            first_moments: state.first_moments.clone(),
            second_moments: state.second_moments.clone(),
            step: state.step,
            ranges: self.engine.state().ranges,
        })?;
        for c in &state.front {
            let Candidate { ebops, ebops_hgq2, metric, metric_error, loss, annealed, train_val_loss, collapsed, .. } = *c;
            let hardware = Hardware { luts: c.luts, levels: c.levels, registers: c.registers };
            let score = Score { ebops, ebops_hgq2, hardware, metric, metric_error, loss, annealed, train_val_loss, collapsed };
            self.front.insert(Point { epoch: c.epoch as usize, score, payload: c.parameters.clone() });
        }
        (self.stage, self.epoch, self.done) = (state.stage as usize, state.epoch as usize, state.done as usize);
        self.branches = state.branches.iter().map(|&n| n as usize).collect();
        self.controller = Controller { state: state.controller };
        (self.ratio, self.gap) = (state.ratio, state.gap);
        (self.rate, self.start, self.most) = (state.rate, state.start, state.most);
        self.stage_rollbacks = state.stage_rollbacks as usize;
        (self.rollbacks, self.collapses) = (state.rollbacks as usize, state.collapses as usize);
        (self.good, self.starts) = (good, state.starts.clone());
        Ok(())
    }
}
