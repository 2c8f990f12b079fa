//! `ConvTranspose`, as a convolution that computes all phases of its stride as channels, and a
//! selection that puts them in their places: no zero is multiplied.

use super::super::broadcast;
use super::super::context::{Context, MAX_SAMPLE, NodeView};
use super::super::fault::Fault;
use super::super::item::{Constant, Item};
use super::dense::{check_size, in_f32};
use super::window::{Attributes, Layout, spatial_rank};
use crate::graph::op::{Dense, Op};
use crate::graph::window::Window;
use crate::ops::Move;

/// One axis of positions: from `size` elements by a kernel of `kernel`, dilation included.
#[derive(Clone, Copy)]
struct Axis {
    size: usize,
    kernel: usize,
    stride: usize,
    /// Elements of the full result that are cut off in front.
    cut: usize,
    output: usize,
}

impl Axis {
    /// Taps of each phase.
    fn taps(&self) -> usize {
        self.kernel.div_ceil(self.stride)
    }

    /// Positions of the convolution.
    fn positions(&self) -> usize {
        ((self.cut + self.output).div_ceil(self.stride)).max(self.size + self.taps() - 1)
    }

    /// Zeros in front and at the end.
    fn pads(&self) -> [usize; 2] {
        let before = self.taps() - 1;
        [before, self.positions() + self.taps() - 1 - self.size - before]
    }

    /// The entry of the kernel that `tap` of `phase` is.
    fn entry(&self, tap: usize, phase: usize) -> Option<usize> {
        let entry = phase + (self.taps() - 1 - tap) * self.stride;
        (entry < self.kernel).then_some(entry)
    }
}

pub fn conv_transpose<'m>(context: &mut Context<'m>, node: &NodeView<'m>) -> Result<Item, Fault> {
    let input = context.data(node, 0)?;
    let rank = spatial_rank(context.shape(input))?;
    let weight = context.constant(node, 1, "weight (input 1)")?;
    let [channels, per_group, kernel @ ..] = weight.shape() else {
        return Err(Fault::new(format!("weight `{}` has shape {:?}", weight.name, weight.shape())));
    };
    let (channels, per_group, kernel) = (*channels, *per_group, kernel.to_vec());
    let shape = Layout::First.last(context.shape(input));
    let groups = usize::try_from(node.attributes().int("group", 1)?).unwrap_or(0);
    if kernel.len() != rank || shape[rank] != channels || groups == 0 || !channels.is_multiple_of(groups) || per_group == 0 {
        return Err(Fault::new(format!("weight `{}` of shape {:?} does not fit its input", weight.name, weight.shape())));
    }
    let (axes, dilation) = axes(node, rank, &kernel, &shape)?;
    let outputs = per_group * groups;
    let bias = match context.optional(node, 2, "bias (input 2)")? {
        Some(bias) => bias.gather(vec![outputs], &broadcast::onto_sample(bias.shape(), &[outputs])?),
        None => Constant::new("bias", crate::onnx::Tensor::f32(vec![outputs], vec![0.0; outputs])),
    };
    weight.check_finite()?;
    bias.check_finite()?;
    if weight.quant.as_ref().is_some_and(|q| q.bipolar) {
        return Err(Fault::new("its weights of one bit have no zero for the phases of its stride"));
    }
    let layer = Phases { axes: &axes, kernel: &kernel, dilation: &dilation, channels, per_group, groups };
    let dense = layer.dense(context, node, &weight, &bias)?;
    let (dense_outputs, window) = (dense.outputs, dense.window.clone());
    let computed = window.map_or_else(Vec::new, |w| w.shape(rank, dense_outputs));
    let last = context.channels_last(node, input, Layout::First)?;
    let phases = context.step(&format!("{}_phases", node.name), Op::Dense(dense), vec![last], computed.clone());
    let output: Vec<usize> = axes.iter().map(|a| a.output).chain([outputs]).collect();
    check_size(output.iter().product())?;
    context.spend(output.iter().product())?;
    let source = layer.places(&computed).into_iter().map(Some).collect();
    context.emit_last(node, Op::Move(Move::Select { source }), vec![phases], output, Layout::First)
}

