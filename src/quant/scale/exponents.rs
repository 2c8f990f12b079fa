//! The exponent of every class of elements: the power of two next to the spread of its values.

use super::ties::Classes;
use super::{MinMax, Spread};
use crate::graph::{Graph, Op};
use crate::quant::kif::{exp2i, floor_log2};
use std::f64::consts::SQRT_2;

/// Exponents beyond this are left at it: formats and weights stay what f32 can hold.
const LIMIT: i32 = 60;

/// Smallest spread of an input beside its magnitude: f32 data tell no finer steps apart, so less is
/// the rounding of a constant, which has the exponent of its magnitude.
const MIN_OF_INPUTS: f64 = 1.0 / (1 << 24) as f64;
/// The same for everything else, of which no constant is taken away: the weights that read it must
/// still hold their share of the constant in the bits that training has for weights.
const MIN_SPREAD: f64 = 1.0 / (1 << 10) as f64;

/// By value: the exponent of each element.
pub(super) fn find(graph: &Graph, c: &Classes, spreads: &[Spread], ranges: &[MinMax]) -> Vec<Vec<i32>> {
    let mut known = measured(graph, c, spreads, ranges);
    by_weights(graph, c, &mut known);
    let of_class = with_products(c, known);
    let element = |v: usize, e: usize| of_class[c.class(c.unit(v, e))];
    (0..graph.values.len()).map(|v| (0..graph.len_of(v)).map(|e| element(v, e)).collect()).collect()
}

/// The exponent of a positive number: `round(log2 x)`, the same for a multiple by a power of two
/// but for that power.
fn exponent(x: f64) -> i32 {
    (floor_log2(x * SQRT_2)).clamp(-LIMIT, LIMIT)
}

/// By class: from the largest spread of its units, else from their largest magnitude; none where
/// all values are 0.
fn measured(graph: &Graph, c: &Classes, spreads: &[Spread], ranges: &[MinMax]) -> Vec<Option<i32>> {
    let (mut spread, mut top, mut least) = (vec![0f64; c.count()], vec![0f64; c.count()], vec![MIN_SPREAD; c.count()]);
    let usable = |x: f64| x.is_finite() && x >= f64::MIN_POSITIVE;
    for v in 0..graph.values.len() {
        for n in 0..c.units[v] {
            let class = c.class(c.unit(v, n));
            if graph.inputs.contains(&v) {
                least[class] = MIN_OF_INPUTS;
            }
            let deviation = if spreads[v].is_empty() { 0.0 } else { spreads[v].of_channel(n, c.units[v]) };
            spread[class] = spread[class].max(if usable(deviation) { deviation } else { 0.0 });
            for e in (n..ranges[v].max.len()).step_by(c.units[v].max(1)) {
                let reach = ranges[v].max[e].abs().max(ranges[v].min[e].abs());
                top[class] = top[class].max(if usable(reach) { reach } else { 0.0 });
            }
        }
    }
    let known = |(class, (&spread, &top)): (usize, (&f64, &f64))| match (c.fixed[class], spread > 0.0, top > 0.0) {
        (true, ..) => Some(0),
        (false, true, _) if spread >= least[class] * top => Some(exponent(spread)),
        (false, _, true) => Some(exponent(top)),
        (false, _, false) => None,
    };
    spread.iter().zip(&top).enumerate().map(known).collect()
}

/// What the data never drive is scaled as its weights ask, so that it does not depend on the units
/// of the file either.
fn by_weights(graph: &Graph, c: &Classes, known: &mut [Option<i32>]) {
    for node in &graph.nodes {
        let Op::Dense(d) = &node.op else { continue };
        for row in 0..d.inputs {
            // the largest weight of the row, by what its outputs are scaled with
            let mut most: Option<(usize, f64)> = None;
            for o in 0..d.outputs {
                let channel = d.window.as_ref().map_or(row, |w| w.channel(row, o, d.outputs));
                let class = c.class(c.unit(node.inputs[0], channel));
                let to = known[c.class(c.unit(node.output, o))].unwrap_or(0);
                let w = f64::from(d.weight[row * d.outputs + o].abs()) * exp2i(-to);
                if known[class].is_none() && w > most.map_or(0.0, |m| m.1) && w.is_finite() {
                    most = Some((class, w));
                }
            }
            if let Some((class, w)) = most {
                known[class] = Some((-exponent(w)).clamp(-LIMIT, LIMIT));
            }
        }
    }
}

/// Exponents of products are the sums of those of their factors. Where something else says what a
/// product must have, neither it nor its factors are scaled.
fn with_products(c: &Classes, known: Vec<Option<i32>>) -> Vec<i32> {
    let plain: Vec<i32> = known.iter().map(|k| k.unwrap_or(0)).collect();
    if c.products.is_empty() {
        return plain;
    }
    let products: Vec<[usize; 3]> = c.products.iter().map(|p| p.map(|unit| c.class(unit))).collect();
    let mut fixed = c.fixed.clone();
    // each turn fixes a class more, or is the last
    loop {
        let mut of: Vec<i32> = plain.iter().zip(&fixed).map(|(&e, &fixed)| if fixed { 0 } else { e }).collect();
        let mut derived = vec![false; of.len()];
        let mut conflict = None;
        // in the order of the nodes: the factors of a product are known before it
        for &[a, b, product] in &products {
            let sum = of[a] + of[b];
            let free = !fixed[product] && !derived[product] && product != a && product != b && sum.abs() <= LIMIT;
            if free {
                (of[product], derived[product]) = (sum, true);
            } else if of[product] != sum || (derived[product] && (product == a || product == b)) {
                conflict = Some([a, b, product]);
                break;
            }
        }
        // what was derived late may have been read before as a factor
        let broken = conflict.or_else(|| products.iter().copied().find(|&[a, b, p]| of[p] != of[a] + of[b]));
        match broken {
            Some(classes) if classes.iter().any(|&class| !fixed[class]) => classes.iter().for_each(|&class| fixed[class] = true),
            _ => return of,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::exponent;

    #[test]
    fn the_nearest_power_of_two() {
        assert_eq!((exponent(1.0), exponent(1.41), exponent(1.42), exponent(0.71), exponent(0.70)), (0, 0, 1, 0, -1));
        assert_eq!((exponent(1e300), exponent(1e-300)), (60, -60));
    }
}
