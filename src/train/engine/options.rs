//! What the engine is told.

use crate::simd::Isa;
/// How to train.
#[derive(Clone, Debug)]
pub struct EngineOptions {
    /// Shards of a batch, each on its own thread. Results are reproducible for a given number.
    pub threads: usize,
    /// Multiply the EBOPs gradient of shared widths by `1/√n_g` (HGQ v1, docs/hgq-spec.md#a2-1).
    pub group_norm: bool,
    /// `None`: the best available.
    pub isa: Option<Isa>,
    pub train_weights: bool,
    pub train_bits: bool,
    /// Layers that are trained in another way than the rest.
    pub layers: Vec<LayerOptions>,
    /// By output column: the loss sees it times this power of two ([`crate::quant::scale`]). Empty:
    /// all as they are.
    pub output_exponents: Vec<i32>,
    /// Gradients are divided by this power of two, β and `l1` with them: the size of the loss, so
    /// that Adam's ε means the same whatever the units of the targets.
    pub loss_exponent: i32,
}

impl Default for EngineOptions {
    fn default() -> Self {
        EngineOptions {
            threads: 1,
            group_norm: true,
            isa: None,
            train_weights: true,
            train_bits: true,
            layers: Vec::new(),
            output_exponents: Vec::new(),
            loss_exponent: 0,
        }
    }
}

/// How to train one layer that multiplies.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerOptions {
    /// Name of its node.
    pub node: String,
    /// Whether its weights and bias are trained, if weights are at all.
    pub weights: bool,
    /// Whether the widths of its weights are trained, if widths are at all.
    pub bits: bool,
    /// Factor of β for its EBOPs: of the gradient of its weights' widths and, through its products,
    /// of its inputs' widths.
    pub beta_scale: f32,
}