/// The axes of positions, and the dilation of each.
fn axes(node: &NodeView<'_>, rank: usize, kernel: &[usize], shape: &[usize]) -> Result<(Vec<Axis>, Vec<usize>), Fault> {
    let read = Attributes::read(node, rank, Some(kernel))?;
    if read.kernel() != kernel {
        return Err(Fault::new(format!("kernel_shape {:?} is not that of the weight", read.kernel())));
    }
    let more = |name: &str| -> Result<Option<Vec<usize>>, Fault> {
        let Some(values) = node.attributes().ints(name)? else { return Ok(None) };
        let values: Option<Vec<usize>> = values.iter().rev().take(rank).rev().map(|&v| usize::try_from(v).ok()).collect();
        values.filter(|v| v.len() == rank).map(Some).ok_or_else(|| Fault::new(format!("attribute `{name}` is not {rank} sizes")))
    };
    let (extra, wanted) = (more("output_padding")?, more("output_shape")?);
    let mut axes = Vec::with_capacity(rank);
    for axis in 0..rank {
        let (size, stride) = (shape[axis], read.stride[axis]);
        let kernel = (kernel[axis] - 1) * read.dilation[axis] + 1;
        let extra = extra.as_ref().map_or(0, |e| e[axis]);
        if extra >= stride.max(read.dilation[axis]) && extra > 0 {
            return Err(Fault::new(format!("output_padding {extra} is not below its stride {stride} or dilation")));
        }
        let full = (size - 1) * stride + kernel + extra;
        if full > MAX_SAMPLE {
            return Err(Fault::new(format!("axis {axis} of its result has {full} elements; the limit is {MAX_SAMPLE}")));
        }
        let same = read.auto_pad.starts_with("SAME");
        let target = wanted.as_ref().map(|w| w[axis]).or(same.then(|| size * stride));
        let (cut, output) = match target {
            Some(output) => {
                let total = full.checked_sub(output).ok_or_else(|| Fault::new("its output_shape is larger than it computes"))?;
                let small = total / 2;
                (if read.auto_pad == "SAME_UPPER" { small } else { total - small }, output)
            }
            None => {
                let (begin, end) = (read.pads[axis], read.pads[axis + rank]);
                let output = full.checked_sub(begin + end).filter(|&n| n > 0);
                (begin, output.ok_or_else(|| Fault::new("its pads leave nothing"))?)
            }
        };
        axes.push(Axis { size, kernel, stride, cut, output });
    }
    Ok((axes, read.dilation.clone()))
}

/// The convolution of all phases.
struct Phases<'a> {
    axes: &'a [Axis],
    /// As the file has it, without dilation.
    kernel: &'a [usize],
    dilation: &'a [usize],
    channels: usize,
    /// Outputs of a group.
    per_group: usize,
    groups: usize,
}

