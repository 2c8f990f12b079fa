//! What a selection does to the positions of a grid: the forms that hls4ml has without a matrix of
//! all elements.

use crate::graph::Window;

/// A selection between two samples with positions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Structure {
    /// The same channels at every position: the one that each channel of the result is.
    Channels(Vec<Option<usize>>),
    /// Some rows and columns, evenly spaced: the window that ends at each and reads its last tap.
    Crop { window: Window, tap: usize },
    /// Every row and column this many times.
    Repeat { factors: [usize; 2] },
    /// Blocks of channels become rows and columns, of which some are cut off at the beginning.
    Blocks { block: [usize; 2], cut: [usize; 2] },
}

/// Rows, columns and channels of a sample with one or two axes of positions.
fn grid(shape: &[usize]) -> Option<[usize; 3]> {
    match *shape {
        [width, channels] => Some([1, width, channels]),
        [height, width, channels] => Some([height, width, channels]),
        _ => None,
    }
}

/// The structure of a selection from a sample of shape `from` to one of shape `to`; `None` where it
/// has none of these.
pub fn of(source: &[Option<usize>], from: &[usize], to: &[usize]) -> Option<Structure> {
    if let Some(channels) = channels(source, from, to) {
        return Some(Structure::Channels(channels));
    }
    let (from, to) = (grid(from).filter(|_| from.len() == to.len())?, grid(to)?);
    let source: Vec<usize> = source.iter().copied().collect::<Option<_>>()?;
    if from[2] == to[2] {
        return positions(&source, from, to);
    }
    let blocks = from[2].checked_div(to[2]).filter(|&b| b > 1 && b * to[2] == from[2])?;
    (1..=blocks).filter(|rows| blocks.is_multiple_of(*rows)).find_map(|rows| as_blocks(&source, from, to, [rows, blocks / rows]))
}

fn channels(source: &[Option<usize>], from: &[usize], to: &[usize]) -> Option<Vec<Option<usize>>> {
    let (&old, before) = from.split_last()?;
    let (&new, after) = to.split_last()?;
    let first = source.get(..new).filter(|_| !before.is_empty() && before == after)?;
    let alike = |(at, row): (usize, &[Option<usize>])| row.iter().zip(first).all(|(e, c)| *e == c.map(|c| at * old + c));
    let inside = first.iter().flatten().all(|&c| c < old);
    (inside && source.chunks(new.max(1)).enumerate().all(alike)).then(|| first.to_vec())
}

/// All channels of other positions.
fn positions(source: &[usize], from: [usize; 3], to: [usize; 3]) -> Option<Structure> {
    let channels = from[2];
    let pixel = |row: usize, column: usize| Some(source.get((row * to[1] + column) * channels)? / channels.max(1));
    let rows: Vec<usize> = (0..to[0]).map(|row| Some(pixel(row, 0)? / from[1])).collect::<Option<_>>()?;
    let columns: Vec<usize> = (0..to[1]).map(|column| Some(pixel(0, column)? % from[1])).collect::<Option<_>>()?;
    let expected = |e: usize| (rows[e / channels / to[1]] * from[1] + columns[e / channels % to[1]]) * channels + e % channels;
    if source.iter().enumerate().any(|(e, &s)| s != expected(e)) {
        return None;
    }
    let repeats = |taken: &[usize], size: usize| {
        let factor = taken.len() / size;
        (factor * size == taken.len() && taken.iter().enumerate().all(|(at, &t)| t == at / factor)).then_some(factor)
    };
    if let (Some(down), Some(along)) = (repeats(&rows, from[0]), repeats(&columns, from[1])) {
        return Some(Structure::Repeat { factors: [down, along] });
    }
    let spaced = |taken: &[usize]| {
        let step = taken.get(1).map_or(1, |&second| second.wrapping_sub(taken[0]));
        let even = taken.windows(2).all(|w| w[1].wrapping_sub(w[0]) == step);
        (even && (1..=1 << 16).contains(&step)).then_some((taken[0], step))
    };
    let ((top, down), (left, along)) = (spaced(&rows)?, spaced(&columns)?);
    // as large that no further window fits
    let kernel = [from[0] - (to[0] - 1) * down, from[1] - (to[1] - 1) * along];
    let window = Window { input: from, kernel, stride: [down, along], pads: [0; 4], groups: channels };
    (top < kernel[0] && left < kernel[1]).then_some(Structure::Crop { window, tap: top * kernel[1] + left })
}

fn as_blocks(source: &[usize], from: [usize; 3], to: [usize; 3], block: [usize; 2]) -> Option<Structure> {
    let first = *source.first()?;
    let (pixel, phase) = (first / from[2], first % from[2] / to[2]);
    let cut = [pixel / from[1] * block[0] + phase / block[1], pixel % from[1] * block[1] + phase % block[1]];
    if cut[0] + to[0] > from[0] * block[0] || cut[1] + to[1] > from[1] * block[1] {
        return None;
    }
    let expected = |e: usize| {
        let (position, channel) = (e / to[2], e % to[2]);
        let (row, column) = (position / to[1] + cut[0], position % to[1] + cut[1]);
        let pixel = row / block[0] * from[1] + column / block[1];
        let phase = row % block[0] * block[1] + column % block[1];
        pixel * from[2] + phase * to[2] + channel
    };
    source.iter().enumerate().all(|(e, &s)| s == expected(e)).then_some(Structure::Blocks { block, cut })
}

#[cfg(test)]
mod tests {
    use super::{Structure, of};
    use crate::graph::Window;

    fn some(source: impl IntoIterator<Item = usize>) -> Vec<Option<usize>> {
        source.into_iter().map(Some).collect()
    }

    #[test]
    fn forms_are_found() {
        let swapped = of(&some([1, 0, 3, 2]), &[2, 2], &[2, 2]);
        assert_eq!(swapped, Some(Structure::Channels(vec![Some(1), Some(0)])));
        let doubled = of(&some([0, 0, 1, 1]), &[2, 1], &[4, 1]);
        assert_eq!(doubled, Some(Structure::Repeat { factors: [1, 2] }));
        let window = Window { input: [1, 5, 1], kernel: [1, 3], stride: [1, 2], pads: [0; 4], groups: 1 };
        assert_eq!(of(&some([1, 3]), &[5, 1], &[2, 1]), Some(Structure::Crop { window, tap: 1 }));
        // two pixels of four channels, without the first row of the 2 × 4 that they become
        let blocks = of(&some([2, 3, 6, 7]), &[1, 2, 4], &[1, 4, 1]);
        assert_eq!(blocks, Some(Structure::Blocks { block: [2, 2], cut: [1, 0] }));
        assert_eq!(of(&some([1, 0]), &[2, 1], &[2, 1]), None);
        assert_eq!(of(&[Some(0), None], &[2, 1], &[2, 1]), None);
    }
}
