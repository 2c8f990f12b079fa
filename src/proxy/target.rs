//! What stock hls4ml 1.3.0 computes with the same bits for which of its settings.
//!
//! Every entry was compiled and compared, see `tests/hls4ml/settings.rs`; docs/proxy.md has the
//! same table. What is not exact is refused by [`faults`] before anything is written; what is exact
//! in another form is written in that form (see [`super::write::conv`], [`super::write::pool`] and
//! [`super::write::readers`]).

use super::analysis::selection::{self, Structure};
use super::error::{Fault, Reason};
use crate::graph::{Node, Window};
use crate::onnx::Attributes;
use crate::onnx::proto::{ModelProto, NodeProto};
use crate::ops::{Elementwise, Merge, Move};
use crate::quant::{FixedModel, FixedOp};
use std::fmt;

/// Part of hls4ml that writes the project.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Backend {
    #[default]
    Vitis,
    Vivado,
    Quartus,
    Catapult,
}

impl Backend {
    /// Those that were tried.
    pub const ALL: [Backend; 4] = [Backend::Vitis, Backend::Vivado, Backend::Quartus, Backend::Catapult];

    /// Whether its type of one bit is one (see [`super::write::one_bit`]).
    pub fn has_one_bit(self) -> bool {
        match self {
            Backend::Vitis | Backend::Vivado => true,
            Backend::Quartus | Backend::Catapult => false,
        }
    }

    /// As hls4ml spells it.
    pub fn name(self) -> &'static str {
        match self {
            Backend::Vitis => "Vitis",
            Backend::Vivado => "Vivado",
            Backend::Quartus => "Quartus",
            Backend::Catapult => "Catapult",
        }
    }
}

/// How values come into layers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Io {
    /// All at once.
    #[default]
    Parallel,
    /// Position after position, through queues.
    Stream,
}

impl Io {
    pub const ALL: [Io; 2] = [Io::Parallel, Io::Stream];

    /// As hls4ml spells it.
    pub fn name(self) -> &'static str {
        match self {
            Io::Parallel => "io_parallel",
            Io::Stream => "io_stream",
        }
    }
}

/// How multiplications are shared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Strategy {
    #[default]
    Latency,
    Resource,
    /// Adders and shifts for constant matrices, shared by da4ml.
    DistributedArithmetic,
}

impl Strategy {
    pub const ALL: [Strategy; 3] = [Strategy::Latency, Strategy::Resource, Strategy::DistributedArithmetic];

    /// As hls4ml spells it.
    pub fn name(self) -> &'static str {
        match self {
            Strategy::Latency => "Latency",
            Strategy::Resource => "Resource",
            Strategy::DistributedArithmetic => "distributed_arithmetic",
        }
    }
}

/// The settings of hls4ml that a proxy is written for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Target {
    pub backend: Backend,
    pub io: Io,
    pub strategy: Strategy,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}, {}", self.backend.name(), self.io.name(), self.strategy.name())
    }
}

/// Ways of writing a filter per channel.
const LATENCY: &str = "strategy `Latency` for this layer";
const ORDINARY: &str = "as an ordinary `Conv`";

/// What a node needs of hls4ml, as far as its settings matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feature {
    /// Dense layers, convolutions without padding, their quantizers, `Relu`, `LeakyRelu`,
    /// arithmetic of two tensors or with constants, concatenation, reshaping.
    Plain,
    /// A convolution of one axis with padding.
    PaddedConv1d,
    /// A convolution of two axes with padding, or explicit padding.
    PaddedConv2d,
    /// Windows of one row with a stride over rows, but for 1×1 convolutions.
    SkippedRows,
    /// A filter per channel: depthwise convolutions, averages.
    Depthwise,
    /// Largest values under windows side by side.
    MaxPool,
    /// The same over padding.
    PaddedMaxPool,
    /// Largest values under windows that overlap, or leave gaps.
    OverlappingMaxPool,
    /// Elements that change their positions.
    Moved,
    /// The same by a transposition of more than three axes: channels that become positions.
    Blocks,
    /// The larger or smaller of two tensors.
    Extreme,
    /// Functions by table, and what else reads a quantized tensor: `Sigmoid`, `Elu`, …
    Table,
    /// `Selu`: its factor is a constant of its own, but not everywhere.
    Selu,
    /// Activations of one bit.
    OneBit,
}

