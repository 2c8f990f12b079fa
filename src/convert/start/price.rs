//! The price per EBOP at which rounding errs as much as is allowed.

/// Prices tried at most. The error grows nearly in proportion to the price, so a few do.
const TRIES: usize = 8;
/// The price tried first.
const FIRST_PRICE: f64 = 1e-7;
/// A price at which nothing is rounded that matters: what error is left is that of tables, slopes
/// and reciprocals.
const CHEAPEST: f64 = 1e-12;
/// A price this much lower that does not halve the error shows that such an error is left.
const FALL: f64 = 8.0;

/// The model of the highest price whose error is between `least` and `target`, else of one below,
/// else the nearest; `None` where no error is finite. What no price takes away (see [`FALL`]) is
/// allowed on top. `tried`: the model of a price and its error.
pub fn search<M: Clone>((least, target): (f64, f64), tried: &mut dyn FnMut(f64) -> (M, f64)) -> Option<M> {
    let mut floor = None;
    let (mut price, mut low, mut high) = (FIRST_PRICE, 0f64, f64::INFINITY);
    let (mut within, mut nearest): (Option<M>, Option<(M, f64)>) = (None, None);
    let mut above: Option<(f64, f64)> = None;
    for _ in 0..TRIES {
        let (model, error) = tried(price);
        if !error.is_finite() {
            // too many bits
            low = low.max(price);
            price = if high.is_finite() { (low * high).sqrt() } else { price * 64.0 };
            continue;
        }
        if floor.is_none() && above.is_some_and(|(p, e)| price * FALL <= p && error > e / 2.0) && error > target {
            let (model, left) = tried(CHEAPEST);
            floor = Some(if left.is_finite() { left } else { 0.0 });
            if left.is_finite() {
                (low, high, within) = (CHEAPEST, f64::INFINITY, Some(model));
            }
        }
        if nearest.as_ref().is_none_or(|(_, least)| error < *least) {
            nearest = Some((model.clone(), error));
        }
        // errors of rounding add to those that no bits take away
        let excess = error - floor.unwrap_or(0.0);
        if excess <= target {
            (low, within) = (price, Some(model));
            if excess >= least {
                break;
            }
        } else {
            (high, above) = (price, Some((price, error)));
        }
        // in proportion to the error, but never beyond what is known
        let next = price * (0.95 * target / excess.max(1e-3 * target)).clamp(1e-3, 1e3);
        price = match (next > low && next < high, high.is_finite()) {
            (true, _) => next,
            (false, true) if low > 0.0 => (low * high).sqrt(),
            (false, true) => high / 8.0,
            (false, false) => price * 8.0,
        };
    }
    within.or(nearest.map(|(model, _)| model))
}

#[cfg(test)]
mod tests {
    use super::search;

    const AIM: (f64, f64) = (0.82e-4, 0.92e-4);

    /// The price found where `error` is that of a price.
    fn found(error: impl Fn(f64) -> f64) -> Option<f64> {
        search(AIM, &mut |price| (price, error(price)))
    }

    #[test]
    fn the_aim_is_met() {
        for slope in [1e-3, 1.0, 40.0, 1e5] {
            let error = |price: f64| slope * price;
            assert!((AIM.0..=AIM.1).contains(&error(found(error).unwrap())), "{slope}");
        }
    }

    #[test]
    fn what_no_bits_take_away_comes_on_top() {
        let error = |price: f64| 2e-3 + 10.0 * price;
        assert!((2e-3..=2e-3 + AIM.1).contains(&error(found(error).unwrap())));
        assert!(found(error).unwrap() > 1e-7);
    }

    #[test]
    fn prices_with_too_many_bits_are_left() {
        let error = |price: f64| if price < 3e-6 { f64::INFINITY } else { 20.0 * price };
        let price = found(error).unwrap();
        assert!((3e-6..=AIM.1 / 20.0).contains(&price), "{price}");
        // none within: the nearest
        let error = |price: f64| if price < 1e-4 { f64::INFINITY } else { 20.0 * price };
        assert!(found(error).unwrap() < 3e-4);
        assert_eq!(found(|_| f64::INFINITY), None);
    }

    #[test]
    fn a_step_over_the_aim_gives_the_side_below() {
        let error = |price: f64| if price < 1e-9 { 1e-5 } else { 1e-3 };
        assert_eq!(error(found(error).unwrap()), 1e-5);
    }
}
