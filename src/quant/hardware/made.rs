//! What was counted of a node, and the LUTs that it comes to (docs/hardware.md#adders).

use super::tree::{Depth, Sum};

/// LUTs per carry position of adders and comparisons.
const LUTS_PER_CARRY: f64 = 0.947;
/// LUTs that are spared per carry position that sums share.
const LUTS_PER_SHARED: f64 = 0.382;
/// LUTs per bit that is chosen between values: of the largest of two, behind a comparison. Bits
/// that a Relu masks or a quantizer clips are part of the logic in front.
const LUTS_PER_CHOICE: f64 = 0.40;

/// What a model, or one node of it, takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hardware {
    pub luts: u64,
    /// Adders one behind the other: of a model from its inputs to its outputs, of a node from the
    /// last registers.
    pub levels: u32,
    /// Registers, where every quantizer and every output has some.
    pub registers: u64,
}

/// What was counted, before it became LUTs.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Parts {
    /// Carry positions of adders and comparisons.
    pub carries: f64,
    /// Those of them that sums share with others.
    pub shared: f64,
    /// Bits chosen between two values.
    pub choices: u64,
    /// LUTs of tables.
    pub tables: u64,
}

impl Parts {
    pub fn luts(&self) -> u64 {
        let adders = LUTS_PER_CARRY * self.carries - LUTS_PER_SHARED * self.shared;
        let fitted = adders + LUTS_PER_CHOICE * self.choices as f64;
        fitted.round() as u64 + self.tables
    }

    /// Whether they lengthen the way of a signal.
    pub fn is_deep(&self) -> bool {
        self.carries > 0.0 || self.choices > 0 || self.tables > 0
    }

    /// With those of another node.
    pub fn plus(self, other: Parts) -> Parts {
        Parts {
            carries: self.carries + other.carries,
            shared: self.shared + other.shared,
            choices: self.choices + other.choices,
            tables: self.tables + other.tables,
        }
    }

    /// `of` bits chosen behind a comparison of `compared` bits.
    pub fn chosen(compared: u32, of: u32) -> Parts {
        Parts { carries: f64::from(compared), choices: u64::from(of), ..Parts::default() }
    }
}

/// A node while it is counted.
#[derive(Default)]
pub struct Made {
    pub parts: Parts,
    pub registers: u64,
    /// Per element of its output.
    pub depth: Vec<Depth>,
}

impl Made {
    /// One sum per element.
    pub fn of(sums: impl Iterator<Item = Sum>) -> Made {
        let mut carries = 0;
        let depth = sums.inspect(|s| carries += s.carries).map(|s| s.depth()).collect();
        Made { parts: Parts { carries: carries as f64, ..Parts::default() }, registers: 0, depth }
    }

    /// Of whose adders a share is `common`, and `part` is computed at a time.
    pub fn shared(mut self, common: f64, part: f64) -> Made {
        self.parts.carries *= part;
        self.parts.shared = common * self.parts.carries;
        self
    }
}