/// How a feature is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// As everywhere.
    Exact,
    /// In another form, which is exact.
    Written(&'static str),
    /// Not at all: why, and what to do.
    Refused(&'static str),
}

impl Feature {
    pub const ALL: [Feature; 14] = [
        Feature::Plain,
        Feature::PaddedConv1d,
        Feature::PaddedConv2d,
        Feature::SkippedRows,
        Feature::Depthwise,
        Feature::MaxPool,
        Feature::PaddedMaxPool,
        Feature::OverlappingMaxPool,
        Feature::Moved,
        Feature::Blocks,
        Feature::Extreme,
        Feature::Table,
        Feature::Selu,
        Feature::OneBit,
    ];

    /// As the table of docs/proxy.md calls it.
    pub fn name(self) -> &'static str {
        match self {
            Feature::Plain => "everything else",
            Feature::PaddedConv1d => "padded `Conv` in one dimension",
            Feature::PaddedConv2d => "padded `Conv` in two dimensions, `Pad`",
            Feature::SkippedRows => "windows of one row with a stride over rows, but for 1×1 convolutions",
            Feature::Depthwise => "depthwise `Conv`, averages",
            Feature::MaxPool => "`MaxPool`",
            Feature::PaddedMaxPool => "padded `MaxPool`",
            Feature::OverlappingMaxPool => "`MaxPool` whose stride is not its kernel",
            Feature::Moved => "`Resize`, other positions of elements",
            Feature::Blocks => "`DepthToSpace`, `ConvTranspose`",
            Feature::Extreme => "`Max`, `Min`",
            Feature::Table => "functions by table",
            Feature::Selu => "`Selu`",
            Feature::OneBit => "activations of one bit",
        }
    }

    /// What becomes of it: the table.
    pub fn verdict(self, target: Target) -> Verdict {
        use Verdict::{Exact, Refused, Written};
        match (self, target.backend, target.io, target.strategy) {
            (Feature::Table | Feature::Selu, Backend::Quartus | Backend::Catapult, _, _) => {
                Refused("its tables differ by a step there; use Vitis or Vivado, or an activation without a table")
            }
            (Feature::Selu, _, Io::Stream, _) => {
                Refused("its factor is rounded to the type of its input there; use io_parallel, or Elu")
            }
            (Feature::MaxPool | Feature::PaddedMaxPool | Feature::OverlappingMaxPool, Backend::Catapult, _, _) => {
                Refused("MaxPool gives other values there; use another backend, or strides in the convolutions")
            }
            (Feature::Extreme, Backend::Catapult, Io::Stream, _) => {
                Refused("its C++ of Max and Min does not compile there; use io_parallel or another backend")
            }
            (Feature::Blocks, Backend::Quartus | Backend::Catapult, _, _) => {
                Refused("its Transpose takes at most three axes there; use Vitis or Vivado, or Resize and a Conv")
            }
            (Feature::OneBit, Backend::Quartus | Backend::Catapult, _, _) => Written("with two bits"),
            (Feature::OverlappingMaxPool, _, Io::Stream, _) => Written("as strided `Conv`s and `Max`"),
            (Feature::SkippedRows, Backend::Vitis | Backend::Vivado | Backend::Catapult, Io::Stream, _) => {
                Refused("its line buffer gives the rows that the stride leaves out; use io_parallel, or a kernel of two rows")
            }
            (Feature::PaddedConv1d, _, Io::Stream, _) => Written("padding as a `Pad`"),
            (Feature::PaddedMaxPool, _, Io::Stream, _) => Written("padding as a `Pad`"),
            (Feature::Depthwise, Backend::Quartus | Backend::Catapult, _, _) => Written(ORDINARY),
            (Feature::Depthwise, _, _, Strategy::Resource | Strategy::DistributedArithmetic) => Written(LATENCY),
            (
                Feature::Plain
                | Feature::PaddedConv1d
                | Feature::PaddedConv2d
                | Feature::SkippedRows
                | Feature::Depthwise
                | Feature::MaxPool
                | Feature::PaddedMaxPool
                | Feature::OverlappingMaxPool
                | Feature::Moved
                | Feature::Blocks
                | Feature::Extreme
                | Feature::Table
                | Feature::Selu
                | Feature::OneBit,
                Backend::Vitis | Backend::Vivado | Backend::Quartus | Backend::Catapult,
                Io::Parallel | Io::Stream,
                Strategy::Latency | Strategy::Resource | Strategy::DistributedArithmetic,
            ) => Exact,
        }
    }
}

impl Target {
    /// Why no network has a proxy for these settings, if none has.
    pub fn refused(self) -> Option<&'static str> {
        match (self.backend, self.strategy) {
            (Backend::Quartus | Backend::Catapult, Strategy::DistributedArithmetic) => {
                Some("hls4ml has it for Vitis and Vivado; here it says nothing and multiplies all the same")
            }
            (Backend::Vitis | Backend::Vivado | Backend::Quartus | Backend::Catapult, Strategy::Latency | Strategy::Resource)
            | (Backend::Vitis | Backend::Vivado, Strategy::DistributedArithmetic) => None,
        }
    }

    /// Whether filters per channel are written as such, not as convolutions with zeros.
    pub fn has_depthwise(self) -> bool {
        !matches!(Feature::Depthwise.verdict(self), Verdict::Written(ORDINARY))
    }
}

