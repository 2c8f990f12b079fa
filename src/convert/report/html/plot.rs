//! Axes and frames of charts, as inline SVG.

use super::text::{clean, number, px, tooltip};
use maud::{Markup, html};

/// Width of a chart's drawing; it is scaled to the page.
pub const WIDTH: f64 = 360.0;
/// Room for the labels at the left, right, top and bottom.
const MARGIN: [f64; 4] = [52.0, 12.0, 10.0, 38.0];
/// Ratio of the largest and the smallest value from which on an axis is logarithmic, where it may
/// be.
const LOGARITHMIC: f64 = 8.0;

/// A scale from values to coordinates.
#[derive(Clone, Copy, Debug)]
pub struct Axis {
    lo: f64,
    hi: f64,
    log: bool,
    /// Only whole numbers have ticks.
    whole: bool,
    from: f64,
    to: f64,
}

impl Axis {
    /// The same axis for numbers that are counted.
    pub fn whole(self) -> Axis {
        Axis { whole: true, ..self }
    }

    /// An axis over `values` from coordinate `from` to `to`; logarithmic where that may be and the
    /// values ask for it.
    pub fn over(values: impl Iterator<Item = f64>, may_be_log: bool, from: f64, to: f64) -> Axis {
        let finite = values.filter(|v| v.is_finite());
        let (mut lo, mut hi) = finite.fold((f64::INFINITY, f64::NEG_INFINITY), |(lo, hi), v| (lo.min(v), hi.max(v)));
        if lo > hi {
            (lo, hi) = (0.0, 1.0);
        }
        let log = may_be_log && lo > 0.0 && hi / lo >= LOGARITHMIC;
        if lo == hi {
            let room = if lo == 0.0 { 1.0 } else { lo.abs() * 0.1 };
            (lo, hi) = (lo - room, hi + room);
        }
        Axis { lo, hi, log, whole: false, from, to }
    }

    /// The coordinate of a value.
    pub fn at(&self, v: f64) -> f64 {
        let share = match self.log {
            true => (v.max(f64::MIN_POSITIVE) / self.lo).ln() / (self.hi / self.lo).ln(),
            false => (v - self.lo) / (self.hi - self.lo),
        };
        self.from + (self.to - self.from) * share.clamp(0.0, 1.0)
    }

    /// Round values within the axis, about `wanted` of them.
    pub fn ticks(&self, wanted: usize) -> Vec<f64> {
        let wanted = wanted.max(2);
        if self.log {
            let decades = self.lo.log10().floor() as i32..=self.hi.log10().ceil() as i32;
            let steps: &[f64] = if self.hi / self.lo < 100.0 { &[1.0, 2.0, 5.0] } else { &[1.0] };
            let all = decades.flat_map(|d| steps.iter().map(move |s| s * 10f64.powi(d)));
            let all: Vec<f64> = all.filter(|v| (self.lo..=self.hi).contains(v)).collect();
            let every = all.len().div_ceil(wanted).max(1);
            return all.into_iter().step_by(every).collect();
        }
        let rough = (self.hi - self.lo) / wanted as f64;
        let power = 10f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|s| s * power).find(|s| *s >= rough).unwrap_or(rough);
        let step = if self.whole { step.max(1.0) } else { step };
        let first = (self.lo / step).ceil() as i64;
        let last = (self.hi / step).floor() as i64;
        (first..=last).take(2 * wanted + 2).map(|n| n as f64 * step).collect()
    }
}

/// The area of a chart of this height within its labels: left, right, top, bottom.
pub fn area(height: f64) -> [f64; 4] {
    [MARGIN[0], WIDTH - MARGIN[1], MARGIN[2], height - MARGIN[3]]
}

/// What a chart is made of.
pub struct Chart<'a> {
    pub height: f64,
    pub x: Axis,
    pub y: Axis,
    pub x_label: &'a str,
    pub y_label: &'a str,
    /// What is to be seen, for those who do not see it.
    pub description: &'a str,
    /// The drawing itself.
    pub marks: Markup,
}

