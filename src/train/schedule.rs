//! Values that change over a run: β ramps, EBOPs targets, learning rates. `u` runs from 0 to 1.

/// Shape of a β ramp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ramp {
    /// `a·(b/a)^u`
    Log,
    /// `a + (b − a)·u`
    Linear,
    /// `a`
    Constant,
}

impl Ramp {
    pub fn at(self, a: f64, b: f64, u: f64) -> f64 {
        match self {
            Ramp::Log => log_line(a, b, u),
            Ramp::Linear => a + (b - a) * u,
            Ramp::Constant => a,
        }
    }
}

/// Straight line between `a` and `b` on a logarithmic scale; both above 0.
pub fn log_line(a: f64, b: f64, u: f64) -> f64 {
    (a.ln() + (b.ln() - a.ln()) * u.clamp(0.0, 1.0)).exp()
}

/// Logarithmic lines through `points` (u, value), u ascending.
pub fn log_piecewise(points: &[(f64, f64)], u: f64) -> f64 {
    for pair in points.windows(2) {
        let ((u0, a), (u1, b)) = (pair[0], pair[1]);
        if u <= u1 {
            return log_line(a, b, if u1 > u0 { (u - u0) / (u1 - u0) } else { 1.0 });
        }
    }
    points.last().map_or(1.0, |p| p.1)
}

/// `a` until `hold`, then a half cosine down to `b`.
pub fn hold_cosine(a: f64, b: f64, hold: f64, u: f64) -> f64 {
    let w = ((u - hold) / (1.0 - hold)).clamp(0.0, 1.0);
    b + (a - b) * 0.5 * (1.0 + (std::f64::consts::PI * w).cos())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ramps_meet_their_ends() {
        assert!((Ramp::Log.at(1e-7, 1e-3, 0.5) - 1e-5).abs() < 1e-12);
        assert!((Ramp::Linear.at(1.0, 3.0, 0.5) - 2.0).abs() < 1e-12);
        assert_eq!(Ramp::Constant.at(1.0, 3.0, 0.5), 1.0);
    }

    #[test]
    fn piecewise_targets_descend_through_their_points() {
        let points = [(0.0, 20_000.0), (0.1, 8_000.0), (1.0, 280.0)];
        assert!((log_piecewise(&points, 0.0) - 20_000.0).abs() < 1e-6);
        assert!((log_piecewise(&points, 0.1) - 8_000.0).abs() < 1e-6);
        assert!((log_piecewise(&points, 1.0) - 280.0).abs() < 1e-6);
        assert!((log_piecewise(&points, 0.55) - (8_000.0f64 * 280.0).sqrt()).abs() < 1e-6);
    }

    #[test]
    fn cosine_holds_then_decays() {
        assert_eq!(hold_cosine(2.0, 1.0, 0.4, 0.4), 2.0);
        assert!((hold_cosine(2.0, 1.0, 0.4, 1.0) - 1.0).abs() < 1e-12);
        assert!((hold_cosine(2.0, 1.0, 0.4, 0.7) - 1.5).abs() < 1e-12);
    }
}
