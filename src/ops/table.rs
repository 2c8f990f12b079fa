//! hls4ml's activation tables, entry by entry: 1024 entries, each truncated to 10 fractional bits
//! (docs/hls4ml-contract.md#functions).
//!
//! The index is the input in steps of the table, truncated toward zero and clamped to the table, so
//! inputs with few enough fractional bits address an entry exactly.

use std::sync::OnceLock;

/// Fractional bits of a table entry.
pub const OUTPUT_FRAC: i32 = 10;
/// Entries of a table.
pub const ENTRIES: i64 = 1024;

/// A function that is all table, over `[−R, R)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    Sigmoid,
    Tanh,
    Softplus,
    Softsign,
}

/// What lies below 0 of a function that is a table there alone, over `(−8, 0]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Below {
    /// `e^x − 1`
    Elu,
    /// `λ·α·(e^x − 1)`
    Selu,
}

/// Fractional bits of an input that address an entry of [`Below`] exactly.
pub const BELOW_INPUT_FRAC: i32 = 7;
/// `x·σ(GELU_SLOPE·x)` is the nearest that a sigmoid comes to GELU: within 0.021.
pub const GELU_SLOPE: f32 = 1.702;
/// Selu's `λ` and `α`: those of its paper, and the only ones that hls4ml has.
pub const SELU: (f64, f64) = (1.050_700_987_355_480_5, 1.673_263_242_354_377_2);

impl Table {
    pub const ALL: [Table; 4] = [Table::Sigmoid, Table::Tanh, Table::Softplus, Table::Softsign];

    /// That of an ONNX operator.
    pub fn named(onnx: &str) -> Option<Table> {
        Table::ALL.into_iter().find(|table| table.onnx() == onnx)
    }

    /// The ONNX operator.
    pub fn onnx(self) -> &'static str {
        match self {
            Table::Sigmoid => "Sigmoid",
            Table::Tanh => "Tanh",
            Table::Softplus => "Softplus",
            Table::Softsign => "Softsign",
        }
    }

    /// Smallest and largest result.
    pub fn limits(self) -> (f64, f64) {
        match self {
            Table::Sigmoid => (0.0, 1.0),
            Table::Tanh | Table::Softsign => (-1.0, 1.0),
            Table::Softplus => (0.0, f64::INFINITY),
        }
    }

    /// Finest input grid that addresses entries exactly: over ±8 (±4) in 1024 steps.
    pub fn max_input_frac(self) -> i32 {
        match self {
            Table::Sigmoid | Table::Softplus | Table::Softsign => 6,
            Table::Tanh => 7,
        }
    }

    /// The function.
    pub fn real(self, x: f64) -> f64 {
        match self {
            Table::Sigmoid => 1.0 / (1.0 + (-x).exp()),
            Table::Tanh => x.tanh(),
            Table::Softplus => softplus(x),
            Table::Softsign => x / (x.abs() + 1.0),
        }
    }

    /// The function as training computes it.
    pub fn forward(self, x: f32) -> f32 {
        match self {
            Table::Sigmoid => 1.0 / (1.0 + (-x).exp()),
            Table::Tanh => x.tanh(),
            Table::Softplus => softplus(x.into()) as f32,
            Table::Softsign => x / (x.abs() + 1.0),
        }
    }

    /// Its derivative at `x`, where it is `y`.
    pub fn derivative(self, x: f32, y: f32) -> f32 {
        match self {
            Table::Sigmoid => y * (1.0 - y),
            Table::Tanh => 1.0 - y * y,
            // the sigmoid of x
            Table::Softplus => 1.0 / (1.0 + (-x).exp()),
            Table::Softsign => (1.0 - y.abs()) * (1.0 - y.abs()),
        }
    }

    /// The entry for the input `int·2^-frac`, in units of `2^-10`.
    pub fn lookup(self, int: i64, frac: i32) -> i64 {
        let index = steps(int, frac, self.max_input_frac()).saturating_add(ENTRIES / 2).clamp(0, ENTRIES - 1);
        i64::from(self.entries()[index as usize])
    }

    fn entries(self) -> &'static [i16] {
        static ALL: [OnceLock<Vec<i16>>; 4] = [const { OnceLock::new() }; 4];
        ALL[self as usize].get_or_init(|| {
            let step = 0.5f32.powi(self.max_input_frac());
            (0..ENTRIES).map(|n| entry(self.real(f64::from((n - ENTRIES / 2) as f32 * step)))).collect()
        })
    }
}

impl Below {
    /// The function, below 0.
    pub fn real(self, x: f64) -> f64 {
        match self {
            Below::Elu => x.exp() - 1.0,
            Below::Selu => SELU.0 * (SELU.1 * (x.exp() - 1.0)),
        }
    }

    /// The entry for the input `int·2^-frac` below 0, in units of `2^-10`.
    pub fn lookup(self, int: i64, frac: i32) -> i64 {
        let index = steps(int, frac, BELOW_INPUT_FRAC).saturating_neg().clamp(0, ENTRIES - 1);
        i64::from(self.entries()[index as usize])
    }

    fn entries(self) -> &'static [i16] {
        static ALL: [OnceLock<Vec<i16>>; 2] = [const { OnceLock::new() }; 2];
        ALL[self as usize]
            .get_or_init(|| (0..ENTRIES).map(|n| entry(self.real(f64::from(-8.0 * n as f32 / ENTRIES as f32)))).collect())
    }
}

/// `ln(e^x + 1)` without overflow.
fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

/// `int·2^-frac` in steps of `2^-limit`, toward zero.
fn steps(int: i64, frac: i32, limit: i32) -> i64 {
    let drop = frac - limit;
    if drop > 0 { int / (1i64 << drop.min(62)) } else { int.saturating_mul(1i64 << (-drop).min(40)) }
}

/// A value of a function in hls4ml's C++ (a float), rounded down.
fn entry(value: f64) -> i16 {
    (f64::from(value as f32) * 1024.0).floor() as i16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_hold_the_truncated_function() {
        assert_eq!(Table::Sigmoid.lookup(0, 0), 512);
        assert_eq!(Table::Sigmoid.lookup(100, 0), 1023);
        assert_eq!(Table::Sigmoid.lookup(-100, 0), 0);
        assert_eq!(Table::Sigmoid.lookup(1, 0), (0.731_058_578_6f64 * 1024.0) as i64);
        assert_eq!(Table::Tanh.lookup(-1, 0), (-0.761_594_155_9f64 * 1024.0).floor() as i64);
        assert_eq!(Table::Tanh.lookup(3, 1), (0.905_148_253_6f64 * 1024.0) as i64);
        assert_eq!((Table::Softsign.lookup(1, 0), Table::Softsign.lookup(-1, 0)), (512, -512));
        assert_eq!(Table::Softplus.lookup(0, 0), (2f64.ln() * 1024.0) as i64);
        assert_eq!((Below::Elu.lookup(-1, 0), Below::Elu.lookup(-100, 0)), (-648, -1024));
        assert_eq!(Below::Selu.lookup(-1, 0), (-1.111_330_737_8f64 * 1024.0).floor() as i64);
    }

    #[test]
    fn off_the_grid_inputs_go_toward_zero() {
        assert_eq!(Table::Tanh.lookup(-3, 8), Table::Tanh.lookup(-1, 7));
        assert_eq!(Below::Elu.lookup(-3, 8), Below::Elu.lookup(-1, 7));
    }
}
