//! Quantized bias (docs/hgq-spec.md#a1-4): it takes the fractional bits of the activation after
//! it, reduced by max over everything but the channel; the gradient of the max goes to the maximal
//! entries, split equally.

use crate::quant::kif::exp2i;
use crate::quant::{Groups, Rounding};
use std::f32::consts::LN_2;

/// For each channel the widths it is the maximum of: indices of groups, each once.
#[derive(Clone, Debug, PartialEq)]
pub struct ChannelGroups(Vec<Vec<u32>>);

impl ChannelGroups {
    /// `groups` of an activation whose last axis has `channels` entries.
    pub fn new(groups: &Groups, channels: usize) -> ChannelGroups {
        let mut of = vec![Vec::new(); channels];
        for e in 0..groups.elements() {
            let (list, g): (&mut Vec<u32>, _) = (&mut of[e % channels.max(1)], groups.of(e) as u32);
            if !list.contains(&g) {
                list.push(g);
            }
        }
        ChannelGroups(of)
    }

    /// Latent fractional bits of `channel`.
    pub fn f(&self, channel: usize, f: &[f32]) -> f32 {
        self.0[channel].iter().map(|&g| f[g as usize]).fold(f32::NEG_INFINITY, f32::max)
    }

    /// Spreads the gradient of a channel's f over the maximal entries.
    pub fn spread(&self, channel: usize, f: &[f32], gradient: f32, df: &mut [f32]) {
        let max = self.f(channel, f);
        let ties = self.0[channel].iter().filter(|&&g| f[g as usize] == max).count().max(1);
        for &g in self.0[channel].iter().filter(|&&g| f[g as usize] == max) {
            df[g as usize] += gradient / ties as f32;
        }
    }
}

/// The quantized bias of one channel with fractional bits `f` (latent).
pub fn forward(b: f32, f: f32, rounding: Rounding) -> f32 {
    let scale = exp2i(f.round_ties_even() as i32);
    (rounding.apply(f64::from(b) * scale) / scale) as f32
}

/// Gradient to the channel's f; the one to the bias is `g` itself (straight-through).
pub fn gradient_f(b: f32, bq: f32, g: f32) -> f32 {
    LN_2 * (b - bq) * g
}
