//! What a model takes of an FPGA, as documents have it.

use crate::quant::hardware::Hardware;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// An estimate of the circuit that computes a model, or one layer of it, in one piece
/// (docs/hardware.md).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HardwareEstimate {
    /// LUTs of six inputs.
    pub luts: u64,
    /// Adders one behind the other: of a model from its inputs to its outputs, of a layer behind
    /// the last registers.
    pub levels: u32,
    /// Registers, where every quantizer and every output has some.
    pub ff: u64,
}

impl From<Hardware> for HardwareEstimate {
    fn from(hardware: Hardware) -> HardwareEstimate {
        let Hardware { luts, levels, registers } = hardware;
        HardwareEstimate { luts, levels, ff: registers }
    }
}
