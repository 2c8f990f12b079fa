//! Which element of its input each weight of a layer multiplies, at each position of its window:
//! one table for everything that walks over products.

use crate::graph::Window;

/// Marks padding.
const NOTHING: u32 = u32::MAX;

/// The table of a layer `[inputs][outputs]`. A layer without a window has one position and reads
/// its input in order.
#[derive(Clone, Debug)]
pub struct Taps {
    pub positions: usize,
    /// Entries of a patch: rows of the weight matrix.
    pub patch: usize,
    /// `[position][tap]`: the first element of the pixel under it.
    pixels: Vec<u32>,
    /// Per entry: its tap, and its channel within the first group.
    entries: Vec<(u32, u32)>,
    taps: usize,
    group_outputs: usize,
    group_channels: usize,
}

impl Taps {
    pub fn new(inputs: usize, outputs: usize, window: Option<&Window>) -> Taps {
        let Some(w) = window else {
            let entries = (0..inputs as u32).map(|k| (k, 0)).collect();
            let (pixels, group_outputs) = ((0..inputs as u32).collect(), outputs.max(1));
            return Taps { positions: 1, patch: inputs, pixels, entries, taps: inputs, group_outputs, group_channels: 0 };
        };
        let (positions, patch, taps, group_channels) = (w.positions(), w.patch(), w.taps(), w.group_channels());
        let first = |at: usize| w.pixel(at / taps, at % taps).map_or(NOTHING, |pixel| (pixel * w.input[2]) as u32);
        let pixels = (0..positions * taps).map(first).collect();
        let entries = (0..taps as u32).flat_map(|tap| (0..group_channels as u32).map(move |c| (tap, c))).collect();
        Taps { positions, patch, pixels, entries, taps, group_outputs: w.group_outputs(outputs), group_channels }
    }

    /// The table of a pooling window: one output per channel.
    pub fn pooling(window: &Window) -> Taps {
        Taps::new(window.patch(), window.input[2], Some(window))
    }

    /// The element that the weight at row `k` and column `o` multiplies at `position`; `None` in
    /// the padding.
    #[inline]
    pub fn element(&self, position: usize, k: usize, o: usize) -> Option<usize> {
        self.elements(position, o)(k)
    }

    /// [`Taps::element`] by row, for one output at one position.
    #[inline]
    pub fn elements(&self, position: usize, o: usize) -> impl Fn(usize) -> Option<usize> {
        let pixels = &self.pixels[position * self.taps..][..self.taps];
        let shift = o / self.group_outputs * self.group_channels;
        move |k| {
            let (tap, channel) = self.entries[k];
            let pixel = pixels[tap as usize];
            (pixel != NOTHING).then(|| pixel as usize + channel as usize + shift)
        }
    }

    /// The elements that output `o` reads at `position`, in the order of the patch, without
    /// padding.
    #[inline]
    pub fn under(&self, position: usize, o: usize) -> impl Iterator<Item = usize> {
        (0..self.patch).filter_map(move |k| self.element(position, k, o))
    }

    /// True when some weight reads padding.
    pub fn is_padded(&self) -> bool {
        self.pixels.contains(&NOTHING)
    }

    /// `Σ` over the positions of `values` of the elements under entry `k` for output `o`.
    pub fn sum(&self, k: usize, o: usize, values: impl Fn(usize) -> u64) -> u64 {
        (0..self.positions).filter_map(|p| self.element(p, k, o)).map(values).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_the_window() {
        let w = Window { input: [3, 4, 4], kernel: [2, 2], stride: [1, 2], pads: [1, 0, 0, 1], groups: 2 };
        let t = Taps::new(w.patch(), 6, Some(&w));
        for p in 0..w.positions() {
            for k in 0..w.patch() {
                for o in 0..6 {
                    assert_eq!(t.element(p, k, o), w.element(p, k, o, 6), "{p} {k} {o}");
                }
            }
        }
        assert!(t.is_padded());
        assert_eq!(t.under(0, 0).collect::<Vec<_>>(), [0, 1, 4, 5]);
        let flat = Taps::new(3, 2, None);
        assert_eq!((flat.element(0, 2, 1), flat.is_padded()), (Some(2), false));
    }
}
