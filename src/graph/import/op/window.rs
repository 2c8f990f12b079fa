//! What convolutions and pooling share: attributes of the window, and the way from the file's
//! layout (channels first) to the graph's (channels last) and back, as permutations that the layout
//! pass removes.

use super::super::context::{Context, MAX_SAMPLE, NodeView};
use super::super::fault::Fault;
use super::super::item::Item;
use super::dense;
use crate::graph::channels;
use crate::graph::dag::{Node, ValueId};
use crate::graph::op::Op;
use crate::graph::window::Window;
use crate::onnx::CHANNELS_LAST;
use crate::ops::Move;

/// Most elements that a window may read in one sample: tables of that size are made of it. 512
/// channels under 3×3 at 512×512 positions.
const MAX_WINDOW_READS: usize = 1 << 31;

/// Where the channels of a node's tensors are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// ONNX.
    First,
    /// `qonnx.custom_op.channels_last`.
    Last,
}

impl Layout {
    pub fn of(node: &NodeView<'_>) -> Layout {
        if node.proto.domain() == CHANNELS_LAST { Layout::Last } else { Layout::First }
    }

    /// A sample shape with the channels last.
    pub fn last(self, shape: &[usize]) -> Vec<usize> {
        match self {
            Layout::First => channels::to_last(shape),
            Layout::Last => shape.to_vec(),
        }
    }
}

impl<'m> Context<'m> {
    /// `value` with the channels last.
    pub fn channels_last(&mut self, node: &NodeView<'m>, value: ValueId, layout: Layout) -> Result<ValueId, Fault> {
        let shape = layout.last(self.shape(value));
        if layout == Layout::Last || shape.len() < 2 {
            return Ok(value);
        }
        self.spend(shape.iter().product())?;
        let source = channels::order(&shape);
        Ok(self.step(&format!("{}_last", node.name), Op::Move(Move::Permute { source }), vec![value], shape))
    }

    /// Accounts for a layer of a window with `outputs` channels.
    ///
    /// # Errors
    /// An output beyond [`MAX_SAMPLE`], or more pixels under the kernel at all positions than an
    /// import may have.
    pub fn spend_window(&mut self, window: &Window, outputs: usize) -> Result<(), Fault> {
        // the tables of training and evaluation hold two words per pixel
        self.spend(window.positions().saturating_mul(window.taps()).saturating_mul(2))?;
        dense::check_size(window.positions().saturating_mul(outputs))
    }

    /// Emits `op`, whose operands and result of `shape` have the channels last; the result of the
    /// node is in the file's layout.
    pub fn emit_last(
        &mut self,
        node: &NodeView<'m>,
        op: Op,
        inputs: Vec<ValueId>,
        shape: Vec<usize>,
        layout: Layout,
    ) -> Result<Item, Fault> {
        if layout == Layout::Last || shape.len() < 2 {
            return Ok(self.emit_many(node, op, inputs, shape));
        }
        self.spend(shape.iter().product())?;
        let source = channels::inverse(&channels::order(&shape));
        let first = channels::to_first(&shape);
        let output = self.graph.add_value(format!("{}_last", node.output()), shape);
        self.graph.nodes.push(Node { name: node.name.clone(), op, inputs, output });
        let view = NodeView { proto: node.proto, name: format!("{}_first", node.name) };
        Ok(self.emit(&view, Op::Move(Move::Permute { source }), output, first))
    }
}

/// Attributes of a window before the input is known.
pub struct Attributes {
    kernel: Vec<usize>,
    pub stride: Vec<usize>,
    /// Begin of every axis, then end of every axis.
    pub pads: Vec<usize>,
    pub dilation: Vec<usize>,
    pub auto_pad: String,
}

