//! The β controller: instead of a β ramp, a schedule of EBOPs targets that β is steered to
//! (docs/recipe.md#controller).
//!
//! Per step, with `V` the EBOPs of exact weight bits and `T` the target: `err = ln(V/T)`,
//! `β = exp(clip(L + p·err, −18, −3))`, then `L = clip(L + i·err, −16, −4)`.

/// How firmly β is steered: a target that falls is followed softly, as jumps of β wreck a model
/// that is still large; a constant one is held.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Gains {
    proportional: f64,
    integral: f64,
    /// Of the proportional part, in ln β.
    most: f64,
}

impl Gains {
    pub const FOLLOW: Gains = Gains { proportional: 5.0, integral: 0.02, most: f64::INFINITY };
    pub const HOLD: Gains = Gains { proportional: 20.0, integral: 0.05, most: 1.5 };

    /// [`Self::HOLD`] for a branch of `steps`: a short one has to find its β in as large a share of
    /// it.
    pub fn hold(steps: usize) -> Gains {
        let faster = (HOLD_STEPS / steps.max(1) as f64).max(1.0);
        Gains { integral: Gains::HOLD.integral * faster, ..Gains::HOLD }
    }
}

/// Steps of a branch in which the integral part of [`Gains::HOLD`] has found β well before its
/// rates anneal. With a third of them a branch ended just above its budget, and its annealed model
/// was lost.
const HOLD_STEPS: f64 = 300.0;

const LOG_BETA: (f64, f64) = (-18.0, -3.0);
const STATE: (f64, f64) = (-16.0, -4.0);

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Controller {
    /// `L`, the slow part of ln β.
    pub state: f64,
}

impl Default for Controller {
    fn default() -> Self {
        Controller { state: 1e-6f64.ln() }
    }
}

impl Controller {
    /// β for this step, from the EBOPs now and those wanted.
    pub fn beta(&mut self, ebops: f64, target: f64, gains: Gains) -> f64 {
        let error = (ebops.max(1.0) / target.max(1.0)).ln();
        let beta = (self.state + (gains.proportional * error).clamp(-gains.most, gains.most)).clamp(LOG_BETA.0, LOG_BETA.1).exp();
        self.state = (self.state + gains.integral * error).clamp(STATE.0, STATE.1);
        beta
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holding_is_firm_but_never_jumps() {
        let ratio = |error: f64, gains| Controller::default().beta(1000.0 * error.exp(), 1000.0, gains) / 1e-6;
        assert!((ratio(0.05, Gains::FOLLOW).ln() - 0.25).abs() < 1e-9);
        assert!((ratio(0.05, Gains::HOLD).ln() - 1.0).abs() < 1e-9);
        assert!((ratio(0.3, Gains::HOLD).ln() - 1.5).abs() < 1e-9 && (ratio(-0.3, Gains::HOLD).ln() + 1.5).abs() < 1e-9);
    }

    #[test]
    fn a_short_branch_finds_its_beta_in_as_large_a_share_of_it() {
        let integral = |steps| Gains::hold(steps).integral;
        assert_eq!((integral(300), integral(100_000)), (Gains::HOLD.integral, Gains::HOLD.integral));
        assert!((integral(60) / integral(300) - 5.0).abs() < 1e-9 && integral(0).is_finite());
    }

    #[test]
    fn too_many_bits_raise_beta_and_too_few_lower_it() {
        let mut c = Controller::default();
        let on_target = c.beta(1000.0, 1000.0, Gains::FOLLOW);
        assert!((on_target - 1e-6).abs() < 1e-12);
        assert!(c.beta(2000.0, 1000.0, Gains::FOLLOW) > on_target && c.state > 1e-6f64.ln());
        let high = c.state;
        assert!(c.beta(500.0, 1000.0, Gains::HOLD) < on_target && c.state < high);
        assert!(c.beta(1e12, 1.0, Gains::FOLLOW) <= (-3f64).exp() * 1.000001);
    }
}
