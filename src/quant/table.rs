//! hls4ml's activation tables, entry by entry: 1024 entries over ±8 (sigmoid) or ±4 (tanh), each truncated to 10 fractional bits.
//!
//! The index is `x·64 + 512` (sigmoid) or `x·128 + 512` (tanh), truncated toward zero before the offset is added and clamped to
//! the table, so inputs with at most 6 (7) fractional bits address an entry exactly.

use std::sync::OnceLock;

/// Fractional bits of a table entry.
pub const OUTPUT_FRAC: i32 = 10;
/// Entries of a table.
pub const ENTRIES: i64 = 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Sigmoid,
    Tanh,
}

impl Kind {
    /// Finest input grid that addresses entries exactly.
    pub fn max_input_frac(self) -> i32 {
        match self {
            Kind::Sigmoid => 6,
            Kind::Tanh => 7,
        }
    }

    fn function(self, x: f32) -> f64 {
        match self {
            Kind::Sigmoid => 1.0 / (1.0 + (-x as f64).exp()),
            Kind::Tanh => (x as f64).tanh(),
        }
    }
}

/// The entry for the input `int·2^-frac`, in units of `2^-10`.
pub fn lookup(kind: Kind, int: i64, frac: i32) -> i64 {
    let drop = frac - kind.max_input_frac();
    let scaled = if drop > 0 { int / (1i64 << drop.min(62)) } else { int.saturating_mul(1i64 << (-drop).min(40)) };
    let index = scaled.saturating_add(ENTRIES / 2).clamp(0, ENTRIES - 1);
    entries(kind)[index as usize] as i64
}

fn entries(kind: Kind) -> &'static [i16] {
    static SIGMOID: OnceLock<Vec<i16>> = OnceLock::new();
    static TANH: OnceLock<Vec<i16>> = OnceLock::new();
    let cell = if kind == Kind::Sigmoid { &SIGMOID } else { &TANH };
    cell.get_or_init(|| {
        let step = 0.5f32.powi(kind.max_input_frac());
        (0..ENTRIES).map(|n| (kind.function((n - ENTRIES / 2) as f32 * step) * 1024.0).floor() as i16).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_hold_the_truncated_function() {
        assert_eq!(lookup(Kind::Sigmoid, 0, 0), 512);
        assert_eq!(lookup(Kind::Sigmoid, 100, 0), 1023);
        assert_eq!(lookup(Kind::Sigmoid, -100, 0), 0);
        assert_eq!(lookup(Kind::Sigmoid, 1, 0), (0.731_058_578_6f64 * 1024.0) as i64);
        assert_eq!(lookup(Kind::Tanh, -1, 0), (-0.761_594_155_9f64 * 1024.0).floor() as i64);
        assert_eq!(lookup(Kind::Tanh, 3, 1), (0.905_148_253_6f64 * 1024.0) as i64);
    }
}