impl Attributes {
    /// `rank` spatial axes; `kernel` where the attribute is left out.
    pub fn read(node: &NodeView<'_>, rank: usize, kernel: Option<&[usize]>) -> Result<Attributes, Fault> {
        let attributes = node.attributes();
        let list = |name: &str, len: usize, default: usize| -> Result<Vec<usize>, Fault> {
            let Some(values) = attributes.ints(name)? else { return Ok(vec![default; len]) };
            let fits = |&v: &i64| usize::try_from(v).ok().filter(|&v| v <= MAX_SAMPLE);
            let numbers: Option<Vec<usize>> = values.iter().map(fits).collect();
            let numbers = numbers.filter(|n| n.len() == len).ok_or_else(|| {
                Fault::new(format!(
                    "attribute `{name}` is {values:?}; {len} numbers from 0 to {MAX_SAMPLE} are needed for {rank} axes"
                ))
            })?;
            Ok(numbers)
        };
        let kernel = match (attributes.ints("kernel_shape")?, kernel) {
            (None, Some(kernel)) => kernel.to_vec(),
            (None, None) => return Err(Fault::new("attribute `kernel_shape` is missing")),
            (Some(_), _) => list("kernel_shape", rank, 1)?,
        };
        let dilation: Vec<usize> =
            list("dilations", rank, 1)?.iter().zip(&kernel).map(|(&d, &k)| if k == 1 { 1 } else { d }).collect();
        let stride = list("strides", rank, 1)?;
        if kernel.iter().chain(&stride).chain(&dilation).any(|&v| v == 0) {
            return Err(Fault::new("a kernel size, stride or dilation is 0"));
        }
        let pads = list("pads", 2 * rank, 0)?;
        Ok(Attributes { kernel, stride, pads, dilation, auto_pad: attributes.string("auto_pad", "NOTSET")? })
    }

    pub fn kernel(&self) -> &[usize] {
        &self.kernel
    }

    /// The kernel with the zeros of its dilation.
    pub fn dilated(&self) -> Vec<usize> {
        self.kernel.iter().zip(&self.dilation).map(|(&k, &d)| (k - 1).saturating_mul(d).saturating_add(1)).collect()
    }

    /// The window over a sample of `shape` (channels last); one-dimensional samples have height 1.
    pub fn window(&self, shape: &[usize], groups: usize) -> Result<Window, Fault> {
        let Some((&channels, spatial)) = shape.split_last() else { return Err(Fault::new("its input is a single number")) };
        let rank = spatial.len();
        let kernel = self.dilated();
        if kernel.iter().any(|&k| k > MAX_SAMPLE) {
            return Err(Fault::new(format!("its kernel {:?} with dilations {:?} is too large", self.kernel, self.dilation)));
        }
        let pads = match self.auto_pad.as_str() {
            "" | "NOTSET" => self.pads.clone(),
            "VALID" => vec![0; 2 * rank],
            mode @ ("SAME_UPPER" | "SAME_LOWER") => {
                let total = |axis: usize| {
                    let out = spatial[axis].div_ceil(self.stride[axis]);
                    ((out.saturating_sub(1)) * self.stride[axis] + kernel[axis]).saturating_sub(spatial[axis])
                };
                let small = |axis: usize| total(axis) / 2;
                let large = |axis: usize| total(axis) - small(axis);
                let upper = mode == "SAME_UPPER";
                let begin = (0..rank).map(|a| if upper { small(a) } else { large(a) });
                let end = (0..rank).map(|a| if upper { large(a) } else { small(a) });
                begin.chain(end).collect()
            }
            other => return Err(Fault::new(format!("auto_pad `{other}` is unknown"))),
        };
        let window = Window::over(shape, &kernel, &self.stride, &pads, groups)
            .ok_or_else(|| Fault::new(format!("a kernel over {} axes does not fit its input {shape:?}", self.kernel.len())))?;
        let [height, width] = window.output();
        if height == 0 || width == 0 {
            return Err(Fault::new(format!("its kernel {:?} is larger than the padded input {spatial:?}", self.kernel)));
        }
        // a small file could otherwise ask for any amount of work
        let read = (height * width).checked_mul(window.taps()).and_then(|n| n.checked_mul(channels.max(1)));
        if read.is_none_or(|n| n > MAX_WINDOW_READS) {
            return Err(Fault::new(format!("its window reads more than {MAX_WINDOW_READS} elements per sample")));
        }
        Ok(window)
    }
}

/// The number of spatial axes of a sample, 1 or 2.
pub fn spatial_rank(shape: &[usize]) -> Result<usize, Fault> {
    match shape.len() {
        2 | 3 => Ok(shape.len() - 1),
        _ => Err(Fault::new(format!(
            "its input has sample shape {shape:?}; one- and two-dimensional ones with channels are supported"
        ))),
    }
}
