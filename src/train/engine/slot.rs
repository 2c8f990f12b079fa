//! Where the values of one tensor lie.

use super::kernel::pad;
/// A value in a buffer, and how it lies there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Slot {
    /// Index of a block buffer (values and gradients alike).
    pub buffer: usize,
    pub positions: usize,
    pub channels: usize,
}

impl Slot {
    /// Floats of one row: one position.
    pub fn row(&self) -> usize {
        pad(self.channels)
    }

    /// Floats of one sample.
    pub fn stride(&self) -> usize {
        self.positions * self.row()
    }

    /// Elements of one sample.
    pub fn elements(&self) -> usize {
        self.positions * self.channels
    }

    /// Where element `e` of a sample lies.
    pub fn offset(&self, e: usize) -> usize {
        let channels = self.channels.max(1);
        e / channels * self.row() + e % channels
    }

    /// True when no padding lies between the rows.
    pub fn is_dense(&self) -> bool {
        self.positions == 1 || self.row() == self.channels
    }
}
