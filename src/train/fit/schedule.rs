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

/// β over a run.
#[derive(Clone, Debug, PartialEq)]
pub enum Beta {
    Ramp {
        ramp: Ramp,
        start: f64,
        end: f64,
    },
    /// Straight lines through points (u, β), u ascending; constant outside of them.
    Piecewise(Vec<(f64, f64)>),
}

impl Beta {
    pub fn at(&self, u: f64) -> f64 {
        match self {
            Beta::Ramp { ramp, start, end } => ramp.at(*start, *end, u),
            Beta::Piecewise(points) => lines(points, u, |a, b, v| a + (b - a) * v),
        }
    }
}

/// Factor on the learning rates over a stage.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Rate {
    /// The measured recipe (docs/recipe.md#rates): down to a fifth over the trunk, held and
    /// annealed in the branches.
    #[default]
    Recipe,
    /// 1 after the warm-up.
    Constant { warm_up: f64 },
    /// Half cosines from 1 to `end`, `cycles` of them one after the other (warm restarts).
    Cosine { warm_up: f64, cycles: usize, end: f64 },
}

impl Rate {
    /// The factor at `u`. It rises linearly over the share `warm_up` of the stage.
    pub fn at(self, u: f64) -> f64 {
        let (warm_up, rest) = match self {
            Rate::Recipe => (0.0, 1.0),
            Rate::Constant { warm_up } => (warm_up, 1.0),
            Rate::Cosine { warm_up, cycles, end } => {
                let v = ((u - warm_up) / (1.0 - warm_up).max(f64::MIN_POSITIVE)).clamp(0.0, 1.0) * cycles.max(1) as f64;
                // the end of the last cycle is its end, not the start of another
                let v = if u >= 1.0 { 1.0 } else { v.fract() };
                (warm_up, end + (1.0 - end) * 0.5 * (1.0 + (std::f64::consts::PI * v).cos()))
            }
        };
        if u < warm_up { COLD + (1.0 - COLD) * u / warm_up } else { rest }
    }
}

/// Where a warm-up starts: with nothing Adam's first, largest steps would be lost.
const COLD: f64 = 0.01;

/// Straight line between `a` and `b` on a logarithmic scale; both above 0.
pub fn log_line(a: f64, b: f64, u: f64) -> f64 {
    (a.ln() + (b.ln() - a.ln()) * u.clamp(0.0, 1.0)).exp()
}

/// Logarithmic lines through `points` (u, value), u ascending.
pub fn log_piecewise(points: &[(f64, f64)], u: f64) -> f64 {
    lines(points, u, log_line)
}

/// `points` (u, value) joined by `line(a, b, v)`, v from 0 to 1; constant outside of them.
fn lines(points: &[(f64, f64)], u: f64, line: impl Fn(f64, f64, f64) -> f64) -> f64 {
    for pair in points.windows(2) {
        let ((u0, a), (u1, b)) = (pair[0], pair[1]);
        if u <= u1 {
            return line(a, b, if u1 > u0 { ((u - u0) / (u1 - u0)).clamp(0.0, 1.0) } else { 1.0 });
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
    fn beta_follows_its_points() {
        let beta = Beta::Piecewise(vec![(0.2, 1.0), (0.6, 3.0), (1.0, 2.0)]);
        for (u, want) in [(0.0, 1.0), (0.2, 1.0), (0.4, 2.0), (0.6, 3.0), (0.8, 2.5), (1.0, 2.0)] {
            assert!((beta.at(u) - want).abs() < 1e-12, "{u}");
        }
    }

    #[test]
    fn rates_warm_up_and_restart() {
        let rate = Rate::Cosine { warm_up: 0.25, cycles: 2, end: 0.1 };
        for (u, want) in [(0.0, 0.01), (0.125, 0.505), (0.25, 1.0), (0.4375, 0.55), (0.625, 1.0), (0.8125, 0.55), (1.0, 0.1)] {
            assert!((rate.at(u) - want).abs() < 1e-12, "{u}: {}", rate.at(u));
        }
        let constant = Rate::Constant { warm_up: 0.5 };
        assert_eq!((constant.at(0.0), constant.at(0.5), constant.at(1.0)), (0.01, 1.0, 1.0));
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
