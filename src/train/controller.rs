//! The β controller: instead of a β ramp, a schedule of EBOPs targets that β is steered to.
//!
//! Per step, with `V` the EBOPs of exact weight bits and `T` the target: `err = ln(V/T)`, `β = exp(clip(L + 5·err, −18, −3))`, then
//! `L = clip(L + 0.02·err, −16, −4)`.

const PROPORTIONAL: f64 = 5.0;
const INTEGRAL: f64 = 0.02;
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
    pub fn beta(&mut self, ebops: f64, target: f64) -> f64 {
        let error = (ebops.max(1.0) / target.max(1.0)).ln();
        let beta = (self.state + PROPORTIONAL * error).clamp(LOG_BETA.0, LOG_BETA.1).exp();
        self.state = (self.state + INTEGRAL * error).clamp(STATE.0, STATE.1);
        beta
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_many_bits_raise_beta_and_too_few_lower_it() {
        let mut c = Controller::default();
        let on_target = c.beta(1000.0, 1000.0);
        assert!((on_target - 1e-6).abs() < 1e-12);
        assert!(c.beta(2000.0, 1000.0) > on_target && c.state > 1e-6f64.ln());
        let high = c.state;
        assert!(c.beta(500.0, 1000.0) < on_target && c.state < high);
        assert!(c.beta(1e12, 1.0) <= (-3f64).exp() * 1.000001);
    }
}
