//! Kernel, strides and pads of the operators in QONNX's `channels_last` domain: data `[N, H, W, C]`
//! or `[N, L, C]`, the latter treated as one row.

use tract_onnx::{pb::NodeProto, tract_core::internal::*};

/// A sliding window over the spatial axes, [height, width].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Window {
    /// Spatial axes in the file, 1 or 2.
    rank: usize,
    pub kernel: [usize; 2],
    strides: [usize; 2],
    dilations: [usize; 2],
    before: [usize; 2],
    after: [usize; 2],
    ceil: bool,
}

/// Sizes of one application: `[height, width]` of input and output, channels and samples of the
/// input.
pub struct Sizes {
    pub samples: usize,
    pub input: [usize; 2],
    pub output: [usize; 2],
    pub channels: usize,
}

impl Window {
    /// Reads the attributes; `kernel_shape` is required.
    pub fn parse(node: &NodeProto) -> TractResult<Window> {
        let name = &node.name;
        let ints = |attribute: &str| node.get_attr_opt_vec::<i64>(attribute);
        let kernel = ints("kernel_shape")?.with_context(|| format!("{name}: no kernel_shape"))?;
        let rank = kernel.len();
        if !(1..=2).contains(&rank) {
            bail!("{name}: a kernel over {rank} axes is not supported");
        }
        let padding = node.get_attr_opt::<&str>("auto_pad")?.unwrap_or("NOTSET");
        if !matches!(padding, "NOTSET" | "VALID" | "") {
            bail!("{name}: auto_pad {padding} is not supported in the channels_last domain");
        }
        let spread = |attribute: &str, values: Vec<i64>, fill: usize, least: usize| -> TractResult<[usize; 2]> {
            let sizes: Vec<usize> = values.iter().filter_map(|&v| usize::try_from(v).ok()).filter(|&v| v >= least).collect();
            match sizes[..] {
                [w] if rank == 1 && values.len() == 1 => Ok([fill, w]),
                [h, w] if rank == 2 && values.len() == 2 => Ok([h, w]),
                _ => bail!("{name}: {attribute} {values:?} does not fit a kernel over {rank} axes"),
            }
        };
        let mut pads = ints("pads")?.unwrap_or_else(|| vec![0; 2 * rank]);
        if pads.len() != 2 * rank {
            bail!("{name}: {} pads for {rank} axes", pads.len());
        }
        let after = pads.split_off(rank);
        Ok(Window {
            rank,
            kernel: spread("kernel_shape", kernel, 1, 1)?,
            strides: spread("strides", ints("strides")?.unwrap_or_else(|| vec![1; rank]), 1, 1)?,
            dilations: spread("dilations", ints("dilations")?.unwrap_or_else(|| vec![1; rank]), 1, 1)?,
            before: spread("pads", pads, 0, 0)?,
            after: spread("pads", after, 0, 0)?,
            ceil: node.get_attr_opt::<i64>("ceil_mode")?.unwrap_or(0) != 0,
        })
    }

    /// # Errors
    /// If the shape is not `[N, spatial…, C]`, or the window does not fit.
    pub fn sizes(&self, shape: &[usize]) -> TractResult<Sizes> {
        let (samples, input, channels) = match *shape {
            [n, l, c] if self.rank == 1 => (n, [1, l], c),
            [n, h, w, c] if self.rank == 2 => (n, [h, w], c),
            _ => bail!("data of shape {shape:?} does not fit a channels-last kernel over {} axes", self.rank),
        };
        let mut output = [0; 2];
        for (axis, size) in output.iter_mut().enumerate() {
            let reach = (self.kernel[axis] - 1) * self.dilations[axis] + 1;
            let padded = input[axis] + self.before[axis] + self.after[axis];
            let Some(room) = padded.checked_sub(reach) else {
                bail!("a kernel of reach {reach} does not fit {padded} positions");
            };
            *size = room / self.strides[axis] + 1;
            // with ceil_mode a last, partial window counts if it starts inside the data or the
            // padding before it
            if self.ceil && room % self.strides[axis] != 0 && *size * self.strides[axis] < input[axis] + self.before[axis] {
                *size += 1;
            }
        }
        Ok(Sizes { samples, input, output, channels })
    }

    /// Shape of a result with `channels` channels.
    pub fn shape(&self, sizes: &Sizes, channels: usize) -> Vec<usize> {
        match self.rank {
            1 => vec![sizes.samples, sizes.output[1], channels],
            _ => vec![sizes.samples, sizes.output[0], sizes.output[1], channels],
        }
    }

    /// Calls `visit(output position, kernel position, input position)` for every kernel position
    /// that lies on data; positions count in row-major order over all samples, without channels.
    pub fn walk(&self, sizes: &Sizes, mut visit: impl FnMut(usize, usize, usize)) {
        let ([rows, columns], [out_rows, out_columns]) = (sizes.input, sizes.output);
        for sample in 0..sizes.samples {
            for row in 0..out_rows {
                for column in 0..out_columns {
                    let output = (sample * out_rows + row) * out_columns + column;
                    for kr in 0..self.kernel[0] {
                        let Some(r) = self.position(0, row, kr, rows) else { continue };
                        for kc in 0..self.kernel[1] {
                            let Some(c) = self.position(1, column, kc, columns) else { continue };
                            visit(output, kr * self.kernel[1] + kc, (sample * rows + r) * columns + c);
                        }
                    }
                }
            }
        }
    }

    /// Kernel positions on data or padding, which the last windows of `ceil_mode` leave.
    pub fn covered(&self, sizes: &Sizes, output: usize) -> usize {
        let [rows, columns] = sizes.output;
        let at = [output / columns % rows, output % columns];
        let inside = |axis: usize| {
            let limit = self.before[axis] + sizes.input[axis] + self.after[axis];
            let position = |k: &usize| at[axis] * self.strides[axis] + k * self.dilations[axis];
            (0..self.kernel[axis]).filter(|k| position(k) < limit).count()
        };
        inside(0) * inside(1)
    }

    fn position(&self, axis: usize, output: usize, kernel: usize, limit: usize) -> Option<usize> {
        let padded = output * self.strides[axis] + kernel * self.dilations[axis];
        padded.checked_sub(self.before[axis]).filter(|&p| p < limit)
    }
}
