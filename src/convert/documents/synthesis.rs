//! What Vitis HLS and Vivado found, beside the estimate
//! (docs/hardware.md#reports-of-the-vendors-tools).

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// One hls4ml project whose reports were read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Synthesis {
    /// Its folder, as it was named.
    pub project: String,
    /// The point of the front that it was made of.
    pub point: usize,
    /// The file that it was made of.
    pub file: String,
    /// Whether the model in the project was found to be that file; else somebody said so.
    pub compared: bool,
    /// The device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<String>,
    /// What HLS expects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub csynth: Option<HlsEstimate>,
    /// What synthesis made of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vsynth: Option<Resources>,
}

impl Synthesis {
    /// What synthesis uses, or where it was not run, what HLS expects.
    pub fn used(&self, of: fn(&Resources) -> Option<u64>) -> Option<u64> {
        let expected = || self.csynth.as_ref().and_then(|hls| of(&hls.resources));
        self.vsynth.as_ref().and_then(of).or_else(expected)
    }
}

/// Of `csynth.xml`. What HLS does not know ("undef") is absent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct HlsEstimate {
    /// What it takes.
    #[serde(flatten)]
    pub resources: Resources,
    /// In ns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_clock_ns: Option<f64>,
    /// In ns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub estimated_clock_ns: Option<f64>,
    /// Cycles from the first input to the last output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_min: Option<u64>,
    /// The same in the worst case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_max: Option<u64>,
    /// Cycles from one sample to the next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval_min: Option<u64>,
    /// The same in the worst case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval_max: Option<u64>,
}

/// What is used of a device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Resources {
    /// LUTs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub luts: Option<u64>,
    /// Registers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ff: Option<u64>,
    /// DSP blocks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dsp: Option<u64>,
    /// Block RAM of 18 kbit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bram_18k: Option<u64>,
    /// UltraRAM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uram: Option<u64>,
}