impl Phases<'_> {
    fn count(&self) -> usize {
        self.axes.iter().map(|a| a.stride).product()
    }

    /// Channels of the convolution.
    ///
    /// # Errors
    /// More than a sample may have.
    fn outputs(&self) -> Result<usize, Fault> {
        let outputs = self.count().checked_mul(self.groups).and_then(|n| n.checked_mul(self.per_group));
        outputs.filter(|&n| n <= MAX_SAMPLE).ok_or_else(|| Fault::new("its strides make more phases than a sample may have"))
    }

    /// `at` as one index per axis of `sizes`.
    fn split(sizes: impl DoubleEndedIterator<Item = usize>, mut at: usize) -> Vec<usize> {
        let mut parts: Vec<usize> = sizes
            .rev()
            .map(|size| {
                let part = at % size;
                at /= size;
                part
            })
            .collect();
        parts.reverse();
        parts
    }

    /// The element of the kernel under `tap` in `phase`.
    fn entry(&self, tap: usize, phase: usize) -> Option<usize> {
        let taps = Self::split(self.axes.iter().map(Axis::taps), tap);
        let phases = Self::split(self.axes.iter().map(|a| a.stride), phase);
        let mut at = 0;
        for (n, axis) in self.axes.iter().enumerate() {
            let entry = axis.entry(taps[n], phases[n])?;
            if !entry.is_multiple_of(self.dilation[n]) {
                return None;
            }
            at = at * self.kernel[n] + entry / self.dilation[n];
        }
        Some(at)
    }

    /// Channels in the order group, phase, channel of the group.
    fn dense<'m>(
        &self,
        context: &mut Context<'m>,
        node: &NodeView<'m>,
        weight: &Constant,
        bias: &Constant,
    ) -> Result<Dense, Fault> {
        let share = self.channels / self.groups;
        let taps: usize = self.axes.iter().map(Axis::taps).product();
        let (inputs, outputs) = (taps * share, self.outputs()?);
        let size: usize = self.kernel.iter().product();
        context.spend(inputs.saturating_mul(outputs).saturating_mul(if weight.quant.is_some() { 7 } else { 2 }))?;
        let mut source = Vec::with_capacity(inputs * outputs);
        for row in 0..inputs {
            let (tap, channel) = (row / share, row % share);
            for column in 0..outputs {
                let (rest, m) = (column / self.per_group, column % self.per_group);
                let (group, phase) = (rest / self.count(), rest % self.count());
                let place = (group * share + channel) * self.per_group + m;
                source.push(self.entry(tap, phase).map(|entry| place * size + entry));
            }
        }
        let filled: Vec<usize> = source.iter().map(|s| s.unwrap_or(0)).collect();
        let weight = weight.gather(vec![inputs, outputs], &filled);
        let mut values = in_f32(context, node, &weight)?;
        values.iter_mut().zip(&source).filter(|(_, s)| s.is_none()).for_each(|(v, _)| *v = 0.0);
        let of = |o: usize| o / (self.count() * self.per_group) * self.per_group + o % self.per_group;
        let bias = bias.gather(vec![outputs], &(0..outputs).map(of).collect::<Vec<_>>());
        let window = self.window()?;
        context.spend_window(&window, outputs)?;
        Ok(Dense {
            inputs,
            outputs,
            weight: values,
            bias: in_f32(context, node, &bias)?,
            weight_quant: weight.quant.as_deref().cloned(),
            bias_quant: bias.quant.as_deref().cloned(),
            window: Some(window),
        })
    }

    fn window(&self) -> Result<Window, Fault> {
        let shape: Vec<usize> = self.axes.iter().map(|a| a.size).chain([self.channels]).collect();
        let of = |f: fn(&Axis) -> usize| self.axes.iter().map(f).collect::<Vec<_>>();
        let pads = [of(|a| a.pads()[0]), of(|a| a.pads()[1])].concat();
        Window::over(&shape, &of(Axis::taps), &vec![1; self.axes.len()], &pads, self.groups)
            .ok_or_else(|| Fault::new("its kernel does not fit its input"))
    }

    /// Where each element of the result is among those of `computed`.
    fn places(&self, computed: &[usize]) -> Vec<usize> {
        let outputs = self.per_group * self.groups;
        let len: usize = self.axes.iter().map(|a| a.output).product::<usize>() * outputs;
        let place = |e: usize| {
            let (position, channel) = (e / outputs, e % outputs);
            let at = Self::split(self.axes.iter().map(|a| a.output), position);
            let (mut pixel, mut phase) = (0, 0);
            for (n, axis) in self.axes.iter().enumerate() {
                let o = at[n] + axis.cut;
                pixel = pixel * computed[n] + o / axis.stride;
                phase = phase * axis.stride + o % axis.stride;
            }
            let (group, m) = (channel / self.per_group, channel % self.per_group);
            pixel * computed[self.axes.len()] + (group * self.count() + phase) * self.per_group + m
        };
        (0..len).map(place).collect()
    }
}
