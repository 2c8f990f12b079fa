//! Which point of the front a job asked for: the best within a budget, the smallest within a loss,
//! or a sensible one; and why, in a sentence whose figures are those of the front.

use crate::convert::config::JobConfig;
use crate::convert::error::Error;
use crate::convert::task::metric::MetricKind;
use crate::diagnostic::{Code, Diagnostic};
use crate::quant::Model;
use crate::train::pareto::{Count, Front, Score};

/// The figures of [`Chooser::reaches`] were added and subtracted: what is equal but for that is
/// equal.
const ROUNDING: f64 = 1e-12;

/// A point of the front.
#[derive(Debug, PartialEq)]
pub struct Choice {
    pub point: usize,
    /// The rule by which it was chosen.
    pub why: String,
    /// Why it is not what the job asked for, if no point is; then it is the nearest to that.
    pub unmet: Option<String>,
}

/// What a choice is made from.
pub struct Chooser<'a> {
    pub config: &'a JobConfig,
    pub front: &'a Front<Model>,
    pub kind: MetricKind,
    /// Rows that the metrics are of.
    pub samples: usize,
    /// The source's metric on them, larger is better.
    pub source: f64,
}

impl Chooser<'_> {
    /// The point of the front that the job asked for. A model with one answer for everything is no
    /// answer to any goal, and is chosen only where there is nothing else.
    ///
    /// # Errors
    /// [`Error::Internal`] for an empty front.
    pub fn choose(&self, warnings: &mut Vec<Diagnostic>) -> Result<Choice, Error> {
        let front = self.front;
        if front.points().is_empty() {
            return Err(Error::Internal("no candidate could be scored".into()));
        }
        if !front.is_alive() {
            return Ok(self.dead());
        }
        let config = self.config;
        let choice = match (config.target(), config.max_metric_drop, config.max_output_error) {
            (Some(target), drop, _) => self.within(target, drop),
            (None, Some(drop), _) => self.smallest_within(drop),
            // within it are all of them
            (None, None, Some(bound)) => front.smallest_reaching(f64::NEG_INFINITY).map(|point| Choice {
                point,
                why: format!("the smallest model whose output error is at most {bound}"),
                unmet: None,
            }),
            (None, None, None) => self.sensible(warnings),
        };
        choice.map(|choice| self.untrained(choice)).ok_or_else(|| Error::Internal("the front has no model to choose".into()))
    }

    /// The choice within a budget: what `best_of` says, in words. `None` if nothing with more than
    /// one answer is within it.
    fn best(&self, fits: impl Fn(&Score) -> bool, of: &str) -> Option<(usize, String)> {
        let chosen = self.front.best_of(&fits, |m| self.error(m))?;
        let best = self.front.most_accurate(&fits)?;
        let mut why = format!("of the models {of} the best {} is {}", self.kind.name(), self.told(best));
        if chosen != best {
            let (annealed, loss) = if self.score(chosen).annealed {
                ("two standard errors of it and had annealed", "on all rows")
            } else {
                ("one standard error of it, where none had annealed that is within two", "on the rows that models are judged on")
            };
            why += &format!("; this one, {}, is within {annealed}, and has the lowest loss of those {loss}", self.told(chosen));
        }
        Some((chosen, why))
    }

    fn within(&self, target: f64, drop: Option<f64>) -> Option<Choice> {
        let count = self.front.count();
        let (unit, field) = (count.unit(), target_field(count));
        let inside = |s: &Score| count.of(s) as f64 <= target;
        let Some((point, why)) = self.best(inside, &format!("of at most {target} {unit}")) else {
            let point = self.front.smallest_reaching(f64::NEG_INFINITY)?;
            let least = self.front.size(point);
            let constant = if self.front.points().iter().any(|p| inside(&p.score)) {
                "; below that there are only networks with one answer for everything"
            } else {
                ""
            };
            let cure = if self.config.epochs == 0 { "train for some epochs" } else { "give more epochs" };
            let unmet = format!(
                "{field} {target} was not reached: the smallest candidate has {least} {unit}{constant}; {cure} or a larger target"
            );
            return Some(Choice { point, why: "the smallest model found".into(), unmet: Some(unmet) });
        };
        let Some(drop) = drop else { return Some(Choice { point, why, unmet: None }) };
        let want = self.source - drop;
        let both = |s: &Score| inside(s) && self.reaches(s, want);
        let name = self.kind.name();
        let shown = self.kind.shown(want);
        if let Some((point, why)) = self.best(both, &format!("of at most {target} {unit} and a {name} of {shown:.4} or better")) {
            return Some(Choice { point, why, unmet: None });
        }
        let best = self.front.most_accurate(inside).unwrap_or(point);
        let got = self.kind.shown(self.score(best).metric);
        let unmet = format!("at {target} {unit} the metric is {got:.4}, not {shown:.4} as max_metric_drop asks");
        Some(Choice { point: best, why: format!("the best {name} of at most {target} {unit}"), unmet: Some(unmet) })
    }

    fn smallest_within(&self, drop: f64) -> Option<Choice> {
        let want = self.source - drop;
        let (name, shown) = (self.kind.name(), self.kind.shown(want));
        if let Some(point) = self.smallest_reaching(want) {
            let source = self.kind.shown(self.source);
            let why = format!(
                "the smallest model whose {name} is {shown:.4} or better: the {source:.4} of the model sent, and a drop of at most {drop}"
            );
            return Some(Choice { point, why, unmet: None });
        }
        let point = self.front.most_accurate(|_| true)?;
        let got = self.kind.shown(self.score(point).metric);
        let (no, cure) = match self.config.epochs {
            0 => ("the model as it is does not reach", "; train for some epochs"),
            _ => ("no candidate reaches", ""),
        };
        let unmet = format!("{no} the metric {shown:.4} that max_metric_drop asks; the best one has {got:.4}{cure}");
        Some(Choice { point, why: format!("the best {name} found"), unmet: Some(unmet) })
    }

    /// Nothing was asked: the smallest that is as good as the source, or as the best candidate, up
    /// to what the data can tell.
    fn sensible(&self, warnings: &mut Vec<Diagnostic>) -> Option<Choice> {
        let (best, _) = self.best(|_| true, "found")?;
        let reference = self.source.min(self.score(best).metric);
        let (point_of, error) = (self.kind.default_drop(reference), self.error(reference));
        let tolerance = point_of.max(error);
        let point = self.smallest_reaching(reference - tolerance).unwrap_or(best);
        let (name, shown) = (self.kind.name(), self.kind.shown(reference - tolerance));
        let of = if self.score(best).metric > self.source {
            format!("that of the model sent, {:.4}", self.kind.shown(self.source))
        } else if self.front.most_accurate(|_| true) == Some(best) {
            format!("that of the best one, {}", self.told(best))
        } else {
            format!("that of {}, which has the lowest loss of those about as good as the best", self.told(best))
        };
        let less = if error > point_of { "one standard error" } else { self.kind.default_drop_name() };
        let why = format!("the smallest model whose {name} is {shown:.4} or better: {of}, but for {tolerance:.4} ({less})");
        let metric = self.score(point).metric;
        // the formats of an untrained model are those of the file
        if self.config.epochs > 0 && metric < self.source - self.kind.default_drop(self.source).max(self.error(self.source)) {
            let (got, was) = (self.kind.shown(metric), self.kind.shown(self.source));
            let message = format!(
                "the source's metric is {was:.4}, the proxy's {got:.4}; give max_metric_drop or {} to choose another trade",
                target_field(self.front.count())
            );
            warnings.push(Diagnostic::new(Code::MetricDrop, message));
        }
        Some(Choice { point, why, unmet: None })
    }

    /// Every point has one answer for everything.
    fn dead(&self) -> Choice {
        let worth = |n: usize| (self.score(n).metric, -self.score(n).loss);
        let point = (0..self.front.points().len()).fold(0, |best, n| if worth(n) > worth(best) { n } else { best });
        let cure = match self.config.epochs {
            0 => "give more init_bits, or train for some epochs",
            _ => "give more epochs, larger budgets or a lower beta",
        };
        let config = self.config;
        let asked = [
            (target_field(self.front.count()), config.target().is_some()),
            ("max_metric_drop", config.max_metric_drop.is_some()),
            ("max_output_error", config.max_output_error.is_some()),
        ];
        let asked: Vec<&str> = asked.into_iter().filter(|a| a.1).map(|a| a.0).collect();
        let not = if asked.is_empty() { String::new() } else { format!(", which is not what {} ask for", asked.join(" and ")) };
        let unmet = format!("every model found has one answer for everything, where the one sent has several{not}; {cure}");
        let why = format!("the best {} of models with one answer for everything", self.kind.name());
        Choice { point, why, unmet: Some(unmet) }
    }

    /// Of a front of one there was nothing to choose.
    fn untrained(&self, choice: Choice) -> Choice {
        let only = self.config.epochs == 0 && self.front.points().len() == 1;
        if only { Choice { why: "nothing was trained: it is the only model".into(), ..choice } } else { choice }
    }

    fn smallest_reaching(&self, metric: f64) -> Option<usize> {
        self.front.smallest_reaching(metric - ROUNDING * metric.abs())
    }

    fn reaches(&self, s: &Score, metric: f64) -> bool {
        s.metric >= metric - ROUNDING * metric.abs()
    }

    fn error(&self, metric: f64) -> f64 {
        self.kind.standard_error(metric, self.samples)
    }

    fn score(&self, point: usize) -> &Score {
        &self.front.points()[point].score
    }

    /// A point by the figures that the report lists of it.
    fn told(&self, point: usize) -> String {
        let s = self.score(point);
        let count = self.front.count();
        format!("{:.4} ({} {})", self.kind.shown(s.metric), count.of(s), count.unit())
    }
}

/// The field with a target in this unit.
fn target_field(count: Count) -> &'static str {
    match count {
        Count::Ebops => "target_ebops",
        Count::Luts => "target_luts",
    }
}