/// What a node needs.
fn features(model: &FixedModel, node: &Node<FixedOp>) -> Vec<Feature> {
    match &node.op {
        FixedOp::Dense(d) => match &d.window {
            Some(w) => [
                (w.is_padded(), if w.input[0] == 1 && w.kernel[0] == 1 { Feature::PaddedConv1d } else { Feature::PaddedConv2d }),
                (skips_rows(w), Feature::SkippedRows),
                (w.is_depthwise() && w.input[2] > 1, Feature::Depthwise),
            ]
            .into_iter()
            .filter_map(|(has, feature)| has.then_some(feature))
            .collect(),
            None => Vec::new(),
        },
        FixedOp::AveragePool(a) => {
            let skipped = skips_rows(&a.window).then_some(Feature::SkippedRows);
            [Feature::Depthwise].into_iter().chain(skipped).collect()
        }
        FixedOp::MaxPool(w) => max_pool(w),
        FixedOp::Elementwise(Elementwise::Selu) => vec![Feature::Selu],
        FixedOp::Elementwise(f) if f.reads_quantized() => vec![Feature::Table],
        FixedOp::Move(Move::Pad { .. }) => vec![Feature::PaddedConv2d],
        FixedOp::Merge(Merge::Max | Merge::Min) => vec![Feature::Extreme],
        FixedOp::Quantize(q) => q.formats.iter().any(|k| k.bits() == 1).then_some(Feature::OneBit).into_iter().collect(),
        FixedOp::Affine(_)
        | FixedOp::Elementwise(_)
        | FixedOp::Merge(Merge::Add | Merge::Sub | Merge::Mul)
        | FixedOp::Move(Move::Concat { .. } | Move::Reshape | Move::Permute { .. }) => Vec::new(),
        FixedOp::Move(Move::Select { source }) => {
            let [from, to] = [node.inputs[0], node.output].map(|v| &model.values[v].shape[..]);
            let blocks = matches!(selection::of(source, from, to), Some(Structure::Blocks { .. }));
            vec![if blocks { Feature::Blocks } else { Feature::Moved }]
        }
    }
}

/// A 1×1 convolution over all channels is a dense layer per position, without a line buffer.
fn skips_rows(w: &Window) -> bool {
    let pointwise = w.kernel == [1, 1] && w.groups == 1;
    w.kernel[0] == 1 && w.stride[0] > 1 && w.input[0] > 1 && !pointwise
}

fn max_pool(w: &Window) -> Vec<Feature> {
    let mut found = vec![Feature::MaxPool];
    if skips_rows(w) {
        found.push(Feature::SkippedRows);
    }
    if w.is_padded() {
        found.push(Feature::PaddedMaxPool);
    }
    if super::target::strides_in_stream(w) != w.kernel {
        found.push(Feature::OverlappingMaxPool);
    }
    found
}

/// Every node of `model` that is not exact with these settings.
pub fn faults(model: &FixedModel, target: Target) -> Vec<Fault> {
    if let Some(why) = target.refused() {
        return vec![Fault { node: "(graph)".into(), reason: Reason::Setting { setting: target.to_string(), why } }];
    }
    let refusal = |feature: Feature| match feature.verdict(target) {
        Verdict::Refused(why) => Some(why),
        Verdict::Exact | Verdict::Written(_) => None,
    };
    model
        .nodes
        .iter()
        .filter_map(|node| {
            let why = features(model, node).into_iter().find_map(refusal)?;
            let reason = Reason::Setting { setting: target.to_string(), why };
            Some(Fault { node: node.name.clone(), reason })
        })
        .collect()
}

/// Layers that need hls4ml's strategy `Latency` where the model has another one, by their names in
/// the proxy.
pub fn latency_layers(proxy: &ModelProto, target: Target) -> Vec<String> {
    let latency = matches!(Feature::Depthwise.verdict(target), Verdict::Written(LATENCY));
    let per_channel = |n: &&NodeProto| n.op_type() == "Conv" && Attributes::of(n).int("group", 1).is_ok_and(|g| g > 1);
    let nodes = proxy.graph.iter().flat_map(|g| &g.node).filter(|_| latency);
    nodes.filter(per_channel).map(|n| n.name().to_string()).collect()
}

/// Strides of a pool as io_stream takes them, which wants those of the kernel: where that gives one
/// output as well, nothing moves.
pub fn strides_in_stream(window: &Window) -> [usize; 2] {
    let padded = [0, 1].map(|axis| window.input[axis] + window.pads[axis] + window.pads[axis + 2]);
    let one = |axis: usize| window.output()[axis] == 1 && padded[axis] < 2 * window.kernel[axis];
    [0, 1].map(|axis| if one(axis) { window.kernel[axis] } else { window.stride[axis] })
}
