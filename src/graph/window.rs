//! How a layer slides over a channels-last sample: convolutions, pooling, and products at every
//! position of a tensor.

/// A two-dimensional window over a sample `[height, width, channels]`; a one-dimensional one has
/// height 1. Dilation is 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// Height, width and channels of the input.
    pub input: [usize; 3],
    /// Height and width of the kernel.
    pub kernel: [usize; 2],
    pub stride: [usize; 2],
    /// Rows above, columns left, rows below, columns right that are added around the input.
    pub pads: [usize; 4],
    /// Channels are split into this many groups that do not see each other; all channels for a
    /// depthwise layer and for pooling.
    pub groups: usize,
}

impl Window {
    /// The window of a product at every position: kernel 1, stride 1.
    pub fn pointwise(height: usize, width: usize, channels: usize) -> Window {
        Window { input: [height, width, channels], kernel: [1, 1], stride: [1, 1], pads: [0; 4], groups: 1 }
    }

    /// A window over a sample of `shape` (channels last, one or two axes of positions), from one
    /// number per axis; `pads` has the begin of every axis, then the end. `None` where the numbers
    /// are not as many.
    pub fn over(shape: &[usize], kernel: &[usize], stride: &[usize], pads: &[usize], groups: usize) -> Option<Window> {
        Some(match (shape, kernel, stride, pads) {
            (&[width, channels], &[kernel], &[stride], &[left, right]) => Window {
                input: [1, width, channels],
                kernel: [1, kernel],
                stride: [1, stride],
                pads: [0, left, 0, right],
                groups,
            },
            (&[height, width, channels], &[rows, columns], &[down, along], &[top, left, bottom, right]) => Window {
                input: [height, width, channels],
                kernel: [rows, columns],
                stride: [down, along],
                pads: [top, left, bottom, right],
                groups,
            },
            _ => return None,
        })
    }

    /// Height and width of the output; 0 where the kernel does not fit.
    pub fn output(&self) -> [usize; 2] {
        let size = |axis: usize| {
            let padded = self.input[axis] + self.pads[axis] + self.pads[axis + 2];
            match padded.checked_sub(self.kernel[axis]) {
                Some(room) => room / self.stride[axis].max(1) + 1,
                None => 0,
            }
        };
        [size(0), size(1)]
    }

    /// Output positions.
    pub fn positions(&self) -> usize {
        self.output().iter().product()
    }

    /// The sample shape of the output with `axes` axes of positions, 1 or 2, and `channels`.
    pub fn shape(&self, axes: usize, channels: usize) -> Vec<usize> {
        [&self.output()[2 - axes.min(2)..], &[channels]].concat()
    }

    /// Kernel positions.
    pub fn taps(&self) -> usize {
        self.kernel[0] * self.kernel[1]
    }

    /// Channels of one group.
    pub fn group_channels(&self) -> usize {
        self.input[2] / self.groups.max(1)
    }

    /// Elements that one output reads: taps × channels of its group, in that order.
    pub fn patch(&self) -> usize {
        self.taps() * self.group_channels()
    }

    /// True when each channel is a group of its own.
    pub fn is_depthwise(&self) -> bool {
        self.groups == self.input[2]
    }

    /// The pixel (row-major index into height × width) under tap `tap` at output position
    /// `position`; `None` in the padding.
    pub fn pixel(&self, position: usize, tap: usize) -> Option<usize> {
        let columns = self.output()[1].max(1);
        let at = |axis: usize, out: usize, tap: usize| {
            let padded = out * self.stride[axis] + tap;
            padded.checked_sub(self.pads[axis]).filter(|&at| at < self.input[axis])
        };
        let row = at(0, position / columns, tap / self.kernel[1])?;
        let column = at(1, position % columns, tap % self.kernel[1])?;
        Some(row * self.input[1] + column)
    }

    /// How many of `outputs` output channels a group computes.
    pub fn group_outputs(&self, outputs: usize) -> usize {
        (outputs / self.groups.max(1)).max(1)
    }

    /// The input channel that entry `k` of the patch of output channel `o` (of `outputs`) reads.
    pub fn channel(&self, k: usize, o: usize, outputs: usize) -> usize {
        o / self.group_outputs(outputs) * self.group_channels() + k % self.group_channels().max(1)
    }

    /// The element of the input sample that entry `k` of the patch of output channel `o` (of
    /// `outputs`) reads at `position`; `None` in the padding.
    pub fn element(&self, position: usize, k: usize, o: usize, outputs: usize) -> Option<usize> {
        Some(self.pixel(position, k / self.group_channels().max(1))? * self.input[2] + self.channel(k, o, outputs))
    }

    /// The weight row with which output channel `o` (of `outputs`) multiplies `channel` under tap
    /// `tap`; `None` in another group.
    pub fn row(&self, tap: usize, channel: usize, o: usize, outputs: usize) -> Option<usize> {
        let per_group = self.group_channels().max(1);
        (channel / per_group == o / self.group_outputs(outputs)).then_some(tap * per_group + channel % per_group)
    }

    /// True when some output may read nothing but padding.
    pub fn sees_padding_only(&self) -> bool {
        (0..2).any(|a| self.pads[a] >= self.kernel[a] || self.pads[a + 2] >= self.kernel[a])
    }

    /// True when some output reads padding.
    pub fn is_padded(&self) -> bool {
        self.pads != [0; 4]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_and_pixels() {
        let w = Window { input: [4, 5, 2], kernel: [3, 2], stride: [2, 1], pads: [1, 0, 1, 1], groups: 1 };
        assert_eq!((w.output(), w.positions(), w.patch()), ([2, 5], 10, 12));
        // first row of taps of the first position is padding; the last column's second tap as well
        assert_eq!((w.pixel(0, 0), w.pixel(0, 2), w.pixel(4, 2), w.pixel(4, 3)), (None, Some(0), Some(4), None));
        // entry 5 is channel 1 under tap 2, entry 7 under tap 3
        assert_eq!((w.element(0, 5, 0, 7), w.element(0, 7, 0, 7)), (Some(1), Some(3)));
    }

    #[test]
    fn one_axis_is_a_row() {
        let w = Window::over(&[5, 2], &[3], &[2], &[1, 0], 1).unwrap();
        assert_eq!(w, Window { input: [1, 5, 2], kernel: [1, 3], stride: [1, 2], pads: [0, 1, 0, 0], groups: 1 });
        assert_eq!((w.shape(1, 7), w.shape(2, 7)), (vec![2, 7], vec![1, 2, 7]));
        assert_eq!(Window::over(&[5, 2], &[3, 3], &[2], &[1, 0], 1), None);
    }

    #[test]
    fn groups_read_their_channels() {
        let w = Window { input: [1, 3, 4], kernel: [1, 2], stride: [1, 1], pads: [0; 4], groups: 2 };
        // outputs 0..3 read channels 0, 1; outputs 3..6 channels 2, 3
        assert_eq!((w.patch(), w.element(1, 3, 2, 6), w.element(1, 3, 3, 6)), (4, Some(9), Some(11)));
        assert_eq!((w.row(1, 3, 3, 6), w.row(1, 3, 2, 6), w.row(0, 1, 2, 6)), (Some(3), None, Some(1)));
    }
}
