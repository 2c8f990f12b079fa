//! What polishing may change, at which cost, and how much of it is affordable.

use crate::quant::exact::variants::state::Parameter;
use crate::quant::interval::AllBounds;
use crate::quant::model::{FixedDense, FixedModel, FixedOp, Model, QDense, QOp};
use crate::quant::taps::Taps;
use crate::quant::{BiasBits, Groups, ebops};
use crate::train::LayerOptions;
use crate::train::engine::op::bias::ChannelGroups;
use crate::train::engine::topology::Topology;

/// Finest grid of a weight (docs/hgq-spec.md#a1-1).
const MAX_F: i32 = 23;
/// Numbers computed per round, at most: as many as products in the training, so that a short job
/// stays one, and seconds on a small machine; twice as many after a long training. Larger models
/// are polished on fewer samples …
const WORK: (f64, f64) = (1e9, 2e9);
/// Share of the training's products that a round may compute between these.
const SHARE: f64 = 1.0 / 16.0;
/// … but not on less than this: what a few samples like is chance.
const MIN_SAMPLES: usize = 1000;
/// Numbers held at a time (values of all samples): 512 MiB.
const MAX_VALUES: usize = 1 << 26;
/// Products of one sample, which the tables of readers hold one by one.
const MAX_PRODUCTS: usize = 1 << 24;

/// A layer that may change.
pub struct Layer<'a> {
    pub node: usize,
    pub dense: &'a FixedDense,
    /// Bits of the inputs under each entry of the patch, summed over the positions, by weight.
    pub bits: Vec<f64>,
    /// Grid of each bias.
    pub bias_f: Vec<i32>,
    /// Finest grid of each weight.
    pub weight_f: Vec<i32>,
}

impl Layer<'_> {
    /// The weight or bias as it is in the exact model.
    pub fn value(&self, what: Parameter) -> f64 {
        match what {
            Parameter::Weight(e) => self.dense.weight.value(e),
            Parameter::Bias(o) => self.dense.bias.value(o),
        }
    }
}

/// The layers of `model`, which is exactly `fixed` with `bounds`.
pub fn layers<'a>(model: &Model, fixed: &'a FixedModel, bounds: &AllBounds, options: &[LayerOptions]) -> Vec<Layer<'a>> {
    let topology = Topology::new(model);
    let mut found = Vec::new();
    for (node, (exact, latent)) in fixed.nodes.iter().zip(&model.nodes).enumerate() {
        let (FixedOp::Dense(d), Some(q)) = (&exact.op, latent.op.layer()) else { continue };
        let kept = options.iter().any(|l| l.node == latent.name && !(l.weights && l.bits));
        if !q.trainable || kept {
            continue;
        }
        let formats = ebops::wire_formats(fixed, bounds, exact.inputs[0]);
        let taps = Taps::new(d.inputs, d.outputs, d.window.as_ref());
        let bits = |e: usize| taps.sum(e / d.outputs, e % d.outputs, |x| u64::from(formats[x].bits())) as f64 * d.ebops_scale;
        // a group that shares its width keeps it: its other weights would be rounded anew
        let elementwise = q.weight_groups.is_elementwise();
        let weight_f = |e: usize| if elementwise { MAX_F } else { q.weight_f[q.weight_groups.of(e)].round_ties_even() as i32 };
        let elements = 0..d.inputs * d.outputs;
        let (bias_f, weight_f) = if let QOp::SaturatingDense(s) = &latent.op {
            // shared widths have a range that others need, too: nothing moves
            let own = |groups: &Groups, f: Vec<i32>| if groups.is_elementwise() { f } else { Vec::new() };
            (own(&s.bias.groups, s.bias.rounded_f()), own(&s.weight.groups, vec![MAX_F; elements.len()]))
        } else {
            (bias_f(model, &topology, node, q), elements.clone().map(weight_f).collect())
        };
        found.push(Layer { node, dense: d, bits: elements.map(bits).collect(), bias_f, weight_f });
    }
    found
}

/// Fractional bits of each bias of layer `node`: its own, or those of the quantizer after the
/// layer.
fn bias_f(model: &Model, topology: &Topology, node: usize, layer: &QDense) -> Vec<i32> {
    match &layer.bias_bits {
        BiasBits::Own(f) => f.clone(),
        BiasBits::Activation => {
            let behind = topology.quantizers_below(model.nodes[node].output);
            let Some(QOp::Quantizer(q)) = behind.first().map(|&n| &model.nodes[n].op) else { return Vec::new() };
            let channels = ChannelGroups::new(&q.groups, layer.outputs);
            (0..layer.outputs).map(|c| channels.f(c, &q.f).round_ties_even() as i32).collect()
        }
    }
}

/// How many samples the search can use; `trained`: samples that the training saw in all its epochs.
pub fn affordable(fixed: &FixedModel, layers: &[Layer], samples: usize, trained: f64) -> Option<usize> {
    let values: usize = (0..fixed.values.len()).map(|v| fixed.len_of(v)).sum();
    let positions = |d: &FixedDense| d.window.as_ref().map_or(1, |w| w.positions());
    let products: usize = layers.iter().map(|l| positions(l.dense) * l.dense.inputs * l.dense.outputs).sum();
    if products > MAX_PRODUCTS || values == 0 {
        return None;
    }
    // a change of a layer touches its positions and, after it, about as many values as the next
    // layers have
    let behind = |node: usize| fixed.nodes[node..].iter().map(|n| fixed.len_of(n.output)).sum::<usize>();
    let moves = |l: &Layer| 5.0 * l.dense.weight.ints.iter().filter(|&&w| w != 0).count() as f64;
    let work: f64 = layers.iter().map(|l| moves(l) * (positions(l.dense) + behind(l.node)) as f64).sum();
    let training = trained * products as f64;
    let most = (SHARE * training).clamp(WORK.0.min(training), WORK.1);
    let affordable = ((most / work.max(1.0)) as usize).min(MAX_VALUES / values).min(samples);
    (affordable >= MIN_SAMPLES.min(samples) && affordable > 0).then_some(affordable)
}