impl Chart<'_> {
    pub fn svg(&self) -> Markup {
        let [left, right, top, bottom] = area(self.height);
        let middle = px((top + bottom) / 2.0);
        let inside = html! {
            @for v in self.y.ticks(4) {
                path class="grid" d={ "M" (left) " " (px(self.y.at(v))) "H" (right) } {}
                (label(left - 6.0, self.y.at(v) + 4.0, "end", &tick(v)))
            }
            @for v in self.x.ticks(4) {
                path class="grid" d={ "M" (px(self.x.at(v))) " " (top) "V" (bottom) } {}
                (label(self.x.at(v), bottom + 15.0, "middle", &tick(v)))
            }
            path class="axis" d={ "M" (left) " " (top) "V" (bottom) "H" (right) } {}
            (label(right, bottom + 31.0, "end", self.x_label))
            text transform={ "translate(11 " (middle) ") rotate(-90)" } text-anchor="middle" { (clean(self.y_label)) }
            (self.marks)
        };
        drawing(WIDTH, self.height, "chart", self.description, &inside)
    }
}

/// The number at a tick: thousands are short.
fn tick(v: f64) -> String {
    match v.abs() {
        s if s >= 1e6 => format!("{}M", number(v / 1e6)),
        s if s >= 1e4 => format!("{}k", number(v / 1e3)),
        s if s > 0.0 && s < 1e-3 => format!("{v:.0e}"),
        _ => number(v),
    }
}

/// A drawing of this size; `description` is what it says.
pub fn drawing(width: f64, height: f64, class: &str, description: &str, inside: &Markup) -> Markup {
    let (w, h) = (px(width), px(height));
    html! {
        svg class=(class) viewBox={ "0 0 " (w) " " (h) } width=(w) height=(h) role="img" aria-label=(tooltip(description)) {
            (inside)
        }
    }
}

/// Text in a drawing; `anchor`: `start`, `middle` or `end`.
pub fn label(x: f64, y: f64, anchor: &str, text: &str) -> Markup {
    html! { text x=(px(x)) y=(px(y)) text-anchor=(anchor) { (clean(text)) } }
}

/// A line through points of which some may be missing.
pub fn line(points: impl Iterator<Item = Option<(f64, f64)>>) -> String {
    let (mut d, mut pen) = (String::new(), 'M');
    for point in points {
        match point {
            None => pen = 'M',
            Some((x, y)) => {
                d += &format!("{pen}{} {}", px(x), px(y));
                pen = 'L';
            }
        }
    }
    d
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_hold_their_values_and_have_round_ticks() {
        let axis = Axis::over([0.91, 0.97].into_iter(), true, 100.0, 0.0);
        assert_eq!((axis.at(0.91), axis.at(0.97)), (100.0, 0.0));
        let ticks: Vec<String> = axis.ticks(4).into_iter().map(number).collect();
        assert_eq!(ticks, ["0.92", "0.94", "0.96"]);
        assert_eq!(Axis::over([1.0, 3.0].into_iter(), false, 0.0, 1.0).whole().ticks(4), [1.0, 2.0, 3.0]);
        let axis = Axis::over([300.0, 20_000.0].into_iter(), true, 0.0, 100.0);
        assert_eq!(axis.ticks(6), [500.0, 1000.0, 2000.0, 5000.0, 10_000.0, 20_000.0]);
        assert!((axis.at(300.0), axis.at(20_000.0)) == (0.0, 100.0) && axis.at(2449.5) > 49.9 && axis.at(2449.5) < 50.1);
        for strange in [vec![], vec![f64::NAN], vec![0.0, 0.0], vec![5.0], vec![-1e300, 1e300], vec![1e-300, 1e300]] {
            let axis = Axis::over(strange.iter().copied(), true, 0.0, 10.0);
            assert!(axis.ticks(4).len() < 20 && (0.0..=10.0).contains(&axis.at(3.0)), "{strange:?}: {axis:?}");
        }
    }
}
