//! The weights of a layer as a map of their bit widths: inputs along, outputs down.
//!
//! One path per width holds all its cells, and neighbours of one width are one rectangle: a large
//! layer stays a few ten kilobytes. Layers with more weights than the map has cells are averaged
//! over blocks.

use super::bits::{WIDEST_COLOUR, class};
use super::plot::drawing;
use super::text::{count, px};
use crate::quant::FixedDense;
use crate::quant::model::enclosed_bits;
use maud::{Markup, html};

/// Cells of a map, along and down.
const COLUMNS: usize = 128;
const ROWS: usize = 64;
/// Width of a map of few columns: its cells are then larger, up to …
const WIDTH: f64 = 560.0;
/// … this size.
const CELL: f64 = 14.0;

/// Widths of a layer's weights in blocks.
struct Map {
    columns: usize,
    rows: usize,
    /// Inputs and outputs of a block.
    block: (usize, usize),
    /// Mean width of each block, rounded up: a block is empty only where all its weights are 0.
    bits: Vec<u32>,
}

impl Map {
    fn of(d: &FixedDense) -> Map {
        let block = (d.inputs.div_ceil(COLUMNS).max(1), d.outputs.div_ceil(ROWS).max(1));
        let (columns, rows) = (d.inputs.div_ceil(block.0), d.outputs.div_ceil(block.1));
        let mut sums = vec![(0u64, 0u64); columns * rows];
        for (e, &w) in d.weight.ints.iter().enumerate() {
            let (input, output) = (e / d.outputs.max(1), e % d.outputs.max(1));
            if let Some(sum) = sums.get_mut(output / block.1 * columns + input / block.0) {
                *sum = (sum.0 + u64::from(enclosed_bits(w)), sum.1 + 1);
            }
        }
        let bits = sums.iter().map(|&(bits, n)| bits.div_ceil(n.max(1)) as u32).collect();
        Map { columns, rows, block, bits }
    }

    /// All cells of a width as the data of a path, and how many they are; runs along a row are one
    /// rectangle.
    fn cells(&self, of: u32, size: f64) -> (String, usize) {
        let (mut d, mut count) = (String::new(), 0);
        for row in 0..self.rows {
            let cells = &self.bits[row * self.columns..][..self.columns];
            let mut column = 0;
            while column < self.columns {
                let run = cells[column..].iter().take_while(|&&b| b.min(WIDEST_COLOUR) == of).count();
                if run > 0 {
                    let (x, y, w, h) = (px(size * column as f64), px(size * row as f64), px(size * run as f64), px(size));
                    d += &format!("M{x} {y}h{w}v{h}h-{w}Z");
                    count += run;
                }
                column += run.max(1);
            }
        }
        (d, count)
    }
}

/// The map, and a note on how to read it; nothing of a layer without weights.
pub fn figure(layer: &str, d: &FixedDense) -> Option<Markup> {
    let map = Map::of(d);
    if map.bits.is_empty() {
        return None;
    }
    let size = (WIDTH / map.columns as f64).clamp(WIDTH / COLUMNS as f64, CELL).floor();
    let (width, height) = (size * map.columns as f64, size * map.rows as f64);
    let description =
        format!("{layer}: bit widths of {} × {} weights; the histogram beside has the numbers", d.inputs, d.outputs);
    let cells = (1..=WIDEST_COLOUR).map(|bits| (bits, map.cells(bits, size))).filter(|(_, (_, n))| *n > 0);
    let inside = html! {
        path class="b0" d={ "M0 0h" (px(width)) "v" (px(height)) "h-" (px(width)) "Z" } {}
        @for (bits, (d, n)) in cells {
            path class=(class(bits)) d=(d) { title { (bits) @if bits == WIDEST_COLOUR { " or more" } " bits: " (n) } }
        }
    };
    let (inputs, outputs) = map.block;
    Some(html! {
        figure {
            (drawing(width, height, "map", &description, &inside))
            figcaption {
                "Bit widths of the weights: " (count(d.inputs as u64)) " inputs along, " (count(d.outputs as u64)) " outputs down."
                @if map.block != (1, 1) { " Each cell: the mean of " (inputs) " × " (outputs) " weights, rounded up." }
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quant::FixedTensor;

    fn dense(inputs: usize, outputs: usize, weight: Vec<i64>) -> FixedDense {
        FixedDense {
            inputs,
            outputs,
            weight: FixedTensor { ints: weight, frac: 0 },
            bias: FixedTensor { ints: vec![0; outputs], frac: 0 },
            weight_bits: Vec::new(),
            bias_bits: Vec::new(),
            window: None,
            ebops_scale: 1.0,
        }
    }

    #[test]
    fn inputs_go_along_and_runs_are_one_rectangle() {
        // [inputs][outputs]: output 0 reads 5, 5, 0; output 1 reads 0, 1, 4
        let map = Map::of(&dense(3, 2, vec![5, 0, 5, 1, 0, 4]));
        assert_eq!((map.columns, map.rows, &map.bits[..]), (3, 2, &[3, 3, 0, 0, 1, 1][..]));
        assert_eq!(map.cells(3, 10.0), ("M0 0h20v10h-20Z".into(), 2));
        assert_eq!(map.cells(1, 10.0), ("M10 10h20v10h-20Z".into(), 2));
    }

    #[test]
    fn a_large_layer_is_a_map_of_bounded_size() {
        let (inputs, outputs) = (1000, 300);
        let weights: Vec<i64> = (0..inputs * outputs).map(|e| (e * 7919 % 255) as i64).collect();
        let d = dense(inputs, outputs, weights);
        let map = Map::of(&d);
        assert_eq!((map.columns, map.rows, map.block), (125, 60, (8, 5)));
        assert!(figure("large", &d).unwrap().into_string().len() < 200_000);
        // one weight in a block of zeros is not lost
        let mut one = vec![0; inputs * outputs];
        one[0] = 1;
        assert_eq!(Map::of(&dense(inputs, outputs, one)).bits[0], 1);
        assert!(figure("none", &dense(0, 0, Vec::new())).is_none());
    }
}
