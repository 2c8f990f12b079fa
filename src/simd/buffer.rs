//! Buffers of numbers that start on a cache line, so that no 64-byte load of a padded row crosses
//! two.

use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};

/// Bytes of a cache line, and of the widest register.
const LINE: usize = 64;

#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([u8; LINE]);

/// Numbers of which every bit pattern is one, all zeros included.
///
/// # Safety
/// Only for types without padding and invalid values, whose size divides a cache line.
pub unsafe trait Plain: Copy + Send + Sync {
    const ZERO: Self;
}

// SAFETY: plain numbers of 4 and 8 bytes.
unsafe impl Plain for f32 {
    const ZERO: f32 = 0.0;
}
// SAFETY: as above.
unsafe impl Plain for f64 {
    const ZERO: f64 = 0.0;
}
// SAFETY: as above.
unsafe impl Plain for i64 {
    const ZERO: i64 = 0;
}

/// Numbers, cache-line aligned.
#[derive(Clone)]
pub struct Buffer<T: Plain = f32> {
    lines: Vec<Line>,
    len: usize,
    of: PhantomData<T>,
}

impl<T: Plain> Default for Buffer<T> {
    fn default() -> Self {
        Buffer { lines: Vec::new(), len: 0, of: PhantomData }
    }
}

impl<T: Plain> Buffer<T> {
    /// `len` zeros.
    pub fn new(len: usize) -> Buffer<T> {
        let mut buffer = Buffer::default();
        buffer.resize(len);
        buffer
    }

    /// `len` times `value`.
    pub fn filled(len: usize, value: T) -> Buffer<T> {
        let mut buffer = Buffer::new(len);
        buffer.fill(value);
        buffer
    }

    /// Makes it `len` long; what it holds then is zeros or what it held before. Its memory stays:
    /// buffers that are used again and again are zeroed once. Panics, as a `Vec` does, when so many
    /// numbers do not fit the address space.
    pub fn resize(&mut self, len: usize) {
        // not wrapped: `Vec` refuses what no address space holds
        let lines = len.saturating_mul(size_of::<T>()).div_ceil(LINE).max(self.lines.len());
        self.lines.resize(lines, Line([0; LINE]));
        self.len = len;
    }
}

impl<T: Plain> Deref for Buffer<T> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        // SAFETY: `lines` holds at least `len` contiguous initialised numbers, and any bytes are
        // numbers (`Plain`).
        unsafe { std::slice::from_raw_parts(self.lines.as_ptr().cast(), self.len) }
    }
}

impl<T: Plain> DerefMut for Buffer<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as above, and `self` is borrowed mutably.
        unsafe { std::slice::from_raw_parts_mut(self.lines.as_mut_ptr().cast(), self.len) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn begins_on_a_line_whatever_it_holds() {
        let mut b = Buffer::filled(13, 2.5f64);
        assert_eq!((b.as_ptr() as usize % LINE, &b[..]), (0, &[2.5; 13][..]));
        b.resize(3);
        b.resize(40);
        assert_eq!((b.len(), &b[..3], b.as_ptr() as usize % LINE), (40, &[2.5; 3][..], 0));
        assert_eq!((&Buffer::<i64>::new(9)[..], Buffer::<f32>::default().len()), (&[0; 9][..], 0));
    }
}
