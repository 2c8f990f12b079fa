//! Positions of a window under which lies the same: what is computed for one holds for the others.
//! In most images nearly all pixels are alike, and positions differ only in or near the padding.

use crate::graph::Window;
use std::collections::HashMap;
use std::hash::Hash;

/// In [`classes`], a pixel of padding.
const PADDING: u32 = u32::MAX;

/// Positions by what lies under their taps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alike {
    /// Per position: its pattern.
    pub pattern: Vec<u32>,
    /// Per pattern: the first position that has it.
    pub first: Vec<usize>,
}

impl Alike {
    /// Those of `window` over the elements `x` of its input.
    pub fn new<T: Eq + Hash>(window: &Window, x: &[T]) -> Alike {
        let classes = classes(x, window.input[2]);
        let mut known: HashMap<Box<[u32]>, u32> = HashMap::new();
        let (mut pattern, mut first) = (Vec::with_capacity(window.positions()), Vec::new());
        // of the position before: most positions of an image are like it
        let (mut last, mut under) = (Vec::new(), Vec::new());
        for position in 0..window.positions() {
            under.clear();
            under.extend((0..window.taps()).map(|tap| window.pixel(position, tap).map_or(PADDING, |p| classes[p])));
            let number = match pattern.last() {
                Some(&number) if under == last => number,
                _ => known.get(under.as_slice()).copied().unwrap_or(first.len() as u32),
            };
            if number as usize == first.len() {
                first.push(position);
                known.insert(under.as_slice().into(), number);
            }
            pattern.push(number);
            std::mem::swap(&mut last, &mut under);
        }
        Alike { pattern, first }
    }
}

/// A number per pixel; pixels whose channels are the same share one.
fn classes<T: Eq + Hash>(x: &[T], channels: usize) -> Vec<u32> {
    let mut known: HashMap<&[T], u32> = HashMap::new();
    let mut last: (&[T], u32) = (&[], 0);
    let number = |pixel| {
        if last.0 != pixel {
            let next = known.len() as u32;
            last = (pixel, *known.entry(pixel).or_insert(next));
        }
        last.1
    };
    x.chunks_exact(channels.max(1)).map(number).collect()
}
